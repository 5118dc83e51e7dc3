//! What has etcd started, restarted and stopped on a host, and tells whether it is dead.
//!
//! For each runtime a script with one verb an argument, and a library of the functions that other scripts rely on:
//! `stop_for_good` and `is_dead`, of `$etcd`, which is started by the file `$definition`.

use std::time::Duration;

use super::{Command, LONG, quoted};
use crate::core::content::{layout, runtime};
use crate::core::desired::{Desired, Runtime};
use crate::core::names::RemotePath;

/// systemd kills a service that has not stopped within its own deadline, which is 90 s unless the host says otherwise.
pub(super) const STOP_TAKES: Duration = Duration::from_secs(240);

/// The functions that scripts rely on which must know whether etcd runs.
pub(super) fn library(desired: &Desired) -> String {
    let name = quoted(runtime::name(desired));
    let definition = quoted(layout::common_path(desired, runtime::definition(desired)).as_str());
    let functions = match desired.cluster.runtime {
        Runtime::Systemd => include_str!("../script/systemd.sh"),
    };
    format!("etcd={name} definition={definition}\n{functions}")
}

impl Command {
    /// Has what runs etcd read again by what it starts it.
    pub fn reload(desired: &Desired) -> Self {
        Self::verb("reload", desired)
    }

    /// Has etcd start with the host.
    pub fn enable(desired: &Desired) -> Self {
        Self::verb("enable", desired)
    }

    /// It is not waited for: a start takes until there is a quorum.
    pub fn start(desired: &Desired) -> Self {
        Self::verb("start", desired)
    }

    /// As little waited for as a start.
    pub fn restart(desired: &Desired) -> Self {
        Self::verb("restart", desired)
    }

    fn verb(verb: &str, desired: &Desired) -> Self {
        let name = runtime::name(desired);
        let (what, script) = match desired.cluster.runtime {
            Runtime::Systemd => (format!("systemctl {verb} {name}"), include_str!("../script/service.sh")),
        };
        Self::new(what, script, vec![verb.to_owned(), name.to_owned()])
    }

    /// Returns when etcd is dead, and does not start with the host any more.
    pub fn stop(desired: &Desired) -> Self {
        let script = format!("{}\n{}", library(desired), include_str!("../script/stop.sh"));
        let what = format!("stopping {}", runtime::name(desired));
        Self { allowed: STOP_TAKES, ..Self::new(what, script, Vec::new()) }
    }

    /// Runs etcd once by the side of what runs it else, and has that start it again.
    pub fn force_new_cluster(desired: &Desired, binaries: &RemotePath) -> Self {
        let etcd = binaries.join("etcd");
        let paths = &desired.paths;
        let words =
            [runtime::name(desired), etcd.as_str(), paths.config.as_str(), paths.data.as_str(), layout::ACCOUNT];
        let script = match desired.cluster.runtime {
            Runtime::Systemd => include_str!("../script/force.sh"),
        };
        let command = Self::new("starting the one-member cluster", script, words.map(str::to_owned).into());
        Self { allowed: LONG, ..command }
    }
}
