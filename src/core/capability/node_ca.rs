//! `[ca] source = "node"`: the authority lies on the nodes, as kubeadm keeps it, and every declared one holds its key.

use super::unreachable;
use crate::core::cluster::model;
use crate::core::cluster::setup;
use crate::core::cluster::situation::Situation;
use crate::core::cluster::view::View;
use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::desired::{AuthoritySource, Desired, Place};
use crate::core::names::HostName;
use crate::core::observed::{File, FileFact, Folder, Held, Host, Observed, Seen};
use crate::core::plan::action::{Action, NodeCaAction, Readiness};
use crate::core::plan::ruling::{Blocked, Draft, Ruling};

/// Makes it where it is to be on the nodes and is not there.
pub fn create(view: &View) -> Ruling {
    let AuthoritySource::Node { .. } = view.desired.authority else { return Ruling::default() };
    let layout = view.desired.cluster.layout;
    if layout.is_adopted() && !(layout.is_set_up_by_us() && view.situation == Situation::New) {
        return Ruling::default();
    }
    if view.observed.workstation.authority != Seen::Known(None) || view.situation == Situation::Closed {
        return Ruling::default();
    }
    let Some(first) = view.desired.nodes.keys().next() else { return Ruling::default() };
    if view.situation != Situation::New {
        if view.is_blocked_by(Code::AuthorityMissing) {
            return Ruling::default();
        }
        let nodes: Vec<_> = view.desired.nodes.keys().map(HostName::as_str).collect();
        let what = format!("the cluster exists, but none of {} has its CA key", nodes.join(", "));
        let hint = "restore ca.crt and ca.key from your backup on one of them; the key is copied to the others from \
                    there";
        return Ruling::blocked(Blocked::new(Code::AuthorityMissing, what).hint(hint).declared_at(Place::Ca));
    }
    // On the first one it may be what a creation has left that was cut off.
    let stray = ca_keys(view.observed).find(|(name, held)| *name != first && **held != Held::Nothing);
    if let Some((name, _)) = stray {
        let what = format!("{name} has a CA key (ca.key), but no node has its certificate");
        let hint = "put ca.crt next to it, or move the key away to create a new CA";
        return Ruling::blocked(Blocked::new(Code::AuthorityMissing, what).on(name).hint(hint).declared_at(Place::Ca));
    }
    // Its folder is made first.
    let is_prepared =
        view.hosts().any(|(name, host)| name == first && host.folders.contains_key(&Folder::Certificates));
    if !is_prepared {
        return Ruling::default();
    }
    let reason = view.reason("no CA exists on the nodes yet", Place::Ca);
    Ruling::step(Draft::of(Action::NodeCa(NodeCaAction::CreateAuthority { host: first.clone() }), reason))
}

pub fn create_readiness(observed: &Observed, name: &HostName) -> Readiness {
    match (observed.host(name), &observed.workstation.authority) {
        (_, Seen::Known(Some(_))) => Readiness::Done,
        (_, Seen::Unknown(cause)) => Readiness::Refused(cause.summary.clone()),
        (None, _) => unreachable(name),
        (Some(_), Seen::Known(None)) => Readiness::Ready,
    }
}

pub fn create_effect(desired: &Desired, observed: &mut Observed, name: &HostName) {
    model::make_authority(observed);
    observed.workstation.ca_keys.insert(name.clone(), Held::Key(layout::authority_key_access()));
    let AuthoritySource::Node { certificate, .. } = &desired.authority else { return };
    let Some(authority) = observed.workstation.authority.known().cloned().flatten() else { return };
    // Where the pair lies is also where etcd looks for whom to trust.
    if *certificate == layout::common_path(desired, File::Trust)
        && let Some(host) = observed.host_mut(name)
    {
        host.trusted = authority.trusted();
        let fact = FileFact { access: layout::access(File::Trust), digest: authority.file_digest, text: None };
        host.files.insert(File::Trust, fact);
    }
}

/// Which nodes of somebody else's cluster hold the key is theirs to say: one that joins has it where all others do.
fn is_to_hold(view: &View, name: &HostName, host: &Host) -> bool {
    let mut others = ca_keys(view.observed).filter(|(other, _)| *other != name);
    let is_everywhere = view.situation == Situation::New || others.all(|(_, held)| *held != Held::Nothing);
    !view.desired.cluster.layout.is_adopted() || is_everywhere && setup::is_here(view, name, host)
}

/// Every node that may be worked on holds the key, and nobody but root reads it.
pub fn next(view: &View) -> Ruling {
    let AuthoritySource::Node { .. } = view.desired.authority else { return Ruling::default() };
    if !matches!(view.observed.workstation.authority, Seen::Known(Some(_))) {
        return Ruling::default();
    }
    let mut actions = Vec::new();
    let mut because = Vec::new();
    for (name, host) in view.hosts_to_lay_ready().filter(|(name, host)| is_to_hold(view, name, host)) {
        let Some(why) = lack(view.observed, name, host) else { continue };
        actions.push(Action::NodeCa(NodeCaAction::InstallKey { host: name.clone() }));
        let reason = view.reason(why, Place::Ca);
        if !because.contains(&reason) {
            because.push(reason);
        }
    }
    Ruling::steps_for(actions, because)
}

/// Why the key is to be put on a host; `None` when it is there as it should be, or nobody could look.
fn lack(observed: &Observed, name: &HostName, host: &Host) -> Option<String> {
    let wanted = layout::authority_key_access();
    match observed.workstation.ca_keys.get(name)? {
        _ if !host.folders.contains_key(&Folder::Certificates) => None,
        Held::Nothing => Some("the CA key (ca.key) is not on every node".to_owned()),
        Held::Key(access) if *access != wanted => Some(format!("ca.key: {access} → {wanted}")),
        Held::Key(_) => None,
    }
}

pub fn readiness(observed: &Observed, name: &HostName) -> Readiness {
    let Some(host) = observed.host(name) else { return unreachable(name) };
    match &observed.workstation.authority {
        Seen::Unknown(cause) => Readiness::Refused(cause.summary.clone()),
        Seen::Known(None) => Readiness::Refused("no node has the CA key".to_owned()),
        Seen::Known(Some(_)) if !observed.workstation.ca_keys.contains_key(name) => {
            Readiness::Refused(format!("could not check whether {name} has the CA key"))
        }
        Seen::Known(Some(_)) if lack(observed, name, host).is_some() => Readiness::Ready,
        Seen::Known(Some(_)) if !host.folders.contains_key(&Folder::Certificates) => {
            Readiness::Refused(format!("{name} has no user or directories for etcd yet"))
        }
        Seen::Known(Some(_)) => Readiness::Done,
    }
}

pub fn effect(observed: &mut Observed, name: &HostName) {
    observed.workstation.ca_keys.insert(name.clone(), Held::Key(layout::authority_key_access()));
}

fn ca_keys(observed: &Observed) -> impl Iterator<Item = (&HostName, &Held)> {
    observed.workstation.ca_keys.iter()
}
