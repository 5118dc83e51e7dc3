//! Where the data of the member is, if that is not the declared directory.

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::names::RemotePath;

pub(super) struct Look;

impl Section for Look {
    type Fact = Option<RemotePath>;

    const SHELL: &'static str = include_str!("elsewhere.sh");

    const NEEDS: &'static [&'static str] = &["grep", "readlink"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let paths = &of.desired.paths;
        Some(vec![("q_config", paths.config.to_string()), ("q_data", paths.data.to_string())])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<Option<RemotePath>, Trouble> {
        let said = ["running", "stopped"].into_iter().find_map(|key| answer.value("elsewhere", key));
        Ok(said.map(RemotePath::new))
    }
}
