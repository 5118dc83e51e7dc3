//! What was saved before an upgrade or another change.

use std::collections::BTreeMap;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::content::layout;
use crate::core::names::{SnapshotReason, UnixSeconds};

pub(super) struct Look;

impl Section for Look {
    /// The newest snapshot before each version, and before another change.
    type Fact = BTreeMap<SnapshotReason, UnixSeconds>;

    const SHELL: &'static str = include_str!("snapshots.sh");

    const NEEDS: &'static [&'static str] = &["stat"];

    fn words(_: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_snapshots", layout::SNAPSHOTS_FOLDER.to_owned())])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<BTreeMap<SnapshotReason, UnixSeconds>, Trouble> {
        let mut newest = BTreeMap::new();
        for line in answer.lines("snapshots") {
            let Some((at, path)) = line.split_once(' ') else { continue };
            let name = path.rsplit('/').next().unwrap_or(path);
            let reason = name.strip_prefix("before-").and_then(|rest| rest.split('-').next()?.parse().ok());
            let (Some(reason), Ok(at)) = (reason, at.parse()) else { continue };
            let kept = newest.entry(reason).or_insert(UnixSeconds(at));
            *kept = (*kept).max(UnixSeconds(at));
        }
        Ok(newest)
    }
}
