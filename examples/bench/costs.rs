//! What quorate costs, as ratios within one run: these machines are never quiet enough for seconds to mean much.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::quorate;
use crate::declaration::{Archives, Declaration};
use crate::lab::{Archive, Lab};

const ROUNDS: usize = 10;

/// Wall-clock and CPU time of what was run; the CPU of the processes started here, not of the hosts'.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
}

/// Bootstraps three bare hosts and looks at them, again and again.
pub fn measure(archive: &Archive) -> String {
    let lab = Lab::builder().hosts(3).plain().up();
    let mut archives = Archives::new(&lab);
    archives.add(archive);
    let mut declaration = Declaration::new(&archive.version);
    declaration.nodes = lab.hosts().iter().map(|host| (host.name().to_owned(), host.name().to_owned())).collect();
    fs::write(lab.dir().join("cluster.toml"), declaration.text(&lab, &archives)).expect("it can be written");
    let (bootstrap, copying) = bootstrap(&lab);
    let (plans, logins): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| (cost(|| plan(&lab)), cost(|| logins(&lab)))).unzip();
    table(archive, best(&plans), best(&logins), bootstrap, copying)
}

fn table(archive: &Archive, plan: Cost, logins: Cost, bootstrap: Duration, copying: Duration) -> String {
    let ms = |duration: Duration| format!("{:.0} ms", duration.as_secs_f64() * 1000.0);
    let ratio = |one: Duration, other: Duration| format!("{:.2}", one.as_secs_f64() / other.as_secs_f64());
    let seconds = |duration: Duration| format!("{:.1} s", duration.as_secs_f64());
    let rest = bootstrap.saturating_sub(copying);
    format!(
        "etcd {}, three hosts on one machine, best of {ROUNDS}\n\n\
         | | `quorate plan` | three `ssh HOST true` at once | ratio |\n|---|---|---|---|\n\
         | wall clock | {} | {} | {} |\n| CPU of the client | {} | {} | {} |\n\n\
         Bootstrap of three bare hosts: {}, of which copying the binaries {}; the rest {}.\n",
        archive.version,
        ms(plan.wall),
        ms(logins.wall),
        ratio(plan.wall, logins.wall),
        ms(plan.cpu),
        ms(logins.cpu),
        ratio(plan.cpu, logins.cpu),
        seconds(bootstrap),
        seconds(copying),
        seconds(rest),
    )
}

/// The least of each column: what the machine can do when nothing else disturbs.
fn best(costs: &[Cost]) -> Cost {
    let least = |part: fn(&Cost) -> Duration| costs.iter().map(part).min().expect("there is a round");
    Cost { wall: least(|cost| cost.wall), cpu: least(|cost| cost.cpu) }
}

pub fn cost(work: impl FnOnce()) -> Cost {
    let (begun, before) = (Instant::now(), children_cpu());
    work();
    Cost { wall: begun.elapsed(), cpu: children_cpu() - before }
}

/// User and system time of all children that were waited for, in ticks of 10 ms.
fn children_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("there is a /proc");
    let after_name = stat.rsplit_once(')').expect("the name is in brackets").1;
    let fields: Vec<_> = after_name.split_whitespace().collect();
    // Fields 16 and 17 of proc(5); the first after the name is field 3.
    let ticks: u64 = fields[13..15].iter().map(|field| field.parse::<u64>().expect("a number of ticks")).sum();
    Duration::from_millis(ticks * 10)
}

fn plan(lab: &Lab) {
    let output = quorate(&lab.dir(), &["plan", "--detailed-exitcode"]).output().expect("quorate runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn logins(lab: &Lab) {
    let children: Vec<Child> = lab
        .hosts()
        .iter()
        .map(|host| lab.ssh_command(host.name()).arg("true").stdin(Stdio::null()).spawn().expect("ssh runs"))
        .collect();
    for mut child in children {
        assert!(child.wait().expect("ssh ends").success());
    }
}

/// The whole apply, and how much of it was the step that copies the binaries.
fn bootstrap(lab: &Lab) -> (Duration, Duration) {
    let begun = Instant::now();
    let mut child =
        quorate(&lab.dir(), &["apply", "--yes", "--json"]).stdout(Stdio::piped()).spawn().expect("quorate runs");
    let mut copying = Duration::ZERO;
    let mut title = String::new();
    for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
        let event: Value = serde_json::from_str(&line.expect("quorate prints text")).expect("every line is JSON");
        match event["event"].as_str() {
            Some("step-started") => title = event["title"].as_str().unwrap_or_default().to_owned(),
            Some("step-done") if title.starts_with("install etcd") => {
                copying = Duration::from_secs_f64(event["seconds"].as_f64().expect("a step took some seconds"));
            }
            _ => {}
        }
    }
    assert!(child.wait().expect("it ends").success());
    (begun.elapsed(), copying)
}
