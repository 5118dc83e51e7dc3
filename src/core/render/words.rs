//! The words that every format, and `apply`, share: what a step is called, what it does, and the summary of a plan.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::cluster::quorum::quorum;
pub use crate::core::count::count;
use crate::core::names::{HostName, Version, listed};
use crate::core::plan::action::{Action, Impact, NO_IMPACT};
use crate::core::plan::overview::{Overview, State};
use crate::core::plan::step::{Margin, Risk, Step};
use crate::core::plan::{Plan, Voters};
use crate::core::render::clean;

/// `[2/9] install etcd 3.5.16 on etcd-1, etcd-2, etcd-3`: the line that `plan` shows and `apply` repeats.
pub fn step_line<'a>(
    number: usize,
    of: usize,
    title: &str,
    on: impl IntoIterator<Item = &'a HostName>,
    declared: usize,
) -> String {
    let width = of.to_string().len();
    format!("[{number:width$}/{of}] {}", clean(&with_hosts(title, on, declared)))
}

/// `install etcd 3.5.16 on etcd-1, etcd-2, etcd-3`, in a cluster of `declared` hosts.
pub fn with_hosts<'a>(title: &str, on: impl IntoIterator<Item = &'a HostName>, declared: usize) -> String {
    let on: Vec<_> = on.into_iter().collect();
    match on.as_slice() {
        [] => title.to_owned(),
        // It has said whose member it is, and nothing is done there.
        [host] if title.starts_with(&format!("remove member {host} ")) => title.to_owned(),
        on => format!("{title} on {}", hosts(on, declared)),
    }
}

/// Names up to three hosts; more are counted when they are all that is declared.
pub fn hosts(hosts: &[&HostName], declared: usize) -> String {
    match hosts.len() {
        count if count > 3 && count == declared => format!("all {count} hosts"),
        _ => hosts.iter().map(|host| host.as_str()).collect::<Vec<_>>().join(", "),
    }
}

/// What a running etcd notices of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// No running service notices.
    None,
    /// A stopped member starts.
    Start,
    /// A member restarts.
    Restart,
    /// The member list changes.
    Membership,
    /// A member that was removed, or is about to be, is stopped.
    Stop,
    /// Who may do what in the cluster changes.
    Access,
}

impl Effect {
    pub fn of(step: &Step) -> Self {
        // The most that any of its actions does.
        step.actions
            .iter()
            .map(|action| Self::of_impact(action.impact()))
            .max_by_key(Self::weight)
            .unwrap_or(Self::None)
    }

    fn of_impact(impact: Impact) -> Self {
        match impact {
            Impact::Restart | Impact::Outage => Self::Restart,
            Impact::Membership { .. } => Self::Membership,
            Impact::Start => Self::Start,
            Impact::Stop => Self::Stop,
            Impact::Access { .. } => Self::Access,
            // etcd does not run while its data is replaced.
            Impact::Nothing | Impact::Replacement => Self::None,
        }
    }

    fn weight(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Access => 1,
            Self::Stop => 2,
            Self::Start => 3,
            Self::Membership => 4,
            Self::Restart => 5,
        }
    }
}

/// What a running etcd notices, in a few words; `later` are the steps of the plan that come after it.
pub fn effect(step: &Step, later: &[Step]) -> &'static str {
    let most = |action: &&Action| Effect::of_impact(action.impact()).weight();
    // Of actions that do as much, the first.
    let Some(action) = step.actions.iter().rev().max_by_key(most) else { return NO_IMPACT };
    let several = step.actions.len() > 1;
    match action.impact() {
        Impact::Start if several => "starts etcd on all of these hosts at once",
        Impact::Stop if several => "stops etcd on all of these hosts",
        // etcd reads it when it starts, and nobody does before.
        Impact::Nothing if is_before_start(step, later) => NO_IMPACT,
        // Nobody is there to hand leadership over to.
        Impact::Restart if step.risk == Risk::High => "restarts etcd",
        Impact::Nothing
        | Impact::Start
        | Impact::Restart
        | Impact::Stop
        | Impact::Membership { .. }
        | Impact::Access { .. }
        | Impact::Outage
        | Impact::Replacement => action.effect(),
    }
}

/// Whether etcd runs on none of these hosts: the next that is done to it there is its start, on each of them.
fn is_before_start(step: &Step, later: &[Step]) -> bool {
    let is_service = |action: &&Action| match action.impact() {
        Impact::Start | Impact::Restart | Impact::Stop | Impact::Outage => true,
        Impact::Nothing | Impact::Membership { .. } | Impact::Access { .. } | Impact::Replacement => false,
    };
    let next = |host: &HostName| {
        let mut actions = later.iter().flat_map(|step| &step.actions).filter(is_service);
        actions.find(|action| action.host() == Some(host))
    };
    step.hosts().into_iter().all(|host| next(host).is_some_and(|action| action.impact() == Impact::Start))
}

/// `tolerates 1 failure before, 0 during, 1 after`; `None` while there is no cluster. Of one whose members do not run, or
/// are too few, as `state` has it, nobody could say who they are: that is no quorum.
pub fn margin(margin: Margin, state: State) -> Option<String> {
    let existed = matches!(state, State::NoQuorum | State::Stopped);
    let Margin { before, during, after } = margin;
    if before == during && during == after {
        return before.map(|margin| match margin {
            ..0 => "no quorum throughout".to_owned(),
            margin => format!("tolerates {} throughout", failures(margin)),
        });
    }
    let mut is_told = false;
    let mut part = |margin: Option<i32>, when| match margin {
        None if existed => format!("no quorum {when}"),
        None => format!("no cluster {when}"),
        Some(..0) => format!("no quorum {when}"),
        Some(margin) if is_told => format!("{margin} {when}"),
        Some(margin) => {
            is_told = true;
            format!("tolerates {} {when}", failures(margin))
        }
    };
    let parts = match (before, during) {
        (None, None) => vec![part(None, "before"), part(after, "after")],
        _ => vec![part(before, "before"), part(during, "during"), part(after, "after")],
    };
    Some(parts.join(", "))
}

/// `1 failure`, of a margin that is not negative.
fn failures(margin: i32) -> String {
    count(usize::try_from(margin).unwrap_or_default(), "failure")
}

/// `None` when nothing can go wrong for a client.
pub fn risk(step: &Step) -> Option<String> {
    let why = match (step.risk, Effect::of(step)) {
        (Risk::None, _) => return None,
        (Risk::Low, Effect::Membership) => "no voter is affected",
        (Risk::Low, Effect::Access) => "in-flight requests may need a retry",
        (Risk::Low, _) => "affects only members that are not serving",
        (Risk::Medium, Effect::Access) => {
            step.actions.iter().find_map(Action::who_feels_it).unwrap_or("clients notice")
        }
        (Risk::Medium, Effect::Membership) => "cluster membership changes; quorum is kept",
        (Risk::Medium, Effect::Stop) => "one member stops; the others keep quorum",
        (Risk::Medium, _) => "one member restarts; the others keep quorum",
        (Risk::High, _) => {
            step.actions.iter().find_map(Action::loses).unwrap_or("the cluster is unavailable during this step")
        }
    };
    Some(format!("{}: {why}", step.risk.word()))
}

/// `--allow remove-member:etcd-4`; `None` when the step needs no allowance.
pub fn needs(step: &Step) -> Option<String> {
    let flags: Vec<_> = step.needs.iter().map(|needs| format!("--allow {needs}")).collect();
    (!flags.is_empty()).then(|| flags.join(" "))
}

/// `leader-last order: …`; `None` where leadership decides nothing of the order.
pub fn order(plan: &Plan) -> Option<String> {
    let leader = plan.leader_last()?;
    Some(format!("{leader} is the leader, so its turn comes last; apply keeps this order even if leadership moves"))
}

/// What is to be known where another member leads than when the plan was made.
pub fn other_leader(plan: &Plan, now: Option<HostName>) -> Option<String> {
    let then = plan.leader_last()?;
    let now = now.filter(|now| now != then)?;
    Some(format!(
        "{now} leads now; the planned order is kept, with {then} last, and {now} hands leadership over in its turn"
    ))
}

/// `3 of 3 voters healthy, quorum 2, tolerates 1 failure`
pub fn voters(voters: &Voters) -> String {
    let Voters { healthy, total, quorum, margin } = voters;
    let of = count(*total, "voter");
    match margin {
        ..0 => format!("NO QUORUM: {healthy} of {of} healthy, {quorum} needed"),
        margin => format!("{healthy} of {of} healthy, quorum {quorum}, tolerates {}", failures(*margin)),
    }
}

/// The state of the cluster that the plan starts from.
pub fn health(plan: &Plan) -> String {
    state(&plan.overview, plan.health.as_ref(), plan.hosts, plan.unseen)
}

/// How the cluster is: its voters, or why nobody can count them; and how many of `declared` hosts were not seen.
pub fn state(overview: &Overview, health: Option<&Voters>, declared: usize, unseen: usize) -> String {
    let on = listed(&overview.hosts);
    let is = match (overview.state, health) {
        (State::Unreachable, _) if overview.not_looked_at > 0 => return "no host could be looked at".to_owned(),
        (State::Unreachable, _) => return "no host is reachable".to_owned(),
        (State::RestoreUnfinished, _) => format!("no member answers: a restore is unfinished on {on}"),
        (State::Serving, Some(Voters { healthy, total, margin: ..0, .. })) => {
            let missing = total - healthy;
            let verb = if missing == 1 { "was" } else { "were" };
            let of = count(*total, "voter");
            format!("SERVES (a read through a quorum succeeded), but {missing} of {of} {verb} not seen healthy")
        }
        (_, Some(health)) => voters(health),
        (State::NoQuorum, None) => no_quorum(overview.hosts.len(), overview.voters),
        // Of members that another program runs nothing is said which they have not said themselves.
        (State::OtherEtcd, None) => "not known: no member answers with this cluster's credentials".to_owned(),
        (State::NotAsked, None) => format!("not known: etcd on {on} was not asked"),
        (State::Serving | State::Silent, None) => "no member answers".to_owned(),
        (State::Stopped, None) => "etcd is not running".to_owned(),
        (State::DataLost, None) => format!("NO DATA: the data of the members on {on} is gone"),
        (State::Bare, None) if overview.hosts.is_empty() => "no cluster found".to_owned(),
        (State::Bare, None) => format!("no cluster found: {}", count(overview.hosts.len(), "empty host")),
    };
    let mut is = is;
    if let (State::Serving, Some(leader)) = (overview.state, &overview.leader) {
        is.push_str(&format!(", {leader} leads"));
    }
    if let Some(words) = &overview.not_connected {
        is.push_str(&format!("; NOT ALL CONNECTED ({})", clean(words)));
    }
    if !overview.refused_for.is_empty() {
        let alarms: Vec<_> = overview.refused_for.iter().map(|kind| clean(kind)).collect();
        is.push_str(&format!("; WRITES REFUSED (alarm {})", alarms.join(", ")));
    }
    match not_seen(overview, unseen, &format!(" of {}", count(declared, "host"))) {
        None => is,
        Some(words) => format!("{is}; {words}"),
    }
}

/// `2 of 3 hosts unreachable, 1 could not be looked at`; `None` where all were seen.
fn not_seen(overview: &Overview, unseen: usize, of: &str) -> Option<String> {
    let dark = overview.not_looked_at.min(unseen);
    Some(match (unseen - dark, dark) {
        (0, 0) => return None,
        (unreachable, 0) => format!("{unreachable}{of} unreachable"),
        (0, dark) => format!("{dark}{of} could not be looked at"),
        (unreachable, dark) => format!("{unreachable}{of} unreachable, {dark} could not be looked at"),
    })
}

fn no_quorum(answering: usize, voters: Option<usize>) -> String {
    let verb = if answering == 1 { "answers" } else { "answer" };
    match voters {
        Some(voters) => {
            format!("NO QUORUM: {answering} of {} {verb}, {} needed", count(voters, "voter"), quorum(voters))
        }
        None => format!("NO QUORUM: {} {verb}, and none has a leader", count(answering, "member")),
    }
}

/// `declared: etcd 3.6.16, running: 3.5.30 on 1 of 3 members, 3.6.16 on 2`: what is declared, and what those run that answer.
pub fn versions(declared: Version, overview: &Overview) -> String {
    let members: usize = overview.running.values().sum();
    let on = |(index, (version, on)): (usize, (&Version, &usize))| match index {
        0 => format!("{version} on {on} of {members} members"),
        _ => format!("{version} on {on}"),
    };
    let running: Vec<_> = match overview.running.len() {
        0 | 1 => overview.running.keys().map(Version::to_string).collect(),
        _ => overview.running.iter().enumerate().map(on).collect(),
    };
    match running.as_slice() {
        [] => format!("declared: etcd {declared}"),
        running => format!("declared: etcd {declared}, running: {}", running.join(", ")),
    }
}

/// The countable part of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    pub steps: usize,
    /// Single actions: a step on three hosts has three.
    pub changes: usize,
    /// The hosts that some step changes.
    pub hosts: usize,
    pub starts: usize,
    pub restarts: usize,
    pub blocked: usize,
    pub findings: usize,
    /// The smallest quorum margin in the course of the plan; `null` when there is no cluster at any time.
    pub min_margin: Option<i32>,
}

impl Summary {
    pub fn of(plan: &Plan) -> Self {
        let hosts: BTreeSet<_> = plan.actions().filter_map(Action::host).collect();
        Self {
            steps: plan.steps.len(),
            changes: plan.actions().count(),
            hosts: hosts.len(),
            starts: plan.actions().filter(|action| action.impact() == Impact::Start).count(),
            restarts: plan.actions().filter(|action| action.impact() == Impact::Restart).count(),
            blocked: plan.blocked.len(),
            findings: plan.findings.len(),
            min_margin: plan.min_margin(),
        }
    }
}

/// `9 steps on 3 hosts, 3 starts, 0 restarts, 0 blocked; always tolerates at least 1 failure`
pub fn summary(plan: &Plan) -> String {
    let summary = Summary::of(plan);
    let on = if summary.hosts == 0 && summary.steps > 0 {
        String::new()
    } else {
        format!(" on {}", count(summary.hosts, "host"))
    };
    let mut text = format!(
        "{}{on}, {}, {}, {} blocked",
        count(summary.steps, "step"),
        count(summary.starts, "start"),
        count(summary.restarts, "restart"),
        summary.blocked,
    );
    if let Some(margin) = summary.min_margin {
        text.push_str(&match margin {
            ..0 => "; no quorum at some point".to_owned(),
            margin => format!("; always tolerates at least {}", failures(margin)),
        });
    }
    let needs: Vec<_> = plan.needs().into_iter().map(|needs| format!("--allow {needs}")).collect();
    if !needs.is_empty() {
        text.push_str(&format!("; needs {}", needs.join(", ")));
    }
    text
}

/// `3 hosts: binaries, certificates, …; 3 of 3 voters healthy, etcd 3.5.16`
pub fn checked(plan: &Plan) -> String {
    let health = plan
        .health
        .as_ref()
        .map_or(String::new(), |health| format!("; {} of {} healthy", health.healthy, count(health.total, "voter")));
    let connected = if plan.overview.not_connected.is_some() { ", NOT ALL CONNECTED" } else { "" };
    let running = match plan.overview.running.len() {
        0 => format!("etcd {}", plan.version),
        1 => plan.overview.running.keys().map(|version| format!("etcd {version}")).collect(),
        _ => versions(plan.version, &plan.overview),
    };
    let unseen =
        not_seen(&plan.overview, plan.unseen, &format!(" {}", if plan.unseen == 1 { "host" } else { "hosts" }));
    let unseen = unseen.map_or_else(String::new, |words| format!("; {words}"));
    let compared = match plan.overview.adopted {
        true => "settings, running process",
        false => "binaries, certificates, etcd.yaml, unit, service, running process",
    };
    format!(
        "{}: {compared}{health}{connected}, {running}{unseen}",
        count(plan.hosts.saturating_sub(plan.unseen), "host"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::code::Code;
    use crate::core::observed::{Cause, Seen};
    use crate::core::planner::plan;
    use crate::laws::sample;

    fn margin_of(before: Option<i32>, during: Option<i32>, after: Option<i32>) -> Option<String> {
        margin(Margin { before, during, after }, State::Bare)
    }

    #[test]
    fn a_margin_is_told_once_when_it_does_not_change() {
        assert_eq!(margin_of(None, None, None), None);
        assert_eq!(margin_of(Some(1), Some(1), Some(1)).as_deref(), Some("tolerates 1 failure throughout"));
        assert_eq!(margin_of(Some(-1), Some(-1), Some(-1)).as_deref(), Some("no quorum throughout"));
        assert_eq!(margin_of(None, None, Some(1)).as_deref(), Some("no cluster before, tolerates 1 failure after"));
        let stopped = Margin { before: None, during: None, after: Some(1) };
        assert_eq!(margin(stopped, State::Stopped).as_deref(), Some("no quorum before, tolerates 1 failure after"));
        assert_eq!(
            margin_of(Some(1), Some(0), Some(1)).as_deref(),
            Some("tolerates 1 failure before, 0 during, 1 after")
        );
        assert_eq!(
            margin_of(Some(0), Some(-1), Some(0)).as_deref(),
            Some("tolerates 0 failures before, no quorum during, 0 after")
        );
    }

    #[test]
    fn what_runs_is_told_beside_what_is_declared() {
        let told = |running: &[(&str, usize)]| {
            let version = |text: &str| text.parse::<Version>().expect("a version");
            let running = running.iter().map(|(text, on)| (version(text), *on)).collect();
            let (hosts, refused_for) = (Vec::new(), Default::default());
            let overview = Overview {
                state: State::Serving,
                hosts,
                running,
                voters: None,
                leader: None,
                refused_for,
                not_connected: None,
                not_looked_at: 0,
                adopted: false,
            };
            versions(version("3.6.16"), &overview)
        };
        assert_eq!(told(&[]), "declared: etcd 3.6.16");
        assert_eq!(told(&[("3.4.23", 3)]), "declared: etcd 3.6.16, running: 3.4.23");
        assert_eq!(
            told(&[("3.5.30", 1), ("3.6.16", 2)]),
            "declared: etcd 3.6.16, running: 3.5.30 on 1 of 3 members, 3.6.16 on 2"
        );
    }

    /// That sudo refuses is no sign of a host that is away.
    #[test]
    fn a_host_that_answers_is_not_called_unreachable() {
        let told = |unseen: &[Code]| {
            let desired = sample::desired(3);
            let mut observed = sample::healthy(&desired);
            for (index, code) in unseen.iter().enumerate() {
                let cause = Cause { code: *code, summary: String::new(), hint: None };
                observed.hosts.insert(sample::name(index), Seen::Unknown(cause));
            }
            health(&plan(&desired, &observed))
        };
        assert!(told(&[Code::Sudo]).ends_with("; 1 of 3 hosts could not be looked at"), "{}", told(&[Code::Sudo]));
        assert!(told(&[Code::HostUnreachable]).ends_with("; 1 of 3 hosts unreachable"));
        let both = [Code::HostUnreachable, Code::HostKey];
        assert!(told(&both).ends_with("; 1 of 3 hosts unreachable, 1 could not be looked at"), "{}", told(&both));
        assert_eq!(told(&[Code::Sudo, Code::Sudo, Code::Sudo]), "no host could be looked at");
        assert_eq!(told(&[Code::HostUnreachable; 3]), "no host is reachable");
    }

    #[test]
    fn many_hosts_are_counted_only_when_they_are_all() {
        let names: Vec<_> = (1..=5).map(|n| HostName::new(format!("n{n}"))).collect();
        let some: Vec<_> = names.iter().collect();
        assert_eq!(hosts(&some, 5), "all 5 hosts");
        assert_eq!(hosts(&some[..4], 5), "n1, n2, n3, n4");
        assert_eq!(hosts(&some[..3], 3), "n1, n2, n3");
        assert_eq!(with_hosts("enable authentication", [], 3), "enable authentication");
        assert_eq!(
            with_hosts("remove member n1 (id 7) from the cluster", [&names[0]], 3),
            "remove member n1 (id 7) from the cluster"
        );
        let before = "safety snapshot before: remove member n1 (id 7) from the cluster";
        assert_eq!(with_hosts(before, [&names[0]], 3), format!("{before} on n1"));
    }
}
