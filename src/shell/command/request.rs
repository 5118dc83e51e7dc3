//! What `plan` and `apply` can be asked for beyond what cluster.toml declares.

use crate::core::allowance::{AllowKind, Allowance};
use crate::core::cluster::quorum::Membership;
use crate::core::cluster::situation::Situation;
use crate::core::cluster::view::View;
use crate::core::cluster::{first_start, restoration};
use crate::core::desired::{AuthoritySource, Desired, Rotation};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{HostName, PeerUrl, UserName};
use crate::core::observed::{Observed, Seen};
use crate::core::plan::Plan;

#[derive(clap::Args, Clone, Debug, Default)]
pub struct RequestArgs {
    /// Restart this member even if nothing has changed; may be repeated
    ///
    /// The request is not remembered: if apply is killed before the restart, give the flag again.
    #[arg(long, value_name = "NODE")]
    pub restart: Vec<String>,

    /// Treat this member as permanently lost and replace it; may be repeated
    ///
    /// If quorum is permanently lost, name every lost member to plan a recovery from the most up-to-date survivor.
    #[arg(long, value_name = "NODE")]
    pub lost: Vec<String>,

    /// Allow one dangerous action by name; may be repeated
    ///
    /// KIND is remove-member, replace-member, remove-user, disable-auth, downgrade, lose-quorum, new-cluster or drop-old-ca.
    /// Unneeded flags are ignored. remove-user also adds the removal to the plan; without it, the user is only reported.
    /// Without drop-old-ca a CA rotation stops while both CAs are trusted.
    #[arg(long, value_name = "KIND:NAME")]
    pub allow: Vec<Allowance>,

    /// Skip the safety snapshot before irreversible steps
    ///
    /// By default a snapshot is saved on a node before any step that interrupts service or needs --allow, unless there is
    /// one from the last hour (before a restore: 15 minutes) or no member can be reached. Upgrades always save one.
    #[arg(long)]
    pub no_snapshot: bool,

    /// Reissue the certificates of this node (or of all nodes) even if they are not due; may be repeated
    #[arg(long, value_name = "NODE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub renew_certs: Vec<String>,

    /// Replace the CA and every certificate that it signed
    ///
    /// Members first trust both CAs and then get certificates of the new CA. There apply stops: clients that are not in
    /// [consumers] need ca.crt with both CAs and a new certificate first. With --allow drop-old-ca:CLUSTER the members then
    /// trust only the new CA. That is two rolling restarts; once begun, every apply continues the rotation.
    #[arg(long)]
    pub rotate_ca: bool,
}

impl RequestArgs {
    pub fn is_empty(&self) -> bool {
        let Self { restart, lost, allow: _, no_snapshot, renew_certs, rotate_ca } = self;
        restart.is_empty() && lost.is_empty() && renew_certs.is_empty() && !rotate_ca && !no_snapshot
    }

    /// `desired` with what is asked for.
    ///
    /// # Errors
    /// When a member that is to be restarted, or whose certificates are to be renewed, is not declared.
    pub fn added_to(&self, desired: &Desired) -> Result<Desired, Diagnostic> {
        let mut desired = desired.clone();
        for name in &self.restart {
            let name = HostName::new(name.as_str());
            if !desired.nodes.contains_key(&name) {
                return Err(unknown("--restart", &name, &desired));
            }
            desired.request.restarts.insert(name, None);
        }
        desired.request.no_snapshot |= self.no_snapshot;
        let users = self.allow.iter().filter(|allowed| allowed.kind == AllowKind::RemoveUser);
        desired.request.remove_users = users.map(|allowed| UserName::new(&allowed.name)).collect();
        let drop_old_ca = Allowance::new(AllowKind::DropOldCa, &desired.cluster.name);
        desired.request.drop_old_ca = self.allow.contains(&drop_old_ca);
        if self.rotate_ca {
            desired.request.rotation = Some(rotated(&desired)?);
        }
        for name in &self.renew_certs {
            desired.request.renewals.extend(renewed(&desired, name)?);
            if name.is_empty() {
                desired.request.consumer_renewals = desired.consumers.keys().map(|name| (name.clone(), None)).collect();
            }
        }
        desired.request.lost = self.lost.iter().map(|name| (HostName::new(name.as_str()), None)).collect();
        Ok(desired)
    }
}

/// Only an authority that quorate has made is one that it can make again.
fn rotated(desired: &Desired) -> Result<Rotation, Diagnostic> {
    if desired.previous_authority.is_some() {
        let failure = Diagnostic::new(Kind::Usage, "--rotate-ca: [ca.previous] already requests a change of CA");
        return Err(failure.hint("omit --rotate-ca; or remove [ca.previous] if no member trusts that CA any more"));
    }
    match desired.authority {
        AuthoritySource::Generated { .. } => Ok(Rotation::default()),
        AuthoritySource::Files { .. } | AuthoritySource::External { .. } => {
            Err(Diagnostic::new(Kind::Usage, "--rotate-ca: the CA of this cluster was not created by quorate"))
        }
        AuthoritySource::Node { .. } => {
            let refused = Diagnostic::new(Kind::Usage, "--rotate-ca: the CA of this cluster is stored on its nodes");
            Err(refused.hint(
                "copy ca.crt and ca.key from a node; then declare the new CA in [ca], and these files with `source = \
                 \"files\"` in [ca.previous]",
            ))
        }
        AuthoritySource::Vault(_) => {
            let refused = Diagnostic::new(Kind::Usage, "--rotate-ca: the CA of this cluster is in Vault");
            Err(refused.hint(
                "create the new one in Vault under another mount; then declare that `mount` in [ca], and the current \
                 one in [ca.previous]",
            ))
        }
    }
}

/// The nodes whose certificates are to be issued anew: one, or all.
fn renewed<T>(desired: &Desired, name: &str) -> Result<Vec<(HostName, Option<T>)>, Diagnostic> {
    if let AuthoritySource::External { .. } = desired.authority {
        let failure = Diagnostic::new(Kind::Usage, "--renew-certs: quorate does not issue this cluster's certificates");
        return Err(failure.hint("reissue them and replace the files: apply installs them"));
    }
    if name.is_empty() {
        return Ok(desired.nodes.keys().map(|name| (name.clone(), None)).collect());
    }
    let name = HostName::new(name);
    if !desired.nodes.contains_key(&name) {
        return Err(unknown("--renew-certs", &name, desired));
    }
    Ok(vec![(name, None)])
}

/// A node by its name, given to `word` on the command line.
///
/// # Errors
/// When none is declared under it.
pub(super) fn declared(word: &str, name: &str, desired: &Desired) -> Result<HostName, Diagnostic> {
    let name = HostName::new(name);
    if desired.nodes.contains_key(&name) { Ok(name) } else { Err(no_such_node(&format!("{word} {name}"), desired)) }
}

fn unknown(flag: &str, name: &HostName, desired: &Desired) -> Diagnostic {
    no_such_node(&format!("{flag}={name}"), desired)
}

fn no_such_node(asked: &str, desired: &Desired) -> Diagnostic {
    let known: Vec<_> = desired.nodes.keys().map(HostName::as_str).collect();
    Diagnostic::new(Kind::Usage, format!("{asked}: no such node")).hint(format!("the nodes are {}", known.join(", ")))
}

/// etcd learns the name of a member that was added by hand when that starts for the first time.
fn unknown_lost(name: &HostName, desired: &Desired, observed: &Observed) -> Diagnostic {
    let failure = unknown("--lost", name, desired);
    let Some(entry) = observed.answers().find_map(|(_, answer)| answer.unstarted_voter()) else { return failure };
    let urls = entry.peer_urls.iter().map(PeerUrl::as_str).collect::<Vec<_>>().join(", ");
    let what = format!("the voter that was added as {urls} (id {}) has never started, so it has no name", entry.id);
    failure.with_cause(what).hint("run `quorate plan` without --lost: it says how to remove that one")
}

/// Ties what is asked for to the processes and members that are there now, so that nothing is done twice; and the plan to who
/// leads now, and to the token that it shows.
///
/// # Errors
/// When a member that is called lost is neither declared nor known.
pub fn bind(desired: &mut Desired, observed: &Observed) -> Result<(), Diagnostic> {
    let membership = Membership::of(desired, observed);
    let mut request = std::mem::take(&mut desired.request);
    for (name, pid) in request.restarts.iter_mut().filter(|(_, pid)| pid.is_none()) {
        *pid = observed.host(name).and_then(|host| Some(host.process.as_ref()?.pid));
    }
    if let Some(rotation) = request.rotation.as_mut().filter(|rotation| rotation.from.is_none()) {
        let current = observed.workstation.authority.known().and_then(Option::as_ref);
        rotation.from = current.map(|authority| authority.fingerprint);
    }
    for (name, serials) in request.renewals.iter_mut().filter(|(_, serials)| serials.is_none()) {
        let certificates = observed.host(name).map(|host| &host.certificates);
        *serials = certificates.map(|of| of.iter().map(|(role, one)| (*role, one.serial.clone())).collect());
    }
    // Of one that cannot be seen nothing is known to renew.
    request.renewals.retain(|_, serials| serials.is_some());
    for (name, serial) in request.consumer_renewals.iter_mut().filter(|(_, serial)| serial.is_none()) {
        let files = observed.consumers.get(name).and_then(Seen::known);
        *serial = files.and_then(|files| Some(files.certificate.as_ref()?.serial.clone()));
    }
    request.consumer_renewals.retain(|_, serial| serial.is_some());
    // One that does not run is started anyway.
    request.restarts.retain(|_, pid| pid.is_some());
    for (name, id) in request.lost.iter_mut().filter(|(_, id)| id.is_none()) {
        if !desired.nodes.contains_key(name) && !observed.former.contains_key(name) {
            return Err(unknown_lost(name, desired, observed));
        }
        *id = membership.as_ref().and_then(|membership| membership.member_of(name)).map(|member| member.entry.id);
    }
    // A restore that was cut off goes on under its own token.
    if let Some(restore) = &mut request.restore
        && let Some(token) = restoration::begun(desired, observed, restore.digest)
    {
        restore.token = token;
    }
    let leader = membership.as_ref().and_then(Membership::leading_host).cloned();
    // Where no rotation is under way, nor wanted, it says nothing.
    let rotates = request.rotation.is_some() || desired.previous_authority.is_some();
    request.drop_old_ca &= rotates || observed.workstation.next.is_some();
    desired.request = request;
    desired.pinned.leader = desired.pinned.leader.take().or(leader);
    let view = View::new(desired, observed);
    let token = (view.situation == Situation::New).then(|| first_start::token(&view));
    desired.pinned.token = desired.pinned.token.take().or(token);
    Ok(())
}

/// `desired` with what a saved plan was asked for and made from, unless the command line asks for something as well.
///
/// # Errors
/// When it does: a saved plan is applied as it is.
pub fn of_saved(args: &RequestArgs, saved: &Plan, desired: Desired) -> Result<Desired, Diagnostic> {
    if args.is_empty() {
        return Ok(Desired { request: saved.request.clone(), pinned: saved.pinned.clone(), ..desired });
    }
    let what = "a saved plan already includes these requests";
    Err(Diagnostic::new(Kind::Usage, what)
        .hint("omit --restart, --renew-certs, --rotate-ca, --no-snapshot and --lost, or plan again with them"))
}
