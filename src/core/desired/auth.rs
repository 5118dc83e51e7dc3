//! Who may do what with which keys, as declared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::core::names::{RoleName, UserName};
use crate::core::observed::auth::Permission;

/// What is declared of etcd's authentication, completed: the user and the role `root` are always among them, and a user
/// with permissions of its own has them by a role of its own name.
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    pub enabled: bool,
    pub users: BTreeMap<UserName, DeclaredUser>,
    pub roles: BTreeMap<RoleName, BTreeSet<Permission>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeclaredUser {
    pub roles: BTreeSet<RoleName>,
    /// `None`: known by its certificate alone.
    pub password: Option<PasswordSource>,
}

/// Where a password comes from, or what else must not be written down. Only apply looks for passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordSource {
    /// Absolute.
    File(PathBuf),
    Env(String),
    /// A program and its arguments; the first line that it prints is meant.
    Command(Vec<String>),
}
