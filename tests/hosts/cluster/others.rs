//! An etcd that another program runs: it is found whoever has started it, and nothing on its host is touched where ours would
//! be in its place.

use std::time::Duration;

use super::scene::{Run, Scene, until};
use crate::lab::{Host, Lab, Series};

/// Runs etcd from /usr/local/lib/other, with these words before and after it.
fn start(host: &Host, before: &str, data: &str, client: u16, after: &str) {
    let peer = client + 1;
    host.sh(&format!(
        "{before} /usr/local/lib/other/etcd --data-dir={data} --listen-client-urls=http://0.0.0.0:{client} \
         --advertise-client-urls=http://127.0.0.1:{client} --listen-peer-urls=http://127.0.0.1:{peer} \
         --initial-advertise-peer-urls=http://127.0.0.1:{peer} --initial-cluster=default=http://127.0.0.1:{peer} {after}"
    ));
    let serves =
        || host.sh(&format!("ss -ltnH 'sport = :{client}'; ls {data}/member/wal 2>/dev/null || true")).contains(".wal");
    until("the other etcd serves", Duration::from_secs(20), serves);
}

/// What `status --from-live` says of a host, which takes nothing from cluster.toml.
#[track_caller]
fn from_live(scene: &Scene, host: &Host, words: &[&str]) -> Run {
    let (config, known) = (scene.lab.ssh_config(), scene.lab.known_hosts());
    let (config, known) = (config.display().to_string(), known.display().to_string());
    let looked = ["status", "--from-live", host.name(), "--ssh-config", &config, "--known-hosts", &known];
    scene.quorate(&looked).says(words)
}

/// What nobody may change who only looks: settings, programs, the names of data files, and which processes run.
fn state(host: &Host) -> impl PartialEq + use<> {
    let mut files = host.snapshot_files();
    files.retain(|path, _| path.starts_with("etc") || path.starts_with("/etc") || path.starts_with("opt"));
    (files, host.sh("find /var/lib/etcd -printf '%p %m %U\\n' | sort; pgrep -x etcd"))
}

/// plan and apply refuse with these words, status knows nothing of its health, and no file of the host is changed.
#[track_caller]
fn is_left_alone(scene: &Scene, host: &Host, words: &[&str]) {
    let before = state(host);
    let run = scene.plan();
    assert!(!run.stdout.contains("mv /") && !run.stdout.contains("UNHEALTHY"), "{}", run.stdout);
    assert!([3, 6].contains(&run.code), "{run:?}");
    let run = run.says(&["[other-etcd]"]).says(words);
    assert!(!run.stdout.contains("[port-taken]") && !run.stdout.contains("[data-found]"), "{}", run.stdout);
    let apply = scene.quorate(&["apply", "--yes"]);
    assert!([3, 6].contains(&apply.code), "{apply:?}");
    let status = scene.quorate(&["status"]).says(&["[other-etcd]"]);
    assert!(!status.stdout.contains("UNHEALTHY"), "{}", status.stdout);
    assert!(before == state(host), "the host was touched");
}

#[test]
fn an_etcd_of_another_program_is_left_alone() {
    let test = "an_etcd_of_another_program_is_left_alone";
    let lab = Lab::builder().hosts(4).data_in_place();
    let scene = Scene::installed_on(test, lab, Series::V3_5).and_then(|scene| Scene::of_first(3, scene));
    let Some(mut scene) = scene else { return };
    for index in [0, 3] {
        let host = &scene.lab.hosts()[index];
        std::fs::create_dir_all(host.root_dir().join("usr/local/lib/other")).expect("a host's disk can be written");
        let from = scene.first().root_dir().join("opt/etcd").join(&scene.archive.version).join("etcd");
        std::fs::copy(from, host.root_dir().join("usr/local/lib/other/etcd")).expect("a host's disk can be written");
    }
    beside_ours_it_is_only_told(&mut scene);
    scene.declare_hosts(0..4);
    let host = &scene.lab.hosts()[3];
    let gone = || {
        host.sh("systemctl stop etcd-of-others docker-1a2b.scope etcd 2>/dev/null; pkill -x etcd; true");
        until("it ends", Duration::from_secs(10), || !host.exec("pgrep -x etcd").succeeded());
    };
    println!("by a unit of another name");
    start(host, "systemd-run -p UnsetEnvironment=ETCD_NAME --unit=etcd-of-others", "/var/lib/etcd", 2379, "");
    is_left_alone(&scene, host, &["etcd-of-others.service", "/var/lib/etcd", "2379"]);
    from_live(
        &scene,
        host,
        &["set up by hand [unit]", "cannot keep it: its ports have no TLS", "by etcd-of-others.service"],
    )
    .exits(0);
    let (config, known) = (scene.lab.ssh_config(), scene.lab.known_hosts());
    let (config, known) = (config.display().to_string(), known.display().to_string());
    let init =
        ["init", "--from-live", host.name(), "--ssh-config", &config, "--known-hosts", &known, "--output", "no.toml"];
    scene
        .quorate(&init)
        .exits(3)
        .says(&["has no TLS (`initial-advertise-peer-urls`): give both ports certificates first"]);
    assert!(!scene.lab.dir().join("no.toml").exists());
    println!("by the same, stopped: its data is found");
    gone();
    from_live(&scene, host, &["no etcd runs on"]).exits(1);
    scene.plan().exits(3).says(&["[data-found]"]);
    println!("by a unit of ours' name, as a distribution's package has it");
    host.write(
        "/usr/lib/systemd/system/etcd.service",
        "[Service]\nEnvironment=ETCD_DATA_DIR=/var/lib/etcd/default ETCD_NAME=etcd-4\nExecStart=/usr/local/lib/other/etcd\n",
    );
    host.sh("mv /var/lib/etcd /root/first; mkdir /var/lib/etcd; systemctl daemon-reload; systemctl start etcd");
    until("it serves", Duration::from_secs(20), || host.exec("ls /var/lib/etcd/default/member/wal/*.wal").succeeded());
    is_left_alone(&scene, host, &["by etcd.service, not by quorate", "/var/lib/etcd/default"]);
    let said = ["environment variables", "name: etcd-4", "1 of 1 voter healthy"];
    from_live(&scene, host, &said).exits(0);
    gone();
    host.sh("rm -r /usr/lib/systemd/system/etcd.service /var/lib/etcd; systemctl daemon-reload; mv /root/first /var/lib/etcd");
    println!("in a control group as an engine for containers makes it");
    start(host, "systemd-run --scope --unit=docker-1a2b", "/var/lib/etcd", 2379, "</dev/null >/dev/null 2>&1 &");
    is_left_alone(&scene, host, &["in a container of docker"]);
    from_live(&scene, host, &["a container [container]", "1 of 1 voter healthy"]).exits(0);
    gone();
    println!("by hand, on other ports and with our data");
    start(host, "setsid", "/var/lib/etcd", 4379, "</dev/null >/dev/null 2>&1 &");
    is_left_alone(&scene, host, &["4379", "/var/lib/etcd"]);
    gone();
    println!("by a kubelet that does not run yet");
    host.sh("rm -rf /var/lib/etcd; mkdir -p /etc/kubernetes/manifests");
    host.write(
        "/etc/kubernetes/manifests/etcd.yaml",
        "spec:\n  containers:\n  - command:\n    - etcd\n    - --data-dir=/var/lib/etcd\n    - --listen-client-urls=https://127.0.0.1:2379\n",
    );
    let run = scene.plan().exits(3).says(&["[other-etcd]", "the kubelet (/etc/kubernetes/manifests/etcd.yaml)"]);
    assert!(!run.stdout.contains("add the member"), "{}", run.stdout);
    // When nobody's etcd is there any more, the host joins.
    host.sh("rm -r /etc/kubernetes");
    scene.apply().exits(0);
    scene.is_as_declared();
}

/// A second etcd for events, say.
fn beside_ours_it_is_only_told(scene: &mut Scene) {
    let host = scene.first();
    start(host, "systemd-run -p UnsetEnvironment=ETCD_NAME --unit=etcd-events", "/var/lib/etcd-events", 3379, "");
    let plan = scene.plan().exits(0).says(&["note: another etcd runs on etcd-1 by etcd-events.service", "3379"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.stdout);
    let before = state(host);
    let of_both =
        ["[default]", "/etc/etcd/etcd.yaml", "3 of 3 voters healthy, quorum 2", "[unit]", "1 of 1 voter healthy"];
    let of_both = from_live(scene, host, &of_both).exits(0);
    for member in ["etcd-1 ", "etcd-2 ", "etcd-3 "] {
        assert!(of_both.stdout.lines().any(|line| line.starts_with(member)), "{}", of_both.stdout);
    }
    // Of the two, the one that can be kept is taken; the same is declared as it was made from.
    let declared = scene.is_taken_over(host);
    assert!(declared.contains("[nodes.etcd-3]") && declared.contains("name = \"lab\""), "{declared}");
    assert!(before == state(host), "the host was touched");
    host.sh("systemctl stop etcd");
    scene.is_repaired(&["start etcd"]);
    assert_eq!(host.sh("systemctl is-active etcd-events"), "active");
    host.sh("systemctl stop etcd-events");
}
