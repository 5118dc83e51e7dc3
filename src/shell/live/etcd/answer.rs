//! From etcd's messages to what the rules read.

use std::collections::{BTreeMap, BTreeSet};

use etcd_client::StatusResponse;

use super::wire::Member;
use super::{Fault, Place};
use crate::core::names::{ClientUrl, ClusterId, HostName, MemberId, PeerUrl, Version};
use crate::core::observed::{Alarm, Answer, Cause, MemberEntry, Seen};

/// All but the linearizable part.
pub fn from_status(place: &Place, status: &StatusResponse) -> Result<Answer, Cause> {
    let header = status.header().ok_or_else(|| place.silent(Fault::NotEtcd))?;
    let version = version(status.version())
        .ok_or_else(|| place.silent(Fault::Other(format!("it reports version {:?}", status.version()))))?;
    let bytes = |count: i64| u64::try_from(count).unwrap_or_default();
    let (alarms, errors) = alarms_and_errors(status.errors());
    Ok(Answer {
        cluster: ClusterId(header.cluster_id()),
        member: MemberId(header.member_id()),
        version,
        leader: (status.leader() != 0).then_some(MemberId(status.leader())),
        term: status.raft_term(),
        index: status.raft_index(),
        applied: status.raft_applied_index(),
        revision: Some(header.revision()).filter(|revision| *revision > 0),
        database_bytes: bytes(status.db_size()),
        database_in_use_bytes: bytes(status.raft_used_db_size()),
        learner: status.is_learner(),
        errors,
        alarms,
        reads: false,
        own_members: Vec::new(),
        cluster_version: None,
        peers: BTreeMap::new(),
        members: Seen::Unknown(place.silent(Fault::Other("the member list was not requested".to_owned()))),
    })
}

/// Also of a pre-release, `3.7.0-rc.1`.
fn version(text: &str) -> Option<Version> {
    text.split(['-', '+']).next()?.parse().ok()
}

/// Status carries the alarms among its errors, as `memberID:8e9e05c52164694d alarm:NOSPACE ` (3.4 to 3.7; the number
/// is decimal and the spaces vary). Asking for them with the Alarm call would append to the raft log, and looking must
/// not write.
fn alarms_and_errors(said: &[String]) -> (BTreeSet<Alarm>, Vec<String>) {
    let mut alarms = BTreeSet::new();
    let mut errors = Vec::new();
    for error in said {
        let field = |name: &str| error.split_whitespace().find_map(|part| part.strip_prefix(name));
        match field("alarm:") {
            Some(alarm) => {
                let member = field("memberID:").and_then(|id| id.parse().ok()).filter(|id| *id != 0);
                alarms.insert(Alarm { kind: alarm.to_owned(), member: member.map(MemberId) });
            }
            None => errors.push(error.trim().to_owned()),
        }
    }
    (alarms, errors)
}

/// Sorted by id, as every member gives them in an order of its own.
pub fn members(list: Vec<Member>) -> Vec<MemberEntry> {
    let mut members: Vec<_> = list.into_iter().map(member).collect();
    members.sort();
    members
}

fn member(member: Member) -> MemberEntry {
    MemberEntry {
        id: MemberId(member.id),
        name: (!member.name.is_empty()).then(|| HostName::new(member.name)),
        peer_urls: member.peer_urls.into_iter().map(PeerUrl::new).collect(),
        client_urls: member.client_urls.into_iter().map(ClientUrl::new).collect(),
        learner: member.is_learner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_told_from_errors() {
        let said =
            ["memberID:10276657743932975437 alarm:NOSPACE ", "etcdserver: no leader", "alarm:CORRUPT  memberID:1"];
        let (alarms, errors) = alarms_and_errors(&said.map(str::to_owned));
        let alarm = |kind: &str, member: Option<u64>| Alarm { kind: kind.to_owned(), member: member.map(MemberId) };
        assert_eq!(alarms, [alarm("CORRUPT", Some(1)), alarm("NOSPACE", Some(10_276_657_743_932_975_437))].into());
        assert_eq!(errors, ["etcdserver: no leader"]);
        // etcd 3.6 raises it for nobody when no quorum of members has the same data.
        let (alarms, _) = alarms_and_errors(&["memberID:0 alarm:CORRUPT ", "alarm:NOSPACE"].map(str::to_owned));
        assert_eq!(alarms, [alarm("CORRUPT", None), alarm("NOSPACE", None)].into());
    }

    #[test]
    fn a_pre_release_has_its_version() {
        assert_eq!(version("3.5.16"), Some(Version::new(3, 5, 16)));
        assert_eq!(version("3.7.0-rc.1"), Some(Version::new(3, 7, 0)));
        assert_eq!(version("not decided"), None);
    }
}
