//! A writer beside an apply, when one is asked for: it shows that the cluster takes writes the whole time, and stops the
//! apply when it does not.
//!
//! Each write goes over a connection of its own, as those of a client that has just started, and is tried once more on
//! another member before it counts as failed.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::core::cluster::quorum::{Health, Member, Membership};
use crate::core::desired::Desired;
use crate::core::names::HostName;
use crate::core::observed::Observed;
use crate::core::span;
use crate::shell::fleet::Fleet;
use crate::shell::stop::Stop;

/// The key that is written.
pub const KEY: &str = "/quorate/guard";
/// Between two writes: some twenty a second, beside what clients do.
const PAUSE: Duration = Duration::from_millis(50);

/// What the writer has seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub writes: usize,
    /// Also after the second try.
    pub failed: usize,
    /// The longest that one write took, its second try and all.
    pub longest: Duration,
}

/// Writes until it is dropped. The first write that fails or takes longer than `limit` stops the apply.
pub async fn watch(
    desired: &Desired,
    observed: &Observed,
    fleet: &impl Fleet,
    limit: Duration,
    stop: &Stop,
    tally: &Mutex<Tally>,
) -> std::convert::Infallible {
    let membership = Membership::of(desired, observed);
    let voters = membership.iter().flat_map(Membership::voters);
    let well = voters.filter(|member| member.declared && member.health == Health::Healthy);
    let endpoint = |member: &Member| Endpoint { host: member.host.clone(), rests_until: Instant::now() };
    let mut hosts: VecDeque<Endpoint> = well.map(endpoint).collect();
    let mut number = 0_u64;
    loop {
        // A cluster that does not serve yet cannot be asked to.
        if hosts.is_empty() {
            std::future::pending::<()>().await;
        }
        number += 1;
        let begun = Instant::now();
        let result = write(fleet, &mut hosts, number, limit).await;
        let took = begun.elapsed();
        {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.writes += 1;
            tally.failed += usize::from(result.is_err());
            tally.longest = tally.longest.max(took);
        }
        match result {
            Err(why) => stop.request(format!("a write of --guard-writes failed: {why}")),
            Ok(()) if took > limit => {
                stop.request(format!(
                    "a write of --guard-writes took {}, more than {}",
                    span::measured(took.as_secs_f64()),
                    span::limit(limit)
                ));
            }
            Ok(()) => {}
        }
        sleep(PAUSE).await;
    }
}

/// One write: through the member whose turn it is, and if that fails through the next. One that has failed is left alone
/// for a while, as a client's balancer would.
async fn write(fleet: &impl Fleet, hosts: &mut VecDeque<Endpoint>, number: u64, limit: Duration) -> Result<(), String> {
    let mut why = String::new();
    for attempt in 0..2_u32 {
        let rested = hosts.iter().position(|endpoint| endpoint.rests_until <= Instant::now());
        let Some(mut endpoint) = hosts.remove(rested.unwrap_or(0)) else { break };
        let value = format!("{number}.{attempt}");
        let result = fleet.write_once(&endpoint.host, KEY, &value, limit / 2).await;
        if let Err(cause) = &result {
            why.clone_from(&cause.summary);
            endpoint.rests_until = Instant::now() + REST;
        }
        hosts.push_back(endpoint);
        if result.is_ok() {
            return Ok(());
        }
    }
    Err(why)
}

/// A member that may be written through.
struct Endpoint {
    host: HostName,
    rests_until: Instant,
}

/// How long a member that has failed is not tried, while there are others.
const REST: Duration = Duration::from_secs(10);
