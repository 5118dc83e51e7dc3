//! Who may do what: looked at through any voter that serves, and changed through one whose host is locked by us.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;

use crate::core::code::Code;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{HostName, RoleName, UserName, Version};
use crate::core::observed::auth::{AuthStore, Permission, User};
use crate::core::observed::{Answer, Cause, Host, Observed, Seen};
use crate::core::plan::action::AuthAction;
use crate::core::span;
use crate::shell::live::credentials::Credentials;
use crate::shell::live::etcd::{AuthState, Member, Objection, Refusal};
use crate::shell::live::hosts::Hosts;
use crate::shell::live::lock::Lock;
use crate::shell::live::mutex::guarded;
use crate::shell::live::password;
use crate::shell::live::remote::Command;
use crate::shell::live::voters::{Voter, voters};
use crate::shell::patience::{Awaited, Failed, Patience, Pauses};

/// For one question: an entry in the raft log.
const ASK_DEADLINE: Duration = Duration::from_secs(5);
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// An election, or somebody who changes something at the same time.
const PASSING_DEADLINE: Duration = Duration::from_secs(60);
const PAUSES: Pauses = Pauses::Every(Duration::from_millis(250));

/// What was seen last in this run, and when it is still so: asking anew costs an entry in the raft log for each user and
/// role, and each question for a password a line in etcd's log.
#[derive(Default)]
pub(super) struct Kept(Mutex<Option<(AuthState, AuthStore)>>);

/// What the cluster that was just looked at has; `None` when nothing is declared of it, or nobody there could say.
pub(super) async fn look(hosts: &Hosts, kept: &Kept, observed: &Observed) -> Option<Seen<AuthStore>> {
    hosts.desired.auth.as_ref()?;
    let answered = |host: &Host| host.answer().is_some_and(|answer| !answer.learner);
    if !observed.seen_hosts().any(|(_, host)| answered(host)) {
        return None;
    }
    let mut said = nobody();
    let serves = |answer: &Answer| answer.reads && !answer.learner;
    for (name, answer) in observed.answers().filter(|(_, answer)| serves(answer)) {
        let Some(member) = hosts.machines.get(name).and_then(|machine| machine.member()) else { continue };
        match ask(kept, &member, answer.cluster_version).await {
            Ok(store) => return Some(Seen::Known(store)),
            Err(cause) => said = cause,
        }
    }
    Some(Seen::Unknown(said))
}

fn nobody() -> Cause {
    Cause {
        code: Code::AuthUnknown,
        summary: "no member could be queried for its users".to_owned(),
        hint: Some("available once a voter has a leader".to_owned()),
    }
}

async fn ask(kept: &Kept, member: &Member, cluster: Option<Version>) -> Result<AuthStore, Cause> {
    let state = member.auth_state(cluster, ASK_DEADLINE).await?;
    let last = guarded(&kept.0).clone();
    if let Some((_, store)) = last.as_ref().filter(|(then, _)| state.revision.is_some() && *then == state) {
        return Ok(store.clone());
    }
    let mut store = member.auth_store(state.enabled, ASK_DEADLINE).await?;
    if state.enabled {
        // Where etcd does not say whether anything has changed, a password is asked for once in a run.
        let known = |name: &UserName| match &last {
            Some((then, store)) if then.revision.is_none() && *then == state => store.users.get(name)?.password,
            _ => None,
        };
        for (name, user) in &mut store.users {
            user.password = match known(name) {
                Some(has) => Some(has),
                None => member.has_password(name, ASK_DEADLINE).await,
            };
        }
    }
    *guarded(&kept.0) = Some((state, store.clone()));
    Ok(store)
}

/// Does an action that changes users, roles or authentication.
pub(super) async fn change(
    hosts: &Hosts,
    credentials: &Credentials,
    kept: &Kept,
    lock: &Lock,
    action: &AuthAction,
) -> Result<(), Diagnostic> {
    let secret = match action {
        AuthAction::KeepUser { user, password: true, .. } => Some(secret(hosts, user).await?),
        AuthAction::KeepUser { password: false, .. }
        | AuthAction::KeepRole { .. }
        | AuthAction::RemoveUser { .. }
        | AuthAction::RemoveRole { .. }
        | AuthAction::Enable
        | AuthAction::Disable => None,
    };
    let given_up = |Awaited { deadline, why, .. }: Awaited| {
        let what = format!("{action}: gave up after {}", span::limit(deadline));
        Diagnostic::failure(what).with_cause(why.summary).hint("run `quorate plan` to see the current state")
    };
    let mut patience = Patience::new(PASSING_DEADLINE, PAUSES);
    loop {
        let tried = attempt(hosts, credentials, lock, action, secret.as_ref()).await;
        // Whatever was seen before may be different now.
        *guarded(&kept.0) = None;
        if let Some(ended) = patience.after(tried).await {
            return ended.map_err(|failed| failed.or(given_up));
        }
    }
}

async fn secret(hosts: &Hosts, user: &UserName) -> Result<SecretString, Diagnostic> {
    let declared = hosts.desired.auth.as_ref().and_then(|auth| auth.users.get(user)?.password.as_ref());
    let source = declared.ok_or_else(|| Diagnostic::failure(format!("no password is configured for user {user}")))?;
    password::fetch(user, source).await
}

fn passing(why: Diagnostic) -> Failed {
    Failed::Yet(Awaited { until: "etcd takes the change", deadline: PASSING_DEADLINE, why })
}

impl From<Refusal> for Failed {
    fn from(Refusal { objection, failure }: Refusal) -> Self {
        match objection {
            Objection::Passing | Objection::Behind | Objection::Lost => passing(failure),
            Objection::AlreadySo | Objection::Final => Self::Now(failure),
        }
    }
}

async fn attempt(
    hosts: &Hosts,
    credentials: &Credentials,
    lock: &Lock,
    action: &AuthAction,
    secret: Option<&SecretString>,
) -> Result<(), Failed> {
    let voters = voters(hosts, credentials).await;
    let voter = voters.iter().find(|voter| lock.covers(&voter.host));
    let Voter { host, member, answer, .. } = voter.ok_or_else(|| passing(nobody_locked(&voters)))?;
    audit(hosts, lock, host, action).await?;
    match action {
        AuthAction::KeepRole { role, permissions } => {
            keep_role(member, answer.cluster_version, role, permissions).await
        }
        AuthAction::KeepUser { user, roles, .. } => {
            keep_user(member, answer.cluster_version, user, roles, secret).await
        }
        AuthAction::RemoveUser { user } => Ok(settled(member.delete_user(user, CALL_DEADLINE).await)?),
        AuthAction::RemoveRole { role, .. } => Ok(settled(member.delete_role(role, CALL_DEADLINE).await)?),
        AuthAction::Enable => Ok(settled(member.set_auth(true, CALL_DEADLINE).await)?),
        AuthAction::Disable => Ok(settled(member.set_auth(false, CALL_DEADLINE).await)?),
    }
}

fn nobody_locked(voters: &[Voter]) -> Diagnostic {
    Diagnostic::failure(match voters.first() {
        None => "no voter answers that has a leader and serves reads".to_owned(),
        Some(voter) => format!("only {} answers, and its host is not locked", voter.host),
    })
}

/// Nothing is asked without our lock on the host of whom we ask, and without a line in its log.
async fn audit(hosts: &Hosts, lock: &Lock, host: &HostName, action: &AuthAction) -> Result<(), Failed> {
    let what = format!("ask etcd to {action}");
    hosts.run(lock, host, Command::nothing(), &what).await.map_err(Failed::from)
}

/// What is so already was perhaps brought about by an earlier try.
fn settled(asked: Result<(), Refusal>) -> Result<(), Refusal> {
    match asked {
        Err(Refusal { objection: Objection::AlreadySo, .. }) => Ok(()),
        asked => asked,
    }
}

async fn store(member: &Member, cluster: Option<Version>) -> Result<AuthStore, Failed> {
    let asked = async {
        let AuthState { enabled, .. } = member.auth_state(cluster, ASK_DEADLINE).await?;
        member.auth_store(enabled, ASK_DEADLINE).await
    };
    asked.await.map_err(|cause: Cause| passing(cause.into()))
}

/// Grants before it revokes, so that nobody lacks for a moment what it has before and after.
async fn keep_role(
    member: &Arc<Member>,
    cluster: Option<Version>,
    role: &RoleName,
    wanted: &BTreeSet<Permission>,
) -> Result<(), Failed> {
    let roles: BTreeMap<_, _> = store(member, cluster).await?.roles;
    if !roles.contains_key(role) {
        settled(member.add_role(role, CALL_DEADLINE).await)?;
    }
    let nothing = BTreeSet::new();
    let has = roles.get(role).unwrap_or(&nothing);
    for permission in wanted.difference(has) {
        member.grant(role, permission, CALL_DEADLINE).await?;
    }
    let others = has.iter().filter(|permission| !wanted.iter().any(|wanted| wanted.has_keys_of(permission)));
    for permission in others {
        settled(member.revoke(role, permission, CALL_DEADLINE).await)?;
    }
    Ok(())
}

/// A user of the wrong kind, with a password or without, is made anew.
async fn keep_user(
    member: &Arc<Member>,
    cluster: Option<Version>,
    user: &UserName,
    wanted: &BTreeSet<RoleName>,
    secret: Option<&SecretString>,
) -> Result<(), Failed> {
    let AuthStore { enabled, users, .. } = store(member, cluster).await?;
    let mut is = users.get(user).cloned();
    if enabled && is.is_some() && crate::core::capability::users::may_be_made_anew(user) {
        let has = member.has_password(user, ASK_DEADLINE).await;
        if has.is_some_and(|has| has != secret.is_some()) {
            settled(member.delete_user(user, CALL_DEADLINE).await)?;
            is = None;
        }
    }
    if is.is_none() {
        settled(member.add_user(user, secret, CALL_DEADLINE).await)?;
    }
    let User { roles, .. } = is.unwrap_or_default();
    for role in wanted.difference(&roles) {
        member.grant_role(user, role, CALL_DEADLINE).await?;
    }
    for role in roles.difference(wanted) {
        settled(member.revoke_role(user, role, CALL_DEADLINE).await)?;
    }
    Ok(())
}
