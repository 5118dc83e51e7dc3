//! `quorate move-leader`: another member leads, in some milliseconds instead of an election.

use std::time::Duration;

use super::apply::Emit;
use super::context::Context;
use super::live;
use super::output::{Out, print};
use super::request::declared;
use crate::core::desired::Desired;
use crate::core::diagnostic::Diagnostic;
use crate::core::render::event::Event;
use crate::shell::fleet::{Fleet as _, Need};
use crate::shell::live::Live;
use crate::shell::live::handover::Moved;

/// Transfer leadership to another member
///
/// Before work on the leader's host, for example: a transfer takes some milliseconds, an election a second of writes. Goes to
/// the member on NODE, or to the voter that has applied most. Nothing restarts. Apply does this by itself before it stops a
/// leader.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate move-leader
  quorate move-leader etcd-2")]
pub struct MoveLeaderArgs {
    /// Who is to lead [default: the voter that has applied most]
    #[arg(value_name = "NODE")]
    pub node: Option<String>,

    /// How long to wait if another apply holds the lock
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "0s")]
    pub lock_timeout: Duration,
}

/// Has it done, under the lock, and says who leads.
///
/// # Errors
/// When someone else holds the lock, nobody leads, or the member cannot.
pub async fn run(
    args: &MoveLeaderArgs,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    let node = args.node.as_ref().map(|name| declared("move-leader", name, desired)).transpose()?;
    let waiting = |event: Event| {
        if let Event::Locking { held_by: Some(holder), .. } = event {
            context.voice().note(format!("waiting for the lock, which is held by {holder}"));
        }
    };
    let waiting: Emit<'_> = &waiting;
    if desired.auth.is_some() {
        fleet.open_keys(Need::Sign).await?;
    }
    let _lock = live::lock(fleet, args.lock_timeout, "move-leader", waiting).await?;
    let text = match fleet.move_leader(node.as_ref()).await? {
        Moved::Already(host) => format!("{host} is the leader already\n"),
        Moved::To { from, to } => format!("leadership moved from {from} to {to}\n"),
    };
    print(stdout, &text)?;
    Ok(0)
}
