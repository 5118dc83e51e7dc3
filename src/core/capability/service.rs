//! The systemd unit and the running process. This file alone starts and restarts: whatever was staged, a member is
//! restarted once, when what its process loaded is not what lies on disk.

use std::collections::BTreeSet;

use crate::core::allowance::{AllowKind, Allowance};
use crate::core::capability::version;
use crate::core::cluster::quorum::{Health, Membership, quorum};
use crate::core::cluster::situation::Situation;
use crate::core::code::Code;
use crate::core::content::{self, LOADED_AT_START, layout};
use crate::core::desired::{Desired, Downtime};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{ClientUrl, ClusterId, HostName, MemberId, Version};
use crate::core::observed::{
    Answer, Cause, Certificate, DataDirectory, File, Host, MemberEntry, Observed, Process, Role, Seen, ServiceState,
    V2Store,
};
use crate::core::plan::action::{Action, Readiness};
use crate::core::planner::{Blocked, Draft, Reason, Ruling, View};

pub fn write_unit(view: &View) -> Ruling {
    let mut wanted = Vec::new();
    for (name, host) in in_turn(view) {
        let version = version::wanted(view, name, host);
        let text = content::unit(view.desired, version);
        let before = host.text_of(File::Unit);
        if before == Some(text.as_str()) {
            continue;
        }
        let reason = match before.map(|before| content::unit_version(view.desired, before)) {
            None => view.reason("the unit is missing", "cluster.version"),
            Some(Some(is)) if is != version => {
                view.reason(format!("etcd {is} is to become {version}"), "cluster.version")
            }
            Some(_) => view.reason("the unit is not as declared", "cluster.version"),
        };
        wanted.push((Action::WriteFile { host: name.clone(), file: File::Unit, text }, vec![reason]));
    }
    let mut ruling = due(view, wanted);
    if let Some(step) = &mut ruling.step
        && step.actions.iter().any(|action| version::goes_back(view, action))
    {
        step.needs.insert(Allowance::new(AllowKind::Downgrade, &view.desired.cluster.name));
    }
    ruling
}

/// Whether a member's configuration may be written now, and what it waits for otherwise.
///
/// In a cluster that serves it is one at a time, and none while another member has not taken what was written for it, or
/// is not well: Restart=always would bring up any member that crashes with a text that nobody has tried. A member that
/// does not serve waits for nobody.
pub fn turn(view: &View, name: &HostName) -> Result<(), Blocked> {
    let Some(membership) = view.membership() else { return Ok(()) };
    // One that does not answer us may still vote; one that systemd has not seen serve does not.
    if view.observed.host(name).is_some_and(|host| host.service.state != ServiceState::Active) {
        return Ok(());
    }
    let untried = |host: &HostName| view.observed.host(host).is_some_and(|host| stale(view.desired, host).is_some());
    let other = membership
        .voters()
        .find(|member| member.host != *name && (member.health != Health::Healthy || untried(&member.host)));
    match other {
        Some(other) if !upheld(Guard::OneConfigurationAtATime, false) => {
            let who = &other.host;
            let what = format!("the change on {name} waits until {who} is healthy and has taken its own");
            Err(Blocked::new(Code::NotHealthy, what).on(name).hint(format!("repair {who} first")))
        }
        _ => Ok(()),
    }
}

/// The hosts in the order in which a change reaches them: what is broken, then followers, then the leader.
pub fn in_turn<'a>(view: &View<'a>) -> Vec<(&'a HostName, &'a Host)> {
    let mut hosts: Vec<_> = view.hosts().collect();
    hosts.sort_by_key(|(name, _)| rank(view, name));
    hosts
}

/// Of the changes that are wanted, those that may be made now: on all hosts that do not serve together, or on one that does.
pub fn due(view: &View, wanted: Vec<(Action, Vec<Reason>)>) -> Ruling {
    let mut ruling = Ruling::default();
    let (mut idle, mut serving) = (Vec::new(), Vec::new());
    for (action, because) in wanted {
        let Some(host) = action.host() else { continue };
        if let Err(blocked) = turn(view, host) {
            ruling.blocked.push(blocked);
            continue;
        }
        let serves = view.observed.host(host).is_some_and(|host| host.service.state == ServiceState::Active);
        let alone = view.membership().is_some() && serves && !upheld(Guard::OneConfigurationAtATime, false);
        if alone { &mut serving } else { &mut idle }.push((action, because));
    }
    serving.truncate(1);
    let due = if idle.is_empty() { serving } else { idle };
    let (actions, reasons): (Vec<_>, Vec<_>) = due.into_iter().unzip();
    let mut because: Vec<Reason> = Vec::new();
    for reason in reasons.into_iter().flatten() {
        if !because.contains(&reason) {
            because.push(reason);
        }
    }
    ruling.step = (!actions.is_empty()).then_some(Draft { actions, because, needs: BTreeSet::new() });
    ruling
}

/// What stays wrong when everything that can be done is done: members that do not answer or are not well, and alarms.
pub fn health(view: &View) -> Ruling {
    let mut blocked = Vec::new();
    for (name, host) in view.hosts().filter(|(_, host)| host.process.is_some()) {
        if let Some(cause) = host.member.unknown() {
            blocked.push(Blocked::unseen(cause).on(name));
        }
    }
    // Without a leader no member says who belongs to the cluster; each says so of itself.
    let leaderless = view.hosts().filter(|(_, host)| {
        view.membership().is_none() && host.answer().is_some_and(|answer| answer.leader.is_none() || !answer.reads)
    });
    for (name, _) in leaderless {
        let what = format!("{name} has no leader: too few members reach each other");
        let hint = "check the network between the members, and `journalctl` on the hosts";
        blocked.push(Blocked::new(Code::NoQuorum, what).on(name).hint(hint));
    }
    for member in view.membership().iter().flat_map(|membership| &membership.members) {
        if let (Health::Unhealthy(why), host) = (&member.health, &member.host) {
            let hint = format!("look at `journalctl -u {}` on the host", view.desired.paths.service);
            blocked.push(Blocked::new(Code::NotHealthy, format!("{host} is not healthy: {why}")).on(host).hint(hint));
        }
    }
    let alarms: BTreeSet<_> =
        view.observed.seen_hosts().filter_map(|(_, host)| host.answer()).flat_map(|answer| &answer.alarms).collect();
    for alarm in alarms {
        let what = format!("the alarm {alarm} is raised");
        blocked.push(Blocked::new(Code::Alarm, what).hint("`quorate explain alarm` tells the way out"));
    }
    Ruling { step: None, blocked }
}

pub fn reload(view: &View) -> Ruling {
    let stale = view.hosts().filter(|(_, host)| host.service.needs_reload);
    let actions = stale.map(|(name, _)| Action::ReloadUnits { host: name.clone() }).collect();
    Ruling::steps_for(actions, vec![view.reason("systemd has not read the unit on disk", "paths.service")])
}

pub fn enable(view: &View) -> Ruling {
    let disabled = view
        .hosts()
        .filter(|(name, host)| !host.service.enabled && host.files.contains_key(&File::Unit) && is_member(view, name));
    let actions = disabled.map(|(name, _)| Action::EnableService { host: name.clone() }).collect();
    Ruling::steps_for(actions, vec![view.reason("the service does not start at boot", "nodes")])
}

/// Starts every stopped member at once: none of them serves, and together they may find a quorum.
pub fn start(view: &View) -> Ruling {
    let (taken, stopped): (Vec<_>, Vec<_>) = view
        .hosts()
        .filter(|(name, host)| host.process.is_none() && is_staged(view.desired, host) && is_member(view, name))
        .partition(|(_, host)| !host.taken_ports.is_empty());
    let blocked = taken.iter().flat_map(|(name, host)| port_taken(name, host)).collect();
    if stopped.is_empty() {
        return Ruling { step: None, blocked };
    }
    let running = view.observed.seen_hosts().filter(|(_, host)| host.process.is_some()).count();
    let voters = view.membership().map_or(view.desired.nodes.len(), |membership| membership.voters().count());
    // Where a quorum serves, whoever is stopped may join it.
    let serves = view.membership().is_some_and(|membership| membership.margin() >= 0);
    if !serves && running + stopped.len() < quorum(voters) {
        let what = format!(
            "{} of {voters} members can run, and {} are a quorum: starting them would not bring the cluster back",
            running + stopped.len(),
            quorum(voters)
        );
        let hosts = stopped.iter().map(|(name, _)| (*name).clone()).collect();
        let blocked = Blocked::new(Code::NoQuorum, what).hint("bring the other hosts back first");
        return Ruling::blocked(Blocked { hosts, ..blocked });
    }
    let because = match view.situation {
        Situation::New => view.reason("no member runs yet: all start together", "nodes"),
        _ => view.reason("the service is stopped", "nodes"),
    };
    let actions = stopped.iter().map(|(name, _)| Action::Start { host: (*name).clone() }).collect();
    Ruling { step: Some(Draft { actions, because: vec![because], needs: BTreeSet::new() }), blocked }
}

/// Not yet of a newcomer, which the others do not know.
fn is_member(view: &View, name: &HostName) -> bool {
    view.membership().is_none_or(|membership| membership.member_of(name).is_some())
}

/// One refusal for every port of ours that another program holds.
pub fn port_taken(name: &HostName, host: &Host) -> Vec<Blocked> {
    let refusal = |(port, holder): (&u16, &String)| {
        let what = format!("port {port} on {name} is in use by {holder}");
        Blocked::new(Code::PortTaken, what).on(name).hint("stop it, or change [ports]")
    };
    host.taken_ports.iter().map(refusal).collect()
}

/// Everything that a start reads lies there.
pub fn is_staged(desired: &Desired, host: &Host) -> bool {
    let files = [File::Config, File::Unit, File::Trust]
        .into_iter()
        .chain([Role::Server, Role::Peer].into_iter().flat_map(|role| [role.certificate(), role.key()]));
    host.installed.contains_key(&version::on_disk(desired, host))
        && files.into_iter().all(|file| host.files.contains_key(&file))
        && may_start(host)
}

/// It has its data, or the permit to create it: what its unit asks for, too.
fn may_start(host: &Host) -> bool {
    let has_data = host.data == DataDirectory::Member || host.files.contains_key(&File::Permit);
    upheld(Guard::NoStartWithoutData, has_data)
}

/// Restarts one member whose process has not loaded what lies on disk: a broken one first, the leader last.
pub fn restart(view: &View) -> Ruling {
    let mut stale: Vec<_> = view
        .hosts()
        .filter_map(|(name, host)| Some((rank(view, name), name, due_to_restart(view.desired, name, host)?)))
        .collect();
    stale.sort();
    let mut blocked = Vec::new();
    for (_, name, (what, declared)) in stale {
        let host = view.observed.host(name).expect("a stale host was seen");
        if host.process.as_ref().is_some_and(|process| process.foreign_config) && !host.service.drop_ins.is_empty() {
            let what = format!("etcd on {name} was started with another configuration file, and its unit has drop-ins");
            blocked.push(Blocked::new(Code::DropIn, what).on(name).hint("remove the drop-in that changes ExecStart"));
            continue;
        }
        let may = may_restart(view.desired, view.observed, &view.situation, name);
        match may.and_then(|()| version::may_start(view, host)) {
            Ok(()) => {
                let draft = Draft::of(Action::Restart { host: name.clone() }, view.reason(what, declared));
                return Ruling { step: Some(draft), blocked };
            }
            Err(why) => blocked.push(why),
        }
    }
    Ruling { step: None, blocked }
}

/// 0 for a member that is not healthy, 1 for a follower, 2 for the leader.
fn rank(view: &View, name: &HostName) -> u8 {
    let member = view.membership().and_then(|membership| Some((membership.member_of(name)?, membership.leader)));
    match member {
        Some((member, _)) if member.health != Health::Healthy => 0,
        Some((member, leader)) if leader == Some(member.entry.id) => 2,
        Some(_) => 1,
        None => 0,
    }
}

/// Why a member is to be restarted: it is stale, or the operator asks for it.
fn due_to_restart(desired: &Desired, name: &HostName, host: &Host) -> Option<(String, &'static str)> {
    let asked = desired
        .request
        .restarts
        .get(name)
        .is_some_and(|pid| host.process.as_ref().is_some_and(|process| pid.is_none_or(|pid| pid == process.pid)));
    stale(desired, host).or_else(|| asked.then(|| ("`--restart` asks for it".to_owned(), "nodes")))
}

/// What the running process has not loaded, and where in cluster.toml that is declared; `None` when it runs what lies on
/// disk, or does not run at all.
pub fn stale(desired: &Desired, host: &Host) -> Option<(String, &'static str)> {
    let process = host.process.as_ref()?;
    let executable = desired.binaries_folder_of(version::on_disk(desired, host)).join("etcd");
    if process.executable != executable {
        return Some((format!("the running etcd is {}, not {executable}", process.executable), "cluster.version"));
    }
    if process.foreign_config {
        return Some(("the running process was started with another configuration file".to_owned(), "paths.config"));
    }
    if process.executable_replaced {
        return Some((format!("{executable} is not the binary that runs"), "cluster.version"));
    }
    let differs = |file: &File| {
        let on_disk = host.files.get(file).map(|fact| fact.digest);
        process.loaded.get(file).is_some_and(|loaded| on_disk.is_some_and(|on_disk| on_disk != *loaded))
    };
    let changed: Vec<_> = LOADED_AT_START.into_iter().filter(differs).collect();
    let declared = match changed.first()? {
        File::Config => "etcd",
        File::Trust => "ca",
        _ => "paths.service",
    };
    let words: Vec<_> = changed.into_iter().map(|file| layout::row(file).word).collect();
    Some((format!("the running process has not loaded {}", words.join(" and ")), declared))
}

/// The gate before a member is stopped: the others must be a quorum, and all that can be asked must be well.
pub fn may_restart(
    desired: &Desired,
    observed: &Observed,
    situation: &Situation,
    name: &HostName,
) -> Result<(), Blocked> {
    let has_served = observed.host(name).is_some_and(|host| host.service.state == ServiceState::Active);
    match situation {
        Situation::New => Ok(()),
        Situation::Closed => Err(Blocked::new(Code::NotHealthy, format!("{name} must not be touched")).on(name)),
        // Not one member says who belongs to the cluster. One that has never found a quorum loses nothing.
        Situation::Down if !has_served => Ok(()),
        Situation::Down => {
            let what = format!("etcd on {name} runs but does not answer, so nobody knows what a restart would cost");
            let hint = format!("look at `journalctl -u {}` on the host", desired.paths.service);
            Err(Blocked::new(Code::MemberSilent, what).on(name).hint(hint))
        }
        Situation::Serving(membership) => may_restart_member(desired, membership, name),
    }
}

fn may_restart_member(desired: &Desired, membership: &Membership, name: &HostName) -> Result<(), Blocked> {
    let total = membership.voters().count();
    let healthy = membership.member_of(name).is_some_and(|member| member.health == Health::Healthy);
    let without = membership.margin_without(name);
    let quorum_stays = without >= 0;
    let unwell = membership.unwell_besides(name).filter(|_| healthy);
    if let Some(unwell) = unwell.filter(|_| !upheld(Guard::HealthyBeforeRestart, false)) {
        let (who, why) = (&unwell.host, unwell.health.trouble().unwrap_or_default());
        let what = format!("{name} must be restarted, but {who} is not healthy: {why}");
        return Err(Blocked::new(Code::NotHealthy, what).on(name).hint(format!("repair {who} first")));
    }
    // A cluster that is to grow is restarted when it has grown.
    let small = total <= 2 && desired.nodes.len() <= 2;
    if small && healthy && !upheld(Guard::DowntimeAllowed, desired.cluster.downtime == Downtime::Allowed) {
        let what = format!("{name} must be restarted, and a cluster of {total} cannot serve meanwhile");
        let hint = "say `downtime = \"allowed\"` in [cluster] if that is acceptable";
        return Err(Blocked::new(Code::DowntimeNeeded, what).on(name).hint(hint).because("cluster.downtime"));
    }
    if !upheld(Guard::QuorumWithoutTheOneThatStops, quorum_stays || (small && healthy)) {
        let what = format!("restarting {name} would leave fewer than {} of {total} voters", membership.quorum());
        return Err(Blocked::new(Code::QuorumAtRisk, what).on(name).hint("repair the other members first"));
    }
    Ok(())
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

fn done_when(observed: &Observed, name: &HostName, is_done: impl Fn(&Host) -> bool) -> Readiness {
    match observed.host(name) {
        None => Readiness::Refused(format!("{name} cannot be seen")),
        Some(host) if is_done(host) => Readiness::Done,
        Some(_) => Readiness::Ready,
    }
}

/// The member answers and reads, and systemd has noticed: it says so to the unit a moment later, and only then is the
/// permit gone.
fn serves(host: &Host) -> bool {
    host.process.is_some()
        && host.service.state == ServiceState::Active
        && host.answer().is_some_and(|answer| answer.leader.is_some() && (answer.reads || answer.learner))
}

pub fn start_readiness(observed: &Observed, name: &HostName) -> Readiness {
    let Some(host) = observed.host(name) else { return Readiness::Refused(format!("{name} cannot be seen")) };
    if serves(host) {
        return Readiness::Done;
    }
    if may_start(host) { Readiness::Ready } else { Readiness::Refused(format!("{name} has lost its data")) }
}

pub fn restart_readiness(desired: &Desired, observed: &Observed, name: &HostName) -> Readiness {
    let Some(host) = observed.host(name) else { return Readiness::Refused(format!("{name} cannot be seen")) };
    if host.process.is_some() && due_to_restart(desired, name, host).is_none() {
        return if serves(host) { Readiness::Done } else { Readiness::Refused(format!("{name} does not serve yet")) };
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

/// A fresh process that has loaded what lies on disk.
pub fn run(desired: &Desired, observed: &mut Observed, name: &HostName) {
    let at = observed.at;
    let Some(host) = observed.host_mut(name) else { return };
    let version = version::on_disk(desired, host);
    let on_disk = LOADED_AT_START.iter().filter_map(|file| Some((*file, host.files.get(file)?.digest)));
    let served = |(role, certificate): (&Role, &Certificate)| (*role, Seen::Known(certificate.serial.clone()));
    let before = host.process.as_ref().map_or(0, |process| process.pid);
    host.process = Some(Process {
        // Another one, whichever.
        pid: before.wrapping_add(1),
        started: at,
        executable: desired.binaries_folder_of(version).join("etcd"),
        executable_replaced: false,
        foreign_config: false,
        loaded: on_disk.collect(),
        served: host.certificates.iter().filter(|(role, _)| role.is_served()).map(served).collect(),
    });
    host.service.state = ServiceState::Activating;
    host.service.complaint = None;
    host.data = DataDirectory::Member;
    host.v2store = version::needs_v2store_check(desired, version).then_some(V2Store::Clean);
}

/// Once enough members run for a quorum, those that wait for it answer, `acted_on` does, and each has used up its permit.
/// One that has served and is silent for a reason of its own stays silent.
pub fn serve(desired: &Desired, observed: &mut Observed, acted_on: &HostName) {
    let list = observed.answers().find_map(|(_, answer)| answer.members.known().cloned());
    observed.guessed |= list.is_none();
    let is_new = list.is_none() && observed.host(acted_on).is_some_and(|host| host.files.contains_key(&File::Permit));
    let mut members = list.unwrap_or_else(|| declared_members(desired));
    let cluster = observed.answers().next().map_or(ClusterId(0), |(_, answer)| answer.cluster);
    let leader = observed.answers().find_map(|(_, answer)| answer.leader);
    let reads = observed.answers().any(|(name, answer)| answer.reads && name != acted_on);
    let running: BTreeSet<HostName> =
        observed.seen_hosts().filter(|(_, host)| host.process.is_some()).map(|(name, _)| name.clone()).collect();
    let index_of = |members: &[MemberEntry], name: &HostName| {
        let was = observed.host(name).and_then(Host::answer).map(|answer| answer.member);
        let is = |entry: &MemberEntry| {
            entry.peer_urls.contains(&desired.peer_url(name)) || was.is_some_and(|was| was == entry.id)
        };
        members.iter().position(is)
    };
    let found: Vec<_> = running.iter().filter_map(|name| Some((name.clone(), index_of(&members, name)?))).collect();
    let voters = members.iter().filter(|entry| !entry.learner).count();
    if !reads && found.iter().filter(|(_, index)| !members[*index].learner).count() < quorum(voters) {
        return;
    }
    let woken: Vec<_> = found
        .into_iter()
        .filter(|(name, _)| {
            let host = observed.host(name);
            name == acted_on
                || host.is_some_and(|host| host.service.state != ServiceState::Active || host.answer().is_some())
        })
        .collect();
    // A member publishes its name and client URL when it starts.
    for (name, index) in &woken {
        members[*index].name = Some(name.clone());
        members[*index].client_urls = BTreeSet::from([ClientUrl::new(desired.client_url(name).as_str())]);
    }
    let leader = leader.or_else(|| woken.first().map(|(_, index)| members[*index].id));
    for (name, index) in &woken {
        let Some(host) = observed.host_mut(name) else { continue };
        host.service.state = ServiceState::Active;
        host.files.remove(&File::Permit);
        let version = version::on_disk(desired, host);
        host.member = Seen::Known(Some(predicted_answer(version, cluster, &members[*index], leader, &members)));
    }
    members.sort();
    publish(observed, &members);
    if is_new {
        super::users::begin(desired, observed);
    }
}

/// Everybody learns the names that were published, and the leader raises the cluster version when all have reached it.
fn publish(observed: &mut Observed, members: &[MemberEntry]) {
    let lowest = observed.answers().map(|(_, answer)| version::of_cluster(answer.version)).min();
    let raised = observed.answers().filter_map(|(_, answer)| answer.cluster_version).max().max(lowest);
    let former = observed.former.values_mut().map(|former| &mut former.host);
    for host in observed.hosts.values_mut().chain(former) {
        let Some(answer) = host.known_mut().and_then(|host| host.member.known_mut()?.as_mut()) else { continue };
        answer.cluster_version = raised;
        if let Some(list) = answer.members.known_mut() {
            *list = members.to_vec();
        }
    }
}

pub fn predicted_answer(
    version: Version,
    cluster: ClusterId,
    entry: &MemberEntry,
    leader: Option<MemberId>,
    members: &[MemberEntry],
) -> Answer {
    Answer {
        cluster,
        member: entry.id,
        version,
        leader,
        term: 0,
        index: 0,
        applied: 0,
        database_bytes: 0,
        database_in_use_bytes: 0,
        learner: entry.learner,
        errors: Vec::new(),
        alarms: BTreeSet::new(),
        reads: !entry.learner,
        members: if entry.learner { Seen::Unknown(learners_do_not_say()) } else { Seen::Known(members.to_vec()) },
        own_members: if entry.learner { members.to_vec() } else { Vec::new() },
        cluster_version: None,
    }
}

/// A learner refuses the question for the member list.
fn learners_do_not_say() -> Cause {
    Cause { code: Code::MemberSilent, summary: "a learner does not give the member list".to_owned(), hint: None }
}

/// The member list of a cluster that begins with the declared nodes. The ids stand for those that etcd will choose.
fn declared_members(desired: &Desired) -> Vec<MemberEntry> {
    let entry = |(index, name): (usize, &HostName)| MemberEntry {
        id: MemberId(index as u64 + 1),
        name: Some(name.clone()),
        peer_urls: [desired.peer_url(name)].into(),
        client_urls: BTreeSet::from([ClientUrl::new(desired.client_url(name).as_str())]),
        learner: false,
    };
    desired.nodes.keys().enumerate().map(entry).collect()
}
