//! `quorate backup prune`: old snapshots go, and a good one always stays.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use super::places;
use crate::core::cluster::snapshot::{self, Listed, facts_name};
use crate::core::count::size;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{ClusterId, HostName};
use crate::core::observed::Seen;
use crate::shell::clock::now;
use crate::shell::command::approval::approve;
use crate::shell::command::context::Context;
use crate::shell::command::live::operation;
use crate::shell::command::output::{Out, print};
use crate::shell::fleet::Fleet as _;
use crate::shell::live::lock::Lock;
use crate::shell::live::offsite::Offsite;
use crate::shell::live::{Live, backup as files};
use crate::shell::progress;

/// Delete old snapshots from the nodes and off-site, and on request from this directory
///
/// Each location keeps the newest `keep` snapshots. Nothing is deleted in a location unless one of the kept snapshots has
/// just been verified there. Snapshots from before upgrades have different names and are kept. So are snapshots whose
/// NAME.json is missing or has a different cluster id, as several clusters may share a location. Leftovers of interrupted
/// uploads are deleted after a day.
///
/// Exits 6 if a node or the off-site location is unreachable; the others are pruned.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  quorate backup prune
  quorate backup prune --keep 3 --yes
  quorate -C /srv/backups -f ~/prod/cluster.toml backup prune --here")]
pub struct PruneArgs {
    /// How many to keep in each location, instead of `keep` in [backup]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,

    /// Also prune this directory: all its snapshots must be from this cluster
    #[arg(long)]
    pub here: bool,

    /// Skip the confirmation prompt
    #[arg(short, long)]
    pub yes: bool,
}

enum Of {
    Node(HostName),
    Offsite(Offsite),
    Here,
}

/// Snapshots in one place, the newest first.
struct Place {
    of: Of,
    kept: Vec<Listed>,
    surplus: Vec<Listed>,
    /// What killed uploads have left, and how large it is.
    abandoned: Vec<(String, u64)>,
}

impl Place {
    fn new(of: Of, listed: &[Listed], keep: u32) -> Option<Self> {
        let (kept, surplus) = snapshot::kept_and_surplus(listed, keep as usize, now());
        (!surplus.is_empty()).then_some(Self { of, kept, surplus, abandoned: Vec::new() })
    }

    async fn offsite(
        offsite: Offsite,
        keep: u32,
        context: &Context,
        live: Option<ClusterId>,
    ) -> Result<(Option<Self>, bool), Diagnostic> {
        let (listed, abandoned) = (offsite.list().await?, offsite.abandoned(now()).await?);
        let (ours, is_clear) = ours(&listed, "off-site", context, live);
        let (kept, surplus) = snapshot::kept_and_surplus(&ours, keep as usize, now());
        let something = !surplus.is_empty() || !abandoned.is_empty();
        Ok((something.then_some(Self { of: Of::Offsite(offsite), kept, surplus, abandoned }), is_clear))
    }

    fn name(&self) -> &str {
        match &self.of {
            Of::Node(node) => node.as_str(),
            Of::Offsite(_) => "off-site",
            Of::Here => "this directory",
        }
    }
}

/// Only what is of this cluster counts, and may go: others may use the same place. Says whether it is known which cluster
/// that is, where it matters.
fn ours(listed: &[Listed], place: &str, context: &Context, live: Option<ClusterId>) -> (Vec<Listed>, bool) {
    let Some(id) = live else {
        if !listed.is_empty() {
            let known: BTreeSet<_> = listed.iter().filter_map(|one| one.facts.cluster_id).collect();
            let whose = if known.len() > 1 { "are from several clusters" } else { "may be from another cluster" };
            let which = format_args!("{whose}, and no member says which is this one: they are kept");
            context.voice().warn(format_args!("{} {place} snapshots {which}", listed.len()));
        }
        return (Vec::new(), listed.is_empty());
    };
    let (ours, others) = snapshot::of_cluster(listed, live);
    if !others.is_empty() {
        let which = format_args!("are not known to be from this cluster ({id}): they are kept");
        context.voice().warn(format_args!("{} {place} snapshots {which}", others.len()));
    }
    (ours, true)
}

/// Says what would go, asks, and removes it.
///
/// # Errors
/// When nothing says how many stay, it is not approved, or what would stay in a place is not whole.
pub async fn run(
    args: &PruneArgs,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    let keep = args.keep.or(desired.backup.as_ref().map(|backup| backup.keep)).ok_or_else(|| {
        Diagnostic::new(Kind::Usage, "the number of snapshots to keep is not set")
            .hint("add --keep N, or `keep` in [backup]")
    })?;
    let folder = snapshot::folder(desired);
    let looked = async { tokio::join!(fleet.snapshots(&folder), fleet.observe()) };
    let (nodes, observed) = progress::while_looking(context, desired, fleet, looked).await;
    let live = snapshot::live_cluster(&observed);
    let mut places = Vec::new();
    let mut unseen = false;
    for (node, seen) in &nodes {
        match seen {
            Seen::Known(listed) => {
                let (ours, is_clear) = ours(listed, node.as_str(), context, live);
                places.extend(Place::new(Of::Node(node.clone()), &ours, keep));
                unseen |= !is_clear;
            }
            Seen::Unknown(cause) => {
                context.voice().warn(&cause.summary);
                unseen = true;
            }
        }
    }
    if let Some(offsite) = places::offsite(desired)? {
        match Place::offsite(offsite, keep, context, live).await {
            Ok((place, is_clear)) => {
                places.extend(place);
                unseen |= !is_clear;
            }
            Err(failure) => {
                context.voice().warn(failure);
                unseen = true;
            }
        }
    }
    if args.here {
        places.extend(Place::new(Of::Here, &places::here(), keep));
    }
    let code = if unseen { Kind::Unseen.exit_code() } else { 0 };
    if places.is_empty() {
        print(stdout, &format!("Nothing to delete: no location has more than {keep} snapshots.\n"))?;
        return Ok(code);
    }
    print(stdout, &listed(&places))?;
    let question = "Delete these snapshots? This cannot be undone.";
    approve(args.yes, context, "deleting snapshots", question, "nothing was deleted")?;
    let lock = fleet.lock(operation("backup prune"), Duration::ZERO, &|_, _| {}).await?;
    let mut failed = None;
    for place in &places {
        match remove(place, context, desired, fleet, &lock).await {
            Ok(()) => {
                let removed = place.surplus.len() + place.abandoned.len();
                print(stdout, &format!("{}: {removed} deleted\n", place.name()))?;
            }
            Err(failure) if failed.is_none() => failed = Some(failure),
            Err(failure) => context.voice().error(&failure),
        }
    }
    failed.map_or(Ok(code), Err)
}

fn listed(places: &[Place]) -> String {
    let mut out = String::new();
    for place in places {
        for one in place.surplus.iter().rev() {
            let Listed { name, bytes, .. } = one;
            writeln!(out, "- {name} ({}, {})", place.name(), size(*bytes)).expect("a String takes every write");
        }
        for (name, bytes) in &place.abandoned {
            let bytes = size(*bytes);
            writeln!(out, "- {name} ({}, {bytes}, left over from an interrupted upload)", place.name())
                .expect("a String takes every write");
        }
    }
    out
}

async fn remove(
    place: &Place,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
    lock: &Lock,
) -> Result<(), Diagnostic> {
    let warn = |failure: &Diagnostic| context.voice().warn(failure);
    let Place { of, kept, surplus, abandoned } = place;
    match of {
        Of::Node(node) => fleet.prune_snapshots(lock, node, &snapshot::folder(desired), kept, surplus).await,
        Of::Offsite(offsite) => {
            offsite.remove_abandoned(abandoned.iter().map(|(name, _)| name.as_str())).await?;
            if surplus.is_empty() { Ok(()) } else { offsite.prune(kept, surplus, &warn).await }
        }
        Of::Here => remove_here(place),
    }
}

fn remove_here(place: &Place) -> Result<(), Diagnostic> {
    if !place.kept.iter().any(|one| files::check(Path::new(&one.name), &|_| {}).is_ok()) {
        let what = "none of the snapshots to keep in this directory is intact: nothing was deleted";
        return Err(Diagnostic::failure(what).hint("run `quorate backup verify NAME` to see what is wrong with one"));
    }
    for one in place.surplus.iter().rev() {
        // What is known of it goes first: nothing is left that is of nothing.
        let beside = facts_name(&one.name);
        let gone = fs::remove_file(beside).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        });
        gone.and_then(|()| fs::remove_file(&one.name)).map_err(|error| {
            Diagnostic::failure("a snapshot could not be deleted").at(one.name.clone()).caused_by(&error)
        })?;
    }
    Ok(())
}
