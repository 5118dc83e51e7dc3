//! Scheduled snapshots: a script, its service and timer on every node of `[backup]`, and a client certificate for them.
//!
//! ```text
//! user (where etcd asks who comes) ─► certificate ─► script ─► service, timer ─► the timer is on
//! ```
//!
//! Each run is decided on the nodes, by a lock in etcd (content/backup.sh): the timers of all nodes fire, and one takes
//! the snapshot. Nothing here depends on who that was.

use super::unreachable;
use crate::core::cluster::changed;
use crate::core::cluster::leaf;
use crate::core::cluster::room;
use crate::core::cluster::snapshot;
use crate::core::cluster::view::View;
use crate::core::code::Code;
use crate::core::content::backup::{SCRIPT_DIGEST, service, timer};
use crate::core::content::layout::{self, OF_BACKUPS};
use crate::core::count::size;
use crate::core::desired::{Backup, Compression, Desired, Place};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{Digest, HostName, RoleName, UnixSeconds, UserName};
use crate::core::observed::auth::BACKUP;
use crate::core::observed::{
    Drill, File, FileFact, Host, LastRun, Observed, Outcome, Role, Scheduled, Seen, Snapshot, Stored,
};
use crate::core::plan::action::{Action, BackupAction, FileAction, Readiness};
use crate::core::plan::ruling::{Blocked, Draft, Finding, Ruling};
use crate::core::span;

/// What is needed from outside, on every node.
pub fn obstacles(view: &View) -> Ruling {
    Ruling { step: None, blocked: view.hosts().flat_map(|(name, host)| missing(view.desired, name, host)).collect() }
}

/// Of the program that compresses, the mount that was declared, and etcdctl, what is not there.
fn missing(desired: &Desired, name: &HostName, host: &Host) -> impl Iterator<Item = Blocked> + use<> {
    let of = [without_program, without_mount, without_etcdctl].map(|of| of(desired, name, host));
    of.into_iter().flatten()
}

/// Whoever declares a mount does not want the snapshots on the disk below it.
fn without_mount(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    let backup = desired.backup_on(name)?;
    let lies_at = host.scheduled.as_ref()?.unmounted.as_ref().filter(|_| backup.mount)?;
    if upheld(Guard::BackupIsMounted, false) {
        return None;
    }
    let directory = &backup.directory;
    let what = format!(
        "{directory} on {name} is not mounted: it is on the file system of {lies_at}, and `mount` in [backup] is true"
    );
    let hint = format!("mount it there (`findmnt -T {directory}` shows what is), or remove `mount`");
    Some(Blocked::new(Code::BackupNotMounted, what).on(name).hint(hint).declared_at(Place::BackupMount))
}

fn without_program(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    let compression = desired.backup_on(name)?.compression;
    let program = compression.program()?;
    let there = host.scheduled.as_ref().is_none_or(|scheduled| scheduled.compressor);
    if upheld(Guard::BackupCanRun, there) {
        return None;
    }
    let what = format!("{name} has no {program}, which `compression` in [backup] uses");
    let instead = match compression {
        Compression::Zstd => "`compression = \"gzip\"`, which every Debian has",
        Compression::Gzip | Compression::None => "`compression = \"none\"`",
    };
    let hint = format!("install it there (`apt-get install {program}`), or set {instead}");
    Some(Blocked::new(Code::CompressorMissing, what).on(name).hint(hint).declared_at(Place::BackupCompression))
}

/// Distributions have it in a package of its own.
fn without_etcdctl(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    desired.backup_on(name)?;
    let lacks_it = host.scheduled.as_ref().is_some_and(|scheduled| scheduled.without_etcdctl);
    if upheld(Guard::BackupCanRun, !lacks_it) {
        return None;
    }
    let folder = host.process.as_ref().map(|process| process.executable.parent())?;
    let what =
        format!("there is no etcdctl in {folder} on {name}, beside the etcd that runs: snapshots are saved with it");
    let hint = "install the one of the same version there (Debian: `apt-get install etcd-client`)";
    Some(Blocked::new(Code::EtcdctlMissing, what).on(name).hint(hint).declared_at(Place::Backup))
}

/// What a run on this node would lack, though every file were there.
fn lacks(desired: &Desired, observed: &Observed, name: &HostName, host: &Host) -> Option<String> {
    if let Some(blocked) = missing(desired, name, host).next() {
        return Some(blocked.what);
    }
    let known = match &observed.auth {
        Some(Seen::Known(store)) if store.enabled => {
            let root = RoleName::new(crate::core::observed::auth::ROOT);
            store.users.get(&UserName::new(BACKUP)).is_some_and(|user| user.roles.contains(&root))
        }
        Some(_) | None => true,
    };
    let certified = leaf::is_right(desired, observed, name, host, Role::BackupClient);
    let missing = match (known, certified) {
        (false, _) => Some(format!("authentication is on, and etcd has no user {BACKUP}")),
        (true, false) => Some("its certificate is missing".to_owned()),
        (true, true) => None,
    };
    missing.filter(|_| !upheld(Guard::BackupCanRun, false))
}

pub fn next(view: &View) -> Ruling {
    let mut ruling = obstacles(view);
    if view.membership().is_none() {
        return ruling;
    }
    ruling.step = remove(view)
        .or_else(|| install_script(view))
        .or_else(|| write(view, File::BackupService))
        .or_else(|| write(view, File::BackupTimer))
        .or_else(|| enable(view));
    ruling
}

/// The nodes of the policy on which a run can succeed.
fn nodes<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a HostName, &'a Host, &'a Backup)> {
    let (desired, observed) = (view.desired, view.observed);
    view.hosts().filter_map(move |(name, host)| {
        let policy = desired.backup_on(name)?;
        lacks(desired, observed, name, host).is_none().then_some((name, host, policy))
    })
}

fn draft(view: &View, actions: Vec<Action>, what: impl Into<String>, place: Place) -> Option<Draft> {
    draft_for(view, actions, vec![what.into()], place)
}

fn draft_for(view: &View, actions: Vec<Action>, what: Vec<String>, place: Place) -> Option<Draft> {
    let because = what.into_iter().map(|what| view.reason(what, place)).collect();
    (!actions.is_empty()).then_some(Draft { actions, because, needs: Default::default() })
}

/// From hosts that take no snapshots any more.
fn remove(view: &View) -> Option<Draft> {
    let of_others =
        view.hosts().filter(|(name, host)| view.desired.backup_on(name).is_none() && is_there(view.desired, host));
    let actions = of_others.map(|(name, _)| Action::Backup(BackupAction::Remove { host: name.clone() })).collect();
    let what = match view.desired.backup {
        Some(_) => "this node is not in `nodes` of [backup]",
        None => "cluster.toml has no [backup]",
    };
    draft(view, actions, what, Place::BackupNodes)
}

/// A pair alone may be somebody else's in their folder.
fn is_there(desired: &Desired, host: &Host) -> bool {
    let marks = if desired.cluster.layout.is_adopted() { &OF_BACKUPS[..3] } else { &OF_BACKUPS[..] };
    marks.iter().any(|file| host.files.contains_key(file))
}

fn install_script(view: &View) -> Option<Draft> {
    let without: Vec<_> = nodes(view).filter(|(_, host, _)| !has_script(host)).collect();
    let mut what: Vec<_> = without.iter().map(|(_, host, _)| of_script(host)).collect();
    what.sort();
    what.dedup();
    let without = without.into_iter();
    let actions =
        without.map(|(name, ..)| Action::Backup(BackupAction::InstallScript { host: name.clone() })).collect();
    draft_for(view, actions, what, Place::Backup)
}

/// Its text never leaves the host, so its digest stands for it.
fn of_script(host: &Host) -> String {
    let short = |digest: &Digest| digest.to_string()[..12].to_owned();
    match host.files.get(&File::BackupScript) {
        None => "the backup script is missing".to_owned(),
        Some(fact) => format!("the backup script: SHA-256 {} → {}", short(&fact.digest), short(&SCRIPT_DIGEST)),
    }
}

fn has_script(host: &Host) -> bool {
    host.files.get(&File::BackupScript).is_some_and(|fact| fact.digest == *SCRIPT_DIGEST)
}

/// The text of one of the two units.
fn text(desired: &Desired, host: &HostName, policy: &Backup, file: File) -> String {
    if file == File::BackupTimer { timer(desired, policy) } else { service(desired, policy, host) }
}

fn write(view: &View, file: File) -> Option<Draft> {
    let (unit, place) = match file {
        File::BackupTimer => ("the backup timer", Place::BackupSchedule),
        _ => ("the backup service", Place::Backup),
    };
    let (mut actions, mut what) = (Vec::new(), Vec::new());
    for (name, host, policy) in nodes(view) {
        let text = text(view.desired, name, policy, file);
        let before = host.text_of(file);
        if before == Some(text.as_str()) {
            continue;
        }
        let changes = match before {
            None if host.files.contains_key(&file) => vec![format!("{unit} could not be read")],
            None => vec![format!("{unit} is missing")],
            Some(before) => match changed::settings(before, &text) {
                changes if changes.is_empty() => vec![format!("{unit} differs from cluster.toml")],
                changes => changes.into_iter().map(|change| format!("{unit}: {change}")).collect(),
            },
        };
        what.extend(changes.into_iter().filter(|change| !what.contains(change)).collect::<Vec<_>>());
        actions.push(Action::File(FileAction::Write { host: name.clone(), file, text }));
    }
    draft_for(view, actions, what, place)
}

fn enable(view: &View) -> Option<Draft> {
    let off = nodes(view).filter(|(_, host, _)| !is_on(host));
    let actions = off.map(|(name, ..)| Action::Backup(BackupAction::Enable { host: name.clone() })).collect();
    draft(view, actions, "the backup timer is not running", Place::Backup)
}

fn is_on(host: &Host) -> bool {
    host.scheduled.as_ref().is_some_and(|is| is.enabled && is.active && !is.needs_reload)
}

pub fn script_readiness(desired: &Desired, observed: &Observed, name: &HostName) -> Readiness {
    match observed.host(name) {
        None => unreachable(name),
        Some(_) if desired.backup_on(name).is_none() => Readiness::Refused(format!(
            "{name} takes no snapshots \
                                                                                    according to cluster.toml"
        )),
        Some(host) if has_script(host) => Readiness::Done,
        Some(_) => Readiness::Ready,
    }
}

pub fn script_effect(observed: &mut Observed, name: &HostName) {
    let Some(host) = observed.host_mut(name) else { return };
    let fact = FileFact { access: layout::access(File::BackupScript), digest: *SCRIPT_DIGEST, text: None };
    host.files.insert(File::BackupScript, fact);
}

pub fn enable_readiness(desired: &Desired, observed: &Observed, name: &HostName) -> Readiness {
    let (host, policy) = match (observed.host(name), desired.backup_on(name)) {
        (None, _) => return unreachable(name),
        (Some(_), None) => return Readiness::Refused(format!("{name} takes no snapshots according to cluster.toml")),
        (Some(host), Some(policy)) => (host, policy),
    };
    let as_declared = |file| host.text_of(file) == Some(text(desired, name, policy, file).as_str());
    let whole = has_script(host) && as_declared(File::BackupService) && as_declared(File::BackupTimer);
    match lacks(desired, observed, name, host) {
        Some(why) => Readiness::Refused(why),
        None if !whole => Readiness::Refused(format!("the backup script or units on {name} differ from cluster.toml")),
        None if is_on(host) => Readiness::Done,
        None => Readiness::Ready,
    }
}

pub fn enable_effect(observed: &mut Observed, name: &HostName) {
    let Some(host) = observed.host_mut(name) else { return };
    let is = host.scheduled.get_or_insert_with(|| Scheduled { compressor: true, ..Scheduled::default() });
    is.enabled = true;
    is.active = true;
    is.needs_reload = false;
}

pub fn remove_readiness(desired: &Desired, observed: &Observed, name: &HostName) -> Readiness {
    match observed.host(name) {
        None => unreachable(name),
        Some(_) if desired.backup_on(name).is_some() => Readiness::Refused(format!(
            "{name} takes snapshots according \
                                                                                    to cluster.toml"
        )),
        Some(host) if is_there(desired, host) => Readiness::Ready,
        Some(_) => Readiness::Done,
    }
}

/// The snapshots stay.
pub fn remove_effect(observed: &mut Observed, name: &HostName) {
    let Some(host) = observed.host_mut(name) else { return };
    for file in OF_BACKUPS {
        host.files.remove(&file);
    }
    host.certificates.remove(&Role::BackupClient);
    if let Some(is) = &mut host.scheduled {
        is.enabled = false;
        is.active = false;
        is.needs_reload = false;
    }
}

/// The newest finished snapshot of this cluster on any node that was seen, and where it lies. Where no member says which
/// cluster this is, it is the only one that has snapshots there.
pub fn last(observed: &Observed) -> Option<(&HostName, &Snapshot)> {
    let lying = observed.seen_hosts().filter_map(|(name, host)| Some((name, &host.scheduled.as_ref()?.newest)));
    let all: Vec<_> = lying.flat_map(|(name, newest)| newest.iter().map(move |one| (name, one))).collect();
    let alone = || snapshot::only(all.iter().map(|(_, snapshot)| snapshot.cluster));
    let ours = snapshot::live_cluster(observed).or_else(alone)?;
    all.into_iter().filter(|(_, snapshot)| snapshot.cluster == ours).max_by_key(|(_, snapshot)| snapshot.at)
}

/// How the last run of each node ended that was seen.
pub fn runs<'a>(desired: &'a Desired, observed: &'a Observed) -> impl Iterator<Item = (&'a HostName, &'a LastRun)> {
    let of = observed.seen_hosts().filter(|(name, _)| desired.backup_on(name).is_some());
    of.filter_map(|(name, host)| Some((name, host.scheduled.as_ref()?.run.as_ref()?)))
}

/// The last drill of this cluster, as any node that was seen has noted it.
pub fn last_drill(observed: &Observed) -> Option<&Drill> {
    let ours = snapshot::live_cluster(observed);
    let is_ours = |drill: &&Drill| match (drill.cluster_id, ours) {
        (Some(cluster), Some(ours)) => cluster == ours,
        _ => true,
    };
    let all = observed.seen_hosts().filter_map(|(_, host)| host.scheduled.as_ref()?.drill.as_ref()).filter(is_ours);
    all.max_by_key(|drill| drill.at)
}

/// Nodes on which the next snapshot would be refused for want of room, as the script there decides it (content/backup.sh, `room`).
pub fn without_room(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let of = |(name, host): (&HostName, &Host)| {
        let backup = desired.backup_on(name)?;
        let free = host.room.get(&Stored::Backups)?.available_bytes;
        let database = host.answer()?.database_bytes;
        let copies = if backup.compression.program().is_some() { 2 } else { 1 };
        let needed = room::snapshot_bytes(host, Stored::Backups, copies)?;
        (free < needed).then(|| Finding {
            code: Code::BackupSpace,
            hosts: vec![name.clone()],
            what: format!(
                "the next snapshot needs {} in {} on {name} (the database has {}), and {} are free",
                size(needed),
                backup.directory,
                size(database),
                size(free)
            ),
            hint: Some("make room there, set a smaller `keep`, or choose another `directory` in [backup]".to_owned()),
        })
    };
    observed.seen_hosts().filter_map(of).collect()
}

/// How long after its slot a snapshot may still be under way.
const UNDER_WAY_SECONDS: i64 = 600;

/// When the first snapshot is due, while there is none because the timers were started lately. A run that has failed is a
/// reason of its own.
pub fn first_due(desired: &Desired, observed: &Observed) -> Option<UnixSeconds> {
    let schedule = &desired.backup.as_ref()?.schedule;
    let on = observed.seen_hosts().filter(|(name, host)| desired.backup_on(name).is_some() && is_on(host));
    let on: Vec<_> = on.map(|(_, host)| host.scheduled.as_ref()).collect::<Option<_>>()?;
    let has_failed = |scheduled: &&Scheduled| scheduled.run.as_ref().is_some_and(|run| run.outcome == Outcome::Failed);
    if on.iter().any(has_failed) {
        return None;
    }
    let since: Option<Vec<_>> = on.into_iter().map(|scheduled| scheduled.since).collect();
    let due = schedule.first_after(since?.into_iter().min()?)?;
    (last(observed).is_none() && observed.at.0 < due.0 + UNDER_WAY_SECONDS).then_some(due)
}

/// A last snapshot that is older than it may be. A node that was not seen may hold a newer one.
pub fn findings(desired: &Desired, observed: &Observed) -> Option<Finding> {
    let backup = desired.backup.as_ref()?;
    let max_age = i64::try_from(backup.max_age_seconds?).unwrap_or(i64::MAX);
    // Before the timers are there it is no news.
    if !observed.seen_hosts().any(|(_, host)| is_on(host)) {
        return None;
    }
    let what = match last(observed) {
        Some((_, snapshot)) if observed.at.0 - snapshot.at.0 <= max_age => return None,
        Some((host, snapshot)) => {
            format!(
                "the last snapshot is {} old: {} on {host}",
                span::age(observed.at.0 - snapshot.at.0),
                snapshot.name
            )
        }
        None if first_due(desired, observed).is_some() => return None,
        None => "no completed snapshot on any node".to_owned(),
    };
    let unseen: Vec<_> =
        backup.nodes.iter().filter(|name| observed.host(name).is_none()).map(HostName::as_str).collect();
    let what = match unseen.as_slice() {
        [] => what,
        unseen => format!("{what}; unreachable: {}", unseen.join(", ")),
    };
    let hint = format!("run `journalctl -u {}` on the nodes", layout::BACKUP_SERVICE);
    Some(Finding { code: Code::BackupTooOld, hosts: Vec::new(), what, hint: Some(hint) })
}
