//! The files that certificates and keys are read from.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use zeroize::{Zeroize as _, Zeroizing};

use crate::core::code::Code;
use crate::core::observed::Cause;

pub(super) struct Content {
    pub bytes: Zeroizing<Vec<u8>>,
    mode: u32,
}

/// No certificate or key is near this size.
const FILE_BYTES_MAX: usize = 64 << 10;

/// All that `from` gives, or `None` where that is more than `most` bytes. With room for it from the beginning: what grows
/// leaves copies of a secret behind. Of that room only what was used is cleared.
///
/// # Errors
/// When it cannot be read.
pub fn read_secret(from: impl io::Read, most: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let (mut room, mut used) = (vec![0; most + 1], 0);
    let read = fill(from, &mut room, &mut used);
    let bytes = Zeroizing::new(room[..used].to_vec());
    room[..used].zeroize();
    read?;
    Ok(Some(bytes).filter(|bytes| bytes.len() <= most))
}

/// Reads until `room` is full or there is no more, and counts.
fn fill(mut from: impl io::Read, room: &mut [u8], used: &mut usize) -> io::Result<()> {
    while *used < room.len() {
        match from.read(&mut room[*used..]) {
            Ok(0) => break,
            Ok(read) => *used += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The file's content, or `None` when it does not exist.
pub(super) fn read(path: &Path) -> Result<Option<Content>, Cause> {
    let cannot = |error: &io::Error| unusable(format!("cannot read {}: {error}", path.display()), None);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| cannot(&error))?,
    };
    let metadata = file.metadata().map_err(|error| cannot(&error))?;
    if !metadata.is_file() {
        return Err(unusable(format!("{} is not a file", path.display()), None));
    }
    let too_large = || unusable(format!("{} is too large to be a certificate or a key", path.display()), None);
    let bytes = read_secret(file, FILE_BYTES_MAX).map_err(|error| cannot(&error))?.ok_or_else(too_large)?;
    Ok(Some(Content { bytes, mode: metadata.mode() }))
}

pub(super) fn check_mode(key: &Content, path: &Path) -> Result<(), Cause> {
    if key.mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    let what = format!("{path} is readable by users other than its owner (mode {:o})", key.mode & 0o7777);
    Err(unusable(what, Some(&format!("run `chmod 600 {path}`; if others may have read it, replace the key"))))
}

pub(super) fn unusable(summary: String, hint: Option<&str>) -> Cause {
    Cause { code: Code::AuthorityUnreadable, summary, hint: hint.map(str::to_owned) }
}
