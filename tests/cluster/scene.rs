//! A lab with a cluster.toml for it, and the quorate binary to run on both.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::lab::{Archive, Host, Lab, Series, User, etcd_archive};

pub struct Scene {
    pub lab: Lab,
    pub archive: Archive,
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
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
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
        Self::bare_for(test, hosts, series, User::Root)
    }

    pub fn bare_for(test: &str, hosts: usize, series: Series, user: User) -> Option<Self> {
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
        let lab = Lab::builder().hosts(hosts).user(user).up();
        let scene = Self { lab, archive, cluster: String::new(), etcd: String::new(), more: String::new() };
        scene.write();
        Some(scene)
    }

    /// A healthy cluster, made by quorate itself.
    pub fn healthy(test: &str, hosts: usize, series: Series) -> Option<Self> {
        let scene = Self::bare(test, hosts, series)?;
        scene.apply().exits(0);
        Some(scene)
    }

    pub fn file(&self) -> PathBuf {
        self.lab.dir().join("cluster.toml")
    }

    /// Writes cluster.toml as the scene's fields say.
    pub fn write(&self) {
        let mut text = format!("[cluster]\nname = \"lab\"\nversion = \"{}\"\n{}\n", self.archive.version, self.cluster);
        for host in self.lab.hosts() {
            write!(text, "\n[nodes.{}]\naddress = \"{}\"\nssh = \"{}\"\n", host.name(), host.address(), host.name())
                .expect("a String takes every write");
        }
        write!(
            text,
            "\n[ssh]\nconfig = \"{}\"\nknown-hosts = \"{}\"\n\n[etcd]\n{}\n\n[etcd.archive]\npath = \"{}\"\nsha256 = {{ amd64 = \"{}\" }}\n{}\n",
            self.lab.ssh_config().display(),
            self.lab.known_hosts().display(),
            self.etcd,
            self.archive.path.display(),
            self.archive.sha256,
            self.more
        )
        .expect("a String takes every write");
        fs::write(self.file(), text).expect("the lab's folder can be written");
    }

    /// Changes the declaration.
    pub fn declare(&mut self, change: impl FnOnce(&mut Self)) {
        change(self);
        self.write();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command.current_dir(self.lab.dir()).args(arguments).stdin(Stdio::null()).env_remove("SSH_AUTH_SOCK");
        command
    }

    #[track_caller]
    pub fn quorate(&self, arguments: &[&str]) -> Run {
        let output = self.command(arguments).output().expect("the binary runs");
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
        assert!(!run.stderr.contains("surprise"), "the prediction failed:\n{}", run.stderr);
        run
    }

    /// Nothing is left to do.
    #[track_caller]
    pub fn is_in_sync(&self) {
        let run = self.plan().exits(0);
        assert!(run.stdout.starts_with("No changes"), "{}", run.stdout);
        assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
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

    /// etcdctl with the health check's certificate, on the host.
    #[track_caller]
    pub fn etcdctl(&self, host: &Host, arguments: &str) -> String {
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
        let said = self.etcdctl(&self.lab.hosts()[0], "endpoint health --cluster");
        assert_eq!(said.matches("is healthy").count(), self.lab.hosts().len(), "{said}");
    }

    /// The start time of each member's process, to count restarts.
    pub fn starts(&self) -> Vec<String> {
        let starts = self.lab.hosts().iter().map(|host| {
            host.sh("systemctl show -p MainPID --value etcd.service | xargs -I{} cat /proc/{}/stat | cut -d' ' -f22")
        });
        starts.collect()
    }

    pub fn first(&self) -> &Host {
        &self.lab.hosts()[0]
    }
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
