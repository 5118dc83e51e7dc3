//! Leadership is handed over before a leader is stopped: an election costs a second of writes, a handover a few
//! milliseconds.

use std::sync::Arc;
use std::time::Duration;

use crate::diagnostic::Diagnostic;
use crate::live::etcd::Member;
use crate::live::perform::told;
use crate::live::{Shared, now};
use crate::names::HostName;
use crate::observed::Answer;

const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
const MOVE_DEADLINE: Duration = Duration::from_secs(10);

/// Hands leadership to the voter that has applied most, if `host` leads and there is another voter that follows it.
pub(super) async fn hand_over(shared: &Shared, host: &HostName) -> Result<(), Diagnostic> {
    // One that does not answer leads nothing that a restart could take away.
    let Some((leader, answer)) = ask(shared, host).await else { return Ok(()) };
    if answer.leader != Some(answer.member) {
        return Ok(());
    }
    let others = shared.desired.nodes.keys().filter(|other| *other != host);
    let asked = futures_util::future::join_all(others.map(|other| ask(shared, other))).await;
    let followers = asked.into_iter().flatten().map(|(_, follower)| follower).filter(|follower| {
        follower.leader == Some(answer.member) && follower.cluster == answer.cluster && !follower.learner
    });
    let best = followers.map(|follower| (follower.applied, follower.member)).max();
    let Some((_, to)) = best else { return Ok(()) };
    leader.move_leader(to, MOVE_DEADLINE).await.map_err(told)
}

async fn ask(shared: &Shared, host: &HostName) -> Option<(Arc<Member>, Answer)> {
    let tls = shared.tls(now())?;
    let connection = shared.connection(host).await.ok()?;
    let member = shared.member(host, &connection, &tls, shared.desired.ports.client).await.ok()?;
    let answer = member.answer(ANSWER_DEADLINE).await.ok()?;
    Some((member, answer))
}
