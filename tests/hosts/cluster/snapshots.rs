//! Snapshots of real members: here, on a node, and what is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use quorate::core::names::Digest;
use serde_json::Value;

use super::scene::{SERIES, Scene, until};
use crate::lab::{Series, is_turn};

/// The files of the lab's folder that are snapshots, or begin as one.
fn here(scene: &Scene) -> Vec<PathBuf> {
    let entries = fs::read_dir(scene.lab.dir()).expect("the lab's folder can be read");
    let mut found: Vec<_> = entries.map(|entry| entry.expect("its entries too").path()).collect();
    let is_one = |name: &str| name.contains("snapshot-") && !name.ends_with(".json");
    found.retain(|path| path.file_name().is_some_and(|name| is_one(&name.to_string_lossy())));
    found.sort();
    found
}

/// The rows of `backup list`.
#[track_caller]
fn listed(scene: &Scene) -> Vec<Value> {
    let run = scene.quorate(&["backup", "list", "--json"]).exits(0);
    let document: Value = serde_json::from_str(&run.stdout).expect("it is JSON");
    document["snapshots"].as_array().expect("a list").clone()
}

/// As etcd says it, in hexadecimal.
fn cluster_id(scene: &Scene) -> String {
    let said = scene.etcdctl(scene.first(), "-w fields endpoint status");
    let id = said.lines().find_map(|line| line.strip_prefix("\"ClusterID\" : ")).expect("it says so");
    format!("{:x}", id.parse::<u64>().expect("a number"))
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
    if !is_turn(test, "taken", series, &[SERIES[0], SERIES[1], SERIES[3]]) {
        return;
    }
    let Some(mut scene) = Scene::installed(test, 3, series) else { return };
    if auth {
        scene.declare(|scene| scene.more = "[auth]\nenabled = true\n[users.app]\nprefix = \"/app/\"\n".to_owned());
    }
    scene.apply().exits(0);
    let first = scene.first();
    for number in 0..20 {
        scene.etcdctl(first, &format!("put /kept/{number} {}", "x".repeat(2000)));
    }
    // A value of many pages, and the key of the newest revision behind it.
    scene.etcdctl(first, &format!("put /kept/large {}", "y".repeat(100_000)));
    scene.quorate(&["backup", "run"]).exits(0).says(&[".db.zst: snapshot of etcd-", "SHA-256 verified"]);
    let files = here(&scene);
    let [file] = files.as_slice() else { panic!("{files:?}") };
    assert_eq!(file.metadata().expect("it is there").permissions().mode() & 0o777, 0o600);
    let packed = fs::read(file).expect("it can be read");
    let bytes = zstd::decode_all(packed.as_slice()).expect("it is zstd");
    let said = status(&scene, &bytes);
    let keys = said["totalKey"].as_u64().expect("a number");
    assert!(keys >= 20, "{keys}");
    let row = listed(&scene).pop().expect("it is listed");
    assert_eq!((&row["revision"], &row["verified"]), (&said["revision"], &Value::Null), "{row}");
    assert_eq!(row["cluster_id"], cluster_id(&scene), "{row}");

    let run = scene.quorate(&["backup", "run", "-o", "plain.db", "--json"]).exits(0);
    let told: Value = serde_json::from_str(&run.stdout).expect("it is JSON");
    let bytes = fs::read(scene.lab.dir().join("plain.db")).expect("it is there");
    assert_eq!(told["database_bytes"], bytes.len());
    assert_eq!(told["file_bytes"], bytes.len());
    let ends: String = bytes[bytes.len() - 32..].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(told["sha256"], ends);
    assert_ne!(told["member"], format!("etcd-{}", scene.leader() + 1), "it was taken of the leader");

    // Nothing is overwritten, and nothing is left of what was not taken.
    scene.quorate(&["backup", "run", "-o", "plain.db"]).exits(1).says(&["file already exists", "-o"]);
    scene.quorate(&["backup", "run", "-o", "no/such/folder.db"]).exits(1).says(&["cannot write the snapshot"]);
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
    // It is listed, fetched and drilled by its name.
    let name = path.rsplit('/').next().expect("it has a name");
    let rows = listed(&scene);
    assert_eq!(rows.len(), 2, "{rows:?}");
    let there = |rows: &[Value]| rows.iter().find(|row| row["name"] == name && row["node"] == "etcd-2").cloned();
    let row = there(&rows).expect("it is listed");
    assert_eq!((&row["revision"], &row["cluster_id"]), (&rows[0]["revision"], &rows[0]["cluster_id"]), "{rows:?}");
    scene.quorate(&["backup", "list"]).exits(0).says(&["SNAPSHOT", name, "here"]);
    // The newest, which is the one on the node: fetched from there, then drilled there.
    let held = scene.quorate(&["backup", "verify", "--json"]).exits(0);
    let held: Value = serde_json::from_str(&held.stdout).expect("it is JSON");
    let on = scene.quorate(&["backup", "verify", "--on", "etcd-2", "--json"]).exits(0);
    let on: Value = serde_json::from_str(&on.stdout).expect("it is JSON");
    assert_eq!((&held["snapshot"], &held["node"], &on["node"]), (&name.into(), &Value::Null, &"etcd-2".into()));
    for key in ["snapshot", "database_bytes", "sha256", "revision", "keys", "entries", "hash", "members", "live"] {
        assert_eq!(held[key], on[key], "{key}: {held} {on}");
    }
    assert_eq!((&on["live"], &on["revision"]), (&"equal-hash".into(), &row["revision"]), "{on}");
    let row = there(&listed(&scene)).expect("it is listed");
    assert_eq!(
        (&row["verified"], &row["revision"], &row["cluster_id"]),
        (&on["at"], &on["revision"], &rows[0]["cluster_id"])
    );
    scene.quorate(&["backup", "verify", name]).exits(0).says(&["matches the live cluster at that revision"]);
    scene.quorate(&["backup", "verify", "--on", "etcd-1"]).exits(1).says(&["no snapshot", "on etcd-1", "backup list"]);
    scene.quorate(&["backup", "verify", "--on", "etcd-9"]).exits(64).says(&["no such node"]);
    scene.quorate(&["backup", "get", name, "-o", "fetched.db.gz"]).exits(0).says(&["from etcd-2, verified"]);
    scene.quorate(&["backup", "get", name, "-o", "fetched.db.gz"]).exits(1).says(&["file already exists"]);
    let fetched = fs::read(scene.lab.dir().join("fetched.db.gz")).expect("it is there");
    assert_eq!(fetched.len() as u64, second.sh(&format!("stat -c %s {path}")).parse::<u64>().expect("a number"));
    scene.quorate(&["backup", "get", "snapshot-20200101_000000.db"]).exits(1).says(&["no snapshot", "backup list"]);
    let left =
        second.sh("ls -A /var/backups/etcd; ls -A /run/quorate-credentials 2>/dev/null; pgrep -f [n]ame=drill; true");
    assert_eq!(left, format!("last-drill.json\n{name}\n{name}.json"));
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
        run.code == 0 && run.stderr.contains("the cluster has no quorum")
    });
    let bytes = fs::read(last).expect("it is there");
    assert!(status(&scene, &bytes)["totalKey"].as_u64().is_some_and(|keys| keys >= 1));
    scene.first().power_off();
    scene.quorate(&["backup", "run"]).exits(6).says(&["no member answers", "etcd-1"]);
}

/// The newest stay, on the nodes and here, and nothing goes where none of them is whole.
#[test]
fn pruned() {
    let Some(scene) = Scene::healthy("pruned", 1, Series::V3_6) else { return };
    let host = scene.first();
    let left = || host.sh("ls /var/backups/etcd | grep -v json");
    let run = scene.quorate(&["backup", "run", "--on", "etcd-1", "--compression", "gzip", "--json"]).exits(0);
    let told: Value = serde_json::from_str(&run.stdout).expect("it is JSON");
    let path = told["path"].as_str().expect("it has a path").to_owned();
    let name = path.rsplit('/').next().expect("it has a name");
    let old = |number: u32| format!("snapshot-20200101_00000{number}.db.gz");
    let beside =
        |number| format!("for end in '' .json; do cp -p {path}$end /var/backups/etcd/{}$end; done", old(number));
    (1..=4).for_each(|number| drop(host.sh(&beside(number))));
    host.sh("echo mine >/var/backups/etcd/snapshot-notes.db; echo before >/var/backups/etcd/before-3.6.0.db");
    scene.quorate(&["backup", "prune"]).exits(64).says(&["number of snapshots to keep", "--keep N"]);
    scene.quorate(&["--no-input", "backup", "prune", "--keep", "2"]).exits(64).says(&[&old(1), "--yes"]);
    scene.quorate(&["backup", "prune", "--keep", "0", "--yes"]).exits(64);
    assert_eq!(left().lines().count(), 7);
    scene.quorate(&["backup", "prune", "--keep", "3", "--yes"]).exits(0).says(&["etcd-1: 2 deleted"]);
    assert_eq!(left(), ["before-3.6.0.db", &old(3), &old(4), name, "snapshot-notes.db"].join("\n"));
    scene.quorate(&["backup", "prune", "--keep", "3", "--yes"]).exits(0).says(&["Nothing to delete"]);
    // The newest one is no snapshot any more.
    host.sh(&format!("head -c 300 {path} >/root/cut && cp /root/cut {path}"));
    scene
        .quorate(&["backup", "prune", "--keep", "1", "--yes"])
        .exits(1)
        .says(&["snapshots to keep", "nothing was deleted"]);
    assert_eq!(left().lines().count(), 5);
    scene.quorate(&["backup", "prune", "--keep", "2", "--yes"]).exits(0).says(&["etcd-1: 1 deleted"]);
    assert_eq!(left(), ["before-3.6.0.db", &old(4), name, "snapshot-notes.db"].join("\n"));
    // What is known of them has gone with them.
    assert_eq!(host.sh("cd /var/backups/etcd && ls *.json"), format!("{0}.json\n{name}.json", old(4)));
    // Here, only when it is asked for.
    scene.quorate(&["backup", "get", &old(4)]).exits(0);
    let from = scene.lab.dir().join(old(4));
    for number in 1..=3 {
        fs::copy(&from, scene.lab.dir().join(old(number))).expect("it can be copied");
        let beside = |number| scene.lab.dir().join(format!("{}.json", old(number)));
        fs::copy(beside(4), beside(number)).expect("it can be copied");
    }
    scene.quorate(&["backup", "prune", "--keep", "2", "--yes"]).exits(0).says(&["Nothing to delete"]);
    fs::write(&from, b"no snapshot").expect("the lab's folder can be written");
    let run = scene.quorate(&["backup", "prune", "--keep", "1", "--here", "--yes"]);
    run.exits(1).says(&["this directory", "nothing was deleted"]);
    assert_eq!(here(&scene).len(), 4);
    scene.quorate(&["backup", "prune", "--keep", "2", "--here", "--yes"]).exits(0).says(&["this directory: 2 deleted"]);
    assert_eq!(here(&scene), [scene.lab.dir().join(old(3)), from]);
    assert!(!scene.lab.dir().join(format!("{}.json", old(2))).exists());
}

/// A copy goes off-site, and is had again from there when the node has gone.
#[test]
fn copied_off_site() {
    let Some(mut scene) = Scene::installed("copied_off_site", 1, Series::V3_7) else { return };
    let there = scene.lab.dir().join("off-site");
    let more = format!(
        "[backup]\nschedule = \"@yearly\"\ncompression = \"gzip\"\nkeep = 2\noffsite = \"file://{}\"\n",
        there.display()
    );
    scene.declare(|scene| scene.more = more);
    scene.apply().exits(0);
    scene.etcdctl(scene.first(), "put /kept yes");
    scene.quorate(&["backup", "run"]).exits(1).says(&["off-site location cannot be used", "mount"]);
    assert!(here(&scene).is_empty());
    fs::create_dir(&there).expect("the lab's folder is ours");
    let run = scene.quorate(&["backup", "run", "-o", "first.db", "--json"]).exits(0);
    let told: Value = serde_json::from_str(&run.stdout).expect("it is JSON");
    let name = told["offsite"].as_str().and_then(|url| url.rsplit('/').next()).expect("an address").to_owned();
    assert_eq!(
        fs::read(there.join(&name)).expect("it is there"),
        fs::read(scene.lab.dir().join("first.db")).expect("too")
    );
    assert_eq!(fs::metadata(there.join(&name)).expect("it is there").permissions().mode() & 0o777, 0o600);
    scene.quorate(&["backup", "run", "-o", "second.db", "--no-offsite"]).exits(0);
    // And what is known of it.
    assert_eq!(fs::read_dir(&there).expect("it can be read").count(), 2);
    let row = listed(&scene).into_iter().find(|row| row["offsite"] == true).expect("it is listed");
    assert_eq!((&row["revision"], &row["cluster_id"]), (&told["revision"], &told["cluster_id"]), "{row}");
    scene.quorate(&["status"]).exits(0).says(&["last restore test never"]);
    scene.quorate(&["backup", "list"]).exits(0).says(&[&name, "off-site"]);
    for number in 1..=2 {
        for end in ["", ".json"] {
            let copy = format!("snapshot-20200101_00000{number}.db{end}");
            fs::copy(there.join(format!("{name}{end}")), there.join(copy)).expect("it can be copied");
        }
    }
    scene
        .quorate(&["backup", "prune", "--yes"])
        .exits(0)
        .says(&["20200101_000001.db (off-site", "off-site: 1 deleted"]);
    // From now on nobody knows whose the other is.
    fs::remove_file(there.join("snapshot-20200101_000002.db.json")).expect("the lab's folder is ours");
    a_shared_place_is_pruned(&scene, &there, &name);
    a_damaged_copy_is_passed_over(&scene, &there, &name);
    scene.quorate(&["backup", "verify", &name]).exits(0).says(&["matches the live cluster at that revision"]);
    let row =
        listed(&scene).into_iter().find(|row| row["offsite"] == true && row["name"] == name).expect("it is listed");
    assert!(row["verified"].is_string() && row["revision"] == told["revision"], "{row}");
    scene.quorate(&["status"]).exits(0).says(&["last restore test", " s ago", &name]);
    // One of a file here is noted, too.
    let run = scene.quorate(&["backup", "verify", "first.db", "--json"]).exits(0);
    let held: Value = serde_json::from_str(&run.stdout).expect("it is JSON");
    let status: Value =
        serde_json::from_str(&scene.quorate(&["status", "--json"]).exits(0).stdout).expect("it is JSON");
    assert_eq!(status["backup"]["last_drill"]["at"], held["at"], "{status}");
    scene.is_in_sync();
    scene.first().power_off();
    scene.quorate(&["backup", "list"]).exits(6).says(&[&name]);
    scene.quorate(&["backup", "get", &name, "-o", "again.db"]).exits(0).says(&["off-site", "verified"]);
    fs::rename(&there, scene.lab.dir().join("gone")).expect("the lab's folder is ours");
    scene.quorate(&["backup", "list"]).exits(6).says(&["off-site location cannot be used"]);
}

/// What is of another cluster stays, whatever it is called, and does not count.
fn a_shared_place_is_pruned(scene: &Scene, there: &Path, name: &str) {
    let ids = [("20200101_000003", Some(cluster_id(scene))), ("20200101_000004", Some("beef".to_owned()))];
    let older = ("20200101_000001", Some("beef".to_owned()));
    for (stamp, id) in ids.into_iter().chain([older, ("20200101_000000", None)]) {
        let copy = there.join(format!("snapshot-{stamp}.db"));
        fs::copy(there.join(name), &copy).expect("it can be copied");
        let facts =
            id.map(|id| fs::write(format!("{}.json", copy.display()), format!("{{\"cluster_id\":\"{id}\"}}\n")));
        facts.transpose().expect("the lab's folder is ours");
    }
    let names = || {
        let entries = fs::read_dir(there).expect("it can be read").flatten();
        let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| name.ends_with(".db"));
        names.sort();
        names
    };
    // What a killed upload has left is old enough to go.
    let left = there.join("snapshot-20200101_000009.db.uploading-0123456789abcdef#1");
    fs::write(&left, "x").expect("the lab's folder is ours");
    let day_before = SystemTime::now() - Duration::from_secs(25 * 3600);
    fs::File::options().write(true).open(&left).and_then(|file| file.set_modified(day_before)).expect("it is ours");
    let all = names();
    // No room is needed for what is checked.
    let mut command = scene.command(&["backup", "prune", "--keep", "1", "--yes"]);
    let run = command.env("TMPDIR", "/nowhere").output().expect("the binary runs");
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert_eq!(run.status.code(), Some(0), "{said}");
    for word in
        ["4 off-site snapshots are not known to be from this cluster", "off-site: 2 deleted", "interrupted upload"]
    {
        assert!(said.contains(word), "{said}");
    }
    let stay: Vec<_> = all.into_iter().filter(|name| !name.contains("000003")).collect();
    assert_eq!(names(), stay);
    assert!(!left.exists());
    // Nobody can be asked which cluster this is.
    scene.first().sh("systemctl stop etcd");
    let run = scene.quorate(&["backup", "prune", "--keep", "1", "--yes"]);
    run.exits(6).says(&["are from several clusters, and no member says which"]);
    scene.first().sh("systemctl start etcd");
    assert_eq!(names(), stay);
    for name in stay.iter().filter(|other| *other != name && other.contains("_00000")) {
        fs::remove_file(there.join(name)).expect("the lab's folder is ours");
    }
}

/// The node's copy was spoilt on its disk; the one off-site is had instead.
fn a_damaged_copy_is_passed_over(scene: &Scene, there: &Path, name: &str) {
    let mut bytes = fs::read(there.join(name)).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let on_node = format!("/var/backups/etcd/{name}");
    scene.first().write(&on_node, &bytes);
    let passed = [on_node.as_str(), "on etcd-1 failed verification", "snapshot-damaged", "next location"];
    scene.quorate(&["backup", "get", name, "-o", "whole.db"]).exits(0).says(&passed).says(&["off-site", "verified"]);
    scene
        .quorate(&["backup", "verify", name])
        .exits(0)
        .says(&passed)
        .says(&["matches the live cluster at that revision"]);
    fs::remove_file(scene.lab.dir().join("whole.db")).expect("the lab's folder is ours");
    // Damaged everywhere.
    let whole = fs::read(there.join(name)).expect("it is there");
    fs::write(there.join(name), &bytes).expect("the lab's folder is ours");
    scene.quorate(&["backup", "get", name, "-o", "whole.db"]).exits(1).says(&passed).says(&["file://"]);
    fs::write(there.join(name), whole).expect("the lab's folder is ours");
    scene.first().sh(&format!("rm {on_node}"));
}

/// A small generator with a printed seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % end as u64).expect("it is below a usize")
    }
}

/// All of 200 random corruptions of real snapshots are found, compressed or not, and none in good ones.
fn every_corruption_is_found(scene: &Scene, random: &mut Random) {
    let bad = scene.lab.dir().join("bad");
    let check = |bytes: &[u8]| {
        fs::write(&bad, bytes).expect("the lab's folder can be written");
        quorate::shell::live::backup::check(&bad, &|_| {}).map_err(|error| error.to_string())
    };
    let mut found = 0;
    for name in ["drill.db", "drill.db.zst", "drill.db.gz"] {
        scene.quorate(&["backup", "run", "-o", name]).exits(0);
        let whole = fs::read(scene.lab.dir().join(name)).expect("it is there");
        (0..20).for_each(|_| assert!(check(&whole).is_ok(), "{name}"));
        for _ in 0..70 {
            let (at, bit) = (random.below(whole.len()), random.below(8));
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            match check(&flipped) {
                Err(said) => {
                    assert!(said.contains("[snapshot-"), "{name}, byte {at}: {said}");
                    found += 1;
                }
                // A few bits of a compressed file mean nothing: what it holds is still the same.
                Ok((sound, _)) => {
                    assert_ne!(name, "drill.db", "byte {at}");
                    assert_eq!(Ok(sound), check(&whole).map(|(sound, _)| sound), "{name}, byte {at}");
                }
            }
        }
        for _ in 0..10 {
            let said = check(&whole[..random.below(whole.len() - 32)]).expect_err("it is cut");
            assert!(said.contains("[snapshot-"), "{name}: {said}");
            found += 1;
        }
    }
    let whole = fs::read(scene.lab.dir().join("drill.db")).expect("it is there");
    let said = check(&whole[..whole.len() - 32]).expect_err("its hash is gone");
    assert!(said.contains("[snapshot-without-hash]"), "{said}");
    assert!(found >= 200, "{found}");
}

fn with_its_hash(mut bytes: Vec<u8>) -> Vec<u8> {
    let digest = Digest::of(&bytes).to_string();
    let byte = |at: usize| u8::from_str_radix(&digest[at..at + 2], 16).expect("it is hexadecimal");
    bytes.extend((0..digest.len()).step_by(2).map(byte));
    bytes
}

fn drilled(test: &str, series: Series, auth: bool) {
    if !is_turn(test, "drilled", series, &[SERIES[0], SERIES[1], SERIES[3]]) {
        return;
    }
    let seed = std::env::var("QUORATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_121);
    println!("{test}: QUORATE_SEED={seed}");
    let mut random = Random(seed);
    let Some(mut scene) = Scene::installed(test, 1, series) else { return };
    if auth {
        scene.declare(|scene| scene.more = "[auth]\nenabled = true\n[users.app]\nprefix = \"/app/\"\n".to_owned());
    }
    scene.apply().exits(0);
    for number in 0..30 {
        let value: String = (0..400).map(|_| format!("{:08x}", random.below(1 << 31))).collect();
        scene.etcdctl(scene.first(), &format!("put /app/{number} {value}"));
    }
    scene.etcdctl(scene.first(), "del /app/7");
    every_corruption_is_found(&scene, &mut random);

    let before = scene.starts();
    let run = scene.quorate(&["backup", "verify", "drill.db.zst", "--json"]).exits(0);
    let told: Value = serde_json::from_str(&run.stdout).expect("it is JSON");
    assert_eq!((&told["keys"], &told["live"]), (&Value::from(29), &Value::from("equal-hash")), "{told}");
    assert_eq!(told["members"][0], format!("https://{}:2380", scene.first().address()));
    let said = status(&scene, &fs::read(scene.lab.dir().join("drill.db")).expect("it is there"));
    assert_eq!((&told["revision"], &told["entries"]), (&said["revision"], &said["totalKey"]));
    // Found and named, by the command too.
    let whole = fs::read(scene.lab.dir().join("drill.db")).expect("it is there");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 4;
    // Its SHA-256 is right; only etcd could not read it.
    let pages_of_nothing = with_its_hash(vec![7; 3 * 4096]);
    // What is known to be this cluster's counts, as long as it was when it was checked.
    let id = cluster_id(&scene);
    let put = |name: &str, bytes: &[u8]| {
        scene.first().write(&format!("/var/backups/etcd/{name}"), bytes);
        let facts = format!("{{\"cluster_id\":\"{id}\",\"bytes\":{}}}\n", bytes.len());
        scene.first().write(&format!("/var/backups/etcd/{name}.json"), facts);
    };
    for (bytes, code) in [
        (&flipped[..], "snapshot-damaged"),
        (&whole[..whole.len() / 2], "snapshot-cut"),
        (&whole[..whole.len() - 32], "snapshot-without-hash"),
        (&b"no snapshot"[..], "snapshot-unknown"),
        (&pages_of_nothing[..], "snapshot-damaged"),
    ] {
        fs::write(scene.lab.dir().join("bad"), bytes).expect("the lab's folder can be written");
        scene.quorate(&["backup", "verify", "bad"]).exits(1).says(&[code]);
        put("snapshot-20200101_000000.db", bytes);
        scene.quorate(&["backup", "verify", "--on", "etcd-1"]).exits(1).says(&[code, "on etcd-1"]);
    }
    let packed = fs::read(scene.lab.dir().join("drill.db.gz")).expect("it is there");
    put("snapshot-20200102_000000.db.gz", &packed[..packed.len() / 2]);
    scene.quorate(&["backup", "verify", "--on", "etcd-1"]).exits(1).says(&["snapshot-cut", "on etcd-1"]);
    put("snapshot-20200103_000000.db.gz", &packed);
    scene.quorate(&["backup", "verify", "--on", "etcd-1"]).exits(0).says(&[
        "test restore passed on etcd-1",
        "29 keys",
        "matches the live cluster",
    ]);
    // What was written since does not matter; what is compacted cannot be compared by its hash.
    scene.etcdctl(scene.first(), "put /app/later x");
    scene.quorate(&["backup", "verify", "drill.db"]).exits(0).says(&[
        "29 keys",
        "matches the live cluster at that \
                                                                                 revision",
    ]);
    let revision = told["revision"].as_i64().expect("a number");
    scene.etcdctl(scene.first(), &format!("compact {}", revision - 1));
    scene
        .quorate(&["backup", "verify", "drill.db"])
        .exits(0)
        .says(&["29 keys", "key count at that revision is the same"]);
    scene.etcdctl(scene.first(), &format!("compact {}", revision + 1));
    scene.quorate(&["backup", "verify", "drill.db"]).exits(0).says(&["29 keys", "no longer has that revision"]);
    assert_eq!(scene.starts(), before);
    // Of a cluster at other addresses.
    scene.declare(|scene| scene.nodes[0].1 = "10.99.0.1".to_owned());
    scene.quorate(&["backup", "verify", "drill.db"]).exits(1).says(&[
        "[snapshot-foreign]",
        "none of them is in \
                                                                                            cluster.toml",
    ]);
    scene.quorate(&["backup", "verify", "--on", "etcd-1"]).exits(1).says(&["[snapshot-foreign]"]);
}

#[test]
fn drilled_3_4() {
    drilled("drilled_3_4", SERIES[0], false);
}

#[test]
fn drilled_3_5_with_authentication() {
    drilled("drilled_3_5_with_authentication", SERIES[1], true);
}

#[test]
fn drilled_3_7() {
    drilled("drilled_3_7", SERIES[3], false);
}

/// Fifty snapshots, each of another state, are good in every check; some of them in the whole drill.
#[test]
fn nothing_is_found_in_fifty_good_ones() {
    let Some(scene) = Scene::healthy("nothing_is_found_in_fifty_good_ones", 1, Series::V3_6) else { return };
    // One of nothing at all is a good one, too.
    scene.quorate(&["backup", "run", "--on", "etcd-1", "--compression", "gzip"]).exits(0);
    for on in [&[][..], &["--on", "etcd-1"]] {
        let run = scene.quorate(&[&["backup", "verify"], on].concat()).exits(0);
        run.says(&["revision 0, 0 keys", "matches the live cluster at that revision"]);
    }
    let mut revisions = Vec::new();
    for number in 0..50 {
        scene.etcdctl(scene.first(), &format!("put /kept/{} {}", number % 20, "x".repeat(1 + number * 97 % 5000)));
        let name = format!("good-{number}.db{}", ["", ".zst", ".gz"][number % 3]);
        let run = scene.quorate(&["backup", "run", "-o", &name, "--json"]).exits(0);
        let told: Value = serde_json::from_str(&run.stdout).expect("it is JSON");
        let path = scene.lab.dir().join(&name);
        let (sound, _) = quorate::shell::live::backup::check(&path, &|_| {}).expect("it is good");
        assert_eq!(
            (told["sha256"].clone(), told["revision"].clone()),
            (sound.digest.to_string().into(), (number + 2).into())
        );
        revisions.push(told["revision"].clone());
        if number % 10 == 9 {
            scene.quorate(&["backup", "verify", &name]).exits(0).says(&["test restore passed"]);
        }
    }
    assert_eq!(revisions.len(), 50);
    // All is deleted, and that is compacted away: etcd goes on behind the last key that there is.
    scene.etcdctl(scene.first(), "del --prefix /kept/");
    scene.etcdctl(scene.first(), "compact --physical 52");
    scene.quorate(&["backup", "run", "-o", "emptied.db"]).exits(0);
    scene.quorate(&["backup", "verify", "emptied.db"]).exits(0).says(&[
        "revision 52, 0 keys",
        "key count at that \
                                                                                               revision is the same",
    ]);
}

/// The cluster was restored to what it was before, and has written as many other revisions since.
#[test]
fn a_snapshot_of_a_former_life_is_good() {
    let Some(scene) = Scene::healthy("a_snapshot_of_a_former_life_is_good", 1, Series::V3_4) else { return };
    let host = scene.first();
    let write =
        |word: &str| (0..20).for_each(|number| drop(scene.etcdctl(host, &format!("put /kept/{number} {word}"))));
    write("first");
    scene.quorate(&["backup", "run", "-o", "first.db"]).exits(0);
    write("lost");
    let taken = |on: &[&str]| {
        let run = scene.quorate(&[&["backup", "run", "--json"], on].concat()).exits(0);
        let told: Value = serde_json::from_str(&run.stdout).expect("it is JSON");
        told["path"].as_str().and_then(|path| path.rsplit('/').next()).expect("it has a path").to_owned()
    };
    let (here, there) = (taken(&[]), taken(&["--on", "etcd-1", "--compression", "gzip"]));
    let drills = [&["backup", "verify", &here][..], &["backup", "verify", &there, "--on", "etcd-1"]];
    for drill in drills {
        scene.quorate(drill).exits(0).says(&["matches the live cluster at that revision"]);
    }
    scene.quorate(&["restore", "first.db", "--confirm", "lab", "--yes"]).exits(0);
    write("other");
    write("other");
    for drill in drills {
        scene.quorate(drill).exits(0).says(&["20 keys", "restored or recreated since"]);
    }
    fs::remove_file(scene.lab.dir().join(format!("{here}.json"))).expect("it is there");
    host.sh(&format!("rm /var/backups/etcd/{there}.json"));
    for drill in drills {
        scene.quorate(drill).exits(1).says(&["[snapshot-differs]", "the cluster was restored after"]);
    }
}

/// quorate is killed while the scratch etcd of a node runs: that ends, and the next drill is held.
#[test]
fn a_drill_that_is_killed_leaves_nothing() {
    let Some(scene) = Scene::healthy("a_drill_that_is_killed_leaves_nothing", 1, Series::V3_5) else { return };
    let host = scene.first();
    (0..20).for_each(|number| drop(scene.etcdctl(host, &format!("put /kept/{number} yes"))));
    scene.quorate(&["backup", "run", "--on", "etcd-1", "--compression", "none"]).exits(0);
    let runs = || host.sh("pgrep -f '[-]-name=drill' || true");
    for _ in 0..3 {
        let mut command = scene.command(&["backup", "verify", "--on", "etcd-1"]);
        let mut child = command.spawn().expect("quorate can be started");
        until("the scratch etcd runs", Duration::from_secs(30), || !runs().is_empty());
        child.kill().and_then(|()| child.wait()).expect("it is ours");
        let left = || host.sh("ls -A /var/backups/etcd | grep drill.quorate || true");
        until("nothing is left", Duration::from_secs(60), || runs().is_empty() && left().is_empty());
    }
    // One that is killed on the node itself leaves its etcd; the next drill ends that.
    let mut child = scene.command(&["backup", "verify", "--on", "etcd-1"]).spawn().expect("quorate can be started");
    until("the scratch etcd runs", Duration::from_secs(30), || !runs().is_empty());
    host.sh("kill -9 $(pgrep -f '[s]h -c s=\\$.head') 2>/dev/null || true");
    let _ = child.wait();
    scene.quorate(&["backup", "verify", "--on", "etcd-1"]).exits(0).says(&["test restore passed on etcd-1"]);
    assert!(runs().is_empty());
    scene.is_in_sync();
}

/// ^C or SIGTERM in the middle: no file and no process stays. A killed one leaves no process either.
#[test]
fn one_that_is_interrupted_leaves_nothing() {
    let Some(scene) = Scene::healthy("one_that_is_interrupted_leaves_nothing", 1, Series::V3_6) else { return };
    let host = scene.first();
    host.sh("head -c 900000 /dev/urandom | base64 -w0 >/root/value");
    (0..60).for_each(|number| drop(scene.etcdctl(host, &format!("put /kept/{number} </root/value"))));
    let told = scene.quorate(&["backup", "run", "--on", "etcd-1", "--compression", "none", "--json"]).exits(0);
    let told: Value = serde_json::from_str(&told.stdout).expect("it is JSON");
    let name = told["path"].as_str().and_then(|path| path.rsplit('/').next()).expect("it has a path").to_owned();
    let temporary = scene.lab.dir().join("temporary");
    fs::create_dir(&temporary).expect("the lab's folder is ours");
    let staged = || here(&scene).iter().any(|path| path.extension().is_some_and(|end| end == "quorate"));
    let in_temporary = || fs::read_dir(&temporary).expect("it is ours").count();
    // Those that were started in the folder of temporary files, or from it.
    let processes = || {
        let entries = fs::read_dir("/proc").expect("it can be read").flatten();
        let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        let marked = temporary.display().to_string();
        lines.filter(|line| String::from_utf8_lossy(line).contains(&marked)).count()
    };
    let serves = || {
        let entries = fs::read_dir(&temporary).expect("it is ours").flatten();
        entries
            .map(|entry| entry.path())
            .any(|path| path.join("data/member/wal").exists() && path.join("etcd.log").exists())
    };
    let before = here(&scene);
    let cases: [(&[&str], &dyn Fn() -> bool); 5] = [
        (&["backup", "run"], &staged),
        (&["backup", "get", &name], &staged),
        (&["backup", "verify", &name], &|| in_temporary() == 1),
        (&["backup", "verify", &name], &|| in_temporary() == 2),
        (&["backup", "verify", &name], &|| serves() && processes() > 0),
    ];
    let begin = |arguments: &[&str]| {
        let mut command = scene.command(arguments);
        // As a shell does it, so that ^C reaches all that it starts.
        command.process_group(0).env("TMPDIR", &temporary);
        command.spawn().expect("quorate can be started")
    };
    for (number, (arguments, is_under_way)) in cases.iter().enumerate() {
        for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
            let mut child = begin(arguments);
            let begun = Instant::now();
            while !is_under_way() {
                assert!(begun.elapsed() < Duration::from_secs(60), "case {number} does not begin");
                assert_eq!(child.try_wait().expect("it is ours"), None, "case {number} has ended by itself");
                std::thread::sleep(Duration::from_millis(1));
            }
            let group = format!("-{}", child.id());
            let whom = if signal == "-INT" { group } else { child.id().to_string() };
            let sent = Command::new("kill").args([signal, "--", &whom]).status().expect("there is a kill");
            assert!(sent.success(), "case {number}, {signal}");
            let sent = Instant::now();
            let ended = child.wait().expect("it is ours");
            assert_eq!(ended.code(), Some(code), "case {number}, {signal}");
            assert!(sent.elapsed() < Duration::from_secs(8), "case {number}, {signal}: {:?}", sent.elapsed());
            let left = (here(&scene), in_temporary(), processes());
            assert_eq!(left, (before.clone(), 0, 0), "case {number}, {signal}");
        }
    }
    // What is killed cannot clean up, but its etcd ends.
    let mut child = begin(&["backup", "verify", &name]);
    until("the scratch etcd runs", Duration::from_secs(60), || serves() && processes() > 0);
    child.kill().and_then(|()| child.wait()).expect("it is ours");
    until("it has ended", Duration::from_secs(20), || processes() == 0);
    scene.is_in_sync();
}
