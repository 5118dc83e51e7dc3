//! The data of all voters compared: their HashKV at one revision that all of them have.
//!
//! A hash reads a whole database, and while it does, its member applies nothing. So they are asked one after the other, the
//! leader last, and only a difference that is there again after a pause is one: a compaction that is not through everywhere
//! passes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::credentials::Credentials;
use super::etcd::Member;
use super::hosts::Hosts;
use super::reach;
use crate::core::observed::{Cause, Comparison, MemberHash};
use crate::shell::patience::{Patience, Pauses};

/// A hash reads the whole database: some 2 s a GB, on slow disks ten times that.
const HASH_DEADLINE: Duration = Duration::from_secs(120);
const REVISION_DEADLINE: Duration = Duration::from_secs(5);
/// How long a difference may be a passing one.
const ALIKE_DEADLINE: Duration = Duration::from_secs(10);
const PAUSES: Pauses = Pauses::Every(Duration::from_secs(2));

/// `None` where fewer than two can be asked.
pub(super) async fn compare(hosts: &Hosts, credentials: &Credentials) -> Option<Comparison> {
    let mut patience = Patience::new(ALIKE_DEADLINE, PAUSES);
    loop {
        let comparison = compare_once(hosts, credentials).await?;
        let first = comparison.hashes.values().next().map(|member| member.hash);
        let is_alike = comparison.hashes.values().all(|member| Some(member.hash) == first);
        if (is_alike && comparison.missed.is_empty()) || !patience.wait().await {
            return Some(comparison);
        }
    }
}

async fn compare_once(hosts: &Hosts, credentials: &Credentials) -> Option<Comparison> {
    let asked = hosts.machines.names().into_iter().map(|host| async move {
        let (member, answer) = reach::of_connected(hosts, credentials, &host).await?;
        (!answer.learner).then_some((host, member, answer))
    });
    let asked = futures_util::future::join_all(asked).await;
    let mut voters: Vec<_> = asked.into_iter().flatten().collect();
    voters.sort_by_key(|(_, _, answer)| answer.leader == Some(answer.member));
    let revisions =
        futures_util::future::join_all(voters.iter().map(|(_, member, _)| member.revision(REVISION_DEADLINE)));
    let revision = revisions.await.into_iter().filter_map(Result::ok).min().filter(|_| voters.len() > 1)?;
    let mut comparison = Comparison { revision, hashes: BTreeMap::new(), missed: BTreeMap::new() };
    let mut compacted = None;
    for (host, member, answer) in &voters {
        match hash(member, revision).await {
            Ok((hash, at)) if *compacted.get_or_insert(at) == at => {
                comparison.hashes.insert(answer.member, MemberHash { host: host.clone(), hash });
            }
            // The two are not of the same keys.
            Ok(_) => drop(comparison.missed.insert(host.clone(), "it has compacted up to another revision".to_owned())),
            Err(cause) => drop(comparison.missed.insert(host.clone(), cause.summary)),
        }
    }
    (comparison.hashes.len() > 1).then_some(comparison)
}

/// The hash, and the revision that was compacted last.
async fn hash(member: &Member, revision: i64) -> Result<(u32, i64), Cause> {
    let (_, hash, compacted) = member.hash_at(revision, HASH_DEADLINE).await?;
    Ok((hash, compacted))
}
