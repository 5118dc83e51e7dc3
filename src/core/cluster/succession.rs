//! What takes the place of a member that goes although it is declared: on its own machine, or on another.

use crate::core::cluster::quorum::{Health, Member, Membership};
use crate::core::cluster::standing::{Standing, standing};
use crate::core::cluster::view::View;
use crate::core::cluster::{first_start, staged};
use crate::core::desired::Desired;
use crate::core::guard::{Guard, upheld};
use crate::core::observed::Observed;

/// Whether a member may go as far as what takes its place is concerned: everything is laid ready that can be, so that the
/// cluster lacks a member for no longer than the new one needs to join.
pub fn is_ready_to_go(view: &View, membership: &Membership, member: &Member) -> bool {
    let is_ready = || {
        let next = if member.declared { Some(&member.host) } else { member.successor(view.desired) };
        let Some((next, host)) = next.and_then(|next| Some((next, view.observed.host(next)?))) else { return true };
        let joins = if member.declared { host.process.is_none() } else { membership.member_of(next).is_none() };
        view.all_hosts().contains_key(next) && (!joins || first_start::is_written(view, next, host))
    };
    may_go(view.desired, view.observed, membership, member) && upheld(Guard::SuccessorIsReady, is_ready())
}

/// The same as far as it is decided without the texts.
pub fn may_go(desired: &Desired, observed: &Observed, membership: &Membership, member: &Member) -> bool {
    upheld(Guard::SuccessorIsReady, has_successor_ready(desired, observed, membership, member))
}

fn has_successor_ready(desired: &Desired, observed: &Observed, membership: &Membership, member: &Member) -> bool {
    if member.declared {
        // What is not to be seen was called lost. What runs has all that it needs, and stops before it is taken out.
        let host = observed.host(&member.host).filter(|host| host.process.is_none());
        return host.is_none_or(|host| staged::missing(desired, host).is_none());
    }
    let Some(name) = member.successor(desired) else { return true };
    let Some(host) = observed.host(name) else { return false };
    if member.entry.learner {
        return true;
    }
    let votes = |new: &Member| !new.entry.learner && new.health == Health::Healthy;
    match membership.member_of(name) {
        Some(new) if votes(new) => true,
        Some(_) => !member.is_well() && staged::is_staged(desired, host),
        None => {
            let is_bare = matches!(standing(desired, observed, membership, name), Ok(Standing::Newcomer));
            !member.is_well() && is_bare && staged::is_staged(desired, host)
        }
    }
}
