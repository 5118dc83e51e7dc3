//! `quorate backup run`: one snapshot, here or on a node.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::get::{destination, named};
use super::places::{self, warn_of};
use crate::core::cluster::snapshot::{self, Facts};
use crate::core::desired::{Compression, Desired};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{ClusterId, HostName, RemotePath};
use crate::core::observed::{Cause, Observed};
use crate::core::render::backup::{self, Taken};
use crate::shell::clock::now;
use crate::shell::command::context::Context;
use crate::shell::command::live::operation;
use crate::shell::command::output::{Out, print};
use crate::shell::fleet::{Fleet as _, Need};
use crate::shell::live::{Live, backup as files};
use crate::shell::progress;

/// Take a snapshot now, here or on a node
///
/// It is streamed from a follower, checked against the SHA-256 that etcd sends at its end, compressed on the way, and
/// renamed into place only once it is fully written. Nothing is ever overwritten.
///
/// If [backup] declares `offsite`, the snapshot is also copied there from this machine and read back. Credentials for S3
/// come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL …). A snapshot taken
/// with `--on` is kept on that node only.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  quorate backup run                          ./snapshot-YYYYMMDD_HHMMSS.db.zst
  quorate backup run -o /srv/backups/         the same name in a different directory
  quorate backup run -o before.db --json      uncompressed, because of its suffix
  quorate backup run --on etcd-2              kept on that node, in the directory of [backup]")]
pub struct RunArgs {
    /// Where to write the snapshot: a file, or a directory for one with a generated name
    #[arg(short, long, value_name = "PATH", conflicts_with = "on")]
    pub output: Option<PathBuf>,

    /// Take the snapshot on this node, from its own member, and keep it there
    #[arg(long, value_name = "NODE")]
    pub on: Option<String>,

    /// Compression [default: from the suffix of PATH (.db, .gz, .zst), else from [backup], else zstd]
    #[arg(long, value_name = "HOW", value_enum)]
    pub compression: Option<Packing>,

    /// Do not copy it to the `offsite` location of [backup]
    #[arg(long)]
    pub no_offsite: bool,

    /// Print JSON; `quorate schema backup-run` describes it
    #[arg(long)]
    pub json: bool,
}

/// As `compression` in [backup].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Packing {
    Zstd,
    Gzip,
    None,
}

impl From<Packing> for Compression {
    fn from(packing: Packing) -> Self {
        match packing {
            Packing::Zstd => Self::Zstd,
            Packing::Gzip => Self::Gzip,
            Packing::None => Self::None,
        }
    }
}

/// Takes it, and prints what it is.
///
/// # Errors
/// When no member can be asked, the snapshot is not sound, or it cannot be kept.
pub async fn run(
    args: &RunArgs,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    fleet.open_keys(Need::Look).await?;
    let on = args.on.as_deref().map(|name| super::declared(desired, name)).transpose()?;
    let path = args.output.as_deref();
    let compression = compression(args, desired, path);
    // One name, here or on the node, and off-site: the second may end in between.
    let name = snapshot::name(now(), compression.suffix());
    // Before anything is asked for: a database of some GiB is not fetched in vain.
    let path = if on.is_none() { destination(path, &name)? } else { PathBuf::new() };
    let offsite = if on.is_none() && !args.no_offsite { places::offsite(desired)? } else { None };
    let observed = progress::while_looking(context, desired, fleet, fleet.observe()).await;
    let mut taken = match on {
        Some(host) => on_node(context, desired, &observed, fleet, &host, &name, compression).await?,
        None => here(context, desired, &observed, fleet, &path, compression).await?,
    };
    if let Some(offsite) = &offsite {
        let bar = (!context.quiet).then(|| progress::bytes(format!("to {}", offsite.url_of(&name))));
        let of = taken.file_bytes.unwrap_or_default();
        bar.iter().for_each(|bar| bar.set_length(of));
        let sent = offsite.upload(&path, &name, &|bytes| bar.iter().for_each(|bar| bar.set_position(bytes))).await;
        bar.inspect(|bar| bar.finish_and_clear());
        sent.map_err(|failure| {
            failure.with_cause(format!("the snapshot was taken, and is stored in {}", path.display()))
        })?;
        let Taken { cluster_id, revision, file_bytes: bytes, .. } = taken;
        let facts = Facts { cluster_id, revision, bytes, verified: None };
        warn_of(context, offsite.keep_facts(&name, &facts).await);
        taken.offsite = Some(offsite.url_of(&name));
    }
    print(stdout, &if args.json { backup::json(&taken) } else { backup::taken(&taken) })?;
    Ok(0)
}

/// What is asked for, else what the file's name says, else what is declared.
fn compression(args: &RunArgs, desired: &Desired, path: Option<&Path>) -> Compression {
    let named = path.filter(|path| !path.is_dir()).and_then(Path::extension).and_then(|end| match end.to_str()? {
        "zst" => Some(Compression::Zstd),
        "gz" => Some(Compression::Gzip),
        "db" => Some(Compression::None),
        _ => None,
    });
    let declared = || desired.backup.as_ref().map(|backup| backup.compression);
    args.compression.map(Compression::from).or(named).or_else(declared).unwrap_or(Compression::Zstd)
}

async fn here(
    context: &Context,
    desired: &Desired,
    observed: &Observed,
    fleet: &Live,
    path: &Path,
    compression: Compression,
) -> Result<Taken, Diagnostic> {
    let sources = snapshot::sources(desired, observed);
    let source = sources.first().ok_or_else(|| nobody(desired, observed))?;
    warn_of_a_stale_source(context, observed, source);
    let bar = (!context.quiet).then(|| progress::bytes(format!("snapshot of {source}")));
    let progress = |bytes: u64, of: u64| {
        if let Some(bar) = &bar {
            bar.set_length(of);
            bar.set_position(bytes.min(of));
        }
    };
    let received = fleet.receive_snapshot(source, path, compression, &progress).await;
    bar.inspect(|bar| bar.finish_and_clear());
    let received = received?;
    let (cluster_id, bytes) = (cluster_of(observed, source), Some(received.file_bytes));
    let facts = Facts { cluster_id, revision: received.revision, bytes, verified: None };
    if named(path).is_some() {
        warn_of(context, files::keep_facts(path, &facts));
    }
    Ok(Taken {
        format_version: 1,
        cluster: desired.cluster.name.clone(),
        member: source.clone(),
        node: None,
        path: path.display().to_string(),
        offsite: None,
        cluster_id: facts.cluster_id,
        revision: facts.revision,
        compression: compression.as_str().to_owned(),
        database_bytes: Some(received.sound.bytes),
        file_bytes: Some(received.file_bytes),
        sha256: Some(received.sound.digest.to_string()),
        seconds: Some(received.took.as_secs_f64()),
    })
}

async fn on_node(
    context: &Context,
    desired: &Desired,
    observed: &Observed,
    fleet: &Live,
    host: &HostName,
    name: &str,
    compression: Compression,
) -> Result<Taken, Diagnostic> {
    let is_source = snapshot::sources(desired, observed).contains(host);
    let cluster = cluster_of(observed, host).filter(|_| is_source).ok_or_else(|| nobody_on(observed, host))?;
    warn_of_a_stale_source(context, observed, host);
    let folder = snapshot::folder(desired);
    fleet.snapshot_on(host, &folder, name, compression, operation("backup run")).await?;
    Ok(Taken {
        format_version: 1,
        cluster: desired.cluster.name.clone(),
        member: host.clone(),
        node: Some(host.clone()),
        path: RemotePath::join(&folder, name).to_string(),
        offsite: None,
        cluster_id: Some(cluster),
        revision: None,
        compression: compression.as_str().to_owned(),
        database_bytes: None,
        file_bytes: None,
        sha256: None,
        seconds: None,
    })
}

fn cluster_of(observed: &Observed, host: &HostName) -> Option<ClusterId> {
    observed.host(host)?.answer().map(|answer| answer.cluster)
}

/// Better than nothing, and what the others have seen since may be missing.
fn warn_of_a_stale_source(context: &Context, observed: &Observed, source: &HostName) {
    let reads = observed.host(source).and_then(|host| host.answer()).is_some_and(|answer| answer.reads);
    if !reads {
        let what = format_args!(
            "the cluster has no quorum; the snapshot is of what {source} has, and may lack writes that the others have"
        );
        context.voice().warn(what);
    }
}

/// Why the member on a host, or the host itself, could not be seen.
fn why_silent<'a>(observed: &'a Observed, name: &HostName) -> Option<&'a Cause> {
    match observed.host(name) {
        Some(host) => host.member.unknown(),
        None => observed.sight(name)?.unknown(),
    }
}

/// Why no member could be asked, in the words of the first that could not be seen.
fn nobody(desired: &Desired, observed: &Observed) -> Diagnostic {
    let causes = desired.nodes.keys().filter_map(|name| why_silent(observed, name));
    let nobody = Diagnostic::new(Kind::Unseen, "no member answers, so no snapshot can be taken");
    let nobody = causes.take(3).fold(nobody, |nobody, cause| nobody.with_cause(cause.summary.clone()));
    nobody.hint("run `quorate status`")
}

fn nobody_on(observed: &Observed, host: &HostName) -> Diagnostic {
    let nobody =
        Diagnostic::new(Kind::Unseen, format!("no voter answers on {host}, so no snapshot can be taken there"));
    let nobody = nobody.at(host.as_str());
    match why_silent(observed, host) {
        Some(cause) => nobody.with_cause(cause.summary.clone()),
        None => nobody.hint("learners and stopped members cannot provide a snapshot"),
    }
}
