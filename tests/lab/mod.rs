//! The lab: real Debian hosts on one machine, each with its own systemd, sshd, disk and network.
//!
//! ```text
//! let lab = Lab::up(3);
//! lab.host("etcd-1").sh("hostname");          // as root, without ssh
//! lab.ssh_command("etcd-2").arg("true");      // with the lab's key and strict host keys
//! lab.host("etcd-3").power_off();             // a power cut; power_on() finds the disk as it was
//! ```
//!
//! One image is made once with mmdebstrap and cached outside the repository (`image`). A host is an overlay on a tmpfs
//! over that image (`disk`), a network namespace with a veth on the lab's bridge (`network`), and a systemd-nspawn in a
//! control group of its own (`machine`). A lab takes an id for itself, 10.77.ID.0/24 and the folder /run/quorate-lab/ID
//! (`registry`); what its hosts have that nobody made for us is drawn by a seed (`oddities`). All that it makes carries
//! the id in its name, so what a crashed run left behind can be found and removed. It needs root, and the Debian packages
//! in README.md.
//!
//! Hosts with a kubelet have a second image (`kubelet`), and an etcd in a static pod where a test asks for it:
//!
//! ```text
//! let lab = Lab::builder().hosts(3).kubelet().up();
//! kubeadm::members(lab.hosts());
//! ```
//!
//! The methods of [`Lab`] and [`Host`] panic with what was run and what it said: a test cannot go on without its lab.
#![allow(dead_code, unused_imports, reason = "each test binary includes the whole lab and uses a part of it")]

mod archive;
mod builder;
mod command;
mod disk;
mod host;
mod image;
mod keys;
pub mod kubeadm;
pub mod kubelet;
mod machine;
mod network;
mod oddities;
mod places;
mod registry;
mod requirements;
mod snapshot;

use std::path::{Path, PathBuf};
use std::process::Command;

pub use archive::{Archive, Series, Skip, arch, cached_archive, etcd_archive, hex_sha256, is_drawn, is_turn};
pub use builder::Builder;
pub use command::{Failure, Output};
pub use host::Host;
pub use image::lock;
pub use registry::User;
pub use snapshot::{FileState, Process};

/// What every part of the lab returns to the next; the public methods turn an error into a panic.
pub type Result<T> = std::result::Result<T, Failure>;

/// Hosts that live as long as this value.
pub struct Lab {
    state: registry::State,
    hosts: Vec<Host>,
    /// Held for the lab's life: a lab whose lock is free was left by a crash. None for a kept lab.
    lock: Option<registry::Lock>,
    /// What its hosts take of the machine; freed when they are gone.
    places: Option<places::Places>,
}

impl Lab {
    /// Boots `hosts` hosts named etcd-1 and so on, which root can reach with the lab's key.
    pub fn up(hosts: usize) -> Lab {
        Lab::builder().hosts(hosts).up()
    }

    /// For another user, other names, smaller disks or hosts that are not booted yet.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Why no lab can run here, in words for a skipped test.
    pub fn available() -> std::result::Result<(), String> {
        requirements::available()
    }

    /// True when a lab can run here; otherwise says on stderr that `test` is skipped, and why.
    pub fn can_run(test: &str) -> bool {
        match Lab::available() {
            Ok(()) => true,
            Err(why) => {
                eprintln!("skipped: {test}: {why}");
                false
            }
        }
    }

    /// The same for a lab of hosts with a kubelet; what these need is built now if the cache has it not, in minutes.
    pub fn can_run_kubelet(test: &str) -> bool {
        if !Lab::can_run(test) {
            return false;
        }
        match kubelet::available() {
            Ok(()) => true,
            Err(skip) => {
                eprintln!("skipped: {test}: {skip}");
                false
            }
        }
    }

    /// All hosts, the idle ones last.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> &Host {
        let found = self.hosts.iter().find(|host| host.name() == name);
        found.unwrap_or_else(|| panic!("lab {} has no host {name}", self.state.id))
    }

    /// The number in 10.77.ID.0/24 and in the names of all that the lab made.
    pub fn id(&self) -> u8 {
        self.state.id
    }

    /// Who logs in with the lab's key, where a host's oddities do not say otherwise.
    pub fn user(&self) -> &User {
        &self.state.user
    }

    /// An empty folder for a test's own files; it goes with the lab.
    pub fn dir(&self) -> PathBuf {
        self.state.dir().join("files")
    }

    /// The private half of the ed25519 key that the hosts accept.
    pub fn key(&self) -> PathBuf {
        keys::client_key(&self.state.dir())
    }

    /// The hosts' real keys by name and by address. Only the ed25519 ones, though each host also has an ECDSA key, as a
    /// client has it that has met the hosts once: a client that does not ask for the type it knows is refused.
    pub fn known_hosts(&self) -> PathBuf {
        keys::known_hosts(&self.state.dir())
    }

    /// Maps the hosts' names to address, user, key and known_hosts; strict about host keys.
    pub fn ssh_config(&self) -> PathBuf {
        keys::ssh_config(&self.state.dir())
    }

    /// OpenSSH's client to that host; add the remote command.
    pub fn ssh_command(&self, host: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(self.ssh_config()).arg(self.host(host).name());
        ssh
    }

    /// Runs a remote command over ssh and returns what it said, whatever its exit code.
    pub fn ssh(&self, host: &str, remote: &str) -> Output {
        let mut ssh = self.ssh_command(host);
        ssh.arg(remote);
        command::must(command::run(&mut ssh, b"", command::SSH))
    }

    /// Leaves the hosts running when this value goes; `Lab::attach` finds them again, `tear_down` ends them.
    pub fn keep(mut self) -> u8 {
        command::must(registry::mark_kept(&self.state));
        (self.lock, self.places) = (None, None);
        self.state.id
    }

    /// The ids of the kept labs.
    pub fn kept() -> Vec<u8> {
        registry::kept()
    }

    /// A kept lab, as another process left it.
    pub fn attach(id: u8) -> Lab {
        let state = command::must(registry::load(id));
        let hosts = Host::all(&state);
        Lab { state, hosts, lock: None, places: None }
    }

    /// Ends the lab now: hosts, network, disks, files.
    pub fn tear_down(mut self) {
        self.lock = None;
        command::must(registry::clean_kept(self.state.id));
    }

    /// Leaves everything as a test does that is killed. The next lab to start, anywhere on this machine, removes it.
    pub fn abandon(mut self) {
        self.lock = None;
    }

    /// For whoever reads a failure, and wants the same hosts again.
    fn say_what_is_odd(&self) {
        let odd = self.state.hosts.iter().filter(|host| !host.oddities.names.is_empty());
        let odd: Vec<String> = odd.map(|host| format!("{}: {}", host.name, host.oddities.names.join(", "))).collect();
        if !odd.is_empty() {
            eprintln!("lab {}, {}: {}", self.state.id, oddities::asked_for(), odd.join("; "));
        }
    }

    /// The lab's folder on this machine: console logs in hosts/NAME/console.log.
    pub fn state_dir(&self) -> PathBuf {
        self.state.dir()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.lock.is_none() {
            return;
        }
        if std::env::var_os("QUORATE_LAB_KEEP").is_some() {
            eprintln!("lab {} is kept (QUORATE_LAB_KEEP): {}", self.state.id, self.state.dir().display());
            if registry::mark_kept(&self.state).is_ok() {
                return;
            }
        }
        // A panic here would hide the test's own one.
        if let Err(failure) = registry::clean(self.state.id) {
            eprintln!("lab {} could not be removed: {failure}", self.state.id);
        }
    }
}

/// Where the image and the etcd archives are kept between runs.
pub fn cache_dir() -> PathBuf {
    match std::env::var_os("QUORATE_LAB_CACHE") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new("/var/cache/quorate-lab").to_path_buf(),
    }
}
