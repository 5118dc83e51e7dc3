//! The timer of scheduled snapshots, and the newest of them.

use super::Answer;
use crate::names::UnixSeconds;
use crate::observed::{Scheduled, Snapshot};

/// `None` where it was not looked at.
pub fn scheduled(answer: &Answer) -> Option<Scheduled> {
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
    })
}

fn last(name: Option<&str>, bytes: Option<&str>) -> Option<Snapshot> {
    let (name, bytes) = (name?, bytes?.parse().ok()?);
    Some(Snapshot { name: name.to_owned(), at: begun(name)?, bytes })
}

/// When a snapshot was begun: `snapshot-20261121_080000.db.zst`.
fn begun(name: &str) -> Option<UnixSeconds> {
    let stamp = name.strip_prefix("snapshot-")?.split('.').next()?;
    let civil = jiff::civil::DateTime::strptime("%Y%m%d_%H%M%S", stamp).ok()?;
    Some(UnixSeconds(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(lines: &str) -> Option<Scheduled> {
        let text = format!("quorate-probe 1\n{lines}[bodies]\n\n\nquorate-end\n");
        scheduled(&Answer::read(text.as_bytes()).expect("it is an answer"))
    }

    #[test]
    fn a_timer_is_seen_with_its_newest_snapshot() {
        let units = "UnitFileState=enabled\nActiveState=active\nNeedDaemonReload=no\n\nActiveState=inactive\nNeedDaemonReload=yes\n";
        let lines =
            format!("[scheduled]\ncompressor=present\nlast=snapshot-20270115_080000.db.zst\nbytes=4096\n{units}");
        let last = Snapshot {
            name: "snapshot-20270115_080000.db.zst".to_owned(),
            at: UnixSeconds(1_800_000_000),
            bytes: 4096,
        };
        let expected =
            Scheduled { enabled: true, active: true, needs_reload: true, compressor: true, last: Some(last) };
        assert_eq!(seen(&lines), Some(expected));
        assert_eq!(seen("[scheduled]\n"), Some(Scheduled::default()));
        assert_eq!(seen(""), None);
        assert_eq!(seen("[scheduled]\nlast=snapshot-20271332_080000.db\nbytes=1\n").and_then(|is| is.last), None);
    }
}
