//! On which hosts quorate sets etcd up: on all in its own layout, and in one that is known whole on those where nobody has.

use crate::core::cluster::situation::Situation;
use crate::core::cluster::standing::Standing;
use crate::core::cluster::view::View;
use crate::core::cluster::{adopted, bare, restoration};
use crate::core::names::HostName;
use crate::core::observed::{DataDirectory, Host};

/// Whether what etcd needs is made on this host where it is missing.
pub fn is_here(view: &View, name: &HostName, host: &Host) -> bool {
    let layout = view.desired.cluster.layout;
    if !layout.is_adopted() {
        return true;
    }
    if !layout.is_set_up_by_us() || !begins(host) || host.process.is_some() {
        return false;
    }
    match &view.situation {
        // What is restored is left as it was set up, where it was.
        Situation::New => {
            let is_restored = restoration::under_way(view.desired, view.observed).is_some();
            !is_restored || bare::is_bare(host)
        }
        Situation::Serving(membership) => {
            let joins = match view.standing(name) {
                Some(Standing::Newcomer | Standing::Failed(_)) => true,
                Some(Standing::Member) => membership.member_of(name).is_some_and(|member| member.entry.name.is_none()),
                Some(Standing::Removed | Standing::Unseen) | None => false,
            };
            joins && adopted::cannot_join(view.desired, view.observed, name, host).is_none()
        }
        Situation::Down | Situation::Closed => false,
    }
}

/// etcd reads the settings of a first start where it finds no log, also where a start was cut off before there was one.
pub fn begins(host: &Host) -> bool {
    matches!(host.data, DataDirectory::Empty | DataDirectory::NoLog)
}
