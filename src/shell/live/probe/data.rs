//! What lies in the data directory.

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, missing};
use crate::core::content::layout;
use crate::core::observed::DataDirectory;

pub(super) struct Look;

impl Section for Look {
    type Fact = DataDirectory;

    const SHELL: &'static str = include_str!("data.sh");

    fn words(of: &Subject<'_>) -> Option<Words> {
        let moved_from = layout::MOVED_FROM.to_owned();
        Some(vec![("q_data", of.desired.paths.data.to_string()), ("q_moved_from", moved_from)])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<DataDirectory, Trouble> {
        match answer.value("data", "data") {
            Some("empty") => Ok(DataDirectory::Empty),
            Some("member") => Ok(DataDirectory::Member),
            Some("foreign") => Ok(DataDirectory::Foreign),
            _ => Err(missing("its data directory")),
        }
    }
}
