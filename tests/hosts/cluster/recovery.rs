//! The quorum is gone for good: the survivor that has seen the most goes on, and the others join it anew.

use std::time::Duration;

use super::scene::{Scene, set_aside, until};
use crate::lab::{Host, Series};

#[test]
fn one_survivor_of_three_goes_on() {
    let Some(mut scene) = Scene::of_some("one_survivor_of_three_goes_on", 3, 5, Series::V3_5) else { return };
    scene.etcdctl(scene.first(), "put /kept yes");
    scene.plan().exits(0);
    scene.lab.hosts()[1].power_off();
    scene.lab.hosts()[2].power_off();
    until("the quorum is gone", Duration::from_secs(20), || {
        let plan = scene.plan();
        plan.code == 6 && plan.stdout.contains("NO QUORUM: 1 of 3 voters answers, 2 needed")
    });
    // Whoever looks is told both ways out, with the commands.
    for command in ["plan", "status"] {
        let run = scene.quorate(&[command]);
        let ways = ["(1) bring back 1 of etcd-2, etcd-3", "`quorate plan --lost=etcd-2 --lost=etcd-3`"];
        assert!(ways.iter().all(|way| run.stdout.contains(way)), "{}", run.stdout);
    }
    // One that is reachable is not lost.
    scene.quorate(&["plan", "--lost=etcd-2"]).exits(6);
    let plan = scene.quorate(&["plan", "--lost=etcd-2", "--lost=etcd-3"]);
    let plan = plan.says(&[
        "force a new one-member cluster from this member's data (--force-new-cluster)",
        "--allow lose-quorum:lab",
        "[writes-may-be-lost]",
    ]);
    assert!(plan.stdout.contains("etcd-1 at raft index"), "{}", plan.stdout);
    let lost = ["apply", "--yes", "--lost=etcd-2", "--lost=etcd-3"];
    scene.quorate(&lost).exits(3).says(&["--allow lose-quorum:lab"]);
    scene.quorate(&[&lost[..], &["--allow", "lose-quorum:other"]].concat()).exits(3);
    let run = scene.quorate(&[&lost[..], &["--allow", "lose-quorum:lab"]].concat());
    // Those that are lost are not missed.
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("serves without what is lost: 1 of 1 voter healthy"), "{run:?}");
    assert!(!run.stderr.contains("unexpected state"), "{run:?}");
    assert!(scene.etcdctl(scene.first(), "get /kept").contains("yes"));
    assert_eq!(scene.etcdctl(scene.first(), "member list").matches("started").count(), 1);
    assert!(!scene.first().sh("cat /etc/etcd/etcd.yaml").contains("force-new-cluster"));
    assert_eq!(set_aside(scene.first(), "before-force"), 1);
    // Other machines take their places.
    for (index, place) in [(3, 1), (4, 2)] {
        let (address, ssh) =
            (scene.lab.hosts()[index].address().to_string(), scene.lab.hosts()[index].name().to_owned());
        scene.declare(|scene| {
            scene.nodes[place].1 = address;
            scene.nodes[place].2 = ssh;
        });
    }
    scene.apply().exits(0);
    scene.is_as_declared();
    assert!(scene.etcdctl(&scene.lab.hosts()[4], "get /kept").contains("yes"));
    // When the lost ones return without a way to the survivor, which would tell them that they are out, they are a quorum
    // of the old cluster; they are stopped, and cleared away.
    for host in &scene.lab.hosts()[1..3] {
        host.power_on();
        host.cut_from(&scene.lab.hosts()[0]);
    }
    let serves = |index: usize| succeeds(&scene.lab.hosts()[index], "get /kept");
    until("the old cluster serves", Duration::from_secs(60), || serves(1) && serves(2));
    scene.plan().exits(2).says(&["stop and disable etcd", "etcd-2@", "etcd-3@"]);
    scene.apply().exits(0);
    assert!(!serves(1) && !serves(2));
    scene.is_as_declared();
    assert_eq!(set_aside(&scene.lab.hosts()[1], "removed"), 1);
    assert_eq!(scene.lab.hosts()[0].sh("ls /etc/etcd/departures 2>/dev/null || echo none"), "none");
}

/// Of two survivors, the one that has seen more goes on; and the lost ones do not serve when they return where they were.
#[test]
fn the_survivor_that_has_seen_more_goes_on() {
    let Some(scene) = Scene::healthy("the_survivor_that_has_seen_more_goes_on", 5, Series::V3_6) else { return };
    let hosts = scene.lab.hosts();
    // What a leader had on its way to a member that is cut off arrives when that is back: none of the two must be it.
    let leader = scene.leader();
    if leader != 0 {
        let list = scene.etcdctl(&hosts[leader], "member list");
        let line = list.lines().find(|line| line.contains(", etcd-1, ")).expect("it is a member");
        let id = line.split(", ").next().expect("a line begins with the id");
        assert!(succeeds(&hosts[leader], &format!("move-leader {id}")));
        until("etcd-1 leads", Duration::from_secs(10), || scene.leader() == 0);
    }
    for other in [&hosts[0], &hosts[1], &hosts[2], &hosts[4]] {
        hosts[3].cut_from(other);
    }
    until("a leader is among the others", Duration::from_secs(30), || succeeds(&hosts[4], "put /kept yes"));
    (0..5).for_each(|_| assert!(succeeds(&hosts[4], "put /kept yes")));
    for host in &hosts[..3] {
        host.power_off();
    }
    // One that still leads would bring the other up to itself.
    until("nobody leads", Duration::from_secs(30), || {
        scene.etcdctl(&hosts[4], "endpoint status -w fields").contains("\"Leader\" : 0\n")
    });
    hosts[3].heal();
    let lost = ["--lost=etcd-1", "--lost=etcd-2", "--lost=etcd-3"];
    let plan = scene.quorate(&[&["plan"], &lost[..]].concat());
    let ranked = plan.stdout.find("etcd-5 at raft index").zip(plan.stdout.find("etcd-4 at raft index"));
    assert!(ranked.is_some_and(|(first, second)| first < second), "{}", plan.stdout);
    let run = scene.quorate(
        &[&["apply", "--yes", "--allow", "lose-quorum:lab", "--allow", "replace-member:etcd-4"], &lost[..]].concat(),
    );
    assert_eq!(run.code, 0, "{run:?}");
    assert!(scene.etcdctl(&hosts[4], "get /kept").contains("yes"));
    for host in &hosts[..3] {
        host.power_on();
    }
    let is_back = |host: &Host| !host.sh("systemctl is-active etcd.service || true").contains("unknown");
    until("they are back", Duration::from_secs(60), || hosts[..3].iter().all(is_back));
    assert!(hosts[..3].iter().all(|host| !succeeds(host, "get /kept")), "the old cluster serves");
    scene.apply().exits(3).says(&["--allow replace-member:etcd-1"]);
    let allowed: Vec<String> = (1..=4).map(|number| format!("--allow=replace-member:etcd-{number}")).collect();
    // Meanwhile systemd starts them again and again, so what is seen of them changes by itself.
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    scene.quorate(&[&["apply", "--yes"], &allowed[..]].concat()).exits(0);
    scene.is_as_declared();
    assert!(scene.etcdctl(&hosts[0], "get /kept").contains("yes"));
}

/// Whether the member on `host` does what etcdctl asks of it.
fn succeeds(host: &Host, arguments: &str) -> bool {
    let pki = "/etc/etcd/pki";
    let command = format!(
        "ETCDCTL_API=3 timeout 10 etcdctl --endpoints=https://{}:2379 --cacert={pki}/ca.crt \
         --cert={pki}/healthcheck-client.crt --key={pki}/healthcheck-client.key {arguments}",
        host.address()
    );
    host.exec(&command).succeeded()
}
