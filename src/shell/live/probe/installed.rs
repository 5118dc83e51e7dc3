//! Which etcd versions are whole on a host, by the record that was made when each was unpacked.
//!
//! ```text
//! b8a1… archive
//! 0f3c… 25174016 etcd
//! 77aa… 18219008 etcdctl
//! ```

use std::collections::BTreeMap;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, account};
use crate::core::desired::{Binaries, Desired};
use crate::core::names::{Digest, Version};
use crate::core::observed::Installed;

/// The name of the record in a version's folder.
pub const RECORD: &str = "quorate.sha256";

pub(super) struct Look;

impl Section for Look {
    type Fact = BTreeMap<Version, Installed>;

    const SHELL: &'static str = include_str!("installed.sh");

    fn words(of: &Subject<'_>) -> Option<Words> {
        let preinstalled = if is_preinstalled(of.desired) { "yes" } else { "" };
        Some(vec![
            binaries(of.desired),
            ("q_account", account::declared(of)),
            ("q_folder", of.desired.binaries_folder().to_string()),
            ("q_preinstalled", preinstalled.to_owned()),
        ])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<BTreeMap<Version, Installed>, Trouble> {
        Ok(installed(of.desired, answer))
    }
}

fn is_preinstalled(desired: &Desired) -> bool {
    matches!(desired.binaries, Binaries::Preinstalled { .. })
}

/// Where our own versions are.
pub(super) fn binaries(desired: &Desired) -> (&'static str, String) {
    ("q_binaries", if is_preinstalled(desired) { String::new() } else { desired.paths.binaries.to_string() })
}

fn installed(desired: &Desired, answer: &Answer<'_>) -> BTreeMap<Version, Installed> {
    if is_preinstalled(desired) {
        let said = answer.value("installed", "preinstalled");
        let version = said.and_then(|line| line.strip_prefix("etcd Version: ")?.trim().parse().ok());
        return version.into_iter().map(|version| (version, Installed { archive: None })).collect();
    }
    let version_of = |folder: &str| folder.rsplit_once('/')?.1.parse::<Version>().ok();
    let folders = answer.values("installed", "folder").filter_map(|folder| Some((folder, version_of(folder)?)));
    folders.map(|(folder, version)| (version, Installed { archive: archive(answer, folder) })).collect()
}

/// The archive that the folder was unpacked from; `None` when we did not, or when it was changed since.
fn archive(answer: &Answer, folder: &str) -> Option<Digest> {
    let record = core::str::from_utf8(answer.bodies.get(format!("{folder}/{RECORD}").as_str())?).ok()?;
    let mut lines = record.lines();
    let archive = lines.next()?.strip_suffix(" archive")?.parse().ok()?;
    let mut names = Vec::new();
    for line in lines {
        let [digest, bytes, name] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        let path = format!("{folder}/{name}");
        let is_whole = answer.stats.get(path.as_str())?.bytes == bytes.parse::<u64>().ok()?;
        // Taken only when the file is younger than the record.
        let sum = answer.sums.get(path.as_str());
        let is_same = sum.is_none_or(|sum| Ok(*sum) == digest.parse());
        if !is_whole || !is_same {
            return None;
        }
        names.push(name);
    }
    ["etcd", "etcdctl"].iter().all(|name| names.contains(name)).then_some(archive)
}
