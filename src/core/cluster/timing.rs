//! Whether raft's intervals suit the round trips between the members.
//!
//! etcd's tuning guide asks for a heartbeat about as long as a round trip (half to one and a half of it), and for an election
//! timeout of ten round trips. A candidate that has no majority of votes when its timeout is over begins anew, so with a
//! timeout below the round trip no election ends.

use crate::core::code::Code;
use crate::core::content::{self, adopted};
use crate::core::count::micros;
use crate::core::desired::{Desired, Place};
use crate::core::guard::{Guard, upheld};
use crate::core::names::HostName;
use crate::core::observed::{Host, MemberEntry, Observed};
use crate::core::plan::ruling::{Blocked, Finding};

/// etcd's own defaults, 3.4 to 3.7.
const HEARTBEAT_MS: u64 = 100;
const ELECTION_MS: u64 = 1_000;
const ELECTION_ROUND_TRIPS: u64 = 10;

/// `heartbeat-interval` and `election-timeout`, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub heartbeat: u64,
    pub election: u64,
}

impl Timing {
    pub fn declared(desired: &Desired) -> Self {
        Self {
            heartbeat: desired.etcd.heartbeat_interval_ms.unwrap_or(HEARTBEAT_MS),
            election: desired.etcd.election_timeout_ms.unwrap_or(ELECTION_MS),
        }
    }

    /// What is too short where a round trip takes `us`, in words.
    pub fn too_short(self, us: u64) -> Option<String> {
        let Self { heartbeat, election } = self;
        if us.saturating_mul(ELECTION_ROUND_TRIPS) > election * 1000 {
            Some(format!("`election-timeout` is {election} ms, less than ten of them"))
        } else if us > heartbeat * 1000 {
            Some(format!("`heartbeat-interval` is {heartbeat} ms, less than one of them"))
        } else {
            None
        }
    }

    /// What to set where a round trip takes `us`.
    pub fn remedy(self, us: u64) -> String {
        let heartbeat = us.div_ceil(1000).max(self.heartbeat);
        let election = heartbeat.saturating_mul(ELECTION_ROUND_TRIPS).max(self.election);
        format!("set `heartbeat-interval = \"{heartbeat}ms\"` and `election-timeout = \"{election}ms\"` in [etcd]")
    }
}

/// From a voter to another one.
struct RoundTrip<'a> {
    us: u64,
    from: &'a HostName,
    to: String,
}

/// Those that are known of the voters that the member list has. One to a member that has left counts for nothing.
fn round_trips(observed: &Observed) -> Vec<RoundTrip<'_>> {
    let voters = || observed.member_list().into_iter().flatten().filter(|entry| !entry.learner);
    let of = |entry: &MemberEntry| -> Vec<RoundTrip<'_>> {
        let Some((from, answer)) = observed.answers().find(|(_, answer)| answer.member == entry.id) else {
            return Vec::new();
        };
        let to = |other: &MemberEntry| {
            let us = answer.peers.get(&other.id)?.round_trip_us?;
            Some(RoundTrip { us, from, to: other.title() })
        };
        voters().filter(|other| other.id != entry.id).filter_map(to).collect()
    };
    voters().flat_map(of).collect()
}

/// What is declared, and too short for the slowest way.
pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let timing = Timing::declared(desired);
    let slowest = round_trips(observed).into_iter().max_by_key(|trip| trip.us);
    let told = slowest.and_then(|trip| Some((timing.too_short(trip.us)?, trip)));
    // Where it is not brought to any member, the refusal says so.
    let Some((short, RoundTrip { us, from, to })) = told.filter(|_| never_elects(desired, observed).is_none()) else {
        return Vec::new();
    };
    let what = format!(
        "a round trip from {from} to {to} takes {} (the median since etcd started there), and {short}: leaders will be lost \
         without a fault",
        micros(us)
    );
    let hint = format!("find what slows the network down; or {}", timing.remedy(us));
    vec![Finding { code: Code::SettingUnsuited, hosts: vec![from.clone()], what, hint: Some(hint) }]
}

/// Why no etcd.yaml with the declared election timeout may be written: some host has another one, and whichever voter stands
/// for election would begin anew before a majority can have answered it.
pub fn never_elects(desired: &Desired, observed: &Observed) -> Option<Blocked> {
    let election = Timing::declared(desired).election;
    let is = |text: &str| content::election_timeout(desired, text).unwrap_or(ELECTION_MS);
    // In somebody else's file one that is not declared stays as it is.
    let may_change = !desired.cluster.layout.is_adopted() || desired.etcd.election_timeout_ms.is_some();
    let file = adopted::settings_file(desired);
    let differs = |host: &Host| host.text_of(file).is_some_and(|text| is(text) != election);
    let changes = may_change && observed.seen_hosts().any(|(_, host)| differs(host));
    // Asked for by every plan again and again, and nearly never so.
    if !changes {
        return None;
    }
    let fastest = fastest_majority(observed).filter(|trip| election * 1000 <= trip.us)?;
    if upheld(Guard::ElectionCanEnd, false) {
        return None;
    }
    let RoundTrip { us, from, to } = fastest;
    let what = format!(
        "election-timeout ({election} ms) is no longer than a round trip: {} from {from} to {to} (the median since etcd \
         started there), and no other voter reaches a majority sooner",
        micros(us)
    );
    let hint = Timing::declared(desired).remedy(us);
    Some(Blocked::new(Code::SettingUnsuited, what).on(from).hint(hint).declared_at(Place::ElectionTimeout))
}

/// The round trip within which the fastest candidate has a majority; `None` where it may be anything, as not all are known.
fn fastest_majority(observed: &Observed) -> Option<RoundTrip<'_>> {
    let list = observed.member_list()?;
    let voters: Vec<_> = list.iter().filter(|entry| !entry.learner).collect();
    // Its own vote takes no time.
    let others = voters.len() / 2;
    if others == 0 {
        return None;
    }
    let mut trips = round_trips(observed);
    if trips.len() < voters.len() * (voters.len() - 1) {
        return None;
    }
    trips.sort_by_key(|trip| trip.us);
    let of = |entry: &&MemberEntry| {
        let host = observed.answers().find(|(_, answer)| answer.member == entry.id).map(|(host, _)| host);
        let mine = trips.iter().filter(|trip| Some(trip.from) == host);
        mine.skip(others - 1).map(|trip| RoundTrip { us: trip.us, from: trip.from, to: trip.to.clone() }).next()
    };
    voters.iter().filter_map(of).min_by_key(|trip| trip.us)
}
