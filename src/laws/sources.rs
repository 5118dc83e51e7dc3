//! The law of source addresses: no plan starts a member that its peers would refuse.

use std::net::IpAddr;

use crate::core::cluster::source;
use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, with_broken};
use crate::core::names::HostName;
use crate::core::observed::Observed;
use crate::core::plan::action::{Action, MemberAction, ServiceAction};
use crate::core::planner::plan;
use crate::laws::sample;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Bootstrap,
    Newcomer,
    Restart,
    Nothing,
}

/// The last of the nodes speaks from another address: to all of them, or to the first one.
#[derive(Clone, Copy, Debug)]
struct Case {
    work: Work,
    to_all: bool,
    is_named: bool,
}

fn cases() -> impl Iterator<Item = Case> {
    let work = [Work::Bootstrap, Work::Newcomer, Work::Restart, Work::Nothing];
    work.into_iter().flat_map(|work| {
        [(false, false), (false, true), (true, false), (true, true)].map(|(to_all, is_named)| Case {
            work,
            to_all,
            is_named,
        })
    })
}

const NODES: usize = 4;

fn odd_one() -> HostName {
    sample::name(NODES - 1)
}

fn world(case: Case) -> (Desired, Observed) {
    let other: IpAddr = "10.0.0.99".parse().expect("an address");
    let mut desired = sample::desired(NODES);
    if case.is_named {
        desired.nodes.get_mut(&odd_one()).expect("it is declared").peer_names = vec![other.to_string()];
    }
    let mut observed = match case.work {
        Work::Bootstrap => sample::bare(&desired),
        Work::Restart | Work::Nothing => sample::healthy(&desired),
        Work::Newcomer => {
            let mut observed = sample::healthy(&sample::desired(NODES - 1));
            let bare = sample::bare(&desired).hosts.remove(&odd_one()).expect("it is declared");
            observed.hosts.insert(odd_one(), bare);
            observed
        }
    };
    if case.work == Work::Restart {
        desired.etcd.quota_backend_bytes = Some(8 << 30);
    }
    let own = |name: &HostName| desired.nodes[name].address.parse::<IpAddr>().expect("an address");
    let names: Vec<_> = desired.nodes.keys().cloned().collect();
    for from in &names {
        for (index, to) in names.iter().enumerate().filter(|(_, to)| *to != from) {
            let is_odd = *from == odd_one() && (case.to_all || index == 0);
            let source = if is_odd { other } else { own(from) };
            observed.host_mut(from).expect("it is there").sources.insert(to.clone(), source);
        }
    }
    (desired, observed)
}

fn complaint(case: Case) -> Option<String> {
    let (desired, observed) = world(case);
    let plan = plan(&desired, &observed);
    let odd = odd_one();
    let touches_it = |action: &Action| match action {
        Action::Service(ServiceAction::Restart { host }) => *host == odd,
        Action::Service(ServiceAction::Start { host }) => *host == odd || case.work == Work::Bootstrap,
        Action::Member(MemberAction::Add { host, .. }) => *host == odd,
        _ => false,
    };
    let begins = plan.actions().any(touches_it);
    let refused = plan.blocked.iter().any(|blocked| blocked.code == Code::SourceAddress);
    let told = plan.findings.iter().any(|finding| finding.code == Code::SourceAddress);
    match (case.is_named, case.work) {
        (true, Work::Nothing) => (refused || told).then(|| "told for nothing".to_owned()),
        (true, _) if refused => Some("it is named, and refused".to_owned()),
        (true, _) if !begins => Some("it is named, and not begun".to_owned()),
        (true, _) => None,
        (false, Work::Nothing) => (refused || !told).then(|| format!("refused {refused}, told {told}")),
        (false, _) if begins => Some("it is begun".to_owned()),
        (false, _) => (!refused).then(|| "it is not refused".to_owned()),
    }
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    cases().any(|case| complaint(case).is_some())
}

#[test]
fn no_member_is_started_that_its_peers_would_refuse() {
    for case in cases() {
        assert_eq!(complaint(case), None, "{case:?}");
    }
}

#[test]
fn a_broken_guard_of_sources_breaks_the_law() {
    for work in [Work::Bootstrap, Work::Newcomer, Work::Restart] {
        let case = Case { work, to_all: false, is_named: false };
        assert!(with_broken(Guard::SourceIsNamed, || complaint(case).is_some()), "{work:?}");
    }
}

/// A name in the certificate that leads its peers to that address is as good as the address.
#[test]
fn a_name_that_leads_there_names_it() {
    let (desired, mut observed) = world(Case { work: Work::Restart, to_all: false, is_named: false });
    let peer = sample::name(0);
    let asked = source::unsure(&desired, &observed);
    assert_eq!(asked.keys().collect::<Vec<_>>(), [&peer]);
    assert!(asked[&peer].contains(odd_one().as_str()), "{asked:?}");
    let refused = |observed: &Observed| {
        plan(&desired, observed).blocked.iter().any(|blocked| blocked.code == Code::SourceAddress)
    };
    let mut leads_to = |address: &str| {
        let addresses = [address.parse().expect("an address")].into();
        let host = observed.host_mut(&peer).expect("it is there");
        host.lookups = [(odd_one().to_string(), addresses)].into();
        observed.clone()
    };
    assert!(refused(&leads_to("10.0.0.98")), "it leads elsewhere");
    let led = leads_to("10.0.0.99");
    assert!(!refused(&led));
    assert!(source::unsure(&desired, &led).is_empty());
}

/// Where nothing is known of the ways, nothing is held up.
#[test]
fn ways_that_are_not_known_hold_nothing_up() {
    let desired = sample::desired(NODES);
    assert!(plan(&desired, &sample::bare(&desired)).blocked.is_empty());
}
