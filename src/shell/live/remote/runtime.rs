//! What has etcd started, restarted and stopped on a host, and tells whether it is dead.
//!
//! For each runtime a script with one verb an argument, and a library of the functions that other scripts rely on:
//! `stop_for_good` and `is_dead`, of `$etcd`, which is started by the file `$definition`.

use std::time::Duration;

use super::{Command, LONG, quoted};
use crate::core::content::{layout, runtime};
use crate::core::desired::{Desired, Paths, Runtime};
use crate::core::names::RemotePath;
use crate::core::observed::File;

/// systemd kills a service that has not stopped within its own deadline, which is 90 s unless the host says otherwise.
pub(super) const STOP_TAKES: Duration = Duration::from_secs(240);

/// The functions that scripts rely on which must know whether etcd runs.
pub(super) fn library(desired: &Desired) -> String {
    let name = quoted(runtime::name(desired));
    let definition = quoted(layout::common_path(desired, runtime::definition(desired)).as_str());
    let (words, functions) = match desired.cluster.runtime {
        Runtime::Systemd => (String::new(), include_str!("../script/systemd.sh")),
        Runtime::StaticPod => {
            let Paths { data, service, .. } = &desired.paths;
            let (aside, tools) = (layout::aside_of_manifest(desired), layout::state_folder(desired).join("tools"));
            let [data, kubelet, aside, tools] = [data.as_str(), service, aside.as_str(), tools.as_str()].map(quoted);
            let functions = concat!(
                include_str!("../../../core/content/processes.sh"),
                include_str!("../../../core/content/pods.sh"),
                include_str!("../script/static-pod.sh")
            );
            (format!(" data={data} kubelet={kubelet} aside={aside} tools={tools}"), functions)
        }
    };
    format!("etcd={name} definition={definition}{words}\n{functions}")
}

/// The permission to begin without data, where it is for us to take it away: our own unit does that itself.
fn marker(desired: &Desired) -> String {
    let marker = layout::common_path(desired, File::NewDataMarker);
    if desired.cluster.layout.is_adopted() { marker.to_string() } else { String::new() }
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
        match desired.cluster.runtime {
            Runtime::Systemd => {
                let arguments = vec![verb.to_owned(), name.to_owned(), marker(desired), desired.paths.data.to_string()];
                let script = format!("{}\n{}", library(desired), include_str!("../script/service.sh"));
                Self::new(format!("systemctl {verb} {name}"), script, arguments)
            }
            Runtime::StaticPod => Self::of_pod(desired, format!("{verb} of the static pod"), vec![verb.to_owned()]),
        }
    }

    /// Changes the manifest of a static pod, for which the kubelet restarts etcd.
    pub fn replace_manifest(desired: &Desired, text: &str) -> Self {
        Self::manifest(desired, "replace", text)
    }

    /// The same of a static pod that is not to run yet: its manifest waits aside.
    pub fn write_manifest_aside(desired: &Desired, text: &str) -> Self {
        Self::manifest(desired, "write", text)
    }

    fn manifest(desired: &Desired, verb: &str, text: &str) -> Self {
        let arguments = vec![verb.to_owned(), text.len().to_string()];
        Self { stdin: text.into(), ..Self::of_pod(desired, format!("writing {}", runtime::name(desired)), arguments) }
    }

    /// Has a node fetch an image, unless it has it.
    pub fn pull_image(image: &str) -> Self {
        let script = concat!(include_str!("../../../core/content/images.sh"), include_str!("../script/image.sh"));
        let command = Self::new(format!("pulling {image}"), script, vec![image.to_owned()]);
        Self { allowed: LONG, ..command }
    }

    fn of_pod(desired: &Desired, what: String, arguments: Vec<String>) -> Self {
        let script = format!("{}\n{}", library(desired), include_str!("../script/pod.sh"));
        Self { allowed: STOP_TAKES, ..Self::new(what, script, arguments) }
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
            Runtime::StaticPod => "refuse 'etcd is a static pod here, in which no one-member cluster is started yet'",
        };
        let command = Self::new("starting the one-member cluster", script, words.map(str::to_owned).into());
        Self { allowed: LONG, ..command }
    }
}
