//! `quorate backup verify`: a restore drill.

use std::path::{Path, PathBuf};

use super::list;
use crate::command::Context;
use crate::command::live::now;
use crate::command::output::{Out, print};
use crate::desired::Desired;
use crate::diagnostic::Diagnostic;
use crate::fleet::Fleet as _;
use crate::live::drill::Comparison;
use crate::live::{Live, backup as files};
use crate::progress;
use crate::render::backup::{self, Verified};
use crate::render::json::rfc3339;
use crate::snapshot;

/// Restore a snapshot into a scratch etcd, and compare what that holds
///
/// All of the file is checked first. Then an etcd of the declared archive is started from it here, on loopback and in a
/// folder that is gone afterwards: its revision and keys are compared with what the snapshot claims, and where the live
/// cluster still has that revision, its hash of all keys with the live one. Nothing is changed on any host.
///
/// Exits with 1 and a code when the snapshot is cut short, damaged, without its hash, or of another cluster.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate backup verify snapshot-20270115_080000.db.zst
  quorate backup verify snapshot.db --json | jq .revision")]
pub struct VerifyArgs {
    /// The snapshot, bare or compressed by zstd or gzip: a file, or a name of `backup list`
    #[arg(value_name = "FILE|NAME")]
    pub snapshot: PathBuf,

    /// Print JSON; `quorate schema backup-verify` describes it
    #[arg(long)]
    pub json: bool,
}

/// The name of a snapshot, if it is one.
fn named(path: &Path) -> Option<&str> {
    path.to_str().filter(|name| snapshot::begun(name).is_some())
}

/// # Errors
/// What is wrong with the snapshot, or why no drill could be held.
pub async fn run(
    args: &VerifyArgs,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    // One that is only on a node is fetched into a folder that is gone afterwards.
    let fetched = tempfile::Builder::new().prefix("quorate-drill-").tempdir();
    let fetched = fetched.map_err(|error| Diagnostic::failure("no drill can be held here").caused_by(&error))?;
    let mut path = args.snapshot.clone();
    if let (false, Some(name)) = (path.exists(), named(&args.snapshot)) {
        path = fetched.path().join(name);
        list::fetch(name, &path, context, desired, fleet).await?;
    }
    let path = &path;
    let spinner = (!context.quiet).then(|| progress::spinner(format!("checking {}", path.display())));
    let (sound, _) = files::check(path, &|_| {})?;
    let observed = fleet.observe().await;
    if let Some(spinner) = &spinner {
        spinner.set_message(format!("restoring {} into a scratch etcd", path.display()));
    }
    let drilled = fleet.drill(path, &snapshot::sources(desired, &observed)).await;
    spinner.inspect(|spinner| spinner.finish_and_clear());
    let drilled = drilled?;
    let verified = Verified {
        format_version: 1,
        cluster: desired.cluster.name.clone(),
        snapshot: args.snapshot.display().to_string(),
        at: rfc3339(now()),
        database_bytes: sound.bytes,
        sha256: sound.digest.to_string(),
        revision: drilled.claim.revision,
        keys: drilled.keys,
        entries: drilled.claim.total_key,
        hash: drilled.hash,
        members: drilled.members.into_iter().collect(),
        live: match drilled.live {
            Comparison::EqualHash => backup::Live::EqualHash,
            Comparison::EqualKeys => backup::Live::EqualKeys,
            Comparison::Gone => backup::Live::Gone,
            Comparison::Unseen => backup::Live::Unseen,
        },
        seconds: drilled.took.as_secs_f64(),
    };
    print(stdout, &if args.json { backup::json(&verified) } else { backup::verified(&verified) })?;
    Ok(0)
}
