//! The laws of members that move to another machine, or are replaced where they are: nothing is removed on a guess.

use std::collections::BTreeSet;

use crate::core::cluster::quorum::{Health, Membership};
use crate::core::cluster::staged;
use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, with_broken};
use crate::core::names::{HostName, MemberId, PeerUrl};
use crate::core::observed::{Cause, Former, Host, Observed, Seen, ServiceState};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, MemberAction, Removal};
use crate::core::plan::step::Step;
use crate::core::planner::{self, plan};
use crate::laws::sample;

/// The machine that the member leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Old {
    Healthy,
    Stopped,
    Unreachable,
}

/// What there is at the address that is declared for the second node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum New {
    Unseen,
    Bare,
    /// The third node's machine, which is declared no more.
    Undeclared,
    /// The same, under an address of its own.
    SecondAddress,
    /// The third node's machine, and the third node's is its own.
    Swapped,
}

/// What else is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    Wiped,
    Joins,
    Leaves,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    old: Old,
    new: New,
    beside: Beside,
}

const NODES: usize = 5;
const MOVES: usize = 1;
const OTHER: usize = 2;
const BESIDE: usize = 3;

fn cases() -> impl Iterator<Item = Case> {
    let new = [New::Unseen, New::Bare, New::Undeclared, New::SecondAddress, New::Swapped];
    let cases = [Old::Healthy, Old::Stopped, Old::Unreachable].into_iter().flat_map(move |old| {
        new.into_iter().flat_map(move |new| {
            [Beside::Nothing, Beside::Wiped, Beside::Joins, Beside::Leaves].map(|beside| Case { old, new, beside })
        })
    });
    // A machine that another node has is one that answers.
    cases.filter(|case| case.new != New::Swapped || case.old == Old::Healthy)
}

fn unseen() -> Seen<Host> {
    Seen::Unknown(Cause { code: Code::HostUnreachable, summary: "no route".to_owned(), hint: None })
}

fn world(case: Case) -> (Desired, Observed) {
    let before = sample::desired(NODES);
    let mut observed = sample::healthy(&before);
    let mut desired = before.clone();
    let former = |name: &HostName, host: Seen<Host>| {
        let address = before.nodes[name].address.clone();
        Former { name: name.clone(), address, peer_url: before.peer_url(name), host }
    };
    let (moves, other, beside) = (sample::name(MOVES), sample::name(OTHER), sample::name(BESIDE));
    let mut machine = |name: &HostName| observed.hosts.remove(name).expect("it is there");
    let (mut left, others) = (machine(&moves), machine(&other));
    match (case.old, left.known_mut()) {
        (Old::Stopped, Some(host)) => {
            host.process = None;
            host.service.state = ServiceState::Inactive;
            host.member = Seen::Known(None);
        }
        (Old::Unreachable, _) => left = unseen(),
        (Old::Healthy, _) | (_, None) => {}
    }
    let address = |desired: &mut Desired, name: &HostName, address: &str| {
        desired.nodes.get_mut(name).expect("it is declared").address = address.to_owned();
    };
    if case.new == New::Swapped {
        address(&mut desired, &moves, &before.nodes[&other].address);
        address(&mut desired, &other, &before.nodes[&moves].address);
        observed.hosts.extend([(moves, others), (other, left)]);
    } else {
        let key = HostName::new(format!("{moves}@{}", before.nodes[&moves].address));
        observed.former.insert(key, former(&moves, left));
        let (declared, there, stays) = match case.new {
            New::Unseen => ("10.0.1.12", unseen(), Some(others)),
            New::Bare | New::Swapped => ("10.0.1.12", Seen::Known(sample::bare_host()), Some(others)),
            New::SecondAddress => ("10.0.1.12", others.clone(), Some(others)),
            New::Undeclared => ("10.0.0.13", others, None),
        };
        address(&mut desired, &moves, declared);
        observed.hosts.insert(moves, there);
        match stays {
            Some(others) => drop(observed.hosts.insert(other, others)),
            None => drop(desired.nodes.remove(&other)),
        }
    }
    match case.beside {
        Beside::Nothing => {}
        Beside::Wiped => drop(observed.hosts.insert(beside, Seen::Known(sample::bare_host()))),
        Beside::Joins => {
            desired.nodes.insert(sample::name(NODES), sample::desired(NODES + 1).nodes[&sample::name(NODES)].clone());
            observed.hosts.insert(sample::name(NODES), Seen::Known(sample::bare_host()));
        }
        Beside::Leaves => {
            desired.nodes.remove(&beside);
            let host = observed.hosts.remove(&beside).expect("it is there");
            observed.former.insert(beside.clone(), former(&beside, host));
        }
    }
    (desired, observed)
}

/// Why a step takes out a member that it may not, in the world before it; of any world.
pub(super) fn removes_on_a_guess(desired: &Desired, before: &Observed, step: &Step) -> Option<String> {
    let membership = Membership::of(desired, before)?;
    step.actions.iter().find_map(|action| {
        let Action::Member(MemberAction::Remove { member: id, removal, .. }) = action else { return None };
        let member = membership.by_id(*id)?;
        let title = member.title();
        let lacks = |host: &Host| {
            staged::missing(desired, host).map(|_| format!("{title} goes before all that it starts with is there"))
        };
        if member.declared {
            return before.host(&member.host).filter(|host| host.process.is_none()).and_then(lacks);
        }
        let name = member.entry.name.as_ref().filter(|name| desired.nodes.contains_key(*name))?;
        if *removal == Removal::Undeclared {
            return Some(format!("{title} is declared, and goes as one that is not"));
        }
        let Some(host) = before.host(name) else { return Some(format!("{title} goes, and nobody was seen to come")) };
        let votes = membership.member_of(name).is_some_and(|new| !new.entry.learner && new.health == Health::Healthy);
        match (member.is_well(), votes) {
            _ if member.entry.learner => None,
            (_, true) => None,
            (true, false) => Some(format!("{title} is healthy, and goes before its successor votes")),
            (false, false) => lacks(host),
        }
    })
}

fn complaint(case: Case) -> Option<String> {
    let (desired, observed) = world(case);
    let plan = plan(&desired, &observed);
    let mut world = observed.clone();
    for step in &plan.steps {
        if let Some(why) = removes_on_a_guess(&desired, &world, step) {
            return Some(why);
        }
        for action in &step.actions {
            planner::effect(action, &desired, &mut world);
        }
    }
    match case.new {
        New::Unseen => unseen_is_told(&plan),
        New::Bare => is_reached(case, &desired, &world, &plan),
        New::Undeclared | New::SecondAddress | New::Swapped => is_left_alone(case, &plan),
    }
}

fn unseen_is_told(plan: &Plan) -> Option<String> {
    let moves =
        "etcd-2 moves from 10.0.0.12 to 10.0.1.12, which was not seen: no route; nothing is removed until it is";
    let told = plan.blocked.iter().any(|blocked| blocked.code == Code::HostUnreachable && blocked.what == moves);
    (!told).then(|| format!("it is not told: {:#?}", plan.blocked))
}

/// Neither the machine, nor the member that runs there, nor the one that has the node's name.
fn is_left_alone(case: Case, plan: &Plan) -> Option<String> {
    let ids = [MemberId(MOVES as u64 + 1), MemberId(OTHER as u64 + 1)];
    let touches = |action: &Action| match action {
        Action::Member(MemberAction::Remove { member, .. }) => ids.contains(member),
        // With a second address, the machine is the other node's under its own name.
        other => {
            let hosts = [Some(sample::name(MOVES)), (case.new == New::Swapped).then(|| sample::name(OTHER))];
            hosts.iter().flatten().any(|host| other.host() == Some(host))
        }
    };
    if let Some(action) = plan.actions().find(|action| touches(action)) {
        return Some(format!("{action:?}"));
    }
    let told = plan.blocked.iter().filter(|blocked| blocked.code == Code::AddressTaken).count();
    let expected = if case.new == New::Swapped { 2 } else { 1 };
    (told != expected).then(|| format!("it is not told {expected} times: {:#?}", plan.blocked))
}

/// With a quorum, all of it; and a member that is well costs no failure that is tolerated.
fn is_reached(case: Case, desired: &Desired, world: &Observed, plan: &Plan) -> Option<String> {
    if !plan.blocked.is_empty() {
        return Some(format!("blocked: {:#?}", plan.blocked));
    }
    let membership = Membership::of(desired, world)?;
    let urls: BTreeSet<PeerUrl> = membership.voters().flat_map(|member| member.entry.peer_urls.clone()).collect();
    let declared: BTreeSet<PeerUrl> = desired.nodes.keys().map(|name| desired.peer_url(name)).collect();
    if urls != declared {
        return Some(format!("it ends with {urls:?}"));
    }
    let lowest = plan.steps.iter().filter_map(|step| step.margin.during.min(step.margin.after)).min();
    let keeps = case.old == Old::Healthy && case.beside == Beside::Nothing;
    (keeps && lowest < Some(2)).then(|| format!("it tolerates {lowest:?} failures meanwhile"))
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    cases().any(|case| complaint(case).is_some())
}

#[test]
fn nothing_is_removed_on_a_guess() {
    for case in cases() {
        assert_eq!(complaint(case), None, "{case:?}");
    }
}

#[test]
fn a_broken_guard_of_moves_breaks_the_law() {
    let of = |new: &'static [New]| cases().filter(move |case| new.contains(&case.new));
    let breaks = |guard: Guard, new| with_broken(guard, || of(new).any(|case| complaint(case).is_some()));
    assert!(breaks(Guard::SuccessorIsReady, &[New::Unseen]));
    assert!(breaks(Guard::SuccessorIsReady, &[New::Bare]));
    for new in [&[New::Undeclared], &[New::SecondAddress], &[New::Swapped]] {
        assert!(breaks(Guard::AddressIsFree, new), "{new:?}");
    }
}

/// Somebody has given a member the name of another one: no address is wrong, and the way says what is.
#[test]
fn a_name_that_two_members_have_is_told_as_such() {
    let desired = sample::desired(3);
    let mut observed = sample::healthy(&desired);
    let third = observed.host(&sample::name(2)).and_then(Host::answer).expect("it answers").member;
    for index in 0..3 {
        let host = observed.host_mut(&sample::name(index)).expect("it was seen");
        let answer = host.member.known_mut().and_then(Option::as_mut).expect("it answers");
        let list = answer.members.known_mut().expect("it has one");
        let entry = list.iter_mut().find(|entry| entry.id == third).expect("it is listed");
        entry.name = Some(sample::name(1));
    }
    let plan = plan(&desired, &observed);
    assert!(plan.steps.is_empty(), "{:?}", plan.steps);
    let hints: Vec<_> = plan.blocked.iter().filter_map(|blocked| blocked.hint.as_deref()).collect();
    let way = "two members call themselves etcd-2: put `name: etcd-3` back in /etc/etcd/etcd.yaml on etcd-3";
    assert!(!hints.is_empty() && hints.iter().all(|hint| hint.starts_with(way)), "{hints:?}");
}
