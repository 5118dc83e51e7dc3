//! The timer of scheduled snapshots, the newest of them, and the last drill.

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::cluster::snapshot::begun;
use crate::core::observed::{Scheduled, Snapshot};

pub(super) struct Look;

impl Section for Look {
    /// `None` where it was not looked at.
    type Fact = Option<Scheduled>;

    const SHELL: &'static str = include_str!("scheduled.sh");

    fn words(of: &Subject<'_>) -> Option<Words> {
        let backup = of.desired.backup.as_ref()?;
        let compressor = backup.compression.program().unwrap_or_default();
        Some(vec![("q_backup", backup.directory.to_string()), ("q_compressor", compressor.to_owned())])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<Option<Scheduled>, Trouble> {
        Ok(scheduled(answer))
    }
}

fn scheduled(answer: &Answer<'_>) -> Option<Scheduled> {
    let said = |key: &str| answer.value("scheduled", key);
    if !answer.has("scheduled") {
        return None;
    }
    Some(Scheduled {
        // The timer is told of first, then its service.
        enabled: said("UnitFileState") == Some("enabled"),
        active: said("ActiveState") == Some("active"),
        needs_reload: answer.values("scheduled", "NeedDaemonReload").any(|needs| needs == "yes"),
        compressor: said("compressor") == Some("present"),
        last: last(said("last"), said("bytes")),
        drill: said("drill").and_then(|line| serde_json::from_str(line).ok()),
    })
}

fn last(name: Option<&str>, bytes: Option<&str>) -> Option<Snapshot> {
    let (name, bytes) = (name?, bytes?.parse().ok()?);
    Some(Snapshot { name: name.to_owned(), at: begun(name)?, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::UnixSeconds;
    use crate::core::observed::Drill;

    fn seen(lines: &str) -> Option<Scheduled> {
        let text = format!("quorate-probe 1\n{lines}[bodies]\n\n\nquorate-end\n");
        scheduled(&Answer::read(text.as_bytes()).expect("it is an answer"))
    }

    #[test]
    fn a_timer_is_seen_with_its_newest_snapshot() {
        let units = "UnitFileState=enabled\nActiveState=active\nNeedDaemonReload=no\n\nActiveState=inactive\nNeedDaemonReload=yes\n";
        let lines = format!(
            "[scheduled]\ncompressor=present\nlast=snapshot-20270115_080000.db.zst\nbytes=4096\ndrill={{\"at\":1800000060,\"snapshot\":\"x.db\"}}\n{units}"
        );
        let last = Snapshot {
            name: "snapshot-20270115_080000.db.zst".to_owned(),
            at: UnixSeconds(1_800_000_000),
            bytes: 4096,
        };
        let drill = Some(Drill { at: UnixSeconds(1_800_000_060), snapshot: "x.db".to_owned() });
        let expected =
            Scheduled { enabled: true, active: true, needs_reload: true, compressor: true, last: Some(last), drill };
        assert_eq!(seen(&lines), Some(expected));
        assert_eq!(seen("[scheduled]\n"), Some(Scheduled::default()));
        assert_eq!(seen(""), None);
        assert_eq!(seen("[scheduled]\nlast=snapshot-20271332_080000.db\nbytes=1\n").and_then(|is| is.last), None);
        assert_eq!(seen("[scheduled]\ndrill={\n").and_then(|is| is.drill), None);
    }
}
