//! Scheduled snapshots where etcd takes no writes, and in a folder that is not ours alone or not where it should be.

use std::time::Duration;

use super::scene::{Scene, until};
use crate::lab::{Host, Lab, Series};

/// A slot, the queue for it, and a busy machine.
const SLOT: Duration = Duration::from_secs(100);

fn policy(more: &str) -> String {
    format!("\n[backup]\nschedule = \"* * * * *\"\ncompression = \"gzip\"\n{more}\n")
}

/// A cluster under a policy, on hosts that sleep most of their time.
fn scene(test: &str, hosts: usize, etcd: &str, more: &str) -> Option<Scene> {
    let mut scene = Scene::on(test, Lab::builder().hosts(hosts).weight(1), Series::V3_6)?;
    crate::installed::give(&scene.lab, &scene.archive);
    scene.declare(|scene| {
        if hosts < 3 {
            scene.cluster = "downtime = \"allowed\"".to_owned();
        }
        scene.etcd = etcd.to_owned();
        scene.more = more.to_owned();
    });
    scene.apply().exits(0);
    Some(scene)
}

fn snapshots(host: &Host, folder: &str) -> Vec<String> {
    let said = host.sh(&format!("ls {folder} 2>/dev/null || :"));
    said.lines().filter(|line| line.starts_with("snapshot-2") && !line.ends_with(".json")).map(str::to_owned).collect()
}

fn journal(host: &Host) -> String {
    host.sh("journalctl --no-pager -o cat -u quorate-backup.service | tail -60")
}

/// Lock and mark are writes, and a snapshot is none.
#[test]
fn snapshots_are_taken_while_etcd_takes_no_writes() {
    let test = "snapshots_are_taken_while_etcd_takes_no_writes";
    let folder = "/var/backups/etcd";
    let Some(scene) = scene(test, 3, "quota-backend = \"8MiB\"", &policy("keep = 9\nmax-age = \"10m\"")) else {
        return;
    };
    let pki = "/etc/etcd/pki";
    let fill = format!(
        "head -c 500000 /dev/zero | tr '\\0' x >/root/value; for n in $(seq 40); do ETCDCTL_API=3 etcdctl \
         --endpoints=https://127.0.0.1:2379 --cacert={pki}/ca.crt --cert={pki}/healthcheck-client.crt \
         --key={pki}/healthcheck-client.key put /fill/$n </root/value 2>&1; done"
    );
    let said = scene.first().exec(&fill).stdout;
    assert!(said.contains("database space exceeded"), "{said}");
    let before: Vec<_> = scene.lab.hosts().iter().map(|host| snapshots(host, folder).len()).collect();
    until("every node has taken one", SLOT * 2, || {
        let taken = |(host, before): (&Host, &usize)| snapshots(host, folder).len() > *before;
        scene.lab.hosts().iter().zip(&before).all(taken)
    });
    for host in scene.lab.hosts() {
        let said = journal(host);
        let name = host.name();
        assert!(said.contains(&format!("{name} takes it without the lock, which etcd refuses")), "{said}");
        assert!(said.contains("database space exceeded"), "{said}");
    }
    scene.quorate(&["status"]).says(&["without the lock in etcd", "database space exceeded", "last backup"]);
    scene.quorate(&["backup", "list"]).exits(0);
}

/// Another cluster writes there, too; and the folder is on a mount, or not.
#[test]
fn a_folder_of_others_is_left_alone_and_a_mount_that_is_missing_is_an_error() {
    let test = "a_folder_of_others_is_left_alone_and_a_mount_that_is_missing_is_an_error";
    let folder = "/mnt/copies/etcd";
    let declared = policy(&format!("keep = 1\nmax-age = \"10m\"\ndirectory = \"{folder}\""));
    let Some(mut scene) = scene(test, 1, "", &declared) else { return };
    let host = scene.lab.host("etcd-1");
    let ahead = host.sh("date -u -d '5 minutes' +%Y%m%d_%H%M%S").trim().to_owned();
    let theirs = [format!("snapshot-{ahead}.db"), "snapshot-20200101_000000.db.zst".to_owned()];
    host.sh(&format!(
        "mkdir -p {folder}; printf xx >{folder}/{}; printf xx >{folder}/{1}
         echo '{{\"cluster_id\":\"beef\",\"revision\":7}}' >{folder}/{1}.json",
        theirs[0], theirs[1]
    ));
    let status = || {
        let status = scene.quorate(&["status", "--json"]);
        serde_json::from_str::<serde_json::Value>(&status.stdout).expect("it is JSON")["backup"]["last"]["name"].clone()
    };
    assert!(!theirs.iter().any(|name| status() == name.as_str()), "{}", status());
    let ours = || snapshots(host, folder).into_iter().filter(|name| !theirs.contains(name)).collect::<Vec<_>>();
    until("there is one", SLOT * 2, || !ours().is_empty());
    let first = ours();
    until("it has made room", SLOT * 2, || ours() != first && ours().len() == 1);
    let all = snapshots(host, folder);
    assert!(theirs.iter().all(|name| all.contains(name)), "{all:?}");
    let listed = scene.quorate(&["backup", "list"]).exits(0);
    assert_eq!(listed.stdout.matches("not counted: ").count(), 2, "{}", listed.stdout);
    scene.quorate(&["backup", "prune", "--keep", "1", "--yes"]).says(&["are not known to be from this cluster"]);
    assert!(theirs.iter().all(|name| snapshots(host, folder).contains(name)));
    // It should be a mount.
    let mounted = |more: &str| declared.replace("keep = 1", &format!("keep = 1\nmount = true{more}"));
    scene.declare(|scene| scene.more = mounted(""));
    scene.quorate(&["plan"]).exits(3).says(&["is not mounted", "etcd-1", "[backup-not-mounted]"]);
    let host = scene.lab.host("etcd-1");
    host.sh(&format!("rm -rf {folder} && mkdir -p /mnt/copies && mount -t tmpfs none /mnt/copies"));
    scene.apply().exits(0);
    scene.is_in_sync();
    until("there is one on the mount", SLOT * 2, || !snapshots(host, folder).is_empty());
    // And then the mount is gone.
    host.sh("systemctl stop quorate-backup.timer quorate-backup.service; umount -l /mnt/copies; ! systemctl start quorate-backup.service");
    assert!(journal(host).contains("is not mounted"), "{}", journal(host));
    assert_eq!(host.sh("ls -A /mnt/copies").trim(), "", "nothing is written to the disk below");
    scene.quorate(&["plan"]).says(&["[backup-not-mounted]"]);
    scene.quorate(&["backup", "run", "--on", "etcd-1"]).exits(1).says(&["is not mounted"]);
    assert_eq!(host.sh("ls -A /mnt/copies").trim(), "");
    scene.quorate(&["status"]).says(&["etcd-1 failed to take one", "is not mounted"]);
}
