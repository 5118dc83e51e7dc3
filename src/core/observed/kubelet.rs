//! The kubelet of a host, where it is to run etcd from a manifest.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::core::names::RemotePath;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kubelet {
    pub runs: bool,
    /// The folder that it reads manifests of static pods from; absent where that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<RemotePath>,
    /// The manifest was moved out of that folder to stop etcd, and not back yet: its text is that of the settings still.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub manifest_aside: bool,
    /// Why the manifest cannot be replaced by a rename: `it is a link`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
    /// The socket of its container runtime, where nobody listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deaf_runtime: Option<String>,
    /// The file that says so was written after the kubelet had started: it may read another one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub config_written_since: bool,
    /// It runs an API server, too: the node is one of a control plane of Kubernetes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub api_server: bool,
    /// The images on the node, where no manifest names the declared version.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub images: BTreeSet<String>,
}
