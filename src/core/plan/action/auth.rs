//! Users, roles and authentication, changed through the etcd API of any healthy voter.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::Impact;
use crate::core::names::{RoleName, UserName, listed};
use crate::core::observed::auth::Permission;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum AuthAction {
    /// Make a role, grant it what it lacks, and take from it what is not declared.
    KeepRole { role: RoleName, permissions: BTreeSet<Permission> },
    /// Make a user, grant it the roles that it lacks, and take those from it that are not declared.
    KeepUser {
        user: UserName,
        roles: BTreeSet<RoleName>,
        /// Whether it has a password besides its certificate. What it is, only apply asks.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        password: bool,
    },
    /// Take a user out that is not declared.
    RemoveUser { user: UserName },
    /// Take a role out that only such a user has.
    RemoveRole { role: RoleName, with: UserName },
    /// Have etcd ask who comes.
    #[serde(rename = "enable-auth")]
    Enable,
    /// Have etcd ask nobody any more.
    #[serde(rename = "disable-auth")]
    Disable,
}

impl AuthAction {
    pub fn impact(&self) -> Impact {
        Impact::Access { felt: self.who_feels_it().is_some() }
    }

    /// Who may be shut out by it, or let in; `None` when nobody is.
    pub fn who_feels_it(&self) -> Option<&'static str> {
        match self {
            Self::KeepRole { .. } | Self::KeepUser { .. } | Self::RemoveRole { .. } => None,
            Self::RemoveUser { .. } => Some("clients that still use this user lose access"),
            Self::Enable => Some("clients without a declared user lose access"),
            Self::Disable => Some("all clients get full access"),
        }
    }

    pub fn effect(&self) -> &'static str {
        match self {
            Self::KeepRole { .. } | Self::KeepUser { .. } | Self::RemoveUser { .. } | Self::RemoveRole { .. } => {
                "takes effect on the next request; nothing restarts"
            }
            Self::Enable => "only users with a role keep access (by certificate or password); nothing restarts",
            Self::Disable => "every client with a valid certificate gets full access; nothing restarts",
        }
    }
}

/// What is to be; what changes by it is in `plan::auth_change`.
impl fmt::Display for AuthAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeepRole { role, permissions } if permissions.is_empty() => write!(f, "set up role {role}"),
            Self::KeepRole { role, permissions } => write!(f, "set up role {role}: {}", listed(permissions)),
            Self::KeepUser { user, roles, .. } if roles.is_empty() => write!(f, "set up user {user} without a role"),
            Self::KeepUser { user, roles, .. } => write!(f, "set up user {user} with role {}", listed(roles)),
            Self::RemoveUser { user } => write!(f, "remove user {user}"),
            Self::RemoveRole { role, with } => write!(f, "remove role {role}, which only user {with} has"),
            Self::Enable => f.write_str("enable authentication"),
            Self::Disable => f.write_str("disable authentication"),
        }
    }
}
