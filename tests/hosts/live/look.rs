//! Looking: as root, by sudo, without either; and that it leaves no trace.

use std::time::{Duration, Instant};

use quorate::core::code::Code;
use quorate::core::observed::{DataDirectory, ServiceState};

use super::{World, seen, unseen};
use crate::lab::{Host, Lab, User};

#[test]
fn a_bare_host_is_seen_as_bare_by_root_and_by_sudo() {
    for user in [User::Root, User::WithSudo("ops".into())] {
        // Plain: an account, a directory and a clock are drawn.
        let lab = Lab::builder().hosts(2).user(user).plain();
        let Some(world) = World::on("a_bare_host_is_seen_as_bare_by_root_and_by_sudo", lab) else { return };
        // A login shell that is not silent.
        for host in world.lab.hosts() {
            host.write("/root/.bashrc", "echo Welcome; echo of this shell >&2\n");
        }
        let observed = world.observe(&world.live());
        assert!(observed.is_complete(), "{observed:#?}");
        let host = seen(&observed, "etcd-1");
        assert!(!host.account && host.files.is_empty() && host.installed.is_empty());
        assert_eq!((host.data, host.service.state), (DataDirectory::Empty, ServiceState::Inactive));
        assert!(host.clock_offset_seconds.abs() <= 1, "{} s off on the same machine", host.clock_offset_seconds);
    }
}

#[test]
fn a_user_without_sudo_is_told_so() {
    let user = User::WithoutSudo("ops".into());
    let Some(world) = World::up("a_user_without_sudo_is_told_so", 1, user) else { return };
    let live = world.live();
    let observed = world.observe(&live);
    let cause = unseen(&observed, "etcd-1");
    assert_eq!(cause.code, Code::Sudo);
    assert!(cause.summary.contains("etcd-1") && cause.summary.contains("password"), "{cause:?}");
    assert!(cause.hint.as_deref().is_some_and(|hint| hint.contains("/etc/sudoers.d")), "{cause:?}");
    let lock = world.lock(&live);
    assert_eq!(lock.skipped.iter().map(|(_, cause)| cause.code).collect::<Vec<_>>(), [Code::Sudo]);

    let mut desired = world.desired.clone();
    desired.ssh.sudo = Some(false);
    let observed = world.observe(&quorate::shell::live::Live::new(desired));
    assert_eq!(unseen(&observed, "etcd-1").code, Code::Sudo);
    assert!(unseen(&observed, "etcd-1").summary.contains("not root"));
}

#[test]
fn hosts_that_cannot_be_seen_say_why_and_the_others_are_seen() {
    let Some(world) = World::up("hosts_that_cannot_be_seen_say_why_and_the_others_are_seen", 3, User::Root) else {
        return;
    };
    world.lab.host("etcd-2").change_host_keys();
    world.lab.host("etcd-3").power_off();
    let live = world.live();
    let observed = world.observe(&live);
    assert!(observed.hosts[&super::name("etcd-1")].known().is_some());
    assert_eq!(unseen(&observed, "etcd-2").code, Code::HostKey, "{observed:#?}");
    assert_eq!(unseen(&observed, "etcd-3").code, Code::HostUnreachable);
    assert!(!observed.is_complete());

    // Switched on again, and the first one off and on: both are seen at the next look over the same fleet.
    world.lab.host("etcd-3").power_on();
    world.lab.host("etcd-1").power_off();
    world.lab.host("etcd-1").power_on();
    let observed = world.observe(&live);
    assert!(observed.hosts[&super::name("etcd-3")].known().is_some(), "{observed:#?}");
    assert!(observed.hosts[&super::name("etcd-1")].known().is_some(), "{observed:#?}");
}

#[test]
fn a_look_leaves_no_trace() {
    for user in [User::Root, User::WithSudo("ops".into())] {
        // Plain: a sudo that records and a shell that notes leave a trace of every login.
        let lab = Lab::builder().hosts(1).user(user).plain();
        let Some(world) = World::on("a_look_leaves_no_trace", lab) else { return };
        let host = world.lab.host("etcd-1");
        trace_of_a_look(&world, host, "bare");
        {
            let live = world.live();
            let _lock = world.lock(&live);
            world.stage(&live);
        }
        trace_of_a_look(&world, host, "staged");
    }
}

fn trace_of_a_look(world: &World, host: &Host, state: &str) {
    // The first login makes what any login makes.
    assert!(world.lab.ssh("etcd-1", "sudo -n true || true").succeeded());
    settle(host);
    let (files, volatile, processes) = (host.snapshot_files(), volatile_files(host), host.processes());
    for _ in 0..2 {
        let live = world.live();
        let observed = world.observe(&live);
        assert!(observed.hosts[&super::name("etcd-1")].known().is_some(), "{observed:#?}");
    }
    settle(host);
    assert_eq!(host.snapshot_files(), files, "{state}");
    assert_eq!(volatile_files(host), volatile, "{state}");
    let pids =
        |processes: &[crate::lab::Process]| processes.iter().map(|process| process.command.clone()).collect::<Vec<_>>();
    assert_eq!(pids(&host.processes()), pids(&processes), "{state}");
}

/// Files in memory are no part of the snapshot. Left out are systemd's own and sshd's records of logins.
fn volatile_files(host: &Host) -> String {
    host.sh(
        "find /run /tmp /var/tmp /dev/shm -xdev -not -path '/run/systemd/*' -not -path '/run/udev/*' -not -path '/run/log/*' \
         -not -name utmp -not -name motd.dynamic -type f -printf '%p %s %T@ %m\\n' | sort",
    )
}

/// Waits until the processes of all logins have ended.
fn settle(host: &Host) {
    let begun = Instant::now();
    while host.processes().iter().any(|process| {
        process.command.first().is_some_and(|word| word.starts_with("sshd: ") && !word.contains("[listener]"))
    }) {
        assert!(begun.elapsed() < Duration::from_secs(20), "a login goes on: {:#?}", host.processes());
        std::thread::sleep(Duration::from_millis(100));
    }
}
