//! `quorate restore`: the cluster begins again from a snapshot.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::apply::{self, ApplyArgs};
use super::context::Context;
use super::live;
use super::output::{Out, print};
use super::plan::{self, Format};
use super::request::RequestArgs;
use crate::core::desired::{Desired, Restore};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::Token;
use crate::core::planner;
use crate::core::render::{command, words};
use crate::shell::clock;
use crate::shell::fleet::Fleet as _;
use crate::shell::live::{Live, backup, drill};
use crate::shell::progress;
use crate::shell::second_look;

/// Restore the cluster from a snapshot
///
/// The snapshot is checked, shown as a plan, and copied to every declared host while the cluster still serves. Then all
/// members stop, their data directories are renamed (nothing is deleted), each restores the snapshot under a new cluster
/// id, and all start together. It succeeds when all members hold identical data.
///
/// All declared hosts must be reachable; empty hosts are set up as `apply` would, from cluster.toml and the CA directory.
/// It is safe to kill at any point: run it again with the same snapshot, and it resumes. Until then, plan and apply refuse
/// to do anything else.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate restore snapshot-20270115_080000.db.zst --plan
  quorate restore snapshot-20270115_080000.db.zst --confirm prod
  quorate restore snapshot.db --confirm prod --yes --json")]
pub struct RestoreArgs {
    /// The snapshot file: plain, zstd or gzip
    #[arg(value_name = "SNAPSHOT")]
    pub snapshot: PathBuf,

    /// The cluster's name, to confirm that writes made since the snapshot are discarded
    #[arg(long, value_name = "CLUSTER", required_unless_present = "plan")]
    pub confirm: Option<String>,

    /// Only check the snapshot and show the plan; changes nothing
    #[arg(long, conflicts_with_all = ["confirm", "yes"])]
    pub plan: bool,

    /// Skip the confirmation prompt
    #[arg(short, long)]
    pub yes: bool,

    /// Restore even if every member was already restored from this snapshot
    #[arg(long)]
    pub again: bool,

    /// Skip the safety snapshot before the members stop; their data directories are kept in any case
    #[arg(long)]
    pub no_snapshot: bool,

    /// How long to wait if another apply holds the lock
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "0s")]
    pub lock_timeout: Duration,

    /// How long to wait for the effect of a step without progress [default: 3m where etcd starts, else 30s]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub wait: Option<Duration>,

    /// Print events as JSON, one object per line, instead of the plan; with --plan: the plan as JSON
    #[arg(long)]
    pub json: bool,
}

/// Checks the snapshot, shows the plan, asks, carries it out, and says what still differs.
///
/// # Errors
/// When the snapshot is not sound, the operator does not approve, or the restore stops part-way.
pub async fn run(args: &RestoreArgs, context: &Context, desired: &Desired, stdout: &mut Out) -> Result<u8, Diagnostic> {
    if let Some(confirm) = args.confirm.as_deref().filter(|name| *name != desired.cluster.name.as_str()) {
        let what = format!("--confirm {confirm} does not match the cluster's name");
        let hint = format!("this would replace the data of {}", desired.cluster.name);
        return Err(Diagnostic::new(Kind::Refused, what).hint(hint));
    }
    // Who may do what is in the snapshot; it is looked at when that is there.
    let mut restoring = Desired { auth: None, ..desired.clone() };
    restoring.request.restore = Some(checked(args, context, desired)?);
    restoring.request.no_snapshot = args.no_snapshot;
    let fleet = live::fleet(&restoring, context)?;
    if args.plan {
        return show(args, context, &restoring, &fleet, stdout).await;
    }
    let lock = async |patience: Duration, purpose: &str, emit: apply::Emit<'_>| {
        live::lock(&fleet, patience, purpose, emit).await
    };
    let RestoreArgs { yes, lock_timeout, wait, json, .. } = *args;
    let applying = ApplyArgs { yes, lock_timeout, wait, json, ..ApplyArgs::default() };
    let code = apply::run(&applying, None, context, &restoring, &fleet, lock, stdout).await?;
    if !args.json {
        // On connections of its own: what was seen of the old cluster is nothing to go by.
        let after = fleet.with_same_authority(desired.clone());
        drop(fleet);
        print(stdout, &what_is_left(desired, &after).await)?;
    }
    Ok(code)
}

/// What would be done, and the command that does it.
async fn show(
    args: &RestoreArgs,
    context: &Context,
    restoring: &Desired,
    fleet: &Live,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    let observe = async |desired: &Desired| {
        Ok(progress::while_looking(context, desired, fleet, second_look::settled(desired, fleet)).await)
    };
    let plan = plan::made(&RequestArgs::default(), restoring, observe).await?;
    let format = if args.json { Format::Json } else { Format::Text };
    print(stdout, &plan::formatted(&plan, format, context))?;
    if !args.json && !plan.steps.is_empty() && plan.blocked.is_empty() {
        print(stdout, &format!("To restore: {}\n", command::restoring(&plan, &args.snapshot.display().to_string())))?;
    }
    Ok(plan::exit_code(&plan, false, None))
}

/// The users of the snapshot, for example, may be others than those that are declared.
async fn what_is_left(desired: &Desired, fleet: &Live) -> String {
    let left = planner::plan(desired, &fleet.observe().await);
    if left.is_empty() {
        return "Nothing else differs from cluster.toml. The old data directories are kept next to the new ones.\n"
            .to_owned();
    }
    format!("Other changes are pending: {}. Run `quorate plan` to see them.\n", words::summary(&left))
}

fn checked(args: &RestoreArgs, context: &Context, desired: &Desired) -> Result<Restore, Diagnostic> {
    let path = absolute(&args.snapshot)?;
    let spinner = (!context.quiet).then(|| progress::spinner(format!("checking {}", path.display())));
    let checked = backup::check(&path, &|_| {})
        .and_then(|(sound, _)| drill::foreign_members(desired, &path).map(|members| (sound, members)));
    spinner.inspect(|spinner| spinner.finish_and_clear());
    let (sound, foreign_members) = checked?;
    let token = Token::new(format!("{}-{}", desired.cluster.name, clock::now().0));
    Ok(Restore { digest: sound.digest, bytes: sound.bytes, file: path, token, again: args.again, foreign_members })
}

fn absolute(path: &Path) -> Result<PathBuf, Diagnostic> {
    std::path::absolute(path).map_err(|error| {
        Diagnostic::failure("cannot find the snapshot").at(path.display().to_string()).caused_by(&error)
    })
}
