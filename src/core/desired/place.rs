//! Where in cluster.toml a thing is declared: every place that a plan or a message points at.

use std::collections::BTreeMap;

use crate::core::names::{ConsumerName, HostName, RoleName, UserName};

/// A key or a section of cluster.toml. A closed list, so that a misspelt one does not compile instead of losing its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::EnumCount)]
pub enum Place<'a> {
    Archive,
    ArchiveSha256,
    ArchivePreinstalled,
    Auth,
    AuthEnabled,
    AutoCompaction,
    Backup,
    BackupCompression,
    BackupMount,
    BackupNodes,
    BackupSchedule,
    Ca,
    CaPassphrase,
    CaPreviousPassphrase,
    CaSource,
    Certificates,
    ClientPort,
    Consumer(&'a ConsumerName),
    Downtime,
    Etcd,
    EtcdExtra,
    /// One of etcd's own settings.
    EtcdExtraKey(&'a str),
    ElectionTimeout,
    HeartbeatInterval,
    MetricsPort,
    Node(&'a HostName),
    NodeAddress(&'a HostName),
    NodeCertificates(&'a HostName),
    Nodes,
    Paths,
    PathsBinaries,
    PathsCertificates,
    PathsConfig,
    PathsData,
    PathsService,
    PeerPort,
    QuotaBackend,
    RenewBefore,
    Role(&'a RoleName),
    User(&'a UserName),
    /// The user whose own role is meant: it has the user's name.
    UserOfRole(&'a RoleName),
    Version,
}

impl Place<'_> {
    /// Dotted, `nodes.etcd-1.address`.
    pub fn path(self) -> String {
        let fixed = match self {
            Self::Consumer(name) => return format!("consumers.{name}"),
            Self::EtcdExtraKey(key) => return format!("etcd.extra.{key}"),
            Self::Node(name) => return format!("nodes.{name}"),
            Self::NodeAddress(name) => return format!("nodes.{name}.address"),
            Self::NodeCertificates(name) => return format!("nodes.{name}.certificates"),
            Self::Role(name) => return format!("roles.{name}"),
            Self::User(name) => return format!("users.{name}"),
            Self::UserOfRole(name) => return format!("users.{name}"),
            Self::Archive => "etcd.archive",
            Self::ArchiveSha256 => "etcd.archive.sha256",
            Self::ArchivePreinstalled => "etcd.archive.preinstalled",
            Self::Auth => "auth",
            Self::AuthEnabled => "auth.enabled",
            Self::AutoCompaction => "etcd.auto-compaction",
            Self::Backup => "backup",
            Self::BackupCompression => "backup.compression",
            Self::BackupMount => "backup.mount",
            Self::BackupNodes => "backup.nodes",
            Self::BackupSchedule => "backup.schedule",
            Self::Ca => "ca",
            Self::CaPassphrase => "ca.passphrase",
            Self::CaPreviousPassphrase => "ca.previous.passphrase",
            Self::CaSource => "ca.source",
            Self::Certificates => "certificates",
            Self::ClientPort => "ports.client",
            Self::Downtime => "cluster.downtime",
            Self::Etcd => "etcd",
            Self::EtcdExtra => "etcd.extra",
            Self::ElectionTimeout => "etcd.election-timeout",
            Self::HeartbeatInterval => "etcd.heartbeat-interval",
            Self::MetricsPort => "ports.metrics",
            Self::Nodes => "nodes",
            Self::Paths => "paths",
            Self::PathsBinaries => "paths.binaries",
            Self::PathsCertificates => "paths.certificates",
            Self::PathsConfig => "paths.config",
            Self::PathsData => "paths.data",
            Self::PathsService => "paths.service",
            Self::PeerPort => "ports.peer",
            Self::QuotaBackend => "etcd.quota-backend",
            Self::RenewBefore => "certificates.renew-before",
            Self::Version => "cluster.version",
        };
        fixed.to_owned()
    }
}

/// Where in cluster.toml a thing is declared, for `because (cluster.toml:18)`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// The file's name as the user would recognise it.
    pub file: String,
    /// From a dotted path (`cluster.version`, `nodes.etcd-1.address`, `etcd.extra.max-request-bytes`) to its line, from 1.
    pub lines: BTreeMap<String, usize>,
}

impl Places {
    pub fn of(&self, place: Place) -> String {
        self.at(&place.path())
    }

    /// `cluster.toml:18` for the longest declared prefix of `path`; the file alone when nothing on the way is declared.
    pub fn at(&self, path: &str) -> String {
        let mut prefix = path;
        loop {
            if let Some(line) = self.lines.get(prefix) {
                return format!("{}:{line}", self.file);
            }
            match prefix.rsplit_once('.') {
                Some((shorter, _)) => prefix = shorter,
                None => return self.file.clone(),
            }
        }
    }

    /// Whether the place itself is declared, and not only what it is part of.
    pub fn declares(&self, place: Place) -> bool {
        self.lines.contains_key(&place.path())
    }
}

#[cfg(test)]
mod tests {
    use strum::EnumCount as _;

    use super::*;
    use crate::core::desired::keys::{SECTIONS, Shape};

    /// Whether the table of keys, which a test holds against the reader, knows what stands at `path`.
    fn is_known(path: &str) -> bool {
        let parts: Vec<_> = path.split('.').collect();
        let fits = |section: &str| {
            let words: Vec<_> = section.split('.').collect();
            let same = |(word, part): (&&str, &&str)| word == part || *word == "NAME";
            (words.len() <= parts.len() && words.iter().zip(&parts).all(same)).then_some(words.len())
        };
        SECTIONS.iter().any(|section| match fits(section.path).map(|length| &parts[length..]) {
            Some([]) => true,
            Some([key]) => section.keys.iter().any(|known| known.name == *key),
            Some([key, _]) => {
                section.keys.iter().any(|known| known.name == *key && matches!(known.shape, Shape::EtcdSettings))
            }
            _ => false,
        }) || SECTIONS.iter().any(|section| section.path.split('.').next() == Some(path))
    }

    #[test]
    fn every_place_is_one_that_cluster_toml_has() {
        let (host, consumer) = (HostName::new("etcd-1"), ConsumerName::new("api-1"));
        let (role, user) = (RoleName::new("app"), UserName::new("app"));
        let all = [
            Place::Archive,
            Place::ArchiveSha256,
            Place::ArchivePreinstalled,
            Place::Auth,
            Place::AuthEnabled,
            Place::AutoCompaction,
            Place::Backup,
            Place::BackupCompression,
            Place::BackupMount,
            Place::BackupNodes,
            Place::BackupSchedule,
            Place::Ca,
            Place::CaPassphrase,
            Place::CaPreviousPassphrase,
            Place::CaSource,
            Place::Certificates,
            Place::ClientPort,
            Place::Consumer(&consumer),
            Place::Downtime,
            Place::Etcd,
            Place::EtcdExtra,
            Place::EtcdExtraKey("max-wals"),
            Place::ElectionTimeout,
            Place::HeartbeatInterval,
            Place::MetricsPort,
            Place::Node(&host),
            Place::NodeAddress(&host),
            Place::NodeCertificates(&host),
            Place::Nodes,
            Place::Paths,
            Place::PathsBinaries,
            Place::PathsCertificates,
            Place::PathsConfig,
            Place::PathsData,
            Place::PathsService,
            Place::PeerPort,
            Place::QuotaBackend,
            Place::RenewBefore,
            Place::Role(&role),
            Place::User(&user),
            Place::UserOfRole(&role),
            Place::Version,
        ];
        assert_eq!(all.len(), Place::COUNT);
        let unknown: Vec<_> = all.into_iter().map(Place::path).filter(|path| !is_known(path)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(!is_known("cluster.versoin") && !is_known("nodes.etcd-1.adress") && !is_known("clutser"));
    }
}
