//! A TCP connection made by the far end for us (direct-tcpip), pumped between its channel and a socket pair.

use std::io::{Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use ssh2::Channel;
use tokio::sync::oneshot;

use super::clock::would_block;
use super::error::SshError;
use super::pipe::{LocalEnd, Pending};
use super::turn::{Drive, Stage, Turn};

pub(super) struct TunnelRequest {
    pub host: String,
    pub port: u16,
    pub deadline: Instant,
    pub allowed: Duration,
    pub reply: oneshot::Sender<Result<UnixStream, SshError>>,
}

impl TunnelRequest {
    pub fn timeout(&self, host: &str, stage: Stage) -> SshError {
        let doing = match stage {
            Stage::Queued => "waiting to open",
            Stage::Opening | Stage::Running => "opening",
        };
        let what = format!("{doing} a tunnel to {}:{}", self.host, self.port);
        SshError::Timeout { host: host.to_owned(), what, after: self.allowed, said: String::new() }
    }
}

pub(super) struct Tunnel {
    channel: Channel,
    local: LocalEnd,
    /// From the task, not yet in the channel.
    up: Pending,
    eof_sent: bool,
    eof_passed_on: bool,
}

/// One tunnel moves no more than this before the others get their turn.
const TURN_BYTES_MAX: usize = 1 << 20;

impl Tunnel {
    /// Takes over an open channel, and hands the task its end. The channel comes back if the task has gone.
    pub fn start(label: &str, channel: Channel, request: TunnelRequest) -> Result<Tunnel, Channel> {
        let pair = UnixStream::pair().and_then(|(ours, theirs)| {
            theirs.set_nonblocking(true)?;
            Ok((LocalEnd::new(ours)?, theirs))
        });
        match pair {
            Ok((local, theirs)) => match request.reply.send(Ok(theirs)) {
                Ok(()) => Ok(Tunnel { channel, local, up: Pending::default(), eof_sent: false, eof_passed_on: false }),
                Err(_) => Err(channel),
            },
            Err(error) => {
                let to = format!("{}:{}", request.host, request.port);
                let reason = format!("no socket pair: {error}");
                // Whoever asked may have gone; then nobody needs the answer.
                let _ = request.reply.send(Err(SshError::TunnelRefused { host: label.to_owned(), to, reason }));
                Err(channel)
            }
        }
    }

    pub fn into_channel(self) -> Channel {
        self.channel
    }

    pub fn drive(&mut self, turn: &mut Turn<'_>) -> Drive {
        let mut moved = self.local.flush();
        moved |= self.pump_up(turn);
        moved |= self.pump_down(turn);
        if self.local.is_gone && self.eof_sent {
            return Drive::Done;
        }
        if self.channel.eof() && self.local.can_take() {
            if !self.eof_passed_on {
                self.eof_passed_on = true;
                self.local.finish();
            }
            // Our side is done too, or the far end has closed altogether.
            if self.eof_sent || self.channel.wait_close().is_ok() {
                return Drive::Done;
            }
        }
        if moved { Drive::Moved } else { Drive::Idle }
    }

    fn pump_up(&mut self, turn: &mut Turn<'_>) -> bool {
        let mut moved = 0;
        while moved < TURN_BYTES_MAX && turn.may_send() {
            if self.up.is_empty() {
                match self.local.read(turn.scratch) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => self.up.hold(&turn.scratch[..count]),
                }
            }
            match self.channel.write(self.up.as_slice()) {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    self.up.advance(count);
                    moved += count;
                }
            }
        }
        let is_last = self.local.at_eof && self.up.is_empty() && !self.eof_sent;
        if is_last {
            // Any other error is of the connection, and ends it.
            self.eof_sent = !matches!(self.channel.send_eof(), Err(error) if would_block(&error));
        }
        moved > 0 || (is_last && self.eof_sent)
    }

    fn pump_down(&mut self, turn: &mut Turn<'_>) -> bool {
        let mut moved = 0;
        if !self.local.can_take() {
            // The task does not read, so this channel is not read; but what comes for others must be taken in, or the
            // socket stays readable. Reading a stream that is always empty does just that.
            let _ = self.channel.stderr().read(turn.scratch);
        }
        while moved < TURN_BYTES_MAX && self.local.can_take() {
            match self.channel.read(turn.scratch) {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    self.local.give(&turn.scratch[..count]);
                    moved += count;
                }
            }
        }
        moved > 0
    }

    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.local.interest(self.up.is_empty())
    }

    pub fn woken(&mut self, events: PollFlags) {
        self.local.woken(events);
    }
}
