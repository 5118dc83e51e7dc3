//! Scheduled snapshots: real timers fire every minute, one node takes each snapshot, and nothing that goes wrong costs
//! one that is there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::scene::{Scene, until};
use crate::installed;
use crate::lab::{Host, Lab, Series, is_drawn};

const FOLDER: &str = "/var/backups/etcd";
/// A slot, the queue for it, and a busy machine.
const SLOT: Duration = Duration::from_secs(100);

fn policy(more: &str) -> String {
    format!("\n[backup]\nschedule = \"* * * * *\"\n{more}\n")
}

const AUTH: &str = "\n[auth]\nenabled = true\n[users.app]\nprefix = \"/app/\"\n";

/// Bare hosts for a test that sleeps most of its time, and so weighs as one host.
fn bare(test: &str, hosts: usize, series: Series) -> Option<Scene> {
    Scene::on(test, Lab::builder().hosts(hosts).weight(1), series)
}

/// A cluster under a policy, and nothing left to do.
fn scene(test: &str, hosts: usize, series: Series, more: &str) -> Option<Scene> {
    let mut scene = bare(test, hosts, series)?;
    installed::give(&scene.lab, &scene.archive);
    scene.declare(|scene| scene.more = more.to_owned());
    scene.apply().exits(0);
    scene.is_in_sync();
    Some(scene)
}

/// The finished snapshots of a host, the oldest first.
fn snapshots(host: &Host) -> Vec<String> {
    let said = host.sh(&format!("ls {FOLDER} 2>/dev/null || :"));
    let is_one = |line: &&str| line.starts_with("snapshot-") && !line.ends_with(".json");
    said.lines().filter(is_one).map(str::to_owned).collect()
}

fn all_snapshots(scene: &Scene) -> Vec<(String, String)> {
    let on = |host: &Host| snapshots(host).into_iter().map(|name| (name, host.name().to_owned())).collect::<Vec<_>>();
    let mut all: Vec<_> = scene.lab.hosts().iter().filter(|host| host.is_on()).flat_map(on).collect();
    all.sort();
    all
}

/// In hexadecimal, as what is known of a snapshot has it.
fn cluster_id(scene: &Scene) -> String {
    let said = scene.etcdctl(scene.first(), "endpoint status -w fields");
    let id = said.lines().find_map(|line| line.strip_prefix("\"ClusterID\" : ")).expect("it is told");
    format!("{:x}", id.trim().parse::<u64>().expect("it is a number"))
}

/// `20261121_0800` of `snapshot-20261121_080003.db.zst`: the slot.
fn slot(name: &str) -> &str {
    &name["snapshot-".len()..][..13]
}

/// No run is under way.
#[track_caller]
fn until_idle(scene: &Scene) {
    let is_idle = |host: &Host| {
        let state = host.sh("systemctl show -p ActiveState --value quorate-backup.service");
        matches!(state.trim(), "inactive" | "failed")
    };
    until("no run is under way", SLOT, || scene.lab.hosts().iter().filter(|host| host.is_on()).all(is_idle));
}

/// No slot has two.
#[track_caller]
fn one_a_slot(all: &[(String, String)]) {
    let mut slots: BTreeMap<&str, Vec<&(String, String)>> = BTreeMap::new();
    for one in all {
        slots.entry(slot(&one.0)).or_default().push(one);
    }
    let twice: Vec<_> = slots.values().filter(|taken| taken.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// A snapshot is whole, can be read, and holds keys.
#[track_caller]
fn is_good(scene: &Scene, host: &Host, name: &str) {
    let program = match name.rsplit('.').next() {
        Some("zst") => "zstd -dc",
        Some("gz") => "gzip -dc",
        _ => "cat",
    };
    let folder = format!("/opt/etcd/{}", scene.archive.version);
    let said = host.sh(&format!(
        "set -e; {program} {FOLDER}/{name} >/root/checked.db; tool={folder}/etcdutl; [ -x $tool ] || tool={folder}/etcdctl
         bytes=$(stat -c %s /root/checked.db); [ $((bytes % 512)) = 32 ]
         [ \"$(head -c $((bytes - 32)) /root/checked.db | sha256sum | cut -d' ' -f1)\" = \
           \"$(tail -c 32 /root/checked.db | od -An -v -tx1 | tr -d ' \\n')\" ]
         ETCDCTL_API=3 $tool snapshot status /root/checked.db -w fields 2>/dev/null; stat -c 'mode=%a %U' {FOLDER}/{name}"
    ));
    let keys = said.lines().find_map(|line| line.strip_prefix("\"Keys\" : "));
    assert!(keys.is_some_and(|keys| keys.trim().parse::<u64>().is_ok_and(|keys| keys > 0)), "{said}");
    assert!(said.contains("mode=600 root"), "{said}");
}

fn metric(host: &Host, gauge: &str) -> Option<f64> {
    let text = host.read("/var/lib/node/quorate_backup.prom")?;
    let line =
        text.lines().find_map(|line| line.strip_prefix(&format!("quorate_backup_{gauge}{{")).map(str::to_owned))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn journal(host: &Host) -> String {
    host.sh("journalctl --no-pager -o cat -u quorate-backup.service | tail -40")
}

/// The timers fire, one node takes each snapshot, old ones go, and drift is mended.
fn the_timers_fire(test: &str, series: Series, auth: &str, compression: &str, suffix: &str) {
    if !is_drawn(test, series) {
        return;
    }
    let keep = "keep = 2\nmax-age = \"10m\"\nmetrics = \"/var/lib/node\"\n";
    let Some(mut scene) = bare(test, 3, series) else { return };
    // As if there were older ones: three on every node.
    for host in scene.lab.hosts() {
        host.sh(&format!(
            "mkdir -p /var/lib/node; mkdir -m 700 -p {FOLDER}; cd {FOLDER}; touch other.db before-3.6.0-20200101-000000.db
             for day in 1 2 3; do touch snapshot-2020010${{day}}_000000.db.gz; done"
        ));
    }
    let compression = format!("compression = \"{compression}\"\n");
    scene.declare(|scene| scene.more = format!("{auth}{}", policy(&format!("{keep}{compression}"))));
    scene.plan().exits(2);
    scene.apply().exits(0);
    scene.is_in_sync();
    // They are of this cluster: only then they are counted.
    let early = all_snapshots(&scene);
    for host in scene.lab.hosts() {
        let facts = format!("{{\"cluster_id\":\"{}\",\"revision\":1,\"bytes\":0}}", cluster_id(&scene));
        host.sh(&format!("cd {FOLDER}; for name in snapshot-2020*.gz; do echo '{facts}' >$name.json; done"));
    }
    // Three slots.
    let begun = Instant::now();
    let fresh = |scene: &Scene| -> Vec<(String, String)> {
        all_snapshots(scene).into_iter().filter(|(name, _)| !name.starts_with("snapshot-2020")).collect()
    };
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    until("three slots have their snapshots", SLOT * 3, || {
        let now = fresh(&scene);
        one_a_slot(&now);
        taken.extend(now);
        taken.len() >= 3
    });
    println!("{test}: {taken:?} within {:?}", begun.elapsed());
    until_idle(&scene);
    for host in scene.lab.hosts() {
        let all = snapshots(host);
        let fresh: Vec<_> = all.iter().filter(|name| !name.starts_with("snapshot-2020")).collect();
        // Only who has taken one cleans up.
        let before = early.iter().filter(|(_, of)| of == host.name()).count();
        let was_there = |name: &String| early.iter().any(|(early, of)| early == name && of == host.name());
        let has_taken = fresh.iter().any(|name| !was_there(name));
        let expected = if has_taken { 2 } else { before };
        assert_eq!(all.len(), expected, "{}: {all:?}\n{}", host.name(), journal(host));
        assert!(host.read(&format!("{FOLDER}/other.db")).is_some(), "what is not ours was removed");
        assert!(host.read(&format!("{FOLDER}/before-3.6.0-20200101-000000.db")).is_some());
        if let Some(newest) = fresh.last() {
            assert!(newest.ends_with(suffix), "{newest}");
            is_good(&scene, host, newest);
            let facts = host.read(&format!("{FOLDER}/{newest}.json")).expect("it is told what it is of");
            assert!(facts.contains("\"cluster_id\":\"") && facts.contains("\"revision\":"), "{facts}");
            let last = metric(host, "last_success_timestamp_seconds").expect("it is told");
            assert!(last > 1_700_000_000.0 && metric(host, "last_success_size_bytes") > Some(100.0));
        }
        assert_eq!(metric(host, "last_run_success"), Some(1.0), "{}", journal(host));
        let left = host.sh(&format!("ls -A {FOLDER} | grep '^[.]' || :"));
        assert!(left.trim().is_empty() || left.trim().starts_with(".scheduled-"), "{left}");
    }
    scene.quorate(&["status"]).exits(0).says(&["last backup "]);
    let status = scene.quorate(&["status", "--json"]).exits(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("it is JSON");
    assert!(status["backup"]["last"]["age_seconds"].as_i64().is_some_and(|age| (0..180).contains(&age)), "{status}");

    if !auth.is_empty() {
        // Whoever has less than the role root may not.
        for (user, refusal) in [("app", "permission denied"), ("stranger", "not found")] {
            let said = scene.etcdctl_as(user, scene.first(), "snapshot save /root/stolen.db");
            assert!(said.contains(refusal) && scene.first().read("/root/stolen.db").is_none(), "{user}: {said}");
        }
    }
    drift_is_mended(&scene);
    // What is not declared any more goes, and the snapshots stay.
    let before = all_snapshots(&scene).len();
    scene.declare(|scene| scene.more = auth.to_owned());
    scene.plan().exits(2).says(&["remove backup timer, script and certificate"]);
    scene.apply().exits(0);
    scene.is_in_sync();
    for host in scene.lab.hosts() {
        let left = host.sh(
            "ls /etc/systemd/system/quorate-backup.* /usr/local/lib/quorate/backup.sh /etc/etcd/pki/backup-client.key \
             /etc/systemd/system/timers.target.wants/quorate-backup.timer 2>/dev/null || :; systemctl is-active quorate-backup.timer || :",
        );
        assert_eq!(left.trim(), "inactive", "{left}");
    }
    assert_eq!(all_snapshots(&scene).len(), before);
}

fn drift_is_mended(scene: &Scene) {
    let host = &scene.lab.hosts()[1];
    host.sh("echo 'exit 0' >>/usr/local/lib/quorate/backup.sh");
    scene.is_repaired(&["install the backup script on etcd-2"]);
    host.sh("sed -i 's/KEEP=2/KEEP=1/' /etc/systemd/system/quorate-backup.service");
    scene.is_repaired(&["write the backup service on etcd-2", "-Environment=QUORATE_KEEP=1"]);
    host.sh("systemctl disable --now quorate-backup.timer");
    scene.is_repaired(&["enable and start the backup timer on etcd-2"]);
    host.sh("rm /etc/etcd/pki/backup-client.crt; chmod 644 /etc/etcd/pki/backup-client.key");
    scene.is_repaired(&["issue backup-client.crt"]);
    host.sh("sed -i 's/^OnCalendar=.*/OnCalendar=yearly/' /etc/systemd/system/quorate-backup.timer; systemctl daemon-reload");
    scene.is_repaired(&["write the backup timer on etcd-2"]);
    let next =
        host.sh("systemctl show -p NextElapseUSecRealtime --value quorate-backup.timer; date -d '+2 minutes' '+%H:%M'");
    assert!(!next.contains("-01-01"), "the old timer still runs: {next}");
}

#[test]
fn snapshots_on_3_4() {
    the_timers_fire("snapshots_on_3_4", Series::V3_4, "", "gzip", ".db.gz");
}

#[test]
fn snapshots_on_3_5_with_auth() {
    the_timers_fire("snapshots_on_3_5_with_auth", Series::V3_5, AUTH, "zstd", ".db.zst");
}

#[test]
fn snapshots_on_3_6() {
    the_timers_fire("snapshots_on_3_6", Series::V3_6, "", "none", ".db");
}

#[test]
fn snapshots_on_3_7_with_auth() {
    the_timers_fire("snapshots_on_3_7_with_auth", Series::V3_7, AUTH, "zstd", ".db.zst");
}

#[test]
fn snapshots_on_3_4_with_auth() {
    the_timers_fire("snapshots_on_3_4_with_auth", Series::V3_4, AUTH, "zstd", ".db.zst");
}

/// A program that takes its time, so that a run can be met in the middle of it.
fn slow_compressor(host: &Host, seconds: u32) {
    host.write(
        "/usr/local/sbin/zstd",
        format!("#!/bin/sh\ncase $* in *-t*) ;; *) sleep {seconds} ;; esac\nexec /usr/bin/zstd \"$@\"\n"),
    );
    host.sh("chmod 755 /usr/local/sbin/zstd");
}

fn fast_compressor(host: &Host) {
    host.sh("rm -f /usr/local/sbin/zstd");
}

/// The host that is taking a snapshot now.
#[track_caller]
fn taker(scene: &Scene) -> &Host {
    let takes =
        |host: &&Host| host.sh(&format!("ls {FOLDER}/.scheduled-*.quorate/db 2>/dev/null || :")).contains("/db");
    let mut found = None;
    until("somebody takes a snapshot", SLOT * 2, || {
        found = scene.lab.hosts().iter().filter(|host| host.is_on()).find(takes);
        found.is_some()
    });
    found.expect("somebody takes it")
}

#[test]
fn one_that_is_killed_or_loses_power_is_stood_in_for() {
    let test = "one_that_is_killed_or_loses_power_is_stood_in_for";
    let Some(scene) = scene(test, 3, Series::V3_5, &policy("keep = 5")) else { return };
    scene.lab.hosts().iter().for_each(|host| slow_compressor(host, 8));
    for how in ["kill", "power"] {
        let before = all_snapshots(&scene).len();
        let victim = taker(&scene);
        let ours = snapshots(victim);
        let slot = victim.sh(
            "date -u -d \"$(systemctl show --value -p ExecMainStartTimestamp quorate-backup.service)\" +%Y%m%dT%H%M",
        );
        match how {
            "kill" => {
                victim.sh("systemctl kill --signal=KILL quorate-backup.service");
                // Before its own next run clears that away.
                let left = victim.sh(&format!("ls {FOLDER}/.scheduled-*.quorate"));
                assert!(left.contains("db"), "the run was killed in the middle: {left}");
            }
            _ => victim.power_off(),
        }
        // The next in the queue, as soon as the lease of the lock has ended; the slot is not lost.
        let begun = Instant::now();
        let has_taken = |host: &Host| journal(host).contains(&format!("slot {slot}: {FOLDER}/"));
        let others = scene.lab.hosts().iter().filter(|host| host.name() != victim.name());
        let others: Vec<&Host> = others.collect();
        until("another node takes it", SLOT, || others.iter().any(|host| has_taken(host)));
        println!("{how}: {} was stood in for after {:?}", victim.name(), begun.elapsed());
        if how == "kill" {
            assert_eq!(snapshots(victim), ours, "what was there before is there");
        } else {
            victim.power_on();
            until("it serves again", Duration::from_secs(60), || {
                scene.etcdctl(scene.first(), "endpoint health --cluster").matches("is healthy").count() == 3
            });
        }
        // Nobody is slow any more: the next slot is taken, by one, and nothing is left behind.
        scene.lab.hosts().iter().for_each(fast_compressor);
        until("the next slot is taken", SLOT * 2, || all_snapshots(&scene).len() >= before + 2);
        until("every node has cleaned up", SLOT * 2, || {
            let clean = |host: &Host| host.sh(&format!("ls -A {FOLDER} | grep -c '^[.]' || :")).trim() == "0";
            scene.lab.hosts().iter().all(clean)
        });
        for (name, host) in all_snapshots(&scene) {
            is_good(&scene, scene.lab.host(&host), &name);
        }
        scene.lab.hosts().iter().for_each(|host| slow_compressor(host, 8));
    }
    scene.lab.hosts().iter().for_each(fast_compressor);
    scene.is_in_sync();
}

#[test]
fn a_node_that_is_down_is_stood_in_for() {
    let test = "a_node_that_is_down_is_stood_in_for";
    let Some(scene) = scene(test, 3, Series::V3_6, &format!("{AUTH}{}", policy("keep = 9\ncompression = \"gzip\"")))
    else {
        return;
    };
    let [first, second, _] = scene.lab.hosts() else { panic!("there are three") };
    first.power_off();
    until("two slots are taken without it", SLOT * 2, || all_snapshots(&scene).len() >= 2);
    one_a_slot(&all_snapshots(&scene));
    first.power_on();
    // One whose etcd is stopped says so, and leaves it to the others.
    until_idle(&scene);
    second.sh("systemctl stop etcd");
    until("the cluster has two members", Duration::from_secs(60), || {
        scene.etcdctl(first, "endpoint health").contains("is healthy")
    });
    let before = all_snapshots(&scene).len();
    until("two slots are taken without it", SLOT * 2, || all_snapshots(&scene).len() >= before + 2);
    until("it says why it takes none", SLOT, || journal(second).contains("etcd.service does not run here"));
    one_a_slot(&all_snapshots(&scene));
    second.sh("systemctl start etcd");
    // One whose etcd is stopped while it waits in the queue is ready again when etcd is.
    let waits = |host: &Host| host.sh("pgrep -f 'etcdctl.* lock ' || :").trim().parse::<u32>().is_ok();
    until("it serves again", Duration::from_secs(60), || {
        scene.etcdctl(second, "endpoint health").contains("is healthy")
    });
    until("it waits in the queue, or has what it waits for", SLOT * 2, || waits(second));
    second.sh("systemctl stop etcd");
    std::thread::sleep(Duration::from_secs(5));
    second.sh("systemctl start etcd");
    let begun = Instant::now();
    until_idle(&scene);
    println!("{test}: nothing hangs after {:?}", begun.elapsed());
    until("the cluster is whole", Duration::from_secs(60), || {
        scene.etcdctl(first, "endpoint health --cluster").matches("is healthy").count() == 3
    });
    scene.is_in_sync();
}

#[test]
fn a_full_disk_costs_no_snapshot() {
    let test = "a_full_disk_costs_no_snapshot";
    let keep = "keep = 1\nmax-age = \"1m\"\nmetrics = \"/var/lib/node\"\ncompression = \"none\"";
    let Some(mut scene) = bare(test, 1, Series::V3_7) else { return };
    let host_setup = format!("mkdir -p /var/lib/node {FOLDER}; mount -t tmpfs -o size=1m none {FOLDER}");
    scene.first().sh(&host_setup);
    scene.declare(|scene| {
        scene.cluster = "downtime = \"allowed\"".to_owned();
        scene.more = policy(keep);
    });
    scene.apply().exits(0);
    until("there is a snapshot", SLOT, || !snapshots(scene.first()).is_empty());
    until_idle(&scene);
    let host = scene.first();
    host.sh(&format!("dd if=/dev/zero of={FOLDER}/filler bs=4k 2>/dev/null || :"));
    let kept = snapshots(host);
    let success = metric(host, "last_success_timestamp_seconds");
    until("a run fails", SLOT, || metric(host, "last_run_success") == Some(0.0));
    until_idle(&scene);
    assert_eq!(snapshots(host), kept, "the last good one stays");
    is_good(&scene, host, &kept[0]);
    assert_eq!(host.sh("systemctl is-failed quorate-backup.service").trim(), "failed");
    assert_eq!(metric(host, "last_success_timestamp_seconds"), success);
    assert!(journal(host).contains("a snapshot needs"), "{}", journal(host));
    until("it is too old", SLOT, || scene.plan().stdout.contains("[backup-too-old]"));
    scene.quorate(&["status"]).exits(0).says(&["[backup-too-old]"]);
    scene.is_in_sync();
    // As soon as there is room, the next run makes a new one, and only then the old one goes.
    host.sh(&format!("rm {FOLDER}/filler"));
    until("the next run succeeds", SLOT, || metric(host, "last_run_success") == Some(1.0));
    until_idle(&scene);
    let now = snapshots(host);
    assert!(now.len() == 1 && now != kept, "{now:?}");
    is_good(&scene, host, &now[0]);
}

#[test]
fn without_its_program_nothing_is_begun() {
    let test = "without_its_program_nothing_is_begun";
    let Some(mut scene) = bare(test, 1, Series::V3_6) else { return };
    scene.first().sh("mv /usr/bin/zstd /usr/bin/zstd.away");
    scene.declare(|scene| {
        scene.cluster = "downtime = \"allowed\"".to_owned();
        scene.more = policy("");
    });
    let words = ["etcd-1 has no zstd", "apt-get install zstd", "[compressor-missing]"];
    scene.quorate(&["plan"]).exits(3).says(&words);
    scene.apply().exits(3);
    assert_eq!(scene.first().sh("ls /etc/etcd 2>/dev/null || echo none").trim(), "none");
    scene.first().sh("mv /usr/bin/zstd.away /usr/bin/zstd");
    scene.apply().exits(0);
    scene.is_in_sync();
}
