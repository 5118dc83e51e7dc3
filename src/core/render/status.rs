//! How the cluster is, as a table for people and a document for programs.

use crate::core::render::pretty;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::capability::backup;
use crate::core::cluster::overview::{is_asked, is_bare, overview};
use crate::core::cluster::quorum::{Health, Member, Membership};
use crate::core::cluster::rotation::{Rotation, rotation};
use crate::core::cluster::situation::has_lost_data;
use crate::core::cluster::{alarms, others, quorum_lost, quota, restoration, sameness};
use crate::core::code::Code;
use crate::core::content::runtime;
use crate::core::desired::Desired;
use crate::core::names::{ClusterName, HostName, UnixSeconds, Version};
use crate::core::observed::{
    Answer, Comparison, Host, MemberHash, Observed, Outcome, Role, Seen, ServiceState, Stored,
};
use crate::core::plan::Voters;
use crate::core::plan::overview::Overview;
use crate::core::plan::ruling::{Blocked, Finding};
use crate::core::render::json::rfc3339;
use crate::core::span;

mod text;

pub use text::{headline, text};

/// What `status --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "quorate status")]
pub struct Document {
    pub format_version: u64,
    pub cluster: ClusterName,
    /// The etcd version that is declared.
    pub declared_version: Version,
    /// RFC 3339, in UTC.
    pub at: String,
    /// Whether every host was seen and every running member answered.
    pub complete: bool,
    /// The voters; `null` when no member says who they are.
    pub health: Option<Voters>,
    /// How the cluster is: what the headline says.
    pub overview: Overview,
    /// The declared hosts and then the members that are not declared.
    pub members: Vec<MemberStatus>,
    pub authority: Option<Expiry>,
    /// How far a rotation of the CA is; `null` while there is none.
    #[serde(default)]
    pub rotation: Option<Rotation>,
    /// `null` when no snapshots are declared to be taken on a schedule.
    pub backup: Option<BackupStatus>,
    /// The data of the members, compared; `null` unless that was asked for and there are two to compare.
    #[serde(default)]
    pub data: Option<DataStatus>,
    /// Hosts that could not be seen, and why.
    pub unseen: Vec<Unseen>,
    pub findings: Vec<Finding>,
}

/// One declared host, or one member that is not declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemberStatus {
    /// The member's name: the host's, for a declared one.
    pub name: String,
    /// `null` for a member that is not declared.
    pub host: Option<HostName>,
    /// In hexadecimal, as etcdctl prints it; `null` when it is in no member list.
    pub id: Option<String>,
    pub role: MemberRole,
    /// Whether its host was seen.
    pub seen: bool,
    /// Whether its etcd was asked how it is. Where what we need for that is missing or wrong, nothing is known of it.
    #[serde(default)]
    pub asked: bool,
    pub healthy: bool,
    pub condition: Condition,
    /// What is wrong; `null` for a healthy member.
    pub trouble: Option<String>,
    /// What runs; `null` when it does not answer.
    pub version: Option<Version>,
    pub database_bytes: Option<u64>,
    pub database_in_use_bytes: Option<u64>,
    /// How much the database may have; `null` when its etcd.yaml was not seen, or sets no limit.
    #[serde(default)]
    pub quota_bytes: Option<u64>,
    /// How much of it the file of the database takes, rounded down. At 100 etcd refuses to write.
    #[serde(default)]
    pub quota_used_percent: Option<u64>,
    /// The file system of its data; `null` when it could not be told.
    #[serde(default)]
    pub data_disk: Option<DiskStatus>,
    pub raft_index: Option<u64>,
    /// How many entries it is behind the furthest member.
    pub raft_lag: Option<u64>,
    pub alarms: Vec<String>,
    /// The certificate of the host that ends first.
    pub certificate: Option<CertificateExpiry>,
}

/// What is free where a member's data is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskStatus {
    /// Where it is mounted.
    pub mount: String,
    /// As `df` counts it, without what is reserved for root.
    pub available_bytes: u64,
    pub used_percent: u64,
    /// 0 where the file system counts none.
    pub used_inodes_percent: u64,
}

/// How a member is, or what is on its host instead of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    Healthy,
    /// It answers, and something is wrong with it.
    Unhealthy,
    /// It runs, and does not answer.
    Silent,
    /// It has its data, and does not run.
    Stopped,
    /// It was a member, and its data is gone.
    DataLost,
    /// Nothing of a member is there.
    Empty,
    /// It was not asked, or its host could not be looked at.
    Unknown,
    /// There is no way to its host.
    Unreachable,
}

/// What the data of the members hashes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataStatus {
    /// The revision up to which it was compared.
    pub revision: i64,
    /// Whether all that could tell have the same.
    pub same: bool,
    pub hashes: Vec<DataHash>,
    /// Those that could not tell.
    pub missed: Vec<DataMissed>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataHash {
    pub host: HostName,
    /// In hexadecimal, eight digits; etcdctl prints the same in decimal.
    pub hash: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataMissed {
    pub host: HostName,
    pub why: String,
}

/// The snapshots of `[backup]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupStatus {
    /// Cron, in UTC.
    pub schedule: String,
    /// Whether every node that takes them was seen; if not, there may be newer ones than are told here.
    #[serde(default)]
    pub complete: bool,
    /// The newest finished one that was seen on any host.
    pub last: Option<LastSnapshot>,
    /// When the first one is due, while there is none because the timers were started lately. RFC 3339, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_due: Option<String>,
    /// The last drill of `backup verify` that was passed, as the nodes have noted it.
    #[serde(default)]
    pub last_drill: Option<LastDrill>,
    /// How the last run of the timer ended on each node, since that was started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunStatus>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunStatus {
    pub host: HostName,
    /// RFC 3339, in UTC.
    pub at: String,
    pub age_seconds: i64,
    pub outcome: Outcome,
    /// Why it failed, or took the snapshot without the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastDrill {
    /// The name or the path of the snapshot.
    pub snapshot: String,
    /// RFC 3339, in UTC.
    pub at: String,
    pub age_seconds: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastSnapshot {
    pub name: String,
    /// Where it lies.
    pub host: HostName,
    /// RFC 3339, in UTC.
    pub at: String,
    pub age_seconds: i64,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MemberRole {
    Leader,
    Voter,
    Learner,
    /// Declared, but in no member list that was seen.
    None,
}

/// When something ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Expiry {
    /// RFC 3339, in UTC.
    pub at: String,
    /// Days from now, from ten on the nearest number; negative once it has passed.
    pub days_left: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateExpiry {
    /// `server.crt`
    pub file: String,
    pub at: String,
    pub days_left: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unseen {
    pub host: HostName,
    pub code: Code,
    pub what: String,
    pub hint: Option<String>,
}

/// The document of what was seen.
pub fn document(desired: &Desired, observed: &Observed) -> Document {
    let membership = Membership::of(desired, observed);
    let furthest = observed.seen_hosts().filter_map(|(_, host)| Some(host.answer()?.index)).max();
    let declared = observed.hosts.iter().map(|(name, host)| {
        let member = membership.as_ref().and_then(|membership| membership.member_of(name));
        let leader = membership.as_ref().and_then(|membership| membership.leader);
        let role = member.map_or(MemberRole::None, |member| role(member, leader == Some(member.entry.id)));
        let answer = host.known().and_then(Host::answer);
        let trouble = trouble(desired, member, host);
        MemberStatus {
            name: name.to_string(),
            host: Some(name.clone()),
            id: member.map(|member| member.entry.id.to_string()),
            role,
            seen: host.known().is_some(),
            asked: host.known().is_some_and(is_asked),
            healthy: trouble.is_none(),
            condition: condition(member, host),
            trouble,
            certificate: host.known().and_then(|host| first_to_end(host, observed.at)),
            ..filled(desired, host.known(), answered(answer, furthest))
        }
    });
    let strangers = membership.iter().flat_map(|membership| &membership.members);
    let strangers = strangers.filter(|member| !member.declared).map(|member| MemberStatus {
        name: member.entry.name.as_ref().map_or_else(|| "(not started)".to_owned(), HostName::to_string),
        host: None,
        id: Some(member.entry.id.to_string()),
        role: role(member, membership.as_ref().is_some_and(|of| of.leader == Some(member.entry.id))),
        seen: observed.host(&member.host).is_some(),
        asked: observed.host(&member.host).is_some_and(is_asked),
        healthy: false,
        condition: observed.sight(&member.host).map_or(Condition::Unreachable, |host| condition(Some(member), host)),
        trouble: Some(match member.trouble() {
            Some(why) => format!("not declared in cluster.toml, and {why}"),
            None => "not declared in cluster.toml".to_owned(),
        }),
        ..filled(
            desired,
            observed.host(&member.host),
            answered(observed.host(&member.host).and_then(Host::answer), furthest),
        )
    });
    Document {
        format_version: 1,
        cluster: desired.cluster.name.clone(),
        declared_version: desired.cluster.version,
        at: rfc3339(observed.at),
        complete: observed.is_complete(),
        health: membership.as_ref().map(Membership::in_numbers),
        overview: overview(desired, observed),
        members: declared.chain(strangers).collect(),
        authority: authority(observed),
        rotation: rotation(desired, observed),
        backup: backup(desired, observed),
        data: observed.comparison.as_ref().map(data),
        unseen: observed.hosts.iter().filter_map(unseen).collect(),
        findings: findings(desired, observed),
    }
}

/// The fields that come from the member's own answer; the others are for the caller to fill in.
fn answered(answer: Option<&Answer>, furthest: Option<u64>) -> MemberStatus {
    MemberStatus {
        name: String::new(),
        host: None,
        id: None,
        role: MemberRole::None,
        seen: false,
        asked: false,
        healthy: false,
        condition: Condition::Unknown,
        trouble: None,
        version: answer.map(|answer| answer.version),
        database_bytes: answer.map(|answer| answer.database_bytes),
        database_in_use_bytes: answer.map(|answer| answer.database_in_use_bytes),
        quota_bytes: None,
        quota_used_percent: None,
        data_disk: None,
        raft_index: answer.map(|answer| answer.index),
        raft_lag: answer.and_then(|answer| Some(furthest?.saturating_sub(answer.index))),
        alarms: answer.into_iter().flat_map(own_alarms).collect(),
        certificate: None,
    }
}

/// With what there is room for.
fn filled(desired: &Desired, host: Option<&Host>, status: MemberStatus) -> MemberStatus {
    let quota = host.and_then(|host| quota::of_host(desired, host));
    let used =
        |bytes: u64| Some(u64::try_from(u128::from(bytes) * 100 / u128::from(quota?.max(1))).unwrap_or(u64::MAX));
    let place = |host: &Host| if host.data_elsewhere.is_some() { Stored::DataElsewhere } else { Stored::Data };
    let room = host.and_then(|host| host.room.get(&place(host)));
    let disk = room.map(|room| DiskStatus {
        mount: room.mount.to_string(),
        available_bytes: room.available_bytes,
        used_percent: room.used_percent(),
        used_inodes_percent: room.used_inodes_percent(),
    });
    let quota_used_percent = status.database_bytes.and_then(used);
    MemberStatus { quota_bytes: quota, quota_used_percent, data_disk: disk, ..status }
}

/// Every member tells all of them, and each is its member's.
fn own_alarms(answer: &Answer) -> impl Iterator<Item = String> {
    answer.alarms.iter().filter(|alarm| alarm.member == Some(answer.member)).map(|alarm| alarm.kind.clone())
}

fn role(member: &Member, leads: bool) -> MemberRole {
    match (leads, member.entry.learner) {
        (true, _) => MemberRole::Leader,
        (false, true) => MemberRole::Learner,
        (false, false) => MemberRole::Voter,
    }
}

fn condition(member: Option<&Member>, host: &Seen<Host>) -> Condition {
    let host = match host {
        Seen::Known(host) => host,
        Seen::Unknown(cause) if cause.code == Code::HostUnreachable => return Condition::Unreachable,
        Seen::Unknown(_) => return Condition::Unknown,
    };
    match member.map(|member| &member.health) {
        _ if !is_asked(host) => Condition::Unknown,
        Some(Health::Healthy) => Condition::Healthy,
        _ if host.answer().is_some() => Condition::Unhealthy,
        _ if host.process.is_some() => Condition::Silent,
        _ if has_lost(member, host) => Condition::DataLost,
        _ if is_bare(host) => Condition::Empty,
        _ => Condition::Stopped,
    }
}

/// Whether a member was there, and its data is gone.
fn has_lost(member: Option<&Member>, host: &Host) -> bool {
    let was_started = member.is_some_and(|member| member.entry.name.is_some());
    has_lost_data(host) || (was_started && !host.has_data() && host.data.is_lost())
}

/// Why a declared host cannot be counted on; `None` when it can.
fn trouble(desired: &Desired, member: Option<&Member>, host: &Seen<Host>) -> Option<String> {
    let host = match host {
        Seen::Unknown(cause) if cause.code == Code::HostUnreachable => {
            return Some("its host is unreachable".to_owned());
        }
        Seen::Unknown(_) => return Some("its host answers, and could not be looked at".to_owned()),
        Seen::Known(host) => host,
    };
    let service = runtime::name(desired);
    let other = others::in_our_place(host).next();
    if let Some(other) = other.filter(|_| host.answer().is_none()) {
        return Some(format!("not run by quorate, but {}", others::by(&other.runner)));
    }
    match (member.map(|member| &member.health), host.service.state) {
        // It goes on with what it has in memory and in open files.
        (Some(Health::Healthy), _) => {
            host.data.lacks().map(|lacks| format!("{lacks}; it serves, and could not start again"))
        }
        _ if host.process.is_none() && has_lost(member, host) => host.data.lacks().map(str::to_owned),
        (None, _) if is_bare(host) => Some("an empty host: no data, and etcd does not run".to_owned()),
        (_, ServiceState::Failed) => Some(format!("{service} has failed{}", last_words(host))),
        (_, ServiceState::Inactive | ServiceState::Activating) if host.process.is_none() => {
            Some(format!("{service} is not running{}", last_words(host)))
        }
        _ if !is_asked(host) => Some("etcd could not be queried".to_owned()),
        (Some(Health::Unhealthy(why)), _) => Some(why.clone()),
        (Some(Health::Unseen), _) => Some("etcd could not be queried".to_owned()),
        (None, _) if host.answer().is_some_and(|answer| answer.leader.is_some()) => {
            Some("it follows a leader that the others do not know: it serves a cluster of its own".to_owned())
        }
        (None, _) if host.answer().is_some() => Some("it has no leader".to_owned()),
        (None, _) => Some("it does not answer".to_owned()),
    }
}

/// What etcd said before it ended.
fn last_words(host: &Host) -> String {
    host.service.complaint.as_ref().map_or_else(String::new, |complaint| format!(": {complaint}"))
}

fn days_left(at: UnixSeconds, now: UnixSeconds) -> i64 {
    span::days_left(at.0.saturating_sub(now.0))
}

fn first_to_end(host: &Host, now: UnixSeconds) -> Option<CertificateExpiry> {
    let (role, certificate): (&Role, _) = host.certificates.iter().min_by_key(|(_, one)| one.not_after)?;
    let (at, days_left) = (rfc3339(certificate.not_after), days_left(certificate.not_after, now));
    Some(CertificateExpiry { file: format!("{role}.crt"), at, days_left })
}

fn authority(observed: &Observed) -> Option<Expiry> {
    let authority = observed.workstation.authority.known()?.as_ref()?;
    Some(Expiry { at: rfc3339(authority.not_after), days_left: days_left(authority.not_after, observed.at) })
}

/// Those of a plan, and what stands in the way of a plan whatever it is for: an unfinished restore, and alarms.
fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let blocked = restoration::unfinished(desired, observed).into_iter().chain(alarms::active(desired, observed));
    let blocked = blocked.chain(others::refusals(desired, observed)).chain(sameness::difference(observed));
    let blocked = blocked.chain(quorum_lost::refusal(desired, observed));
    let blocked = blocked.map(|Blocked { code, hosts, what, hint, .. }| Finding { code, hosts, what, hint });
    blocked.chain(crate::core::planner::findings(desired, observed)).collect()
}

fn data(Comparison { revision, hashes, missed }: &Comparison) -> DataStatus {
    let mut values: Vec<_> = hashes.values().map(|member| member.hash).collect();
    values.sort_unstable();
    values.dedup();
    let hashes =
        hashes.values().map(|MemberHash { host, hash }| DataHash { host: host.clone(), hash: format!("{hash:08x}") });
    let missed = missed.iter().map(|(host, why)| DataMissed { host: host.clone(), why: why.clone() });
    DataStatus { revision: *revision, same: values.len() <= 1, hashes: hashes.collect(), missed: missed.collect() }
}

fn backup(desired: &Desired, observed: &Observed) -> Option<BackupStatus> {
    let schedule = desired.backup.as_ref()?.schedule.cron.clone();
    let last = backup::last(observed).map(|(host, snapshot)| LastSnapshot {
        name: snapshot.name.clone(),
        host: host.clone(),
        at: rfc3339(snapshot.at),
        age_seconds: observed.at.0.saturating_sub(snapshot.at.0),
        bytes: snapshot.bytes,
    });
    let last_drill = backup::last_drill(observed).map(|drill| LastDrill {
        snapshot: drill.snapshot.clone(),
        at: rfc3339(drill.at),
        age_seconds: observed.at.0.saturating_sub(drill.at.0),
    });
    let runs = backup::runs(desired, observed).map(|(host, run)| RunStatus {
        host: host.clone(),
        at: rfc3339(run.at),
        age_seconds: observed.at.0.saturating_sub(run.at.0),
        outcome: run.outcome,
        why: run.why.clone(),
    });
    let runs = runs.collect();
    let mut nodes = desired.nodes.keys().filter(|name| desired.backup_on(name).is_some());
    let complete = nodes.all(|name| observed.host(name).is_some());
    let first_due = backup::first_due(desired, observed).map(rfc3339);
    Some(BackupStatus { schedule, complete, last, first_due, last_drill, runs })
}

pub(super) fn unseen((host, seen): (&HostName, &Seen<Host>)) -> Option<Unseen> {
    let cause = seen.unknown().or_else(|| seen.known()?.member.unknown())?;
    Some(Unseen { host: host.clone(), code: cause.code, what: cause.summary.clone(), hint: cause.hint.clone() })
}

/// The document as text, indented, with a newline at its end.
pub fn json(document: &Document) -> String {
    pretty(document)
}
