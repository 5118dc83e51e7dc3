//! The etcd binaries: each version in a folder of its own, so that changing it is a change of the unit and a restart.

use std::collections::BTreeSet;

use crate::action::{Action, Readiness};
use crate::code::Code;
use crate::desired::{Binaries, Desired};
use crate::names::{Architecture, HostName, Version};
use crate::observed::{Host, Installed, Observed, Seen, Tools};
use crate::plan::{Blocked, Ruling, View};

pub fn next(view: &View) -> Ruling {
    let version = view.desired.cluster.version;
    let mut actions = Vec::new();
    let mut blocked = Vec::new();
    for (name, host) in view.hosts() {
        match want(view.desired, view.observed, name, host) {
            Want::Nothing => {}
            Want::Install => {
                let architecture = host.architecture;
                actions.push(Action::InstallBinaries { host: name.clone(), version, architecture });
            }
            Want::Impossible(why) => blocked.push(why),
        }
    }
    let reason = view.reason(format!("etcd {version} is not installed"), "cluster.version");
    Ruling { blocked, ..Ruling::steps_for(actions, vec![reason]) }
}

enum Want {
    Nothing,
    Install,
    Impossible(Blocked),
}

fn want(desired: &Desired, observed: &Observed, name: &HostName, host: &Host) -> Want {
    let version = desired.cluster.version;
    let installed = host.installed.get(&version);
    match (&desired.binaries, installed) {
        (Binaries::Preinstalled { .. } | Binaries::Undeclared, Some(_)) => Want::Nothing,
        (Binaries::Preinstalled { folder }, None) => {
            let what = format!("{folder} on {name} does not hold etcd {version}");
            let hint = "install it there, or name an archive in [etcd.archive]";
            let blocked = Blocked::new(Code::BinariesUndeclared, what).on(name).hint(hint);
            Want::Impossible(blocked.because("etcd.archive.preinstalled"))
        }
        (Binaries::Undeclared, None) => {
            let what = format!("{name} needs etcd {version}, and cluster.toml does not say where to get it");
            let hint = "add [etcd.archive] with `url` or `path`, and `sha256`";
            Want::Impossible(
                Blocked::new(Code::BinariesUndeclared, what).on(name).hint(hint).because("cluster.version"),
            )
        }
        (Binaries::Archive { sha256, .. }, Some(Installed { archive })) => {
            if *archive == sha256.get(&host.architecture).copied() {
                return Want::Nothing;
            }
            let what = format!("{} on {name} was not unpacked from the declared archive", desired.binaries_folder());
            let hint = "correct `sha256`, or move that folder aside on the host";
            let blocked = Blocked::new(Code::BinariesForeign, what).on(name).hint(hint);
            Want::Impossible(blocked.because("etcd.archive.sha256"))
        }
        (Binaries::Archive { .. }, None) => match observed.workstation.archives.get(&host.architecture) {
            Some(Seen::Known(_)) => Want::Install,
            Some(Seen::Unknown(cause)) => Want::Impossible(Blocked::unseen(cause).because("etcd.archive")),
            None => {
                let what = format!("the archive for {} was not looked at", host.architecture);
                Want::Impossible(Blocked::new(Code::ArchiveUnusable, what).because("etcd.archive"))
            }
        },
    }
}

/// The architectures that some host still needs the archive for: only those are fetched and checked.
pub fn wanted_archives(desired: &Desired, observed: &Observed) -> BTreeSet<Architecture> {
    let Binaries::Archive { .. } = desired.binaries else { return BTreeSet::new() };
    let without = observed.seen_hosts().filter(|(_, host)| !host.installed.contains_key(&desired.cluster.version));
    without.map(|(_, host)| host.architecture).collect()
}

pub fn readiness(observed: &Observed, name: &HostName, version: Version, architecture: Architecture) -> Readiness {
    match observed.host(name) {
        None => Readiness::Refused(format!("{name} cannot be seen")),
        Some(host) if host.installed.contains_key(&version) => Readiness::Done,
        Some(_) => match observed.workstation.archives.get(&architecture) {
            Some(Seen::Known(_)) => Readiness::Ready,
            Some(Seen::Unknown(cause)) => Readiness::Refused(cause.summary.clone()),
            None => Readiness::Refused(format!("there is no archive for {architecture}")),
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
    let archive = match &desired.binaries {
        Binaries::Archive { sha256, .. } => sha256.get(&architecture).copied(),
        Binaries::Preinstalled { .. } | Binaries::Undeclared => None,
    };
    if let Some(host) = observed.host_mut(name) {
        host.installed.insert(version, Installed { archive });
    }
}

/// Links etcdctl once the member runs the version that it is of.
pub fn tools(view: &View) -> Ruling {
    let version = view.desired.cluster.version;
    let linkable = view.hosts().filter(|(_, host)| {
        host.installed.contains_key(&version) && host.process.is_some() && !has_link(view.desired, host)
    });
    let actions = linkable.map(|(name, _)| Action::LinkTools { host: name.clone(), version }).collect();
    Ruling::steps_for(
        actions,
        vec![view.reason("etcdctl on the PATH is missing or of another version", "cluster.version")],
    )
}

/// Also when there is nothing for us to link.
fn has_link(desired: &Desired, host: &Host) -> bool {
    match (&desired.binaries, &host.tools) {
        (Binaries::Preinstalled { .. }, _) | (_, Tools::Foreign) => true,
        (_, Tools::Absent) => false,
        (_, Tools::Link(folder)) => *folder == desired.binaries_folder(),
    }
}

pub fn tools_readiness(desired: &Desired, observed: &Observed, name: &HostName, version: Version) -> Readiness {
    match observed.host(name) {
        None => Readiness::Refused(format!("{name} cannot be seen")),
        Some(host) if has_link(desired, host) => Readiness::Done,
        Some(host) if host.installed.contains_key(&version) => Readiness::Ready,
        Some(_) => Readiness::Refused(format!("etcd {version} is not installed on {name}")),
    }
}

pub fn tools_effect(desired: &Desired, observed: &mut Observed, name: &HostName) {
    if let Some(host) = observed.host_mut(name) {
        host.tools = Tools::Link(desired.binaries_folder());
    }
}
