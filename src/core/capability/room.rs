//! What each action writes, and whether there is room for it: one that needs more than is free is not done, and nothing is
//! begun that only it could finish.

use crate::core::cluster::room::{self, Need};
use crate::core::content::layout;
use crate::core::desired::Desired;
use crate::core::names::HostName;
use crate::core::observed::{Observed, Room, Stored};
use crate::core::plan::action::{
    Action, BackupAction, CertificateAction, DataAction, FileAction, HostAction, NodeCaAction, RestoreAction,
    SnapshotAction,
};
use crate::core::plan::ruling::{Blocked, Draft};

/// Of a draft those actions for which there is room, if any, and why the others are not done.
pub fn affordable(desired: &Desired, observed: &Observed, mut draft: Draft) -> (Option<Draft>, Vec<Blocked>) {
    let mut blocked = Vec::new();
    draft.actions.retain(|action| {
        let refusal = refusal(desired, observed, action);
        let fits = refusal.is_none();
        blocked.extend(refusal);
        fits
    });
    ((!draft.actions.is_empty()).then_some(draft), blocked)
}

fn refusal(desired: &Desired, observed: &Observed, action: &Action) -> Option<Blocked> {
    let (name, need) = need(desired, observed, action)?;
    let host = observed.host(name)?;
    room::refusal(desired, name, host, &[need], &format!("no room to {action} on {name}"))
}

/// What it writes, and on which host. What removes or moves something, and what etcd is asked for, needs nothing.
fn need<'a>(desired: &Desired, observed: &Observed, action: &'a Action) -> Option<(&'a HostName, Need)> {
    let snapshot = || desired.request.restore.as_ref().map_or(0, |restore| restore.bytes);
    match action {
        Action::Host(HostAction::Prepare { host } | HostAction::MakeFolders { host }) => {
            Some((host, Need::files(Stored::Config)))
        }
        Action::Host(HostAction::InstallBinaries { host, version, .. }) => {
            Some((host, room::binaries(observed, observed.host(host)?, *version)))
        }
        Action::Certificate(
            CertificateAction::InstallTrust { host, .. }
            | CertificateAction::Issue { host, .. }
            | CertificateAction::Install { host, .. },
        )
        | Action::NodeCa(NodeCaAction::CreateAuthority { host } | NodeCaAction::InstallKey { host }) => {
            Some((host, Need::files(Stored::Certificates)))
        }
        Action::File(FileAction::Write { host, file, .. }) => Some((host, Need::files(layout::stored(*file)))),
        Action::Backup(BackupAction::InstallScript { host }) => Some((host, Need::files(Stored::Programs))),
        Action::Snapshot(SnapshotAction::Save { host, .. }) => {
            let bytes = room::snapshot_bytes(observed.host(host)?, Stored::Snapshots, 1)?;
            Some((host, Need { stored: Stored::Snapshots, bytes }))
        }
        Action::Data(DataAction::Move { host, .. }) => {
            let seen = observed.host(host)?;
            let pool = |stored| seen.room.get(&stored).map(Room::pool);
            // Within a file system it is renamed.
            if pool(Stored::Data) == pool(Stored::DataElsewhere) {
                return None;
            }
            Some((host, Need::data(seen.answer().map_or(0, |answer| answer.database_bytes))))
        }
        Action::Restore(RestoreAction::PushSnapshot { host, .. }) => {
            Some((host, Need { stored: Stored::BesideData, bytes: snapshot() }))
        }
        Action::Restore(RestoreAction::RestoreData { host, .. }) => Some((host, Need::data(snapshot()))),
        Action::Authority(_)
        | Action::Host(HostAction::PullImage { .. } | HostAction::LinkTools { .. })
        | Action::File(
            FileAction::RestoreAccess { .. } | FileAction::RestoreFolderAccess { .. } | FileAction::Remove { .. },
        )
        | Action::Service(_)
        | Action::Member(_)
        | Action::Departure(_)
        | Action::Recovery(_)
        | Action::RaftLog(_)
        | Action::Restore(RestoreAction::SetOldDataAside { .. } | RestoreAction::Confirm)
        | Action::Consumer(_)
        | Action::Backup(BackupAction::Enable { .. } | BackupAction::Remove { .. })
        | Action::Auth(_) => None,
    }
}

/// What is free afterwards, so that what comes later in a plan is measured by that.
pub fn spend(desired: &Desired, observed: &mut Observed, action: &Action) {
    let Some((name, Need { stored, bytes })) = need(desired, observed, action) else { return };
    let name = name.clone();
    let Some(host) = observed.host_mut(&name) else { return };
    let Some(before) = host.room.get(&stored).cloned() else { return };
    for room in host.room.values_mut().filter(|room| room.pool() == before.pool()) {
        let spent = bytes.min(room.available_bytes);
        let reserved = (bytes - spent).min(room.reserved_bytes);
        room.available_bytes -= spent;
        room.reserved_bytes -= reserved;
        room.used_bytes = room.used_bytes.saturating_add(spent + reserved);
    }
}
