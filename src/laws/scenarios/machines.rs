//! The machines of a scenario as they are, what happens to them, and what can be seen of them.
//!
//! What quorate does to them is the model of its own actions (`effect`). What they do by themselves is here: they lose
//! power and boot, and their members elect a leader, or find none.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::script::{Cluster, Happening, Place};
use crate::core::cluster::sameness;
use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::desired::{Desired, read};
use crate::core::names::{Digest, HostName, MemberId, RemotePath, Version};
use crate::core::observed::auth::AuthStore;
use crate::core::observed::{
    Alarm, Answer, Cause, Comparison, DataDirectory, File, Folder, Former, Host, MemberEntry, MemberHash, Observed,
    Scheduled, Seen, ServiceState, Tools, V2Store,
};
use crate::core::plan::action::{Action, ServiceAction};
use crate::core::planner::{self, world};
use crate::laws::sample;

pub struct Machines {
    /// cluster.toml.
    toml: toml::Table,
    /// The same as it is read.
    pub desired: Desired,
    /// Everything as it is, but for machines without power, which are unknown here.
    world: Observed,
    /// Machines without power, as they will be found.
    off: BTreeMap<HostName, Host>,
    /// Who belongs to the cluster, whether or not anybody can be asked.
    roster: Vec<MemberEntry>,
    /// What there is at addresses that nobody has been declared with.
    places: BTreeMap<String, Place>,
    /// What every member tells until it is disarmed.
    alarms: BTreeSet<Alarm>,
    /// Members whose data has become another.
    diverged: BTreeSet<MemberId>,
}

impl Machines {
    pub fn new(cluster: &Cluster) -> Result<Self, String> {
        let toml = first_declaration(cluster)?;
        let desired = read(&toml)?;
        let world = match cluster.healthy {
            true => world::healthy(&desired, sample::AT),
            false => world::bare(&desired, sample::AT),
        };
        let mut machines = Self {
            toml,
            desired,
            world,
            off: BTreeMap::new(),
            roster: Vec::new(),
            alarms: BTreeSet::new(),
            diverged: BTreeSet::new(),
            places: BTreeMap::new(),
        };
        machines.take_effect();
        Ok(machines)
    }

    /// One look at everything, under the declaration of a command.
    pub fn observe(&self, desired: &Desired) -> Observed {
        let mut seen = self.world.clone();
        seen.guessed = false;
        seen.comparison = sameness::is_asked_for(desired, &seen).then(|| self.comparison()).flatten();
        let nobody_leads = self.world.answers().all(|(_, answer)| answer.leader.is_none());
        seen.auth = match &desired.auth {
            Some(_) if !nobody_leads => seen.auth,
            Some(_) if self.world.answers().next().is_some() => Some(Seen::Unknown(no_leader())),
            _ => None,
        };
        for host in seen.hosts.values_mut().filter_map(Seen::known_mut) {
            if desired.backup.is_some() {
                host.scheduled.get_or_insert(Scheduled { compressor: true, ..Scheduled::default() });
            }
            let is_old = host.answer().is_some_and(|answer| answer.version < FIRST_WITHOUT_V2);
            host.v2store = (is_old && desired.cluster.version >= FIRST_WITHOUT_V2).then_some(V2Store::Clean);
        }
        seen
    }

    /// Each has its own wrong data.
    pub fn comparison(&self) -> Option<Comparison> {
        let hashes = self.world.answers().filter(|(_, answer)| !answer.learner).map(|(host, answer)| {
            let hash = if self.diverged.contains(&answer.member) { answer.member.0 as u32 } else { 0xaaaa };
            (answer.member, MemberHash { host: host.clone(), hash })
        });
        let hashes: BTreeMap<_, _> = hashes.collect();
        (hashes.len() > 1).then_some(Comparison { revision: 812, hashes, missed: BTreeMap::new() })
    }

    /// The machine can be reached.
    pub fn has_power(&self, name: &HostName) -> bool {
        !self.off.contains_key(name)
    }

    /// Does an action, and lets the members find out.
    pub fn act(&mut self, action: &Action, desired: &Desired) {
        planner::effect(action, desired, &mut self.world);
        self.take_effect();
    }

    pub fn happens(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Declare(line) => self.declare(&line)?,
            Happening::Undeclare(key) => self.undeclare(&key)?,
            Happening::Kill(name) => {
                let host = self.host(&name)?.clone();
                *self.sight(&name)? = Seen::Unknown(unreachable(&name));
                self.off.insert(name, host);
            }
            Happening::Revive(name) => self.revive(&name)?,
            Happening::Replace(name) => {
                self.off.remove(&name);
                *self.sight(&name)? = Seen::Known(sample::bare_host());
            }
            Happening::StopEtcd(name) => stop(self.host(&name)?),
            Happening::HangEtcd(name) => {
                let what = format!("{name} does not answer on its client port");
                let cause = Cause { code: Code::MemberSilent, summary: what, hint: None };
                self.host(&name)?.member = Seen::Unknown(cause);
            }
            Happening::Raise { kind, of } => {
                let member = of.map(|name| self.member(&name)).transpose()?;
                self.alarms.insert(Alarm { kind, member });
            }
            Happening::Snapshot(name) => self.world.workstation.former_life.snapshots.push(format!("./{name}")),
            Happening::Place { address, what } => drop(self.places.insert(address, what)),
            Happening::Disarm => self.alarms.clear(),
            Happening::Diverge(name) => {
                let member = self.member(&name)?;
                self.diverged.insert(member);
            }
            Happening::DeleteData(name) => {
                let host = self.host(&name)?;
                stop(host);
                host.data = DataDirectory::Empty;
            }
            Happening::Fill { host, free_mebibytes } => {
                let free = free_mebibytes << 20;
                sample::on_one_disk(self.host(&host)?, free, (100_u64 << 30).saturating_sub(free));
            }
            Happening::MoveData { host, to } => self.move_data(&host, &RemotePath::new(to))?,
            Happening::Lose { what, host: name } => {
                let host = self.host(&name)?;
                stop(host);
                host.data = what;
            }
            Happening::DeleteFile { file, host } => self.delete(&file, &host)?,
            Happening::Edit { file, host, line } => self.edit(&file, &host, &line)?,
            Happening::Pass { seconds } => self.world.at = self.world.at.plus_seconds(seconds),
        }
        self.settle();
        Ok(())
    }

    fn sight(&mut self, name: &HostName) -> Result<&mut Seen<Host>, String> {
        let found = match self.world.hosts.get_mut(name) {
            Some(host) => Some(host),
            None => self.world.former.get_mut(name).map(|former| &mut former.host),
        };
        found.ok_or_else(|| format!("there is no host {name}"))
    }

    /// A machine that has power.
    fn host(&mut self, name: &HostName) -> Result<&mut Host, String> {
        self.sight(name)?.known_mut().ok_or_else(|| format!("{name} is off"))
    }

    fn member(&mut self, name: &HostName) -> Result<MemberId, String> {
        let answer = self.host(name)?.answer();
        answer.map(|answer| answer.member).ok_or_else(|| format!("etcd on {name} does not answer"))
    }

    /// Boots it. Its member is part of the cluster again if it still belongs there, and else ends again and again.
    fn revive(&mut self, name: &HostName) -> Result<(), String> {
        self.sight(name)?;
        let mut host = self.off.remove(name).ok_or_else(|| format!("{name} is not off"))?;
        let (enabled, data) = (host.service.enabled, host.data);
        stop(&mut host);
        *self.sight(name)? = Seen::Known(host);
        if !enabled || data != DataDirectory::Member || !self.desired.nodes.contains_key(name) {
            return Ok(());
        }
        let url = self.desired.peer_url(name);
        if self.roster.iter().any(|entry| entry.peer_urls.contains(&url)) {
            planner::effect(
                &Action::Service(ServiceAction::Start { host: name.clone() }),
                &self.desired,
                &mut self.world,
            );
        } else {
            self.host(name)?.service.state = ServiceState::Activating;
        }
        Ok(())
    }

    fn move_data(&mut self, name: &HostName, to: &RemotePath) -> Result<(), String> {
        let declared = self.desired.paths.data.clone();
        let host = self.host(name)?;
        if host.process.is_some() || !host.has_data() {
            return Err(format!("{name} has no data, or etcd runs there"));
        }
        lay_data(host, to, &declared);
        Ok(())
    }

    fn edit(&mut self, file: &str, name: &HostName, line: &str) -> Result<(), String> {
        let which = self.file(file, name)?;
        let host = self.host(name)?;
        let fact = host.files.get_mut(&which).expect("it was found there");
        let text = fact.text.as_mut().ok_or_else(|| format!("{file} is not kept as text"))?;
        text.push_str(line);
        text.push('\n');
        fact.digest = Digest::of(&*text);
        host.service.needs_reload |= which == File::Unit;
        Ok(())
    }

    fn delete(&mut self, file: &str, name: &HostName) -> Result<(), String> {
        let which = self.file(file, name)?;
        let host = self.host(name)?;
        host.files.remove(&which);
        host.certificates.retain(|role, _| role.certificate() != which);
        if which == File::Trust {
            host.trusted.clear();
        }
        Ok(())
    }

    /// A file that is on this host, by the last part of its path.
    fn file(&mut self, file: &str, name: &HostName) -> Result<File, String> {
        let found = self.host(name)?.files.keys().copied().collect::<Vec<_>>();
        let named = |which: &File| layout::path(&self.desired, name, *which).name() == file;
        found.into_iter().find(named).ok_or_else(|| format!("{name} has no file {file}"))
    }

    fn declare(&mut self, line: &str) -> Result<(), String> {
        let more = line.parse::<toml::Table>().map_err(|error| error.to_string())?;
        let mut toml = self.toml.clone();
        merge(&mut toml, more);
        self.declared(toml)
    }

    fn undeclare(&mut self, key: &str) -> Result<(), String> {
        let mut toml = self.toml.clone();
        let mut parts: Vec<_> = key.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        let table = parts.into_iter().try_fold(&mut toml, |table, part| table.get_mut(part)?.as_table_mut());
        table.and_then(|table| table.remove(last)).ok_or_else(|| format!("{key} is not declared"))?;
        self.declared(toml)
    }

    /// Who is declared no longer is a former host, and who is new is bare. A machine is known by its address, unless a node
    /// gets one at which there is nothing.
    fn declared(&mut self, toml: toml::Table) -> Result<(), String> {
        let desired = read(&toml)?;
        let (before, after) = (&self.desired.paths.data, &desired.paths.data);
        for host in self.world.hosts.values_mut().filter_map(Seen::known_mut).filter(|host| host.has_data()) {
            let is = host.data_elsewhere.clone().unwrap_or_else(|| before.clone());
            lay_data(host, &is, after);
        }
        move_away(&self.desired, &desired, &mut self.world);
        let mut machines = self.by_address();
        let mut hosts = BTreeMap::new();
        for (name, node) in &desired.nodes {
            let there = machines.remove(&node.address).map(|(_, host)| host);
            let place = || self.places.get(&node.address).map(|place| found(*place, name, &node.address));
            hosts.extend(there.or_else(place).map(|host| (name.clone(), host)));
        }
        let blank = world::bare(&desired, self.world.at);
        for (name, bare) in blank.hosts {
            let mut own = || self.desired.nodes.get(&name).and_then(|node| machines.remove(&node.address));
            if let Entry::Vacant(free) = hosts.entry(name.clone()) {
                free.insert(own().map_or(bare, |(_, host)| host));
            }
        }
        machines.retain(|address, (_, host)| host.known().is_some() || !self.places.contains_key(address));
        self.world.hosts = hosts;
        self.world.former = BTreeMap::new();
        for (address, (former, host)) in machines {
            let name = former.name.clone();
            let is_taken = desired.nodes.contains_key(&name);
            let key = if is_taken { HostName::new(format!("{name}@{address}")) } else { name.clone() };
            if let Some(off) = self.off.remove(&name) {
                self.off.insert(key.clone(), off);
            }
            self.world.former.insert(key, Former { host, ..former });
        }
        self.world.workstation.archives.extend(blank.workstation.archives);
        (self.toml, self.desired) = (toml, desired);
        Ok(())
    }

    /// Every machine that is or was declared, as a former one, and how it is seen.
    fn by_address(&mut self) -> BTreeMap<String, (Former, Seen<Host>)> {
        let former = std::mem::take(&mut self.world.former).into_values();
        let former = former.map(|former| (former.address.clone(), (former.clone(), former.host)));
        let declared = std::mem::take(&mut self.world.hosts).into_iter().map(|(name, host)| {
            let (address, peer_url) = (self.desired.nodes[&name].address.clone(), self.desired.peer_url(&name));
            let former = Former { name, address: address.clone(), peer_url, host: host.clone() };
            (address, (former, host))
        });
        former.chain(declared).collect()
    }

    /// After what quorate did: the member list may be another.
    fn take_effect(&mut self) {
        self.world.guessed = false;
        let list = self.world.member_list();
        if let Some(list) = list {
            self.roster = list.clone();
            // Every cluster has them, whether or not anybody asks.
            self.world.auth.get_or_insert_with(|| Seen::Known(AuthStore::default()));
        }
        self.settle();
    }

    /// The members that run elect a leader among them, or have none; who is no member any more ends.
    fn settle(&mut self) {
        let former = self.world.former.values_mut().map(|former| (&former.peer_url, &mut former.host));
        let peer_url = |name: &HostName| self.desired.peer_url(name);
        let urls: BTreeMap<_, _> = self.world.hosts.keys().map(|name| (name.clone(), peer_url(name))).collect();
        let declared = self.world.hosts.iter_mut().map(|(name, host)| (&urls[name], host));
        let mut hosts: Vec<_> =
            declared.chain(former).filter_map(|(url, host)| Some((url, host.known_mut()?))).collect();
        if self.roster.is_empty() {
            return;
        }
        let mut running = Vec::new();
        for (url, host) in &mut hosts {
            let Some(answer) = host.member.known_mut().and_then(Option::as_mut) else { continue };
            let by_id = self.roster.iter().find(|entry| entry.id == answer.member);
            match self.roster.iter().find(|entry| entry.peer_urls.contains(*url)).or(by_id) {
                Some(entry) => {
                    (answer.member, answer.learner) = (entry.id, entry.learner);
                    running.push((entry.id, entry.learner, answer.leader));
                }
                None => {
                    stop(host);
                    host.service.state = ServiceState::Activating;
                }
            }
        }
        let voters: Vec<MemberId> = running.iter().filter(|(_, learner, _)| !learner).map(|(id, ..)| *id).collect();
        let needed = self.roster.iter().filter(|entry| !entry.learner).count() / 2 + 1;
        let stays = running.iter().find_map(|(.., leader)| leader.filter(|leader| voters.contains(leader)));
        let leader = stays.or(voters.first().copied()).filter(|_| voters.len() >= needed);
        for (_, host) in hosts {
            match &mut host.member {
                Seen::Known(Some(answer)) => {
                    follow(answer, leader, &self.roster);
                    answer.alarms.clone_from(&self.alarms);
                }
                Seen::Known(None) if host.process.is_some() => host.member = Seen::Unknown(no_leader()),
                Seen::Known(None) | Seen::Unknown(_) => {}
            }
        }
    }
}

const FIRST_WITHOUT_V2: Version = Version::new(3, 6, 0);

fn follow(answer: &mut Answer, leader: Option<MemberId>, roster: &[MemberEntry]) {
    answer.leader = leader;
    answer.reads = leader.is_some() && !answer.learner;
    if answer.reads {
        answer.members = Seen::Known(roster.to_vec());
        answer.own_members.clear();
    } else {
        answer.members = Seen::Unknown(no_leader());
        answer.own_members = roster.to_vec();
    }
}

/// What lies where it was declared before is not to be seen where it is declared now.
fn move_away(before: &Desired, after: &Desired, world: &mut Observed) {
    // A name with a placeholder is another one on every host, and changes on all of them.
    let stays = |file: &File| layout::common_path(before, *file) == layout::common_path(after, *file);
    let gone: Vec<_> = File::ALL.iter().copied().filter(|file| !stays(file)).collect();
    let folders = Folder::ALL.iter().filter(|folder| {
        **folder != Folder::Data && layout::folder_path(before, **folder) != layout::folder_path(after, **folder)
    });
    let folders: Vec<_> = folders.copied().collect();
    let programs = before.paths.binaries != after.paths.binaries;
    for host in world.hosts.values_mut().filter_map(Seen::known_mut) {
        host.files.retain(|file, _| !gone.contains(file));
        host.folders.retain(|folder, _| !folders.contains(folder));
        host.certificates.retain(|role, _| !gone.contains(&role.certificate()));
        if gone.contains(&File::Trust) {
            host.trusted.clear();
        }
        if programs {
            host.installed.clear();
            host.tools = Tools::Foreign;
        }
        if let Some(process) = &mut host.process {
            process.foreign_config |= gone.contains(&File::Config);
            process.loaded.retain(|file, _| !gone.contains(file));
        }
    }
}

/// The data of a member is in one directory, and another one, or the same, is declared.
fn lay_data(host: &mut Host, is: &RemotePath, declared: &RemotePath) {
    let is_declared = is == declared;
    host.data = if is_declared { DataDirectory::Member } else { DataDirectory::Empty };
    host.data_elsewhere = (!is_declared).then(|| is.clone());
    match is_declared {
        true => drop(host.folders.insert(Folder::Data, layout::folder_access(Folder::Data))),
        false => drop(host.folders.remove(&Folder::Data)),
    }
}

fn stop(host: &mut Host) {
    host.process = None;
    host.service.state = ServiceState::Inactive;
    host.member = Seen::Known(None);
}

fn found(place: Place, name: &HostName, address: &str) -> Seen<Host> {
    match place {
        Place::BareMachine => Seen::Known(sample::bare_host()),
        Place::Nobody => Seen::Unknown(unreachable(name)),
        Place::UnknownName => {
            let summary = format!("could not reach {name}: {address}: name or service not known");
            Seen::Unknown(Cause { code: Code::HostUnreachable, summary, hint: None })
        }
    }
}

fn unreachable(name: &HostName) -> Cause {
    let summary = format!("could not reach {name}: no route to host");
    Cause { code: Code::HostUnreachable, summary, hint: None }
}

fn no_leader() -> Cause {
    Cause { code: Code::NoQuorum, summary: "no leader".to_owned(), hint: None }
}

/// Every default, addresses in the order of the names, and an archive of any version.
fn first_declaration(cluster: &Cluster) -> Result<toml::Table, String> {
    let mut text = format!("cluster = {{ name = {:?}, version = {:?} }}\n", cluster.name, cluster.version);
    for (index, host) in cluster.hosts.iter().enumerate() {
        text.push_str(&format!("nodes.{host}.address = \"10.0.0.{}\"\n", index + 11));
    }
    text.push_str("etcd.archive.path = \"artifacts/etcd-v{version}-linux-{arch}.tar.gz\"\n");
    text.push_str(&format!("etcd.archive.sha256.amd64 = \"{}\"\n", Digest::of("archive")));
    text.parse::<toml::Table>().map_err(|error| error.to_string())
}

fn read(toml: &toml::Table) -> Result<Desired, String> {
    let text = toml::to_string(toml).map_err(|error| error.to_string())?;
    read::parse(&text, "cluster.toml", Path::new("/work"), None)
        .map_err(|problems| read::render(&problems, &text, "cluster.toml", false))
}

fn merge(into: &mut toml::Table, more: toml::Table) {
    for (key, value) in more {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(there)), toml::Value::Table(more)) => merge(there, more),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}
