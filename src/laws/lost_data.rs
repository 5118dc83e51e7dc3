//! The law of data that is gone: a member that has lost it, or its log alone, does not come back under its old id.

use super::{State, World};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, MemberAction, ServiceAction};

/// Its old member goes first; a new one begins with the marker.
pub(super) fn is_never_started(world: &World, plan: &Plan) -> Option<String> {
    let mut hosts = world.desired.nodes.keys().zip(&world.states);
    hosts.find_map(|(name, state)| {
        let at = |is: &dyn Fn(&Action) -> bool| plan.actions().position(is);
        let started = at(&|action| matches!(action, Action::Service(ServiceAction::Start { host }) if host == name))?;
        let removed = at(&|action| matches!(action, Action::Member(MemberAction::Remove { host, .. }) if host == name));
        let is_lost = matches!(state, State::DataLost | State::LogLost);
        (is_lost && world.states.contains(&State::Healthy) && removed.is_none_or(|at| at > started))
            .then(|| format!("{name} has lost its data and is started"))
    })
}
