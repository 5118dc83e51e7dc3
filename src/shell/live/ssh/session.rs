//! The thread of one host. It owns the session; nobody else ever touches it (libssh2 sessions cannot be shared: ssh2's
//! Channel frees itself without taking the lock). Tasks reach it by a queue and a wake-up byte.
//!
//! One turn: take new requests, drop what nobody waits for, pass over all channels until a pass moves nothing, end what is
//! late, then poll the SSH socket, the wake-up socket and the socket pairs. Nothing else in a turn blocks.

use std::collections::VecDeque;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use ssh2::{Channel, DisconnectCode, Session};

use super::clock::{is_fatal, would_block};
use super::connect::Live;
use super::error::SshError;
use super::link::{Inbox, Request};
use super::process::Process;
use super::proxy::ProxyProcess;
use super::raw;
use super::tunnel::Tunnel;
use super::turn::{Drive, Stage, Turn};
use super::wire::{Wire, timespec};

/// sshd allows 10 sessions on a connection (MaxSessions); two are left for commands that we gave up on and that still run.
const PROCESSES_MAX: usize = 8;
/// sshd has no limit for tunnels; a bug here should not open thousands.
const TUNNELS_MAX: usize = 64;
/// The buffer everything is read into. 256 KB measured best.
const SCRATCH_BYTES: usize = 256 << 10;
/// After so many passes requests and deadlines are looked at again.
const PASSES_MAX: usize = 16;
/// A session that just closed may not be free yet: sshd clears it up after it has read what we sent next.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// After so many refusals in a row, with nothing of ours running, a session is not to be had. That takes three seconds, which a
/// busy host may need to clear one up.
const REFUSALS_MAX: u32 = 60;
/// How long the server may wait for an answer to something it asked while no channel is open.
const IDLE_ANSWER: Duration = Duration::from_secs(2);
/// How long a server may take to answer a request: libssh2's own default.
const ANSWER_SECONDS_MAX: u16 = 60;
/// How often to look whether the time of an answer that nobody waits for is over.
const GIVEN_UP_LOOK: Duration = Duration::from_millis(250);
/// How long leaving may take.
const GOODBYE: Duration = Duration::from_millis(200);

/// Only Linux tells that the server closed its side while something of it is still unread.
#[cfg(target_os = "linux")]
const FAR_END_CLOSED: PollFlags = PollFlags::RDHUP;
#[cfg(not(target_os = "linux"))]
const FAR_END_CLOSED: PollFlags = PollFlags::empty();

/// A channel being opened. libssh2 keeps one such state per session, so there is one at a time, and it is completed even
/// if nobody waits for it any more (then `request` is None).
struct Opening {
    kind: OpeningKind,
    request: Option<Request>,
}

enum OpeningKind {
    Process,
    Tunnel(String, u16),
    /// Opened only to make libssh2 read and answer what the server sent while no channel was open, as its keepalives.
    Answer,
}

pub(super) struct Host {
    label: String,
    session: Session,
    wire: Rc<Wire>,
    inbox: Inbox,
    queue: VecDeque<Request>,
    opening: Option<Opening>,
    processes: Vec<Process>,
    tunnels: Vec<Tunnel>,
    /// Channels that are over for us, but not yet for the server.
    closing: Vec<Channel>,
    /// As many as the server was seen to allow, tried again when none runs.
    processes_max: usize,
    /// How often in a row the server refused a session, and until when none is asked for.
    refusals: u32,
    pause_until: Option<Instant>,
    /// Commands whose channel was closed while they ran.
    given_up: usize,
    /// When the first bytes came while no channel was open.
    unread_since: Option<Instant>,
    scratch: Vec<u8>,
    /// Ended after the session.
    _proxy: Option<ProxyProcess>,
}

impl Host {
    pub fn new(label: &str, live: Live, inbox: Inbox) -> Host {
        // The last error stays until the next: one of the agent must not be taken for one of the connection.
        raw::forget_last_error(&live.session);
        Host {
            label: label.to_owned(),
            session: live.session,
            wire: live.wire,
            inbox,
            queue: VecDeque::new(),
            opening: None,
            processes: Vec::new(),
            tunnels: Vec::new(),
            closing: Vec::new(),
            processes_max: PROCESSES_MAX,
            refusals: 0,
            pause_until: None,
            given_up: 0,
            unread_since: None,
            scratch: vec![0; SCRATCH_BYTES],
            _proxy: live.proxy,
        }
    }

    /// Until the connection ends or nobody can ask for anything any more.
    pub fn run(mut self) {
        loop {
            let is_wanted = self.take_requests();
            if !is_wanted {
                return self.leave();
            }
            self.drop_cancelled();
            let is_busy = self.work();
            if self.is_over() {
                // What came before the end still counts.
                self.wire.refresh();
                self.work();
                return self.end();
            }
            // After the work: what has arrived in time is in time.
            self.expire();
            self.sleep(is_busy);
        }
    }

    /// Whether the connection has ended, by the socket or by what came over it.
    fn is_over(&self) -> bool {
        if let Some(error) = ssh2::Error::last_session_error(&self.session).filter(is_fatal) {
            self.wire.finish(error.message());
        }
        self.wire.end().is_some()
    }

    fn take_requests(&mut self) -> bool {
        loop {
            match self.inbox.requests.try_recv() {
                Ok(request) => self.queue.push_back(request),
                Err(mpsc::TryRecvError::Empty) => return true,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn drop_cancelled(&mut self) {
        self.queue.retain(|request| !request.is_cancelled());
        if let Some(opening) = &mut self.opening {
            opening.request.take_if(|request| request.is_cancelled());
        }
        for process in self.processes.extract_if(.., |process| process.request().is_cancelled()) {
            self.given_up += usize::from(!process.request().is_hold());
            self.closing.push(process.into_channel());
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        let is_late = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let host = &self.label;
        let mut index = 0;
        while let Some(request) = self.queue.get(index) {
            match is_late(request.deadline()) {
                true => drop(self.queue.remove(index).map(|request| request.time_out(host, Stage::Queued))),
                false => index += 1,
            }
        }
        if let Some(opening) = &mut self.opening
            && let Some(request) = opening.request.take_if(|request| is_late(request.deadline()))
        {
            request.time_out(host, Stage::Opening);
        }
        for process in self.processes.extract_if(.., |process| is_late(process.request().limit.deadline)) {
            let error = process.timeout(host);
            self.given_up += 1;
            self.closing.push(process.fail(error));
        }
    }

    /// Passes over all channels until nothing moves and nothing is received: what one channel receives may be for another
    /// that had its turn in this pass, and no poll tells of it again. True if it stopped before.
    fn work(&mut self) -> bool {
        for _ in 0..PASSES_MAX {
            let received_before = self.wire.received();
            let mut moved = self.open_next();
            moved |= self.drive_processes();
            moved |= self.drive_tunnels();
            self.closing.retain_mut(|channel| matches!(channel.close(), Err(error) if would_block(&error)));
            if !moved && self.wire.received() == received_before {
                return false;
            }
        }
        true
    }

    /// Starts opening the next channel that may be, and goes on with the one that is. True if one was opened.
    fn open_next(&mut self) -> bool {
        if self.processes.is_empty() {
            self.processes_max = PROCESSES_MAX;
        }
        self.pause_until.take_if(|until| *until <= Instant::now());
        if self.opening.is_none() {
            let may_start = |request: &Request| match request {
                Request::Process(_) => self.processes.len() < self.processes_max && self.pause_until.is_none(),
                Request::Tunnel(_) => self.tunnels.len() < TUNNELS_MAX,
            };
            let Some(index) = self.queue.iter().position(may_start) else { return false };
            self.opening = self.queue.remove(index).map(|request| {
                let kind = match &request {
                    Request::Process(_) => OpeningKind::Process,
                    Request::Tunnel(tunnel) => OpeningKind::Tunnel(tunnel.host.clone(), tunnel.port),
                };
                Opening { kind, request: Some(request) }
            });
        }
        let Some(opening) = self.opening.take() else { return false };
        let result = match &opening.kind {
            OpeningKind::Process | OpeningKind::Answer => self.session.channel_session(),
            OpeningKind::Tunnel(host, port) => {
                // The server connects before it answers, which can take minutes, and holds up every other channel. One
                // that nobody waits for is given up; a late answer is for a number that is never used again.
                let seconds = if opening.request.is_none() { 1 } else { ANSWER_SECONDS_MAX };
                raw::set_answer_timeout(&self.session, seconds);
                let result = self.session.channel_direct_tcpip(host, *port, None);
                raw::set_answer_timeout(&self.session, ANSWER_SECONDS_MAX);
                result
            }
        };
        match (result, opening.request) {
            (Err(error), request) if would_block(&error) => {
                self.opening = Some(Opening { kind: opening.kind, request });
                return false;
            }
            (Ok(channel), None) => self.closing.push(channel),
            (Ok(channel), Some(Request::Process(request))) => {
                self.refusals = 0;
                self.processes.push(Process::start(channel, request));
            }
            (Ok(channel), Some(Request::Tunnel(request))) => match Tunnel::start(&self.label, channel, request) {
                Ok(tunnel) => self.tunnels.push(tunnel),
                Err(channel) => self.closing.push(channel),
            },
            (Err(error), Some(request)) => self.not_opened(request, &error),
            (Err(_), None) => {}
        }
        true
    }

    fn not_opened(&mut self, request: Request, error: &ssh2::Error) {
        if self.is_over() {
            // The end of the connection answers it, with the reason.
            self.queue.push_front(request);
            return;
        }
        match request {
            Request::Process(request) if self.may_ask_again() => self.queue.push_front(Request::Process(request)),
            Request::Process(request) => {
                let mut reason = format!("the server refused another session: {}", error.message());
                if self.given_up > 0 {
                    reason += &format!("; {} abandoned commands may still be running there", self.given_up);
                }
                request.fail(SshError::NoSession { host: self.label.clone(), reason });
            }
            Request::Tunnel(request) => {
                let to = format!("{}:{}", request.host, request.port);
                let reason = error.message().to_owned();
                let error = SshError::TunnelRefused { host: self.label.clone(), to, reason };
                drop(request.reply.send(Err(error)));
            }
        }
    }

    /// What a refused session means: one that just closed is not free yet; or the server's MaxSessions is lower than ours,
    /// and one of ours must end first; or it is used up by what we do not know of, and asking again is no use.
    fn may_ask_again(&mut self) -> bool {
        self.refusals += 1;
        let is_running = self.processes.iter().any(|process| !process.request().is_hold());
        if self.refusals > 1 && is_running {
            self.processes_max = self.processes.len();
            self.refusals = 0;
            return true;
        }
        self.pause_until = Some(Instant::now() + REFUSED_PAUSE);
        self.refusals <= REFUSALS_MAX
    }

    fn drive_processes(&mut self) -> bool {
        let mut moved = false;
        let mut index = 0;
        while index < self.processes.len() {
            let mut turn = Turn { scratch: &mut self.scratch, wire: &self.wire };
            match self.processes[index].drive(&mut turn) {
                Ok(Drive::Idle) => index += 1,
                Ok(Drive::Moved) => {
                    moved = true;
                    index += 1;
                }
                Ok(Drive::Done) => {
                    moved = true;
                    self.closing.push(self.processes.swap_remove(index).finish());
                }
                // The end of the connection is answered for all in `end`.
                Err(_) if self.is_over() => index += 1,
                Err(reason) => {
                    moved = true;
                    let error = SshError::Channel { host: self.label.clone(), reason };
                    self.closing.push(self.processes.swap_remove(index).fail(error));
                }
            }
        }
        moved
    }

    fn drive_tunnels(&mut self) -> bool {
        let mut moved = false;
        let mut index = 0;
        while index < self.tunnels.len() {
            let mut turn = Turn { scratch: &mut self.scratch, wire: &self.wire };
            match self.tunnels[index].drive(&mut turn) {
                Drive::Idle => index += 1,
                Drive::Moved => {
                    moved = true;
                    index += 1;
                }
                Drive::Done => {
                    moved = true;
                    self.closing.push(self.tunnels.swap_remove(index).into_channel());
                }
            }
        }
        moved
    }

    fn is_reading(&self) -> bool {
        self.opening.is_some() || !self.processes.is_empty() || !self.tunnels.is_empty() || !self.closing.is_empty()
    }

    fn sleep(&mut self, is_busy: bool) {
        let is_reading = self.is_reading();
        if is_reading {
            self.unread_since = None;
        }
        let wait = match is_busy {
            true => Duration::ZERO,
            false => self.next_deadline().map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now())),
        };
        // Without a channel nothing is read; then only the end of the connection is of interest.
        let interest = match self.unread_since {
            Some(_) => (self.wire.interest() - PollFlags::IN) | FAR_END_CLOSED,
            None => self.wire.interest(),
        };
        let mut fds =
            vec![PollFd::new(&self.inbox.wake, PollFlags::IN), PollFd::from_borrowed_fd(self.wire.as_fd(), interest)];
        let tunnels = self.tunnels.iter().filter_map(Tunnel::interest);
        let streams = self.processes.iter().filter_map(Process::interest);
        fds.extend(tunnels.chain(streams).map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
        // An interrupted poll is one that found nothing.
        let _ = poll(&mut fds, (wait != Duration::MAX).then(|| timespec(wait)).as_ref());
        let events: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        drop(fds);

        if events[0].contains(PollFlags::IN) {
            let mut bytes = [0; 64];
            while matches!((&self.inbox.wake).read(&mut bytes), Ok(64)) {}
        }
        self.wire.refresh();
        // The same ones in the same order as above.
        let mut local = events[2..].iter();
        let tunnels = self.tunnels.iter_mut().filter(|tunnel| tunnel.interest().is_some());
        tunnels.zip(&mut local).for_each(|(tunnel, events)| tunnel.woken(*events));
        let streams = self.processes.iter_mut().filter(|process| process.interest().is_some());
        streams.zip(local).for_each(|(process, events)| process.woken(*events));
        if !is_reading {
            self.read_while_idle(events[1]);
        }
    }

    /// What comes while no channel is open is read by nobody. Mostly it needs no answer, and the next channel reads it;
    /// a channel is opened for it if it waits for long, or if the server has already closed its side behind it.
    fn read_while_idle(&mut self, events: PollFlags) {
        let closing = FAR_END_CLOSED | PollFlags::HUP | PollFlags::ERR;
        if events.intersects(PollFlags::IN | closing) && !self.wire.is_at_end() {
            self.unread_since.get_or_insert_with(Instant::now);
        }
        let is_due = |since: Instant| since.elapsed() >= IDLE_ANSWER || events.intersects(closing);
        if self.unread_since.is_some_and(is_due) {
            self.opening = Some(Opening { kind: OpeningKind::Answer, request: None });
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let queued = self.queue.iter().filter_map(Request::deadline);
        let opening = self.opening.iter().filter_map(|opening| opening.request.as_ref()?.deadline());
        let running = self.processes.iter().filter_map(|process| process.request().limit.deadline);
        let unread = self.unread_since.map(|since| since + IDLE_ANSWER);
        // Nothing may ever arrive for a channel that is given up on: libssh2 must be asked again.
        let is_given_up = self.opening.as_ref().is_some_and(|opening| opening.request.is_none());
        let given_up = is_given_up.then(|| Instant::now() + GIVEN_UP_LOOK);
        queued.chain(opening).chain(running).chain(unread).chain(given_up).chain(self.pause_until).min()
    }

    /// The connection is over: tells everyone why.
    fn end(self) {
        let reason = self.wire.end().unwrap_or_else(|| "it ended".into());
        // Set first: whoever asks from now on is told the same.
        let _ = self.inbox.end.set(reason.clone());
        let closed = || SshError::Closed { host: self.label.clone(), reason: reason.clone() };
        self.wire.cut(&reason);
        let opening = self.opening.into_iter().filter_map(|opening| opening.request);
        for request in self.queue.into_iter().chain(opening).chain(self.inbox.requests.try_iter()) {
            request.fail(closed());
        }
        for process in self.processes {
            drop(process.fail(closed()));
        }
    }

    /// Nobody wants anything any more: closes what is open, and goes.
    fn leave(mut self) {
        self.processes.clear();
        self.tunnels.clear();
        let deadline = Instant::now() + GOODBYE;
        // Not answered in time, it is cut; the server ends its side either way.
        let _ = self.session.disconnect(Some(DisconnectCode::ByApplication), "done", None);
        while self.wire.backlog() > 0 && self.wire.end().is_none() && self.wire.wait(deadline) {}
        self.wire.cut("it was no longer needed");
        let _ = self.inbox.end.set("it was no longer needed".into());
    }
}
