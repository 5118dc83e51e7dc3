//! The words of a plan: actions, steps, reasons and risks, and what they are put together to.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::allowance::Allowance;
use crate::core::desired::{Pinned, Request};
use crate::core::names::{ClusterName, Digest, HostName, UnixSeconds, Version};
use crate::core::plan::action::Action;
use crate::core::plan::overview::Overview;
use crate::core::plan::ruling::{Blocked, Finding};
use crate::core::plan::step::Step;

pub mod action;
pub mod approved;
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
    /// The address of each node: what texts of nodes that are alike differ in besides the names.
    pub addresses: BTreeMap<HostName, String>,
    pub findings: Vec<Finding>,
    pub steps: Vec<Step>,
    pub blocked: Vec<Blocked>,
    /// What the command line asked for besides.
    pub request: Request,
    /// What it was made from that changes by itself.
    pub pinned: Pinned,
    /// The steps, by their indices, in the order that they would have whoever led; empty where it is their own.
    pub without_leader: Vec<usize>,
    /// What was allowed when it was saved.
    pub allowed: BTreeSet<Allowance>,
    /// Where the command changed to first, as the user calls it.
    pub directory: Option<String>,
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
    ///
    /// It covers what is done, in which order, what is replaced, what was asked for and what must be allowed. Who leads, what
    /// time it is and how large a database has grown is not in it.
    pub fn id(&self) -> String {
        let mut text = format!("{} {}\n", self.cluster, self.version);
        for step in self.steps_whoever_leads() {
            text.push_str(&step.decision());
        }
        // Of a step that is the first of its kind, whichever host it is on.
        for needs in self.needs() {
            text.push_str(&format!("needs {needs}\n"));
        }
        text.push_str(&self.asked());
        for blocked in &self.blocked {
            text.push_str(&format!("blocked {} {:?}\n", blocked.code, blocked.hosts));
        }
        Digest::of(text).to_string()[..12].to_owned()
    }

    /// A saved order that is not one of the steps is one that somebody wrote: then they count as they stand.
    fn steps_whoever_leads(&self) -> Vec<&Step> {
        let order: BTreeSet<_> = self.without_leader.iter().copied().collect();
        let is_order = order.len() == self.without_leader.len() && order.into_iter().eq(0..self.steps.len());
        match is_order {
            true => self.without_leader.iter().map(|index| &self.steps[*index]).collect(),
            false => self.steps.iter().collect(),
        }
    }

    /// What the command line asked for, without what it may be asked for anew: the token and the path of a snapshot.
    fn asked(&self) -> String {
        let mut request = self.request.clone();
        let restore = request.restore.take().map(|restore| restore.digest);
        match (request.is_empty(), restore) {
            (true, None) => String::new(),
            (_, restore) => {
                let request = serde_json::to_string(&request).expect("a request is plain data");
                format!("asked {request} {restore:?}\n")
            }
        }
    }

    /// The host whose turn comes last because its member leads, where that decides the order.
    pub fn leader_last(&self) -> Option<&HostName> {
        let leader = self.pinned.leader.as_ref()?;
        let in_turn = |step: &&Step| step.actions.iter().any(Action::waits_for_its_turn);
        let mut hosts: Vec<_> = self.steps.iter().filter(in_turn).flat_map(Step::hosts).collect();
        hosts.dedup();
        (hosts.contains(&leader) && hosts.iter().any(|host| *host != leader)).then_some(leader)
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
