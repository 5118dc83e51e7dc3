//! The laws of members that hold different data: apply finds it before it restarts or takes out the first, and plans know whose
//! it is.

use std::collections::BTreeMap;

use crate::core::cluster::quorum::Membership;
use crate::core::cluster::sameness::{Sameness, difference, sameness};
use crate::core::cluster::snapshot::sources;
use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, with_broken};
use crate::core::names::MemberId;
use crate::core::observed::{Comparison, MemberHash, Observed};
use crate::core::plan::action::{Action, MemberAction, ServiceAction};
use crate::core::planner::{self, plan};
use crate::laws::sample;

/// What each member's data hashes to, of the first to the last.
fn comparison(observed: &Observed, hashes: &[u32]) -> Comparison {
    let of = |(index, hash): (usize, &u32)| {
        let host = sample::name(index);
        let id = observed.host(&host).and_then(|host| host.answer()).expect("it answers").member;
        (id, MemberHash { host, hash: *hash })
    };
    let hashes = hashes.iter().enumerate().map(of).collect();
    Comparison { revision: 812, hashes, missed: BTreeMap::new() }
}

/// A setting is to be changed, for which every member restarts.
fn world(hashes: &[u32]) -> (Desired, Observed) {
    let mut desired = sample::desired(hashes.len());
    let mut observed = sample::healthy(&desired);
    observed.comparison = Some(comparison(&observed, hashes));
    desired.etcd.quota_backend_bytes = Some(8 << 30);
    (desired, observed)
}

fn restarted_or_removed(desired: &Desired, observed: &Observed) -> Vec<usize> {
    let plan = plan(desired, observed);
    let index = |action: &Action| match action {
        Action::Service(ServiceAction::Restart { host }) | Action::Member(MemberAction::Remove { host, .. }) => {
            (0..desired.nodes.len()).find(|index| sample::name(*index) == *host)
        }
        _ => None,
    };
    plan.actions().filter_map(index).collect()
}

/// Which members may be touched while their data is what it is.
const CASES: [(&[u32], &[usize]); 5] = [
    (&[7, 7, 7], &[0, 1, 2]),
    (&[7, 7, 8], &[2]),
    (&[8, 7, 7], &[0]),
    (&[7, 8, 7, 7, 9], &[1, 4]),
    (&[7, 7, 7, 7, 7], &[0, 1, 2, 3, 4]),
];

fn complaint(hashes: &[u32], may: &[usize]) -> Option<String> {
    let (desired, observed) = world(hashes);
    let touched = restarted_or_removed(&desired, &observed);
    let wrong = touched.iter().find(|index| !may.contains(index));
    let differs = may.len() < hashes.len();
    if differs != difference(&observed).is_some() {
        return Some(format!("{hashes:?}: a difference is told wrongly"));
    }
    wrong.map(|index| format!("{hashes:?}: {} is touched beside members whose data differs", sample::name(*index)))
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    CASES.iter().any(|(hashes, may)| complaint(hashes, may).is_some())
}

#[test]
fn no_member_is_touched_beside_one_whose_data_differs() {
    for (hashes, may) in CASES {
        assert_eq!(complaint(hashes, may), None);
    }
    assert!(with_broken(Guard::SameDataBeforeRisk, any_complaint), "no law misses it");
}

#[test]
fn the_minority_is_named_with_the_hashes_and_the_way_out() {
    let (_, observed) = world(&[7, 7, 8]);
    let told = difference(&observed).expect("they differ");
    assert_eq!((told.code, told.hosts), (Code::DataDiffers, vec![sample::name(2)]));
    let what = "the data of etcd-3 differs from the other members': at revision 812 HashKV is 00000007 on etcd-1, \
                etcd-2, 00000008 on etcd-3";
    assert_eq!(told.what, what);
    assert!(told.hint.is_some_and(|hint| hint.contains("--lost=etcd-3 --allow replace-member:etcd-3")));
}

/// What is saved before a change is not the odd one's, although it follows and has seen the most.
#[test]
fn no_snapshot_is_taken_of_the_one_that_differs() {
    for (hashes, odd) in [(&[7, 7, 8][..], 2), (&[7, 8, 7], 1)] {
        let (desired, mut observed) = world(hashes);
        let host = observed.host_mut(&sample::name(odd)).expect("it is seen");
        let answer = host.member.known_mut().and_then(Option::as_mut).expect("it answers");
        answer.applied += 100;
        let compared = sources(&desired, &observed);
        assert_eq!(compared.len(), 2, "{compared:?}");
        assert!(!compared.contains(&sample::name(odd)), "{compared:?}");
        // Without a comparison it would be the first.
        observed.comparison = None;
        assert_eq!(sources(&desired, &observed).first(), Some(&sample::name(odd)));
    }
}

/// Where nobody has a majority nobody is named, and nothing is done.
#[test]
fn without_a_majority_only_the_operator_can_tell() {
    for hashes in [&[7, 8][..], &[7, 8, 9], &[7, 7, 8, 8]] {
        let (mut desired, observed) = world(hashes);
        let list = observed.member_list().expect("a quorum serves");
        assert_eq!(sameness(&observed, list), Sameness::Undecided);
        assert!(difference(&observed).is_some_and(|told| told.hosts.is_empty()));
        let members = Membership::of(&desired, &observed).expect("a quorum serves");
        assert!(members.members.iter().all(|member| members.may_differ(member)), "each may be named");
        desired.request.lost.insert(sample::name(0), Some(MemberId(1)));
        let plan = plan(&desired, &observed);
        let removed = plan.actions().any(|action| matches!(action, Action::Member(MemberAction::Remove { .. })));
        assert!(removed, "{plan:#?}");
    }
}

/// To its end, in clusters of every size: the odd one is replaced, and the setting follows.
#[test]
fn the_odd_one_is_replaced_and_then_all_goes_on() {
    for (hashes, odd) in [(&[7, 7, 8][..], 2), (&[8, 7, 7], 0), (&[7, 7, 8, 7, 7], 2)] {
        let (mut desired, mut observed) = world(hashes);
        let id = observed.host(&sample::name(odd)).and_then(|host| host.answer()).map(|answer| answer.member);
        desired.request.lost.insert(sample::name(odd), id);
        let whole = plan(&desired, &observed);
        let first = whole.actions().find(|action| {
            matches!(
                action,
                Action::Service(ServiceAction::Restart { .. }) | Action::Member(MemberAction::Remove { .. })
            )
        });
        assert!(
            matches!(first, Some(Action::Member(MemberAction::Remove { host, .. })) if *host == sample::name(odd)),
            "{whole:#?}"
        );
        assert_eq!(whole.blocked, []);
        for action in whole.actions() {
            planner::effect(action, &desired, &mut observed);
            assert!(Membership::of(&desired, &observed).is_some_and(|members| members.margin() >= 0), "{action:?}");
        }
        assert!(plan(&desired, &observed).is_empty());
    }
}

/// One that is with the majority is not lost, whoever says so.
#[test]
fn a_member_of_the_majority_cannot_be_called_lost() {
    let (mut desired, observed) = world(&[7, 7, 8]);
    desired.request.lost.insert(sample::name(0), None);
    let plan = plan(&desired, &observed);
    assert!(!plan.actions().any(|action| matches!(action, Action::Member(_))), "{plan:#?}");
    assert!(plan.findings.iter().any(|finding| finding.code == Code::NotLost), "{plan:#?}");
}
