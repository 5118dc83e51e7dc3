//! The order of a plan without regard to who leads: leadership moves by itself, and is in no plan's id.

use crate::core::desired::Desired;
use crate::core::observed::Observed;
use crate::core::plan::action::Action;
use crate::core::plan::step::Step;

/// For each step that there would be if the last host by name led, the index of the same step in `steps`. Empty where that is
/// their order.
pub(super) fn without_leader(desired: &Desired, observed: &Observed, steps: &[Step]) -> Vec<usize> {
    let Some(leader) = desired.pinned.leader.as_ref() else { return Vec::new() };
    let Some((last, _)) = desired.nodes.last_key_value().filter(|(last, _)| *last != leader) else { return Vec::new() };
    if !steps.iter().any(|step| step.hosts().contains(&leader)) {
        return Vec::new();
    }
    let mut other = desired.clone();
    other.pinned.leader = Some(last.clone());
    let (others, _) = super::to_the_end(&other, observed);
    let mut left: Vec<_> = steps.iter().map(|step| Some(decisions(step))).collect();
    let found = others.iter().map(|step| {
        let wanted = Some(decisions(step));
        let index = left.iter().position(|step| *step == wanted)?;
        left[index] = None;
        Some(index)
    });
    let order: Option<Vec<_>> = found.collect();
    // Where the leader decides more than the order, the order as it is decides.
    let order = order.filter(|order| order.len() == steps.len() && !order.is_sorted());
    order.unwrap_or_default()
}

fn decisions(step: &Step) -> Vec<String> {
    step.actions.iter().map(Action::decision).collect()
}
