//! The end of a restore: the members are asked for the hash of all that they hold, at one revision, and only when it is
//! the same everywhere the hosts forget that a restore was under way.

use std::time::Duration;

use super::credentials::Credentials;
use super::hosts::Hosts;
use super::lock::Lock;
use super::reach;
use super::remote::Command;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::HostName;
use crate::shell::live::remote::scaled;
use crate::shell::patience::{Patience, Pauses};

/// A hash reads the whole database.
const HASH_DEADLINE: Duration = Duration::from_secs(120);
/// A member may still have to apply what the others have, and one revision may be compacted before all were asked.
const EQUAL_DEADLINE: Duration = Duration::from_secs(60);
const PAUSES: Pauses = Pauses::Every(Duration::from_millis(500));

pub(super) async fn confirm(
    hosts: &Hosts,
    credentials: &Credentials,
    lock: &Lock,
    what: &str,
) -> Result<(), Diagnostic> {
    let mut patience = Patience::new(EQUAL_DEADLINE, PAUSES);
    while let Err(why) = compare(hosts, credentials).await {
        if !patience.wait().await {
            return Err(why);
        }
    }
    for host in hosts.desired.nodes.keys() {
        hosts.run(lock, host, Command::forget_restore(&hosts.desired), what).await?;
    }
    Ok(())
}

async fn compare(hosts: &Hosts, credentials: &Credentials) -> Result<(), Diagnostic> {
    let mut at = 0;
    let mut first: Option<(&HostName, (u32, i64))> = None;
    for host in hosts.desired.nodes.keys() {
        let answered = reach::of_reachable(hosts, credentials, host).await;
        let (member, answer) =
            answered.ok_or_else(|| Diagnostic::failure(format!("the member on {host} does not answer")))?;
        let (revision, hash, compacted) = member.hash_at(at, scaled(HASH_DEADLINE, answer.database_bytes)).await?;
        let hash = (hash, compacted);
        match first {
            None => (at, first) = (revision, Some((host, hash))),
            Some((other, expected)) if hash != expected => {
                let what = format!("{host} and {other} have different data at revision {at}");
                return Err(Diagnostic::failure(what).hint("run the restore again; the old data is still kept"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
