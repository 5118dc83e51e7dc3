//! What life the cluster is in: not begun, serving, or down. Every rule starts from this one reading.

use std::collections::BTreeMap;

use crate::core::cluster::quorum::{self, Membership};
use crate::core::cluster::standing::{Standing, foreign_data, out_of_sight, standing, unknown_data};
use crate::core::cluster::{next_start, others, restoration, room, staged, trust};
use crate::core::code::Code;
use crate::core::content::adopted;
use crate::core::desired::{AuthoritySource, Desired, Place};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, listed};
use crate::core::observed::{DataDirectory, File, Host, Observed};
use crate::core::plan::ruling::Blocked;
use crate::core::span;

#[derive(Clone, Debug, PartialEq)]
pub enum Situation {
    /// No host has ever served: a new cluster may be made. Also when a first start was cut off.
    New,
    /// Members answer and agree.
    Serving(Membership),
    /// Hosts hold a cluster's data, but no member says who belongs to it.
    Down,
    /// Nothing may be touched, and why.
    Closed,
}

/// The situation, and what stands in the way of acting on it. A host that is named there must not be touched.
pub fn situation(desired: &Desired, observed: &Observed) -> (Situation, Vec<Blocked>) {
    let others = others::refusals(desired, observed);
    if others.is_empty() {
        return of_our_own(desired, observed, Vec::new());
    }
    let is_taken = |name: &HostName| others.iter().any(|blocked| blocked.hosts.contains(name));
    let (situation, mut blocked) = of_our_own(desired, observed, others.clone());
    // Whatever else is on such a host is the other's, and follows from that.
    blocked.retain(|blocked| blocked.code == Code::OtherEtcd || !blocked.hosts.iter().any(is_taken));
    let is_theirs = others::have_the_cluster(observed);
    (if is_theirs { Situation::Closed } else { situation }, blocked)
}

/// As far as nobody else's etcd is in the way, which `others` tells.
fn of_our_own(desired: &Desired, observed: &Observed, others: Vec<Blocked>) -> (Situation, Vec<Blocked>) {
    let unseen = with(with(others, unseen_hosts(observed)), skewed_hosts(observed));
    let unseen = with(unseen, next_start::all_obstacles(desired, observed));
    let unseen = with(unseen, room::obstacles(desired, observed));
    if restoration::under_way(desired, observed).is_some() {
        // Whatever there was, a new cluster is made.
        let obstacles = with(with(unseen, bare_obstacles(desired, observed)), foreign_authority(desired, observed));
        return if obstacles.is_empty() { (Situation::New, obstacles) } else { (Situation::Closed, obstacles) };
    }
    if let Some(unfinished) = restoration::unfinished(desired, observed) {
        return (Situation::Closed, with(unseen, [unfinished]));
    }
    if let Some(what) = quorum::disagreement(observed) {
        let hint = "run `quorate plan` again in a moment; if it persists, cluster.toml mixes hosts of two clusters, or members that \
                    were given up with `--lost` serve by themselves: see `quorate explain members-disagree`";
        let blocked = Blocked::new(Code::MembersDisagree, what).hint(hint);
        return (Situation::Closed, with(unseen, [blocked]));
    }
    if let Some(membership) = Membership::of(desired, observed) {
        let disputed = disputed(desired, observed, &membership);
        let unseen = unseen.into_iter().map(|blocked| of_a_move(desired, observed, &membership, blocked)).collect();
        return (Situation::Serving(membership), with(unseen, disputed));
    }
    if observed.seen_hosts().any(|(_, host)| has_served(host) || has_lost_data(host)) {
        return down(desired, observed, unseen);
    }
    let obstacles = with(with(unseen, bare_obstacles(desired, observed)), foreign_authority(desired, observed));
    if obstacles.is_empty() { (Situation::New, obstacles) } else { (Situation::Closed, obstacles) }
}

/// The hosts that may be worked on, seen and without an obstacle of their own.
pub fn workable<'a>(
    observed: &'a Observed,
    situation: &Situation,
    blocked: &[Blocked],
) -> BTreeMap<&'a HostName, &'a Host> {
    if *situation == Situation::Closed {
        return BTreeMap::new();
    }
    observed.seen_hosts().filter(|(name, _)| !blocked.iter().any(|blocked| blocked.hosts.contains(name))).collect()
}

/// Whether this host's member has ever been part of a quorum: it has data, and the marker that allows it is used up.
fn has_served(host: &Host) -> bool {
    host.has_data() && !host.files.contains_key(&File::NewDataMarker)
}

/// Whether this host was made a member, and its data is gone: perhaps a volume that is not mounted. Or what is left of it
/// says so itself.
///
/// The new-data marker comes before every other file and goes when the member serves, so files without it and without data
/// are never those of a first start that was cut off.
pub fn has_lost_data(host: &Host) -> bool {
    let has = |file: File| host.files.contains_key(&file);
    let staged = has(File::Config) || has(File::Unit) || has(File::Settings);
    let lost = !host.has_data() && (host.data.is_lost() || host.data.is_out_of_sight());
    let was_member = staged || host.data.has_remains();
    let may_lose = lost && was_member && !host.files.contains_key(&File::NewDataMarker);
    !upheld(Guard::NoDataBeforeBootstrap, !may_lose)
}

fn with(mut blocked: Vec<Blocked>, more: impl IntoIterator<Item = Blocked>) -> Vec<Blocked> {
    blocked.extend(more);
    blocked
}

fn unseen_hosts(observed: &Observed) -> Vec<Blocked> {
    let causes = observed.hosts.iter().filter_map(|(name, host)| Some((name, host.unknown()?)));
    let blocked = causes.map(|(name, cause)| {
        let seen_enough = upheld(Guard::AllSeenBeforeBootstrap, false);
        (!seen_enough).then(|| Blocked::unseen(cause).on(name))
    });
    blocked.flatten().collect()
}

/// What a machine that was not seen means for the member that is to move there.
fn of_a_move(desired: &Desired, observed: &Observed, membership: &Membership, blocked: Blocked) -> Blocked {
    let Some(name) = blocked.hosts.first().filter(|name| observed.host(name).is_none()).cloned() else {
        return blocked;
    };
    let Some(member) = membership.predecessor_of(&name) else { return blocked };
    let declared = &desired.nodes[&name].address;
    let is = member.address();
    let what = format!(
        "{name} moves from {is} to {declared}, which was not seen: {}; nothing is removed until it is",
        blocked.what
    );
    let or = blocked
        .hint
        .map_or_else(|| "; otherwise make that host reachable".to_owned(), |hint| format!("; otherwise: {hint}"));
    let hint = format!("correct `address` in [nodes.{name}] if it is wrong{or}");
    Blocked { what, hint: Some(hint), ..blocked }.declared_at(Place::NodeAddress(&name))
}

/// What forbids a new cluster: data of unknown origin, ports in use, clocks apart.
fn bare_obstacles(desired: &Desired, observed: &Observed) -> Vec<Blocked> {
    let mut blocked = Vec::new();
    for (name, host) in observed.seen_hosts() {
        if !upheld(Guard::DataOfThisCluster, host.data != DataDirectory::Foreign) {
            blocked.push(foreign_data(desired, name));
        }
        if !upheld(Guard::DataOfThisCluster, !host.data.is_out_of_sight()) {
            blocked.push(out_of_sight(desired, name, host.data));
        }
        if !upheld(Guard::PortsFreeBeforeBootstrap, host.taken_ports.is_empty()) {
            blocked.extend(staged::port_taken(name, host));
        }
    }
    blocked
}

/// A certificate made by a clock that is ahead is refused by every other: nothing is done on a host until they agree.
fn skewed_hosts(observed: &Observed) -> Vec<Blocked> {
    let offset = |host: &Host| host.clock_offset_seconds;
    let skewed = observed
        .seen_hosts()
        .filter(|(_, host)| !upheld(Guard::ClocksAgree, offset(host).abs() <= CLOCK_OFFSET_SECONDS_MAX));
    let blocked = skewed.map(|(name, host)| {
        let apart = if offset(host) < 0 { "behind" } else { "ahead of" };
        let what = format!("the clock of {name} is {} {apart} this machine's", span::age(offset(host).abs()));
        let hint = "set up time synchronisation on both (chrony, systemd-timesyncd); the other members could refuse \
                    certificates issued now";
        Blocked::new(Code::ClockSkew, what).on(name).hint(hint)
    });
    blocked.collect()
}

/// A certificate is valid from five minutes before it is made, so a clock may be late by less than that.
const CLOCK_OFFSET_SECONDS_MAX: i64 = 60;

/// Hosts that trust an authority which is not ours, or that one is to take the place of ours on.
fn foreign_authority(desired: &Desired, observed: &Observed) -> Vec<Blocked> {
    let Some(authority) = observed.workstation.authority.known() else { return Vec::new() };
    let trusting = observed.seen_hosts().filter(|(_, host)| !host.trusted.is_empty());
    let foreign = trusting.filter(|(_, host)| !trust::trusts_ours(observed, host));
    let foreign: Vec<_> = foreign.map(|(name, _)| name).collect();
    let mut blocked = Vec::new();
    match authority {
        None if foreign.is_empty() => {}
        // One thing is missing, however many hosts miss it.
        None => blocked.push(missing_authority(observed, &foreign)),
        Some(_) => {
            blocked.extend(succeeded(desired, observed));
            blocked.extend(foreign.into_iter().map(|name| {
                let what = format!("{name} trusts a different CA from the one in [ca]");
                Blocked::new(Code::AuthorityDiffers, what).on(name).hint(match desired.cluster.layout.is_adopted() {
                    true => "declare in [ca] the CA that the members trust",
                    false => {
                        "declare the right CA in [ca]; or, to replace theirs by this one, declare theirs in [ca.previous]"
                    }
                })
            }));
        }
    }
    blocked.retain(|_| !upheld(Guard::NoSecondAuthority, false));
    blocked
}

/// Somebody else is replacing our authority by one that is not here. What ours signs now would be refused by whoever is further;
/// nothing else is kept from being done.
fn succeeded(desired: &Desired, observed: &Observed) -> Option<Blocked> {
    let hosts = trust::succeeded(observed);
    if !trust::keeps_certificates(desired, observed) {
        return None;
    }
    let verb = if hosts.len() == 1 { "has" } else { "have" };
    let what = format!(
        "{} {verb} certificates of a second CA that is trusted there and is not here: a replacement of the CA was begun \
         somewhere else",
        listed(&hosts)
    );
    let bring = match (&desired.authority, &desired.previous_authority) {
        (AuthoritySource::Generated { .. }, None) => {
            "bring ca.next.crt and ca.next.key from where it was begun, or go on there; if [ca.previous] was declared, put it back"
        }
        _ => "go on where it was begun; if [ca.previous] was declared, put it back",
    };
    let lost = match trust::may_issue_anew(observed) {
        true => "; if that CA is lost, `quorate apply --renew-certs` issues all certificates by the one that is here",
        false => "",
    };
    let blocked = Blocked::new(Code::AuthorityDiffers, what).hint(format!("{bring}{lost}"));
    Some(blocked.declared_at(Place::Ca))
}

fn missing_authority(observed: &Observed, trusting: &[&HostName]) -> Blocked {
    let verb = if trusting.len() == 1 { "trusts" } else { "trust" };
    let names = listed(trusting);
    let (what, hint) = match observed.workstation.ca_keys.is_empty() {
        false => (
            format!("{names} {verb} a CA whose key is on no node"),
            "restore ca.crt and ca.key from your backup on one node; the key is copied to the others from there",
        ),
        true => (
            format!("{names} already {verb} a CA, but ca.crt and ca.key are missing here"),
            "restore ca.crt and ca.key from your backup to the location in [ca]",
        ),
    };
    let blocked = Blocked::new(Code::AuthorityMissing, what).hint(hint).declared_at(Place::Ca);
    trusting.iter().fold(blocked, |blocked, name| blocked.on(name))
}

/// A cluster that has served, of which no member can say who belongs to it.
///
/// Its members may be started again where they have their data; nothing else is safe to assume.
fn down(desired: &Desired, observed: &Observed, unseen: Vec<Blocked>) -> (Situation, Vec<Blocked>) {
    let mut blocked = with(unseen, foreign_authority(desired, observed));
    let of_this_cluster = |host: &Host| {
        let settings = adopted::settings_file(desired);
        let named = host.files.contains_key(&settings) || host.process.is_some();
        upheld(Guard::DataOfThisCluster, named)
    };
    let has_member = observed.seen_hosts().any(|(_, host)| has_served(host) && of_this_cluster(host));
    for (name, host) in observed.seen_hosts() {
        if has_served(host) {
            if !of_this_cluster(host) {
                blocked.push(unknown_data(desired, name, host));
            }
        } else if host.data.is_out_of_sight() {
            blocked.push(out_of_sight(desired, name, host.data));
        } else if host.data.has_remains() && !of_this_cluster(host) {
            blocked.push(unknown_data(desired, name, host));
        } else if (has_member || has_lost_data(host)) && !upheld(Guard::NoDataBeforeBootstrap, false) {
            blocked.push(lost_data(name, host));
        }
    }
    // A foreign data directory among bare hosts: every host stays as it is.
    let untouched = |name: &HostName| !blocked.iter().any(|blocked| blocked.hosts.contains(name));
    let any_member = has_member && observed.seen_hosts().any(|(name, _)| untouched(name));
    if any_member { (Situation::Down, blocked) } else { (Situation::Closed, blocked) }
}

fn lost_data(name: &HostName, host: &Host) -> Blocked {
    if has_lost_data(host) {
        let what = format!("{name} was a member, but {}", host.data.lacks().unwrap_or_default());
        let hint = match host.data {
            DataDirectory::Empty => {
                "check that its volume is mounted, and whether the data is in another directory (`find / -path \
                 '*/member/snap/db'`). A member that lost its data must be removed and added again once the others \
                 serve; if all lost theirs, run `quorate restore SNAPSHOT`"
            }
            DataDirectory::NoDatabase => {
                "its log is there: where that is whole, etcd rebuilds the database from it, and ends otherwise (try \
                 `systemctl start etcd` on the host). A member that does not come back must be removed and added again \
                 once the others serve; if none does, run `quorate restore SNAPSHOT`"
            }
            // There may be more of it than is seen: nothing that is said here takes it away.
            _ => {
                "put back what is missing if it lies elsewhere (another disk, a copy of the whole folder). Otherwise \
                 it must be removed and added again once the others serve; if all lost theirs, run `quorate restore \
                 SNAPSHOT`"
            }
        };
        return Blocked::new(Code::DataLost, what).on(name).hint(hint);
    }
    let what = format!("{name} has no etcd data, but other hosts do");
    let hint = "start the members that have data first; their member list then shows whether this host is one of them";
    Blocked::new(Code::DataLost, what).on(name).hint(hint)
}

/// Hosts of which nobody can say what they are to a cluster that serves.
fn disputed(desired: &Desired, observed: &Observed, membership: &Membership) -> Vec<Blocked> {
    let of = |name| match standing(desired, observed, membership, name) {
        Ok(Standing::Failed(why)) if observed.guessed => {
            let what = format!("{name} was a member: {why}");
            let hint = "start the members that have their data first, then plan again";
            Some(Blocked::new(Code::DataLost, what).on(name).hint(hint))
        }
        other => other.err(),
    };
    with(foreign_authority(desired, observed), desired.nodes.keys().filter_map(of))
}
