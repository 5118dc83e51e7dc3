//! How a wait for the effect of a step goes on, and what ends it.

use super::*;

/// However long that takes: a database is read at the rate of its disk.
#[tokio::test(start_paused = true)]
async fn a_start_that_goes_on_is_waited_for_and_one_that_does_not_is_a_failure() {
    let (desired, world) = with_a_new_setting(&sample::desired(3));
    let approved = plan(&desired, &world);
    let begun = Instant::now();
    let slow = Simulated::new(&desired, world.clone(), Fault::SlowStart);
    let (result, _) = run(&slow, &approved).await;
    assert!(result.expect("it comes up").left.is_empty());
    assert!(begun.elapsed() > Duration::from_secs(600));
    let begun = Instant::now();
    let stuck = Simulated::new(&desired, world, Fault::StuckStart);
    let (result, _) = run(&stuck, &approved).await;
    let failure = result.expect_err("it does not come up");
    assert_eq!(failure.kind, Kind::Stopped);
    assert!(failure.summary.contains("did not take effect within 3"), "{failure}");
    // Why, stands in the others' logs.
    assert!(failure.causes.iter().any(|cause| cause.contains("another member refuses etcd-")), "{failure}");
    assert!(begun.elapsed() < Duration::from_secs(300), "{:?}", begun.elapsed());
}

/// What was told while it was waited.
fn told(events: &[Event]) -> Vec<String> {
    let of = |event: &Event| match event {
        Event::Waiting { seen, .. } => seen.iter().map(Glimpse::line).collect(),
        _ => Vec::new(),
    };
    events.iter().flat_map(of).collect()
}

/// etcd that its settings keep from starting is no start that takes its time; one that exits once or twice comes up.
#[tokio::test(start_paused = true)]
async fn a_crash_loop_ends_the_wait_in_seconds_and_a_crash_does_not() {
    let (desired, world) = with_a_new_setting(&sample::desired(3));
    let approved = plan(&desired, &world);
    let begun = Instant::now();
    let looping = Simulated::new(&desired, world.clone(), Fault::Crashes(1000));
    let (result, events) = run(&looping, &approved).await;
    let failure = result.expect_err("it does not come up");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(failure.kind, Kind::Stopped);
    assert!(failure.summary.contains(" exited 3 times after: restart etcd"), "{failure}");
    let cause = "etcd exited within 1 s of its start (3 times): panic: unrecognized level: \"bogus\"";
    assert_eq!(failure.causes, [cause]);
    assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains("correct it in cluster.toml")), "{failure}");
    assert!(told(&events).iter().any(|line| line.contains(": etcd exited within 1 s of its start")), "{events:?}");
    // The others were not touched.
    let restarts =
        events.iter().filter(|event| matches!(event, Event::StepStarted { title, .. } if title == "restart etcd"));
    assert_eq!(restarts.count(), 1);
    for times in [1, 2] {
        let fleet = Simulated::new(&desired, world.clone(), Fault::Crashes(times));
        let (result, _) = run(&fleet, &approved).await;
        assert!(result.expect("it comes up").left.is_empty(), "{times}");
    }
}

/// It may be rebooting: it is waited for as long as that may take, and what SSH says is said meanwhile.
#[tokio::test(start_paused = true)]
async fn a_host_that_goes_away_is_named_while_it_is_waited_for_and_in_the_end() {
    let (desired, world) = with_a_new_setting(&sample::desired(3));
    let approved = plan(&desired, &world);
    for (wait, seconds) in [(None, 180), (Some(Duration::from_secs(20)), 20)] {
        let begun = Instant::now();
        let mut fleet = Simulated::new(&desired, world.clone(), Fault::GoesAway);
        fleet.wait = wait;
        let (result, events) = run(&fleet, &approved).await;
        let waited = begun.elapsed().as_secs();
        assert!((seconds..seconds + 5).contains(&waited), "{waited}");
        let failure = result.expect_err("it does not come back");
        assert!(failure.summary.contains("does not answer SSH"), "{failure}");
        assert!(
            failure.causes.iter().any(|cause| cause.ends_with("10.0.0.11:22 failed: connection refused")),
            "{failure}"
        );
        let hint = failure.hint.expect("there is a way on");
        assert!(hint.starts_with("bring etcd-") && !hint.contains("journalctl"), "{hint}");
        let told = told(&events);
        let words = " does not answer SSH for 15 s: connecting to 10.0.0.11:22 failed: connection refused";
        assert!(told.iter().any(|line| line.ends_with(words)), "{told:?}");
    }
}

/// ^C in a wait ends it at once, and says what was done and what was seen last.
#[tokio::test(start_paused = true)]
async fn an_interrupt_ends_a_wait_and_tells_what_state_is_left() {
    let (desired, world) = with_a_new_setting(&sample::desired(3));
    let approved = plan(&desired, &world);
    let begun = Instant::now();
    let fleet = Simulated::new(&desired, world, Fault::InterruptedAfter(20));
    let (result, events) = run(&fleet, &approved).await;
    assert!((20..23).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let failure = result.expect_err("it was interrupted");
    assert_eq!((failure.kind, failure.kind.exit_code()), (Kind::Interrupted, 130));
    let words = "apply was interrupted at step 2 of 6: started, effect not confirmed: restart etcd on etcd-";
    assert!(failure.summary.starts_with(words), "{failure}");
    assert!(failure.causes[0].contains(": etcd has been starting for "), "{failure}");
    assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains("the lock is released")), "{failure}");
    let is_told = |wanted: fn(&Event) -> bool| events.iter().any(wanted);
    assert!(
        is_told(|event| matches!(event, Event::Interrupted)) && is_told(|event| matches!(event, Event::Stopped { .. }))
    );
    // Nothing was being done that had to be finished first.
    assert!(!is_told(|event| matches!(event, Event::Warning { .. })), "{events:?}");
}

/// What is being done on a host is not cut off by the first ^C, and the operator is told so.
#[tokio::test(start_paused = true)]
async fn an_interrupt_lets_an_action_finish() {
    let (desired, world) = with_a_new_setting(&sample::desired(3));
    let approved = plan(&desired, &world);
    let fleet = Simulated::new(&desired, world, Fault::InterruptedWithin(0));
    let (result, events) = run(&fleet, &approved).await;
    let failure = result.expect_err("it was interrupted");
    assert_eq!(failure.kind, Kind::Interrupted);
    let words = "apply was interrupted at step 1 of 6: it was done, and no further step was started";
    assert_eq!(failure.summary, words);
    let finishing = "interrupted: what is being done on the hosts is finished first; ^C again aborts now";
    let at = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted).expect("it is told");
    let told = at(&|event| matches!(event, Event::Warning { text } if text == finishing));
    let done = at(&|event| matches!(event, Event::StepDone { number: 1, .. }));
    assert!(told < done && done < at(&|event| matches!(event, Event::Interrupted)), "{events:?}");
    assert_eq!(fleet.calls.load(Ordering::SeqCst), 1);
}

/// Whatever the plan has measured: a disk may fill up meanwhile. Which it is, is told, and what was begun goes on later.
#[tokio::test(start_paused = true)]
async fn a_disk_that_fills_up_is_named_and_apply_goes_on_once_there_is_room() {
    let (desired, world) = with_a_new_setting(&sample::desired(3));
    let approved = plan(&desired, &world);
    let fleet = Simulated::new(&desired, world, Fault::DiskFills(0));
    let (result, _) = run(&fleet, &approved).await;
    let failure = result.expect_err("it is full");
    assert_eq!(failure.kind, Kind::Stopped);
    assert!(failure.summary.contains("failed: a disk there is full"), "{failure}");
    let host = failure.place.clone().expect("it is of a host");
    let seen = format!("/ on {host} is 100% full: 0 B free (/var/lib/etcd, /opt/etcd, /var/backups/etcd)");
    assert_eq!(failure.causes, ["head: write error: No space left on device", &seen]);
    let hint = failure.hint.expect("there is a way on");
    assert!(
        hint.starts_with(&format!("free space on {host} (`quorate explain disk-full` says what may go)")),
        "{hint}"
    );
    assert!(hint.contains("run apply again"), "{hint}");
    // Until then nothing is done, and then all of it.
    let mut now = fleet.world.lock().expect("no test panics inside").clone();
    let refused = plan(&desired, &now);
    assert!(refused.steps.is_empty() && refused.blocked.iter().all(|one| one.code == Code::DiskFull), "{refused:#?}");
    sample::on_one_disk(now.host_mut(&HostName::new(host)).expect("it is seen"), 8 << 30, 8 << 30);
    let (result, _) = run(&Simulated::new(&desired, now.clone(), Fault::Nothing), &plan(&desired, &now)).await;
    assert!(result.expect("there is room").left.is_empty());
}

/// An action may wait by itself, for a learner that catches up: that is said, too, and ends with ^C.
#[tokio::test(start_paused = true)]
async fn an_action_that_waits_says_so_and_is_interrupted() {
    let (desired, world) = with_a_new_setting(&sample::desired(3));
    let approved = plan(&desired, &world);
    let fleet = Simulated::new(&desired, world, Fault::WaitsWithin(0));
    let begun = Instant::now();
    let interrupt = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        fleet.stop.interrupt();
    };
    let ((result, events), ()) = tokio::join!(run(&fleet, &approved), interrupt);
    assert!((20..22).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let failure = result.expect_err("it was interrupted");
    assert_eq!(failure.kind, Kind::Interrupted);
    assert_eq!(failure.summary, "apply was interrupted at step 1 of 6: this was not done yet");
    let told = told(&events);
    assert!(told.len() > 10, "{told:?}");
    assert!(told.iter().all(|line| line == "etcd-1: promote the learner: waiting until it is in sync"), "{told:?}");
}
