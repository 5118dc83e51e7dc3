//! SSH keys: the lab's client key, each host's own keys, and the client's known_hosts and config that go with them.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::{Failure, QUICK, succeed};
use super::{Result, network, registry};

pub fn client_key(lab_dir: &Path) -> PathBuf {
    lab_dir.join("key")
}

pub fn known_hosts(lab_dir: &Path) -> PathBuf {
    lab_dir.join("known_hosts")
}

pub fn ssh_config(lab_dir: &Path) -> PathBuf {
    lab_dir.join("ssh_config")
}

/// Makes the client key and, once per lab, every host's keys; writes known_hosts and ssh_config.
pub fn create(state: &registry::State) -> Result<()> {
    let dir = state.dir();
    generate(&client_key(&dir), "ed25519", "quorate-lab")?;
    let mut known = String::new();
    let mut config = String::new();
    for host in &state.hosts {
        let keys = host_keys(&dir, &host.name);
        create_host_keys(&keys, &host.name)?;
        let address = network::address(state.id, host.number);
        let public = fs::read_to_string(keys.join("ssh_host_ed25519_key.pub"))
            .map_err(|error| Failure::new(keys.display(), error))?;
        let key: Vec<&str> = public.split_whitespace().take(2).collect();
        let _infallible = writeln!(known, "{},{address} {}", host.name, key.join(" "));
        config.push_str(&config_of(&dir, &host.name, address, state.user_of(host).name()));
    }
    write(&known_hosts(&dir), &known)?;
    write(&ssh_config(&dir), &config)
}

fn config_of(dir: &Path, name: &str, address: Ipv4Addr, user: &str) -> String {
    format!(
        "Host {name} {address}\n  HostName {address}\n  User {user}\n  IdentityFile {}\n  IdentitiesOnly yes\n  BatchMode yes\n  \
         UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  ConnectTimeout 10\n\n",
        client_key(dir).display(),
        known_hosts(dir).display(),
    )
}

/// Where a host's keys are kept from one wipe to the next.
pub fn host_keys(lab_dir: &Path, name: &str) -> PathBuf {
    lab_dir.join("hosts").join(name).join("keys")
}

/// The two types that are quick to make; the client's known_hosts has only the first.
pub fn create_host_keys(keys: &Path, name: &str) -> Result<()> {
    if keys.exists() {
        fs::remove_dir_all(keys).map_err(|error| Failure::new(keys.display(), error))?;
    }
    fs::create_dir_all(keys).map_err(|error| Failure::new(keys.display(), error))?;
    for kind in ["ed25519", "ecdsa"] {
        generate(&keys.join(format!("ssh_host_{kind}_key")), kind, &format!("root@{name}"))?;
    }
    Ok(())
}

fn generate(path: &Path, kind: &str, comment: &str) -> Result<()> {
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", kind, "-N", "", "-C", comment, "-f"]).arg(path);
    succeed(&mut keygen, b"", QUICK).map(|_silent| ())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| Failure::new(path.display(), error))
}
