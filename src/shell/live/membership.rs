//! Changes of the member list, made through a healthy voter that they do not concern.
//!
//! ```text
//! ask everyone ─► is it so already? ─► hand leadership over ─► our lock on the voter's host? ─► ask the voter
//!      ▲                                                                                          │ not now
//!      └──────────────────────────────────────────────────────────────────────────────────────────┘
//! ```

use std::time::Duration;

use crate::core::content::runtime;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{MemberId, PeerUrl};
use crate::core::observed::MemberEntry;
use crate::core::plan::action::MemberAction;
use crate::core::span;
use crate::shell::live::credentials::Credentials;
use crate::shell::live::etcd::{Objection, Refusal};
use crate::shell::live::handover;
use crate::shell::live::hosts::Hosts;
use crate::shell::live::lock::Lock;
use crate::shell::live::remote::{Command, scaled};
use crate::shell::live::voters::{Voter, voters};
use crate::shell::patience::{Awaited, Failed, Patience, Pauses};

/// etcd refuses changes while a voter has not been connected for 5 s, and for as long as an election takes.
const PASSING_DEADLINE: Duration = Duration::from_secs(60);
/// A learner copies the whole database before it is in sync. So long for all that does not depend on how large that is.
const BEHIND_DEADLINE: Duration = Duration::from_secs(300);
/// A change is a write: etcd itself gives up after 7 s (its own election timeout and 5 s).
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// Each try leaves a line in the log of the voter's host.
const PAUSES: Pauses = Pauses::Growing { first: Duration::from_millis(250), longest: Duration::from_secs(5) };

/// What is asked for.
enum Change<'a> {
    Add(&'a PeerUrl),
    /// By the peer URL that the host is declared with.
    Promote(PeerUrl),
    Update(MemberId, &'a PeerUrl),
    Remove(MemberId),
}

/// Does an action that changes the member list.
pub(super) async fn change(
    hosts: &Hosts,
    credentials: &Credentials,
    lock: &Lock,
    action: &MemberAction,
) -> Result<(), Diagnostic> {
    let host = action.host();
    let change = match action {
        MemberAction::Add { peer_url, .. } => Change::Add(peer_url),
        MemberAction::Promote { .. } => Change::Promote(hosts.desired.peer_url(host)),
        MemberAction::UpdatePeerUrl { member, peer_url, .. } => Change::Update(*member, peer_url),
        MemberAction::Remove { member, .. } => Change::Remove(*member),
    };
    let mut patience = Patience::new(PASSING_DEADLINE, PAUSES);
    loop {
        let tried = attempt(hosts, credentials, lock, &change, action).await;
        let until = match &tried {
            Err(Failed::Yet(awaited)) => Some((awaited.until, format!("{} ({})", awaited.until, awaited.why.summary))),
            _ => None,
        };
        hosts.note_wait(host, until.as_ref().map(|(_, words)| format!("{action}: waiting until {words}")));
        let ended = tokio::select! {
            biased;
            ended = patience.after(tried) => ended,
            () = hosts.stop.interrupted() => Some(Err(given_up_for_interrupt(action, until.map(|(until, _)| until)).into())),
        };
        if let Some(ended) = ended {
            hosts.note_wait(host, None);
            let log = runtime::log(&hosts.desired);
            return ended.map_err(|failed| failed.or(|awaited| given_up(&log, action, awaited)));
        }
    }
}

fn given_up(log: &str, action: &MemberAction, Awaited { until, deadline, why }: Awaited) -> Diagnostic {
    let host = action.host();
    let what = format!("{action} ({host}): gave up after waiting {} until {until}", span::limit(deadline));
    let hint = format!("run `{log}` on {host} and on the leader's host; then run apply again");
    Diagnostic::failure(what).at(host.as_str()).with_cause(why.summary).hint(hint)
}

/// It was to be asked for once more. A request whose answer was lost may be done all the same.
fn given_up_for_interrupt(action: &MemberAction, until: Option<&str>) -> Diagnostic {
    let host = action.host();
    let waited = until.map_or_else(String::new, |until| format!(": it waited until {until}"));
    Diagnostic::new(Kind::Interrupted, format!("this is not confirmed: {action} ({host}){waited}"))
        .hint("the lock is released; `quorate status` shows who is a member: run apply again, which resumes from there")
}

fn passing(until: &'static str, why: Diagnostic) -> Failed {
    Failed::Yet(Awaited { until, deadline: PASSING_DEADLINE, why })
}

async fn attempt(
    hosts: &Hosts,
    credentials: &Credentials,
    lock: &Lock,
    change: &Change<'_>,
    action: &MemberAction,
) -> Result<(), Failed> {
    let host = action.host();
    let voters = voters(hosts, credentials).await;
    let Some(voter) = chosen(&voters, lock, change) else {
        let said = match voters.first() {
            None => "no voter answers that has a leader and serves reads".to_owned(),
            Some(voter) => {
                format!("only {} answers, and it is the member concerned, or its host is not locked", voter.host)
            }
        };
        return Err(passing("a healthy voter answers", Diagnostic::failure(said)));
    };
    if is_so(&voter.list, change) {
        return Ok(());
    }
    if let Change::Remove(id) = change
        && voter.answer.leader == Some(*id)
        && let Some(leader) = voters.iter().find(|voter| voter.answer.member == *id)
    {
        handover::away_from(leader, &voters)
            .await
            .map_err(|cause| passing("leadership could be transferred", cause.into()))?;
    }
    let audit = format!("ask etcd to {action} ({host})");
    hosts.run(lock, &voter.host, Command::nothing(), &audit).await?;
    let asked = match change {
        Change::Add(url) => voter.member.add_learner(url, CALL_DEADLINE).await,
        Change::Promote(url) => {
            let Some(learner) = voter.list.iter().find(|entry| entry.peer_urls.contains(url)) else {
                let what = format!("{host} is not a member: no member has the peer URL {url}");
                return Err(Diagnostic::failure(what).at(host.as_str()).into());
            };
            voter.member.promote(learner.id, CALL_DEADLINE).await
        }
        Change::Update(id, url) => voter.member.update_peer_urls(*id, url, CALL_DEADLINE).await,
        Change::Remove(id) => voter.member.remove(*id, CALL_DEADLINE).await,
    };
    asked.or_else(|Refusal { objection, failure: why }| match objection {
        Objection::AlreadySo => Ok(()),
        Objection::Behind => Err(Failed::Yet(Awaited {
            until: "the learner is in sync with the leader",
            deadline: scaled(BEHIND_DEADLINE, voter.answer.database_bytes),
            why,
        })),
        Objection::Passing | Objection::Lost => {
            Err(passing("all voters have been connected for 5 s and follow one leader", why))
        }
        Objection::Final => Err(why.into()),
    })
}

/// Not the member concerned, unless it is the only one and stays.
fn chosen<'a>(voters: &'a [Voter], lock: &Lock, change: &Change) -> Option<&'a Voter> {
    let concerned = match change {
        Change::Update(id, _) | Change::Remove(id) => Some(*id),
        Change::Add(_) | Change::Promote(_) => None,
    };
    let locked = || voters.iter().filter(|voter| lock.covers(&voter.host));
    let other = locked().find(|voter| Some(voter.answer.member) != concerned);
    other.or_else(|| locked().find(|_| matches!(change, Change::Update(..))))
}

/// Whether the member list says already what is asked for.
fn is_so(list: &[MemberEntry], change: &Change) -> bool {
    match change {
        Change::Add(url) => list.iter().any(|entry| entry.peer_urls.contains(*url)),
        Change::Promote(url) => list.iter().any(|entry| entry.peer_urls.contains(url) && !entry.learner),
        Change::Update(id, url) => list.iter().any(|entry| entry.id == *id && entry.peer_urls.iter().eq([*url])),
        Change::Remove(id) => list.iter().all(|entry| entry.id != *id),
    }
}
