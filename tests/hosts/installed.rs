//! Hosts that have etcd already, as an apply on another host left it.
//!
//! To send 30 MB to each of three hosts, and to unpack and digest it there, costs more than all else that a test does
//! whose matter begins with a cluster. So the first apply of each version is kept, and later hosts begin with a copy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::lab::{Archive, Host, Lab, cache_dir, hex_sha256, lock};

/// Where quorate installs unless it is told otherwise.
const FOLDER: &str = "opt/etcd";
/// Another script may leave something else.
const SCRIPT: &str = include_str!("../../src/shell/live/script/install.sh");

/// Gives every host that is on the version of `archive`, if an apply has left it somewhere before.
pub fn give(lab: &Lab, archive: &Archive) {
    let kept = kept(archive);
    if !kept.is_dir() {
        return;
    }
    thread::scope(|scope| {
        for host in lab.hosts().iter().filter(|host| host.is_on()) {
            scope.spawn(|| {
                fs::create_dir_all(host.root_dir().join(FOLDER)).expect("a host's disk can be written");
                copy(&kept, &installed(host, archive));
            });
        }
    });
}

/// Keeps what an apply has left on `host` for later ones.
pub fn keep(host: &Host, archive: &Archive) {
    let kept = kept(archive);
    if kept.is_dir() {
        return;
    }
    let _one_at_a_time = lock(&kept).expect("the lab's cache can be written");
    if kept.is_dir() {
        return;
    }
    let unfinished = kept.with_extension("unfinished");
    let _none_yet = fs::remove_dir_all(&unfinished);
    copy(&installed(host, archive), &unfinished);
    fs::rename(&unfinished, &kept).expect("the lab's cache can be written");
}

fn installed(host: &Host, archive: &Archive) -> PathBuf {
    host.root_dir().join(FOLDER).join(&archive.version)
}

fn kept(archive: &Archive) -> PathBuf {
    let script = hex_sha256(SCRIPT.as_bytes());
    cache_dir().join(format!("installed-{}-{}", &archive.sha256[..12], &script[..12]))
}

/// A folder as a new one, with owners, modes and times.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status().expect("cp runs");
    assert!(status.success(), "cp -a {} {}: {status}", from.display(), to.display());
}
