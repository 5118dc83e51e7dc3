//! Which etcd the main process of the unit is, or the one in the pod.

use std::collections::BTreeMap;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, missing};
use crate::core::desired::Runtime;
use crate::core::names::{RemotePath, UnixSeconds};
use crate::core::observed::{Process, Work};

pub(super) struct Look;

impl Section for Look {
    /// Without what it has loaded, and what it serves.
    type Fact = Option<Process>;

    const SHELL: &'static str = include_str!("process.sh");

    const NEEDS: &'static [&'static str] = &["grep", "readlink", "stat"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let paths = &of.desired.paths;
        Some(vec![("q_config", paths.config.to_string()), ("q_data", paths.data.to_string())])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Option<Process>, Trouble> {
        let said = |key: &str| answer.value("process", key);
        let pid = match of.desired.cluster.runtime {
            Runtime::Systemd => answer.value("unit", "MainPID"),
            Runtime::StaticPod => answer.value("pod", "pid"),
        };
        let pid = pid.and_then(|text| text.parse().ok()).unwrap_or(0);
        // It may have ended between two lines of the answer.
        let (1.., Some(executable)) = (pid, said("executable")) else { return Ok(None) };
        let path = executable.strip_suffix(" (deleted)").unwrap_or(executable);
        // The unit's shell takes the digests first, and becomes etcd then: until that it is no etcd yet.
        let is_starting = answer.value("unit", "ActiveState") == Some("activating");
        if is_starting && !path.ends_with("/etcd") {
            return Ok(None);
        }
        Ok(Some(Process {
            pid,
            started: started(answer).ok_or_else(|| missing("when etcd was started"))?,
            executable: RemotePath::new(path),
            executable_replaced: said("replaced").is_some(),
            foreign_config: !of.desired.cluster.layout.is_adopted() && said("foreign-config").is_some(),
            loaded: BTreeMap::new(),
            served: BTreeMap::new(),
            started_with: None,
            work: work(said),
        }))
    }
}

/// The user of the main process, whatever that is by now.
pub(super) fn uid(answer: &Answer<'_>) -> Option<u32> {
    answer.value("process", "uid")?.parse().ok()
}

fn work<'a>(said: impl Fn(&str) -> Option<&'a str>) -> Option<Work> {
    let number = |key: &str| said(key)?.parse().ok();
    Some(Work {
        read_bytes: number("read")?,
        cpu_ticks: number("cpu")?,
        disk_bytes: number("disk"),
        database_bytes: number("database"),
    })
}

pub(super) fn started(answer: &Answer<'_>) -> Option<UnixSeconds> {
    if answer.has("pod") {
        return answer.value("pod", "started")?.parse().ok().map(UnixSeconds);
    }
    answer.value("unit", "ExecMainStartTimestamp").and_then(instant)
}

/// From systemd's `Fri 2026-11-20 23:17:03 UTC`.
pub(super) fn instant(text: &str) -> Option<UnixSeconds> {
    let (_, date_and_time) = text.split_once(' ')?;
    let civil = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S UTC", date_and_time).ok()?;
    Some(UnixSeconds(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second()))
}
