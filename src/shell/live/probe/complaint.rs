//! Why a service does not run: from systemd, where that or the kernel ended it, and from the end of its log otherwise. One that
//! is killed says nothing of it.

use super::section::{Section, Subject, Words};
use super::unit;
use super::{Answer, Trouble};
use crate::core::complaint;

pub(super) struct Look;

impl Section for Look {
    type Fact = Option<String>;

    const SHELL: &'static str = include_str!("complaint.sh");

    const NEEDS: &'static [&'static str] = &["grep", "sed", "tail"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_service", of.desired.paths.service.clone())])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<Option<String>, Trouble> {
        let words = complaint::of(&answer.lines("complaint").collect::<Vec<_>>().join("\n"));
        let said = |key: &str| answer.value("unit", key);
        if !unit::is_over(said) {
            return Ok(words);
        }
        if let Some(before) = unit::failed_before(answer) {
            let words = words.map_or_else(String::new, |words| format!(": {words}"));
            let (program, how) = (&before.program, &before.how);
            return Ok(Some(format!("before etcd could start, {program} (ExecStartPre of its unit) {how}{words}")));
        }
        Ok(ended_by(said).map(str::to_owned).or(words))
    }
}

/// Who else than etcd has ended it. Source: `service_result_table` in systemd's service.c.
fn ended_by<'a>(said: impl Fn(&str) -> Option<&'a str>) -> Option<&'static str> {
    const SIGKILL: &str = "9";
    Some(match said("Result")? {
        "oom-kill" => "killed for want of memory (systemd: oom-kill)",
        "watchdog" => "ended by systemd's watchdog",
        "timeout" => "ended by systemd, as it took too long (timeout)",
        "signal" if said("ExecMainStatus") == Some(SIGKILL) => {
            "killed (SIGKILL), by somebody or for want of memory: `journalctl -k` tells which"
        }
        _ => return None,
    })
}
