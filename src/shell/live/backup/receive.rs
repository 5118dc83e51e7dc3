//! One snapshot from a member into a file: checked, compressed, synced, and only then given its name.

use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use super::staged::{keep, staged, unwritable};
use super::{Packer, read};
use crate::core::cluster::snapshot::{Check, Finder, Sound};
use crate::core::desired::Compression;
use crate::core::diagnostic::Diagnostic;
use crate::shell::live::etcd::Member;

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
    let mut snapshot = member.snapshot().await?;
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
            Err(cause) => break Err(Diagnostic::from(cause)),
        }
    };
    drop(pieces);
    let written = written.await.map_err(|_| Diagnostic::failure("writing the snapshot was interrupted"))?;
    sent?;
    let (staged, check, finder) = written.map_err(|error| unwritable(path, &error))?;
    let sound = check.finish().map_err(|fault| read::unsound(&path.display().to_string(), &fault))?;
    let file_bytes = staged.as_file().metadata().map_err(|error| unwritable(path, &error))?.len();
    keep(staged, path)?;
    Ok(Received { sound, revision: finder.found(), file_bytes, took: begun.elapsed() })
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
        let piece = pieces.blocking_recv().ok_or_else(|| io::Error::other("the transfer ended early"))?;
        let Some(piece) = piece else { break };
        check.update(&piece);
        finder.update(&piece);
        packer.write_all(&piece)?;
    }
    packer.finish()?.flush()?;
    staged.as_file().sync_all()?;
    Ok((staged, check, finder))
}
