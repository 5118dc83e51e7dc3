//! The frame of an answer: sections of lines, then the bodies of files.

use std::collections::BTreeMap;

use super::Trouble;
use crate::core::names::{Digest, UnixSeconds};
use crate::core::observed::Access;

/// An answer taken apart, with the text of the host's files as it came.
pub(super) struct Answer<'a> {
    sections: BTreeMap<&'a str, Vec<&'a str>>,
    pub stats: BTreeMap<&'a str, Stat>,
    pub sums: BTreeMap<&'a str, Digest>,
    pub bodies: BTreeMap<&'a str, &'a [u8]>,
}

/// What `stat` says of a path, links followed.
pub(super) struct Stat {
    pub access: Access,
    pub bytes: u64,
    pub modified: UnixSeconds,
}

const BEGIN: &[u8] = b"quorate-probe 1\n";
const END: &[u8] = b"quorate-end\n";
const BODIES: &str = "bodies";

impl<'a> Answer<'a> {
    /// Whatever a login shell printed before the answer is skipped.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Trouble> {
        let bytes = after_begin(bytes).ok_or_else(|| unreadable("it contains no answer"))?;
        let bytes = bytes.strip_suffix(END).ok_or_else(|| unreadable("it is truncated"))?;
        let mut answer =
            Self { sections: BTreeMap::new(), stats: BTreeMap::new(), sums: BTreeMap::new(), bodies: BTreeMap::new() };
        let mut rest = bytes;
        let mut section = "";
        while let Some((line, after)) = split_line(rest) {
            rest = after;
            let line = core::str::from_utf8(line).unwrap_or("");
            match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                Some(name) => {
                    section = name;
                    answer.sections.entry(name).or_default();
                }
                None if section == BODIES && line.is_empty() => break,
                None => answer.sections.entry(section).or_default().push(line),
            }
        }
        answer.stats = answer.lines("stat").filter_map(stat).collect();
        answer.sums = answer.lines("sums").filter_map(digest_and_path).map(|(digest, path)| (path, digest)).collect();
        answer.bodies = answer.take_bodies(rest)?;
        Ok(answer)
    }

    /// Cuts the bodies apart by the sizes that stat has given.
    fn take_bodies(&self, mut rest: &'a [u8]) -> Result<BTreeMap<&'a str, &'a [u8]>, Trouble> {
        let mut bodies = BTreeMap::new();
        for path in self.lines(BODIES) {
            let stat = self.stats.get(path).ok_or_else(|| unreadable("a body has no size"))?;
            let changed = || Trouble::Changed(path.to_owned());
            let bytes = usize::try_from(stat.bytes).map_err(|_| changed())?;
            let (body, after) = rest.split_at_checked(bytes).ok_or_else(changed)?;
            bodies.insert(path, body);
            rest = after;
        }
        match (rest, bodies.keys().next_back()) {
            (b"\n" | b"", _) => Ok(bodies),
            (_, Some(path)) => Err(Trouble::Changed((*path).to_owned())),
            (_, None) => Err(unreadable("it is longer than it says")),
        }
    }

    pub fn has(&self, section: &str) -> bool {
        self.sections.contains_key(section)
    }

    pub fn lines(&self, section: &str) -> impl Iterator<Item = &'a str> + use<'a, '_> {
        self.sections.get(section).into_iter().flatten().copied()
    }

    /// The value of the first `key=value` line.
    pub fn value(&self, section: &str, key: &str) -> Option<&'a str> {
        self.values(section, key).next()
    }

    pub fn values(&self, section: &str, key: &str) -> impl Iterator<Item = &'a str> {
        self.lines(section).filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='))
    }
}

fn unreadable(why: &str) -> Trouble {
    Trouble::Unreadable(format!("its answer is unreadable: {why}"))
}

fn after_begin(bytes: &[u8]) -> Option<&[u8]> {
    let starts = |at: &usize| bytes[*at..].starts_with(BEGIN) && (*at == 0 || bytes[*at - 1] == b'\n');
    let at = (0..bytes.len()).find(starts)?;
    Some(&bytes[at + BEGIN.len()..])
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// A line of sha256sum.
pub(super) fn digest_and_path(line: &str) -> Option<(Digest, &str)> {
    let (digest, path) = line.split_once("  ")?;
    Some((digest.parse().ok()?, path))
}

/// `path type mode owner group bytes modified`, with tabs between.
fn stat(line: &str) -> Option<(&str, Stat)> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [path, kind, mode, owner, group, bytes, modified] = fields[..] else { return None };
    // What is neither cannot hold what we look for; to etcd it is as if nothing were there.
    if kind != "directory" && !kind.starts_with("regular") {
        return None;
    }
    let access = Access::new(mode, owner, group);
    Some((path, Stat { access, bytes: bytes.parse().ok()?, modified: UnixSeconds(modified.parse().ok()?) }))
}
