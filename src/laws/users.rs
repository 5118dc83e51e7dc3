//! The laws of users, roles and authentication.

use std::collections::BTreeSet;

use super::State;
use strum::VariantArray;

use crate::core::allowance::{AllowKind, Allowance};
use crate::core::code::Code;
use crate::core::desired::{Auth, DeclaredUser, Desired, PasswordSource};
use crate::core::names::{RoleName, UserName, Version};
use crate::core::observed::auth::{AuthStore, KeyAccess, Permission, ROOT, User};
use crate::core::observed::{Observed, Seen};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, AuthAction, Readiness};
use crate::core::plan::step::Step;
use crate::core::planner::{self, plan};
use crate::laws::sample;

/// How something is that is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
enum Is {
    Absent,
    Different,
    Right,
}

const IS: &[Is] = Is::VARIANTS;

/// A user that nobody declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
enum Stranger {
    None,
    There,
    /// There, and somebody else has its role, too.
    Sharing,
    MayGo,
    MayGoSharing,
}

const STRANGERS: &[Stranger] = Stranger::VARIANTS;

/// One world, as what it was made from.
#[derive(Clone, Copy, Debug)]
struct Case {
    wanted: bool,
    enabled: bool,
    root: Is,
    role: Is,
    user: Is,
    stranger: Stranger,
    /// A member that cannot be seen.
    unseen: bool,
}

fn cases() -> impl Iterator<Item = Case> {
    let switches = [(false, false), (false, true), (true, false), (true, true)];
    let rights = IS.iter().flat_map(|role| IS.iter().map(|user| (*role, *user)));
    let rights: Vec<_> = rights.collect();
    let who = IS.iter().flat_map(move |root| rights.clone().into_iter().map(move |(role, user)| (*root, role, user)));
    let who: Vec<_> = who.collect();
    let others = STRANGERS.iter().flat_map(|stranger| [false, true].map(|unseen| (*stranger, unseen)));
    others.flat_map(move |(stranger, unseen)| {
        let who = who.clone();
        switches.into_iter().flat_map(move |(wanted, enabled)| {
            let case = move |(root, role, user)| Case { wanted, enabled, root, role, user, stranger, unseen };
            // etcd itself turns nothing on without root.
            who.clone().into_iter().map(case).filter(|case| !case.enabled || case.root == Is::Right)
        })
    })
}

fn role(name: &str) -> RoleName {
    RoleName::new(name)
}

fn user(name: &str) -> UserName {
    UserName::new(name)
}

fn permission(prefix: &str) -> Permission {
    Permission::prefix(prefix, KeyAccess::ReadWrite)
}

fn world(case: Case) -> super::World {
    let mut desired = sample::desired(3);
    let mut observed = sample::healthy(&desired);
    let named = |name: &str, password| (user(name), DeclaredUser { roles: [role(name)].into(), password });
    desired.auth = Some(Auth {
        enabled: case.wanted,
        users: [named(ROOT, None), named("app", None), named("job", Some(PasswordSource::Env("JOB".to_owned())))]
            .into(),
        roles: [
            (role(ROOT), [].into()),
            (role("app"), [permission("/app/")].into()),
            (role("job"), [permission("/job/")].into()),
        ]
        .into(),
    });
    let mut store = AuthStore { enabled: case.enabled, ..AuthStore::default() };
    let mut add = |name: &str, roles: &[&str], password: bool| {
        let roles = roles.iter().map(|name| role(name)).collect();
        store.users.insert(user(name), User { roles, password: case.enabled.then_some(password) });
    };
    match case.root {
        Is::Absent => {}
        Is::Different => add(ROOT, &[], false),
        Is::Right => add(ROOT, &[ROOT], false),
    }
    match case.user {
        Is::Absent => {}
        Is::Different => add("app", &["job"], true),
        Is::Right => add("app", &["app"], false),
    }
    add("job", &["job"], case.user != Is::Different);
    if case.stranger != Stranger::None {
        add("old", &["old", "job"], false);
    }
    if matches!(case.stranger, Stranger::Sharing | Stranger::MayGoSharing) {
        add("older", &["old"], false);
    }
    if matches!(case.stranger, Stranger::MayGo | Stranger::MayGoSharing) {
        desired.request.remove_users.insert(user("old"));
    }
    if case.root != Is::Absent {
        store.roles.insert(role(ROOT), BTreeSet::new());
    }
    store.roles.insert(role("job"), [permission("/job/")].into());
    match case.role {
        Is::Absent => {}
        Is::Different => drop(store.roles.insert(role("app"), [permission("/other/")].into())),
        Is::Right => drop(store.roles.insert(role("app"), [permission("/app/")].into())),
    }
    if case.stranger != Stranger::None {
        store.roles.insert(role("old"), [permission("/old/")].into());
    }
    observed.auth = Some(Seen::Known(store));
    let mut states = vec![State::Healthy; 3];
    if case.unseen {
        states[2] = State::Unreachable;
        let name = sample::name(2);
        let healthy = observed.host(&name).expect("it was seen").clone();
        observed.hosts.insert(name, super::host(&healthy, State::Unreachable));
    }
    super::World { desired, observed, states }
}

fn store(observed: &Observed) -> &AuthStore {
    match &observed.auth {
        Some(Seen::Known(store)) => store,
        other => panic!("every world here knows its users: {other:?}"),
    }
}

fn declared(world: &super::World) -> &Auth {
    world.desired.auth.as_ref().expect("every world here declares them")
}

/// Whether a declared user may do exactly what is declared.
fn has_its_rights(world: &super::World, store: &AuthStore, name: &UserName) -> bool {
    let declared = declared(world);
    let wanted = &declared.users[name];
    store.users.get(name).is_some_and(|is| {
        let roles = is.roles == wanted.roles;
        roles && is.roles.iter().all(|role| store.roles.get(role) == declared.roles.get(role))
    })
}

fn complaints(case: Case) -> Vec<String> {
    let world = world(case);
    let plan = plan(&world.desired, &world.observed);
    let general =
        [super::quorum_is_kept, super::the_rest_follows_from_any_prefix, super::an_action_is_ready_and_then_done];
    let mut complaints: Vec<_> = general.iter().filter_map(|law| law(&world, &plan)).collect();
    complaints.extend(nothing_is_enabled_on_a_whim(&world));
    complaints.extend(the_end_is_as_declared(&world, &plan));
    let mut observed = world.observed.clone();
    for step in &plan.steps {
        let before = observed.clone();
        for action in &step.actions {
            planner::effect(action, &world.desired, &mut observed);
        }
        complaints.extend(step_complaints(&world, step, store(&before), store(&observed)));
    }
    complaints
}

fn step_complaints(world: &super::World, step: &Step, before: &AuthStore, after: &AuthStore) -> Vec<String> {
    let mut found = Vec::new();
    let does = |wanted: &Action| step.actions.contains(wanted);
    let needs = |kind, name: &str| step.needs.contains(&Allowance::new(kind, name));
    if after.enabled && !after.lets_root_in() {
        found.push(format!("nobody gets in after {:?}", step.title()));
    }
    for name in declared(world).users.keys() {
        if does(&Action::Auth(AuthAction::Enable)) && !has_its_rights(world, after, name) {
            found.push(format!("{name} is shut out"));
        }
        if has_its_rights(world, before, name) && !has_its_rights(world, after, name) {
            found.push(format!("{name} loses what it had by {:?}", step.title()));
        }
    }
    for name in before.users.keys().filter(|name| !after.users.contains_key(*name)) {
        let asked = world.desired.request.remove_users.contains(name);
        if !asked || declared(world).users.contains_key(name) || !needs(AllowKind::RemoveUser, name.as_str()) {
            found.push(format!("user {name} goes, and nobody asked for it"));
        }
    }
    for name in before.roles.keys().filter(|name| !after.roles.contains_key(*name)) {
        let others = |(user, is): (&UserName, &User)| {
            is.roles.contains(name) && !world.desired.request.remove_users.contains(user)
        };
        if before.users.iter().any(others) || declared(world).roles.contains_key(name) {
            found.push(format!("role {name} goes, and somebody has it"));
        }
    }
    if before.enabled && !after.enabled && !needs(AllowKind::DisableAuth, "prod") {
        found.push("authentication goes off, and nobody has to allow it".to_owned());
    }
    found
}

/// Whatever a plan says: when the step comes up, it is refused unless everybody gets in.
fn nothing_is_enabled_on_a_whim(world: &super::World) -> Option<String> {
    let ready =
        planner::readiness(&Action::Auth(AuthAction::Enable), &world.desired, &world.observed) == Readiness::Ready;
    let is = store(&world.observed);
    let all_in = declared(world).users.keys().all(|name| has_its_rights(world, is, name));
    (ready && !(all_in && is.lets_root_in())).then(|| "authentication may be turned on too early".to_owned())
}

fn the_end_is_as_declared(world: &super::World, plan: &Plan) -> Option<String> {
    let mut observed = world.observed.clone();
    plan.actions().for_each(|action| planner::effect(action, &world.desired, &mut observed));
    let end = store(&observed);
    let wrong = declared(world).users.keys().find(|name| !has_its_rights(world, end, name));
    let left = world.desired.request.remove_users.iter().find(|name| end.users.contains_key(*name));
    let switch = (end.enabled != declared(world).enabled).then(|| "the switch".to_owned());
    let wrong = wrong.or(left).map(UserName::to_string).or(switch);
    wrong.map(|what| format!("{what} is not as declared in the end"))
}

/// For the simulated runs: users that are there and wrong, one that may go, and authentication that goes on, and off.
pub(crate) fn beginnings() -> Vec<(Desired, Observed)> {
    let wrong = |wanted, enabled, root| Case {
        wanted,
        enabled,
        root,
        role: Is::Different,
        user: Is::Different,
        stranger: Stranger::MayGo,
        unseen: false,
    };
    let worlds =
        [wrong(true, false, Is::Absent), wrong(true, true, Is::Right), wrong(false, true, Is::Right)].map(world);
    worlds.into_iter().map(|world| (world.desired, world.observed)).collect()
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    cases().any(|case| !complaints(case).is_empty())
}

#[test]
fn every_plan_keeps_the_laws_of_users() {
    let mut count = 0;
    for case in cases() {
        count += 1;
        let complaints = complaints(case);
        assert!(complaints.is_empty(), "{case:?}: {complaints:#?}");
    }
    println!("{count} worlds");
}

#[test]
fn nothing_is_changed_among_two_versions() {
    for case in cases().filter(|case| !case.unseen) {
        let mut world = world(case);
        let before = plan(&world.desired, &world.observed);
        let host = world.observed.host_mut(&sample::name(0)).expect("it was seen");
        let answer = host.member.known_mut().and_then(Option::as_mut).expect("it answers");
        answer.version = Version::new(3, 4, 23);
        let plan = plan(&world.desired, &world.observed);
        assert!(!plan.actions().any(Action::changes_access), "{case:?}: {plan:?}");
        let waits = plan.blocked.iter().any(|blocked| blocked.code == Code::UpgradeWaits);
        assert_eq!(waits, before.actions().any(Action::changes_access), "{case:?}: {plan:?}");
    }
}

#[test]
fn a_broken_guard_of_users_breaks_a_law() {
    use crate::core::guard::{Guard, with_broken};

    for guard in [Guard::RootBeforeAuth, Guard::UsersBeforeAuth, Guard::UsersGoByName] {
        assert!(with_broken(guard, any_complaint), "no law misses {guard:?}");
    }
}
