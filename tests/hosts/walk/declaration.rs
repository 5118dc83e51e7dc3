//! A cluster.toml that is edited again and again: which member is on which host of the lab, and everything else that
//! may change.
#![allow(dead_code, reason = "the walk and the benchmark each use a part of it")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::lab::{Archive, Lab, arch};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    pub client: u16,
    pub peer: u16,
    pub metrics: u16,
}

#[derive(Clone, Debug)]
pub struct Declaration {
    pub version: String,
    /// Versions on the way to it.
    pub via: Vec<String>,
    /// The name of the host in the lab, by the member's name.
    pub nodes: BTreeMap<String, String>,
    pub ports: Ports,
    /// Keys of `[etcd]` and of its `extra`, with their values as TOML.
    pub etcd: BTreeMap<&'static str, String>,
    pub extra: BTreeMap<&'static str, String>,
    /// A member may be restarted though the cluster does not serve meanwhile.
    pub downtime: bool,
    /// Keys are kept from whoever is no declared user.
    pub auth: bool,
}

impl Declaration {
    pub fn new(version: &str) -> Declaration {
        Declaration {
            version: version.to_owned(),
            via: Vec::new(),
            nodes: BTreeMap::new(),
            ports: Ports { client: 2379, peer: 2380, metrics: 2381 },
            etcd: BTreeMap::new(),
            extra: BTreeMap::new(),
            downtime: false,
            auth: false,
        }
    }

    pub fn text(&self, lab: &Lab, archives: &Archives) -> String {
        let mut text = format!("[cluster]\nname = \"lab\"\nversion = \"{}\"\n", self.version);
        if self.downtime {
            text.push_str("downtime = \"allowed\"\n");
        }
        for (name, host) in &self.nodes {
            let address = lab.host(host).address();
            put(&mut text, format_args!("\n[nodes.{name}]\naddress = \"{address}\"\nssh = \"{host}\"\n"));
        }
        let Ports { client, peer, metrics } = self.ports;
        put(&mut text, format_args!("\n[ports]\nclient = {client}\npeer = {peer}\nmetrics = {metrics}\n"));
        let (config, known) = (impatient(lab), lab.known_hosts());
        put(
            &mut text,
            format_args!("\n[ssh]\nconfig = \"{}\"\nknown-hosts = \"{}\"\n", config.display(), known.display()),
        );
        text.push_str("\n[etcd]\n");
        for (key, value) in &self.etcd {
            put(&mut text, format_args!("{key} = {value}\n"));
        }
        if !self.extra.is_empty() {
            let entries: Vec<_> = self.extra.iter().map(|(key, value)| format!("{key} = {value}")).collect();
            put(&mut text, format_args!("extra = {{ {} }}\n", entries.join(", ")));
        }
        text.push_str(&archives.section(&self.version, &self.via));
        if self.auth {
            text.push_str("\n[auth]\nenabled = true\n[users.writer]\nprefix = \"/walk/\"\n");
        }
        text
    }
}

/// The lab's ssh config, but a host that does not answer within two seconds on this one machine is dead.
fn impatient(lab: &Lab) -> PathBuf {
    let file = lab.dir().join("ssh_config");
    if !file.exists() {
        let text = fs::read_to_string(lab.ssh_config()).expect("the lab has an ssh config");
        assert!(text.contains("ConnectTimeout 10\n"), "{text}");
        fs::write(&file, text.replace("ConnectTimeout 10\n", "ConnectTimeout 2\n")).expect("it can be written");
    }
    file
}

/// Archives of several versions, under one template.
pub struct Archives {
    folder: PathBuf,
    sha256: BTreeMap<String, String>,
}

impl Archives {
    pub fn new(lab: &Lab) -> Archives {
        let folder = lab.dir().join("archives");
        fs::create_dir_all(&folder).expect("the lab's folder can be written");
        Archives { folder, sha256: BTreeMap::new() }
    }

    pub fn add(&mut self, archive: &Archive) {
        let link = self.folder.join(archive.path.file_name().expect("an archive has a name"));
        if !link.exists() {
            std::os::unix::fs::symlink(&archive.path, link).expect("the lab's folder can be written");
        }
        self.sha256.insert(archive.version.clone(), archive.sha256.clone());
    }

    pub fn path(&self, version: &str) -> PathBuf {
        self.folder.join(format!("etcd-v{version}-linux-{}.tar.gz", arch()))
    }

    fn section(&self, version: &str, via: &[String]) -> String {
        let path = self.folder.join("etcd-v{version}-linux-{arch}.tar.gz");
        let digests = |version: &str| format!("{{ {} = \"{}\" }}", arch(), self.sha256[version]);
        let mut text = format!("\n[etcd.archive]\npath = \"{}\"\nsha256 = {}\n", path.display(), digests(version));
        if !via.is_empty() {
            text.push_str("\n[etcd.archive.via]\n");
        }
        for stop in via {
            put(&mut text, format_args!("\"{stop}\" = {}\n", digests(stop)));
        }
        text
    }
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a String takes every write");
}
