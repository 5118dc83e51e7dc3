//! One row for each file and folder on a host: what it is called, who may read it, and what becomes of it.
//!
//! A new file is a variant of [`File`] and its row here; without the row, or with a column left out, nothing compiles.

use crate::core::desired::{Binaries, Consumer, Desired, Node, Paths, Runtime};
use crate::core::names::{Digest, HostName, RemotePath};
use crate::core::observed::{Access, File, FileFact, Folder, Needed, Stored};

/// The user and group that etcd runs as in a service of ours.
pub const ACCOUNT: &str = "etcd";

/// Whom what is made for etcd belongs to: a pod of kubeadm's runs it as root.
pub fn account(desired: &Desired) -> &'static str {
    match desired.cluster.runtime {
        Runtime::Systemd => ACCOUNT,
        Runtime::StaticPod => "root",
    }
}

/// Where `etcdctl` and `etcdutl` are linked, so that they are on every operator's PATH.
pub const TOOLS_FOLDER: &str = "/usr/local/bin";

/// Where units of ours lie.
pub const UNITS_FOLDER: &str = "/etc/systemd/system";

/// Where the snapshots go that are saved before an upgrade. Root's alone: a snapshot holds everything.
pub const SNAPSHOTS_FOLDER: &str = "/var/backups/etcd";

/// The units of scheduled snapshots.
pub const BACKUP_SERVICE: &str = "quorate-backup.service";

pub const BACKUP_TIMER: &str = "quorate-backup.timer";

/// How the last run of the timer ended. In memory: it tells nothing of a time before the host was started.
pub const BACKUP_LAST: &str = "/run/quorate-backup.last";

/// All that takes scheduled snapshots on a node, in any layout: the script, its two units, and a pair.
pub const OF_BACKUPS: [File; 5] =
    [File::BackupScript, File::BackupService, File::BackupTimer, File::BackupCertificate, File::BackupKey];

/// What quorate itself keeps on a host on which somebody else has set etcd up: who may start without data, and who has left.
const STATE_FOLDER: &str = "/var/lib/quorate";

/// All that says how far a change of the members, or a restore, has come, in any layout.
const OF_CHANGES: [File; 4] = [File::NewDataMarker, File::Departures, File::RestoreNote, File::RestoreMark];

/// Programs of ours that the host runs by itself.
const PROGRAMS_FOLDER: &str = "/usr/local/lib/quorate";

/// What is to be known of a file.
pub struct FileRow {
    at: At,
    owned: Owned,
    pub compared: Compared,
    /// What becomes of what lay there before.
    pub previous: Previous,
    /// Who on the host must hear that it was written or removed.
    pub listener: Listener,
    /// As an operator calls it, in a sentence: `the unit`.
    pub word: &'static str,
    /// What a step that writes it is called.
    pub title: &'static str,
}

/// Where a file lies: where it is declared to, or under its name in a folder.
enum At {
    Config,
    Unit,
    BesideConfig(&'static str),
    InCertificates(&'static str),
    InData(&'static str),
    InPrograms(&'static str),
    InUnits(&'static str),
}

/// Whose a file or folder is, and who else may read it. A key is its one reader's alone: etcd's, or root's for the health
/// check and for snapshots.
enum Owned {
    /// Root's, and everyone may read it.
    Public,
    /// Root's, and everyone may run it, or look into it.
    Open,
    /// Root's alone.
    Root,
    /// The account's alone.
    Etcd,
    /// A folder that is the account's alone. etcd insists on 0700 for its data directory, and sets it itself when it can.
    EtcdFolder,
}

/// By what a file is compared with what it should be, and so how much of it a look at a host brings home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// By its text, line by line.
    AsText,
    /// By its digest. Its text is looked at for what else it says.
    ByDigest,
    /// By its digest, and its text never leaves the host: it is a key.
    Unread,
}

/// What becomes of the file that another one replaces. Keys and certificates are never lost, nor is what someone else
/// wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Previous {
    /// Kept as NAME.previous.
    Kept,
    /// Kept unless we have written it.
    KeptIfForeign,
    Replaced,
}

/// Who on a host must hear of a new text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    Nobody,
    /// systemd, which reads its units again.
    Units,
    /// systemd, and the timer that the file is: it goes by its new hours.
    Timer,
}

/// What is to be known of `file`.
pub fn row(file: File) -> FileRow {
    use At::{BesideConfig, InData, InPrograms, InUnits};
    use Compared::{AsText, ByDigest};
    use Listener::{Nobody, Timer, Units};
    use Owned::{Etcd, Open, Public, Root};
    use Previous::{Kept, KeptIfForeign, Replaced};
    match file {
        File::Config => of(At::Config, Public, AsText, KeptIfForeign, Nobody).called("etcd.yaml", "write etcd.yaml"),
        File::Settings => {
            of(At::Config, Public, AsText, KeptIfForeign, Nobody).called("the settings", "change etcd's settings")
        }
        File::Unit => of(At::Unit, Public, AsText, KeptIfForeign, Units).called("the unit", "write the systemd unit"),
        File::NewDataMarker => of(BesideConfig("may-create-data"), Public, AsText, Replaced, Nobody)
            .called("the marker for a new data directory", "allow etcd to start with an empty data directory"),
        File::Departures => of(BesideConfig("departures"), Public, AsText, Replaced, Nobody)
            .called("the record of departing members", "record which members are leaving"),
        File::RestoreNote => of(BesideConfig("restore"), Public, AsText, Replaced, Nobody)
            .called("the restore marker", "record that a restore is under way"),
        // Beside `member`; etcd looks at nothing there that it did not make.
        File::RestoreMark => of(InData("quorate-restored"), Etcd, AsText, Replaced, Nobody)
            .called("the marker of restored data", "write the marker of restored data"),
        File::Trust => certificate("ca.crt").called("ca.crt", "write ca.crt"),
        File::ServerCertificate => certificate("server.crt").called("server.crt", "write server.crt"),
        File::ServerKey => key("server.key", Etcd).called("server.key", "write server.key"),
        File::PeerCertificate => certificate("peer.crt").called("peer.crt", "write peer.crt"),
        File::PeerKey => key("peer.key", Etcd).called("peer.key", "write peer.key"),
        File::HealthcheckCertificate => {
            certificate("healthcheck-client.crt").called("healthcheck-client.crt", "write healthcheck-client.crt")
        }
        File::HealthcheckKey => {
            key("healthcheck-client.key", Root).called("healthcheck-client.key", "write healthcheck-client.key")
        }
        File::BackupScript => of(InPrograms("backup.sh"), Open, ByDigest, Kept, Nobody)
            .called("the backup script", "write the backup script"),
        File::BackupService => of(InUnits(BACKUP_SERVICE), Public, AsText, KeptIfForeign, Units)
            .called("the backup service", "write the backup service"),
        File::BackupTimer => of(InUnits(BACKUP_TIMER), Public, AsText, KeptIfForeign, Timer)
            .called("the backup timer", "write the backup timer"),
        File::BackupCertificate => {
            certificate("backup-client.crt").called("backup-client.crt", "write backup-client.crt")
        }
        File::BackupKey => key("backup-client.key", Root).called("backup-client.key", "write backup-client.key"),
    }
}

/// The columns of a row before its words.
struct Columns(At, Owned, Compared, Previous, Listener);

fn of(at: At, owned: Owned, compared: Compared, previous: Previous, listener: Listener) -> Columns {
    Columns(at, owned, compared, previous, listener)
}

fn certificate(name: &'static str) -> Columns {
    Columns(At::InCertificates(name), Owned::Public, Compared::ByDigest, Previous::Kept, Listener::Nobody)
}

fn key(name: &'static str, owned: Owned) -> Columns {
    Columns(At::InCertificates(name), owned, Compared::Unread, Previous::Kept, Listener::Nobody)
}

impl Columns {
    /// In a sentence, and as the title of the step that writes it.
    fn called(self, word: &'static str, title: &'static str) -> FileRow {
        let Self(at, owned, compared, previous, listener) = self;
        FileRow { at, owned, compared, previous, listener, word, title }
    }
}

/// The path of `file` on `host`. One that is not declared was, until lately, under its name.
pub fn path(desired: &Desired, host: &HostName, file: File) -> RemotePath {
    match desired.paths.names.get(&file) {
        Some(name) => {
            let own = desired.nodes.get(host).map_or(host.as_str(), Node::host_in_names);
            let name = name.replace("{member}", host.as_str()).replace("{host}", own);
            desired.paths.certificates.join(&name)
        }
        None => common_path(desired, file),
    }
}

/// The path of a `file` that is called the same on every host: of all but the pairs of the members.
pub fn common_path(desired: &Desired, file: File) -> RemotePath {
    let paths = &desired.paths;
    if let Some(name) = paths.names.get(&file) {
        return paths.certificates.join(name);
    }
    match row(file).at {
        At::Config => paths.config.clone(),
        At::Unit => paths.unit(),
        At::BesideConfig(name) if desired.cluster.layout.is_adopted() => state_folder(desired).join(name),
        At::BesideConfig(name) => paths.config_folder().join(name),
        At::InCertificates(name) => paths.certificates.join(name),
        At::InData(name) => paths.data.join(name),
        At::InPrograms(name) => RemotePath::new(PROGRAMS_FOLDER).join(name),
        At::InUnits(name) => RemotePath::new(UNITS_FOLDER).join(name),
    }
}

/// `/var/lib/quorate/etc-kubernetes-manifests-etcd.yaml`: of the etcd with that file, as a host may have two.
pub fn state_folder(desired: &Desired) -> RemotePath {
    let of = desired.paths.config.as_str().trim_start_matches('/').replace('/', "-");
    RemotePath::new(STATE_FOLDER).join(&of)
}

/// Whether a member of that host shows one pair on both its ports.
pub fn has_one_pair(desired: &Desired, host: &HostName) -> bool {
    path(desired, host, File::ServerCertificate) == path(desired, host, File::PeerCertificate)
}

/// What `file` is called on the hosts, with the placeholders as declared.
pub fn called(desired: &Desired, file: File) -> &str {
    desired.paths.names.get(&file).map_or(row(file).word, String::as_str)
}

/// What says on the host of a consumer that it was not told of its new files yet.
pub fn reload_due(consumer: &Consumer) -> RemotePath {
    RemotePath::new(format!("{}.reload-due", consumer.certificate))
}

/// Who may read `file` in our own layout.
pub fn access(file: File) -> Access {
    row(file).owned.access(ACCOUNT)
}

/// The same of one that is made in the declared layout.
pub fn new_access(desired: &Desired, file: File) -> Access {
    match file {
        // As kubeadm has its manifests.
        File::Settings if desired.cluster.runtime == Runtime::StaticPod => Owned::Root.access(ACCOUNT),
        _ => row(file).owned.access(account(desired)),
    }
}

/// The same once it was written in the place of what is there: in somebody else's files that stays as it is.
pub fn access_after(desired: &Desired, file: File, before: Option<&FileFact>) -> Access {
    let theirs = before.filter(|_| is_theirs(desired, file));
    theirs.map_or_else(|| new_access(desired, file), |fact| fact.access.clone())
}

/// Whether it was there before quorate: of a service that somebody else has set up. Such a file stays whose it is.
pub fn is_theirs(desired: &Desired, file: File) -> bool {
    desired.cluster.layout.is_adopted() && !OF_BACKUPS.contains(&file) && !OF_CHANGES.contains(&file)
}

/// The files that there are to be on a host: in a service that somebody else has set up, what it uses, and what takes snapshots.
pub fn files(desired: &Desired) -> impl Iterator<Item = File> + use<> {
    let is_adopted = desired.cluster.layout.is_adopted();
    File::ALL.iter().copied().filter(move |file| match file {
        File::Settings => is_adopted,
        File::Trust
        | File::ServerCertificate
        | File::ServerKey
        | File::PeerCertificate
        | File::PeerKey
        | File::HealthcheckCertificate
        | File::HealthcheckKey
        | File::BackupScript
        | File::BackupService
        | File::BackupTimer
        | File::BackupCertificate
        | File::BackupKey
        | File::NewDataMarker
        | File::Departures
        | File::RestoreNote
        | File::RestoreMark => true,
        File::Config | File::Unit => !is_adopted,
    })
}

impl Owned {
    fn access(self, account: &str) -> Access {
        match self {
            Self::Public => Access::new("644", "root", "root"),
            Self::Open => Access::new("755", "root", "root"),
            Self::Root => Access::new("600", "root", "root"),
            Self::Etcd => Access::new("600", account, account),
            Self::EtcdFolder => Access::new("700", account, account),
        }
    }
}

/// What is to be known of a folder.
pub struct FolderRow {
    at: fn(&Paths) -> RemotePath,
    owned: Owned,
    /// As an operator calls it: `data`, as in "the data folder".
    pub word: &'static str,
}

/// What is to be known of `folder`.
pub fn folder_row(folder: Folder) -> FolderRow {
    let (at, owned, word): (fn(&Paths) -> RemotePath, _, _) = match folder {
        Folder::Config => (Paths::config_folder, Owned::Open, "configuration"),
        Folder::Certificates => (|paths| paths.certificates.clone(), Owned::Open, "certificate"),
        Folder::Data => (|paths| paths.data.clone(), Owned::EtcdFolder, "data"),
    };
    FolderRow { at, owned, word }
}

pub fn folder_path(desired: &Desired, folder: Folder) -> RemotePath {
    (folder_row(folder).at)(&desired.paths)
}

pub fn folder_access(folder: Folder) -> Access {
    folder_row(folder).owned.access(ACCOUNT)
}

/// The same of one that is made in the declared layout. The kubelet's folder of manifests is root's alone, as kubeadm makes it.
pub fn new_folder_access(desired: &Desired, folder: Folder) -> Access {
    match folder {
        Folder::Config if desired.cluster.runtime == Runtime::StaticPod => Owned::EtcdFolder.access(account(desired)),
        _ => folder_row(folder).owned.access(account(desired)),
    }
}

/// Where the manifest of a static pod waits while the kubelet is not to run it: `/etc/kubernetes/quorate/etcd.yaml`. The kubelet
/// reads every file in the folder of its manifests, so it is beside that folder: a rename leads there and back.
pub fn aside_of_manifest(desired: &Desired) -> RemotePath {
    let config = &desired.paths.config;
    desired.paths.config_folder().parent().join("quorate").join(config.name())
}

/// What etcd needs on the disk of its host: of a static pod, the program is in its image.
pub fn needed(desired: &Desired) -> impl Iterator<Item = Needed> + use<> {
    let has_binary = desired.binaries != Binaries::Image;
    Needed::ALL.iter().copied().filter(move |needed| has_binary || *needed != Needed::Binary)
}

/// Where what etcd needs at its start is declared to be.
pub fn needed_path(desired: &Desired, needed: Needed) -> RemotePath {
    match needed {
        Needed::Binary => desired.binaries_folder().join("etcd"),
        Needed::Config => desired.paths.config.clone(),
        Needed::Certificates => desired.paths.certificates.clone(),
        Needed::Data => desired.paths.data.clone(),
    }
}

/// The folder of what is written there; `None` where nothing is declared to be.
pub fn stored_path(desired: &Desired, stored: Stored) -> Option<RemotePath> {
    let paths = &desired.paths;
    Some(match stored {
        Stored::Data => paths.data.clone(),
        Stored::BesideData => paths.data.parent(),
        Stored::DataElsewhere => return None,
        Stored::Binaries => paths.binaries.clone(),
        Stored::Config => paths.config_folder(),
        Stored::Certificates => paths.certificates.clone(),
        Stored::Units => RemotePath::new(UNITS_FOLDER),
        Stored::Programs => RemotePath::new(PROGRAMS_FOLDER),
        Stored::Snapshots => RemotePath::new(SNAPSHOTS_FOLDER),
        Stored::Backups => desired.backup.as_ref()?.directory.clone(),
    })
}

/// All of them, in one line.
pub fn stored_paths(desired: &Desired) -> String {
    let paths = Stored::ALL.iter().filter_map(|stored| stored_path(desired, *stored));
    paths.map(|path| path.to_string()).collect::<Vec<_>>().join(" ")
}

/// In which of the folders `file` is.
pub fn stored(file: File) -> Stored {
    match row(file).at {
        At::Config | At::BesideConfig(_) => Stored::Config,
        At::Unit | At::InUnits(_) => Stored::Units,
        At::InCertificates(_) => Stored::Certificates,
        At::InData(_) => Stored::Data,
        At::InPrograms(_) => Stored::Programs,
    }
}

/// Where a snapshot lies that is to be restored: beside the data, under the SHA-256 that it ends in.
pub fn pushed_snapshot(desired: &Desired, digest: Digest) -> RemotePath {
    RemotePath::new(format!("{}.restore-{digest}.db", desired.paths.data))
}

/// In the declared data directory while data is copied there: it names the directory that still has it.
pub const MOVED_FROM: &str = ".moved-from.quorate";

/// Of the authority's key, where it lies on the nodes.
pub fn authority_key_access() -> Access {
    Owned::Root.access(ACCOUNT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::core::observed::Role;
    use crate::laws::sample;

    #[test]
    fn every_file_has_a_path_and_words_of_its_own() {
        let desired = sample::desired(1);
        let host = sample::name(0);
        let of = |column: &dyn Fn(File) -> String| File::ALL.iter().map(|file| column(*file)).collect::<BTreeSet<_>>();
        let paths: BTreeSet<_> = files(&desired).map(|file| path(&desired, &host, file)).collect();
        assert_eq!(paths.len(), files(&desired).count());
        // All but the one that is in the place of etcd.yaml.
        assert_eq!(files(&desired).count(), File::ALL.len() - 1);
        assert_eq!(of(&|file| row(file).word.to_owned()).len(), File::ALL.len());
        assert_eq!(of(&|file| row(file).title.to_owned()).len(), File::ALL.len());
    }

    #[test]
    fn a_key_is_never_read_and_no_other_hand_may_have_it() {
        for key in Role::ALL.iter().copied().map(Role::key) {
            assert_eq!((row(key).compared, access(key).mode.as_str()), (Compared::Unread, "600"), "{key:?}");
        }
    }

    /// They are written as one, under names that are made from the role's.
    #[test]
    fn a_pair_is_called_as_its_role() {
        for &role in Role::ALL {
            assert_eq!(row(role.certificate()).word, format!("{role}.crt"));
            assert_eq!(row(role.key()).word, format!("{role}.key"));
        }
    }
}
