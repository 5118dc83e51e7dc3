//! What `etcdctl` on the PATH leads to.

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::content::layout;
use crate::core::names::RemotePath;
use crate::core::observed::Tools;

pub(super) struct Look;

impl Section for Look {
    type Fact = Tools;

    const SHELL: &'static str = include_str!("tools.sh");

    const NEEDS: &'static [&'static str] = &["readlink"];

    fn words(_: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_tools", format!("{}/etcdctl", layout::TOOLS_FOLDER))])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Tools, Trouble> {
        let Some(target) = answer.value("tools", "tools") else { return Ok(Tools::Absent) };
        let ours = format!("{}/", of.desired.paths.binaries);
        Ok(match target.strip_suffix("/etcdctl") {
            Some(folder) if folder.starts_with(&ours) => Tools::Link(RemotePath::new(folder)),
            _ => Tools::Foreign,
        })
    }
}
