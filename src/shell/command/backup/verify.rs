//! `quorate backup verify`: a restore drill.

use std::path::PathBuf;
use std::time::Duration;

use super::get::named;
use super::places::{self, Found, Place, counted, everywhere, fetch};
use crate::core::cluster::snapshot::{self, Facts, Sound};
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{ClusterId, HostName, UnixSeconds};
use crate::core::observed::{Drill, Seen};
use crate::core::render::backup::{self, Verified};
use crate::core::render::json::rfc3339;
use crate::shell::clock::now;
use crate::shell::command::context::Context;
use crate::shell::command::live::operation;
use crate::shell::command::output::{Out, print};
use crate::shell::fleet::Fleet as _;
use crate::shell::live::drill::{self, Comparison, Drilled};
use crate::shell::live::{Live, backup as files};
use crate::shell::progress;

/// Test-restore a snapshot into a temporary etcd, and compare its contents
///
/// The whole file is checked first. Then an etcd from the declared archive is started from it on this machine, on loopback
/// and in a temporary directory. Its revision and keys are compared with what the snapshot claims. If the live cluster
/// still has that revision, the hash of all keys is compared too, unless the cluster was restored since. `--on` does the
/// same on a node, with the etcd installed there; the snapshot does not leave the node.
///
/// Members are not affected. A passed test is recorded beside the snapshot, for `backup list`, and with [backup] also on
/// the nodes, for `status`.
///
/// Exits 1 with a code if the snapshot is truncated, damaged, without its hash, or from a different cluster.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate backup verify                                    the newest snapshot
  quorate backup verify snapshot-20270115_080000.db.zst
  quorate backup verify --on etcd-2                        the newest there, on that node
  quorate backup verify snapshot.db --json | jq .revision")]
pub struct VerifyArgs {
    /// A file (plain, zstd or gzip) or a name from `backup list` [default: the newest]
    #[arg(value_name = "FILE|NAME")]
    pub snapshot: Option<PathBuf>,

    /// Run the test restore on this node, with a snapshot stored there
    #[arg(long, value_name = "NODE")]
    pub on: Option<String>,

    /// Print JSON; `quorate schema backup-verify` describes it
    #[arg(long)]
    pub json: bool,
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
    let held = match &args.on {
        Some(name) => on_node(args, &super::declared(desired, name)?, context, desired, fleet).await?,
        None => here(args, context, desired, fleet).await?,
    };
    let at = now();
    let Held { what, subject, node, cluster, sound, drilled } = held;
    // The drill was passed, whether or not that can be noted.
    for failure in note(&what, &subject, Noted { at, cluster, drilled: &drilled }, desired, fleet).await {
        context.voice().warn(format_args!("the result could not be recorded: {failure}"));
    }
    let verified = Verified {
        format_version: 1,
        cluster: desired.cluster.name.clone(),
        snapshot: what,
        node,
        at: rfc3339(at),
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
            Comparison::BegunAnew => backup::Live::BegunAnew,
            Comparison::Unseen => backup::Live::Unseen,
        },
        seconds: drilled.took.as_secs_f64(),
    };
    print(stdout, &if args.json { backup::json(&verified) } else { backup::verified(&verified) })?;
    Ok(0)
}

/// A drill that was passed.
struct Held {
    /// The snapshot, as it is called.
    what: String,
    subject: Subject,
    /// Where it was held, if not here.
    node: Option<HostName>,
    /// The live cluster, if it answered.
    cluster: Option<ClusterId>,
    sound: Sound,
    drilled: Drilled,
}

/// Whose drill it was.
enum Subject {
    File(PathBuf),
    Found(Found),
}

/// What a drill is to be held with.
enum Wanted {
    File(PathBuf),
    /// It lies somewhere else.
    Named(String),
}

async fn here(args: &VerifyArgs, context: &Context, desired: &Desired, fleet: &Live) -> Result<Held, Diagnostic> {
    let wanted = match &args.snapshot {
        Some(path) => match path.to_str().filter(|name| snapshot::begun(name).is_some()) {
            Some(name) if !path.exists() => Wanted::Named(name.to_owned()),
            _ => Wanted::File(path.clone()),
        },
        None => newest(context, desired, fleet).await?,
    };
    // One that is not here is fetched into a folder that is gone afterwards.
    let fetched = drill::folder()?;
    let (path, what, subject, known) = match wanted {
        Wanted::File(path) => (path.clone(), path.display().to_string(), Subject::File(path), None),
        Wanted::Named(name) => {
            let to = fetched.path().join(&name);
            let (found, sound) = fetch(&name, &to, context, desired, fleet).await?;
            (to, name, Subject::Found(found), Some(sound))
        }
    };
    let cluster = match &subject {
        Subject::File(path) => named(path).and_then(|_| files::facts(path).cluster_id),
        Subject::Found(found) => found.listed.facts.cluster_id,
    };
    let spinner = (!context.quiet).then(|| progress::spinner(format!("verifying {what}")));
    let sound = match known {
        Some(sound) => sound,
        None => files::check_in_thread(path.clone(), what.clone()).await?,
    };
    let observed = fleet.observe().await;
    spinner.iter().for_each(|spinner| spinner.set_message(format!("restoring {what} into a scratch etcd")));
    let held = drill::Subject { name: &what, cluster };
    let drilled = fleet.drill(&path, held, &snapshot::sources(desired, &observed)).await;
    spinner.inspect(|spinner| spinner.finish_and_clear());
    let cluster = snapshot::live_cluster(&observed);
    Ok(Held { what, subject, node: None, cluster, sound, drilled: drilled? })
}

/// The newest snapshot that there is; here, where it lies here as well.
async fn newest(context: &Context, desired: &Desired, fleet: &Live) -> Result<Wanted, Diagnostic> {
    let ((found, unseen), observed) = tokio::join!(everywhere(desired, fleet), fleet.observe());
    let found = counted(found, snapshot::live_cluster(&observed));
    let listed: Vec<_> = found.iter().map(|found| found.listed.clone()).collect();
    let newest = snapshot::newest(&listed, now()).map(|newest| &newest.name);
    let newest = newest.and_then(|name| found.into_iter().find(|found| found.listed.name == *name));
    let Some(newest) = newest else {
        let none = Diagnostic::failure("no snapshot to verify");
        let none = unseen.into_iter().take(3).fold(none, Diagnostic::with_cause);
        return Err(none.hint("take one with `quorate backup run`"));
    };
    for unseen in &unseen {
        context.voice().warn(format_args!("{unseen}: a newer snapshot may exist there"));
    }
    let Found { place, path, listed } = newest;
    Ok(if place == Place::Here { Wanted::File(path.into()) } else { Wanted::Named(listed.name) })
}

async fn on_node(
    args: &VerifyArgs,
    host: &HostName,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
) -> Result<Held, Diagnostic> {
    let folder = snapshot::folder(desired);
    let spinner = (!context.quiet).then(|| progress::spinner(format!("inspecting {host}")));
    let listed = match fleet.snapshots(&folder).await.remove(host) {
        Some(Seen::Known(listed)) => listed,
        Some(Seen::Unknown(cause)) => {
            return Err(Diagnostic::new(cause.code.kind(), cause.summary).hint(cause.hint.unwrap_or_default()));
        }
        None => Vec::new(),
    };
    let wanted = args.snapshot.as_deref().map(|path| path.to_string_lossy().into_owned());
    let observed = fleet.observe().await;
    let listed = match (&wanted, snapshot::live_cluster(&observed)) {
        (Some(name), _) => listed.into_iter().find(|one| one.name == *name),
        (None, None) => snapshot::newest(&listed, now()).cloned(),
        (None, ours) => snapshot::newest(&snapshot::of_cluster(&listed, ours).0, now()).cloned(),
    };
    let listed = listed.ok_or_else(|| {
        let what = wanted.map_or_else(|| "no snapshot".to_owned(), |name| format!("no snapshot {name:?}"));
        let none = Diagnostic::new(Kind::Failure, format!("{what} in {folder} on {host}")).at(host.as_str());
        none.hint("run `quorate backup list`; without --on, a snapshot is fetched from wherever it is stored")
    })?;
    let name = listed.name.clone();
    spinner.iter().for_each(|spinner| spinner.set_message(format!("restoring {name} into a scratch etcd on {host}")));
    let sources = snapshot::sources(desired, &observed);
    let held = fleet.drill_on(host, &folder, &listed, &sources, operation("backup verify")).await;
    spinner.inspect(|spinner| spinner.finish_and_clear());
    let (sound, drilled) = held?;
    let found = Found { place: Place::Node(host.clone()), path: folder.join(&name).to_string(), listed };
    let cluster = snapshot::live_cluster(&observed);
    Ok(Held { what: name, subject: Subject::Found(found), node: Some(host.clone()), cluster, sound, drilled })
}

/// When a drill was passed, and in which cluster.
struct Noted<'a> {
    at: UnixSeconds,
    cluster: Option<ClusterId>,
    drilled: &'a Drilled,
}

/// Notes it beside the snapshot, and on the nodes for `status`; returns what could not be noted.
async fn note(
    what: &str,
    subject: &Subject,
    Noted { at, cluster, drilled }: Noted<'_>,
    desired: &Desired,
    fleet: &Live,
) -> Vec<Diagnostic> {
    let known = |facts: Facts| Facts { revision: Some(drilled.claim.revision), verified: Some(at), ..facts };
    let mut failed = Vec::new();
    let mut on_node = None;
    match subject {
        Subject::File(path) if named(path).is_some() => {
            failed.extend(files::keep_facts(path, &known(files::facts(path))).err());
        }
        Subject::File(_) => {}
        Subject::Found(Found { place, listed, .. }) => match (place, places::offsite(desired)) {
            (Place::Node(node), _) => on_node = Some((node, listed.name.as_str(), known(listed.facts))),
            (Place::Offsite, Ok(Some(offsite))) => {
                failed.extend(offsite.keep_facts(&listed.name, &known(listed.facts)).await.err());
            }
            (Place::Here | Place::Offsite, _) => {}
        },
    }
    if desired.backup.is_none() && on_node.is_none() {
        return failed;
    }
    let drill = Drill { at, snapshot: what.to_owned(), cluster_id: cluster };
    let noted = match fleet.lock(operation("backup verify"), Duration::ZERO, &|_, _| {}).await {
        Ok(lock) => {
            let with = on_node.as_ref().map(|(node, name, facts)| (*node, *name, facts));
            fleet.note_drill(&lock, &snapshot::folder(desired), &drill, with).await
        }
        Err(failure) => Err(failure),
    };
    failed.extend(noted.err());
    failed
}
