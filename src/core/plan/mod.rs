//! The words of a plan: actions, steps, reasons and risks, and what they are put together to.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::allowance::Allowance;
use crate::core::desired::Request;
use crate::core::names::{ClusterName, Digest, UnixSeconds, Version};
use crate::core::plan::action::Action;
use crate::core::plan::overview::Overview;
use crate::core::plan::ruling::{Blocked, Finding};
use crate::core::plan::step::Step;

pub mod action;
pub mod auth_change;
pub mod overview;
pub mod ruling;
pub mod step;

/// What would be done, in order, and what stands in the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub cluster: ClusterName,
    pub version: Version,
    /// The file that declares the cluster, as the user calls it.
    pub file: String,
    /// When the hosts were looked at. Volatile.
    pub observed_at: UnixSeconds,
    /// Whether everything could be seen.
    pub complete: bool,
    /// The voters as they are now; `None` when no member says.
    pub health: Option<Voters>,
    /// What the headline says.
    pub overview: Overview,
    /// How many hosts are declared.
    pub hosts: usize,
    /// How many of them could not be seen.
    pub unseen: usize,
    /// How many of them hold nothing of a cluster: no data and no running etcd.
    pub bare: usize,
    pub findings: Vec<Finding>,
    pub steps: Vec<Step>,
    pub blocked: Vec<Blocked>,
    /// What the command line asked for besides.
    pub request: Request,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Voters {
    pub healthy: usize,
    pub total: usize,
    pub quorum: usize,
    pub margin: i32,
}

impl Plan {
    /// Twelve hexadecimal digits that name this decision: the same for two looks at the same state.
    pub fn id(&self) -> String {
        let mut text = format!("{} {}\n", self.cluster, self.version);
        // As a set: which member comes last depends on who leads now.
        let decided = self.actions().filter(|action| !action.is_precaution());
        let identities: BTreeSet<_> = decided.map(Action::identity).collect();
        for identity in identities {
            text.push_str(&identity);
            text.push('\n');
        }
        for blocked in &self.blocked {
            text.push_str(&format!("blocked {} {:?}\n", blocked.code, blocked.hosts));
        }
        Digest::of(text).to_string()[..12].to_owned()
    }

    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.steps.iter().flat_map(|step| &step.actions)
    }

    /// Everything that `apply --allow` must be given.
    pub fn needs(&self) -> BTreeSet<&Allowance> {
        self.steps.iter().flat_map(|step| &step.needs).collect()
    }

    /// Nothing to change and nothing in the way.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.blocked.is_empty()
    }

    /// The smallest margin in the course of the plan; `None` when there is no cluster at any time.
    pub fn min_margin(&self) -> Option<i32> {
        self.steps.iter().flat_map(|step| [step.margin.before, step.margin.during, step.margin.after]).flatten().min()
    }
}
