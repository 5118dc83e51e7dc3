//! Fills the raft log with entries that change nothing, so that every member saves a snapshot and reads no older ones.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::capability::raft_log::entries;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::HostName;
use crate::shell::live::credentials::Credentials;
use crate::shell::live::hosts::Hosts;
use crate::shell::live::lock::Lock;
use crate::shell::live::remote::Command;
use crate::shell::live::voters::voters;
use crate::shell::patience::{Patience, Pauses};

/// No key of anybody's: what is deleted does not exist, which etcd notes in its log and nowhere else.
const NO_KEY: &str = "/quorate/nothing";
/// Deletions that are under way at once: few, so that the writes of others hardly wait.
const AT_ONCE: usize = 16;
/// For one deletion.
const DEADLINE: Duration = Duration::from_secs(10);
/// Elections and lost connections that are overcome by asking anew.
const FAILURES_MAX: usize = 20;
const PAUSES: Pauses = Pauses::Every(Duration::from_millis(500));
/// A member of 3.6 takes its snapshot between two entries, so a few more are written before looking.
const LONGEST: Duration = Duration::from_secs(900);

pub(super) async fn fill(
    hosts: &Hosts,
    credentials: &Credentials,
    lock: &Lock,
    host: &HostName,
    what: &str,
) -> Result<(), Diagnostic> {
    let mut patience = Patience::new(LONGEST, PAUSES);
    let mut left = entries(&hosts.desired);
    let mut failures = 0;
    hosts.run(lock, host, Command::nothing(), what).await?;
    while left > 0 {
        match some(hosts, credentials, host, left).await {
            Ok(written) => left = left.saturating_sub(written),
            Err(why) if failures >= FAILURES_MAX || !patience.wait().await => return Err(why),
            Err(_) => failures += 1,
        }
    }
    Ok(())
}

/// Writes up to `most` entries through the member on `host` or, when it does not serve, another one.
async fn some(hosts: &Hosts, credentials: &Credentials, host: &HostName, most: u64) -> Result<u64, Diagnostic> {
    let voters = voters(hosts, credentials).await;
    let voter = voters.iter().find(|voter| voter.host == *host).or(voters.first());
    let nobody = || Diagnostic::failure("no voter answers that has a leader and serves reads").at(host.as_str());
    let voter = voter.ok_or_else(nobody)?;
    let mut written = 0;
    // Longer than a lock is looked after, nothing is done without looking at the cluster again.
    let until = Instant::now() + DEADLINE;
    while written < most && Instant::now() < until {
        let count = AT_ONCE.min(usize::try_from(most - written).unwrap_or(AT_ONCE));
        let deletions = (0..count).map(|_| voter.member.delete(NO_KEY, DEADLINE));
        futures_util::future::try_join_all(deletions).await?;
        written += count as u64;
    }
    Ok(written)
}
