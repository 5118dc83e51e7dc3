//! The law of quotas: no plan brings a member a quota that its database does not fit into.

use crate::core::code::Code;
use crate::core::content;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, with_broken};
use crate::core::names::HostName;
use crate::core::observed::{File, Host, Observed};
use crate::core::plan::action::{Action, FileAction, ServiceAction};
use crate::core::planner::{self, plan};
use crate::laws::sample;

const GIB: u64 = 1 << 30;

/// GiB.
#[derive(Clone, Copy, Debug)]
struct Case {
    databases: [u64; 3],
    /// `None` is etcd's default.
    before: Option<u64>,
    declared: Option<u64>,
    /// The first member has the declared etcd.yaml already, and has not loaded it.
    cut_off: bool,
}

fn cases() -> impl Iterator<Item = Case> {
    let quotas = [None, Some(1), Some(4), Some(8)];
    let databases = [[0, 0, 0], [3, 3, 3], [0, 3, 0], [3, 0, 0], [5, 5, 5]];
    databases.into_iter().flat_map(move |databases| {
        quotas.into_iter().flat_map(move |before| {
            quotas
                .into_iter()
                .flat_map(move |declared| [false, true].map(|cut_off| Case { databases, before, declared, cut_off }))
        })
    })
}

fn with_quota(gibibytes: Option<u64>) -> Desired {
    let mut desired = sample::desired(3);
    desired.etcd.quota_backend_bytes = gibibytes.map(|count| count * GIB);
    desired
}

fn world(case: Case) -> (Desired, Observed) {
    let desired = with_quota(case.declared);
    let mut observed = sample::healthy(&with_quota(case.before));
    if case.cut_off {
        let name = sample::name(0);
        let new = sample::healthy(&desired).host(&name).expect("it is there").files[&File::Config].clone();
        observed.host_mut(&name).expect("it is there").files.insert(File::Config, new);
    }
    for (index, gibibytes) in case.databases.into_iter().enumerate() {
        let host = observed.host_mut(&sample::name(index)).expect("it is there");
        let answer = host.member.known_mut().and_then(Option::as_mut).expect("it answers");
        answer.database_bytes = gibibytes * GIB;
        answer.database_in_use_bytes = gibibytes * GIB / 2;
    }
    (desired, observed)
}

fn quota_of(desired: &Desired, host: &Host) -> u64 {
    let declared = content::quota_backend(desired, host.text_of(File::Config).expect("it has an etcd.yaml"));
    declared.map_or(2 * GIB, |bytes| u64::try_from(bytes).expect("no case has less than nothing"))
}

fn complaint(case: Case) -> Option<String> {
    let (desired, observed) = world(case);
    let gibibytes = |quota: Option<u64>| quota.unwrap_or(2);
    let largest = case.databases.into_iter().max().expect("there are three");
    let plan = plan(&desired, &observed);
    let refused = plan.blocked.iter().any(|blocked| blocked.code == Code::QuotaTooSmall);
    let mut now = observed;
    for action in plan.actions() {
        planner::effect(action, &desired, &mut now);
        let quota = |name: &HostName| quota_of(&desired, now.host(name).expect("it is there"));
        let (name, why, too_small) = match action {
            Action::Service(ServiceAction::Restart { host }) => {
                let own = now.host(host).and_then(Host::answer).map_or(0, |answer| answer.database_bytes);
                (host, "is restarted with", own >= quota(host))
            }
            Action::File(FileAction::Write { host, file: File::Config, .. }) => {
                (host, "is given", largest * GIB >= quota(host))
            }
            _ => continue,
        };
        if too_small && gibibytes(case.before) != gibibytes(case.declared) {
            return Some(format!("{name} {why} a quota that a database is larger than"));
        }
    }
    let changes = gibibytes(case.before) != gibibytes(case.declared);
    let told = plan.findings.iter().any(|finding| finding.code == Code::QuotaTooSmall);
    match (changes && largest >= gibibytes(case.declared), refused) {
        (true, false) => Some("it is not refused".to_owned()),
        (false, true) => Some("it is refused and fits".to_owned()),
        (false, false) if told != (largest * 100 >= gibibytes(case.declared) * 80) => Some(format!("told: {told}")),
        (true, true) | (false, false) => None,
    }
}

/// A snapshot is restored only where it fits.
fn complaint_of_restores() -> Option<String> {
    [(None, 1), (None, 2), (Some(1), 1), (Some(4), 3), (Some(4), 5)].into_iter().find_map(|(quota, snapshot)| {
        let mut desired = sample::restoring(&with_quota(quota));
        let observed = sample::healthy(&with_quota(quota));
        desired.request.restore.as_mut().expect("it is asked for").bytes = snapshot * GIB;
        let plan = plan(&desired, &observed);
        let fits = snapshot < quota.unwrap_or(2);
        (plan.steps.is_empty() == fits).then(|| format!("{snapshot} GiB into {quota:?}: {} steps", plan.steps.len()))
    })
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    cases().any(|case| complaint(case).is_some()) || complaint_of_restores().is_some()
}

#[test]
fn no_member_is_given_a_quota_below_its_database() {
    for case in cases() {
        assert_eq!(complaint(case), None, "{case:?}");
    }
    assert_eq!(complaint_of_restores(), None);
}

#[test]
fn a_broken_guard_of_quotas_breaks_the_law() {
    assert!(with_broken(Guard::QuotaHoldsDatabase, || cases().any(|case| complaint(case).is_some())), "quotas");
    assert!(with_broken(Guard::QuotaHoldsDatabase, || complaint_of_restores().is_some()), "restores");
}

/// What is half done when the database has outgrown it stays as it is, until the quota is larger.
#[test]
fn a_quota_that_was_outgrown_before_it_was_loaded_is_not_loaded() {
    let case = Case { databases: [3, 3, 3], before: Some(4), declared: None, cut_off: true };
    let (mut desired, observed) = world(case);
    let touches = |desired: &Desired, name: &HostName| {
        plan(desired, &observed).actions().any(|action| action.host() == Some(name))
    };
    assert!(!touches(&desired, &sample::name(0)));
    desired.etcd.quota_backend_bytes = Some(5 * GIB);
    assert!(touches(&desired, &sample::name(0)));
}
