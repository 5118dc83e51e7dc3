//! `quorate backup`: snapshots of the cluster.

use super::Context;
use super::output::Out;
use crate::desired::Desired;
use crate::diagnostic::Diagnostic;
use crate::live::Live;
use crate::live::offsite::Offsite;

mod list;
mod prune;
mod run;
mod verify;

pub use list::{GetArgs, ListArgs};
pub use prune::PruneArgs;
pub use run::RunArgs;
pub use verify::VerifyArgs;

/// Take snapshots of the cluster, list, fetch, verify and prune them
///
/// A snapshot is the whole database of one member. It ends in its SHA-256, which is checked before the file gets its
/// name.
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

/// The declared place off-site, with what the environment says of it.
///
/// # Errors
/// When it cannot be used.
fn offsite(desired: &Desired) -> Result<Option<Offsite>, Diagnostic> {
    let declared = desired.backup.as_ref().and_then(|backup| backup.offsite.as_ref());
    // A variable that is no text is none of those that are looked for.
    let environment =
        || std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    declared.map(|declared| Offsite::open(declared, environment())).transpose()
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
        BackupCommand::Get(args) => list::get(args, context, desired, fleet, stdout).await,
        BackupCommand::Prune(args) => prune::run(args, context, desired, fleet, stdout).await,
        BackupCommand::Verify(args) => verify::run(args, context, desired, fleet, stdout).await,
    }
}
