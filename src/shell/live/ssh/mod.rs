//! Hosts over SSH: commands, long-lived remote processes, tunnels.
//!
//! ```text
//! task ── Connection ──queue──► one thread per host ── libssh2 session ── socket
//!   ▲                              │
//!   └── oneshot, socket pair ──────┘
//! ```
//!
//! Every call has a deadline, and giving up on one (dropping its future, or running out of time) closes its channel and
//! leaves the connection usable. A remote command that is given up on sees its stdin and stdout closed; one that ignores
//! that goes on, so commands that can hang belong under `timeout -k 5 30`.

mod auth;
mod blob;
mod clock;
mod connect;
mod error;
mod known_hosts;
mod link;
mod openssh;
mod pipe;
mod process;
mod proxy;
mod raw;
mod session;
mod target;
mod tunnel;
mod turn;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};

use crate::core::desired::SshClient;

pub use error::{ConnectFailure, SshError};
pub use process::{Line, Stdin};
pub use target::{Proxy, Resolved, Target};

use clock::{Clock, in_future};
use link::{Link, Request};
use openssh::Master;
use pipe::LocalEnd;
use process::{Limit, ProcessRequest, Purpose};
use session::Host;
use tunnel::TunnelRequest;

/// How a remote process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    /// Without the SIG.
    Signal(String),
}

/// What a remote process left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub status: Exit,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status == Exit::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit status {code}"),
            Exit::Signal(name) => write!(f, "signal {name}"),
        }
    }
}

/// A connection to one host, logged in. Cheap to clone; when the last clone (and everything held or streamed through it)
/// is dropped, the connection closes, and with it its tunnels.
#[derive(Clone)]
pub struct Connection {
    way: Way,
    user: Arc<str>,
    typed: Arc<str>,
}

/// What carries it.
#[derive(Clone)]
enum Way {
    /// libssh2, in a thread of its own.
    BuiltIn(Arc<Link>),
    /// The system's ssh.
    OpenSsh(Arc<Master>),
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.host())
    }
}

impl Connection {
    /// Resolves, connects, checks the host key, logs in.
    pub async fn open(target: &Target, deadline: Duration) -> Result<Connection, SshError> {
        if target.client == SshClient::OpenSsh {
            let (master, user) = Master::open(target, deadline).await?;
            return Ok(Connection {
                way: Way::OpenSsh(Arc::new(master)),
                user: user.into(),
                typed: target.typed().into(),
            });
        }
        let clock = Clock::starting_now(deadline);
        let label = target.alias.clone();
        let timed_out = |what: &str| SshError::Timeout {
            host: label.clone(),
            what: what.to_owned(),
            after: deadline,
            said: String::new(),
        };
        let resolved = tokio::time::timeout_at(clock.deadline.into(), target.resolve())
            .await
            .map_err(|_| timed_out("reading the ssh configuration"))??;

        let broken = |error: std::io::Error| SshError::Closed { host: label.clone(), reason: error.to_string() };
        let (link, inbox) = Link::new(&label).map_err(broken)?;
        let (reply, answer) = oneshot::channel();
        let (user, typed) = (resolved.user.as_str().into(), resolved.typed.as_str().into());
        let thread_label = label.clone();
        std::thread::Builder::new()
            .name(format!("ssh {label}"))
            .spawn(move || {
                let outcome = connect::connect(&resolved, clock).map(|live| Host::new(&thread_label, live, inbox));
                match outcome {
                    // If nobody waits any more, the session is dropped right here.
                    Ok(host) => {
                        if reply.send(Ok(())).is_ok() {
                            host.run();
                        }
                    }
                    Err(error) => drop(reply.send(Err(error))),
                }
            })
            .map_err(broken)?;
        // Only the resolver of names can hold the thread longer than the deadline; then it is left to itself. The thread
        // knows better what took so long, so it may speak first.
        match tokio::time::timeout_at((clock.deadline + OPEN_GRACE).into(), answer).await {
            Ok(Ok(Ok(()))) => Ok(Connection { way: Way::BuiltIn(Arc::new(link)), user, typed }),
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) => Err(link.closed()),
            Err(_) => Err(timed_out("looking up its address")),
        }
    }

    /// The name the user wrote for the host.
    #[must_use]
    pub fn host(&self) -> &str {
        match &self.way {
            Way::BuiltIn(link) => &link.label,
            Way::OpenSsh(master) => &master.label,
        }
    }

    /// Who is logged in there.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// As [`Target::typed`].
    #[must_use]
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// Whether the connection has ended. A dead peer shows only after a while; a call's own deadline is sooner.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match &self.way {
            Way::BuiltIn(link) => link.is_closed(),
            Way::OpenSsh(master) => master.is_closed(),
        }
    }

    /// Runs a command to its end: any exit status is an `Ok`. `deadline` includes waiting for a free channel.
    pub async fn exec(
        &self,
        line: impl Into<Line>,
        stdin: impl Into<Stdin>,
        deadline: Duration,
    ) -> Result<Output, SshError> {
        let line = self.checked(line.into())?;
        let link = match &self.way {
            Way::BuiltIn(link) => link,
            Way::OpenSsh(master) => return master.exec(&line, stdin.into(), deadline).await,
        };
        let cancel = CancelOnDrop::new(link);
        let (reply, answer) = oneshot::channel();
        link.start(line, stdin.into(), Purpose::Collect { reply }, Limit::total(deadline))?;
        let result = answer.await;
        cancel.disarm();
        result.unwrap_or_else(|_| Err(link.closed()))
    }

    /// Runs a command whose stdout is read as it comes, in constant memory. It fails if no byte moves for `idle`, not
    /// counting the time in which the reader does not read.
    pub fn stream(&self, line: impl Into<Line>, stdin: impl Into<Stdin>, idle: Duration) -> Result<Stream, SshError> {
        let line = self.checked(line.into())?;
        let broken =
            |error: std::io::Error| SshError::Channel { host: self.host().to_owned(), reason: error.to_string() };
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(broken)?;
        theirs.set_nonblocking(true).map_err(broken)?;
        let stdout = UnixStream::from_std(theirs).map_err(broken)?;
        let (reply, answer) = oneshot::channel();
        let guard = match &self.way {
            Way::BuiltIn(link) => {
                let local = LocalEnd::new(ours).map_err(broken)?;
                let limit = Limit { is_idle_limit: true, ..Limit::total(idle) };
                link.start(line, stdin.into(), Purpose::Stream { local, reply }, limit)?;
                Guard::Link(CancelOnDrop::new(link))
            }
            Way::OpenSsh(master) => {
                ours.set_nonblocking(true).map_err(broken)?;
                let ours = UnixStream::from_std(ours).map_err(broken)?;
                let work = openssh::stream(Arc::clone(master), line, stdin.into(), idle, ours, reply);
                Guard::Task(AbortOnDrop(tokio::spawn(work).abort_handle()))
            }
        };
        Ok(Stream { stdout, exit: StreamExit { connection: self.clone(), answer, _guard: guard } })
    }

    /// Starts a command that stays: resolves when its stdout has `ready` somewhere and the line with it is whole. Its
    /// stdin stays open behind `stdin`; dropping the result closes it, and the channel.
    pub async fn hold(
        &self,
        line: impl Into<Line>,
        stdin: impl Into<Stdin>,
        ready: &str,
        deadline: Duration,
    ) -> Result<Held, SshError> {
        let line = self.checked(line.into())?;
        let link = match &self.way {
            Way::BuiltIn(link) => link,
            Way::OpenSsh(master) => {
                let (first_line, ended, task) =
                    openssh::hold(Arc::clone(master), &line, stdin.into(), ready, deadline).await?;
                return Ok(Held { first_line, ended, _guard: Guard::Task(AbortOnDrop(task)) });
            }
        };
        let cancel = CancelOnDrop::new(link);
        let (told, answer) = oneshot::channel();
        let (end, ended) = watch::channel(None);
        let purpose = Purpose::Hold { mark: ready.to_owned(), ready: Some(told), end };
        link.start(line, stdin.into(), purpose, Limit::total(deadline))?;
        let first_line = answer.await.unwrap_or_else(|_| Err(link.closed()))?;
        Ok(Held { first_line, ended, _guard: Guard::Link(cancel) })
    }

    /// Connects to a port as the host sees it. The stream lives as long as the connection.
    pub async fn tunnel(&self, host: &str, port: u16, deadline: Duration) -> Result<UnixStream, SshError> {
        let link = match &self.way {
            Way::BuiltIn(link) => link,
            Way::OpenSsh(master) => return openssh::tunnel(master, host, port, deadline).await,
        };
        let cancel = CancelOnDrop::new(link);
        let (reply, answer) = oneshot::channel();
        let request =
            TunnelRequest { host: host.to_owned(), port, deadline: in_future(deadline), allowed: deadline, reply };
        link.send(Request::Tunnel(request))?;
        let result = answer.await;
        cancel.disarm();
        let stream = result.unwrap_or_else(|_| Err(link.closed()))?;
        UnixStream::from_std(stream).map_err(|error| SshError::TunnelRefused {
            host: self.host().to_owned(),
            to: format!("{host}:{port}"),
            reason: error.to_string(),
        })
    }

    fn checked(&self, line: Line) -> Result<Line, SshError> {
        let refuse = |reason: &str| SshError::Channel { host: self.host().to_owned(), reason: reason.to_owned() };
        if line.text.len() > COMMAND_BYTES_MAX {
            return Err(refuse("the command is longer than 32 KB; send it on stdin to sh"));
        }
        if line.text.contains('\0') {
            return Err(refuse("the command contains a NUL byte"));
        }
        Ok(line)
    }

    fn closed(&self) -> SshError {
        match &self.way {
            Way::BuiltIn(link) => link.closed(),
            Way::OpenSsh(master) => master.closed(),
        }
    }
}

impl Link {
    fn start(&self, line: Line, stdin: Stdin, purpose: Purpose, limit: Limit) -> Result<(), SshError> {
        self.send(Request::Process(ProcessRequest { line, stdin, purpose, limit }))
    }
}

/// How much later than its deadline `open` ends if the thread itself does not.
const OPEN_GRACE: Duration = Duration::from_millis(500);
/// libssh2 sends a command in one packet, of at most 35,000 bytes with everything around it.
const COMMAND_BYTES_MAX: usize = 32 << 10;

/// A running command and its stdout.
pub struct Stream {
    /// Read it to its end, then ask for the exit. Dropping it ends the command.
    pub stdout: UnixStream,
    pub exit: StreamExit,
}

/// How a streamed command ends. Dropping it ends the command.
pub struct StreamExit {
    connection: Connection,
    answer: oneshot::Receiver<Result<Output, SshError>>,
    _guard: Guard,
}

impl StreamExit {
    /// Its exit status and stderr; `stdout` is empty. Read the stream to its end first, or at the same time.
    pub async fn wait(self) -> Result<Output, SshError> {
        let result = self.answer.await;
        result.unwrap_or_else(|_| Err(self.connection.closed()))
    }
}

/// A remote process that lives as long as this does.
pub struct Held {
    /// The line that said it was ready, from the mark on and without its end.
    pub first_line: String,
    ended: watch::Receiver<Option<Output>>,
    _guard: Guard,
}

impl Held {
    /// Whether it still runs, as far as is known here.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.ended.borrow().is_none() && self.ended.has_changed().is_ok()
    }

    /// Resolves when it has ended: with what it left, or None if the connection went.
    pub async fn closed(&self) -> Option<Output> {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(output) => output.clone(),
            Err(_) => None,
        }
    }
}

impl Limit {
    fn total(allowed: Duration) -> Limit {
        Limit { deadline: Some(in_future(allowed)), allowed, is_idle_limit: false }
    }
}

/// Ends what nobody waits for any more.
enum Guard {
    Link(#[expect(dead_code, reason = "it acts when it is dropped")] CancelOnDrop),
    Task(#[expect(dead_code, reason = "it acts when it is dropped")] AbortOnDrop),
}

/// Ends a task, and with it the ssh that it runs.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Makes the host's thread notice that nobody waits any more. Declared before the receiver it belongs to, so that it is
/// dropped after it.
struct CancelOnDrop(Option<Arc<Link>>);

impl CancelOnDrop {
    fn new(link: &Arc<Link>) -> CancelOnDrop {
        CancelOnDrop(Some(Arc::clone(link)))
    }

    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(link) = &self.0 {
            link.wake();
        }
    }
}
