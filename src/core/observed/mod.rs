//! What was seen of the hosts and the cluster, when, and what could not be seen.
//!
//! Everything a rule decides on is a field here. A fact that could not be had is [`Seen::Unknown`] with the reason, and
//! is never read as absent. Fields marked *volatile* change by themselves; no plan's identity depends on them.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::names::{
    Architecture, ClientUrl, ClusterId, ConsumerName, Digest, HostName, MemberId, PeerUrl, RemotePath, SnapshotReason,
    UnixSeconds, Version,
};
use crate::core::observed::auth::AuthStore;

mod archive;
pub mod auth;
mod cause;
mod certificate;
pub mod checkup;
mod comparison;
mod data;
pub mod departure;
mod file;
mod installed;
mod kubelet;
mod lent;
mod location;
mod lock;
mod other;
mod peer;
mod process;
mod room;
pub mod survey;

pub use archive::Archive;
pub use cause::Cause;
pub use certificate::{Certificate, Usage};
pub use comparison::{Comparison, MemberHash};
pub use data::DataDirectory;
pub use file::{Access, File, FileFact, Folder, Role};
pub use installed::{Installed, Tools};
pub use kubelet::Kubelet;
pub use lent::{Lent, OpenedBy, Unable};
pub use location::{Closed, Location, Mount, Needed, Restricted, Restriction};
pub use lock::LockHolder;
pub use other::{OtherEtcd, Runner};
pub use peer::Peer;
pub use process::{Ended, Process, StartedWith, Work};
pub use room::{Room, Stored};

/// A fact, or why it could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen<T> {
    Known(T),
    Unknown(Cause),
}

impl<T> Seen<T> {
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(fact) => Some(fact),
            Self::Unknown(_) => None,
        }
    }

    pub fn known_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Known(fact) => Some(fact),
            Self::Unknown(_) => None,
        }
    }

    pub fn unknown(&self) -> Option<&Cause> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(cause) => Some(cause),
        }
    }
}

/// One look at everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    pub at: UnixSeconds,
    pub workstation: Workstation,
    /// One entry for every declared node.
    pub hosts: BTreeMap<HostName, Seen<Host>>,
    /// The machines that are, or until lately were, members and are not declared: by their member's name, or, when
    /// another machine is declared under that name, as `NAME@ADDRESS`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub former: BTreeMap<HostName, Former>,
    /// Users, roles, and whether authentication is on; looked at only where `[auth]` is declared, as every question is an
    /// entry in the raft log. `None` when it was not asked, or there is no cluster to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Seen<AuthStore>>,
    /// One entry for every declared consumer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub consumers: BTreeMap<ConsumerName, Seen<ConsumerFiles>>,
    /// Asked only where something depends on it; `None` when it was not, or there is nothing to compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// The member list is not one that was seen, but what a start is expected to bring. Never so of a real look.
    #[serde(skip)]
    pub guessed: bool,
}

/// A machine that cluster.toml does not declare: a member that is to leave, or has left and is not cleared away yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Former {
    /// The member's name.
    pub name: HostName,
    /// The host part of its peer URL, which is also where ssh is tried.
    pub address: String,
    pub peer_url: PeerUrl,
    pub host: Seen<Host>,
}

/// The files of a consumer on its host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerFiles {
    /// What its file of authorities holds, in the file's order; empty when it is not there or is kept otherwise.
    pub trusted: Vec<Digest>,
    /// `None` when there is no such file; the same for the two others.
    pub authority_access: Option<Access>,
    pub certificate: Option<Certificate>,
    pub certificate_access: Option<Access>,
    pub key_access: Option<Access>,
    /// Files were changed, and it was not told yet.
    pub reload_due: bool,
    /// What its files need, and is not on the host.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lacks: BTreeSet<Lacking>,
}

/// What quorate makes nowhere for a consumer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lacking {
    Folder(RemotePath),
    Account(String),
    Group(String),
}

/// What lies on the machine that quorate runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workstation {
    /// The certificate authority beside cluster.toml; `Known(None)` when there is none yet.
    pub authority: Seen<Option<Authority>>,
    /// The one that is to take its place; there while the authority is rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Authority>,
    /// [ca.previous] is declared, and nobody trusts that authority any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_replaced: bool,
    /// When the CA in [ca.previous] expired, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_ended: Option<UnixSeconds>,
    /// The archive of each version and architecture that a host still needs. One that nobody needs is not looked at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub archives: BTreeMap<Version, BTreeMap<Architecture, Seen<Archive>>>,
    /// The pairs that are given for each node, and the one for our own connection; `None` where we issue them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Given>,
    /// What shows that there was a cluster of this declaration before.
    #[serde(default, skip_serializing_if = "FormerLife::is_empty")]
    pub former_life: FormerLife,
    /// What each node that was seen holds of an authority that lies on the nodes; empty where it does not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ca_keys: BTreeMap<HostName, Held>,
    /// What is missing here, where a node has lent what etcd was asked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lent: Option<Lent>,
}

/// What is left of a cluster where its hosts may show nothing of it any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerLife {
    /// The authority was made by quorate for this cluster, and has signed a certificate or was rotated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub authority_has_signed: bool,
    /// The snapshots in this folder, on the nodes and off-site, by their paths, the newest last. Looked for only where
    /// every host is bare.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// Where they could not be looked for, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
}

impl FormerLife {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a node holds of the authority's pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// No key; perhaps a certificate.
    Nothing,
    /// The key, and who may read it.
    Key(Access),
}

/// The pairs of an authority that we cannot ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    pub client: GivenPair,
    pub nodes: BTreeMap<HostName, BTreeMap<Role, GivenPair>>,
}

/// A pair of files as it was found here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenPair {
    /// Where its certificate is, for messages.
    pub path: String,
    /// What is wrong with the files themselves: whole sentences' fragments that name the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// What the certificate says, if it can be read.
    pub certificate: Option<Certificate>,
    /// SHA-256 of the certificate's file.
    pub digest: Option<Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// SHA-256 of the certificate's DER.
    pub fingerprint: Digest,
    /// SHA-256 of ca.crt as it is put on the hosts.
    pub file_digest: Digest,
    /// The first end of all the certificates in it.
    pub not_after: UnixSeconds,
    /// The fingerprints of the authorities above it that ca.crt holds as well, in the file's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<Digest>,
}

impl Authority {
    /// What a host that has its ca.crt trusts, in the file's order.
    pub fn trusted(&self) -> Vec<Digest> {
        [self.fingerprint].iter().chain(&self.chain).copied().collect()
    }
}

/// One host, as one probe saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    pub architecture: Architecture,
    /// The host's clock less ours, in seconds. Volatile.
    pub clock_offset_seconds: i64,
    /// Whether the user and group that etcd runs as exist.
    pub account: bool,
    pub folders: BTreeMap<Folder, Access>,
    pub files: BTreeMap<File, FileFact>,
    /// Every certificate that could be read, by its role.
    pub certificates: BTreeMap<Role, Certificate>,
    /// The fingerprints of the authorities in ca.crt, in the file's order. Of one that has expired no certificate is accepted:
    /// a host with no other trusts nobody, and has nobody to be cut off from.
    pub trusted: Vec<Digest>,
    /// The versions under `paths.binaries` (or the one in the preinstalled folder) that are whole.
    pub installed: BTreeMap<Version, Installed>,
    pub tools: Tools,
    pub service: Service,
    /// Looked at only where a kubelet is to run etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubelet: Option<Kubelet>,
    /// The running etcd, if its unit has a main process.
    pub process: Option<Process>,
    pub data: DataDirectory,
    /// Where a member's data lies, if not in the declared directory: what the running etcd holds open, or what a stopped
    /// one was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_elsewhere: Option<RemotePath>,
    /// What etcd needs at its start, and what the places of that are like; empty where nothing stands in the way.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub locations: BTreeMap<Needed, Location>,
    /// What is free where something is written. Absent where it could not be told. Volatile.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub room: BTreeMap<Stored, Room>,
    /// The declared address, at which etcd is to listen, is on no interface of the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lacks_address: bool,
    /// TCP ports of ours that something else listens on.
    pub taken_ports: BTreeMap<u16, String>,
    /// TCP ports of ours on which only root may listen there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub privileged_ports: BTreeSet<u16>,
    /// Who has a connection to the client port, other than etcd itself. Volatile.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub clients: BTreeSet<Client>,
    /// The address from which it speaks to each other node. Absent where it is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<HostName, IpAddr>,
    /// Where names lead to, as this host looks them up. Asked only for the names that something depends on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lookups: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Every etcd here that is not our unit's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherEtcd>,
    /// What the member's own API said; `Known(None)` when nothing of ours runs that could answer.
    pub member: Seen<Option<Answer>>,
    /// When the newest snapshot was saved here before an upgrade to each version, or another change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snapshots: BTreeMap<SnapshotReason, UnixSeconds>,
    /// The snapshots that were pushed here for a restore, each whole, by the SHA-256 that it ends in.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub pushed: BTreeSet<Digest>,
    /// What `etcdutl check v2store` says of the data directory; asked only where etcd 3.5 runs and a newer minor is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v2store: Option<V2Store>,
    /// The cluster version that the newest snapshot of its raft log names; looked at only where 3.7 or newer is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_version: Option<Version>,
    /// Looked at only where `[backup]` is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<Scheduled>,
    /// Who else works on it. Volatile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockHolder>,
}

/// One who has a connection to the client port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Client {
    /// From another machine.
    Address(IpAddr),
    /// A program on the host itself.
    Program(String),
}

/// The timer of scheduled snapshots, and what it has brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    pub enabled: bool,
    pub active: bool,
    /// systemd has not read the timer or its service as they are on disk.
    pub needs_reload: bool,
    /// Whether the program of the declared compression is there; true when none is needed.
    pub compressor: bool,
    /// There is no etcdctl beside the etcd that runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_etcdctl: bool,
    /// Where the declared folder lies, if it must be on a mount of its own and is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmounted: Option<RemotePath>,
    /// The newest finished snapshot of each cluster in the declared folder, which others may use, too. Volatile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub newest: Vec<Snapshot>,
    /// Since when the timer runs. Volatile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixSeconds>,
    /// How the last run of the timer ended here, since the host was started. Volatile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<LastRun>,
    /// The last drill that was passed, as it was noted here. Volatile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Drill>,
}

/// How a run of the timer ended on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    pub at: UnixSeconds,
    pub outcome: Outcome,
    /// Why it failed, or was taken without the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Taken,
    /// Without the lock in etcd, which could not be had: other nodes may have taken it, too.
    TakenAlone,
    /// Another node had taken it.
    Left,
    Failed,
}

/// A restore drill that a snapshot has stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    pub at: UnixSeconds,
    /// The snapshot's name or path.
    pub snapshot: String,
    /// The cluster that held it; `None` where nobody could say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<ClusterId>,
}

/// A snapshot that was checked before it was given its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// `snapshot-20261121_080000.db.zst`
    pub name: String,
    /// When it was begun, as its name says.
    pub at: UnixSeconds,
    pub bytes: u64,
    /// The cluster that it was taken of.
    pub cluster: ClusterId,
}

/// Whether the old store, which 3.6 no longer reads, holds anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum V2Store {
    Clean,
    /// It holds something, or the check failed; in the words of etcdutl.
    Refused(String),
}

/// The systemd unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub state: ServiceState,
    pub enabled: bool,
    /// systemd has not read the unit file that is on disk.
    pub needs_reload: bool,
    /// Files of others that change what the unit says, and the names of the settings in each, as far as it could be read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drop_ins: BTreeMap<RemotePath, BTreeSet<String>>,
    /// What they take from etcd, and what other units of the host do in the same way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restrictions: Vec<Restriction>,
    /// The user that they make etcd run as, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_as: Option<String>,
    /// Its own last words, told only while it fails or is about to be started once more. Volatile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complaint: Option<String>,
    /// How its last process ended, told only while it fails or is about to be started once more. Volatile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    Inactive,
    /// Started, and waiting for quorum; or between two attempts to start.
    Activating,
    Active,
    Failed,
}

/// What a member says of itself and the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub cluster: ClusterId,
    pub member: MemberId,
    pub version: Version,
    /// The leader it follows. Volatile, but for whether there is one.
    pub leader: Option<MemberId>,
    /// Volatile.
    pub term: u64,
    /// The raft index. Volatile.
    pub index: u64,
    /// The index up to which it has applied. Volatile.
    pub applied: u64,
    /// The revision of its keys: 1 until somebody writes the first one. Volatile, but for that. `None` where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Volatile.
    pub database_bytes: u64,
    /// Volatile.
    pub database_in_use_bytes: u64,
    pub learner: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub alarms: BTreeSet<Alarm>,
    /// A linearizable read through this member succeeded.
    pub reads: bool,
    /// The member list as a quorum knows it, asked through this member.
    pub members: Seen<Vec<MemberEntry>>,
    /// The member list as this member alone has it; asked only when the one of a quorum cannot be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_members: Vec<MemberEntry>,
    /// The version that all members can speak, `3.5.0`: raised by the leader once every member has reached it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_version: Option<Version>,
    /// Its ways to the other members, and to those that have been; empty where it did not tell.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub peers: BTreeMap<MemberId, Peer>,
}

impl Answer {
    /// A voter that was added, by hand or by a run that was cut off, and has never started, as a member without a leader
    /// lists it.
    pub fn unstarted_voter(&self) -> Option<&MemberEntry> {
        self.own_members.iter().find(|entry| !entry.learner && entry.name.is_none())
    }
}

/// An alarm of the cluster: every member tells all of them, whoever they are raised for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alarm {
    /// `NOSPACE` or `CORRUPT`
    pub kind: String,
    /// Whom it is raised for, who need not be a member any more; `None` where etcd could not tell which member is wrong.
    pub member: Option<MemberId>,
}

impl Alarm {
    /// Its data differs from the others'.
    pub fn is_corrupt(&self) -> bool {
        self.kind == "CORRUPT"
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MemberEntry {
    pub id: MemberId,
    /// `None` for a member that was added and has not started.
    pub name: Option<HostName>,
    pub peer_urls: BTreeSet<PeerUrl>,
    pub client_urls: BTreeSet<ClientUrl>,
    pub learner: bool,
}

impl MemberEntry {
    /// The member's name, or its id while it has none.
    pub fn title(&self) -> String {
        self.name.as_ref().map_or_else(|| self.id.to_string(), HostName::to_string)
    }
}

impl Observed {
    /// The hosts that were seen.
    pub fn seen_hosts(&self) -> impl Iterator<Item = (&HostName, &Host)> {
        self.hosts.iter().filter_map(|(name, host)| Some((name, host.known()?)))
    }

    /// A host that was seen, declared or former.
    pub fn host(&self, name: &HostName) -> Option<&Host> {
        self.sight(name)?.known()
    }

    /// How a host was seen, declared or former.
    pub fn sight(&self, name: &HostName) -> Option<&Seen<Host>> {
        self.hosts.get(name).or_else(|| Some(&self.former.get(name)?.host))
    }

    pub(crate) fn host_mut(&mut self, name: &HostName) -> Option<&mut Host> {
        match self.hosts.get_mut(name) {
            Some(host) => host.known_mut(),
            None => self.former.get_mut(name)?.host.known_mut(),
        }
    }

    /// Every answer of a member, of declared and former hosts; not what is said where another cluster has gone on.
    pub fn answers(&self) -> impl Iterator<Item = (&HostName, &Answer)> {
        let left = self.left_behind();
        self.all_answers().filter(move |(_, answer)| !left.contains(&answer.member))
    }

    /// The members, as the first of those that know says.
    pub fn member_list(&self) -> Option<&Vec<MemberEntry>> {
        self.answers().find_map(|(_, answer)| answer.members.known())
    }

    fn all_answers(&self) -> impl Iterator<Item = (&HostName, &Answer)> {
        let former = self.former.iter().map(|(name, former)| (name, &former.host));
        self.hosts.iter().chain(former).filter_map(|(name, host)| Some((name, host.known()?.answer()?)))
    }

    /// The members that others have noted as gone and go on without, whoever they still believe they serve with: when a
    /// quorum was given up for lost and returns, there are two clusters of one id.
    fn left_behind(&self) -> BTreeSet<MemberId> {
        let notes = self.seen_hosts().filter_map(|(_, host)| {
            let list = host.answer()?.members.known()?;
            let gone: BTreeSet<_> = departure::read_departures(host.text_of(File::Departures)?)
                .map(|departure| departure.peer_url)
                .collect();
            Some((list, gone))
        });
        let notes: Vec<(_, BTreeSet<_>)> = notes.collect();
        if notes.is_empty() {
            return BTreeSet::new();
        }
        let is_left = |answer: &Answer| {
            // With a quorum of theirs behind them they tell that one's list.
            let mut lists = answer.members.known().into_iter().chain([&answer.own_members]).flatten();
            let own = lists.find(|entry| entry.id == answer.member);
            let urls = own.map(|entry| &entry.peer_urls);
            notes.iter().any(|(list, gone)| {
                !list.iter().any(|entry| entry.id == answer.member) && urls.is_some_and(|urls| !urls.is_disjoint(gone))
            })
        };
        self.all_answers()
            .map(|(_, answer)| answer)
            .filter(|answer| is_left(answer))
            .map(|answer| answer.member)
            .collect()
    }

    /// Whether nothing that matters is missing: every host seen, and every running member answered.
    pub fn is_complete(&self) -> bool {
        let auth = self.auth.as_ref().is_none_or(|auth| auth.known().is_some());
        auth && self.hosts.values().all(|host| host.known().is_some_and(|host| host.member.known().is_some()))
    }
}

impl Host {
    /// What the member said, if it answered.
    pub fn answer(&self) -> Option<&Answer> {
        self.member.known()?.as_ref()
    }

    /// A member's data is on it, in the declared directory or in another one.
    pub fn has_data(&self) -> bool {
        self.data == DataDirectory::Member || self.data_elsewhere.is_some()
    }

    pub fn text_of(&self, file: File) -> Option<&str> {
        self.files.get(&file)?.text.as_deref()
    }
}
