//! What cluster.toml declares, validated: the types that every rule reads.
//!
//! [`read`] makes a [`Desired`] of the text of a cluster.toml, or every problem it has, each with its line. Nothing else here
//! uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::names::{
    Architecture, ClientUrl, ClusterName, ConsumerName, Digest, HostName, MemberId, PeerUrl, RemotePath, Token,
    UserName, Version,
};
use crate::core::observed::{File, Role};
use crate::core::url;

mod auth;
mod backup;
mod consumers;
mod etcd_keys;
pub mod keys;
mod layout;
mod place;
pub mod read;
mod schedule;
mod vault;

pub use auth::{Auth, DeclaredUser, PasswordSource};
pub use backup::{Backup, Compression, METRICS_FOLDER, Offsite};
pub use consumers::Consumer;
pub(crate) use etcd_keys::{
    Kind as SettingKind, is_boolean, is_known_to, is_setting, kind as setting_kind, owner, settings as etcd_settings,
};
pub use layout::Layout;
pub use place::{Place, Places};
pub use schedule::{Schedule, parser};
pub use vault::{Vault, VaultLogin};

/// A whole cluster.toml after validation. Relative local paths have been made absolute against the file's folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    pub cluster: Cluster,
    /// At least one. In the order of their names.
    pub nodes: BTreeMap<HostName, Node>,
    pub ports: Ports,
    pub ssh: Ssh,
    pub etcd: EtcdSettings,
    pub binaries: Binaries,
    pub authority: AuthoritySource,
    /// `[ca.previous]`: the authority that the declared one is to take the place of.
    pub previous_authority: Option<AuthoritySource>,
    /// How the key of each is kept, where it lies in a file here.
    pub authority_key: KeyCare,
    pub previous_key: KeyCare,
    /// A client certificate to look with where the key is not open; the files need not be there. Not of `external`, which
    /// has one for everything.
    pub reader: Option<Pair>,
    pub certificates: CertificatePolicy,
    /// `None`: users and authentication are left as they are.
    pub auth: Option<Auth>,
    /// Clients whose certificates are kept with the members' own.
    pub consumers: BTreeMap<ConsumerName, Consumer>,
    /// `None`: no snapshots are taken on a schedule.
    pub backup: Option<Backup>,
    pub paths: Paths,
    pub places: Places,
    pub request: Request,
    pub pinned: Pinned,
}

/// What changes by itself and a plan was made from: as it was at the first look, so that what is shown is what is done.
/// No part of the decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pinned {
    /// The token of a cluster that begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// The host whose member led: its turn comes last. `None`: whoever leads at the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<HostName>,
}

impl Pinned {
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// What the command line asks for beyond what is declared. Part of the decision, so a saved plan keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// `--lost`: members that will not come back, by the id that each had when it was first looked at; `None` until then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lost: BTreeMap<HostName, Option<MemberId>>,
    /// `--restart`: the process that is to be restarted, by its id when it was first looked at; `None` until then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub restarts: BTreeMap<HostName, Option<u32>>,
    /// `--allow remove-user`: users that are not declared and may go.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub remove_users: BTreeSet<UserName>,
    /// `--allow drop-old-ca`: the clients of the old authority have been seen to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop_old_ca: bool,
    /// `--no-snapshot`: none is saved before what cannot be taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_snapshot: bool,
    /// `restore`: the snapshot that the cluster is to begin again from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
    /// `--renew-certs`: the certificates that are to be issued anew, by the serials that each host's had when it was first
    /// looked at; `None` until then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub renewals: BTreeMap<HostName, Option<BTreeMap<Role, String>>>,
    /// `--renew-certs` without a node: the consumers' certificates, in the same way.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub consumer_renewals: BTreeMap<ConsumerName, Option<String>>,
    /// `--rotate-ca`: the authority that is to be replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

/// A snapshot that was checked and is to be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restore {
    /// The SHA-256 that it ends in.
    pub digest: Digest,
    /// Unpacked, with the SHA-256.
    pub bytes: u64,
    /// Where it lies here, packed or not.
    pub file: PathBuf,
    /// Of the life that begins with it, unless a restore of it was begun before.
    pub token: Token,
    /// Also when every member was restored from it already.
    pub again: bool,
    /// The peer URLs of the members that it knows of, when none of them is declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_members: Vec<String>,
}

/// The fingerprint of the authority that was there when it was first looked at; `None` until then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rotation {
    #[schemars(with = "Option<String>")]
    pub from: Option<Digest>,
}

impl Request {
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    pub name: ClusterName,
    pub version: Version,
    pub layout: Layout,
    pub runtime: Runtime,
    pub downtime: Downtime,
}

/// What runs etcd on the hosts. What that means for their files is `content::runtime`, and for commands on them
/// `remote::runtime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// A service of systemd, under the unit's name in [`Paths`].
    Systemd,
    /// A pod that the kubelet runs from a manifest in a folder of the host.
    StaticPod,
}

impl Runtime {
    /// As `runtime` in `[cluster]` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::StaticPod => "static-pod",
        }
    }
}

/// Whether a step may make the cluster unavailable. A cluster of one or two members cannot restart one without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downtime {
    Never,
    Allowed,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The IP address or DNS name that peers and clients use, without a port or brackets.
    pub address: String,
    /// Host, alias in the ssh config, or `user@host:port`; the address when absent.
    pub ssh: Option<String>,
    /// The host's own name, where that is not what ssh connects to and its files have it in their names.
    pub hostname: Option<String>,
    /// Extra names for its peer certificate, sorted, each once.
    pub peer_names: Vec<String>,
}

impl Node {
    /// What ssh connects to.
    pub fn ssh_destination(&self) -> &str {
        self.ssh.as_deref().unwrap_or(&self.address)
    }

    /// The same without a user and a port: `etcd-1.example`.
    pub fn ssh_host(&self) -> &str {
        url::host_of(self.ssh_destination())
    }

    /// What `{host}` stands for in the names of files.
    pub fn host_in_names(&self) -> &str {
        self.hostname.as_deref().unwrap_or_else(|| self.ssh_host())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    pub client: u16,
    pub peer: u16,
    pub metrics: u16,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ssh {
    pub user: Option<String>,
    pub config: Option<PathBuf>,
    pub known_hosts: Option<PathBuf>,
    /// `None`: sudo when the user is not root.
    pub sudo: Option<bool>,
    pub etcd_access: EtcdAccess,
    pub client: SshClient,
}

/// What connects to the hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SshClient {
    /// Our own, which needs no program and is the faster one.
    #[default]
    BuiltIn,
    /// The system's ssh, with all that it can do.
    OpenSsh,
}

/// How the etcd API is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EtcdAccess {
    /// Through the SSH connection to the member's host.
    #[default]
    Tunnel,
    /// Straight to the client port.
    Direct,
}

/// The settings that become etcd's own configuration. `None` leaves etcd's default, and writes no line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EtcdSettings {
    pub quota_backend_bytes: Option<u64>,
    pub heartbeat_interval_ms: Option<u64>,
    pub election_timeout_ms: Option<u64>,
    pub auto_compaction: Option<AutoCompaction>,
    /// The image of a static pod, with `{version}` for the version; `None` where it goes by the name of the one that is there.
    pub image: Option<String>,
    /// Any other etcd key, checked against the list of the declared version; written as given.
    pub extra: BTreeMap<String, Setting>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AutoCompaction {
    pub mode: CompactionMode,
    /// As etcd takes it: a duration such as `8h` for periodic, a number of revisions for revision.
    pub retention: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionMode {
    Periodic,
    Revision,
}

/// A value in etcd.yaml: what TOML and YAML both have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Setting>),
    Table(BTreeMap<String, Setting>),
}

/// Where the images of etcd have its programs.
const IN_IMAGE: &str = "/usr/local/bin";

/// Where the etcd binaries come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Binaries {
    /// A release archive, checked here against its digest and pushed over ssh.
    Archive {
        location: ArchiveLocation,
        /// Of the declared version.
        sha256: BTreeMap<Architecture, Digest>,
        /// Of the versions on the way there.
        via: BTreeMap<Version, BTreeMap<Architecture, Digest>>,
    },
    /// Already on the hosts, in this folder, and kept there by someone else.
    Preinstalled { folder: RemotePath },
    /// In the image of a static pod, which its manifest names.
    Image,
    /// Nothing is declared: whatever is installed under `paths.binaries` must do.
    Undeclared,
}

/// A template with `{version}` and `{arch}`.
#[derive(Clone, Debug, PartialEq)]
pub enum ArchiveLocation {
    Url(String),
    /// Absolute.
    Path(String),
}

impl ArchiveLocation {
    /// The location for one version and architecture.
    pub fn resolve(&self, version: Version, architecture: Architecture) -> ArchiveLocation {
        let fill = |template: &str| {
            template.replace("{version}", &version.to_string()).replace("{arch}", architecture.as_str())
        };
        match self {
            Self::Url(template) => Self::Url(fill(template)),
            Self::Path(template) => Self::Path(fill(template)),
        }
    }
}

/// Who signs the cluster's certificates.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthoritySource {
    /// ca.crt and ca.key in a folder here (absolute), made once and never overwritten.
    Generated { folder: PathBuf },
    /// A certificate and its key that someone else made, both here. Never written to.
    Files { pair: Pair },
    /// Nobody whom we can ask: its certificate, and the pairs that it has signed.
    External {
        certificate: PathBuf,
        /// For our own connections to etcd.
        client: Pair,
        /// For each declared node, those of [`AuthoritySource::roles`].
        nodes: BTreeMap<HostName, BTreeMap<Role, Pair>>,
    },
    /// Vault's PKI engine, which signs what we ask it to. The keys of the leaves are made here.
    Vault(Box<Vault>),
    /// The nodes: each holds the pair, as kubeadm does it. Made on the first if no node of a new cluster has one.
    Node { certificate: RemotePath, key: RemotePath },
}

impl AuthoritySource {
    /// The pairs that are kept on each host. Who is given them is not given one for the health check.
    pub fn roles(&self) -> &'static [Role] {
        match self {
            Self::External { .. } => &[Role::Server, Role::Peer],
            Self::Generated { .. } | Self::Files { .. } | Self::Vault(_) | Self::Node { .. } => Role::ALL,
        }
    }
}

/// A certificate and its key, in files on this machine (absolute).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// How the key of an authority is encrypted. A new one is written so; one that is there may be otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyCare {
    pub passphrase: Option<Passphrase>,
    /// Goes before the passphrase for a new key.
    pub age: Option<Age>,
}

/// Encryption by the program age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Age {
    /// Who can open a new key.
    pub recipients: Vec<String>,
    /// The file of the one that is here (absolute).
    pub identity: PathBuf,
}

/// Where the passphrase of an encrypted key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passphrase {
    /// The first line of this file (absolute).
    File(PathBuf),
    /// The value of this environment variable.
    Environment(String),
    /// Whoever runs quorate is asked for it, once a run.
    Prompt,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CertificatePolicy {
    pub validity_seconds: u64,
    /// A leaf with less than this left is issued anew.
    pub renew_before_seconds: u64,
    /// Extra names for every server certificate, sorted, each once.
    pub server_names: Vec<String>,
}

/// Where things lie on the hosts.
#[derive(Clone, Debug, PartialEq)]
pub struct Paths {
    /// etcd.yaml.
    pub config: RemotePath,
    pub data: RemotePath,
    /// The folder of ca.crt, server.crt, server.key …
    pub certificates: RemotePath,
    /// The systemd unit's name, `etcd.service`.
    pub service: String,
    /// The folder that holds one folder a version, and `current`.
    pub binaries: RemotePath,
    /// What files in `certificates` are called where that is not the usual name: `{member}` stands for the node's name,
    /// `{host}` for the host that ssh connects to.
    pub names: BTreeMap<File, String>,
}

impl Paths {
    /// The unit file that we write.
    pub fn unit(&self) -> RemotePath {
        RemotePath::new("/etc/systemd/system").join(&self.service)
    }

    /// The folder of etcd.yaml.
    pub fn config_folder(&self) -> RemotePath {
        self.config.parent()
    }
}

impl Desired {
    /// The URL of `host`'s peer port.
    ///
    /// # Panics
    /// If `host` is not declared.
    pub fn peer_url(&self, host: &HostName) -> PeerUrl {
        PeerUrl::new(url::https(&self.nodes[host].address, self.ports.peer))
    }

    /// The URL of `host`'s client port.
    ///
    /// # Panics
    /// If `host` is not declared.
    pub fn client_url(&self, host: &HostName) -> ClientUrl {
        ClientUrl::new(url::https(&self.nodes[host].address, self.ports.client))
    }

    /// The folder of the binaries of the declared version.
    pub fn binaries_folder(&self) -> RemotePath {
        self.binaries_folder_of(self.cluster.version)
    }

    /// The folder of the binaries of `version`.
    pub fn binaries_folder_of(&self, version: Version) -> RemotePath {
        match &self.binaries {
            Binaries::Preinstalled { folder } => folder.clone(),
            Binaries::Image => RemotePath::new(IN_IMAGE),
            Binaries::Archive { .. } | Binaries::Undeclared => self.paths.binaries.join(&version.to_string()),
        }
    }

    /// The policy of scheduled snapshots, if it is about this node.
    pub fn backup_on(&self, name: &HostName) -> Option<&Backup> {
        self.backup.as_ref().filter(|backup| backup.nodes.contains(name))
    }

    /// The declared digest of the archive of `version`: the declared one, or one on the way to it.
    pub fn archive_digest(&self, version: Version, architecture: Architecture) -> Option<Digest> {
        match &self.binaries {
            Binaries::Archive { sha256, .. } if version == self.cluster.version => sha256.get(&architecture).copied(),
            Binaries::Archive { via, .. } => via.get(&version)?.get(&architecture).copied(),
            Binaries::Preinstalled { .. } | Binaries::Image | Binaries::Undeclared => None,
        }
    }
}
