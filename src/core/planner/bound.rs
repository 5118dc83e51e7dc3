//! What an action is bound to beyond its own words: what it writes that only cluster.toml or this machine says, and what it
//! replaces. A plan that was saved is stale when any of it has changed.

use crate::core::cluster::leaf::{self, Wanted};
use crate::core::desired::Desired;
use crate::core::names::{Digest, HostName};
use crate::core::observed::{Authority, File, Observed, Seen};
use crate::core::plan::action::{Action, BackupAction, CertificateAction, ConsumerAction, FileAction, HostAction};

/// A digest of it, from the first look of a plan: what an earlier step of the plan makes is not known yet. Serials are left
/// out, which change by themselves. `None` where the action and the difference of its file say all.
pub fn bound(desired: &Desired, first: &Observed, action: &Action) -> Option<Digest> {
    let text = match action {
        Action::Host(HostAction::InstallBinaries { version, architecture, .. }) => {
            desired.archive_digest(*version, *architecture)?.to_string()
        }
        Action::Certificate(CertificateAction::InstallTrust { host, trust }) if trust.is_current() => {
            format!("{} {:?}", signer(first)?, on_host(first, host, File::Trust))
        }
        Action::Certificate(CertificateAction::Issue { host, role, also, .. }) => {
            let validity = desired.certificates.validity_seconds;
            let before = first.host(host).and_then(|host| host.certificates.get(role));
            let Wanted { common_name, names, usages, .. } = leaf::next_one(desired, host, *role, also, before);
            // The words are those of the first saved plans, whose ids stay.
            format!("Wanted {{ common_name: {common_name:?}, names: {names:?}, usages: {usages:?} }} {validity}")
        }
        Action::Certificate(CertificateAction::Install { host, role }) => {
            let given = first.workstation.given.as_ref()?.nodes.get(host)?.get(role)?;
            given.digest?.to_string()
        }
        Action::Consumer(ConsumerAction::Keep { consumer, .. }) => format!("{:?}", desired.consumers.get(consumer)?),
        Action::File(FileAction::RestoreAccess { host, file }) => on_host(first, host, *file)?.1,
        Action::File(FileAction::RestoreFolderAccess { host, folder }) => {
            format!("{:?}", first.host(host)?.folders.get(folder)?)
        }
        Action::Backup(BackupAction::InstallScript { host }) => {
            format!("{:?}", on_host(first, host, File::BackupScript))
        }
        // What a file is written over is in its difference; what is removed is a record of our own.
        Action::File(FileAction::Write { .. } | FileAction::Remove { .. })
        | Action::Authority(_)
        | Action::NodeCa(_)
        | Action::Host(
            HostAction::Prepare { .. }
            | HostAction::MakeFolders { .. }
            | HostAction::PullImage { .. }
            | HostAction::LinkTools { .. },
        )
        | Action::Certificate(CertificateAction::InstallTrust { .. })
        | Action::Service(_)
        | Action::Data(_)
        | Action::Member(_)
        | Action::Departure(_)
        | Action::Recovery(_)
        | Action::Snapshot(_)
        | Action::RaftLog(_)
        | Action::Restore(_)
        | Action::Backup(BackupAction::Enable { .. } | BackupAction::Remove { .. })
        | Action::Auth(_) => return None,
    };
    Some(Digest::of(text))
}

/// The authority that is here; one that is made on the way is not known yet.
fn signer(first: &Observed) -> Option<Digest> {
    first.workstation.authority.known().and_then(Option::as_ref).map(|Authority { fingerprint, .. }| *fingerprint)
}

/// What lies there, and who may read it.
fn on_host(first: &Observed, host: &HostName, file: File) -> Option<(Digest, String)> {
    let host = first.hosts.get(host).and_then(Seen::known)?;
    host.files.get(&file).map(|fact| (fact.digest, fact.access.to_string()))
}
