//! What lies in the data directory: a member with its log and its database, or what is left of one.

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, missing};
use crate::core::content::layout;
use crate::core::observed::DataDirectory;

pub(super) struct Look;

impl Section for Look {
    type Fact = DataDirectory;

    const SHELL: &'static str = include_str!("data.sh");

    const NEEDS: &'static [&'static str] = &["ls", "readlink"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let moved_from = layout::MOVED_FROM.to_owned();
        Some(vec![("q_data", of.desired.paths.data.to_string()), ("q_moved_from", moved_from)])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<DataDirectory, Trouble> {
        match answer.value("data", "data") {
            Some("empty") => Ok(DataDirectory::Empty),
            Some("member") => Ok(DataDirectory::Member),
            Some("no-log") => Ok(DataDirectory::NoLog),
            Some("no-database") => Ok(DataDirectory::NoDatabase),
            Some("not-mounted") => Ok(DataDirectory::NotMounted),
            Some("dead-link") => Ok(DataDirectory::DeadLink),
            Some("foreign") => Ok(DataDirectory::Foreign),
            _ => Err(missing("its data directory")),
        }
    }
}
