//! The seam between deciding and doing: whoever can look at the hosts and do one action is a fleet.
//!
//! There are two: the live one, over SSH and the etcd API, and one in memory, for the tests of `apply`.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::diagnostic::Diagnostic;
use crate::core::names::HostName;
use crate::core::observed::{Cause, Comparison, Observed};
use crate::core::plan::action::Action;
use crate::core::render::event::Glimpse;
use crate::core::span;

/// A host that is looked at, and has not answered yet.
#[derive(Clone, Debug)]
pub struct Unanswered {
    pub host: HostName,
    /// What ssh is told to connect to.
    pub destination: String,
    pub since: Instant,
    /// A connection is there.
    pub is_connected: bool,
}

impl Unanswered {
    /// `waiting for etcd-3 (10.0.0.13): no answer to SSH for 5 s`
    pub fn line(&self) -> String {
        let Self { host, destination, .. } = self;
        let at = if destination == host.as_str() { String::new() } else { format!(" ({destination})") };
        format!("waiting for {host}{at}: {}", self.words())
    }

    /// `no answer to SSH for 5 s`
    pub fn words(&self) -> String {
        let so_long = span::age(i64::try_from(self.since.elapsed().as_secs()).unwrap_or(i64::MAX));
        match self.is_connected {
            false => format!("no answer to SSH for {so_long}"),
            true => format!("no answer over SSH for {so_long}"),
        }
    }
}

/// What an encrypted key of an authority is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To look, where the declaration says that etcd answers root alone.
    Look,
    /// To look again: without it, etcd did not let the first look in.
    LookAgain,
    Sign,
    /// A new one is made, and encrypted as the declaration says.
    Make,
}

pub trait Fleet: Sync {
    /// Opens the keys that sign, if they are encrypted; whoever sits there may be asked.
    ///
    /// # Errors
    /// When one cannot be opened.
    fn open_keys(&self, need: Need) -> impl Future<Output = Result<(), Diagnostic>> + Send {
        let _ = need;
        async { Ok(()) }
    }

    /// Looks at everything at once. Never fails as a whole: what could not be seen is `Unknown` in the answer.
    fn observe(&self) -> impl Future<Output = Observed> + Send;

    /// What actions that are under way wait for by themselves.
    fn awaited(&self) -> Vec<Glimpse> {
        Vec::new()
    }

    /// An action that only waits gives up, now and later; what does something is finished.
    fn interrupt(&self) {}

    /// The hosts that have not answered the look that is under way.
    fn unanswered(&self) -> Vec<Unanswered> {
        Vec::new()
    }

    /// Compares the data of all voters at one revision. `None` where fewer than two can be asked.
    fn compare(&self) -> impl Future<Output = Option<Comparison>> + Send;

    /// Does one action. Returns when the command that does it has ended, which is not yet when its effect is there.
    ///
    /// # Errors
    /// When the command failed, the host was lost, or its lock is no longer ours. The action may have been done all the same.
    fn perform(&self, action: &Action) -> impl Future<Output = Result<(), Diagnostic>> + Send;

    /// What the other members say of the one on `host` in the log of the last minutes: why a connection of it was refused
    /// stands only there. Nothing where nobody says anything.
    fn overheard(&self, host: &HostName, since: Duration) -> impl Future<Output = Vec<String>> + Send {
        let _ = (host, since);
        async { Vec::new() }
    }

    /// Writes one key through the member of a host, over a connection of its own; how long that took.
    ///
    /// # Errors
    /// When it was not acknowledged within `deadline`.
    fn write_once(
        &self,
        host: &HostName,
        key: &str,
        value: &str,
        deadline: Duration,
    ) -> impl Future<Output = Result<Duration, Cause>> + Send;
}
