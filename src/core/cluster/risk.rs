//! How dangerous a step is: what it leaves of the quorum while it is done, and whether clients notice.

use crate::core::cluster::quorum::Membership;
use crate::core::desired::Desired;
use crate::core::observed::Observed;
use crate::core::plan::action::{Action, Impact};
use crate::core::plan::step::{Margin, Risk};

/// How many more voters may fail while `actions` are done.
pub fn during(desired: &Desired, world: &Observed, actions: &[Action]) -> Option<i32> {
    let membership = Membership::of(desired, world)?;
    let stops: Vec<_> = actions.iter().filter(|action| action.impact() == Impact::Stop).collect();
    if stops.len() > 1 {
        let without =
            |action: &&&Action| action.host().is_some_and(|host| membership.margin_without(host) < membership.margin());
        return Some(membership.margin() - i32::try_from(stops.iter().filter(without).count()).unwrap_or(i32::MAX));
    }
    let margin = actions.iter().find_map(|action| match action.impact() {
        Impact::Restart | Impact::Stop => Some(membership.margin_without(action.host()?)),
        Impact::Membership { .. } => Some(membership.margin_after_removal(action.removed_member()?)),
        // What leaves no cluster to count in has no margin while it is done, nor what only adds to it.
        Impact::Nothing | Impact::Start | Impact::Access { .. } | Impact::Outage | Impact::Replacement => None,
    });
    Some(margin.unwrap_or_else(|| membership.margin()))
}

/// The risk of doing `actions` in this world.
pub fn risk_of(desired: &Desired, world: &Observed, actions: &[Action]) -> Risk {
    let before = Membership::of(desired, world).map(|membership| membership.margin());
    risk(actions, Margin { before, during: during(desired, world, actions), after: None })
}

pub fn risk(actions: &[Action], margin: Margin) -> Risk {
    let outage = margin.during.is_some_and(|during| during < 0) && margin.before >= Some(0);
    let of = |action: &Action| match action.impact() {
        Impact::Outage | Impact::Replacement => Risk::High,
        Impact::Restart | Impact::Stop if outage => Risk::High,
        Impact::Restart => Risk::Medium,
        Impact::Stop if margin.during < margin.before => Risk::Medium,
        Impact::Membership { voters: true } | Impact::Access { felt: true } => Risk::Medium,
        Impact::Start | Impact::Stop => Risk::Low,
        Impact::Membership { voters: false } | Impact::Access { felt: false } => Risk::Low,
        Impact::Nothing => Risk::None,
    };
    actions.iter().map(of).max().unwrap_or(Risk::None)
}
