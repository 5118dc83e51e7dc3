//! What hosts need to be nodes as kubeadm knows them: containerd, a kubelet that runs static pods, kubeadm itself, and the
//! images of etcd and pause. None of it comes from a registry of images: Debian has containerd, and the rest is built from
//! its Go modules (`programs`) and packed here (`oci`).
//!
//! There is no API server: the kubelet stands alone, as it does on a host for etcd outside of a control plane.

mod oci;
mod programs;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::archive::Archive;
use super::command::{Failure, run, succeed};
use super::{Result, Skip, cache_dir, image, machine};

pub use programs::{ETCD, KUBERNETES};

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

/// An image of another etcd, as an archive for `ctr images import`, and its name; made now if the cache has none.
pub fn etcd_image(archive: &Archive) -> Result<(PathBuf, String)> {
    let name = format!("registry.k8s.io/etcd:{}-0", archive.version);
    let made = cache_dir().join(format!("etcd-image-{}.tar", archive.version));
    let _waits_for_others = image::lock(&made)?;
    if !made.exists() {
        let work = tempfile::tempdir_in(cache_dir()).map_err(|error| Failure::new(made.display(), error))?;
        let mut unpack = std::process::Command::new("tar");
        unpack.arg("-xzf").arg(&archive.path).arg("-C").arg(work.path()).arg("--strip-components=1");
        succeed(&mut unpack, b"", Duration::from_secs(60))?;
        let programs = ["etcd", "etcdctl", "etcdutl"].map(|name| work.path().join(name));
        // Those of Debian are not static.
        let mut linked = std::process::Command::new("sh");
        linked
            .args(["-c", r#"ldd "$@" 2>/dev/null | grep -o '/[^ ]*' | grep '\.so' | sort -u"#, "ldd"])
            .args(&programs);
        let libraries = run(&mut linked, b"", Duration::from_secs(60))?.stdout;
        let libraries = libraries.lines().map(|path| (PathBuf::from(path), path.trim_start_matches('/').to_owned()));
        let in_image = |path: PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (path, format!("usr/local/bin/{name}"))
        };
        let programs: Vec<_> = programs.into_iter().map(in_image).chain(libraries).collect();
        let files: Vec<(&Path, &str)> = programs.iter().map(|(from, to)| (from.as_path(), to.as_str())).collect();
        let staged = work.path().join("image.tar");
        oci::write(&staged, &name, &[], &files)?;
        std::fs::rename(&staged, &made).map_err(|error| Failure::new(made.display(), error))?;
    }
    Ok((made, name))
}

/// Why there are no such hosts here; makes what they need.
pub fn available() -> std::result::Result<(), Skip> {
    match image() {
        Ok(_made) => Ok(()),
        Err(failure) => Err(Skip { why: format!("hosts with a kubelet: {failure}") }),
    }
}
