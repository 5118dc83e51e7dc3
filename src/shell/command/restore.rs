//! `quorate restore`: the cluster begins again from a snapshot.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::apply::{self, ApplyArgs};
use super::context::Context;
use super::live;
use super::output::{Out, print};
use crate::core::desired::{Desired, Restore};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::Token;
use crate::core::planner;
use crate::core::render::words;
use crate::shell::fleet::Fleet as _;
use crate::shell::live::{Live, backup, drill};
use crate::shell::progress;

/// Have the cluster begin again from a snapshot
///
/// The snapshot is checked, shown as a plan, and pushed to every declared host while the cluster still serves. Then all
/// members stop, their data directories get other names (nothing is deleted), each restores the snapshot under a new
/// cluster id, and all start together. It is done when every member holds the same.
///
/// All declared hosts must be reachable; bare ones are set up as by `apply`, from cluster.toml and the authority's folder.
/// It is safe to kill anywhere: run it again with the same snapshot, and it goes on. Until then nothing else is done.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate restore snapshot-20270115_080000.db.zst --confirm prod
  quorate restore snapshot.db --confirm prod --yes --json")]
pub struct RestoreArgs {
    /// The snapshot: bare, or compressed by zstd or gzip
    #[arg(value_name = "SNAPSHOT")]
    pub snapshot: PathBuf,

    /// The name of the cluster, as in cluster.toml: what was written since the snapshot will not be in it
    #[arg(long, value_name = "CLUSTER")]
    pub confirm: String,

    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,

    /// Also when every member was restored from this snapshot already
    #[arg(long)]
    pub again: bool,

    /// Save no snapshot of what is there before the members stop; their data is kept all the same
    #[arg(long)]
    pub no_snapshot: bool,

    /// How long to wait for a lock that someone else holds
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "0s")]
    pub lock_timeout: Duration,

    /// Print events, one JSON object a line, and no plan
    #[arg(long)]
    pub json: bool,
}

/// Checks the snapshot, shows the plan, asks, carries it out, and says what still differs.
///
/// # Errors
/// When the snapshot is not sound, the operator does not approve, or the restore stops part-way.
pub async fn run(args: &RestoreArgs, context: &Context, desired: &Desired, stdout: &mut Out) -> Result<u8, Diagnostic> {
    if args.confirm != desired.cluster.name.as_str() {
        let what = format!("--confirm {} is not the cluster of cluster.toml", args.confirm);
        let hint = format!("this would replace the data of {}", desired.cluster.name);
        return Err(Diagnostic::new(Kind::Refused, what).hint(hint));
    }
    // Who may do what is in the snapshot; it is looked at when that is there.
    let mut restoring = Desired { auth: None, ..desired.clone() };
    restoring.request.restore = Some(checked(args, context, desired)?);
    restoring.request.no_snapshot = args.no_snapshot;
    let fleet = live::fleet(&restoring, context)?;
    let lock = async |patience: Duration, purpose: &str, emit: apply::Emit<'_>| {
        live::lock(&fleet, patience, &purpose.replace("apply of", "restore by"), emit).await
    };
    let applying =
        ApplyArgs { yes: args.yes, lock_timeout: args.lock_timeout, json: args.json, ..ApplyArgs::default() };
    let code = apply::run(&applying, None, context, &restoring, &fleet, lock, stdout).await?;
    if !args.json {
        // On connections of its own: what was seen of the old cluster is nothing to go by.
        let after = fleet.with_same_authority(desired.clone());
        drop(fleet);
        print(stdout, &what_is_left(desired, &after).await)?;
    }
    Ok(code)
}

/// The users of the snapshot, for example, may be others than those that are declared.
async fn what_is_left(desired: &Desired, fleet: &Live) -> String {
    let left = planner::plan(desired, &fleet.observe().await);
    if left.is_empty() {
        return "Nothing else differs from what is declared. The old data directories are kept beside the new ones.\n"
            .to_owned();
    }
    format!("Something else differs from what is declared: {}. `quorate plan` shows it.\n", words::summary(&left))
}

fn checked(args: &RestoreArgs, context: &Context, desired: &Desired) -> Result<Restore, Diagnostic> {
    let path = absolute(&args.snapshot)?;
    let spinner = (!context.quiet).then(|| progress::spinner(format!("checking {}", path.display())));
    let checked = backup::check(&path, &|_| {})
        .and_then(|(sound, _)| drill::foreign_members(desired, &path).map(|members| (sound, members)));
    spinner.inspect(|spinner| spinner.finish_and_clear());
    let (sound, foreign_members) = checked?;
    let token = Token::new(format!("{}-{}", desired.cluster.name, live::now().0));
    Ok(Restore { digest: sound.digest, bytes: sound.bytes, file: path, token, again: args.again, foreign_members })
}

fn absolute(path: &Path) -> Result<PathBuf, Diagnostic> {
    std::path::absolute(path).map_err(|error| {
        Diagnostic::failure("the snapshot cannot be found").at(path.display().to_string()).caused_by(&error)
    })
}
