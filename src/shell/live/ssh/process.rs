//! One remote process: its stdin fed, its stdout and stderr read at the same time, its end reported.

use std::io::{self, Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use ssh2::Channel;
use tokio::sync::{oneshot, watch};
use zeroize::Zeroizing;

use super::clock::{in_future, would_block};
use super::error::SshError;
use super::pipe::{LocalEnd, Pending};
use super::turn::{Drive, Stage, Turn};
use super::{Exit, Output};

/// What a remote process reads. It gets EOF after it.
pub enum Stdin {
    Empty,
    Bytes(Zeroizing<Vec<u8>>),
    /// The same, but EOF comes when the process is let go, or the connection ends: so it can tell that nobody reads it.
    Open(Zeroizing<Vec<u8>>),
    /// Read in the host's own thread: from a file or from memory, not from something that waits.
    Reader {
        reader: Box<dyn io::Read + Send>,
        /// Told how many bytes went out in all.
        progress: Option<Box<dyn FnMut(u64) + Send>>,
    },
}

impl Stdin {
    /// The same once more; what is read as it goes can be had only once.
    pub fn again(&self) -> Option<Stdin> {
        match self {
            Stdin::Empty => Some(Stdin::Empty),
            Stdin::Bytes(bytes) => Some(Stdin::Bytes(bytes.clone())),
            Stdin::Open(bytes) => Some(Stdin::Open(bytes.clone())),
            Stdin::Reader { .. } => None,
        }
    }
}

impl From<Vec<u8>> for Stdin {
    fn from(bytes: Vec<u8>) -> Stdin {
        if bytes.is_empty() { Stdin::Empty } else { Stdin::Bytes(Zeroizing::new(bytes)) }
    }
}

impl From<&str> for Stdin {
    fn from(text: &str) -> Stdin {
        text.as_bytes().to_vec().into()
    }
}

pub(super) struct ProcessRequest {
    pub line: Line,
    pub stdin: Stdin,
    pub purpose: Purpose,
    pub limit: Limit,
}

/// A line for the login shell of a host.
#[derive(Clone, Debug)]
pub struct Line {
    pub text: String,
    /// What it does, for messages; without it they show its beginning.
    pub name: Option<String>,
}

impl From<&str> for Line {
    fn from(text: &str) -> Line {
        Line { text: text.to_owned(), name: None }
    }
}

impl From<&String> for Line {
    fn from(text: &String) -> Line {
        text.as_str().into()
    }
}

impl Line {
    /// What goes on while it runs: `looking at the host`, or the command itself.
    pub(super) fn under_way(&self) -> String {
        if self.name.is_some() { self.shown() } else { format!("running {}", self.shown()) }
    }

    pub(super) fn shown(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let first_line = self.text.lines().next().unwrap_or_default();
        let shown: String = first_line.chars().take(COMMAND_SHOWN_MAX).collect();
        let more = if shown.len() < self.text.len() { "…" } else { "" };
        format!("`{shown}{more}`")
    }
}

/// What its stdout is for, and who is told.
pub(super) enum Purpose {
    Collect {
        reply: oneshot::Sender<Result<Output, SshError>>,
    },
    Stream {
        local: LocalEnd,
        reply: oneshot::Sender<Result<Output, SshError>>,
    },
    Hold {
        /// It stands somewhere in what a process prints when it is ready.
        mark: String,
        ready: Option<oneshot::Sender<Result<String, SshError>>>,
        end: watch::Sender<Option<Output>>,
    },
}

/// How long it may take.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    pub deadline: Option<Instant>,
    pub allowed: Duration,
    /// The deadline moves on with every byte.
    pub is_idle_limit: bool,
}

pub(super) struct Process {
    channel: Channel,
    request: ProcessRequest,
    is_started: bool,
    feed: Pending,
    fed: u64,
    /// Everything that stdin had is in the channel.
    is_fed: bool,
    output: Output,
}

/// Output is kept in memory: more than this is a mistake.
pub(super) const OUTPUT_BYTES_MAX: usize = 64 << 20;
/// One process moves no more than this before the others get their turn.
const TURN_BYTES_MAX: usize = 1 << 20;

/// How much of a command a message shows.
const COMMAND_SHOWN_MAX: usize = 60;

impl ProcessRequest {
    pub fn is_cancelled(&self) -> bool {
        match &self.purpose {
            Purpose::Collect { reply } | Purpose::Stream { reply, .. } => reply.is_closed(),
            Purpose::Hold { ready: Some(ready), .. } => ready.is_closed(),
            Purpose::Hold { ready: None, end, .. } => end.is_closed(),
        }
    }

    pub fn is_hold(&self) -> bool {
        matches!(self.purpose, Purpose::Hold { .. })
    }

    pub fn timeout(&self, host: &str, stage: Stage) -> SshError {
        let silent = if self.limit.is_idle_limit { " (without moving a byte)" } else { "" };
        let doing = match stage {
            Stage::Queued => format!("waiting for a free channel to run {}", self.line.shown()),
            Stage::Opening => format!("opening a channel to run {}", self.line.shown()),
            Stage::Running => self.line.under_way(),
        };
        let what = format!("{doing}{silent}");
        SshError::Timeout { host: host.to_owned(), what, after: self.limit.allowed, said: String::new() }
    }

    /// Tells whoever waits. They may have gone; then nobody needs the answer.
    pub fn fail(self, error: SshError) {
        match self.purpose {
            Purpose::Collect { reply } | Purpose::Stream { reply, .. } => drop(reply.send(Err(error))),
            Purpose::Hold { ready: Some(ready), .. } => drop(ready.send(Err(error))),
            Purpose::Hold { ready: None, .. } => {}
        }
    }
}

impl Process {
    pub fn start(channel: Channel, mut request: ProcessRequest) -> Process {
        let feed = match std::mem::replace(&mut request.stdin, Stdin::Empty) {
            Stdin::Bytes(bytes) => Pending::from(bytes),
            Stdin::Open(bytes) => {
                request.stdin = Stdin::Open(Zeroizing::default());
                Pending::from(bytes)
            }
            other => {
                request.stdin = other;
                Pending::default()
            }
        };
        Process {
            channel,
            request,
            is_started: false,
            feed,
            fed: 0,
            is_fed: false,
            output: Output { status: Exit::Code(0), stdout: Vec::new(), stderr: Vec::new() },
        }
    }

    pub fn request(&self) -> &ProcessRequest {
        &self.request
    }

    pub fn into_channel(self) -> Channel {
        self.channel
    }

    /// Its time is over.
    pub fn timeout(&self, host: &str) -> SshError {
        match self.request.timeout(host, Stage::Running) {
            SshError::Timeout { host, what, after, .. } => {
                let said = String::from_utf8_lossy(&self.output.stderr).into_owned();
                SshError::Timeout { host, what, after, said }
            }
            other => other,
        }
    }

    pub fn fail(self, error: SshError) -> Channel {
        self.request.fail(error);
        self.channel
    }

    pub fn drive(&mut self, turn: &mut Turn<'_>) -> Result<Drive, String> {
        if !self.is_started {
            match self.channel.exec(&self.request.line.text) {
                Err(error) if would_block(&error) => return Ok(Drive::Idle),
                Err(error) => return Err(format!("the command was not started: {}", error.message())),
                Ok(()) => self.is_started = true,
            }
        }
        let mut moved = self.feed_stdin(turn)?;
        moved |= self.read_stdout(turn)?;
        moved |= self.read_stderr(turn)?;
        if self.request.limit.is_idle_limit && (moved || !self.can_take_stdout()) {
            self.request.limit.deadline = Some(in_future(self.request.limit.allowed));
        }
        let is_drained = match &self.request.purpose {
            Purpose::Stream { local, .. } if local.is_gone => return Err("nothing reads its output any more".into()),
            Purpose::Stream { local, .. } => local.can_take(),
            _ => true,
        };
        // The exit status is sent before the channel is closed, and after the last output.
        if is_drained && self.channel.eof() && self.channel.wait_close().is_ok() {
            return Ok(Drive::Done);
        }
        Ok(if moved { Drive::Moved } else { Drive::Idle })
    }

    /// After `drive` said Done: reports how it ended.
    pub fn finish(mut self) -> Channel {
        let signal = self.channel.exit_signal().ok().and_then(|signal| signal.exit_signal);
        self.output.status = match signal {
            Some(name) => Exit::Signal(name),
            None => Exit::Code(self.channel.exit_status().unwrap_or(-1)),
        };
        match self.request.purpose {
            Purpose::Collect { reply } => drop(reply.send(Ok(self.output))),
            Purpose::Stream { local, reply } => {
                local.finish();
                drop(reply.send(Ok(self.output)));
            }
            Purpose::Hold { ready: Some(ready), .. } => {
                drop(ready.send(Err(SshError::NotReady(Box::new(self.output)))))
            }
            Purpose::Hold { end, .. } => drop(end.send(Some(self.output))),
        }
        self.channel
    }

    fn feed_stdin(&mut self, turn: &mut Turn<'_>) -> Result<bool, String> {
        let (mut moved, was_fed) = (0, self.is_fed);
        while !self.is_fed && moved < TURN_BYTES_MAX && turn.may_send() {
            if self.feed.is_empty() && !self.refill(turn.scratch.len())? {
                // A process being held reads EOF when it is let go.
                let is_held = matches!(self.request.purpose, Purpose::Hold { .. });
                if !is_held && !matches!(self.request.stdin, Stdin::Open(_)) {
                    match self.channel.send_eof() {
                        // Keys are exchanged anew: what ends that comes over the wire, and wakes the next turn.
                        Err(error) if would_block(&error) => break,
                        sent => sent.map_err(|error| format!("closing stdin failed: {}", error.message()))?,
                    }
                }
                self.is_fed = true;
                break;
            }
            match self.channel.write(self.feed.as_slice()) {
                Ok(0) => break,
                Ok(count) => {
                    self.feed.advance(count);
                    moved += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The far end closed the channel: how the process ended says more.
                Err(_) => self.is_fed = true,
            }
        }
        self.fed += moved as u64;
        if let (1.., Stdin::Reader { progress: Some(progress), .. }) = (moved, &mut self.request.stdin) {
            progress(self.fed);
        }
        Ok(moved > 0 || self.is_fed != was_fed)
    }

    /// The next piece of stdin. False if there is none.
    fn refill(&mut self, size: usize) -> Result<bool, String> {
        match &mut self.request.stdin {
            // Bytes are in `feed` from the start.
            Stdin::Empty | Stdin::Bytes(_) | Stdin::Open(_) => Ok(false),
            Stdin::Reader { reader, .. } => loop {
                match self.feed.fill(size, |buffer| reader.read(buffer)) {
                    Ok(count) => return Ok(count > 0),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(format!("reading the data to send failed: {error}")),
                }
            },
        }
    }

    fn can_take_stdout(&self) -> bool {
        match &self.request.purpose {
            Purpose::Stream { local, .. } => local.can_take(),
            _ => true,
        }
    }

    fn read_stdout(&mut self, turn: &mut Turn<'_>) -> Result<bool, String> {
        let mut moved = 0;
        if let Purpose::Stream { local, .. } = &mut self.request.purpose {
            moved += usize::from(local.flush());
        }
        while moved < TURN_BYTES_MAX && self.can_take_stdout() {
            let count = match self.channel.read(turn.scratch) {
                Ok(0) | Err(_) => break,
                Ok(count) => count,
            };
            moved += count;
            let bytes = &turn.scratch[..count];
            match &mut self.request.purpose {
                Purpose::Stream { local, .. } => local.give(bytes),
                Purpose::Collect { .. } => keep(&mut self.output.stdout, bytes)?,
                Purpose::Hold { mark, ready, .. } => {
                    keep(&mut self.output.stdout, bytes)?;
                    if let Some(line) = ready.as_ref().and_then(|_| line_from(&self.output.stdout, mark)) {
                        // A deadline is for getting ready only.
                        self.request.limit.deadline = None;
                        drop(ready.take().map(|ready| ready.send(Ok(line))));
                    }
                }
            }
        }
        Ok(moved > 0)
    }

    fn read_stderr(&mut self, turn: &mut Turn<'_>) -> Result<bool, String> {
        let mut moved = 0;
        while moved < TURN_BYTES_MAX {
            match self.channel.stderr().read(turn.scratch) {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    keep(&mut self.output.stderr, &turn.scratch[..count])?;
                    moved += count;
                }
            }
        }
        Ok(moved > 0)
    }

    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.request.purpose {
            Purpose::Stream { local, .. } => local.interest(false),
            _ => None,
        }
    }

    pub fn woken(&mut self, events: PollFlags) {
        if let Purpose::Stream { local, .. } = &mut self.request.purpose {
            local.woken(events);
        }
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) -> Result<(), String> {
    if kept.len() + bytes.len() > OUTPUT_BYTES_MAX {
        return Err(format!("the command printed more than {} MiB", OUTPUT_BYTES_MAX >> 20));
    }
    kept.extend_from_slice(bytes);
    Ok(())
}

/// From `mark` to the end of its line, when that has come. What stands before it on the line is not ours: a login shell may
/// print something without an end.
pub(super) fn line_from(output: &[u8], mark: &str) -> Option<String> {
    let begun = &output[memchr::memmem::find(output, mark.as_bytes())?..];
    let end = memchr::memchr(b'\n', begun)?;
    Some(String::from_utf8_lossy(&begun[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_wherever_it_stands_when_its_line_is_whole() {
        assert_eq!(line_from(b"Welcomeready 7\nmore", "ready").as_deref(), Some("ready 7"));
        assert_eq!(line_from(b"motd\nready", "ready"), None);
        assert_eq!(line_from(b"motd\n", "ready"), None);
    }
}
