//! What `plan` and `apply` can be asked for beyond what cluster.toml declares.

use crate::allowance::{AllowKind, Allowance};
use crate::capability::restore;
use crate::desired::{Desired, Request};
use crate::diagnostic::{Diagnostic, Kind};
use crate::names::{HostName, UserName};
use crate::observed::Observed;
use crate::quorum::Membership;

#[derive(clap::Args, Clone, Debug, Default)]
pub struct RequestArgs {
    /// Restart this member, although nothing about it has changed; may be repeated
    #[arg(long, value_name = "NODE")]
    pub restart: Vec<String>,

    /// This member will not come back: replace it; may be repeated
    ///
    /// Of a cluster that has lost its quorum for good, naming every lost member plans the recovery from the survivor
    /// that has seen the most.
    #[arg(long, value_name = "NODE")]
    pub lost: Vec<String>,

    /// Allow one dangerous thing by name; may be repeated
    ///
    /// KIND is remove-member, replace-member, remove-user, disable-auth, downgrade or lose-quorum. One that is not
    /// needed is no error. Only a user that may be removed changes the plan itself: without it the user is only told of.
    #[arg(long, value_name = "KIND:NAME")]
    pub allow: Vec<Allowance>,
}

impl RequestArgs {
    pub fn is_empty(&self) -> bool {
        self.restart.is_empty() && self.lost.is_empty()
    }

    /// `desired` with what is asked for.
    ///
    /// # Errors
    /// When a member that is to be restarted is not declared.
    pub fn added_to(&self, desired: &Desired) -> Result<Desired, Diagnostic> {
        let mut desired = desired.clone();
        for name in &self.restart {
            let name = HostName::new(name.as_str());
            if !desired.nodes.contains_key(&name) {
                return Err(unknown("--restart", &name, &desired));
            }
            desired.request.restarts.insert(name, None);
        }
        let users = self.allow.iter().filter(|allowed| allowed.kind == AllowKind::RemoveUser);
        desired.request.remove_users = users.map(|allowed| UserName::new(&allowed.name)).collect();
        desired.request.lost = self.lost.iter().map(|name| (HostName::new(name.as_str()), None)).collect();
        Ok(desired)
    }
}

fn unknown(flag: &str, name: &HostName, desired: &Desired) -> Diagnostic {
    let known: Vec<_> = desired.nodes.keys().map(HostName::as_str).collect();
    Diagnostic::new(Kind::Usage, format!("{flag}={name}: no such node"))
        .hint(format!("declared are {}", known.join(", ")))
}

/// Ties what is asked for to the processes and members that are there now, so that nothing is done twice.
///
/// # Errors
/// When a member that is called lost is neither declared nor known.
pub fn bind(desired: &mut Desired, observed: &Observed) -> Result<(), Diagnostic> {
    let membership = Membership::of(desired, observed);
    let mut request = std::mem::take(&mut desired.request);
    for (name, pid) in request.restarts.iter_mut().filter(|(_, pid)| pid.is_none()) {
        *pid = observed.host(name).and_then(|host| Some(host.process.as_ref()?.pid));
    }
    // One that does not run is started anyway.
    request.restarts.retain(|_, pid| pid.is_some());
    for (name, id) in request.lost.iter_mut().filter(|(_, id)| id.is_none()) {
        if !desired.nodes.contains_key(name) && !observed.former.contains_key(name) {
            return Err(unknown("--lost", name, desired));
        }
        *id = membership.as_ref().and_then(|membership| membership.member_of(name)).map(|member| member.entry.id);
    }
    // A restore that was cut off goes on under its own token.
    if let Some(restore) = &mut request.restore
        && let Some(token) = restore::begun(observed, restore.digest)
    {
        restore.token = token;
    }
    desired.request = request;
    Ok(())
}

/// What a saved plan was asked for, unless the command line asks for something as well.
///
/// # Errors
/// When it does: a saved plan is applied as it is.
pub fn of_saved(args: &RequestArgs, saved: &Request) -> Result<Request, Diagnostic> {
    if args.is_empty() {
        return Ok(saved.clone());
    }
    let what = "a saved plan already holds what is to be restarted or is lost";
    Err(Diagnostic::new(Kind::Usage, what).hint("leave --restart and --lost out, or plan again with them"))
}
