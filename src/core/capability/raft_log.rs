//! etcd 3.7 cannot read the entries that members of 3.5 wrote into the raft log about themselves and the cluster version
//! (v2 requests): a member whose log still holds one panics at its start, and at every later one.
//!
//! The log is read from the member's newest snapshot on (`member/snap/*.snap`), which names the cluster version of its
//! time. One that names 3.6 was taken after the last member of 3.5 had gone. etcd takes one every `snapshot-count`
//! entries; where that has not happened since, the log is filled with deletions of a key that does not exist: they are
//! entries, and change neither data nor revision.

use crate::core::cluster::view::View;
use crate::core::cluster::{turn, upgrade, version};
use crate::core::desired::{Desired, Place, Setting};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, Version};
use crate::core::observed::{Host, Observed};
use crate::core::plan::action::{Action, RaftLogAction, Readiness};
use crate::core::plan::ruling::{Draft, Ruling};

/// The first minor version that does not read what older ones wrote.
const READS_NO_V2: u16 = 7;

/// The first minor version that writes none of it.
const WRITES_NO_V2: Version = Version::new(3, 6, 0);

pub fn next(view: &View) -> Ruling {
    let Some(stop) = upgrade::next_allowed(view).filter(|stop| stop.minor >= READS_NO_V2) else {
        return Ruling::default();
    };
    let Some((behind, _)) = behind(view.observed).filter(|_| !upheld(Guard::LogBeforeUpgrade, false)) else {
        return Ruling::default();
    };
    let asked = turn::in_turn(view).into_iter().find(|(_, host)| host.answer().is_some());
    let Some((host, _)) = asked else { return Ruling::default() };
    let what = format!("the raft log on {behind} may contain entries written by etcd 3.5, which crash {stop}");
    let action = Action::RaftLog(RaftLogAction::Fill { host: host.clone(), before: stop });
    Ruling::step(Draft::of(action, view.reason(what, Place::Version)))
}

/// A member that would read entries of 3.5 at its next start, for all that is known.
fn behind(observed: &Observed) -> Option<(&HostName, &Host)> {
    let reads_all = |host: &Host| host.answer().is_some_and(|answer| answer.version.minor < READS_NO_V2);
    let is_cut = |host: &Host| host.log_version.is_some_and(|version| version >= WRITES_NO_V2);
    observed.seen_hosts().find(|(_, host)| reads_all(host) && !is_cut(host))
}

/// Whether the probe looks at the newest snapshot of a member's raft log.
pub fn needs_look(desired: &Desired) -> bool {
    desired.cluster.version.minor >= READS_NO_V2
}

/// The entries after which every member has cut its log: `snapshot-count`, which is 10,000 in 3.6.
pub fn entries(desired: &Desired) -> u64 {
    match desired.etcd.extra.get("snapshot-count") {
        Some(Setting::Integer(count)) => count.unsigned_abs() + 1,
        _ => DEFAULT_SNAPSHOT_COUNT + 1,
    }
}

/// Source: `DefaultSnapshotCount` in etcd's server/etcdserver/server.go, 3.6.
const DEFAULT_SNAPSHOT_COUNT: u64 = 10_000;

pub fn readiness(observed: &Observed) -> Readiness {
    if behind(observed).is_none() { Readiness::Done } else { Readiness::Ready }
}

pub fn effect(observed: &mut Observed) {
    let hosts = observed.hosts.values_mut().chain(observed.former.values_mut().map(|former| &mut former.host));
    for host in hosts.filter_map(crate::core::observed::Seen::known_mut) {
        if let Some(running) = host.answer().map(|answer| answer.version).filter(|version| *version >= WRITES_NO_V2) {
            host.log_version = Some(version::of_cluster(running));
        }
    }
}
