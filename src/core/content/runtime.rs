//! What follows from what runs etcd on a host: by which file it is started, what a process has loaded, where its log is.
//!
//! One answer a question for each runtime. Whoever needs one of them asks here, and names no unit of its own.

use super::form;
use super::{layout, systemd};
use crate::core::desired::{Desired, Runtime};
use crate::core::names::{Digest, RemotePath, Version};
use crate::core::observed::File;

/// The file by which etcd is started, and which says of which version.
pub fn definition(desired: &Desired) -> File {
    match desired.cluster.runtime {
        Runtime::Systemd => File::Unit,
        Runtime::StaticPod => File::Settings,
    }
}

/// The text of a [`definition`] that quorate writes, the same on every host that runs `version`. It writes no manifest: that
/// is somebody else's, in which it changes settings.
pub fn text(desired: &Desired, version: Version) -> String {
    systemd::unit(desired, version)
}

/// The version that a text of [`definition`] starts; `None` when it starts none that was installed by us, or an image whose
/// tag does not say it.
pub fn version_in(desired: &Desired, text: &str) -> Option<Version> {
    match desired.cluster.runtime {
        Runtime::Systemd => systemd::unit_version(desired, text),
        Runtime::StaticPod => form::pod(text).ok()?.version(),
    }
}

/// Whether a process that has loaded `loaded` runs as if it had loaded `text`, which lies on disk: an older quorate wrote
/// the same, but for what is asked only before a start.
pub fn runs_alike(desired: &Desired, file: File, loaded: Digest, text: &str) -> bool {
    let before = match desired.cluster.runtime {
        Runtime::Systemd => systemd::unit_before(desired, text),
        Runtime::StaticPod => None,
    };
    file == definition(desired) && before.is_some_and(|before| Digest::of(before) == loaded)
}

/// The files without which etcd does not start, beside its pairs of certificates.
pub fn needed_at_start(desired: &Desired) -> &'static [File] {
    match desired.cluster.layout.is_adopted() {
        true => &[File::Settings, File::Trust],
        false => loaded_at_start(desired),
    }
}

/// The files whose content a running etcd has read once, at its start.
pub fn loaded_at_start(desired: &Desired) -> &'static [File] {
    match desired.cluster.runtime {
        // What somebody else's process has loaded, it does not tell.
        _ if desired.cluster.layout.is_adopted() => &[],
        Runtime::Systemd => &systemd::LOADED_AT_START,
        Runtime::StaticPod => &[],
    }
}

/// The name of the environment variable in which a process carries the digests of [`loaded_at_start`], where it does.
pub fn loaded_variable(desired: &Desired) -> Option<&'static str> {
    match desired.cluster.runtime {
        Runtime::Systemd => Some(systemd::LOADED_VARIABLE),
        Runtime::StaticPod => None,
    }
}

/// Beside what, and under which name, a file of settings is kept as it was before: `/etc/etcd.env`.
pub fn kept_beside(desired: &Desired) -> RemotePath {
    match desired.cluster.runtime {
        Runtime::Systemd => desired.paths.config.clone(),
        Runtime::StaticPod => layout::aside_of_manifest(desired),
    }
}

/// What an operator on the host knows the running etcd by: `etcd.service`, or the path of its manifest.
pub fn name(desired: &Desired) -> &str {
    match desired.cluster.runtime {
        Runtime::Systemd => &desired.paths.service,
        Runtime::StaticPod => desired.paths.config.as_str(),
    }
}

/// The command that shows the log of etcd, on the host where it ran.
pub fn log(desired: &Desired) -> String {
    match desired.cluster.runtime {
        Runtime::Systemd => format!("journalctl -u {}", desired.paths.service),
        Runtime::StaticPod => "tail /var/log/pods/*_etcd-*/etcd/*.log".to_owned(),
    }
}

/// The command that shows what the kubelet says, on the host where it is to run etcd.
pub fn log_of_kubelet(desired: &Desired) -> String {
    format!("journalctl -u {}", desired.paths.service)
}

/// The command that stops etcd on a host.
pub fn stop(desired: &Desired) -> String {
    match desired.cluster.runtime {
        Runtime::Systemd => format!("systemctl stop {}", desired.paths.service),
        Runtime::StaticPod => format!("mv {} {}", desired.paths.config, layout::aside_of_manifest(desired)),
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

    #[test]
    fn a_unit_asks_for_the_log_and_for_the_disk_of_its_data() {
        let text = text(&sample::desired(1), Version::new(3, 6, 4));
        for line in [
            "ConditionPathExistsGlob=|/var/lib/etcd/member/wal/*.wal",
            "ConditionPathExists=|/etc/etcd/may-create-data",
            "RequiresMountsFor=/var/lib/etcd",
        ] {
            assert!(text.lines().any(|of_unit| of_unit == line), "{line}:\n{text}");
        }
    }

    /// As quorate wrote it before, for a process that still runs.
    #[test]
    fn an_older_unit_is_brought_up_to_date_without_a_restart() {
        let desired = sample::desired(3);
        let unit = text(&desired, desired.cluster.version);
        let older = systemd::unit_before(&desired, &unit).expect("it is ours");
        assert!(older.contains("ConditionPathExists=|/var/lib/etcd/member\n") && !older.contains(".wal"), "{older}");
        let mut observed = sample::healthy(&desired);
        for host in observed.hosts.values_mut().filter_map(|host| host.known_mut()) {
            let digest = Digest::of(&older);
            let fact = host.files.get_mut(&File::Unit).expect("it has a unit");
            (fact.digest, fact.text) = (digest, Some(older.clone()));
            host.process.as_mut().expect("it runs").loaded.insert(File::Unit, digest);
        }
        let plan = crate::core::planner::plan(&desired, &observed);
        let titles: Vec<_> = plan.steps.iter().map(|step| step.title()).collect();
        assert_eq!(titles, ["write the systemd unit"; 3]);
        assert_eq!(plan.blocked, []);
        let loaded = Digest::of(older.replace("RestartSec=2", "RestartSec=9"));
        assert!(!runs_alike(&desired, File::Unit, loaded, &unit), "something else differs, too");
        assert!(!runs_alike(&desired, File::Config, Digest::of(&older), &unit));
    }
}
