//! The law of the next start: where etcd could not start again, or not with its data, a host is left as it is.

use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, with_broken};
use crate::core::names::RemotePath;
use crate::core::observed::{
    Access, Closed, DataDirectory, Folder, Host, Location, Mount, Needed, Observed, Seen, ServiceState,
};
use crate::core::planner::plan;
use crate::laws::sample;

/// What is wrong with the first host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Hidden(Needed),
    Closed(Needed),
    InMemory(Needed),
    NoExec,
    ReadOnly,
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
    let single = [Wrong::NoExec, Wrong::ReadOnly, Wrong::PortTaken, Wrong::DataElsewhere, Wrong::DataTwice];
    let wrong = places(Wrong::Hidden).chain(places(Wrong::Closed)).chain(places(Wrong::InMemory)).chain(single);
    let work = [Work::Nothing, Work::Setting, Work::Restart, Work::Start, Work::Join, Work::Begin, Work::Replace];
    wrong.flat_map(move |wrong| work.map(|work| (wrong, work))).filter(|(wrong, work)| can_be(*wrong, *work))
}

fn can_be(wrong: Wrong, work: Work) -> bool {
    match (wrong, work) {
        // Where nothing runs, the rule that starts it says so; that has laws of its own.
        (Wrong::PortTaken, Work::Start | Work::Join | Work::Begin | Work::Replace) => false,
        // A member that is lost is one without data.
        (Wrong::DataElsewhere | Wrong::DataTwice, Work::Replace) => false,
        _ => true,
    }
}

fn location(desired: &Desired, wrong: Wrong) -> Option<(Needed, Location)> {
    let of = |needed: Needed| Location {
        real: layout::needed_path(desired, needed),
        closed: None,
        mount: Mount { point: RemotePath::new("/"), filesystem: "ext4".to_owned(), no_exec: false, read_only: false },
    };
    let (needed, mut location) = match wrong {
        Wrong::Hidden(needed) | Wrong::Closed(needed) | Wrong::InMemory(needed) => (needed, of(needed)),
        Wrong::NoExec => (Needed::Binary, of(Needed::Binary)),
        Wrong::ReadOnly => (Needed::Data, of(Needed::Data)),
        Wrong::PortTaken | Wrong::DataElsewhere | Wrong::DataTwice => return None,
    };
    match wrong {
        Wrong::Hidden(_) => location.real = RemotePath::new("/home/somebody"),
        Wrong::Closed(_) => {
            let access = Access::new("700", "root", "root");
            location.closed = Some(Closed { path: RemotePath::new("/srv"), access });
        }
        Wrong::InMemory(_) => location.mount.filesystem = "tmpfs".to_owned(),
        Wrong::NoExec => location.mount.no_exec = true,
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
        Wrong::PortTaken => drop(host.taken_ports.insert(2379, "nginx".to_owned())),
        Wrong::DataElsewhere | Wrong::DataTwice => {
            host.data_elsewhere = Some(RemotePath::new("/data/etcd"));
            host.data = if wrong == Wrong::DataTwice { DataDirectory::Member } else { DataDirectory::Empty };
            host.folders.remove(&Folder::Data);
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
        Wrong::Hidden(_) | Wrong::Closed(_) | Wrong::NoExec | Wrong::ReadOnly => Code::CannotStart,
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

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    cases().any(|(wrong, work)| complaint(wrong, work).is_some())
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
