//! A snapshot that lies here: opened, and checked from its first byte to its last.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::staged::{staged, unwritable};
use super::{Unpacked, Wanted, while_wanted};
use crate::core::cluster::snapshot::{Check, FACTS_BYTES_MAX, Facts, Fault, Sound, facts_name};
use crate::core::desired::Compression;
use crate::core::diagnostic::Diagnostic;

const PIECE_BYTES: usize = 256 << 10;

/// Opens a snapshot, compressed or not.
///
/// # Errors
/// When it cannot be read.
pub fn open(path: &Path) -> Result<Unpacked, Diagnostic> {
    File::open(path).and_then(Unpacked::new).map_err(|error| unreadable(&path.display().to_string(), &error))
}

/// Reads all of a snapshot. `progress` is told how many bytes of the database were read.
///
/// # Errors
/// When it cannot be read, or what is wrong with it.
pub fn check(path: &Path, progress: &dyn Fn(u64)) -> Result<(Sound, Compression), Diagnostic> {
    check_all(open(path)?, &path.display().to_string(), progress)
}

/// As [`check`], in a thread that ends when nobody waits for it; messages call the file `name`.
///
/// # Errors
/// As [`check`].
pub async fn check_in_thread(path: PathBuf, name: String) -> Result<Sound, Diagnostic> {
    let work = move |wanted: Wanted| {
        let file = File::open(&path).map_err(|error| unreadable(&path.display().to_string(), &error))?;
        check_stream(wanted.reading(file), &name)
    };
    while_wanted(work).await.ok_or_else(|| Diagnostic::failure("verifying the snapshot was interrupted"))?
}

/// As [`check`], of what comes from elsewhere.
pub(in crate::shell::live) fn check_stream(
    from: impl io::Read + Send + 'static,
    name: &str,
) -> Result<Sound, Diagnostic> {
    let unpacked = Unpacked::new(from).map_err(|error| unreadable(name, &error))?;
    check_all(unpacked, name, &|_| {}).map(|(sound, _)| sound)
}

fn check_all(mut unpacked: Unpacked, name: &str, progress: &dyn Fn(u64)) -> Result<(Sound, Compression), Diagnostic> {
    let mut check = Check::default();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match unpacked.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => check.update(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if unpacked.compression == Compression::None => return Err(unreadable(name, &error)),
            Err(error) => return Err(unsound(name, &of_packing(&error))),
        }
        progress(check.bytes());
    }
    let sound = check.finish().map_err(|fault| unsound(name, &fault))?;
    Ok((sound, unpacked.compression))
}

/// Where the facts of the snapshot at `path` are; `None` for a name that is no text.
fn facts_path(path: &Path) -> Option<PathBuf> {
    Some(path.with_file_name(facts_name(path.file_name()?.to_str()?)))
}

/// What is known of the snapshot at `path` besides its bytes.
pub fn facts(path: &Path) -> Facts {
    let mut text = String::new();
    let file = facts_path(path).and_then(|path| File::open(path).ok());
    let read = file.map(|file| file.take(FACTS_BYTES_MAX).read_to_string(&mut text));
    if matches!(read, Some(Ok(_))) { Facts::read(&text) } else { Facts::default() }
}

/// Keeps what is known of the snapshot at `path` beside it.
///
/// # Errors
/// When that cannot be written.
pub fn keep_facts(path: &Path, facts: &Facts) -> Result<(), Diagnostic> {
    let Some(beside) = facts_path(path) else { return Ok(()) };
    staged(&beside).and_then(|mut staged| {
        let line = writeln!(staged, "{}", facts.line());
        let kept = line.and_then(|()| staged.persist(&beside).map(drop).map_err(|error| error.error));
        kept.map_err(|error| unwritable(&beside, &error))
    })
}

/// What a decoder objects to.
fn of_packing(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Fault::PackedCut,
        _ => Fault::Damaged(format!("the compressed data is corrupt: {error}")),
    }
}

pub(in crate::shell::live) fn unsound(name: &str, fault: &Fault) -> Diagnostic {
    let code = fault.code();
    Diagnostic::new(code.kind(), format!("{name} failed verification [{code}]"))
        .with_cause(fault.to_string())
        .hint(format!("run `quorate explain {code}`"))
}

fn unreadable(name: &str, error: &io::Error) -> Diagnostic {
    Diagnostic::failure("cannot read the snapshot").at(name).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::super::Packer;
    use super::*;
    use crate::core::cluster::snapshot::tests::snapshot;
    use crate::core::code::Code;

    fn packed(compression: Compression) -> Vec<u8> {
        let mut packer = Packer::new(compression, Vec::new()).expect("there is memory");
        packer.write_all(&snapshot()).expect("a Vec takes every write");
        packer.finish().expect("a Vec takes every write")
    }

    fn fault_of(bytes: &[u8]) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("snapshot.db");
        std::fs::write(&path, bytes).expect("the folder is ours");
        check(&path, &|_| {}).err().map(|error| error.to_string())
    }

    #[test]
    fn a_compressed_snapshot_is_checked_to_its_last_byte() {
        for compression in [Compression::Zstd, Compression::Gzip, Compression::None] {
            let whole = packed(compression);
            assert_eq!(fault_of(&whole), None);
            for length in [whole.len() / 2, whole.len() - 1] {
                let said = fault_of(&whole[..length]).expect("it is cut");
                assert!(said.contains(Code::SnapshotCut.as_str()), "{compression:?}: {said}");
            }
        }
    }
}
