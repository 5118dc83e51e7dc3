//! What a snapshot of etcd is, how it is checked as it passes by, and what it is called.
//!
//! ```text
//! ┌──────────────┬──────────────┬────────────────┬─────────┐
//! │ meta page 0  │ meta page 1  │ pages …        │ SHA-256 │
//! └──────────────┴──────────────┴────────────────┴─────────┘
//!   bbolt, as many pages as a meta page says        32 bytes
//! ```
//!
//! Source: `Tx.WriteTo` in bbolt and `Snapshot` in etcd's v3rpc/maintenance.go, the same from 3.4 to 3.7. A copy of
//! `member/snap/db` has no SHA-256 at its end: nothing then tells whether it is whole and unchanged.

mod facts;
mod revision;

use std::collections::BTreeSet;
use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;

use crate::core::cluster::sameness;
use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::desired::Desired;
use crate::core::names::{ClusterId, Digest, HostName, RemotePath, UnixSeconds};
use crate::core::observed::Observed;

pub use facts::{FACTS_BYTES_MAX, Facts, counts, facts_name, newest};
pub use revision::Finder;

/// Checks a snapshot piece by piece, in constant memory.
pub struct Check {
    context: Context,
    /// The beginning, with both meta pages.
    head: Vec<u8>,
    /// The last bytes, which may be the SHA-256 of all before them.
    tail: Vec<u8>,
    bytes: u64,
}

/// A snapshot that is whole and unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sound {
    /// With the SHA-256 at its end.
    pub bytes: u64,
    /// The SHA-256 that it ends in: that of the database, without itself.
    pub digest: Digest,
}

/// What is wrong with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not begin as a database of etcd does.
    NotOne,
    /// It ends too early: so many bytes are there, and so many should be.
    Cut { bytes: u64, whole: u64 },
    /// Its compressed form ends too early.
    PackedCut,
    /// It has no SHA-256 at its end.
    NoHash,
    /// It was changed.
    Damaged(String),
}

impl Fault {
    pub fn code(&self) -> Code {
        match self {
            Self::NotOne => Code::SnapshotUnknown,
            Self::Cut { .. } | Self::PackedCut => Code::SnapshotCut,
            Self::NoHash => Code::SnapshotWithoutHash,
            Self::Damaged(_) => Code::SnapshotDamaged,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOne => f.write_str("not an etcd snapshot"),
            Self::Cut { bytes, whole } => write!(f, "truncated: {bytes} of {whole} bytes"),
            Self::PackedCut => f.write_str("truncated: the compressed data ends too early"),
            Self::NoHash => f.write_str("no SHA-256 at its end, so it cannot be verified"),
            Self::Damaged(how) => write!(f, "damaged: {how}"),
        }
    }
}

const HASH_BYTES: usize = 32;
/// The largest page that bbolt has is the machine's: 64 KiB on ppc64le.
const PAGE_BYTES_MAX: usize = 64 << 10;
/// A meta page's header, then the meta itself.
const META_AT: usize = 16;
const META_BYTES: usize = 64;
/// Both meta pages begin in it.
const HEAD_BYTES: usize = PAGE_BYTES_MAX + META_AT + META_BYTES;
/// bbolt's `magic`.
const MAGIC: u32 = 0xED0C_DAED;

impl Default for Check {
    fn default() -> Self {
        Self { context: Context::new(&SHA256), head: Vec::new(), tail: Vec::new(), bytes: 0 }
    }
}

impl Check {
    pub fn update(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        let room = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(&piece[..room.min(piece.len())]);
        // All but the last 32 bytes are hashed: those may be the hash.
        if piece.len() >= HASH_BYTES {
            let (body, tail) = piece.split_at(piece.len() - HASH_BYTES);
            self.context.update(&self.tail);
            self.context.update(body);
            self.tail.clear();
            self.tail.extend_from_slice(tail);
        } else {
            self.tail.extend_from_slice(piece);
            let over = self.tail.len().saturating_sub(HASH_BYTES);
            self.context.update(&self.tail[..over]);
            self.tail.drain(..over);
        }
    }

    /// So many bytes have come.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// # Errors
    /// What is wrong with it.
    pub fn finish(self) -> Result<Sound, Fault> {
        let digest = self.context.finish();
        let digest = Digest::from_bytes(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"));
        Parts { head: &self.head, tail: &self.tail, digest, bytes: self.bytes }.judged()
    }
}

/// What is needed of a snapshot to judge it.
pub struct Parts<'a> {
    /// Its beginning with both meta pages, or all of it.
    pub head: &'a [u8],
    /// Its last 32 bytes, or all of it.
    pub tail: &'a [u8],
    /// The SHA-256 of all before the last 32 bytes.
    pub digest: Digest,
    pub bytes: u64,
}

impl Parts<'_> {
    /// # Errors
    /// What is wrong with it.
    pub fn judged(&self) -> Result<Sound, Fault> {
        let bytes = self.bytes;
        let database = meta(self.head, 0).or_else(|| {
            // A machine's pages are powers of two; the first meta page tells which, unless it is the damaged one.
            [4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10].into_iter().find_map(|page| meta(self.head, page))
        });
        let ends_in = <[u8; HASH_BYTES]>::try_from(self.tail);
        let matches = ends_in.is_ok_and(|ends_in| self.digest == Digest::from_bytes(ends_in));
        let Some(database) = database else {
            return Err(if matches { Fault::Damaged("its first page".to_owned()) } else { Fault::NotOne });
        };
        let whole = database + HASH_BYTES as u64;
        match ends_in {
            Ok(ends_in) if matches && bytes == whole => Ok(Sound { bytes, digest: Digest::from_bytes(ends_in) }),
            _ if bytes == database => Err(Fault::NoHash),
            _ if bytes < whole => Err(Fault::Cut { bytes, whole }),
            // A copy of a member's file: etcd makes it larger than what is in use, in whole pages.
            _ if bytes.is_multiple_of(512) => Err(Fault::NoHash),
            _ if bytes > whole => Err(Fault::Damaged(format!("{bytes} bytes instead of {whole}"))),
            _ => Err(Fault::Damaged("checksum mismatch (SHA-256)".to_owned())),
        }
    }
}

/// How many bytes the database has by the meta page at `page`; `None` when that is none.
fn meta(head: &[u8], page: usize) -> Option<u64> {
    let meta = head.get(page + META_AT..page + META_AT + META_BYTES)?;
    let number = |at: usize| u32::from_le_bytes(meta[at..at + 4].try_into().expect("four bytes"));
    let long = |at: usize| u64::from_le_bytes(meta[at..at + 8].try_into().expect("eight bytes"));
    // magic, version, page size, flags, root page and sequence, free list, high-water mark, transaction, checksum.
    let (magic, version, page_bytes) = (number(0), number(4), number(8));
    let is_size = page_bytes.is_power_of_two() && (512..=PAGE_BYTES_MAX as u32).contains(&page_bytes);
    let is_meta = magic == MAGIC && version == 2 && is_size && fnv(&meta[..META_BYTES - 8]) == long(META_BYTES - 8);
    is_meta.then(|| long(40).checked_mul(u64::from(page_bytes))).flatten()
}

/// The page size and the page of the root bucket, by the first meta page.
fn layout_of(head: &[u8]) -> Option<(usize, u64)> {
    meta(head, 0)?;
    let meta = &head[META_AT..];
    let page_bytes = u32::from_le_bytes(meta[8..12].try_into().expect("four bytes"));
    Some((page_bytes as usize, u64::from_le_bytes(meta[16..24].try_into().expect("eight bytes"))))
}

/// FNV-1a of 64 bits, as bbolt signs its meta pages with.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `snapshot-20270115_080000.db`: when it was taken, in UTC, so that the names sort by age.
pub fn name(at: UnixSeconds, suffix: &str) -> String {
    let at = Timestamp::from_second(at.0).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("snapshot-{}.db{suffix}", at.strftime("%Y%m%d_%H%M%S"))
}

/// Clocks of hosts differ a little; a name that is further ahead was given by a clock that was wrong.
const AHEAD_SECONDS_MAX: i64 = 600;

/// What orders snapshots by age, the newest last. Nobody knows how old one is that a clock was ahead for: it stands for
/// nothing that was taken lately.
pub fn age(at: UnixSeconds, now: UnixSeconds) -> (bool, UnixSeconds) {
    (at.0 <= now.0 + AHEAD_SECONDS_MAX, at)
}

/// Those that stay when the newest `keep` do, and those that go; both the newest first.
pub fn kept_and_surplus(listed: &[Listed], keep: usize, now: UnixSeconds) -> (Vec<Listed>, Vec<Listed>) {
    let mut kept = listed.to_vec();
    kept.sort_by(|one, other| (age(other.at, now), &other.name).cmp(&(age(one.at, now), &one.name)));
    let surplus = kept.split_off(keep.max(1).min(kept.len()));
    (kept, surplus)
}

/// Those of `cluster`, and those that are or may be of others: a name says nothing of whose it is. Where no member can be
/// asked which cluster this is, it is the only one that is known there.
pub fn of_cluster(listed: &[Listed], cluster: Option<ClusterId>) -> (Vec<Listed>, Vec<Listed>) {
    let ours = cluster.or_else(|| only(listed.iter().filter_map(|one| one.facts.cluster_id)));
    listed.iter().cloned().partition(|one| ours.is_some() && one.facts.cluster_id == ours)
}

/// The id of the cluster, if all that answer agree on it.
pub fn live_cluster(observed: &Observed) -> Option<ClusterId> {
    only(observed.answers().map(|(_, answer)| answer.cluster))
}

/// The one of which all of them are.
pub fn only(ids: impl Iterator<Item = ClusterId>) -> Option<ClusterId> {
    let ids: BTreeSet<_> = ids.collect();
    ids.first().copied().filter(|_| ids.len() == 1)
}

/// A finished snapshot in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// When it was begun, as its name says.
    pub at: UnixSeconds,
    pub bytes: u64,
    pub facts: Facts,
}

/// When a snapshot of this name was begun; `None` when it is no name of ours.
pub fn begun(name: &str) -> Option<UnixSeconds> {
    let (stamp, end) = name.strip_prefix("snapshot-")?.split_once('.')?;
    if !matches!(end, "db" | "db.zst" | "db.gz") {
        return None;
    }
    let civil = jiff::civil::DateTime::strptime("%Y%m%d_%H%M%S", stamp).ok()?;
    Some(UnixSeconds(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second()))
}

/// The folder on the nodes.
pub fn folder(desired: &Desired) -> RemotePath {
    let declared = desired.backup.as_ref().map(|backup| backup.directory.clone());
    declared.unwrap_or_else(|| RemotePath::new(layout::SNAPSHOTS_FOLDER))
}

/// The members that a snapshot can be taken of, the best first: who follows and has seen the most. The leader has
/// work enough. Where nobody serves, any voter that answers will do: better an old snapshot than none.
pub fn sources(desired: &Desired, observed: &Observed) -> Vec<HostName> {
    let mut sources: Vec<_> = observed
        .answers()
        .filter(|(name, answer)| desired.nodes.contains_key(*name) && !answer.learner)
        .filter(|(_, answer)| {
            !answer.alarms.iter().any(|alarm| alarm.is_corrupt() && alarm.member == Some(answer.member))
        })
        .filter(|(_, answer)| !sameness::is_odd(observed, answer.member))
        .map(|(name, answer)| {
            let leads = answer.leader == Some(answer.member);
            ((!answer.reads, leads, std::cmp::Reverse(answer.applied)), name.clone())
        })
        .collect();
    sources.sort();
    sources.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const PAGE: usize = 4096;

    /// One of the two, of a database of three pages.
    pub(crate) fn meta_page(root: u64, index: u64) -> Vec<u8> {
        let mut page = vec![7_u8; PAGE];
        let mut meta = Vec::new();
        meta.extend(MAGIC.to_le_bytes());
        meta.extend(2_u32.to_le_bytes());
        meta.extend((PAGE as u32).to_le_bytes());
        meta.extend(0_u32.to_le_bytes());
        for number in [root, 0, 2, 3, 9 - index] {
            meta.extend(u64::to_le_bytes(number));
        }
        meta.extend(fnv(&meta).to_le_bytes());
        page[META_AT..META_AT + META_BYTES].copy_from_slice(&meta);
        page
    }

    /// Three pages with a SHA-256 behind them, as etcd sends them.
    pub(crate) fn snapshot() -> Vec<u8> {
        let mut bytes = [meta_page(2, 0), meta_page(2, 1), vec![7_u8; PAGE]].concat();
        let digest = aws_lc_rs::digest::digest(&SHA256, &bytes);
        bytes.extend_from_slice(digest.as_ref());
        bytes
    }

    fn checked(bytes: &[u8], piece: usize) -> Result<Sound, Fault> {
        let mut check = Check::default();
        bytes.chunks(piece).for_each(|piece| check.update(piece));
        check.finish()
    }

    #[test]
    fn a_snapshot_is_sound_in_whatever_pieces_it_comes() {
        let bytes = snapshot();
        for piece in [1, 5, 31, 32, 33, 4096, 32 << 10] {
            let sound = checked(&bytes, piece).expect("it is sound");
            assert_eq!(sound.bytes, bytes.len() as u64);
            assert_eq!(sound.digest, Digest::of(&bytes[..bytes.len() - 32]));
        }
    }

    #[test]
    fn every_flipped_byte_every_cut_and_a_missing_hash_are_found_and_named() {
        let bytes = snapshot();
        let whole = bytes.len() as u64;
        for at in (0..bytes.len()).step_by(7).chain(0..100) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            let fault = checked(&flipped, 1000).expect_err("it was changed");
            assert!(matches!(fault, Fault::Damaged(_)), "{at}: {fault}");
        }
        for length in (4200..bytes.len()).step_by(11).filter(|length| *length != bytes.len() - 32) {
            let fault = checked(&bytes[..length], 1000).expect_err("it is cut");
            assert_eq!(fault, Fault::Cut { bytes: length as u64, whole });
        }
        assert_eq!(checked(&bytes[..bytes.len() - 32], 1000), Err(Fault::NoHash));
        assert_eq!(checked(b"", 1), Err(Fault::NotOne));
        assert_eq!(checked(&[0; 5000], 1000), Err(Fault::NotOne));
        let longer = [&bytes[..], b"x"].concat();
        assert!(matches!(checked(&longer, 1000), Err(Fault::Damaged(_))));
    }

    #[test]
    fn the_newest_stay() {
        let of = |second| Listed {
            name: name(UnixSeconds(second), ".zst"),
            at: UnixSeconds(second),
            bytes: 1000,
            facts: Facts { bytes: Some(1000), ..Facts::default() },
        };
        let listed = [of(1_800_000_060), of(1_800_000_000), of(1_800_000_120)];
        let kept_and_surplus = |listed: &[Listed], keep| kept_and_surplus(listed, keep, UnixSeconds(1_800_000_121));
        let (kept, surplus) = kept_and_surplus(&listed, 2);
        assert_eq!((kept, surplus), (vec![listed[2].clone(), listed[0].clone()], vec![listed[1].clone()]));
        assert_eq!(kept_and_surplus(&listed, 3).1, []);
        // One stays whatever is asked for.
        assert_eq!(kept_and_surplus(&listed, 0).0, [listed[2].clone()]);
        assert_eq!(kept_and_surplus(&[], 2), (Vec::new(), Vec::new()));
        // One whose name is of the future goes first.
        let ahead = [&listed[..], &[of(1_900_000_000)]].concat();
        assert_eq!(kept_and_surplus(&ahead, 3).1, [ahead[3].clone()]);
        assert_eq!(newest(&ahead, UnixSeconds(1_800_000_121)), Some(&ahead[2]));
    }

    #[test]
    fn names_sort_by_age() {
        assert_eq!(name(UnixSeconds(1_800_000_000), ".zst"), "snapshot-20270115_080000.db.zst");
        assert_eq!(begun("snapshot-20270115_080000.db.zst"), Some(UnixSeconds(1_800_000_000)));
        assert_eq!(begun("snapshot-20270115_080000.db.zst.part"), None);
        assert_eq!(begun("snapshot-20271315_080000.db"), None);
    }

    #[test]
    fn in_a_shared_place_only_what_is_surely_of_this_cluster_counts() {
        let one = |name: &str, id: Option<u64>| Listed {
            name: name.to_owned(),
            at: UnixSeconds(0),
            bytes: 1,
            facts: Facts { cluster_id: id.map(ClusterId), ..Facts::default() },
        };
        let ours = |listed: &[Listed], cluster: Option<u64>| {
            let (ours, others) = of_cluster(listed, cluster.map(ClusterId));
            assert_eq!(ours.len() + others.len(), listed.len());
            ours.into_iter().map(|one| one.name).collect::<Vec<_>>()
        };
        let alone = [one("a", Some(7)), one("b", None)];
        assert_eq!(ours(&alone, Some(7)), ["a"]);
        assert_eq!(ours(&alone, None), ["a"]);
        assert_eq!(ours(&alone, Some(8)), [""; 0]);
        assert_eq!(ours(&alone[1..], Some(8)), [""; 0]);
        assert_eq!(ours(&alone[1..], None), [""; 0]);
        let shared = [one("a", Some(7)), one("b", None), one("c", Some(8))];
        assert_eq!(ours(&shared, Some(7)), ["a"]);
        assert_eq!(ours(&shared, None), [""; 0]);
    }
}
