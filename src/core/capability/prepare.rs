//! What a bare host needs before anything is put on it: the account that etcd runs as, and its folders.

use super::done_when;
use crate::core::cluster::view::View;
use crate::core::content::layout;
use crate::core::desired::Place;
use crate::core::names::HostName;
use crate::core::observed::{Folder, Host, Observed};
use crate::core::plan::action::{Action, HostAction, Readiness};
use crate::core::plan::ruling::Ruling;

pub fn next(view: &View) -> Ruling {
    let bare = view.hosts_to_lay_ready().filter(|(_, host)| !is_prepared(host));
    let actions = bare.map(|(name, _)| Action::Host(HostAction::Prepare { host: name.clone() })).collect();
    Ruling::steps_for(actions, vec![view.reason("the user or a directory is missing", Place::Paths)])
}

fn is_prepared(host: &Host) -> bool {
    host.account && Folder::ALL.iter().all(|folder| host.folders.contains_key(folder))
}

pub fn readiness(observed: &Observed, name: &HostName) -> Readiness {
    done_when(observed, name, is_prepared)
}

pub fn effect(observed: &mut Observed, name: &HostName) {
    let Some(host) = observed.host_mut(name) else { return };
    host.account = true;
    for &folder in Folder::ALL {
        host.folders.entry(folder).or_insert_with(|| layout::folder_access(folder));
    }
}
