//! Leadership is handed over before a leader is stopped or removed: an election costs a second of writes, a handover a
//! few milliseconds.

use std::time::Duration;

use crate::core::diagnostic::Diagnostic;
use crate::core::names::HostName;
use crate::core::observed::Cause;
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
    away_from(leader, &voters).await.map_err(Diagnostic::from)
}

/// To the voter that follows it and has applied most; never to a learner, which is none of `voters`.
pub(super) async fn away_from(leader: &Voter, voters: &[Voter]) -> Result<(), Cause> {
    let id = leader.answer.member;
    let follows = |voter: &&Voter| {
        voter.answer.member != id && voter.answer.leader == Some(id) && voter.answer.cluster == leader.answer.cluster
    };
    let best = voters.iter().filter(follows).max_by_key(|voter| (voter.answer.applied, voter.answer.member));
    match best {
        Some(heir) => leader.member.move_leader(heir.answer.member, MOVE_DEADLINE).await,
        None => Ok(()),
    }
}
