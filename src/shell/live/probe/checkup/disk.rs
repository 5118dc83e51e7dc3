//! The file system of the data directory, and how fast it syncs.

use super::unreadable;
use crate::core::observed::checkup::Disk;
use crate::shell::live::probe::answer::Answer;
use crate::shell::live::probe::section::{Section, Subject, Words};
use crate::shell::live::probe::{Trouble, missing};

/// Where `MEASURES`, a scratch file is written as well, and what it takes to sync it is told.
pub(super) struct Look<const MEASURES: bool>;

impl<const MEASURES: bool> Section for Look<MEASURES> {
    type Fact = Disk;

    const SHELL: &'static str = include_str!("disk.sh");

    const NEEDS: &'static [&'static str] = &["dd", "findmnt", "mktemp", "stat", "tail"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let measure = if MEASURES { "yes" } else { "" };
        Some(vec![("q_data", of.desired.paths.data.to_string()), ("q_measure", measure.to_owned())])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<Disk, Trouble> {
        let said = |key: &str| answer.value("disk", key).ok_or_else(|| missing(key));
        // The only line that begins with a path.
        let mount = answer.lines("disk").find(|line| line.starts_with('/')).ok_or_else(|| missing("the mount"))?;
        let mut words = mount.split(' ').map(str::to_owned);
        let mut word = || words.next().ok_or_else(|| unreadable(mount));
        let (mount_point, file_system, options) = (word()?, word()?, word()?);
        Ok(Disk {
            folder: said("folder")?.to_owned(),
            mount_point,
            file_system,
            options,
            syncs_us: answer.lines("disk").filter_map(microseconds).collect(),
        })
    }
}

/// Of dd's `2300 bytes (2.3 kB, 2.2 KiB) copied, 0.00123456 s, 1.9 MB/s`.
fn microseconds(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(" copied, ")?;
    let (seconds, _) = rest.split_once(" s")?;
    let seconds: f64 = seconds.parse().ok()?;
    Some((seconds * 1e6).round() as u64)
}
