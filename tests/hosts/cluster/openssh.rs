//! `client = "openssh"`: the system's ssh on hosts that ours cannot talk to.

use std::fs;

use super::scene::Scene;
use crate::lab::{Lab, Series};

#[test]
fn the_systems_ssh_does_everything_alike() {
    let test = "the_systems_ssh_does_everything_alike";
    // Plain, because what sshd speaks is drawn, too.
    let Some(scene) = Scene::installed_on(test, Lab::builder().hosts(3).plain(), Series::V3_6) else { return };
    for host in scene.lab.hosts() {
        host.write("/etc/ssh/sshd_config.d/post-quantum.conf", "KexAlgorithms sntrup761x25519-sha512@openssh.com\n");
        host.sh("systemctl reload ssh");
    }
    scene.plan().exits(6).says(&["the ssh handshake with etcd-1", "client = \"openssh\""]);
    let text = fs::read_to_string(scene.file()).expect("it was written");
    fs::write(scene.file(), text.replace("[ssh]\n", "[ssh]\nclient = \"openssh\"\n")).expect("the folder is ours");
    scene.apply().exits(0);
    scene.is_in_sync();
    scene.is_healthy();
    // A stream of some size, the lock, a restart, and a host that is gone.
    scene.quorate(&["backup", "run", "--output", "copy.db"]).exits(0);
    scene.quorate(&["lock", "status"]).exits(0).says(&["not locked"]);
    scene.lab.host("etcd-2").sh("systemctl stop etcd");
    scene.plan().exits(2).says(&["start etcd on etcd-2"]);
    scene.apply().exits(0);
    scene.is_in_sync();
    scene.lab.host("etcd-3").power_off();
    scene.plan().exits(6).says(&["host-unreachable", "etcd-3"]);
}
