//! When a quorum is gone for good: one survivor becomes a cluster of its own, and the others join it anew.
//!
//! Only on the operator's word (`--lost`, and `--allow lose-quorum:CLUSTER`): what the lost members had acknowledged
//! and the survivor has not seen is gone.

use super::unreachable;
use std::collections::BTreeSet;

use crate::core::allowance::{AllowKind, Allowance};
use crate::core::cluster::departed::noted;
use crate::core::cluster::quorum::quorum;
use crate::core::cluster::situation::{Situation, situation};
use crate::core::cluster::view::View;
use crate::core::cluster::{model, next_start, version};
use crate::core::code::Code;
use crate::core::desired::{Desired, Place};
use crate::core::guard::{Guard, upheld};
use crate::core::names::HostName;
use crate::core::observed::departure::{self, Departure};
use crate::core::observed::{Answer, DataDirectory, File, Host, MemberEntry, Observed, Seen, ServiceState};
use crate::core::plan::action::{Action, FileAction, Readiness, RecoveryAction};
use crate::core::plan::ruling::{Blocked, Draft, Finding, Ruling};

pub fn next(view: &View) -> Ruling {
    if view.situation != Situation::Down || view.desired.request.lost.is_empty() {
        return Ruling::default();
    }
    let survivors = match survivors(view.desired, view.observed) {
        Ok(survivors) => survivors,
        Err(blocked) => return Ruling::blocked(blocked),
    };
    let (best, index) = &survivors[0];
    let needs = BTreeSet::from([Allowance::new(AllowKind::LoseQuorum, &view.desired.cluster.name)]);
    let lost = view.desired.request.lost.keys().map(HostName::as_str).collect::<Vec<_>>().join(", ");
    let seen = index.map_or(String::new(), |index| format!(" (raft index {index})"));
    if let Some(note) = note(view, best) {
        let (they, them) =
            if view.desired.request.lost.len() == 1 { ("it comes", "it") } else { ("they come", "them") };
        let what = format!("{lost} must not serve if {they} back: keep {them} off, or etcd there disabled, until then");
        let reason = view.reason(what, Place::Nodes);
        return Ruling::step(Draft { actions: vec![note], because: vec![reason], needs });
    }
    let are = if view.desired.request.lost.len() == 1 { "is" } else { "are" };
    let reason =
        view.reason(format!("{lost} {are} lost for good, and {best} has the most recent data{seen}"), Place::Nodes);
    Ruling::step(Draft {
        actions: vec![Action::Recovery(RecoveryAction::ForceNewCluster { host: best.clone() })],
        because: vec![reason],
        needs,
    })
}

/// Notes on the survivor who is lost, if that is not there yet: together they may be a quorum of the old cluster, and
/// would serve what it has left behind.
fn note(view: &View, survivor: &HostName) -> Option<Action> {
    let lost = view.desired.request.lost.keys();
    let departures = lost.map(|name| Departure { name: name.clone(), peer_url: view.desired.peer_url(name) });
    let text = departure::departures(&noted(view.observed).into_iter().chain(departures).collect::<BTreeSet<_>>());
    let is_there = view.observed.host(survivor)?.text_of(File::Departures) == Some(text.as_str());
    (!is_there).then(|| Action::File(FileAction::Write { host: survivor.clone(), file: File::Departures, text }))
}

/// The members that are left, the one that has seen most first, with its raft index.
fn survivors(desired: &Desired, observed: &Observed) -> Result<Vec<(HostName, Option<u64>)>, Blocked> {
    let lost = &desired.request.lost;
    if let Some(unknown) = lost.keys().find(|name| !desired.nodes.contains_key(*name)) {
        let what = format!("--lost={unknown}: no such node");
        return Err(Blocked::new(Code::NotLost, what).hint("use the names under [nodes] in cluster.toml"));
    }
    let back = lost.keys().find(|name| observed.host(name).is_some_and(Host::has_data));
    if let Some(name) = back.filter(|_| !upheld(Guard::LostIsGone, false)) {
        let what = format!("--lost={name}: {name} is reachable and has its data");
        let hint = format!("plan without --lost={name} to start it instead");
        return Err(Blocked::new(Code::NotLost, what).on(name).hint(hint));
    }
    // A learner has seen what it was told, and never had a say.
    let learns = |name: &HostName| observed.host(name).and_then(Host::answer).is_some_and(|answer| answer.learner);
    let left = || desired.nodes.keys().filter(|name| !lost.contains_key(*name) && !learns(name));
    for name in left() {
        let obstacles = observed.host(name).map(|host| next_start::obstacles(desired, name, host));
        if let Some(why) = obstacles.into_iter().flatten().next() {
            return Err(why);
        }
        let (hint, what) = match observed.sight(name) {
            Some(Seen::Known(host)) if host.data == DataDirectory::Member && host.files.contains_key(&File::Config) => {
                continue;
            }
            Some(Seen::Known(_)) => {
                (format!("add `--lost={name}`"), format!("{name} has no data and was not named with --lost"))
            }
            _ => (
                format!("make it reachable, or add `--lost={name}`"),
                format!("{name} is unreachable and was not named with --lost"),
            ),
        };
        if !upheld(Guard::SurvivorsSeen, false) {
            return Err(Blocked::new(Code::NotLost, what).on(name).hint(hint));
        }
    }
    let own = left().find_map(|name| observed.host(name)?.answer().filter(|answer| !answer.own_members.is_empty()));
    let voters =
        own.map_or(desired.nodes.len(), |answer| answer.own_members.iter().filter(|entry| !entry.learner).count());
    if left().count() >= quorum(voters) && !upheld(Guard::QuorumIsGone, false) {
        let what = format!("{} of {voters} voters are left, which is enough for quorum", left().count());
        return Err(Blocked::new(Code::NotLost, what).hint("plan without --lost to start them"));
    }
    let index = |name: &HostName| observed.host(name).and_then(Host::answer).map(|answer| answer.index);
    let mut survivors: Vec<_> = left().map(|name| (name.clone(), index(name))).collect();
    if survivors.len() > 1
        && let Some((silent, _)) = survivors.iter().find(|(_, index)| index.is_none())
        && !upheld(Guard::SurvivorsRanked, false)
    {
        let what = format!("the raft index of {silent} is unknown, so the most up-to-date survivor cannot be chosen");
        let hint = format!("add `--lost={silent}` if another survivor is known to be as up to date");
        return Err(Blocked::new(Code::NotLost, what).on(silent).hint(hint));
    }
    survivors.sort_by_key(|(name, index)| (std::cmp::Reverse(*index), name.clone()));
    if survivors.is_empty() {
        let what = "every member was named with --lost: no survivor is left";
        return Err(Blocked::new(Code::NotLost, what).hint("restore the cluster from a snapshot"));
    }
    Ok(survivors)
}

/// What the operator must know before a cluster is made of one survivor.
pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    if desired.request.lost.is_empty() || situation(desired, observed).0 != Situation::Down {
        return Vec::new();
    }
    let Ok(survivors) = survivors(desired, observed) else { return Vec::new() };
    let in_words = |(name, index): &(HostName, Option<u64>)| {
        format!("{name} at raft index {}", index.map_or_else(|| "unknown".to_owned(), |index| index.to_string()))
    };
    let ranked: Vec<_> = survivors.iter().map(in_words).collect();
    let lost: Vec<_> = desired.request.lost.keys().map(HostName::as_str).collect();
    vec![Finding {
        code: Code::WritesMayBeLost,
        hosts: survivors.iter().map(|(name, _)| name.clone()).collect(),
        what: format!(
            "survivors: {}; writes that only {} acknowledged and {} never received are lost",
            ranked.join(", "),
            lost.join(" and "),
            survivors[0].0
        ),
        hint: Some(
            "if a backup is newer than the survivor's data, restore that instead: see `quorate explain \
                    writes-may-be-lost`"
                .to_owned(),
        ),
    }]
}

pub fn readiness(desired: &Desired, observed: &Observed, name: &HostName) -> Readiness {
    let Some(host) = observed.host(name) else { return unreachable(name) };
    if let Some(members) = host.answer().and_then(|answer| answer.members.known()) {
        let alone = members.len() == 1;
        return if alone { Readiness::Done } else { Readiness::Refused("the cluster has quorum again".to_owned()) };
    }
    match survivors(desired, observed) {
        Ok(survivors) if survivors[0].0 == *name => Readiness::Ready,
        Ok(survivors) => Readiness::Refused(format!("{} is more up to date than {name}", survivors[0].0)),
        Err(blocked) => Readiness::Refused(blocked.what),
    }
}

/// A cluster of this member alone, under a new member list with its old id. The others learn from it that they are out.
pub fn effect(desired: &Desired, observed: &mut Observed, name: &HostName) {
    model::run(desired, observed, name);
    let host = observed.host(name);
    let version = host.map_or(desired.cluster.version, |host| version::on_disk(desired, host));
    let answer = host.and_then(Host::answer).cloned();
    let id = answer.as_ref().map_or(crate::core::names::MemberId(1), |answer| answer.member);
    let cluster = answer.as_ref().map_or(crate::core::names::ClusterId(0), |answer| answer.cluster);
    let listed = answer.iter().flat_map(|answer| &answer.own_members).find(|entry| entry.id == id).cloned();
    let entry = listed.unwrap_or_else(|| MemberEntry {
        id,
        name: Some(name.clone()),
        peer_urls: [desired.peer_url(name)].into(),
        client_urls: BTreeSet::new(),
        learner: false,
    });
    let answer = model::predicted_answer(version, cluster, &entry, Some(id), std::slice::from_ref(&entry));
    let others: Vec<HostName> =
        observed.answers().map(|(other, _)| other).filter(|other| *other != name).cloned().collect();
    for other in others {
        model::end(observed, &other);
    }
    if let Some(host) = observed.host_mut(name) {
        host.service.state = ServiceState::Active;
        host.service.enabled = true;
        host.member = Seen::Known(Some(Answer { cluster_version: Some(version::of_cluster(version)), ..answer }));
    }
}
