//! Bytes on their way to somewhere that may not take them yet.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;
use zeroize::Zeroizing;

/// Bytes taken from one side and not yet given to the other. Wiped at the end: they may be secrets.
#[derive(Default)]
pub(super) struct Pending {
    /// Keeps its length, which is not what is in use: zeroing it anew for each piece would cost.
    bytes: Zeroizing<Vec<u8>>,
    from: usize,
    to: usize,
}

impl From<Zeroizing<Vec<u8>>> for Pending {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Pending {
        Pending { from: 0, to: bytes.len(), bytes }
    }
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }

    pub fn advance(&mut self, count: usize) {
        self.from += count;
    }

    /// Takes a copy of `bytes`.
    pub fn hold(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.bytes[..bytes.len()].copy_from_slice(bytes);
        self.to = bytes.len();
    }

    /// Fills itself by `read`, up to `limit` bytes.
    pub fn fill(&mut self, limit: usize, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        self.make_room(limit);
        self.to = read(&mut self.bytes[..limit])?;
        Ok(self.to)
    }

    fn make_room(&mut self, count: usize) {
        debug_assert!(self.is_empty(), "what was pending would be lost");
        if self.bytes.len() < count {
            // Not grown: what a vector moves out of is not wiped.
            self.bytes = Zeroizing::new(vec![0; count]);
        }
        (self.from, self.to) = (0, 0);
    }
}

/// Our end of the socket pair whose other end a task holds. Never blocks.
pub(super) struct LocalEnd {
    socket: UnixStream,
    /// What the task has not read yet. While it is not empty nothing more is taken from the channel, so the SSH window
    /// closes and the far end waits.
    pending: Pending,
    readable: bool,
    /// The task will write no more, and all that it wrote was read.
    pub at_eof: bool,
    /// The task reads no more. What it wrote before may still be here.
    pub is_gone: bool,
}

impl LocalEnd {
    pub fn new(socket: UnixStream) -> io::Result<LocalEnd> {
        socket.set_nonblocking(true)?;
        Ok(LocalEnd { socket, pending: Pending::default(), readable: true, at_eof: false, is_gone: false })
    }

    pub fn can_take(&self) -> bool {
        self.pending.is_empty() && !self.is_gone
    }

    pub fn give(&mut self, bytes: &[u8]) {
        let written = self.write(bytes);
        if written < bytes.len() && !self.is_gone {
            self.pending.hold(&bytes[written..]);
        }
    }

    /// True if something that waited was taken.
    pub fn flush(&mut self) -> bool {
        if self.pending.is_empty() || self.is_gone {
            return false;
        }
        let bytes = std::mem::take(&mut self.pending);
        let written = self.write(bytes.as_slice());
        self.pending = bytes;
        self.pending.advance(written);
        written > 0
    }

    /// Reads what the task wrote. `WouldBlock` until the next poll says there is more.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.readable || self.at_eof {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match self.socket.read(buffer) {
            Ok(0) => {
                self.at_eof = true;
                Ok(0)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Err(error)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => {
                (self.is_gone, self.at_eof) = (true, true);
                Err(error)
            }
            count => count,
        }
    }

    /// Tells the task that nothing more will come.
    pub fn finish(&self) {
        // It fails only if the task has gone already.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// What to wait for. Nothing once the task has gone: all that it wrote can be read.
    pub fn interest(&self, wants_input: bool) -> Option<(BorrowedFd<'_>, PollFlags)> {
        if self.is_gone {
            return None;
        }
        let mut flags = PollFlags::empty();
        if wants_input && !self.readable && !self.at_eof {
            flags |= PollFlags::IN;
        }
        if !self.pending.is_empty() {
            flags |= PollFlags::OUT;
        }
        Some((self.socket.as_fd(), flags))
    }

    pub fn woken(&mut self, events: PollFlags) {
        // Both directions are shut: the other end was dropped, not just finished.
        self.is_gone |= events.intersects(PollFlags::HUP | PollFlags::ERR);
        self.readable |= self.is_gone || events.contains(PollFlags::IN);
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match self.socket.write(&bytes[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    // What it wrote before, and then the end, is read without another word of poll.
                    (self.is_gone, self.readable) = (true, true);
                    break;
                }
            }
        }
        written
    }
}
