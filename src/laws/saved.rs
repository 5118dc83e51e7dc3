//! What a plan is: its id covers all that is decided and nothing that changes by itself, and what is left of a saved plan is
//! told from what was changed since.

use std::collections::BTreeMap;

use super::rolling::worlds::{self, State, VersionChange};
use crate::core::allowance::{AllowKind, Allowance};
use crate::core::cluster::quorum::Membership;
use crate::core::desired::{Backup, Desired, Rotation};
use crate::core::names::{Digest, HostName, SnapshotReason, Token, UnixSeconds};
use crate::core::observed::{Access, File, FileFact, Observed};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, FileAction};
use crate::core::plan::approved::{Approved, changes};
use crate::core::plan::step::Step;
use crate::core::planner::{self, plan};
use crate::laws::sample;
use crate::shell::command::request;

/// As a command plans: tied to who leads, and to the token that is shown.
fn planned(desired: &Desired, observed: &Observed) -> Plan {
    let mut desired = desired.clone();
    request::bind(&mut desired, observed).expect("nothing is called lost");
    plan(&desired, observed)
}

/// The same world while the member of `leader` leads.
fn led_by(desired: &Desired, observed: &Observed, leader: &HostName) -> Option<Observed> {
    let id = Membership::of(desired, observed)?.member_of(leader)?.entry.id;
    let mut observed = observed.clone();
    let names: Vec<_> = observed.hosts.keys().chain(observed.former.keys()).cloned().collect();
    for name in names {
        if let Some(answer) = observed.host_mut(&name).and_then(|host| host.member.known_mut()?.as_mut()) {
            answer.leader = Some(id);
        }
    }
    Some(observed)
}

fn rotate_to_the_end(desired: &mut Desired) {
    desired.request.rotation = Some(Rotation::default());
    desired.request.drop_old_ca = true;
}

fn new_setting() -> (Desired, Observed) {
    let mut desired = sample::desired(3);
    let observed = sample::healthy(&desired);
    desired.etcd.quota_backend_bytes = Some(8 << 30);
    (desired, observed)
}

/// Changes that go from member to member, once and twice.
fn changes_in_turn() -> Vec<(Desired, Observed)> {
    let (mut rotation, three) = (sample::desired(3), sample::healthy(&sample::desired(3)));
    rotate_to_the_end(&mut rotation);
    let five = sample::desired(5);
    let mut setting_of_five = five.clone();
    setting_of_five.etcd.heartbeat_interval_ms = Some(200);
    let of = |states: &[State], version_change| {
        let world = worlds::world(states, version_change);
        (world.desired, world.observed)
    };
    vec![
        new_setting(),
        (setting_of_five, sample::healthy(&five)),
        (rotation, three),
        of(&[State::Member; 3], VersionChange::Up),
        of(&[State::Member; 3], VersionChange::OverAStop),
        of(&[State::Member, State::Leaver, State::Member, State::Leaver, State::Member], VersionChange::Stays),
        of(&[State::Member, State::Moved, State::Moved], VersionChange::Stays),
    ]
}

#[test]
fn who_leads_is_in_no_id_and_decides_the_order() {
    for (desired, observed) in changes_in_turn() {
        let first = planned(&desired, &observed);
        let mut orders = 0;
        for leader in observed.hosts.keys() {
            let Some(observed) = led_by(&desired, &observed, leader) else { continue };
            let plan = planned(&desired, &observed);
            assert_eq!(plan.id(), first.id(), "{leader} leads: {:#?}", titles(&plan));
            orders += usize::from(titles(&plan) != titles(&first));
            let Some(last) = plan.leader_last() else { continue };
            let in_turn = plan.steps.iter().filter(|step| step.actions.iter().any(Action::waits_for_its_turn));
            let host = |step: &Step| step.hosts().first().map(|host| (*host).clone());
            let end = in_turn.filter_map(host).next_back();
            assert_eq!((last, end.as_ref()), (leader, Some(leader)), "{:#?}", titles(&plan));
        }
        assert!(orders > 0, "the order follows the leader: {:#?}", titles(&first));
    }
}

fn titles(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{} on {:?}", step.title(), step.hosts())).collect()
}

/// The plan goes on as it was shown although another member has come to lead.
#[test]
fn what_is_left_keeps_its_order_when_leadership_moves() {
    for (mut desired, observed) in changes_in_turn() {
        request::bind(&mut desired, &observed).expect("nothing is called lost");
        let saved = plan(&desired, &observed);
        for leader in observed.hosts.keys() {
            let Some(moved) = led_by(&desired, &observed, leader) else { continue };
            let now = plan(&desired, &moved);
            let decisions = |plan: &Plan| plan.steps.iter().map(Step::decision).collect::<Vec<_>>();
            assert_eq!(decisions(&now), decisions(&saved));
            assert_eq!(changes(&saved, &now), Vec::<String>::new());
        }
    }
}

#[test]
fn what_is_left_after_any_part_of_a_saved_plan_is_that_plan() {
    let mut bare = sample::desired(3);
    bare.backup = Some(sample::backup(&bare));
    let bare = (bare.clone(), sample::bare(&bare));
    for (mut desired, observed) in changes_in_turn().into_iter().chain([bare]) {
        request::bind(&mut desired, &observed).expect("nothing is called lost");
        let saved = plan(&desired, &observed);
        let mut world = observed.clone();
        // An hour later.
        world.at = UnixSeconds(world.at.0 + 3600);
        for action in saved.actions() {
            planner::effect(action, &desired, &mut world);
            let left = plan(&desired, &world);
            assert_eq!(changes(&saved, &left), Vec::<String>::new(), "after {action}");
        }
    }
}

fn with_text(observed: &mut Observed, host: &str, file: File, change: impl FnOnce(&mut FileFact)) {
    let host = observed.host_mut(&HostName::new(host)).expect("it was seen");
    change(host.files.get_mut(&file).expect("a healthy host has it"));
}

fn add_line(fact: &mut FileFact) {
    let text = format!("{}snapshot-count: 5000\n", fact.text.as_deref().unwrap_or_default());
    *fact = FileFact { digest: Digest::of(&text), text: Some(text), ..fact.clone() };
}

/// What somebody may change between the look that was saved and the one that is applied.
type Change = fn(&mut Desired, &mut Observed);

/// What is told of each, where it is noticed.
const CHANGES: [(Change, &str); 7] = [
    (
        |_, observed| with_text(observed, "etcd-2", File::Config, add_line),
        "/etc/etcd/etcd.yaml on etcd-2 was changed: what is replaced there is not what the saved plan shows",
    ),
    (
        |_, observed| {
            with_text(observed, "etcd-3", File::Config, |fact| fact.access = Access::new("666", "root", "root"));
        },
        "not in the saved plan: restore owner and mode of etcd.yaml on etcd-3",
    ),
    (|desired, _| desired.etcd.quota_backend_bytes = Some(4 << 30), "not in the saved plan: write etcd.yaml on etcd-2"),
    (
        |desired, _| desired.certificates.validity_seconds = 3600 * 24 * 200,
        "what this writes, or replaces, has changed: issue server.crt with a new key on etcd-1",
    ),
    (
        |desired, _| desired.certificates.server_names = vec!["etcd.example".to_owned()],
        "what this writes, or replaces, has changed: issue server.crt with a new key on etcd-1",
    ),
    (
        |desired, _| {
            let backup = desired.backup.take().expect("it is declared");
            desired.backup = Some(Backup { keep: 3, ..backup });
        },
        "not in the saved plan: write the backup service on etcd-1",
    ),
    (|_, observed| observed.hosts.values_mut().filter_map(crate::core::observed::Seen::known_mut).for_each(grow), ""),
];

/// By itself.
fn grow(host: &mut crate::core::observed::Host) {
    if let Some(answer) = host.member.known_mut().and_then(Option::as_mut) {
        answer.database_bytes += 1 << 20;
        answer.term += 1;
    }
}

#[test]
fn a_plan_is_stale_once_what_it_was_made_from_has_changed() {
    let (mut desired, observed) = new_setting();
    desired.backup = Some(sample::backup(&desired));
    desired.request.renewals = desired.nodes.keys().map(|name| (name.clone(), None)).collect();
    request::bind(&mut desired, &observed).expect("nothing is called lost");
    let saved = plan(&desired, &observed);
    for (change, told) in CHANGES {
        let (mut desired, mut observed) = (desired.clone(), observed.clone());
        change(&mut desired, &mut observed);
        let fresh = plan(&desired, &observed);
        let changed = changes(&saved, &fresh);
        match told {
            "" => assert_eq!((changed, fresh.id()), (Vec::new(), saved.id())),
            told => {
                assert!(changed.iter().any(|line| line == told), "{told}: {changed:#?}");
                assert_ne!(fresh.id(), saved.id(), "{told}");
            }
        }
    }
}

#[test]
fn the_id_covers_order_and_what_was_asked_and_must_be_allowed() {
    let (desired, observed) = new_setting();
    let saved = planned(&desired, &observed);
    let mut other = saved.clone();
    other.steps.swap(0, 2);
    assert_ne!(other.id(), saved.id());
    assert!(!changes(&saved, &other).is_empty());
    let mut other = saved.clone();
    other.steps[0].needs.insert(Allowance::new(AllowKind::RemoveMember, "etcd-1"));
    assert_ne!(other.id(), saved.id());
    let mut ids = vec![saved.id()];
    let asks: [fn(&mut Desired); 6] = [
        |desired| desired.request.no_snapshot = true,
        |desired| desired.request.restarts = BTreeMap::from([(sample::name(0), None)]),
        |desired| desired.request.lost = BTreeMap::from([(sample::name(1), None)]),
        |desired| desired.request.rotation = Some(Rotation::default()),
        rotate_to_the_end,
        |desired| desired.request.renewals = BTreeMap::from([(sample::name(2), None)]),
    ];
    for ask in asks {
        let mut asked = desired.clone();
        ask(&mut asked);
        ids.push(planned(&asked, &observed).id());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1 + asks.len());
}

/// Asked for once more, what was done once is another thing: a retry does not rotate, restart or renew again.
#[test]
fn what_is_asked_for_is_tied_to_what_it_was_asked_of() {
    let desired = sample::desired(3);
    let observed = sample::healthy(&desired);
    let asks: [fn(&mut Desired); 3] = [
        |desired| desired.request.restarts = BTreeMap::from([(sample::name(0), None)]),
        rotate_to_the_end,
        |desired| desired.request.renewals = BTreeMap::from([(sample::name(2), None)]),
    ];
    for ask in asks {
        let mut asked = desired.clone();
        ask(&mut asked);
        let mut bound = asked.clone();
        request::bind(&mut bound, &observed).expect("nothing is called lost");
        let saved = plan(&bound, &observed);
        let mut world = observed.clone();
        saved.actions().for_each(|action| planner::effect(action, &bound, &mut world));
        assert!(plan(&bound, &world).is_empty(), "the saved one is done");
        assert_ne!(planned(&asked, &world).id(), saved.id());
    }
}

#[test]
fn the_token_that_is_shown_is_the_one_that_is_written() {
    let mut desired = sample::desired(3);
    let mut observed = sample::bare(&desired);
    let id = planned(&desired, &observed).id();
    request::bind(&mut desired, &observed).expect("nothing is called lost");
    let shown = plan(&desired, &observed);
    observed.at = UnixSeconds(observed.at.0 + 60);
    let written = plan(&desired, &observed);
    assert!(shown.actions().eq(written.actions()));
    assert_eq!(written.id(), id);
    // Of a plan that is made anew it is another one, and the id is the same.
    let anew = planned(&sample::desired(3), &observed);
    assert_eq!(anew.id(), id);
    assert!(!changes(&shown, &anew).is_empty());
    // A start that was cut off has left its own: what was saved before is no longer what is done.
    let marker = crate::core::content::new_data_marker(&Token::new("prod-1"));
    let host = observed.host_mut(&sample::name(1)).expect("it was seen");
    let access = crate::core::content::layout::access(File::NewDataMarker);
    host.files.insert(File::NewDataMarker, FileFact { access, digest: Digest::of(&marker), text: Some(marker) });
    let fresh = plan(&desired, &observed);
    let is_old = |action: &Action| match action {
        Action::File(FileAction::Write { file: File::NewDataMarker, text, .. }) => text != "prod-1\n",
        _ => false,
    };
    assert!(!fresh.actions().any(is_old));
    assert!(!changes(&shown, &fresh).is_empty());
}

/// A snapshot before a change is there or not as time goes by.
#[test]
fn a_precaution_is_no_change() {
    let mut world = worlds::world(&[State::Member, State::Leaver, State::Member], VersionChange::Stays);
    let saved = planned(&world.desired, &world.observed);
    let at = world.observed.at;
    world.observed.host_mut(&sample::name(0)).expect("it was seen").snapshots.insert(SnapshotReason::Change, at);
    let fresh = planned(&world.desired, &world.observed);
    assert_eq!((saved.steps.len(), saved.id()), (fresh.steps.len() + 1, fresh.id()));
    assert_eq!(changes(&saved, &fresh), Vec::<String>::new());
    assert_eq!(changes(&fresh, &saved), Vec::<String>::new());
}

/// Of what is done before its turn, and is not there yet.
#[test]
fn another_order_than_the_planned_one_is_told_once() {
    let (desired, observed) = new_setting();
    let saved = planned(&desired, &observed);
    let [first, _, second, restart, _, last] = &saved.steps[..] else { panic!("two steps a member") };
    let mut approved = Approved::new(&saved);
    assert_eq!(approved.begin(&second.actions, |_| false), Some(&first.actions[0]));
    assert_eq!(approved.begin(&first.actions, |_| false), None);
    assert_eq!(approved.begin(&restart.actions, |_| false), None);
    assert_eq!(approved.begin(&last.actions, |_| true), None, "somebody else has done it");
}
