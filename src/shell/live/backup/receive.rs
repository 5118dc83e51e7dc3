//! One snapshot from a member into a file: checked, compressed, synced, and only then given its name.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use super::{Packer, read};
use crate::core::cluster::snapshot::{Check, Finder, Sound};
use crate::core::desired::Compression;
use crate::core::diagnostic::Diagnostic;
use crate::shell::live::etcd::Member;
use crate::shell::live::perform::told;

/// A snapshot that was written.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    pub sound: Sound,
    /// That of its newest key, if it could be told.
    pub revision: Option<i64>,
    /// How large the file is.
    pub file_bytes: u64,
    pub took: Duration,
}

/// Pieces of 32 KiB on their way to the thread that writes: 2 MiB.
const PIECES_WAITING_MAX: usize = 64;
const BUFFER_BYTES: usize = 1 << 20;

pub(super) async fn receive(
    member: &Member,
    path: &Path,
    compression: Compression,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Received, Diagnostic> {
    let begun = Instant::now();
    let staged = staged(path)?;
    let mut snapshot = member.snapshot().await.map_err(told)?;
    let (pieces, received) = mpsc::channel(PIECES_WAITING_MAX);
    let written = tokio::task::spawn_blocking(move || write(staged, received, compression));
    let mut bytes = 0;
    let sent = loop {
        match snapshot.next().await {
            Ok(Some(piece)) => {
                bytes += piece.bytes.len() as u64;
                progress(bytes, bytes + piece.remaining);
                // Whoever writes has ended: why, it says itself.
                if pieces.send(Some(piece.bytes)).await.is_err() {
                    break Ok(());
                }
            }
            Ok(None) => {
                let _ = pieces.send(None).await;
                break Ok(());
            }
            Err(cause) => break Err(told(cause)),
        }
    };
    drop(pieces);
    let written = written.await.map_err(|_| Diagnostic::failure("writing the snapshot ended half-way"))?;
    sent?;
    let (staged, check, finder) = written.map_err(|error| unwritable(path, &error))?;
    let sound = check.finish().map_err(|fault| read::unsound(&path.display().to_string(), &fault))?;
    let file_bytes = staged.as_file().metadata().map_err(|error| unwritable(path, &error))?.len();
    keep(staged, path)?;
    Ok(Received { sound, revision: finder.found(), file_bytes, took: begun.elapsed() })
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file beside `path`, ours alone, which goes unless it is kept.
pub(in crate::shell::live) fn staged(path: &Path) -> Result<NamedTempFile, Diagnostic> {
    let staged = tempfile::Builder::new().prefix(".snapshot-").suffix(".quorate").tempfile_in(folder_of(path));
    staged.map_err(|error| unwritable(path, &error))
}

/// Gives a file that was synced its name, which nothing may have yet.
pub(in crate::shell::live) fn keep(staged: NamedTempFile, path: &Path) -> Result<(), Diagnostic> {
    staged.persist_noclobber(path).map_err(|error| unwritable(path, &error.error))?;
    let synced = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    synced.map_err(|error| unwritable(path, &error))
}

/// In a thread of its own: compressing takes longer than all the rest. `None` is the end; without one, nobody wants it.
fn write(
    staged: NamedTempFile,
    mut pieces: mpsc::Receiver<Option<Vec<u8>>>,
    compression: Compression,
) -> io::Result<(NamedTempFile, Check, Finder)> {
    let (mut check, mut finder) = (Check::default(), Finder::default());
    let mut packer = Packer::new(compression, BufWriter::with_capacity(BUFFER_BYTES, staged.as_file()))?;
    loop {
        let piece = pieces.blocking_recv().ok_or_else(|| io::Error::other("the rest did not come"))?;
        let Some(piece) = piece else { break };
        check.update(&piece);
        finder.update(&piece);
        packer.write_all(&piece)?;
    }
    packer.finish()?.flush()?;
    staged.as_file().sync_all()?;
    Ok((staged, check, finder))
}

pub(in crate::shell::live) fn unwritable(path: &Path, error: &io::Error) -> Diagnostic {
    let failure = Diagnostic::failure("the snapshot cannot be written").at(path.display().to_string());
    let hint = match error.kind() {
        io::ErrorKind::AlreadyExists => "a snapshot is never overwritten: choose another name",
        io::ErrorKind::StorageFull => "make room, or choose another folder with `-o`; older snapshots are as they were",
        _ => "choose another place with `-o`",
    };
    failure.caused_by(error).hint(hint)
}
