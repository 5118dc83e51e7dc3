//! `quorate lock`: who holds the locks of the hosts, and the way out when a holder hangs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead as _};

use super::Context;
use super::output::{Out, print};
use crate::diagnostic::{Diagnostic, Kind};
use crate::names::HostName;
use crate::observed::Seen;

/// Show or break the locks that a running apply holds
///
/// A lock is held by a process on each host that ends with the SSH connection of the apply that took it, so a killed
/// apply leaves none behind. Break one only when you know that its holder hangs.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate lock status
  quorate lock break --yes")]
pub struct LockArgs {
    #[command(subcommand)]
    pub command: LockCommand,
}

#[derive(clap::Subcommand, Clone, Debug)]
pub enum LockCommand {
    /// Say who holds the lock of each host
    #[command(after_help = "Examples:\n  quorate lock status")]
    Status,
    /// End the processes that hold the locks; their apply stops before its next action
    #[command(after_help = "Examples:\n  quorate lock break")]
    Break {
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// The lock of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockState {
    Free,
    Held(Holder),
}

/// Who holds a lock, as the holder said when it took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Tells this holder from a later one, so that only the one that was shown is ended.
    pub token: String,
    /// `alice@laptop`
    pub operator: String,
    /// RFC 3339.
    pub since: String,
    /// `apply 3f9a2c41d0b7`
    pub purpose: String,
}

/// Whoever can ask for locks and break them.
pub trait Locks {
    /// The lock of every declared host.
    fn status(&self) -> impl Future<Output = BTreeMap<HostName, Seen<LockState>>>;

    /// Ends the holder, if it is still the one that was looked at.
    ///
    /// # Errors
    /// When it could not be ended, or another one holds the lock now.
    fn break_lock(&self, host: &HostName, holder: &Holder) -> impl Future<Output = Result<(), Diagnostic>>;
}

/// Prints the locks, and breaks them if asked.
///
/// # Errors
/// When a host could not be seen, or a lock not be broken.
pub async fn run(args: &LockArgs, context: &Context, locks: &impl Locks, stdout: &mut Out) -> Result<u8, Diagnostic> {
    let seen = locks.status().await;
    print(stdout, &table(&seen))?;
    if let LockCommand::Break { yes } = args.command {
        let held = seen.iter().filter_map(|(host, state)| match state.known()? {
            LockState::Held(holder) => Some((host, holder)),
            LockState::Free => None,
        });
        let held: Vec<_> = held.collect();
        if !held.is_empty() {
            approve(yes, context)?;
        }
        for (host, holder) in held {
            locks.break_lock(host, holder).await?;
            print(stdout, &format!("{host}: broken\n"))?;
        }
    }
    match seen.values().find_map(Seen::unknown) {
        Some(cause) => {
            let mut diagnostic = Diagnostic::new(cause.code.kind(), cause.summary.clone());
            diagnostic.hint.clone_from(&cause.hint);
            Err(diagnostic)
        }
        None => Ok(0),
    }
}

fn table(seen: &BTreeMap<HostName, Seen<LockState>>) -> String {
    let mut out = String::new();
    for (host, state) in seen {
        let words = match state {
            Seen::Unknown(cause) => format!("unknown: {}", cause.summary),
            Seen::Known(LockState::Free) => "free".to_owned(),
            Seen::Known(LockState::Held(Holder { operator, since, purpose, .. })) => {
                format!("held by {operator} since {since} for {purpose}")
            }
        };
        writeln!(out, "{host}: {}", crate::render::clean(&words)).expect("a String takes every write");
    }
    out
}

fn approve(yes: bool, context: &Context) -> Result<(), Diagnostic> {
    if yes {
        return Ok(());
    }
    if context.no_input {
        return Err(Diagnostic::new(Kind::Usage, "breaking a lock asks first, and --no-input forbids it").hint("add --yes"));
    }
    eprint!("End these processes? The apply that holds the locks stops before its next action. Only \"yes\" is accepted: ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| Diagnostic::failure("cannot read the answer").caused_by(&error))?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Diagnostic::failure("not approved: no lock was broken")) }
}
