//! Users, roles and authentication, asked of one member, and changed through it.
//!
//! Every question is an entry in the raft log, as in `etcdctl user list`: etcd has no other way to them (3.4 to 3.7). So
//! they are asked only where somebody declared something about them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use etcd_client::{Permission as Granted, PermissionType, RoleRevokePermissionOptions, UserAddOptions};
use secrecy::{ExposeSecret as _, SecretString};

use super::fault::Fault;
use super::wire;
use super::{Member, Refusal};
use crate::core::code::Code;
use crate::core::names::{RoleName, UserName, Version};
use crate::core::observed::Cause;
use crate::core::observed::auth::{AuthStore, Key, KeyAccess, Permission, ROOT, User};

/// As long as it is the same, so is everything else. Before 3.5 there is no number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthState {
    pub enabled: bool,
    pub revision: Option<u64>,
}

impl Member {
    /// Whether authentication is on, in a cluster of this version: the one that every member has reached.
    ///
    /// The question itself is an entry in the raft log that came with 3.5, and a member of 3.4 panics when it applies it,
    /// at every start anew. Asked of the first member of 3.5, it would take the others down for good.
    ///
    /// # Errors
    /// When it is not told within `deadline`, or not to us.
    pub async fn auth_state(&self, cluster: Option<Version>, deadline: Duration) -> Result<AuthState, Cause> {
        if cluster.is_none_or(|version| version < KNOWS_THE_QUESTION) {
            return self.auth_state_by_name(deadline).await;
        }
        let status = wire::auth_status(self.channel.clone());
        let status = self.asked(deadline, async { status.await.map_err(Fault::of_status) }).await?;
        Ok(AuthState { enabled: status.enabled, revision: Some(status.revision) })
    }

    /// Every version tells by how it refuses a name, and writes no entry for it: no password fits the empty one.
    async fn auth_state_by_name(&self, deadline: Duration) -> Result<AuthState, Cause> {
        let mut client = self.client_of_leader.auth_client();
        let enabled = self.asked(deadline, async {
            match client.authenticate(NO_USER.to_owned(), String::new()).await.map_err(|error| Fault::of_client(&error))
            {
                Ok(_) => Ok(true),
                Err(Fault::Said(words)) if words.contains(NOT_ENABLED) => Ok(false),
                Err(Fault::Said(words)) if words.contains(WRONG_PASSWORD) => Ok(true),
                Err(fault) => Err(fault),
            }
        });
        Ok(AuthState { enabled: enabled.await?, revision: None })
    }

    /// Every user and role. Who has a password is not among it.
    ///
    /// # Errors
    /// As [`Member::auth_state`].
    pub async fn auth_store(&self, enabled: bool, deadline: Duration) -> Result<AuthStore, Cause> {
        let (users, roles) = tokio::join!(self.users(deadline), self.roles(deadline));
        Ok(AuthStore { enabled, users: users?, roles: roles? })
    }

    async fn users(&self, deadline: Duration) -> Result<BTreeMap<UserName, User>, Cause> {
        let mut client = self.client_of_leader.auth_client();
        let list = async { client.user_list().await.map_err(Fault::of_client_owned) };
        let names = self.asked(deadline, list).await?.users().to_vec();
        let users = names.into_iter().map(|name| async move {
            let mut client = self.client_of_leader.auth_client();
            let user = async { found(client.user_get(name.as_str()).await) };
            let Some(user) = self.asked(deadline, user).await? else { return Ok(None) };
            let roles = user.roles().iter().map(RoleName::new).collect();
            Ok(Some((UserName::new(name), User { roles, password: None })))
        });
        futures_util::future::join_all(users).await.into_iter().filter_map(Result::transpose).collect()
    }

    async fn roles(&self, deadline: Duration) -> Result<BTreeMap<RoleName, BTreeSet<Permission>>, Cause> {
        let mut client = self.client_of_leader.auth_client();
        let list = async { client.role_list().await.map_err(Fault::of_client_owned) };
        let names = self.asked(deadline, list).await?.roles().to_vec();
        let roles = names.into_iter().map(|name| async move {
            let mut client = self.client_of_leader.auth_client();
            let role = async { found(client.role_get(name.as_str()).await) };
            let Some(role) = self.asked(deadline, role).await? else { return Ok(None) };
            // Of its own role etcd looks at none, and from 3.6 on tells one for all keys that it does not keep.
            let kept = role.permissions().into_iter().filter(|_| name != ROOT);
            let permissions = kept.map(|granted| permission(&granted)).collect();
            Ok(Some((RoleName::new(name), permissions)))
        });
        futures_util::future::join_all(roles).await.into_iter().filter_map(Result::transpose).collect()
    }

    /// Whether a user has a password; `None` when it is not told. etcd refuses the empty one in other words for a user
    /// that was made without (`ErrNoPasswordUser`), and leaves a line in its log each time.
    pub async fn has_password(&self, user: &UserName, deadline: Duration) -> Option<bool> {
        let mut client = self.client_of_leader.auth_client();
        let asked = client.authenticate(user.to_string(), String::new());
        match tokio::time::timeout(deadline, asked).await.ok()? {
            Ok(_) => Some(true),
            Err(error) => match Fault::of_client(&error) {
                Fault::Said(words) if words.contains(NO_PASSWORD) => Some(false),
                Fault::Said(words) if words.contains(WRONG_PASSWORD) => Some(true),
                _ => None,
            },
        }
    }

    /// Makes a role. One that is there already is what was asked for.
    ///
    /// # Errors
    /// What etcd objects to, or that it did not answer within `deadline`.
    pub async fn add_role(&self, role: &RoleName, deadline: Duration) -> Result<(), Refusal> {
        let mut client = self.client_of_leader.auth_client();
        let call = async { client.role_add(role.as_str()).await.map(drop) };
        self.change("to create a role", deadline, call, &["role name already exists"]).await
    }

    /// Takes a role away, from every user, too.
    ///
    /// # Errors
    /// As [`Member::add_role`].
    pub async fn delete_role(&self, role: &RoleName, deadline: Duration) -> Result<(), Refusal> {
        let mut client = self.client_of_leader.auth_client();
        let call = async { client.role_delete(role.as_str()).await.map(drop) };
        self.change("to delete a role", deadline, call, &["role name not found"]).await
    }

    /// Grants a role a permission; it takes the place of one for the same keys.
    ///
    /// # Errors
    /// As [`Member::add_role`].
    pub async fn grant(&self, role: &RoleName, what: &Permission, deadline: Duration) -> Result<(), Refusal> {
        let mut client = self.client_of_leader.auth_client();
        let call = async { client.role_grant_permission(role.as_str(), granted(what)).await.map(drop) };
        self.change("to grant a permission", deadline, call, &[]).await
    }

    /// Takes the permission for these keys from a role.
    ///
    /// # Errors
    /// As [`Member::add_role`].
    pub async fn revoke(&self, role: &RoleName, what: &Permission, deadline: Duration) -> Result<(), Refusal> {
        let mut client = self.client_of_leader.auth_client();
        let end = what.end.as_ref().map_or(&[][..], Key::as_bytes);
        let options = RoleRevokePermissionOptions::new().with_range_end(end);
        let key = what.key.as_bytes();
        let call = async { client.role_revoke_permission(role.as_str(), key, Some(options)).await.map(drop) };
        self.change("to revoke a permission", deadline, call, &["permission is not granted to the role"]).await
    }

    /// Makes a user, known by its certificate alone unless there is a password.
    ///
    /// # Errors
    /// As [`Member::add_role`].
    pub async fn add_user(
        &self,
        user: &UserName,
        password: Option<&SecretString>,
        deadline: Duration,
    ) -> Result<(), Refusal> {
        let mut client = self.client_of_leader.auth_client();
        let options = match password {
            Some(_) => UserAddOptions::new(),
            None => UserAddOptions::new().with_no_pwd(),
        };
        let password = password.map_or("", SecretString::expose_secret);
        let call = async { client.user_add(user.as_str(), password, Some(options)).await.map(drop) };
        self.change("to create a user", deadline, call, &["user name already exists"]).await
    }

    /// Takes a user away.
    ///
    /// # Errors
    /// As [`Member::add_role`].
    pub async fn delete_user(&self, user: &UserName, deadline: Duration) -> Result<(), Refusal> {
        let mut client = self.client_of_leader.auth_client();
        let call = async { client.user_delete(user.as_str()).await.map(drop) };
        self.change("to delete a user", deadline, call, &["user name not found"]).await
    }

    /// Gives a user a role.
    ///
    /// # Errors
    /// As [`Member::add_role`].
    pub async fn grant_role(&self, user: &UserName, role: &RoleName, deadline: Duration) -> Result<(), Refusal> {
        let mut client = self.client_of_leader.auth_client();
        let call = async { client.user_grant_role(user.as_str(), role.as_str()).await.map(drop) };
        self.change("to grant a role to a user", deadline, call, &[]).await
    }

    /// Takes a role from a user.
    ///
    /// # Errors
    /// As [`Member::add_role`].
    pub async fn revoke_role(&self, user: &UserName, role: &RoleName, deadline: Duration) -> Result<(), Refusal> {
        let mut client = self.client_of_leader.auth_client();
        let call = async { client.user_revoke_role(user.as_str(), role.as_str()).await.map(drop) };
        self.change("to revoke a role from a user", deadline, call, &["role is not granted to the user"]).await
    }

    /// Turns authentication on or off.
    ///
    /// # Errors
    /// As [`Member::add_role`].
    pub async fn set_auth(&self, enabled: bool, deadline: Duration) -> Result<(), Refusal> {
        let mut client = self.client_of_leader.auth_client();
        if enabled {
            let call = async { client.auth_enable().await.map(drop) };
            return self.change("to enable authentication", deadline, call, &[]).await;
        }
        let call = async { client.auth_disable().await.map(drop) };
        self.change("to disable authentication", deadline, call, &[NOT_ENABLED]).await
    }

    async fn asked<T>(&self, deadline: Duration, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Cause> {
        let fault = match tokio::time::timeout(deadline, call).await {
            Ok(Ok(said)) => return Ok(said),
            Ok(Err(fault)) => fault,
            Err(_) => Fault::CallTimeout("for its users", deadline),
        };
        let host = &self.place.host;
        let (why, hint) = self.recorder.fault().unwrap_or(fault).why_and_hint(&self.place);
        let summary = format!("could not read the users from etcd on {host}: {why}");
        Err(Cause { code: Code::AuthUnknown, summary, hint: Some(hint) })
    }
}

/// Source: `InternalRaftRequest.auth_status` in etcd's raft_internal.proto, and the `default` of 3.4's `applierV3backend`.
const KNOWS_THE_QUESTION: Version = Version::new(3, 5, 0);

// The words of etcd's rpctypes, the same from 3.4 to 3.7.
const NOT_ENABLED: &str = "authentication is not enabled";
const WRONG_PASSWORD: &str = "authentication failed, invalid user ID or password";
const NO_PASSWORD: &str = "authentication failed, password was given for no password user";
/// Nobody is called so: a name with a control character cannot be declared.
const NO_USER: &str = "\u{1}";

/// What was listed a moment ago may have gone since.
fn found<T>(asked: Result<T, etcd_client::Error>) -> Result<Option<T>, Fault> {
    match asked.map_err(|error| Fault::of_client(&error)) {
        Ok(found) => Ok(Some(found)),
        Err(Fault::Said(words)) if words.contains("name not found") => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn permission(granted: &Granted) -> Permission {
    let access = match granted.get_type() {
        0 => KeyAccess::Read,
        1 => KeyAccess::Write,
        _ => KeyAccess::ReadWrite,
    };
    let end = granted.range_end();
    Permission { key: Key::new(granted.key()), end: (!end.is_empty()).then(|| Key::new(end)), access }
}

fn granted(permission: &Permission) -> Granted {
    let access = match permission.access {
        KeyAccess::Read => PermissionType::Read,
        KeyAccess::Write => PermissionType::Write,
        KeyAccess::ReadWrite => PermissionType::Readwrite,
    };
    let granted = Granted::new(access, permission.key.as_bytes());
    match &permission.end {
        Some(end) => granted.with_range_end(end.as_bytes()),
        None => granted,
    }
}
