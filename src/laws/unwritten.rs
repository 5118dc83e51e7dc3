//! The law of a cluster to which nobody has written: it does not leave etcd 3.4, whose next versions shut members of it out.

use std::collections::BTreeMap;

use crate::core::code::Code;
use crate::core::desired::{Auth, Desired};
use crate::core::guard::{Guard, with_broken};
use crate::core::names::Version;
use crate::core::observed::{Observed, Seen};
use crate::core::plan::action::{Action, ServiceAction};
use crate::core::planner::plan;
use crate::laws::sample;

/// Three members of `from` whose keys are at `revision`, and `to` is declared.
fn world(from: Version, to: Version, revision: Option<i64>) -> (Desired, Observed) {
    let mut desired = sample::desired(3);
    desired.cluster.version = from;
    let mut observed = sample::healthy(&desired);
    sample::declare_version(&mut desired, &mut observed, to);
    for host in observed.hosts.values_mut().filter_map(Seen::known_mut) {
        let Seen::Known(Some(answer)) = &mut host.member else { panic!("it answers") };
        answer.revision = revision;
    }
    (desired, observed)
}

/// Whether a member is restarted, and whether that is refused for want of a key.
fn outcome(from: Version, to: Version, revision: Option<i64>) -> (bool, bool) {
    let (desired, observed) = world(from, to, revision);
    let plan = plan(&desired, &observed);
    let restarts = |action: &Action| matches!(action, Action::Service(ServiceAction::Restart { .. }));
    let refused = |one: &crate::core::plan::ruling::Blocked| one.what.starts_with("no key was ever written");
    let told = plan.blocked.iter().find(|one| refused(one));
    assert!(told.is_none_or(|told| told.code == Code::UpgradePath));
    (plan.actions().any(restarts), told.is_some())
}

const OLD: Version = Version::new(3, 4, 30);
const NEW: Version = Version::new(3, 5, 30);

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    outcome(OLD, NEW, Some(1)) != (false, true)
}

#[test]
fn a_cluster_without_a_key_stays_at_3_4() {
    assert_eq!(outcome(OLD, NEW, Some(1)), (false, true));
    assert!(with_broken(Guard::WrittenBeforeUpgrade, any_complaint), "no law misses it");
    assert_eq!(outcome(OLD, NEW, Some(2)), (true, false), "one is enough");
    assert_eq!(outcome(OLD, NEW, None), (true, false), "what is not known is no reason");
    assert_eq!(outcome(OLD, Version::new(3, 4, 31), Some(1)), (true, false), "a patch of the same minor version");
    assert!(!outcome(NEW, Version::new(3, 6, 16), Some(1)).1, "only 3.4 has it");
}

#[test]
fn the_way_out_is_what_the_operator_may_type() {
    let (mut desired, observed) = world(OLD, NEW, Some(1));
    let hint = |desired: &Desired| {
        let told = plan(desired, &observed).blocked.into_iter().filter_map(|one| one.hint);
        told.into_iter().find(|hint| hint.contains("put /quorate/first")).unwrap_or_default()
    };
    assert!(hint(&desired).ends_with("`quorate etcdctl -- put /quorate/first 1`"));
    desired.auth = Some(Auth { enabled: true, users: BTreeMap::new(), roles: BTreeMap::new() });
    assert!(hint(&desired).ends_with("`quorate etcdctl --as root -- put /quorate/first 1`"));
}
