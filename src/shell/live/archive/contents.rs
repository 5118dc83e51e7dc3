//! What an archive holds: etcd and etcdctl, etcdutl perhaps, side by side in some folder, for the right processor.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::core::names::Architecture;

#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    pub members: Vec<String>,
    pub strip: usize,
    /// Of those binaries; where other folders have some, too, of these as well.
    pub unpacked_bytes: u64,
}

const NEEDED: [&str; 2] = ["etcd", "etcdctl"];
const OPTIONAL: &str = "etcdutl";

/// A release has about 20 files and 60 to 80 MB. More than this is no etcd, or was made to fill our memory or time.
const ENTRIES_MAX: usize = 10_000;
const UNPACKED_BYTES_MAX: u64 = 2 << 30;

/// Reads a gzipped tar to its end. The error completes "the archive …".
pub fn read(archive: impl Read, architecture: Architecture) -> Result<Contents, String> {
    let mut archive = tar::Archive::new(MultiGzDecoder::new(archive).take(UNPACKED_BYTES_MAX));
    let unreadable = |error: std::io::Error| format!("is not a gzip-compressed tar archive, or is truncated: {error}");
    // From each folder, as tar writes it, to the binaries in it.
    let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut count, mut unpacked_bytes) = (0, 0_u64);
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        count += 1;
        if count > ENTRIES_MAX {
            return Err(format!("contains more than {ENTRIES_MAX} files"));
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(format!("contains a path that leads outside it: {}", path.escape_debug()));
        }
        let (folder, name) = path.rsplit_once('/').map_or(("", path.as_str()), |(folder, name)| (folder, name));
        if !NEEDED.contains(&name) && name != OPTIONAL {
            continue;
        }
        if !entry.header().entry_type().is_file() {
            return Err(format!("contains {path}, which is not a regular file"));
        }
        if !is_plain(&path) {
            return Err(format!("contains a path with unusual characters: {}", path.escape_debug()));
        }
        if !folders.entry(folder.to_owned()).or_default().insert(name.to_owned()) {
            return Err(format!("contains {path} twice"));
        }
        unpacked_bytes = unpacked_bytes.saturating_add(entry.size());
        let mut head = Vec::with_capacity(ELF_HEAD_BYTES);
        entry.by_ref().take(ELF_HEAD_BYTES as u64).read_to_end(&mut head).map_err(unreadable)?;
        if let Some(why) = wrong_machine(&head, architecture) {
            return Err(format!("contains {path} {why}"));
        }
    }
    let (members, strip) = choose(folders)?;
    Ok(Contents { members, strip, unpacked_bytes })
}

/// Made of what needs no quoting anywhere.
fn is_plain(path: &str) -> bool {
    !path.starts_with('-') && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+/-".contains(&byte))
}

/// The one folder that holds all that is needed: its binaries, and how many folders they are in.
fn choose(folders: BTreeMap<String, BTreeSet<String>>) -> Result<(Vec<String>, usize), String> {
    let has_all = |names: &BTreeSet<String>| NEEDED.iter().all(|name| names.contains(*name));
    let mut whole = folders.iter().filter(|(_, names)| has_all(names));
    let Some((folder, names)) = whole.next() else {
        let missing = NEEDED.iter().find(|name| !folders.values().any(|names| names.contains(**name)));
        return Err(missing.map_or_else(
            || "does not contain etcd and etcdctl in the same directory".to_owned(),
            |name| format!("does not contain {name}"),
        ));
    };
    if let Some((other, _)) = whole.next() {
        return Err(format!("contains etcd and etcdctl twice: in {folder:?} and in {other:?}"));
    }
    let path = |name: &String| if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
    let strip = if folder.is_empty() { 0 } else { folder.split('/').count() };
    Ok((names.iter().map(path).collect(), strip))
}

/// Up to and with `e_machine`.
const ELF_HEAD_BYTES: usize = 20;

/// Whether a program is for another processor; what is not in ELF is left to the version check on the host.
fn wrong_machine(head: &[u8], architecture: Architecture) -> Option<String> {
    let elf = head.first_chunk::<ELF_HEAD_BYTES>().filter(|head| head.starts_with(b"\x7fELF"))?;
    let bytes = [elf[18], elf[19]];
    let is_big_endian = elf[5] == 2;
    let machine = if is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
    let made_for = Architecture::ALL.iter().copied().find(|architecture| elf_machine(*architecture) == machine);
    match made_for {
        Some(made_for) if made_for == architecture => None,
        Some(made_for) => Some(format!("for {made_for}, but is declared as the archive for {architecture}")),
        None => Some(format!("for a different processor (ELF machine {machine}) from {architecture}")),
    }
}

/// `e_machine` of the ELF header.
fn elf_machine(architecture: Architecture) -> u16 {
    match architecture {
        Architecture::Amd64 => 62,
        Architecture::Arm64 => 183,
        Architecture::Ppc64le => 21,
        Architecture::S390x => 22,
    }
}
