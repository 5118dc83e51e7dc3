//! Arithmetic over voters. The only place that counts.

use std::collections::BTreeMap;

use crate::desired::Desired;
use crate::names::{HostName, MemberId};
use crate::observed::{MemberEntry, Observed};

/// How many voters must agree, of `voters` in the member list. A cluster without voters has no quorum: 1.
pub fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// The cluster's member list and the health of each member, as far as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub members: Vec<Member>,
    pub leader: Option<MemberId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub entry: MemberEntry,
    /// The declared host whose peer URL the entry has.
    pub host: Option<HostName>,
    pub health: Health,
}

/// Whether a member can be counted on.
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
        let answers: Vec<_> = observed.seen_hosts().filter_map(|(_, host)| host.answer()).collect();
        let list = answers.iter().filter(|answer| !answer.learner).find_map(|answer| answer.members.known())?;
        let hosts: BTreeMap<_, _> = desired.nodes.keys().map(|host| (desired.peer_url(host), host)).collect();
        let leader = answers.iter().filter(|answer| answer.reads).find_map(|answer| answer.leader);
        let members = list.iter().map(|entry| {
            let host = entry.peer_urls.iter().find_map(|url| hosts.get(url)).map(|host| (*host).clone());
            let health = health(observed, host.as_ref(), entry, leader);
            Member { entry: entry.clone(), host, health }
        });
        Some(Self { members: members.collect(), leader })
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
        let stops = self.voters().any(|member| member.host.as_ref() == Some(host) && member.health == Health::Healthy);
        self.margin() - i32::from(stops)
    }

    pub fn member_of(&self, host: &HostName) -> Option<&Member> {
        self.members.iter().find(|member| member.host.as_ref() == Some(host))
    }
}

fn difference(healthy: usize, quorum: usize) -> i32 {
    let count = |n: usize| i32::try_from(n).expect("a cluster has few members");
    count(healthy) - count(quorum)
}

fn health(observed: &Observed, host: Option<&HostName>, entry: &MemberEntry, leader: Option<MemberId>) -> Health {
    let Some(host) = host.and_then(|name| observed.host(name)) else { return Health::Unseen };
    let Some(answer) = host.member.known() else { return Health::Unhealthy("it does not answer".to_owned()) };
    let Some(answer) = answer else { return Health::Unhealthy("it is not running".to_owned()) };
    if answer.member != entry.id {
        return Health::Unhealthy(format!("another member ({}) answers in its place", answer.member));
    }
    if answer.leader.is_none() || answer.leader != leader {
        return Health::Unhealthy("it does not follow the leader".to_owned());
    }
    if let Some(error) = answer.errors.first() {
        return Health::Unhealthy(error.clone());
    }
    // NOSPACE stops writes and is no reason to doubt the member; CORRUPT is.
    if answer.alarms.contains("CORRUPT") {
        return Health::Unhealthy("the alarm CORRUPT is raised".to_owned());
    }
    if !answer.reads && !answer.learner {
        return Health::Unhealthy("a linearizable read through it failed".to_owned());
    }
    Health::Healthy
}

/// Two members that answer with different clusters or member lists: one sentence that names them.
pub fn disagreement(observed: &Observed) -> Option<String> {
    let mut answers = observed.seen_hosts().filter_map(|(name, host)| Some((name, host.answer()?)));
    let (first_name, first) = answers.next()?;
    answers.find_map(|(name, answer)| {
        if answer.cluster != first.cluster {
            return Some(format!(
                "{first_name} is in cluster {} and {name} is in cluster {}",
                first.cluster, answer.cluster
            ));
        }
        let lists = (first.members.known()?, answer.members.known()?);
        (lists.0 != lists.1).then(|| format!("{first_name} and {name} give different member lists"))
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
