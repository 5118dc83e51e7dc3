//! The revision of a snapshot, found as it passes by, without its pages being kept.
//!
//! ```text
//! meta ─► root: leaf with the buckets ─► "key": branch ─ last child ─► … ─► leaf ─ last key ─► its revision
//! ```
//!
//! A database is a tree of pages in any order, and holds pages that are in use no more, or not yet: those that a member
//! writes while its snapshot is on the way. So of every page a little is noted, and the tree is walked at the end.
//!
//! Nothing else can tell it from what passes by. etcd does not send it with a snapshot, and what a member says of itself
//! is of another moment. `etcdutl snapshot status`, and the crates that read the format (bbolt-rs, bolt-lite, nut), want
//! the database whole, in a file or in memory: here it is compressed as it comes, may have many GiB, and the machine may
//! have no etcd. So as little of the format is read as leads to the last key, and nothing depends on it: where it cannot
//! be told, the snapshot is kept without it.
//!
//! Source: page.go and bucket.go of bbolt, mvcc/revision.go of etcd, the same from 3.4 to 3.7.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Where pages are noted that may be on the way to the newest key.
#[derive(Default)]
pub struct Finder {
    page_bytes: usize,
    /// The page of the buckets.
    root: u64,
    /// What has come of the page that comes now.
    begun: Vec<u8>,
    /// Its number.
    page: u64,
    /// The children of branches that may lead to the bucket `key`; those are few.
    roots: BTreeMap<u64, Vec<u64>>,
    /// What leaves of buckets say of the bucket `key`.
    buckets: BTreeMap<u64, Bucket>,
    /// The last child of every branch below: one page of a hundred.
    branches: BTreeMap<u64, u64>,
    /// Leaves by the revision of their last key. The newest are kept: those in use are followed by no more than a member
    /// writes in the meantime.
    leaves: BinaryHeap<Reverse<(i64, u64)>>,
    /// Keys behind values so large that they lie on a later page.
    awaited: Vec<Awaited>,
}

#[derive(Clone, Copy)]
enum Bucket {
    /// It is so small that it lies inside the leaf; with its revision.
    Inline(i64),
    Root(u64),
}

struct Awaited {
    leaf: u64,
    /// Where the key is in the file.
    at: u64,
    key: Vec<u8>,
}

/// No page is smaller, and a meta page lies at its beginning.
const PAGE_BYTES_MIN: usize = 512;
const LEAVES_KEPT_MAX: usize = 1 << 16;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
/// The header of a page, and each of the elements behind it.
const HEADER: usize = 16;
/// The revision of a write, a byte between, the number of the change in it; a mark when the key was deleted.
const KEY_BYTES: [usize; 2] = [17, 18];
/// As much of it as is read.
const KEY_READ: usize = 9;
/// No tree of pages is deeper.
const DEPTH_MAX: usize = 64;

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The revision in a key of the bucket `key`.
fn revision(key: &[u8]) -> Option<i64> {
    let of_write = (key.get(8) == Some(&b'_')).then(|| key[..8].try_into().ok()).flatten()?;
    Some(i64::from_be_bytes(of_write)).filter(|revision| *revision >= 0)
}

/// An element of a leaf: its key and its value, as far as they lie on the page.
struct Element {
    is_bucket: bool,
    key_at: usize,
    key_bytes: usize,
}

fn element(page: &[u8], index: usize) -> Option<Element> {
    let at = HEADER * (index + 1);
    let (flags, pos, key_bytes) = (number(page, at)?, number(page, at + 4)?, number(page, at + 8)?);
    Some(Element { is_bucket: flags & 1 == 1, key_at: at.checked_add(pos)?, key_bytes })
}

impl Finder {
    /// The next bytes of the snapshot.
    pub fn update(&mut self, mut piece: &[u8]) {
        if self.page_bytes == 0 {
            // What does not begin with a meta page has no tree either.
            if self.begun.len() >= PAGE_BYTES_MIN {
                return;
            }
            self.begun.extend_from_slice(piece);
            let Some((page_bytes, root)) = super::layout_of(&self.begun) else { return };
            (self.page_bytes, self.root) = (page_bytes, root);
            let begun = std::mem::take(&mut self.begun);
            return self.update(&begun);
        }
        while !piece.is_empty() {
            if self.begun.is_empty() && piece.len() >= self.page_bytes {
                let (page, rest) = piece.split_at(self.page_bytes);
                self.look(page);
                piece = rest;
                continue;
            }
            let (some, rest) = piece.split_at(piece.len().min(self.page_bytes - self.begun.len()));
            self.begun.extend_from_slice(some);
            piece = rest;
            if self.begun.len() == self.page_bytes {
                let page = std::mem::take(&mut self.begun);
                self.look(&page);
                self.begun = page;
                self.begun.clear();
            }
        }
    }

    /// `None` when the tree cannot be walked to its newest key.
    pub fn found(self) -> Option<i64> {
        let mut pages = vec![self.root];
        let mut bucket = None;
        for _ in 0..DEPTH_MAX * DEPTH_MAX {
            let page = pages.pop()?;
            bucket = self.buckets.get(&page).copied();
            if bucket.is_some() {
                break;
            }
            pages.extend(self.roots.get(&page).into_iter().flatten());
        }
        let mut page = match bucket? {
            Bucket::Inline(revision) => return Some(revision),
            Bucket::Root(page) => page,
        };
        for _ in 0..DEPTH_MAX {
            let Some(child) = self.branches.get(&page) else { break };
            page = *child;
        }
        self.leaves.iter().find(|Reverse((_, leaf))| *leaf == page).map(|Reverse((revision, _))| *revision)
    }

    fn look(&mut self, page: &[u8]) {
        let number_of_it = self.page;
        self.page += 1;
        self.receive_awaited(page, number_of_it);
        let (Some(id), Some(flags), Some(count)) = (long(page, 0), short(page, 8), short(page, 10)) else { return };
        if id != number_of_it || count == 0 {
            return;
        }
        match flags {
            BRANCH => self.look_at_branch(page, id, usize::from(count)),
            LEAF => self.look_at_leaf(page, id, usize::from(count)),
            _ => None,
        };
    }

    fn look_at_branch(&mut self, page: &[u8], id: u64, count: usize) -> Option<()> {
        // Position, length of the key, page.
        let child =
            |index: usize| Some((number(page, HEADER * (index + 1) + 4)?, long(page, HEADER * (index + 1) + 8)?));
        let (key_bytes, last) = child(count - 1)?;
        if KEY_BYTES.contains(&key_bytes) {
            self.branches.insert(id, last);
        } else {
            self.roots.insert(id, (0..count).filter_map(|index| Some(child(index)?.1)).collect());
        }
        Some(())
    }

    fn look_at_leaf(&mut self, page: &[u8], id: u64, count: usize) -> Option<()> {
        let last = element(page, count - 1)?;
        if !last.is_bucket && KEY_BYTES.contains(&last.key_bytes) {
            if let Some(key) = page.get(last.key_at..last.key_at + KEY_READ) {
                self.note_leaf(id, revision(key)?);
                return Some(());
            }
            // Behind a value of several pages.
            let pages = number(page, 12)? + 1;
            if last.key_at < pages.checked_mul(self.page_bytes)? {
                let at = id * self.page_bytes as u64 + last.key_at as u64;
                self.awaited.push(Awaited { leaf: id, at, key: Vec::new() });
            }
            return Some(());
        }
        let named = |element: &Element| {
            element.is_bucket && page.get(element.key_at..element.key_at + element.key_bytes) == Some(b"key")
        };
        let found = (0..count).filter_map(|index| element(page, index)).find(named)?;
        let value = page.get(found.key_at + found.key_bytes..)?;
        // The page of its root and a counter; then, when there is no such page, a page of its own inside.
        let bucket = match long(value, 0)? {
            0 => Bucket::Inline(inline_revision(value.get(HEADER..)?)?),
            root => Bucket::Root(root),
        };
        self.buckets.insert(id, bucket);
        Some(())
    }

    fn note_leaf(&mut self, leaf: u64, revision: i64) {
        self.leaves.push(Reverse((revision, leaf)));
        if self.leaves.len() > LEAVES_KEPT_MAX {
            self.leaves.pop();
        }
    }

    fn receive_awaited(&mut self, page: &[u8], number: u64) {
        let begin = number * self.page_bytes as u64;
        for awaited in &mut self.awaited {
            let next = awaited.at + awaited.key.len() as u64;
            let Some(from) = next.checked_sub(begin).and_then(|from| usize::try_from(from).ok()) else { continue };
            let lacks = KEY_READ - awaited.key.len();
            awaited.key.extend(page.iter().skip(from).take(lacks));
        }
        let (whole, rest) = std::mem::take(&mut self.awaited).into_iter().partition(|one| one.key.len() == KEY_READ);
        self.awaited = rest;
        let whole: Vec<Awaited> = whole;
        for Awaited { leaf, key, .. } in whole {
            if let Some(revision) = revision(&key) {
                self.note_leaf(leaf, revision);
            }
        }
    }
}

/// Of a bucket that has a page of its own inside the leaf; 0 when it is empty, as etcd says of such a snapshot.
fn inline_revision(page: &[u8]) -> Option<i64> {
    match usize::from(short(page, 10)?) {
        0 => Some(0),
        count => {
            let last = element(page, count - 1)?;
            revision(page.get(last.key_at..last.key_at + KEY_READ)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::snapshot::tests::meta_page;

    const PAGE: usize = 4096;

    /// A page with the elements behind its header, each with its key and value.
    fn leaf(id: u64, bucket: bool, of: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut page = header(id, LEAF, of.len());
        let mut at = HEADER * (of.len() + 1);
        for (index, (key, value)) in of.iter().enumerate() {
            let pos = at - HEADER * (index + 1);
            for number in [usize::from(bucket), pos, key.len(), value.len()] {
                page.extend((number as u32).to_le_bytes());
            }
            at += key.len() + value.len();
        }
        of.iter().for_each(|(key, value)| page.extend([*key, *value].concat()));
        let pages = page.len().div_ceil(PAGE);
        page.resize(pages * PAGE, 0);
        page[12..16].copy_from_slice(&(pages as u32 - 1).to_le_bytes());
        page
    }

    fn header(id: u64, flags: u16, count: usize) -> Vec<u8> {
        let mut page = id.to_le_bytes().to_vec();
        page.extend(flags.to_le_bytes());
        page.extend((count as u16).to_le_bytes());
        page.extend([0; 4]);
        page
    }

    fn branch(id: u64, children: &[(&[u8], u64)]) -> Vec<u8> {
        let mut page = header(id, BRANCH, children.len());
        let mut at = HEADER * (children.len() + 1);
        for (index, (key, child)) in children.iter().enumerate() {
            for number in [at - HEADER * (index + 1), key.len()] {
                page.extend((number as u32).to_le_bytes());
            }
            page.extend(child.to_le_bytes());
            at += key.len();
        }
        children.iter().for_each(|(key, _)| page.extend_from_slice(key));
        page.resize(PAGE, 0);
        page
    }

    fn key(revision: i64) -> Vec<u8> {
        [&revision.to_be_bytes()[..], b"_", &[0; 8]].concat()
    }

    fn root(page: u64) -> Vec<u8> {
        [page.to_le_bytes(), [0; 8]].concat()
    }

    fn found(pages: &[Vec<u8>], piece: usize) -> Option<i64> {
        let all = pages.concat();
        let mut finder = Finder::default();
        all.chunks(piece).for_each(|piece| finder.update(piece));
        finder.found()
    }

    fn metas(root: u64) -> Vec<Vec<u8>> {
        vec![meta_page(root, 0), meta_page(root, 1)]
    }

    #[test]
    fn the_newest_key_is_found_whatever_else_lies_there() {
        let large = vec![b'_'; 3 * PAGE];
        let (one, three, seven, nine) = (key(1), key(3), key(7), key(9));
        let mut pages = metas(5);
        // A leaf in use, one that was written since, and one of which nothing points to the key.
        pages.push(leaf(2, false, &[(&one, b"a"), (&three, b"b")]));
        pages.push(leaf(3, false, &[(&nine, b"later")]));
        pages.push(branch(4, &[(&one, 2), (&seven, 6)]));
        pages.push(leaf(5, true, &[(b"alarm", &root(0)), (b"key", &root(4)), (b"lease", &root(0))]));
        pages.push(leaf(6, false, &[(&key(5), &large), (&seven, b"c")]));
        for piece in [1, 100, PAGE, 3 * PAGE + 5, 1 << 20] {
            assert_eq!(found(&pages, piece), Some(7), "{piece}");
        }
        // The buckets need two pages themselves.
        pages[5] = branch(5, &[(b"alarm", 10), (b"key", 11)]);
        pages.push(leaf(10, true, &[(b"alarm", &root(0))]));
        assert_eq!(pages.concat().len(), 11 * PAGE);
        pages.push(leaf(11, true, &[(b"key", &root(4))]));
        assert_eq!(found(&pages, 32 << 10), Some(7));
    }

    #[test]
    fn a_small_bucket_lies_inside_the_leaf() {
        let inside = leaf(0, false, &[(&key(1), b"a"), (&key(2), b"b")]);
        let value = [&root(0)[..], &inside[..200]].concat();
        let mut pages = metas(2);
        pages.push(leaf(2, true, &[(b"key", &value), (b"lease", &root(0))]));
        assert_eq!(found(&pages, PAGE), Some(2));
        let empty = [&root(0)[..], &header(0, LEAF, 0)].concat();
        pages[2] = leaf(2, true, &[(b"key", &empty), (b"lease", &root(0))]);
        assert_eq!(found(&pages, PAGE), Some(0));
        pages[2] = leaf(2, true, &[(b"lease", &root(0))]);
        assert_eq!(found(&pages, PAGE), None);
        assert_eq!(found(&[vec![0; 5 * PAGE]], PAGE), None);
    }
}
