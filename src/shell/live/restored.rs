//! The end of a restore: the members are asked for the hash of all that they hold, at one revision, and only when it is
//! the same everywhere the hosts forget that a restore was under way.

use std::time::{Duration, Instant};

use super::lock::Lock;
use super::perform::{run_on, told};
use super::remote::Command;
use super::{Shared, reach};
use crate::core::diagnostic::Diagnostic;
use crate::core::names::HostName;

/// A hash reads the whole database.
const HASH_DEADLINE: Duration = Duration::from_secs(120);
/// A member may still have to apply what the others have, and one revision may be compacted before all were asked.
const EQUAL_DEADLINE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn confirm(shared: &Shared, lock: &Lock, what: &str) -> Result<(), Diagnostic> {
    let begun = Instant::now();
    while let Err(why) = compare(shared).await {
        if begun.elapsed() >= EQUAL_DEADLINE {
            return Err(why);
        }
        tokio::time::sleep(PAUSE).await;
    }
    for host in shared.desired.nodes.keys() {
        run_on(shared, lock, host, Command::forget_restore(&shared.desired), what).await?;
    }
    Ok(())
}

async fn compare(shared: &Shared) -> Result<(), Diagnostic> {
    let mut at = 0;
    let mut first: Option<(&HostName, (u32, i64))> = None;
    for host in shared.desired.nodes.keys() {
        let answered = reach::of_reachable(shared, host).await;
        let (member, _) =
            answered.ok_or_else(|| Diagnostic::failure(format!("the member on {host} does not answer")))?;
        let (revision, hash, compacted) = member.hash_at(at, HASH_DEADLINE).await.map_err(told)?;
        let hash = (hash, compacted);
        match first {
            None => (at, first) = (revision, Some((host, hash))),
            Some((other, expected)) if hash != expected => {
                let what = format!("{host} and {other} do not hold the same at revision {at}");
                return Err(Diagnostic::failure(what).hint("run the restore again; the old data is still there"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
