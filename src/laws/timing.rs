//! The law of elections: no plan brings a member an election timeout within which no election could end.

use crate::core::code::Code;
use crate::core::content;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, with_broken};
use crate::core::names::MemberId;
use crate::core::observed::{Host, Observed, Peer};
use crate::core::plan::action::{Action, FileAction};
use crate::core::plan::ruling::Blocked;
use crate::core::planner::plan;
use crate::laws::sample;

/// Round trips in milliseconds: how far each member is from a place that all go through; `None` where none was measured.
#[derive(Clone, Debug)]
struct Case {
    distances: Vec<Option<u64>>,
    /// Milliseconds; `None` is etcd's default.
    before: Option<u64>,
    declared: Option<u64>,
}

fn cases() -> impl Iterator<Item = Case> {
    let distances: [&[Option<u64>]; 9] = [
        &[Some(0)],
        &[Some(4), Some(4), Some(4)],
        &[Some(1), Some(1), Some(40)],
        &[Some(40), Some(40), Some(1)],
        &[Some(40), Some(40), None],
        &[None, None, None],
        &[Some(600), Some(600), Some(600)],
        &[Some(1), Some(1), Some(1), Some(40), Some(40)],
        &[Some(1), Some(1), Some(40), Some(40), Some(40)],
    ];
    let timeouts = [None, Some(5), Some(10), Some(50), Some(5_000)];
    distances.into_iter().flat_map(move |distances| {
        timeouts.into_iter().flat_map(move |before| {
            timeouts.into_iter().map(move |declared| Case { distances: distances.to_vec(), before, declared })
        })
    })
}

fn with_timeout(nodes: usize, election_ms: Option<u64>) -> Desired {
    let mut desired = sample::desired(nodes);
    desired.etcd.election_timeout_ms = election_ms;
    desired.etcd.heartbeat_interval_ms = election_ms.map(|ms| ms / 5);
    desired
}

impl Case {
    fn round_trip(&self, from: usize, to: usize) -> Option<u64> {
        Some(self.distances[from]? + self.distances[to]?)
    }

    fn world(&self) -> (Desired, Observed) {
        let nodes = self.distances.len();
        let mut observed = sample::healthy(&with_timeout(nodes, self.before));
        let id = |observed: &Observed, index| -> MemberId {
            observed.host(&sample::name(index)).and_then(Host::answer).expect("it answers").member
        };
        for from in 0..nodes {
            let peer = |to: usize| {
                let round_trip_us = self.round_trip(from, to).map(|ms| ms * 1000);
                (id(&observed, to), Peer { is_active: true, is_reached: None, failures: 0, round_trip_us })
            };
            let peers = (0..nodes).filter(|to| *to != from).map(peer).collect();
            let host = observed.host_mut(&sample::name(from)).expect("it is there");
            host.member.known_mut().and_then(Option::as_mut).expect("it answers").peers = peers;
        }
        (with_timeout(nodes, self.declared), observed)
    }

    /// Whether some candidate may have a majority before its timeout is over.
    fn elects_within(&self, election_ms: u64) -> bool {
        let nodes = self.distances.len();
        (0..nodes).any(|from| {
            let others = (0..nodes).filter(|to| *to != from);
            let in_time = others.filter(|to| self.round_trip(from, *to).is_none_or(|ms| ms < election_ms)).count();
            1 + in_time > nodes / 2
        })
    }
}

fn is_refusal(blocked: &Blocked) -> bool {
    blocked.code == Code::SettingUnsuited
}

fn complaint(case: &Case) -> Option<String> {
    let (desired, observed) = case.world();
    let plan = plan(&desired, &observed);
    for action in plan.actions() {
        let Action::File(FileAction::Write { host, text, .. }) = action else { continue };
        let given = content::election_timeout(&desired, text).unwrap_or(1_000);
        if !case.elects_within(given) && case.before != case.declared {
            return Some(format!("{host} is given an election timeout of {given} ms"));
        }
    }
    let changes = case.before.unwrap_or(1_000) != case.declared.unwrap_or(1_000);
    let is_refused = plan.blocked.iter().any(is_refusal);
    // One way that is not known may be the fast one.
    let all_known = case.distances.iter().all(Option::is_some);
    let ends = case.elects_within(case.declared.unwrap_or(1_000));
    match (changes && !ends && all_known, is_refused) {
        (true, false) => Some("it is not refused".to_owned()),
        (false, true) => Some("it is refused, and an election could end".to_owned()),
        _ => None,
    }
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    cases().any(|case| complaint(&case).is_some())
}

#[test]
fn no_member_is_given_an_election_timeout_within_which_none_ends() {
    for case in cases() {
        assert_eq!(complaint(&case), None, "{case:?}");
    }
}

#[test]
fn a_broken_guard_of_elections_breaks_the_law() {
    assert!(with_broken(Guard::ElectionCanEnd, any_complaint));
}

#[test]
fn what_is_too_short_for_the_slowest_way_is_told_with_both_numbers() {
    let told = |distances: &[Option<u64>], declared| {
        let (desired, observed) = Case { distances: distances.to_vec(), before: declared, declared }.world();
        let found = plan(&desired, &observed).findings.into_iter().find(|one| one.code == Code::SettingUnsuited);
        found.map(|finding| format!("{} -> {}", finding.what, finding.hint.unwrap_or_default()))
    };
    assert_eq!(
        told(&[Some(1), Some(2), Some(4)], Some(50)).as_deref(),
        Some(
            "a round trip from etcd-3 to etcd-2 takes 6.0 ms (the median since etcd started there), and `election-timeout` \
             is 50 ms, less than ten of them: leaders will be lost without a fault -> find what slows the network down; or \
             set `heartbeat-interval = \"10ms\"` and `election-timeout = \"100ms\"` in [etcd]"
        )
    );
    assert_eq!(told(&[Some(2), Some(2), Some(2)], Some(50)), None);
    assert_eq!(told(&[None, None, None], Some(5)), None, "nothing was measured");
    assert_eq!(told(&[Some(40), Some(40), Some(40)], None), None);
}
