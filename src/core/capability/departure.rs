//! What is left of a member that was removed: the process that must not serve any more, its data, unit and keys.
//!
//! A machine that is not declared is known only from the note that the removal left on the other hosts. It goes once
//! nothing is left there.

use super::{done_when, unreachable};
use std::collections::BTreeSet;

use crate::core::allowance::{AllowKind, Allowance};
use crate::core::cluster::adopted;
use crate::core::cluster::departed::{departed_key, noted, runs_at, unwritten};
use crate::core::cluster::model;
use crate::core::cluster::others;
use crate::core::cluster::process::is_stopped;
use crate::core::cluster::quorum::Membership;
use crate::core::cluster::standing::{Standing, is_ours};
use crate::core::cluster::view::View;
use crate::core::desired::{Desired, Place};
use crate::core::names::HostName;
use crate::core::observed::departure::Departure;
use crate::core::observed::{DataDirectory, File, Host, Observed, Seen, Tools};
use crate::core::plan::action::{Action, DepartureAction, FileAction, Readiness, ServiceAction};
use crate::core::plan::ruling::{Draft, Ruling};

/// Stops what runs on a declared host although its member was removed, and sets its data aside: a new member is then
/// added there.
pub fn set_aside(view: &View) -> Ruling {
    for (name, host) in view.all_hosts() {
        if view.standing(name) != Some(&Standing::Removed) {
            continue;
        }
        if adopted::cannot_join(view.desired, view.observed, name, host).is_some() {
            continue;
        }
        let what = format!("{name} holds the data of a member that was removed from the cluster");
        let because = vec![view.reason(what, Place::Node(name))];
        let needs = BTreeSet::from([Allowance::new(AllowKind::ReplaceMember, name)]);
        let action = if is_stopped(host) {
            Action::Departure(DepartureAction::SetDataAside { host: name.clone() })
        } else {
            Action::Service(ServiceAction::Stop { host: name.clone() })
        };
        return Ruling::step(Draft { actions: vec![action], because, needs });
    }
    Ruling::default()
}

/// Stops and clears away the machines of members that have left, as far as they can be reached.
pub fn retire(view: &View) -> Ruling {
    let Some(membership) = view.membership() else { return Ruling::default() };
    let left_as: BTreeSet<_> =
        noted(view.observed).iter().filter_map(|departure| departed_key(view.desired, departure)).collect();
    for (name, former) in &view.observed.former {
        let left = membership.member_of(name).is_none() && left_as.contains(name);
        let ours = |host: &&Host| left && is_ours(view.observed, host) && !others::is_taken(host);
        let Some(host) = former.host.known().filter(ours) else { continue };
        let because = vec![view.reason(format!("{name} ({}) was removed", former.address), Place::Nodes)];
        let action = if is_stopped(host) {
            // What lies there belongs to whoever set it up.
            if view.desired.cluster.layout.is_adopted() {
                continue;
            }
            Action::Departure(DepartureAction::Retire { host: name.clone() })
        } else {
            Action::Service(ServiceAction::Stop { host: name.clone() })
        };
        return Ruling::step(Draft { actions: vec![action], because, needs: BTreeSet::new() });
    }
    Ruling::default()
}

/// Whether nothing of ours is left on a machine: somebody else's service is stopped, and stays where it is.
fn is_cleared(view: &View, host: &Host) -> bool {
    !is_ours(view.observed, host) || view.desired.cluster.layout.is_adopted() && is_stopped(host)
}

/// Forgets the members of which nothing is left, those whose machine is declared again, and those that are called lost.
pub fn forget(view: &View) -> Ruling {
    let Some(membership) = view.membership() else { return Ruling::default() };
    let noted = noted(view.observed);
    let is_gone = |departure: &Departure| {
        let Some(name) = departed_key(view.desired, departure) else { return is_back(view, departure) };
        let seen = view.observed.former.get(&name).map(|former| &former.host);
        let cleared = seen.and_then(Seen::known).is_some_and(|host| is_cleared(view, host));
        membership.member_of(&name).is_none() && (cleared || view.desired.request.lost.contains_key(&name))
    };
    let (gone, left): (BTreeSet<_>, BTreeSet<_>) = noted.into_iter().partition(is_gone);
    if gone.is_empty() {
        return Ruling::default();
    }
    let names: Vec<_> = gone.iter().map(|departure| departure.name.as_str()).collect();
    let because = vec![view.reason(format!("nothing is left of {}", names.join(", ")), Place::Nodes)];
    if !left.is_empty() {
        return Ruling::steps_for(unwritten(view, &left), because);
    }
    let with_note = view.all_hosts().into_iter().filter(|(_, host)| host.files.contains_key(&File::Departures));
    let remove =
        |(name, _): (&HostName, _)| Action::File(FileAction::Remove { host: name.clone(), file: File::Departures });
    Ruling::steps_for(with_note.map(remove).collect(), because)
}

/// Whether the machine, which is declared, was seen without a member that was left behind.
fn is_back(view: &View, departure: &Departure) -> bool {
    let declared = view.desired.nodes.iter().find(|(_, node)| runs_at(&node.address, departure));
    let standing = declared.and_then(|(name, _)| view.standing(name));
    matches!(standing, Some(Standing::Member | Standing::Newcomer))
}

pub fn stop_readiness(observed: &Observed, name: &HostName) -> Readiness {
    done_when(observed, name, is_stopped)
}

pub fn stop_effect(observed: &mut Observed, name: &HostName) {
    model::stop_for_good(observed, name);
}

/// The data of a member that is in the list is never set aside.
pub fn set_aside_readiness(desired: &Desired, observed: &Observed, name: &HostName) -> Readiness {
    let listed = Membership::of(desired, observed).map(|membership| membership.member_of(name).is_some());
    match (observed.host(name), listed) {
        (None, _) => unreachable(name),
        (Some(host), _) if host.data == DataDirectory::Empty => Readiness::Done,
        (_, None) => Readiness::Refused("no member returned the member list".to_owned()),
        (_, Some(true)) => Readiness::Refused(format!("{name} is still a member of the cluster")),
        (Some(host), Some(false)) if !is_stopped(host) => {
            Readiness::Refused(format!("etcd is still running on {name}"))
        }
        (Some(_), Some(false)) => Readiness::Ready,
    }
}

pub fn retire_readiness(observed: &Observed, name: &HostName) -> Readiness {
    done_when(observed, name, |host| host.files.is_empty() && host.data == DataDirectory::Empty)
}

pub fn retire_effect(observed: &mut Observed, name: &HostName) {
    stop_effect(observed, name);
    let Some(host) = observed.host_mut(name) else { return };
    host.files.clear();
    host.certificates.clear();
    host.trusted.clear();
    host.data = DataDirectory::Empty;
    host.tools = Tools::Absent;
}

pub fn remove_file_readiness(observed: &Observed, name: &HostName, file: File) -> Readiness {
    done_when(observed, name, |host| !host.files.contains_key(&file))
}

pub fn remove_file_effect(observed: &mut Observed, name: &HostName, file: File) {
    if let Some(host) = observed.host_mut(name) {
        host.files.remove(&file);
    }
}
