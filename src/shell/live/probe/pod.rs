//! The kubelet that is to run etcd, and the etcd in its pod.

use std::collections::BTreeMap;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, account};
use crate::core::content::layout;
use crate::core::desired::Runtime;
use crate::core::names::RemotePath;
use crate::core::observed::{Ended, Kubelet, Service, ServiceState};

pub(super) struct Look;

impl Section for Look {
    /// `None` where systemd runs etcd.
    type Fact = Option<Kubelet>;

    const SHELL: &'static str = concat!(
        include_str!("../../../core/content/processes.sh"),
        include_str!("../../../core/content/pods.sh"),
        include_str!("../../../core/content/images.sh"),
        include_str!("pod.sh")
    );

    const NEEDS: &'static [&'static str] = &["grep", "head", "ls", "sed", "ss", "stat", "tr"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let paths = &of.desired.paths;
        (of.desired.cluster.runtime == Runtime::StaticPod).then(|| {
            vec![
                ("q_account", account::declared(of)),
                ("q_aside", layout::aside_of_manifest(of.desired).to_string()),
                ("q_config", paths.config.to_string()),
                ("q_data", paths.data.to_string()),
                ("q_version", of.desired.cluster.version.to_string()),
            ]
        })
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Self::Fact, Trouble> {
        let said = |key: &str| answer.values("pod", key).last().filter(|value| !value.is_empty());
        Ok((of.desired.cluster.runtime == Runtime::StaticPod).then(|| Kubelet {
            runs: said("runs").is_some(),
            manifests: said("manifests").map(|path| RemotePath::new(path.trim_end_matches('/'))),
            manifest_aside: is_aside(answer),
            fixed: said("fixed").map(str::to_owned),
            deaf_runtime: said("deaf-runtime").map(str::to_owned),
            config_written_since: said("written-since").is_some(),
            api_server: said("api-server").is_some(),
            images: answer.values("pod", "image").map(str::to_owned).collect(),
        }))
    }
}

/// Whether the manifest was moved out of its folder.
pub(super) fn is_aside(answer: &Answer<'_>) -> bool {
    answer.value("pod", "aside").is_some()
}

/// By the inode of the log, of which each start has one of its own.
fn ended(inode: &str) -> Option<Ended> {
    let inode: u64 = inode.parse().ok()?;
    Some(Ended { pid: u32::try_from(inode & u64::from(u32::MAX)).ok()?, ran_ms: None })
}

/// The pod as if it were a unit: it starts with the kubelet as long as its manifest is there.
pub(super) fn service(of: &Subject<'_>, answer: &Answer<'_>) -> Service {
    let has_manifest = answer.stats.contains_key(of.desired.paths.config.as_str());
    let state = match (answer.value("pod", "pid"), has_manifest) {
        (Some(_), _) => ServiceState::Active,
        (None, true) if answer.value("pod", "runs").is_some() => ServiceState::Activating,
        (None, _) => ServiceState::Inactive,
    };
    Service {
        state,
        enabled: has_manifest,
        needs_reload: false,
        drop_ins: BTreeMap::new(),
        restrictions: Vec::new(),
        runs_as: answer.value("unit", "account").map(str::to_owned),
        complaint: None,
        ended: answer.value("pod", "exit").and_then(ended),
    }
}
