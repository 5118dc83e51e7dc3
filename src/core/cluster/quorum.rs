//! Arithmetic over voters. The only place that counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::cluster::connections::{self, Gap};
use crate::core::cluster::room;
use crate::core::cluster::sameness::{self, Sameness};
use crate::core::desired::Desired;
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, MemberId, PeerUrl, listed};
use crate::core::observed::{Alarm, Answer, File, Host, MemberEntry, Observed};
use crate::core::plan::Voters;

/// How many voters must agree, of `voters` in the member list. A cluster without voters has no quorum: 1.
pub fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// The cluster's member list and the health of each member, as far as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub members: Vec<Member>,
    pub leader: Option<MemberId>,
    /// Every alarm that is active, whoever it is raised for.
    pub alarms: BTreeSet<Alarm>,
    /// What a comparison of their data says, where one was made.
    pub sameness: Sameness,
    /// The connections that are missing between members that are healthy otherwise.
    pub gaps: Vec<Gap>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub entry: MemberEntry,
    /// The host that runs it: a declared one, or one of `Observed::former`.
    pub host: HostName,
    /// Whether that host is declared.
    pub declared: bool,
    /// Whether it takes part in raft.
    pub health: Health,
    /// An alarm says that its data differs from the others'. It votes all the same.
    pub is_corrupt: bool,
    /// A comparison says so.
    pub differs: bool,
    /// It may end at any moment: in a few words, why the disk of its data is full.
    pub full: Option<String>,
}

/// Whether a member can be counted on for a quorum. Alarms are no part of it: they decide what clients may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Healthy,
    /// It was asked, and this is wrong with it.
    Unhealthy(String),
    /// It could not be asked. Never counted as healthy.
    Unseen,
}

impl Membership {
    /// From the member list: `None` when no member gave one. The members that did must agree ([`disagreement`]).
    pub fn of(desired: &Desired, observed: &Observed) -> Option<Self> {
        let answers: Vec<_> = observed.answers().map(|(_, answer)| answer).collect();
        let list = answers.iter().filter(|answer| !answer.learner).find_map(|answer| answer.members.known())?;
        let leader = answers.iter().filter(|answer| answer.reads).find_map(|answer| answer.leader);
        let alarms: BTreeSet<_> = answers.iter().flat_map(|answer| answer.alarms.iter().cloned()).collect();
        let sameness = sameness::sameness(observed, list);
        let member = |((host, declared), entry): ((HostName, bool), &MemberEntry)| {
            let health = health(observed, &host, entry, leader);
            let is_corrupt = alarms.iter().any(|alarm| alarm.is_corrupt() && alarm.member == Some(entry.id));
            let differs = sameness.differs_of(entry.id);
            let full = observed.host(&host).and_then(room::full);
            Member { entry: entry.clone(), host, declared, health, is_corrupt, differs, full }
        };
        let members: Vec<_> = hosts_of(desired, observed, list).into_iter().zip(list).map(member).collect();
        let healthy = members.iter().filter(|member| member.health == Health::Healthy);
        let healthy: Vec<_> = healthy.map(|member| (&member.host, member.entry.id)).collect();
        let gaps = connections::gaps(observed, &healthy);
        Some(Self { members, leader, alarms, sameness, gaps })
    }

    /// Some member's data differs: one that is named by an alarm and still in the list, or one that etcd could not tell.
    pub fn has_corruption(&self) -> bool {
        self.alarms.iter().any(|alarm| alarm.is_corrupt() && alarm.member.is_none_or(|id| self.by_id(id).is_some()))
    }

    /// Whether the data of `member` may be the one that differs, so that the operator may name it: where a majority holds
    /// the same, it is not one of that.
    pub fn may_differ(&self, member: &Member) -> bool {
        match &self.sameness {
            Sameness::Alike => self.has_corruption(),
            Sameness::Odd(odd) => odd.contains(&member.entry.id),
            Sameness::Undecided => true,
        }
    }

    pub fn by_id(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|member| member.entry.id == id)
    }

    pub fn learners(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.entry.learner)
    }

    /// The host whose member leads.
    pub fn leading_host(&self) -> Option<&HostName> {
        Some(&self.by_id(self.leader?)?.host)
    }

    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.entry.learner)
    }

    pub fn quorum(&self) -> usize {
        quorum(self.voters().count())
    }

    pub fn healthy_voters(&self) -> usize {
        self.voters().filter(|member| member.health == Health::Healthy).count()
    }

    /// How many healthy voters may fail before quorum is lost; negative when it is lost already.
    pub fn margin(&self) -> i32 {
        difference(self.healthy_voters(), self.quorum())
    }

    /// The margin while `host`'s member is stopped.
    pub fn margin_without(&self, host: &HostName) -> i32 {
        let stops = self.voters().any(|member| member.host == *host && member.health == Health::Healthy);
        self.margin() - i32::from(stops)
    }

    /// The margin once `id` is no member any more.
    pub fn margin_after_removal(&self, id: MemberId) -> i32 {
        let others = || self.voters().filter(move |member| member.entry.id != id);
        let healthy = others().filter(|member| member.health == Health::Healthy).count();
        difference(healthy, quorum(others().count()))
    }

    pub fn member_of(&self, host: &HostName) -> Option<&Member> {
        self.members.iter().find(|member| member.host == *host)
    }

    /// The member that has a declared node's name on a machine that is not declared: the node moves, and that one goes.
    pub fn predecessor_of(&self, name: &HostName) -> Option<&Member> {
        self.members.iter().find(|member| !member.declared && member.entry.name.as_ref() == Some(name))
    }

    /// A voter other than `host`'s whose disk is full, and what is known of that.
    pub fn full_besides(&self, host: &HostName) -> Option<(&HostName, &str)> {
        self.voters()
            .filter(|member| member.host != *host)
            .find_map(|member| Some((&member.host, member.full.as_deref()?)))
    }

    /// A connection that is missing between two members, neither of which is `host`'s, and without which the others may be
    /// no quorum when `host` is away, or has joined.
    pub fn gap_besides(&self, host: &HostName) -> Option<&Gap> {
        let besides: Vec<_> =
            self.gaps.iter().filter(|gap| gap.is_closed() && gap.from != *host && gap.to != *host).collect();
        // Of each such pair one may be of no use to the other.
        let pair = |gap: &&Gap| {
            let (one, other) = (&gap.from, &gap.to);
            (one.min(other).clone(), one.max(other).clone())
        };
        let pairs: BTreeSet<_> = besides.iter().map(pair).collect();
        let joins = self.member_of(host).is_none();
        let quorum = quorum(self.voters().count() + usize::from(joins));
        let left = self.voters().filter(|member| member.host != *host && member.health == Health::Healthy).count();
        besides.first().copied().filter(|_| left < quorum + pairs.len())
    }

    /// A voter other than `host`'s that is not well.
    pub fn unwell_besides(&self, host: &HostName) -> Option<&Member> {
        self.voters().find(|member| member.host != *host && !member.is_well())
    }
}

impl Membership {
    /// The voters, counted.
    pub fn in_numbers(&self) -> Voters {
        Voters {
            healthy: self.healthy_voters(),
            total: self.voters().count(),
            quorum: self.quorum(),
            margin: self.margin(),
        }
    }
}

impl Member {
    /// The member's name, or its id while it has none.
    pub fn title(&self) -> String {
        self.entry.title()
    }

    /// The declared node that has its name, where no declared machine runs it: what takes its place.
    pub fn successor<'a>(&self, desired: &'a Desired) -> Option<&'a HostName> {
        let name = self.entry.name.as_ref().filter(|_| !self.declared)?;
        desired.nodes.get_key_value(name).map(|(name, _)| name)
    }

    /// The host of its peer URL.
    pub fn address(&self) -> &str {
        self.entry.peer_urls.first().map_or("an unknown address", PeerUrl::address)
    }

    /// It takes part in raft, its data is the others', as far as anybody has noticed, and its disk has room for it to go on.
    pub fn is_well(&self) -> bool {
        self.health == Health::Healthy
            && upheld(Guard::SoundBeforeChange, !self.is_odd())
            && upheld(Guard::DiskNotFull, self.full.is_none())
    }

    /// Its data is known to differ from the others'.
    pub fn is_odd(&self) -> bool {
        self.is_corrupt || self.differs
    }

    /// Why it is not well, in a few words.
    pub fn trouble(&self) -> Option<&str> {
        let odd = match (self.is_corrupt, self.differs) {
            (true, _) => Some("its data differs from the others' (alarm CORRUPT)"),
            (false, true) => Some("its data differs from the others' (HashKV)"),
            (false, false) => None,
        };
        // etcd tells a name once a member has started.
        if self.health == Health::Unseen && self.entry.name.is_none() {
            return Some("it has never started");
        }
        self.health.trouble().or(odd).or(self.full.as_deref())
    }
}

impl Health {
    /// Why the member cannot be counted on, in a few words.
    pub fn trouble(&self) -> Option<&str> {
        match self {
            Self::Healthy => None,
            Self::Unhealthy(why) => Some(why),
            Self::Unseen => Some("its host is unreachable"),
        }
    }
}

/// The host of each member, and whether it is declared.
///
/// By peer URL first. A member whose URL no declared host has is still that host's when the same machine runs it: it is
/// about to change its address or port. All others are former ones.
fn hosts_of(desired: &Desired, observed: &Observed, list: &[MemberEntry]) -> Vec<(HostName, bool)> {
    let urls: BTreeMap<_, _> = desired.nodes.keys().map(|host| (desired.peer_url(host), host)).collect();
    let by_url = |entry: &MemberEntry| entry.peer_urls.iter().find_map(|url| urls.get(url)).copied();
    let taken: BTreeSet<_> = list.iter().filter_map(by_url).collect();
    let moved = |entry: &MemberEntry| {
        let free = desired.nodes.keys().filter(|host| !taken.contains(host));
        free.into_iter().find(|host| observed.host(host).is_some_and(|seen| runs(seen, host, entry)))
    };
    let host = |entry: &MemberEntry| match by_url(entry).or_else(|| moved(entry)) {
        Some(host) => (host.clone(), true),
        None => (former_key(desired, entry), false),
    };
    list.iter().map(host).collect()
}

/// Whether the member of `entry` lives on this machine, whatever its URL says.
fn runs(seen: &Host, host: &HostName, entry: &MemberEntry) -> bool {
    match seen.answer() {
        Some(answer) => answer.member == entry.id,
        None => {
            let named = entry.name.as_ref() == Some(host);
            let has_settings = [File::Config, File::Settings].iter().any(|file| seen.files.contains_key(file));
            named && (seen.has_data() || seen.data.has_remains()) && has_settings
        }
    }
}

/// What a member that no declared host runs is called among [`Observed::former`].
fn former_key(desired: &Desired, entry: &MemberEntry) -> HostName {
    let address = entry.peer_urls.first().map_or("?", PeerUrl::address);
    match &entry.name {
        Some(name) if desired.nodes.contains_key(name) => HostName::new(format!("{name}@{address}")),
        Some(name) => name.clone(),
        None => HostName::new(format!("member-{}", entry.id)),
    }
}

fn difference(healthy: usize, quorum: usize) -> i32 {
    let count = |n: usize| i32::try_from(n).expect("a cluster has few members");
    count(healthy) - count(quorum)
}

fn health(observed: &Observed, host: &HostName, entry: &MemberEntry, leader: Option<MemberId>) -> Health {
    let Some(host) = observed.host(host) else { return Health::Unseen };
    let Some(answer) = host.member.known() else { return Health::Unhealthy(silence(observed, entry)) };
    let Some(answer) = answer else { return Health::Unhealthy("etcd is not running".to_owned()) };
    if answer.member != entry.id {
        return Health::Unhealthy(format!("a different member ({}) answers at its address", answer.member));
    }
    trouble(answer, entry.learner, leader).map_or(Health::Healthy, Health::Unhealthy)
}

/// What is wrong with a member that answers, by its own words; `leader` is the one that the others follow.
pub fn trouble(answer: &Answer, is_learner: bool, leader: Option<MemberId>) -> Option<String> {
    if answer.leader.is_none() {
        return Some("it has no leader".to_owned());
    }
    if answer.leader != leader {
        return Some("it does not follow the same leader as the others".to_owned());
    }
    if let Some(error) = answer.errors.first() {
        return Some(error.clone());
    }
    // One that was just promoted is no voter to count on before it has learnt that itself.
    if !answer.reads && !is_learner {
        return Some("a linearizable read through it failed".to_owned());
    }
    None
}

/// That it does not answer us is no proof that it takes no part in raft: its client port may be closed, or its certificate
/// for clients have expired.
fn silence(observed: &Observed, entry: &MemberEntry) -> String {
    let connected = |answer: &Answer| answer.peers.get(&entry.id).is_some_and(|peer| peer.is_active);
    let connected: Vec<_> =
        observed.answers().filter(|(_, answer)| connected(answer)).map(|(name, _)| name.clone()).collect();
    match connected.len() {
        0 => "it does not answer".to_owned(),
        one => format!(
            "it does not answer here, while etcd on {} {} connected to it for raft's messages",
            listed(&connected),
            if one == 1 { "is" } else { "are" }
        ),
    }
}

/// Two members that answer with different clusters or member lists: one sentence that names them.
pub fn disagreement(observed: &Observed) -> Option<String> {
    let mut answers = observed.answers().filter(|(name, _)| observed.hosts.contains_key(*name));
    let (first_name, first) = answers.next()?;
    answers.find_map(|(name, answer)| {
        if answer.cluster != first.cluster {
            return Some(format!(
                "{first_name} is in cluster {}, but {name} is in cluster {}",
                first.cluster, answer.cluster
            ));
        }
        let lists = (first.members.known()?, answer.members.known()?);
        (lists.0 != lists.1).then(|| format!("{first_name} and {name} report different member lists"))
    })
}

#[cfg(test)]
mod tests {
    use super::quorum;

    #[test]
    fn a_quorum_is_more_than_half() {
        assert_eq!((1..=7).map(quorum).collect::<Vec<_>>(), [1, 2, 2, 3, 3, 4, 4]);
    }
}
