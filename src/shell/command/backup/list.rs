//! `quorate backup list`: the snapshots that there are.

use super::places::everywhere;
use crate::core::cluster::snapshot::live_cluster;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::render::backup::{self, Document, Row};
use crate::core::render::json::rfc3339;
use crate::shell::clock::now;
use crate::shell::command::context::Context;
use crate::shell::command::output::{Out, print};
use crate::shell::fleet::Fleet as _;
use crate::shell::live::Live;
use crate::shell::progress;

/// List the snapshots on the nodes, off-site and in this directory
///
/// Shows the revision and cluster id of each, and when `backup verify` last passed, if known (kept in NAME.json). What is of
/// another cluster or of an unknown one, or is not as long as when it was checked, is listed as not counted.
///
/// Changes nothing. Exits 6 if a node or the off-site location is unreachable.
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
    let looked = async { tokio::join!(everywhere(desired, fleet), fleet.observe()) };
    let ((found, unseen), observed) = progress::while_looking(context, desired, fleet, looked).await;
    let cluster = live_cluster(&observed);
    let code = if unseen.is_empty() { 0 } else { Kind::Unseen.exit_code() };
    let (snapshots, others) =
        found.into_iter().map(|found| found.row(cluster)).partition(|row: &Row| row.why_not.is_none());
    let document = Document {
        format_version: 1,
        cluster: desired.cluster.name.clone(),
        at: rfc3339(now()),
        cluster_id: cluster,
        snapshots,
        others,
        unseen,
    };
    print(stdout, &if args.json { backup::json(&document) } else { backup::list(&document, context.palette()) })?;
    Ok(code)
}
