//! The answer of a script that is read as it comes: what may be larger than memory.

use tokio::io::AsyncReadExt as _;

use super::frame::{Frame, Reading};
use super::way::Way;
use super::{Remote, Unrun};
use crate::shell::live::ssh::{self, Exit, Output, SshError};

/// A script that runs.
pub struct Stream {
    remote: Remote,
    way: Way,
    frame: Frame,
    reading: Reading,
    /// Read from the connection and not yet handed on.
    piece: Vec<u8>,
    said: Vec<u8>,
    stream: ssh::Stream,
}

/// So much is read at once.
const PIECE_BYTES: usize = 256 << 10;

impl Stream {
    pub(super) fn new(remote: Remote, way: Way, frame: Frame, stream: ssh::Stream) -> Self {
        let (reading, piece) = (frame.reading(), vec![0; PIECE_BYTES]);
        Self { remote, way, frame, reading, piece, said: Vec::new(), stream }
    }

    /// What it says next; nothing when it has said all.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn next(&mut self) -> Result<&[u8], Unrun> {
        self.said.clear();
        while self.said.is_empty() {
            let lost = |error: std::io::Error| {
                Unrun::Ssh(SshError::Closed { host: self.remote.host.to_string(), reason: error.to_string() })
            };
            let count = self.stream.stdout.read(&mut self.piece).await.map_err(lost)?;
            if count == 0 {
                self.reading.finish(&mut self.said);
                break;
            }
            self.reading.feed(&self.piece[..count], &mut self.said);
        }
        Ok(&self.said)
    }

    /// How it ended, when all was read; `stdout` is empty.
    ///
    /// # Errors
    /// As [`Remote::exec`].
    pub async fn end(self) -> Result<Output, Unrun> {
        let output = self.stream.exit.wait().await.map_err(Unrun::Ssh)?;
        if !self.reading.has_begun() {
            self.remote.not_begun(&self.way, &self.frame, &output).await?;
            return Err(self.remote.way_lost());
        }
        let stderr = self.frame.own_words(&output.stderr).unwrap_or_default().to_vec();
        match self.reading.status {
            Some(status) => Ok(Output { status: Exit::Code(status), stdout: Vec::new(), stderr }),
            None => Err(self.remote.cut(&Output { stderr, ..output })),
        }
    }
}
