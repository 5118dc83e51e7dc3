//! What happens while a command runs, as it happens. One enum feeds the terminal, the plain lines and the JSON lines.

use serde::{Deserialize, Serialize};

use super::json::rfc3339;
use crate::core::names::{HostName, UnixSeconds};

/// One line of `apply --json`: what happened, when, and in whose apply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Record {
    /// When it happened, as RFC 3339 in UTC: `2027-01-15T08:00:00Z`.
    pub at: String,
    /// The cluster's name.
    pub cluster: String,
    /// Who runs this apply: user, machine and process.
    pub operator: String,
    #[serde(flatten)]
    pub event: Event,
}

/// The apply whose events these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub cluster: String,
    pub operator: String,
}

impl Run {
    /// One line of JSON, without a newline.
    pub fn json_line(&self, event: &Event, at: UnixSeconds) -> String {
        let Self { cluster, operator } = self.clone();
        let record = Record { at: rfc3339(at), cluster, operator, event: event.clone() };
        serde_json::to_string(&record).expect("an event is plain data")
    }
}

/// One thing that happened. Durations are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The lock on each host is being taken; `held_by` when somebody else has it and we wait.
    Locking {
        hosts: Vec<HostName>,
        held_by: Option<String>,
    },
    Locked {
        hosts: Vec<HostName>,
    },
    /// What is about to be done was decided, and approved.
    Planned {
        plan_id: String,
        steps: usize,
    },
    /// `number` counts from 1; `of` is the number of steps in the plan, and grows if a step had to be repeated.
    StepStarted {
        number: usize,
        of: usize,
        title: String,
        hosts: Vec<HostName>,
    },
    /// The command that does an action has ended. `host` is `None` for the machine that quorate runs on.
    ActionDone {
        host: Option<HostName>,
        action: String,
        seconds: f64,
    },
    /// An action was there already.
    ActionSkipped {
        host: Option<HostName>,
        action: String,
    },
    /// A wait that goes on, at most once a second. `seen` is what the last look saw of each host that is waited for, or that
    /// it has not answered this look.
    Waiting {
        for_what: String,
        seconds: f64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        seen: Vec<Glimpse>,
    },
    /// The step's effect was seen. `surprises` are the facts that differ from the prediction, as `+` and `-` lines.
    StepDone {
        number: usize,
        seconds: f64,
        surprises: Vec<String>,
    },
    /// What the writer beside this apply has seen, at its end.
    GuardWrites {
        writes: usize,
        failed: usize,
        longest_seconds: f64,
    },
    /// What the operator should know, and what keeps nothing from going on.
    Warning {
        text: String,
    },
    /// ^C was seen: what is being done on the hosts is finished, a wait ends, then apply stops.
    Interrupted,
    /// Apply stopped before its end.
    Stopped {
        reason: String,
    },
    /// Everything approved is done. `left` counts what still differs or is blocked.
    Finished {
        steps: usize,
        seconds: f64,
        left: usize,
    },
}

/// What was seen of one host, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Glimpse {
    pub host: HostName,
    pub what: String,
    /// It is more than what takes its time: the host is away, or etcd exits.
    pub trouble: bool,
}

impl Glimpse {
    /// `etcd-2: does not answer SSH for 12 s: connection refused`
    pub fn line(&self) -> String {
        format!("{}: {}", self.host, self.what)
    }
}
