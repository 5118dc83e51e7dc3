//! Worlds in which the member list, the declaration and the versions differ.

use strum::VariantArray;

use crate::core::cluster::quorum::quorum;
use crate::core::code::Code;
use crate::core::desired::{Binaries, Desired};
use crate::core::names::{Architecture, ClientUrl, Digest, HostName, MemberId, RemotePath, Version};
use crate::core::observed::{
    Answer, Archive, Cause, File, Former, Host, Installed, MemberEntry, Observed, Seen, ServiceState, Tools, V2Store,
};
use crate::laws::sample;

/// What one machine is to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, VariantArray)]
pub(crate) enum State {
    Member,
    /// In the list, declared, and stopped.
    Stopped,
    /// In the list and declared, and not to be reached.
    Unreachable,
    /// The same, and called lost.
    Lost,
    /// Called lost, and well.
    LostAndWell,
    /// In the list, and everything on its host is gone.
    Wiped,
    /// Declared, in no list, and nothing on its host.
    Newcomer,
    /// Declared, in no list, and not to be reached.
    Absent,
    /// Declared, in no list, with the data of a member that was removed.
    Returned,
    /// In the list as a learner that runs.
    Learner,
    /// In the list as a learner that runs and does not answer.
    SilentLearner,
    /// In the list and declared; it runs, and finds no leader.
    Alone,
    /// Added, and never started.
    Unstarted,
    /// In the list and not declared, and well.
    Leaver,
    /// In the list and not declared, and not to be reached.
    LeaverGone,
    /// In the list under another address than is declared now, and well.
    Moved,
    /// In the list by its name, which another, bare machine is declared under now.
    Replaced,
    /// Runs the newer version already.
    Ahead,
}

pub(super) const STATES: &[State] = State::VARIANTS;

/// Which way the version goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub(crate) enum VersionChange {
    /// 3.5.30 runs and is declared.
    Stays,
    /// 3.6.16 is declared.
    Up,
    /// 3.5.30 is declared, and the cluster version is 3.6.0.
    Raised,
    /// 3.6.16 is declared; 3.5.16 runs.
    OverAStop,
    /// 3.7.3 is declared; 3.6.16 runs, with entries of 3.5 in its log.
    OldLog,
}

impl VersionChange {
    pub(super) const ALL: &[Self] = Self::VARIANTS;
}

pub(crate) struct World {
    pub desired: Desired,
    pub observed: Observed,
    pub states: Vec<State>,
    pub version_change: VersionChange,
}

const OLD: Version = Version::new(3, 5, 30);
const OLDER: Version = Version::new(3, 5, 16);
const NEW: Version = Version::new(3, 6, 16);
const NEWEST: Version = Version::new(3, 7, 3);

fn is_listed(state: State) -> bool {
    !matches!(state, State::Newcomer | State::Absent | State::Returned)
}

fn is_declared(state: State) -> bool {
    !matches!(state, State::Leaver | State::LeaverGone)
}

/// Whether the list has it as one that votes.
pub(super) fn is_voter(state: State) -> bool {
    is_listed(state) && !matches!(state, State::Learner | State::SilentLearner | State::Unstarted)
}

/// Whether the member may be voting, for all that can be seen.
pub(super) fn may_vote(state: State) -> bool {
    is_voter(state) && !matches!(state, State::Stopped | State::Wiped | State::Alone)
}

pub(super) fn is_seen_well(state: State) -> bool {
    matches!(state, State::Member | State::LostAndWell | State::Leaver | State::Moved | State::Ahead | State::Replaced)
}

pub(crate) fn world(states: &[State], version_change: VersionChange) -> World {
    let mut before = sample::desired(states.len());
    before.cluster.version = match version_change {
        VersionChange::Stays | VersionChange::Up => OLD,
        VersionChange::Raised | VersionChange::OldLog => NEW,
        VersionChange::OverAStop => OLDER,
    };
    let healthy = sample::healthy(&before);
    let mut desired = before.clone();
    desired.cluster.version = match version_change {
        VersionChange::Stays | VersionChange::Raised => OLD,
        VersionChange::Up | VersionChange::OverAStop => NEW,
        VersionChange::OldLog => NEWEST,
    };
    let digest = Digest::of("archive");
    if let Binaries::Archive { via, .. } = &mut desired.binaries {
        via.insert(OLD, [(Architecture::Amd64, digest)].into());
        via.insert(OLDER, [(Architecture::Amd64, digest)].into());
    }
    let mut observed = healthy.clone();
    for version in [OLDER, OLD, NEW, NEWEST] {
        let archive = Seen::Known(Archive { sha256: digest, bytes: 100 << 20 });
        observed.workstation.archives.insert(version, [(Architecture::Amd64, archive)].into());
    }
    let list = list(&before, &healthy, states);
    let voters = list.iter().filter(|entry| !entry.learner).count();
    let has_quorum = states.iter().filter(|state| may_vote(**state)).count() >= quorum(voters);
    let leads = states.iter().position(|state| is_seen_well(*state));
    let leader = leads.map(|index| healthy_answer(&healthy, index).member);
    for (index, state) in states.iter().enumerate() {
        let name = sample::name(index);
        let whole = healthy.host(&name).expect("every host of a healthy world is seen").clone();
        let seen = machine(whole, *state, version_change, &list, leader.filter(|_| has_quorum));
        place(&mut desired, &mut observed, &before, index, *state, seen);
    }
    World { desired, observed, states: states.to_vec(), version_change }
}

fn healthy_answer(healthy: &Observed, index: usize) -> &Answer {
    healthy.host(&sample::name(index)).and_then(Host::answer).expect("every host of a healthy world answers")
}

fn list(before: &Desired, healthy: &Observed, states: &[State]) -> Vec<MemberEntry> {
    let entry = |(index, state): (usize, &State)| {
        let name = sample::name(index);
        let started = *state != State::Unstarted;
        MemberEntry {
            id: healthy_answer(healthy, index).member,
            name: started.then(|| name.clone()),
            peer_urls: [before.peer_url(&name)].into(),
            client_urls: started.then(|| ClientUrl::new(before.client_url(&name).as_str())).into_iter().collect(),
            learner: !is_voter(*state),
        }
    };
    states.iter().enumerate().filter(|(_, state)| is_listed(**state)).map(entry).collect()
}

/// How the machine is seen.
fn machine(
    mut host: Host,
    state: State,
    version_change: VersionChange,
    list: &[MemberEntry],
    leader: Option<MemberId>,
) -> Seen<Host> {
    let gone = || Seen::Unknown(Cause { code: Code::HostUnreachable, summary: "no route".to_owned(), hint: None });
    let stop = |host: &mut Host| {
        host.process = None;
        host.service.state = ServiceState::Inactive;
        host.member = Seen::Known(None);
    };
    match state {
        State::SilentLearner => {
            let cause = Cause { code: Code::MemberSilent, summary: "no answer".to_owned(), hint: None };
            host.member = Seen::Unknown(cause);
        }
        State::Unreachable | State::Lost | State::Absent | State::LeaverGone => return gone(),
        State::Wiped | State::Newcomer | State::Unstarted => return Seen::Known(sample::bare_host()),
        State::Stopped => stop(&mut host),
        State::Returned => {
            stop(&mut host);
            host.service.state = ServiceState::Failed;
        }
        State::Member
        | State::LostAndWell
        | State::Learner
        | State::Alone
        | State::Leaver
        | State::Moved
        | State::Replaced
        | State::Ahead => {}
    }
    let learner = state == State::Learner;
    let leader = leader.filter(|_| state != State::Alone);
    if let Some(answer) = host.member.known_mut().and_then(Option::as_mut) {
        answer.leader = leader;
        answer.learner = learner;
        answer.reads = leader.is_some() && !learner;
        answer.own_members = list.to_vec();
        answer.cluster_version = Some(Version { patch: 0, ..answer.version });
        let nobody = Cause { code: Code::NoQuorum, summary: "no leader".to_owned(), hint: None };
        answer.members = if leader.is_some() && !learner { Seen::Known(list.to_vec()) } else { Seen::Unknown(nobody) };
        if version_change == VersionChange::Up {
            host.v2store = Some(V2Store::Clean);
        }
    }
    if state == State::Ahead && matches!(version_change, VersionChange::Up) {
        runs(&mut host, NEW);
    }
    Seen::Known(host)
}

/// As if it had been upgraded to `version`.
fn runs(host: &mut Host, version: Version) {
    let folder = RemotePath::new(format!("/opt/etcd/{version}"));
    host.installed.insert(version, Installed { archive: Some(Digest::of("archive")) });
    host.tools = Tools::Link(folder.clone());
    host.v2store = None;
    let unit = host.files.get_mut(&File::Unit).expect("a healthy host has a unit");
    let text =
        unit.text.as_deref().expect("a unit is text").replace(&format!("/opt/etcd/{OLD}/"), &format!("{folder}/"));
    unit.digest = Digest::of(&text);
    unit.text = Some(text);
    if let Some(process) = &mut host.process {
        process.executable = folder.join("etcd");
        process.loaded.insert(File::Unit, unit.digest);
    }
    if let Some(answer) = host.member.known_mut().and_then(Option::as_mut) {
        answer.version = version;
    }
}

/// Puts the machine where the declaration has it, or among the former ones.
fn place(
    desired: &mut Desired,
    observed: &mut Observed,
    before: &Desired,
    index: usize,
    state: State,
    seen: Seen<Host>,
) {
    let name = sample::name(index);
    let old_address = before.nodes[&name].address.clone();
    let former = |host: Seen<Host>| Former {
        name: name.clone(),
        address: old_address.clone(),
        peer_url: before.peer_url(&name),
        host,
    };
    match state {
        _ if !is_declared(state) => {
            desired.nodes.remove(&name);
            observed.hosts.remove(&name);
            observed.former.insert(name.clone(), former(seen));
        }
        State::Replaced => {
            let key = HostName::new(format!("{name}@{old_address}"));
            observed.former.insert(key, former(seen));
            observed.hosts.insert(name.clone(), Seen::Known(sample::bare_host()));
            desired.nodes.get_mut(&name).expect("it is declared").address = format!("10.0.1.{}", index + 11);
        }
        State::Moved => {
            observed.hosts.insert(name.clone(), seen);
            desired.nodes.get_mut(&name).expect("it is declared").address = format!("10.0.1.{}", index + 11);
        }
        _ => {
            if matches!(state, State::Lost | State::LostAndWell) {
                desired.request.lost.insert(name.clone(), Some(MemberId(index as u64 + 1)));
            }
            observed.hosts.insert(name, seen);
        }
    }
}

/// One host at least is declared, and what is not declared is known from a member that answers.
pub(super) fn can_be_seen(states: &[State]) -> bool {
    let answers = |state: &State| {
        matches!(state, State::Member | State::LostAndWell | State::Learner | State::Moved | State::Ahead)
    };
    let former = |state: &State| matches!(state, State::Leaver | State::LeaverGone | State::Replaced);
    states.iter().any(|state| is_declared(*state)) && (states.iter().any(answers) || !states.iter().any(former))
}

/// Every multiset of states on one to `hosts_max` machines, of which one at least is declared. In the ordinary run those
/// of four go two ways only: what sets the other changes of version apart is seen on three.
pub(crate) fn worlds(hosts_max: usize) -> impl Iterator<Item = World> {
    let all = std::env::var_os("QUORATE_WORLD_HOSTS").is_some();
    let version_changes =
        move |hosts| if hosts < 4 || all { VersionChange::ALL } else { &[VersionChange::Stays, VersionChange::Up] };
    (1..=hosts_max).flat_map(move |hosts| worlds_of(hosts, version_changes(hosts)))
}

/// Every multiset of states on `hosts` machines, with each change of version.
pub(crate) fn worlds_of(hosts: usize, version_changes: &'static [VersionChange]) -> impl Iterator<Item = World> {
    let combinations = STATES.len().pow(u32::try_from(hosts).expect("few hosts"));
    let digits = move |number: usize| -> Vec<usize> {
        let place = |place| number / STATES.len().pow(place) % STATES.len();
        (0..u32::try_from(hosts).expect("few hosts")).map(place).collect()
    };
    (0..combinations).map(digits).filter(|digits| digits.is_sorted()).flat_map(|digits| {
        let states: Vec<_> = digits.into_iter().map(|digit| STATES[digit]).collect();
        let declared = can_be_seen(&states);
        version_changes.iter().filter(move |_| declared).map(move |version_change| world(&states, *version_change))
    })
}
