//! The way from tasks to the thread of a host: a queue, and a byte that wakes it.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::error::SshError;
use super::process::ProcessRequest;
use super::tunnel::TunnelRequest;
use super::turn::Stage;

pub(super) enum Request {
    Process(ProcessRequest),
    Tunnel(TunnelRequest),
}

/// The sending side, shared by everything that belongs to one connection.
pub(super) struct Link {
    pub label: String,
    /// None only while the last handle is being dropped.
    requests: Option<mpsc::Sender<Request>>,
    wake: UnixStream,
    /// Why the thread ended.
    end: Arc<OnceLock<String>>,
}

/// The receiving side, for [`Host::new`].
pub(super) struct Inbox {
    pub requests: mpsc::Receiver<Request>,
    pub wake: UnixStream,
    pub end: Arc<OnceLock<String>>,
}

impl Link {
    pub fn new(label: &str) -> io::Result<(Link, Inbox)> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let (sender, requests) = mpsc::channel();
        let end = Arc::new(OnceLock::new());
        let inbox = Inbox { requests, wake: woken, end: Arc::clone(&end) };
        Ok((Link { label: label.to_owned(), requests: Some(sender), wake, end }, inbox))
    }

    pub fn send(&self, request: Request) -> Result<(), SshError> {
        let requests = self.requests.as_ref().expect("only Drop takes the sender");
        requests.send(request).map_err(|_| self.closed())?;
        self.wake();
        Ok(())
    }

    /// Makes the thread look around. A full socket means that it is about to.
    pub fn wake(&self) {
        let _ = (&self.wake).write(&[1]);
    }

    pub fn closed(&self) -> SshError {
        let reason = self.end.get().cloned().unwrap_or_else(|| "its thread exited".into());
        SshError::Closed { host: self.label.clone(), reason }
    }

    pub fn is_closed(&self) -> bool {
        self.end.get().is_some()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.requests = None;
        self.wake();
    }
}

impl Request {
    pub fn is_cancelled(&self) -> bool {
        match self {
            Request::Process(process) => process.is_cancelled(),
            Request::Tunnel(tunnel) => tunnel.reply.is_closed(),
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Request::Process(process) => process.limit.deadline,
            Request::Tunnel(tunnel) => Some(tunnel.deadline),
        }
    }

    pub fn time_out(self, host: &str, stage: Stage) {
        match self {
            Request::Process(process) => {
                let error = process.timeout(host, stage);
                process.fail(error);
            }
            Request::Tunnel(tunnel) => {
                let error = tunnel.timeout(host, stage);
                drop(tunnel.reply.send(Err(error)));
            }
        }
    }

    pub fn fail(self, error: SshError) {
        match self {
            Request::Process(process) => process.fail(error),
            Request::Tunnel(tunnel) => drop(tunnel.reply.send(Err(error))),
        }
    }
}
