//! Whether there is room on a host for what is to be written there.
//!
//! | what is written | where | how much |
//! |---|---|---|
//! | etcd goes on, or starts | its data | the next part of its log, 64 MB, which it allocates before it needs it |
//! | a member begins, or is restored | its data | the database, and two parts of a log |
//! | binaries | [paths] binaries | the archive, and what is unpacked of it |
//! | a snapshot before a change | /var/backups/etcd | the database; 256 MiB more where etcd's data is on the same file system |
//! | everything else | where it is | next to nothing, and not even that on a full disk |
//!
//! A start needs that much, too: etcd cuts the end off the last part of its log and allocates it anew. Tried on 3.5.30 with a
//! full disk: `failed to read WAL, cannot be repaired: no space left on device`.
//!
//! What could not be told of a host keeps nothing from being done there: the scripts look again before they write much.
//! What takes something away needs no room. Source of the log's parts: `SegmentSizeBytes` and `filePipeline` in etcd's
//! wal, the same from 3.4 to 3.7.

use std::collections::{BTreeMap, BTreeSet};

use bytesize::ByteSize;

use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::desired::Desired;
use crate::core::names::HostName;
use crate::core::observed::{Host, Observed, Room, Stored};
use crate::core::plan::ruling::Finding;

/// Above this, file systems slow down, and there is still time to do something.
const WARNING_PERCENT: u64 = 85;

/// A part of etcd's log.
const LOG_PART_BYTES: u64 = 64_000_000;

/// A few files, each with a block of its own or some.
const FILES_BYTES: u64 = 128 << 10;
const FILES: u64 = 16;

/// What must be free there for etcd, or us, to go on as before.
fn least(stored: Stored) -> u64 {
    match stored {
        Stored::Data => LOG_PART_BYTES,
        Stored::BesideData
        | Stored::DataElsewhere
        | Stored::Binaries
        | Stored::Config
        | Stored::Certificates
        | Stored::Units
        | Stored::Programs
        | Stored::Snapshots
        | Stored::Backups => FILES_BYTES,
    }
}

/// Where so much is written that it may fill a file system.
const LARGE: [Stored; 5] = [Stored::Data, Stored::DataElsewhere, Stored::Binaries, Stored::Snapshots, Stored::Backups];

/// One file system of a host, and what is written there.
pub struct FileSystem<'a> {
    pub room: &'a Room,
    pub stored: BTreeSet<Stored>,
}

pub fn file_systems(host: &Host) -> impl Iterator<Item = FileSystem<'_>> {
    let mut by_device: BTreeMap<&str, FileSystem> = BTreeMap::new();
    for (stored, room) in host.room.iter().filter(|(_, room)| !room.read_only) {
        let shared = by_device.entry(&room.device).or_insert_with(|| FileSystem { room, stored: BTreeSet::new() });
        shared.stored.insert(*stored);
    }
    by_device.into_values()
}

impl FileSystem<'_> {
    pub fn is_full(&self) -> bool {
        let least = self.stored.iter().map(|stored| least(*stored)).max().unwrap_or_default();
        self.room.available_bytes < least || !self.room.has_inodes(FILES)
    }

    pub fn is_filling(&self) -> bool {
        let is_large = self.stored.iter().any(|stored| LARGE.contains(stored));
        let used = self.room.used_percent().max(self.room.used_inodes_percent());
        is_large && used >= WARNING_PERCENT
    }

    /// `/var/lib/etcd, /opt/etcd`; of places in which little is written only where there are no others.
    pub fn folders(&self, desired: &Desired, host: &Host) -> String {
        let is_large = |stored: &&Stored| LARGE.contains(stored);
        let large: Vec<_> = self.stored.iter().filter(is_large).collect();
        let told = if large.is_empty() { self.stored.iter().collect() } else { large };
        let path = |stored: &&Stored| match stored {
            Stored::DataElsewhere => host.data_elsewhere.clone(),
            stored => layout::stored_path(desired, **stored),
        };
        let mut folders: Vec<_> = told.iter().filter_map(path).map(|path| path.to_string()).collect();
        folders.dedup();
        folders.join(", ")
    }

    /// `/var on etcd-1 is 91% full: 1.2 GiB are free`
    fn state(&self, name: &HostName) -> String {
        let Room { mount, available_bytes, available_inodes, .. } = self.room;
        let (bytes, inodes) = (self.room.used_percent(), self.room.used_inodes_percent());
        match inodes > bytes {
            true => format!("{mount} on {name} has used {inodes}% of its inodes: {available_inodes} are free"),
            false => format!("{mount} on {name} is {bytes}% full: {} free", size(*available_bytes)),
        }
    }
}

/// File systems that are full, or soon will be.
pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let of = |(name, host): (&HostName, &Host)| -> Vec<Finding> {
        let told = file_systems(host).filter_map(|shared| finding(desired, name, host, &shared));
        told.collect()
    };
    observed.seen_hosts().filter(|(name, _)| desired.nodes.contains_key(*name)).flat_map(of).collect()
}

fn finding(desired: &Desired, name: &HostName, host: &Host, shared: &FileSystem) -> Option<Finding> {
    let code = match shared.is_full() {
        true => Code::DiskFull,
        false if shared.is_filling() => Code::DiskFilling,
        false => return None,
    };
    let (state, folders) = (shared.state(name), shared.folders(desired, host));
    let what = match code {
        Code::DiskFull if shared.stored.contains(&Stored::Data) && host.process.is_some() => {
            format!(
                "{state} ({folders}); etcd exits there when it cannot allocate the next 64 MB of its log, and does not start"
            )
        }
        _ => format!("{state} ({folders})"),
    };
    Some(Finding { code, hosts: vec![name.clone()], what, hint: Some(make_room(shared.room, name)) })
}

/// What is safe to do, wherever it is.
pub fn make_room(room: &Room, name: &HostName) -> String {
    format!(
        "free space on {name}, or enlarge {}; never delete files in etcd's data directory: `quorate explain {}` says what \
         may go",
        room.mount,
        Code::DiskFull
    )
}

/// What is left to etcd where a snapshot is put on the file system of its data: it ends when that is full. The scripts that
/// take snapshots leave as much.
const LEFT_TO_ETCD_BYTES: u64 = 256 << 20;

/// What a snapshot of a member takes: so many times its database, and what is left to etcd beside it.
pub fn snapshot_bytes(host: &Host, stored: Stored, copies: u64) -> Option<u64> {
    let database = host.answer()?.database_bytes;
    let device = |stored| host.room.get(&stored).map(|room| &room.device);
    let is_beside = device(Stored::Data).is_some() && device(Stored::Data) == device(stored);
    Some(database.saturating_mul(copies).saturating_add(if is_beside { LEFT_TO_ETCD_BYTES } else { 0 }))
}

pub fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}
