//! What is done to a cluster that serves, and to one that does not any more: one lab, from a snapshot to a cluster of the
//! one member that is left.

use std::time::{Duration, Instant};

use quorate::core::diagnostic::Kind;
use quorate::core::names::{HostName, MemberId, SnapshotReason, Version};
use quorate::core::observed::{DataDirectory, File, Observed, ServiceState, Tools, V2Store};
use quorate::core::plan::action::{
    Action, DepartureAction, FileAction, MemberAction, Readiness, RecoveryAction, Removal, ServiceAction,
    SnapshotAction,
};
use quorate::core::planner;
use quorate::shell::fleet::Fleet as _;
use quorate::shell::live::Live;

use super::{World, name, parse, seen};
use crate::lab::{Host, Lab, User};

const NEXT: Version = Version::new(3, 6, 16);
const PKI: &str = "--cacert=/etc/etcd/pki/ca.crt --cert=/etc/etcd/pki/healthcheck-client.crt \
                   --key=/etc/etcd/pki/healthcheck-client.key";

#[test]
fn a_cluster_from_its_first_snapshot_to_its_last_member() {
    let test = "a_cluster_from_its_first_snapshot_to_its_last_member";
    let lab = Lab::builder().hosts(3).user(User::WithSudo("ops".into())).data_in_place();
    let Some(world) = World::on(test, lab) else { return };
    world.give_etcd();
    world.apply();
    a_write_over_a_connection_of_its_own(&world);
    a_snapshot_is_whole_or_not_kept(&world);
    the_old_store_is_asked_about(&world);
    swapped_addresses_do_not_swap_members(&world);
    a_former_member_leaves_its_machine(&world);
    the_last_member_goes_on_alone(&world);
}

fn etcdctl(host: &Host, arguments: &str) -> String {
    host.sh(&format!("ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:2379 {PKI} {arguments}"))
}

fn id_of(observed: &Observed, host: &str) -> MemberId {
    seen(observed, host).answer().unwrap_or_else(|| panic!("{host} does not answer")).member
}

fn a_write_over_a_connection_of_its_own(world: &World) {
    let live = world.live();
    let deadline = Duration::from_secs(5);
    for host in ["etcd-1", "etcd-3"] {
        let took = world.wait(live.write_once(&name(host), "/quorate/guard", host, deadline)).expect("it is written");
        assert!(took < deadline, "{took:?}");
        assert!(etcdctl(world.lab.host("etcd-2"), "get /quorate/guard --print-value-only").contains(host));
    }
    world.lab.host("etcd-2").sh("systemctl kill --signal STOP etcd");
    let begun = Instant::now();
    let silent = world.wait(live.write_once(&name("etcd-2"), "/quorate/guard", "x", Duration::from_secs(1)));
    assert!(silent.expect_err("it is frozen").summary.contains("etcd-2"));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    world.lab.host("etcd-2").sh("systemctl kill --signal CONT etcd");
}

fn a_snapshot_is_whole_or_not_kept(world: &World) {
    let live = world.live();
    let _lock = world.lock(&live);
    let host = world.lab.host("etcd-2");
    let save = Action::Snapshot(SnapshotAction::Save { host: name("etcd-2"), before: SnapshotReason::Upgrade(NEXT) });
    // What a run that was killed leaves.
    let cluster = seen(&world.observe(&live), "etcd-2").answer().expect("it answers").cluster;
    host.sh(&format!(
        "mkdir -p /run/quorate-credentials /var/backups/etcd/.snapshot-etcd-2-{:x}.quorate; touch /run/quorate-credentials/client.key",
        cluster.0
    ));
    world.perform(&live, &save);
    let seen_at = |observed: &Observed| seen(observed, "etcd-2").snapshots.get(&SnapshotReason::Upgrade(NEXT)).copied();
    let observed = world.observe(&live);
    assert!(seen_at(&observed).is_some_and(|at| (observed.at.0 - at.0).abs() < 30), "{observed:?}");
    assert_eq!(planner::readiness(&save, &world.desired, &observed), Readiness::Done);
    assert_eq!(host.sh("stat -c '%a %U' /var/backups/etcd /var/backups/etcd/*"), "700 root\n600 root\n600 root");
    let status = host.sh("/opt/etcd/*/etcdutl snapshot status /var/backups/etcd/before-*.db");
    assert!(!status.is_empty());
    assert_eq!(
        host.sh("ls -A /var/backups/etcd | wc -l; ls -d /run/quorate-cred* 2>/dev/null || echo none"),
        "2\nnone"
    );
    assert!(!host.sh("journalctl --no-pager").contains("PRIVATE KEY"));

    // Neither one that lost its end nor one with a flipped bit is kept.
    for damage in ["truncate -s -32 \"$last\"", "printf x | dd of=\"$last\" bs=1 seek=5000 conv=notrunc status=none"] {
        let fake = format!("#!/bin/sh\n\"$0.real\" \"$@\" || exit\nfor last; do :; done\n{damage}\n");
        host.sh("cd /opt/etcd/*/; [ -e etcdctl.real ] || mv etcdctl etcdctl.real");
        host.sh(&format!("cd /opt/etcd/*/; cat >etcdctl <<'END'\n{fake}END\nchmod 755 etcdctl"));
        let failure = world.wait(live.perform(&save)).expect_err("it is damaged");
        assert!(failure.to_string().contains("the snapshot is not whole"), "{failure}");
        assert_eq!(
            host.sh("ls -A /var/backups/etcd | wc -l; ls -d /run/quorate-cred* 2>/dev/null || echo none"),
            "2\nnone"
        );
    }
    host.sh("cd /opt/etcd/*/; mv etcdctl.real etcdctl");
}

fn the_old_store_is_asked_about(world: &World) {
    let version = world.desired.cluster.version;
    assert_eq!(seen(&world.observe(&world.live()), "etcd-1").v2store, None, "nothing newer is declared");
    let text = world.toml.replacen(&format!("version = \"{version}\""), &format!("version = \"{NEXT}\""), 1);
    let live = Live::new(parse(&world.lab, &text));
    let v2store = || seen(&world.observe(&live), "etcd-1").v2store.clone();
    assert_eq!(v2store(), Some(V2Store::Clean));
    let host = world.lab.host("etcd-1");
    let fake = |text: &str| {
        host.sh("cd /opt/etcd/*/; [ -e etcdutl.real ] || mv etcdutl etcdutl.real");
        host.sh(&format!("cd /opt/etcd/*/; printf '#!/bin/sh\\n{text}\\n' >etcdutl; chmod 755 etcdutl"));
    };
    fake("echo \"Error: detected custom content in v2store\" >&2; exit 1");
    assert_eq!(v2store(), Some(V2Store::Refused("Error: detected custom content in v2store".to_owned())));
    // As those before 3.5.26 say it.
    fake("echo \"Error: unknown command (check) for etcdutl\" >&2; exit 1");
    assert_eq!(v2store(), None);
    host.sh("cd /opt/etcd/*/; mv etcdutl.real etcdutl");
}

/// From the first host, the address that is declared for it now leads to the second one's member.
fn swapped_addresses_do_not_swap_members(world: &World) {
    let before = world.observe(&world.live());
    let [first, second] = ["etcd-1", "etcd-2"].map(|host| world.lab.host(host).address().to_string());
    let swapped = world.toml.replace(&first, "FIRST").replace(&second, &first).replace("FIRST", &second);
    let observed = world.observe(&Live::new(parse(&world.lab, &swapped)));
    for host in ["etcd-1", "etcd-2", "etcd-3"] {
        assert_eq!(id_of(&observed, host), id_of(&before, host), "{host}");
    }
}

/// The same lab, with one host that is not declared any more.
fn without(world: &World, gone: &str) -> World {
    let host = world.lab.host(gone);
    let node = format!("[nodes.{gone}]\naddress = \"{}\"\nssh = \"{gone}\"\n", host.address());
    assert!(world.toml.contains(&node), "{}", world.toml);
    let toml = world.toml.replacen(&node, "", 1);
    let runtime = super::runtime();
    World { desired: parse(&world.lab, &toml), toml, lab: crate::lab::Lab::attach(world.lab.id()), runtime }
}

fn a_former_member_leaves_its_machine(world: &World) {
    let world = without(world, "etcd-3");
    let live = world.live();
    let _lock = world.lock(&live);
    let etcd_3 = || name("etcd-3");
    let third = world.lab.host("etcd-3");
    let observed = world.observe(&live);
    let former = &observed.former[&etcd_3()];
    let former_seen = former.host.known().expect("its machine can be reached");
    assert_eq!((former.name.as_str(), former.address.as_str()), ("etcd-3", third.address().to_string().as_str()));
    let id = former_seen.answer().expect("it answers").member;
    etcdctl(world.lab.host(leader(&observed).as_str()), &format!("move-leader {id}"));

    let note = format!(
        "etcd-3 https://{0}:2380\netcd-9 https://{1}:2380\n",
        third.address(),
        world.lab.host("etcd-1").address()
    );
    for host in ["etcd-1", "etcd-2"] {
        world.perform(
            &live,
            &Action::File(FileAction::Write { host: name(host), file: File::Departures, text: note.clone() }),
        );
    }
    let remove = Action::Member(MemberAction::Remove { host: etcd_3(), member: id, removal: Removal::Undeclared });
    world.perform(&live, &remove);
    let observed = world.observe(&live);
    assert_eq!(planner::readiness(&remove, &world.desired, &observed), Readiness::Done);
    world.perform(&live, &remove);
    let log = |host: &str| world.lab.host(host).sh("journalctl --no-pager --output cat --identifier quorate");
    let logs = log("etcd-1") + &log("etcd-2");
    assert!(
        logs.contains(&format!("ask etcd to remove member etcd-3 (id {id}) from the cluster (etcd-3): done")),
        "{logs}"
    );

    // A note that leads to a declared machine is not followed there: it is cared for under its own name.
    assert!(!observed.former.contains_key(&name("etcd-9")), "{:?}", observed.former.keys());

    let stop = Action::Service(ServiceAction::Stop { host: etcd_3() });
    third.sh("systemd-run --quiet --unit other-lock flock /run/quorate.lock sleep 600; sleep 0.3");
    let locked = world.wait(live.perform(&stop)).expect_err("someone else has it");
    assert_eq!(locked.kind, Kind::Locked, "{locked}");
    third.sh("systemctl stop other-lock");
    for _ in 0..2 {
        world.perform(&live, &stop);
        let observed = world.observe(&live);
        let host = observed.former[&etcd_3()].host.known().expect("it is seen").clone();
        assert_eq!((host.service.state, host.service.enabled, host.process), (ServiceState::Inactive, false, None));
        assert_eq!(planner::readiness(&stop, &world.desired, &observed), Readiness::Done);
    }
    let retire = Action::Departure(DepartureAction::Retire { host: etcd_3() });
    for _ in 0..2 {
        world.perform(&live, &retire);
        let observed = world.observe(&live);
        let host = observed.former[&etcd_3()].host.known().expect("it is seen").clone();
        assert!(host.files.is_empty() && host.certificates.is_empty() && !host.service.needs_reload, "{host:?}");
        assert_eq!((host.data, host.tools), (DataDirectory::Empty, Tools::Absent));
        assert_eq!(planner::readiness(&retire, &world.desired, &observed), Readiness::Done);
    }
    assert_eq!(third.sh("ls -d /var/lib/etcd.removed-*/member | wc -l; find /etc/etcd -type f | wc -l"), "1\n0");
    third.sh("test -x /opt/etcd/*/etcd; test -d /etc/etcd/pki; test ! -e /var/lib/etcd");
    assert_eq!(third.sh("systemctl list-unit-files etcd.service --no-legend | wc -l"), "0");
    for host in ["etcd-1", "etcd-2"] {
        for _ in 0..2 {
            world.perform(&live, &Action::File(FileAction::Remove { host: name(host), file: File::Departures }));
        }
    }
    assert!(world.observe(&live).former.is_empty());
}

fn leader(observed: &Observed) -> HostName {
    let leads = |(_, answer): &(&HostName, &quorate::core::observed::Answer)| answer.leader == Some(answer.member);
    observed.answers().find(leads).map(|(host, _)| host.clone()).expect("one leads")
}

fn the_last_member_goes_on_alone(world: &World) {
    let world = without(world, "etcd-3");
    let (first, second) = (world.lab.host("etcd-1"), world.lab.host("etcd-2"));
    etcdctl(first, "put /kept yes");
    second.sh("systemctl disable --now etcd");
    let live = world.live();
    let _lock = world.lock(&live);
    let force = Action::Recovery(RecoveryAction::ForceNewCluster { host: name("etcd-1") });
    let before = etcdctl_own_list(&world);
    assert_eq!(before, 2);

    // Killed right after etcd has started alone: the one that stays behind ends by itself, or is ended by the next run.
    let killer = "#!/bin/sh\ncase \"$*\" in\nstop*quorate-force-new-cluster.service)\n    \
                  if /bin/systemctl -q is-active quorate-force-new-cluster; then kill -9 $PPID; exit 1; fi ;;\nesac\n\
                  exec /bin/systemctl \"$@\"\n";
    first.write("/usr/local/sbin/systemctl", killer);
    first.sh("chmod 755 /usr/local/sbin/systemctl");
    world.wait(live.perform(&force)).expect_err("it is killed");
    first.sh("rm /usr/local/sbin/systemctl");
    assert_eq!(first.sh("systemctl is-active quorate-force-new-cluster etcd || true"), "active\ninactive");
    assert_eq!(first.sh("systemctl show --value -p RuntimeMaxUSec quorate-force-new-cluster"), "1min");

    world.perform(&live, &force);
    let begun = Instant::now();
    loop {
        let observed = world.observe(&live);
        let answer = seen(&observed, "etcd-1").answer().cloned();
        if answer.is_some_and(|answer| answer.reads && answer.members.known().is_some_and(|list| list.len() == 1)) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{observed:#?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(etcdctl(first, "get /kept --print-value-only"), "yes");
    assert_eq!(first.sh("systemctl is-active quorate-force-new-cluster etcd || true"), "inactive\nactive");
    assert_eq!(first.sh("systemctl is-enabled etcd; grep -c force-new /etc/etcd/etcd.yaml || true"), "enabled\n0");
    assert!(first.sh("ls -d /var/lib/etcd.before-force-*/member").contains("member"));
    assert_eq!(first.sh("ls -A /run/quorate-force* /var/lib/.before* 2>/dev/null | wc -l"), "0");
}

/// How many members the survivor knows.
fn etcdctl_own_list(world: &World) -> usize {
    let begun = Instant::now();
    loop {
        let observed = world.observe(&world.live());
        let answer = seen(&observed, "etcd-1").answer().cloned();
        match answer {
            Some(answer) if answer.members.known().is_none() && !answer.own_members.is_empty() => {
                return answer.own_members.len();
            }
            _ => assert!(begun.elapsed() < Duration::from_secs(20), "{observed:#?}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
