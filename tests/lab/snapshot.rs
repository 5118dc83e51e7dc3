//! What is on a host's disk and in its process table, as values to compare before and after.
//!
//! Left out is what a login or the clock changes by itself: the journal, and sshd's records of who logged in.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Result;
use super::archive::hex_sha256;
use super::command::Failure;

const NOISE: [&str; 5] = ["/var/log/journal", "/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog", "/var/log/faillog"];

/// One file, folder or link; a whiteout of the overlay (a file of the image that was deleted) is a character device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileState {
    /// Type and permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Bytes of a file; 0 for a folder, whose own size means nothing.
    pub size: u64,
    /// Nanoseconds since 1970.
    pub mtime_ns: i128,
    /// Of a file's content, or of where a link leads; empty otherwise.
    pub sha256: String,
}

/// One process of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// As this machine numbers it.
    pub outside_pid: u32,
    /// As the host numbers it.
    pub pid: u32,
    pub uid: u32,
    /// Clock ticks since boot; with the pid, it tells a process from a later one of the same number.
    pub started: u64,
    /// The arguments; empty for a zombie.
    pub command: Vec<String>,
}

/// Every file of the overlay's upper layer, by its path in the host.
pub fn files(upper: &Path) -> Result<BTreeMap<PathBuf, FileState>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::from("/")];
    while let Some(folder) = folders.pop() {
        let outside = upper.join(folder.strip_prefix("/").unwrap_or(&folder));
        let entries = match fs::read_dir(&outside) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Failure::new(outside.display(), error)),
        };
        for entry in entries.flatten() {
            let path = folder.join(entry.file_name());
            if NOISE.iter().any(|noise| path.starts_with(noise)) {
                continue;
            }
            match state_of(&entry.path()) {
                Ok(state) => found.insert(path.clone(), state),
                // A living host removes files while we look.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Failure::new(path.display(), error)),
            };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            }
        }
    }
    Ok(found)
}

fn state_of(path: &Path) -> std::io::Result<FileState> {
    let facts = fs::symlink_metadata(path)?;
    let kind = facts.file_type();
    let sha256 = if kind.is_file() {
        hex_sha256(&fs::read(path)?)
    } else if kind.is_symlink() {
        hex_sha256(fs::read_link(path)?.as_os_str().as_encoded_bytes())
    } else {
        String::new()
    };
    let size = if kind.is_dir() { 0 } else { facts.size() };
    let mtime_ns = i128::from(facts.mtime()) * 1_000_000_000 + i128::from(facts.mtime_nsec());
    Ok(FileState { mode: facts.mode(), uid: facts.uid(), gid: facts.gid(), size, mtime_ns, sha256 })
}

/// All processes in the pid namespace of this one, those of its containers included, in order of their number in the host.
pub fn processes(init: u32) -> Vec<Process> {
    let (Some(namespace), Some(depth)) = (namespace_of(init), numbers_of(init).map(|numbers| numbers.len())) else {
        return Vec::new();
    };
    let entries = fs::read_dir("/proc").map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let pids = entries.iter().filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    let mut processes: Vec<Process> =
        pids.filter(|pid| is_inside(*pid, &namespace, depth)).filter_map(|pid| process(pid, depth)).collect();
    processes.sort_by_key(|process| process.pid);
    processes
}

/// A container has a namespace of its own, and a parent in that of its host.
fn is_inside(pid: u32, namespace: &Path, depth: usize) -> bool {
    if namespace_of(pid).as_deref() == Some(namespace) {
        return true;
    }
    if numbers_of(pid).is_none_or(|numbers| numbers.len() <= depth) {
        return false;
    }
    let parent = field_of(pid, "PPid:").and_then(|parent| parent.parse().ok());
    parent.is_some_and(|parent: u32| parent > 0 && is_inside(parent, namespace, depth))
}

fn namespace_of(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// How each pid namespace numbers a process, from this machine's to its own.
fn numbers_of(pid: u32) -> Option<Vec<u32>> {
    field_of(pid, "NSpid:")?.split_whitespace().map(|number| number.parse().ok()).collect()
}

fn field_of(pid: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
}

/// None when the process ends while we look. The host's own namespace is `depth` deep.
fn process(outside_pid: u32, depth: usize) -> Option<Process> {
    let pid = *numbers_of(outside_pid)?.get(depth - 1)?;
    let uid = field_of(outside_pid, "Uid:")?.split_whitespace().next()?.parse().ok()?;
    let stat = fs::read_to_string(format!("/proc/{outside_pid}/stat")).ok()?;
    // The name in parentheses may hold spaces; the start time is the 20th word after it (proc(5), field 22).
    let started = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let command = fs::read(format!("/proc/{outside_pid}/cmdline")).ok()?;
    let words = command.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let command = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    Some(Process { outside_pid, pid, uid, started, command })
}
