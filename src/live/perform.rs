//! One function for every action: what is done on a host, or here.

use crate::action::Action;
use crate::capability::certificates::wanted;
use crate::desired::AuthoritySource;
use crate::diagnostic::{Diagnostic, Kind};
use crate::layout;
use crate::live::lock::Lock;
use crate::live::remote::{Command, Remote, Verb, Warrant};
use crate::live::{Shared, cause, handover, now, pki};
use crate::names::{Architecture, HostName, Version};
use crate::observed::{Cause, File, Role};

/// Does one action.
pub(super) async fn perform(shared: &Shared, action: &Action) -> Result<(), Diagnostic> {
    let Some(host) = action.host() else {
        return create_authority(shared).await;
    };
    let lock = shared.lock().ok_or_else(|| not_locked(host, None))?;
    if !lock.covers(host) {
        let why = lock.skipped.iter().find(|(skipped, _)| skipped == host).map(|(_, cause)| cause);
        return Err(not_locked(host, why));
    }
    if let Action::Restart { .. } = action {
        handover::hand_over(shared, host).await?;
    }
    let command = command(shared, host, action).await?;
    run(shared, &lock, host, command, action).await
}

async fn run(
    shared: &Shared,
    lock: &Lock,
    host: &HostName,
    command: Command,
    action: &Action,
) -> Result<(), Diagnostic> {
    let connection = shared.connection(host).await.map_err(|error| told(cause::of_ssh(host, &error)))?;
    let remote = Remote { host, connection: &connection, elevation: shared.elevation };
    let warrant = Warrant { token: &lock.token, audit: lock.errand.audit(&action.to_string()) };
    remote.run(command, &warrant).await
}

async fn command(shared: &Shared, host: &HostName, action: &Action) -> Result<Command, Diagnostic> {
    let desired = &shared.desired;
    Ok(match action {
        Action::CreateAuthority => unreachable!("it changes no host"),
        Action::PrepareHost { .. } => Command::prepare(desired),
        Action::InstallBinaries { version, architecture, .. } => install(shared, *version, *architecture).await?,
        Action::LinkTools { version, .. } => Command::link_tools(desired, *version),
        Action::InstallTrust { .. } => Command::write(desired, File::Trust, signer(shared)?.certificate_pem()),
        Action::IssueCertificate { role, .. } => issue(shared, host, *role)?,
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

fn issue(shared: &Shared, host: &HostName, role: Role) -> Result<Command, Diagnostic> {
    let desired = &shared.desired;
    let wanted = wanted(desired, host, role);
    let issued = signer(shared)?.issue(&wanted, desired.certificates.validity_seconds, now())?;
    Ok(Command::replace_pair(desired, role, &issued.certificate_pem, &issued.key_pem))
}

async fn install(shared: &Shared, version: Version, architecture: Architecture) -> Result<Command, Diagnostic> {
    let package = shared.package(architecture).await.map_err(told)?;
    Ok(Command::install(&shared.desired.paths, version, &package))
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
