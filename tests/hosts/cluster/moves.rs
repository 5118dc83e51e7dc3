//! What is declared at another place while the cluster serves: it is brought there, a member at a time, and nothing is lost.

use super::crash::killed_at;
use super::scene::Scene;
use crate::lab::Series;

const APPLY: [&str; 1] = ["apply"];

fn all(scene: &Scene, command: &str) -> Vec<String> {
    scene.lab.hosts().iter().map(|host| host.sh(command)).collect()
}

/// Applied to the end, with one restart a member, and what was written is there.
#[track_caller]
fn is_moved(scene: &Scene) {
    scene.apply().exits(0);
    scene.is_in_sync();
    scene.is_healthy();
    assert!(scene.etcdctl(scene.first(), "get /kept").contains("yes"));
    for running in all(scene, "tr '\\0' ' ' </proc/$(pgrep -x etcd)/cmdline") {
        let config = scene.more.split('"').find(|word| word.ends_with(".yaml")).unwrap_or("/etc/etcd/etcd.yaml");
        assert!(running.contains(config), "{running}");
    }
}

#[test]
fn everything_moves() {
    let Some(mut scene) = Scene::healthy_with_data_in_place("everything_moves", 3, Series::V3_5) else { return };
    scene.etcdctl(scene.first(), "put /kept yes");
    let ids = scene.etcdctl(scene.first(), "member list");

    println!("certificates, and their names");
    let folder = "[paths]\ncertificates = \"/etc/etcd-pki\"\n";
    let names = "names = { ca = \"ca.pem\", server = \"{member}.pem\", server-key = \"{member}-key.pem\" }\n";
    scene.declare(|scene| scene.more = format!("{folder}{names}"));
    let plan = scene.plan().exits(2).says(&["{member}.pem is missing"]);
    assert_eq!(plan.stdout.matches("] restart etcd").count(), 3, "{}", plan.stdout);
    is_moved(&scene);
    assert_eq!(all(&scene, "ls /etc/etcd-pki/*.pem | wc -l"), ["3"; 3]);
    println!("names that others of its files have: nothing is changed");
    let crossed = names.replace("{member}", "peer").replace("peer.pem", "peer.crt").replace("peer-key.pem", "peer.key");
    let crossed = crossed.replace(" }", ", peer = \"p.crt\", peer-key = \"p.key\" }");
    scene.declare(|scene| scene.more = format!("{folder}{crossed}"));
    scene.quorate(&["apply", "--yes"]).exits(3).says(&["file-in-use", "where its peer.crt is in use"]);
    scene.declare(|scene| scene.more = format!("{folder}{names}"));
    scene.is_in_sync();

    println!("etcd.yaml and the programs");
    scene.declare(|scene| {
        scene.more += "config = \"/etc/etcd-lab/etcd.yaml\"\nbinaries = \"/usr/local/lib/etcd\"\n";
    });
    is_moved(&scene);
    assert_eq!(all(&scene, "readlink /proc/$(pgrep -x etcd)/exe | grep -c /usr/local/lib/etcd/"), ["1"; 3]);

    println!("data, within a file system");
    let paths = scene.more.clone();
    scene.declare(|scene| scene.more = format!("{paths}data = \"/srv/etcd\"\n"));
    let plan = scene.plan().exits(2).says(&["stop etcd and move its data from /var/lib/etcd to /srv/etcd"]);
    assert_eq!(plan.stdout.matches("] start etcd").count(), 3, "{}", plan.stdout);
    killed_at(&scene, &APPLY, "move its data");
    is_moved(&scene);
    assert_eq!(all(&scene, "ls -d /var/lib/etcd 2>/dev/null | wc -l; ls /srv/etcd"), ["0\nmember"; 3]);

    println!("data, across file systems");
    for host in scene.lab.hosts() {
        host.sh("mkdir -p /var/lib/disk /mnt/etcd && mount --bind /var/lib/disk /mnt/etcd");
    }
    scene.declare(|scene| scene.more = format!("{paths}data = \"/mnt/etcd\"\n"));
    killed_at(&scene, &APPLY, "move its data");
    is_moved(&scene);
    assert_eq!(all(&scene, "ls -d /srv/etcd.moved-*/member | wc -l; ls -A /mnt/etcd"), ["1\nmember"; 3]);
    assert_eq!(scene.etcdctl(scene.first(), "member list"), ids, "a member was replaced");

    println!("a copy that was cut off at any place is none");
    a_copy_that_was_cut_off(&mut scene, &paths);

    println!("the unit's name, which stays, also of one that is stopped");
    let before = scene.more.clone();
    scene.declare(|scene| scene.more = before.replace("[paths]\n", "[paths]\nservice = \"etcd-lab.service\"\n"));
    scene.lab.hosts()[1].sh("systemctl stop etcd");
    let run = scene
        .plan()
        .exits(3)
        .says(&["is that of etcd.service, which quorate keeps, and [paths] declares etcd-lab.service"]);
    assert_eq!(run.stdout.matches("set `service = \"etcd.service\"` in [paths]").count(), 1, "{}", run.stdout);
    assert!(run.stdout.contains("Plan: 0 steps"), "{}", run.stdout);
    scene.declare(|scene| scene.more = before.clone());
    scene.is_repaired(&["start etcd"]);

    println!("a node's name");
    scene.declare(|scene| "node-b".clone_into(&mut scene.nodes[1].0));
    is_moved(&scene);
    assert!(scene.etcdctl(scene.first(), "member list").contains("node-b"));

    println!("all of it is declared as it is");
    let declared = scene.is_taken_over(scene.first());
    let config = scene.first().sh("tr '\\0' '\\n' </proc/$(pgrep -x etcd)/cmdline | sed -n 's/^--config-file=//p'");
    assert!(declared.contains("[nodes.node-b]") && declared.contains(&format!("config = \"{config}\"")), "{declared}");
}

/// As a power cut leaves it: half a copy beside a member that runs again; a whole one in its place, and the old one not set
/// aside yet.
fn a_copy_that_was_cut_off(scene: &mut Scene, paths: &str) {
    scene.declare(|scene| scene.more = format!("{paths}data = \"/var/lib/etcd\"\n"));
    let copied = "mkdir -m 700 /var/lib/etcd; chown etcd:etcd /var/lib/etcd; cp -a /mnt/etcd/member /var/lib/etcd/";
    scene.lab.hosts()[0].sh(&format!("{copied}.member.quorate; rm -r /var/lib/etcd/.member.quorate/snap"));
    scene.lab.hosts()[1].sh(&format!(
        "systemctl stop etcd; systemctl disable -q etcd; {copied}member; echo /mnt/etcd >/var/lib/etcd/.moved-from.quorate"
    ));
    let plan = scene.plan().exits(2);
    assert_eq!(plan.stdout.matches("move its data from /mnt/etcd to /var/lib/etcd").count(), 3, "{}", plan.stdout);
    is_moved(scene);
    let left = all(scene, "ls -A /var/lib/etcd; ls -d /mnt/etcd/moved-*/member | wc -l");
    assert_eq!(left, ["member\n1"; 3]);
}
