//! From an action to the capability that checks it and says what it brings about.

use crate::core::capability::{
    access, authority, backup, certificates, config, consumers, departure, given, keeper, membership, prepare,
    raft_log, recovery, restore, rotation, service, snapshot, users, version,
};
use crate::core::cluster::model;
use crate::core::desired::Desired;
use crate::core::observed::Observed;
use crate::core::plan::action::{Action, Readiness};

/// Whether an action is to be done now.
pub fn readiness(action: &Action, desired: &Desired, observed: &Observed) -> Readiness {
    match action {
        Action::CreateAuthority => authority::readiness(observed),
        Action::CreateAuthorityOn { host } => keeper::create_readiness(observed, host),
        Action::InstallAuthorityKey { host } => keeper::readiness(observed, host),
        Action::CreateNextAuthority => rotation::create_readiness(observed),
        Action::AdoptAuthority => rotation::adopt_readiness(observed),
        Action::PrepareHost { host } => prepare::readiness(observed, host),
        Action::InstallBinaries { host, version, architecture } => {
            version::readiness(observed, host, *version, *architecture)
        }
        Action::LinkTools { host, version } => version::tools_readiness(desired, observed, host, *version),
        Action::InstallTrust { host, trust } => certificates::trust_readiness(observed, host, *trust),
        Action::IssueCertificate { host, role, also, by } => {
            certificates::readiness(desired, observed, host, *role, also, *by)
        }
        Action::InstallCertificate { host, role } => given::readiness(desired, observed, host, *role),
        Action::WriteFile { host, file, text } => config::readiness(observed, host, *file, text),
        Action::RestoreFileAccess { host, file } => access::readiness(observed, host, *file),
        Action::RestoreFolderAccess { host, folder } => access::folder_readiness(observed, host, *folder),
        Action::ReloadUnits { host } => service::reload_readiness(observed, host),
        Action::EnableService { host } => service::enable_readiness(observed, host),
        Action::Start { host } => service::start_readiness(observed, host),
        Action::Restart { host } => service::restart_readiness(desired, observed, host),
        Action::AddMember { host, peer_url } => membership::add_readiness(desired, observed, host, peer_url),
        Action::Promote { host } => membership::promote_readiness(desired, observed, host),
        Action::UpdatePeerUrl { host, member, peer_url } => {
            membership::update_readiness(desired, observed, host, *member, peer_url)
        }
        Action::RemoveMember { member, .. } => membership::remove_readiness(desired, observed, *member),
        Action::Stop { host } => departure::stop_readiness(observed, host),
        Action::SetDataAside { host } => departure::set_aside_readiness(desired, observed, host),
        Action::Retire { host } => departure::retire_readiness(observed, host),
        Action::RemoveFile { host, file } => departure::remove_file_readiness(observed, host, *file),
        Action::SaveSnapshot { before, .. } => snapshot::readiness(observed, *before),
        Action::FillLog { .. } => raft_log::readiness(observed),
        Action::ForceNewCluster { host } => recovery::readiness(desired, observed, host),
        Action::PushSnapshot { host, digest } => restore::push_readiness(observed, host, *digest),
        Action::SetOldDataAside { host } => restore::set_aside_readiness(observed, host),
        Action::RestoreData { host, digest, token } => restore::restore_readiness(observed, host, *digest, token),
        Action::ConfirmRestore => restore::confirm_readiness(desired, observed),
        Action::KeepConsumer { consumer, issue, trust, by, .. } => {
            consumers::readiness(desired, observed, consumer, *issue, *trust, *by)
        }
        Action::InstallBackupScript { host } => backup::script_readiness(desired, observed, host),
        Action::EnableBackup { host } => backup::enable_readiness(desired, observed, host),
        Action::RemoveBackup { host } => backup::remove_readiness(desired, observed, host),
        Action::KeepRole { role, permissions } => users::role_readiness(observed, role, permissions),
        Action::KeepUser { user, roles, password } => users::user_readiness(observed, user, roles, *password),
        Action::RemoveUser { user } => users::remove_user_readiness(desired, observed, user),
        Action::RemoveRole { role, with } => users::remove_role_readiness(observed, role, with),
        Action::EnableAuth => users::enable_readiness(desired, observed),
        Action::DisableAuth => users::disable_readiness(observed),
    }
}

/// What will be seen once the action is done.
pub fn effect(action: &Action, desired: &Desired, observed: &mut Observed) {
    match action {
        Action::CreateAuthority => model::make_authority(observed),
        Action::CreateAuthorityOn { host } => keeper::create_effect(desired, observed, host),
        Action::InstallAuthorityKey { host } => keeper::effect(observed, host),
        Action::CreateNextAuthority => rotation::create_effect(observed),
        Action::AdoptAuthority => rotation::adopt_effect(desired, observed),
        Action::PrepareHost { host } => prepare::effect(observed, host),
        Action::InstallBinaries { host, version, architecture } => {
            version::effect(desired, observed, host, *version, *architecture);
        }
        Action::LinkTools { host, version } => version::tools_effect(desired, observed, host, *version),
        Action::InstallTrust { host, trust } => certificates::trust_effect(observed, host, *trust),
        Action::IssueCertificate { host, role, also, by } => {
            certificates::effect(desired, observed, host, *role, also, *by);
        }
        Action::InstallCertificate { host, role } => given::effect(observed, host, *role),
        Action::WriteFile { host, file, text } => config::effect(observed, host, *file, text),
        Action::RestoreFileAccess { host, file } => access::effect(observed, host, *file),
        Action::RestoreFolderAccess { host, folder } => access::folder_effect(observed, host, *folder),
        Action::ReloadUnits { host } => service::reload_effect(observed, host),
        Action::EnableService { host } => service::enable_effect(observed, host),
        Action::Start { host } | Action::Restart { host } => service::start_effect(desired, observed, host),
        Action::AddMember { peer_url, .. } => membership::add_effect(observed, peer_url),
        Action::Promote { host } => membership::promote_effect(desired, observed, host),
        Action::UpdatePeerUrl { member, peer_url, .. } => membership::update_effect(observed, *member, peer_url),
        Action::RemoveMember { member, .. } => membership::remove_effect(observed, *member),
        Action::Stop { host } => departure::stop_effect(observed, host),
        Action::SetDataAside { host } => model::set_aside(observed, host),
        Action::Retire { host } => departure::retire_effect(observed, host),
        Action::RemoveFile { host, file } => departure::remove_file_effect(observed, host, *file),
        Action::SaveSnapshot { host, before } => snapshot::effect(observed, host, *before),
        Action::FillLog { .. } => raft_log::effect(observed),
        Action::ForceNewCluster { host } => recovery::effect(desired, observed, host),
        Action::PushSnapshot { host, digest } => restore::push_effect(observed, host, *digest),
        Action::SetOldDataAside { host } => restore::set_aside_effect(observed, host),
        Action::RestoreData { host, digest, token } => restore::restore_effect(observed, host, *digest, token),
        Action::ConfirmRestore => restore::confirm_effect(observed),
        Action::KeepConsumer { consumer, issue, trust, by, .. } => {
            consumers::effect(desired, observed, consumer, *issue, *trust, *by);
        }
        Action::InstallBackupScript { host } => backup::script_effect(observed, host),
        Action::EnableBackup { host } => backup::enable_effect(observed, host),
        Action::RemoveBackup { host } => backup::remove_effect(observed, host),
        Action::KeepRole { role, permissions } => users::role_effect(observed, role, permissions),
        Action::KeepUser { user, roles, password } => users::user_effect(observed, user, roles, *password),
        Action::RemoveUser { user } => users::remove_user_effect(observed, user),
        Action::RemoveRole { role, .. } => users::remove_role_effect(observed, role),
        Action::EnableAuth => users::enable_effect(desired, observed),
        Action::DisableAuth => users::disable_effect(observed),
    }
}
