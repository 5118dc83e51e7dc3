//! What a rule says: a step to take, what may not be done, and what is worth knowing; each with its reason.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::allowance::Allowance;
use crate::core::code::Code;
use crate::core::desired::Place;
use crate::core::diagnostic::Kind;
use crate::core::names::HostName;
use crate::core::observed::Cause;
use crate::core::plan::action::Action;

/// Why a step is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// A lower-case fragment: `etcd.yaml differs from what is declared`.
    pub what: String,
    /// `cluster.toml:18`
    pub place: String,
}

/// Something worth knowing that no step of this plan changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "FindingDocument", into = "FindingDocument")]
pub struct Finding {
    pub code: Code,
    pub hosts: Vec<HostName>,
    pub what: String,
    pub hint: Option<String>,
}

/// Something worth knowing that no step of this plan changes.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Finding")]
struct FindingDocument {
    code: Code,
    #[serde(default = "Severity::warning")]
    severity: Severity,
    hosts: Vec<HostName>,
    what: String,
    hint: Option<String>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It is good to know.
    Note,
    /// It costs something, or will.
    Warning,
}

impl Severity {
    fn warning() -> Self {
        Self::Warning
    }
}

impl Finding {
    /// It follows from the code.
    pub fn severity(&self) -> Severity {
        match self.code {
            Code::AlsoWritten
            | Code::AuthorityReplaced
            | Code::CompressorMissing
            | Code::Departed
            | Code::DiskFilling
            | Code::EvenVoters
            | Code::ExperimentalSetting
            | Code::KeyEncrypted
            | Code::KeyNotHere
            | Code::Locked
            | Code::NotLost
            | Code::OtherEtcd
            | Code::RestoreDone
            | Code::UnitExtended
            | Code::UpgradeWaits => Severity::Note,
            _ => Severity::Warning,
        }
    }
}

impl From<FindingDocument> for Finding {
    fn from(FindingDocument { code, hosts, what, hint, severity: _ }: FindingDocument) -> Self {
        Self { code, hosts, what, hint }
    }
}

impl From<Finding> for FindingDocument {
    fn from(finding: Finding) -> Self {
        let severity = finding.severity();
        let Finding { code, hosts, what, hint } = finding;
        Self { code, severity, hosts, what, hint }
    }
}

/// Something that should change and may not, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blocked {
    pub code: Code,
    pub hosts: Vec<HostName>,
    pub what: String,
    pub hint: Option<String>,
    /// The dotted path in cluster.toml that asks for it, if one does.
    pub declared: Option<String>,
    /// The place of `declared`, `cluster.toml:18`; the planner fills it in.
    pub place: Option<String>,
}

impl Blocked {
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, hosts: Vec::new(), what: what.into(), hint: None, declared: None, place: None }
    }

    /// What could not be seen, as something that may not be done.
    pub fn unseen(cause: &Cause) -> Self {
        Self { hint: cause.hint.clone(), ..Self::new(cause.code, cause.summary.clone()) }
    }

    /// The kind of failure it is; the exit code follows. What is wrong with the CA is a failure here, until a cluster is
    /// there: then members could not be asked for it, which are named, and nothing is done to those.
    pub fn kind(&self) -> Kind {
        match self.code {
            Code::AuthorityUnreadable | Code::Vault if !self.hosts.is_empty() => Kind::Refused,
            code => code.kind(),
        }
    }

    #[must_use]
    pub fn on(mut self, host: &HostName) -> Self {
        self.hosts.push(host.clone());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn declared_at(mut self, declared: Place) -> Self {
        self.declared = Some(declared.path());
        self
    }
}

/// What one rule says: a step to take next, and what it may not do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ruling {
    pub step: Option<Draft>,
    pub blocked: Vec<Blocked>,
}

impl Ruling {
    pub fn step(draft: Draft) -> Self {
        Self { step: Some(draft), blocked: Vec::new() }
    }

    /// A step for `actions` unless there are none.
    pub fn steps_for(actions: Vec<Action>, because: Vec<Reason>) -> Self {
        let step = (!actions.is_empty()).then_some(Draft { actions, because, needs: BTreeSet::new() });
        Self { step, blocked: Vec::new() }
    }

    pub fn blocked(blocked: Blocked) -> Self {
        Self { step: None, blocked: vec![blocked] }
    }
}

/// A step as a rule proposes it; the planner adds what follows from the world around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub actions: Vec<Action>,
    pub because: Vec<Reason>,
    pub needs: BTreeSet<Allowance>,
}

impl Draft {
    /// One action that needs no allowance.
    pub fn of(action: Action, because: Reason) -> Self {
        Self { actions: vec![action], because: vec![because], needs: BTreeSet::new() }
    }
}
