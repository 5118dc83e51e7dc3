//! The snapshots that are saved before an upgrade, and before every step of high risk or that needs the operator's word
//! (`cluster::insurance`).
//!
//! They stay on the host of the member that they were taken of, and are not among those of `[backup]`.

use crate::core::cluster::saved::is_saved;
use crate::core::names::{HostName, SnapshotReason};
use crate::core::observed::Observed;
use crate::core::plan::action::Readiness;

pub fn readiness(observed: &Observed, before: SnapshotReason) -> Readiness {
    if is_saved(observed, before) { Readiness::Done } else { Readiness::Ready }
}

pub fn effect(observed: &mut Observed, name: &HostName, before: SnapshotReason) {
    let at = observed.at;
    if let Some(host) = observed.host_mut(name) {
        host.snapshots.insert(before, at);
    }
}
