//! A lab with a cluster.toml for it, and the quorate binary to run on both.

use std::fmt::Write as _;
use std::fs;
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::installed;
use crate::lab::{Archive, Builder, Host, Lab, Series, User, etcd_archive};
use crate::traffic::pair;

/// Where [`Scene::declare_version`] puts the archives.
const ARCHIVES: &str = "archives/etcd-v{version}-linux-{arch}.tar.gz";

pub struct Scene {
    pub lab: Lab,
    pub archive: Archive,
    /// The nodes that are declared: name, address, and the lab's host that they are reached as.
    pub nodes: Vec<(String, String, String)>,
    /// The archives of other versions, which lie beside the first under the same template.
    pub via: Vec<Archive>,
    /// Lines for `[etcd]`, `[cluster]` and at the end of the file.
    pub cluster: String,
    pub etcd: String,
    pub more: String,
}

/// What one run of quorate said.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        let (is, out) = (self.code, &self.stdout);
        // What went wrong first: of a test that failed, a run shows the first lines again at its end.
        assert!(is == code, "exits with {is}, not with {code}, stderr:\n{}\nstdout:\n{out}", self.stderr);
        self
    }

    /// Every one of `words` is in the output.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            let said = self.stdout.contains(word) || self.stderr.contains(word);
            assert!(said, "{word:?} is missing\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        }
        self
    }
}

impl Scene {
    /// Bare hosts and an archive of `series`; `None`, said by name, where there is no lab or no such etcd.
    pub fn bare(test: &str, hosts: usize, series: Series) -> Option<Self> {
        Self::on(test, Lab::builder().hosts(hosts), series)
    }

    pub fn bare_for(test: &str, hosts: usize, series: Series, user: User) -> Option<Self> {
        Self::on(test, Lab::builder().hosts(hosts).user(user), series)
    }

    /// The same on a lab that is described.
    pub fn on(test: &str, lab: Builder, series: Series) -> Option<Self> {
        if !Lab::can_run(test) {
            return None;
        }
        let archive = match etcd_archive(series) {
            Ok(archive) => archive,
            Err(skip) => {
                eprintln!("skipped: {test}: {skip}");
                return None;
            }
        };
        let lab = lab.up();
        let nodes = lab.hosts().iter().map(node).collect();
        let scene = Self {
            lab,
            nodes,
            via: Vec::new(),
            archive,
            cluster: String::new(),
            etcd: String::new(),
            more: String::new(),
        };
        scene.write();
        Some(scene)
    }

    /// Hosts that have the binaries already and nothing else, where how they get there is not what is tested.
    pub fn installed(test: &str, hosts: usize, series: Series) -> Option<Self> {
        Self::installed_on(test, Lab::builder().hosts(hosts), series)
    }

    /// The same on a lab that is described.
    pub fn installed_on(test: &str, lab: Builder, series: Series) -> Option<Self> {
        let scene = Self::on(test, lab, series)?;
        installed::give(&scene.lab, &scene.archive);
        Some(scene)
    }

    /// A healthy cluster, made by quorate itself.
    pub fn healthy(test: &str, hosts: usize, series: Series) -> Option<Self> {
        Self::of_some(test, hosts, hosts, series)
    }

    /// The same where the test moves data directories about, or counts what lies beside them.
    pub fn healthy_with_data_in_place(test: &str, hosts: usize, series: Series) -> Option<Self> {
        Self::of_first(hosts, Self::installed_on(test, Lab::builder().hosts(hosts).data_in_place(), series)?)
    }

    pub fn file(&self) -> PathBuf {
        self.lab.dir().join("cluster.toml")
    }

    /// Writes cluster.toml as the scene's fields say.
    pub fn write(&self) {
        let mut text = format!("[cluster]\nname = \"lab\"\nversion = \"{}\"\n{}\n", self.archive.version, self.cluster);
        for (name, address, ssh) in &self.nodes {
            write!(text, "\n[nodes.{name}]\naddress = \"{address}\"\nssh = \"{ssh}\"\n")
                .expect("a String takes every write");
        }
        write!(
            text,
            "\n[ssh]\nconfig = \"{}\"\nknown-hosts = \"{}\"\n\n[etcd]\n{}\n\n[etcd.archive]\npath = \"{}\"\nsha256 = {{ amd64 = \"{}\" }}\n{}\n",
            self.lab.ssh_config().display(),
            self.lab.known_hosts().display(),
            self.etcd,
            if self.via.is_empty() { self.archive.path.display().to_string() } else { ARCHIVES.to_owned() },
            self.archive.sha256,
            self.more
        )
        .expect("a String takes every write");
        for archive in &self.via {
            write!(text, "\n[etcd.archive.via.\"{}\"]\namd64 = \"{}\"\n", archive.version, archive.sha256)
                .expect("a String takes every write");
        }
        fs::write(self.file(), text).expect("the lab's folder can be written");
    }

    /// Declares another version, with the archives that are needed on the way.
    pub fn declare_version(&mut self, archive: Archive, via: Vec<Archive>) {
        let folder = self.lab.dir().join("archives");
        fs::create_dir_all(&folder).expect("the lab's folder can be written");
        for archive in via.iter().chain([&archive, &self.archive]) {
            let link = folder.join(format!("etcd-v{}-linux-amd64.tar.gz", archive.version));
            let _ = std::os::unix::fs::symlink(&archive.path, link);
        }
        self.declare(|scene| {
            scene.via = via.into_iter().chain([scene.archive.clone()]).collect();
            scene.archive = archive;
        });
    }

    /// Changes the declaration.
    pub fn declare(&mut self, change: impl FnOnce(&mut Self)) {
        change(self);
        self.write();
    }

    /// Writes cluster.toml with another end.
    pub fn write_with(&self, more: &str) {
        self.write();
        let text = fs::read_to_string(self.file()).expect("it was written");
        let text = text.replacen(&self.more, more, 1);
        fs::write(self.file(), text).expect("the lab's folder can be written");
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command.current_dir(self.lab.dir()).args(arguments).stdin(Stdio::null()).env_remove("SSH_AUTH_SOCK");
        command
    }

    #[track_caller]
    pub fn quorate(&self, arguments: &[&str]) -> Run {
        Self::ran(self.command(arguments).output().expect("the binary runs"))
    }

    /// The same, with variables in its environment.
    #[track_caller]
    pub fn quorate_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        Self::ran(self.command(arguments).envs(variables.iter().copied()).output().expect("the binary runs"))
    }

    /// The same, with something to read.
    pub fn quorate_reading(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut file = tempfile::tempfile().expect("a file can be made");
        file.write_all(input).and_then(|()| file.rewind()).expect("it can be written");
        Self::ran(self.command(arguments).stdin(file).output().expect("the binary runs"))
    }

    fn ran(output: Output) -> Run {
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("quorate prints text"),
            stderr: String::from_utf8(output.stderr).expect("quorate prints text"),
        }
    }

    #[track_caller]
    pub fn plan(&self) -> Run {
        self.quorate(&["plan", "--detailed-exitcode"])
    }

    #[track_caller]
    pub fn apply(&self) -> Run {
        let run = self.quorate(&["apply", "--yes"]);
        assert!(!run.stderr.contains("unexpected state"), "the prediction failed:\n{}", run.stderr);
        run
    }

    /// Nothing is left to do.
    #[track_caller]
    pub fn is_in_sync(&self) {
        let run = self.plan().exits(0);
        let said: Vec<_> = run.stdout.lines().filter(|line| !line.trim().is_empty()).collect();
        // Notes may stand before it.
        let notes = said.iter().filter(|line| line.starts_with("note: ") || line.starts_with("      hint: ")).count();
        assert!(said.len() == notes + 1 && said[notes].starts_with("No changes"), "{}", run.stdout);
    }

    /// A cluster.toml that is made from the hosts alone, by way of this one, has an empty plan. Returns it.
    #[track_caller]
    pub fn is_taken_over(&self, host: &Host) -> String {
        let folder = self.lab.dir().join("taken-over");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("the lab's folder can be written");
        let path = |path: PathBuf| path.display().to_string();
        let (config, known) = (path(self.lab.ssh_config()), path(self.lab.known_hosts()));
        let file = path(folder.join("cluster.toml"));
        let init = ["init", "--offline", "--ssh-config", &config, "--known-hosts", &known, "--output", &file];
        let init = [&init[..], &["--from-live", host.name()]].concat();
        self.quorate(&init).exits(0).says(&["a plan of it changes nothing"]);
        self.quorate(&["-f", &file, "plan", "--detailed-exitcode"]).exits(0).says(&["No changes"]);
        self.quorate(&init).exits(1).says(&["the file already exists"]);
        fs::read_to_string(&file).expect("it was written")
    }

    /// The drift is found with `words`, repaired by one apply, and gone. Returns the plan that was shown.
    #[track_caller]
    pub fn is_repaired(&self, words: &[&str]) -> Run {
        let plan = self.plan().exits(2).says(words);
        self.apply().exits(0);
        self.is_in_sync();
        self.is_healthy();
        plan
    }

    /// etcdctl as a user, by a client certificate for its name.
    #[track_caller]
    pub fn etcdctl_as(&self, user: &str, host: &Host, arguments: &str) -> String {
        let file = format!("/root/{user}");
        if host.read(&format!("{file}.key")).is_none() {
            let (certificate, key) = pair(&self.lab.dir().join("pki"), user);
            host.write(&format!("{file}.crt"), certificate);
            host.write(&format!("{file}.key"), key);
        }
        host.exec(&format!(
            "ETCDCTL_API=3 etcdctl --endpoints=https://{}:2379 --cacert=/etc/etcd/pki/ca.crt --cert={file}.crt \
             --key={file}.key {arguments} 2>&1",
            host.address()
        ))
        .stdout
    }

    /// etcdctl on the host: as root where authentication is on, else with the health check's certificate.
    #[track_caller]
    pub fn etcdctl(&self, host: &Host, arguments: &str) -> String {
        if self.more.contains("[auth]") {
            return self.etcdctl_as("root", host, arguments);
        }
        let pki = "/etc/etcd/pki";
        host.sh(&format!(
            "ETCDCTL_API=3 etcdctl --endpoints=https://{}:2379 --cacert={pki}/ca.crt --cert={pki}/healthcheck-client.crt \
             --key={pki}/healthcheck-client.key {arguments} 2>&1",
            host.address()
        ))
    }

    /// What `etcdctl endpoint health --cluster` says of every member.
    #[track_caller]
    pub fn is_healthy(&self) {
        let said = self.etcdctl(self.first_member(), "endpoint health --cluster");
        assert_eq!(said.matches("is healthy").count(), self.nodes.len(), "{said}");
    }

    /// The start time of each member's process, to count restarts.
    pub fn starts(&self) -> Vec<String> {
        self.starts_of(self.lab.hosts().len())
    }

    /// The same of the first `hosts`.
    pub fn starts_of(&self, hosts: usize) -> Vec<String> {
        let starts = self.lab.hosts()[..hosts].iter().map(|host| {
            host.sh("systemctl show -p MainPID --value etcd.service | xargs -I{} cat /proc/{}/stat | cut -d' ' -f22")
        });
        starts.collect()
    }

    pub fn first(&self) -> &Host {
        &self.lab.hosts()[0]
    }

    /// A healthy cluster of the first `members` of `hosts`; the others are bare.
    pub fn of_some(test: &str, members: usize, hosts: usize, series: Series) -> Option<Self> {
        Self::of_first(members, Self::installed(test, hosts, series)?)
    }

    /// The same of a scene that is there, whose other hosts are bare.
    pub fn of_first(members: usize, mut scene: Self) -> Option<Self> {
        scene.declare_hosts(0..members);
        scene.apply().exits(0);
        installed::keep(scene.first(), &scene.archive);
        Some(scene)
    }

    /// Declares these hosts of the lab, by their own names.
    pub fn declare_hosts(&mut self, hosts: impl IntoIterator<Item = usize>) {
        let nodes = hosts.into_iter().map(|index| node(&self.lab.hosts()[index])).collect();
        self.declare(|scene| scene.nodes = nodes);
    }

    /// Applies with more arguments.
    #[track_caller]
    pub fn apply_with(&self, arguments: &[&str]) -> Run {
        let run = self.quorate(&[&["apply", "--yes"], arguments].concat());
        assert!(!run.stderr.contains("unexpected state"), "the prediction failed:\n{}", run.stderr);
        run
    }

    /// The member list is what is declared: names and peer URLs, every one a voter.
    #[track_caller]
    pub fn members_are_declared(&self) {
        let said = self.etcdctl(self.first_member(), "member list -w json");
        let list: serde_json::Value =
            serde_json::from_str(said.lines().last().unwrap_or_default()).expect("it is JSON");
        let members = list["members"].as_array().expect("there are members");
        let mut found: Vec<_> = members
            .iter()
            .map(|member| {
                assert_ne!(member["isLearner"], serde_json::Value::Bool(true), "{said}");
                let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                (text(&member["name"]), text(&member["peerURLs"][0]))
            })
            .collect();
        found.sort();
        let declared: Vec<_> =
            self.nodes.iter().map(|(name, address, _)| (name.clone(), format!("https://{address}:2380"))).collect();
        assert_eq!(found, declared, "{said}");
    }

    /// Nothing is left to do, every member is well, and they are those that are declared.
    #[track_caller]
    pub fn is_as_declared(&self) {
        self.is_in_sync();
        self.is_healthy();
        self.members_are_declared();
    }

    /// The place of the leader among the lab's hosts.
    #[track_caller]
    pub fn leader(&self) -> usize {
        let said = self.etcdctl(self.first_member(), "endpoint status --cluster -w json");
        let list: serde_json::Value =
            serde_json::from_str(said.lines().last().unwrap_or_default()).expect("it is JSON");
        let leads = |status: &&serde_json::Value| status["Status"]["header"]["member_id"] == status["Status"]["leader"];
        let leader = list.as_array().and_then(|list| list.iter().find(leads)).expect("one of them leads");
        let endpoint = leader["Endpoint"].as_str().expect("it has an endpoint");
        let is_there = |host: &Host| endpoint.contains(&format!("/{}:", host.address()));
        self.lab.hosts().iter().position(is_there).expect("it is a host of the lab")
    }

    pub fn first_member(&self) -> &Host {
        let (_, _, ssh) = &self.nodes[0];
        self.lab.hosts().iter().find(|host| host.name() == ssh).expect("a node is a host of the lab")
    }
}

fn node(host: &Host) -> (String, String, String) {
    (host.name().to_owned(), host.address().to_string(), host.name().to_owned())
}

/// How often data was set aside on that host: beside the data directory, or in it where that is a disk of its own.
pub fn set_aside(host: &Host, why: &str) -> usize {
    let script = format!("ls -d /var/lib/etcd.{why}-*/member /var/lib/etcd/{why}-*/member 2>/dev/null || true");
    host.sh(&script).lines().count()
}

/// Asks again and again until it is so.
#[track_caller]
pub fn until(what: &str, deadline: Duration, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < deadline, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Every series that issue and documents name. A version that cannot be had is skipped by name where it is asked for.
pub const SERIES: [Series; 4] = [Series::V3_4, Series::V3_5, Series::V3_6, Series::V3_7];
