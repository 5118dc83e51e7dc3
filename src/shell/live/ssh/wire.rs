//! The bytes between libssh2 and the socket.
//!
//! libssh2 is given these functions to send and receive with (in `raw.rs`), for three reasons, all read in its source (libssh2-sys 0.3.4):
//! - A packet that the socket takes only in part must be retried with the same *address* (`transport_send_existing`),
//!   and the packet that says EOF lives on the stack (`channel_send_eof`): retried from another depth it blocks the
//!   session for ever. Here every packet is taken whole, into `outbox` if the socket is full, so it cannot happen.
//! - Reading from one channel queues what arrived for all others without saying so, and stops at a packet that came in
//!   part, with more of it in the socket. After the socket ran dry, `receive` stays dry until [`Wire::refresh`], and what
//!   was received is counted: a pass over all channels that moves nothing, and in which nothing was received, means that
//!   nothing is left.
//! - The agent's socket goes through the same functions and has no timeout of its own; here it gets one.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// Rust programs ignore SIGPIPE; this is for those that changed it.
#[cfg(target_os = "linux")]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const NO_SIGNAL: SendFlags = SendFlags::empty();

pub(super) struct Wire {
    socket: OwnedFd,
    /// Encrypted bytes that the socket would not take yet, and how many of them it took since.
    outbox: RefCell<Vec<u8>>,
    outbox_sent: Cell<usize>,
    dry: Cell<bool>,
    /// Bytes from the socket, in all.
    received: Cell<u64>,
    /// Why the connection is over.
    end: RefCell<Option<String>>,
    /// We ended it: libssh2 sees the end of the stream, and so frees everything without waiting for answers.
    cut: Cell<bool>,
    agent_deadline: Cell<Instant>,
}

impl Wire {
    pub fn new(socket: OwnedFd) -> Rc<Wire> {
        Rc::new(Wire {
            socket,
            outbox: RefCell::default(),
            outbox_sent: Cell::new(0),
            dry: Cell::new(false),
            received: Cell::new(0),
            end: RefCell::default(),
            cut: Cell::new(false),
            agent_deadline: Cell::new(Instant::now()),
        })
    }

    /// Bytes still to be sent. Whoever produces data in bulk waits while this is large.
    pub fn backlog(&self) -> usize {
        self.outbox.borrow().len() - self.outbox_sent.get()
    }

    pub fn received(&self) -> u64 {
        self.received.get()
    }

    pub fn end(&self) -> Option<String> {
        self.end.borrow().clone()
    }

    /// The connection is over; the first reason given is kept.
    pub fn finish(&self, reason: impl Into<String>) {
        self.end.borrow_mut().get_or_insert_with(|| reason.into());
    }

    pub fn cut(&self, reason: &str) {
        self.finish(reason);
        self.cut.set(true);
    }

    pub fn set_agent_deadline(&self, deadline: Instant) {
        self.agent_deadline.set(deadline);
    }

    /// What to poll the socket for.
    pub fn interest(&self) -> PollFlags {
        let out = if self.backlog() > 0 { PollFlags::OUT } else { PollFlags::empty() };
        PollFlags::IN | out
    }

    /// Call after every poll: lets libssh2 read again, and sends what waited.
    pub fn refresh(&self) {
        self.dry.set(false);
        self.flush();
    }

    /// Sends what the socket takes now.
    pub fn flush(&self) {
        let mut outbox = self.outbox.borrow_mut();
        while self.outbox_sent.get() < outbox.len() {
            match send(&self.socket, &outbox[self.outbox_sent.get()..], NO_SIGNAL) {
                Ok(sent) => self.outbox_sent.set(self.outbox_sent.get() + sent),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(error) => return self.finish(format!("sending failed: {error}")),
            }
        }
        outbox.clear();
        self.outbox_sent.set(0);
    }

    /// Waits until the socket can do something, for the sequential part of a connection. False if the time is up.
    pub fn wait(&self, deadline: Instant) -> bool {
        let in_time = poll_one(self.socket.as_fd(), self.interest(), deadline);
        self.refresh();
        in_time
    }

    /// Whether the far end closed without anything left to read. Never consumes a byte.
    pub fn is_at_end(&self) -> bool {
        let mut byte = [0u8; 1];
        match recv(&self.socket, &mut byte[..], RecvFlags::PEEK) {
            Ok((0, _)) => {
                self.finish("the server closed it");
                true
            }
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => false,
            Err(error) => {
                self.finish(error.to_string());
                true
            }
        }
    }

    /// Takes a whole packet from libssh2, always.
    pub fn take(&self, bytes: &[u8]) -> Result<usize, Errno> {
        if self.end.borrow().is_some() {
            return Err(Errno::PIPE);
        }
        let mut sent = 0;
        if self.backlog() == 0 {
            sent = match send(&self.socket, bytes, NO_SIGNAL) {
                Ok(sent) => sent,
                Err(Errno::AGAIN | Errno::INTR) => 0,
                Err(error) => {
                    self.finish(format!("sending failed: {error}"));
                    return Err(error);
                }
            };
        }
        self.outbox.borrow_mut().extend_from_slice(&bytes[sent..]);
        Ok(bytes.len())
    }

    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        if self.cut.get() {
            return Ok(0);
        }
        if self.dry.get() {
            return Err(Errno::AGAIN);
        }
        match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => {
                self.finish("the server closed it");
                Ok(0)
            }
            Ok((count, _)) => {
                self.received.set(self.received.get() + count as u64);
                Ok(count)
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                self.dry.set(true);
                Err(Errno::AGAIN)
            }
            Err(error) => {
                self.finish(error.to_string());
                Err(error)
            }
        }
    }
}

/// The agent is local, and asked while logging in only: waiting for it is bounded by the deadline of that.
impl Wire {
    pub fn send_to_agent(&self, agent: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
        match poll_one(agent, PollFlags::OUT, self.agent_deadline.get()) {
            true => send(agent, bytes, NO_SIGNAL),
            false => Err(Errno::TIMEDOUT),
        }
    }

    pub fn receive_from_agent(&self, agent: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
        if !poll_one(agent, PollFlags::IN, self.agent_deadline.get()) {
            return Err(Errno::TIMEDOUT);
        }
        match recv(agent, buffer, RecvFlags::empty()) {
            // libssh2's agent code would ask again for ever after the end of the stream.
            Ok((0, _)) => Err(Errno::CONNRESET),
            Ok((count, _)) => Ok(count),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Wire {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Polls one descriptor. False if the deadline passed first.
pub(super) fn poll_one(fd: BorrowedFd<'_>, interest: PollFlags, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::from_borrowed_fd(fd, interest)];
        match poll(&mut fds, Some(&timespec(left))) {
            Ok(0) | Err(Errno::INTR) if left.is_zero() => return false,
            Ok(0) | Err(Errno::INTR) => {}
            // Any other error of poll is shown by the next read or write.
            Ok(_) | Err(_) => return true,
        }
    }
}

pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs().min(3600) as i64, tv_nsec: duration.subsec_nanos().into() }
}
