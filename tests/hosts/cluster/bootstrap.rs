//! Three bare hosts become a healthy TLS cluster.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::scene::Scene;
use super::secrets::{Watch, assert_absent};
use crate::lab::{Series, User, is_drawn};

fn bootstraps(test: &str, series: Series) {
    if !is_drawn(test, series) {
        return;
    }
    let Some(scene) = Scene::bare(test, 3, series) else { return };
    scene.quorate(&["validate"]).exits(0).says(&["valid"]);
    let plan = scene.plan().exits(2);
    for step in ["create the CA", "install etcd", "write etcd.yaml", "start etcd"] {
        assert!(plan.stdout.contains(step), "{step:?} is missing in:\n{}", plan.stdout);
    }
    // Its stdin is at its end: nobody can answer, and nothing is done.
    scene.quorate(&["apply"]).exits(64).says(&["nobody answered", "nothing was changed", "--yes"]);
    let apply = scene.apply().exits(0);
    scene.is_in_sync();
    scene.is_healthy();
    scene.quorate(&["status"]).exits(0).says(&["etcd-1", "etcd-2", "etcd-3", &scene.archive.version]);
    is_as_declared(&scene);
    drop(apply);
}

/// What the README promises of a member's process and files.
fn is_as_declared(scene: &Scene) {
    let pki = "/etc/etcd/pki";
    for host in scene.lab.hosts() {
        for name in ["ca.crt", "healthcheck-client.crt", "healthcheck-client.key"] {
            let file = scene.lab.dir().join(format!("{}-{name}", host.name()));
            fs::write(file, host.read(&format!("{pki}/{name}")).expect("it is there"))
                .expect("the lab's folder can be written");
        }
        let file = |name: &str| scene.lab.dir().join(format!("{}-{name}", host.name()));
        let curl = Command::new("curl")
            .args(["-sS", "--max-time", "10", "--cacert"])
            .arg(file("ca.crt"))
            .arg("--cert")
            .arg(file("healthcheck-client.crt"))
            .arg("--key")
            .arg(file("healthcheck-client.key"))
            .arg(format!("https://{}:2379/health", host.address()))
            .output()
            .expect("curl runs");
        let said = String::from_utf8_lossy(&curl.stdout).replace(' ', "");
        assert!(said.contains("\"health\":\"true\""), "{curl:?}");
        // Without a client certificate nobody is answered.
        let bare = host.exec(&format!(
            "ETCDCTL_API=3 etcdctl --endpoints=https://{}:2379 --cacert={pki}/ca.crt endpoint health",
            host.address()
        ));
        assert!(!bare.succeeded(), "{bare:?}");
        assert_eq!(
            host.sh("stat -c '%a %U' /etc/etcd/pki/server.key /etc/etcd/pki/healthcheck-client.key"),
            "600 etcd\n600 root"
        );
        assert_eq!(host.sh("stat -L -c '%a %U' /var/lib/etcd"), "700 etcd");
        assert_eq!(host.sh("ps -o user= -C etcd | tr -d ' '"), "etcd");
        assert_eq!(
            host.sh("systemctl show -p Type -p Restart -p LimitNOFILE etcd.service"),
            "Type=notify\nRestart=always\nLimitNOFILE=65536"
        );
        assert_eq!(host.sh("systemctl is-enabled etcd.service"), "enabled");
        assert!(!host.exec("ls /etc/etcd/pki/ca.key").succeeded(), "the authority's key is on a host");
        assert!(!host.exec("ls /etc/etcd/may-create-data").succeeded(), "the permit is left");
        let journal = host.sh("journalctl -t quorate -o cat");
        assert!(journal.contains("install etcd"), "no audit trail:\n{journal}");
    }
    let key = scene.lab.dir().join("pki/ca.key");
    assert_eq!(fs::metadata(key).expect("the authority is here").permissions().mode() & 0o777, 0o600);
}

#[test]
fn bootstrap_3_4() {
    bootstraps("bootstrap_3_4", Series::V3_4);
}

#[test]
fn bootstrap_3_5() {
    bootstraps("bootstrap_3_5", Series::V3_5);
}

#[test]
fn bootstrap_3_6() {
    bootstraps("bootstrap_3_6", Series::V3_6);
}

#[test]
fn bootstrap_3_7() {
    bootstraps("bootstrap_3_7", Series::V3_7);
}

#[test]
fn bootstrap_as_an_ordinary_user_with_sudo() {
    let test = "bootstrap_as_an_ordinary_user_with_sudo";
    let Some(scene) = Scene::bare_for(test, 3, Series::V3_5, User::WithSudo("ops".to_owned())) else { return };
    scene.plan().exits(2);
    scene.apply().exits(0);
    scene.is_in_sync();
    scene.is_healthy();
}

#[test]
fn a_cluster_of_one() {
    let Some(mut scene) = Scene::bare("a_cluster_of_one", 1, Series::V3_5) else { return };
    scene.apply().exits(0);
    scene.is_in_sync();
    scene.is_healthy();
    // A restart would be an outage, and nobody allowed one.
    scene.declare(|scene| scene.etcd = "quota-backend = \"4GiB\"".to_owned());
    let starts = scene.starts();
    scene.apply().exits(3).says(&["downtime"]);
    assert_eq!(scene.starts(), starts);
    scene.declare(|scene| scene.cluster = "downtime = \"allowed\"".to_owned());
    scene.is_repaired(&["restart etcd"]);
    assert_ne!(scene.starts(), starts);
}

/// From nothing to a healthy cluster, no key shows anywhere but in its own file.
#[test]
fn no_secret_leaves_its_file() {
    let Some(scene) = Scene::bare("no_secret_leaves_its_file", 3, Series::V3_5) else { return };
    let watch = Watch::begin();
    let mut said = Vec::new();
    let mut keep = |run: super::scene::Run| said.push(format!("{}\n{}", run.stdout, run.stderr));
    keep(scene.quorate(&["plan", "-v"]));
    keep(scene.quorate(&["plan", "--format", "json"]));
    keep(scene.quorate(&["plan", "-o", "saved.json"]));
    keep(scene.quorate(&["apply", "--yes", "--json", "-v"]));
    keep(scene.quorate(&["plan", "--format", "json", "-v"]));
    keep(scene.quorate(&["status", "--json"]));
    keep(scene.quorate(&["status", "-v"]));
    let command_lines: BTreeSet<String> = watch.end();
    assert!(command_lines.iter().any(|line| line.contains("etcd")), "the watch saw nothing");

    let mut keys = vec![fs::read_to_string(scene.lab.dir().join("pki/ca.key")).expect("the authority is here")];
    for host in scene.lab.hosts() {
        for name in ["server", "peer", "healthcheck-client"] {
            keys.push(host.read(&format!("/etc/etcd/pki/{name}.key")).expect("every key is there"));
        }
    }
    assert_eq!(keys.len(), 10);
    for text in &said {
        assert_absent(&keys, "the output", text);
    }
    let saved = fs::read_to_string(scene.lab.dir().join("saved.json")).expect("the plan was saved");
    assert_absent(&keys, "the saved plan", &saved);
    for line in &command_lines {
        assert_absent(&keys, "a process's arguments", line);
    }
    for host in scene.lab.hosts() {
        assert_absent(&keys, "the journal", &host.sh("journalctl -b -o cat"));
    }
}
