//! How users and roles differ from what is declared: what a reason says of it, and the title that follows from that.
//!
//! An action says what is to be, and not what is: the reason does, and it is saved with the plan. So a title that names the
//! change is derived like every other one.

use std::fmt;

use crate::core::names::{RoleName, UserName, listed};
use crate::core::observed::auth::Permission;
use crate::core::plan::action::AuthAction;
use crate::core::plan::ruling::Reason;

/// What is wrong with a role, as its reason says after its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleFault {
    Missing,
    Lacks(Permission),
    Has(Permission),
}

/// What is wrong with a user, as its reason says after its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserFault {
    Missing,
    Lacks(RoleName),
    Has(RoleName),
    LacksPassword,
    HasPassword,
}

const MISSING: &str = "does not exist";
const LACKS: &str = "lacks ";
const HAS: &str = "has ";
const LACKS_ROLE: &str = "lacks role ";
const HAS_ROLE: &str = "has role ";
const LACKS_PASSWORD: &str = "has no password";
const HAS_PASSWORD: &str = "has a password but none is declared";

impl fmt::Display for RoleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str(MISSING),
            Self::Lacks(permission) => write!(f, "{LACKS}{permission}"),
            Self::Has(permission) => write!(f, "{HAS}{permission}"),
        }
    }
}

impl fmt::Display for UserFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str(MISSING),
            Self::Lacks(role) => write!(f, "{LACKS_ROLE}{role}"),
            Self::Has(role) => write!(f, "{HAS_ROLE}{role}"),
            Self::LacksPassword => f.write_str(LACKS_PASSWORD),
            Self::HasPassword => f.write_str(HAS_PASSWORD),
        }
    }
}

impl UserFault {
    fn read(text: &str) -> Option<Self> {
        match text {
            MISSING => Some(Self::Missing),
            LACKS_PASSWORD => Some(Self::LacksPassword),
            HAS_PASSWORD => Some(Self::HasPassword),
            _ => {
                let role = |prefix| text.strip_prefix(prefix).map(RoleName::new);
                role(LACKS_ROLE).map(Self::Lacks).or_else(|| role(HAS_ROLE).map(Self::Has))
            }
        }
    }
}

/// `role app does not exist`; `None` when nothing is wrong.
pub fn of_role(role: &RoleName, faults: Vec<RoleFault>) -> Option<String> {
    (!faults.is_empty()).then(|| format!("role {role} {}", listed(faults)))
}

/// `user app lacks role app, has role other`; `None` when nothing is wrong.
pub fn of_user(user: &UserName, faults: Vec<UserFault>) -> Option<String> {
    (!faults.is_empty()).then(|| format!("user {user} {}", listed(faults)))
}

/// What changes, as far as the reasons say it.
pub fn title(action: &AuthAction, because: &[Reason]) -> String {
    let said = |of: String| because.iter().filter_map(move |reason| reason.what.strip_prefix(&of));
    let change = match action {
        AuthAction::KeepRole { role, permissions } => {
            said(format!("role {role} ")).find_map(|faults| role_change(role, &listed(permissions), faults))
        }
        AuthAction::KeepUser { user, roles, .. } => {
            said(format!("user {user} ")).find_map(|faults| user_change(user, &listed(roles), faults))
        }
        AuthAction::RemoveUser { .. } | AuthAction::RemoveRole { .. } | AuthAction::Enable | AuthAction::Disable => {
            None
        }
    };
    change.unwrap_or_else(|| action.to_string())
}

/// `None` when the faults are those of another role, whose name begins with this one's.
fn role_change(role: &RoleName, permissions: &str, faults: &str) -> Option<String> {
    let is_missing = faults == MISSING;
    if !is_missing && !faults.starts_with(LACKS) && !faults.starts_with(HAS) {
        return None;
    }
    Some(match (is_missing, permissions) {
        (true, "") => format!("create role {role}"),
        (true, permissions) => format!("create role {role}: {permissions}"),
        (false, "") => format!("revoke all permissions of role {role}"),
        (false, permissions) => format!("change the permissions of role {role} to {permissions}"),
    })
}

/// `None` when a fault cannot be read: it is of another user, or of a role that somebody gave a name with a comma.
fn user_change(user: &UserName, roles: &str, faults: &str) -> Option<String> {
    let faults: Vec<_> = faults.split(", ").map(UserFault::read).collect::<Option<_>>()?;
    let (mut grants, mut revokes, mut password) = (Vec::new(), Vec::new(), None);
    for fault in faults {
        match fault {
            UserFault::Missing if roles.is_empty() => return Some(format!("create user {user} without a role")),
            UserFault::Missing => return Some(format!("create user {user} with role {roles}")),
            UserFault::Lacks(role) => grants.push(role),
            UserFault::Has(role) => revokes.push(role),
            UserFault::LacksPassword => password = Some(format!("set the password of user {user}")),
            UserFault::HasPassword => password = Some(format!("remove the password of user {user}")),
        }
    }
    let granted = (!grants.is_empty()).then(|| format!("grant role {} to user {user}", listed(grants)));
    let revoked = (!revokes.is_empty()).then(|| format!("revoke role {} from user {user}", listed(revokes)));
    Some(listed([granted, revoked, password].into_iter().flatten()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::observed::auth::KeyAccess;

    fn reason(what: Option<String>) -> Vec<Reason> {
        let others = ["user app does does not exist", "role app does does not exist", "user ap lacks role x"];
        let texts = others.into_iter().map(str::to_owned).chain(what);
        texts.map(|what| Reason { what, place: String::new() }).collect()
    }

    #[test]
    fn every_fault_of_a_user_is_read_back() {
        let role = || RoleName::new("app");
        let all = [
            UserFault::Missing,
            UserFault::Lacks(role()),
            UserFault::Has(role()),
            UserFault::LacksPassword,
            UserFault::HasPassword,
        ];
        for fault in all {
            assert_eq!(UserFault::read(&fault.to_string()), Some(fault));
        }
        assert_eq!(UserFault::read("is tired"), None);
    }

    #[test]
    fn a_title_names_the_change_of_a_user() {
        let (user, app, old) = (UserName::new("app"), RoleName::new("app"), RoleName::new("old"));
        let keep = AuthAction::KeepUser { user: user.clone(), roles: [app.clone()].into(), password: false };
        let title = |faults: Vec<UserFault>| title(&keep, &reason(of_user(&user, faults)));
        assert_eq!(title(vec![UserFault::Missing]), "create user app with role app");
        assert_eq!(title(vec![UserFault::Lacks(app)]), "grant role app to user app");
        assert_eq!(title(vec![UserFault::LacksPassword]), "set the password of user app");
        assert_eq!(
            title(vec![UserFault::Has(old), UserFault::HasPassword]),
            "revoke role old from user app, remove the password of user app"
        );
        assert_eq!(title(vec![UserFault::Has(RoleName::new("a, b"))]), "set up user app with role app");
        assert_eq!(title(vec![]), "set up user app with role app");
    }

    #[test]
    fn a_title_names_the_change_of_a_role() {
        let role = RoleName::new("app");
        let permission = Permission::prefix("/app/", KeyAccess::Read);
        let keep = AuthAction::KeepRole { role: role.clone(), permissions: [permission.clone()].into() };
        let title = |faults: Vec<RoleFault>| title(&keep, &reason(of_role(&role, faults)));
        assert_eq!(title(vec![RoleFault::Missing]), "create role app: read prefix /app/");
        assert_eq!(
            title(vec![RoleFault::Lacks(permission)]),
            "change the permissions of role app to read prefix /app/"
        );
        assert_eq!(title(vec![]), "set up role app: read prefix /app/");
    }
}
