//! What the lab needs of the machine it runs on; README.md has the whole list of packages.

use std::process::Command;

use super::command::{QUICK, is_installed, succeed};
use super::machine;

/// Programs without which no host boots, and the Debian packages that have them.
const PROGRAMS: [(&str, &str); 8] = [
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
    ("ssh", "openssh-client"),
    ("apt-get", "apt"),
];

/// Why no lab can run here.
pub fn available() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("the lab needs root".to_owned());
    }
    let missing = PROGRAMS.into_iter().filter(|(program, _)| !is_installed(program));
    let missing: Vec<&str> = missing.map(|(_, package)| package).collect();
    if !missing.is_empty() {
        return Err(format!("the lab needs the Debian packages {}", missing.join(", ")));
    }
    if machine::cgroup2_root().is_none() {
        return Err("the lab needs a mounted cgroup2 file system".to_owned());
    }
    // A container without privileges is root, too, and cannot do this.
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--net", "true"]);
    match succeed(&mut unshare, b"", QUICK) {
        Ok(_) => Ok(()),
        Err(failure) => Err(format!("the lab needs to make namespaces: {failure}")),
    }
}
