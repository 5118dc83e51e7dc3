//! `[auth]`, `[users.*]` and `[roles.*]`: who may do what with which keys.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;

use super::kinds::Local;
use super::problem::Problem;
use super::suggest::enumerate;
use super::suggest::nearest;
use super::table::Table;
use super::value::{Value, one_of};
use crate::core::desired::{Auth, DeclaredUser, PasswordSource};
use crate::core::names::{RoleName, UserName};
use crate::core::observed::auth::{BACKUP, KeyAccess, Permission, ROOT};

/// The API server compacts, which takes root: without it the database grows to its quota. The second is kubeadm's name.
const COMPACTING: [&str; 2] = ["kube-apiserver", "kube-apiserver-etcd-client"];

/// `[auth]`: whether it is to be on; `None` when nothing is declared of it.
pub(super) fn enabled(table: &mut Table) -> Option<bool> {
    if !table.is_present() {
        return None;
    }
    Some(table.require("enabled", "true", Value::boolean).is_some_and(Spanned::into_inner))
}

/// A user as it stands in the text.
pub(super) struct UserSection {
    name: UserName,
    span: Range<usize>,
    rights: Rights,
    password: Option<PasswordSource>,
}

enum Rights {
    Own(BTreeSet<Permission>),
    Roles(Vec<Spanned<String>>),
    /// It has been told.
    Unclear,
}

pub(super) fn users(table: &mut Table, local: Local) -> Vec<UserSection> {
    let mut users = Vec::new();
    table.each_section(|name, table| {
        check_name(name, "user", table);
        let rights = rights(name.get_ref(), table);
        let password = table.section("password", |table| secret(table, local, "a password"));
        users.push(UserSection { name: UserName::new(*name.get_ref()), span: name.span(), rights, password });
    });
    users
}

/// A role as it stands in the text.
pub(super) struct RoleSection {
    name: RoleName,
    span: Range<usize>,
    permissions: BTreeSet<Permission>,
}

pub(super) fn roles(table: &mut Table) -> Vec<RoleSection> {
    let mut roles = Vec::new();
    table.each_section(|name, table| {
        check_name(name, "role", table);
        if *name.get_ref() == ROOT {
            let problem = Problem::new(name.span(), "the role `root` is built into etcd and has full access");
            table.report(problem.hint("omit it, and list it in `roles` of a user"));
        }
        if table.declares("permissions").is_none() {
            let problem = Problem::new(table.span(), format!("missing key `permissions` in {}", table.title()));
            table.report_missing(problem.hint("add `permissions = [{ prefix = \"/app/\", access = \"read\" }]`"));
        }
        let permissions = permissions(table);
        roles.push(RoleSection { name: RoleName::new(*name.get_ref()), span: name.span(), permissions });
    });
    roles
}

/// Puts the three sections together, and reports what contradicts.
pub(super) fn complete(
    root: &mut Table,
    enabled: Option<bool>,
    users: Vec<UserSection>,
    roles: Vec<RoleSection>,
) -> Option<Auth> {
    let Some(enabled) = enabled else {
        for (key, _) in [("users", users.len()), ("roles", roles.len())].iter().filter(|(_, count)| *count > 0) {
            let span = root.declares(key).unwrap_or_default();
            let problem = Problem::new(span, format!("[{key}] needs [auth]"));
            root.report_missing(problem.hint("add [auth] with `enabled = true`"));
        }
        return None;
    };
    let root_role = RoleName::new(ROOT);
    let mut auth = Auth { enabled, users: BTreeMap::new(), roles: [(root_role.clone(), BTreeSet::new())].into() };
    let mut places = BTreeMap::new();
    for RoleSection { name, span, permissions } in roles {
        places.insert(name.clone(), span);
        auth.roles.insert(name, permissions);
    }
    let known: BTreeSet<_> = auth.roles.keys().map(|role| role.as_str().to_owned()).collect();
    for UserSection { name, span, rights, password } in users {
        let roles = match rights {
            Rights::Own(_) if name.as_str() == ROOT => BTreeSet::new(),
            Rights::Own(permissions) => {
                let own = RoleName::new(name.as_str());
                if let Some(first) = places.get(&own) {
                    let problem = Problem::new(
                        span.clone(),
                        format!(
                            "user `{own}` and role `{own}` both have \
                                                                      permissions"
                        ),
                    )
                    .hint(format!("set `roles = [\"{own}\"]` for the user, or rename the role"));
                    root.report(problem.related(first.clone(), "the role"));
                }
                auth.roles.insert(own.clone(), permissions);
                [own].into()
            }
            Rights::Roles(roles) => {
                for role in roles.iter().filter(|role| !known.contains(role.get_ref())) {
                    root.report(unknown_role(role, &known));
                }
                roles.into_iter().map(|role| RoleName::new(role.into_inner())).collect()
            }
            Rights::Unclear => roles_of_unclear(&name),
        };
        if let Some(problem) = without_root(&name, &roles, &span) {
            root.report(problem);
        }
        auth.users.insert(name, DeclaredUser { roles, password });
    }
    let with_root = || DeclaredUser { roles: [root_role].into(), password: None };
    auth.users.entry(UserName::new(ROOT)).or_insert_with(with_root);
    Some(auth)
}

/// The user of scheduled snapshots needs not be declared.
pub(super) fn add_backup(auth: &mut Auth) {
    let with_root = || DeclaredUser { roles: [RoleName::new(ROOT)].into(), password: None };
    auth.users.entry(UserName::new(BACKUP)).or_insert_with(with_root);
}

/// Where the rights of a user were not understood, nothing more is said of them.
fn roles_of_unclear(name: &UserName) -> BTreeSet<RoleName> {
    let needs_root = [ROOT, BACKUP].contains(&name.as_str()) || COMPACTING.contains(&name.as_str());
    needs_root.then(|| RoleName::new(ROOT)).into_iter().collect()
}

fn without_root(name: &UserName, roles: &BTreeSet<RoleName>, span: &Range<usize>) -> Option<Problem> {
    let hint = "write `roles = [\"root\"]`";
    if roles.contains(&RoleName::new(ROOT)) {
        None
    } else if name.as_str() == ROOT {
        let problem = Problem::new(span.clone(), "the user `root` lacks the role `root`");
        Some(problem.label("nobody could administer the cluster").hint(format!("{hint}, or omit [users.root]")))
    } else if name.as_str() == BACKUP {
        let problem = Problem::new(span.clone(), format!("`{name}` cannot take snapshots without the role `root`"));
        Some(problem.label("the user of [backup]").hint(format!("{hint}, or omit [users.{name}]")))
    } else if COMPACTING.contains(&name.as_str()) {
        let problem = Problem::new(span.clone(), format!("`{name}` cannot compact without the role `root`"));
        Some(problem.label("the database would grow until it reaches its quota").hint(hint))
    } else {
        None
    }
}

fn unknown_role(role: &Spanned<String>, known: &BTreeSet<String>) -> Problem {
    let name = role.get_ref();
    let problem = Problem::new(role.span(), format!("no role {name:?}"));
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => problem.hint(format!("did you mean {near:?}?")),
        None => problem.hint(format!("add [roles.{name}]; the built-in role `root` has full access")),
    }
}

/// What a certificate's common name can be, and a terminal can show.
fn check_name(name: &Spanned<&str>, what: &str, table: &mut Table) {
    // ub-common-name of RFC 5280.
    const LENGTH_MAX: usize = 64;
    let text = *name.get_ref();
    let why = if text.is_empty() {
        "it is empty"
    } else if text.chars().count() > LENGTH_MAX {
        "it is longer than 64 characters, the limit of a certificate's common name"
    } else if text.chars().any(|c| c.is_control()) || text.trim() != text {
        "it has control characters, or leading or trailing spaces"
    } else {
        return;
    };
    table.report(Problem::new(name.span(), format!("{text:?} is not a valid {what} name")).hint(why));
}

const RIGHTS: [&str; 3] = ["prefix", "permissions", "roles"];

fn rights(name: &str, table: &mut Table) -> Rights {
    let prefix = table.get("prefix", |value| Ok(value.text()?.to_owned()));
    let own = permissions(table);
    let roles = table.list("roles", |value| Ok(Spanned::new(value.span(), value.text()?.to_owned())));
    let declared: Vec<_> = RIGHTS.iter().filter_map(|key| Some((*key, table.declares(key)?))).collect();
    match declared.as_slice() {
        [("prefix", _)] => prefix
            .map_or(Rights::Unclear, |prefix| Rights::Own([Permission::prefix(&prefix, KeyAccess::ReadWrite)].into())),
        [("permissions", _)] => Rights::Own(own),
        [_] => Rights::Roles(roles),
        [] => {
            let what = format!("[users.{name}] grants nothing");
            let problem = Problem::new(table.span(), what);
            table
                .report_missing(problem.hint("add one of `prefix = \"/app/\"`, `permissions = […]` and `roles = […]`"));
            Rights::Unclear
        }
        [(first, first_span), .., (last, last_span)] => {
            let problem = Problem::new(last_span.clone(), format!("`{first}` and `{last}` cannot be combined"));
            let problem = problem.hint("put the permissions into a role, and list it in `roles`");
            table.report(problem.related(first_span.clone(), "use one of them"));
            Rights::Unclear
        }
    }
}

fn permissions(table: &mut Table) -> BTreeSet<Permission> {
    let mut found: Vec<(Permission, Range<usize>)> = Vec::new();
    let mut again = Vec::new();
    table.each_in_list("permissions", |table| {
        let Some(permission) = permission(table) else { return };
        match found.iter().find(|(other, _)| other.has_keys_of(&permission)) {
            Some((_, first)) => {
                let what = format!("{} is listed twice", permission.keys());
                again.push(Problem::new(table.span(), what).label("again").related(first.clone(), "here first"));
            }
            None => found.push((permission, table.span())),
        }
    });
    for problem in again {
        table.report(problem);
    }
    found.into_iter().map(|(permission, _)| permission).collect()
}

fn permission(table: &mut Table) -> Option<Permission> {
    const KEYS: [&str; 3] = ["prefix", "key", "range"];
    let accesses = [("read", KeyAccess::Read), ("write", KeyAccess::Write), ("readwrite", KeyAccess::ReadWrite)]
        .map(|(word, access)| (word, Some(access)));
    let access = table.require("access", "\"read\"", one_of(&accesses)).map(Spanned::into_inner);
    let prefix = table.get("prefix", |value| Ok(value.text()?.to_owned()));
    let key = table.get("key", |value| match value.text()? {
        "" => Err(value.problem("`key` is empty").hint("for every key, use `prefix = \"\"`")),
        text => Ok(text.to_owned()),
    });
    let range = table.get("range", range);
    let declared: Vec<_> = KEYS.iter().filter_map(|key| Some((*key, table.declares(key)?))).collect();
    if declared.len() != 1 {
        let what = match declared.as_slice() {
            [] => "a permission needs keys, and this one has none".to_owned(),
            [(first, _), (second, _), ..] => format!("`{first}` and `{second}` cannot be combined"),
            [_] => unreachable!("this one is correct"),
        };
        let hint = format!("write one of {}", enumerate(&KEYS));
        let span = declared.get(1).map_or(table.span(), |(_, span)| span.clone());
        table.report_missing(Problem::new(span, what).hint(hint));
        return None;
    }
    let access = access?;
    match (prefix, key, range) {
        (Some(prefix), _, _) => Some(Permission::prefix(&prefix, access)),
        (_, Some(key), _) => Some(Permission::key(&key, access)),
        (_, _, Some((first, end))) => Some(Permission::range(&first, &end, access)),
        (None, None, None) => None,
    }
}

fn range(value: &Value) -> Result<(String, String), Problem> {
    let hint = "write the first key, and the first key after the range: `range = [\"/a\", \"/c\"]`";
    let ends = value.list().map_err(|problem| problem.hint(hint))?;
    let [first, end] = ends.as_slice() else {
        return Err(value.problem("`range` needs two keys").hint(hint));
    };
    let (first, end) = (first.text()?, end.text()?);
    if first.is_empty() || first >= end {
        return Err(value.problem(format!("the range from {first:?} to {end:?} is empty")).hint(hint));
    }
    Ok((first.to_owned(), end.to_owned()))
}

/// `{ file = "…" }`, `{ env = "…" }` or `{ command = […] }`: where `what` is, never the thing itself.
pub(super) fn secret(table: &mut Table, local: Local, what: &str) -> Option<PasswordSource> {
    const SOURCES: [&str; 3] = ["file", "env", "command"];
    if !table.is_present() {
        return None;
    }
    let file = table.get("file", |value| local.path(value)).map(PasswordSource::File);
    let env = table.get("env", environment).map(PasswordSource::Env);
    let command = table.list("command", |value| Ok(value.text()?.to_owned()));
    let declared: Vec<_> = SOURCES.iter().filter_map(|key| Some((*key, table.declares(key)?))).collect();
    match declared.as_slice() {
        [("command", span)] if command.is_empty() => {
            let problem = Problem::new(span.clone(), "`command` is empty");
            table.report(problem.hint("write `command = [\"pass\", \"show\", \"etcd/app\"]`"));
            None
        }
        [("command", _)] => Some(PasswordSource::Command(command)),
        [_] => file.or(env),
        _ => {
            let problem = Problem::new(table.span(), format!("{what} needs exactly one source"));
            table.report_missing(problem.hint(format!("write one of {}", enumerate(&SOURCES))));
            None
        }
    }
}

fn environment(value: &Value) -> Result<String, Problem> {
    let text = value.text()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text.is_empty() || !text.bytes().all(plain) {
        return Err(value.problem(format!("{text:?} is not a valid variable name")));
    }
    Ok(text.to_owned())
}
