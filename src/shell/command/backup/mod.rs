//! `quorate backup`: snapshots of the cluster.

use super::context::Context;
use super::output::Out;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::HostName;
use crate::shell::live::Live;

mod get;
mod list;
mod places;
mod prune;
mod run;
mod verify;

pub use get::GetArgs;
pub use list::ListArgs;
pub use prune::PruneArgs;
pub use run::RunArgs;
pub use verify::VerifyArgs;

/// Take, list, fetch, verify and prune snapshots
///
/// A snapshot is the whole database of one member. It ends with its SHA-256, which is checked before the file gets its
/// final name.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate backup run
  quorate backup run -o /srv/backups/prod.db.zst
  quorate backup run --on etcd-2
  quorate backup list
  quorate backup verify snapshot-20270115_080000.db.zst")]
pub struct BackupArgs {
    #[command(subcommand)]
    pub command: BackupCommand,
}

#[derive(clap::Subcommand, Clone, Debug)]
pub enum BackupCommand {
    Run(RunArgs),
    List(ListArgs),
    Get(GetArgs),
    Verify(VerifyArgs),
    Prune(PruneArgs),
}

impl BackupArgs {
    /// The others can be killed anywhere, also while they ask something.
    pub fn leaves_files_when_killed(&self) -> bool {
        match self.command {
            BackupCommand::Run(_) | BackupCommand::Get(_) | BackupCommand::Verify(_) => true,
            BackupCommand::List(_) | BackupCommand::Prune(_) => false,
        }
    }
}

/// The node that `--on` names.
///
/// # Errors
/// When it is not declared.
fn declared(desired: &Desired, name: &str) -> Result<HostName, Diagnostic> {
    let host = HostName::new(name);
    if desired.nodes.contains_key(&host) {
        return Ok(host);
    }
    let known: Vec<_> = desired.nodes.keys().map(HostName::as_str).collect();
    Err(Diagnostic::new(Kind::Usage, format!("--on {name}: no such node"))
        .hint(format!("the nodes are {}", known.join(", "))))
}

/// # Errors
/// What the command says.
pub async fn run(
    args: &BackupArgs,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    match &args.command {
        BackupCommand::Run(args) => run::run(args, context, desired, fleet, stdout).await,
        BackupCommand::List(args) => list::list(args, context, desired, fleet, stdout).await,
        BackupCommand::Get(args) => get::get(args, context, desired, fleet, stdout).await,
        BackupCommand::Prune(args) => prune::run(args, context, desired, fleet, stdout).await,
        BackupCommand::Verify(args) => verify::run(args, context, desired, fleet, stdout).await,
    }
}
