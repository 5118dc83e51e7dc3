//! The law of connections: while two members have none to each other, nothing is done to a third one that they would need
//! to be a quorum; what may mend them goes on.

use crate::core::cluster::overview;
use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, with_broken};
use crate::core::names::{HostName, MemberId};
use crate::core::observed::{Answer, File, Observed, Peer, Seen};
use crate::core::plan::action::{Action, FileAction, MemberAction, ServiceAction};
use crate::core::planner::plan;
use crate::core::render::check::{Verdict, verdict};
use crate::core::render::{status, text};
use crate::laws::sample;

/// What is to be done, while one of the first two members has no connection to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Nothing,
    Setting,
    Upgrade,
    Restart(usize),
    Add,
    Remove(usize),
}

const WORK: [Work; 8] = [
    Work::Nothing,
    Work::Setting,
    Work::Upgrade,
    Work::Restart(0),
    Work::Restart(2),
    Work::Add,
    Work::Remove(0),
    Work::Remove(3),
];

fn answer<'a>(observed: &'a mut Observed, name: &HostName) -> &'a mut Answer {
    let host = observed.host_mut(name).expect("it was seen");
    host.member.known_mut().and_then(Option::as_mut).expect("it answers")
}

/// Every member tells of every other one; `from` lacks the way `to` another.
fn connect(observed: &mut Observed, gap: Option<(usize, usize)>) {
    let ids: Vec<(HostName, MemberId)> =
        observed.answers().map(|(name, answer)| (name.clone(), answer.member)).collect();
    for (name, _) in &ids {
        let others = ids.iter().filter(|(other, _)| other != name);
        let peer = |(other, id): &(HostName, MemberId)| {
            let is_missing = gap.is_some_and(|(from, to)| *name == sample::name(from) && *other == sample::name(to));
            let failures = u64::from(is_missing) * 214;
            (
                *id,
                Peer {
                    is_active: !is_missing,
                    is_reached: is_missing.then_some(false),
                    failures,
                    round_trip_us: Some(900),
                },
            )
        };
        answer(observed, name).peers = others.map(peer).collect();
    }
}

fn world(work: Work, gap: Option<(usize, usize)>) -> (Desired, Observed) {
    let members = if matches!(work, Work::Remove(_)) { 4 } else { 3 };
    let mut desired = sample::desired(members);
    let mut observed = sample::healthy(&desired);
    connect(&mut observed, gap);
    match work {
        Work::Nothing => {}
        Work::Setting => desired.etcd.heartbeat_interval_ms = Some(200),
        Work::Upgrade => sample::declare_next_patch(&mut desired, &mut observed),
        Work::Restart(index) => sample::ask_to_restart(&mut desired, &observed, sample::name(index)),
        Work::Add => {
            desired = sample::desired(4);
            observed.hosts.insert(sample::name(3), Seen::Known(sample::bare_host()));
        }
        Work::Remove(index) => sample::declare_without(&mut desired, &mut observed, sample::name(index)),
    }
    (desired, observed)
}

/// What takes away from the others, and from whom.
fn cost(action: &Action) -> Option<&HostName> {
    match action {
        Action::Service(ServiceAction::Restart { host } | ServiceAction::Stop { host })
        | Action::Member(MemberAction::Remove { host, .. } | MemberAction::Add { host, .. })
        | Action::File(FileAction::Write { host, file: File::Config, .. }) => Some(host),
        _ => None,
    }
}

fn complaint(work: Work, gap: (usize, usize)) -> Option<String> {
    let (desired, observed) = world(work, Some(gap));
    let plan = plan(&desired, &observed);
    let ends = [sample::name(gap.0), sample::name(gap.1)];
    // A newcomer's files are written before it is a member, and cost nobody anything.
    let is_newcomer = |host: &HostName| work == Work::Add && *host == sample::name(3);
    let adds = |action: &Action| matches!(action, Action::Member(MemberAction::Add { .. }));
    for action in plan.actions() {
        let Some(host) = cost(action).filter(|host| adds(action) || !is_newcomer(host)) else { continue };
        if !ends.contains(host) {
            return Some(format!("{action:?} while {} has no connection to {}", ends[0], ends[1]));
        }
        // From there on it is expected to be connected.
        return None;
    }
    let told =
        plan.findings.iter().any(|finding| finding.code == Code::PeerInactive && finding.hosts == [ends[0].clone()]);
    if !told {
        return Some("nobody is told".to_owned());
    }
    let mends = matches!(work, Work::Restart(index) | Work::Remove(index) if index == gap.0 || index == gap.1);
    if mends {
        return Some(format!("what may mend it is refused: {:#?}", plan.blocked));
    }
    let is_refused = plan.blocked.iter().any(|blocked| blocked.code == Code::PeerInactive);
    (work != Work::Nothing && !is_refused).then(|| "nobody is told why nothing is done".to_owned())
}

fn cases() -> impl Iterator<Item = (Work, (usize, usize))> {
    WORK.into_iter().flat_map(|work| [(0, 1), (1, 0)].map(|gap| (work, gap)))
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    cases().any(|(work, gap)| complaint(work, gap).is_some())
}

#[test]
fn while_two_are_not_connected_no_third_is_touched() {
    for (work, gap) in cases() {
        assert_eq!(complaint(work, gap), None, "{work:?} {gap:?}");
    }
    assert!(with_broken(Guard::PeersConnected, any_complaint), "no law misses it");
}

/// Where all are connected everything is as without what they tell of it.
#[test]
fn who_is_connected_holds_nothing_up() {
    for work in WORK {
        let (desired, connected) = world(work, None);
        let mut silent = connected.clone();
        let names: Vec<_> = silent.answers().map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| answer(&mut silent, name).peers.clear());
        let (with, without) = (plan(&desired, &connected), plan(&desired, &silent));
        assert_eq!((with.steps, with.blocked, with.findings), (without.steps, without.blocked, without.findings));
    }
}

/// etcd's word alone may be an old one: it is told, and keeps nothing from being done.
#[test]
fn what_only_the_metric_says_is_told_and_holds_nothing_up() {
    let (desired, mut observed) = world(Work::Restart(2), Some((0, 1)));
    let (_, connected) = world(Work::Restart(2), None);
    answer(&mut observed, &sample::name(0)).peers.values_mut().for_each(|peer| peer.is_reached = Some(true));
    let (told, without) = (plan(&desired, &observed), plan(&desired, &connected));
    assert_eq!((told.steps, told.blocked), (without.steps, without.blocked));
    let finding = told.findings.iter().find(|finding| finding.code == Code::PeerInactive).expect("it is told");
    assert!(finding.what.contains("may be left over from a restart"), "{finding:?}");
    assert!(finding.hint.as_ref().is_some_and(|hint| hint.contains("--restart=etcd-1")), "{finding:?}");
    let document = status::document(&desired, &observed);
    assert_eq!((verdict(&document), document.overview.not_connected), (Verdict::Well, None));
    // What was not tried is not worded as seen.
    answer(&mut observed, &sample::name(0)).peers.values_mut().for_each(|peer| peer.is_reached = None);
    let told = plan(&desired, &observed);
    let finding = told.findings.iter().find(|finding| finding.code == Code::PeerInactive).expect("it is told");
    assert!(!finding.what.contains("its host"), "{finding:?}");
}

/// Of five, one may go while two others are not connected: whoever leads, three are left who are. Not while two pairs are.
#[test]
fn those_who_are_left_are_counted() {
    let blocked = |gaps: &[(usize, usize)]| {
        let mut desired = sample::desired(5);
        let mut observed = sample::healthy(&desired);
        connect(&mut observed, None);
        for (from, to) in gaps {
            let id = answer(&mut observed, &sample::name(*to)).member;
            let peer = answer(&mut observed, &sample::name(*from)).peers.get_mut(&id).expect("it is a peer");
            (peer.is_active, peer.is_reached) = (false, Some(false));
        }
        sample::ask_to_restart(&mut desired, &observed, sample::name(4));
        plan(&desired, &observed).blocked.iter().any(|blocked| blocked.code == Code::PeerInactive)
    };
    assert!(!blocked(&[(0, 1)]));
    assert!(!blocked(&[(0, 1), (1, 0)]), "one pair, told by both");
    assert!(blocked(&[(0, 1), (2, 3)]));
}

/// Nothing to change is not all well.
#[test]
fn a_member_that_limps_is_told_wherever_the_cluster_is_called_healthy() {
    let (desired, observed) = world(Work::Nothing, Some((2, 0)));
    let told = text::plan(&plan(&desired, &observed), text::Style::default());
    assert!(told.contains("3 of 3 voters healthy, NOT ALL CONNECTED"), "{told}");
    assert!(told.contains("etcd-3 has no connection to etcd-1 for raft's messages"), "{told}");
    assert!(told.contains("214 messages could not be sent since it started"), "{told}");
    let document = status::document(&desired, &observed);
    assert_eq!(verdict(&document), Verdict::Degraded);
    let told = status::headline(&document, Default::default());
    assert!(told.contains("NOT ALL CONNECTED (etcd-3 has no connection to etcd-1)"), "{told}");
    assert!(overview::may_pass(&desired, &observed));
    let (desired, observed) = world(Work::Nothing, None);
    assert_eq!(verdict(&status::document(&desired, &observed)), Verdict::Well);
    assert!(!overview::may_pass(&desired, &observed));
}

/// One that does not answer is told as that; one that has left is not missed.
#[test]
fn only_members_that_are_healthy_are_missed() {
    let (desired, mut observed) = world(Work::Nothing, Some((2, 0)));
    answer(&mut observed, &sample::name(0)).reads = false;
    let codes = |observed: &Observed| plan(&desired, observed).findings.iter().map(|one| one.code).collect::<Vec<_>>();
    assert!(!codes(&observed).contains(&Code::PeerInactive));
    let (_, mut observed) = world(Work::Nothing, None);
    let gone = Peer { is_active: false, is_reached: Some(false), failures: 3, round_trip_us: None };
    answer(&mut observed, &sample::name(0)).peers.insert(MemberId(0xdead), gone);
    assert!(!codes(&observed).contains(&Code::PeerInactive));
}
