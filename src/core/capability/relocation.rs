//! A member's data is brought to the directory that is declared: one member at a time stops, its data moves, and the rules
//! for etcd.yaml, the unit and the start bring it up there. Until then nothing that names the new directory is written.
//!
//! ```text
//! runs at the old one ─ stop, move ─► stopped, data at the new one ─ etcd.yaml, unit, enable ─ start ─► runs there
//! ```

use super::unreachable;
use crate::core::cluster::situation::situation;
use crate::core::cluster::view::View;
use crate::core::cluster::{model, next_start, staged, turn};
use crate::core::content::layout;
use crate::core::desired::{Desired, Place};
use crate::core::names::{HostName, RemotePath};
use crate::core::observed::{DataDirectory, Folder, Observed};
use crate::core::plan::action::{Action, DataAction, Readiness};
use crate::core::plan::ruling::{Draft, Ruling};

pub fn next(view: &View) -> Ruling {
    let mut blocked = Vec::new();
    for (name, host) in turn::in_turn(view) {
        let Some(from) = next_start::movable(view.desired, host) else { continue };
        // All else that it needs is there before it stops.
        if staged::missing(view.desired, host).is_some() {
            continue;
        }
        let gate = turn::turn(view, name).and_then(|()| match host.process {
            Some(_) => turn::may_restart(view.desired, view.observed, &view.situation, name),
            None => Ok(()),
        });
        if let Err(why) = gate {
            blocked.push(why);
            continue;
        }
        let to = view.desired.paths.data.clone();
        let reason = view.reason(format!("data directory: {from} → {to}"), Place::PathsData);
        let action = Action::Data(DataAction::Move { host: name.clone(), from: from.clone(), to });
        return Ruling { step: Some(Draft::of(action, reason)), blocked };
    }
    Ruling { step: None, blocked }
}

pub fn readiness(desired: &Desired, observed: &Observed, name: &HostName, from: &RemotePath) -> Readiness {
    let Some(host) = observed.host(name) else { return unreachable(name) };
    if host.data == DataDirectory::Member && host.data_elsewhere.is_none() {
        return Readiness::Done;
    }
    if next_start::movable(desired, host) != Some(from) {
        return Readiness::Refused(format!("the data of {name} is no longer in {from} alone"));
    }
    if host.process.is_none() {
        return Readiness::Ready;
    }
    let (situation, _) = situation(desired, observed);
    match turn::may_restart(desired, observed, &situation, name) {
        Ok(()) => Readiness::Ready,
        Err(blocked) => Readiness::Refused(blocked.what),
    }
}

pub fn effect(observed: &mut Observed, name: &HostName) {
    model::stop_for_good(observed, name);
    let Some(host) = observed.host_mut(name) else { return };
    host.data = DataDirectory::Member;
    host.data_elsewhere = None;
    host.folders.insert(Folder::Data, layout::folder_access(Folder::Data));
}
