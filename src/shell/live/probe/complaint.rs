//! Why a service does not run, from the end of its log.

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::complaint;

pub(super) struct Look;

impl Section for Look {
    type Fact = Option<String>;

    const SHELL: &'static str = include_str!("complaint.sh");

    const NEEDS: &'static [&'static str] = &["grep", "tail"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_service", of.desired.paths.service.clone())])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<Option<String>, Trouble> {
        Ok(complaint::of(&answer.lines("complaint").collect::<Vec<_>>().join("\n")))
    }
}
