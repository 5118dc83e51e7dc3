//! The laws of an etcd that another program runs: nothing is done on its host where ours would be in its place, and one that
//! is only beside ours changes nothing.

use crate::core::cluster::quorum::Membership;
use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, with_broken};
use crate::core::names::{Digest, RemotePath};
use crate::core::observed::{Cause, DataDirectory, File, Host, Observed, OtherEtcd, Runner, Seen};
use crate::core::plan::action::Action;
use crate::core::planner::{self, plan};
use crate::core::render::status;
use crate::laws::sample;

/// What the hosts are like, on which nothing of ours runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// Nobody has our credentials: bare hosts with a database each.
    Foreign,
    /// The same with an authority that is declared and theirs, so that their members answer.
    Answering,
    /// A cluster of ours serves, and one that is to join it is taken.
    Newcomer,
    /// A member of ours was stopped, and another program has its port.
    Member,
    /// A kubelet would start one as soon as it runs.
    Manifest,
}

const CASES: [Case; 5] = [Case::Foreign, Case::Answering, Case::Newcomer, Case::Member, Case::Manifest];

fn runners() -> Vec<Runner> {
    vec![
        Runner::Unit("etcd-of-others.service".to_owned()),
        Runner::Unit("etcd.service".to_owned()),
        Runner::Kubelet(Some(RemotePath::new("/etc/kubernetes/manifests/etcd.yaml"))),
        Runner::Kubelet(None),
        Runner::Container("docker".to_owned()),
        Runner::Session,
        Runner::Unknown,
    ]
}

fn other(runner: Runner, in_our_place: bool) -> OtherEtcd {
    let (data, port) = if in_our_place { ("/var/lib/etcd", 2379) } else { ("/var/lib/etcd-events", 3379) };
    OtherEtcd {
        runner,
        pid: Some(812),
        executable: Some(RemotePath::new("/usr/bin/etcd")),
        data: Some(RemotePath::new(data)),
        ports: [port].into(),
        in_our_place,
        is_own: false,
    }
}

fn unknown() -> Seen<Option<crate::core::observed::Answer>> {
    let summary = "the health of etcd is not known".to_owned();
    Seen::Unknown(Cause { code: Code::OtherEtcd, summary, hint: None })
}

/// A host as its own programs have it: their database where ours would be, their ports, their authority.
fn theirs(mut host: Host, runner: Runner) -> Host {
    host.data = DataDirectory::Member;
    host.taken_ports.insert(2379, "etcd (process 812)".to_owned());
    host.trusted = vec![Digest::of("their authority")];
    host.process = None;
    host.member = unknown();
    host.others = vec![other(runner, true)];
    host
}

/// The world, and how many hosts of it, the last ones, are another's.
fn world(case: Case, runner: Runner) -> (Desired, Observed, usize) {
    let desired = sample::desired(3);
    let mut observed = match case {
        Case::Foreign | Case::Manifest => sample::bare(&desired),
        Case::Answering | Case::Newcomer | Case::Member => sample::healthy(&desired),
    };
    let taken = if matches!(case, Case::Newcomer | Case::Member) { 1 } else { 3 };
    for index in 3 - taken..3 {
        let name = sample::name(index);
        let host = observed.host(&name).expect("all are seen").clone();
        let host = match case {
            Case::Foreign => theirs(sample::bare_host(), runner.clone()),
            // What is declared differs from what they have: a plan would change it.
            Case::Answering => {
                let mut host = host;
                host.files.remove(&File::Unit);
                host.others = vec![other(runner.clone(), true)];
                host.process = None;
                host
            }
            Case::Newcomer => theirs(sample::bare_host(), runner.clone()),
            Case::Member => Host { data: DataDirectory::Empty, ..theirs(host, runner.clone()) },
            Case::Manifest => {
                let manifest = RemotePath::new("/etc/kubernetes/manifests/etcd.yaml");
                let etcd = other(Runner::Kubelet(Some(manifest)), true);
                Host { others: vec![OtherEtcd { pid: None, ..etcd }], ..sample::bare_host() }
            }
        };
        observed.hosts.insert(name, Seen::Known(host));
    }
    if case == Case::Newcomer {
        let name = sample::name(2);
        let gone = desired.peer_url(&name);
        crate::core::cluster::model::edit_members(&mut observed, |members| {
            members.retain(|entry| !entry.peer_urls.contains(&gone));
        });
    }
    (desired, observed, taken)
}

fn complaint(case: Case, runner: &Runner) -> Option<String> {
    let (desired, observed, taken) = world(case, runner.clone());
    let plan = plan(&desired, &observed);
    let is_taken = |name: &_| (3 - taken..3).any(|index| sample::name(index) == *name);
    if let Some(action) = plan.actions().find(|action| action.host().is_none_or(is_taken)) {
        return Some(format!("{action:?} although another program runs etcd there"));
    }
    for index in 3 - taken..3 {
        let name = sample::name(index);
        let told: Vec<_> = plan.blocked.iter().filter(|blocked| blocked.hosts.contains(&name)).collect();
        if told.iter().map(|blocked| blocked.code).collect::<Vec<_>>() != [Code::OtherEtcd] {
            return Some(format!("{name} is told of as {told:#?}"));
        }
        let hint = told[0].hint.as_deref().unwrap_or_default();
        if hint.contains("mv ") || hint.contains("move") || hint.contains("stop") {
            return Some(format!("a hint harms what is there: {hint}"));
        }
    }
    let status = status::document(&desired, &observed);
    let unhealthy = status
        .members
        .iter()
        .find(|member| member.host.as_ref().is_some_and(is_taken) && member.asked && !member.healthy);
    if let Some(unhealthy) = unhealthy {
        return Some(format!("{} is called unhealthy, which nobody knows", unhealthy.name));
    }
    None
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    CASES.iter().any(|case| runners().iter().any(|runner| complaint(*case, runner).is_some()))
}

#[test]
fn what_another_program_runs_is_not_touched() {
    for case in CASES {
        for runner in runners() {
            assert_eq!(complaint(case, &runner), None, "{case:?} {runner:?}");
        }
    }
    assert!(with_broken(Guard::OthersEtcd, any_complaint), "no law misses it");
}

/// Their own answer counts, where it can be had.
#[test]
fn the_health_of_anothers_cluster_is_its_own_answer() {
    let (desired, observed, _) = world(Case::Answering, Runner::Kubelet(None));
    let plan = plan(&desired, &observed);
    assert_eq!(plan.health.map(|health| (health.healthy, health.total)), Some((3, 3)));
    assert!(plan.steps.is_empty(), "{plan:#?}");
    let status = status::document(&desired, &observed);
    assert!(status.members.iter().all(|member| member.healthy), "{status:#?}");
}

/// Another cluster's on the same hosts, on other ports and with other data: as if it were not there, but that it is told.
#[test]
fn an_etcd_beside_ours_changes_nothing() {
    for bare in [true, false] {
        let mut desired = sample::desired(3);
        let mut observed = if bare { sample::bare(&desired) } else { sample::healthy(&desired) };
        desired.etcd.quota_backend_bytes = Some(8 << 30);
        let alone = plan(&desired, &observed);
        assert!(!alone.steps.is_empty());
        for host in observed.hosts.values_mut().filter_map(Seen::known_mut) {
            host.others = vec![other(Runner::Container("docker".to_owned()), false)];
        }
        let beside = plan(&desired, &observed);
        assert_eq!((&beside.steps, &beside.blocked), (&alone.steps, &alone.blocked));
        let told = beside.findings.iter().filter(|finding| finding.code == Code::OtherEtcd);
        assert_eq!(told.count(), 3);
    }
}

/// `service` in [paths] was changed while the members run.
#[test]
fn the_unit_of_a_member_is_not_renamed_and_its_name_is_told() {
    let desired = sample::desired(3);
    let mut observed = sample::healthy(&desired);
    for host in observed.hosts.values_mut().filter_map(Seen::known_mut) {
        host.files.remove(&File::Unit);
        host.process = None;
        host.others = vec![OtherEtcd { is_own: true, ..other(Runner::Unit("etcd-old.service".to_owned()), true) }];
    }
    let plan = plan(&desired, &observed);
    assert!(plan.steps.is_empty(), "{:#?}", plan.steps);
    assert_eq!(plan.blocked.len(), 3);
    for blocked in &plan.blocked {
        assert_eq!(blocked.code, Code::OtherEtcd);
        assert!(blocked.what.contains("etcd-old.service, which quorate keeps, and [paths] declares etcd.service"));
        assert_eq!(blocked.hint.as_deref(), Some("set `service = \"etcd-old.service\"` in [paths]"));
    }
}

/// What could start one is in nobody's place while ours runs.
#[test]
fn a_manifest_beside_our_running_member_holds_nothing_up() {
    let desired = sample::desired(3);
    let mut observed = sample::healthy(&desired);
    for host in observed.hosts.values_mut().filter_map(Seen::known_mut) {
        host.others = vec![OtherEtcd { pid: None, ..other(Runner::Kubelet(None), true) }];
    }
    let plan = plan(&desired, &observed);
    assert!(plan.blocked.is_empty() && plan.steps.is_empty(), "{plan:#?}");
    assert!(plan.findings.iter().any(|finding| finding.code == Code::OtherEtcd));
}

/// A machine that has left, and on which somebody has begun another etcd since.
#[test]
fn a_former_host_that_is_anothers_now_is_not_cleared_away() {
    let before = sample::desired(4);
    let mut desired = before.clone();
    let name = sample::name(3);
    desired.nodes.remove(&name);
    let mut observed = sample::healthy(&before);
    let host = observed.hosts.remove(&name).expect("it is there");
    let (address, peer_url) = (before.nodes[&name].address.clone(), before.peer_url(&name));
    let former = crate::core::observed::Former { name: name.clone(), address, peer_url, host };
    observed.former.insert(name.clone(), former);
    let leaves = plan(&desired, &observed);
    for action in leaves.actions() {
        if matches!(action, Action::Departure(_)) {
            break;
        }
        planner::effect(action, &desired, &mut observed);
    }
    assert_eq!(Membership::of(&desired, &observed).map(|members| members.members.len()), Some(3));
    let touches = |observed: &Observed| plan(&desired, observed).actions().any(|action| action.host() == Some(&name));
    assert!(touches(&observed));
    let host = observed.host_mut(&name).expect("it is seen");
    host.others = vec![other(Runner::Session, true)];
    host.process = None;
    assert!(host.files.contains_key(&File::Config), "{}", layout::common_path(&desired, File::Config));
    assert!(!touches(&observed));
}
