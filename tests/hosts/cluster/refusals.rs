//! What must not be acted on: each has its own message, and no host is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::scene::{Scene, until};
use crate::lab::{FileState, Lab, Series, User};

type Files = Vec<BTreeMap<PathBuf, FileState>>;

fn files(scene: &Scene) -> Files {
    scene.lab.hosts().iter().map(|host| host.snapshot_files()).collect()
}

/// The failure names the files that differ.
#[track_caller]
fn are_the_same(before: &Files, after: &Files) {
    let differing = before.iter().zip(after).flat_map(|(before, after)| {
        let paths = before.keys().chain(after.keys()).collect::<BTreeSet<_>>();
        paths.into_iter().filter(|path| before.get(*path) != after.get(*path))
    });
    assert_eq!(differing.collect::<Vec<_>>(), Vec::<&PathBuf>::new(), "a host was touched");
}

/// plan and apply both stop with `code`, say `words`, and change no file on any host.
#[track_caller]
fn is_refused(scene: &Scene, code: i32, words: &[&str]) {
    let before = files(scene);
    scene.plan().exits(code).says(words);
    scene.quorate(&["apply", "--yes"]).exits(code).says(words);
    are_the_same(&before, &files(scene));
    assert!(!scene.lab.dir().join("pki/ca.key").exists(), "an authority was made");
}

/// One lab for all of them, because a refusal leaves everything as it was: the first meet bare hosts, the one of the
/// clocks makes a cluster of them in the end, and the others meet that.
#[test]
fn nothing_is_touched_where_quorate_refuses() {
    let test = "nothing_is_touched_where_quorate_refuses";
    let lab = Lab::builder().hosts(3).data_in_place().disk_bytes_of("etcd-2", 640 << 20);
    let Some(mut scene) = Scene::on(test, lab, Series::V3_5) else { return };
    println!("refused on bare hosts");
    an_unreachable_host(&scene);
    an_unusable_archive(&mut scene);
    a_busy_port(&scene);
    a_data_directory_that_is_already_there(&scene);
    a_directory_that_etcd_could_not_enter(&mut scene);
    a_clock_that_is_an_hour_off(&scene);
    println!("refused in a cluster");
    data_that_is_not_where_it_is_declared(&mut scene);
    places_where_etcd_could_not_start_again(&mut scene);
    a_full_disk(&mut scene);
    another_configuration_file(&scene);
    a_port_that_was_taken_meanwhile(&scene);
    an_authority_is_not_replaced(&scene);
    lost_data_is_not_started_over(&scene);
    a_setting_that_etcd_refuses_stops_at_one_member(&mut scene);
    what_ends_a_member_is_told_by_who_did(&scene);
}

fn an_unreachable_host(scene: &Scene) {
    scene.lab.host("etcd-3").power_off();
    is_refused(scene, 6, &["etcd-3", "host-unreachable"]);
    scene.lab.host("etcd-3").power_on();
}

fn an_unusable_archive(scene: &mut Scene) {
    let right = scene.archive.clone();
    scene.declare(|scene| scene.archive.sha256 = "0".repeat(64));
    is_refused(scene, 1, &["archive-unusable", &right.sha256]);
    scene.declare(|scene| scene.archive.path = PathBuf::from("/nonexistent.tar.gz"));
    is_refused(scene, 1, &["archive-unusable", "/nonexistent.tar.gz"]);
    let not_an_archive = scene.lab.dir().join("text.tar.gz");
    fs::write(&not_an_archive, "no archive").expect("the lab's folder can be written");
    scene.declare(|scene| {
        scene.archive.path = not_an_archive;
        scene.archive.sha256 = quorate::core::names::Digest::of("no archive").to_string();
    });
    is_refused(scene, 1, &["archive-unusable"]);
    scene.declare(|scene| scene.archive = right);
}

fn a_busy_port(scene: &Scene) {
    let host = scene.lab.host("etcd-2");
    host.sh("systemd-run --unit=squatter systemd-socket-activate -l 2380 cat; sleep 0.3");
    is_refused(scene, 3, &["etcd-2", "port-taken", "2380"]);
    host.sh("systemctl stop squatter");
}

fn a_data_directory_that_is_already_there(scene: &Scene) {
    let host = scene.lab.host("etcd-2");
    host.sh("mkdir -p /var/lib/etcd/member/wal /var/lib/etcd/member/snap");
    is_refused(scene, 3, &["etcd-2", "data-found", "move it aside"]);
    host.sh("rm -r /var/lib/etcd; mkdir -p /var/lib/etcd; echo hello > /var/lib/etcd/notes");
    is_refused(scene, 3, &["etcd-2", "data-found"]);
    host.sh("rm -r /var/lib/etcd");
}

/// There is no account yet: whoever owns nothing is asked.
fn a_directory_that_etcd_could_not_enter(scene: &mut Scene) {
    scene.declare(|scene| scene.more = "[paths]\ndata = \"/srv/deep/etcd\"\n".to_owned());
    let host = scene.lab.host("etcd-2");
    host.sh("mkdir -m 700 /srv/deep");
    is_refused(
        scene,
        3,
        &["cannot-start", "the user etcd cannot enter /srv/deep (700 root:root)", "chmod o+x /srv/deep"],
    );
    let host = scene.lab.host("etcd-2");
    host.sh("rmdir /srv/deep; mkdir -p /home/disk; ln -s /home/disk /srv/deep");
    is_refused(scene, 3, &["cannot-start", "ProtectHome=true", "/srv/deep/etcd (a link to /home/disk/etcd)"]);
    scene.lab.host("etcd-2").sh("rm /srv/deep; rmdir /home/disk");
    scene.declare(|scene| scene.more = String::new());
}

/// plan and apply stop, say `words`, and neither change a file nor restart anything.
#[track_caller]
fn is_left_as_it_is(scene: &Scene, words: &[&str]) {
    let pids = || scene.lab.hosts().iter().map(|host| host.sh("pgrep -x etcd")).collect::<Vec<_>>();
    let configurations = || scene.lab.hosts().iter().map(|host| host.read("/etc/etcd/etcd.yaml")).collect::<Vec<_>>();
    let before = (pids(), configurations());
    scene.plan().exits(3).says(words);
    scene.quorate(&["apply", "--yes"]).exits(3).says(words);
    assert!(before == (pids(), configurations()), "a member was touched");
}

/// Another directory is declared, in which there is an old copy: a member whose database is open elsewhere is not started
/// with that.
fn data_that_is_not_where_it_is_declared(scene: &mut Scene) {
    scene.declare(|scene| scene.more = "[paths]\ndata = \"/srv/etcd\"\n".to_owned());
    for host in scene.lab.hosts() {
        host.sh("cp -a /var/lib/etcd /srv/etcd");
    }
    let words = "the data of etcd-1, etcd-2, etcd-3 is in /var/lib/etcd, and /srv/etcd, which is declared, holds something else";
    is_left_as_it_is(scene, &["data-elsewhere", words]);
    // The same directory under another name is no other one.
    for host in scene.lab.hosts() {
        host.sh("rm -r /srv/etcd; ln -s /var/lib/etcd /srv/etcd");
    }
    let plan = scene.plan().exits(2);
    assert!(!plan.stdout.contains("move its data"), "{}", plan.stdout);
    for host in scene.lab.hosts() {
        host.sh("rm /srv/etcd");
    }
    scene.declare(|scene| scene.more = String::new());
    scene.is_in_sync();
}

/// The members serve, and go on serving: they would not come back.
fn places_where_etcd_could_not_start_again(scene: &mut Scene) {
    scene.declare(|scene| scene.etcd = "heartbeat-interval = \"200ms\"\n".to_owned());
    let everywhere = |scene: &Scene, command: &str| scene.lab.hosts().iter().for_each(|host| drop(host.sh(command)));
    everywhere(scene, "chmod 700 /opt");
    is_left_as_it_is(scene, &["cannot-start", "the user etcd cannot enter /opt (700 root:root)"]);
    everywhere(scene, "chmod 755 /opt; mount --bind /opt/etcd /opt/etcd; mount -o remount,bind,noexec /opt/etcd");
    is_left_as_it_is(scene, &["cannot-start", "/opt/etcd is mounted noexec"]);
    everywhere(scene, "umount /opt/etcd; chown root /var/lib/etcd/member/snap/db");
    is_left_as_it_is(scene, &["cannot-start", "/var/lib/etcd/member/snap/db is 600 root:etcd", "chown -R etcd:etcd"]);
    everywhere(scene, "chown etcd /var/lib/etcd/member/snap/db; chmod 700 /opt/etcd/*/etcd");
    is_left_as_it_is(scene, &["cannot-start", "the user etcd cannot execute /opt/etcd/"]);
    everywhere(
        scene,
        "chmod 755 /opt/etcd/*/etcd; mount --bind /var/lib/etcd /var/lib/etcd; mount -o remount,bind,ro /var/lib/etcd",
    );
    is_left_as_it_is(scene, &["cannot-start", "/var/lib/etcd is mounted read-only"]);
    everywhere(
        scene,
        "umount /var/lib/etcd; mkdir -p /etc/systemd/system/etcd.service.d
         printf '[Service]\nProtectSystem=strict\n' >/etc/systemd/system/etcd.service.d/hard.conf; systemctl daemon-reload",
    );
    is_left_as_it_is(scene, &["cannot-start", "a drop-in of its unit makes read-only / (ProtectSystem=strict)"]);
    everywhere(scene, "rm -r /etc/systemd/system/etcd.service.d; systemctl daemon-reload");
    scene.declare(|scene| scene.more = "[paths]\ncertificates = \"/mnt/pki\"\n".to_owned());
    everywhere(scene, "mount -t tmpfs tmpfs /mnt");
    is_left_as_it_is(scene, &["lost-at-boot", "/mnt is a tmpfs"]);
    everywhere(scene, "umount /mnt");
    scene.declare(|scene| (scene.more, scene.etcd) = (String::new(), String::new()));
    let nodes = scene.nodes.clone();
    scene.declare(|scene| scene.nodes[1].1.push('9'));
    is_left_as_it_is(scene, &["cannot-start", "etcd-2", "where it is to listen, is on no interface there"]);
    scene.declare(|scene| scene.nodes = nodes);
    scene.is_in_sync();
}

/// Of one member alone: the others are not restarted either, as it may end at any moment.
fn a_full_disk(scene: &mut Scene) {
    scene.declare(|scene| scene.etcd = "heartbeat-interval = \"200ms\"\n".to_owned());
    let host = scene.lab.host("etcd-2");
    host.sh("set -- $(df -P -k / | tail -n 1); fallocate -l \"$(($2 * 87 / 100 - $3))K\" /var/filler; \
         fallocate -l 20M /var/more");
    let filling = scene.plan().exits(2).says(&["/ on etcd-2 is 9", "disk-filling", "restart etcd on etcd-2"]);
    assert!(!filling.stdout.contains("cannot:"), "{}", filling.stdout);
    scene.lab.host("etcd-2").sh("dd if=/dev/zero of=/var/more bs=1M 2>/dev/null || :");
    is_left_as_it_is(
        scene,
        &[
            "/ on etcd-2 is 100% full: 0 B free",
            "etcd on etcd-2 is not restarted",
            "0 B are free on /",
            "no other member is changed or restarted while etcd-2 may stop",
        ],
    );
    let status: serde_json::Value =
        serde_json::from_str(&scene.quorate(&["status", "--json"]).exits(0).stdout).expect("it is JSON");
    let disk = &status["members"][1]["data_disk"];
    assert_eq!((&disk["available_bytes"], &disk["mount"]), (&0.into(), &"/".into()), "{status:#}");
    scene.quorate(&["status", "--check"]).exits(2).says(&["disk-full"]);
    // Room on the disk is all that was missing.
    scene.lab.host("etcd-2").sh("rm /var/filler /var/more");
    scene.is_repaired(&["restart etcd on etcd-2"]);
    scene.declare(|scene| scene.etcd = String::new());
    scene.apply().exits(0);
}

/// Certificates made by a clock that is ahead are refused by every other, so nothing is done on such a host.
fn a_clock_that_is_an_hour_off(scene: &Scene) {
    // Half a minute more: it is measured while the machine is busy.
    scene.lab.host("etcd-3").skew_clock(-3630);
    is_refused(scene, 3, &["clock-skew", "etcd-3", "60 min behind"]);
    scene.lab.host("etcd-3").skew_clock(0);
    scene.apply().exits(0);
    scene.is_in_sync();
    // Later, too: what is due stays as it is until the clocks agree.
    let host = scene.lab.host("etcd-2");
    host.sh("rm /etc/etcd/pki/healthcheck-client.crt");
    host.skew_clock(3600);
    scene.plan().exits(3).says(&["clock-skew", "etcd-2", "ahead of"]);
    scene.quorate(&["apply", "--yes"]).exits(3);
    assert!(!host.exec("ls /etc/etcd/pki/healthcheck-client.crt").succeeded());
    host.skew_clock(0);
    scene.is_repaired(&["healthcheck-client.crt is missing"]);
}

/// A process that somebody made run another configuration is no process of ours, whatever lies on disk.
fn another_configuration_file(scene: &Scene) {
    let host = scene.lab.host("etcd-2");
    let folder = "/etc/systemd/system/etcd.service.d";
    host.sh(&format!(
        "cp -p /etc/etcd/etcd.yaml /etc/etcd/other.yaml; mkdir -p {folder}; \
         printf '[Service]\\nExecStart=\\nExecStart=/opt/etcd/{}/etcd --config-file=/etc/etcd/other.yaml\\n' >{folder}/other.conf",
        scene.archive.version
    ));
    // systemd has not read it yet, and will at a boot.
    scene.plan().exits(0).says(&["No changes", "other.conf overrides ExecStart of the unit on etcd-2"]);
    scene
        .quorate(&["plan", "--restart=etcd-2"])
        .exits(3)
        .says(&["etcd on etcd-2 would not start as cluster.toml says"]);
    host.sh("systemctl daemon-reload; systemctl restart etcd");
    scene.plan().exits(3).says(&[
        "drop-in",
        "a different configuration file",
        "other.conf overrides ExecStart of the unit",
    ]);
    host.sh(&format!("rm -r {folder}; systemctl daemon-reload"));
    scene.is_repaired(&["restart etcd", "a different configuration file"]);
}

fn a_port_that_was_taken_meanwhile(scene: &Scene) {
    let host = scene.lab.host("etcd-2");
    host.sh("systemctl stop etcd; systemd-run --unit=squatter systemd-socket-activate --accept -l 2379 cat");
    let listens = || host.sh("ss -ltnH 'sport = :2379'").contains("LISTEN");
    until("the port is taken", Duration::from_secs(10), listens);
    scene.plan().exits(3).says(&["port-taken", "2379", "etcd-2"]);
    scene.quorate(&["apply", "--yes"]).exits(3);
    assert_eq!(host.sh("systemctl is-active etcd || true"), "inactive");
    host.sh("systemctl stop squatter");
    scene.is_repaired(&["start etcd"]);
}

/// The authority is the operator's to keep: without it nothing is made in its place.
fn an_authority_is_not_replaced(scene: &Scene) {
    let pki = scene.lab.dir().join("pki");
    let aside = scene.lab.dir().join("pki.old");
    fs::rename(&pki, &aside).expect("the folder can be moved");
    // To look, a pair that lies on the nodes is enough; what is to be signed needs the key.
    scene.plan().exits(0).says(&["No changes", "ca-key-not-here"]);
    let host = scene.lab.host("etcd-2");
    host.sh("mv /etc/etcd/pki/peer.crt /root/");
    scene.quorate(&["apply", "--yes"]).exits(3).says(&["ca.key is not here", "nothing was changed", "peer.crt"]);
    assert!(!pki.exists() && !host.exec("ls /etc/etcd/pki/peer.crt").succeeded());
    host.sh("mv /root/peer.crt /etc/etcd/pki/");
    fs::rename(&aside, &pki).expect("the folder can be moved back");
    scene.is_in_sync();
}

/// A member whose data is gone, perhaps with a volume that is not mounted, does not come back by itself, and no new
/// cluster is made of it.
fn lost_data_is_not_started_over(scene: &Scene) {
    let host = scene.lab.host("etcd-2");
    host.sh("systemctl stop etcd; mv /var/lib/etcd /var/lib/etcd.old");
    // The others serve, so a replacement is planned; it needs the operator's word.
    scene.plan().exits(2).says(&["etcd-2: its data directory is missing", "--allow replace-member:etcd-2"]);
    scene.quorate(&["apply", "--yes"]).exits(3).says(&["--allow replace-member:etcd-2"]);
    host.power_off();
    host.power_on();
    assert_eq!(host.sh("systemctl is-active etcd || true"), "inactive");
    assert!(!host.exec("ls -d /var/lib/etcd/member").succeeded());
    for other in scene.lab.hosts() {
        other.sh("systemctl stop etcd; [ ! -e /var/lib/etcd ] || mv /var/lib/etcd /var/lib/etcd.old");
    }
    scene.quorate(&["apply", "--yes"]).exits(3).says(&["data-lost"]);
    // Nothing was deleted: moved back, the members are what they were.
    for host in scene.lab.hosts() {
        host.sh("rm -rf /var/lib/etcd; mv /var/lib/etcd.old /var/lib/etcd");
    }
    scene.apply().exits(0);
    scene.is_in_sync();
    scene.is_healthy();
}

/// A value that etcd refuses reaches one member, and that it does not come up is known in seconds, with etcd's own words: the
/// others keep what they run, on disk too, and serve.
fn a_setting_that_etcd_refuses_stops_at_one_member(scene: &mut Scene) {
    scene.declare(|scene| scene.etcd = "extra = { log-level = \"bogus\" }".to_owned());
    let begun = Instant::now();
    let apply = scene.quorate(&["apply", "--yes"]).exits(7);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}\n{}", begun.elapsed(), apply.stderr);
    println!("a setting that etcd refuses, after {:?}:\n{}", begun.elapsed(), apply.stderr);
    let apply = apply.says(&["exited 3 times after: restart etcd", "within 1 s of its start (3 times): ", "bogus"]);
    let told =
        apply.stderr.lines().find(|line| line.trim_start().starts_with("waiting ")).expect("it says what it sees");
    assert!(told.contains(": etcd exited ") && told.contains("bogus"), "{told}");
    assert!(apply.stderr.contains("hint: if etcd refuses a setting, correct it in cluster.toml"), "{}", apply.stderr);
    let has_it = |host: &crate::lab::Host| host.read("/etc/etcd/etcd.yaml").is_some_and(|text| text.contains("bogus"));
    let written = || scene.lab.hosts().iter().filter(|host| has_it(host)).count();
    assert_eq!(written(), 1);
    let healthy = scene.lab.hosts().iter().find(|host| !has_it(host)).expect("two have not");
    scene.etcdctl(healthy, "put /still/serving yes");
    // Corrected, it goes on. systemd has kept trying to start the member and may succeed before its step comes, which no
    // plan predicts.
    scene.declare(|scene| scene.etcd = "extra = { log-level = \"warn\" }".to_owned());
    scene.quorate(&["apply", "--yes"]).exits(0);
    scene.is_in_sync();
    scene.is_healthy();
}

/// What a member said last is not why it ended where a drop-in's command fails before it, or somebody kills it.
fn what_ends_a_member_is_told_by_who_did(scene: &Scene) {
    let host = scene.lab.host("etcd-3");
    let drop_in = |text: &str| {
        host.write("/etc/systemd/system/etcd.service.d/local.conf", text);
        host.sh("systemctl daemon-reload");
    };
    host.write("/usr/local/bin/check-disk", "#!/bin/sh\necho checking\necho '/dev/sdb is not there' >&2\nexit 3\n");
    host.sh("chmod +x /usr/local/bin/check-disk");
    drop_in("[Service]\nExecStartPre=/usr/local/bin/check-disk\n");
    host.sh("systemctl stop etcd");
    let begun = Instant::now();
    let apply = scene.quorate(&["apply", "--yes"]).exits(7);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}\n{}", begun.elapsed(), apply.stderr);
    let told = "before etcd could start, /usr/local/bin/check-disk (ExecStartPre of its unit) exited with status 3: /dev/sdb is \
                not there";
    apply.says(&["exited 3 times after: start etcd", told]);
    drop_in("[Service]\nRestart=no\n");
    host.sh("systemctl reset-failed etcd; systemctl restart etcd");
    host.sh("systemctl kill --kill-whom=main --signal=KILL etcd");
    host.sh("until systemctl is-failed etcd; do sleep 0.1; done");
    let status = scene.quorate(&["status"]).exits(0);
    assert!(status.stdout.contains("etcd.service has failed: killed (SIGKILL)"), "{}", status.stdout);
    // A database without its first pages: a start is planned, and said to be no way out. systemd does not start it again, so
    // that no look finds it running for a moment.
    host.sh("cp -a /var/lib/etcd /var/lib/etcd.kept");
    host.sh("dd if=/dev/zero of=/var/lib/etcd/member/snap/db bs=4096 count=2 conv=notrunc");
    host.sh("systemctl reset-failed etcd; ! systemctl start etcd");
    let apply = scene.quorate(&["apply", "--yes"]);
    assert_eq!(apply.code, 7, "{apply:?}");
    assert!(apply.stdout.contains("the data of etcd-3 is damaged, as etcd there said when it ended"), "{apply:?}");
    assert!(apply.stderr.contains("`quorate plan --lost=etcd-3` shows how"), "{apply:?}");
    scene.quorate(&["plan", "--lost=etcd-3"]).exits(0).says(&["remove member etcd-3"]);
    host.sh("rm -r /etc/systemd/system/etcd.service.d; systemctl daemon-reload; systemctl stop etcd");
    host.sh("rm -r /var/lib/etcd; mv /var/lib/etcd.kept /var/lib/etcd");
    scene.apply().exits(0);
    scene.is_in_sync();
}

#[test]
fn a_wrong_host_key() {
    let Some(scene) = Scene::bare("a_wrong_host_key", 3, Series::V3_5) else { return };
    scene.lab.host("etcd-2").change_host_keys();
    is_refused(&scene, 6, &["etcd-2", "host-key"]);
}

#[test]
fn a_missing_sudo_right() {
    let test = "a_missing_sudo_right";
    let Some(scene) = Scene::bare_for(test, 1, Series::V3_5, User::WithoutSudo("guest".to_owned())) else { return };
    is_refused(&scene, 6, &["etcd-1", "sudo"]);
}
