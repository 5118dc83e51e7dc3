//! One function for every family of actions: what is done on a host, or here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::core::cluster::leaf::{Wanted, client, next_one, wanted};
use crate::core::content::Restoration;
use crate::core::content::layout;
use crate::core::desired::{AuthoritySource, Desired, Place, Restore};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{Architecture, ClusterName, ConsumerName, Digest, HostName, RemotePath, Version};
use crate::core::observed::{Cause, File, Role};
use crate::core::plan::action::{
    Action, AuthorityAction, BackupAction, CertificateAction, ConsumerAction, DataAction, DepartureAction, FileAction,
    HostAction, NodeCaAction, RaftLogAction, RecoveryAction, RestoreAction, ServiceAction, SignedBy, SnapshotAction,
    Trust,
};
use crate::core::span;
use crate::shell::clock::now;
use crate::shell::live::credentials::Credentials;
use crate::shell::live::hosts::Hosts;
use crate::shell::live::lock::Lock;
use crate::shell::live::pki::Issued;
use crate::shell::live::remote::{self, Command};
use crate::shell::live::{Live, backup, handover, membership, pki, raft_log, reach, restored, users};

/// Does one action.
pub(super) async fn perform(live: &Live, action: &Action) -> Result<(), Diagnostic> {
    let Live { hosts, credentials, users: kept, .. } = live;
    let desired = &hosts.desired;
    match action {
        Action::Authority(action) => change_authority(hosts, credentials, *action).await,
        Action::NodeCa(action) => run(hosts, action.host(), action, node_ca(desired, credentials, action)).await,
        Action::Host(action) => run(hosts, action.host(), action, prepare(live, action)).await,
        Action::Certificate(action) => run(hosts, action.host(), action, certificate(hosts, credentials, action)).await,
        Action::File(action) => run(hosts, action.host(), action, async { Ok(file(desired, action)) }).await,
        Action::Service(action) => run(hosts, action.host(), action, service(hosts, credentials, action)).await,
        Action::Data(action) => run(hosts, action.host(), action, data(hosts, credentials, action)).await,
        Action::Member(action) => {
            let lock = hosts.lock().ok_or_else(|| not_locked(action.host(), None))?;
            membership::change(hosts, credentials, &lock, action).await
        }
        Action::Departure(action) => run(hosts, action.host(), action, async { Ok(departure(desired, action)) }).await,
        Action::Recovery(action @ RecoveryAction::ForceNewCluster { host }) => {
            run(hosts, host, action, async { Ok(Command::force_new_cluster(desired, &hosts.running(host))) }).await
        }
        Action::Snapshot(action) => save(hosts, credentials, action).await,
        Action::RaftLog(action @ RaftLogAction::Fill { host, .. }) => {
            let lock = covered(hosts, host).await?;
            raft_log::fill(hosts, credentials, &lock, host, &action.to_string()).await
        }
        Action::Restore(action) => restore(hosts, credentials, action).await,
        Action::Consumer(action) => run(hosts, action.host(), action, consumer(desired, credentials, action)).await,
        Action::Backup(action) => run(hosts, action.host(), action, async { Ok(scheduled(desired, action)) }).await,
        Action::Auth(action) => {
            let lock = hosts.lock().ok_or_else(nobody_locked)?;
            users::change(hosts, credentials, kept, &lock, action).await
        }
    }
}

/// Runs a command on a host, which is made once the host is known to be locked by us.
async fn run(
    hosts: &Hosts,
    host: &HostName,
    what: &impl ToString,
    command: impl Future<Output = Result<Command, Diagnostic>>,
) -> Result<(), Diagnostic> {
    let lock = covered(hosts, host).await?;
    hosts.run(&lock, host, command.await?, &what.to_string()).await
}

fn with_a_way_on(failure: Diagnostic) -> Diagnostic {
    match failure.hint {
        None => failure.hint("the next step was not started; pass `--no-snapshot` to skip the snapshot"),
        Some(_) => failure,
    }
}

/// Our lock, once it is sure that `host` is locked by us. A machine that is not declared is locked when it is first needed.
async fn covered(hosts: &Hosts, host: &HostName) -> Result<Arc<Lock>, Diagnostic> {
    let lock = hosts.lock().ok_or_else(|| not_locked(host, None))?;
    if lock.covers(host) {
        return Ok(lock);
    }
    if hosts.machines.get(host).is_some_and(|machine| !machine.declared) {
        lock.add(&hosts.on(host).await?).await?;
    }
    if lock.covers(host) {
        return Ok(lock);
    }
    let why = lock.skipped.iter().find(|(skipped, _)| skipped == host).map(|(_, cause)| cause);
    Err(not_locked(host, why))
}

async fn node_ca(desired: &Desired, credentials: &Credentials, action: &NodeCaAction) -> Result<Command, Diagnostic> {
    let AuthoritySource::Node { certificate, key } = &desired.authority else {
        return Err(Diagnostic::failure("the CA in [ca] is not stored on the nodes"));
    };
    let paths = [certificate, key];
    match action {
        NodeCaAction::CreateAuthority { .. } => create_at(paths, &desired.cluster.name),
        NodeCaAction::InstallKey { .. } => install_key(paths, credentials).await,
    }
}

async fn prepare(live: &Live, action: &HostAction) -> Result<Command, Diagnostic> {
    let desired = &live.hosts.desired;
    Ok(match action {
        HostAction::Prepare { .. } | HostAction::MakeFolders { .. } => Command::prepare(desired),
        HostAction::InstallBinaries { version, architecture, .. } => install(live, *version, *architecture).await?,
        HostAction::PullImage { image, .. } => Command::pull_image(image),
        HostAction::LinkTools { version, .. } => Command::link_tools(desired, *version),
    })
}

async fn certificate(
    hosts: &Hosts,
    credentials: &Credentials,
    action: &CertificateAction,
) -> Result<Command, Diagnostic> {
    let desired = &hosts.desired;
    match action {
        CertificateAction::InstallTrust { host, trust, .. } => {
            Ok(Command::write(desired, host, File::Trust, &trust_text(credentials, *trust).await?))
        }
        CertificateAction::Issue { host, role, also, by } => issue(hosts, credentials, host, *role, also, *by).await,
        CertificateAction::Install { host, role } => install_pair(desired, credentials, host, *role).await,
    }
}

fn file(desired: &Desired, action: &FileAction) -> Command {
    match action {
        FileAction::Write { host, file, text } => Command::write(desired, host, *file, text),
        FileAction::RestoreAccess { host, file } => {
            Command::restore_access(&layout::path(desired, host, *file), layout::access(*file))
        }
        FileAction::RestoreFolderAccess { folder, .. } => {
            Command::restore_access(&layout::folder_path(desired, *folder), layout::folder_access(*folder))
        }
        FileAction::Remove { host, file } => Command::remove(desired, host, *file),
    }
}

async fn service(hosts: &Hosts, credentials: &Credentials, action: &ServiceAction) -> Result<Command, Diagnostic> {
    let desired = &hosts.desired;
    Ok(match action {
        ServiceAction::ReloadUnits { .. } => Command::reload(desired),
        ServiceAction::Enable { .. } => Command::enable(desired),
        ServiceAction::Start { .. } => Command::start(desired),
        ServiceAction::Restart { host } => {
            handover::hand_over(hosts, credentials, host).await?;
            Command::restart(desired)
        }
        ServiceAction::LayManifest { text, .. } => Command::write_manifest_aside(desired, text),
        ServiceAction::ReplaceManifest { host, text } => {
            handover::hand_over(hosts, credentials, host).await?;
            Command::replace_manifest(desired, text)
        }
        ServiceAction::Stop { .. } => Command::stop(desired),
    })
}

async fn data(hosts: &Hosts, credentials: &Credentials, action: &DataAction) -> Result<Command, Diagnostic> {
    let DataAction::Move { host, from, .. } = action;
    let bytes = reach::of_reachable(hosts, credentials, host).await.map(|(_, answer)| answer.database_bytes);
    handover::hand_over(hosts, credentials, host).await?;
    Ok(Command::move_data(&hosts.desired, from, bytes))
}

fn departure(desired: &Desired, action: &DepartureAction) -> Command {
    match action {
        DepartureAction::SetDataAside { .. } => Command::set_data_aside(desired, "removed"),
        DepartureAction::Retire { host, .. } => Command::retire(desired, host),
    }
}

async fn save(hosts: &Hosts, credentials: &Credentials, action: &SnapshotAction) -> Result<(), Diagnostic> {
    let SnapshotAction::Save { host, before } = action;
    let lock = covered(hosts, host).await?;
    let command = Command::snapshot(&hosts.desired, *before, &backup::source(hosts, credentials, host).await?);
    let done = hosts.run(&lock, host, command, &action.to_string()).await;
    if action.is_precaution() { done.map_err(with_a_way_on) } else { done }
}

async fn restore(hosts: &Hosts, credentials: &Credentials, action: &RestoreAction) -> Result<(), Diagnostic> {
    let desired = &hosts.desired;
    match action {
        RestoreAction::PushSnapshot { host, digest } => {
            run(hosts, host, action, async { push(desired, *digest) }).await
        }
        RestoreAction::SetOldDataAside { host } => {
            run(hosts, host, action, async { Ok(Command::set_data_aside(desired, "before-restore")) }).await
        }
        RestoreAction::RestoreData { host, digest, token } => {
            let command = async {
                let bytes = wanted_snapshot(desired, *digest)?.bytes;
                let restoration = Restoration { digest: *digest, token: token.clone() };
                Ok(Command::restore_data(desired, host, &restoration, bytes))
            };
            run(hosts, host, action, command).await
        }
        RestoreAction::Confirm => {
            let lock = hosts.lock().ok_or_else(nobody_locked)?;
            restored::confirm(hosts, credentials, &lock, &action.to_string()).await
        }
    }
}

async fn consumer(
    desired: &Desired,
    credentials: &Credentials,
    action: &ConsumerAction,
) -> Result<Command, Diagnostic> {
    let ConsumerAction::Keep { consumer, issue, trust, by, .. } = action;
    keep_consumer(desired, credentials, consumer, *issue, *trust, *by).await
}

fn scheduled(desired: &Desired, action: &BackupAction) -> Command {
    match action {
        BackupAction::InstallScript { host } => Command::install_backup_script(desired, host),
        BackupAction::Enable { .. } => Command::enable_backup(),
        BackupAction::Remove { .. } => Command::remove_backup(desired),
    }
}

async fn change_authority(hosts: &Hosts, credentials: &Credentials, action: AuthorityAction) -> Result<(), Diagnostic> {
    let takes_the_place_of_another = hosts.desired.previous_authority.is_some();
    if action == AuthorityAction::Adopt {
        reach::refuses_the_old(hosts, credentials).await?;
        // Nothing lies here that has to be put in its place: cluster.toml says which it is.
        if takes_the_place_of_another {
            credentials.note_replaced();
            return Ok(());
        }
    }
    let AuthoritySource::Generated { folder } = hosts.desired.authority.clone() else {
        return Err(Diagnostic::failure("the CA in [ca] is not created by quorate"));
    };
    let cluster = hosts.desired.cluster.name.clone();
    let opener = Arc::clone(&credentials.openers().authority);
    let made = tokio::task::spawn_blocking(move || match action {
        AuthorityAction::CreateNext if !takes_the_place_of_another => {
            pki::create_next_with(&folder, &cluster, &opener, now()).map(drop)
        }
        AuthorityAction::Adopt => pki::adopt_next_with(&folder, &opener, now()),
        AuthorityAction::Create | AuthorityAction::CreateNext => {
            pki::create_with(&folder, &cluster, &opener, now()).map(drop)
        }
    });
    made.await.unwrap_or_else(|_| Err(Diagnostic::failure("creating the CA was interrupted")))
}

/// A new pair. It is not kept here: the next look reads it from where it was put.
fn create_at(paths: [&RemotePath; 2], cluster: &ClusterName) -> Result<Command, Diagnostic> {
    let (certificate, key) = pki::generate_authority(cluster, now())
        .map_err(|why| Diagnostic::failure("no CA could be created").with_cause(why))?;
    Ok(Command::write_authority(paths, [certificate.as_bytes(), key.as_bytes()], true))
}

async fn install_key(paths: [&RemotePath; 2], credentials: &Credentials) -> Result<Command, Diagnostic> {
    let none = || Diagnostic::failure("no node has the CA key");
    let found = credentials.on_nodes(now()).await?.ok_or_else(none)?;
    Ok(Command::write_authority(paths, [found.certificate.as_bytes(), &found.key], false))
}

/// The text of ca.crt.
async fn trust_text(credentials: &Credentials, trust: Trust) -> Result<String, Diagnostic> {
    let current = async || -> Result<String, Diagnostic> {
        Ok(credentials.ca(now()).await?.certificate().certificate_pem().to_owned())
    };
    Ok(match trust {
        Trust::Current => current().await?,
        Trust::Next => credentials.next(now()).await?.certificate().certificate_pem().to_owned(),
        Trust::Both => {
            let (current, next) = (current().await?, credentials.next(now()).await?);
            let end = if current.ends_with('\n') { "" } else { "\n" };
            format!("{current}{end}{}", next.certificate().certificate_pem())
        }
    })
}

async fn issue(
    hosts: &Hosts,
    credentials: &Credentials,
    host: &HostName,
    role: Role,
    also: &BTreeSet<String>,
    by: SignedBy,
) -> Result<Command, Diagnostic> {
    let desired = &hosts.desired;
    let wanted = match layout::is_theirs(desired, role.certificate()) {
        true => another_like(hosts, host, role, also).await?,
        false => wanted(desired, host, role, also),
    };
    let issued = signed(desired, credentials, &wanted, by).await?;
    lives_long_enough(desired, &issued, &format!("the {role} certificate of {host}"))?;
    Ok(Command::replace_pair(desired, host, role, &issued.certificate_pem, &issued.key_pem))
}

/// What is to take the place of the certificate that lies on a host now, whoever issued that; the first one is quorate's own.
async fn another_like(
    hosts: &Hosts,
    host: &HostName,
    role: Role,
    also: &BTreeSet<String>,
) -> Result<Wanted, Diagnostic> {
    let path = layout::path(&hosts.desired, host, role.certificate());
    let what = format!("reading {path}");
    let script = remote::with_arguments(include_str!("script/certificates.sh"), ["1", "certificate", path.as_str()]);
    let read = hosts.on(host).await?.exec(&what, &script, Vec::new(), READING_TAKES).await;
    let text = read.map_err(|unrun| unrun.cause(host, &what))?.stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (is, is_set_up) = (pki::certificate_facts(&text, None, &[]), hosts.desired.cluster.layout.is_set_up_by_us());
    if is.is_none() && is_set_up {
        return Ok(wanted(&hosts.desired, host, role, also));
    }
    let is_none = || Diagnostic::failure(format!("{path} holds no certificate any more")).at(host.as_str());
    let is = is.ok_or_else(is_none)?;
    Ok(Wanted { like: Some(text), ..next_one(&hosts.desired, host, role, &BTreeSet::new(), Some(&is)) })
}

const READING_TAKES: Duration = Duration::from_secs(30);

async fn signed(
    desired: &Desired,
    credentials: &Credentials,
    wanted: &Wanted,
    by: SignedBy,
) -> Result<Issued, Diagnostic> {
    let validity = desired.certificates.validity_seconds;
    match by {
        SignedBy::Next => credentials.issue_by_next(wanted, validity, now()).await,
        SignedBy::Current => credentials.issue(wanted, validity, now()).await,
    }
}

async fn keep_consumer(
    desired: &Desired,
    credentials: &Credentials,
    name: &ConsumerName,
    issue: bool,
    trust: Trust,
    by: SignedBy,
) -> Result<Command, Diagnostic> {
    let gone = || Diagnostic::failure(format!("{name} is not declared"));
    let consumer = desired.consumers.get(name).ok_or_else(gone)?;
    let authority = match consumer.authority {
        Some(_) => Some(trust_text(credentials, trust).await?),
        None => None,
    };
    let issued = match issue {
        true => Some(signed(desired, credentials, &client(consumer.user.as_str()), by).await?),
        false => None,
    };
    if let Some(issued) = &issued {
        lives_long_enough(desired, issued, &format!("the certificate of {name}"))?;
    }
    let pair = issued.as_ref().map(|issued| (issued.certificate_pem.as_str(), &issued.key_pem));
    Ok(Command::keep_consumer(consumer, &layout::reload_due(consumer), authority.as_deref(), pair))
}

/// What Vault's role allows may be so little that a certificate is due for renewal as soon as it is there: it would be
/// issued again and again.
fn lives_long_enough(desired: &Desired, issued: &Issued, whose: &str) -> Result<(), Diagnostic> {
    const DAY_SECONDS: u64 = 24 * 3600;
    let rounded = |seconds: u64| match (seconds + DAY_SECONDS / 2) / DAY_SECONDS {
        0 | 1 => span::age(i64::try_from(seconds).unwrap_or(i64::MAX)),
        days => format!("{days} days"),
    };
    let life = u64::try_from(issued.facts.not_after.0 - now().0).unwrap_or_default();
    let renew_before = desired.certificates.renew_before_seconds;
    if !issued.shortened || !matches!(desired.authority, AuthoritySource::Vault(_)) || life > renew_before {
        return Ok(());
    }
    let what = format!(
        "Vault limits {whose} to {}, but it is to be renewed {} before it expires",
        rounded(life),
        rounded(renew_before)
    );
    let hint = "raise `max_ttl` of the Vault role (and of its mount), or set a shorter `renew-before`";
    Err(Diagnostic::failure(what).at(desired.places.of(Place::RenewBefore)).hint(hint))
}

/// Puts the pair in place that is given for a host, unless it has become another since it was looked at.
async fn install_pair(
    desired: &Desired,
    credentials: &Credentials,
    host: &HostName,
    role: Role,
) -> Result<Command, Diagnostic> {
    let failed = || Diagnostic::failure(format!("cannot install the {role} certificate of {host}")).at(host.as_str());
    let AuthoritySource::External { nodes, .. } = &desired.authority else {
        return Err(failed().with_cause("none is configured"));
    };
    let pair =
        nodes.get(host).and_then(|pairs| pairs.get(&role)).ok_or_else(|| failed().with_cause("none is configured"))?;
    let known = [credentials.ca(now()).await?.certificate().known()];
    // What the plan has checked may have been overwritten since.
    if let Some(fault) = pki::look_at_given(pair, &known).faults.into_iter().next() {
        return Err(failed().with_cause(fault));
    }
    let text = pki::read_pair(pair).map_err(|why| failed().with_cause(why))?;
    Ok(Command::replace_pair(desired, host, role, &text.certificate, &text.key))
}

async fn install(live: &Live, version: Version, architecture: Architecture) -> Result<Command, Diagnostic> {
    let desired = &live.hosts.desired;
    let package = live.packages.get(desired, version, architecture).await?;
    Ok(Command::install(&desired.paths, version, &package))
}

/// The snapshot that this run has checked.
fn wanted_snapshot(desired: &Desired, digest: Digest) -> Result<&Restore, Diagnostic> {
    let restore = desired.request.restore.as_ref().filter(|restore| restore.digest == digest);
    restore.ok_or_else(|| Diagnostic::failure("the snapshot to restore is not the one that was verified"))
}

fn push(desired: &Desired, digest: Digest) -> Result<Command, Diagnostic> {
    let restore = wanted_snapshot(desired, digest)?;
    let unpacked = backup::open(&restore.file)?;
    Ok(Command::push_snapshot(desired, restore, Box::new(unpacked)))
}

fn nobody_locked() -> Diagnostic {
    Diagnostic::new(Kind::Locked, "this run holds no lock").hint("run the command again")
}

fn not_locked(host: &HostName, why: Option<&Cause>) -> Diagnostic {
    let refused = Diagnostic::new(Kind::Locked, format!("this run does not hold the lock on {host}")).at(host.as_str());
    match why {
        Some(cause) => {
            let refused = refused.with_cause(cause.summary.clone());
            match &cause.hint {
                Some(hint) => refused.hint(hint.clone()),
                None => refused,
            }
        }
        None => refused.hint("the connection may have been lost: run the command again"),
    }
}
