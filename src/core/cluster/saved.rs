//! Whether a snapshot was saved that is fresh enough for what comes next.

use crate::core::names::SnapshotReason;
use crate::core::observed::Observed;

/// One before an upgrade counts for so long: members change one after the other, and some wait for the next day.
const FRESH_FOR_UPGRADE_SECONDS: i64 = 24 * 3600;

/// One before another change: as long as a run may take, so that the next one needs no other.
const FRESH_SECONDS: i64 = 3600;

/// Whether any host that was seen holds one that is fresh enough.
pub fn is_saved(observed: &Observed, before: SnapshotReason) -> bool {
    let of = |(reason, at): (&SnapshotReason, _)| (*reason, at);
    let mut saved = observed.seen_hosts().flat_map(|(_, host)| host.snapshots.iter().map(of));
    match before {
        SnapshotReason::Upgrade(_) => {
            saved.any(|(reason, at)| reason == before && at.0 + FRESH_FOR_UPGRADE_SECONDS > observed.at.0)
        }
        SnapshotReason::Change => saved.any(|(_, at)| at.0 + FRESH_SECONDS > observed.at.0),
    }
}
