//! Members come and go: each change is an edit of cluster.toml, and the others never notice.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::scene::{Scene, set_aside, until};
use crate::lab::Series;

#[test]
fn one_becomes_two_and_three_and_five() {
    let Some(mut scene) = Scene::of_some("one_becomes_two_and_three_and_five", 1, 5, Series::V3_5) else { return };
    scene.etcdctl(scene.first(), "put /kept yes");
    let mut members = 1;
    for more in [2, 3, 5] {
        let before = scene.starts_of(members);
        scene.declare_hosts(0..more);
        let plan = scene.plan().exits(2).says(&["add the member as a learner", "promote the learner"]);
        assert_eq!(plan.stdout.contains("[even-voters]"), more == 2, "{}", plan.stdout);
        scene.apply().exits(0);
        scene.is_as_declared();
        assert_eq!(scene.starts_of(members), before, "a member was restarted");
        members = more;
    }
    assert!(scene.etcdctl(&scene.lab.hosts()[4], "get /kept").contains("yes"));
}

/// Machines that were made from one image: what is unique to each is not their machine-id.
fn become_clones(scene: &Scene) {
    for host in scene.lab.hosts() {
        host.write("/etc/machine-id", format!("{:032x}\n", 7));
    }
}

#[test]
fn members_are_removed_by_name_and_nothing_of_them_stays() {
    let test = "members_are_removed_by_name_and_nothing_of_them_stays";
    let Some(mut scene) = Scene::healthy_with_data_in_place(test, 5, Series::V3_5) else { return };
    become_clones(&scene);
    scene.etcdctl(scene.first(), "put /kept yes");
    // The leader goes, and another one.
    let leader = scene.leader();
    let other = (leader + 1) % 5;
    let before = scene.starts();
    scene.declare_hosts((0..5).filter(|index| ![leader, other].contains(index)));
    let names = [leader, other].map(|index| scene.lab.hosts()[index].name().to_owned());
    let allow = names.clone().map(|name| format!("remove-member:{name}"));
    scene.plan().exits(2).says(&[&format!("--allow {}", allow[0]), &format!("--allow {}", allow[1])]);
    scene.apply().exits(3).says(&[
        &format!("--allow {}", allow[0]),
        &format!("--allow {}", allow[1]),
        "nothing was changed",
    ]);
    scene.apply_with(&["--allow", &allow[0]]).exits(3).says(&[&allow[1]]);
    assert_eq!(scene.starts(), before);
    scene.apply_with(&["--allow", &allow[0], "--allow", &allow[1]]).exits(0);
    scene.is_as_declared();
    for index in [leader, other] {
        let host = &scene.lab.hosts()[index];
        let left = host.sh(
            "systemctl is-active etcd.service; ls -d /var/lib/etcd.removed-*/member; ls -A /etc/etcd/pki; \
             ls /etc/systemd/system/etcd.service /etc/etcd/etcd.yaml /var/lib/etcd /usr/local/bin/etcdctl 2>&1 | grep -v 'No such'; true",
        );
        assert!(left.contains("inactive") && left.contains("/member"), "{left}");
        assert_eq!(left.lines().count(), 2, "{left}");
    }
    for host in scene.lab.hosts() {
        assert_eq!(host.sh("ls /etc/etcd/departures 2>/dev/null || echo none"), "none");
    }
    assert!(scene.etcdctl(scene.first_member(), "get /kept").contains("yes"));
    // Two more leave one, and the last one stays whatever is declared.
    scene.declare_hosts((0..5).filter(|index| ![leader, other].contains(index)).take(1));
    let gone: Vec<_> = scene.lab.hosts().iter().map(|host| format!("remove-member:{}", host.name())).collect();
    let allow: Vec<_> = gone.iter().flat_map(|allow| ["--allow", allow]).collect();
    scene.apply_with(&allow).exits(0);
    scene.is_as_declared();
    assert!(scene.etcdctl(scene.first_member(), "get /kept").contains("yes"));
}

/// A snapshot comes first; where none can be saved nothing else is done, unless the operator says so.
#[test]
fn a_snapshot_is_saved_before_a_member_is_removed() {
    let test = "a_snapshot_is_saved_before_a_member_is_removed";
    let Some(mut scene) = Scene::healthy(test, 3, Series::V3_6) else { return };
    scene.etcdctl(scene.first(), "put /kept yes");
    let folder = "/var/backups/etcd";
    // What is known of a snapshot says of which cluster it is.
    let said = scene.etcdctl(scene.first(), "endpoint status -w fields");
    let id = said.lines().find_map(|line| line.strip_prefix("\"ClusterID\" : ")).expect("it is told");
    let facts = format!("{{\"cluster_id\":\"{:x}\"}}", id.trim().parse::<u64>().expect("it is a number"));
    for host in scene.lab.hosts() {
        host.sh(&format!(
            "mkdir -p {folder} && cd {folder} && for day in 1 2 3 4; do touch -d 2020-01-0$day before-change-2020010$day-000000.db
             echo '{facts}' >before-change-2020010$day-000000.db.json; done
             touch -d 2020-01-01 before-3.5.30-20200101-000000.db; mv {folder} {folder}.away; touch {folder}"
        ));
    }
    scene.declare_hosts(0..2);
    let words = "save a safety snapshot before the next step";
    scene.plan().exits(2).says(&[words, "safety snapshot before: remove member"]);
    let plan = scene.quorate(&["plan", "--no-snapshot"]).exits(0).says(&["remove member"]);
    assert!(!plan.stdout.contains(words), "{}", plan.stdout);
    let allow = ["--allow", "remove-member:etcd-3"];
    scene.apply_with(&allow).exits(7).says(&[words, "--no-snapshot"]);
    assert_eq!(scene.etcdctl(scene.first(), "member list").matches("started").count(), 3);
    for host in scene.lab.hosts() {
        host.sh(&format!("rm {folder}; mv {folder}.away {folder}"));
    }
    scene.apply_with(&allow).exits(0).says(&[words]);
    scene.is_as_declared();
    let saved = |host: &crate::lab::Host| {
        host.sh(&format!("cd {folder}; ls | grep ^before-change | grep -v -e change-2020 -e json$ || true"))
    };
    let saved: Vec<_> =
        scene.lab.hosts().iter().map(|host| (host, saved(host))).filter(|(_, of)| !of.is_empty()).collect();
    let [(host, name)] = saved.as_slice() else { panic!("{}", saved.len()) };
    let left = host.sh(&format!("cd {folder}; ls | grep -v json$; /opt/etcd/*/etcdutl snapshot status {name} -w json"));
    let (left, said) = left.rsplit_once('\n').expect("it has lines");
    // The newest three stay, and those from before upgrades.
    let old =
        ["before-3.5.30-20200101-000000.db", "before-change-20200103-000000.db", "before-change-20200104-000000.db"];
    assert_eq!(left, [&old[..], &[name.as_str()]].concat().join("\n"));
    assert!(said.contains("\"totalKey\":"), "{said}");
    // It is fresh enough for what comes next, as long as the host that has it stays.
    let stays = scene.lab.hosts().iter().position(|one| one.name() == host.name()).expect("it is one of them");
    scene.declare_hosts(stays..=stays);
    let plan = scene.plan().exits(2).says(&["remove member"]);
    assert!(!plan.stdout.contains(words), "{}", plan.stdout);
}

/// A removal that is killed after the member is gone is finished by the next run, from the note on the others.
#[test]
fn an_unreachable_member_is_removed_and_cleared_away_when_it_returns() {
    let test = "an_unreachable_member_is_removed_and_cleared_away_when_it_returns";
    let Some(mut scene) = Scene::healthy(test, 3, Series::V3_5) else { return };
    scene.lab.hosts()[2].cut();
    until("the others go on", Duration::from_secs(20), || scene.plan().stdout.contains("2 of 3 voters healthy"));
    scene.declare_hosts(0..2);
    scene.plan().says(&["remove member", "--allow remove-member:etcd-3"]);
    scene.apply_with(&["--allow", "remove-member:etcd-3"]).exits(0);
    scene.members_are_declared();
    scene.plan().exits(0).says(&["etcd-3", "[departed]"]);
    scene.lab.hosts()[2].heal();
    until("it does not serve", Duration::from_secs(30), || !serves(&scene, 2));
    scene.plan().exits(2).says(&["etcd-3", "clean up what is left"]);
    scene.apply().exits(0);
    scene.is_as_declared();
    assert!(scene.lab.hosts()[2].sh("ls /etc/etcd/etcd.yaml 2>&1 || true").contains("No such"));
}

/// Whether its own client port answers a linearizable read.
fn serves(scene: &Scene, index: usize) -> bool {
    let host = &scene.lab.hosts()[index];
    let pki = "/etc/etcd/pki";
    let said = host.sh(&format!(
        "ETCDCTL_API=3 /opt/etcd/*/etcdctl --endpoints=https://127.0.0.1:2379 --cacert={pki}/ca.crt \
         --cert={pki}/healthcheck-client.crt --key={pki}/healthcheck-client.key --command-timeout=3s get / 2>&1 || echo failed"
    ));
    !said.contains("failed")
}

#[test]
fn a_wiped_member_is_replaced() {
    let Some(scene) = Scene::healthy_with_data_in_place("a_wiped_member_is_replaced", 3, Series::V3_6) else { return };
    scene.etcdctl(scene.first(), "put /kept yes");
    let host = &scene.lab.hosts()[1];
    host.sh("systemctl disable --now etcd.service; rm -rf /var/lib/etcd /etc/etcd /etc/systemd/system/etcd.service /opt/etcd; systemctl daemon-reload");
    let before = [scene.starts_of(1), vec![scene.starts()[2].clone()]];
    scene.plan().exits(2).says(&["etcd-2: its data directory is missing", "--allow replace-member:etcd-2"]);
    scene.apply().exits(3).says(&["--allow replace-member:etcd-2"]);
    scene.apply_with(&["--allow", "replace-member:etcd-2"]).exits(0);
    scene.is_as_declared();
    assert_eq!([scene.starts_of(1), vec![scene.starts()[2].clone()]], before, "another member was restarted");
    assert!(scene.etcdctl(&scene.lab.hosts()[1], "get /kept").contains("yes"));
}

/// The rest of its data is there: etcd would begin an empty log under the same id.
#[test]
fn a_member_without_its_log_does_not_start_and_is_replaced() {
    let test = "a_member_without_its_log_does_not_start_and_is_replaced";
    let Some(scene) = Scene::healthy_with_data_in_place(test, 3, Series::V3_5) else { return };
    scene.etcdctl(scene.first(), "put /kept yes");
    let host = &scene.lab.hosts()[1];
    let is_active = || host.sh("systemctl is-active etcd || true");
    host.sh("systemctl stop etcd; mv /var/lib/etcd/member/wal /root/wal");
    // Nobody looks on at boot, and an operator may try.
    host.power_off();
    host.power_on();
    host.sh("systemctl start etcd");
    assert_eq!(is_active(), "inactive");
    assert!(!host.exec("ls -d /var/lib/etcd/member/wal").succeeded(), "etcd has begun a log");
    scene.plan().exits(2).says(&["etcd-2: its log is missing", "--allow replace-member:etcd-2"]);
    scene.quorate(&["apply", "--yes"]).exits(3).says(&["--allow replace-member:etcd-2"]);
    // Nothing was deleted: with its log it is the member that it was.
    host.sh("mv /root/wal /var/lib/etcd/member/wal");
    scene.is_repaired(&["start etcd"]);
    // While it runs nobody misses it, until it starts again.
    host.sh("rm -r /var/lib/etcd/member/wal");
    scene.plan().exits(2).says(&["etcd-2: its log is missing", "--allow replace-member:etcd-2"]);
    scene.apply_with(&["--allow", "replace-member:etcd-2"]).exits(0);
    scene.is_as_declared();
    assert!(scene.etcdctl(host, "get /kept").contains("yes"));
    // A disk that is not there hides what is on it.
    host.sh("systemctl stop etcd; mv /var/lib/etcd /root/etcd; mkdir /var/lib/etcd; echo 'none /var/lib/etcd tmpfs nofail 0 0' >>/etc/fstab");
    scene.plan().exits(3).says(&["data-lost", "is not mounted", "mount /var/lib/etcd"]);
    host.sh("sed -i '/ .var.lib.etcd /d' /etc/fstab; rmdir /var/lib/etcd; mv /root/etcd /var/lib/etcd");
    scene.is_repaired(&["start etcd"]);
}

/// A member whose data has become another serves like the others: only a comparison finds it.
#[test]
fn a_member_with_other_data_is_found_before_another_is_touched() {
    let test = "a_member_with_other_data_is_found_before_another_is_touched";
    let Some(mut scene) = Scene::healthy(test, 3, Series::V3_5) else { return };
    scene.etcdctl(scene.first(), "put /kept right-aaaa");
    scene.quorate(&["status", "--deep"]).exits(0).says(&["data the same on 3 members"]);
    let host = &scene.lab.hosts()[1];
    host.sh(
        "systemctl stop etcd; sed -i 's/right-aaaa/wrong-bbbb/g' /var/lib/etcd/member/snap/db; systemctl start etcd",
    );
    until("it serves again", Duration::from_secs(20), || serves(&scene, 1));
    assert!(scene.etcdctl(host, "get /kept --consistency=s").contains("wrong-bbbb"));
    scene.plan().exits(0);
    scene.quorate(&["status", "--deep"]).exits(3).says(&[
        "DATA DIFFERS",
        "the data of etcd-2 differs",
        "--lost=etcd-2",
    ]);
    let before = scene.starts();
    scene.declare(|scene| scene.etcd = "quota-backend = \"4GiB\"".to_owned());
    let run = scene.quorate(&["apply", "--yes"]);
    assert!(run.stderr.contains("the data of etcd-2 differs") && [3, 7].contains(&run.code), "{run:?}");
    assert_eq!(scene.starts(), before, "a member was restarted");
    scene.quorate(&["apply", "--yes", "--lost=etcd-2", "--allow", "replace-member:etcd-2"]).exits(0);
    scene.is_as_declared();
    scene.quorate(&["status", "--deep"]).exits(0).says(&["data the same on 3 members"]);
    assert!(scene.etcdctl(&scene.lab.hosts()[1], "get /kept --consistency=s").contains("right-aaaa"));
}

/// Called lost while it is cut off; when it returns, the old member does not serve, and a new one takes its place.
#[test]
fn a_lost_member_is_removed_and_added_anew_when_its_host_returns() {
    let test = "a_lost_member_is_removed_and_added_anew_when_its_host_returns";
    let Some(scene) = Scene::healthy(test, 3, Series::V3_5) else { return };
    scene.quorate(&["plan", "--lost=etcd-9"]).exits(64).says(&["no such node"]);
    scene.quorate(&["plan", "--lost=etcd-2", "--detailed-exitcode"]).exits(0).says(&["etcd-2 is healthy"]);
    scene.lab.hosts()[1].cut();
    until("the others go on", Duration::from_secs(20), || scene.plan().stdout.contains("2 of 3 voters healthy"));
    scene.quorate(&["plan", "--lost=etcd-2"]).exits(0).says(&["remove member", "--allow replace-member:etcd-2"]);
    let run = scene.quorate(&["apply", "--yes", "--lost=etcd-2", "--allow", "replace-member:etcd-2"]);
    // Who is lost is not missed, until a plan does not call it so.
    run.exits(0).says(&["serves without what is lost"]);
    scene.plan().exits(6).says(&["host-unreachable"]);
    assert_eq!(scene.etcdctl(scene.first(), "member list").matches("started").count(), 2);
    scene.lab.hosts()[1].heal();
    until("it does not serve", Duration::from_secs(30), || !serves(&scene, 1));
    scene.plan().exits(2).says(&["was removed from the cluster", "--allow replace-member:etcd-2"]);
    scene.apply().exits(3);
    scene.apply_with(&["--allow", "replace-member:etcd-2"]).exits(0);
    scene.is_as_declared();
}

/// The name stays, the machine is another one.
#[test]
fn a_member_moves_to_another_machine() {
    let test = "a_member_moves_to_another_machine";
    let Some(mut scene) = Scene::of_some(test, 3, 4, Series::V3_5) else { return };
    become_clones(&scene);
    let nodes = scene.nodes.clone();
    // Mistyped: nobody is there, or no such name. Whatever is allowed, the member stays.
    let allow = ["apply", "--yes", "--allow", "remove-member:etcd-2", "--allow", "replace-member:etcd-2"];
    let [first, second, third, _] = scene.first().address().octets();
    for nobody in [Ipv4Addr::new(first, second, third, 250).to_string(), "etcd-2.invalid".to_owned()] {
        scene.declare(|scene| scene.nodes[1] = ("etcd-2".to_owned(), nobody.clone(), nobody.clone()));
        let moves = format!("etcd-2 moves from {} to {nobody}, which was not seen", nodes[1].1);
        scene.plan().exits(6).says(&[&moves, "nothing is removed until it is"]);
        scene.quorate(&allow).exits(6).says(&[&moves]);
    }
    // Two that are swapped.
    scene.declare(|scene| {
        scene.nodes = nodes.clone();
        (scene.nodes[0].1, scene.nodes[1].1) = (nodes[1].1.clone(), nodes[0].1.clone());
        (scene.nodes[0].2, scene.nodes[1].2) = (nodes[1].2.clone(), nodes[0].2.clone());
    });
    scene
        .plan()
        .exits(3)
        .says(&["address-taken", &format!("etcd-1 is declared at {}, where member etcd-2", nodes[1].1)]);
    scene.quorate(&allow).exits(3);
    scene.declare(|scene| scene.nodes = nodes.clone());
    scene.is_as_declared();
    let (address, ssh) = (scene.lab.hosts()[3].address().to_string(), scene.lab.hosts()[3].name().to_owned());
    scene.declare(|scene| scene.nodes[1] = ("etcd-2".to_owned(), address.clone(), ssh));
    let moves = format!("etcd-2: it moves from {} to {address}", nodes[1].1);
    let plan = scene.plan().exits(2).says(&[&moves, "--allow replace-member:etcd-2"]);
    assert!(!plan.stdout.contains("tolerates 0 failures"), "{}", plan.stdout);
    scene.apply_with(&["--allow", "replace-member:etcd-2"]).exits(0);
    scene.is_as_declared();
    let old = &scene.lab.hosts()[1];
    assert_eq!((old.sh("systemctl is-active etcd || true").as_str(), set_aside(old, "removed")), ("inactive", 1));
}

/// A cluster of one that waits for a voter whom somebody has added by hand. What `explain` tells is done to the letter.
#[test]
fn a_voter_that_was_added_by_hand_and_never_started_has_a_way_out() {
    let test = "a_voter_that_was_added_by_hand_and_never_started_has_a_way_out";
    let Some(scene) = Scene::healthy(test, 1, Series::V3_5) else { return };
    let host = scene.first();
    let own = format!("https://{}:2380", host.address());
    let url = format!("https://{}:12380", host.address());
    scene.etcdctl(host, "put /kept yes");
    let added = scene.etcdctl(host, &format!("member add x --peer-urls={url}"));
    let id = added.split_whitespace().nth(1).expect("Member ID added").to_owned();
    until("it has no leader", Duration::from_secs(30), || scene.plan().stdout.contains("has never started"));
    let waits = format!("etcd-1 has no leader: the voter that was added as {url} (id {id}) has never started");
    let remove = format!("etcdctl member remove {id}");
    scene.plan().exits(3).says(&[&waits, &format!("start etcd at {url} once"), &remove, "quorate explain no-quorum"]);
    let words = ["--lost=x: no such node", &url, &id, "run `quorate plan` without --lost"];
    scene.quorate(&["plan", "--lost=x"]).exits(64).says(&words);

    let page = scene.quorate(&["explain", "no-quorum"]).exits(0).stdout;
    let begins = page.find("    /opt/etcd/VERSION/etcd --name NEW").expect("the page has the command");
    let (command, rest) = page[begins..].split_once("\n    etcdctl").expect("and the next one");
    assert!(rest.starts_with(" member remove ID"), "{rest}");
    let mut command = command.trim().to_owned();
    let version = host.sh("basename $(dirname $(readlink -f /proc/$(pidof etcd)/exe))").trim().to_owned();
    let values = [
        ("VERSION", version.as_str()),
        ("OWN-URL", &own),
        ("OWN", "etcd-1"),
        ("URL", &url),
        ("NEW", "x"),
        ("DIR", "/root/x"),
    ];
    for (word, value) in values {
        command = command.replace(word, value);
    }
    host.write("/root/start", format!("mkdir -m 700 /root/x\nexec {command}\n"));
    host.sh("systemd-run -p UnsetEnvironment=ETCD_NAME --unit=added-by-hand sh /root/start");
    until("it can be removed", Duration::from_secs(60), || {
        let said = scene.etcdctl(host, &format!("member remove {id} || journalctl --no-pager -n 5 -u added-by-hand"));
        said.contains("removed from cluster")
    });
    host.sh("systemctl stop added-by-hand || :");
    until("it is well", Duration::from_secs(30), || scene.plan().code == 0);
    scene.is_as_declared();
    assert!(scene.etcdctl(host, "get /kept").contains("yes"));
}
