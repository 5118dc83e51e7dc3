//! Changes of the member list, asked of one member, and what it means when etcd says no.

use std::time::Duration;

use etcd_client::MemberAddOptions;

use super::fault::Fault;
use super::{Member, answer};
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{MemberId, PeerUrl};
use crate::core::observed::MemberEntry;

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub objection: Objection,
    /// What etcd said. It is a failure of what was asked, whatever the member is otherwise.
    pub failure: Diagnostic,
}

/// What a refusal means for who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// What was asked for is so already.
    AlreadySo,
    /// It passes by itself: an election, or members that have not been connected for 5 s yet.
    Passing,
    /// The learner has less than 90 % of the leader's log.
    Behind,
    /// The connection or the member has gone: another one can be asked. The change may have been made.
    Lost,
    Final,
}

impl Member {
    /// Adds a member that does not vote yet.
    ///
    /// # Errors
    /// What etcd objects to, or that it did not answer within `deadline`.
    pub async fn add_learner(&self, peer_url: &PeerUrl, deadline: Duration) -> Result<(), Refusal> {
        let mut client = self.client_of_leader.cluster_client();
        let options = MemberAddOptions::new().with_is_learner();
        let urls = [peer_url.to_string()];
        let added = async { client.member_add(urls, Some(options)).await.map(drop) };
        self.change("to add a learner", deadline, added, &ALREADY_ADDED).await
    }

    /// Makes a learner a voter.
    ///
    /// # Errors
    /// As [`Member::add_learner`].
    pub async fn promote(&self, id: MemberId, deadline: Duration) -> Result<(), Refusal> {
        let mut client = self.client_of_leader.cluster_client();
        let promoted = async { client.member_promote(id.0).await.map(drop) };
        self.change("to promote a learner", deadline, promoted, &[ALREADY_VOTER]).await
    }

    /// Tells the members where one of them answers its peers.
    ///
    /// # Errors
    /// As [`Member::add_learner`].
    pub async fn update_peer_urls(&self, id: MemberId, url: &PeerUrl, deadline: Duration) -> Result<(), Refusal> {
        let mut client = self.client_of_leader.cluster_client();
        let updated = async { client.member_update(id.0, [url.to_string()]).await.map(drop) };
        // A URL that another member has is refused in the same words as one that this member has already.
        self.change("to change a peer URL", deadline, updated, &[]).await
    }

    /// Takes a member out.
    ///
    /// # Errors
    /// As [`Member::add_learner`].
    pub async fn remove(&self, id: MemberId, deadline: Duration) -> Result<(), Refusal> {
        let mut client = self.client_of_leader.cluster_client();
        let removed = async { client.member_remove(id.0).await.map(drop) };
        self.change("to remove a member", deadline, removed, &[NO_SUCH_MEMBER]).await
    }

    /// The member list as this member alone has it: the only one to be had without a quorum.
    pub(super) async fn own_list(&self, deadline: Duration) -> Vec<MemberEntry> {
        match tokio::time::timeout(deadline, super::wire::member_list(self.channel.clone(), false)).await {
            Ok(Ok(list)) => answer::members(list),
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }

    pub(super) async fn change(
        &self,
        what: &'static str,
        deadline: Duration,
        call: impl Future<Output = Result<(), etcd_client::Error>>,
        already_so: &[&str],
    ) -> Result<(), Refusal> {
        let fault = match tokio::time::timeout(deadline, call).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => Fault::of_client(&error),
            Err(_) => Fault::CallTimeout(what, deadline),
        };
        let fault = self.recorder.fault().unwrap_or(fault);
        Err(Refusal { objection: objection(&fault, already_so), failure: self.place.refused(what, fault) })
    }
}

// The words of etcd's rpctypes, the same from 3.4 to 3.7.
/// The second: an id is made of URL, cluster and second, and the id is looked at first.
const ALREADY_ADDED: [&str; 2] = ["Peer URLs already exists", "member ID already exist"];
const ALREADY_VOTER: &str = "can only promote a learner member";
const BEHIND: &str = "can only promote a learner member which is in sync with leader";
const NO_SUCH_MEMBER: &str = "member not found";
/// `unhealthy cluster`: a voter has not been connected for 5 s (HealthInterval). Then come those of an election.
const PASSING: [&str; 7] = [
    "unhealthy cluster",
    "re-configuration failed due to not enough started members",
    "leader changed",
    "not leader",
    "request timed out",
    // Somebody changed users or roles between the request and its turn in the raft log, or turned authentication on.
    "revision of auth store is old",
    "user name is empty",
];

fn objection(fault: &Fault, already_so: &[&str]) -> Objection {
    match fault {
        Fault::NoLeader => Objection::Passing,
        Fault::Said(words) if words.contains(BEHIND) => Objection::Behind,
        Fault::Said(words) if already_so.iter().any(|so| words.contains(so)) => Objection::AlreadySo,
        Fault::Said(words) if PASSING.iter().any(|passing| words.contains(passing)) => Objection::Passing,
        Fault::Closed | Fault::CallTimeout(..) | Fault::Alert(_) => Objection::Lost,
        _ => Objection::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_learner_that_is_behind_is_told_from_one_that_is_a_voter() {
        let said = |words: &str| objection(&Fault::Said(words.to_owned()), &[ALREADY_VOTER]);
        assert_eq!(
            said("etcdserver: can only promote a learner member which is in sync with leader"),
            Objection::Behind
        );
        assert_eq!(said("etcdserver: can only promote a learner member"), Objection::AlreadySo);
        assert_eq!(said("etcdserver: unhealthy cluster"), Objection::Passing);
        assert_eq!(said("etcdserver: too many learner members in cluster"), Objection::Final);
        assert_eq!(said("etcdserver: member not found"), Objection::Final);
    }
}
