//! Which labs there are: ids, their folders under /run, and what to remove of one that crashed.
//!
//! A lab is alive while some process holds the lock on `/run/quorate-lab/ID.lock`, or while its folder has a file
//! `kept`. Everything else with an id in its name is left over, and whoever starts a lab next removes it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::command::Failure;
use super::oddities::Drawn;
use super::{Result, disk, machine, network};

const RUN: &str = "/run/quorate-lab";
/// More labs than this at once means that something starts them in a loop.
const IDS: std::ops::RangeInclusive<u8> = 1..=200;

/// Who may log in with the lab's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum User {
    Root,
    /// An ordinary user who may run everything with `sudo -n`.
    WithSudo(String),
    /// An ordinary user whom sudo refuses.
    WithoutSudo(String),
}

impl User {
    pub fn name(&self) -> &str {
        match self {
            User::Root => "root",
            User::WithSudo(name) | User::WithoutSudo(name) => name,
        }
    }
}

/// What a lab is made of, as another process reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub id: u8,
    pub user: User,
    pub image: PathBuf,
    /// Whether the hosts run containers, and a kubelet.
    pub kubelet: bool,
    pub hosts: Vec<HostState>,
}

/// One host; `number` makes its address and its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostState {
    pub number: u8,
    pub name: String,
    pub disk_bytes: u64,
    pub oddities: Drawn,
}

impl State {
    /// Who logs in on that host.
    pub fn user_of<'a>(&'a self, host: &'a HostState) -> &'a User {
        host.oddities.user.as_ref().unwrap_or(&self.user)
    }

    pub fn dir(&self) -> PathBuf {
        dir(self.id)
    }
}

/// Where the places for hosts are, which all labs share.
pub fn places_dir() -> PathBuf {
    Path::new(RUN).join("places")
}

/// An id that is ours while this lives.
pub struct Lock {
    pub id: u8,
    _file: File,
}

/// Takes a free id with an empty folder, after removing what crashed labs left.
pub fn take_id() -> Result<Lock> {
    fs::create_dir_all(RUN).map_err(|error| Failure::new(RUN, error))?;
    disk::share(Path::new(RUN))?;
    let mut taken = None;
    for id in IDS {
        // Ids beyond the first free one are only of interest for what is left of them.
        if taken.is_some() && !dir(id).exists() {
            continue;
        }
        let Some(lock) = try_lock(id)? else { continue };
        if dir(id).join("kept").exists() {
            continue;
        }
        clean(id)?;
        if taken.is_none() {
            fs::create_dir_all(dir(id).join("files")).map_err(|error| Failure::new(dir(id).display(), error))?;
            taken = Some(lock);
        }
    }
    taken.ok_or_else(|| Failure(format!("all lab ids up to {} are in use", IDS.end())))
}

fn try_lock(id: u8) -> Result<Option<Lock>> {
    let path = Path::new(RUN).join(format!("{id}.lock"));
    let file = File::create(&path).map_err(|error| Failure::new(path.display(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { id, _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(Failure::new(path.display(), error)),
    }
}

pub fn save(state: &State) -> Result<()> {
    let path = state.dir().join("lab.json");
    let text = serde_json::to_vec_pretty(state).map_err(|error| Failure::new(path.display(), error))?;
    fs::write(&path, text).map_err(|error| Failure::new(path.display(), error))
}

pub fn load(id: u8) -> Result<State> {
    let path = dir(id).join("lab.json");
    let text = fs::read(&path).map_err(|error| Failure::new(path.display(), error))?;
    serde_json::from_slice(&text).map_err(|error| Failure::new(path.display(), error))
}

pub fn mark_kept(state: &State) -> Result<()> {
    let path = state.dir().join("kept");
    fs::write(&path, "").map_err(|error| Failure::new(path.display(), error))
}

pub fn kept() -> Vec<u8> {
    IDS.filter(|id| dir(*id).join("kept").exists()).collect()
}

/// Removes everything that carries this id: processes first, so that nothing holds the mounts. Safe to repeat.
pub fn clean(id: u8) -> Result<()> {
    let killed = machine::kill_all(&lab_prefix(id));
    let disconnected = network::remove(id);
    let unmounted = disk::unmount_below(&dir(id));
    // Each is tried though the one before may have failed; the folder goes only when nothing is mounted in it.
    killed.and(disconnected).and(unmounted)?;
    match fs::remove_dir_all(dir(id)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::new(dir(id).display(), error)),
        _ => Ok(()),
    }
}

/// `clean` for a lab that is not ours by its lock: a kept one.
pub fn clean_kept(id: u8) -> Result<()> {
    match try_lock(id)? {
        Some(_held_meanwhile) => clean(id),
        None => Err(Failure(format!("lab {id} is in use by another process"))),
    }
}

/// The name of a host's namespace, link, machine and control group.
pub fn host_label(id: u8, number: u8) -> String {
    format!("{}{number}", lab_prefix(id))
}

/// What the names of a lab's things start with. Short: a link's name has at most 15 characters.
pub fn lab_prefix(id: u8) -> String {
    format!("qlab{id}-")
}

fn dir(id: u8) -> PathBuf {
    Path::new(RUN).join(id.to_string())
}
