//! Leadership is handed over before a leader is stopped or removed: an election costs a second of writes, a handover a
//! few milliseconds.

use std::time::Duration;

use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::HostName;
use crate::core::observed::Cause;
use crate::shell::live::Live;
use crate::shell::live::credentials::Credentials;
use crate::shell::live::hosts::Hosts;
use crate::shell::live::reach;
use crate::shell::live::voters::{Voter, voters};

const MOVE_DEADLINE: Duration = Duration::from_secs(10);

/// Hands leadership to the voter that has applied most, if `host` leads and there is another voter that follows it.
pub(super) async fn hand_over(hosts: &Hosts, credentials: &Credentials, host: &HostName) -> Result<(), Diagnostic> {
    // One that does not answer leads nothing that a restart could take away.
    let Some((_, answer)) = reach::of_reachable(hosts, credentials, host).await else { return Ok(()) };
    if answer.leader != Some(answer.member) {
        return Ok(());
    }
    let voters = voters(hosts, credentials).await;
    let Some(leader) = voters.iter().find(|voter| voter.host == *host) else { return Ok(()) };
    away_from(leader, &voters).await.map(drop).map_err(Diagnostic::from)
}

/// To the voter that follows it and has applied most; never to a learner, which is none of `voters`.
///
/// `false`: there is none, and etcd was not asked.
pub(super) async fn away_from(leader: &Voter, voters: &[Voter]) -> Result<bool, Cause> {
    let id = leader.answer.member;
    let follows = |voter: &&Voter| {
        voter.answer.member != id && voter.answer.leader == Some(id) && voter.answer.cluster == leader.answer.cluster
    };
    let best = voters.iter().filter(follows).max_by_key(|voter| (voter.answer.applied, voter.answer.member));
    match best {
        Some(heir) => leader.member.move_leader(heir.answer.member, MOVE_DEADLINE).await.map(|()| true),
        None => Ok(false),
    }
}

/// Who leads after a transfer that was asked for.
pub enum Moved {
    /// The one that was named did before.
    Already(HostName),
    To {
        from: HostName,
        to: HostName,
    },
}

impl Live {
    /// Transfers leadership to the member of `to`, or to the voter that has applied most.
    ///
    /// # Errors
    /// When nobody leads, or that member is none that could.
    pub async fn move_leader(&self, to: Option<&HostName>) -> Result<Moved, Diagnostic> {
        // Every voter, so that none that could lead is left out for want of a connection.
        self.hosts.each(|hosts, host| async move { hosts.on(&host).await.is_ok() }).await;
        let before = voters(&self.hosts, &self.credentials).await;
        let leads = |voter: &&Voter| voter.answer.leader == Some(voter.answer.member);
        let Some(leader) = before.iter().find(leads) else {
            let what = "no member that answers is the leader, so there is no leadership to transfer";
            return Err(Diagnostic::new(Kind::Unseen, what).hint("see what is wrong with `quorate status`"));
        };
        let from = leader.host.clone();
        match to {
            Some(to) if *to == from => return Ok(Moved::Already(from)),
            Some(to) => {
                let Some(heir) = before.iter().find(|voter| voter.host == *to) else {
                    let what = format!(
                        "the member on {to} cannot lead: it is not a voter that answers and follows the leader"
                    );
                    return Err(Diagnostic::failure(what).at(to.as_str()).hint("see `quorate status`"));
                };
                leader.member.move_leader(heir.answer.member, MOVE_DEADLINE).await?;
            }
            None => {
                if !away_from(leader, &before).await? {
                    let what = format!("{from} leads, and no other voter answers and follows it now");
                    return Err(Diagnostic::failure(what).hint("see `quorate status`, and try again"));
                }
            }
        }
        let after = voters(&self.hosts, &self.credentials).await;
        match after.iter().find(leads).map(|voter| voter.host.clone()) {
            Some(to) if to != from => Ok(Moved::To { from, to }),
            _ => {
                let what = "etcd has accepted the transfer, but another member is not seen to lead yet";
                Err(Diagnostic::failure(what).hint("see who leads with `quorate status`"))
            }
        }
    }
}
