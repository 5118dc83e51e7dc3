//! A past: thousands of revisions, deletions, a compaction, and a member that fell behind and was caught up by a
//! snapshot. An upgrade of an empty cluster proves little.

use std::time::Instant;

use etcd_client::CompactionOptions;

use super::checks::{self, ask};
use super::strides::{Change, Walk};
use super::transitions::wait_for_writes;
use crate::traffic::history::{self as past, AT_ONCE, MISSED};

/// Deleted again, in part.
const EARLY: usize = 3000;
const ATTEMPTS_MAX: usize = 6;

pub fn make(walk: &mut Walk) -> Result<(), String> {
    let begun = Instant::now();
    let leader = checks::leader(walk)?;
    put_many(walk, &leader, EARLY)?;
    ask(walk, &leader, async |mut connection| {
        let status = connection.client.put("/history/marker", "before the compaction", None).await?;
        connection.client.delete("/history/00013", None).await?;
        connection.client.delete("/history/00130", None).await?;
        let revision = status.header().map_or(1, etcd_client::ResponseHeader::revision);
        let physical = CompactionOptions::new().with_physical();
        connection.client.compact(revision - 200, Some(physical)).await.map(drop)
    })?;
    let behind = walk.members().into_iter().find(|name| *name != leader).ok_or("there is one member only")?;
    let mut attempts = 1;
    while !falls_behind(walk, &behind)? {
        // A leader that has just sent a snapshot to somebody keeps its log for half a minute.
        attempts += 1;
        if attempts > ATTEMPTS_MAX {
            return Err(format!("{behind} was caught up without a snapshot, {ATTEMPTS_MAX} times"));
        }
    }
    let detail = format!("{} revisions, {behind} caught up by a snapshot", EARLY + attempts * MISSED);
    let change = Change { kind: "(history)", detail, flags: Vec::new(), outage: true, avoid: Vec::new() };
    walk.conclude(&change, Vec::new(), begun)
}

/// Whether the member, away during thousands of writes, received a snapshot when it was back.
fn falls_behind(walk: &Walk, member: &str) -> Result<bool, String> {
    walk.host_of(member).power_off();
    walk.aim_without(&[member.to_owned()]);
    wait_for_writes(walk, Instant::now())?;
    put_many(walk, &checks::leader_besides(walk, member)?, MISSED)?;
    walk.host_of(member).power_on();
    walk.aim_at_all();
    walk.wait_until_in_sync()?;
    Ok(past::received_a_snapshot(walk.host_of(member), walk.declaration.ports.metrics))
}

fn put_many(walk: &Walk, member: &str, count: usize) -> Result<(), String> {
    // In parts, each of which is done within the time that one question may take.
    for first in (0..count).step_by(AT_ONCE * 8) {
        let end = count.min(first + AT_ONCE * 8);
        ask(walk, member, async |connection| past::put_many(&connection, first, end).await)?;
    }
    Ok(())
}
