//! The voters that a quorum can be asked through.

use std::sync::Arc;

use super::credentials::Credentials;
use super::etcd::Member;
use super::hosts::Hosts;
use super::reach::{self, Answered};
use crate::core::names::HostName;
use crate::core::observed::{Answer, MemberEntry};

/// A voter that follows the leader and reads, and its member list.
pub(super) struct Voter {
    pub host: HostName,
    pub member: Arc<Member>,
    pub answer: Answer,
    pub list: Vec<MemberEntry>,
}

/// Every voter that a quorum can be asked through: the leader first, then by what it has applied.
///
/// Hosts that are not connected are asked only when nobody else answers.
pub(super) async fn voters(hosts: &Hosts, credentials: &Credentials) -> Vec<Voter> {
    let voters = voters_of(hosts, credentials, reach::of_connected).await;
    if voters.is_empty() { voters_of(hosts, credentials, reach::of_reachable).await } else { voters }
}

async fn voters_of(
    hosts: &Hosts,
    credentials: &Credentials,
    ask: impl AsyncFn(&Hosts, &Credentials, &HostName) -> Option<Answered>,
) -> Vec<Voter> {
    let ask = &ask;
    let asked = hosts.machines.names().into_iter().map(|host| async move {
        let (member, answer) = ask(hosts, credentials, &host).await?;
        let list = answer.members.known().cloned()?;
        let serves = !answer.learner && answer.reads && answer.leader.is_some();
        serves.then_some(Voter { host, member, answer, list })
    });
    let asked = futures_util::future::join_all(asked).await;
    let mut voters: Vec<_> = asked.into_iter().flatten().collect();
    voters.sort_by_key(|voter| {
        let leads = voter.answer.leader == Some(voter.answer.member);
        (!leads, std::cmp::Reverse(voter.answer.applied), voter.host.clone())
    });
    voters
}
