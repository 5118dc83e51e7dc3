//! What the next start of etcd on a host needs, with what will be on disk then. It is asked before anything is laid ready
//! for a start, and before every stop, restart and start: a member that could not come back is not touched.

use std::collections::BTreeSet;

use crate::core::cluster::adopted::obstacles as adopted_obstacles;
use crate::core::cluster::{bare, staged, version};
use crate::core::code::Code;
use crate::core::content::{self, adopted, layout};
use crate::core::desired::{Desired, Layout, Place};
use crate::core::forbidden;
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, RemotePath};
use crate::core::observed::{DataDirectory, File, Folder, Host, Location, Needed, Observed, Restricted, Restriction};
use crate::core::plan::ruling::{Blocked, Finding};

/// Everything that keeps etcd from starting on a host, or from starting with its data.
pub fn obstacles(desired: &Desired, name: &HostName, host: &Host) -> Vec<Blocked> {
    let mut found = Vec::new();
    if !upheld(Guard::DataStaysWithMember, false) {
        found.extend(data_elsewhere(desired, name, host));
    }
    found.extend(adopted_obstacles(desired, name, host));
    if !upheld(Guard::ComesBack, false) {
        let at = |(needed, location): (&Needed, &Location)| obstacle(desired, name, host, *needed, location);
        found.extend(host.locations.iter().filter_map(at));
        // Where somebody else's etcd listens, and as whom it runs, is theirs.
        let layout = desired.cluster.layout;
        let is_bare = layout.is_set_up_by_us() && host.process.is_none() && bare::is_bare(host);
        if !layout.is_adopted() || is_bare {
            found.extend(lacks_address(desired, name, host));
        }
        if !layout.is_adopted() {
            found.extend(privileged(desired, name, host));
            found.extend(another_user(name, host));
        }
        found.extend(another_program(desired, name, host));
        // One that is stopped is told so when it is to be started.
        if host.process.is_some() {
            found.extend(staged::port_taken(name, host));
        }
    }
    found
}

/// Of all declared hosts that were seen.
pub fn all_obstacles(desired: &Desired, observed: &Observed) -> Vec<Blocked> {
    let seen = desired.nodes.keys().filter_map(|name| Some((name, observed.host(name)?)));
    seen.flat_map(|(name, host)| obstacles(desired, name, host)).collect()
}

/// What is there already, and gone after a boot.
pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let on = |(name, host): (&HostName, &Host)| -> Vec<Finding> {
        let there = host.locations.iter().filter(|(needed, _)| is_there(desired, host, **needed));
        let told = there.filter_map(|(needed, location)| {
            let why = lost_at_boot(location)?;
            let what = format!("{name} would lose its {} at the next boot: {why}", thing(*needed));
            let hint = Some(another(*needed).to_owned());
            Some(Finding { code: Code::LostAtBoot, hosts: vec![name.clone()], what, hint })
        });
        told.collect()
    };
    let declared = observed.seen_hosts().filter(|(name, _)| desired.nodes.contains_key(*name));
    declared.flat_map(on).collect()
}

/// Where the data of a member is that quorate itself can bring to the declared directory: one that it has made, while there
/// is nothing else in that directory.
pub fn movable<'a>(desired: &Desired, host: &'a Host) -> Option<&'a RemotePath> {
    let (from, to) = (host.data_elsewhere.as_ref()?, &desired.paths.data);
    let is_ours = host.text_of(File::Config).is_some_and(content::is_kept)
        && !host.process.as_ref().is_some_and(|process| process.foreign_config);
    let is_apart = !from.is_within(to) && !to.is_within(from);
    (is_ours && is_apart && host.data == DataDirectory::Empty).then_some(from)
}

fn data_elsewhere(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    let is = host.data_elsewhere.as_ref().filter(|_| movable(desired, host).is_none())?;
    let declared = &desired.paths.data;
    let (what, keep) = match host.data {
        DataDirectory::Empty | DataDirectory::NotMounted | DataDirectory::DeadLink => (
            format!("the data of {name} is in {is}, and {declared} is declared: etcd would start there without it"),
            "to keep it there",
        ),
        DataDirectory::Member | DataDirectory::NoLog | DataDirectory::NoDatabase | DataDirectory::Foreign => (
            format!("the data of {name} is in {is}, and {declared}, which is declared, holds something else"),
            "if the first is right",
        ),
    };
    let is_possible = forbidden::hidden(is).is_none() && forbidden::volatile(is).is_none();
    let declare = if is_possible { format!("{keep}, set `data = \"{is}\"` in [paths]; ") } else { String::new() };
    let hint = format!("{declare}to move data by hand, see `quorate explain {}`", Code::DataElsewhere);
    Some(Blocked::new(Code::DataElsewhere, what).on(name).hint(hint).declared_at(Place::PathsData))
}

/// etcd would not start where it cannot listen.
fn lacks_address(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    let address = &desired.nodes.get(name).filter(|_| host.lacks_address)?.address;
    let what =
        format!("etcd on {name} could not start again: {address}, where it is to listen, is on no interface there");
    let hint = "add the address to the host, or declare one that it has (`ip address`)";
    Some(Blocked::new(Code::CannotStart, what).on(name).hint(hint).declared_at(Place::NodeAddress(name)))
}

/// Its unit does not run etcd as root. A drop-in may give it the right.
fn privileged(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    let port = host.privileged_ports.first().filter(|_| host.service.drop_ins.is_empty())?;
    let what = format!(
        "etcd on {name} could not start again: it is to listen on port {port}, and on that only root may there \
         (net.ipv4.ip_unprivileged_port_start)"
    );
    let hint = "choose ports from 1024 on in [ports], or lower that sysctl on the host, in /etc/sysctl.d";
    let place = match *port {
        port if port == desired.ports.client => Place::ClientPort,
        port if port == desired.ports.peer => Place::PeerPort,
        _ => Place::MetricsPort,
    };
    Some(Blocked::new(Code::CannotStart, what).on(name).hint(hint).declared_at(place))
}

/// Its keys and its data are its own user's alone; only root can read them, too.
fn another_user(name: &HostName, host: &Host) -> Option<Blocked> {
    let is_unable = |user: &&String| !["", "root"].contains(&user.as_str()) && user.parse::<u32>().is_err();
    let user = host.service.runs_as.as_ref().filter(is_unable)?;
    let account = layout::ACCOUNT;
    let what = format!(
        "etcd on {name} could not start again: a drop-in of its unit sets `User={user}`, and its keys and its data are for \
         {account} alone"
    );
    let hint = "`systemctl cat` of the unit shows which drop-in: remove User from it";
    Some(Blocked::new(Code::CannotStart, what).on(name).hint(hint).declared_at(Place::PathsService))
}

/// What takes the place of flags in a drop-in.
pub const DECLARE_SETTINGS: &str = "declare etcd's settings in [etcd], [ports] and [paths] of cluster.toml";

/// What a drop-in has in the place of our ExecStart is not what cluster.toml says, and whether it starts nobody knows.
pub fn overridden(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    // A file of variables is read whatever a drop-in starts.
    if desired.cluster.layout.is_adopted() && desired.cluster.layout != Layout::Unit {
        return None;
    }
    let overrides = |(_, settings): &(&RemotePath, &BTreeSet<String>)| settings.contains("ExecStart");
    let (path, _) = host.service.drop_ins.iter().find(overrides).filter(|_| !upheld(Guard::ComesBack, false))?;
    let what = format!("etcd on {name} would not start as cluster.toml says: {path} overrides ExecStart of its unit");
    let hint = format!("{DECLARE_SETTINGS}, then remove ExecStart from it");
    Some(Blocked::new(Code::DropIn, what).on(name).hint(hint).declared_at(Place::PathsService))
}

/// Somebody has put another program there while etcd runs, and it is not the one of the declared archive.
fn another_program(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    let process = host.process.as_ref().filter(|process| process.executable_replaced)?;
    let version = version::on_disk(desired, host);
    let declared = desired.archive_digest(version, host.architecture)?;
    let installed = host.installed.get(&version).filter(|installed| installed.archive != Some(declared))?;
    let why = match installed.archive {
        Some(_) => "is of another archive than the declared one",
        None => "is not as quorate has installed it",
    };
    let what =
        format!("etcd on {name} may not start again: {} was replaced since it started, and {why}", process.executable);
    let folder = desired.binaries_folder_of(version);
    let hint = format!("move {folder} aside on the host (etcd goes on): the next apply installs the declared archive");
    Some(Blocked::new(Code::BinariesForeign, what).on(name).hint(hint).declared_at(Place::ArchiveSha256))
}

/// What is wrong with one of the places that etcd needs.
fn obstacle(desired: &Desired, name: &HostName, host: &Host, needed: Needed, location: &Location) -> Option<Blocked> {
    let path = layout::needed_path(desired, needed);
    let place = if location.real == path { path.to_string() } else { format!("{path} (a link to {})", location.real) };
    let its =
        format!("its {} {} in {place}", thing(needed), if is_there(desired, host, needed) { "is" } else { "would be" });
    let refused = |code: Code, why: String, hint: String| {
        Some(Blocked::new(code, why).on(name).hint(hint).declared_at(declared_at(needed)))
    };
    let cannot = format!("etcd on {name} could not start again");
    let other = another(needed);
    let is_adopted = desired.cluster.layout.is_adopted();
    if let Some((directive, folder)) = forbidden::hidden(&location.real).filter(|_| !is_adopted) {
        let why = format!("{cannot}: its unit hides {folder} ({}), and {its}", directive.line);
        return refused(Code::CannotStart, why, format!("{other}, outside of {folder}"));
    }
    let mount = &location.mount;
    let point = &mount.point;
    // Before whoever may execute it: then nobody may.
    if needed == Needed::Binary && mount.no_exec {
        let why = format!("{cannot}: {point} is mounted noexec, and {its}");
        return refused(
            Code::CannotStart,
            why,
            format!("`mount -o remount,exec {point}` and /etc/fstab on the host, or {other}"),
        );
    }
    // Owners and modes of our own directories are put back before a start.
    let is_ours = |path: &RemotePath| {
        !is_adopted && Folder::ALL.iter().any(|folder| layout::folder_path(desired, *folder) == *path)
    };
    if let Some(closed) = location.closed.as_ref().filter(|closed| !is_ours(&closed.path)) {
        let account = host.service.runs_as.as_deref().filter(|_| is_adopted).unwrap_or(layout::account(desired));
        let (at, access) = (&closed.path, &closed.access);
        if needed == Needed::Data && at.is_within(&path) {
            let why = format!("{cannot}: it runs as the user {account}, and {at} is {access}");
            return refused(Code::CannotStart, why, format!("`chown -R {account}:{account} {path}` on the host"));
        }
        let (does, way) = if closed.path == path { ("execute", "a+rx") } else { ("enter", "o+x") };
        let why = format!("{cannot}: the user {account} cannot {does} {at} ({access}), and {its}");
        return refused(Code::CannotStart, why, format!("`chmod {way} {at}` on the host, or {other}"));
    }
    if let Some((does, restriction)) = restricted(host, needed, &location.real) {
        let what = if is_adopted { "its unit" } else { "a drop-in of its unit" };
        let why = format!("{cannot}: {what} {does} {} ({}), and {its}", restriction.path, restriction.line);
        return refused(
            Code::CannotStart,
            why,
            format!("`systemctl cat` of the unit shows which one: change it, or {other}"),
        );
    }
    if needed == Needed::Data && mount.read_only {
        let why = format!("{cannot}: {point} is mounted read-only, and {its}");
        return refused(Code::CannotStart, why, format!("`mount -o remount,rw {point}` on the host, or {other}"));
    }
    // A member that runs there already loses nothing by a restart: that is told, and keeps nothing from being done.
    let why = lost_at_boot(location).filter(|_| !is_there(desired, host, needed))?;
    let why = format!("{name} would lose its {} at the next boot: {why}, and {its}", thing(needed));
    refused(Code::LostAtBoot, why, other.to_owned())
}

/// What a drop-in does to a place, and the line that does. Of several, the one that is nearest to the place counts.
fn restricted<'a>(host: &'a Host, needed: Needed, place: &RemotePath) -> Option<(&'static str, &'a Restriction)> {
    let nearest = |of: Restricted| {
        let above = host.service.restrictions.iter().filter(move |one| one.effect == of && place.is_within(&one.path));
        above.max_by_key(|one| one.path.as_str().len())
    };
    let unless = |taken: Restricted, given: Restricted| {
        let length = |one: &Restriction| one.path.as_str().len();
        nearest(taken).filter(|taken| nearest(given).is_none_or(|given| length(given) < length(taken)))
    };
    if let Some(hidden) = unless(Restricted::Hidden, Restricted::Writable) {
        return Some(("hides", hidden));
    }
    match needed {
        Needed::Data => Some(("makes read-only", unless(Restricted::ReadOnly, Restricted::Writable)?)),
        Needed::Binary => Some(("makes noexec", unless(Restricted::NoExec, Restricted::Exec)?)),
        Needed::Config | Needed::Certificates => None,
    }
}

fn lost_at_boot(location: &Location) -> Option<String> {
    let mount = &location.mount;
    if forbidden::is_in_memory(&mount.filesystem) {
        return Some(format!("{} is a {}", mount.point, mount.filesystem));
    }
    forbidden::volatile(&location.real).map(|folder| format!("nothing in {folder} is kept for good"))
}

/// Whether what is meant is there now, and not only declared to be.
fn is_there(desired: &Desired, host: &Host, needed: Needed) -> bool {
    match needed {
        Needed::Binary => host.installed.contains_key(&desired.cluster.version),
        Needed::Config => host.files.contains_key(&adopted::settings_file(desired)),
        Needed::Certificates => host.files.contains_key(&File::Trust),
        Needed::Data => host.data == DataDirectory::Member,
    }
}

/// In the singular: `its data is in`.
fn thing(needed: Needed) -> &'static str {
    match needed {
        Needed::Binary => "program",
        Needed::Config => "configuration",
        Needed::Certificates => "certificate directory",
        Needed::Data => "data",
    }
}

fn another(needed: Needed) -> &'static str {
    match needed {
        Needed::Binary => "choose another directory for `binaries` in [paths]",
        Needed::Config => "choose another path for `config` in [paths]",
        Needed::Certificates => "choose another directory for `certificates` in [paths]",
        Needed::Data => "choose another directory for `data` in [paths]",
    }
}

fn declared_at(needed: Needed) -> Place<'static> {
    match needed {
        Needed::Binary => Place::PathsBinaries,
        Needed::Config => Place::PathsConfig,
        Needed::Certificates => Place::PathsCertificates,
        Needed::Data => Place::PathsData,
    }
}

/// Why a restart would find less on disk than it needs; `None` when all of it is there.
pub fn missing(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    if upheld(Guard::ComesBack, staged::is_staged(desired, host)) {
        return None;
    }
    let missing = staged::missing(desired, host).map(|missing| missing.path(desired, name));
    let path = missing.unwrap_or_else(|| desired.paths.data.join("member"));
    let what = format!("etcd on {name} could not start again: {path} is missing");
    Some(Blocked::new(Code::CannotStart, what).on(name).hint("what keeps it from being put there is told beside this"))
}
