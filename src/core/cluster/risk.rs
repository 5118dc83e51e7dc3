//! How dangerous a step is: what it leaves of the quorum while it is done, and whether clients notice.

use crate::core::cluster::quorum::Membership;
use crate::core::desired::Desired;
use crate::core::observed::Observed;
use crate::core::plan::action::Action;
use crate::core::plan::step::{Margin, Risk};

pub fn during(desired: &Desired, world: &Observed, actions: &[Action]) -> Option<i32> {
    let membership = Membership::of(desired, world)?;
    let stops: Vec<_> = actions.iter().filter(|action| matches!(action, Action::Stop { .. })).collect();
    if stops.len() > 1 {
        let without =
            |action: &&&Action| action.host().is_some_and(|host| membership.margin_without(host) < membership.margin());
        return Some(membership.margin() - i32::try_from(stops.iter().filter(without).count()).unwrap_or(i32::MAX));
    }
    let margin = actions.iter().find_map(|action| match action {
        Action::Restart { host } | Action::Stop { host } => Some(membership.margin_without(host)),
        Action::RemoveMember { member, .. } => Some(membership.margin_after_removal(*member)),
        _ => None,
    });
    Some(margin.unwrap_or_else(|| membership.margin()))
}

/// The risk of doing `actions` in this world.
pub fn risk_of(desired: &Desired, world: &Observed, actions: &[Action]) -> Risk {
    let before = Membership::of(desired, world).map(|membership| membership.margin());
    risk(actions, Margin { before, during: during(desired, world, actions), after: None })
}

pub fn risk(actions: &[Action], margin: Margin) -> Risk {
    let any = |is: fn(&Action) -> bool| actions.iter().any(is);
    let restarts = any(|action| matches!(action, Action::Restart { .. }));
    let outage = margin.during.is_some_and(|during| during < 0) && margin.before >= Some(0);
    let stops = any(|action| matches!(action, Action::Stop { .. }));
    let replaces = any(|action| matches!(action, Action::SetOldDataAside { .. } | Action::RestoreData { .. }));
    let is_final = replaces || any(|action| matches!(action, Action::ForceNewCluster { .. }));
    if is_final || ((restarts || stops) && outage) {
        Risk::High
    } else if restarts || any(is_felt) {
        Risk::Medium
    } else if any(Action::touches_service) || any(Action::changes_access) || stops {
        Risk::Low
    } else {
        Risk::None
    }
}

/// Whether the voters change, or clients may be shut out.
fn is_felt(action: &Action) -> bool {
    let voters = matches!(action, Action::Promote { .. } | Action::RemoveMember { .. });
    voters || matches!(action, Action::EnableAuth | Action::DisableAuth | Action::RemoveUser { .. })
}
