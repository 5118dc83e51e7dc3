//! Whether something keeps the clock of the host.

use crate::core::observed::checkup::ClockSync;
use crate::shell::live::probe::Trouble;
use crate::shell::live::probe::answer::Answer;
use crate::shell::live::probe::section::{Section, Subject, Words};

pub(super) struct Look;

impl Section for Look {
    type Fact = ClockSync;

    const SHELL: &'static str = include_str!("clock.sh");

    fn words(_: &Subject<'_>) -> Option<Words> {
        Some(Words::new())
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<ClockSync, Trouble> {
        let is_synchronized = match answer.value("clock", "NTPSynchronized") {
            Some("yes") => Some(true),
            Some("no") => Some(false),
            _ => None,
        };
        Ok(ClockSync { is_synchronized })
    }
}
