//! Which host joins the cluster next, and what its etcd.yaml says of the members then.

use std::collections::BTreeMap;

use crate::core::cluster::quorum::{Member, Membership};
use crate::core::cluster::standing::Standing;
use crate::core::cluster::view::View;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, PeerUrl};

/// The newcomer that is added next: the first that is ready for it, while no other change is under way. One whose
/// predecessor has failed comes before the others: none is added while that one is in the list.
pub fn candidate<'a>(view: &View<'a>) -> Option<&'a HostName> {
    let membership = view.membership()?;
    let started = |member: &Member| member.entry.name.is_some() && !member.entry.learner;
    let idle = membership.members.iter().all(started);
    if !upheld(Guard::OneLearner, idle) {
        return None;
    }
    let newcomers = || view.hosts().map(|(name, _)| name).filter(|name| is_newcomer(view, name));
    let follows_failed = |name: &&HostName| membership.predecessor_of(name).is_some_and(|member| !member.is_well());
    newcomers().find(follows_failed).or_else(|| newcomers().next())
}

pub fn is_newcomer(view: &View, name: &HostName) -> bool {
    view.standing(name) == Some(&Standing::Newcomer)
}

/// The members with the one on `name`, as its etcd.yaml must list them before its first start. A predecessor that has
/// failed is gone by then.
pub fn members_with(desired: &Desired, membership: &Membership, name: &HostName) -> BTreeMap<PeerUrl, HostName> {
    // etcd compares the URLs only, but takes two URLs under one name for one member.
    let of = |member: &Member| Some((member.entry.peer_urls.first()?.clone(), member.host.clone()));
    let gone = membership.predecessor_of(name).filter(|member| !member.is_well());
    let stays = |member: &&Member| gone.is_none_or(|gone| gone.entry.id != member.entry.id);
    let mut members: BTreeMap<_, _> = membership.members.iter().filter(stays).filter_map(of).collect();
    members.insert(desired.peer_url(name), name.clone());
    members
}
