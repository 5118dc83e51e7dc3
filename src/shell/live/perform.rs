//! One function for every action: what is done on a host, or here.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::core::capability::certificates::{Wanted, client, wanted};
use crate::core::capability::rotation::{SignedBy, Trust};
use crate::core::content::Restoration;
use crate::core::content::layout;
use crate::core::desired::{AuthoritySource, Desired, Restore};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{Architecture, ConsumerName, Digest, HostName, Occasion, Version};
use crate::core::observed::{Cause, File, Role};
use crate::core::plan::action::Action;
use crate::shell::live::lock::Lock;
use crate::shell::live::pki::Issued;
use crate::shell::live::remote::{Command, Remote, Verb, Warrant};
use crate::shell::live::{
    Shared, backup, cause, consumers, handover, membership, now, pki, raft_log, reach, restored, users,
};

/// Does one action.
pub(super) async fn perform(shared: &Shared, action: &Action) -> Result<(), Diagnostic> {
    if action.changes_access() {
        return users::change(shared, &*shared.lock().ok_or_else(nobody_locked)?, action).await;
    }
    if let Action::ConfirmRestore = action {
        return restored::confirm(shared, &*shared.lock().ok_or_else(nobody_locked)?, &action.to_string()).await;
    }
    let Some(host) = action.host() else {
        return change_authority(shared, action).await;
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
    let done = run_on(shared, &lock, host, command, &action.to_string()).await;
    match action {
        Action::SaveSnapshot { before: Occasion::Change, .. } => done.map_err(with_a_way_on),
        _ => done,
    }
}

fn with_a_way_on(failure: Diagnostic) -> Diagnostic {
    match failure.hint {
        None => failure.hint("what comes next was not begun; `--no-snapshot` leaves the snapshot out"),
        Some(_) => failure,
    }
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
    remote.run(command, &warrant).await.map(drop)
}

async fn command(shared: &Shared, host: &HostName, action: &Action) -> Result<Command, Diagnostic> {
    let desired = &shared.desired;
    Ok(match action {
        Action::CreateAuthority
        | Action::CreateNextAuthority
        | Action::AdoptAuthority
        | Action::KeepRole { .. }
        | Action::KeepUser { .. }
        | Action::RemoveUser { .. }
        | Action::RemoveRole { .. }
        | Action::EnableAuth
        | Action::DisableAuth
        | Action::ConfirmRestore => unreachable!("it changes no host"),
        Action::CreateAuthorityOn { .. } => create_on(shared)?,
        Action::InstallAuthorityKey { .. } => install_key(shared).await?,
        Action::PrepareHost { .. } => Command::prepare(desired),
        Action::InstallBinaries { version, architecture, .. } => install(shared, *version, *architecture).await?,
        Action::LinkTools { version, .. } => Command::link_tools(desired, *version),
        Action::InstallTrust { trust, .. } => Command::write(desired, File::Trust, &trust_text(shared, *trust).await?),
        Action::IssueCertificate { role, also, by, .. } => issue(shared, host, *role, also, *by).await?,
        Action::InstallCertificate { role, .. } => install_pair(shared, host, *role).await?,
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
        Action::SaveSnapshot { before, .. } => {
            Command::snapshot(desired, *before, &backup::source(shared, host).await?)
        }
        Action::InstallBackupScript { .. } => Command::install_backup_script(desired),
        Action::EnableBackup { .. } => Command::enable_backup(),
        Action::RemoveBackup { .. } => Command::remove_backup(desired),
        Action::ForceNewCluster { .. } => Command::force_new_cluster(desired, &shared.running(host)),
        Action::KeepConsumer { consumer, issue, trust, by, .. } => {
            keep_consumer(shared, consumer, *issue, *trust, *by).await?
        }
    })
}

async fn change_authority(shared: &Shared, action: &Action) -> Result<(), Diagnostic> {
    let takes_the_place_of_another = shared.desired.previous_authority.is_some();
    if *action == Action::AdoptAuthority {
        reach::refuses_the_old(shared).await?;
        // Nothing lies here that has to be put in its place: cluster.toml says which it is.
        if takes_the_place_of_another {
            shared.is_replaced();
            return Ok(());
        }
    }
    let AuthoritySource::Generated { folder } = shared.desired.authority.clone() else {
        return Err(Diagnostic::failure("the declared authority is not one that quorate makes"));
    };
    let cluster = shared.desired.cluster.name.clone();
    let action = action.clone();
    let made = tokio::task::spawn_blocking(move || match action {
        Action::CreateNextAuthority if !takes_the_place_of_another => {
            pki::create_next(&folder, &cluster, now()).map(drop)
        }
        Action::AdoptAuthority => pki::adopt_next(&folder, now()),
        _ => pki::create(&folder, &cluster, now()).map(drop),
    });
    made.await.unwrap_or_else(|_| Err(Diagnostic::failure("making the authority ended half-way")))
}

/// A new pair. It is not kept here: the next look reads it from where it was put.
fn create_on(shared: &Shared) -> Result<Command, Diagnostic> {
    let (certificate, key) = pki::generate_authority(&shared.desired.cluster.name, now())
        .map_err(|why| Diagnostic::failure("no authority could be generated").because(why))?;
    Ok(Command::write_authority(&shared.desired, certificate.as_bytes(), key.as_bytes(), true))
}

async fn install_key(shared: &Shared) -> Result<Command, Diagnostic> {
    let none = || Diagnostic::failure("no node has the key of the authority");
    let found = shared.nodes.found(shared, now()).await.map_err(told)?.ok_or_else(none)?;
    Ok(Command::write_authority(&shared.desired, found.certificate.as_bytes(), &found.key, false))
}

/// The text of ca.crt.
async fn trust_text(shared: &Shared, trust: Trust) -> Result<String, Diagnostic> {
    let current = async || -> Result<String, Diagnostic> {
        Ok(shared.holding(now()).await?.anchor().certificate_pem().to_owned())
    };
    Ok(match trust {
        Trust::Current => current().await?,
        Trust::Next => shared.next(now()).await?.anchor().certificate_pem().to_owned(),
        Trust::Both => {
            let (current, next) = (current().await?, shared.next(now()).await?);
            let end = if current.ends_with('\n') { "" } else { "\n" };
            format!("{current}{end}{}", next.anchor().certificate_pem())
        }
    })
}

async fn issue(
    shared: &Shared,
    host: &HostName,
    role: Role,
    also: &BTreeSet<String>,
    by: SignedBy,
) -> Result<Command, Diagnostic> {
    let desired = &shared.desired;
    let issued = signed(shared, &wanted(desired, host, role, also), by).await?;
    lives_long_enough(desired, &issued, &format!("the {role} certificate of {host}"))?;
    Ok(Command::replace_pair(desired, role, &issued.certificate_pem, &issued.key_pem))
}

async fn signed(shared: &Shared, wanted: &Wanted, by: SignedBy) -> Result<Issued, Diagnostic> {
    let validity = shared.desired.certificates.validity_seconds;
    match by {
        SignedBy::Next => shared.issue_by_next(wanted, validity, now()).await,
        SignedBy::Current => shared.issue(wanted, validity, now()).await,
    }
}

async fn keep_consumer(
    shared: &Shared,
    name: &ConsumerName,
    issue: bool,
    trust: Trust,
    by: SignedBy,
) -> Result<Command, Diagnostic> {
    let desired = &shared.desired;
    let gone = || Diagnostic::failure(format!("{name} is not declared"));
    let consumer = desired.consumers.get(name).ok_or_else(gone)?;
    let authority = match consumer.authority {
        Some(_) => Some(trust_text(shared, trust).await?),
        None => None,
    };
    let issued = match issue {
        true => Some(signed(shared, &client(consumer.user.as_str()), by).await?),
        false => None,
    };
    if let Some(issued) = &issued {
        lives_long_enough(desired, issued, &format!("the certificate of {name}"))?;
    }
    let pair = issued.as_ref().map(|issued| (issued.certificate_pem.as_str(), &issued.key_pem));
    Ok(Command::keep_consumer(consumer, &consumers::due_marker(consumer), authority.as_deref(), pair))
}

/// What Vault's role allows may be so little that a certificate is due for renewal as soon as it is there: it would be
/// issued again and again.
fn lives_long_enough(desired: &Desired, issued: &Issued, whose: &str) -> Result<(), Diagnostic> {
    const DAY_SECONDS: u64 = 24 * 3600;
    let span = |seconds: u64| match (seconds + DAY_SECONDS / 2) / DAY_SECONDS {
        0 | 1 => humantime::format_duration(Duration::from_secs(seconds)).to_string(),
        days => format!("{days} days"),
    };
    let life = u64::try_from(issued.facts.not_after.0 - now().0).unwrap_or_default();
    let renew_before = desired.certificates.renew_before_seconds;
    if !issued.shortened || !matches!(desired.authority, AuthoritySource::Vault(_)) || life > renew_before {
        return Ok(());
    }
    let what = format!(
        "Vault gives {whose} {} only, and it is to be renewed {} before its end",
        span(life),
        span(renew_before)
    );
    let hint = "raise `max_ttl` of Vault's role (and of its mount), or declare a shorter `renew-before`";
    Err(Diagnostic::failure(what).at(desired.places.of("certificates.renew-before")).hint(hint))
}

/// Puts the pair in place that is given for a host, unless it has become another since it was looked at.
async fn install_pair(shared: &Shared, host: &HostName, role: Role) -> Result<Command, Diagnostic> {
    let failed =
        || Diagnostic::failure(format!("the {role} certificate of {host} cannot be installed")).at(host.as_str());
    let AuthoritySource::External { nodes, .. } = &shared.desired.authority else {
        return Err(failed().because("none is given"));
    };
    let pair = nodes.get(host).and_then(|pairs| pairs.get(&role)).ok_or_else(|| failed().because("none is given"))?;
    let known = [shared.holding(now()).await?.anchor().known()];
    // What the plan has checked may have been overwritten since.
    if let Some(fault) = pki::look_at_given(pair, &known).faults.into_iter().next() {
        return Err(failed().because(fault));
    }
    let text = pki::read_pair(pair).map_err(|why| failed().because(why))?;
    Ok(Command::replace_pair(&shared.desired, role, &text.certificate, &text.key))
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
