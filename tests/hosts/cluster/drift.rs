//! A cluster that is as declared stays so: each drift is found with its cause, and repaired, one restart at a time.

use super::scene::{SERIES, Scene, until};
use crate::lab::{Series, is_turn};
use std::time::Duration;

/// Every drift of one host, on one cluster, one after the other.
fn drifts(test: &str, series: Series) {
    if !is_turn(test, "drift", series, &SERIES) {
        return;
    }
    let Some(mut scene) = Scene::healthy(test, 3, series) else { return };
    a_stopped_service(&scene);
    a_disabled_service(&scene);
    an_edited_config(&scene);
    an_edited_unit(&scene);
    a_wrong_mode(&scene);
    a_wrong_owner(&scene);
    a_deleted_certificate(&scene);
    a_config_that_is_not_loaded(&scene);
    a_replaced_binary(&scene);
    a_changed_setting(&mut scene);
}

/// The places of the members that were restarted.
fn restarted(before: &[String], after: &[String]) -> Vec<usize> {
    (0..before.len()).filter(|index| before[*index] != after[*index]).collect()
}

/// Repairs without a restart.
#[track_caller]
fn is_repaired_in_place(scene: &Scene, words: &[&str]) {
    let starts = scene.starts();
    scene.is_repaired(words);
    assert_eq!(restarted(&starts, &scene.starts()), [0_usize; 0], "a restart that nobody needs");
}

/// Repairs with a restart of the second host's member alone.
#[track_caller]
fn is_repaired_by_one_restart(scene: &Scene, words: &[&str]) {
    let starts = scene.starts();
    scene.is_repaired(words);
    assert_eq!(restarted(&starts, &scene.starts()), [1], "one member needs a restart");
}

fn a_stopped_service(scene: &Scene) {
    let host = scene.lab.host("etcd-2");
    let starts = scene.starts();
    host.sh("systemctl stop etcd");
    scene.is_repaired(&["start etcd", "etcd-2", "the service is not running"]);
    assert_eq!(restarted(&starts, &scene.starts()), [1]);
}

fn a_disabled_service(scene: &Scene) {
    scene.lab.host("etcd-2").sh("systemctl disable etcd 2>&1");
    is_repaired_in_place(scene, &["enable the service", "etcd-2"]);
    assert_eq!(scene.lab.host("etcd-2").sh("systemctl is-enabled etcd"), "enabled");
}

fn an_edited_config(scene: &Scene) {
    let host = scene.lab.host("etcd-2");
    host.sh("echo 'snapshot-count: 5000' >> /etc/etcd/etcd.yaml");
    // The process has not loaded the edit, so putting the file back is all.
    is_repaired_in_place(scene, &["write etcd.yaml", "-snapshot-count: 5000", "etcd-2"]);
    // Loaded, it takes a restart.
    host.sh("echo 'snapshot-count: 5000' >> /etc/etcd/etcd.yaml; systemctl restart etcd");
    is_repaired_by_one_restart(scene, &["write etcd.yaml", "restart etcd", "-snapshot-count: 5000"]);
}

fn an_edited_unit(scene: &Scene) {
    let host = scene.lab.host("etcd-2");
    host.sh("sed -i 's/^LimitNOFILE=.*/LimitNOFILE=1024/' /etc/systemd/system/etcd.service; systemctl daemon-reload");
    is_repaired_in_place(scene, &["write the systemd unit", "-LimitNOFILE=1024", "+LimitNOFILE=65536"]);
    host.sh("sed -i 's/^LimitNOFILE=.*/LimitNOFILE=1024/' /etc/systemd/system/etcd.service; systemctl daemon-reload; systemctl restart etcd");
    is_repaired_by_one_restart(scene, &["write the systemd unit", "restart etcd"]);
}

fn a_wrong_mode(scene: &Scene) {
    let host = scene.lab.host("etcd-2");
    host.sh("chmod 644 /etc/etcd/pki/server.key");
    is_repaired_in_place(scene, &["restore owner and mode of server.key", "644", "600"]);
    assert_eq!(host.sh("stat -c %a /etc/etcd/pki/server.key"), "600");
    host.sh("chmod 755 /etc/etcd/pki/../pki; chmod 777 /etc/etcd");
    is_repaired_in_place(scene, &["restore owner and mode of the configuration directory"]);
}

fn a_wrong_owner(scene: &Scene) {
    let host = scene.lab.host("etcd-2");
    host.sh("chown root:root /etc/etcd/pki/peer.key");
    is_repaired_in_place(scene, &["restore owner and mode of peer.key", "root:root"]);
    assert_eq!(host.sh("stat -c %U /etc/etcd/pki/peer.key"), "etcd");
}

fn a_deleted_certificate(scene: &Scene) {
    let host = scene.lab.host("etcd-2");
    host.sh("rm /etc/etcd/pki/peer.crt");
    is_repaired_in_place(scene, &["issue peer.crt", "peer.crt is missing"]);
    host.sh("rm /etc/etcd/pki/server.key");
    is_repaired_in_place(scene, &["issue server.crt", "server.key is missing"]);
    // A certificate with another's key.
    host.sh(
        "cp -p /etc/etcd/pki/healthcheck-client.key /etc/etcd/pki/server.key; chown etcd:etcd /etc/etcd/pki/server.key",
    );
    is_repaired_in_place(scene, &["issue server.crt", "do not match"]);
    host.sh("rm /etc/etcd/pki/ca.crt");
    is_repaired_in_place(scene, &["install ca.crt"]);
}

fn a_config_that_is_not_loaded(scene: &Scene) {
    let host = scene.lab.host("etcd-2");
    // Started with an edit, then put back by hand: the file is right, and the process is not.
    host.sh("cp -p /etc/etcd/etcd.yaml /tmp/etcd.yaml; echo 'snapshot-count: 5000' >> /etc/etcd/etcd.yaml; systemctl restart etcd; mv /tmp/etcd.yaml /etc/etcd/etcd.yaml");
    is_repaired_by_one_restart(scene, &["restart etcd", "still running with the old etcd.yaml"]);
}

fn a_replaced_binary(scene: &Scene) {
    let host = scene.lab.host("etcd-2");
    let folder = format!("/opt/etcd/{}", scene.archive.version);
    host.sh(&format!("cp -p {folder}/etcd {folder}/etcd.new; mv {folder}/etcd.new {folder}/etcd"));
    is_repaired_by_one_restart(scene, &["restart etcd", "was replaced since etcd started"]);
}

/// A setting is a rolling change: every member restarts once, one at a time, and the leader last.
fn a_changed_setting(scene: &mut Scene) {
    scene.declare(|scene| {
        scene.etcd = "quota-backend = \"4GiB\"\nheartbeat-interval = \"200ms\"\nelection-timeout = \"2s\"\n\
                      auto-compaction = { mode = \"periodic\", retention = \"8h\" }\nextra = { max-request-bytes = 2097152 }"
            .to_owned();
    });
    let starts = scene.starts();
    let plan = scene.is_repaired(&["+quota-backend-bytes: 4294967296", "+max-request-bytes: 2097152", "cluster.toml:"]);
    assert_eq!(plan.stdout.matches("restart etcd").count(), 3, "{}", plan.stdout);
    assert_eq!(restarted(&starts, &scene.starts()), [0, 1, 2]);
}

#[test]
fn drift_3_4() {
    drifts("drift_3_4", Series::V3_4);
}

#[test]
fn drift_3_5() {
    drifts("drift_3_5", Series::V3_5);
}

#[test]
fn drift_3_6() {
    drifts("drift_3_6", Series::V3_6);
}

#[test]
fn drift_3_7() {
    drifts("drift_3_7", Series::V3_7);
}

/// A leader that is restarted hands its office over first, so no client waits for an election.
#[test]
fn a_leader_hands_over_before_it_restarts() {
    let Some(mut scene) = Scene::healthy("a_leader_hands_over_before_it_restarts", 3, Series::V3_5) else { return };
    let term = |scene: &Scene| -> u64 {
        let said = scene.etcdctl(scene.first(), "endpoint status -w json");
        let status: serde_json::Value = serde_json::from_str(&said).expect("etcdctl prints JSON");
        status[0]["Status"]["raftTerm"].as_u64().expect("a term")
    };
    let before = term(&scene);
    scene.declare(|scene| scene.etcd = "quota-backend = \"4GiB\"".to_owned());
    scene.apply().exits(0);
    until("the members agree again", Duration::from_secs(10), || scene.plan().code == 0);
    assert_eq!(term(&scene), before + 1, "one election, by the handover, and none by a timeout");
}
