//! Hosts with more than one address.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::scene::{Scene, until};
use crate::lab::Series;

/// A second address in the same network, which the host prefers to the declared one: what a virtual address or a second
/// interface does. Its peers would refuse it, so nothing is begun until the certificate names it.
#[test]
fn a_host_that_speaks_from_a_second_address() {
    let Some(scene) = Scene::installed("a_host_that_speaks_from_a_second_address", 3, Series::V3_5) else { return };
    let (one, three) = (scene.lab.host("etcd-1"), scene.lab.host("etcd-3"));
    let [a, b, c, last] = three.address().octets();
    let second = Ipv4Addr::new(a, b, c, last + 100);
    three.sh(&format!(
        "set -- $(ip -o -4 route get {to}) && while [ \"$1\" != dev ]; do shift; done && dev=$2 && \
         ip address add {second}/24 dev $dev && \
         ip route replace {to}/32 dev $dev src {second}",
        to = one.address()
    ));
    let refusal = format!("etcd-3 speaks to etcd-1 from {second}, which its peer certificate does not name");
    scene.plan().exits(3).says(&["source-address", &refusal]);

    let text = fs::read_to_string(scene.file()).expect("it was written");
    let named = text.replace("[nodes.etcd-3]\n", &format!("[nodes.etcd-3]\npeer-names = [\"{second}\"]\n"));
    fs::write(scene.file(), named).expect("the lab's folder can be written");
    scene.apply().exits(0);
    scene.is_in_sync();
    scene.is_healthy();
    let ways = three.sh("ss -tnH state established");
    let (from, to) = (format!("{second}:"), format!("{}:2380", one.address()));
    assert!(ways.lines().any(|way| way.contains(&from) && way.contains(&to)), "{ways}");
    one_direction_is_closed(&scene);
}

/// A firewall that refuses what etcd-3 sends to the peer port of etcd-1. Both follow the leader, read and write.
fn one_direction_is_closed(scene: &Scene) {
    let (one, three) = (scene.lab.host("etcd-1"), scene.lab.host("etcd-3"));
    three.sh(&format!(
        "nft 'table inet limp {{ chain out {{ type filter hook output priority 0; ip daddr {} tcp dport 2380 \
         tcp flags & rst != rst reject with tcp reset; }}; }}'",
        one.address()
    ));
    let gap = "etcd-3 has no connection to etcd-1";
    let told = format!("{gap} for raft's messages");
    until("etcd-3 lacks a connection", Duration::from_secs(30), || scene.plan().stdout.contains(&told));
    let plan = scene.plan().exits(0);
    plan.says(&[&told, "its host does not reach the peer port", "3 of 3 voters healthy, NOT ALL CONNECTED"]);
    scene.quorate(&["status", "--check"]).exits(2);
    scene.quorate(&["status"]).exits(0).says(&[&format!("NOT ALL CONNECTED ({gap})"), "[peer-inactive]"]);
    scene.quorate(&["doctor", "--no-disk"]).exits(2).says(&["etcd has no connection to etcd-1 for raft's messages"]);
    // Without the third one the two would have to be the quorum. Each of them may be restarted.
    let refused = scene.quorate(&["apply", "--yes", "--restart=etcd-2"]).exits(3);
    refused.says(&[&format!("no other member is added, changed, restarted or removed while {gap}")]);
    scene.quorate(&["plan", "--restart=etcd-3"]).exits(0).says(&["restart etcd"]);
    three.sh("nft delete table inet limp");
    // etcd's metric may stay behind: that is told, and holds nothing up.
    until("all are connected", Duration::from_secs(30), || !scene.plan().stdout.contains("NOT ALL CONNECTED"));
    scene.plan().exits(0).says(&["No changes"]);
}
