//! Whether a snapshot was saved that is fresh enough for what comes next.

use crate::core::names::SnapshotReason;
use crate::core::observed::Observed;

/// One before an upgrade counts for so long: members change one after the other, and some wait for the next day.
const FRESH_FOR_UPGRADE_SECONDS: i64 = 24 * 3600;

/// One before another change: as long as a run may take, so that the next one needs no other.
const FRESH_SECONDS: i64 = 3600;

/// One before a restore: what was written since would be in the data that is set aside alone. Nobody writes a snapshot for
/// that long.
const FRESH_FOR_RESTORE_SECONDS: i64 = 900;

/// Whether any host that was seen holds one that is fresh enough.
pub fn is_saved(observed: &Observed, before: SnapshotReason) -> bool {
    let of = |(reason, at): (&SnapshotReason, _)| (*reason, at);
    let mut saved = observed.seen_hosts().flat_map(|(_, host)| host.snapshots.iter().map(of));
    match before {
        SnapshotReason::Upgrade(_) => {
            saved.any(|(reason, at)| reason == before && at.0 + FRESH_FOR_UPGRADE_SECONDS > observed.at.0)
        }
        SnapshotReason::Change => saved.any(|(_, at)| at.0 + FRESH_SECONDS > observed.at.0),
        SnapshotReason::Restore => saved.any(|(_, at)| at.0 + FRESH_FOR_RESTORE_SECONDS > observed.at.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::sample;

    #[test]
    fn what_was_saved_within_the_hour_is_not_enough_for_a_restore() {
        let saved = |seconds_ago: i64, before| {
            let mut observed = sample::healthy(&sample::desired(1));
            let at = observed.at.plus_seconds(-seconds_ago);
            observed.host_mut(&sample::name(0)).expect("it is seen").snapshots.insert(SnapshotReason::Change, at);
            is_saved(&observed, before)
        };
        assert!(saved(3000, SnapshotReason::Change) && !saved(3600, SnapshotReason::Change));
        assert!(saved(600, SnapshotReason::Restore) && !saved(3000, SnapshotReason::Restore));
    }
}
