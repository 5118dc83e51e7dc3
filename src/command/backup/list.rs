//! `quorate backup list` and `backup get`: the snapshots that there are, and fetching one.

use std::path::{Path, PathBuf};

use crate::command::Context;
use crate::command::live::now;
use crate::command::output::{Out, print};
use crate::desired::Desired;
use crate::diagnostic::{Diagnostic, Kind};
use crate::live::Live;
use crate::names::RemotePath;
use crate::observed::Seen;
use crate::progress;
use crate::render::backup::{self, Document, Row};
use crate::render::json::rfc3339;
use crate::snapshot::{self, Listed};

/// List the snapshots on the nodes, off-site and in this folder
///
/// Reads only. Exits with 6 when a node, or the place off-site, could not be seen.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  quorate backup list
  quorate backup list --json | jq -r '.snapshots[-1].name'")]
pub struct ListArgs {
    /// Print JSON; `quorate schema backup-list` describes it
    #[arg(long)]
    pub json: bool,
}

/// Fetch a snapshot from the node that has it, or from off-site, and check it
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate backup get snapshot-20270115_080000.db.zst
  quorate backup get snapshot-20270115_080000.db.zst -o /srv/backups/prod.db.zst")]
pub struct GetArgs {
    /// As `backup list` names it
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Where it goes: a file, or a folder
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
}

/// Prints the table.
///
/// # Errors
/// When the result cannot be written.
pub async fn list(
    args: &ListArgs,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    let spinner = (!context.quiet).then(|| progress::spinner(progress::looking(desired.nodes.keys())));
    let folder = snapshot::folder(desired);
    let nodes = fleet.snapshots(&folder).await;
    spinner.inspect(|spinner| spinner.finish_and_clear());
    let row = |listed: Listed| Row {
        path: format!("./{}", listed.name),
        name: listed.name,
        node: None,
        offsite: false,
        bytes: listed.bytes,
        at: rfc3339(listed.at),
    };
    let mut snapshots: Vec<_> = here().into_iter().map(row).collect();
    let mut unseen = Vec::new();
    for (node, seen) in &nodes {
        match seen {
            Seen::Unknown(cause) => unseen.push(cause.summary.clone()),
            Seen::Known(listed) => snapshots.extend(listed.iter().map(|listed| Row {
                name: listed.name.clone(),
                node: Some(node.clone()),
                offsite: false,
                path: folder.join(&listed.name).to_string(),
                bytes: listed.bytes,
                at: rfc3339(listed.at),
            })),
        }
    }
    match listed_offsite(desired).await {
        Ok(listed) => snapshots.extend(listed.into_iter().map(|(listed, path)| Row {
            name: listed.name,
            node: None,
            offsite: true,
            path,
            bytes: listed.bytes,
            at: rfc3339(listed.at),
        })),
        Err(failure) => unseen.push(failure.to_string()),
    }
    snapshots.sort_by(|one, other| (&one.name, &one.node, one.offsite).cmp(&(&other.name, &other.node, other.offsite)));
    let is_complete = unseen.is_empty();
    let document =
        Document { format_version: 1, cluster: desired.cluster.name.clone(), at: rfc3339(now()), snapshots, unseen };
    print(stdout, &if args.json { backup::json(&document) } else { backup::list(&document, context.palette()) })?;
    Ok(if is_complete { 0 } else { Kind::Unseen.exit_code() })
}

/// The snapshots off-site, with their addresses; none where no place is declared.
async fn listed_offsite(desired: &Desired) -> Result<Vec<(Listed, String)>, Diagnostic> {
    let Some(offsite) = super::offsite(desired)? else { return Ok(Vec::new()) };
    let listed = offsite.list().await?;
    Ok(listed.into_iter().map(|listed| (listed.clone(), offsite.url_of(&listed.name))).collect())
}

/// The snapshots in this folder, by their names.
pub fn here() -> Vec<Listed> {
    let entries = std::fs::read_dir(".").into_iter().flatten().flatten();
    let listed = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let at = snapshot::begun(&name)?;
        let bytes = entry.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
        Some(Listed { name, at, bytes })
    };
    entries.filter_map(listed).collect()
}

/// Fetches it, and says where it lies.
///
/// # Errors
/// When no node has it, or it cannot be fetched or is not sound.
pub async fn get(
    args: &GetArgs,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    let to = match args.output.as_deref() {
        None => PathBuf::from(&args.name),
        Some(path) if path.is_dir() => path.join(&args.name),
        Some(path) => path.to_owned(),
    };
    if to.symlink_metadata().is_ok() {
        let what = Diagnostic::failure("there is a file of that name already").at(to.display().to_string());
        return Err(what.hint("a snapshot is never overwritten: choose another name with `-o`"));
    }
    let (place, bytes) = fetch(&args.name, &to, context, desired, fleet).await?;
    print(stdout, &format!("{}: {} from {place}, checked\n", to.display(), backup::size(bytes)))?;
    Ok(0)
}

/// From the first node that has it, or from off-site; tells which.
///
/// # Errors
/// As [`get`].
pub async fn fetch(
    name: &str,
    to: &Path,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
) -> Result<(String, u64), Diagnostic> {
    let folder: RemotePath = snapshot::folder(desired);
    let nodes = fleet.snapshots(&folder).await;
    let found = nodes.iter().find_map(|(node, seen)| {
        let listed = seen.known()?.iter().find(|listed| listed.name == name)?;
        Some((node.clone(), listed.bytes))
    });
    let Some((node, bytes)) = found else {
        let offsite = super::offsite(desired)?;
        if let Some(offsite) = &offsite
            && let Some(listed) = offsite.list().await?.into_iter().find(|listed| listed.name == name)
        {
            let bar = (!context.quiet).then(|| progress::bytes(format!("{name} from off-site")));
            bar.iter().for_each(|bar| bar.set_length(listed.bytes));
            let told = |bytes: u64| bar.iter().for_each(|bar| bar.set_position(bytes));
            let fetched = offsite.fetch(name, to, &told).await;
            bar.inspect(|bar| bar.finish_and_clear());
            return Ok((offsite.url_of(name), fetched?));
        }
        let places = if offsite.is_some() { "here, off-site or on a node" } else { "here or on a node" };
        let nowhere = Diagnostic::failure(format!("there is no snapshot {name:?} {places}"));
        let unseen = nodes.values().filter_map(Seen::unknown).take(3);
        let nowhere = unseen.fold(nowhere, |nowhere, cause| nowhere.because(cause.summary.clone()));
        return Err(nowhere.hint("`quorate backup list` shows those that there are"));
    };
    let bar = (!context.quiet).then(|| progress::bytes(format!("{name} from {node}")));
    bar.iter().for_each(|bar| bar.set_length(bytes));
    let told = |bytes: u64| bar.iter().for_each(|bar| bar.set_position(bytes));
    let fetched = fleet.fetch_snapshot(&node, &folder.join(name), to, &told).await;
    bar.inspect(|bar| bar.finish_and_clear());
    Ok((node.to_string(), fetched?))
}
