//! One function for every action: what is done on a host, or here.

use std::collections::BTreeSet;

use crate::action::Action;
use crate::capability::certificates::wanted;
use crate::content::Restoration;
use crate::desired::{AuthoritySource, Restore};
use crate::diagnostic::{Diagnostic, Kind};
use crate::layout;
use crate::live::lock::Lock;
use crate::live::remote::{Command, Remote, Verb, Warrant};
use crate::live::{Shared, backup, cause, handover, membership, now, pki, raft_log, restored, users};
use crate::names::{Architecture, Digest, HostName, Version};
use crate::observed::{Cause, File, Role};

/// Does one action.
pub(super) async fn perform(shared: &Shared, action: &Action) -> Result<(), Diagnostic> {
    if action.changes_access() {
        return users::change(shared, &*shared.lock().ok_or_else(nobody_locked)?, action).await;
    }
    if let Action::ConfirmRestore = action {
        return restored::confirm(shared, &*shared.lock().ok_or_else(nobody_locked)?, &action.to_string()).await;
    }
    let Some(host) = action.host() else {
        return create_authority(shared).await;
    };
    let lock = shared.lock().ok_or_else(|| not_locked(host, None))?;
    if action.changes_members() {
        return membership::change(shared, &lock, host, action).await;
    }
    cover(shared, &lock, host).await?;
    if let Action::FillLog { .. } = action {
        return raft_log::fill(shared, &lock, host, &action.to_string()).await;
    }
    if let Action::Restart { .. } = action {
        handover::hand_over(shared, host).await?;
    }
    let command = command(shared, host, action).await?;
    run_on(shared, &lock, host, command, &action.to_string()).await
}

/// Makes sure that the lock of `host` is ours. That of a machine which is not declared is taken when it is first needed.
async fn cover(shared: &Shared, lock: &Lock, host: &HostName) -> Result<(), Diagnostic> {
    if lock.covers(host) {
        return Ok(());
    }
    if shared.machines.get(host).is_some_and(|machine| !machine.declared) {
        let connection = shared.connection(host).await.map_err(|error| told(cause::of_ssh(host, &error)))?;
        lock.add(&Remote { host, connection: &connection, elevation: shared.elevation }).await?;
    }
    if lock.covers(host) {
        return Ok(());
    }
    let why = lock.skipped.iter().find(|(skipped, _)| skipped == host).map(|(_, cause)| cause);
    Err(not_locked(host, why))
}

/// Runs a command on `host` under our lock, with `what` in the host's log.
pub(super) async fn run_on(
    shared: &Shared,
    lock: &Lock,
    host: &HostName,
    command: Command,
    what: &str,
) -> Result<(), Diagnostic> {
    let connection = shared.connection(host).await.map_err(|error| told(cause::of_ssh(host, &error)))?;
    let remote = Remote { host, connection: &connection, elevation: shared.elevation };
    let warrant = Warrant { token: &lock.token, audit: lock.errand.audit(what) };
    remote.run(command, &warrant).await
}

async fn command(shared: &Shared, host: &HostName, action: &Action) -> Result<Command, Diagnostic> {
    let desired = &shared.desired;
    Ok(match action {
        Action::CreateAuthority
        | Action::KeepRole { .. }
        | Action::KeepUser { .. }
        | Action::RemoveUser { .. }
        | Action::RemoveRole { .. }
        | Action::EnableAuth
        | Action::DisableAuth
        | Action::ConfirmRestore => unreachable!("it changes no host"),
        Action::PrepareHost { .. } => Command::prepare(desired),
        Action::InstallBinaries { version, architecture, .. } => install(shared, *version, *architecture).await?,
        Action::LinkTools { version, .. } => Command::link_tools(desired, *version),
        Action::InstallTrust { .. } => Command::write(desired, File::Trust, signer(shared)?.certificate_pem()),
        Action::IssueCertificate { role, also, .. } => issue(shared, host, *role, also)?,
        Action::WriteFile { file, text, .. } => Command::write(desired, *file, text),
        Action::RestoreFileAccess { file, .. } => {
            Command::restore_access(&layout::path(desired, *file), layout::access(*file))
        }
        Action::RestoreFolderAccess { folder, .. } => {
            Command::restore_access(&layout::folder_path(desired, *folder), layout::folder_access(*folder))
        }
        Action::ReloadUnits { .. } => Command::service(Verb::Reload, &desired.paths),
        Action::EnableService { .. } => Command::service(Verb::Enable, &desired.paths),
        Action::Start { .. } => Command::service(Verb::Start, &desired.paths),
        Action::Restart { .. } => Command::service(Verb::Restart, &desired.paths),
        Action::AddMember { .. }
        | Action::Promote { .. }
        | Action::UpdatePeerUrl { .. }
        | Action::RemoveMember { .. } => unreachable!("it is done through a voter"),
        Action::Stop { .. } => Command::stop(desired),
        Action::SetDataAside { .. } => Command::set_data_aside(desired, "removed"),
        Action::SetOldDataAside { .. } => Command::set_data_aside(desired, "before-restore"),
        Action::PushSnapshot { digest, .. } => push(shared, *digest)?,
        Action::RestoreData { digest, token, .. } => {
            let bytes = wanted_snapshot(shared, *digest)?.bytes;
            Command::restore_data(desired, host, &Restoration { digest: *digest, token: token.clone() }, bytes)
        }
        Action::Retire { .. } => Command::retire(desired),
        Action::RemoveFile { file, .. } => Command::remove(desired, *file),
        Action::FillLog { .. } => unreachable!("it is done through the API"),
        Action::SaveSnapshot { before, .. } => snapshot(shared, host, *before)?,
        Action::InstallBackupScript { .. } => Command::install_backup_script(desired),
        Action::EnableBackup { .. } => Command::enable_backup(),
        Action::RemoveBackup { .. } => Command::remove_backup(desired),
        Action::ForceNewCluster { .. } => Command::force_new_cluster(desired, &shared.running(host)),
    })
}

async fn create_authority(shared: &Shared) -> Result<(), Diagnostic> {
    let AuthoritySource::Generated { folder } = shared.desired.authority.clone();
    let cluster = shared.desired.cluster.name.clone();
    let made = tokio::task::spawn_blocking(move || pki::create(&folder, &cluster, now()).map(drop));
    made.await.unwrap_or_else(|_| Err(Diagnostic::failure("making the authority ended half-way")))
}

fn signer(shared: &Shared) -> Result<pki::Signer, Diagnostic> {
    shared.load_authority(now()).map_err(told)?.ok_or_else(|| {
        let AuthoritySource::Generated { folder } = &shared.desired.authority;
        Diagnostic::failure(format!("there is no authority in {}", folder.display()))
    })
}

fn issue(shared: &Shared, host: &HostName, role: Role, also: &BTreeSet<String>) -> Result<Command, Diagnostic> {
    let desired = &shared.desired;
    let wanted = wanted(desired, host, role, also);
    let issued = signer(shared)?.issue(&wanted, desired.certificates.validity_seconds, now())?;
    Ok(Command::replace_pair(desired, role, &issued.certificate_pem, &issued.key_pem))
}

/// Through wherever the member answers, as whoever may read everything.
fn snapshot(shared: &Shared, host: &HostName, before: Version) -> Result<Command, Diagnostic> {
    let desired = &shared.desired;
    let client = signer(shared)?.operator(now())?;
    let place = shared.machines.get(host).and_then(|machine| machine.place());
    let endpoint = place.map_or_else(|| desired.client_url(host).to_string(), |place| place.url());
    Ok(Command::snapshot(desired, before, &shared.running(host), &endpoint, &client))
}

async fn install(shared: &Shared, version: Version, architecture: Architecture) -> Result<Command, Diagnostic> {
    let package = shared.package(version, architecture).await.map_err(told)?;
    Ok(Command::install(&shared.desired.paths, version, &package))
}

/// The snapshot that this run has checked.
fn wanted_snapshot(shared: &Shared, digest: Digest) -> Result<&Restore, Diagnostic> {
    let restore = shared.desired.request.restore.as_ref().filter(|restore| restore.digest == digest);
    restore.ok_or_else(|| Diagnostic::failure("the snapshot that is to be restored is not the one that was checked"))
}

fn push(shared: &Shared, digest: Digest) -> Result<Command, Diagnostic> {
    let restore = wanted_snapshot(shared, digest)?;
    let unpacked = backup::open(&restore.file)?;
    Ok(Command::push_snapshot(&shared.desired, restore, Box::new(unpacked)))
}

fn nobody_locked() -> Diagnostic {
    Diagnostic::new(Kind::Locked, "no host is locked by us").hint("run again")
}

fn not_locked(host: &HostName, why: Option<&Cause>) -> Diagnostic {
    let refused = Diagnostic::new(Kind::Locked, format!("the lock on {host} is not ours")).at(host.as_str());
    match why {
        Some(cause) => refused.because(cause.summary.clone()),
        None => refused.hint("the connection may have been lost: run again"),
    }
}

pub(super) fn told(cause: Cause) -> Diagnostic {
    let diagnostic = Diagnostic::new(cause.code.kind(), cause.summary);
    match cause.hint {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}
