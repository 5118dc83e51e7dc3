//! Small declarations and worlds for the unit tests.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use crate::core::desired::{
    ArchiveLocation, AuthoritySource, Backup, Binaries, CertificatePolicy, Cluster, Compression, Desired, Downtime,
    EtcdSettings, KeyCare, Layout, Node, Paths, Pinned, Places, Ports, Request, Restore, Runtime, Schedule, Ssh,
};
use crate::core::guard::{Guard, broken};
use crate::core::names::{Architecture, ClusterName, Digest, HostName, RemotePath, Token, UnixSeconds, Version};
use crate::core::observed::{Former, Host, Observed, Room, Stored};
use crate::core::planner::world;

pub use crate::core::planner::world::bare_host;

pub const AT: UnixSeconds = UnixSeconds(1_800_000_000);

/// `etcd-1` is number 0.
pub fn name(index: usize) -> HostName {
    HostName::new(format!("etcd-{}", index + 1))
}

/// A cluster of `nodes` with every default.
pub fn desired(nodes: usize) -> Desired {
    let node = |index: usize| Node {
        address: format!("10.0.0.{}", index + 11),
        ssh: None,
        hostname: None,
        peer_names: Vec::new(),
    };
    Desired {
        cluster: Cluster {
            name: ClusterName::new("prod"),
            version: Version::new(3, 5, 16),
            layout: Layout::Default,
            runtime: Runtime::Systemd,
            downtime: Downtime::Never,
        },
        nodes: (0..nodes).map(|index| (name(index), node(index))).collect(),
        ports: Ports { client: 2379, peer: 2380, metrics: 2381 },
        ssh: Ssh::default(),
        etcd: EtcdSettings::default(),
        binaries: Binaries::Archive {
            location: ArchiveLocation::Path("/archives/etcd-v{version}-linux-{arch}.tar.gz".to_owned()),
            sha256: BTreeMap::from([(Architecture::Amd64, Digest::of("archive"))]),
            via: BTreeMap::new(),
        },
        authority: AuthoritySource::Generated { folder: "pki".into() },
        certificates: CertificatePolicy {
            validity_seconds: 365 * 24 * 3600,
            renew_before_seconds: 90 * 24 * 3600,
            server_names: Vec::new(),
        },
        previous_authority: None,
        authority_key: KeyCare::default(),
        previous_key: KeyCare::default(),
        reader: None,
        auth: None,
        consumers: BTreeMap::new(),
        backup: None,
        paths: Paths {
            config: RemotePath::new("/etc/etcd/etcd.yaml"),
            data: RemotePath::new("/var/lib/etcd"),
            certificates: RemotePath::new("/etc/etcd/pki"),
            service: "etcd.service".to_owned(),
            binaries: RemotePath::new("/opt/etcd"),
            names: BTreeMap::new(),
        },
        places: Places { file: "cluster.toml".to_owned(), lines: BTreeMap::new() },
        request: Request::default(),
        pinned: Pinned::default(),
    }
}

/// The same declaration when a snapshot is to be restored.
pub fn restoring(desired: &Desired) -> Desired {
    let restore = Restore {
        digest: Digest::of("snapshot"),
        bytes: 20 << 20,
        file: "/snapshots/kept.db.zst".into(),
        token: Token::new("prod-1800000000"),
        again: false,
        foreign_members: Vec::new(),
    };
    let request = Request { restore: Some(restore), ..desired.request.clone() };
    Desired { request, ..desired.clone() }
}

/// Snapshots every night, on every node.
pub fn backup(desired: &Desired) -> Backup {
    let schedule = Schedule { cron: "30 2 * * *".to_owned(), calendar: vec!["*-*-* 02:30:00 UTC".to_owned()] };
    Backup {
        schedule,
        keep: 7,
        compression: Compression::Zstd,
        directory: RemotePath::new("/var/backups/etcd"),
        mount: false,
        nodes: desired.nodes.keys().cloned().collect(),
        max_age_seconds: Some(26 * 3600),
        metrics: None,
        offsite: None,
    }
}

/// Every declared host bare, no authority yet, the archive at hand.
pub fn bare(desired: &Desired) -> Observed {
    world::bare(desired, AT)
}

/// What a bare world becomes when its plan is applied. Laws begin from few such worlds, and often: each is made once.
pub fn healthy(desired: &Desired) -> Observed {
    let made = HEALTHY.with_borrow(|made| {
        let found = made.iter().rev().find(|(guard, of, _)| *guard == broken() && of == desired);
        found.map(|(_, _, world)| world.clone())
    });
    made.unwrap_or_else(|| {
        let world = world::healthy(desired, AT);
        HEALTHY.with_borrow_mut(|made| {
            if made.len() == HEALTHY_MAX {
                made.pop_front();
            }
            made.push_back((broken(), desired.clone(), world.clone()));
        });
        world
    })
}

const HEALTHY_MAX: usize = 32;

thread_local!(static HEALTHY: RefCell<VecDeque<(Option<Guard>, Desired, Observed)>> = const { RefCell::new(VecDeque::new()) });

/// The next patch is declared, and its archive is at hand.
pub fn declare_next_patch(desired: &mut Desired, observed: &mut Observed) {
    let Version { patch, .. } = desired.cluster.version;
    let next = Version { patch: patch + 1, ..desired.cluster.version };
    declare_version(desired, observed, next);
}

/// Another version is declared, and its archive is at hand.
pub fn declare_version(desired: &mut Desired, observed: &mut Observed, version: Version) {
    let archives = std::mem::take(&mut observed.workstation.archives);
    desired.cluster.version = version;
    let of = archives.into_values().next().expect("one is declared");
    observed.workstation.archives.insert(version, of);
}

/// A restart of what runs there is asked for.
pub fn ask_to_restart(desired: &mut Desired, observed: &Observed, name: HostName) {
    let pid = observed.host(&name).and_then(|host| host.process.as_ref()).map(|process| process.pid);
    desired.request.restarts.insert(name, pid);
}

/// A member's host is not declared any more, and was found by the member list.
pub fn declare_without(desired: &mut Desired, observed: &mut Observed, name: HostName) {
    let former = Former {
        name: name.clone(),
        address: desired.nodes[&name].address.clone(),
        peer_url: desired.peer_url(&name),
        host: observed.hosts.remove(&name).expect("it is there"),
    };
    desired.nodes.remove(&name);
    observed.former.insert(name, former);
}

/// Everything that is written on a host is on its root disk.
pub fn on_one_disk(host: &mut Host, available_bytes: u64, used_bytes: u64) {
    let room = Room {
        mount: RemotePath::new("/"),
        device: "8:1".to_owned(),
        available_bytes,
        reserved_bytes: 0,
        used_bytes,
        available_inodes: 1 << 20,
        inodes: 2 << 20,
        read_only: false,
    };
    let is_there = |stored: &&Stored| !matches!(stored, Stored::DataElsewhere | Stored::Backups);
    host.room = Stored::ALL.iter().filter(is_there).map(|stored| (*stored, room.clone())).collect();
}
