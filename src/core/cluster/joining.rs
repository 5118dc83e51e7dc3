//! Which host joins the cluster next, and what its etcd.yaml says of the members then.

use std::collections::BTreeMap;

use crate::core::cluster::quorum::{Member, Membership};
use crate::core::cluster::standing::Standing;
use crate::core::cluster::view::View;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, PeerUrl};

/// The newcomer that is added next: the first that is ready for it, while no other change is under way.
pub fn candidate<'a>(view: &View<'a>) -> Option<&'a HostName> {
    let membership = view.membership()?;
    let started = |member: &Member| member.entry.name.is_some() && !member.entry.learner;
    let idle = membership.members.iter().all(started);
    if !upheld(Guard::OneLearner, idle) {
        return None;
    }
    view.hosts().map(|(name, _)| name).find(|name| is_newcomer(view, name))
}

pub fn is_newcomer(view: &View, name: &HostName) -> bool {
    view.standing(name) == Some(&Standing::Newcomer)
}

/// The members with the one on `name`, as its etcd.yaml must list them before its first start.
pub fn members_with(desired: &Desired, membership: &Membership, name: &HostName) -> BTreeMap<PeerUrl, HostName> {
    // etcd compares the URLs only, but takes two URLs under one name for one member.
    let of = |member: &Member| Some((member.entry.peer_urls.first()?.clone(), member.host.clone()));
    let mut members: BTreeMap<_, _> = membership.members.iter().filter_map(of).collect();
    members.insert(desired.peer_url(name), name.clone());
    members
}
