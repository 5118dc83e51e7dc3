//! The gate before a member that runs is restarted: the others are a quorum without it, and it comes back.

use crate::core::cluster::turn::{due, may_restart};
use crate::core::cluster::view::View;
use crate::core::cluster::{next_start, quota, room, source, upgrade};
use crate::core::names::HostName;
use crate::core::observed::Host;
use crate::core::plan::action::{Action, Impact};
use crate::core::plan::ruling::{Blocked, Reason, Ruling};

/// Of the changes that are wanted, those that may be made now; none of one that restarts etcd by itself while it may not be.
pub fn due_with_it(view: &View, wanted: Vec<(Action, Vec<Reason>)>) -> Ruling {
    let ruling = due(view, wanted);
    let refusal = ruling.step.iter().flat_map(|step| &step.actions).find_map(|action| interrupts(view, action));
    match refusal {
        None => ruling,
        Some(why) => Ruling { step: None, blocked: ruling.blocked.into_iter().chain([why]).collect() },
    }
}

/// Why a change waits that restarts etcd by itself.
fn interrupts(view: &View, action: &Action) -> Option<Blocked> {
    let name = action.host().filter(|_| action.impact() == Impact::Restart)?;
    let host = view.observed.host(name).filter(|host| host.process.is_some())?;
    refusal(view, name, host)
}

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
