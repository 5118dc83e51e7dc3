//! What follows from what runs etcd on a host: by which file it is started, what a process has loaded, where its log is.
//!
//! One answer a question for each runtime. Whoever needs one of them asks here, and names no unit of its own.

use super::systemd;
use crate::core::desired::{Desired, Runtime};
use crate::core::names::Version;
use crate::core::observed::File;

/// The file by which etcd is started, and which says of which version.
pub fn definition(desired: &Desired) -> File {
    match desired.cluster.runtime {
        Runtime::Systemd => File::Unit,
    }
}

/// The text of [`definition`], the same on every host that runs `version`.
pub fn text(desired: &Desired, version: Version) -> String {
    match desired.cluster.runtime {
        Runtime::Systemd => systemd::unit(desired, version),
    }
}

/// The version that a text of [`definition`] starts; `None` when it starts none that was installed by us.
pub fn version_in(desired: &Desired, text: &str) -> Option<Version> {
    match desired.cluster.runtime {
        Runtime::Systemd => systemd::unit_version(desired, text),
    }
}

/// The files whose content a running etcd has read once, at its start.
pub fn loaded_at_start(desired: &Desired) -> &'static [File] {
    match desired.cluster.runtime {
        Runtime::Systemd => &systemd::LOADED_AT_START,
    }
}

/// The name of the environment variable in which a process carries the digests of [`loaded_at_start`].
pub fn loaded_variable(desired: &Desired) -> &'static str {
    match desired.cluster.runtime {
        Runtime::Systemd => systemd::LOADED_VARIABLE,
    }
}

/// What an operator on the host knows the running etcd by: `etcd.service`.
pub fn name(desired: &Desired) -> &str {
    match desired.cluster.runtime {
        Runtime::Systemd => &desired.paths.service,
    }
}

/// The command that shows the log of etcd, on the host where it ran.
pub fn log(desired: &Desired) -> String {
    match desired.cluster.runtime {
        Runtime::Systemd => format!("journalctl -u {}", desired.paths.service),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::sample;

    #[test]
    fn a_unit_of_another_name_is_called_by_it() {
        let mut desired = sample::desired(1);
        desired.paths.service = "etcd-events.service".to_owned();
        assert_eq!(log(&desired), "journalctl -u etcd-events.service");
        assert_eq!(name(&desired), "etcd-events.service");
    }

    #[test]
    fn what_starts_etcd_is_among_what_it_has_loaded_and_says_its_version() {
        let desired = sample::desired(1);
        assert!(loaded_at_start(&desired).contains(&definition(&desired)));
        let version = Version::new(3, 6, 4);
        assert_eq!(version_in(&desired, &text(&desired, version)), Some(version));
    }
}
