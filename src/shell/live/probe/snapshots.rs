//! What was saved before an upgrade or another change.

use std::collections::BTreeMap;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::cluster::snapshot::{Facts, counts};
use crate::core::content::layout;
use crate::core::names::{ClusterId, SnapshotReason, UnixSeconds};

pub(super) struct Look;

/// One that was saved, of whichever cluster uses that folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    pub before: SnapshotReason,
    pub at: UnixSeconds,
    pub cluster: ClusterId,
}

impl Section for Look {
    /// All of which it is known whose they are, and that are whole.
    type Fact = Vec<Saved>;

    const SHELL: &'static str = include_str!("snapshots.sh");

    const NEEDS: &'static [&'static str] = &["stat"];

    fn words(_: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_snapshots", layout::SNAPSHOTS_FOLDER.to_owned())])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<Vec<Saved>, Trouble> {
        let known = answer.lines("snapshots").filter_map(|line| line.strip_prefix("known ")?.split_once(' '));
        let known: BTreeMap<_, _> = known.map(|(path, line)| (path, Facts::read(line))).collect();
        let saved = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let (at, bytes, path) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?);
            let facts = known.get(path)?;
            let name = path.rsplit('/').next().unwrap_or(path);
            let before = name.strip_prefix("before-").and_then(|rest| rest.split('-').next()?.parse().ok())?;
            let cluster = facts.cluster_id.filter(|_| counts(bytes, facts.bytes))?;
            Some(Saved { before, at: UnixSeconds(at), cluster })
        };
        Ok(answer.lines("snapshots").filter_map(saved).collect())
    }
}

/// The newest of `cluster` before each version, and before another change.
pub fn newest(saved: &[Saved], cluster: ClusterId) -> BTreeMap<SnapshotReason, UnixSeconds> {
    let mut newest = BTreeMap::new();
    for saved in saved.iter().filter(|saved| saved.cluster == cluster) {
        let kept = newest.entry(saved.before).or_insert(saved.at);
        *kept = (*kept).max(saved.at);
    }
    newest
}
