//! The etcd binaries: each version in a folder of its own, so that changing it is a change of the unit and a restart.

use super::unreachable;
use std::collections::BTreeSet;

use crate::core::cluster::room;
use crate::core::cluster::saved::is_saved;
use crate::core::cluster::situation::Situation;
use crate::core::cluster::turn;
use crate::core::cluster::upgrade::{
    Want, broken, gate, has_begun, next_allowed, no_room_for_snapshot, upgrade_path_of, want, wanted,
};
use crate::core::cluster::version::{lowest, on_disk};
use crate::core::cluster::view::View;
use crate::core::desired::{Binaries, Desired, Place};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{Architecture, HostName, SnapshotReason, Version};
use crate::core::observed::{Host, Installed, Observed, Seen, Tools};
use crate::core::plan::action::{Action, HostAction, Readiness, SnapshotAction};
use crate::core::plan::ruling::{Draft, Ruling};

pub fn next(view: &View) -> Ruling {
    // A restore brings back a cluster that there was, whatever it ran.
    let begins = view.situation == Situation::New && view.desired.request.restore.is_none();
    if let Some(why) = broken(view.desired.cluster.version).filter(|_| begins) {
        return Ruling::blocked(why);
    }
    let mut actions = Vec::new();
    let mut blocked = Vec::new();
    let mut versions = BTreeSet::new();
    for (name, host) in view.hosts_to_lay_ready() {
        let version = wanted(view, name, host);
        match want(view.desired, view.observed, name, host, version) {
            Want::Nothing => {}
            Want::Install => {
                versions.insert(version.to_string());
                let architecture = host.architecture;
                actions.push(Action::Host(HostAction::InstallBinaries { host: name.clone(), version, architecture }));
            }
            Want::Impossible(why) => blocked.push(why),
        }
    }
    let versions: Vec<_> = versions.into_iter().collect();
    let reason = view.reason(format!("etcd {} is not installed", versions.join(" and ")), Place::Version);
    Ruling { blocked, ..Ruling::steps_for(actions, vec![reason]) }
}

/// What keeps the declared version from being reached now.
pub fn obstacles(view: &View) -> Ruling {
    let Some(membership) = view.membership().filter(|_| !view.observed.guessed) else { return Ruling::default() };
    let behind = upgrade_path_of(view, membership).as_ref().map_or(true, |upgrade_path| !upgrade_path.stops.is_empty());
    match gate(view, membership) {
        Err(why) if behind => Ruling::blocked(why.clone()),
        _ => Ruling::default(),
    }
}

/// Saves a snapshot before the first member is taken to another version.
pub fn snapshot(view: &View) -> Ruling {
    let (Some(membership), Some(stop)) = (view.members(), next_allowed(view)) else { return Ruling::default() };
    let is_saved = is_saved(view.observed, SnapshotReason::Upgrade(stop));
    if is_saved || has_begun(view, stop) || upheld(Guard::SnapshotBeforeUpgrade, false) {
        return Ruling::default();
    }
    let votes = |name: &HostName| membership.member_of(name).is_some_and(|member| !member.entry.learner);
    let in_turn = turn::in_turn(view).into_iter().map(|(name, _)| name).filter(|name| votes(name));
    let name = match room::saver(view.desired, view.observed, in_turn, &no_room_for_snapshot(stop)) {
        Ok(Some(name)) => name,
        Ok(None) => return Ruling::default(),
        Err(why) => return Ruling::blocked(why),
    };
    let is_another_minor = lowest(view.desired, view.observed, membership).is_some_and(|is| is.minor < stop.minor);
    let why = match is_another_minor {
        true => format!("quorate does not go back from {stop}: the way back is to restore a snapshot"),
        false => "a snapshot is saved before every change of the version".to_owned(),
    };
    let reason = view.reason(why, Place::Version);
    Ruling::step(Draft::of(
        Action::Snapshot(SnapshotAction::Save { host: name.clone(), before: SnapshotReason::Upgrade(stop) }),
        reason,
    ))
}

pub fn readiness(observed: &Observed, name: &HostName, version: Version, architecture: Architecture) -> Readiness {
    match observed.host(name) {
        None => unreachable(name),
        Some(host) if host.installed.contains_key(&version) => Readiness::Done,
        Some(_) => match observed.workstation.archives.get(&version).and_then(|of| of.get(&architecture)) {
            Some(Seen::Known(_)) => Readiness::Ready,
            Some(Seen::Unknown(cause)) => Readiness::Refused(cause.summary.clone()),
            None => Readiness::Refused(format!("no archive of etcd {version} for {architecture} is available")),
        },
    }
}

pub fn effect(
    desired: &Desired,
    observed: &mut Observed,
    name: &HostName,
    version: Version,
    architecture: Architecture,
) {
    let archive = desired.archive_digest(version, architecture);
    if let Some(host) = observed.host_mut(name) {
        host.installed.insert(version, Installed { archive });
    }
}

/// Links etcdctl once the member runs the version that it is of.
pub fn tools(view: &View) -> Ruling {
    let running = |host: &Host| host.process.is_some().then(|| on_disk(view.desired, host));
    let (mut actions, mut because) = (Vec::new(), Vec::new());
    for (name, host) in view.hosts() {
        let Some(version) = running(host) else { continue };
        if !host.installed.contains_key(&version) || has_link(view.desired, host, version) {
            continue;
        }
        let is = match &host.tools {
            Tools::Link(folder) => folder.as_str().rsplit('/').next().unwrap_or_default(),
            Tools::Absent | Tools::Foreign => "none",
        };
        let reason = view.reason(format!("etcdctl on PATH: {is} → {version}"), Place::Version);
        if !because.contains(&reason) {
            because.push(reason);
        }
        actions.push(Action::Host(HostAction::LinkTools { host: name.clone(), version }));
    }
    Ruling::steps_for(actions, because)
}

/// Also when there is nothing for us to link.
fn has_link(desired: &Desired, host: &Host, version: Version) -> bool {
    match (&desired.binaries, &host.tools) {
        (Binaries::Preinstalled { .. } | Binaries::Image, _) | (_, Tools::Foreign) => true,
        (_, Tools::Absent) => false,
        (_, Tools::Link(folder)) => *folder == desired.binaries_folder_of(version),
    }
}

pub fn tools_readiness(desired: &Desired, observed: &Observed, name: &HostName, version: Version) -> Readiness {
    match observed.host(name) {
        None => unreachable(name),
        Some(host) if has_link(desired, host, version) => Readiness::Done,
        Some(host) if host.installed.contains_key(&version) => Readiness::Ready,
        Some(_) => Readiness::Refused(format!("etcd {version} is not installed on {name}")),
    }
}

pub fn tools_effect(desired: &Desired, observed: &mut Observed, name: &HostName, version: Version) {
    if let Some(host) = observed.host_mut(name) {
        host.tools = Tools::Link(desired.binaries_folder_of(version));
    }
}
