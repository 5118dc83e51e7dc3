//! Which etcd runs on the host that is not our unit's, whoever started it, and what would start one.

use std::collections::BTreeSet;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, missing};
use crate::core::desired::{Ports, Runtime};
use crate::core::names::RemotePath;
use crate::core::observed::{OtherEtcd, Runner};

pub(super) struct Look;

/// What was found, before it is known what of it is ours.
pub(super) struct Others {
    found: Vec<OtherEtcd>,
    /// The main process of a unit with our name that has not noted what it loads.
    main: Option<OtherEtcd>,
}

impl Section for Look {
    type Fact = Others;

    const SHELL: &'static str = concat!(include_str!("../../../core/content/processes.sh"), include_str!("others.sh"));

    const NEEDS: &'static [&'static str] = &["grep", "sed", "readlink", "tr", "head"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let paths = &of.desired.paths;
        let words = [
            ("q_config", paths.config.to_string()),
            ("q_data", paths.data.to_string()),
            ("q_service", paths.service.clone()),
        ];
        Some(words.into())
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Others, Trouble> {
        if !answer.has("others") {
            return Err(missing("which etcd runs there"));
        }
        let lines: Vec<_> = answer.lines("others").filter_map(|line| line.split_once('=')).collect();
        let begins = |key: &str| matches!(key, "pid" | "manifest" | "unit");
        let listening: Vec<_> =
            lines.iter().filter(|(key, _)| *key == "listens").filter_map(|(_, line)| listener(line)).collect();
        let mut others = Others { found: Vec::new(), main: None };
        let first = lines.iter().position(|(key, _)| begins(key)).unwrap_or(lines.len());
        for record in lines[first..].chunk_by(|_, (key, _)| !begins(key)).take(RECORDS_MAX) {
            let record = Record(record);
            match record.etcd(of, &listening) {
                Some(etcd) if record.value("main").is_some() => others.main = Some(etcd),
                found => others.found.extend(found),
            }
        }
        // A pod that runs is told by its process, which its manifest would only repeat.
        let has_pod = others.found.iter().any(|etcd| etcd.runs() && matches!(etcd.runner, Runner::Kubelet(_)));
        let manifest = |etcd: &OtherEtcd| matches!(&etcd.runner, Runner::Kubelet(Some(_)));
        if let Some(at) = others.found.iter().position(manifest).filter(|_| has_pod) {
            let manifest = others.found.remove(at).runner;
            let pods = others.found.iter_mut().filter(|etcd| matches!(etcd.runner, Runner::Kubelet(_)));
            pods.for_each(|etcd| etcd.runner = manifest.clone());
        }
        // The same of a unit of quorate's.
        let is_own_unit = |etcd: &OtherEtcd| etcd.is_own && !etcd.runs();
        let own: Vec<_> =
            others.found.iter().filter(|etcd| is_own_unit(etcd)).map(|etcd| etcd.runner.clone()).collect();
        for etcd in others.found.iter_mut().filter(|etcd| etcd.runs()) {
            etcd.is_own = own.contains(&etcd.runner);
        }
        let running: Vec<_> = others.found.iter().filter(|etcd| etcd.runs()).map(|etcd| etcd.runner.clone()).collect();
        others.found.retain(|etcd| !is_own_unit(etcd) || !running.contains(&etcd.runner));
        Ok(others)
    }
}

impl Others {
    /// All that are not ours, and whether the main process of the unit is one of them: `is_ours` where the unit or its
    /// etcd.yaml is a text of ours.
    pub fn foreign(self, is_ours: bool) -> (Vec<OtherEtcd>, bool) {
        let main = self.main.filter(|_| !is_ours);
        let is_foreign = main.is_some();
        let runs = is_foreign || self.found.iter().any(OtherEtcd::runs);
        let found = main.into_iter().chain(self.found);
        // What does not run is told where nothing else is to be told of it.
        (found.filter(|etcd| etcd.runs() || etcd.in_our_place || !runs).collect(), is_foreign)
    }
}

/// No host has more of them.
const RECORDS_MAX: usize = 50;

struct Record<'a>(&'a [(&'a str, &'a str)]);

impl<'a> Record<'a> {
    fn values(&self, wanted: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| *key == wanted).map(|(_, value)| *value)
    }

    /// The last one counts, as with flags.
    fn value(&self, wanted: &str) -> Option<&'a str> {
        self.values(wanted).last().filter(|value| !value.is_empty())
    }

    fn etcd(&self, of: &Subject<'_>, listening: &[(u32, u16)]) -> Option<OtherEtcd> {
        let is_main = self.value("main").is_some();
        let pid: Option<u32> = match self.value("pid") {
            Some(pid) => Some(pid.parse().ok()?),
            None => None,
        };
        let runner = match (self.value("manifest"), self.value("unit")) {
            (Some(path), _) => Runner::Kubelet(Some(RemotePath::new(path))),
            (_, Some(unit)) => Runner::Unit(unit.to_owned()),
            _ if is_main => Runner::Unit(of.desired.paths.service.clone()),
            _ => runner(self.values("cgroup"), self.value("parent")),
        };
        // What quorate itself runs for a moment: a recovery, and a drill.
        let is_drill = |data: &str| data.contains("/.drill.quorate/") || data.contains("/quorate-drill-");
        let is_ours = matches!(&runner, Runner::Unit(name) if name.starts_with("quorate-"));
        // Our unit's own, which has started since its main process was asked for.
        let is_ours_by_runner = match of.desired.cluster.runtime {
            Runtime::Systemd => runner == Runner::Unit(of.desired.paths.service.clone()),
            Runtime::StaticPod => matches!(runner, Runner::Kubelet(_)) && self.value("same-data").is_some(),
        };
        let is_later = !is_main && pid.is_some() && is_ours_by_runner;
        if is_ours || is_later || self.value("data").is_some_and(is_drill) {
            return None;
        }
        let mut ports: BTreeSet<u16> =
            listening.iter().filter(|(holder, _)| Some(*holder) == pid).map(|(_, port)| *port).collect();
        if self.value("net").is_some() || pid.is_none() {
            ports.extend(self.told_ports());
        }
        let wanted = ours(of.desired.ports);
        let has_our_data = self.value("same-data").is_some();
        let is_own = self.value("kept").is_some() && has_our_data;
        let will_run = pid.is_some() || self.value("manifest").is_some() || is_own;
        let collides = has_our_data || ports.iter().any(|port| wanted.contains(port));
        let executable = self.value("executable").map(|path| path.strip_suffix(" (deleted)").unwrap_or(path));
        Some(OtherEtcd {
            runner,
            pid,
            executable: executable.map(RemotePath::new),
            data: self.value("data").map(RemotePath::new),
            ports,
            in_our_place: is_main || (will_run && collides),
            is_own,
        })
    }

    /// Of its URLs. Without any, etcd listens on its two ports.
    fn told_ports(&self) -> Vec<u16> {
        let urls = self.value("urls").unwrap_or_default();
        let port = |url: &str| url.trim().trim_end_matches('/').rsplit_once(':')?.1.parse().ok();
        let told: Vec<u16> = urls.split(',').filter_map(port).collect();
        // A unit may get them from a file of its own.
        match (told.is_empty(), self.value("pid")) {
            (true, Some(_)) => vec![2379, 2380],
            _ => told,
        }
    }
}

fn ours(ports: Ports) -> [u16; 3] {
    [ports.client, ports.peer, ports.metrics]
}

/// The programs that engines leave beside each container, by the first 15 letters of their names.
const KEEPERS: [(&str, &str); 2] = [("containerd-shim", "containerd"), ("conmon", "podman")];

/// From the control groups of a process, `0::/system.slice/etcd.service`, and the name of its parent.
pub(in crate::shell::live) fn runner<'a>(groups: impl Iterator<Item = &'a str>, parent: Option<&str>) -> Runner {
    // systemd's own among those of the older kind, which are all alike or of less.
    let path = groups.filter_map(|line| line.splitn(3, ':').nth(2)).max_by_key(|path| path.len()).unwrap_or("/");
    let engines = [("docker", "docker"), ("libpod", "podman"), ("cri-containerd", "containerd"), ("crio", "CRI-O")];
    if path.contains("kubepods") {
        return Runner::Kubelet(None);
    }
    if let Some((_, name)) =
        engines.iter().find(|(part, _)| path.contains(&format!("{part}-")) || path.contains(&format!("/{part}/")))
    {
        return Runner::Container((*name).to_owned());
    }
    if let Some((_, engine)) = KEEPERS.iter().find(|(keeper, _)| parent == Some(keeper)) {
        return Runner::Container((*engine).to_owned());
    }
    let parts = || path.rsplit('/');
    // Without a session of its own, what is left of a login stays in the control group of who let it in.
    let is_login = |unit: &str| ["user@", "ssh.", "ssh@", "sshd.", "sshd@"].iter().any(|login| unit.starts_with(login));
    if let Some(unit) = parts().find(|part| part.ends_with(".service")).filter(|unit| !is_login(unit)) {
        return Runner::Unit(unit.to_owned());
    }
    match parts().any(|part| part.starts_with("session-") || is_login(part)) {
        true => Runner::Session,
        false => Runner::Unknown,
    }
}

/// Process and port of a line of ss: `LISTEN 0 4096 127.0.0.1:2379 0.0.0.0:* users:(("etcd",pid=12,fd=8))`.
fn listener(line: &str) -> Option<(u32, u16)> {
    let port = line.split_whitespace().nth(3)?.rsplit_once(':')?.1.parse().ok()?;
    let (pid, _) = line.split_once("pid=")?.1.split_once(',')?;
    Some((pid.parse().ok()?, port))
}
