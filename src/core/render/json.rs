//! A plan for programs, and for later: `plan -o FILE` writes this document, and [`read`] gives the same plan back.

use crate::core::render::pretty;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::allowance::Allowance;
use crate::core::desired::{Pinned, Request};
use crate::core::names::{ClusterName, Digest, HostName, RemotePath, UnixSeconds, Version};
use crate::core::plan::action::Action;
use crate::core::plan::overview::Overview;
use crate::core::plan::ruling::{Blocked, Finding, Reason};
use crate::core::plan::step::{FileDiff, Margin, Risk, Step};
use crate::core::plan::{Plan, Voters};
use crate::core::render::diff;
use crate::core::render::words::{Effect, Summary};

/// The version of the document's shape. A reader that knows another one must refuse.
pub const FORMAT_VERSION: u64 = 1;

/// A plan of quorate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "quorate plan")]
pub struct Document {
    /// 1. It changes when a reader of the old shape would go wrong.
    pub format_version: u64,
    /// Twelve hexadecimal digits that name the decision: the same for two looks at the same state.
    pub plan_id: String,
    /// SHA-256 of the rest of the document, so that a file that was edited is noticed.
    pub checksum: String,
    /// Whether there is a step to perform.
    pub applyable: bool,
    pub cluster: ClusterName,
    /// The etcd version that is declared.
    pub version: Version,
    /// The file that declares the cluster.
    pub file: String,
    pub observed: Look,
    /// What the command line asked for besides what is declared.
    #[serde(default, skip_serializing_if = "Request::is_empty")]
    pub request: Request,
    /// What the plan was made from that changes by itself, and that apply keeps to. Not in `plan_id`.
    #[serde(default, skip_serializing_if = "Pinned::is_empty")]
    pub pinned: Pinned,
    /// What was allowed on the command line and is needed: apply does not ask for it again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub allowed: BTreeSet<Allowance>,
    /// The `-C` of the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The voters as they were seen; `null` when no member says who they are.
    pub health: Option<Voters>,
    /// How the cluster is: what the headline says.
    pub overview: Overview,
    /// The address of each node.
    #[serde(default)]
    pub addresses: BTreeMap<HostName, String>,
    pub summary: Summary,
    /// What is worth knowing although no step changes it.
    pub findings: Vec<Finding>,
    /// In the order of execution.
    pub steps: Vec<StepDocument>,
    /// The steps, by their numbers, in the order that they would have whoever led; none where it is their own order. The order
    /// that `plan_id` covers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order_without_leader: Vec<usize>,
    /// What should change and may not, and why.
    pub blocked: Vec<Blocked>,
}

/// When and how much was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Look {
    /// RFC 3339, in UTC.
    pub at: String,
    /// Whether every host was seen and every running member answered.
    pub complete: bool,
    /// How many hosts are declared.
    pub hosts: usize,
    /// How many of them could not be seen.
    pub unseen: usize,
    /// How many of them hold nothing of a cluster.
    pub bare: usize,
}

/// One gated step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepDocument {
    /// From 1.
    pub number: usize,
    /// The words that `plan` and `apply` print before the hosts.
    pub title: String,
    /// The hosts that it changes; none for a step on the machine that quorate runs on.
    pub hosts: Vec<HostName>,
    pub actions: Vec<Action>,
    pub because: Vec<Reason>,
    /// What `apply --allow` must be given for it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub needs: BTreeSet<Allowance>,
    pub effect: Effect,
    pub risk: Risk,
    pub quorum: Quorum,
    pub diffs: Vec<DiffDocument>,
    /// Of each action, a digest of what it writes and replaces that neither itself nor a difference says; none at all where no
    /// action has such a thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bound: Vec<Option<Digest>>,
}

/// What a step does to quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quorum {
    pub margin: Margin,
}

/// One file on one host, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffDocument {
    pub host: HostName,
    pub path: RemotePath,
    /// `null` when the file is not there.
    pub before: Option<String>,
    pub after: String,
    /// Mode, owner and group of the file that is there: `644 root:root`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_before: Option<String>,
    /// Those that it has afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
    /// As `diff -u` prints it.
    pub unified: String,
}

/// Why bytes are not a plan that can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPlan {
    #[error("not JSON: {0}")]
    NotJson(String),
    #[error("no `format_version`: not written by `quorate plan -o`")]
    NoFormatVersion,
    #[error("format_version {0} is not supported; this quorate reads version {FORMAT_VERSION}")]
    OtherFormat(String),
    #[error("not a plan: {0}")]
    OtherShape(String),
    #[error(
        "the file was edited: its plan_id is {written}, but its steps are those of {computed} (or another version of \
         quorate saved it)"
    )]
    OtherPlan { written: String, computed: String },
    #[error("the file was edited: {0} is not what quorate wrote")]
    Changed(String),
}

/// The document of `plan`, with every derived field filled in.
pub fn document(plan: &Plan) -> Document {
    let mut document = Document {
        format_version: FORMAT_VERSION,
        plan_id: plan.id(),
        checksum: String::new(),
        applyable: !plan.steps.is_empty(),
        cluster: plan.cluster.clone(),
        version: plan.version,
        file: plan.file.clone(),
        observed: Look {
            at: rfc3339(plan.observed_at),
            complete: plan.complete,
            hosts: plan.hosts,
            unseen: plan.unseen,
            bare: plan.bare,
        },
        request: plan.request.clone(),
        pinned: plan.pinned.clone(),
        allowed: plan.allowed.clone(),
        directory: plan.directory.clone(),
        health: plan.health,
        overview: plan.overview.clone(),
        addresses: plan.addresses.clone(),
        summary: Summary::of(plan),
        findings: plan.findings.clone(),
        steps: plan.steps.iter().enumerate().map(|(index, step)| step_document(index + 1, step)).collect(),
        order_without_leader: plan.without_leader.iter().map(|index| index + 1).collect(),
        blocked: plan.blocked.clone(),
    };
    let text = serde_json::to_string(&document).expect("a plan is plain data");
    document.checksum = Digest::of(text).to_string();
    document
}

fn step_document(number: usize, step: &Step) -> StepDocument {
    let diff = |file: &FileDiff| DiffDocument {
        host: file.host.clone(),
        path: file.path.clone(),
        before: file.before.clone(),
        after: file.after.clone(),
        access_before: file.access_before.clone(),
        access: file.access.clone(),
        unified: diff::unified(file),
    };
    StepDocument {
        number,
        title: step.title(),
        hosts: step.hosts().into_iter().cloned().collect(),
        actions: step.actions.clone(),
        because: step.because.clone(),
        needs: step.needs.clone(),
        effect: Effect::of(step),
        risk: step.risk,
        quorum: Quorum { margin: step.margin },
        diffs: step.diffs.iter().map(diff).collect(),
        bound: step.bound.clone(),
    }
}

/// The document as text, indented, with a newline at its end.
pub fn plan(plan: &Plan) -> String {
    pretty(&document(plan))
}

/// The plan in a saved document.
///
/// Whatever can be derived is derived again, and must be what the document says: a title or a summary that does not
/// belong to its steps would mislead whoever approves it.
///
/// # Errors
/// When the bytes are not a document of this [`FORMAT_VERSION`], or were changed after they were written.
pub fn read(bytes: &[u8]) -> Result<Plan, NotAPlan> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| NotAPlan::NotJson(error.to_string()))?;
    match value.get("format_version") {
        None => return Err(NotAPlan::NoFormatVersion),
        Some(version) if version.as_u64() == Some(FORMAT_VERSION) => {}
        Some(version) => return Err(NotAPlan::OtherFormat(version.to_string())),
    }
    let shape = |error: &dyn std::fmt::Display| NotAPlan::OtherShape(error.to_string());
    let written = Document::deserialize(&value).map_err(|error| shape(&error))?;
    let at = written.observed.at.parse::<Timestamp>().map_err(|error| shape(&error))?;
    let (plan_id, plan) = (written.plan_id.clone(), into_plan(written, UnixSeconds(at.as_second())));
    let computed = plan.id();
    if plan_id != computed {
        return Err(NotAPlan::OtherPlan { written: plan_id, computed });
    }
    let right = serde_json::to_value(document(&plan)).expect("a plan is plain data");
    match first_difference(&value, &right) {
        None => Ok(plan),
        Some(field) => Err(NotAPlan::Changed(field)),
    }
}

fn into_plan(document: Document, observed_at: UnixSeconds) -> Plan {
    let step = |step: StepDocument| {
        let diff = |DiffDocument { host, path, before, after, access_before, access, unified: _ }| FileDiff {
            host,
            path,
            before,
            after,
            access_before,
            access,
        };
        Step {
            actions: step.actions,
            because: step.because,
            needs: step.needs,
            margin: step.quorum.margin,
            risk: step.risk,
            diffs: step.diffs.into_iter().map(diff).collect(),
            bound: step.bound,
        }
    };
    Plan {
        cluster: document.cluster,
        version: document.version,
        file: document.file,
        observed_at,
        complete: document.observed.complete,
        health: document.health,
        overview: document.overview,
        addresses: document.addresses,
        hosts: document.observed.hosts,
        unseen: document.observed.unseen,
        bare: document.observed.bare,
        findings: document.findings,
        request: document.request,
        pinned: document.pinned,
        allowed: document.allowed,
        directory: document.directory,
        without_leader: document.order_without_leader.iter().map(|number| number.wrapping_sub(1)).collect(),
        steps: document.steps.into_iter().map(step).collect(),
        blocked: document.blocked,
    }
}

/// The name of a field of the two objects that is not the same in both; `checksum` only when nothing else differs.
fn first_difference(written: &Value, right: &Value) -> Option<String> {
    let (Value::Object(written), Value::Object(right)) = (written, right) else {
        return (written != right).then(|| "the document".to_owned());
    };
    let names = || written.keys().chain(right.keys()).filter(|name| written.get(*name) != right.get(*name));
    names().find(|name| *name != "checksum").or_else(|| names().next()).map(|name| format!("`{name}`"))
}

/// An instant as RFC 3339 in UTC. One beyond the calendar becomes its nearest end.
pub fn rfc3339(at: UnixSeconds) -> String {
    let nearest = if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(at.0).unwrap_or(nearest).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::render::samples;

    #[test]
    fn a_saved_plan_is_the_same_plan() {
        for sample in [samples::bootstrap(), samples::drifted(), samples::blocked(), samples::in_sync()] {
            assert_eq!(read(plan(&sample).as_bytes()), Ok(sample));
        }
    }

    /// Changes one value in the document of the drifted sample and reads it again.
    fn tampered(path: &str, value: Value) -> NotAPlan {
        let mut document = serde_json::to_value(document(&samples::drifted())).unwrap();
        *document.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = value;
        read(document.to_string().as_bytes()).expect_err(path)
    }

    #[test]
    fn a_plan_that_was_edited_is_refused() {
        let text = |text: &str| Value::from(text);
        assert!(matches!(tampered("/plan_id", text("0123456789ab")), NotAPlan::OtherPlan { .. }));
        assert!(matches!(tampered("/steps/0/actions/0/host", text("evil")), NotAPlan::OtherPlan { .. }));
        assert!(matches!(tampered("/steps/0/actions/0/text", text("data-dir: /")), NotAPlan::OtherPlan { .. }));
        assert_eq!(tampered("/steps/0/title", text("nothing at all")), NotAPlan::Changed("`steps`".to_owned()));
        assert_eq!(tampered("/steps/0/quorum/margin/during", 2.into()), NotAPlan::Changed("`checksum`".to_owned()));
        assert_eq!(tampered("/steps/0/because/0/what", text("reasons")), NotAPlan::Changed("`checksum`".to_owned()));
        assert_eq!(tampered("/summary/restarts", 0.into()), NotAPlan::Changed("`summary`".to_owned()));
        assert_eq!(tampered("/checksum", text("")), NotAPlan::Changed("`checksum`".to_owned()));
        let mut more = serde_json::to_value(document(&samples::drifted())).unwrap();
        more["approved_by"] = text("me");
        assert_eq!(read(more.to_string().as_bytes()), Err(NotAPlan::Changed("`approved_by`".to_owned())));
    }

    #[test]
    fn other_formats_are_refused_by_name() {
        assert_eq!(tampered("/format_version", 2.into()), NotAPlan::OtherFormat("2".to_owned()));
        assert_eq!(tampered("/format_version", "1".into()), NotAPlan::OtherFormat("\"1\"".to_owned()));
        assert_eq!(read(b"{}"), Err(NotAPlan::NoFormatVersion));
        assert_eq!(read(b"[1]"), Err(NotAPlan::NoFormatVersion));
        assert!(matches!(read(b"\xff"), Err(NotAPlan::NotJson(_))));
        assert!(matches!(read(br#"{"format_version": 1}"#), Err(NotAPlan::OtherShape(_))));
    }

    #[test]
    fn every_instant_can_be_written() {
        assert_eq!(rfc3339(UnixSeconds(0)), "1970-01-01T00:00:00Z");
        assert!(rfc3339(UnixSeconds(i64::MAX)).starts_with("9999-"));
        assert!(rfc3339(UnixSeconds(i64::MIN)).starts_with('-'));
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        /// Mutilated documents reach further into the reader than random bytes.
        #[test]
        fn reading_a_mutilated_plan_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let whole = plan(&samples::drifted());
            let mut bytes = whole.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(read) = read(&bytes) {
                prop_assert_eq!(plan(&read), whole);
            }
        }
    }
}
