//! The way from the version that runs to the declared one, and which version each host is to have next.
//!
//! ```text
//! 3.4.23 ──► 3.5.30 ──► 3.6.16        the upgrade path: one minor at a time, all members before the next
//!         │          │
//!         └ gates: everyone well, nobody joining, a snapshot, the patch and the stores that the next minor asks for
//! ```
//!
//! Source of the gates: the upgrade guides of 3.5, 3.6 and 3.7.

use std::collections::BTreeSet;

use crate::core::cluster::process;
use crate::core::cluster::quorum::Membership;
use crate::core::cluster::room;
use crate::core::cluster::saved::is_saved;
use crate::core::cluster::situation::Situation;
use crate::core::cluster::standing::Standing;
use crate::core::cluster::version::{is_set_up, lowest, of_cluster, on_disk, versions};
use crate::core::cluster::view::{Upgrade, UpgradePath, View};
use crate::core::code::Code;
use crate::core::content::form::Form;
use crate::core::content::{adopted, layout::SNAPSHOTS_FOLDER, runtime};
use crate::core::count::count;
use crate::core::desired::{ArchiveLocation, Binaries, Desired, Downtime, Place, is_known_to};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{Architecture, HostName, SnapshotReason, Version, listed};
use crate::core::observed::{File, Host, Installed, Observed, Seen, V2Store};
use crate::core::plan::action::Action;
use crate::core::plan::ruling::Blocked;

/// The first patch of 3.5 that a cluster may begin with, or an upgrade end at: 3.5.0 to 3.5.2 can corrupt data, and the fixes ended with 3.5.6.
const FIRST_SOUND_3_5: Version = Version::new(3, 5, 6);

/// What every member must run before the first one goes to the next minor version.
const LAST_BEFORE: [(u16, Version); 2] = [(5, Version::new(3, 5, 26)), (6, Version::new(3, 6, 11))];

/// Whether a restart may bring the binary that lies on a host, if that is of another minor version than runs there, or where
/// somebody else puts it there of another version at all.
///
/// # Errors
/// While the change to that version waits for something.
pub fn may_start(view: &View, host: &Host) -> Result<(), Blocked> {
    let (Some(membership), Some(answer)) = (view.membership(), host.answer()) else { return Ok(()) };
    let starts = on_disk(view.desired, host);
    // What somebody else has installed is an upgrade like any other.
    let is_same = match view.desired.cluster.layout.is_adopted() {
        true => starts == answer.version,
        false => of_cluster(starts) == of_cluster(answer.version),
    };
    if is_same { Ok(()) } else { gate(view, membership).clone() }
}

/// The version that a host's next start brings, as things lie.
pub fn starts(view: &View, name: &HostName, host: &Host) -> Version {
    if is_set_up(host) { on_disk(view.desired, host) } else { wanted(view, name, host) }
}

/// The version that a host is to have next.
///
/// A member is taken to the next stop of the upgrade path when everything allows it, a newcomer gets what the cluster will
/// run by then. Where no cluster serves, what is there is started again before anything is changed.
pub fn wanted(view: &View, name: &HostName, host: &Host) -> Version {
    let declared = view.desired.cluster.version;
    let has_unit = is_set_up(host);
    let Situation::Serving(membership) = &view.situation else {
        return if has_unit && view.situation == Situation::Down { on_disk(view.desired, host) } else { declared };
    };
    // One that has failed goes, and another joins in its place.
    let is_failed = matches!(view.standing(name), Some(Standing::Failed(_)));
    let is_member = !is_failed && membership.member_of(name).is_some_and(|member| member.entry.name.is_some());
    // What a start is expected to bring is no ground to go on from.
    if view.observed.guessed && has_unit {
        return on_disk(view.desired, host);
    }
    match upgrade_path_of(view, membership) {
        Ok(UpgradePath { stops, running }) => {
            let (running, Some(stop)) = (*running, stops.first().copied()) else { return declared };
            let is_open = gate(view, membership).is_ok();
            match (is_open, is_member) {
                // What was declared besides is loaded first, so that one restart changes one thing.
                (true, true) if process::stale(view.desired, host).is_some() => on_disk(view.desired, host),
                (true, true) => stop,
                (true, false) => declared,
                (false, true) => on_disk(view.desired, host),
                (false, false) => running,
            }
        }
        Err(_) if is_member => on_disk(view.desired, host),
        Err(_) => lowest(view.desired, view.observed, membership).unwrap_or(declared),
    }
}

/// The upgrade path of a cluster that serves.
///
/// # Errors
/// When the declared version cannot be reached, and why.
pub fn upgrade_path(desired: &Desired, observed: &Observed, membership: &Membership) -> Result<UpgradePath, Blocked> {
    let declared = desired.cluster.version;
    let running = lowest(desired, observed, membership).unwrap_or(declared);
    let highest = versions(desired, observed, membership).max().unwrap_or(declared);
    if running == declared && highest == declared {
        return Ok(UpgradePath { stops: Vec::new(), running });
    }
    if (declared.major, declared.minor) < (highest.major, highest.minor) {
        return downgrade(observed, declared, running, highest);
    }
    let stops = stops(desired, observed, running)?;
    match unwritten(desired, observed, running, &stops) {
        Some(unwritten) => Err(unwritten),
        None => Ok(UpgradePath { stops, running }),
    }
}

/// etcd 3.4 notes how far it has applied its log with the first key that is written. Without one, 3.5.26 and newer apply the log
/// from its beginning, take the members that it adds for ones that were removed, and 3.6 shuts those out. Tried: 3.4.23, 3.5.30
/// and 3.6.16, twice of twice without a key, and not with one.
fn unwritten(desired: &Desired, observed: &Observed, running: Version, stops: &[Version]) -> Option<Blocked> {
    let leaves_3_4 = running.minor == 4 && stops.iter().any(|stop| stop.minor > 4);
    // One that has just come does not know of all keys yet.
    let is_unwritten = observed.answers().filter_map(|(_, answer)| answer.revision).max() == Some(1);
    if !leaves_3_4 || upheld(Guard::WrittenBeforeUpgrade, !is_unwritten) {
        return None;
    }
    let what =
        "no key was ever written to this cluster: without one, etcd 3.5 and 3.6 take members of it for removed ones";
    let user = if desired.auth.as_ref().is_some_and(|auth| auth.enabled) { "--as root " } else { "" };
    let hint = format!("write one first, whichever: `quorate etcdctl {user}-- put /quorate/first 1`");
    Some(Blocked::new(Code::UpgradePath, what).hint(hint).declared_at(Place::Version))
}

/// Back is a way only while one member still speaks the old version.
pub fn downgrade(
    observed: &Observed,
    declared: Version,
    running: Version,
    highest: Version,
) -> Result<UpgradePath, Blocked> {
    let raised = observed.answers().filter_map(|(_, answer)| answer.cluster_version).max();
    let raised = raised.unwrap_or_else(|| of_cluster(running));
    let may = of_cluster(declared) >= raised && of_cluster(running) == of_cluster(declared);
    if upheld(Guard::NoDowngradeOfACluster, may) {
        return Ok(UpgradePath { stops: vec![declared], running: declared.min(running) });
    }
    let what = format!("cluster.toml declares etcd {declared}, but the cluster is already at {highest}: no downgrade");
    let hint = format!(
        "declare {highest}, or restore a snapshot from before the upgrade ({SNAPSHOTS_FOLDER}/before-… on a node); etcd's own \
         `etcdctl downgrade` is no part of quorate"
    );
    Err(Blocked::new(Code::Downgrade, what).hint(hint).declared_at(Place::Version))
}

/// Every version that the members are taken to, up to the declared one.
fn stops(desired: &Desired, observed: &Observed, running: Version) -> Result<Vec<Version>, Blocked> {
    let declared = desired.cluster.version;
    let via = match &desired.binaries {
        Binaries::Archive { via, .. } => Some(via),
        Binaries::Preinstalled { .. } | Binaries::Image | Binaries::Undeclared => None,
    };
    let mut stops = Vec::new();
    let mut missing = Vec::new();
    let mut at = running;
    for least in floors(running, declared) {
        let of_minor = |version: &Version| version.minor == least.minor && *version >= least;
        match via.and_then(|via| via.keys().copied().filter(of_minor).max()) {
            Some(stop) => stops.push(stop),
            None => missing.push(least),
        }
        at = least;
    }
    // What a further version lacks is told with it: a hint that is followed leads to no other refusal.
    let last = sound(at, declared)?;
    if missing.is_empty() {
        stops.push(last);
        return Ok(stops);
    }
    Err(no_stop(desired, observed, running, &missing))
}

/// The oldest patch of each minor version that every member must run on the way, the strictest need of each at once.
fn floors(running: Version, declared: Version) -> Vec<Version> {
    if running.major != declared.major || upheld(Guard::OneMinorAtATime, false) {
        return Vec::new();
    }
    let of = |minor| LAST_BEFORE.iter().find(|(of, _)| *of == minor).map(|(_, least)| *least);
    let stays = (running.minor < declared.minor).then(|| of(running.minor)).flatten();
    let between =
        (running.minor + 1..declared.minor).map(|minor| of(minor).unwrap_or(Version { minor, patch: 0, ..declared }));
    stays.filter(|least| running < *least).into_iter().chain(between).collect()
}

/// The refusal of a way over versions that cluster.toml names no archive of: all of them at once, for every architecture.
fn no_stop(desired: &Desired, observed: &Observed, running: Version, missing: &[Version]) -> Blocked {
    let declared = desired.cluster.version;
    let each: Vec<_> = missing.iter().map(|least| format!("{least} or a newer 3.{}", least.minor)).collect();
    let way = format!("before etcd {declared}, every member ({running} now) must run {}", each.join(", then "));
    let (what, hint) = if let Binaries::Archive { location, .. } = &desired.binaries {
        let of: BTreeSet<_> = observed.seen_hosts().map(|(_, host)| host.architecture).collect();
        let digests: Vec<_> = of.iter().map(|architecture| format!("{architecture} = \"SHA-256\"")).collect();
        let entry =
            |least: &Version| format!("`\"{least}\" = {{ {} }}` (or a newer 3.{})", digests.join(", "), least.minor);
        let entries: Vec<_> = missing.iter().map(entry).collect();
        let (ArchiveLocation::Url(location) | ArchiveLocation::Path(location)) = location;
        let several = match location.contains("{version}") {
            true => "",
            false => ", and write {version} where the archive's name has the version",
        };
        let none = if missing.len() == 1 { "no such version" } else { "none of them" };
        (
            format!("{way}, and [etcd.archive.via] lists {none}"),
            format!("add {} to [etcd.archive.via]{several}", entries.join(" and ")),
        )
    } else {
        (
            format!("{way}, and cluster.toml configures no archive for it"),
            format!("one at a time: declare as `version` {} first, and apply that", each[0]),
        )
    };
    Blocked::new(Code::UpgradePath, what).hint(hint).declared_at(Place::Version)
}

/// `to`, unless it is known to lose data.
fn sound(from: Version, to: Version) -> Result<Version, Blocked> {
    let goes_back = from.minor == 5 && to < from;
    broken(to).filter(|_| !goes_back).map_or(Ok(to), Err)
}

/// Why no cluster is to begin with `version`, nor be brought to it; `None` when nothing speaks against it.
pub fn broken(version: Version) -> Option<Blocked> {
    let is_broken = version.major == 3 && version.minor == 5 && version < FIRST_SOUND_3_5;
    is_broken.then(|| {
        let what = format!("etcd {version} can corrupt data");
        let hint = format!("declare {FIRST_SOUND_3_5} or newer");
        Blocked::new(Code::BrokenVersion, what).hint(hint).declared_at(Place::Version)
    })
}

pub fn upgrade<'a>(view: &'a View, membership: &Membership) -> &'a Upgrade {
    view.upgrade.get_or_init(|| {
        let upgrade_path = upgrade_path(view.desired, view.observed, membership);
        let gate = match &upgrade_path {
            Ok(upgrade_path) => may_go_on(view, membership, upgrade_path),
            Err(why) => Err(why.clone()),
        };
        Upgrade { upgrade_path, gate }
    })
}

pub fn upgrade_path_of<'a>(view: &'a View, membership: &Membership) -> &'a Result<UpgradePath, Blocked> {
    &upgrade(view, membership).upgrade_path
}

pub fn gate<'a>(view: &'a View, membership: &Membership) -> &'a Result<(), Blocked> {
    &upgrade(view, membership).gate
}

/// The version that members may be brought to now.
pub fn next_allowed(view: &View) -> Option<Version> {
    let membership = view.members()?;
    let stop = upgrade_path_of(view, membership).as_ref().ok()?.stops.first().copied()?;
    gate(view, membership).is_ok().then_some(stop)
}

/// Whether the next member may be taken to the next stop: everyone is well, nobody is joining, the cluster has settled at
/// the version before, and what the next version asks for is there.
fn may_go_on(view: &View, membership: &Membership, upgrade_path: &UpgradePath) -> Result<(), Blocked> {
    let Some(stop) = upgrade_path.stops.first().copied() else { return Ok(()) };
    let waits = |what: String| Blocked::new(Code::UpgradeWaits, what).declared_at(Place::Version);
    if upheld(Guard::WellBeforeUpgrade, false) {
        return Ok(());
    }
    let mut full = membership.members.iter().filter_map(|member| Some((&member.host, member.full.as_deref()?)));
    if let Some((who, full)) = full.next().filter(|_| !upheld(Guard::DiskNotFull, false)) {
        return Err(room::waits(who, full).declared_at(Place::Version));
    }
    if let Some(unwell) = membership.members.iter().find(|member| !member.is_well()) {
        let why = unwell.trouble().unwrap_or_default();
        let what = format!("the change to etcd {stop} waits: {} is unhealthy: {why}", unwell.title());
        return Err(waits(what).hint(format!("repair {} first: `quorate status` shows its state", unwell.title())));
    }
    if let Some(other) = membership.members.iter().find(|member| !member.declared) {
        let what =
            format!("the change to etcd {stop} waits until {} is removed: it is not in cluster.toml", other.title());
        return Err(waits(what));
    }
    if let Some(learner) = membership.learners().next() {
        return Err(waits(format!("the change to etcd {stop} waits until {} is a voter", learner.title())));
    }
    let voters = membership.voters().count();
    if voters <= 2 && view.desired.nodes.len() > 2 {
        return Err(waits(format!("the change to etcd {stop} waits until the cluster has three members")));
    }
    if voters <= 2 && view.desired.cluster.downtime == Downtime::Never {
        let what = format!("the change to etcd {stop} means an outage: the cluster has {}", count(voters, "voter"));
        let hint = "if an outage is acceptable, set `downtime = \"allowed\"` in [cluster]";
        return Err(Blocked::new(Code::DowntimeNeeded, what).hint(hint).declared_at(Place::Downtime));
    }
    let minor = |version: Version| (version.major, version.minor);
    if minor(stop) <= minor(upgrade_path.running) {
        snapshot_has_room(view, membership, stop)?;
        return archives_at_hand(view, upgrade_path);
    }
    let agreed = view.observed.answers().filter_map(|(_, answer)| answer.cluster_version).max();
    if agreed.is_none_or(|agreed| minor(agreed) < minor(upgrade_path.running)) {
        let agreed = agreed.map_or_else(|| "not known".to_owned(), |agreed| agreed.to_string());
        let what = format!("the change to etcd {stop} waits: the cluster version is still {agreed}");
        return Err(waits(what).hint("the leader raises it within seconds once every member runs the new version"));
    }
    if stop.minor >= 6 && upgrade_path.running.minor == 5 {
        v2store_is_clean(view, membership, stop)?;
    }
    if view.desired.cluster.layout.is_adopted() {
        knows_all_settings(view, stop)?;
    } else if stop.minor >= 7 {
        no_experimental_setting(view, stop)?;
    }
    snapshot_has_room(view, membership, stop)?;
    archives_at_hand(view, upgrade_path)
}

fn v2store_is_clean(view: &View, membership: &Membership, stop: Version) -> Result<(), Blocked> {
    for member in membership.voters() {
        let Some(host) = view.observed.host(&member.host) else { continue };
        let runs_3_5 = host.answer().is_some_and(|answer| answer.version.minor == 5);
        let what = match &host.v2store {
            _ if !runs_3_5 => continue,
            Some(V2Store::Clean) => continue,
            // The folder holds the tools of the next version by now; that etcd itself refuses such data at its start.
            None if matches!(view.desired.binaries, Binaries::Preinstalled { .. }) => continue,
            Some(V2Store::Refused(said)) => {
                format!("{} is not ready for etcd {stop}: `etcdutl check v2store`: {said}", member.host)
            }
            None => format!("{}: `etcdutl check v2store` was not run", member.host),
        };
        let hint = "run `quorate explain v2-store` for the fix";
        return Err(Blocked::new(Code::V2Store, what).on(&member.host).hint(hint).declared_at(Place::Version));
    }
    Ok(())
}

fn no_experimental_setting(view: &View, stop: Version) -> Result<(), Blocked> {
    for (name, host) in view.hosts() {
        let text = host.text_of(File::Config).unwrap_or_default();
        let keys = text.lines().filter(|line| line.starts_with("experimental-"));
        let keys: Vec<_> = keys.map(|line| format!("`{}`", line.split(':').next().unwrap_or(line))).collect();
        let (settings, them, successors) = match keys.len() {
            0 => continue,
            1 => ("setting", "is", "replace it in `extra` of [etcd] by its successor and apply that first"),
            _ => ("settings", "are", "replace them in `extra` of [etcd] by their successors and apply that first"),
        };
        let what =
            format!("etcd {stop} removed the {settings} {}, which {them} in etcd.yaml on {name}", keys.join(" and "));
        let blocked = Blocked::new(Code::ExperimentalSetting, what).on(name).hint(successors);
        return Err(blocked.declared_at(Place::EtcdExtra));
    }
    Ok(())
}

/// The same of somebody else's file. A flag that etcd does not know keeps it from starting; a variable has no effect any more,
/// which is told of those that have a successor.
fn knows_all_settings(view: &View, stop: Version) -> Result<(), Blocked> {
    let is_variable = adopted::form(view.desired) == Some(Form::Environment);
    for (name, host) in view.hosts() {
        let Some(said) = host.text_of(File::Settings).and_then(|text| adopted::read(view.desired, text).ok()) else {
            continue;
        };
        let is_lost =
            |setting: &&String| !is_known_to(setting, stop) && (!is_variable || setting.starts_with("experimental-"));
        if let Some(lost) = said.keys().find(is_lost) {
            let path = &view.desired.paths.config;
            let what = format!("etcd {stop} does not know the setting `{lost}`, which is in {path} on {name}");
            let hint =
                "replace it there by its successor, or take it out, on every member; then run `quorate plan` again";
            return Err(Blocked::new(Code::ExperimentalSetting, what).on(name).hint(hint).declared_at(Place::Version));
        }
    }
    Ok(())
}

/// Every archive on the way, and room for all of them, before the first step of it.
fn archives_at_hand(view: &View, upgrade_path: &UpgradePath) -> Result<(), Blocked> {
    if let (Binaries::Preinstalled { folder }, Some(stop)) = (&view.desired.binaries, upgrade_path.stops.first()) {
        let lacking: Vec<_> =
            view.hosts().filter(|(_, host)| !host.installed.contains_key(stop)).map(|(name, _)| name).collect();
        if let [first, _, ..] = lacking[..] {
            let host = view.observed.host(first).expect("it was seen");
            let Want::Impossible(why) = want(view.desired, view.observed, first, host, *stop) else { return Ok(()) };
            let what = format!("{folder} on {} does not contain etcd {stop}", listed(&lacking));
            return Err(Blocked { what, hosts: lacking.into_iter().cloned().collect(), ..why });
        }
    }
    for (name, host) in view.hosts() {
        let mut needs = Vec::new();
        for stop in &upgrade_path.stops {
            match want(view.desired, view.observed, name, host, *stop) {
                Want::Impossible(why) => return Err(why),
                Want::Install => needs.push(room::binaries(view.observed, host, *stop)),
                Want::Nothing => {}
            }
        }
        let what = format!("no room for the versions on the way to etcd {} on {name}", view.desired.cluster.version);
        if let Some(why) = room::refusal(view.desired, name, host, &needs, &what) {
            return Err(why.declared_at(Place::Version));
        }
    }
    Ok(())
}

/// Whether a member was taken to that version already. What others have put there while the old one runs is no beginning.
pub fn has_begun(view: &View, stop: Version) -> bool {
    // Whoever has begun it there has left no snapshot of ours.
    if view.desired.cluster.layout.is_adopted() {
        return false;
    }
    let is_theirs = matches!(view.desired.binaries, Binaries::Preinstalled { .. });
    let next = |host: &Host, running| if is_theirs { running } else { on_disk(view.desired, host) };
    view.observed.seen_hosts().any(|(_, host)| host.answer().is_some_and(|answer| next(host, answer.version) == stop))
}

/// Without the snapshot there is no way back.
fn snapshot_has_room(view: &View, membership: &Membership, stop: Version) -> Result<(), Blocked> {
    if is_saved(view.observed, SnapshotReason::Upgrade(stop)) || has_begun(view, stop) {
        return Ok(());
    }
    let voters = membership.voters().map(|member| &member.host);
    room::saver(view.desired, view.observed, voters, &no_room_for_snapshot(stop)).map(drop)
}

pub fn no_room_for_snapshot(stop: Version) -> String {
    format!("no room for the snapshot before the upgrade to etcd {stop}")
}

/// Whether a change of the unit takes a member to an older version.
pub fn goes_back(view: &View, action: &Action) -> bool {
    let definition = runtime::definition(view.desired);
    let Some((host, file, text)) = action.written() else { return false };
    if file != definition {
        return false;
    }
    let before = view.observed.host(host).and_then(|host| host.text_of(definition));
    let version = |text: &str| runtime::version_in(view.desired, text);
    matches!((before.and_then(version), version(text)), (Some(before), Some(after)) if after < before)
}

pub enum Want {
    Nothing,
    Install,
    Impossible(Blocked),
}

pub fn want(desired: &Desired, observed: &Observed, name: &HostName, host: &Host, version: Version) -> Want {
    let installed = host.installed.get(&version);
    match (&desired.binaries, installed) {
        (Binaries::Preinstalled { .. } | Binaries::Undeclared, Some(_)) | (Binaries::Image, _) => Want::Nothing,
        (Binaries::Preinstalled { folder }, None) => {
            let what = format!("{folder} on {name} does not contain etcd {version}");
            let runs = host.answer().map(|answer| answer.version).filter(|running| *running > version);
            let hint = match runs.filter(|_| desired.cluster.layout.is_adopted()) {
                Some(newer) => format!("{newer} runs there: set `version = \"{newer}\"` in [cluster]"),
                None if desired.cluster.layout.is_adopted() => {
                    "install it there, without a restart of etcd: `quorate apply` restarts one member after the other"
                        .to_owned()
                }
                None => "install it there, or configure an archive in [etcd.archive]".to_owned(),
            };
            let blocked = Blocked::new(Code::BinariesUndeclared, what).on(name).hint(hint);
            Want::Impossible(blocked.declared_at(Place::ArchivePreinstalled))
        }
        (Binaries::Undeclared, None) => {
            let what = format!("{name} needs etcd {version}, but no archive is configured");
            let hint = "add [etcd.archive] with `url` or `path`, and `sha256`";
            Want::Impossible(
                Blocked::new(Code::BinariesUndeclared, what).on(name).hint(hint).declared_at(Place::Version),
            )
        }
        (Binaries::Archive { .. }, Some(Installed { archive })) => {
            let declared = desired.archive_digest(version, host.architecture);
            // A version that is not declared any more is only kept running.
            if declared.is_none() && version != desired.cluster.version || *archive == declared {
                return Want::Nothing;
            }
            let what = format!("{} on {name} does not match the declared archive", desired.binaries_folder_of(version));
            let hint = "correct `sha256`, or move that directory aside on the host";
            let blocked = Blocked::new(Code::BinariesForeign, what).on(name).hint(hint);
            Want::Impossible(blocked.declared_at(Place::ArchiveSha256))
        }
        (Binaries::Archive { .. }, None) => {
            let seen = observed.workstation.archives.get(&version).and_then(|of| of.get(&host.architecture));
            match seen {
                Some(Seen::Known(_)) => {
                    let needs = [room::binaries(observed, host, version)];
                    let what = format!("no room to install etcd {version} on {name}");
                    match room::refusal(desired, name, host, &needs, &what) {
                        Some(why) => Want::Impossible(why.declared_at(Place::Version)),
                        None => Want::Install,
                    }
                }
                Some(Seen::Unknown(cause)) => Want::Impossible(Blocked::unseen(cause).declared_at(Place::Archive)),
                None => {
                    let what = format!("the archive of etcd {version} for {} was not checked", host.architecture);
                    let hint = format!(
                        "add `\"{version}\" = {{ {} = \"SHA-256\" }}` to [etcd.archive.via]",
                        host.architecture
                    );
                    Want::Impossible(Blocked::new(Code::ArchiveUnusable, what).hint(hint).declared_at(Place::Archive))
                }
            }
        }
    }
}

/// The versions and architectures that some host still needs the archive of: only those are fetched and checked.
pub fn wanted_archives(desired: &Desired, observed: &Observed) -> BTreeSet<(Version, Architecture)> {
    let Binaries::Archive { .. } = &desired.binaries else { return BTreeSet::new() };
    let declared = desired.cluster.version;
    let mut versions = BTreeSet::from([declared]);
    if let Some(membership) = Membership::of(desired, observed) {
        match upgrade_path(desired, observed, &membership) {
            Ok(upgrade_path) => versions.extend(upgrade_path.stops.into_iter().chain([upgrade_path.running])),
            Err(_) => versions.extend(lowest(desired, observed, &membership)),
        }
    }
    let missing = |version: Version| {
        let without = observed.seen_hosts().filter(move |(_, host)| !host.installed.contains_key(&version));
        without.map(move |(_, host)| (version, host.architecture))
    };
    let wanted = versions.into_iter().flat_map(missing);
    wanted.filter(|(version, of)| *version == declared || desired.archive_digest(*version, *of).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().expect("a version")
    }

    fn floors_of(running: &str, declared: &str) -> Vec<String> {
        floors(version(running), version(declared)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_minor_version_on_the_way_has_its_strictest_need_at_once() {
        assert_eq!(floors_of("3.4.23", "3.5.30"), [""; 0]);
        assert_eq!(floors_of("3.4.23", "3.6.16"), ["3.5.26"], "3.5.6 would be sound, and too old for 3.6");
        assert_eq!(floors_of("3.4.23", "3.7.1"), ["3.5.26", "3.6.11"]);
        assert_eq!(floors_of("3.5.16", "3.6.16"), ["3.5.26"]);
        assert_eq!(floors_of("3.5.16", "3.7.1"), ["3.5.26", "3.6.11"]);
        assert_eq!(floors_of("3.5.30", "3.6.0"), [""; 0]);
        assert_eq!(floors_of("3.5.30", "3.7.1"), ["3.6.11"]);
        assert_eq!(floors_of("3.6.4", "3.7.1"), ["3.6.11"]);
    }

    #[test]
    fn who_follows_the_needs_meets_no_other() {
        for declared in ["3.5.30", "3.6.16", "3.7.1"].map(version) {
            for running in ["3.4.0", "3.4.23", "3.5.6", "3.5.16", "3.5.26", "3.6.0", "3.6.11"].map(version) {
                if running > declared {
                    continue;
                }
                let mut at = running;
                for least in floors(running, declared) {
                    assert!(floors(at, least).is_empty(), "{at} goes to {least} at once");
                    at = least;
                }
                assert_eq!(floors(at, declared), [], "from {at} to {declared}");
            }
        }
    }
}
