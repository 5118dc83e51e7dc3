//! `quorate backup list`: the snapshots that there are.

use super::places::{Found, everywhere};
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::render::backup::{self, Document};
use crate::core::render::json::rfc3339;
use crate::shell::command::context::Context;
use crate::shell::command::live::now;
use crate::shell::command::output::{Out, print};
use crate::shell::live::Live;
use crate::shell::progress;

/// List the snapshots on the nodes, off-site and in this folder
///
/// With the revision and the cluster's id that each is of, and when it last stood a drill of `backup verify`, as far as
/// that is known: it lies beside the snapshot as NAME.json.
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
    let (found, unseen) = everywhere(desired, fleet).await;
    spinner.inspect(|spinner| spinner.finish_and_clear());
    let code = if unseen.is_empty() { 0 } else { Kind::Unseen.exit_code() };
    let snapshots = found.into_iter().map(Found::row).collect();
    let document =
        Document { format_version: 1, cluster: desired.cluster.name.clone(), at: rfc3339(now()), snapshots, unseen };
    print(stdout, &if args.json { backup::json(&document) } else { backup::list(&document, context.palette()) })?;
    Ok(code)
}
