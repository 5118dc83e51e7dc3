//! Worlds in which what matters is who signs: pairs that are given, and the laws that hold there.

use std::collections::BTreeMap;

use super::{State, World, an_action_is_ready_and_then_done, quorum_is_kept, the_rest_follows_from_any_prefix};
use crate::core::capability::consumers;
use crate::core::code::Code;
use crate::core::desired::{AuthoritySource, Consumer, Desired, Downtime, Pair, Rotation};
use crate::core::guard::{Guard, with_broken};
use crate::core::names::{ConsumerName, Digest, HostName, RemotePath, UnixSeconds, UserName};
use crate::core::observed::{Access, Cause, ConsumerFiles, GivenPair, Held, Observed, Role, Seen, Usage};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, AuthorityAction, CertificateAction, NodeCaAction, ServiceAction};
use crate::core::plan::action::{SignedBy, Trust};
use crate::core::planner::{self, plan};
use crate::laws::sample;

/// What is wrong with one pair that is given.
const FAULTS: [fn(&mut GivenPair); 7] = [
    |_| {},
    |pair| pair.faults.push(format!("{} does not exist", pair.path)),
    |pair| change(pair, |certificate| certificate.signed_by = Some(Digest::of("another authority"))),
    |pair| change(pair, |certificate| certificate.not_after = sample::AT),
    |pair| change(pair, |certificate| certificate.not_before = sample::AT.plus_seconds(1)),
    |pair| change(pair, |certificate| certificate.names.clear()),
    |pair| change(pair, |certificate| certificate.usages = [Usage::ServerAuth].into()),
];

fn change(pair: &mut GivenPair, change: impl FnOnce(&mut crate::core::observed::Certificate)) {
    change(pair.certificate.as_mut().expect("a sample has a certificate"));
}

pub(super) fn external(nodes: usize) -> Desired {
    let mut desired = sample::desired(nodes);
    let pairs = || [Role::Server, Role::Peer].map(|role| (role, Pair::default())).into();
    desired.authority = AuthoritySource::External {
        certificate: "ca.crt".into(),
        client: Pair::default(),
        nodes: desired.nodes.keys().map(|name| (name.clone(), pairs())).collect(),
    };
    desired
}

/// Bare hosts, a cluster that serves, and one that is joined, each with every fault of one pair.
pub(super) fn worlds() -> impl Iterator<Item = World> {
    fn of(desired: Desired, observed: Observed, states: &[State]) -> World {
        World { desired, observed, states: states.to_vec() }
    }
    fn bare() -> World {
        let desired = external(3);
        let observed = sample::bare(&desired);
        of(desired, observed, &[State::Bare; 3])
    }
    fn healthy() -> World {
        let desired = external(3);
        let observed = sample::healthy(&desired);
        of(desired, observed, &[State::Healthy; 3])
    }
    fn joined() -> World {
        let (desired, before) = (external(3), external(2));
        let mut observed = sample::healthy(&before);
        let bare = sample::bare(&desired);
        let name = sample::name(2);
        observed.hosts.insert(name.clone(), bare.hosts[&name].clone());
        observed.workstation = bare.workstation;
        of(desired, observed, &[State::Healthy, State::Healthy, State::Bare])
    }
    let begin: [fn() -> World; 3] = [bare, healthy, joined];
    let given = begin.into_iter().flat_map(|begin| {
        (0..FAULTS.len()).map(move |fault| {
            let mut world = begin();
            let given = world.observed.workstation.given.as_mut().expect("an external authority gives pairs");
            let pairs = given.nodes.get_mut(&sample::name(2)).expect("it is declared");
            FAULTS[fault](pairs.get_mut(&Role::Peer).expect("both are given"));
            world
        })
    });
    given.chain(rotations()).chain(consumed()).chain(unnamed())
}

/// The same rotations while nobody has named that the old authority may go.
fn unnamed() -> impl Iterator<Item = World> {
    rotations().map(|mut world| {
        world.desired.request.drop_old_ca = false;
        world
    })
}

/// Rotations while clients' certificates are kept, too: one beside a member, and one elsewhere that keeps its own ca.crt.
fn consumed() -> impl Iterator<Item = World> {
    let consumer = |host: &str, authority: Option<&str>| Consumer {
        host: HostName::new(host),
        user: UserName::new("app"),
        certificate: RemotePath::new("/app/etcd.crt"),
        key: RemotePath::new("/app/etcd.key"),
        authority: authority.map(RemotePath::new),
        owner: "root".to_owned(),
        group: "root".to_owned(),
        reload: None,
    };
    let beside = consumer("etcd-1", Some("/app/ca.crt"));
    let elsewhere = consumer("app.example", None);
    rotations().flat_map(move |mut world| {
        for (name, consumer) in [("beside", &beside), ("elsewhere", &elsewhere)] {
            world.desired.consumers.insert(ConsumerName::new(name), consumer.clone());
            world.observed.consumers.insert(ConsumerName::new(name), Seen::Known(ConsumerFiles::default()));
        }
        let mut served = world.clone();
        for name in world.desired.consumers.keys() {
            consumers::effect(&world.desired, &mut served.observed, name, true, Trust::Current, SignedBy::Current);
        }
        let mut due = served.clone();
        for files in due.observed.consumers.values_mut().filter_map(Seen::known_mut) {
            files.reload_due = true;
            files.certificate.as_mut().expect("it was issued").not_after = sample::AT;
        }
        let mut unseen = served.clone();
        let gone = Cause { code: Code::HostUnreachable, summary: "gone".to_owned(), hint: None };
        unseen.observed.consumers.insert(ConsumerName::new("elsewhere"), Seen::Unknown(gone));
        [world, served, due, unseen]
    })
}

/// What a client and a member show each other, at any time of a rotation.
fn no_consumer_is_refused_and_none_refuses(world: &World, plan: &Plan) -> Option<String> {
    let mut observed = world.observed.clone();
    let mut loaded = BTreeMap::new();
    for (name, host) in observed.seen_hosts().filter(|(_, host)| host.process.is_some()) {
        loaded.insert(name.clone(), host.trusted.clone());
    }
    plan.steps.iter().find_map(|step| {
        for action in &step.actions {
            planner::effect(action, &world.desired, &mut observed);
            if let Action::Service(ServiceAction::Restart { host } | ServiceAction::Start { host }) = action {
                loaded.insert(host.clone(), observed.host(host)?.trusted.clone());
            }
        }
        let ours = |signer: &Digest| crate::core::cluster::trust::is_ours(&observed, signer);
        observed.consumers.iter().filter_map(|(name, files)| Some((name, files.known()?))).find_map(|(name, files)| {
            let leaves = observed.seen_hosts().filter_map(|(_, host)| host.certificates.get(&Role::Server)?.signed_by);
            let mut unknown = leaves.filter(|signer| ours(signer) && !files.trusted.contains(signer));
            if !files.trusted.is_empty() && unknown.next().is_some() {
                return Some(format!("{name} refuses a member after {}", step.title()));
            }
            let signer = files.certificate.as_ref()?.signed_by?;
            let refuses = |(_, trusted): &(&HostName, &Vec<Digest>)| {
                trusted.iter().any(ours) && ours(&signer) && !trusted.contains(&signer)
            };
            let (member, _) = loaded.iter().find(refuses)?;
            Some(format!("{member} refuses {name} after {}", step.title()))
        })
    })
}

/// A cluster that serves and whose authority is to be rotated, with one host in each state that matters then.
fn rotations() -> impl Iterator<Item = World> {
    let states = [
        State::Healthy,
        State::Stopped,
        State::Silent,
        State::Unreachable,
        State::RenewalDue,
        State::CertificateDeleted,
        State::ConfigNotLoaded,
        State::ForeignAuthority,
        State::Bare,
    ];
    let of = |(nodes, state): (usize, State)| {
        let mut states = vec![State::Healthy; nodes];
        states[nodes - 1] = state;
        let mut world = super::world(&states, true, Downtime::Never, false);
        world.desired.request.rotation = Some(Rotation { from: current(&world.observed) });
        world.desired.request.drop_old_ca = true;
        world
    };
    [3, 4].into_iter().flat_map(move |nodes| states.map(|state| (nodes, state))).map(of)
}

fn current(observed: &Observed) -> Option<Digest> {
    observed.workstation.authority.known().and_then(|authority| Some(authority.as_ref()?.fingerprint))
}

/// etcd reads its trusted authorities once: what a process has loaded is what ca.crt held at its start.
fn every_running_member_trusts_every_leaf(world: &World, plan: &Plan) -> Option<String> {
    let mut observed = world.observed.clone();
    let trusted = |observed: &Observed, name: &HostName| observed.host(name).map(|host| host.trusted.clone());
    let mut loaded: BTreeMap<HostName, Vec<Digest>> = observed
        .seen_hosts()
        .filter(|(_, host)| host.process.is_some())
        .map(|(name, host)| (name.clone(), host.trusted.clone()))
        .collect();
    let strangers: Vec<_> = loaded
        .keys()
        .filter(|name| trusted(&observed, name) == Some(vec![Digest::of("another authority")]))
        .cloned()
        .collect();
    strangers.iter().for_each(|name| drop(loaded.remove(name)));
    plan.steps.iter().find_map(|step| {
        for action in &step.actions {
            planner::effect(action, &world.desired, &mut observed);
            if let Action::Service(ServiceAction::Restart { host } | ServiceAction::Start { host }) = action {
                loaded.insert(host.clone(), trusted(&observed, host)?);
            }
        }
        let leaves =
            observed.seen_hosts().flat_map(|(name, host)| host.certificates.iter().map(move |leaf| (name, leaf)));
        let mut refused = leaves.filter_map(|(of, (role, leaf))| {
            let by =
                loaded.iter().find(|(_, trusted)| leaf.signed_by.is_some_and(|signer| !trusted.contains(&signer)))?;
            Some(format!("{} refuses {role}.crt of {of} after {}", by.0, step.title()))
        });
        refused.next()
    })
}

/// Whoever has a certificate of it is refused by the first member that does not trust it any more.
fn the_old_authority_goes_by_name(world: &World, plan: &Plan) -> Option<String> {
    let old = current(&world.observed)?;
    let mut observed = world.observed.clone();
    let trusting = |observed: &Observed| -> Vec<HostName> {
        let hosts = observed.seen_hosts().filter(|(_, host)| host.trusted.contains(&old));
        hosts.map(|(name, _)| name.clone()).collect()
    };
    let mut named = false;
    plan.steps.iter().find_map(|step| {
        let before = trusting(&observed);
        for action in &step.actions {
            planner::effect(action, &world.desired, &mut observed);
        }
        named |= step.needs.iter().any(|needs| needs.to_string() == "drop-old-ca:prod");
        let after = trusting(&observed);
        let refuses = before.iter().find(|host| !after.contains(host))?;
        let may = world.desired.request.drop_old_ca && named;
        (!may).then(|| format!("{refuses} refuses the clients of the old authority, unasked, after {}", step.title()))
    })
}

pub(super) fn complaints(world: &World) -> Vec<String> {
    let plan = plan(&world.desired, &world.observed);
    let laws = [
        quorum_is_kept,
        the_rest_follows_from_any_prefix,
        an_action_is_ready_and_then_done,
        nothing_is_touched_while_a_given_pair_is_wrong,
        every_running_member_trusts_every_leaf,
        no_consumer_is_refused_and_none_refuses,
        the_old_authority_goes_by_name,
    ];
    laws.iter().filter_map(|law| law(world, &plan)).collect()
}

fn nothing_is_touched_while_a_given_pair_is_wrong(world: &World, plan: &Plan) -> Option<String> {
    let given = world.observed.workstation.given.as_ref()?;
    let is_wrong = |pair: &GivenPair| {
        let sound = |certificate: &crate::core::observed::Certificate| {
            certificate.signed_by
                == world.observed.workstation.authority.known().and_then(|of| Some(of.as_ref()?.fingerprint))
                && (certificate.not_before..certificate.not_after).contains(&world.observed.at)
                && certificate.names.iter().any(|name| name.starts_with("10."))
                && certificate.usages.len() == 2
        };
        !pair.faults.is_empty() || !pair.certificate.as_ref().is_some_and(sound)
    };
    let wrong = given.nodes.values().flat_map(|pairs| pairs.values()).any(is_wrong);
    (wrong && !plan.steps.is_empty()).then(|| "something is done while a given pair is wrong".to_owned())
}

#[test]
fn every_plan_with_given_certificates_keeps_the_laws() {
    let mut acted = 0;
    for world in worlds().filter(|world| world.observed.workstation.given.is_some()) {
        assert_eq!(complaints(&world), Vec::<String>::new(), "{:?}", world.states);
        let plan = plan(&world.desired, &world.observed);
        acted += plan
            .actions()
            .filter(|action| matches!(action, Action::Certificate(CertificateAction::Install { .. })))
            .count();
        let issued = plan.actions().any(|action| {
            matches!(
                action,
                Action::Certificate(CertificateAction::Issue { .. }) | Action::Authority(AuthorityAction::Create)
            )
        });
        assert!(!issued, "nobody here can sign");
    }
    assert_eq!(acted, 6 + 2, "three bare hosts, and one that joins");
}

/// The authority on the nodes: bare ones, a cluster, one that is joined; and a node that lost the key, or shows it to all.
fn on_nodes() -> Vec<World> {
    let node = |nodes: usize| {
        let mut desired = sample::desired(nodes);
        let certificate = crate::core::content::layout::common_path(&desired, crate::core::observed::File::Trust);
        let key = certificate.parent().join("ca.key");
        desired.authority = AuthoritySource::Node { certificate, key };
        desired
    };
    let healthy = |held: Option<Held>| {
        let desired = node(3);
        let mut observed = sample::healthy(&desired);
        held.inspect(|held| drop(observed.workstation.ca_keys.insert(sample::name(2), held.clone())));
        World { desired, observed, states: vec![State::Healthy; 3] }
    };
    let bare = World { observed: sample::bare(&node(3)), desired: node(3), states: vec![State::Bare; 3] };
    let mut joined = World { observed: sample::healthy(&node(2)), desired: node(3), states: vec![State::Healthy; 2] };
    joined.states.push(State::Bare);
    joined.observed.hosts.insert(sample::name(2), bare.observed.hosts[&sample::name(2)].clone());
    joined.observed.workstation.ca_keys.insert(sample::name(2), Held::Nothing);
    joined.observed.workstation.archives = bare.observed.workstation.archives.clone();
    let shown = Held::Key(Access::new("644", "root", "root"));
    vec![bare, healthy(None), healthy(Some(Held::Nothing)), healthy(Some(shown)), joined]
}

#[test]
fn every_plan_with_the_authority_on_the_nodes_keeps_the_laws() {
    let count = |plan: &Plan, of: fn(&Action) -> bool| plan.actions().filter(|action| of(action)).count();
    let mut counts = Vec::new();
    for world in on_nodes() {
        assert_eq!(complaints(&world), Vec::<String>::new(), "{:?}", world.states);
        let plan = plan(&world.desired, &world.observed);
        assert!(plan.blocked.is_empty(), "{:#?}", plan.blocked);
        counts.push((
            count(&plan, |action| matches!(action, Action::NodeCa(NodeCaAction::CreateAuthority { .. }))),
            count(&plan, |action| matches!(action, Action::NodeCa(NodeCaAction::InstallKey { .. }))),
            count(&plan, Action::touches_service) > 0,
        ));
    }
    assert_eq!(counts, [(1, 2, true), (0, 0, false), (0, 1, false), (0, 1, false), (0, 1, true)]);
}

/// A second authority is never made: not beside a cluster, and not beside a key that somebody left.
#[test]
fn no_authority_is_made_on_a_node_beside_another() {
    let [bare, healthy, ..] = &on_nodes()[..] else { panic!("there are some") };
    let mut lost = World { desired: healthy.desired.clone(), observed: healthy.observed.clone(), states: Vec::new() };
    lost.observed.workstation.authority = Seen::Known(None);
    let mut stray = World { desired: bare.desired.clone(), observed: bare.observed.clone(), states: Vec::new() };
    let key = Held::Key(Access::new("600", "root", "root"));
    stray.observed.workstation.ca_keys.insert(sample::name(1), key.clone());
    for world in [&lost, &stray] {
        let plan = plan(&world.desired, &world.observed);
        assert!(!plan.actions().any(|action| matches!(action, Action::NodeCa(NodeCaAction::CreateAuthority { .. }))));
        assert!(plan.blocked.iter().any(|blocked| blocked.code == Code::AuthorityMissing), "{:#?}", plan.blocked);
    }
    // On the first node it is what a creation has left that was cut off, and that one is made anew.
    let mut cut = World { desired: bare.desired.clone(), observed: bare.observed.clone(), states: Vec::new() };
    cut.observed.workstation.ca_keys.insert(sample::name(0), key);
    let plan = plan(&cut.desired, &cut.observed);
    assert!(plan.actions().any(|action| matches!(action, Action::NodeCa(NodeCaAction::CreateAuthority { .. }))));
}

/// One look is enough to learn all of it.
#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let desired = external(3);
    let mut observed = sample::bare(&desired);
    let given = observed.workstation.given.as_mut().expect("an external authority gives pairs");
    for (fault, pair) in FAULTS[1..].iter().zip(given.nodes.values_mut().flat_map(|pairs| pairs.values_mut())) {
        fault(pair);
    }
    change(&mut given.client, |certificate| certificate.not_after = UnixSeconds(0));
    let plan = plan(&desired, &observed);
    assert_eq!(plan.steps.len(), 0);
    assert_eq!(plan.blocked.len(), 7, "{:#?}", plan.blocked);
}

#[test]
fn every_rotation_keeps_the_laws() {
    for world in rotations() {
        assert_eq!(complaints(&world), Vec::<String>::new(), "{:?}", world.states);
    }
    for world in consumed() {
        assert_eq!(complaints(&world), Vec::<String>::new(), "{:?} {:#?}", world.states, world.observed.consumers);
    }
}

/// Once everything is new, nobody has anything of the old authority any more; who cannot be seen keeps the old one alive.
#[test]
fn consumers_are_rotated_with_the_rest() {
    let worlds: Vec<_> = consumed().take(4).collect();
    for (world, ends) in worlds.iter().zip([true, true, true, false]) {
        let plan = plan(&world.desired, &world.observed);
        let mut observed = world.observed.clone();
        plan.actions().for_each(|action| planner::effect(action, &world.desired, &mut observed));
        assert_eq!(
            plan.actions().any(|action| *action == Action::Authority(AuthorityAction::Adopt)),
            ends,
            "{:#?}",
            world.observed.consumers
        );
        assert_eq!(plan.blocked.is_empty(), ends);
        let new = current(&observed);
        for files in observed.consumers.values().filter_map(Seen::known).filter(|_| ends) {
            let signer = files.certificate.as_ref().and_then(|certificate| certificate.signed_by);
            assert_eq!(signer, new);
            assert!(files.trusted.is_empty() || Some(files.trusted[0]) == new && files.trusted.len() == 1);
        }
        assert!(!ends || super::plan(&world.desired, &observed).is_empty());
    }
}

/// All the way, from the live state alone, whatever the plan was cut off after.
#[test]
fn a_rotation_ends_with_the_new_authority_alone() {
    let world = rotations().next().expect("there is a first");
    let plan = plan(&world.desired, &world.observed);
    let titles: Vec<_> = plan.steps.iter().map(|step| step.title()).collect();
    assert_eq!(titles.first().map(String::as_str), Some("create the new CA"), "{titles:#?}");
    assert!(titles.last().is_some_and(|last| last.starts_with("verify that the old CA is rejected")), "{titles:#?}");
    assert_eq!(titles.iter().filter(|title| *title == "restart etcd").count(), 6, "{titles:#?}");
    assert_eq!(titles.iter().filter(|title| title.contains("with a new key, signed by the new CA")).count(), 9);
    let mut observed = world.observed.clone();
    plan.actions().for_each(|action| planner::effect(action, &world.desired, &mut observed));
    let new = current(&observed).expect("there is an authority");
    assert_ne!(Some(new), current(&world.observed));
    assert!(observed.seen_hosts().all(|(_, host)| host.trusted == [new]));
    // What was asked for is done, and is not done again.
    assert!(super::plan(&world.desired, &observed).is_empty());
    // One that has begun goes on without being asked.
    let mut begun = world.observed.clone();
    plan.steps[..4]
        .iter()
        .flat_map(|step| &step.actions)
        .for_each(|action| planner::effect(action, &world.desired, &mut begun));
    let mut desired = world.desired.clone();
    desired.request.rotation = None;
    assert_eq!(super::plan(&desired, &begun).steps.len(), plan.steps.len() - 4);
}

/// Everyone trusts both, and has a certificate of the new one: so it may stay for as long as the clients take.
#[test]
fn a_rotation_that_nobody_has_named_the_end_of_waits_where_all_clients_are_safe() {
    let World { desired, mut observed, .. } = unnamed().next().expect("there is a first");
    let old = current(&observed).expect("there is an authority");
    let begun = plan(&desired, &observed);
    let codes = |plan: &Plan| plan.blocked.iter().map(|blocked| blocked.code).collect::<Vec<_>>();
    assert_eq!((begun.steps.len(), codes(&begun)), (16, vec![Code::OldCaClients]));
    begun.actions().for_each(|action| planner::effect(action, &desired, &mut observed));
    let next = observed.workstation.next.as_ref().expect("it was made").fingerprint;
    assert!(observed.seen_hosts().all(|(_, host)| host.trusted == [old, next]));
    let leaves = observed.seen_hosts().flat_map(|(_, host)| host.certificates.values());
    assert!(leaves.into_iter().all(|leaf| leaf.signed_by == Some(next)));
    let waiting = plan(&desired, &observed);
    assert_eq!((waiting.steps.len(), codes(&waiting)), (0, vec![Code::OldCaClients]));
    // One that joins meanwhile trusts both as well, and begins nothing.
    let mut joined = World { desired: desired.clone(), observed: observed.clone(), states: Vec::new() };
    let four = sample::desired(4);
    joined.desired.nodes.clone_from(&four.nodes);
    joined.observed.hosts.insert(sample::name(3), Seen::Known(sample::bare_host()));
    let joining = plan(&joined.desired, &joined.observed);
    joining.actions().for_each(|action| planner::effect(action, &joined.desired, &mut joined.observed));
    assert_eq!(joined.observed.host(&sample::name(3)).expect("it was seen").trusted, [old, next]);
    assert_eq!(codes(&plan(&joined.desired, &joined.observed)), [Code::OldCaClients]);
    // Named, it goes on, and once begun it needs no name any more.
    let mut named = desired.clone();
    named.request.drop_old_ca = true;
    let rest = plan(&named, &observed);
    assert_eq!((rest.steps.len(), codes(&rest)), (8, Vec::new()));
    assert_eq!(rest.needs().len(), 1);
    // A snapshot, and the first member.
    let first = rest.steps[..2].iter().flat_map(|step| &step.actions);
    first.for_each(|action| planner::effect(action, &named, &mut observed));
    let left = plan(&desired, &observed);
    assert_eq!((left.steps.len(), left.needs().len(), codes(&left)), (6, 0, Vec::new()));
}

#[test]
fn the_guards_of_certificates_are_missed_here() {
    for guard in [
        Guard::GivenIsWhole,
        Guard::TrustedBeforeIssued,
        Guard::IssuedBeforeDropped,
        Guard::ConsumersTrustFirst,
        Guard::ConsumersIssuedFirst,
        Guard::OldDroppedByName,
    ] {
        let complains = |world: World| {
            let complains = || !complaints(&world).is_empty();
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(complains)).unwrap_or(true)
        };
        assert!(with_broken(guard, || worlds().any(complains)), "{guard:?}");
    }
}

/// All pairs have expired together: nobody answers, so there is nobody to be careful with.
#[test]
fn pairs_that_have_all_expired_are_replaced_together() {
    let desired = sample::desired(3);
    let mut observed = sample::healthy(&desired);
    for host in observed.hosts.values_mut().filter_map(Seen::known_mut) {
        for role in [Role::Server, Role::Peer] {
            host.certificates.get_mut(&role).expect("it has one").not_after = sample::AT;
        }
        let silent = Cause { code: Code::MemberSilent, summary: "expired".to_owned(), hint: None };
        host.member = Seen::Unknown(silent);
    }
    let hosts_of = |observed: &Observed| -> Vec<usize> {
        let plan = plan(&desired, observed);
        plan.steps.iter().map(|step| step.hosts().len()).collect()
    };
    assert_eq!(hosts_of(&observed)[0], 3);
    // One that has not expired is taken care of: the others come first, and it waits until they answer.
    let name = sample::name(0);
    let due = sample::AT.plus_seconds(3600);
    observed.host_mut(&name).expect("it was seen").certificates.get_mut(&Role::Server).expect("it has one").not_after =
        due;
    assert_eq!(hosts_of(&observed)[0], 2);
    // While somebody works it is one after the other, also where the pairs have expired.
    let healthy = sample::healthy(&desired);
    let mut one_works = observed.clone();
    one_works.host_mut(&name).expect("it was seen").member = healthy.host(&name).expect("it was seen").member.clone();
    assert_eq!(hosts_of(&one_works)[0], 1);
}

/// Broken, pairs of members that serve are replaced together.
#[test]
fn a_broken_guard_of_pairs_breaks_a_law() {
    let due = super::world(&[State::RenewalDue; 3], true, Downtime::Never, false);
    assert_eq!(super::complaints(&due), Vec::<String>::new());
    let broken = with_broken(Guard::OnePairAtATime, || super::complaints(&due));
    assert!(broken.iter().any(|complaint| complaint.contains("in one step")), "{broken:?}");
}
