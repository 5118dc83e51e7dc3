//! Ports, addresses, restarts and versions: one member at a time, while the cluster serves.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use super::scene::{Scene, until};
use crate::lab::{Archive, Series, etcd_archive};
use crate::traffic::{Connection, Credentials, addresses, history, run};

#[test]
fn every_port_moves() {
    let Some(mut scene) = Scene::healthy("every_port_moves", 3, Series::V3_5) else { return };
    scene.etcdctl(scene.first(), "put /kept yes");
    scene.declare(|scene| scene.more = "\n[ports]\nclient = 12379\npeer = 12380\nmetrics = 12381\n".to_owned());
    let plan = scene.plan().exits(2).says(&["peer URL", "12380"]);
    assert_eq!(plan.stdout.matches("] restart etcd").count(), 3, "{}", plan.stdout);
    scene.apply().exits(0);
    scene.is_in_sync();
    let list = scene.first().sh(&etcdctl(12379, "member list"));
    assert_eq!(list.matches(":12380").count(), 3, "{list}");
    assert_eq!(list.matches(":12379").count(), 3, "{list}");
    assert!(scene.first().sh(&etcdctl(12379, "get /kept")).contains("yes"));
}

fn etcdctl(port: u16, arguments: &str) -> String {
    let pki = "/etc/etcd/pki";
    format!(
        "ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:{port} --cacert={pki}/ca.crt \
         --cert={pki}/healthcheck-client.crt --key={pki}/healthcheck-client.key {arguments} 2>&1"
    )
}

/// A second address on the same machine, and the member moves there.
#[test]
fn an_address_changes() {
    let Some(mut scene) = Scene::healthy("an_address_changes", 3, Series::V3_6) else { return };
    scene.etcdctl(scene.first(), "put /kept yes");
    let host = &scene.lab.hosts()[1];
    let address = host.address().to_string();
    let (network, _) = address.rsplit_once('.').expect("it is IPv4");
    let other = format!("{network}.222");
    host.sh(&format!("ip address add {other}/24 dev $(ip -o -4 route show default | grep -o 'dev [^ ]*' | cut -d' ' -f2 || echo host0) || ip address add {other}/24 dev $(ip -o -4 addr show | grep -F {address} | cut -d' ' -f2)"));
    let before = [scene.starts_of(1), vec![scene.starts()[2].clone()]];
    scene.declare(|scene| scene.nodes[1].1.clone_from(&other));
    scene.plan().exits(2).says(&["peer URL: ", &other]);
    scene.apply().exits(0);
    scene.is_as_declared();
    assert_eq!([scene.starts_of(1), vec![scene.starts()[2].clone()]], before, "another member was restarted");
}

#[test]
fn a_member_restarts_once_when_asked() {
    let Some(scene) = Scene::healthy("a_member_restarts_once_when_asked", 3, Series::V3_5) else { return };
    let before = scene.starts();
    scene.quorate(&["plan", "--restart=etcd-2", "-o", "plan.json"]).exits(0).says(&["restart etcd on etcd-2"]);
    scene.quorate(&["apply", "plan.json", "--yes"]).exits(0);
    let after = scene.starts();
    assert_eq!([&before[0], &before[2]], [&after[0], &after[2]]);
    assert_ne!(before[1], after[1]);
    // The process that it names is gone.
    scene.quorate(&["apply", "plan.json", "--yes"]).exits(0);
    assert_eq!(scene.starts(), after);
    scene.quorate(&["plan", "--restart=etcd-9"]).exits(64);
}

fn archive(test: &str, series: Series) -> Option<Archive> {
    etcd_archive(series).map_err(|skip| eprintln!("skipped: {test}: {skip}")).ok()
}

/// Thousands of revisions, and a member that fell behind and was caught up by a snapshot.
fn with_history(scene: &mut Scene) {
    scene.declare(|scene| scene.etcd = format!("extra = {{ snapshot-count = {} }}", history::SNAPSHOT_COUNT));
    scene.apply().exits(0);
    let credentials = Credentials::issue(&scene.lab.dir().join("pki"));
    let behind = &scene.lab.hosts()[2];
    let caught_up = (0..6).any(|_| {
        behind.power_off();
        // The leader may be the one that went: until there is another, nothing is written.
        until("all is written", Duration::from_secs(60), || {
            let written: Result<(), String> = run(async {
                let connection = Connection::open(&credentials, &addresses(scene.first().address(), &[2379])).await?;
                let put = history::put_many(&connection, 0, history::MISSED).await;
                put.map_err(|error| error.to_string())
            });
            written.is_ok()
        });
        behind.power_on();
        until("it is back", Duration::from_secs(60), || scene.plan().code == 0);
        // A leader that has just sent a snapshot to somebody keeps its log for half a minute.
        history::received_a_snapshot(behind, 2381)
    });
    assert!(caught_up, "it was caught up without a snapshot");
}

/// What [`with_history`] wrote last is there.
fn has_history(scene: &Scene) {
    let last = history::MISSED - 1;
    let key = format!("/history/{:05}", last % 700);
    let said = scene.etcdctl(scene.first(), &format!("get {key} --print-value-only"));
    assert!(said.trim().ends_with(&last.to_string()), "{said}");
}

#[test]
fn the_way_from_3_4_to_3_7_goes_over_3_5_and_3_6() {
    let test = "the_way_from_3_4_to_3_7_goes_over_3_5_and_3_6";
    let Some(middle) = archive(test, Series::V3_5) else { return };
    let (Some(late), Some(last)) = (archive(test, Series::V3_6), archive(test, Series::V3_7)) else { return };
    let Some(mut scene) = Scene::healthy(test, 3, Series::V3_4) else { return };
    with_history(&mut scene);
    has_history(&scene);
    // Without the stop between nothing is begun.
    scene.declare_version(last.clone(), Vec::new());
    scene.plan().exits(3).says(&["3.5.26 or a newer 3.5", "[upgrade-path]", "[etcd.archive.via]"]);
    let first = scene.via.pop().expect("the version before");
    scene.archive = first;
    scene.declare_version(last.clone(), vec![middle.clone(), late.clone()]);
    let plan = scene.plan().exits(2);
    let plan = plan.says(&[
        &format!("install etcd {}", middle.version),
        &format!("install etcd {}", late.version),
        &format!("install etcd {}", last.version),
        "save a snapshot before the change to",
        &format!("flush old entries from the raft log before the change to etcd {}", last.version),
    ]);
    assert_eq!(plan.stdout.matches("] restart etcd").count(), 9, "{}", plan.stdout);
    scene.apply().exits(0);
    scene.is_as_declared();
    let status = scene.etcdctl(scene.first(), "endpoint status --cluster");
    assert_eq!(status.matches(&last.version).count(), 3, "{status}");
    has_history(&scene);
    let saved = scene
        .lab
        .hosts()
        .iter()
        .map(|host| host.sh("ls /var/backups/etcd/*.db 2>/dev/null | wc -l"))
        .collect::<Vec<_>>();
    assert_eq!(saved.iter().map(|count| count.trim().parse::<usize>().unwrap_or(0)).sum::<usize>(), 3, "{saved:?}");
    // The cluster has reached 3.7: there is no way back.
    scene.declare_version(late, Vec::new());
    scene.plan().exits(3).says(&["[downgrade]"]);
}

#[test]
fn a_half_done_upgrade_goes_back_while_the_cluster_has_not_reached_it() {
    let test = "a_half_done_upgrade_goes_back_while_the_cluster_has_not_reached_it";
    let Some(newer) = archive(test, Series::V3_7) else { return };
    let Some(mut scene) = Scene::healthy(test, 3, Series::V3_6) else { return };
    let older = scene.archive.clone();
    scene.declare_version(newer.clone(), Vec::new());
    upgrade_one(&scene);
    let status = scene.etcdctl(scene.first(), "endpoint status --cluster");
    assert_eq!(status.matches(&newer.version).count(), 1, "{status}");
    scene.declare_version(older.clone(), Vec::new());
    scene.plan().exits(2).says(&["--allow downgrade:lab"]);
    scene.apply().exits(3).says(&["--allow downgrade:lab"]);
    scene.apply_with(&["--allow", "downgrade:lab"]).exits(0);
    scene.is_as_declared();
    let status = scene.etcdctl(scene.first(), "endpoint status --cluster");
    assert_eq!(status.matches(&older.version).count(), 3, "{status}");
}

/// Ends apply once the first member has restarted.
fn upgrade_one(scene: &Scene) {
    let mut child = scene.command(&["apply", "--yes", "--json"]).stdout(Stdio::piped()).spawn().expect("it runs");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut restarted = false;
    for line in lines.map_while(Result::ok) {
        restarted |= line.contains("step-started") && line.contains("restart etcd");
        if restarted && line.contains("step-done") {
            break;
        }
    }
    // It may have ended by itself, which the test would see.
    let _ended_already = child.kill();
    child.wait().expect("it ends");
    assert!(restarted, "no member was restarted");
}

/// One member can only be restarted with an outage, which must be allowed.
#[test]
fn one_member_is_upgraded_when_an_outage_is_allowed() {
    let test = "one_member_is_upgraded_when_an_outage_is_allowed";
    let Some(newer) = archive(test, Series::V3_7) else { return };
    let Some(mut scene) = Scene::healthy(test, 1, Series::V3_6) else { return };
    scene.etcdctl(scene.first(), "put /kept yes");
    scene.declare_version(newer.clone(), Vec::new());
    scene.plan().exits(3).says(&["[downtime-needed]", "downtime = \"allowed\""]);
    scene.declare(|scene| scene.cluster = "downtime = \"allowed\"".to_owned());
    scene.plan().exits(2).says(&[
        "high: the cluster is unavailable during this step",
        "tolerates 0 failures before, no quorum \
                                                                                during, 0 after",
    ]);
    scene.apply().exits(0);
    scene.is_as_declared();
    assert!(scene.etcdctl(scene.first(), "endpoint status").contains(&newer.version));
    assert!(scene.etcdctl(scene.first(), "get /kept").contains("yes"));
}

/// Writes go on through a rolling change; when they fail, apply stops.
#[test]
fn guard_writes_see_a_rolling_change_and_stop_an_apply_when_they_fail() {
    let test = "guard_writes_see_a_rolling_change_and_stop_an_apply_when_they_fail";
    let Some(mut scene) = Scene::healthy(test, 3, Series::V3_5) else { return };
    scene.declare(|scene| scene.etcd = "quota-backend = \"4GiB\"".to_owned());
    let run = scene.apply_with(&["--guard-writes"]).exits(0);
    let told = run.stderr.lines().find(|line| line.contains("guard: ")).expect("it tells what it saw").to_owned();
    assert!(told.contains(" 0 failed"), "{told}");
    assert!(scene.etcdctl(scene.first(), "get /quorate/guard").contains("/quorate/guard"));
    // A limit that no write keeps.
    scene.declare(|scene| scene.etcd = "quota-backend = \"5GiB\"".to_owned());
    scene.apply_with(&["--guard-writes", "--guard-limit", "1ms"]).exits(7).says(&["--guard-writes"]);
    scene.apply().exits(0);
    scene.is_as_declared();
}
