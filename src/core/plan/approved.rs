//! Whether what is to be done now is what was approved: the same actions, over the same texts, in the same order.

use std::collections::BTreeSet;

use crate::core::names::Digest;
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, Impact, ServiceAction};
use crate::core::plan::step::FileDiff;

/// One action of a plan, with what it replaces.
struct Item<'a> {
    step: usize,
    action: &'a Action,
    diff: Option<&'a FileDiff>,
    bound: Option<Digest>,
}

impl Item<'_> {
    fn is_same_action(&self, other: &Self) -> bool {
        self.action.identity() == other.action.identity()
    }

    /// What was not known yet when the plan was made, as an earlier step of it makes it, is not compared.
    fn is_bound_alike(&self, now: &Self) -> bool {
        self.bound.is_none() || self.bound == now.bound
    }

    fn is_same(&self, now: &Self) -> bool {
        self.is_same_action(now) && self.diff == now.diff && self.is_bound_alike(now)
    }

    fn told(&self) -> String {
        match self.action.host() {
            Some(host) => format!("{} on {host}", self.action),
            None => self.action.to_string(),
        }
    }
}

/// All that is decided in a plan, in order: what is only a precaution is there or not as the time goes.
fn items(plan: &Plan) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    for (step, of) in plan.steps.iter().enumerate() {
        let mut diffs = of.diffs.iter();
        for (index, action) in of.actions.iter().enumerate() {
            let diff = action.written().and_then(|_| diffs.next());
            let bound = of.bound.get(index).copied().flatten();
            if !action.is_precaution() {
                items.push(Item { step, action, diff, bound });
            }
        }
    }
    items
}

/// What is in `fresh` and was not saved so, each in a line; nothing when `fresh` is the saved plan, or what is left of it.
pub fn changes(saved: &Plan, fresh: &Plan) -> Vec<String> {
    let saved = items(saved);
    let mut begun = 0;
    let mut changes = Vec::new();
    for now in items(fresh) {
        // What one step does together has no order.
        match saved[begun..].iter().position(|item| item.is_same(&now)) {
            Some(found) => {
                let step = saved[begun + found].step;
                begun = saved.iter().position(|item| item.step == step).unwrap_or(begun).max(begun);
            }
            None => changes.push(change(&saved, &now)),
        }
    }
    changes
}

fn change(saved: &[Item], now: &Item) -> String {
    let alike: Vec<_> = saved.iter().filter(|item| item.is_same_action(now)).collect();
    match (alike.first(), now.diff) {
        (None, _) => format!("not in the saved plan: {}", now.told()),
        (Some(_), _) if alike.iter().any(|item| item.is_same(now)) => {
            format!("later than in the saved plan: {}", now.told())
        }
        (Some(_), Some(FileDiff { host, path, .. })) if alike.iter().all(|item| item.diff != now.diff) => {
            format!("{path} on {host} was changed: what is replaced there is not what the saved plan shows")
        }
        (Some(_), _) => format!("what this writes, or replaces, has changed: {}", now.told()),
    }
}

/// An approved plan in the course of its run.
pub struct Approved<'a> {
    plan: &'a Plan,
    identities: BTreeSet<String>,
    /// What is not done yet, in order.
    left: Vec<&'a Action>,
}

impl<'a> Approved<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        let left: Vec<_> = plan.actions().filter(|action| !action.is_precaution()).collect();
        Self { plan, identities: left.iter().map(|action| action.identity()).collect(), left }
    }

    pub fn holds(&self, action: &Action) -> bool {
        action.is_precaution() || self.identities.contains(&action.identity()) || self.is_rest_of_a_restart(action)
    }

    /// Who approves a restart approves the start in it: a kubelet, or a crash, may have ended the process meanwhile.
    fn is_rest_of_a_restart(&self, action: &Action) -> bool {
        let Action::Service(ServiceAction::Start { host }) = action else { return false };
        self.plan.actions().any(|approved| approved.impact() == Impact::Restart && approved.host() == Some(host))
    }

    /// Whether a file that is to be written over is one that the plan shows.
    pub fn shows(&self, diff: &FileDiff) -> bool {
        self.plan.steps.iter().flat_map(|step| &step.diffs).any(|shown| shown == diff)
    }

    /// Takes note that these are done now. The first that the plan has before all of them, and that `is_done` does not hold
    /// for, is returned: the order is not the one that was shown. Each is returned once.
    pub fn begin(&mut self, actions: &[Action], is_done: impl Fn(&Action) -> bool) -> Option<&'a Action> {
        let now: BTreeSet<_> = actions.iter().map(Action::identity).collect();
        let first = self.left.iter().position(|action| now.contains(&action.identity()))?;
        let skipped = self.left.drain(..first).filter(|action| !is_done(action)).collect::<Vec<_>>();
        for identity in now {
            if let Some(at) = self.left.iter().position(|action| action.identity() == identity) {
                self.left.remove(at);
            }
        }
        // They are still to come.
        skipped.first().copied()
    }
}
