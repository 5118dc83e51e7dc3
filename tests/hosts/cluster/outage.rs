//! Hosts that are cut off or lose power while a cluster serves.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use etcd_client::{AlarmAction, AlarmOptions, AlarmType};

use super::scene::{Scene, until};
use crate::lab::{Host, Series};
use crate::traffic::{Connection, Credentials, addresses, run};

/// With one of three cut off, what is safe is done, what is not is refused, and the cluster serves on. Whoever looks is told
/// whom the look waits for, and whoever waits for a step, what is seen of it.
#[test]
fn one_host_cut_off() {
    let Some(mut scene) = Scene::healthy("one_host_cut_off", 3, Series::V3_5) else { return };
    scene.lab.host("etcd-3").cut();
    // Only the cut shows: nothing can be repaired.
    let plan = scene.plan().exits(6).says(&["host-unreachable", "etcd-3"]);
    let waited = plan.stderr.lines().filter(|line| line.starts_with("waiting for etcd-3: no answer to SSH for "));
    assert_eq!(waited.count(), 1, "{}", plan.stderr);
    let quiet = scene.quorate(&["status", "--check", "-q"]).exits(2).says(&["2 of 3 voters healthy"]);
    assert_eq!(quiet.stderr, "");
    // A repair that cannot cost quorum is done all the same.
    scene.lab.host("etcd-1").sh("chmod 644 /etc/etcd/pki/server.key");
    scene.apply().exits(6).says(&["restore owner and mode of server.key"]);
    assert_eq!(scene.lab.host("etcd-1").sh("stat -c %a /etc/etcd/pki/server.key"), "600");
    // A restart would leave one of three.
    scene.declare(|scene| scene.etcd = "quota-backend = \"4GiB\"".to_owned());
    let (one, two) = (scene.lab.host("etcd-1"), scene.lab.host("etcd-2"));
    let pid = |host: &crate::lab::Host| host.sh("systemctl show -p MainPID --value etcd");
    let before = (pid(one), pid(two));
    let plan = scene.quorate(&["plan"]).exits(6).says(&["not-healthy"]);
    assert!(!plan.stdout.contains("restart etcd on"), "{}", plan.stdout);
    scene.apply().exits(6);
    assert_eq!(before, (pid(one), pid(two)));
    scene.etcdctl(one, "put /still/serving yes");
    scene.lab.host("etcd-3").heal();
    until("etcd-3 serves again", Duration::from_secs(30), || scene.quorate(&["status", "--check"]).code == 0);
    scene.plan().exits(2);
    scene.apply().exits(0);
    scene.is_in_sync();
    scene.is_healthy();
    an_interrupt_ends_a_wait(&scene);
    a_host_goes_away_while_it_is_waited_for(&scene);
}

/// Begins an apply that restarts the member of a host, on which systemd does not come to etcd.
fn restart_that_hangs(scene: &Scene, host: &Host, flags: &[&str]) -> Child {
    let folder = "/run/systemd/system/etcd.service.d";
    host.sh(&format!(
        "mkdir -p {folder}; printf '[Service]\nExecStartPre=/bin/sleep 600\n' >{folder}/slow.conf; systemctl daemon-reload"
    ));
    let restart = format!("--restart={}", host.name());
    let mut command = scene.command(&[&["apply", "--yes", &restart], flags].concat());
    // As a shell does it, so that ^C reaches all that it starts.
    command.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped());
    let apply = command.spawn().expect("the binary runs");
    let hangs = || host.sh("systemctl show -p SubState --value etcd").trim() == "start-pre";
    until("the start hangs", Duration::from_secs(30), hangs);
    apply
}

/// Its exit code and what it said on stderr, once it has ended.
fn end_of(apply: Child) -> (Option<i32>, String) {
    let output = apply.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8(output.stderr).expect("quorate prints text"))
}

/// Also in the middle of a look that hangs: the lock is free at once, the operator knows what state is left, and the next
/// apply goes on.
fn an_interrupt_ends_a_wait(scene: &Scene) {
    let host = scene.lab.host("etcd-2");
    let apply = restart_that_hangs(scene, host, &[]);
    // In the wait, and not in the command before it; and then in a look that does not end.
    std::thread::sleep(Duration::from_secs(2));
    scene.lab.host("etcd-3").cut();
    std::thread::sleep(Duration::from_secs(2));
    let group = format!("-{}", apply.id());
    let sent = Command::new("kill").args(["-INT", "--", &group]).status().expect("there is a kill");
    let begun = Instant::now();
    assert!(sent.success());
    let (code, said) = end_of(apply);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}\n{said}", begun.elapsed());
    assert_eq!(code, Some(130), "{said}");
    let words = "apply was interrupted at step 1 of 1: started, effect not confirmed: restart etcd on etcd-2";
    assert!(said.contains(words) && said.contains("etcd-2: systemd is starting its service"), "{said}");
    assert!(said.contains("the lock is released"), "{said}");
    let is_free = |host: &Host| host.exec("exec 9>>/run/quorate.lock && flock -n 9").succeeded();
    until("the locks are free", Duration::from_secs(1), || scene.lab.hosts()[..2].iter().all(is_free));
    scene.lab.host("etcd-3").heal();
    until("the last lock is free", Duration::from_secs(30), || is_free(scene.lab.host("etcd-3")));
    host.sh("rm -r /run/systemd/system/etcd.service.d; systemctl daemon-reload; systemctl stop etcd");
    scene.apply().exits(0);
    scene.is_in_sync();
    scene.is_healthy();
}

fn a_host_goes_away_while_it_is_waited_for(scene: &Scene) {
    let host = scene.lab.host("etcd-3");
    let apply = restart_that_hangs(scene, host, &["--wait", "5s"]);
    // Without a word: one that shuts down ends its services first, which a look may see.
    host.power_off();
    let begun = Instant::now();
    let (code, said) = end_of(apply);
    println!("a host that goes away, after {:?}:\n{said}", begun.elapsed());
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("waiting ") && said.contains(": etcd-3: does not answer SSH"), "{said}");
    assert!(said.contains(": its effect could not be seen within "), "{said}");
    assert!(said.contains("hint: bring etcd-3 back") && !said.contains("journalctl"), "{said}");
    host.power_on();
    until("all are well", Duration::from_secs(60), || scene.plan().code == 0);
}

/// The leader's host loses power: what is told in that moment is an election, and no loss of quorum.
#[test]
fn an_election_is_no_loss_of_quorum() {
    let Some(scene) = Scene::healthy("an_election_is_no_loss_of_quorum", 3, Series::V3_5) else { return };
    for command in ["plan", "status"] {
        let leader = &scene.lab.hosts()[scene.leader()];
        leader.power_off();
        let seen = scene.quorate(&[command]);
        assert!(seen.stdout.contains("2 of 3 voters healthy"), "{}", seen.stdout);
        leader.power_on();
        until("all are well", Duration::from_secs(60), || scene.plan().code == 0);
    }
}

/// A power cut of every host at once: systemd brings the members back, and nothing is left to do.
#[test]
fn all_hosts_lose_power() {
    let Some(scene) = Scene::healthy("all_hosts_lose_power", 3, Series::V3_5) else { return };
    scene.etcdctl(scene.first(), "put /before/the/cut yes");
    for host in scene.lab.hosts() {
        host.power_off();
    }
    scene.plan().exits(6);
    // A host has booted when its member has found a quorum, so they must boot together.
    std::thread::scope(|threads| {
        for host in scene.lab.hosts() {
            threads.spawn(|| host.power_on());
        }
    });
    until("the members are back", Duration::from_secs(30), || scene.plan().code == 0);
    assert!(scene.etcdctl(scene.first(), "get /before/the/cut").contains("yes"));
}

/// All members stopped by hand: started together, because each waits for a quorum.
#[test]
fn all_services_stopped() {
    let Some(scene) = Scene::healthy("all_services_stopped", 3, Series::V3_5) else { return };
    let check = |code| scene.quorate(&["status", "--check"]).exits(code);
    check(0).says(&["3 of 3 voters healthy"]);
    for (host, code) in scene.lab.hosts().iter().zip([2, 3, 3]) {
        host.sh("systemctl stop etcd");
        // Whoever is left may have read through the quorum a moment ago.
        until("the loss is told", Duration::from_secs(20), || scene.quorate(&["status", "--check"]).code == code);
    }
    check(3);
    scene.is_repaired(&["start etcd", "the service is not running"]);
}

/// Every process and file is as declared, and the members cannot reach each other: that is no "no changes".
#[test]
fn members_cut_off_from_each_other() {
    let Some(scene) = Scene::healthy("members_cut_off_from_each_other", 3, Series::V3_5) else { return };
    let [one, two, three] = ["etcd-1", "etcd-2", "etcd-3"].map(|name| scene.lab.host(name));
    one.cut_from(two);
    one.cut_from(three);
    two.cut_from(three);
    until("the outage is told", Duration::from_secs(30), || matches!(scene.plan().code, 3 | 6));
    let plan = scene.plan();
    assert!(!plan.stdout.contains("No changes"), "{}", plan.stdout);
    for host in scene.lab.hosts() {
        host.heal();
    }
    until("the members agree again", Duration::from_secs(30), || scene.plan().code == 0);
}

/// A hung member is told, though nothing can be done about it from here.
#[test]
fn a_member_that_hangs() {
    let Some(scene) = Scene::healthy("a_member_that_hangs", 3, Series::V3_5) else { return };
    let host = scene.lab.host("etcd-2");
    host.sh("pkill -STOP -x etcd");
    scene.plan().exits(6).says(&["member-silent", "etcd-2"]);
    host.sh("pkill -CONT -x etcd");
    until("the member answers again", Duration::from_secs(30), || scene.plan().code == 0);
}

/// Alarm CORRUPT, which etcd raises for a member whose data differs: the others are healthy, and all that `explain alarm` tells
/// can be done, to its end.
#[test]
fn a_member_whose_data_differs_is_replaced() {
    let Some(scene) = Scene::healthy("a_member_whose_data_differs_is_replaced", 3, Series::V3_5) else { return };
    let first = scene.first();
    scene.etcdctl(first, "put /before yes");
    let listed = scene.etcdctl(first, "member list");
    let wrong = listed.lines().find(|line| line.contains("etcd-3")).and_then(|line| line.split(',').next());
    let wrong = u64::from_str_radix(wrong.expect("etcd-3 is a member"), 16).expect("an id is hexadecimal");
    let credentials = Credentials::issue(&scene.lab.dir().join("pki"));
    let addresses = addresses(first.address(), &[2379]);
    run(async {
        let mut connection = Connection::open(&credentials, &addresses).await.expect("etcd-1 serves");
        let mut options = AlarmOptions::new();
        options.with_member(wrong);
        let raised = connection.client.alarm(AlarmAction::Activate, AlarmType::Corrupt, Some(options)).await;
        raised.expect("the alarm is raised");
    });
    scene.quorate(&["status"]).exits(0).says(&["3 of 3 voters healthy", "healthy, alarm CORRUPT"]);
    scene.plan().exits(3).says(&["alarm CORRUPT is active for etcd-3", "quorate plan --lost=etcd-3"]);
    let replaced = scene.apply_with(&["--lost=etcd-3", "--allow", "replace-member:etcd-3"]);
    replaced.exits(3).says(&["save a safety snapshot", "promote the learner", "which has left"]);
    let page = scene.quorate(&["explain", "alarm"]).exits(0).stdout;
    // The last step of the last runbook: that for CORRUPT.
    let words = page.rsplit("    3. quorate ").next().and_then(|rest| rest.split("  ").next());
    let words: Vec<_> = words.expect("the page has the whole command").split(' ').collect();
    assert!(words.ends_with(&["alarm", "disarm"]), "{words:?}");
    scene.quorate(&words).exits(0);
    scene.plan().exits(0);
    scene.is_healthy();
    assert!(scene.etcdctl(scene.lab.host("etcd-3"), "get /before").contains("yes"));
}
