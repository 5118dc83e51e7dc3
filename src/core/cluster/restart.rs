//! The gate before a member that runs is restarted: the others are a quorum without it, and it comes back.

use crate::core::cluster::turn::may_restart;
use crate::core::cluster::view::View;
use crate::core::cluster::{next_start, quota, room, source, upgrade};
use crate::core::names::HostName;
use crate::core::observed::Host;
use crate::core::plan::ruling::Blocked;

/// What keeps it from being restarted now.
pub fn refusal(view: &View, name: &HostName, host: &Host) -> Option<Blocked> {
    let (desired, observed) = (view.desired, view.observed);
    may_restart(desired, observed, &view.situation, name)
        .err()
        .or_else(|| quota::outgrown(desired, name, host))
        .or_else(|| next_start::missing(desired, name, host))
        .or_else(|| room::to_start(desired, name, host))
        .or_else(|| source::before_start(desired, observed, name, &format!("{name} is not restarted")))
        .or_else(|| upgrade::may_start(view, host).err())
}
