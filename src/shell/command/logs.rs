//! `quorate logs`: what etcd on a node has logged.

use super::context::Context;
use super::etcdctl::passed_on;
use super::output::Out;
use super::request::declared;
use crate::core::desired::Desired;
use crate::core::diagnostic::Diagnostic;
use crate::shell::live::Live;
use crate::shell::live::journal::Part;

/// Show the log of etcd on a node
///
/// Prints what the node's journal has of etcd's unit: the last lines, or with --follow also what comes, until ^C.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate logs etcd-2
  quorate logs etcd-2 --follow
  quorate logs etcd-2 --since '1 hour ago' | grep -i error")]
pub struct LogsArgs {
    /// The node, as declared
    #[arg(value_name = "NODE")]
    pub node: String,

    /// How many of the last lines [default: 50, or with --since all]
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub lines: Option<u32>,

    /// Only what is as new as this, as journalctl takes it: \"10 min ago\", \"2027-01-15 08:00\"
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// Go on with what comes, until ^C
    #[arg(long)]
    pub follow: bool,
}

/// As many as a screen has.
const LINES: u32 = 50;

/// Prints them.
///
/// # Errors
/// When the node is not declared or cannot be reached.
pub async fn run(
    args: &LogsArgs,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    let node = declared("logs", &args.node, desired)?;
    let lines = args.lines.or(args.since.is_none().then_some(LINES));
    let part = Part { lines, since: args.since.as_deref(), follows: args.follow };
    passed_on(fleet.journal(&node, &part).await?, context, stdout).await
}
