//! A lab weighs: hosts are counted over all processes of this machine, not threads or tests.
//!
//! Tests on hosts mostly wait, so many may run at once; but every host has a systemd and an etcd to schedule, and with too
//! many of them the deadlines in tests measure the machine. So there is a number of places, a lab of three hosts takes three
//! of them, and a lab of one fits in between. A place is a locked file: the kernel frees it when its process ends, however
//! it ends.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::Result;
use super::command::Failure;

/// Four clusters of three: while one of them boots or is upgraded, the others wait for timers and elections.
const HOSTS_PER_TWO_CORES: usize = 12;
/// Smaller labs may overtake a larger one for so long; then they wait behind it.
const OVERTAKEN: Duration = Duration::from_secs(60);
/// What waits longer than all tests take goes on with what it has: slow is better than stuck.
const WAITS: Duration = Duration::from_secs(3600);
const PAUSE: Duration = Duration::from_millis(100);

/// Places that are ours while this lives.
pub struct Places {
    _held: Vec<File>,
}

/// Waits for `weight` places, or for all there are if these are fewer.
pub fn take(dir: &Path, weight: usize) -> Result<Places> {
    fs::create_dir_all(dir).map_err(|error| Failure::new(dir.display(), error))?;
    let count = count();
    let weight = weight.min(count);
    let begun = Instant::now();
    // Only who holds the door collects places, so two large labs never wait for each other with half of theirs in hand.
    let mut door = None;
    let mut held = Vec::new();
    while held.len() < weight && begun.elapsed() < WAITS {
        if door.is_none() {
            door = try_lock(&dir.join("door"))?;
        }
        if door.is_some() {
            for place in 0..count {
                if held.len() < weight {
                    held.extend(try_lock(&dir.join(place.to_string()))?);
                }
            }
            if held.len() == weight {
                break;
            }
            if begun.elapsed() < OVERTAKEN {
                held.clear();
                door = None;
            }
        }
        thread::sleep(PAUSE);
    }
    Ok(Places { _held: held })
}

/// `QUORATE_LAB_HOSTS`, or as many as the machine's cores carry.
fn count() -> usize {
    let asked = std::env::var("QUORATE_LAB_HOSTS").ok().and_then(|text| text.parse::<usize>().ok());
    let cores = thread::available_parallelism().map_or(2, usize::from);
    asked.unwrap_or(cores * HOSTS_PER_TWO_CORES / 2).max(1)
}

fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = File::create(path).map_err(|error| Failure::new(path.display(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(Failure::new(path.display(), error)),
    }
}
