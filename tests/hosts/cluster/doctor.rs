//! `quorate doctor`: on hosts that something is wrong with, before and while a cluster runs there.

use std::time::Duration;

use serde_json::Value;

use super::scene::{Run, Scene, until};
use crate::lab::{Lab, Series};

/// Verdict and words of one check.
#[track_caller]
fn check(run: &Run, host: &str, check: &str) -> (String, String) {
    let document: Value = serde_json::from_str(&run.stdout).expect("it prints JSON");
    let of = |list: &Value, key: &str, name: &str| {
        let found = list.as_array().expect("a list").iter().find(|one| one[key] == *name);
        found.unwrap_or_else(|| panic!("{name} is missing in {list:#}")).clone()
    };
    let found = of(&of(&document["hosts"], "host", host)["checks"], "check", check);
    let word = |key: &str| found[key].as_str().expect("text").to_owned();
    (word("verdict"), word("seen"))
}

#[track_caller]
fn is(run: &Run, host: &str, which: &str, verdict: &str, words: &str) {
    let (is, seen) = check(run, host, which);
    assert!(is == verdict && seen.contains(words), "{host} {which}: {is}: {seen}");
}

#[test]
fn what_is_wrong_with_a_host_is_named() {
    let test = "what_is_wrong_with_a_host_is_named";
    // Plain, because it names much of what is odd.
    let Some(scene) = Scene::installed_on(test, Lab::builder().hosts(3).plain(), Series::V3_6) else { return };
    let [one, two, three] = ["etcd-1", "etcd-2", "etcd-3"].map(|name| scene.lab.host(name));
    // Before there is a cluster: the ways are open, and nothing listens yet.
    let run = scene.quorate(&["doctor", "--json", "--no-disk"]);
    is(&run, "etcd-1", "ports", "ok", "nothing listens at etcd-2:2379");
    is(&run, "etcd-1", "port-owners", "ok", "nothing else");
    assert!(!run.stdout.contains("disk-latency"), "{}", run.stdout);

    scene.apply().exits(0);
    let processes = || [one, two, three].map(|host| host.sh("systemctl show -p MainPID --value etcd"));
    let before = processes();
    one.cut_from(two);
    two.sh("hostname nowhere-to-be-found");
    three.write("/root/.bashrc", "printf Welcome\n");
    let run = scene.quorate(&["doctor", "--json"]).exits(2);
    is(&run, "etcd-1", "ports", "problem", "etcd-2:2379 (no answer), etcd-2:2380 (no answer)");
    is(&run, "etcd-2", "ports", "problem", "etcd-1:2379 (no answer), etcd-1:2380 (no answer)");
    is(&run, "etcd-3", "ports", "ok", "4 of 4");
    is(&run, "etcd-3", "peers", "ok", "connected to 2 peers");
    is(&run, "etcd-2", "names", "warning", "nowhere-to-be-found is not known");
    is(&run, "etcd-3", "login-shell", "warning", "Welcome");
    is(&run, "etcd-3", "addresses", "ok", &three.address().to_string());
    is(&run, "etcd-3", "disk-latency", check(&run, "etcd-3", "disk-latency").0.as_str(), "median of 100 writes");
    // It has read, and left nothing.
    assert_eq!(before, processes());
    assert_eq!(three.sh("find / -xdev -name '.quorate-doctor*'"), "");
    let text = scene.quorate(&["doctor", "--no-disk"]).exits(2);
    assert!(text.stdout.contains("PROBLEM  ports"), "{}", text.stdout);
    one.heal();
    two.sh("systemctl stop etcd");
    let cut_off = || {
        let text = scene.quorate(&["doctor", "--no-disk"]).exits(2);
        text.stdout.contains("etcd has no connection to etcd-2 for raft's messages")
    };
    until("etcd notices that its peer is gone", Duration::from_secs(20), cut_off);

    three.power_off();
    let run = scene.quorate(&["doctor", "--json", "--no-disk"]).exits(6);
    is(&run, "etcd-3", "ssh", "problem", "etcd-3");
    is(&run, "etcd-1", "ports", "problem", "etcd-3:2380");
}
