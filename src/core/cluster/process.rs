//! Whether etcd runs on a host, and whether it runs what lies on disk.

use crate::core::cluster::version;
use crate::core::content::{layout, runtime};
use crate::core::desired::{Desired, Place};
use crate::core::observed::{File, Host, ServiceState};

pub fn is_stopped(host: &Host) -> bool {
    let idle = matches!(host.service.state, ServiceState::Inactive | ServiceState::Failed);
    host.process.is_none() && !host.service.enabled && idle
}

/// What the running process has not loaded, and where in cluster.toml that is declared; `None` when it runs what lies on
/// disk, or does not run at all.
pub fn stale(desired: &Desired, host: &Host) -> Option<(String, Place<'static>)> {
    let process = host.process.as_ref()?;
    let executable = desired.binaries_folder_of(version::on_disk(desired, host)).join("etcd");
    if process.executable != executable {
        return Some((format!("etcd is running from {}, not {executable}", process.executable), Place::Version));
    }
    if process.foreign_config {
        return Some(("etcd was started with a different configuration file".to_owned(), Place::PathsConfig));
    }
    if process.executable_replaced {
        return Some((format!("{executable} was replaced since etcd started"), Place::Version));
    }
    let differs = |file: &File| {
        let on_disk = host.files.get(file).map(|fact| fact.digest);
        process.loaded.get(file).is_some_and(|loaded| on_disk.is_some_and(|on_disk| on_disk != *loaded))
    };
    let changed: Vec<_> = runtime::loaded_at_start(desired).iter().copied().filter(differs).collect();
    let declared = match changed.first()? {
        File::Config => Place::Etcd,
        File::Trust => Place::Ca,
        _ => Place::PathsService,
    };
    let words: Vec<_> = changed.into_iter().map(|file| layout::row(file).word).collect();
    Some((format!("etcd is still running with the old {}", words.join(" and ")), declared))
}
