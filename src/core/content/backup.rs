//! What `[backup]` puts on a node: the script, and the systemd service and timer that run it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::BANNER;
use crate::core::content::layout;
use crate::core::desired::{Backup, Desired, METRICS_FOLDER, Runtime};
use crate::core::names::{Digest, HostName};
use crate::core::observed::File;

/// What takes a snapshot, or leaves it to another node.
pub const SCRIPT: &str = concat!(
    "#!/bin/sh\n",
    include_str!("mounted.sh"),
    include_str!("processes.sh"),
    include_str!("pods.sh"),
    include_str!("backup.sh")
);

/// Asked for of every node by every rule, and always the same.
pub static SCRIPT_DIGEST: LazyLock<Digest> = LazyLock::new(|| Digest::of(SCRIPT));

/// The service. It is the same on every node, where the script reads in etcd.yaml which one it is; of a service that somebody else
/// has set up, it says so itself.
///
/// - A run that hangs would keep its place in the queue for ever, so it has an end.
/// - Compressing must not take from the member what it needs to answer.
pub fn service(desired: &Desired, backup: &Backup, host: &HostName) -> String {
    let path = |file| layout::common_path(desired, file);
    let mut text = format!(
        "{BANNER}\
[Unit]
Description=A scheduled snapshot of the etcd cluster {cluster}
After={etcd}

[Service]
Type=oneshot
ExecStart=/bin/sh {script}
TimeoutStartSec=2h
Nice=19
IOSchedulingClass=idle
NoNewPrivileges=true
",
        cluster = desired.cluster.name,
        etcd = desired.paths.service,
        script = path(File::BackupScript),
    );
    let metrics = backup.metrics.as_ref().map_or(METRICS_FOLDER, |folder| folder.as_str());
    let who = match desired.cluster.layout.is_adopted() {
        false => vec![("CONFIG", path(File::Config).to_string())],
        true => vec![
            ("NODE", host.to_string()),
            ("DATA", desired.paths.data.to_string()),
            ("ENDPOINT", desired.client_url(host).to_string()),
        ],
    };
    let first = [("CLUSTER", desired.cluster.name.to_string()), ("ETCD", desired.paths.service.clone())];
    let policy = [
        ("CA", path(File::Trust).to_string()),
        ("CERTIFICATE", path(File::BackupCertificate).to_string()),
        ("KEY", path(File::BackupKey).to_string()),
        ("DIRECTORY", backup.directory.to_string()),
        ("KEEP", backup.keep.to_string()),
        ("COMPRESSION", backup.compression.as_str().to_owned()),
        ("METRICS", metrics.to_owned()),
        ("LAST", layout::BACKUP_LAST.to_owned()),
    ];
    for (name, value) in first.into_iter().chain(who).chain(policy) {
        writeln!(text, "Environment=QUORATE_{name}={value}").expect("a String takes every write");
    }
    if desired.cluster.runtime == Runtime::StaticPod {
        text.push_str("Environment=QUORATE_POD=yes\n");
    }
    if backup.mount {
        text.push_str("Environment=QUORATE_MOUNT=yes\n");
    }
    text
}

/// The timer, the same on every node: all of them stand ready, and the script lets one of them through.
///
/// What was missed while a node was down is not caught up with: another node was there.
pub fn timer(desired: &Desired, backup: &Backup) -> String {
    let mut text = format!(
        "{BANNER}\
[Unit]
Description=Snapshots of the etcd cluster {cluster} ({cron})

[Timer]
",
        cluster = desired.cluster.name,
        cron = backup.schedule.cron.escape_debug().to_string().replace('%', "%%"),
    );
    for line in &backup.schedule.calendar {
        writeln!(text, "OnCalendar={line}").expect("a String takes every write");
    }
    text.push_str("# The slot is the minute in which it fires.\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n");
    text
}
