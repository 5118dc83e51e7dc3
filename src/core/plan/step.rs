//! A step of a plan: what is done, why, at what risk, and what it leaves of the quorum.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::allowance::Allowance;
use crate::core::names::{Digest, HostName, RemotePath};
use crate::core::plan::action::Action;
use crate::core::plan::auth_change;
use crate::core::plan::ruling::Reason;

/// One gated step: the same thing on one host, or on several at once when no running service notices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub actions: Vec<Action>,
    pub because: Vec<Reason>,
    /// What `apply --allow` must be given for it.
    pub needs: BTreeSet<Allowance>,
    pub margin: Margin,
    pub risk: Risk,
    pub diffs: Vec<FileDiff>,
    /// Of each action, a digest of what it writes and replaces that neither itself nor a difference says; none at all
    /// where no action has such a thing.
    pub bound: Vec<Option<Digest>>,
}

/// The quorum margin around a step: how many more healthy voters may fail. `None` while there is no cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Margin {
    pub before: Option<i32>,
    pub during: Option<i32>,
    pub after: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// No running service notices.
    None,
    /// A member that does not serve is started.
    Low,
    /// A member that serves is restarted while the others are a quorum.
    Medium,
    /// The cluster is unavailable meanwhile.
    High,
}

impl Risk {
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A file before and after a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileDiff {
    pub host: HostName,
    pub path: RemotePath,
    /// `None` when the file is not there.
    pub before: Option<String>,
    pub after: String,
    /// Mode, owner and group of the file that is there: `644 root:root`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_before: Option<String>,
    /// Those that it has afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
}

/// What actions that are done together are, in words: `install etcd 3.5.16`. Of some the reasons say what they change.
pub fn title<'a>(actions: impl IntoIterator<Item = &'a Action>, because: &[Reason]) -> String {
    let mut words: Vec<_> = actions.into_iter().map(|action| title_of(action, because)).collect();
    words.dedup();
    words.join(", ")
}

/// The title of one action, for these reasons.
pub fn title_of(action: &Action, because: &[Reason]) -> String {
    match action {
        Action::Auth(action) => auth_change::title(action, because),
        // It says itself what it changes.
        action => action.to_string(),
    }
}

impl Step {
    /// What is decided by it, in lines: what is done, and over which texts. Nothing of an action that is only a precaution.
    pub fn decision(&self) -> String {
        let mut text = String::new();
        for (index, action) in self.actions.iter().enumerate().filter(|(_, action)| !action.is_precaution()) {
            let bound = self.bound.get(index).copied().flatten().map(|bound| bound.to_string());
            text.push_str(&format!("{} {}\n", action.decision(), bound.unwrap_or_default()));
        }
        for FileDiff { host, path, before, after: _, access_before, access } in &self.diffs {
            let before = before.as_ref().map(Digest::of);
            text.push_str(&format!("over {host} {path} {before:?} {access_before:?} {access:?}\n"));
        }
        text
    }

    pub fn title(&self) -> String {
        title(&self.actions, &self.because)
    }

    /// The hosts in the order of the actions, each once.
    pub fn hosts(&self) -> Vec<&HostName> {
        let mut hosts: Vec<_> = self.actions.iter().filter_map(Action::host).collect();
        hosts.dedup();
        hosts
    }
}
