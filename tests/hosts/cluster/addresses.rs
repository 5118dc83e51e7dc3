//! Hosts with more than one address.

use std::fs;
use std::net::Ipv4Addr;

use super::scene::Scene;
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
}
