//! How the cluster is, in one line of facts: what every headline says first.

use std::collections::BTreeMap;

use crate::core::cluster::quorum::Membership;
use crate::core::cluster::situation::has_lost_data;
use crate::core::cluster::{connections, others, restoration};
use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::names::{HostName, Version};
use crate::core::observed::{Answer, Cause, DataDirectory, Host, Observed, Process};
use crate::core::plan::overview::{Overview, State};

pub fn overview(desired: &Desired, observed: &Observed) -> Overview {
    let membership = Membership::of(desired, observed);
    let (state, hosts) = state(desired, observed, membership.as_ref());
    let mut running: BTreeMap<Version, usize> = BTreeMap::new();
    for (_, answer) in observed.answers() {
        *running.entry(answer.version).or_default() += 1;
    }
    let voters = (state == State::NoQuorum).then(|| voters(observed)).flatten();
    // Whoever it is raised for: every member refuses then.
    let alarms = observed.answers().flat_map(|(_, answer)| &answer.alarms).map(|alarm| alarm.kind.clone());
    let refused_for = alarms.filter(|kind| REFUSE_WRITES.contains(&kind.as_str())).collect();
    let leader = membership.as_ref().and_then(Membership::leading_host).cloned();
    let not_connected = membership.as_ref().and_then(|membership| connections::words(&membership.gaps));
    let answers_ssh = |cause: &Cause| cause.code != Code::HostUnreachable;
    let not_looked_at = observed.hosts.values().filter(|host| host.unknown().is_some_and(answers_ssh)).count();
    let adopted = desired.cluster.layout.is_adopted();
    Overview { state, hosts, running, voters, leader, refused_for, not_connected, not_looked_at, adopted }
}

/// Source: `applierV3Capped` and `applierV3Corrupt` in etcd's apply.go, the same from 3.4 to 3.7.
const REFUSE_WRITES: [&str; 2] = ["NOSPACE", "CORRUPT"];

fn state(desired: &Desired, observed: &Observed, membership: Option<&Membership>) -> (State, Vec<HostName>) {
    let on = |is_so: &dyn Fn(&Host) -> bool| -> Vec<HostName> {
        observed.seen_hosts().filter(|(_, host)| is_so(host)).map(|(name, _)| name.clone()).collect()
    };
    if observed.seen_hosts().next().is_none() {
        return (State::Unreachable, Vec::new());
    }
    if let Some(unfinished) = restoration::unfinished(desired, observed) {
        return (State::RestoreUnfinished, unfinished.hosts);
    }
    let answering: Vec<_> = observed.answers().map(|(name, _)| name.clone()).collect();
    match membership {
        // A voter that is healthy has just read through a quorum, whoever of that was not seen or does not answer here: its
        // client port may be closed, or its host out of reach from here alone.
        Some(membership) if membership.healthy_voters() > 0 => return (State::Serving, Vec::new()),
        _ if !answering.is_empty() => return (State::NoQuorum, answering),
        _ => {}
    }
    let theirs = on(&|host| others::in_our_place(host).next().is_some());
    if !theirs.is_empty() {
        return (State::OtherEtcd, theirs);
    }
    let is_unasked = |host: &Host| host.member.unknown().is_some_and(|cause| !was_asked(cause));
    let lost = on(&has_lost_data);
    for (state, hosts) in
        [(State::NotAsked, on(&is_unasked)), (State::Silent, on(&|host: &Host| host.process.is_some()))]
    {
        if !hosts.is_empty() {
            return (state, hosts);
        }
    }
    let is_kept = observed.seen_hosts().any(|(_, host)| host.has_data() || host.data.is_out_of_sight());
    match (is_kept, lost.is_empty()) {
        (true, _) => (State::Stopped, Vec::new()),
        (false, false) => (State::DataLost, lost),
        (false, true) => (State::Bare, on(&is_bare)),
    }
}

/// Whether it holds nothing of a cluster: no data and no running etcd.
pub fn is_bare(host: &Host) -> bool {
    host.data == DataDirectory::Empty && host.process.is_none()
}

/// Whether a member that did not answer was asked at all, and is not silent for want of something here.
pub fn was_asked(cause: &Cause) -> bool {
    matches!(cause.code, Code::MemberSilent | Code::NoQuorum)
}

/// Whether the state of its member is its own, and not for want of something here. One that is silent was asked.
pub fn is_asked(host: &Host) -> bool {
    if host.answer().is_none() && others::in_our_place(host).next().is_some() {
        return false;
    }
    host.member.unknown().is_none_or(was_asked)
}

/// Whether it may look otherwise in a moment, by itself: members choose a leader, or somebody's run is about to end.
pub fn may_pass(desired: &Desired, observed: &Observed) -> bool {
    // Members that have just started are not connected to all others yet.
    if Membership::of(desired, observed).is_some_and(|membership| !membership.gaps.is_empty()) {
        return true;
    }
    let mut answers = observed.answers().map(|(_, answer)| answer).filter(|answer| !answer.learner).peekable();
    let leader = answers.peek().and_then(|answer| answer.leader);
    // In one answer the read may have waited for the new leader, and the member list not.
    let is_settled = |answer: &Answer| {
        answer.leader.is_some() && answer.leader == leader && answer.reads && answer.members.known().is_some()
    };
    let is_electing = answers.any(|answer| !is_settled(answer));
    is_electing || observed.seen_hosts().any(|(_, host)| host.lock.is_some() || is_coming_or_going(observed, host))
}

/// Whether etcd runs there and does not answer as it has just been started; or, in a pod, as its kubelet is just ending it.
fn is_coming_or_going(observed: &Observed, host: &Host) -> bool {
    const YOUNG_SECONDS: i64 = 10;
    let is_young = |process: &Process| observed.at.0 + host.clock_offset_seconds - process.started.0 < YOUNG_SECONDS;
    let is_silent = host.member.unknown().is_some_and(|cause| cause.code == Code::MemberSilent);
    is_silent && host.process.as_ref().is_some_and(|process| host.kubelet.is_some() || is_young(process))
}

/// How many voters there are, as members say: also those who cannot reach a quorum.
pub fn voters(observed: &Observed) -> Option<usize> {
    let list = observed.member_list().or_else(|| {
        let mut lists = observed.answers().map(|(_, answer)| &answer.own_members);
        lists.find(|list| !list.is_empty())
    });
    Some(list?.iter().filter(|entry| !entry.learner).count())
}
