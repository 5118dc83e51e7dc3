//! How far a request came, and what its channel may use and has done in one turn of the host's thread.

use super::wire::Wire;

/// How far a request came.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    Queued,
    Opening,
    Running,
}

/// What one channel did in its turn.
#[derive(PartialEq, Eq)]
pub(super) enum Drive {
    Idle,
    Moved,
    Done,
}

/// Encrypted bytes waiting for the socket. Above it nobody may produce more.
const BACKLOG_BYTES_MAX: usize = 256 << 10;

/// What a channel may use in its turn.
pub(super) struct Turn<'a> {
    pub scratch: &'a mut [u8],
    pub wire: &'a Wire,
}

impl Turn<'_> {
    pub fn may_send(&self) -> bool {
        self.wire.backlog() < BACKLOG_BYTES_MAX
    }
}
