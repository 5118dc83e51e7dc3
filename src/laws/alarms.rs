//! The laws of alarms: what is known to be wrong with one member's data moves nothing else, and says nothing of a quorum.

use std::collections::BTreeSet;

use crate::core::cluster::quorum::Membership;
use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, with_broken};
use crate::core::names::{HostName, MemberId};
use crate::core::observed::{Alarm, Observed};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, MemberAction, ServiceAction};
use crate::core::planner::{self, plan};
use crate::laws::sample;

/// Whom CORRUPT is raised for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Member(usize),
    SomebodyGone,
    Nobody,
}

/// What else is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Nothing,
    Setting,
    Newcomer,
    Undeclared,
}

const MEMBERS: usize = 3;

fn cases() -> impl Iterator<Item = (For, Work)> {
    let raised = [For::Member(0), For::Member(1), For::Member(2), For::SomebodyGone, For::Nobody];
    let work = [Work::Nothing, Work::Setting, Work::Newcomer, Work::Undeclared];
    raised.into_iter().flat_map(move |raised| work.map(|work| (raised, work)))
}

fn world(raised: For, work: Work) -> (Desired, Observed) {
    let before = sample::desired(if work == Work::Undeclared { MEMBERS + 1 } else { MEMBERS });
    let mut desired = sample::desired(if work == Work::Newcomer { MEMBERS + 1 } else { MEMBERS });
    if work == Work::Setting {
        desired.etcd.quota_backend_bytes = Some(8 << 30);
    }
    let mut observed = sample::healthy(&before);
    let id = |observed: &Observed, index: usize| {
        observed.host(&sample::name(index)).and_then(|host| host.answer()).expect("it answers").member
    };
    let member = match raised {
        For::Member(index) => Some(id(&observed, index)),
        For::SomebodyGone => Some(MemberId(77)),
        For::Nobody => None,
    };
    let alarms = BTreeSet::from([Alarm { kind: "CORRUPT".to_owned(), member }]);
    for host in observed.hosts.values_mut().filter_map(|host| host.known_mut()) {
        let answer = host.member.known_mut().and_then(Option::as_mut).expect("it answers");
        answer.alarms.clone_from(&alarms);
    }
    if work == Work::Undeclared {
        let name = sample::name(MEMBERS);
        let host = observed.hosts.remove(&name).expect("it is there");
        let (address, peer_url) = (before.nodes[&name].address.clone(), before.peer_url(&name));
        let former = crate::core::observed::Former { name: name.clone(), address, peer_url, host };
        observed.former.insert(name, former);
    }
    if work == Work::Newcomer {
        let bare = sample::bare(&desired).hosts.remove(&sample::name(MEMBERS)).expect("it is declared");
        observed.hosts.insert(sample::name(MEMBERS), bare);
    }
    (desired, observed)
}

/// The first action that restarts, adds or takes out a member.
fn change(plan: &Plan) -> Option<&Action> {
    plan.actions().find(|action| {
        matches!(
            action,
            Action::Service(ServiceAction::Restart { .. })
                | Action::Member(MemberAction::Add { .. } | MemberAction::Remove { .. })
        )
    })
}

fn complaint(raised: For, work: Work) -> Option<String> {
    let (desired, observed) = world(raised, work);
    let plan = plan(&desired, &observed);
    if plan.health.as_ref().is_none_or(|health| health.healthy != health.total) {
        return Some("an alarm is counted as a voter that failed".to_owned());
    }
    if !plan.blocked.iter().any(|blocked| blocked.code == Code::Alarm) {
        return Some("nobody is told of the alarm".to_owned());
    }
    let wrong = matches!(raised, For::Member(_));
    match change(&plan) {
        // One restart is the odd member's own.
        Some(Action::Service(ServiceAction::Restart { host }))
            if raised == For::Member(0) && *host == sample::name(0) =>
        {
            None
        }
        Some(Action::Service(ServiceAction::Restart { host })) if wrong && !is_of(raised, host) => {
            Some(format!("{host} restarts beside a member whose data differs"))
        }
        Some(action @ Action::Member(_)) if wrong => Some(format!("{action:?} beside a member whose data differs")),
        None if !wrong && work != Work::Nothing => Some("what concerns no member holds everything up".to_owned()),
        Some(_) | None => None,
    }
}

fn is_of(raised: For, host: &HostName) -> bool {
    matches!(raised, For::Member(index) if *host == sample::name(index))
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    cases().any(|(raised, work)| complaint(raised, work).is_some())
}

#[test]
fn a_member_whose_data_differs_moves_nothing_else() {
    for (raised, work) in cases() {
        assert_eq!(complaint(raised, work), None, "{raised:?} {work:?}");
    }
    assert!(with_broken(Guard::SoundBeforeChange, any_complaint), "no law misses it");
}

/// Whoever is named: the alarm is raised for those that differ from the leader, which may be the odd one itself.
#[test]
fn the_member_that_the_operator_names_is_replaced_to_the_end() {
    for members in [2, 3, 5] {
        for (named, flagged) in (0..members).flat_map(|named| (0..members).map(move |flagged| (named, flagged))) {
            let mut desired = sample::desired(members);
            let mut observed = sample::healthy(&desired);
            let id = |index: usize| {
                observed.host(&sample::name(index)).and_then(|host| host.answer()).map(|answer| answer.member)
            };
            let alarms = BTreeSet::from([Alarm { kind: "CORRUPT".to_owned(), member: id(flagged) }]);
            desired.request.lost.insert(sample::name(named), id(named));
            for host in observed.hosts.values_mut().filter_map(|host| host.known_mut()) {
                host.member.known_mut().and_then(Option::as_mut).expect("it answers").alarms.clone_from(&alarms);
            }
            let plan = plan(&desired, &observed);
            let at = |is: fn(&Action) -> bool| plan.actions().position(is);
            let removed = at(|action| matches!(action, Action::Member(MemberAction::Remove { .. })));
            let added = at(|action| matches!(action, Action::Member(MemberAction::Promote { .. })));
            assert!(removed.is_some(), "{named} of {members}: {plan:#?}");
            // Where another one is flagged, its data is compared and the alarm disarmed before a new member copies it.
            assert_eq!(added > removed, named == flagged, "{named} of {members}, raised for {flagged}: {plan:#?}");
            let mut now = observed.clone();
            for action in plan.actions() {
                planner::effect(action, &desired, &mut now);
                let members = Membership::of(&desired, &now).expect("a quorum serves");
                assert!(members.margin() >= 0, "{action:?}");
            }
        }
    }
}
