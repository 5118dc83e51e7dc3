//! The time that a step of connecting may take, and a call of libssh2 repeated until it is done or that time is up.

use std::time::{Duration, Instant};

use ssh2::ErrorCode;

use super::error::SshError;
use super::target::Resolved;
use super::wire::Wire;

/// Time given to each step of connecting.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    pub deadline: Instant,
    pub allowed: Duration,
}

impl Clock {
    pub fn starting_now(allowed: Duration) -> Clock {
        Clock { deadline: in_future(allowed), allowed }
    }

    pub fn timeout(&self, resolved: &Resolved, what: &str) -> SshError {
        SshError::Timeout {
            host: resolved.label.clone(),
            what: what.to_owned(),
            after: self.allowed,
            said: String::new(),
        }
    }
}

/// What a step that was repeated until it was done can end with.
pub(super) enum Failure {
    TimeUp,
    Ssh(ssh2::Error),
}

/// Repeats a non-blocking call until it is done.
pub(super) fn retry<T>(
    wire: &Wire,
    clock: Clock,
    mut call: impl FnMut() -> Result<T, ssh2::Error>,
) -> Result<T, Failure> {
    loop {
        match call() {
            Err(error) if would_block(&error) => {
                if !wire.wait(clock.deadline) {
                    return Err(Failure::TimeUp);
                }
            }
            Err(error) => return Err(Failure::Ssh(error)),
            Ok(value) => return Ok(value),
        }
    }
}

pub(super) fn would_block(error: &ssh2::Error) -> bool {
    error.code() == ErrorCode::Session(libssh2_sys::LIBSSH2_ERROR_EAGAIN)
}

/// Whether an error means that nothing more will come of this session.
pub(super) fn is_fatal(error: &ssh2::Error) -> bool {
    let ErrorCode::Session(code) = error.code() else { return false };
    matches!(
        code,
        libssh2_sys::LIBSSH2_ERROR_SOCKET_DISCONNECT
            | libssh2_sys::LIBSSH2_ERROR_SOCKET_SEND
            | libssh2_sys::LIBSSH2_ERROR_SOCKET_RECV
            | libssh2_sys::LIBSSH2_ERROR_DECRYPT
            | libssh2_sys::LIBSSH2_ERROR_ENCRYPT
            | libssh2_sys::LIBSSH2_ERROR_INVALID_MAC
            | libssh2_sys::LIBSSH2_ERROR_OUT_OF_BOUNDARY
            | libssh2_sys::LIBSSH2_ERROR_KEX_FAILURE
            | libssh2_sys::LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE
    )
}

/// A time to come. One beyond a year means no limit, and must not overflow.
pub(super) fn in_future(after: Duration) -> Instant {
    Instant::now() + after.min(Duration::from_secs(365 * 24 * 3600))
}
