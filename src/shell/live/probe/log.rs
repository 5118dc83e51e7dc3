//! The cluster version that the newest snapshot of the raft log names.

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::capability::raft_log;
use crate::core::names::Version;

pub(super) struct Look;

impl Section for Look {
    type Fact = Option<Version>;

    const SHELL: &'static str = include_str!("log.sh");

    const NEEDS: &'static [&'static str] = &["grep"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        raft_log::needs_look(of.desired).then(|| vec![("q_data", of.desired.paths.data.to_string())])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<Option<Version>, Trouble> {
        Ok(answer.value("log", "version").and_then(|version| version.parse().ok()))
    }
}
