//! A cluster begins again from a snapshot: over what it has become, over nothing, and killed at every step.

use std::fs;
use std::process::Command;

use quorate::core::names::Digest;

use super::crash::{killed_at, killed_everywhere_in, pauses};
use super::scene::{SERIES, Scene, set_aside};
use crate::lab::{Host, Lab, Series, is_turn};

const RESTORE: [&str; 5] = ["restore", "kept.db.zst", "--confirm", "lab", "--yes"];
const KEYS: usize = 50;
const AUTH: &str = "[auth]\nenabled = true\n[users.app]\nprefix = \"/app/\"\n";

/// A cluster with keys, a snapshot of it, and what was written after that.
fn with_a_snapshot(test: &str, series: Series, more: &str) -> Option<Scene> {
    let mut scene = Scene::installed(test, 3, series)?;
    scene.declare(|scene| scene.more = more.to_owned());
    scene.apply().exits(0);
    write_and_take(&scene);
    Some(scene)
}

fn write_and_take(scene: &Scene) {
    for number in 0..KEYS {
        scene.etcdctl(scene.first(), &format!("put /app/{number} before"));
    }
    scene.quorate(&["backup", "run", "-o", "kept.db.zst"]).exits(0);
    scene.etcdctl(scene.first(), "put /app/1 after");
    scene.etcdctl(scene.first(), "put /app/later after");
    scene.etcdctl(scene.first(), "del /app/2");
}

/// Every key that was there when the snapshot was taken is there as it was, on every member, and no other.
#[track_caller]
fn is_restored(scene: &Scene) {
    scene.is_as_declared();
    holds_what_was_taken(scene);
}

#[track_caller]
fn holds_what_was_taken(scene: &Scene) {
    for host in scene.lab.hosts() {
        let said = scene.etcdctl(host, "get --prefix /app/ --print-value-only");
        // Besides what newer ones log of variables that they do not know.
        let values: Vec<_> = said.lines().filter(|line| !line.is_empty() && !line.starts_with('{')).collect();
        assert_eq!(values, ["before"; KEYS], "{}", host.name());
        let left = host.sh("ls -A /var/lib | grep -e restore -e quorate; ls /etc/etcd/restore 2>/dev/null; true");
        let left: Vec<_> = left.lines().filter(|name| !name.starts_with("etcd.before-restore-")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn kept_aside(scene: &Scene) -> Vec<usize> {
    scene.lab.hosts().iter().map(|host| set_aside(host, "before-restore")).collect()
}

/// The snapshots that were saved before a restore that is done by now, on all hosts.
fn saved_before(scene: &Scene) -> usize {
    let of = |host: &Host| host.sh("ls /var/backups/etcd/before-restore-*.db 2>/dev/null || true").lines().count();
    scene.lab.hosts().iter().map(of).sum()
}

/// As a member sends it whose database was damaged: no page with keys can be read, and the SHA-256 is right.
fn damaged(scene: &Scene) {
    let unpacked = Command::new("zstd").args(["-d", "-c", "kept.db.zst"]).current_dir(scene.lab.dir()).output();
    let unpacked = unpacked.expect("zstd is there").stdout;
    let mut bytes = unpacked[..unpacked.len() - 32].to_vec();
    let mut damaged = 0;
    for page in bytes.chunks_mut(4096).skip(2) {
        // The flags of a leaf.
        if page[8..10] == [2, 0] {
            page[8] = 0x77;
            damaged += 1;
        }
    }
    assert!(damaged > 0, "the pages are of another size");
    let sum = Digest::of(&bytes).to_string();
    bytes.extend((0..64).step_by(2).map(|at| u8::from_str_radix(&sum[at..at + 2], 16).expect("it is hexadecimal")));
    fs::write(scene.lab.dir().join("damaged.db"), bytes).expect("the folder is ours");
}

fn revision(scene: &Scene) -> u64 {
    let said = scene.etcdctl(scene.first(), "get /app/0 -w fields");
    let line = said.lines().find_map(|line| line.strip_prefix("\"Revision\" : "));
    line.and_then(|line| line.parse().ok()).expect("etcdctl tells the revision")
}

fn restored(test: &str, series: Series, auth: bool) {
    if !is_turn(test, "restored", series, &SERIES) {
        return;
    }
    let Some(scene) = with_a_snapshot(test, series, if auth { AUTH } else { "" }) else { return };
    let before = scene.starts();
    // Nothing is touched for a wrong name or a damaged snapshot.
    scene.quorate(&["restore", "kept.db.zst", "--confirm", "other", "--yes"]).exits(3).says(&["does not match the \
                                                                                               cluster's name"]);
    let whole = fs::read(scene.lab.dir().join("kept.db.zst")).expect("it is there");
    fs::write(scene.lab.dir().join("cut.db.zst"), &whole[..whole.len() / 2]).expect("the folder is ours");
    scene.quorate(&["restore", "cut.db.zst", "--confirm", "lab", "--yes"]).exits(1).says(&["snapshot-cut"]);
    scene.quorate(&["restore", "kept.db.zst", "--confirm", "lab", "--no-input"]).exits(64).says(&["--yes"]);
    // It is shown, and nothing is touched.
    let shown = scene.quorate(&["restore", "kept.db.zst", "--plan"]).exits(0);
    shown.says(&["save a safety snapshot", "To restore: quorate restore kept.db.zst --confirm lab"]);
    let without = scene.quorate(&["restore", "kept.db.zst", "--plan", "--no-snapshot"]).exits(0);
    assert!(!without.stdout.contains("safety snapshot"), "{}", without.stdout);
    without.says(&["move the old data directory aside", "--confirm lab --no-snapshot"]);
    damaged(&scene);
    let refused = scene.quorate(&["restore", "damaged.db", "--confirm", "lab", "--yes"]).exits(7);
    refused.says(&["restore stopped at step 1", "cannot be read, though its SHA-256 is right"]);
    assert_eq!(scene.starts(), before);
    scene.is_in_sync();
    assert_eq!(saved_before(&scene), 0);

    let run = scene.quorate(&RESTORE).exits(0).says(&["move the old data directory aside", "Nothing else differs"]);
    assert!(!run.stderr.contains("unexpected state"), "{}", run.stderr);
    is_restored(&scene);
    assert_eq!(kept_aside(&scene), [1, 1, 1]);
    assert_eq!(saved_before(&scene), 1);
    let first = revision(&scene);
    if auth {
        assert!(scene.etcdctl_as("app", scene.first(), "get /app/0").contains("before"));
        assert!(scene.etcdctl_as("app", scene.first(), "put /other x").contains("permission denied"));
        assert!(scene.etcdctl(scene.first(), "user list").contains("app"));
    }
    // The same command does not throw away what is written now, unless it is said again.
    scene.etcdctl(scene.first(), "put /app/later after");
    scene.quorate(&RESTORE).exits(0).says(&["[restore-done]", "--again"]);
    assert!(scene.etcdctl(scene.first(), "get /app/later").contains("after"));
    scene.quorate(&[&RESTORE[..], &["--again"]].concat()).exits(0);
    is_restored(&scene);
    assert_eq!(kept_aside(&scene), [2, 2, 2]);
    // The one of before was of data that nobody serves any more.
    assert_eq!(saved_before(&scene), 2);
    // Clients have seen what the first one led to: 3.4 alone cannot say so.
    if series != SERIES[0] {
        assert!(revision(&scene) > first + 1000, "{} after {first}", revision(&scene));
    }
}

#[test]
fn restored_3_4() {
    restored("restored_3_4", SERIES[0], false);
}

#[test]
fn restored_3_5_with_authentication() {
    restored("restored_3_5_with_authentication", SERIES[1], true);
}

#[test]
fn restored_3_6() {
    restored("restored_3_6", SERIES[2], false);
}

#[test]
fn restored_3_7_with_authentication() {
    restored("restored_3_7_with_authentication", SERIES[3], true);
}

fn killed(test: &str, series: Series) {
    if !is_turn(test, "restore_killed", series, &[SERIES[1], SERIES[3]]) {
        return;
    }
    let mut pauses = pauses(test);
    let Some(scene) = with_a_snapshot(test, series, "") else { return };
    let visited = killed_everywhere_in(&scene, &RESTORE[..4], &mut pauses);
    let steps = [
        "store snapshot",
        "save a safety snapshot before the next step",
        "record that a restore is under way",
        "write etcd.yaml",
        "stop and disable etcd",
        "move the old data",
        "create the etcd user and directories",
        "restore the data",
        "enable the service",
        "start etcd",
        "verify that all members",
    ];
    for step in steps {
        let is_there = |place: &&super::crash::Place| place.title.contains(step) && place.in_the_middle;
        assert!(visited.iter().any(|place| is_there(&place)), "{step}: {visited:?}");
    }
    // What a killed run has begun is often done by the host: no run sees the end of such a step.
    assert!(visited.len() > steps.len(), "too few places: {visited:?}");
    is_restored(&scene);
    assert_eq!(kept_aside(&scene), [1, 1, 1]);
}

#[test]
fn restore_killed_everywhere_3_5() {
    killed("restore_killed_everywhere_3_5", SERIES[1]);
}

#[test]
fn restore_killed_everywhere_3_7() {
    killed("restore_killed_everywhere_3_7", SERIES[3]);
}

/// All hosts are gone. What is left is cluster.toml, the authority's folder and the snapshot.
#[test]
fn restored_onto_new_hosts() {
    let Some(scene) = with_a_snapshot("restored_onto_new_hosts", Series::V3_5, AUTH) else { return };
    scene.first().power_off();
    scene.quorate(&RESTORE).exits(6).says(&["cannot reach etcd-1"]);
    scene.lab.hosts().iter().for_each(Host::wipe);
    // An empty cluster in its place would take a word.
    let signs = ["[new-cluster]", "has issued certificates", "./kept.db.zst", "--allow new-cluster:lab"];
    scene.plan().exits(2).says(&signs);
    scene
        .quorate(&["apply", "--yes"])
        .exits(3)
        .says(&["quorate restore SNAPSHOT --confirm lab", "nothing was changed"]);
    scene.quorate(&RESTORE).exits(0).says(&["create the etcd user and directories", "Nothing else differs"]);
    is_restored(&scene);
    assert_eq!(kept_aside(&scene), [0, 0, 0]);
}

/// One host is a new one, then all are: with them the authority has gone, and another is made.
#[test]
fn restored_where_the_nodes_hold_the_authority() {
    let test = "restored_where_the_nodes_hold_the_authority";
    let Some(scene) = with_a_snapshot(test, Series::V3_6, "[ca]\nsource = \"node\"\n") else { return };
    let authority = || scene.first().read("/etc/etcd/pki/ca.crt").expect("it is there");
    let before = authority();
    scene.lab.hosts()[2].wipe();
    scene.quorate(&RESTORE).exits(0).says(&["install the CA key", "Nothing else differs"]);
    is_restored(&scene);
    assert_eq!((authority(), kept_aside(&scene)), (before.clone(), vec![1, 1, 0]));
    scene.lab.hosts().iter().for_each(Host::wipe);
    scene.quorate(&RESTORE).exits(0).says(&["create the CA on etcd-1", "Nothing else differs"]);
    is_restored(&scene);
    assert_ne!(authority(), before);
}

/// A restore is cut off, and goes on for other members than it was begun for: one cluster, whoever had restored already.
#[test]
fn a_restore_for_other_members_begins_anew() {
    let test = "a_restore_for_other_members_begins_anew";
    let Some(mut scene) = with_a_snapshot(test, Series::V3_5, "") else { return };
    // Before it is noted nothing has changed, and what was pushed is told of.
    killed_at(&scene, &RESTORE[..4], "save a safety snapshot before the next step");
    scene.is_in_sync();
    scene.plan().exits(0).says(&["is still on the host", "[restore-unfinished]"]);
    killed_at(&scene, &RESTORE[..4], "start etcd");
    let lives = |host: &Host| host.sh("grep initial-cluster-token /var/lib/etcd/quorate-restored");
    let before: Vec<_> = scene.lab.hosts().iter().map(lives).collect();
    assert!(before.iter().all(|life| !life.is_empty() && *life == before[0]), "{before:?}");
    scene.declare(|scene| scene.more = "[ports]\npeer = 12380\n".to_owned());
    scene.plan().exits(3).says(&["[restore-unfinished]", "is unfinished on"]);
    scene.quorate(&["status"]).says(&["[restore-unfinished]"]);
    scene.quorate(&RESTORE).exits(0);
    scene.is_in_sync();
    scene.is_healthy();
    assert_eq!(scene.etcdctl(scene.first(), "member list").matches(":12380").count(), 3);
    holds_what_was_taken(&scene);
    assert_ne!(lives(scene.first()), before[0]);
    // A host that was away meanwhile brings an old note back.
    scene.first().write("/etc/etcd/restore", format!("snapshot: {}\n{}", "0".repeat(64), before[0]));
    scene.is_in_sync();
    assert_eq!(kept_aside(&scene), [2, 2, 2]);
}

/// Data on a disk of its own, and behind a link to one: what a power cut leaves there is in nobody's way.
#[test]
fn restored_onto_disks_of_their_own() {
    let test = "restored_onto_disks_of_their_own";
    let Some(mut scene) = Scene::installed_on(test, Lab::builder().hosts(3).data_in_place(), Series::V3_6) else {
        return;
    };
    scene.lab.hosts()[0].sh("mkdir -p /srv/disk /var/lib/etcd && mount --bind /srv/disk /var/lib/etcd");
    scene.lab.hosts()[1].sh("mkdir -p /srv/etcd && ln -s /srv/etcd /var/lib/etcd");
    scene.declare(|scene| scene.more = String::new());
    scene.apply().exits(0);
    write_and_take(&scene);
    killed_at(&scene, &RESTORE[..4], "restore the data");
    for host in &scene.lab.hosts()[..2] {
        host.sh(
            "until ! pgrep -x etcdutl; do sleep 0.1; done; rm -rf /var/lib/etcd/member /var/lib/etcd/quorate-restored
                 mkdir -p /var/lib/etcd/.restore-data.quorate/data/member",
        );
    }
    scene.quorate(&RESTORE).exits(0);
    is_restored(&scene);
    let left = scene.lab.hosts()[0].sh("ls -A /var/lib/etcd");
    assert!(!left.contains(".restore-data.quorate") && left.contains("before-restore-"), "{left}");
}

/// Between the first member that stops and the end, nothing else may be done.
#[test]
fn a_restore_that_was_begun_is_finished_first() {
    let test = "a_restore_that_was_begun_is_finished_first";
    let Some(scene) = with_a_snapshot(test, Series::V3_5, "") else { return };
    let digest = "0".repeat(64);
    for host in scene.lab.hosts() {
        host.write("/etc/etcd/restore", format!("# by hand\nsnapshot: {digest}\ninitial-cluster-token: lab-1\n"));
    }
    let said = scene.plan().exits(3).says(&["[restore-unfinished]", "quorate restore SNAPSHOT --confirm lab"]);
    assert!(!said.stdout.contains("start etcd"), "{}", said.stdout);
    scene.quorate(&["apply", "--yes"]).exits(3);
    // With another snapshot it begins anew.
    scene.quorate(&RESTORE).exits(0);
    is_restored(&scene);
}
