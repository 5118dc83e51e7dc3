//! What a check-up says of the etcds on a host: those of others, and whether the member's data is what the others have.

use super::{Check, Outcome, Verdict};
use crate::core::cluster::others::{self, by};
use crate::core::cluster::sameness::{Sameness, sameness};
use crate::core::cluster::timing::Timing;
use crate::core::count::{count, micros};
use crate::core::desired::Desired;
use crate::core::names::HostName;
use crate::core::observed::{Host, Observed, OtherEtcd, Runner};

pub(super) fn other_etcds(host: &Host) -> Outcome {
    let mut found: Vec<_> = host
        .others
        .iter()
        .map(|other| {
            let verb = if other.runs() { "runs" } else { "can be started" };
            format!("an etcd {verb} {}: {}", by(&other.runner), others::details(other))
        })
        .collect();
    found.sort();
    let seen = found.join("; ");
    let own = others::in_our_place(host).find(|other| other.is_own);
    if let Some(OtherEtcd { runner: Runner::Unit(unit), .. }) = own {
        return Outcome::problem(
            Check::OtherEtcd,
            format!("{seen}: this cluster's own, whose unit has another name than the declared one"),
            format!("set `service = \"{unit}\"` in [paths]"),
        );
    }
    match (others::is_taken(host), found.is_empty()) {
        (true, _) => Outcome::problem(
            Check::OtherEtcd,
            format!("{seen}, in the place of this cluster's"),
            "declare another host, or other [ports] and other [paths]; quorate touches nothing here until then",
        ),
        (false, true) => Outcome::ok(Check::OtherEtcd, "no etcd but quorate's"),
        (false, false) => Outcome::ok(Check::OtherEtcd, format!("{seen}, beside this cluster's")),
    }
}

/// How its ways to the members of the list are. One that has left is not missed.
pub(super) fn peers(desired: &Desired, observed: &Observed, name: &HostName) -> Option<Outcome> {
    let peers = &observed.host(name)?.answer()?.peers;
    let list = observed.member_list()?;
    let named: Vec<_> = list.iter().filter_map(|entry| Some((entry.title(), peers.get(&entry.id)?))).collect();
    if named.is_empty() {
        return None;
    }
    let cut_off: Vec<_> = named.iter().filter(|(_, peer)| !peer.is_active).map(|(name, _)| name.as_str()).collect();
    if !cut_off.is_empty() {
        return Some(Outcome::problem(
            Check::Peers,
            format!("etcd has no connection to {} for raft's messages", cut_off.join(", ")),
            format!(
                "see that etcd runs there, that TCP {} is open both ways, and that the peer certificates name the \
                 addresses: each side's log tells what it refused",
                desired.ports.peer
            ),
        ));
    }
    let connected = format!("connected to {}", count(named.len(), "peer"));
    let slowest = named.iter().filter_map(|(name, peer)| Some((peer.round_trip_us?, name))).max();
    let Some((us, name)) = slowest else { return Some(Outcome::ok(Check::Peers, connected)) };
    let seen = format!("{connected}; a round trip takes {} (to {name})", micros(us));
    let timing = Timing::declared(desired);
    if let Some(short) = timing.too_short(us) {
        return Some(Outcome::warning(
            Check::Peers,
            format!("{seen}, and {short}: leaders will be lost without a fault"),
            format!("find what slows the network down; or {}", timing.remedy(us)),
        ));
    }
    Some(Outcome::ok(Check::Peers, seen))
}

/// `None` where nothing was compared.
pub(super) fn data(observed: &Observed, name: &HostName) -> Option<Outcome> {
    let comparison = observed.comparison.as_ref()?;
    if let Some(why) = comparison.missed.get(name) {
        let seen = format!("it could not be compared with the other members': {why}");
        return Some(Outcome { check: Check::Data, verdict: Verdict::Unknown, seen, fix: None });
    }
    let (id, member) = comparison.hashes.iter().find(|(_, member)| member.host == *name)?;
    let list = observed.member_list()?;
    let (hash, revision) = (member.hash, comparison.revision);
    Some(match sameness(observed, list) {
        Sameness::Odd(odd) if odd.contains(id) => Outcome::problem(
            Check::Data,
            format!("it differs from the other members': HashKV {hash:08x} at revision {revision}"),
            format!("replace the member: `quorate apply --lost={name} --allow replace-member:{name}`"),
        ),
        Sameness::Undecided => Outcome::problem(
            Check::Data,
            format!("no hash is a majority's: HashKV {hash:08x} at revision {revision}"),
            "find out whose data is right: `quorate explain data-differs`",
        ),
        Sameness::Odd(_) | Sameness::Alike => Outcome::ok(
            Check::Data,
            format!("the same as the other members': HashKV {hash:08x} at revision {revision}"),
        ),
    })
}
