//! The planner: a list of rules picks one next step, run to a fixed point over the predicted effect of each.
//!
//! The order of [`RULES`] is the policy: repairs that cannot hurt come first, touching a healthy member comes last.

pub mod world;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::allowance::Allowance;
use crate::core::capability::{
    access, authority, backup, certificates, config, consumers, departure, findings, given, keeper, membership,
    prepare, raft_log, recovery, restore, rotation, service, snapshot, users, version,
};
use crate::core::cluster::quorum::Membership;
use crate::core::cluster::situation::{Situation, situation, workable};
use crate::core::cluster::standing::{Standing, standing};
use crate::core::code::Code;
use crate::core::desired::{Desired, Request};
use crate::core::names::{ClusterName, Digest, HostName, RemotePath, UnixSeconds, Version};
use crate::core::observed::{Cause, DataDirectory, Host, Observed, Seen};
use crate::core::plan::action::Action;

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
}

/// Why a step is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// A lower-case fragment: `etcd.yaml differs from what is declared`.
    pub what: String,
    /// `cluster.toml:18`
    pub place: String,
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

/// A file before and after a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileDiff {
    pub host: HostName,
    pub path: RemotePath,
    /// `None` when the file is not there.
    pub before: Option<String>,
    pub after: String,
}

/// Something worth knowing that no step of this plan changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    pub code: Code,
    pub hosts: Vec<HostName>,
    pub what: String,
    pub hint: Option<String>,
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
    pub fn because(mut self, declared: &str) -> Self {
        self.declared = Some(declared.to_owned());
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

/// What every rule reads.
pub struct View<'a> {
    pub desired: &'a Desired,
    pub observed: &'a Observed,
    pub situation: Situation,
    /// Why some hosts are left alone.
    pub blocked: Vec<Blocked>,
    /// The standing of each declared host of a cluster that serves, unless it is disputed.
    standings: BTreeMap<&'a HostName, Standing>,
    /// Whether the next member may be taken to the next version; asked many times, decided once.
    pub(crate) upgrade: OnceCell<version::Upgrade>,
}

impl<'a> View<'a> {
    pub fn new(desired: &'a Desired, observed: &'a Observed) -> Self {
        let (situation, blocked) = situation(desired, observed);
        let standings = match &situation {
            Situation::Serving(membership) => {
                let of = |name| Some((name, standing(desired, observed, membership, name).ok()?));
                desired.nodes.keys().filter_map(of).collect()
            }
            Situation::New | Situation::Down | Situation::Closed => BTreeMap::new(),
        };
        Self { desired, observed, situation, blocked, standings, upgrade: OnceCell::new() }
    }

    /// The declared hosts that may be worked on, and are or may become members.
    pub fn hosts(&self) -> impl Iterator<Item = (&'a HostName, &'a Host)> + use<'a> {
        let mut hosts = self.all_hosts();
        if self.membership().is_some() {
            hosts.retain(|name, _| matches!(self.standings.get(name), Some(Standing::Member | Standing::Newcomer)));
        }
        hosts.into_iter()
    }

    /// The declared hosts that may be worked on, whatever they are to the cluster.
    pub fn all_hosts(&self) -> BTreeMap<&'a HostName, &'a Host> {
        workable(self.observed, &self.situation, &self.blocked)
    }

    /// Where a declared host stands; `None` where no cluster serves or nobody can say.
    pub fn standing(&self, name: &HostName) -> Option<&Standing> {
        self.standings.get(name)
    }

    /// A reason with the place of the declared `path`.
    pub fn reason(&self, what: impl Into<String>, path: &str) -> Reason {
        Reason { what: what.into(), place: self.desired.places.of(path) }
    }

    /// The member list as far as it may be changed: it was seen, and there is an authority for new members.
    pub fn members(&self) -> Option<&Membership> {
        let has_authority = matches!(self.observed.workstation.authority, Seen::Known(Some(_)));
        self.membership().filter(|_| has_authority && !self.observed.guessed)
    }

    pub fn membership(&self) -> Option<&Membership> {
        match &self.situation {
            Situation::Serving(membership) => Some(membership),
            Situation::New | Situation::Down | Situation::Closed => None,
        }
    }
}

/// A rule: its name, and what it says of a world.
pub struct Rule {
    pub name: &'static str,
    pub next: fn(&View) -> Ruling,
}

/// The rules, in order. The order is the policy.
pub const RULES: &[Rule] = &[
    Rule { name: "create the authority", next: authority::next },
    Rule { name: "begin a rotation of the authority", next: rotation::begin },
    Rule { name: "go on with one survivor", next: recovery::next },
    Rule { name: "remove failed members", next: membership::remove_failed },
    Rule { name: "set stale data aside", next: departure::set_aside },
    Rule { name: "prepare hosts", next: prepare::next },
    Rule { name: "permit new data directories", next: config::permit },
    Rule { name: "install binaries", next: version::next },
    Rule { name: "install the trusted authority", next: certificates::trust },
    Rule { name: "keep the authority's key on every node", next: keeper::next },
    Rule { name: "issue certificates", next: certificates::next },
    Rule { name: "write etcd.yaml", next: config::next },
    Rule { name: "save a snapshot before an upgrade", next: version::snapshot },
    Rule { name: "cut the raft log before an upgrade", next: raft_log::next },
    Rule { name: "write the unit", next: service::write_unit },
    Rule { name: "restore owners and modes", next: access::next },
    Rule { name: "reload units", next: service::reload },
    Rule { name: "enable the service", next: service::enable },
    Rule { name: "start members", next: service::start },
    Rule { name: "promote learners", next: membership::promote },
    Rule { name: "change peer URLs", next: membership::update_peer_url },
    Rule { name: "restart members", next: service::restart },
    Rule { name: "end the rotation of the authority", next: rotation::adopt },
    Rule { name: "tell what keeps the version back", next: version::obstacles },
    Rule { name: "add members", next: membership::add },
    Rule { name: "remove undeclared members", next: membership::remove_undeclared },
    Rule { name: "clear away former members", next: departure::retire },
    Rule { name: "forget former members", next: departure::forget },
    Rule { name: "keep users, roles and authentication", next: users::next },
    Rule { name: "keep the consumers' certificates", next: consumers::next },
    Rule { name: "keep scheduled snapshots", next: backup::next },
    Rule { name: "link the tools", next: version::tools },
    Rule { name: "tell what is served", next: certificates::served },
    Rule { name: "tell what stays wrong", next: service::health },
];

/// The rules while a restore is under way: everything is laid ready before the first member stops.
const RESTORE_RULES: &[Rule] = &[
    Rule { name: "create the authority", next: authority::next },
    Rule { name: "prepare hosts", next: prepare::next },
    Rule { name: "install binaries", next: version::next },
    Rule { name: "push the snapshot", next: restore::push },
    Rule { name: "install the trusted authority", next: certificates::trust },
    Rule { name: "keep the authority's key on every node", next: keeper::next },
    Rule { name: "issue certificates", next: certificates::next },
    // Until here nothing has changed for the cluster that serves; etcd.yaml is of the one to come.
    Rule { name: "note the restore", next: restore::note },
    Rule { name: "write etcd.yaml", next: config::next },
    Rule { name: "write the unit", next: service::write_unit },
    Rule { name: "restore owners and modes", next: access::next },
    Rule { name: "reload units", next: service::reload },
    Rule { name: "stop members", next: restore::stop },
    Rule { name: "set old data aside", next: restore::set_aside },
    Rule { name: "restore data", next: restore::restore },
    Rule { name: "enable the service", next: service::enable },
    Rule { name: "start members", next: service::start },
    Rule { name: "link the tools", next: version::tools },
    Rule { name: "confirm the restore", next: restore::confirm },
    Rule { name: "tell what stays wrong", next: service::health },
];

/// The next step in this world and everything that is blocked in it.
pub fn next(desired: &Desired, observed: &Observed) -> Ruling {
    let view = View::new(desired, observed);
    let mut ruling = Ruling { step: None, blocked: view.blocked.clone() };
    let faults = given::faults(desired, observed);
    if !faults.is_empty() {
        ruling.blocked.extend(authority::next(&view).blocked);
        ruling.blocked.extend(faults);
        return ruling;
    }
    if view.situation == Situation::New {
        // What is needed from outside must be there before the first step: no half-made hosts are left behind.
        ruling.blocked.extend(
            [authority::next, version::next, backup::obstacles].into_iter().flat_map(|rule| rule(&view).blocked),
        );
        if !ruling.blocked.is_empty() {
            return ruling;
        }
    }
    let rules = match &desired.request.restore {
        // A restore is one thing; what else differs is for a plan of its own.
        Some(_) if restore::under_way(desired, observed).is_none() => &[],
        Some(_) => RESTORE_RULES,
        None => RULES,
    };
    for rule in rules {
        let said = (rule.next)(&view);
        ruling.blocked.extend(said.blocked);
        if let Some(draft) = said.step {
            ruling.step = Some(snapshot::insured(&view, draft));
            break;
        }
    }
    ruling
}

/// No cluster needs more steps than this; a plan that reaches it has two rules that undo each other.
const STEPS_MAX: usize = 1000;

/// Everything that would be done, from this world on.
///
/// # Panics
/// If two rules undo each other, so that the plan does not end: a defect of quorate.
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let mut world = observed.clone();
    let mut steps = Vec::new();
    let blocked = loop {
        let ruling = next(desired, &world);
        let Some(draft) = ruling.step else { break ruling.blocked };
        steps.push(take(desired, &mut world, draft));
        assert!(steps.len() < STEPS_MAX, "the plan does not end; its last step is {:?}", steps.last());
    };
    Plan {
        cluster: desired.cluster.name.clone(),
        version: desired.cluster.version,
        file: desired.places.file.clone(),
        observed_at: observed.at,
        complete: observed.is_complete(),
        health: Membership::of(desired, observed).map(|membership| Voters::of(&membership)),
        hosts: observed.hosts.len(),
        unseen: observed.hosts.len() - observed.seen_hosts().count(),
        bare: observed.seen_hosts().filter(|(_, host)| is_bare(host)).count(),
        findings: findings::findings(desired, observed),
        steps,
        request: desired.request.clone(),
        blocked: distinct(blocked).into_iter().map(|blocked| placed(desired, blocked)).collect(),
    }
}

fn is_bare(host: &Host) -> bool {
    host.data == DataDirectory::Empty && host.process.is_none()
}

fn placed(desired: &Desired, blocked: Blocked) -> Blocked {
    Blocked { place: blocked.declared.as_deref().map(|path| desired.places.of(path)), ..blocked }
}

impl Voters {
    pub fn of(membership: &Membership) -> Self {
        Self {
            healthy: membership.healthy_voters(),
            total: membership.voters().count(),
            quorum: membership.quorum(),
            margin: membership.margin(),
        }
    }
}

/// Applies a draft to the world, and keeps what it looked like around it.
fn take(desired: &Desired, world: &mut Observed, draft: Draft) -> Step {
    let margin_in = |world: &Observed| Membership::of(desired, world).map(|membership| membership.margin());
    let before = margin_in(world);
    let during = during(desired, world, &draft.actions);
    let diffs = draft.actions.iter().filter_map(|action| diff(desired, world, action)).collect();
    for action in &draft.actions {
        action.effect(desired, world);
    }
    let margin = Margin { before, during, after: margin_in(world) };
    Step {
        risk: risk(&draft.actions, margin),
        actions: draft.actions,
        because: draft.because,
        needs: draft.needs,
        margin,
        diffs,
    }
}

fn during(desired: &Desired, world: &Observed, actions: &[Action]) -> Option<i32> {
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

fn risk(actions: &[Action], margin: Margin) -> Risk {
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

fn diff(desired: &Desired, world: &Observed, action: &Action) -> Option<FileDiff> {
    let Action::WriteFile { host, file, text } = action else { return None };
    Some(FileDiff {
        host: host.clone(),
        path: crate::core::content::layout::path(desired, *file),
        before: world.host(host).and_then(|seen| seen.text_of(*file)).map(str::to_owned),
        after: text.clone(),
    })
}

fn distinct(mut blocked: Vec<Blocked>) -> Vec<Blocked> {
    let mut seen = BTreeSet::new();
    blocked.retain(|blocked| seen.insert((blocked.code.as_str(), blocked.hosts.clone(), blocked.what.clone())));
    blocked
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

/// What actions that are done together are, in words: `install etcd 3.5.16`.
pub fn title<'a>(actions: impl IntoIterator<Item = &'a Action>) -> String {
    let mut words: Vec<_> = actions.into_iter().map(Action::to_string).collect();
    words.dedup();
    words.join(", ")
}

impl Step {
    pub fn title(&self) -> String {
        title(&self.actions)
    }

    /// The hosts in the order of the actions, each once.
    pub fn hosts(&self) -> Vec<&HostName> {
        let mut hosts: Vec<_> = self.actions.iter().filter_map(Action::host).collect();
        hosts.dedup();
        hosts
    }
}
