//! Where the commands meet the live fleet: the one place that knows which fleet it is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::apply::Emit;
use super::lock::{Holder, LockState, Locks};
use crate::action::Action;
use crate::desired::Desired;
use crate::diagnostic::Diagnostic;
use crate::fleet::Fleet;
use crate::names::HostName;
use crate::observed::{Observed, Seen};

/// Runs a command that talks to hosts.
///
/// # Errors
/// What the command says, or that no runtime could be had.
pub fn block_on(work: impl Future<Output = Result<u8, Diagnostic>>) -> Result<u8, Diagnostic> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Diagnostic::failure("cannot start the runtime").caused_by(&error))?;
    runtime.block_on(work)
}

/// Looks at everything once.
///
/// # Errors
/// When no look could be begun. What single hosts refuse is in the answer.
pub async fn observe(desired: &Desired) -> Result<Observed, Diagnostic> {
    Ok(connect(desired).await?.observe().await)
}

/// The fleet of the declared hosts.
///
/// # Errors
/// When the ssh configuration cannot be used.
#[expect(clippy::unused_async, reason = "the live fleet connects here")]
pub async fn connect(_desired: &Desired) -> Result<LiveFleet, Diagnostic> {
    Err(Diagnostic::failure("the live fleet is not connected yet"))
}

/// Takes the lock of every host, and holds them while the result lives.
///
/// # Errors
/// When someone else holds one for longer than `deadline`.
#[expect(clippy::unused_async, reason = "the live fleet is asked here")]
pub async fn lock(fleet: &LiveFleet, _deadline: Duration, _emit: Emit<'_>) -> Result<(), Diagnostic> {
    match *fleet {}
}

/// Stands for the live fleet until it is here.
pub enum LiveFleet {}

impl Fleet for LiveFleet {
    async fn observe(&self) -> Observed {
        match *self {}
    }

    async fn perform(&self, _: &Action) -> Result<(), Diagnostic> {
        match *self {}
    }
}

impl Locks for LiveFleet {
    async fn status(&self) -> BTreeMap<HostName, Seen<LockState>> {
        match *self {}
    }

    async fn break_lock(&self, _: &HostName, _: &Holder) -> Result<(), Diagnostic> {
        match *self {}
    }
}
