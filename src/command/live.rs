//! Where the commands meet the live fleet.

use std::sync::Arc;
use std::time::Duration;

use super::apply::Emit;
use crate::diagnostic::Diagnostic;
use crate::event::Event;
use crate::live::Live;
use crate::live::lock::{Errand, Holder, Lock};
use crate::names::{HostName, UnixSeconds};

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

/// Takes the lock of every host that can be reached, and holds them while the result lives.
///
/// # Errors
/// When someone else holds one for longer than `patience`.
pub async fn lock(fleet: &Live, patience: Duration, purpose: &str, emit: Emit<'_>) -> Result<Arc<Lock>, Diagnostic> {
    let waiting = |host: &HostName, holder: &Holder| {
        emit(Event::Locking { hosts: vec![host.clone()], held_by: Some(holder.to_string()) });
    };
    fleet.lock(errand(purpose), patience, &waiting).await
}

/// This machine's clock.
pub fn now() -> UnixSeconds {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixSeconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Who runs this quorate, for the lock and the hosts' logs: the person behind sudo, where there is one.
pub fn errand(purpose: &str) -> Errand {
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let user = user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let machine = rustix::system::uname();
    Errand::new(&format!("{user}@{}", machine.nodename().to_string_lossy()), purpose)
}
