//! What hosts need to be nodes as kubeadm knows them: containerd, a kubelet that runs static pods, kubeadm itself, and the
//! images of etcd and pause. None of it comes from a registry of images: Debian has containerd, and the rest is built from
//! its Go modules (`programs`) and packed here (`oci`).
//!
//! There is no API server: the kubelet stands alone, as it does on a host for etcd outside of a control plane.

mod oci;
mod programs;

use std::path::{Path, PathBuf};

use super::command::Failure;
use super::{Result, Skip, image, machine};

pub use programs::KUBERNETES;

/// A runtime, and what a kubelet and kubeadm look for on a host.
const PACKAGES: &str = "containerd,runc,iptables,conntrack,ethtool,socat,kmod,jq";
/// `$2` has the programs and the images.
const CUSTOMISE: &str = include_str!("kubelet/customise.sh");

/// The root directory of such a host, made now if the cache has none.
pub fn image() -> Result<PathBuf> {
    if !machine::has_memory_controller() {
        return Err(Failure(
            "this machine has no memory controller of cgroup version 1, with which alone they were tried".to_owned(),
        ));
    }
    image::with("image-kubelet", PACKAGES, CUSTOMISE, &programs::path()?)
}

/// Why there are no such hosts here; makes what they need.
pub fn available() -> std::result::Result<(), Skip> {
    match image() {
        Ok(_made) => Ok(()),
        Err(failure) => Err(Skip { why: format!("hosts with a kubelet: {failure}") }),
    }
}
