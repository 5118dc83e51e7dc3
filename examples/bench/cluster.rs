//! A cluster that serves, with a client that writes to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quorate::core::desired::Desired;
use quorate::core::names::ClusterName;
use quorate::shell::live::pki::{self, Signer};

use crate::declaration::{Archives, Declaration};
use crate::lab::{Archive, Host, Lab};
use crate::traffic::{Credentials, Endpoint, Writer, addresses, now};

/// A wait that takes longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Cluster {
    // Before the lab, so that nobody writes while the hosts go.
    pub writer: Writer,
    pub lab: Lab,
    pub archives: Archives,
    pub declaration: Declaration,
}

impl Cluster {
    /// `members` members, made by quorate, on a lab with one host more.
    pub fn new(archive: &Archive, members: usize) -> Cluster {
        let lab = Lab::builder().hosts(members + 1).plain().up();
        let mut archives = Archives::new(&lab);
        archives.add(archive);
        let mut declaration = Declaration::new(&archive.version);
        let hosts = lab.hosts().iter().take(members);
        declaration.nodes = hosts.map(|host| (host.name().to_owned(), host.name().to_owned())).collect();
        fs::write(lab.dir().join("cluster.toml"), declaration.text(&lab, &archives)).expect("it can be written");
        let output = quorate(&lab.dir(), &["apply", "--yes"]).output().expect("quorate runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let writer = Writer::begin(Credentials::issue(&lab.dir().join("pki")), "/bench/");
        Cluster { writer, lab, archives, declaration }
    }

    /// cluster.toml, as quorate reads it.
    pub fn desired(&self) -> Desired {
        let text = self.declaration.text(&self.lab, &self.archives);
        quorate::core::desired::read::parse(&text, "cluster.toml", &self.lab.dir(), None).expect("it is valid")
    }

    fn pki(&self) -> PathBuf {
        self.lab.dir().join("pki")
    }

    pub fn authority(&self) -> Signer {
        pki::load(&self.pki(), now()).expect("it can be read").expect("bootstrap made one")
    }

    /// Made beside the one that there is; the client trusts both from now on.
    pub fn announce_next_authority(&mut self) {
        pki::create_next(&self.pki(), &ClusterName::new("bench"), now()).expect("it can be made");
        self.writer = Writer::begin(Credentials::issue(&self.pki()), "/bench/");
    }

    pub fn next_authority(&self) -> Signer {
        pki::load_next(&self.pki(), now()).expect("it can be read").expect("it was announced")
    }

    pub fn adopt_next_authority(&self) {
        pki::adopt_next(&self.pki(), now()).expect("it can take its place");
    }

    pub fn host(&self, member: &str) -> &Host {
        self.lab.host(&self.declaration.nodes[member])
    }

    /// Clients know every member but this.
    pub fn aim_without(&self, struck: Option<&str>) {
        let members = self.declaration.nodes.keys().filter(|name| struck != Some(name.as_str()));
        let endpoint = |name: &String| Endpoint {
            name: name.clone(),
            addresses: addresses(self.host(name).address(), &[self.declaration.ports.client]),
        };
        self.writer.aim(members.map(endpoint).collect());
    }

    /// Nobody writes, so that the other cluster has the machine for itself.
    pub fn rest(&self) {
        self.writer.aim(Vec::new());
    }

    /// etcdctl on a member's host, asking that member. Returns whether it succeeded, and what it said.
    pub fn etcdctl(&self, member: &str, arguments: &str) -> (bool, String) {
        let host = self.host(member);
        let pki = "/etc/etcd/pki";
        let output = host.exec(&format!(
            "ETCDCTL_API=3 etcdctl --endpoints=https://{}:{} --cacert={pki}/ca.crt --cert={pki}/healthcheck-client.crt \
             --key={pki}/healthcheck-client.key {arguments} 2>&1",
            host.address(),
            self.declaration.ports.client
        ));
        (output.succeeded(), output.stdout)
    }

    /// As the README's tour has it: `member list`, the columns of one member by its peer address.
    pub fn id_of(&self, member: &str) -> String {
        let address = format!("https://{}:", self.lab.host(&self.declaration.nodes[member]).address());
        let list = self.etcdctl(self.another(member), "member list").1;
        let line = list.lines().find(|line| line.split(", ").nth(3).is_some_and(|urls| urls.starts_with(&address)));
        let line = line.unwrap_or_else(|| panic!("{member} is not in:\n{list}"));
        line.split(", ").next().expect("a line has a first column").to_owned()
    }

    pub fn another(&self, member: &str) -> &str {
        self.declaration.nodes.keys().find(|name| *name != member).expect("there are several members")
    }

    /// The member that leads.
    pub fn leader(&self) -> String {
        let leads = |name: &&String| {
            let said = self.etcdctl(name, "endpoint status").1;
            said.split(", ").nth(4) == Some("true")
        };
        let begun = Instant::now();
        loop {
            if let Some(leader) = self.declaration.nodes.keys().find(leads) {
                return leader.clone();
            }
            assert!(begun.elapsed() < PATIENCE, "nobody leads");
        }
    }

    /// All members but `struck` are healthy.
    pub fn wait_until_healthy(&self, struck: Option<&str>) {
        let members: Vec<_> = self.declaration.nodes.keys().filter(|name| struck != Some(name.as_str())).collect();
        self.wait("all members are healthy", || members.iter().all(|member| self.etcdctl(member, "endpoint health").0));
    }

    pub fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The built binary of the same profile, in the folder of a cluster.toml.
pub fn quorate(folder: &Path, arguments: &[&str]) -> Command {
    let built = std::env::current_exe().expect("this program has a path");
    let binary = built.ancestors().nth(2).expect("examples lie two folders deep").join("quorate");
    assert!(binary.exists(), "build it first: cargo build --release");
    let mut command = Command::new(binary);
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}
