//! Snapshots of real members: here, on a node, and what is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::lab::Series;
use crate::scene::{SERIES, Scene, until};

/// The files of the lab's folder that are snapshots, or begin as one.
fn here(scene: &Scene) -> Vec<PathBuf> {
    let entries = fs::read_dir(scene.lab.dir()).expect("the lab's folder can be read");
    let mut found: Vec<_> = entries.map(|entry| entry.expect("its entries too").path()).collect();
    found.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("snapshot-")));
    found.sort();
    found
}

/// What etcd itself says of a snapshot.
fn status(scene: &Scene, bytes: &[u8]) -> Value {
    let host = scene.first();
    host.write("/root/checked.db", bytes);
    let tool = "$(command -v etcdutl || command -v etcdctl)";
    let said = host.sh(&format!("ETCDCTL_API=3 {tool} snapshot status /root/checked.db -w json 2>/dev/null"));
    serde_json::from_str(&said).expect("it is JSON")
}

fn taken(test: &str, series: Series, auth: bool) {
    let Some(mut scene) = Scene::bare(test, 3, series) else { return };
    if auth {
        scene.declare(|scene| scene.more = "[auth]\nenabled = true\n[users.app]\nprefix = \"/app/\"\n".to_owned());
    }
    scene.apply().exits(0);
    let first = scene.first();
    for number in 0..20 {
        scene.etcdctl(first, &format!("put /kept/{number} {}", "x".repeat(2000)));
    }
    scene.quorate(&["backup", "run"]).exits(0).says(&[".db.zst: snapshot of etcd-", "SHA-256 checked"]);
    let files = here(&scene);
    let [file] = files.as_slice() else { panic!("{files:?}") };
    assert_eq!(file.metadata().expect("it is there").permissions().mode() & 0o777, 0o600);
    let packed = fs::read(file).expect("it can be read");
    let bytes = zstd::decode_all(packed.as_slice()).expect("it is zstd");
    let keys = status(&scene, &bytes)["totalKey"].as_u64().expect("a number");
    assert!(keys >= 20, "{keys}");

    let run = scene.quorate(&["backup", "run", "-o", "plain.db", "--json"]).exits(0);
    let told: Value = serde_json::from_str(&run.stdout).expect("it is JSON");
    let bytes = fs::read(scene.lab.dir().join("plain.db")).expect("it is there");
    assert_eq!(told["database_bytes"], bytes.len());
    assert_eq!(told["file_bytes"], bytes.len());
    let ends: String = bytes[bytes.len() - 32..].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(told["sha256"], ends);
    assert_ne!(told["member"], format!("etcd-{}", scene.leader() + 1), "it was taken of the leader");

    // Nothing is overwritten, and nothing is left of what was not taken.
    scene.quorate(&["backup", "run", "-o", "plain.db"]).exits(1).says(&["there is a file of that name", "-o"]);
    scene.quorate(&["backup", "run", "-o", "no/such/folder.db"]).exits(1).says(&["cannot be written"]);
    scene.quorate(&["backup", "run", "--on", "etcd-9"]).exits(64).says(&["no such node"]);
    assert_eq!(here(&scene).len(), 1);

    let run = scene.quorate(&["backup", "run", "--on", "etcd-2", "--compression", "gzip", "--json"]).exits(0);
    let told: Value = serde_json::from_str(&run.stdout).expect("it is JSON");
    let path = told["path"].as_str().expect("it has a path");
    let second = &scene.lab.hosts()[1];
    second.sh(&format!("gzip -dc {path} >/root/checked.db"));
    assert_eq!(second.sh(&format!("stat -c '%a %U' {path}")), "600 root");
    let tool = "$(command -v etcdutl || command -v etcdctl)";
    let said = second.sh(&format!("ETCDCTL_API=3 {tool} snapshot status /root/checked.db -w json 2>/dev/null"));
    assert!(said.contains("totalKey"), "{said}");
    let left = second.sh("ls -A /var/backups/etcd; ls -A /run/quorate-credentials 2>/dev/null; true");
    assert_eq!(left.lines().count(), 1, "{left}");
    if second.exec("command -v zstd").succeeded() {
        return;
    }
    scene.quorate(&["backup", "run", "--on", "etcd-2"]).exits(1).says(&["there is no zstd", "--compression"]);
}

#[test]
fn taken_3_4() {
    taken("taken_3_4", SERIES[0], false);
}

#[test]
fn taken_3_5_with_authentication() {
    taken("taken_3_5_with_authentication", SERIES[1], true);
}

#[test]
fn taken_3_7() {
    taken("taken_3_7", SERIES[3], false);
}

/// A member alone still has what it has, and says that there may be more.
#[test]
fn taken_without_a_quorum() {
    let Some(scene) = Scene::healthy("taken_without_a_quorum", 3, Series::V3_5) else { return };
    scene.etcdctl(scene.first(), "put /kept yes");
    for host in &scene.lab.hosts()[1..] {
        host.power_off();
    }
    let last = scene.lab.dir().join("last.db");
    until("the quorum is gone", Duration::from_secs(30), || {
        let _ = fs::remove_file(&last);
        let run = scene.quorate(&["backup", "run", "-o", "last.db"]);
        run.code == 0 && run.stderr.contains("no quorum serves")
    });
    let bytes = fs::read(last).expect("it is there");
    assert!(status(&scene, &bytes)["totalKey"].as_u64().is_some_and(|keys| keys >= 1));
    scene.first().power_off();
    scene.quorate(&["backup", "run"]).exits(6).says(&["no member answers", "etcd-1"]);
}
