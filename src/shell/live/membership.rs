//! Changes of the member list, made through a healthy voter that they do not concern.
//!
//! ```text
//! ask everyone ─► is it so already? ─► hand leadership over ─► our lock on the voter's host? ─► ask the voter
//!      ▲                                                                                          │ not now
//!      └──────────────────────────────────────────────────────────────────────────────────────────┘
//! ```

use std::time::Duration;

use tokio::time::Instant;

use crate::core::content::runtime;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{HostName, MemberId, PeerUrl};
use crate::core::observed::MemberEntry;
use crate::core::plan::action::Action;
use crate::shell::live::credentials::Credentials;
use crate::shell::live::etcd::{Objection, Refusal};
use crate::shell::live::handover;
use crate::shell::live::hosts::Hosts;
use crate::shell::live::lock::Lock;
use crate::shell::live::remote::Command;
use crate::shell::live::voters::{Voter, voters};

/// etcd refuses changes while a voter has not been connected for 5 s, and for as long as an election takes.
const PASSING_DEADLINE: Duration = Duration::from_secs(60);
/// A learner copies the whole database before it is in sync: minutes for some GB.
const BEHIND_DEADLINE: Duration = Duration::from_secs(300);
/// A change is a write: etcd itself gives up after 7 s (its own election timeout and 5 s).
const CALL_DEADLINE: Duration = Duration::from_secs(10);
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// Each try leaves a line in the log of the voter's host.
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

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
    host: &HostName,
    action: &Action,
) -> Result<(), Diagnostic> {
    let change = match action {
        Action::AddMember { peer_url, .. } => Change::Add(peer_url),
        Action::Promote { .. } => Change::Promote(hosts.desired.peer_url(host)),
        Action::UpdatePeerUrl { member, peer_url, .. } => Change::Update(*member, peer_url),
        Action::RemoveMember { member, .. } => Change::Remove(*member),
        other => unreachable!("{other} changes no members"),
    };
    let begun = Instant::now();
    let mut pause = PAUSE_FIRST;
    loop {
        let (deadline, why) = match attempt(hosts, credentials, lock, &change, host, action).await {
            Ok(()) => return Ok(()),
            Err(Failed::Now(failure)) => return Err(failure),
            Err(Failed::Passing(failure)) => (PASSING_DEADLINE, failure),
            Err(Failed::Behind(failure)) => (BEHIND_DEADLINE, failure),
        };
        if begun.elapsed() >= deadline {
            return Err(given_up(&runtime::log(&hosts.desired), host, action, deadline, why));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(PAUSE_LONGEST);
    }
}

enum Failed {
    Now(Diagnostic),
    Passing(Waited),
    Behind(Waited),
}

/// What was waited for, and what etcd said last.
struct Waited {
    until: &'static str,
    said: String,
}

fn given_up(
    log: &str,
    host: &HostName,
    action: &Action,
    after: Duration,
    Waited { until, said }: Waited,
) -> Diagnostic {
    let what = format!("{action} ({host}): given up after {} s of waiting until {until}", after.as_secs());
    let hint = format!("look at `{log}` on {host} and on the leader's host; then run apply again");
    Diagnostic::failure(what).at(host.as_str()).because(said).hint(hint)
}

async fn attempt(
    hosts: &Hosts,
    credentials: &Credentials,
    lock: &Lock,
    change: &Change<'_>,
    host: &HostName,
    action: &Action,
) -> Result<(), Failed> {
    let voters = voters(hosts, credentials).await;
    let Some(voter) = chosen(&voters, lock, change) else {
        let said = match voters.first() {
            None => "no voter answers that follows a leader and reads".to_owned(),
            Some(voter) => format!("only {} could be asked, and it is the one concerned, or not locked", voter.host),
        };
        return Err(Failed::Passing(Waited { until: "a healthy voter could be asked", said }));
    };
    if is_so(&voter.list, change) {
        return Ok(());
    }
    if let Change::Remove(id) = change
        && voter.answer.leader == Some(*id)
        && let Some(leader) = voters.iter().find(|voter| voter.answer.member == *id)
    {
        handover::away_from(leader, &voters).await.map_err(|cause| {
            Failed::Passing(Waited { until: "leadership could be handed over", said: cause.summary })
        })?;
    }
    let audit = format!("ask etcd to {action} ({host})");
    hosts.run(lock, &voter.host, Command::nothing(), &audit).await.map_err(Failed::Now)?;
    let asked = match change {
        Change::Add(url) => voter.member.add_learner(url, CALL_DEADLINE).await,
        Change::Promote(url) => {
            let Some(learner) = voter.list.iter().find(|entry| entry.peer_urls.contains(url)) else {
                let what = format!("{host} is not a member: no member answers its peers at {url}");
                return Err(Failed::Now(Diagnostic::failure(what).at(host.as_str())));
            };
            voter.member.promote(learner.id, CALL_DEADLINE).await
        }
        Change::Update(id, url) => voter.member.update_peer_urls(*id, url, CALL_DEADLINE).await,
        Change::Remove(id) => voter.member.remove(*id, CALL_DEADLINE).await,
    };
    asked.or_else(|Refusal { objection, failure }| {
        let said = failure.summary.clone();
        match objection {
            Objection::AlreadySo => Ok(()),
            Objection::Behind => Err(Failed::Behind(Waited { until: "the learner was in sync with the leader", said })),
            Objection::Passing | Objection::Lost => {
                let until = "all voters had been connected for 5 s and followed one leader";
                Err(Failed::Passing(Waited { until, said }))
            }
            Objection::Final => Err(Failed::Now(failure)),
        }
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
