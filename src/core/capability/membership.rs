//! The member list: who is added, promoted, moved to another URL, and taken out. One at a time, and never two changes
//! under way at once.
//!
//! ```text
//! failed ─ stop it ─ stage its successor ─ note it ─ remove ─► newcomer ─ add as learner ─ start ─ promote ─► member
//! undeclared, unhealthy: as failed            undeclared, healthy: last of all, when every newcomer is a voter
//! ```
//!
//! Remove before add: with a voter down etcd refuses every addition. Source: `mayAddMember` and `mayRemoveMember` in
//! etcd's server.go, 3.4 to 3.7. A name that is declared on another machine is a member that moves: it is not removed
//! before that machine was seen and is ready, and while it is healthy not before its successor votes.

use std::collections::BTreeSet;

use crate::core::allowance::{AllowKind, Allowance};
use crate::core::cluster::departed::{noted, unwritten};
use crate::core::cluster::joining::{candidate, is_newcomer};
use crate::core::cluster::model::{edit_members, end};
use crate::core::cluster::quorum::{Health, Member, Membership};
use crate::core::cluster::standing::Standing;
use crate::core::cluster::view::View;
use crate::core::cluster::{adopted, connections, insurance, next_start, room, source, staged, succession, turn};
use crate::core::code::Code;
use crate::core::content;
use crate::core::desired::{Desired, Place};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, MemberId, PeerUrl};
use crate::core::observed::departure::Departure;
use crate::core::observed::{DataDirectory, File, Host, MemberEntry, Observed, ServiceState};
use crate::core::plan::action::{Action, MemberAction, Readiness, Removal, ServiceAction};
use crate::core::plan::ruling::{Blocked, Draft, Ruling};

/// Takes out what has failed: a member that is lost or has lost its data, one whose name another machine takes over,
/// and one that is not declared and not well.
pub fn remove_failed(view: &View) -> Ruling {
    let Some(membership) = view.members() else { return Ruling::default() };
    // A replacement that is under way is finished first.
    let under_way = membership.learners().any(|learner| learner.declared && learner.health == Health::Healthy);
    if under_way && !upheld(Guard::OneChangeAtATime, false) {
        return Ruling::default();
    }
    let mut failed: Vec<_> =
        membership.members.iter().filter_map(|member| Some((member, failure(view, member)?))).collect();
    failed.sort_by_key(|(member, _)| member.health == Health::Healthy);
    remove_first(view, membership, failed)
}

/// Takes out what is well and not declared, once every declared member that can be added is a voter.
pub fn remove_undeclared(view: &View) -> Ruling {
    let Some(membership) = view.members() else { return Ruling::default() };
    let pending = membership.learners().next().is_some() || view.hosts().any(|(name, _)| is_newcomer(view, name));
    if pending && !upheld(Guard::OneChangeAtATime, false) {
        return Ruling::default();
    }
    let mut undeclared: Vec<_> = membership
        .members
        .iter()
        .filter(|member| !member.declared && succession::is_ready_to_go(view, membership, member))
        .collect();
    let wrong = membership.voters().find(|member| member.declared && member.is_odd());
    if let (Some(wrong), Some(first)) = (wrong, undeclared.first())
        && !upheld(Guard::SoundBeforeChange, false)
    {
        let (who, why) = (&wrong.host, wrong.trouble().unwrap_or_default());
        let what = format!("{} is not removed while {who} is to be replaced: {why}", first.title());
        return Ruling::blocked(Blocked::new(Code::NotHealthy, what).on(&first.host).hint(replace_hint(who)));
    }
    undeclared.sort_by_key(|member| turn::comes_last(view.desired, membership, member));
    let why = |member| {
        let undeclared = || Failure { why: "not declared in cluster.toml".to_owned(), removal: Removal::Undeclared };
        (member, moved(view, member).unwrap_or_else(undeclared))
    };
    remove_first(view, membership, undeclared.into_iter().map(why).collect())
}

/// Of a member whose name is declared on another machine.
fn moved(view: &View, member: &Member) -> Option<Failure> {
    let name = member.successor(view.desired)?;
    let (is, declared) = (member.address(), &view.desired.nodes[name].address);
    Some(Failure { why: format!("it moves from {is} to {declared}"), removal: Removal::Failed })
}

struct Failure {
    why: String,
    removal: Removal,
}

fn failure(view: &View, member: &Member) -> Option<Failure> {
    if member.declared {
        let Some(Standing::Failed(why)) = view.standing(&member.host) else { return None };
        // Nothing could take its place there; also once its data was set aside.
        let host = view.observed.host(&member.host);
        let cannot_begin = |host: &Host| {
            let bare = Host { data: DataDirectory::Empty, process: None, ..host.clone() };
            [host, &bare].iter().any(|host| !next_start::obstacles(view.desired, &member.host, host).is_empty())
                || room::to_join(view.desired, view.observed, &member.host, host).is_some()
                || adopted::cannot_join(view.desired, view.observed, &member.host, host).is_some()
        };
        if host.is_some_and(cannot_begin) {
            return None;
        }
        return Some(Failure { why: why.clone(), removal: Removal::Failed });
    }
    if let Some(moved) = moved(view, member) {
        // One that is healthy goes last, as every healthy one does.
        let goes_last = member.is_well() && !member.entry.learner;
        return (!goes_last).then_some(moved);
    }
    let why = match member.trouble() {
        Some(why) => format!("not declared in cluster.toml, and {why}"),
        None if member.entry.learner => "not declared in cluster.toml, and never became a voter".to_owned(),
        None => return None,
    };
    Some(Failure { why, removal: Removal::Undeclared })
}

/// The first step of the first removal that may be made.
fn remove_first(view: &View, membership: &Membership, members: Vec<(&Member, Failure)>) -> Ruling {
    let mut blocked = Vec::new();
    for (member, failure) in members {
        // Nothing of a member that has to stop first is lost by that.
        if !stops_first(view, member) && !succession::is_ready_to_go(view, membership, member) {
            continue;
        }
        match may_remove(membership, member) {
            Ok(()) => {}
            Err(why) => {
                blocked.push(why);
                continue;
            }
        }
        // What is noted before is for a removal that can be made.
        let insured = insurance::insured(view, last_of_removal(view, member, &failure));
        match insured {
            Ok(_) => return Ruling { step: Some(removal(view, member, &failure)), blocked },
            Err(why) => blocked.push(why),
        }
    }
    Ruling { step: None, blocked }
}

/// Noted on the others, stopped if it can be reached and is not healthy, and then removed. One that votes votes for that,
/// too: of two, it takes both.
fn removal(view: &View, member: &Member, failure: &Failure) -> Draft {
    let Member { host, entry, .. } = member;
    let declared = match member.successor(view.desired) {
        Some(name) => Place::NodeAddress(name),
        None if member.declared => Place::Node(host),
        None => Place::Nodes,
    };
    let because = vec![view.reason(format!("{}: {}", member.title(), failure.why), declared)];
    if let (false, Some(peer_url)) = (member.declared, entry.peer_urls.first()) {
        let departure = Departure { name: host.clone(), peer_url: peer_url.clone() };
        let noted = noted(view.observed);
        let unwritten = unwritten(view, &noted.iter().cloned().chain([departure]).collect());
        if !unwritten.is_empty() {
            return Draft { actions: unwritten, because, needs: BTreeSet::new() };
        }
    }
    Draft { because, ..last_of_removal(view, member, failure) }
}

/// Without the notes, and why.
fn last_of_removal(view: &View, member: &Member, failure: &Failure) -> Draft {
    let Member { host, entry, .. } = member;
    let needs = BTreeSet::from([allowance(member, failure.removal)]);
    let action = if stops_first(view, member) {
        Action::Service(ServiceAction::Stop { host: host.clone() })
    } else {
        Action::Member(MemberAction::Remove { host: host.clone(), member: entry.id, removal: failure.removal })
    };
    Draft { actions: vec![action], because: Vec::new(), needs }
}

/// Whether it runs, or would at the next boot, and is not healthy.
fn stops_first(view: &View, member: &Member) -> bool {
    let seen = view.observed.host(&member.host);
    let running = seen.is_some_and(|host| host.process.is_some() || host.service.enabled);
    // One that lost its log under it does not always notice that it is no member any more.
    let is_well = member.health == Health::Healthy && seen.is_none_or(|host| !host.data.is_lost());
    running && member.declared && !is_well
}

fn allowance(member: &Member, removal: Removal) -> Allowance {
    match removal {
        Removal::Undeclared => Allowance::new(AllowKind::RemoveMember, member.title()),
        Removal::Failed => Allowance::new(AllowKind::ReplaceMember, member.title()),
    }
}

/// The gate before a member is taken out: those that stay are a quorum, all of them healthy if it was healthy itself.
fn may_remove(membership: &Membership, member: &Member) -> Result<(), Blocked> {
    let title = member.title();
    if member.entry.learner {
        return Ok(());
    }
    if !upheld(Guard::QuorumAfterRemoval, membership.margin_after_removal(member.entry.id) >= 0) {
        let (what, hint) = match membership.voters().count() {
            1 => (format!("{title} is the only voter: removing it would end the cluster"), "add another member first"),
            _ => (
                format!("removing {title} would leave too few healthy voters for quorum"),
                "repair the other members first",
            ),
        };
        return Err(Blocked::new(Code::QuorumAtRisk, what).on(&member.host).hint(hint));
    }
    let mut others = membership.voters().filter(|other| other.host != member.host);
    let unwell = others.find(|other| other.health != Health::Healthy).filter(|_| member.health == Health::Healthy);
    let full = membership.full_besides(&member.host).filter(|_| member.health == Health::Healthy);
    if let Some((who, full)) = full.filter(|_| !upheld(Guard::DiskNotFull, false)) {
        return Err(room::waits(who, full));
    }
    let gap = membership.gap_besides(&member.host).filter(|_| member.health == Health::Healthy);
    if let Some(gap) = gap.filter(|_| !upheld(Guard::PeersConnected, false)) {
        return Err(connections::waits(gap));
    }
    match unwell {
        Some(other) if !upheld(Guard::HealthyBeforeRemoval, false) => {
            let (who, why) = (&other.host, other.health.trouble().unwrap_or_default());
            let what = format!("{title} is not removed while {who} is unhealthy: {why}");
            Err(Blocked::new(Code::NotHealthy, what).on(&member.host).hint(format!(
                "repair {who} first: `quorate \
                                                                                    status` shows its state"
            )))
        }
        _ => Ok(()),
    }
}

/// Adds a newcomer on whose host everything is ready.
pub fn add(view: &View) -> Ruling {
    let (Some(membership), Some(name)) = (view.members(), candidate(view)) else { return Ruling::default() };
    let declared = Place::Node(name);
    let host = view.observed.host(name).expect("a candidate was seen");
    if !staged::is_staged(view.desired, host) {
        return Ruling::default();
    }
    if let Some(taken) = staged::port_taken(name, host).into_iter().next() {
        return Ruling::blocked(taken);
    }
    if let Some(stranger) = source::before_start(view.desired, view.observed, name, &format!("{name} is not added")) {
        return Ruling::blocked(stranger);
    }
    if let Some((who, full)) = membership.full_besides(name).filter(|_| !upheld(Guard::DiskNotFull, false)) {
        return Ruling::blocked(room::waits(who, full));
    }
    if let Some(gap) = membership.gap_besides(name).filter(|_| !upheld(Guard::PeersConnected, false)) {
        return Ruling::blocked(connections::waits(gap));
    }
    let unwell = membership.voters().find(|member| !member.is_well());
    if let Some(unwell) = unwell.filter(|_| !upheld(Guard::HealthyBeforeAdding, false)) {
        let (who, why) = (&unwell.host, unwell.trouble().unwrap_or_default());
        let what = format!("{name} is not added while {who} is unhealthy: {why}");
        let hint = match unwell.health {
            Health::Healthy => replace_hint(who),
            _ => format!("repair {who}; if it is gone for good, replace it: `quorate plan --lost={who}`"),
        };
        return Ruling::blocked(Blocked::new(Code::NotHealthy, what).on(name).hint(hint).declared_at(declared));
    }
    let action = Action::Member(MemberAction::Add { host: name.clone(), peer_url: view.desired.peer_url(name) });
    Ruling::step(Draft::of(action, view.reason(format!("{name} is declared but is not a member yet"), declared)))
}

/// For one whose data differs.
fn replace_hint(who: &HostName) -> String {
    format!(
        "see `quorate explain alarm`: compare the members' data, then replace {who} (`quorate plan --lost={who}`) or disarm"
    )
}

/// Promotes a learner that runs. Whether it has caught up, etcd itself decides.
pub fn promote(view: &View) -> Ruling {
    let Some(membership) = view.members() else { return Ruling::default() };
    let mut learners = membership.learners().filter(|member| member.declared);
    let ready = learners.find(|learner| upheld(Guard::HealthyBeforePromotion, learner.health == Health::Healthy));
    let Some(learner) = ready.filter(|learner| view.standing(&learner.host) == Some(&Standing::Member)) else {
        return Ruling::default();
    };
    let host = learner.host.clone();
    let reason = view.reason(format!("{host} is a learner (non-voting)"), Place::Node(&host));
    Ruling::step(Draft::of(Action::Member(MemberAction::Promote { host }), reason))
}

/// Tells the members where one of them will answer, right before it restarts there.
pub fn update_peer_url(view: &View) -> Ruling {
    let Some(membership) = view.members() else { return Ruling::default() };
    let mut blocked = Vec::new();
    for (name, host) in turn::with_data(turn::in_turn(view)) {
        let Some(member) = membership.member_of(name) else { continue };
        let peer_url = view.desired.peer_url(name);
        if member.entry.peer_urls.iter().eq([&peer_url]) || !staged::is_staged(view.desired, host) {
            continue;
        }
        // Its etcd.yaml says so already: whose turn it is to change was decided with that.
        let announces = |text: &str| content::advertised_peer_url(text) == Some(peer_url.as_str());
        if !upheld(Guard::StagedBeforeAnnounced, host.text_of(File::Config).is_some_and(announces)) {
            continue;
        }
        let serves = host.service.state == ServiceState::Active;
        let gate = if serves { turn::may_restart(view.desired, view.observed, &view.situation, name) } else { Ok(()) };
        if let Err(why) = gate {
            blocked.push(why);
            continue;
        }
        let is = member.entry.peer_urls.iter().map(PeerUrl::as_str).collect::<Vec<_>>().join(", ");
        let reason = view.reason(format!("its peer URL: {is} → {peer_url}"), address_or_port(view, name, member));
        let action =
            Action::Member(MemberAction::UpdatePeerUrl { host: name.clone(), member: member.entry.id, peer_url });
        return Ruling { step: Some(Draft::of(action, reason)), blocked };
    }
    Ruling { step: None, blocked }
}

fn address_or_port<'a>(view: &View, name: &'a HostName, member: &Member) -> Place<'a> {
    let address = PeerUrl::new(view.desired.peer_url(name).as_str()).address().to_owned();
    let same = member.entry.peer_urls.iter().any(|url| url.address() == address);
    if same { Place::PeerPort } else { Place::NodeAddress(name) }
}

fn member_by_url(observed: &Observed, peer_url: &PeerUrl) -> Option<MemberEntry> {
    observed.member_list()?.iter().find(|entry| entry.peer_urls.contains(peer_url)).cloned()
}

const NOBODY_SAYS: &str = "no member returned the member list";

pub fn add_readiness(desired: &Desired, observed: &Observed, host: &HostName, peer_url: &PeerUrl) -> Readiness {
    match Membership::of(desired, observed) {
        None => Readiness::Refused(NOBODY_SAYS.to_owned()),
        Some(_) if member_by_url(observed, peer_url).is_some() => Readiness::Done,
        Some(membership) => match membership.voters().find(|member| !member.is_well()) {
            Some(unwell) if !upheld(Guard::HealthyBeforeAdding, false) => {
                Readiness::Refused(format!("{host} is not added while {} is unhealthy", unwell.host))
            }
            _ => Readiness::Ready,
        },
    }
}

pub fn add_effect(observed: &mut Observed, peer_url: &PeerUrl) {
    let alarms = observed.answers().flat_map(|(_, answer)| &answer.alarms);
    let compared = observed.comparison.iter().flat_map(|comparison| comparison.hashes.keys().copied());
    // It is never one that was there before, of which an alarm or a comparison may still tell.
    let known = observed.member_list().into_iter().flatten().map(|entry| entry.id);
    let known = known.chain(alarms.filter_map(|alarm| alarm.member)).chain(compared);
    let id = known.map(|id| id.0).max().unwrap_or_default();
    let entry = MemberEntry {
        id: MemberId(id.wrapping_add(1)),
        name: None,
        peer_urls: [peer_url.clone()].into(),
        client_urls: BTreeSet::new(),
        learner: true,
    };
    edit_members(observed, |members| members.push(entry.clone()));
}

pub fn promote_readiness(desired: &Desired, observed: &Observed, host: &HostName) -> Readiness {
    let Some(membership) = Membership::of(desired, observed) else { return Readiness::Refused(NOBODY_SAYS.to_owned()) };
    match membership.member_of(host) {
        None => Readiness::Refused(format!("{host} is not a member")),
        // It serves as a voter once it says so itself.
        Some(member) if !member.entry.learner && member.health == Health::Healthy => Readiness::Done,
        Some(member) if !member.entry.learner => Readiness::Refused(format!("{host} is a voter but not healthy yet")),
        Some(member) if upheld(Guard::HealthyBeforePromotion, member.health == Health::Healthy) => Readiness::Ready,
        Some(_) => Readiness::Refused(format!("the learner on {host} is unhealthy")),
    }
}

pub fn promote_effect(desired: &Desired, observed: &mut Observed, host: &HostName) {
    let url = desired.peer_url(host);
    edit_members(observed, |members| {
        for entry in members.iter_mut().filter(|entry| entry.peer_urls.contains(&url)) {
            entry.learner = false;
        }
    });
    let members = observed.member_list().cloned();
    let answer = observed.host_mut(host).and_then(|host| host.member.known_mut()?.as_mut());
    if let (Some(answer), Some(members)) = (answer, members) {
        answer.learner = false;
        answer.reads = true;
        answer.members = crate::core::observed::Seen::Known(members);
    }
}

pub fn update_readiness(
    desired: &Desired,
    observed: &Observed,
    host: &HostName,
    member: MemberId,
    peer_url: &PeerUrl,
) -> Readiness {
    let Some(membership) = Membership::of(desired, observed) else { return Readiness::Refused(NOBODY_SAYS.to_owned()) };
    match membership.members.iter().find(|other| other.entry.id == member) {
        None => Readiness::Refused(format!("{host} no longer has member id {member}")),
        Some(member) if member.entry.peer_urls.iter().eq([peer_url]) => Readiness::Done,
        Some(_) => Readiness::Ready,
    }
}

pub fn update_effect(observed: &mut Observed, member: MemberId, peer_url: &PeerUrl) {
    edit_members(observed, |members| {
        for entry in members.iter_mut().filter(|entry| entry.id == member) {
            entry.peer_urls = [peer_url.clone()].into();
        }
    });
}

pub fn remove_readiness(desired: &Desired, observed: &Observed, id: MemberId) -> Readiness {
    let Some(membership) = Membership::of(desired, observed) else { return Readiness::Refused(NOBODY_SAYS.to_owned()) };
    match membership.members.iter().find(|member| member.entry.id == id) {
        None => Readiness::Done,
        Some(member) => match may_remove(&membership, member) {
            Ok(()) if !succession::may_go(desired, observed, &membership, member) => {
                Readiness::Refused(format!("what takes the place of {} is not ready", member.title()))
            }
            Ok(()) => Readiness::Ready,
            Err(blocked) => Readiness::Refused(blocked.what),
        },
    }
}

/// It is in no list any more, follows nobody, and another member leads.
pub fn remove_effect(observed: &mut Observed, id: MemberId) {
    edit_members(observed, |members| members.retain(|entry| entry.id != id));
    let voter = |answer: &crate::core::observed::Answer| !answer.learner && answer.member != id;
    let heir = observed.answers().find(|(_, answer)| voter(answer)).map(|(_, answer)| answer.member);
    let names: Vec<HostName> = observed.hosts.keys().chain(observed.former.keys()).cloned().collect();
    for name in names {
        let answer = observed.host_mut(&name).and_then(|host| host.member.known_mut()?.as_mut());
        match answer {
            Some(answer) if answer.member == id => end(observed, &name),
            Some(answer) if answer.leader == Some(id) => answer.leader = heir,
            Some(_) | None => {}
        }
    }
}
