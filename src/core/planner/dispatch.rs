//! From an action to the capability that checks it and says what it brings about.

use crate::core::capability::{
    access, authority, backup, certificates, config, consumers, departure, given, image, membership, node_ca, prepare,
    raft_log, recovery, relocation, restore, room, rotation, service, snapshot, users, version,
};
use crate::core::cluster::model;
use crate::core::desired::Desired;
use crate::core::observed::{File, Observed};
use crate::core::plan::action::{
    Action, AuthAction, AuthorityAction, BackupAction, CertificateAction, ConsumerAction, DataAction, DepartureAction,
    FileAction, HostAction, MemberAction, NodeCaAction, RaftLogAction, Readiness, RecoveryAction, RestoreAction,
    ServiceAction, SnapshotAction,
};

/// Whether an action is to be done now.
pub fn readiness(action: &Action, desired: &Desired, observed: &Observed) -> Readiness {
    match action {
        Action::Authority(AuthorityAction::Create) => authority::readiness(observed),
        Action::NodeCa(NodeCaAction::CreateAuthority { host }) => node_ca::create_readiness(observed, host),
        Action::NodeCa(NodeCaAction::InstallKey { host }) => node_ca::readiness(observed, host),
        Action::Authority(AuthorityAction::CreateNext) => rotation::create_readiness(observed),
        Action::Authority(AuthorityAction::Adopt) => rotation::adopt_readiness(observed),
        Action::Host(HostAction::Prepare { host } | HostAction::MakeFolders { host }) => {
            prepare::readiness(observed, host)
        }
        Action::Host(HostAction::InstallBinaries { host, version, architecture }) => {
            version::readiness(observed, host, *version, *architecture)
        }
        Action::Host(HostAction::PullImage { host, image }) => image::readiness(observed, host, image),
        Action::Host(HostAction::LinkTools { host, version }) => {
            version::tools_readiness(desired, observed, host, *version)
        }
        Action::Certificate(CertificateAction::InstallTrust { host, trust }) => {
            certificates::trust_readiness(desired, observed, host, *trust)
        }
        Action::Certificate(CertificateAction::Issue { host, role, also, by }) => {
            certificates::readiness(desired, observed, host, *role, also, *by)
        }
        Action::Certificate(CertificateAction::Install { host, role }) => {
            given::readiness(desired, observed, host, *role)
        }
        Action::File(FileAction::Write { host, file, text }) => config::readiness(observed, host, *file, text),
        Action::File(FileAction::RestoreAccess { host, file }) => access::readiness(observed, host, *file),
        Action::File(FileAction::RestoreFolderAccess { host, folder }) => {
            access::folder_readiness(observed, host, *folder)
        }
        Action::Service(ServiceAction::ReloadUnits { host }) => service::reload_readiness(observed, host),
        Action::Service(ServiceAction::Enable { host }) => service::enable_readiness(observed, host),
        Action::Service(ServiceAction::Start { host }) => service::start_readiness(desired, observed, host),
        Action::Service(ServiceAction::Restart { host }) => service::restart_readiness(desired, observed, host),
        Action::Service(ServiceAction::LayManifest { host, text }) => {
            config::readiness(observed, host, File::Settings, text)
        }
        Action::Service(ServiceAction::ReplaceManifest { host, text }) => {
            service::manifest_readiness(desired, observed, host, text)
        }
        Action::Data(DataAction::Move { host, from, .. }) => relocation::readiness(desired, observed, host, from),
        Action::Member(MemberAction::Add { host, peer_url }) => {
            membership::add_readiness(desired, observed, host, peer_url)
        }
        Action::Member(MemberAction::Promote { host }) => membership::promote_readiness(desired, observed, host),
        Action::Member(MemberAction::UpdatePeerUrl { host, member, peer_url }) => {
            membership::update_readiness(desired, observed, host, *member, peer_url)
        }
        Action::Member(MemberAction::Remove { member, .. }) => membership::remove_readiness(desired, observed, *member),
        Action::Service(ServiceAction::Stop { host }) => departure::stop_readiness(observed, host),
        Action::Departure(DepartureAction::SetDataAside { host }) => {
            departure::set_aside_readiness(desired, observed, host)
        }
        Action::Departure(DepartureAction::Retire { host }) => departure::retire_readiness(observed, host),
        Action::File(FileAction::Remove { host, file }) => departure::remove_file_readiness(observed, host, *file),
        Action::Snapshot(SnapshotAction::Save { before, .. }) => snapshot::readiness(observed, *before),
        Action::RaftLog(RaftLogAction::Fill { .. }) => raft_log::readiness(observed),
        Action::Recovery(RecoveryAction::ForceNewCluster { host }) => recovery::readiness(desired, observed, host),
        Action::Restore(RestoreAction::PushSnapshot { host, digest }) => {
            restore::push_readiness(observed, host, *digest)
        }
        Action::Restore(RestoreAction::SetOldDataAside { host }) => restore::set_aside_readiness(observed, host),
        Action::Restore(RestoreAction::RestoreData { host, digest, token }) => {
            restore::restore_readiness(observed, host, *digest, token)
        }
        Action::Restore(RestoreAction::Confirm) => restore::confirm_readiness(desired, observed),
        Action::Consumer(ConsumerAction::Keep { consumer, issue, trust, by, .. }) => {
            consumers::readiness(desired, observed, consumer, *issue, *trust, *by)
        }
        Action::Backup(BackupAction::InstallScript { host }) => backup::script_readiness(desired, observed, host),
        Action::Backup(BackupAction::Enable { host }) => backup::enable_readiness(desired, observed, host),
        Action::Backup(BackupAction::Remove { host }) => backup::remove_readiness(desired, observed, host),
        Action::Auth(AuthAction::KeepRole { role, permissions }) => users::role_readiness(observed, role, permissions),
        Action::Auth(AuthAction::KeepUser { user, roles, password }) => {
            users::user_readiness(observed, user, roles, *password)
        }
        Action::Auth(AuthAction::RemoveUser { user }) => users::remove_user_readiness(desired, observed, user),
        Action::Auth(AuthAction::RemoveRole { role, with }) => users::remove_role_readiness(observed, role, with),
        Action::Auth(AuthAction::Enable) => users::enable_readiness(desired, observed),
        Action::Auth(AuthAction::Disable) => users::disable_readiness(observed),
    }
}

/// What will be seen once the action is done.
pub fn effect(action: &Action, desired: &Desired, observed: &mut Observed) {
    room::spend(desired, observed, action);
    match action {
        Action::Authority(AuthorityAction::Create) => model::make_authority(observed),
        Action::NodeCa(NodeCaAction::CreateAuthority { host }) => node_ca::create_effect(desired, observed, host),
        Action::NodeCa(NodeCaAction::InstallKey { host }) => node_ca::effect(observed, host),
        Action::Authority(AuthorityAction::CreateNext) => rotation::create_effect(observed),
        Action::Authority(AuthorityAction::Adopt) => rotation::adopt_effect(desired, observed),
        Action::Host(HostAction::Prepare { host } | HostAction::MakeFolders { host }) => {
            prepare::effect(desired, observed, host)
        }
        Action::Host(HostAction::InstallBinaries { host, version, architecture }) => {
            version::effect(desired, observed, host, *version, *architecture);
        }
        Action::Host(HostAction::PullImage { host, image }) => image::effect(observed, host, image),
        Action::Host(HostAction::LinkTools { host, version }) => {
            version::tools_effect(desired, observed, host, *version)
        }
        Action::Certificate(CertificateAction::InstallTrust { host, trust }) => {
            certificates::trust_effect(observed, host, *trust)
        }
        Action::Certificate(CertificateAction::Issue { host, role, also, by }) => {
            certificates::effect(desired, observed, host, *role, also, *by);
        }
        Action::Certificate(CertificateAction::Install { host, role }) => given::effect(desired, observed, host, *role),
        Action::File(FileAction::Write { host, file, text }) => config::effect(desired, observed, host, *file, text),
        Action::File(FileAction::RestoreAccess { host, file }) => access::effect(desired, observed, host, *file),
        Action::File(FileAction::RestoreFolderAccess { host, folder }) => {
            access::folder_effect(desired, observed, host, *folder)
        }
        Action::Service(ServiceAction::ReloadUnits { host }) => service::reload_effect(observed, host),
        Action::Service(ServiceAction::Enable { host }) => service::enable_effect(observed, host),
        Action::Service(ServiceAction::Start { host } | ServiceAction::Restart { host }) => {
            service::start_effect(desired, observed, host)
        }
        Action::Service(ServiceAction::LayManifest { host, text }) => {
            config::effect(desired, observed, host, File::Settings, text);
            model::lay_aside(observed, host);
        }
        Action::Service(ServiceAction::ReplaceManifest { host, text }) => {
            config::effect(desired, observed, host, File::Settings, text);
            service::start_effect(desired, observed, host);
        }
        Action::Data(DataAction::Move { host, .. }) => relocation::effect(observed, host),
        Action::Member(MemberAction::Add { peer_url, .. }) => membership::add_effect(observed, peer_url),
        Action::Member(MemberAction::Promote { host }) => membership::promote_effect(desired, observed, host),
        Action::Member(MemberAction::UpdatePeerUrl { member, peer_url, .. }) => {
            membership::update_effect(observed, *member, peer_url)
        }
        Action::Member(MemberAction::Remove { member, .. }) => membership::remove_effect(observed, *member),
        Action::Service(ServiceAction::Stop { host }) => departure::stop_effect(observed, host),
        Action::Departure(DepartureAction::SetDataAside { host })
        | Action::Restore(RestoreAction::SetOldDataAside { host }) => model::set_aside(desired, observed, host),
        Action::Departure(DepartureAction::Retire { host }) => departure::retire_effect(observed, host),
        Action::File(FileAction::Remove { host, file }) => departure::remove_file_effect(observed, host, *file),
        Action::Snapshot(SnapshotAction::Save { host, before }) => snapshot::effect(observed, host, *before),
        Action::RaftLog(RaftLogAction::Fill { .. }) => raft_log::effect(observed),
        Action::Recovery(RecoveryAction::ForceNewCluster { host }) => recovery::effect(desired, observed, host),
        Action::Restore(RestoreAction::PushSnapshot { host, digest }) => restore::push_effect(observed, host, *digest),
        Action::Restore(RestoreAction::RestoreData { host, digest, token }) => {
            restore::restore_effect(desired, observed, host, *digest, token)
        }
        Action::Restore(RestoreAction::Confirm) => restore::confirm_effect(observed),
        Action::Consumer(ConsumerAction::Keep { consumer, issue, trust, by, .. }) => {
            consumers::effect(desired, observed, consumer, *issue, *trust, *by);
        }
        Action::Backup(BackupAction::InstallScript { host }) => backup::script_effect(observed, host),
        Action::Backup(BackupAction::Enable { host }) => backup::enable_effect(observed, host),
        Action::Backup(BackupAction::Remove { host }) => backup::remove_effect(observed, host),
        Action::Auth(AuthAction::KeepRole { role, permissions }) => users::role_effect(observed, role, permissions),
        Action::Auth(AuthAction::KeepUser { user, roles, password }) => {
            users::user_effect(observed, user, roles, *password)
        }
        Action::Auth(AuthAction::RemoveUser { user }) => users::remove_user_effect(observed, user),
        Action::Auth(AuthAction::RemoveRole { role, .. }) => users::remove_role_effect(observed, role),
        Action::Auth(AuthAction::Enable) => users::enable_effect(desired, observed),
        Action::Auth(AuthAction::Disable) => users::disable_effect(observed),
    }
}
