//! `quorate lock`: who holds the locks of the hosts, and the way out when a holder hangs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::approval::approve;
use super::context::Context;
use super::output::{Out, print};
use crate::core::diagnostic::Diagnostic;
use crate::core::names::HostName;
use crate::core::observed::Seen;
use crate::core::render::json;
use crate::shell::live::Live;
use crate::shell::live::lock::Holder;

/// Show or break the locks of a running apply
///
/// A lock is a process on each host that exits with the SSH connection of its apply, so a killed apply leaves no lock
/// behind. Break one only if you know that its holder is stuck.
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
    /// Show who holds the lock on each host
    #[command(alias = "show", after_help = "Examples:\n  quorate lock status")]
    Status,
    /// Kill the processes that hold the locks; their apply stops before its next action
    #[command(after_help = "Examples:\n  quorate lock break")]
    Break {
        /// Skip the confirmation prompt
        #[arg(short, long)]
        yes: bool,
    },
}

/// Prints the locks, and breaks them if asked.
///
/// # Errors
/// When a host could not be seen, or a lock not be broken.
pub async fn run(args: &LockArgs, context: &Context, fleet: &Live, stdout: &mut Out) -> Result<u8, Diagnostic> {
    let seen = fleet.lock_status().await;
    print(stdout, &table(&seen))?;
    if let LockCommand::Break { yes } = args.command {
        let held: Vec<_> = seen.iter().filter_map(|(host, state)| Some((host, state.known()?.as_ref()?))).collect();
        if !held.is_empty() {
            let question = "End these processes? The apply that holds the lock stops before its next action.";
            approve(yes, context, "breaking a lock", question, "no lock was broken")?;
        }
        for (host, holder) in held {
            fleet.break_lock(host, holder, &super::live::operation("lock break")).await?;
            print(stdout, &format!("{host}: lock broken\n"))?;
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

fn table(seen: &BTreeMap<HostName, Seen<Option<Holder>>>) -> String {
    let mut out = String::new();
    for (host, state) in seen {
        let words = match state {
            Seen::Unknown(cause) => format!("unknown: {}", cause.summary),
            Seen::Known(None) => "not locked".to_owned(),
            Seen::Known(Some(Holder { operator, since, purpose, .. })) => {
                let since = since.map_or_else(String::new, |since| format!(" since {}", json::rfc3339(since)));
                format!("locked by {operator}{since} ({purpose})")
            }
        };
        writeln!(out, "{host}: {}", crate::core::render::clean(&words)).expect("a String takes every write");
    }
    out
}
