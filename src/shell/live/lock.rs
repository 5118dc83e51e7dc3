//! One writer at a time: an flock on every host, held there by a process whose life is our SSH channel.
//!
//! A quorate that is killed takes its connections with it, each holder reads the end of its stdin, and the locks are
//! free; nothing has to be cleaned up. While a lock is held its file says by whom.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{HostName, UnixSeconds};
use crate::core::observed::Cause;
use crate::shell::clock::now;
use crate::shell::live::mutex::guarded;
use crate::shell::live::remote::{self, LOCK_LOST, Remote};
use crate::shell::live::ssh::{Exit, Held};
use crate::shell::patience::{Patience, Pauses};

/// What is done, by whom and what for: it wants the lock. Shown to whoever finds it taken, and in the hosts' logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    operator: String,
    purpose: String,
}

impl Operation {
    /// `operator` as `ops@laptop`, `purpose` as `apply of plan 3fa94c01be77`. Each is one line of printable text.
    pub fn new(operator: &str, purpose: &str) -> Self {
        let line = |text: &str| text.chars().filter(|letter| !letter.is_control()).collect();
        Self { operator: line(operator), purpose: line(purpose) }
    }

    /// A line for a host's log.
    pub fn audit(&self, what: &str) -> String {
        format!("{} by {}: {what}", self.purpose, self.operator)
    }
}

/// Who holds the lock of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub token: String,
    /// The holding process on that host.
    pub pid: Option<u32>,
    pub operator: String,
    pub since: Option<UnixSeconds>,
    pub purpose: String,
}

impl Holder {
    /// From the lines of the lock's file. One that is just being written may be empty.
    pub fn parse(text: &str) -> Self {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let words = |key| value(key).unwrap_or("unknown").to_owned();
        Self {
            token: words("token"),
            pid: value("pid").and_then(|text| text.parse().ok()),
            operator: words("operator"),
            since: value("since").and_then(|text| text.parse().ok()).map(UnixSeconds),
            purpose: words("purpose"),
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.operator, self.purpose)
    }
}

/// The lock on every host that could be reached. Dropping it releases them.
pub struct Lock {
    pub operation: Operation,
    /// What the lock's file on each host begins with.
    pub token: String,
    held: Mutex<BTreeMap<HostName, Held>>,
    /// One host is added at a time: a second taker would find the first one's lock.
    adding: tokio::sync::Mutex<()>,
    /// The hosts that are not locked, and on which nothing may be done therefore.
    pub skipped: Vec<(HostName, Cause)>,
}

impl Lock {
    /// Whether the host is locked by us, as far as is known here; the host itself is asked before each change.
    pub fn covers(&self, host: &HostName) -> bool {
        guarded(&self.held).get(host).is_some_and(Held::is_alive)
    }

    /// Takes the lock of one host more, under the same token and without waiting. One that was lost is not taken again.
    ///
    /// # Errors
    /// [`Kind::Locked`] when someone else holds it; else why it could not be taken.
    pub async fn add(&self, remote: &Remote) -> Result<(), Diagnostic> {
        let _one_at_a_time = self.adding.lock().await;
        if guarded(&self.held).contains_key(&remote.host) {
            return Ok(());
        }
        let mut patience = Patience::new(RELEASE_TAKES, POLL);
        let taken = take_one(self, remote, &mut patience, &|_, _| {}).await?;
        let held = taken?;
        guarded(&self.held).insert(remote.host.clone(), held);
        Ok(())
    }
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lock")
            .field("operation", &self.operation)
            .field("hosts", &guarded(&self.held).keys())
            .finish_non_exhaustive()
    }
}

/// For a holder to say that it has the lock, or who has.
const HOLD_DEADLINE: Duration = Duration::from_secs(20);
/// A lock that was released a moment ago is still held for as long as the release travels.
const RELEASE_TAKES: Duration = Duration::from_millis(500);
const POLL: Pauses = Pauses::Every(Duration::from_millis(250));

/// Takes the lock of every host in the order of their names, so that two takers cannot wait for each other.
///
/// Waits up to `patience` in all where someone else holds one, and calls `waiting` with the first sight of each holder.
///
/// # Errors
/// [`Kind::Locked`] when a lock was not free in time. Hosts that cannot be reached are no error, but skipped.
pub async fn take(
    hosts: Vec<(HostName, Result<Remote, Cause>)>,
    operation: Operation,
    patience: Duration,
    waiting: &(dyn Fn(&HostName, &Holder) + Sync),
) -> Result<Lock, Diagnostic> {
    let token = token()?;
    let mut patience = Patience::new(patience.max(RELEASE_TAKES), POLL);
    let held = Mutex::default();
    let mut lock = Lock { operation, token, held, adding: tokio::sync::Mutex::default(), skipped: Vec::new() };
    for (host, remote) in hosts {
        match remote {
            Ok(remote) => match take_one(&lock, &remote, &mut patience, waiting).await? {
                Ok(held) => drop(guarded(&lock.held).insert(host, held)),
                Err(cause) => lock.skipped.push((host, cause)),
            },
            Err(cause) => lock.skipped.push((host, cause)),
        }
    }
    Ok(lock)
}

async fn take_one(
    lock: &Lock,
    remote: &Remote,
    patience: &mut Patience,
    waiting: &(dyn Fn(&HostName, &Holder) + Sync),
) -> Result<Result<Held, Cause>, Diagnostic> {
    let since = now().0.to_string();
    let Operation { operator, purpose } = &lock.operation;
    let words = [lock.token.as_str(), operator, &since, purpose];
    let script = remote::with_arguments(include_str!("script/lock.sh"), words);
    let ready = format!("quorate-held {}", lock.token);
    let host = &remote.host;
    let mut shown: Option<Holder> = None;
    loop {
        let output = match remote.hold("taking the lock", &script, &ready, HOLD_DEADLINE).await {
            Ok(Ok(held)) => return Ok(proven(lock, remote, held).await),
            Ok(Err(output)) => output,
            Err(unrun) => return Ok(Err(unrun.cause(host, "taking the lock"))),
        };
        if output.status != Exit::Code(LOCK_LOST) {
            return Ok(Err(unusable(host, &remote::host_words(&output))));
        }
        let holder = Holder::parse(&String::from_utf8_lossy(&output.stdout));
        if patience.is_over() {
            return Err(locked(host, &holder));
        }
        // One that has not written who it is yet, or is just letting go, is nobody to be told of.
        if holder.pid.is_some() && shown.as_ref() != Some(&holder) {
            waiting(host, &holder);
            shown = Some(holder);
        }
        patience.wait().await;
    }
}

/// That it is held, the holder says; whether it is, another process on that host finds out.
async fn proven(lock: &Lock, remote: &Remote, held: Held) -> Result<Held, Cause> {
    match against(&lock.token, status(remote).await?.as_ref()) {
        None => Ok(held),
        Some(why) => Err(unusable(&remote.host, &why)),
    }
}

/// What speaks against that `token` holds the lock, after somebody has looked who does.
fn against(token: &str, holder: Option<&Holder>) -> Option<String> {
    match holder {
        Some(holder) if holder.token == token => None,
        Some(holder) => Some(format!("it is said to be ours, and is held by {holder}")),
        None => Some("it is said to be held, and is free".to_owned()),
    }
}

fn unusable(host: &HostName, said: &str) -> Cause {
    Cause {
        code: crate::core::code::Code::ProbeFailed,
        summary: format!("could not lock {host}: {said}"),
        hint: Some("quorate needs flock (util-linux) and a writable /run on the host".to_owned()),
    }
}

fn locked(host: &HostName, holder: &Holder) -> Diagnostic {
    let what = format!("{host} is locked by {holder}");
    let hint = "wait (or pass `--lock-timeout 5m` to apply or restore), and see `quorate lock status`; if the holder \
                is stuck: `quorate lock break`";
    Diagnostic::new(Kind::Locked, what).at(host.as_str()).hint(hint)
}

fn token() -> Result<String, Diagnostic> {
    remote::random_word().ok_or_else(|| Diagnostic::failure("this machine provides no random numbers"))
}

/// Who holds the lock of a host; `None` when it is free.
///
/// # Errors
/// When the host could not be asked.
pub async fn status(remote: &Remote) -> Result<Option<Holder>, Cause> {
    let script = concat!(include_str!("script/held.sh"), include_str!("script/lock-status.sh"));
    let (_, said) = remote.ask("reading the lock", script, &[]).await?;
    Ok(said.strip_prefix("held=yes\n").map(Holder::parse))
}

/// Ends the process that holds the lock of a host, if it is still `holder`.
///
/// # Errors
/// When someone else holds it by now, or when it could not be ended.
pub async fn break_it(remote: &Remote, holder: &Holder, audit: &str) -> Result<(), Diagnostic> {
    let script = include_str!("script/lock-break.sh");
    let (status, said) = remote.ask("breaking the lock", script, &[&holder.token, audit]).await?;
    if status == Exit::Code(0) {
        return Ok(());
    }
    let kind = if status == Exit::Code(LOCK_LOST) { Kind::Locked } else { Kind::Failure };
    Err(Diagnostic::new(kind, format!("could not break the lock on {}: {}", remote.host, said.trim()))
        .at(remote.host.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_from_what_it_wrote() {
        let holder =
            Holder::parse("token=ab\npid=12\noperator=ops@laptop\nsince=1700000000\npurpose=apply of plan 1\n");
        assert_eq!(holder.pid, Some(12));
        assert_eq!(holder.since, Some(UnixSeconds(1_700_000_000)));
        assert_eq!(holder.to_string(), "ops@laptop (apply of plan 1)");
        assert_eq!(Holder::parse("").to_string(), "unknown (unknown)");
    }

    #[test]
    fn a_lock_is_ours_only_when_somebody_else_finds_it_held_by_us() {
        let holder = Holder::parse("token=ab\npid=12\noperator=ops@laptop\nsince=1\npurpose=apply\n");
        assert_eq!(against("ab", Some(&holder)), None);
        assert_eq!(
            against("cd", Some(&holder)).as_deref(),
            Some("it is said to be ours, and is held by ops@laptop (apply)")
        );
        assert_eq!(against("ab", None).as_deref(), Some("it is said to be held, and is free"));
    }

    #[test]
    fn an_operation_is_one_line() {
        assert_eq!(Operation::new("a\nb", "c\td").audit("e"), "cd by ab: e");
    }
}
