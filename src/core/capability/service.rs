//! The systemd unit and the running process. This file alone starts and restarts: whatever was staged, a member is
//! restarted once, when what its process loaded is not what lies on disk.

use super::{done_when, unreachable};
use std::collections::BTreeSet;

use crate::core::allowance::{AllowKind, Allowance};
use crate::core::cluster::alarms;
use crate::core::cluster::changed;
use crate::core::cluster::crash;
use crate::core::cluster::image;
use crate::core::cluster::model::{run, serve};
use crate::core::cluster::next_start;
use crate::core::cluster::others;
use crate::core::cluster::process::stale;
use crate::core::cluster::quorum::{Health, Member, quorum};
use crate::core::cluster::situation::Situation;
use crate::core::cluster::staged::{is_staged, may_start, port_taken};
use crate::core::cluster::turn::{due, in_turn, in_turn_to_lay_ready, may_restart, rank, with_data};
use crate::core::cluster::upgrade;
use crate::core::cluster::view::View;
use crate::core::cluster::{quorum_lost, restart, room, sameness, source, trust};
use crate::core::code::Code;
use crate::core::content::runtime;
use crate::core::desired::{Desired, Place, Runtime};
use crate::core::names::{HostName, PeerUrl};
use crate::core::observed::{Answer, File, Host, MemberEntry, Observed, ServiceState};
use crate::core::plan::action::{Action, FileAction, Readiness, ServiceAction};
use crate::core::plan::ruling::{Blocked, Draft, Ruling};

pub fn write_unit(view: &View) -> Ruling {
    let definition = runtime::definition(view.desired);
    let mut wanted = Vec::new();
    for (name, host) in with_data(in_turn_to_lay_ready(view)) {
        let version = upgrade::wanted(view, name, host);
        let text = runtime::text(view.desired, version);
        let before = host.text_of(definition);
        if before == Some(text.as_str()) {
            continue;
        }
        let because = match before.map(|before| (before, runtime::version_in(view.desired, before))) {
            None => vec!["the unit is missing".to_owned()],
            Some((_, Some(is))) if is != version => vec![format!("etcd version: {is} → {version}")],
            Some((before, _)) => match changed::settings(before, &text) {
                changes if changes.is_empty() => vec!["the unit differs from cluster.toml".to_owned()],
                changes => changes.into_iter().map(|change| format!("the unit: {change}")).collect(),
            },
        };
        let because = because.into_iter().map(|what| view.reason(what, Place::Version)).collect();
        wanted.push((Action::File(FileAction::Write { host: name.clone(), file: definition, text }), because));
    }
    let mut ruling = due(view, wanted);
    if let Some(step) = &mut ruling.step
        && step.actions.iter().any(|action| upgrade::goes_back(view, action))
    {
        step.needs.insert(Allowance::new(AllowKind::Downgrade, &view.desired.cluster.name));
    }
    ruling
}

/// What stays wrong when everything that can be done is done: members that do not answer or are not well, and alarms.
pub fn health(view: &View) -> Ruling {
    let mut blocked = Vec::new();
    let mut silent = BTreeSet::new();
    for (name, host) in view.hosts().filter(|(_, host)| host.process.is_some()) {
        let Some(cause) = host.member.unknown() else { continue };
        silent.insert(name);
        if !trust::is_why(view.observed, cause) {
            blocked.push(Blocked::unseen(cause).on(name));
        }
    }
    // Without a leader no member says who belongs to the cluster; each says so of itself.
    let leaderless = view.hosts().filter(|(_, host)| {
        view.membership().is_none() && host.answer().is_some_and(|answer| answer.leader.is_none() || !answer.reads)
    });
    let lost = quorum_lost::refusal(view.desired, view.observed);
    for (name, host) in leaderless {
        if let Some(unstarted) = host.answer().and_then(Answer::unstarted_voter) {
            blocked.push(waits_for(name, unstarted));
            continue;
        }
        // Where the others are away, the network between them is not what is wrong.
        if lost.is_some() {
            continue;
        }
        let what = format!("{name} has no leader: too few members can reach each other");
        let hint = format!("check the network between the members, and `{}` on the hosts", runtime::log(view.desired));
        blocked.push(Blocked::new(Code::NoQuorum, what).on(name).hint(hint));
    }
    blocked.extend(lost);
    // How well one is that another program runs is not known unless it says so itself.
    let is_ours = |member: &&Member| !view.observed.host(&member.host).is_some_and(others::is_taken);
    for member in view.membership().iter().flat_map(|membership| &membership.members).filter(is_ours) {
        // Why one does not answer, or could not be asked, is told already.
        if let (Health::Unhealthy(why), host, false) = (&member.health, &member.host, silent.contains(&member.host)) {
            // Of a pod that does not run, the kubelet knows more.
            let says_nothing = |host: &Host| host.process.is_none() && host.service.complaint.is_none();
            let is_gone = view.observed.host(host).is_some_and(|host| host.kubelet.is_some() && says_nothing(host));
            let log = if is_gone { runtime::log_of_kubelet } else { runtime::log };
            let hint = format!("run `{}` on the host", log(view.desired));
            blocked.push(Blocked::new(Code::NotHealthy, format!("{host} is unhealthy: {why}")).on(host).hint(hint));
        }
    }
    blocked.extend(alarms::active(view.desired, view.observed));
    blocked.extend(sameness::difference(view.observed));
    Ruling { step: None, blocked }
}

/// etcd counts it from the moment that it is added, so a cluster of one loses its quorum then; and without one nobody can
/// take it out again. Tried on 3.5.30.
fn waits_for(name: &HostName, unstarted: &MemberEntry) -> Blocked {
    let urls = unstarted.peer_urls.iter().map(PeerUrl::as_str).collect::<Vec<_>>().join(", ");
    let id = unstarted.id;
    let what = format!("{name} has no leader: the voter that was added as {urls} (id {id}) has never started");
    let hint = format!(
        "start etcd at {urls} once, which brings the quorum back, then run `etcdctl member remove {id}`: see `quorate \
         explain no-quorum`"
    );
    Blocked::new(Code::NoQuorum, what).on(name).hint(hint)
}

pub fn reload(view: &View) -> Ruling {
    let stale = view.hosts().filter(|(_, host)| host.service.needs_reload);
    let actions = stale.map(|(name, _)| Action::Service(ServiceAction::ReloadUnits { host: name.clone() })).collect();
    Ruling::steps_for(
        actions,
        vec![view.reason("systemd has not loaded the unit that is on disk", Place::PathsService)],
    )
}

pub fn enable(view: &View) -> Ruling {
    let definition = runtime::definition(view.desired);
    let disabled = view
        .hosts()
        .filter(|(name, host)| !host.service.enabled && host.files.contains_key(&definition) && is_member(view, name));
    let actions = disabled.map(|(name, _)| Action::Service(ServiceAction::Enable { host: name.clone() })).collect();
    Ruling::steps_for(actions, vec![view.reason("the service is not enabled", Place::Nodes)])
}

/// Starts every stopped member at once: none of them serves, and together they may find a quorum.
pub fn start(view: &View) -> Ruling {
    let (taken, stopped): (Vec<_>, Vec<_>) = view
        .hosts()
        .filter(|(name, host)| host.process.is_none() && is_staged(view.desired, host) && is_member(view, name))
        .partition(|(_, host)| !host.taken_ports.is_empty());
    let mut blocked: Vec<_> = taken.iter().flat_map(|(name, host)| port_taken(name, host)).collect();
    let mut has_room = |(name, host): &(&HostName, &Host)| {
        let refusal = room::to_start(view.desired, name, host)
            .or_else(|| next_start::overridden(view.desired, name, host))
            .or_else(|| exits_in_its_pod(view.desired, name, host));
        let has_room = refusal.is_none();
        blocked.extend(refusal);
        has_room
    };
    let stopped: Vec<_> = stopped.into_iter().filter(|one| has_room(one)).collect();
    if stopped.is_empty() {
        return Ruling { step: None, blocked };
    }
    let running = view.observed.seen_hosts().filter(|(_, host)| host.process.is_some()).count();
    let voters = view.membership().map_or(view.desired.nodes.len(), |membership| membership.voters().count());
    // Where a quorum serves, whoever is stopped may join it.
    let serves = view.membership().is_some_and(|membership| membership.margin() >= 0);
    if !serves && running + stopped.len() < quorum(voters) {
        let what = format!(
            "only {} of {voters} members can run and quorum needs {}: starting them would not bring the cluster back",
            running + stopped.len(),
            quorum(voters)
        );
        let hosts = stopped.iter().map(|(name, _)| (*name).clone()).collect();
        let ways_out = quorum_lost::ways_out(view.desired, view.observed);
        let others =
            "bring the other hosts back first; if they are gone for good, name each with `quorate plan --lost=NAME`";
        let (told, no_quorum) = (blocked, Blocked::new(Code::NoQuorum, what));
        let no_quorum = no_quorum.hint(ways_out.unwrap_or_else(|| others.to_owned()));
        return Ruling { step: None, blocked: told.into_iter().chain([Blocked { hosts, ..no_quorum }]).collect() };
    }
    let because = match view.situation {
        Situation::New => view.reason("no member is running: all are started together", Place::Nodes),
        _ => {
            let words = last_words(&stopped);
            let changed = &view.desired.paths.config;
            let before = match view.desired.cluster.layout.is_adopted() && !words.is_empty() {
                true => format!(
                    "; its settings are in {changed}, and as they were before the last change in {}.previous",
                    runtime::kept_beside(view.desired)
                ),
                false => String::new(),
            };
            let what = if view.desired.cluster.runtime == Runtime::Systemd { "the service" } else { "its pod" };
            view.reason(format!("{what} is not running{words}{before}"), Place::Nodes)
        }
    };
    let actions =
        stopped.iter().map(|(name, _)| Action::Service(ServiceAction::Start { host: (*name).clone() })).collect();
    Ruling { step: Some(Draft { actions, because: vec![because], needs: BTreeSet::new() }), blocked }
}

/// One that exits with its manifest where the kubelet looks: that starts it again at its own pace, and nothing else helps.
fn exits_in_its_pod(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    let is_in_place = host.kubelet.as_ref().is_some_and(|kubelet| !kubelet.manifest_aside);
    let said = host.service.complaint.as_ref().filter(|_| is_in_place)?;
    if let Some(damaged) = crash::is_past_mending(desired, name, host) {
        return Some(damaged);
    }
    let what = format!("etcd on {name} exited, and the kubelet starts it again after a pause: {said}");
    let mut hint = "where etcd refuses a setting, correct it in cluster.toml".to_owned();
    if !host.files.contains_key(&File::NewDataMarker) {
        let kept = runtime::kept_beside(desired);
        hint.push_str(&format!("; {kept}.previous has its manifest before the last change"));
    }
    Some(Blocked::new(Code::NotHealthy, what).on(name).hint(hint).declared_at(Place::PathsConfig))
}

/// What etcd said where it ended by itself: a start alone may not be what it needs.
fn last_words(stopped: &[(&HostName, &Host)]) -> String {
    let mut said = stopped.iter().filter_map(|(name, host)| Some((name, host.service.complaint.as_ref()?)));
    said.next().map_or_else(String::new, |(name, said)| format!("; etcd on {name} exited: {said}"))
}

/// What keeps a new cluster from being started.
pub fn obstacles(view: &View) -> Ruling {
    Ruling { step: None, blocked: source::before_bootstrap(view.desired, view.observed) }
}

/// Not yet of a newcomer, which the others do not know.
fn is_member(view: &View, name: &HostName) -> bool {
    view.membership().is_none_or(|membership| membership.member_of(name).is_some())
}

/// Restarts one member whose process has not loaded what lies on disk: a broken one first, the leader last.
pub fn restart(view: &View) -> Ruling {
    let mut stale: Vec<_> = with_data(in_turn(view))
        .into_iter()
        .filter_map(|(name, host)| Some((rank(view, name), name, due_to_restart(view.desired, name, host)?)))
        .collect();
    stale.sort();
    let mut blocked = Vec::new();
    for (_, name, (what, declared)) in stale {
        let host = view.observed.host(name).expect("a stale host was seen");
        if host.process.as_ref().is_some_and(|process| process.foreign_config) && !host.service.drop_ins.is_empty() {
            let what = format!(
                "etcd on {name} was started with a different configuration file, and its unit has \
                                drop-ins"
            );
            blocked.push(Blocked::new(Code::DropIn, what).on(name).hint("remove the drop-in that overrides ExecStart"));
            continue;
        }
        if let Some(why) = restart::refusal(view, name, host) {
            blocked.push(why);
            continue;
        }
        let action = Action::Service(ServiceAction::Restart { host: name.clone() });
        let draft = Draft::of(action, view.reason(what, declared));
        return Ruling { step: Some(draft), blocked };
    }
    Ruling { step: None, blocked }
}

/// Why a member is to be restarted: it is stale, or the operator asks for it.
fn due_to_restart(desired: &Desired, name: &HostName, host: &Host) -> Option<(String, Place<'static>)> {
    let asked = desired
        .request
        .restarts
        .get(name)
        .is_some_and(|pid| host.process.as_ref().is_some_and(|process| pid.is_none_or(|pid| pid == process.pid)));
    stale(desired, host).or_else(|| asked.then(|| ("requested with `--restart`".to_owned(), Place::Nodes)))
}

/// Of a manifest that was replaced: the kubelet has restarted etcd with it, and it serves.
pub fn manifest_readiness(desired: &Desired, observed: &Observed, name: &HostName, text: &str) -> Readiness {
    let Some(host) = observed.host(name) else { return unreachable(name) };
    if host.text_of(File::Settings) != Some(text) {
        return match image::missing(host, text) {
            Some(image) => Readiness::Refused(format!("the image {image} is not on {name}")),
            None => may_be_interrupted(desired, observed, name, host),
        };
    }
    match stale(desired, host) {
        None if serves(host) => Readiness::Done,
        Some(_) => Readiness::Refused(format!("the kubelet on {name} has not ended the etcd from before yet")),
        None => Readiness::Refused(format!("{name} is not serving yet")),
    }
}

pub fn reload_readiness(observed: &Observed, name: &HostName) -> Readiness {
    done_when(observed, name, |host| !host.service.needs_reload)
}

pub fn reload_effect(observed: &mut Observed, name: &HostName) {
    if let Some(host) = observed.host_mut(name) {
        host.service.needs_reload = false;
    }
}

pub fn enable_readiness(observed: &Observed, name: &HostName) -> Readiness {
    done_when(observed, name, |host| host.service.enabled)
}

pub fn enable_effect(observed: &mut Observed, name: &HostName) {
    if let Some(host) = observed.host_mut(name) {
        host.service.enabled = true;
    }
}

/// The member answers and reads, and systemd has noticed: it says so to the unit a moment later, and only then is the
/// marker gone. Of a pod, its log was seen.
fn serves(host: &Host) -> bool {
    host.process.is_some()
        && (host.kubelet.is_none() || host.has_data())
        && host.service.state == ServiceState::Active
        && host.answer().is_some_and(|answer| answer.leader.is_some() && (answer.reads || answer.learner))
}

pub fn start_readiness(desired: &Desired, observed: &Observed, name: &HostName) -> Readiness {
    let Some(host) = observed.host(name) else { return unreachable(name) };
    if serves(host) {
        return Readiness::Done;
    }
    let obstacles = next_start::obstacles(desired, name, host).into_iter();
    if let Some(obstacle) = obstacles.chain(room::to_start(desired, name, host)).next() {
        return Readiness::Refused(obstacle.what);
    }
    match host.data.lacks().filter(|_| !may_start(host)) {
        None => Readiness::Ready,
        Some(what) => Readiness::Refused(format!("{name} has lost its data: {what}")),
    }
}

pub fn restart_readiness(desired: &Desired, observed: &Observed, name: &HostName) -> Readiness {
    let Some(host) = observed.host(name) else { return unreachable(name) };
    if host.process.is_some() && due_to_restart(desired, name, host).is_none() {
        return if serves(host) { Readiness::Done } else { Readiness::Refused(format!("{name} is not serving yet")) };
    }
    may_be_interrupted(desired, observed, name, host)
}

/// Whether it comes back, and the others go on without it.
fn may_be_interrupted(desired: &Desired, observed: &Observed, name: &HostName, host: &Host) -> Readiness {
    let obstacles = next_start::obstacles(desired, name, host).into_iter();
    let obstacles = obstacles.chain(next_start::missing(desired, name, host));
    if let Some(obstacle) = obstacles.chain(room::to_start(desired, name, host)).next() {
        return Readiness::Refused(obstacle.what);
    }
    let (situation, _) = crate::core::cluster::situation::situation(desired, observed);
    match may_restart(desired, observed, &situation, name) {
        Ok(()) => Readiness::Ready,
        Err(blocked) => Readiness::Refused(blocked.what),
    }
}

/// Of a start and of a restart alike: a fresh process, and whoever finds a quorum with it.
pub fn start_effect(desired: &Desired, observed: &mut Observed, name: &HostName) {
    run(desired, observed, name);
    serve(desired, observed, name);
}
