//! What a bare host needs before anything is put on it: the account that etcd runs as, unless that is root, and its folders.

use super::done_when;
use crate::core::cluster::setup;
use crate::core::cluster::view::View;
use crate::core::content::layout;
use crate::core::desired::{Desired, Place, Runtime};
use crate::core::names::HostName;
use crate::core::observed::{Folder, Host, Observed};
use crate::core::plan::action::{Action, HostAction, Readiness};
use crate::core::plan::ruling::Ruling;

pub fn next(view: &View) -> Ruling {
    let bare = view.hosts_to_lay_ready().filter(|(name, host)| !is_prepared(host) && setup::is_here(view, name, host));
    let (make, why): (fn(HostName) -> HostAction, _) = match view.desired.cluster.runtime {
        Runtime::Systemd => (|host| HostAction::Prepare { host }, "the user or a directory is missing"),
        Runtime::StaticPod => (|host| HostAction::MakeFolders { host }, "a directory is missing"),
    };
    let actions = bare.map(|(name, _)| Action::Host(make(name.clone()))).collect();
    Ruling::steps_for(actions, vec![view.reason(why, Place::Paths)])
}

fn is_prepared(host: &Host) -> bool {
    host.account && Folder::ALL.iter().all(|folder| host.folders.contains_key(folder))
}

pub fn readiness(observed: &Observed, name: &HostName) -> Readiness {
    done_when(observed, name, is_prepared)
}

pub fn effect(desired: &Desired, observed: &mut Observed, name: &HostName) {
    let Some(host) = observed.host_mut(name) else { return };
    host.account = true;
    for &folder in Folder::ALL {
        host.folders.entry(folder).or_insert_with(|| layout::new_folder_access(desired, folder));
    }
}
