//! Owners, groups and modes of what is there already.

use super::unreachable;
use crate::core::cluster::model;
use crate::core::cluster::view::View;
use crate::core::code::Code;
use crate::core::content::layout::{self, Compared};
use crate::core::desired::{AuthoritySource, Desired, Place};
use crate::core::names::HostName;
use crate::core::observed::{Access, File, Folder, Held, Host, Observed, Role};
use crate::core::plan::action::{Action, FileAction, Readiness};
use crate::core::plan::ruling::{Draft, Finding, Ruling};

pub fn next(view: &View) -> Ruling {
    for (name, host) in view.hosts().filter(|(_, host)| host.account) {
        for &folder in Folder::ALL {
            if let Some(what) = folder_fault(host, folder) {
                let action = Action::File(FileAction::RestoreFolderAccess { host: name.clone(), folder });
                return Ruling::step(Draft::of(action, view.reason(what, Place::Paths)));
            }
        }
        for file in layout::files(view.desired) {
            if let Some(what) = file_fault(host, file) {
                let action = Action::File(FileAction::RestoreAccess { host: name.clone(), file });
                return Ruling::step(Draft::of(action, view.reason(what, Place::Paths)));
            }
        }
    }
    Ruling::default()
}

/// Private keys that others can read until the plan has taken that from them, and may have read before.
pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let is_given = matches!(desired.authority, AuthoritySource::External { .. });
    let is_adopted = desired.cluster.layout.is_adopted();
    let of_nodes = observed.seen_hosts().flat_map(|(name, host)| {
        let keys = host.files.iter().filter(|(file, _)| layout::row(**file).compared == Compared::Unread);
        keys.filter_map(move |(file, fact)| {
            let new = match is_given {
                true => "have it issued anew where it comes from".to_owned(),
                false => format!("after this plan, `quorate apply --renew-certs={name}` issues a new one; {OLD_ONE}"),
            };
            if !layout::is_theirs(desired, *file) {
                return readable(name, layout::row(*file).word, &fact.access, &layout::access(*file), &new);
            }
            let path = layout::path(desired, name, *file);
            let new = format!("`chmod 600 {path}` there; then {new}");
            readable(name, path.name(), &fact.access, &as_theirs(&fact.access), &new)
        })
    });
    let of_consumers = desired.consumers.iter().filter_map(|(name, consumer)| {
        let is = observed.consumers.get(name)?.known()?.key_access.as_ref()?;
        let wanted = Access::new("600", &consumer.owner, &consumer.group);
        readable(&consumer.host, consumer.key.as_str(), is, &wanted, &format!("the plan issues a new one; {OLD_ONE}"))
    });
    let of_authority = observed.workstation.ca_keys.iter().filter_map(|(name, held)| match held {
        Held::Key(is) if is_adopted => {
            let AuthoritySource::Node { key, .. } = &desired.authority else { return None };
            let new = format!("`chmod 600 {key}` there, and have the CA replaced");
            readable(name, key.name(), is, &as_theirs(is), &new)
        }
        Held::Key(is) => {
            readable(name, "ca.key", is, &layout::authority_key_access(), "plan the replacement of the CA")
        }
        Held::Nothing => None,
    });
    of_nodes.chain(of_consumers).chain(of_authority).collect()
}

/// As whom somebody else's service runs is theirs to say: its owner and group are.
fn as_theirs(is: &Access) -> Access {
    Access::new("600", &is.owner, &is.group)
}

/// etcd asks no list of revoked certificates.
const OLD_ONE: &str = "the old one is accepted until its certificate expires, or until the CA is replaced";

/// Of a key that somebody else than root and the owner and group that it is to have can read.
fn readable(host: &HostName, key: &str, is: &Access, wanted: &Access, new: &str) -> Option<Finding> {
    let mode = u32::from_str_radix(&is.mode, 8).unwrap_or_default();
    let is_others = is.owner != wanted.owner && is.owner != "root";
    let is_of_others = is.group != wanted.group && is.group != "root";
    let is_readable = mode & 0o004 != 0 || is_of_others && mode & 0o040 != 0 || is_others && mode & 0o400 != 0;
    is_readable.then(|| Finding {
        code: Code::KeyReadable,
        hosts: vec![host.clone()],
        what: format!("others could read the private key {key} on {host} ({is})"),
        hint: Some(format!("if others can log in there, it may have been copied: {new}")),
    })
}

fn file_fault(host: &Host, file: File) -> Option<String> {
    let (is, wanted) = (&host.files.get(&file)?.access, layout::access(file));
    (*is != wanted).then(|| format!("{}: {is} → {wanted}", layout::row(file).word))
}

fn folder_fault(host: &Host, folder: Folder) -> Option<String> {
    let (is, wanted) = (host.folders.get(&folder)?, layout::folder_access(folder));
    (*is != wanted).then(|| format!("the {} directory: {is} → {wanted}", layout::folder_row(folder).word))
}

pub fn readiness(observed: &Observed, name: &HostName, file: File) -> Readiness {
    readiness_of(observed, name, |host| host.files.contains_key(&file).then(|| file_fault(host, file).is_none()))
}

pub fn folder_readiness(observed: &Observed, name: &HostName, folder: Folder) -> Readiness {
    readiness_of(observed, name, |host| {
        host.folders.contains_key(&folder).then(|| folder_fault(host, folder).is_none())
    })
}

/// From whether the thing is as it should be; `None` when it is not there at all.
fn readiness_of(observed: &Observed, name: &HostName, is_right: impl Fn(&Host) -> Option<bool>) -> Readiness {
    match observed.host(name).map(is_right) {
        None => unreachable(name),
        Some(None) => Readiness::Refused(format!("it is no longer on {name}")),
        Some(Some(true)) => Readiness::Done,
        Some(Some(false)) => Readiness::Ready,
    }
}

pub fn effect(desired: &Desired, observed: &mut Observed, name: &HostName, file: File) {
    let fact = observed.host_mut(name).and_then(|host| host.files.get_mut(&file));
    if let Some(fact) = fact {
        fact.access = layout::access(file);
    }
    serve_again(desired, observed, name, |role| role.certificate() == file || role.key() == file);
}

/// etcd reads a pair at every handshake: one that it could not read is served again.
fn serve_again(desired: &Desired, observed: &mut Observed, name: &HostName, is_readable: impl Fn(Role) -> bool) {
    let Some(host) = observed.host_mut(name) else { return };
    for role in Role::ALL.iter().copied().filter(|role| is_readable(*role)) {
        if let Some(serial) = host.certificates.get(&role).map(|certificate| certificate.serial.clone()) {
            model::serve_serial(desired, name, host, role, &serial);
        }
    }
}

pub fn folder_effect(desired: &Desired, observed: &mut Observed, name: &HostName, folder: Folder) {
    let access = observed.host_mut(name).and_then(|host| host.folders.get_mut(&folder));
    if let Some(access) = access {
        *access = layout::folder_access(folder);
    }
    serve_again(desired, observed, name, |_| folder == Folder::Certificates);
}
