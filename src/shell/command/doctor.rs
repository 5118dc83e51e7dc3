//! `quorate doctor`: what is wrong with the hosts, before it is wrong with the cluster.

use super::context::Context;
use super::output::{Out, print};
use crate::core::cluster::sameness;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::render::doctor;
use crate::shell::fleet::Fleet as _;
use crate::shell::live::Live;
use crate::shell::progress;

/// Check the hosts: ssh, sudo, names, clocks, addresses, ports, disks
///
/// One line for each check of each host: that it is well, or what was seen and how to mend it. Changes nothing, but for a
/// scratch file of 256 KiB beside the data directory while the time of a disk sync is measured; --no-disk leaves that out.
/// The members' data is compared up to 1 GiB; `quorate status --deep` compares more.
/// Exits 0 if all is well, 2 if something should be mended, 6 if a host could not be looked at.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  quorate doctor
  quorate doctor --no-disk
  quorate doctor --json | jq '.hosts[].checks[] | select(.verdict != \"ok\")'")]
pub struct DoctorArgs {
    /// Do not measure how long the disks take to sync a write
    #[arg(long)]
    pub no_disk: bool,

    /// Print JSON; `quorate schema doctor` describes it
    #[arg(long)]
    pub json: bool,
}

/// The code of a `plan` that has changes: here, too, there is something to do.
const TO_MEND: u8 = 2;

/// Looks, and prints what was found.
///
/// # Errors
/// When the result cannot be written.
pub async fn run(
    args: &DoctorArgs,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    // First, so that the login that is measured is the first one.
    let checked = async {
        let checkups = fleet.check_up(!args.no_disk).await;
        let mut observed = fleet.observe().await;
        if sameness::too_large(&observed).is_none() {
            observed.comparison = fleet.compare().await;
        }
        (checkups, observed)
    };
    let (checkups, observed) = progress::while_looking(context, desired, fleet, checked).await;
    let document = doctor::document(desired, &observed, &checkups);
    let text = if args.json { doctor::json(&document) } else { doctor::text(&document, context.palette()) };
    print(stdout, &text)?;
    Ok(match (document.complete, document.is_well()) {
        (false, _) => Kind::Unseen.exit_code(),
        (true, false) => TO_MEND,
        (true, true) => 0,
    })
}
