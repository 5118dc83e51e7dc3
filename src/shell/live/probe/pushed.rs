//! The snapshots that were pushed for a restore.

use std::collections::BTreeSet;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::names::Digest;

pub(super) struct Look;

impl Section for Look {
    /// By their names; one is there whole or not at all.
    type Fact = BTreeSet<Digest>;

    const SHELL: &'static str = include_str!("pushed.sh");

    fn words(of: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_data", of.desired.paths.data.to_string())])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<BTreeSet<Digest>, Trouble> {
        let before = format!("{}.restore-", of.desired.paths.data);
        let digest = |path: &str| path.strip_prefix(&before)?.strip_suffix(".db")?.parse().ok();
        Ok(answer.lines("pushed").filter_map(digest).collect())
    }
}
