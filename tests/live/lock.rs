//! One writer at a time, and no lock that outlives its holder.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quorate::action::Action;
use quorate::diagnostic::Kind;
use quorate::fleet::Fleet as _;
use quorate::live::Live;
use quorate::live::lock::Errand;
use quorate::observed::Seen;

use super::lab::{Lab, User};
use super::{World, name};

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
        let waiting = |host: &quorate::names::HostName, holder: &quorate::live::lock::Holder| {
            told.lock().expect("no panic").push(format!("{host} {holder}"));
        };
        let patience = Duration::from_secs(20);
        let taken = world.wait(second.lock(Errand::new("second@lab", "test"), patience, &waiting)).expect("it waits");
        assert_eq!(*told.lock().expect("no panic"), ["etcd-1 tester@lab (test)"]);
        release.join().expect("no panic");
        drop(taken);
        wait_until_free(&world, &second, Duration::from_secs(5));
    }
}

#[test]
fn a_broken_lock_ends_the_holder_and_refuses_its_changes() {
    let Some(world) = World::up("a_broken_lock_ends_the_holder_and_refuses_its_changes", 1, User::Root) else { return };
    let (victim, breaker) = (world.live(), world.live());
    let _lock = world.lock(&victim);
    let prepare = Action::PrepareHost { host: name("etcd-1") };
    let status = world.wait(breaker.lock_status());
    let Seen::Known(Some(holder)) = &status[&name("etcd-1")] else { panic!("{status:?}") };
    let errand = Errand::new("breaker@lab", "lock break");
    let stranger = quorate::live::lock::Holder { token: "other".to_owned(), ..holder.clone() };
    let refused = world.wait(breaker.break_lock(&name("etcd-1"), &stranger, &errand)).expect_err("another holds it");
    assert_eq!(refused.kind, Kind::Locked);
    world.wait(breaker.break_lock(&name("etcd-1"), holder, &errand)).expect("it is broken");
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
    let prepare = Action::PrepareHost { host: name("etcd-1") };
    let failure = world.wait(live.perform(&prepare)).expect_err("there is no lock");
    assert_eq!(failure.kind, Kind::Locked);
    drop(world.lock(&live));
    let failure = world.wait(live.perform(&prepare)).expect_err("the lock was given back");
    assert_eq!(failure.kind, Kind::Locked);
}

const LAB_ID: &str = "QUORATE_TEST_LAB_ID";

/// Run by the test below in a process of its own, which is then killed.
#[test]
#[ignore = "a part of another test"]
fn hold_the_lock_until_killed() {
    let id = std::env::var(LAB_ID).expect("only with a lab").parse().expect("its number");
    let lab = Lab::attach(id);
    let desired = super::parse(&lab, &std::fs::read_to_string(lab.dir().join("cluster.toml")).expect("written before"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let live = Live::new(desired);
        let lock = live.lock(Errand::new("victim@lab", "being killed"), Duration::from_secs(5), &|_, _| {}).await;
        let _lock = lock.expect("it is free");
        println!("held");
        tokio::time::sleep(Duration::from_secs(600)).await;
    });
}

#[test]
fn a_killed_holder_leaves_no_lock_and_no_process() {
    for user in [User::Root, User::WithSudo("ops".into())] {
        let Some(world) = World::up("a_killed_holder_leaves_no_lock_and_no_process", 2, user) else { return };
        let live = world.live();
        std::fs::write(world.lab.dir().join("cluster.toml"), world.toml()).expect("the lab's folder");
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--ignored", "--exact", "lock::hold_the_lock_until_killed", "--nocapture"])
            .env(LAB_ID, world.lab.id().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test runs");
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
