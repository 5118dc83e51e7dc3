//! The law of the next start: where etcd could not start again, or not with its data, a host is left as it is.

use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, with_broken};
use crate::core::names::{Digest, RemotePath};
use crate::core::observed::{
    Access, Closed, DataDirectory, File, Folder, Host, Location, Mount, Needed, Observed, Restricted, Restriction,
    Seen, ServiceState,
};
use crate::core::plan::action::{Action, FileAction, ServiceAction};
use crate::core::planner::{self, plan};
use crate::laws::sample;

/// What is wrong with the first host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Hidden(Needed),
    Closed(Needed),
    InMemory(Needed),
    NoExec,
    ReadOnly,
    DropIn,
    NoAddress,
    Privileged,
    OtherUser,
    OtherProgram,
    OthersData,
    PortTaken,
    DataElsewhere,
    DataTwice,
}

/// What is to be done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Nothing,
    Setting,
    Restart,
    Start,
    Join,
    Begin,
    Replace,
}

const MEMBERS: usize = 3;

fn cases() -> impl Iterator<Item = (Wrong, Work)> {
    let places = |wrong: fn(Needed) -> Wrong| Needed::ALL.iter().map(move |needed| wrong(*needed));
    let single = [
        Wrong::NoExec,
        Wrong::ReadOnly,
        Wrong::DropIn,
        Wrong::NoAddress,
        Wrong::Privileged,
        Wrong::OtherUser,
        Wrong::OtherProgram,
        Wrong::OthersData,
        Wrong::PortTaken,
        Wrong::DataElsewhere,
        Wrong::DataTwice,
    ];
    let wrong = places(Wrong::Hidden).chain(places(Wrong::Closed)).chain(places(Wrong::InMemory)).chain(single);
    let work = [Work::Nothing, Work::Setting, Work::Restart, Work::Start, Work::Join, Work::Begin, Work::Replace];
    wrong.flat_map(move |wrong| work.map(|work| (wrong, work))).filter(|(wrong, work)| can_be(*wrong, *work))
}

fn can_be(wrong: Wrong, work: Work) -> bool {
    match (wrong, work) {
        // Where nothing runs, the rule that starts it says so; that has laws of its own.
        (Wrong::PortTaken, Work::Start | Work::Join | Work::Begin | Work::Replace) => false,
        // It is known only of one that runs.
        (Wrong::OtherProgram, Work::Start | Work::Join | Work::Begin | Work::Replace) => false,
        // A member that is lost is one without data.
        (Wrong::DataElsewhere | Wrong::DataTwice, Work::Replace) => false,
        _ => true,
    }
}

fn location(desired: &Desired, wrong: Wrong) -> Option<(Needed, Location)> {
    let of = |needed: Needed| Location {
        real: layout::needed_path(desired, needed),
        is_link: false,
        closed: None,
        mount: Mount { point: RemotePath::new("/"), filesystem: "ext4".to_owned(), no_exec: false, read_only: false },
    };
    let (needed, mut location) = match wrong {
        Wrong::Hidden(needed) | Wrong::Closed(needed) | Wrong::InMemory(needed) => (needed, of(needed)),
        Wrong::NoExec => (Needed::Binary, of(Needed::Binary)),
        Wrong::ReadOnly | Wrong::DropIn | Wrong::NoAddress | Wrong::OthersData => (Needed::Data, of(Needed::Data)),
        Wrong::Privileged
        | Wrong::OtherUser
        | Wrong::OtherProgram
        | Wrong::PortTaken
        | Wrong::DataElsewhere
        | Wrong::DataTwice => return None,
    };
    match wrong {
        Wrong::Hidden(_) => location.real = RemotePath::new("/home/somebody"),
        Wrong::Closed(_) => {
            let access = Access::new("700", "root", "root");
            location.closed = Some(Closed { path: RemotePath::new("/srv"), access });
        }
        Wrong::InMemory(_) => location.mount.filesystem = "tmpfs".to_owned(),
        Wrong::NoExec => location.mount.no_exec = true,
        Wrong::DropIn | Wrong::NoAddress => {}
        Wrong::OthersData => {
            let access = Access::new("600", "root", "root");
            let path = location.real.join("member/snap/db");
            location.closed = Some(Closed { path, access });
        }
        _ => location.mount.read_only = true,
    }
    Some((needed, location))
}

fn world(wrong: Wrong, work: Work) -> (Desired, Observed) {
    let mut desired = sample::desired(MEMBERS);
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
    let host = observed.host_mut(&sample::name(0)).expect("it is there");
    let stop = |host: &mut Host| {
        host.process = None;
        host.service.state = ServiceState::Inactive;
        host.member = Seen::Known(None);
    };
    match work {
        Work::Setting => desired.etcd.heartbeat_interval_ms = Some(200),
        Work::Restart => {
            let pid = host.process.as_ref().map(|process| process.pid);
            desired.request.restarts.insert(sample::name(0), pid);
        }
        Work::Start => stop(host),
        Work::Replace => {
            stop(host);
            host.data = DataDirectory::Empty;
        }
        Work::Nothing | Work::Join | Work::Begin => {}
    }
    host.locations.extend(location(&desired, wrong));
    match wrong {
        Wrong::DropIn => {
            let line = "ProtectSystem=strict".to_owned();
            host.service.restrictions =
                vec![Restriction { effect: Restricted::ReadOnly, path: RemotePath::new("/"), line }];
        }
        Wrong::NoAddress => host.lacks_address = true,
        Wrong::Privileged => drop(host.privileged_ports.insert(2379)),
        Wrong::OtherUser => host.service.runs_as = Some("nobody".to_owned()),
        Wrong::OtherProgram => {
            host.process.as_mut().expect("it runs").executable_replaced = true;
            host.installed.get_mut(&desired.cluster.version).expect("it is there").archive = None;
        }
        Wrong::PortTaken => drop(host.taken_ports.insert(2379, "nginx".to_owned())),
        Wrong::DataElsewhere | Wrong::DataTwice => {
            host.data_elsewhere = Some(RemotePath::new("/data/etcd"));
            host.data = if wrong == Wrong::DataTwice { DataDirectory::Member } else { DataDirectory::Empty };
            host.folders.remove(&Folder::Data);
            // By another hand: quorate moves only what it has made.
            if let Some(fact) = host.files.get_mut(&File::Config) {
                let text = "name: etcd-1\ndata-dir: /data/etcd\n";
                (fact.text, fact.digest) = (Some(text.to_owned()), Digest::of(text));
            }
        }
        _ => {}
    }
    (desired, observed)
}

fn complaint(wrong: Wrong, work: Work) -> Option<String> {
    let (desired, observed) = world(wrong, work);
    let plan = plan(&desired, &observed);
    let touched = plan.actions().find(|action| action.host() == Some(&sample::name(0)));
    let code = match wrong {
        Wrong::Hidden(_)
        | Wrong::Closed(_)
        | Wrong::NoExec
        | Wrong::ReadOnly
        | Wrong::DropIn
        | Wrong::NoAddress
        | Wrong::Privileged
        | Wrong::OtherUser
        | Wrong::OthersData => Code::CannotStart,
        Wrong::OtherProgram => Code::BinariesForeign,
        Wrong::InMemory(_) => Code::LostAtBoot,
        Wrong::PortTaken => Code::PortTaken,
        Wrong::DataElsewhere | Wrong::DataTwice => Code::DataElsewhere,
    };
    let told = plan.blocked.iter().any(|blocked| blocked.code == code);
    if let Wrong::InMemory(needed) = wrong {
        let is_there = match work {
            Work::Begin | Work::Join => false,
            Work::Replace => needed != Needed::Data,
            _ => true,
        };
        if is_there {
            let noted = plan.findings.iter().any(|finding| finding.code == code);
            return (!noted || told).then(|| "what is there already is only to be noted".to_owned());
        }
    }
    match touched {
        Some(action) => Some(format!("{action:?}")),
        None if !told => Some("nobody is told".to_owned()),
        None if work == Work::Begin && !plan.steps.is_empty() => Some("a cluster begins beside it".to_owned()),
        None => None,
    }
}

/// Every member's data in the directory that was declared before, and the first ones already stopped or moved. A member
/// that is alone may not stop.
fn moving(members: usize, stopped: usize, moved: usize) -> (Desired, Observed) {
    let mut desired = sample::desired(members);
    let mut observed = sample::healthy(&desired);
    let old = std::mem::replace(&mut desired.paths.data, RemotePath::new("/srv/etcd"));
    for index in 0..members {
        let host = observed.host_mut(&sample::name(index)).expect("it is there");
        if index < stopped {
            host.process = None;
            (host.service.state, host.service.enabled) = (ServiceState::Inactive, false);
            host.member = Seen::Known(None);
        }
        if index >= moved {
            host.data = DataDirectory::Empty;
            host.data_elsewhere = Some(old.clone());
            host.folders.remove(&Folder::Data);
        }
    }
    (desired, observed)
}

/// Nothing names the new directory on a host before the data is there, one member is away at a time, and all of them come
/// back.
fn complaint_of_moves(members: usize, stopped: usize, moved: usize) -> Option<String> {
    let (desired, observed) = moving(members, stopped, moved);
    let plan = plan(&desired, &observed);
    let mut now = observed;
    for action in plan.actions() {
        let names_it = match action {
            Action::File(FileAction::Write { file, .. }) => matches!(file, File::Config | File::Unit),
            Action::Service(ServiceAction::Start { .. } | ServiceAction::Restart { .. }) => true,
            _ => false,
        };
        let elsewhere = action.host().and_then(|host| now.host(host)?.data_elsewhere.clone());
        if names_it && elsewhere.is_some() {
            return Some(format!("{action:?} while the data is in {elsewhere:?}"));
        }
        planner::effect(action, &desired, &mut now);
        let away = now.seen_hosts().filter(|(_, host)| host.process.is_none()).count();
        if away > stopped.max(1) {
            return Some(format!("{away} members are away after {action:?}"));
        }
    }
    if members == 1 {
        let refused = plan.blocked.iter().any(|blocked| blocked.code == Code::DowntimeNeeded);
        return (!refused).then(|| "the only member stops without a word".to_owned());
    }
    let back = now.seen_hosts().all(|(_, host)| host.answer().is_some() && host.data_elsewhere.is_none());
    (!back || !plan.blocked.is_empty()).then(|| format!("it does not come to its end: {:?}", plan.blocked))
}

fn moves() -> impl Iterator<Item = (usize, usize, usize)> {
    [(MEMBERS, 0, 0), (MEMBERS, 1, 0), (MEMBERS, 1, 1), (1, 0, 0)].into_iter()
}

/// Root can read all that the account can, and a number may be the account's own.
#[test]
fn a_user_who_can_read_its_files_keeps_nothing_from_being_done() {
    for user in ["", "root", "999"] {
        let (desired, mut observed) = world(Wrong::OtherUser, Work::Restart);
        observed.host_mut(&sample::name(0)).expect("it is there").service.runs_as = Some(user.to_owned());
        assert_eq!(plan(&desired, &observed).blocked, [], "{user:?}");
    }
}

/// What a drop-in has in the place of our command line was never tried; whatever it changes otherwise may stay.
#[test]
fn a_member_whose_command_line_is_overridden_is_not_restarted() {
    for (work, setting, is_refused) in [
        (Work::Setting, "ExecStart", true),
        (Work::Restart, "ExecStart", true),
        (Work::Restart, "MemoryMax", false),
        (Work::Nothing, "ExecStart", false),
    ] {
        let (desired, mut observed) = world(Wrong::OtherUser, work);
        let service = &mut observed.host_mut(&sample::name(0)).expect("it is there").service;
        service.runs_as = None;
        let path = RemotePath::new("/etc/systemd/system/etcd.service.d/x.conf");
        service.drop_ins.insert(path, [setting.to_owned()].into());
        let is_touched = |plan: &crate::core::plan::Plan| {
            let actions = plan.steps.iter().flat_map(|step| &step.actions);
            actions.into_iter().any(|action| action.host() == Some(&sample::name(0)))
        };
        let refused = |plan: &crate::core::plan::Plan| plan.blocked.iter().any(|one| one.code == Code::DropIn);
        let planned = plan(&desired, &observed);
        assert_eq!(refused(&planned), is_refused, "{work:?} {setting}: {:?}", planned.blocked);
        assert!(!(is_refused && is_touched(&planned)), "{work:?} {setting}: {:?}", planned.steps);
        if is_refused {
            let broken = with_broken(Guard::ComesBack, || is_touched(&plan(&desired, &observed)));
            assert!(broken, "nothing misses the guard: {work:?}");
        }
    }
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    cases().any(|(wrong, work)| complaint(wrong, work).is_some())
        || moves().any(|(members, stopped, moved)| complaint_of_moves(members, stopped, moved).is_some())
}

#[test]
fn a_host_on_which_etcd_could_not_start_again_is_left_as_it_is() {
    for (wrong, work) in cases() {
        assert_eq!(complaint(wrong, work), None, "{wrong:?} {work:?}");
    }
    for guard in [Guard::ComesBack, Guard::DataStaysWithMember] {
        assert!(with_broken(guard, any_complaint), "no law misses {guard:?}");
    }
}

#[test]
fn data_moves_a_member_at_a_time_and_before_all_that_names_its_place() {
    for (members, stopped, moved) in moves() {
        assert_eq!(complaint_of_moves(members, stopped, moved), None, "{members}: {stopped} stopped, {moved} moved");
    }
    let any = || moves().any(|(members, stopped, moved)| complaint_of_moves(members, stopped, moved).is_some());
    assert!(with_broken(Guard::DataStaysWithMember, any), "no law misses it");
}

/// What is declared at another place, and there already, is refused with the place where it is.
#[test]
fn both_directories_are_named() {
    for wrong in [Wrong::DataElsewhere, Wrong::DataTwice] {
        let (desired, observed) = world(wrong, Work::Nothing);
        let plan = plan(&desired, &observed);
        let [blocked] = plan.blocked.as_slice() else { panic!("{:#?}", plan.blocked) };
        assert!(blocked.what.contains("/data/etcd") && blocked.what.contains("/var/lib/etcd"), "{}", blocked.what);
        assert_eq!(blocked.declared.as_deref(), Some("paths.data"));
    }
}
