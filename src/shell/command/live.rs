//! Where the commands meet the live fleet.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::apply::Emit;
use super::context::Context;
use super::passphrase;
use crate::core::desired::Desired;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::HostName;
use crate::core::render::event::Event;
use crate::shell::live::Live;
use crate::shell::live::lock::{Holder, Lock, Operation};
use crate::shell::operator;
use crate::shell::stderr::Voice;

/// The real hosts, and what opens the authority's key.
///
/// # Errors
/// When what opens it cannot be had.
pub fn fleet(desired: &Desired, context: &Context) -> Result<Live, Diagnostic> {
    Ok(Live::with_openers(desired.clone(), passphrase::openers(desired, context)?))
}

/// Runs a command that talks to hosts.
///
/// # Errors
/// What the command says, or that no runtime could be had.
pub fn block_on(work: impl Future<Output = Result<u8, Diagnostic>>) -> Result<u8, Diagnostic> {
    runtime()?.block_on(work)
}

/// How long threads may take to end what nobody waits for any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a command that leaves something behind unless its destructors run: ^C and SIGTERM drop it, and the exit code is
/// that of a program which such a signal ends.
///
/// # Errors
/// What the command says, or that no runtime could be had.
pub fn block_on_unless_ended(
    voice: Voice,
    work: impl Future<Output = Result<u8, Diagnostic>>,
) -> Result<u8, Diagnostic> {
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let failed = |error: std::io::Error| Diagnostic::failure("cannot listen for signals").caused_by(&error);
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let by = tokio::select! {
            result = work => return result,
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
        };
        let name = if by == SignalKind::interrupt() { "interrupted" } else { "terminated" };
        // Behind the ^C that the terminal has shown.
        voice.end_line();
        voice.error(&Diagnostic::failure(format!(
            "{name}: unfinished files were removed; run `quorate backup list` to see what is there"
        )));
        Ok(u8::try_from(128 + by.as_raw_value()).expect("both are small"))
    });
    runtime.shutdown_timeout(PATIENCE);
    ended
}

fn runtime() -> Result<Runtime, Diagnostic> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Diagnostic::failure("cannot start the runtime").caused_by(&error))
}

/// Takes the lock of every host that can be reached, and holds them while the result lives.
///
/// # Errors
/// When someone else holds one for longer than `patience`.
pub async fn lock(fleet: &Live, patience: Duration, purpose: &str, emit: Emit<'_>) -> Result<Arc<Lock>, Diagnostic> {
    let waiting = |host: &HostName, holder: &Holder| {
        emit(Event::Locking { hosts: vec![host.clone()], held_by: Some(holder.to_string()) });
    };
    fleet.lock(operation(purpose), patience, &waiting).await
}

/// Who runs this quorate, for the lock and the hosts' logs: the person behind sudo, where there is one.
pub fn operation(purpose: &str) -> Operation {
    Operation::new(&operator::operator(), purpose)
}
