//! Where snapshots lie: on the nodes, off-site and in this folder.

use std::path::Path;

use crate::core::cluster::snapshot::{self, Facts, Listed, Sound};
use crate::core::content::layout;
use crate::core::desired::Desired;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{ClusterId, HostName};
use crate::core::observed::Seen;
use crate::core::render::backup::Row;
use crate::core::render::json::rfc3339;
use crate::shell::command::context::Context;
use crate::shell::live::offsite::Offsite;
use crate::shell::live::{Live, backup as files};
use crate::shell::progress;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Here,
    Node(HostName),
    Offsite,
}

/// A snapshot that lies somewhere.
pub struct Found {
    pub place: Place,
    pub listed: Listed,
    /// Its path or address.
    pub path: String,
}

impl Found {
    fn on(node: &HostName, desired: &Desired, listed: Listed) -> Self {
        let path = snapshot::folder(desired).join(&listed.name).to_string();
        Self { place: Place::Node(node.clone()), path, listed }
    }

    /// Why it does not count as a snapshot of `cluster`; `None` where it does, or nobody knows which cluster this is.
    fn why_not(&self, cluster: Option<ClusterId>) -> Option<String> {
        let Listed { bytes, facts, .. } = &self.listed;
        match (facts.bytes, facts.cluster_id, cluster) {
            (_, Some(id), Some(ours)) if id != ours => {
                Some("it is of another cluster, or of this one before a restore".to_owned())
            }
            (_, None, Some(_)) => Some("nothing says of which cluster it is".to_owned()),
            (checked, ..) if !snapshot::counts(*bytes, checked) => Some(match checked {
                Some(checked) => format!("it has {bytes} bytes, and had {checked} when it was checked"),
                None => "nothing says that it was checked".to_owned(),
            }),
            _ => None,
        }
    }

    pub fn row(self, cluster: Option<ClusterId>) -> Row {
        let why_not = self.why_not(cluster);
        let Listed { name, at, bytes, facts } = self.listed;
        let offsite = self.place == Place::Offsite;
        let node = if let Place::Node(node) = self.place { Some(node) } else { None };
        let Facts { cluster_id, revision, verified, .. } = facts;
        let (at, verified) = (rfc3339(at), verified.map(rfc3339));
        Row { name, node, offsite, path: self.path, bytes, at, revision, cluster_id, verified, why_not }
    }
}

/// The declared place off-site, with what the environment says of it.
///
/// # Errors
/// When it cannot be used.
pub fn offsite(desired: &Desired) -> Result<Option<Offsite>, Diagnostic> {
    let declared = desired.backup.as_ref().and_then(|backup| backup.offsite.as_ref());
    // A variable that is no text is none of those that are looked for.
    let environment =
        || std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    declared.map(|declared| Offsite::open(declared, environment())).transpose()
}

/// What is known of a snapshot could not be kept beside it. The snapshot is there all the same.
pub fn warn_of(context: &Context, kept: Result<(), Diagnostic>) {
    if let Err(failure) = kept {
        context.voice().warn(failure);
    }
}

/// Those that are snapshots of `cluster` and may be whole.
pub fn counted(found: Vec<Found>, cluster: Option<ClusterId>) -> Vec<Found> {
    found.into_iter().filter(|found| found.why_not(cluster).is_none()).collect()
}

/// Every snapshot, by name and place, and why some places could not be seen.
pub async fn everywhere(desired: &Desired, fleet: &Live) -> (Vec<Found>, Vec<String>) {
    let folder = snapshot::folder(desired);
    let (nodes, there) = tokio::join!(fleet.snapshots(&folder), listed_offsite(desired));
    let mut found: Vec<_> = here().into_iter().map(found_here).collect();
    let mut unseen = Vec::new();
    for (node, seen) in nodes {
        match seen {
            Seen::Unknown(cause) => unseen.push(cause.summary),
            Seen::Known(listed) => found.extend(listed.into_iter().map(|listed| Found::on(&node, desired, listed))),
        }
    }
    match there {
        Ok(there) => found.extend(there),
        Err(failure) => unseen.push(failure.to_string()),
    }
    found.sort_by(|one, other| (&one.listed.name, &one.place).cmp(&(&other.listed.name, &other.place)));
    (found, unseen)
}

async fn listed_offsite(desired: &Desired) -> Result<Vec<Found>, Diagnostic> {
    let Some(offsite) = offsite(desired)? else { return Ok(Vec::new()) };
    let found = |listed: Listed| Found { place: Place::Offsite, path: offsite.url_of(&listed.name), listed };
    Ok(offsite.list().await?.into_iter().map(found).collect())
}

/// The snapshots in this folder, by their names.
pub fn here() -> Vec<Listed> {
    let entries = std::fs::read_dir(".").into_iter().flatten().flatten();
    let listed = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let at = snapshot::begun(&name)?;
        let bytes = entry.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
        Some(Listed { facts: files::facts(Path::new(&name)), name, at, bytes })
    };
    entries.filter_map(listed).collect()
}

fn found_here(listed: Listed) -> Found {
    Found { place: Place::Here, path: format!("./{}", listed.name), listed }
}

/// Fetches the snapshot of this name into `to`, and checks it: from the first place that has a whole one, nodes before
/// off-site. What is wrong with those before is told.
///
/// # Errors
/// When nobody has it, and who could not be asked; when none can be had that is sound, or the file cannot be written.
pub async fn fetch(
    name: &str,
    to: &Path,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
) -> Result<(Found, Sound), Diagnostic> {
    let nodes = fleet.snapshots(&snapshot::folder(desired)).await;
    let mut failed = None;
    for (node, seen) in &nodes {
        let listed = seen.known().and_then(|listed| listed.iter().find(|one| one.name == name));
        let Some(listed) = listed else { continue };
        warn_of_the_one_before(context, failed.take());
        let found = Found::on(node, desired, listed.clone());
        match fetch_from(&found, to, context, desired, fleet).await {
            Ok(sound) => return Ok((found, sound)),
            Err(failure) => failed = Some(failure),
        }
    }
    let there = match listed_offsite(desired).await {
        Ok(there) => there,
        Err(failure) => {
            warn_of_the_one_before(context, failed.take());
            return Err(failure);
        }
    };
    if let Some(found) = there.into_iter().find(|found| found.listed.name == name) {
        warn_of_the_one_before(context, failed);
        return fetch_from(&found, to, context, desired, fleet).await.map(|sound| (found, sound));
    }
    if let Some(failure) = failed {
        return Err(failure);
    }
    let is_offsite = desired.backup.as_ref().is_some_and(|backup| backup.offsite.is_some());
    let places = if is_offsite { "here, off-site or on a node" } else { "here or on a node" };
    let nowhere = Diagnostic::failure(format!("no snapshot {name:?} {places}"));
    let unseen = nodes.values().filter_map(Seen::unknown).take(3);
    let nowhere = unseen.fold(nowhere, |nowhere, cause| nowhere.with_cause(cause.summary.clone()));
    // Those are not in the rotation, and not listed.
    Err(match name.starts_with("before-") {
        true => nowhere.hint(format!(
            "what was saved before an upgrade or a restore lies in {} on the node that saved it: copy it here with scp, and give \
             its path",
            layout::SNAPSHOTS_FOLDER
        )),
        false => nowhere.hint("run `quorate backup list`"),
    })
}

/// Another place may have a whole one, and whoever runs quorate should know that this one has not.
fn warn_of_the_one_before(context: &Context, failed: Option<Diagnostic>) {
    if let Some(failure) = failed {
        let failure = Diagnostic { hint: None, ..failure };
        context.voice().warn(format_args!("{failure}\n  trying the next location"));
    }
}

async fn fetch_from(
    found: &Found,
    to: &Path,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
) -> Result<Sound, Diagnostic> {
    let Listed { name, bytes, .. } = &found.listed;
    let from = if let Place::Node(node) = &found.place { node.as_str() } else { "off-site" };
    let bar = (!context.quiet).then(|| progress::bytes(format!("{name} from {from}")));
    bar.iter().for_each(|bar| bar.set_length(*bytes));
    let progress = |bytes: u64| bar.iter().for_each(|bar| bar.set_position(bytes));
    let fetched = match (&found.place, offsite(desired)?) {
        (Place::Node(node), _) => {
            fleet.fetch_snapshot(node, &snapshot::folder(desired).join(name), to, &progress).await
        }
        (Place::Offsite, Some(offsite)) => offsite.fetch(name, to, &progress).await,
        (Place::Here | Place::Offsite, _) => Err(Diagnostic::failure("it is in this directory").at(found.path.clone())),
    };
    bar.inspect(|bar| bar.finish_and_clear());
    fetched
}
