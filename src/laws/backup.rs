//! The laws of scheduled snapshots.

use super::State;
use strum::VariantArray;

use crate::core::capability::backup::remove_effect;
use crate::core::content::backup::{SCRIPT_DIGEST, service, timer};
use crate::core::content::layout::OF_BACKUPS;
use crate::core::desired::{Auth, Backup, DeclaredUser, Desired};
use crate::core::names::{Digest, HostName, RemotePath, RoleName, UserName};
use crate::core::observed::auth::{AuthStore, BACKUP, ROOT};
use crate::core::observed::{Access, Cause, File, Host, Observed, Role, Seen};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, AuthAction, BackupAction, Readiness, ServiceAction};
use crate::core::planner::{self, plan};
use crate::laws::sample;

/// What one node is like. Each is one edit of a node as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, VariantArray)]
enum On {
    Whole,
    Absent,
    ScriptEdited,
    ServiceEdited,
    TimerEdited,
    Disabled,
    Unread,
    KeyReadable,
    CertificateDeleted,
    CertificateOfOthers,
    WithoutProgram,
    AbsentWithoutProgram,
    Unmounted,
    DisabledUnmounted,
    Unreachable,
}

const ON: &[On] = On::VARIANTS;

/// Which nodes are declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    All,
    First,
    None,
}

/// Whether etcd asks who comes, and knows the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Anybody,
    Known,
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    on: [On; 3],
    wanted: Wanted,
    who: Who,
}

fn cases() -> impl Iterator<Item = Case> {
    let every = || ON.iter().copied();
    // The nodes know nothing of each other: two in every state show all that there is, and the third whether it stays so.
    let third = [On::Whole, On::Absent, On::Unreachable];
    let nodes = every().flat_map(move |a| every().flat_map(move |b| third.map(|c| [a, b, c])));
    // A name has no meaning, but where the first node is another than the rest.
    let in_order = |on: &[On; 3], wanted| wanted == Wanted::First || on[0] <= on[1];
    nodes.flat_map(move |on| {
        let wanted =
            [Wanted::All, Wanted::First, Wanted::None].into_iter().filter(move |wanted| in_order(&on, *wanted));
        wanted.flat_map(move |wanted| [Who::Anybody, Who::Known, Who::Unknown].map(move |who| Case { on, wanted, who }))
    })
}

fn declared(wanted: Wanted, who: Who) -> Desired {
    let mut desired = sample::desired(3);
    let mut backup = Backup { mount: true, ..sample::backup(&desired) };
    if wanted == Wanted::First {
        backup.nodes = [sample::name(0)].into();
    }
    desired.backup = (wanted != Wanted::None).then_some(backup);
    if who != Who::Anybody {
        let role = RoleName::new(ROOT);
        let user = || DeclaredUser { roles: [role.clone()].into(), password: None };
        let names = if wanted == Wanted::None { vec![ROOT] } else { vec![ROOT, BACKUP] };
        let users = names.into_iter().map(|name| (UserName::new(name), user())).collect();
        desired.auth = Some(Auth { enabled: true, users, roles: [(role, Default::default())].into() });
    }
    desired
}

fn host(name: &HostName, observed: &mut Observed, on: On) {
    if matches!(on, On::Absent | On::AbsentWithoutProgram) {
        remove_effect(observed, name);
    }
    if on == On::Unreachable {
        let healthy = observed.host(name).expect("it was seen").clone();
        observed.hosts.insert(name.clone(), super::host(&healthy, State::Unreachable));
        return;
    }
    let host = observed.host_mut(name).expect("it was seen");
    let edit = |host: &mut Host, file: File| {
        let fact = host.files.get_mut(&file).expect("it is there");
        fact.digest = Digest::of("another");
        fact.text = fact.text.as_ref().map(|text| format!("{text}# by hand\n"));
    };
    let scheduled = host.scheduled.as_mut().expect("the timer was started");
    match on {
        On::Whole | On::Absent | On::Unreachable => {}
        On::ScriptEdited => edit(host, File::BackupScript),
        On::ServiceEdited => edit(host, File::BackupService),
        On::TimerEdited => edit(host, File::BackupTimer),
        On::Disabled => scheduled.enabled = false,
        On::Unread => scheduled.needs_reload = true,
        On::KeyReadable => {
            host.files.get_mut(&File::BackupKey).expect("it is there").access = Access::new("644", "root", "root");
        }
        On::CertificateDeleted => {
            host.files.remove(&File::BackupCertificate);
            host.certificates.remove(&Role::BackupClient);
        }
        On::CertificateOfOthers => {
            host.certificates.get_mut(&Role::BackupClient).expect("it is there").signed_by = None;
        }
        On::WithoutProgram | On::AbsentWithoutProgram => scheduled.compressor = false,
        On::Unmounted | On::DisabledUnmounted => {
            scheduled.unmounted = Some(RemotePath::new("/"));
            scheduled.enabled &= on == On::Unmounted;
        }
    }
}

fn world(case: Case) -> super::World {
    let desired = declared(case.wanted, case.who);
    let mut observed = sample::healthy(&declared(Wanted::All, case.who));
    for (name, on) in desired.nodes.keys().zip(case.on) {
        host(name, &mut observed, on);
    }
    if let (Who::Unknown, Some(Seen::Known(store))) = (case.who, &mut observed.auth) {
        store.users.remove(&UserName::new(BACKUP));
    }
    let state = |on: On| if on == On::Unreachable { State::Unreachable } else { State::Healthy };
    super::World { desired, observed, states: case.on.map(state).into() }
}

/// What the run of a timer that was started now would need and not find.
fn would_fail(desired: &Desired, observed: &Observed, name: &HostName) -> Option<&'static str> {
    let host = observed.host(name)?;
    let Some(backup) = &desired.backup else { return Some("nobody wants it") };
    let store = match &observed.auth {
        Some(Seen::Known(store)) => store.clone(),
        _ => AuthStore::default(),
    };
    let ours = observed.workstation.authority.known().and_then(Option::as_ref).map(|authority| authority.fingerprint);
    let certified = host.certificates.get(&Role::BackupClient).is_some_and(|certificate| {
        certificate.signed_by == ours && certificate.common_name == BACKUP && certificate.not_after > observed.at
    });
    let digest = |file| host.files.get(&file).map(|fact| fact.digest);
    if digest(File::BackupScript) != Some(*SCRIPT_DIGEST) {
        Some("the script")
    } else if host.text_of(File::BackupService) != Some(service(desired, backup, name).as_str()) {
        Some("the service")
    } else if host.text_of(File::BackupTimer) != Some(timer(desired, backup).as_str()) {
        Some("the timer")
    } else if !certified || !host.files.contains_key(&File::BackupKey) {
        Some("the certificate")
    } else if !host.scheduled.as_ref().is_none_or(|scheduled| scheduled.compressor) {
        Some("the program that compresses")
    } else if host.scheduled.as_ref().is_some_and(|scheduled| scheduled.unmounted.is_some()) {
        Some("the mount")
    } else if store.enabled && !store.users.contains_key(&UserName::new(BACKUP)) {
        Some("the user")
    } else {
        None
    }
}

fn complaints(case: Case) -> Vec<String> {
    let world = world(case);
    let plan = plan(&world.desired, &world.observed);
    let general = [
        super::quorum_is_kept,
        super::the_rest_follows_from_any_prefix,
        super::an_action_is_ready_and_then_done,
        super::only_seen_and_undisputed_hosts_are_touched,
    ];
    let mut found: Vec<_> = general.iter().filter_map(|law| law(&world, &plan)).collect();
    found.extend(no_timer_is_started_in_vain(&world, &plan));
    found.extend(the_end_is_as_declared(&world, &plan, case));
    let felt = plan.actions().find(|action| action.touches_service());
    found.extend(felt.map(|action| format!("a member notices {action:?}")));
    found
}

fn no_timer_is_started_in_vain(world: &super::World, plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    let mut observed = world.observed.clone();
    // Whatever the plan says: an action of a saved plan is refused, too.
    for host in world.desired.nodes.keys() {
        let ready =
            planner::readiness(&Action::Backup(BackupAction::Enable { host: host.clone() }), &world.desired, &observed);
        if let (Readiness::Ready, Some(what)) = (ready, would_fail(&world.desired, &observed, host)) {
            found.push(format!("the timer on {host} may be started without {what}"));
        }
    }
    for step in &plan.steps {
        for action in &step.actions {
            planner::effect(action, &world.desired, &mut observed);
            if let Action::Backup(BackupAction::Enable { host }) = action
                && let Some(what) = would_fail(&world.desired, &observed, host)
            {
                found.push(format!("the timer on {host} is started without {what}"));
            }
        }
    }
    found
}

fn the_end_is_as_declared(world: &super::World, plan: &Plan, case: Case) -> Vec<String> {
    let mut observed = world.observed.clone();
    plan.actions().for_each(|action| planner::effect(action, &world.desired, &mut observed));
    // Without a quorum nobody makes the user.
    let unseen = case.on.iter().filter(|on| **on == On::Unreachable).count();
    if unseen > 1 && case.who == Who::Unknown {
        return Vec::new();
    }
    let wrong = |(name, on): (&HostName, On)| {
        let host = observed.host(name)?;
        let wanted = world.desired.backup.as_ref().is_some_and(|backup| backup.nodes.contains(name));
        let runs = host.scheduled.as_ref().is_some_and(|is| is.enabled && is.active && !is.needs_reload);
        if !wanted {
            let left = OF_BACKUPS.iter().any(|file| host.files.contains_key(file)) || runs;
            return left.then(|| format!("something is left on {name}"));
        }
        if matches!(on, On::WithoutProgram | On::AbsentWithoutProgram | On::Unmounted | On::DisabledUnmounted) {
            let is_told = plan.blocked.iter().any(|blocked| blocked.hosts.contains(name));
            return (!is_told).then(|| format!("nobody is told what {name} lacks"));
        }
        let key = host.files.get(&File::BackupKey).is_some_and(|fact| fact.access.mode == "600");
        let lacks = would_fail(&world.desired, &observed, name);
        (!runs || !key || lacks.is_some()).then(|| format!("{name} takes no snapshots: {lacks:?}"))
    };
    world.desired.nodes.keys().zip(case.on).filter_map(wrong).collect()
}

/// For the simulated runs: nodes of every kind, under auth and without.
pub(crate) fn beginnings() -> Vec<(Desired, Observed)> {
    let cases = [
        Case { on: [On::Absent, On::ScriptEdited, On::TimerEdited], wanted: Wanted::All, who: Who::Unknown },
        Case { on: [On::CertificateDeleted, On::Whole, On::Disabled], wanted: Wanted::First, who: Who::Anybody },
    ];
    cases.map(world).into_iter().map(|world| (world.desired, world.observed)).collect()
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    cases().any(|case| !complaints(case).is_empty())
}

#[test]
fn every_plan_keeps_the_laws_of_snapshots() {
    let mut count = 0;
    for case in cases() {
        count += 1;
        let complaints = complaints(case);
        assert!(complaints.is_empty(), "{case:?}: {complaints:#?}");
    }
    println!("{count} worlds");
}

#[test]
fn a_broken_guard_of_snapshots_breaks_a_law() {
    use crate::core::guard::{Guard, with_broken};

    for guard in [Guard::BackupCanRun, Guard::BackupIsMounted] {
        assert!(with_broken(guard, any_complaint), "no law misses {guard:?}");
    }
}

/// A cluster that is down has other troubles; one that is made gets its timers at the end.
#[test]
fn a_new_cluster_has_its_timers_last() {
    let desired = declared(Wanted::All, Who::Known);
    let plan = plan(&desired, &sample::bare(&desired));
    let position = |is: fn(&Action) -> bool| plan.actions().position(is).expect("it is done");
    let started = position(|action| matches!(action, Action::Service(ServiceAction::Start { .. })));
    let asked = position(|action| matches!(action, Action::Auth(AuthAction::Enable)));
    let timers = position(|action| matches!(action, Action::Backup(BackupAction::Enable { .. })));
    assert!(started < asked && asked < timers, "{plan:?}");
    let silent = Cause { code: crate::core::code::Code::MemberSilent, summary: "no answer".to_owned(), hint: None };
    let mut down = sample::healthy(&desired);
    for name in desired.nodes.keys() {
        remove_effect(&mut down, name);
        down.host_mut(name).expect("it was seen").member = Seen::Unknown(silent.clone());
    }
    let plan = crate::core::planner::plan(&desired, &down);
    assert!(!plan.actions().any(|action| matches!(action, Action::Backup(BackupAction::Enable { .. }))), "{plan:?}");
}
