//! apply is killed with SIGKILL after every step and in the middle of every remote command; the next run goes on.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::scene::{SERIES, Scene};
use crate::lab::{Series, is_turn};

/// Where a run is killed: at the first event of this kind and title that no earlier run was killed at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub title: String,
    /// Shortly after the step began, or when its effect was seen.
    pub in_the_middle: bool,
}

/// Runs apply until it comes to a place that is not in `visited`, kills it there, and notes the place.
/// Returns false when it came to its end.
fn killed_at_a_new_place(scene: &Scene, verb: &[&str], visited: &mut BTreeSet<Place>, pauses: &mut Pauses) -> bool {
    let mut child = spawn(scene, verb);
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut title = String::new();
    for line in lines {
        let event: Value = serde_json::from_str(&line.expect("quorate prints text")).expect("every line is JSON");
        let in_the_middle = match event["event"].as_str() {
            Some("step-started") => {
                title = event["title"].as_str().expect("a step has a title").to_owned();
                true
            }
            Some("step-done") => {
                assert_eq!(event["surprises"], Value::Array(Vec::new()), "{title}: {event}");
                false
            }
            _ => continue,
        };
        if visited.insert(Place { title: title.clone(), in_the_middle }) {
            if in_the_middle {
                std::thread::sleep(pauses.next());
            }
            child.kill().expect("it runs");
            child.wait().expect("it ends");
            return true;
        }
    }
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{status:?}");
    false
}

/// Runs it, and kills it as soon as a step of this title begins.
pub fn killed_at(scene: &Scene, verb: &[&str], title: &str) {
    let mut child = spawn(scene, verb);
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    for line in lines {
        let event: Value = serde_json::from_str(&line.expect("quorate prints text")).expect("every line is JSON");
        let began = event["title"].as_str().filter(|_| event["event"] == "step-started");
        if began.is_some_and(|began| began.contains(title)) {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
            return;
        }
    }
    panic!("no step {title:?}: {:?}", child.wait());
}

fn spawn(scene: &Scene, verb: &[&str]) -> Child {
    let arguments = [verb, &["--yes", "--json", "--lock-timeout", "10s"]].concat();
    scene.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the binary runs")
}

/// From two to forty milliseconds, never the same twice in a row: long enough for a remote command to have begun.
pub struct Pauses(u64);

impl Pauses {
    fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(2 + (self.0 >> 33) % 38)
    }
}

fn killed_everywhere(scene: &Scene, allow: &[&str], pauses: &mut Pauses) -> BTreeSet<Place> {
    killed_everywhere_in(scene, &[&["apply"], allow].concat(), pauses)
}

/// No bound is needed to end: each run either visits a new place or comes to its end.
pub fn killed_everywhere_in(scene: &Scene, verb: &[&str], pauses: &mut Pauses) -> BTreeSet<Place> {
    let mut visited = BTreeSet::new();
    while killed_at_a_new_place(scene, verb, &mut visited, pauses) {}
    visited
}

pub fn pauses(test: &str) -> Pauses {
    let seed = std::env::var("QUORATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_120);
    println!("{test}: QUORATE_SEED={seed}");
    Pauses(seed)
}

/// Members join, one is replaced by another machine, and one leaves; apply is killed at every step of it.
#[test]
fn killed_everywhere_while_members_come_and_go() {
    let test = "killed_everywhere_while_members_come_and_go";
    let mut pauses = pauses(test);
    let Some(mut scene) = Scene::of_some(test, 1, 4, Series::V3_5) else { return };
    scene.etcdctl(scene.first(), "put /kept yes");
    scene.declare_hosts(0..3);
    let visited = killed_everywhere(&scene, &[], &mut pauses);
    assert!(visited.iter().any(|place| place.title.contains("promote") && place.in_the_middle), "{visited:?}");
    scene.is_as_declared();
    let (address, ssh) = (scene.lab.hosts()[3].address().to_string(), scene.lab.hosts()[3].name().to_owned());
    scene.declare(|scene| scene.nodes[1] = ("etcd-2".to_owned(), address, ssh));
    let visited = killed_everywhere(&scene, &["--allow", "replace-member:etcd-2"], &mut pauses);
    assert!(visited.iter().any(|place| place.title.contains("remove member") && place.in_the_middle), "{visited:?}");
    scene.is_as_declared();
    scene.declare(|scene| drop(scene.nodes.remove(2)));
    killed_everywhere(&scene, &["--allow", "remove-member:etcd-3"], &mut pauses);
    scene.is_as_declared();
    assert!(scene.etcdctl(scene.first(), "get /kept").contains("yes"));
    for index in [1, 2] {
        let left = scene.lab.hosts()[index]
            .sh("ls -A /etc/etcd/pki; ls /etc/systemd/system/etcd.service /etc/etcd/etcd.yaml 2>/dev/null; true");
        assert_eq!(left, "", "{index}");
    }
}

fn survives(test: &str, series: Series) {
    if !is_turn(test, "killed_everywhere", series, &SERIES) {
        return;
    }
    let mut pauses = pauses(test);
    let Some(mut scene) = Scene::bare(test, 3, series) else { return };
    let visited = killed_everywhere(&scene, &[], &mut pauses);
    assert!(visited.len() >= 18, "too few places: {visited:?}");
    scene.is_in_sync();
    scene.is_healthy();
    scene.etcdctl(scene.first(), "put /kept yes");

    scene.declare(|scene| scene.etcd = "quota-backend = \"4GiB\"".to_owned());
    let visited = killed_everywhere(&scene, &[], &mut pauses);
    assert!(visited.iter().any(|place| place.title.contains("restart")), "{visited:?}");
    scene.is_in_sync();
    scene.is_healthy();
    assert!(scene.etcdctl(scene.first(), "get /kept").contains("yes"));
}

#[test]
fn killed_everywhere_3_4() {
    survives("killed_everywhere_3_4", SERIES[0]);
}

#[test]
fn killed_everywhere_3_5() {
    survives("killed_everywhere_3_5", SERIES[1]);
}

#[test]
fn killed_everywhere_3_6() {
    survives("killed_everywhere_3_6", SERIES[2]);
}

#[test]
fn killed_everywhere_3_7() {
    survives("killed_everywhere_3_7", SERIES[3]);
}
