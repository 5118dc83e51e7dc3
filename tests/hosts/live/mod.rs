//! The live fleet against real hosts of the lab: what a look costs and changes (nothing), that each action brings about
//! what its effect predicts, also when it is done twice, and that the lock goes when its holder does.

mod bootstrap;
mod departure;
mod drift;
mod lock;
mod look;
mod operations;
mod staging;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::installed;
use crate::lab::{self, Builder, Lab, Series, User};
use quorate::core::cluster::outline::{differences, outline};
use quorate::core::desired::{Desired, read};
use quorate::core::diagnostic::Diagnostic;
use quorate::core::names::HostName;
use quorate::core::observed::{Cause, Host, Observed, Seen};
use quorate::core::plan::Plan;
use quorate::core::plan::action::{Action, Readiness};
use quorate::core::planner;
use quorate::core::render::event::Event;
use quorate::shell::apply::apply;
use quorate::shell::command::request::bind;
use quorate::shell::fleet::Fleet;
use quorate::shell::live::Live;
use quorate::shell::live::lock::{Lock, Operation};
use quorate::shell::stop::Stop;

const LAB_ID: &str = "QUORATE_TEST_LAB_ID";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// A lab and the cluster.toml of a cluster on all its hosts that are on.
struct World {
    lab: Lab,
    toml: String,
    desired: Desired,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// None, with a word on stderr, where no lab can run.
    fn up(test: &str, hosts: usize, user: User) -> Option<World> {
        World::on(test, Lab::builder().hosts(hosts).user(user))
    }

    /// The same on a lab that is described.
    fn on(test: &str, lab: Builder) -> Option<World> {
        if !Lab::can_run(test) {
            return None;
        }
        let archive = match lab::etcd_archive(Series::V3_5) {
            Ok(archive) => archive,
            Err(skip) => {
                eprintln!("skipped: {test}: {skip:?}");
                return None;
            }
        };
        let lab = lab.up();
        let toml = cluster_toml(&lab, &archive);
        Some(World { desired: parse(&lab, &toml), toml, lab, runtime: runtime() })
    }

    /// Gives the hosts etcd, where how it gets there is not what is tested.
    fn give_etcd(&self) {
        let archive = lab::etcd_archive(Series::V3_5).expect("it was had before");
        installed::give(&self.lab, &archive);
    }

    /// Starts an ignored test of this program in a process of its own, to be killed there; it finds this world by
    /// `attach`.
    fn child(&self, test: &str) -> Child {
        std::fs::write(self.lab.dir().join("cluster.toml"), &self.toml).expect("the lab's folder");
        Command::new(std::env::current_exe().expect("this program"))
            .args(["--ignored", "--exact", test, "--nocapture"])
            .env(LAB_ID, self.lab.id().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program runs")
    }

    fn attach() -> World {
        let id = std::env::var(LAB_ID).expect("only as a child").parse().expect("its number");
        let lab = Lab::attach(id);
        let toml = std::fs::read_to_string(lab.dir().join("cluster.toml")).expect("the parent has written it");
        World { desired: parse(&lab, &toml), toml, lab, runtime: runtime() }
    }

    fn live(&self) -> Live {
        Live::new(self.desired.clone())
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    fn observe(&self, live: &Live) -> Observed {
        self.wait(live.observe())
    }

    /// Takes the locks, which must be free.
    fn lock(&self, live: &Live) -> Arc<Lock> {
        self.try_lock(live, Duration::from_secs(5)).unwrap_or_else(|failure| panic!("{failure}"))
    }

    fn try_lock(&self, live: &Live, patience: Duration) -> Result<Arc<Lock>, Diagnostic> {
        self.wait(live.lock(Operation::new("tester@lab", "test"), patience, &|_, _| {}))
    }

    fn perform(&self, live: &Live, action: &Action) {
        self.wait(live.perform(action)).unwrap_or_else(|failure| panic!("{action}: {failure}"));
    }

    /// Everything up to the start, so that there is all to look at and nothing that changes by itself.
    fn stage(&self, live: &Live) {
        loop {
            let draft = planner::next(&self.desired, &self.observe(live)).step.expect("a start is planned");
            if draft.actions.iter().any(Action::touches_service) {
                return;
            }
            for action in &draft.actions {
                self.perform(live, action);
            }
        }
    }

    /// Plans and applies; nothing may be left and nothing may surprise.
    fn apply(&self) -> Plan {
        let live = self.live();
        let _lock = self.lock(&live);
        let observed = self.observe(&live);
        let mut desired = self.desired.clone();
        bind(&mut desired, &observed).unwrap_or_else(|failure| panic!("{failure}"));
        let plan = planner::plan(&desired, &observed);
        let surprises = Mutex::new(Vec::new());
        let emit = |event| {
            if let Event::StepDone { surprises: seen, .. } = event {
                surprises.lock().expect("no panic").extend(seen);
            }
        };
        let report = self.wait(apply(&desired, &live, &plan, &Stop::default(), None, &emit));
        let report = report.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.left.is_empty(), "{:#?}", report.left);
        assert!(surprises.lock().expect("no panic").is_empty(), "{surprises:#?}");
        plan
    }

    /// Does an action that is due, twice, and compares what is seen after each with what its effect predicts.
    fn perform_twice(&self, live: &Live, action: &Action, before: &Observed) -> Observed {
        assert_eq!(planner::readiness(action, &self.desired, before), Readiness::Ready, "{action}");
        let mut predicted = before.clone();
        planner::effect(action, &self.desired, &mut predicted);
        let mut observed = None;
        for _ in 0..2 {
            self.wait(live.perform(action)).unwrap_or_else(|failure| panic!("{action}: {failure}"));
            let seen = self.observe(live);
            let surprises = differences(&outline(&self.desired, &predicted), &outline(&self.desired, &seen));
            assert!(surprises.is_empty(), "{action}: {surprises:#?}");
            assert_eq!(planner::readiness(action, &self.desired, &seen), Readiness::Done, "{action}");
            observed = Some(seen);
        }
        observed.expect("it was done twice")
    }
}

fn cluster_toml(lab: &Lab, archive: &lab::Archive) -> String {
    let lab::Archive { version, path, sha256, .. } = archive;
    let hosts = lab.hosts().iter().filter(|host| host.is_on());
    let nodes: String = hosts
        .map(|host| format!("[nodes.{0}]\naddress = \"{1}\"\nssh = \"{0}\"\n", host.name(), host.address()))
        .collect();
    format!(
        "[cluster]\nname = \"lab\"\nversion = \"{version}\"\n{nodes}\n\
         [ssh]\nconfig = {:?}\nknown-hosts = {:?}\n\
         [etcd.archive]\npath = {path:?}\nsha256 = {{ amd64 = \"{sha256}\" }}\n",
        lab.ssh_config(),
        lab.known_hosts(),
    )
}

fn parse(lab: &Lab, toml: &str) -> Desired {
    read::parse(toml, "cluster.toml", &lab.dir(), Some(Path::new("/root")))
        .unwrap_or_else(|problems| panic!("{problems:?}\n{toml}"))
}

fn name(host: &str) -> HostName {
    HostName::new(host)
}

fn seen<'a>(observed: &'a Observed, host: &str) -> &'a Host {
    match &observed.hosts[&name(host)] {
        Seen::Known(host) => host,
        Seen::Unknown(cause) => panic!("{host} was not seen: {cause:?}"),
    }
}

fn unseen<'a>(observed: &'a Observed, host: &str) -> &'a Cause {
    observed.hosts[&name(host)].unknown().unwrap_or_else(|| panic!("{host} was seen"))
}
