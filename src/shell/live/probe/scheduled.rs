//! The timer of scheduled snapshots, the newest of them, and the last drill.

use std::collections::BTreeMap;

use super::process;
use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::cluster::snapshot::{begun, counts};
use crate::core::complaint;
use crate::core::content::layout;
use crate::core::names::{ClusterId, RemotePath, UnixSeconds};
use crate::core::observed::{LastRun, Outcome, Scheduled, Snapshot};

pub(super) struct Look;

impl Section for Look {
    /// `None` where it was not looked at.
    type Fact = Option<Scheduled>;

    const SHELL: &'static str = concat!(include_str!("../../../core/content/mounted.sh"), include_str!("scheduled.sh"));

    fn words(of: &Subject<'_>) -> Option<Words> {
        let backup = of.desired.backup.as_ref()?;
        let compressor = backup.compression.program().unwrap_or_default();
        let mount = if backup.mount { "yes" } else { "" };
        Some(vec![
            ("q_backup", backup.directory.to_string()),
            ("q_compressor", compressor.to_owned()),
            ("q_mount", mount.to_owned()),
            ("q_data", of.desired.paths.data.to_string()),
            ("q_last", layout::BACKUP_LAST.to_owned()),
        ])
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
        without_etcdctl: said("etcdctl") == Some("absent"),
        unmounted: said("unmounted").map(RemotePath::new),
        newest: newest(answer.values("scheduled", "snapshot")),
        // The timer's: it is told of first.
        since: said("ActiveEnterTimestamp").and_then(process::instant),
        run: run(answer),
        drill: said("drill").and_then(|line| serde_json::from_str(line).ok()),
    })
}

fn id(hexadecimal: &str) -> Option<ClusterId> {
    u64::from_str_radix(hexadecimal, 16).ok().map(ClusterId)
}

/// The newest of each cluster that counts, of lines `CLUSTER NAME BYTES [BYTES]`: as it is now, and when it was checked.
fn newest<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Snapshot> {
    let read = |line: &str| {
        let mut words = line.split(' ');
        let (cluster, name, bytes) = (id(words.next()?)?, words.next()?, words.next()?.parse().ok()?);
        let checked = words.next().and_then(|checked| checked.parse().ok());
        counts(bytes, checked).then_some(Snapshot { name: name.to_owned(), at: begun(name)?, bytes, cluster })
    };
    let mut newest = BTreeMap::new();
    for snapshot in lines.filter_map(read) {
        let kept = newest.entry(snapshot.cluster).or_insert_with(|| snapshot.clone());
        if snapshot.at > kept.at {
            *kept = snapshot;
        }
    }
    newest.into_values().collect()
}

/// How the last run ended, in the words of the script.
fn run(answer: &Answer<'_>) -> Option<LastRun> {
    let said = |key: &str| answer.value("scheduled", key);
    let at = UnixSeconds(said("run-at")?.parse().ok()?);
    let outcome = match said("run-result")? {
        "taken" => Outcome::Taken,
        "taken-alone" => Outcome::TakenAlone,
        "left" => Outcome::Left,
        "failed" => Outcome::Failed,
        _ => return None,
    };
    let words = answer.values("scheduled", "run-said").collect::<Vec<_>>().join("\n");
    let tells = matches!(outcome, Outcome::TakenAlone | Outcome::Failed);
    Some(LastRun { at, outcome, why: Some(complaint::of_tool(&words)).filter(|why| tells && !why.is_empty()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::observed::Drill;

    fn seen(lines: &str) -> Option<Scheduled> {
        let text = format!("quorate-probe 1\n{lines}[bodies]\n\n\nquorate-end\n");
        scheduled(&Answer::read(text.as_bytes()).expect("it is an answer"))
    }

    fn snapshot(at: i64, name: &str, bytes: u64, cluster: u64) -> Snapshot {
        Snapshot { name: name.to_owned(), at: UnixSeconds(at), bytes, cluster: ClusterId(cluster) }
    }

    #[test]
    fn a_timer_is_seen_with_its_newest_snapshot() {
        let units = "UnitFileState=enabled\nActiveState=active\nNeedDaemonReload=no\n\
                     ActiveEnterTimestamp=Fri 2027-01-15 08:00:00 UTC\n\nActiveState=inactive\nNeedDaemonReload=yes\n\
                     ActiveEnterTimestamp=\n";
        let lines = format!(
            "[scheduled]\ncompressor=present\nsnapshot=cdf8 snapshot-20270115_080000.db.zst 4096 4096\ndrill={{\"at\":1800000060,\"snapshot\":\"x.db\"}}\n{units}"
        );
        let newest = vec![snapshot(1_800_000_000, "snapshot-20270115_080000.db.zst", 4096, 0xcdf8)];
        let drill = Some(Drill { at: UnixSeconds(1_800_000_060), snapshot: "x.db".to_owned(), cluster_id: None });
        let expected = Scheduled {
            enabled: true,
            active: true,
            needs_reload: true,
            compressor: true,
            newest,
            drill,
            since: Some(UnixSeconds(1_800_000_000)),
            ..Scheduled::default()
        };
        assert_eq!(seen(&lines), Some(expected));
        assert_eq!(seen("[scheduled]\n"), Some(Scheduled::default()));
        assert_eq!(seen(""), None);
        let newest = |line: &str| seen(&format!("[scheduled]\n{line}\n")).expect("it is there").newest;
        assert_eq!(newest("snapshot=cdf8 snapshot-20271332_080000.db 1 1"), []);
        assert_eq!(seen("[scheduled]\ndrill={\n").and_then(|is| is.drill), None);
    }

    #[test]
    fn of_each_cluster_the_newest_that_counts_is_seen() {
        let lines = "[scheduled]\nsnapshot=a snapshot-20270114_080000.db 4096 4096\nsnapshot=a snapshot-20270115_080000.db 2 4096\n\
                     snapshot=b snapshot-20270115_080000.db.gz 2 \nsnapshot=c snapshot-20270115_080000.db.zst 5000 \n\
                     snapshot=x snapshot-20270115_080000.db 4096 4096\nunmounted=/\n";
        let seen = seen(lines).expect("it is there");
        let first = snapshot(1_799_913_600, "snapshot-20270114_080000.db", 4096, 0xa);
        // The one of `c` is large enough, and nobody says that it was checked.
        assert_eq!(seen.newest, [first]);
        assert_eq!(seen.unmounted, Some(RemotePath::new("/")));
    }

    #[test]
    fn how_the_last_run_ended_is_told_with_its_cause() {
        let run = |lines: &str| seen(&format!("[scheduled]\nrun-at=1800000000\n{lines}")).expect("it is there").run;
        let ended = |outcome, why: Option<&str>| {
            Some(LastRun { at: UnixSeconds(1_800_000_000), outcome, why: why.map(str::to_owned) })
        };
        assert_eq!(run("run-result=taken\n"), ended(Outcome::Taken, None));
        assert_eq!(run("run-result=left\nrun-said=etcd-2 has taken it\n"), ended(Outcome::Left, None));
        let why = "etcdserver: mvcc: database space exceeded";
        assert_eq!(run(&format!("run-result=taken-alone\nrun-said={why}\n")), ended(Outcome::TakenAlone, Some(why)));
        let failed = "run-result=failed\nrun-said=etcdctl snapshot save: {\"level\":\"info\",\"msg\":\"x\"}\n\
                      run-said=Error: permission denied\nrun-said=main.main\n";
        let why = "etcdctl snapshot save: Error: permission denied";
        assert_eq!(run(failed), ended(Outcome::Failed, Some(why)));
        assert_eq!(run("run-result=other\n"), None);
    }
}
