//! Users, roles, and whether etcd asks who comes: what is declared is put in place first, and authentication is turned
//! on last.
//!
//! ```text
//! role root, user root ─► roles ─► users ─► enable          disable ─► (users and roles stay as they are declared)
//! ```
//!
//! A user or role that nobody declared is only told of. A user goes when the operator allows it by name, and the roles
//! that nobody else has go with it.

use std::collections::BTreeSet;

use crate::core::allowance::{AllowKind, Allowance};
use crate::core::cluster::version;
use crate::core::cluster::view::View;
use crate::core::code::Code;
use crate::core::desired::{Auth, DeclaredUser, Desired, Place};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{RoleName, UserName, listed};
use crate::core::observed::auth::{AuthStore, BACKUP, Permission, ROOT, User};
use crate::core::observed::{Observed, Seen};
use crate::core::plan::action::{Action, AuthAction, Readiness};
use crate::core::plan::auth_change::{self, RoleFault, UserFault};
use crate::core::plan::ruling::{Blocked, Draft, Finding, Ruling};

pub fn next(view: &View) -> Ruling {
    let (Some(declared), Some(membership)) = (&view.desired.auth, view.membership()) else { return Ruling::default() };
    let store = match &view.observed.auth {
        Some(Seen::Known(store)) => store,
        // Without a quorum nobody can say, which is told already.
        Some(Seen::Unknown(cause)) if membership.margin() >= 0 => return Ruling::blocked(Blocked::unseen(cause)),
        Some(Seen::Unknown(_)) | None => return Ruling::default(),
    };
    if membership.margin() < 0 {
        return Ruling::default();
    }
    let draft = disable(view, declared, store)
        .or_else(|| enable(view, declared, store))
        .or_else(|| keep_root(view, declared, store))
        .or_else(|| keep_roles(view, declared, store))
        .or_else(|| keep_users(view, declared, store))
        .or_else(|| remove(view, declared, store));
    match (draft, two_versions(view.observed)) {
        (None, _) => Ruling::default(),
        (Some(draft), None) => Ruling::step(draft),
        (Some(_), Some(what)) => {
            let hint = "finish the upgrade first";
            Ruling::blocked(Blocked::new(Code::UpgradeWaits, what).hint(hint).declared_at(Place::Auth))
        }
    }
}

/// A member of 3.5 writes a user into the raft log otherwise than one of 3.4 reads it: with the password hashed already
/// (`hashedPassword` in etcd's rpc.proto). So nothing is changed while members of two minor versions are together.
fn two_versions(observed: &Observed) -> Option<String> {
    let minors: BTreeSet<_> = observed.answers().map(|(_, answer)| version::of_cluster(answer.version)).collect();
    let versions = listed(minors.iter().map(|version| format!("{}.{}", version.major, version.minor)));
    (minors.len() > 1).then(|| {
        format!(
            "users and roles are not changed while members run different minor versions \
                                        ({versions})"
        )
    })
}

/// Whether everything is there that will be needed once etcd asks who comes.
fn may_enable(declared: &Auth, store: &AuthStore) -> Result<(), String> {
    if !upheld(Guard::RootBeforeAuth, store.lets_root_in()) {
        return Err("user root lacks role root: nobody could administer the cluster".to_owned());
    }
    let users = declared.users.iter().filter(|(name, _)| name.as_str() != ROOT);
    let missing = users.filter(|(name, user)| user_fault(store, name, user).is_some()).map(|(name, _)| name);
    let roles = declared.roles.iter().filter(|(name, _)| name.as_str() != ROOT);
    let without = roles.filter(|(name, permissions)| role_fault(store, name, permissions).is_some());
    match (missing.into_iter().next(), without.into_iter().next()) {
        _ if upheld(Guard::UsersBeforeAuth, false) => Ok(()),
        (Some(user), _) => Err(format!("user {user} is not set up yet and would lose access")),
        (None, Some((role, _))) => Err(format!("role {role} is not set up yet")),
        (None, None) => Ok(()),
    }
}

fn enable(view: &View, declared: &Auth, store: &AuthStore) -> Option<Draft> {
    let due = declared.enabled && !store.enabled && may_enable(declared, store).is_ok();
    due.then(|| Draft::of(Action::Auth(AuthAction::Enable), view.reason("authentication is off", Place::AuthEnabled)))
}

fn disable(view: &View, declared: &Auth, store: &AuthStore) -> Option<Draft> {
    let due = !declared.enabled && store.enabled;
    due.then(|| Draft {
        actions: vec![Action::Auth(AuthAction::Disable)],
        because: vec![view.reason("authentication is on", Place::AuthEnabled)],
        needs: [Allowance::new(AllowKind::DisableAuth, &view.desired.cluster.name)].into(),
    })
}

/// The role and the user that everything else is changed with.
fn keep_root(view: &View, declared: &Auth, store: &AuthStore) -> Option<Draft> {
    let (role, user) = (RoleName::new(ROOT), UserName::new(ROOT));
    keep_role(view, store, &role, &BTreeSet::new()).or_else(|| {
        let declared = declared.users.get(&user)?;
        keep_user(view, store, &user, declared)
    })
}

/// All roles at once: none needs another.
fn keep_roles(view: &View, declared: &Auth, store: &AuthStore) -> Option<Draft> {
    let others = declared.roles.iter().filter(|(name, _)| name.as_str() != ROOT);
    joined(others.filter_map(|(name, permissions)| keep_role(view, store, name, permissions)))
}

fn keep_users(view: &View, declared: &Auth, store: &AuthStore) -> Option<Draft> {
    joined(declared.users.iter().filter_map(|(name, user)| keep_user(view, store, name, user)))
}

fn joined(drafts: impl Iterator<Item = Draft>) -> Option<Draft> {
    drafts.reduce(|mut all, draft| {
        all.actions.extend(draft.actions);
        all.because.extend(draft.because);
        all.needs.extend(draft.needs);
        all
    })
}

fn keep_role(view: &View, store: &AuthStore, role: &RoleName, permissions: &BTreeSet<Permission>) -> Option<Draft> {
    let what = role_fault(store, role, permissions)?;
    let action = Action::Auth(AuthAction::KeepRole { role: role.clone(), permissions: permissions.clone() });
    Some(Draft::of(action, view.reason(what, place_of_role(view.desired, role))))
}

fn keep_user(view: &View, store: &AuthStore, user: &UserName, declared: &DeclaredUser) -> Option<Draft> {
    let what = user_fault(store, user, declared)?;
    let password = declared.password.is_some();
    let action = Action::Auth(AuthAction::KeepUser { user: user.clone(), roles: declared.roles.clone(), password });
    Some(Draft::of(action, view.reason(what, place_of_user(view.desired, user))))
}

/// A user with permissions of its own has them by a role that is declared with it.
fn place_of_role<'a>(desired: &Desired, role: &'a RoleName) -> Place<'a> {
    match desired.places.declares(Place::Role(role)) {
        true => Place::Role(role),
        false if role.as_str() == ROOT => Place::AuthEnabled,
        false => Place::UserOfRole(role),
    }
}

fn place_of_user<'a>(desired: &Desired, user: &'a UserName) -> Place<'a> {
    match desired.places.declares(Place::User(user)) {
        true => Place::User(user),
        false if user.as_str() == BACKUP => Place::Backup,
        false => Place::AuthEnabled,
    }
}

/// What is wrong with a role; `None` when it is as declared.
fn role_fault(store: &AuthStore, role: &RoleName, declared: &BTreeSet<Permission>) -> Option<String> {
    let Some(is) = store.roles.get(role) else { return auth_change::of_role(role, vec![RoleFault::Missing]) };
    // etcd looks at no permission of its own role.
    if is == declared || role.as_str() == ROOT {
        return None;
    }
    let lacks = declared.difference(is).cloned().map(RoleFault::Lacks);
    let has = is.difference(declared).cloned().map(RoleFault::Has);
    auth_change::of_role(role, lacks.chain(has).collect())
}

/// What is wrong with a user; `None` when it is as declared.
fn user_fault(store: &AuthStore, name: &UserName, declared: &DeclaredUser) -> Option<String> {
    let Some(is) = store.users.get(name) else { return auth_change::of_user(name, vec![UserFault::Missing]) };
    let lacks = declared.roles.difference(&is.roles).cloned().map(UserFault::Lacks);
    let has = is.roles.difference(&declared.roles).cloned().map(UserFault::Has);
    let password = match (declared.password.is_some(), is.password.filter(|_| may_be_made_anew(name))) {
        (true, Some(false)) => Some(UserFault::LacksPassword),
        (false, Some(true)) => Some(UserFault::HasPassword),
        (_, None) | (true, Some(true)) | (false, Some(false)) => None,
    };
    auth_change::of_user(name, lacks.chain(has).chain(password).collect())
}

/// A user that has a password never becomes one without, nor the other way round, but by being made anew. While
/// authentication is on, etcd does not let the user root go.
pub fn may_be_made_anew(user: &UserName) -> bool {
    user.as_str() != ROOT
}

/// Users that nobody declared.
fn unknown_users<'a>(declared: &Auth, store: &'a AuthStore) -> impl Iterator<Item = (&'a UserName, &'a User)> {
    store.users.iter().filter(|(name, _)| !declared.users.contains_key(*name))
}

/// The users that may go, each after the roles that go with it: a role without its user would never be asked about again.
fn remove(view: &View, declared: &Auth, store: &AuthStore) -> Option<Draft> {
    let may_go = |name: &UserName| upheld(Guard::UsersGoByName, view.desired.request.remove_users.contains(name));
    let (user, is) = unknown_users(declared, store).find(|(name, _)| may_go(name))?;
    let by_others =
        |role: &RoleName| store.users.iter().any(|(name, other)| name != user && other.roles.contains(role));
    let own = is.roles.iter().filter(|role| !declared.roles.contains_key(*role) && !by_others(role));
    let roles: Vec<_> =
        own.map(|role| Action::Auth(AuthAction::RemoveRole { role: role.clone(), with: user.clone() })).collect();
    let actions =
        if roles.is_empty() { vec![Action::Auth(AuthAction::RemoveUser { user: user.clone() })] } else { roles };
    Some(Draft {
        actions,
        because: vec![view.reason(format!("user {user} is not in cluster.toml"), Place::Auth)],
        needs: [Allowance::new(AllowKind::RemoveUser, user)].into(),
    })
}

/// Users and roles that nobody declared and nobody allowed to go.
pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let (Some(declared), Some(Seen::Known(store))) = (&desired.auth, &observed.auth) else { return Vec::new() };
    let finding = |code, what: String, hint: String| Finding { code, hosts: Vec::new(), what, hint: Some(hint) };
    let stays = |name: &UserName| !desired.request.remove_users.contains(name);
    let users = unknown_users(declared, store).filter(|(name, _)| stays(name)).map(|(name, user)| {
        let roles = match user.roles.len() {
            0 => "no role".to_owned(),
            _ => format!("role {}", listed(&user.roles)),
        };
        let hint = format!("add [users.{name}], or remove the user: `quorate apply --allow remove-user:{name}`");
        finding(Code::UnknownUser, format!("user {name} is not in cluster.toml and has {roles}"), hint)
    });
    let roles =
        store.roles.iter().filter(|(name, _)| !declared.roles.contains_key(*name)).map(|(name, permissions)| {
            let may = if permissions.is_empty() {
                "grants nothing".to_owned()
            } else {
                format!("grants {}", listed(permissions))
            };
            let hint = format!("add [roles.{name}], or remove the role: `etcdctl role delete {name}`");
            finding(Code::UnknownRole, format!("role {name} is not in cluster.toml and {may}"), hint)
        });
    users.chain(roles).collect()
}

const NOBODY_SAYS: &str = "the users and roles could not be read";

/// From what etcd has; refused while that is not known.
fn readiness_of(observed: &Observed, of: impl FnOnce(&AuthStore) -> Readiness) -> Readiness {
    match &observed.auth {
        Some(Seen::Known(store)) => of(store),
        Some(Seen::Unknown(cause)) => Readiness::Refused(cause.summary.clone()),
        None => Readiness::Refused(NOBODY_SAYS.to_owned()),
    }
}

fn done_if(done: bool) -> Readiness {
    if done { Readiness::Done } else { Readiness::Ready }
}

pub fn role_readiness(observed: &Observed, role: &RoleName, permissions: &BTreeSet<Permission>) -> Readiness {
    readiness_of(observed, |store| done_if(role_fault(store, role, permissions).is_none()))
}

pub fn user_readiness(observed: &Observed, user: &UserName, roles: &BTreeSet<RoleName>, password: bool) -> Readiness {
    readiness_of(observed, |store| {
        if let Some(role) = roles.iter().find(|role| !store.roles.contains_key(*role)) {
            return Readiness::Refused(format!("role {role} does not exist"));
        }
        let is = store.users.get(user);
        let kind = |is: &User| is.password.is_none_or(|has| has == password || !may_be_made_anew(user));
        done_if(is.is_some_and(|is| is.roles == *roles && kind(is)))
    })
}

pub fn remove_user_readiness(desired: &Desired, observed: &Observed, user: &UserName) -> Readiness {
    readiness_of(observed, |store| match desired.auth.as_ref().is_some_and(|auth| auth.users.contains_key(user)) {
        true => Readiness::Refused(format!("user {user} is in cluster.toml")),
        false => done_if(!store.users.contains_key(user)),
    })
}

pub fn remove_role_readiness(observed: &Observed, role: &RoleName, with: &UserName) -> Readiness {
    readiness_of(observed, |store| {
        let mut others = store.users.iter().filter(|(name, user)| *name != with && user.roles.contains(role));
        match others.next() {
            Some((name, _)) => Readiness::Refused(format!("user {name} has role {role}")),
            None => done_if(!store.roles.contains_key(role)),
        }
    })
}

pub fn enable_readiness(desired: &Desired, observed: &Observed) -> Readiness {
    readiness_of(observed, |store| match desired.auth.as_ref().map(|declared| may_enable(declared, store)) {
        _ if store.enabled => Readiness::Done,
        Some(Err(why)) => Readiness::Refused(why),
        Some(Ok(())) => Readiness::Ready,
        None => Readiness::Refused("[auth] is not declared".to_owned()),
    })
}

pub fn disable_readiness(observed: &Observed) -> Readiness {
    readiness_of(observed, |store| done_if(!store.enabled))
}

fn edit(observed: &mut Observed, change: impl FnOnce(&mut AuthStore)) {
    if let Some(Seen::Known(store)) = &mut observed.auth {
        change(store);
    }
}

pub fn role_effect(observed: &mut Observed, role: &RoleName, permissions: &BTreeSet<Permission>) {
    edit(observed, |store| drop(store.roles.insert(role.clone(), permissions.clone())));
}

pub fn user_effect(observed: &mut Observed, user: &UserName, roles: &BTreeSet<RoleName>, password: bool) {
    edit(observed, |store| {
        let password = store.enabled.then_some(password);
        store.users.insert(user.clone(), User { roles: roles.clone(), password });
    });
}

pub fn remove_user_effect(observed: &mut Observed, user: &UserName) {
    edit(observed, |store| drop(store.users.remove(user)));
}

pub fn remove_role_effect(observed: &mut Observed, role: &RoleName) {
    edit(observed, |store| store.remove_role(role));
}

/// From now on etcd tells, too, who has a password: those that were found here are taken to be right.
pub fn enable_effect(desired: &Desired, observed: &mut Observed) {
    let has = |name: &UserName| desired.auth.as_ref()?.users.get(name).map(|user| user.password.is_some());
    edit(observed, |store| {
        store.enabled = true;
        for (name, user) in &mut store.users {
            user.password = has(name);
        }
    });
}

pub fn disable_effect(observed: &mut Observed) {
    edit(observed, |store| {
        store.enabled = false;
        for user in store.users.values_mut() {
            user.password = None;
        }
    });
}
