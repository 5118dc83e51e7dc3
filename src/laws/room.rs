//! The law of room: nothing is written where there is none, and while the disk of a member is full nothing is done that counts
//! on it. What takes something away goes on.

use crate::core::cluster::room;
use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, with_broken};
use crate::core::names::{HostName, RemotePath};
use crate::core::observed::{Host, Observed, Room, Seen, ServiceState, Stored};
use crate::core::plan::Plan;
use crate::core::plan::action::{
    Action, CertificateAction, FileAction, HostAction, MemberAction, RestoreAction, ServiceAction, SnapshotAction,
};
use crate::core::planner::{self, plan};
use crate::laws::sample;

/// What is to be done, while the first host has no room in one of its places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Nothing,
    Setting,
    Restart,
    RestartOther,
    Start,
    Join,
    Begin,
    Upgrade,
    Renew,
    Restore,
    /// A healthy member that is not declared goes: another one, or the one without room.
    RemoveOther,
    Remove,
}

const WORK: [Work; 12] = [
    Work::Nothing,
    Work::Setting,
    Work::Restart,
    Work::RestartOther,
    Work::Start,
    Work::Join,
    Work::Begin,
    Work::Upgrade,
    Work::Renew,
    Work::Restore,
    Work::RemoveOther,
    Work::Remove,
];

const SHORT: [Stored; 7] = [
    Stored::Data,
    Stored::BesideData,
    Stored::Binaries,
    Stored::Config,
    Stored::Certificates,
    Stored::Units,
    Stored::Snapshots,
];

fn cases() -> impl Iterator<Item = (Stored, Work)> {
    SHORT.into_iter().flat_map(|short| WORK.map(|work| (short, work)))
}

/// Every place on a file system of its own, with more than enough.
fn give_room(host: &mut Host) {
    let room = |stored: &Stored| Room {
        mount: RemotePath::new(format!("/mnt/{stored:?}")),
        device: format!("8:{}", *stored as u8),
        available_bytes: 64 << 30,
        reserved_bytes: 0,
        used_bytes: 1 << 30,
        available_inodes: 1 << 20,
        inodes: 2 << 20,
        read_only: false,
    };
    host.room = SHORT.iter().map(|stored| (*stored, room(stored))).collect();
}

fn world(short: Option<Stored>, work: Work) -> (Desired, Observed) {
    let members = if matches!(work, Work::RemoveOther | Work::Remove) { 4 } else { 3 };
    let mut desired = sample::desired(members);
    let mut observed = match work {
        Work::Begin => sample::bare(&desired),
        Work::Join => {
            let mut others = desired.clone();
            others.nodes.remove(&sample::name(0));
            let mut observed = sample::healthy(&others);
            observed.hosts.insert(sample::name(0), Seen::Known(sample::bare_host()));
            observed
        }
        _ => sample::healthy(&desired),
    };
    for host in observed.hosts.values_mut().filter_map(Seen::known_mut) {
        give_room(host);
        if let Some(answer) = host.member.known_mut().and_then(Option::as_mut) {
            answer.database_bytes = 1 << 30;
        }
    }
    let first = observed.host_mut(&sample::name(0)).expect("it is there");
    if let Some(room) = short.and_then(|short| first.room.get_mut(&short)) {
        room.available_bytes = 4096;
    }
    match work {
        Work::Setting => desired.etcd.heartbeat_interval_ms = Some(200),
        Work::Restart | Work::RestartOther => {
            let name = sample::name(usize::from(work == Work::RestartOther));
            sample::ask_to_restart(&mut desired, &observed, name);
        }
        Work::Start => {
            first.process = None;
            first.service.state = ServiceState::Inactive;
            first.member = Seen::Known(None);
        }
        Work::Upgrade => sample::declare_next_patch(&mut desired, &mut observed),
        Work::Renew => {
            for host in observed.hosts.values_mut().filter_map(Seen::known_mut) {
                host.certificates.values_mut().for_each(|one| one.not_after = sample::AT.plus_seconds(3600));
            }
        }
        Work::Restore => desired = sample::restoring(&desired),
        Work::RemoveOther | Work::Remove => {
            let name = sample::name(if work == Work::Remove { 0 } else { 3 });
            sample::declare_without(&mut desired, &mut observed, name);
        }
        Work::Nothing | Work::Join | Work::Begin => {}
    }
    (desired, observed)
}

/// What an action writes, in the words of this law.
fn written(action: &Action) -> Option<(&HostName, Stored)> {
    match action {
        Action::Host(HostAction::InstallBinaries { host, .. }) => Some((host, Stored::Binaries)),
        Action::File(FileAction::Write { host, file, .. }) => Some((host, layout::stored(*file))),
        Action::Certificate(
            CertificateAction::Issue { host, .. }
            | CertificateAction::Install { host, .. }
            | CertificateAction::InstallTrust { host, .. },
        ) => Some((host, Stored::Certificates)),
        Action::Snapshot(SnapshotAction::Save { host, .. }) => Some((host, Stored::Snapshots)),
        Action::Restore(RestoreAction::PushSnapshot { host, .. }) => Some((host, Stored::BesideData)),
        Action::Restore(RestoreAction::RestoreData { host, .. })
        | Action::Member(MemberAction::Add { host, .. })
        | Action::Service(ServiceAction::Start { host } | ServiceAction::Restart { host }) => {
            Some((host, Stored::Data))
        }
        _ => None,
    }
}

/// Whether it counts on the others.
fn costs_redundancy(action: &Action) -> bool {
    matches!(
        action,
        Action::Service(ServiceAction::Restart { .. })
            | Action::Member(MemberAction::Remove { .. })
            | Action::File(FileAction::Write { file: crate::core::observed::File::Config, .. })
    )
}

fn complaint(short: Stored, work: Work) -> Option<String> {
    let (desired, observed) = world(Some(short), work);
    let first = sample::name(0);
    let Plan { steps, blocked, findings, .. } = plan(&desired, &observed);
    let actions: Vec<_> = steps.iter().flat_map(|step| &step.actions).collect();
    let serves = observed.host(&first).is_some_and(|host| host.process.is_some());
    for action in &actions {
        if written(action) == Some((&first, short)) {
            return Some(format!("{action:?} where there is no room"));
        }
        let is_others = action.host() != Some(&first);
        if short == Stored::Data && serves && is_others && costs_redundancy(action) && work != Work::Restore {
            return Some(format!("{action:?} while {first} may end"));
        }
    }
    let told = blocked.iter().any(|blocked| blocked.code == Code::DiskFull && blocked.hosts == [first.clone()]);
    if !told && !findings.iter().any(|finding| finding.code == Code::DiskFull) && observed.hosts.contains_key(&first) {
        return Some("nobody is told".to_owned());
    }
    let (_, roomy) = world(None, work);
    let wanted: Vec<_> = plan(&desired, &roomy).actions().cloned().collect();
    let is_left_out = |action: &&Action| !actions.contains(action) && !matches!(action, Action::Snapshot(_));
    match wanted.iter().find(is_left_out) {
        Some(action) if work == Work::Remove => Some(format!("a way to be rid of it is closed: {action:?}")),
        Some(action) if !told => Some(format!("nobody is told why not: {action:?}")),
        Some(_) if matches!(work, Work::Begin | Work::Restore) && !actions.is_empty() => {
            Some("what cannot be finished is begun".to_owned())
        }
        _ => None,
    }
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    cases().any(|(short, work)| complaint(short, work).is_some())
}

#[test]
fn nothing_is_written_where_there_is_no_room() {
    for (short, work) in cases() {
        assert_eq!(complaint(short, work), None, "{short:?} {work:?}");
    }
    for guard in [Guard::RoomBeforeStep, Guard::DiskNotFull] {
        assert!(with_broken(guard, any_complaint), "no law misses {guard:?}");
    }
}

/// The safety snapshot goes to whoever has room; where nobody has, what it was for waits.
#[test]
fn a_snapshot_is_saved_where_there_is_room() {
    let (desired, mut observed) = world(None, Work::RemoveOther);
    let savers = |observed: &Observed| -> Vec<HostName> {
        let plan = plan(&desired, observed);
        let host = |action: &Action| match action {
            Action::Snapshot(SnapshotAction::Save { host, .. }) => Some(host.clone()),
            _ => None,
        };
        plan.actions().filter_map(host).collect()
    };
    let mut left = 3;
    while left > 0 {
        let [saver] = &savers(&observed)[..] else { panic!("one is saved") };
        let host = observed.host_mut(saver).expect("it is there");
        host.room.get_mut(&Stored::Snapshots).expect("it is known").available_bytes = 4096;
        left -= 1;
    }
    let refused = plan(&desired, &observed);
    assert_eq!((savers(&observed), refused.steps.is_empty()), (Vec::new(), true), "{:#?}", refused.steps);
    let hint = refused.blocked.iter().find_map(|blocked| blocked.hint.clone()).unwrap_or_default();
    assert!(hint.contains("--no-snapshot"), "{:#?}", refused.blocked);
}

/// What one step takes is not there for the next.
#[test]
fn what_is_written_is_spent() {
    let (desired, mut observed) = world(None, Work::Upgrade);
    let version = desired.cluster.version;
    let first = sample::name(0);
    let host = observed.host(&first).expect("it is there").clone();
    let needed = room::binaries(&observed, &host, version).bytes;
    let action =
        Action::Host(HostAction::InstallBinaries { host: first.clone(), version, architecture: host.architecture });
    planner::effect(&action, &desired, &mut observed);
    let left = observed.host(&first).expect("it is there").room[&Stored::Binaries].available_bytes;
    assert_eq!(left, (64 << 30) - needed);
}
