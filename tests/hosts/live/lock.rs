//! One writer at a time, and no lock that outlives its holder.

use std::time::{Duration, Instant};

use quorate::core::diagnostic::Kind;
use quorate::core::observed::Seen;
use quorate::core::plan::action::{Action, HostAction};
use quorate::shell::fleet::Fleet as _;
use quorate::shell::live::Live;
use quorate::shell::live::lock::Operation;

use super::{World, name};
use crate::lab::{Lab, User};

fn is_free(world: &World, live: &Live) -> bool {
    world.wait(live.lock_status()).values().all(|status| *status == Seen::Known(None))
}

fn wait_until_free(world: &World, live: &Live, deadline: Duration) {
    let begun = Instant::now();
    while !is_free(world, live) {
        assert!(begun.elapsed() < deadline, "the lock is still held after {deadline:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_second_taker_is_told_who_holds_it_or_waits() {
    for user in [User::Root, User::WithSudo("ops".into())] {
        let Some(world) = World::up("the_second_taker_is_told_who_holds_it_or_waits", 2, user) else { return };
        let (first, second) = (world.live(), world.live());
        assert!(is_free(&world, &second));
        let lock = world.lock(&first);
        let failure = world.try_lock(&second, Duration::ZERO).expect_err("it is taken");
        assert_eq!(failure.kind, Kind::Locked);
        assert!(failure.summary.contains("etcd-1 is locked by tester@lab (test)"), "{failure}");
        let status = world.wait(second.lock_status());
        let Seen::Known(Some(holder)) = &status[&name("etcd-2")] else { panic!("{status:?}") };
        assert!(holder.since.is_some() && holder.pid.is_some(), "{holder:?}");

        let release = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(700));
            drop(lock);
        });
        let told = std::sync::Mutex::new(Vec::new());
        let waiting = |host: &quorate::core::names::HostName, holder: &quorate::shell::live::lock::Holder| {
            told.lock().expect("no panic").push(format!("{host} {holder}"));
        };
        let patience = Duration::from_secs(20);
        let taken =
            world.wait(second.lock(Operation::new("second@lab", "test"), patience, &waiting)).expect("it waits");
        assert_eq!(*told.lock().expect("no panic"), ["etcd-1 tester@lab (test)"]);
        release.join().expect("no panic");
        drop(taken);
        wait_until_free(&world, &second, Duration::from_secs(5));
    }
}

#[test]
fn a_broken_lock_ends_the_holder_and_refuses_its_changes() {
    let test = "a_broken_lock_ends_the_holder_and_refuses_its_changes";
    // Plain, because its account is what nobody may have made.
    let Some(world) = World::on(test, Lab::builder().hosts(1).plain()) else { return };
    let (victim, breaker) = (world.live(), world.live());
    let _lock = world.lock(&victim);
    let prepare = Action::Host(HostAction::Prepare { host: name("etcd-1") });
    let status = world.wait(breaker.lock_status());
    let Seen::Known(Some(holder)) = &status[&name("etcd-1")] else { panic!("{status:?}") };
    let operation = Operation::new("breaker@lab", "lock break");
    let stranger = quorate::shell::live::lock::Holder { token: "other".to_owned(), ..holder.clone() };
    let refused = world.wait(breaker.break_lock(&name("etcd-1"), &stranger, &operation)).expect_err("another holds it");
    assert_eq!(refused.kind, Kind::Locked);
    world.wait(breaker.break_lock(&name("etcd-1"), holder, &operation)).expect("it is broken");
    assert!(is_free(&world, &breaker));
    let failure = world.wait(victim.perform(&prepare)).expect_err("its lock was broken");
    assert_eq!(failure.kind, Kind::Locked, "{failure}");
    // Also when another has taken it meanwhile.
    let _taken = world.lock(&breaker);
    let failure = world.wait(victim.perform(&prepare)).expect_err("another holds the lock");
    assert_eq!(failure.kind, Kind::Locked, "{failure}");
    assert_eq!(world.lab.host("etcd-1").exec("getent passwd etcd").stdout, "");
}

#[test]
fn nothing_is_changed_without_the_lock() {
    let Some(world) = World::up("nothing_is_changed_without_the_lock", 1, User::Root) else { return };
    let live = world.live();
    let prepare = Action::Host(HostAction::Prepare { host: name("etcd-1") });
    let failure = world.wait(live.perform(&prepare)).expect_err("there is no lock");
    assert_eq!(failure.kind, Kind::Locked);
    drop(world.lock(&live));
    let failure = world.wait(live.perform(&prepare)).expect_err("the lock was given back");
    assert_eq!(failure.kind, Kind::Locked);
}

/// Run by the test below in a process of its own, which is then killed.
#[test]
#[ignore = "a part of another test"]
fn hold_the_lock_until_killed() {
    let world = World::attach();
    let live = world.live();
    let operation = Operation::new("victim@lab", "being killed");
    let _lock = world.wait(live.lock(operation, Duration::from_secs(5), &|_, _| {})).expect("it is free");
    println!("held");
    std::thread::sleep(Duration::from_secs(600));
}

#[test]
fn a_killed_holder_leaves_no_lock_and_no_process() {
    for user in [User::Root, User::WithSudo("ops".into())] {
        let Some(world) = World::up("a_killed_holder_leaves_no_lock_and_no_process", 2, user) else { return };
        let live = world.live();
        let mut child = world.child("live::lock::hold_the_lock_until_killed");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("piped")));
        assert!(lines.any(|line| line.is_ok_and(|line| line.ends_with("held"))));
        let status = world.wait(live.lock_status());
        assert!(matches!(&status[&name("etcd-2")], Seen::Known(Some(holder)) if holder.operator == "victim@lab"));
        child.kill().expect("SIGKILL");
        child.wait().expect("it is dead");
        let killed = Instant::now();
        wait_until_free(&world, &live, Duration::from_secs(5));
        eprintln!("free {:?} after the kill", killed.elapsed());
        drop(live);
        let begun = Instant::now();
        let holders = || -> Vec<_> {
            let all = world.lab.hosts().iter().flat_map(|host| host.processes());
            all.filter(|process| process.command.iter().any(|word| word.contains("quorate"))).collect()
        };
        while !holders().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(5), "{:#?}", holders());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What a command costs by way of the helper, and by a sudo of its own, which is asked for each where sshd allows one session.
#[test]
fn a_command_costs_less_than_a_sudo() {
    let user = User::WithSudo("ops".into());
    // Plain, because it measures, and sshd's sessions are drawn.
    let lab = Lab::builder().hosts(1).user(user).plain();
    let Some(world) = World::on("a_command_costs_less_than_a_sudo", lab) else { return };
    let (helped, alone) = (world.live(), world.live());
    assert!(is_free(&world, &helped));
    world.lab.host("etcd-1").sh("echo 'MaxSessions 1' >>/etc/ssh/sshd_config && systemctl reload ssh");
    // sshd begins anew, and does not listen meanwhile.
    wait_until_free(&world, &alone, Duration::from_secs(5));
    let timed = |live: &Live| {
        let begun = Instant::now();
        assert!(is_free(&world, live));
        begun.elapsed()
    };
    let (mut helper, mut sudo): (Vec<_>, Vec<_>) = (0..100).map(|_| (timed(&helped), timed(&alone))).unzip();
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let (helper, sudo) = (median(&mut helper), median(&mut sudo));
    eprintln!("by the helper {helper:?}, by sudo {sudo:?}: {:.2}", helper.as_secs_f64() / sudo.as_secs_f64());
    assert!(helper < sudo * 2, "by the helper {helper:?}, by sudo {sudo:?}");
}
