//! What each file and folder on a host is called, and who may read it.

use crate::core::desired::Desired;
use crate::core::names::{Digest, RemotePath};
use crate::core::observed::{Access, File, Folder};

/// The user and group that etcd runs as.
pub const ACCOUNT: &str = "etcd";

/// Where `etcdctl` and `etcdutl` are linked, so that they are on every operator's PATH.
pub const TOOLS_FOLDER: &str = "/usr/local/bin";

/// Where units of ours lie.
const UNITS_FOLDER: &str = "/etc/systemd/system";

/// Where the snapshots go that are saved before an upgrade. Root's alone: a snapshot holds everything.
pub const SNAPSHOTS_FOLDER: &str = "/var/backups/etcd";

/// The units of scheduled snapshots.
pub const BACKUP_SERVICE: &str = "quorate-backup.service";
pub const BACKUP_TIMER: &str = "quorate-backup.timer";

/// Programs of ours that the host runs by itself.
const PROGRAMS_FOLDER: &str = "/usr/local/lib/quorate";

/// The path of `file` on every host.
pub fn path(desired: &Desired, file: File) -> RemotePath {
    let certificate = |name| desired.paths.certificates.join(name);
    match file {
        File::Config => desired.paths.config.clone(),
        File::Unit => desired.paths.unit(),
        File::Permit => desired.paths.permit(),
        File::Departures => desired.paths.config_folder().join("departures"),
        File::RestoreNote => desired.paths.config_folder().join("restore"),
        File::RestoreMark => desired.paths.data.join(RESTORE_MARK),
        File::Trust => certificate("ca.crt"),
        File::ServerCertificate => certificate("server.crt"),
        File::ServerKey => certificate("server.key"),
        File::PeerCertificate => certificate("peer.crt"),
        File::PeerKey => certificate("peer.key"),
        File::HealthcheckCertificate => certificate("healthcheck-client.crt"),
        File::HealthcheckKey => certificate("healthcheck-client.key"),
        File::BackupScript => RemotePath::new(PROGRAMS_FOLDER).join("backup.sh"),
        File::BackupService => RemotePath::new(UNITS_FOLDER).join(BACKUP_SERVICE),
        File::BackupTimer => RemotePath::new(UNITS_FOLDER).join(BACKUP_TIMER),
        File::BackupCertificate => certificate("backup-client.crt"),
        File::BackupKey => certificate("backup-client.key"),
    }
}

/// Who may read `file`. A key is its one reader's alone: etcd's, or root's for the health check and for snapshots.
pub fn access(file: File) -> Access {
    match file {
        File::Config
        | File::Unit
        | File::Permit
        | File::Departures
        | File::RestoreNote
        | File::Trust
        | File::ServerCertificate
        | File::PeerCertificate
        | File::HealthcheckCertificate
        | File::BackupService
        | File::BackupTimer
        | File::BackupCertificate => Access::new("644", "root", "root"),
        File::BackupScript => Access::new("755", "root", "root"),
        File::ServerKey | File::PeerKey | File::RestoreMark => Access::new("600", ACCOUNT, ACCOUNT),
        File::HealthcheckKey | File::BackupKey => Access::new("600", "root", "root"),
    }
}

/// Beside `member` in the data directory; etcd looks at nothing there that it did not make.
const RESTORE_MARK: &str = "quorate-restored";

/// Where a snapshot lies that is to be restored: beside the data, under the SHA-256 that it ends in.
pub fn pushed_snapshot(desired: &Desired, digest: Digest) -> RemotePath {
    RemotePath::new(format!("{}.restore-{digest}.db", desired.paths.data))
}

/// Of the authority's key, where it lies on the nodes.
pub fn authority_key_access() -> Access {
    Access::new("600", "root", "root")
}

pub fn folder_path(desired: &Desired, folder: Folder) -> RemotePath {
    match folder {
        Folder::Config => desired.paths.config_folder(),
        Folder::Certificates => desired.paths.certificates.clone(),
        Folder::Data => desired.paths.data.clone(),
    }
}

/// etcd insists on 0700 for its data directory, and sets it itself when it can.
pub fn folder_access(folder: Folder) -> Access {
    match folder {
        Folder::Config | Folder::Certificates => Access::new("755", "root", "root"),
        Folder::Data => Access::new("700", ACCOUNT, ACCOUNT),
    }
}
