//! A quorum that is lost, and the two ways out of it: bring back who is away, or go on with what is left.

use crate::core::cluster::overview::{overview, voters};
use crate::core::cluster::quorum::quorum;
use crate::core::code::Code;
use crate::core::count::count;
use crate::core::desired::Desired;
use crate::core::names::{HostName, listed};
use crate::core::observed::Observed;
use crate::core::plan::overview::State;
use crate::core::plan::ruling::Blocked;

/// One refusal, where members run and too few of all have their data on a host that can be seen.
pub fn refusal(desired: &Desired, observed: &Observed) -> Option<Blocked> {
    if !matches!(overview(desired, observed).state, State::NoQuorum | State::Silent) {
        return None;
    }
    let Away { hosts, there, voters } = away(desired, observed)?;
    let verb = if there == 1 { "is" } else { "are" };
    let what = format!(
        "quorum is lost: {there} of {} {verb} there and {} are needed; {} {} away",
        count(voters, "member"),
        quorum(voters),
        listed(&hosts),
        if hosts.len() == 1 { "is" } else { "are" },
    );
    let blocked = Blocked::new(Code::NoQuorum, what).hint(ways_out(desired, observed)?);
    Some(Blocked { hosts, ..blocked })
}

/// What to do, in one line; `None` while those that are there are enough, or where the operator has chosen.
pub fn ways_out(desired: &Desired, observed: &Observed) -> Option<String> {
    let Away { hosts, there, voters } = away(desired, observed)?;
    let missing = quorum(voters).saturating_sub(there);
    let back = match hosts.len() {
        all if all == missing => listed(&hosts),
        _ => format!("{missing} of {}", listed(&hosts)),
    };
    let flags: Vec<_> = hosts.iter().map(|host| format!("--lost={host}")).collect();
    let go_on = match desired.cluster.layout.is_adopted() {
        true => format!(
            "save it (`quorate backup run -o last.db`), keep them off, take them out of cluster.toml, and `quorate restore last.db \
             --confirm {}`",
            desired.cluster.name
        ),
        false => format!("`quorate plan {}`", flags.join(" ")),
    };
    Some(format!(
        "(1) bring back {back}: with {} members the cluster serves again, and nothing else is needed; (2) only if they are \
         gone for good, go on with the data that is left: {go_on}",
        quorum(voters),
    ))
}

/// Declared members that are away, of so many voters that those who are there are no quorum.
struct Away {
    hosts: Vec<HostName>,
    there: usize,
    voters: usize,
}

fn away(desired: &Desired, observed: &Observed) -> Option<Away> {
    if !desired.request.lost.is_empty() {
        return None;
    }
    let is_there = |name: &&HostName| observed.host(name).is_some_and(|host| host.has_data());
    let (there, hosts): (Vec<_>, Vec<_>) = desired.nodes.keys().partition(is_there);
    let voters = voters(observed).unwrap_or(desired.nodes.len());
    // Where nobody is left there is nothing to go on with.
    let is_lost = !there.is_empty() && there.len() < quorum(voters) && !hosts.is_empty();
    is_lost.then(|| Away { hosts: hosts.into_iter().cloned().collect(), there: there.len(), voters })
}
