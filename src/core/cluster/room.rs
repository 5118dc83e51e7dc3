//! Whether there is room on a host for what is to be written there.
//!
//! | what is written | where | how much |
//! |---|---|---|
//! | etcd goes on, or starts | its data | the next part of its log, 64 MB, which it allocates before it needs it |
//! | a member begins, or is restored | its data | the database, and two parts of a log |
//! | binaries | [paths] binaries | the archive, and what is unpacked of it |
//! | a snapshot before a change | /var/backups/etcd | the database; 256 MiB more where etcd's data is on the same file system |
//! | everything else | where it is | next to nothing, for which root may use what is reserved for it |
//!
//! A start needs that much, too: etcd cuts the end off the last part of its log and allocates it anew. Tried on 3.5.30 with a
//! full disk: `failed to read WAL, cannot be repaired: no space left on device`.
//!
//! What could not be told of a host keeps nothing from being done there: the scripts look again before they write much.
//! What takes something away needs no room. Source of the log's parts: `SegmentSizeBytes` and `filePipeline` in etcd's
//! wal, the same from 3.4 to 3.7.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::cluster::restoration;
use crate::core::code::Code;
use crate::core::complaint::is_of_full_disk;
use crate::core::content::layout;
use crate::core::count::size;
use crate::core::desired::{Binaries, Desired};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, Version};
use crate::core::observed::{DataDirectory, Host, Observed, Room, Seen, Stored};
use crate::core::plan::ruling::{Blocked, Finding};

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
    let mut by_pool: BTreeMap<_, FileSystem> = BTreeMap::new();
    for (stored, room) in host.room.iter().filter(|(_, room)| !room.read_only) {
        let shared = by_pool.entry(room.pool()).or_insert_with(|| FileSystem { room, stored: BTreeSet::new() });
        shared.stored.insert(*stored);
    }
    by_pool.into_values()
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
        told.chain(ended_by_it(name, host)).collect()
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
        Code::DiskFull
            if shared.stored.contains(&Stored::Data)
                && host.process.is_some()
                && shared.room.available_bytes < LOG_PART_BYTES =>
        {
            format!(
                "{state} ({folders}); etcd exits there when it cannot allocate the next 64 MB of its log, and may not start again"
            )
        }
        _ => format!("{state} ({folders})"),
    };
    Some(Finding { code, hosts: vec![name.clone()], what, hint: Some(make_room(shared.room, name)) })
}

/// Of a member that does not run any more, also when there is room again.
fn ended_by_it(name: &HostName, host: &Host) -> Option<Finding> {
    let complaint = host.service.complaint.as_ref().filter(|complaint| is_of_full_disk(complaint))?;
    let what = format!("etcd on {name} exited because a disk there was full: {complaint}");
    let hint = Some(format!("free space on {name}: `quorate explain {}` says what may go", Code::DiskFull));
    Some(Finding { code: Code::DiskFull, hosts: vec![name.clone()], what, hint })
}

/// So much is to be written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    pub stored: Stored,
    pub bytes: u64,
}

impl Need {
    pub fn files(stored: Stored) -> Self {
        Self { stored, bytes: FILES_BYTES }
    }

    /// What etcd needs to start, and to go on.
    fn log(stored: Stored) -> Self {
        Self { stored, bytes: LOG_PART_BYTES }
    }

    /// A data directory that is begun with a database of so many bytes.
    pub fn data(database_bytes: u64) -> Self {
        Self { stored: Stored::Data, bytes: database_bytes.saturating_add(2 * LOG_PART_BYTES) }
    }
}

/// A file system that has less than is needed.
struct Lack<'a> {
    room: &'a Room,
    /// Of what needs most.
    stored: Stored,
    bytes: u64,
}

/// The first file system on which there is no room for all that is to be written there.
fn lack<'a>(host: &'a Host, needs: &[Need]) -> Option<Lack<'a>> {
    let mut by_pool: BTreeMap<_, (&Room, Vec<Need>)> = BTreeMap::new();
    for need in needs {
        let Some(room) = host.room.get(&need.stored) else { continue };
        by_pool.entry(room.pool()).or_insert_with(|| (room, Vec::new())).1.push(*need);
    }
    by_pool.into_values().find_map(|(room, needs)| {
        let sum =
            |needs: &mut dyn Iterator<Item = &Need>| needs.fold(0_u64, |sum, need| sum.saturating_add(need.bytes));
        let bytes = sum(&mut needs.iter());
        let most = needs.iter().max_by_key(|need| need.bytes)?;
        // A few files are root's, who may use what is reserved; all else is etcd's, or is to leave that alone.
        let large = sum(&mut needs.iter().filter(|need| need.bytes > FILES_BYTES));
        let all = room.available_bytes.saturating_add(room.reserved_bytes);
        let fits = large <= room.available_bytes && bytes <= all && room.has_inodes(FILES);
        (!fits).then_some(Lack { room, stored: most.stored, bytes })
    })
}

impl Lack<'_> {
    /// `it needs 1.2 GiB in /var/backups/etcd, and 300.0 MiB are free on /var`
    fn in_words(&self, desired: &Desired) -> String {
        let Self { room: Room { mount, available_bytes, available_inodes, .. }, stored, bytes } = self;
        let folder = layout::stored_path(desired, *stored).map_or_else(String::new, |path| format!(" in {path}"));
        let needed = format!("it needs {}{folder}", size(*bytes));
        match bytes <= available_bytes {
            true => format!("{needed}, and {mount} has {available_inodes} free inodes"),
            false => format!("{needed}, and {} are free on {mount}", size(*available_bytes)),
        }
    }

    fn blocked(&self, desired: &Desired, name: &HostName, what: &str) -> Blocked {
        let what = format!("{what}: {}", self.in_words(desired));
        Blocked::new(Code::DiskFull, what).on(name).hint(make_room(self.room, name))
    }
}

/// Why what needs so much on a host is not done; `what` is that: `no room to install etcd 3.5.16 on etcd-1`.
pub fn refusal(desired: &Desired, name: &HostName, host: &Host, needs: &[Need], what: &str) -> Option<Blocked> {
    let lack = lack(host, needs).filter(|_| !upheld(Guard::RoomBeforeStep, false))?;
    Some(lack.blocked(desired, name, what))
}

/// What an archive takes where it is unpacked.
pub fn binaries(observed: &Observed, host: &Host, version: Version) -> Need {
    let archive = observed.workstation.archives.get(&version).and_then(|of| of.get(&host.architecture));
    let bytes = archive.and_then(Seen::known).map_or(FILES_BYTES, |archive| archive.bytes);
    Need { stored: Stored::Binaries, bytes }
}

/// Hosts that are to get a member, or a restored one, and have no room for it: nothing is begun there.
pub fn obstacles(desired: &Desired, observed: &Observed) -> Vec<Blocked> {
    let restoring = restoration::under_way(desired, observed);
    let of = |(name, host): (&HostName, &Host)| match &restoring {
        Some(restoration) => {
            let is_restored = restoration::mark(host).is_some_and(|mark| mark.token == restoration.token);
            let bytes = desired.request.restore.as_ref().filter(|_| !is_restored)?.bytes;
            let pushed = if host.pushed.contains(&restoration.digest) { 0 } else { bytes };
            let file = Need { stored: Stored::BesideData, bytes: pushed };
            let needs = [begun(desired, observed, host, bytes), vec![file]].concat();
            refusal(desired, name, host, &needs, &format!("no room to restore the snapshot on {name}"))
        }
        None if is_to_begin(desired, name, host) => to_join(desired, observed, name, host),
        None => None,
    };
    observed.seen_hosts().filter(|(name, _)| desired.nodes.contains_key(*name)).filter_map(of).collect()
}

/// Whether a member is to begin there: what it had before is not made room of.
fn is_to_begin(desired: &Desired, name: &HostName, host: &Host) -> bool {
    let is_bare = host.data == DataDirectory::Empty && host.data_elsewhere.is_none() && host.process.is_none();
    is_bare || desired.request.lost.contains_key(name)
}

/// Why no member can begin on a host, with the database that the others have.
pub fn to_join(desired: &Desired, observed: &Observed, name: &HostName, host: &Host) -> Option<Blocked> {
    let database = observed.answers().map(|(_, answer)| answer.database_bytes).max().unwrap_or_default();
    let needs = begun(desired, observed, host, database);
    refusal(desired, name, host, &needs, &format!("no room for a member on {name}"))
}

/// All that a host gets with a member.
fn begun(desired: &Desired, observed: &Observed, host: &Host, database_bytes: u64) -> Vec<Need> {
    let mut needs: Vec<_> = [Stored::Config, Stored::Certificates, Stored::Units].map(Need::files).into();
    needs.push(Need::data(database_bytes));
    let version = desired.cluster.version;
    if matches!(desired.binaries, Binaries::Archive { .. }) && !host.installed.contains_key(&version) {
        needs.push(binaries(observed, host, version));
    }
    needs
}

/// The first of those hosts that has room for a snapshot of its member.
///
/// # Errors
/// When none has.
pub fn saver<'a>(
    desired: &Desired,
    observed: &Observed,
    candidates: impl Iterator<Item = &'a HostName>,
    what: &str,
) -> Result<Option<&'a HostName>, Blocked> {
    let mut refused = None;
    for name in candidates {
        let Some(host) = observed.host(name) else { continue };
        let bytes = snapshot_bytes(host, Stored::Snapshots, 1).unwrap_or_default();
        match refusal(desired, name, host, &[Need { stored: Stored::Snapshots, bytes }], what) {
            None => return Ok(Some(name)),
            Some(why) => refused = refused.or(Some(why)),
        }
    }
    refused.map_or(Ok(None), Err)
}

/// Why a member must not be started, or restarted, nor anything laid ready for that: it would not come back.
pub fn to_start(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    // What is written to its files before that has needs of its own.
    if host.data_elsewhere.is_some() {
        return None;
    }
    let lack = lack(host, &[Need::log(Stored::Data)]).filter(|_| !upheld(Guard::DiskNotFull, false))?;
    let verb = if host.process.is_some() { "restarted" } else { "started" };
    Some(lack.blocked(desired, name, &format!("etcd on {name} is not {verb}")))
}

/// Why a member may end at any moment, in a few words: the disk of its data is full.
pub fn full(host: &Host) -> Option<String> {
    host.process.as_ref()?;
    let stored = if host.data_elsewhere.is_some() { Stored::DataElsewhere } else { Stored::Data };
    let Lack { room, .. } = lack(host, &[Need::log(stored)])?;
    Some(format!("its disk is full ({} free on {})", size(room.available_bytes), room.mount))
}

/// Why nothing that costs redundancy is done to others while a member may end at any moment.
pub fn waits(name: &HostName, full: &str) -> Blocked {
    let what = format!("no other member is changed or restarted while {name} may stop: {full}");
    let hint = format!("free space on {name} first: `quorate explain {}` says what may go", Code::DiskFull);
    Blocked::new(Code::DiskFull, what).on(name).hint(hint)
}

/// Where nobody has looked which disk it is.
pub fn after_full(name: &HostName) -> String {
    format!(
        "free space on {name} (`df -h` and `df -i` there show where it is short; `quorate explain {}` says what may go), then \
         run the same command again: it resumes from the current state",
        Code::DiskFull
    )
}

/// The file systems of a host that are full; if what failed has freed some space since, the fullest.
pub fn fullest(desired: &Desired, observed: &Observed, name: &HostName) -> Vec<String> {
    let Some(host) = observed.host(name) else { return Vec::new() };
    let mut all: Vec<_> = file_systems(host).collect();
    all.sort_by_key(|shared| (!shared.is_full(), std::cmp::Reverse(shared.room.used_percent())));
    let full = all.iter().filter(|shared| shared.is_full()).count();
    let told = all.iter().take(full.max(1));
    told.map(|shared| format!("{} ({})", shared.state(name), shared.folders(desired, host))).collect()
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
    let pool = |stored| host.room.get(&stored).map(Room::pool);
    let is_beside = pool(Stored::Data).is_some() && pool(Stored::Data) == pool(stored);
    Some(database.saturating_mul(copies).saturating_add(if is_beside { LEFT_TO_ETCD_BYTES } else { 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::RemotePath;
    use crate::laws::sample;

    const GIB: u64 = 1 << 30;

    fn room(device: &str, available_bytes: u64, used_bytes: u64) -> Room {
        Room {
            mount: RemotePath::new("/"),
            device: device.to_owned(),
            available_bytes,
            reserved_bytes: 0,
            used_bytes,
            available_inodes: 1000,
            inodes: 2000,
            read_only: false,
        }
    }

    /// What is told of the first host with that room.
    fn told(rooms: &[(Stored, Room)], complaint: Option<&str>) -> Vec<(Code, String)> {
        let desired = sample::desired(3);
        let mut observed = sample::healthy(&desired);
        let host = observed.host_mut(&sample::name(0)).expect("it is there");
        host.room = rooms.iter().cloned().collect();
        host.service.complaint = complaint.map(str::to_owned);
        findings(&desired, &observed).into_iter().map(|finding| (finding.code, finding.what)).collect()
    }

    #[test]
    fn one_disk_is_told_once_with_all_that_is_on_it() {
        let disk = || room("8:1", GIB, 9 * GIB);
        let all = [(Stored::Data, disk()), (Stored::Binaries, disk()), (Stored::Units, disk())];
        let expected = "/ on etcd-1 is 90% full: 1.0 GiB free (/var/lib/etcd, /opt/etcd)".to_owned();
        assert_eq!(told(&all, None), [(Code::DiskFilling, expected)]);
        assert_eq!(told(&[(Stored::Data, room("8:1", 16 * GIB, 84 * GIB))], None), []);
        assert_eq!(told(&[(Stored::Data, room("8:1", 15 * GIB, 85 * GIB))], None).len(), 1);
    }

    #[test]
    fn where_little_is_written_only_a_full_one_is_told_and_a_read_only_one_never() {
        assert_eq!(told(&[(Stored::Units, room("8:1", GIB, 99 * GIB))], None), []);
        let full = told(&[(Stored::Units, room("8:1", 4096, GIB))], None);
        let expected = "/ on etcd-1 is 100% full: 4.0 KiB free (/etc/systemd/system)".to_owned();
        assert_eq!(full, [(Code::DiskFull, expected)]);
        let read_only = Room { read_only: true, ..room("8:1", 0, GIB) };
        assert_eq!(told(&[(Stored::Binaries, read_only)], None), []);
    }

    #[test]
    fn what_has_ended_for_want_of_room_is_told_when_there_is_room_again() {
        let words = "failed to read WAL, cannot be repaired: no space left on device";
        let expected = format!("etcd on etcd-1 exited because a disk there was full: {words}");
        assert_eq!(told(&[(Stored::Data, room("8:1", GIB, GIB))], Some(words)), [(Code::DiskFull, expected)]);
        assert_eq!(told(&[], Some("panic: tocommit(9) is out of range")), []);
    }

    #[test]
    fn what_shares_a_file_system_is_summed_up() {
        let (desired, name) = (sample::desired(1), sample::name(0));
        let refused = |data: &str, binaries: &str| {
            let mut host = sample::bare_host();
            host.room.insert(Stored::Data, room(data, GIB, GIB));
            host.room.insert(Stored::Binaries, room(binaries, GIB, GIB));
            let need = |stored| Need { stored, bytes: GIB * 2 / 3 };
            refusal(&desired, &name, &host, &[need(Stored::Data), need(Stored::Binaries)], "no room")
        };
        assert_eq!(refused("8:1", "8:2"), None);
        let what = refused("8:1", "8:1").expect("both are too much").what;
        assert!(
            what.starts_with("no room: it needs 1.3 GiB in ") && what.ends_with(", and 1.0 GiB are free on /"),
            "{what}"
        );
        // What nobody could tell keeps nothing from being done.
        let unknown = refusal(&desired, &name, &sample::bare_host(), &[Need::data(u64::MAX)], "no room");
        assert_eq!(unknown, None);
    }

    #[test]
    fn what_is_reserved_for_root_is_room_for_its_few_files_alone() {
        let mut host = sample::bare_host();
        for stored in [Stored::Certificates, Stored::Data] {
            host.room.insert(stored, Room { reserved_bytes: GIB, ..room("8:1", 0, GIB) });
        }
        let refused = |need| refusal(&sample::desired(1), &sample::name(0), &host, &[need], "no room").is_some();
        assert!(!refused(Need::files(Stored::Certificates)));
        assert!(refused(Need { stored: Stored::Data, bytes: LOG_PART_BYTES }));
    }

    #[test]
    fn a_quota_on_the_same_device_has_room_of_its_own() {
        let mut host = sample::bare_host();
        host.room.insert(Stored::Config, room("8:1", 9 * GIB, GIB));
        host.room.insert(Stored::Data, room("8:1", GIB, GIB));
        let need = |stored| Need { stored, bytes: 2 * GIB };
        let refused = |needs: &[Need]| refusal(&sample::desired(1), &sample::name(0), &host, needs, "no room");
        assert!(refused(&[need(Stored::Config)]).is_none());
        assert!(refused(&[need(Stored::Config), need(Stored::Data)]).is_some());
    }

    #[test]
    fn inodes_are_room_too() {
        let mut host = sample::bare_host();
        host.room.insert(Stored::Config, Room { available_inodes: 3, ..room("8:1", GIB, GIB) });
        let refused = |host: &Host| {
            refusal(&sample::desired(1), &sample::name(0), host, &[Need::files(Stored::Config)], "no room")
        };
        assert!(refused(&host).is_some_and(|why| why.what.ends_with("and / has 3 free inodes")));
        host.room.insert(Stored::Config, Room { available_inodes: 0, inodes: 0, ..room("8:1", GIB, GIB) });
        assert_eq!(refused(&host), None);
    }

    #[test]
    fn beside_its_data_a_snapshot_leaves_room_for_etcd() {
        let desired = sample::desired(1);
        let mut observed = sample::healthy(&desired);
        let host = observed.host_mut(&sample::name(0)).expect("it is there");
        host.member.known_mut().and_then(Option::as_mut).expect("it answers").database_bytes = GIB;
        let bytes = |host: &Host| snapshot_bytes(host, Stored::Snapshots, 1);
        assert_eq!(bytes(host), Some(GIB));
        sample::on_one_disk(host, GIB, GIB);
        assert_eq!(bytes(host), Some(GIB + LEFT_TO_ETCD_BYTES));
        host.room.insert(Stored::Snapshots, room("8:2", GIB, GIB));
        assert_eq!(bytes(host), Some(GIB));
    }
}
