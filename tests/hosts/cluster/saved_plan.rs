//! A plan that is saved, reviewed and then applied by a pipeline: what is done is what was shown.

use std::fs;

use super::scene::Scene;
use crate::lab::{Host, Series};

/// Bootstrap, a change in turn and a removal, each planned first and applied later.
#[test]
fn a_saved_plan_is_what_is_done_or_it_is_stale() {
    let test = "a_saved_plan_is_what_is_done_or_it_is_stale";
    let Some(mut scene) = Scene::installed(test, 4, Series::V3_5) else { return };
    scene.declare_hosts(0..4);
    let plan = scene.quorate(&["plan", "-v", "-o", "plan.json"]).exits(0).stdout;
    let line = plan.lines().find(|line| line.starts_with("+initial-cluster-token: ")).expect("it is shown");
    let shown = line.trim_start_matches('+').to_owned();
    std::thread::sleep(std::time::Duration::from_secs(2));
    scene.quorate(&["apply", "--yes", "plan.json"]).exits(0);
    for host in scene.lab.hosts() {
        let text = host.read("/etc/etcd/etcd.yaml").expect("it is there");
        assert!(text.lines().any(|line| line == shown), "{}: {shown}\n{text}", host.name());
    }
    scene.quorate(&["apply", "--yes", "plan.json"]).exits(0).says(&["Nothing left to do."]);

    // Somebody changes a file that is to be written over.
    scene.declare(|scene| scene.etcd = "quota-backend = \"3GiB\"".to_owned());
    let id = saved(&scene, &[]);
    let second = &scene.lab.hosts()[1];
    let before = second.read("/etc/etcd/etcd.yaml").expect("it is there");
    second.write("/etc/etcd/etcd.yaml", format!("{before}snapshot-count: 5000\n"));
    let stale = scene.quorate(&["apply", "--yes", "plan.json"]).exits(4);
    stale.says(&["the saved plan is stale", "/etc/etcd/etcd.yaml on etcd-2 was changed"]);
    scene.quorate(&["apply", "--yes", "--expect", &id]).exits(4);
    second.write("/etc/etcd/etcd.yaml", before);

    // Another member comes to lead: the order stays as it was shown, and the id as well.
    let id = saved(&scene, &[]);
    let order = restarts(&scene.quorate(&["show", "plan.json"]).exits(0).stdout);
    let led = order.last().expect("every member is restarted").clone();
    let heir = order[0].clone();
    move_leader(&scene, &led, &heir);
    assert_eq!(saved_as(&scene, "other.json", &[]), id);
    assert_ne!(restarts(&scene.quorate(&["show", "other.json"]).exits(0).stdout), order);
    let applied = scene.quorate(&["apply", "--yes", "plan.json"]).exits(0);
    let said = format!("{}{}", applied.stdout, applied.stderr);
    assert!(said.contains(&format!("{heir} leads now; the planned order is kept, with {led} last")), "{said}");
    let done: Vec<_> = restarts(&said).into_iter().rev().take(order.len()).rev().collect();
    assert_eq!(done, order, "{said}");
    // A job that is run once more.
    scene.quorate(&["apply", "--yes", "--expect", &id]).exits(0).says(&["Nothing left to do."]);

    // What is to be allowed is saved, and the command under the Markdown is whole.
    scene.declare_hosts(0..3);
    saved(&scene, &["--allow", "remove-member:etcd-4"]);
    let markdown = scene.quorate(&["plan", "--format", "markdown"]).exits(0).stdout;
    let command = markdown.lines().find_map(|line| line.strip_prefix("quorate apply ")).expect("it is there");
    let words: Vec<_> = ["apply", "--yes"].into_iter().chain(command.split(' ')).collect();
    assert!(words.contains(&"remove-member:etcd-4"), "{command}");
    scene.quorate(&words).exits(0);
    scene.quorate(&words).exits(0).says(&["Nothing left to do."]);
    scene.declare_hosts(0..4);
    scene.apply().exits(0);
    scene.declare_hosts(0..3);
    saved(&scene, &["--allow", "remove-member:etcd-4"]);
    scene.quorate(&["apply", "--yes", "plan.json"]).exits(0);
    scene.is_in_sync();
}

/// Plans and saves; the id.
fn saved(scene: &Scene, flags: &[&str]) -> String {
    saved_as(scene, "plan.json", flags)
}

fn saved_as(scene: &Scene, file: &str, flags: &[&str]) -> String {
    scene.quorate(&[&["plan", "-o", file], flags].concat()).exits(0);
    let text = fs::read_to_string(scene.lab.dir().join(file)).expect("it was saved");
    let plan: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    plan["plan_id"].as_str().expect("it is text").to_owned()
}

/// The hosts of the restarts, in the order of the lines.
fn restarts(text: &str) -> Vec<String> {
    let of = |line: &str| {
        let rest = line.split_once("] restart etcd on ")?.1;
        rest.split_whitespace().next().map(str::to_owned)
    };
    text.lines().filter_map(of).collect()
}

fn move_leader(scene: &Scene, from: &str, to: &str) {
    let host: &Host = scene.lab.host(from);
    let ctl = |host: &Host, words: &str| {
        host.sh(&format!(
            "ETCDCTL_API=3 etcdctl --endpoints=https://{}:2379 --cacert=/etc/etcd/pki/ca.crt \
             --cert=/etc/etcd/pki/healthcheck-client.crt --key=/etc/etcd/pki/healthcheck-client.key {words}",
            host.address()
        ))
    };
    let id = ctl(scene.lab.host(to), "endpoint status").split(", ").nth(1).expect("it tells its id").to_owned();
    ctl(host, &format!("move-leader {id}"));
}
