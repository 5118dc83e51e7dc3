//! The cluster that is walked through its changes: what is declared, who writes to it, and how a change is made.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::checks;
use super::declaration::{Archives, Declaration};
use super::quorate::{End, Kill, Quorate, Run};
use super::random::Random;
use super::report::Report;
use crate::lab::{Archive, Host, Lab};
use crate::traffic::{Credentials, Endpoint, Writer, addresses};

/// Members there may be, and hosts.
pub const HOSTS: usize = 7;
/// Where the writer writes.
pub const PREFIX: &str = "/walk/";
/// First of all keys after the writer's.
pub const PREFIX_END: &str = "/walk0";

/// How often an apply that was killed is begun again before that counts as never ending.
const RUNS_MAX: usize = 10;
/// For a cluster to serve again after a fault: elections, a boot, a member that catches up.
const RECOVERS: Duration = Duration::from_secs(60);

pub struct Walk {
    // Before the lab, so that nobody writes while the hosts go.
    pub writer: Writer,
    pub lab: Lab,
    pub quorate: Quorate,
    pub archives: Archives,
    pub credentials: Credentials,
    pub declaration: Declaration,
    pub random: Random,
    pub report: Report,
    /// There is time to wait for what passes by itself.
    pub patient: bool,
    /// The last applies, for a failure.
    runs: Vec<String>,
}

/// What a change is called, and whether the cluster may be away meanwhile.
pub struct Change<'a> {
    pub kind: &'a str,
    pub detail: String,
    /// Flags of apply.
    pub flags: Vec<String>,
    pub outage: bool,
    /// Members that clients have struck from their lists before the change, though they are declared before and after.
    pub avoid: Vec<String>,
}

impl Walk {
    /// A healthy cluster of `members` on a lab that has hosts for more, made by quorate, with its writer at work.
    pub fn begin(archive: &Archive, members: usize, seed: u64, prepare: impl FnOnce(&mut Declaration)) -> Walk {
        let names: Vec<String> = (1..=HOSTS).map(|number| format!("host-{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // Sparse: only what is written takes memory. Data that was moved aside, and up to three versions, lie there too.
        let lab = Lab::builder().hosts(HOSTS).names(&names).disk_bytes(4 << 30).up();
        let mut archives = Archives::new(&lab);
        archives.add(archive);
        let mut declaration = Declaration::new(&archive.version);
        for number in 1..=members {
            declaration.nodes.insert(format!("etcd-{number}"), format!("host-{number}"));
        }
        prepare(&mut declaration);
        let quorate = Quorate { binary: PathBuf::from(env!("CARGO_BIN_EXE_quorate")), folder: lab.dir() };
        fs::write(lab.dir().join("cluster.toml"), declaration.text(&lab, &archives)).expect("it can be written");
        let run = quorate.run(&["apply", "--yes"]);
        assert_eq!(run.code, 0, "{run:?}");
        // Where authentication is on, the writer may write its own keys, and root may look at everything.
        let [credentials, writers] =
            ["root", "writer"].map(|user| Credentials::issue_for(&lab.dir().join("pki"), user));
        let writer = Writer::begin(writers, PREFIX);
        let (random, report) = (Random::new(seed), Report::default());
        let (patient, runs) = (false, Vec::new());
        let walk = Walk { writer, lab, quorate, archives, credentials, declaration, random, report, patient, runs };
        walk.aim_at_all();
        walk
    }

    pub fn members(&self) -> Vec<String> {
        self.declaration.nodes.keys().cloned().collect()
    }

    /// The host that a member is declared on.
    pub fn host_of(&self, member: &str) -> &Host {
        self.lab.host(&self.declaration.nodes[member])
    }

    /// Hosts that no member is declared on.
    pub fn free_hosts(&self) -> Vec<String> {
        let used: BTreeSet<_> = self.declaration.nodes.values().collect();
        let hosts = self.lab.hosts().iter().map(|host| host.name().to_owned());
        hosts.filter(|host| !used.contains(host)).collect()
    }

    /// Names that no member has.
    pub fn free_names(&self) -> Vec<String> {
        let names = (1..=HOSTS).map(|number| format!("etcd-{number}"));
        names.filter(|name| !self.declaration.nodes.contains_key(name)).collect()
    }

    pub fn endpoint(&self, member: &str) -> Endpoint {
        let ports = [self.declaration.ports.client];
        Endpoint { name: member.to_owned(), addresses: addresses(self.host_of(member).address(), &ports) }
    }

    pub fn aim_at_all(&self) {
        self.aim_without(&[]);
    }

    /// Clients know every member but these.
    pub fn aim_without(&self, struck: &[String]) {
        let members = self.members().into_iter().filter(|member| !struck.contains(member));
        self.writer.aim(members.map(|member| self.endpoint(&member)).collect());
    }

    pub fn write_declaration(&self) {
        let text = self.declaration.text(&self.lab, &self.archives);
        fs::write(self.lab.dir().join("cluster.toml"), text).expect("the lab's folder can be written");
    }

    /// Edits cluster.toml, applies it, and checks the cluster that comes of it.
    pub fn change(&mut self, change: &Change<'_>, edit: impl FnOnce(&mut Declaration)) -> Result<(), String> {
        let begun = Instant::now();
        let kills = self.change_without_note(change, edit)?;
        self.conclude(change, kills, begun)
    }

    /// As [`Walk::change`], for a change that is only a part of one.
    pub fn change_without_note(
        &mut self,
        change: &Change<'_>,
        edit: impl FnOnce(&mut Declaration),
    ) -> Result<Vec<String>, String> {
        let before = self.declaration.clone();
        edit(&mut self.declaration);
        let few = before.nodes.len().min(self.declaration.nodes.len()) <= 2;
        self.declaration.downtime = few;
        self.write_declaration();
        // A member that leaves is struck from the clients' lists first, one that comes is added last.
        let stays = |name: &&String| before.nodes.get(*name) == self.declaration.nodes.get(*name);
        let stay: Vec<String> =
            self.declaration.nodes.keys().filter(stays).filter(|name| !change.avoid.contains(name)).cloned().collect();
        let mut ports = vec![before.ports.client, self.declaration.ports.client];
        ports.dedup();
        let endpoint =
            |name: &String| Endpoint { name: name.clone(), addresses: addresses(self.host_of(name).address(), &ports) };
        self.writer.aim(stay.iter().map(endpoint).collect());
        let kills = self.apply(&change.flags)?;
        self.aim_at_all();
        Ok(kills)
    }

    /// Waits for the last write, notes what happened, and checks everything.
    pub fn conclude(&mut self, change: &Change<'_>, kills: Vec<String>, begun: Instant) -> Result<(), String> {
        let settled = self.writer.settles(RECOVERS);
        let tally = self.writer.take_tally();
        self.report.note(change.kind, &change.detail, &kills, &tally, change.outage, begun.elapsed());
        if tally.longest > Duration::from_secs(4) && !change.outage {
            println!("{}", self.evidence());
        }
        if !settled {
            return Err(format!("no write is acknowledged any more: {:?}", self.writer.take_tally()));
        }
        checks::all(self)
    }

    /// Applies until it exits with 0, killed at random now and then. Returns where.
    pub fn apply(&mut self, flags: &[String]) -> Result<Vec<String>, String> {
        let wanted = if self.random.once_in(2) { 1 + self.random.below(2) } else { 0 };
        self.apply_with(flags, wanted, &[0]).map(|(kills, _)| kills)
    }

    /// As [`Walk::apply`], with as many kills at most, until it exits with one of `codes`.
    pub fn apply_with(&mut self, flags: &[String], wanted: usize, codes: &[i32]) -> Result<(Vec<String>, Run), String> {
        let mut kills = Vec::new();
        for _ in 0..RUNS_MAX {
            let kill = (kills.len() < wanted).then(|| self.place_to_kill());
            let end = self.quorate.apply(flags, kill);
            let told = format!("apply {} (to be killed: {kill:?}): {}", flags.join(" "), shown(&end));
            if std::env::var_os("QUORATE_WALK_VERBOSE").is_some() {
                println!("{told}");
            }
            self.runs.push(told);
            match end {
                End::Killed { during, .. } if kill.is_none() => {
                    return Err(format!("apply did not end, and was killed {during}"));
                }
                End::Killed { during, .. } => kills.push(during),
                End::Exited(run) => {
                    // What a killed run began goes on by itself, and nobody predicts when it ends.
                    for surprise in run.surprises().iter().filter(|_| kills.is_empty()) {
                        self.report.problem(format!("a surprise: {surprise}"));
                    }
                    if codes.contains(&run.code) {
                        return Ok((kills, run));
                    }
                    // What a killed run left may need a moment: a member that starts, a peer that connects.
                    if kills.is_empty() {
                        return Err(format!("apply {} exited with {}", flags.join(" "), run.code));
                    }
                    std::thread::sleep(Duration::from_secs(3));
                }
            }
        }
        Err(format!("apply did not come to its end in {RUNS_MAX} runs"))
    }

    fn place_to_kill(&mut self) -> Kill {
        if self.random.once_in(3) {
            return Kill::After(self.random.up_to(Duration::from_secs(8)));
        }
        let number = 1 + self.random.below(20);
        Kill::AtEvent(number, self.random.up_to(Duration::from_millis(400)))
    }

    /// Waits until writes succeed again and everything is as declared.
    pub fn wait_until_in_sync(&self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let plan = self.quorate.run(&["plan", "--detailed-exitcode"]);
            if plan.code == 0 && self.writer.settles(RECOVERS) {
                return Ok(());
            }
            if begun.elapsed() > RECOVERS {
                return Err(format!("not in sync after {RECOVERS:?}: {plan:?}"));
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Everything there is to find out what happened.
    pub fn evidence(&self) -> String {
        let journals = self.lab.hosts().iter().filter(|host| host.is_on()).map(|host| {
            let journal = host.exec("journalctl -u etcd -n 60 -o cat --no-pager 2>&1 | cut -c1-300").stdout;
            format!("== {} ({})\n{journal}\n", host.name(), host.address())
        });
        let journals: String = journals.collect();
        let last = self.runs.iter().rev().take(4).rev().cloned().collect::<Vec<_>>().join("\n");
        let plan = self.quorate.run(&["plan", "-v"]);
        format!(
            "{}\n== cluster.toml\n{}\n== the last applies\n{last}\n== plan ({})\n{}{}\n{journals}",
            self.report.trail(),
            self.declaration.text(&self.lab, &self.archives),
            plan.code,
            plan.stdout,
            plan.stderr
        )
    }
}

fn shown(end: &End) -> String {
    match end {
        End::Killed { during, timed } => format!("killed {during}\n{timed}"),
        End::Exited(run) => format!("exited with {}\n{}{}", run.code, run.timed, run.stderr),
    }
}
