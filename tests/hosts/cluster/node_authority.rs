//! `[ca] source = "node"`: the authority lies on the nodes, made by quorate or, as kubeadm does it, before it came.

use std::fs;

use serde_json::Value;

use super::certificates::{kubeadm_authority, openssl_verifies, serials};
use super::scene::Scene;
use super::secrets::{Watch, assert_absent};
use crate::lab::{Host, Series};

const KEY: &str = "/etc/etcd/pki/ca.key";

/// What `sha256sum` and `stat` say of a node's key.
fn key_of(host: &Host, path: &str) -> String {
    host.sh(&format!("sha256sum {path} | cut -d' ' -f1; stat -c '%a %U %G' {path}"))
}

fn openssl_agrees(scene: &Scene) {
    let ca = scene.lab.dir().join("trusted.crt");
    fs::write(&ca, scene.first().read("/etc/etcd/pki/ca.crt").expect("it is there")).expect("it can be written");
    openssl_verifies(scene, &ca);
}

#[test]
fn the_nodes_hold_the_authority() {
    let Some(mut scene) = Scene::bare("the_nodes_hold_the_authority", 3, Series::V3_5) else { return };
    scene.declare(|scene| scene.more = "\n[ca]\nsource = \"node\"\n".to_owned());
    scene.declare_hosts(0..2);
    scene.plan().exits(2).says(&["create the CA on etcd-1", "install the CA key on etcd-2"]);
    let watch = Watch::begin();
    let applied = scene.quorate(&["apply", "--yes", "-v"]).exits(0);
    let lines: String = watch.end().into_iter().collect();
    let key = scene.first().read(KEY).expect("it is there");
    assert_absent(std::slice::from_ref(&key), "a command line", &lines);
    assert_absent(std::slice::from_ref(&key), "what apply says", &format!("{}{}", applied.stdout, applied.stderr));
    assert!(!applied.stderr.contains("unexpected state"), "{}", applied.stderr);
    scene.is_in_sync();
    openssl_agrees(&scene);
    assert!(!scene.lab.dir().join("pki").exists(), "nothing of it is kept here");
    let hosts = scene.lab.hosts();
    assert!(key_of(&hosts[0], KEY).ends_with("600 root root"), "{}", key_of(&hosts[0], KEY));
    assert_eq!(key_of(&hosts[1], KEY), key_of(&hosts[0], KEY));

    // One more joins, and gets it.
    scene.declare_hosts(0..3);
    scene.apply().exits(0);
    scene.is_as_declared();
    let hosts = scene.lab.hosts();
    assert_eq!(key_of(&hosts[2], KEY), key_of(&hosts[0], KEY));
    assert!(scene.is_taken_over(&hosts[1]).contains("source = \"node\""));

    // Renewed, without a restart.
    let (starts, before) = (scene.starts(), serials(&scene));
    scene.apply_with(&["--renew-certs"]).exits(0);
    let after = serials(&scene);
    assert!(before.iter().all(|serial| !after.contains(serial)), "{before:?} {after:?}");

    // Drift: others may read it; it is gone from the first node.
    hosts[1].sh(&format!("chmod 644 {KEY}"));
    scene.is_repaired(&["ca.key: 644 root:root → 600 root:root", "[key-readable]", "install the CA key on etcd-2"]);
    hosts[0].sh(&format!("mv {KEY} /root/aside"));
    scene.is_repaired(&["the CA key (ca.key) is not on every node", "install the CA key on etcd-1"]);
    assert_eq!(key_of(&hosts[0], KEY), key_of(&hosts[2], KEY));
    assert_eq!(key_of(&hosts[0], KEY), key_of(&hosts[0], "/root/aside"));

    // Another key on one node, and none on any: nothing is done.
    hosts[2].sh(&format!(
        "mv {KEY} /root/aside; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {KEY}"
    ));
    let words = ["etcd-1 and etcd-3 have different CA keys", "[authority-differs]"];
    scene.quorate(&["apply", "--yes", "--renew-certs"]).exits(3).says(&words);
    hosts[2].sh(&format!("mv -f /root/aside {KEY}"));
    hosts.iter().for_each(|host| drop(host.sh(&format!("mv {KEY} /root/kept"))));
    let words =
        ["etcd-1, etcd-2, etcd-3 trust a CA whose key is on no node", "[authority-missing]", "from your backup"];
    scene.quorate(&["apply", "--yes", "--renew-certs"]).exits(3).says(&words);
    assert_eq!(serials(&scene), after);
    hosts.iter().for_each(|host| drop(host.sh(&format!("mv /root/kept {KEY}"))));
    assert_eq!(scene.starts(), starts, "a member was restarted");
    scene.is_as_declared();

    // Whoever may log in to the nodes may issue.
    let issued: Value = serde_json::from_str(&scene.quorate(&["certs", "root-issue"]).exits(0).stdout).expect("JSON");
    for (key, file) in [("ca_certificate", "ca.crt"), ("certificate", "root.crt"), ("private_key", "root.key")] {
        hosts[0].exec_with(&format!("umask 077; cat > /root/{file}"), issued[key].as_str().expect("PEM").as_bytes());
    }
    let said = hosts[0].sh(&format!(
        "ETCDCTL_API=3 etcdctl --endpoints=https://{}:2379 --cacert=/root/ca.crt --cert=/root/root.crt \
         --key=/root/root.key put /by-node yes",
        hosts[0].address()
    ));
    assert!(said.contains("OK"), "{said}");
    scene.quorate(&["plan", "--rotate-ca"]).exits(64).says(&["is stored on its nodes", "[ca.previous]"]);

    // Who leaves does not keep it.
    scene.declare_hosts(0..2);
    scene.quorate(&["apply", "--yes", "--allow", "remove-member:etcd-3"]);
    scene.is_in_sync();
    assert!(scene.lab.host("etcd-3").read(KEY).is_none(), "the key stays on a host that has left");
}

/// RSA-2048 under kubeadm's paths, on one node when quorate comes.
#[test]
fn the_authority_of_kubeadm_is_on_a_node() {
    let test = "the_authority_of_kubeadm_is_on_a_node";
    let Some(mut scene) = Scene::installed(test, 3, Series::V3_6) else { return };
    let folder = scene.lab.dir().join("kubeadm");
    kubeadm_authority(&folder);
    let there = "/etc/kubernetes/pki/etcd";
    let second = &scene.lab.hosts()[1];
    second.sh(&format!("mkdir -p {there}"));
    for name in ["ca.crt", "ca.key"] {
        second.write(&format!("{there}/{name}"), fs::read_to_string(folder.join(name)).expect("it is there"));
    }
    second.sh(&format!("chmod 600 {there}/ca.key"));
    let more = format!("\n[ca]\nsource = \"node\"\ncertificate = \"{there}/ca.crt\"\nkey = \"{there}/ca.key\"\n");
    scene.declare(|scene| scene.more = more);
    scene.apply().exits(0);
    scene.is_as_declared();
    openssl_verifies(&scene, &folder.join("ca.crt"));
    for host in scene.lab.hosts() {
        for name in ["ca.crt", "ca.key"] {
            let path = format!("{there}/{name}");
            assert_eq!(host.read(&path), fs::read_to_string(folder.join(name)).ok(), "{name} on {}", host.name());
        }
        assert!(key_of(host, &format!("{there}/ca.key")).ends_with("600 root root"));
    }
}
