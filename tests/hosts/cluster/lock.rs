//! Two applies at once: one works, and the other waits or says who does.

use std::process::{Child, Stdio};
use std::time::Duration;

use super::scene::{Scene, until};
use crate::lab::Series;

fn lock_is_held(scene: &Scene) -> bool {
    !scene.first().exec("exec 9>>/run/quorate.lock && flock -n 9").succeeded()
}

/// An apply in the background, which works on while the test goes on.
fn apply_that_holds_the_lock(scene: &Scene) -> Child {
    let mut command = scene.command(&["apply", "--yes"]);
    let apply = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
    until("apply holds the lock", Duration::from_secs(20), || lock_is_held(scene));
    apply
}

#[test]
fn the_second_apply_waits_or_is_told() {
    let Some(scene) = Scene::bare("the_second_apply_waits_or_is_told", 3, Series::V3_5) else { return };
    let mut first = apply_that_holds_the_lock(&scene);
    let impatient = scene.quorate(&["apply", "--yes", "--lock-timeout", "0s"]).exits(5);
    assert!(impatient.stderr.contains("apply of plan "), "{}", impatient.stderr);
    assert!(impatient.stderr.contains(", process ") && impatient.stdout.is_empty(), "{}", impatient.stderr);
    scene.quorate(&["lock", "status"]).exits(0).says(&["etcd-1"]);
    let patient = scene.quorate(&["apply", "--yes", "--lock-timeout", "90s"]);
    assert!(first.wait().expect("it ends").success());
    patient.exits(0);
    scene.is_in_sync();
    scene.is_healthy();
    assert!(!lock_is_held(&scene));
}

/// Whoever looks is told who works there, for how long and for what, before anything that is half done.
#[test]
fn who_is_at_work_is_told_first() {
    let Some(scene) = Scene::bare("who_is_at_work_is_told_first", 1, Series::V3_5) else { return };
    let words = "token=ab\\npid=1\\noperator=ops@laptop\\nsince=1700000000\\npurpose=apply of plan 3fa94c01be77\\n";
    let hold = format!("exec 9<>/run/quorate.lock; flock 9; printf '{words}' >/run/quorate.lock; sleep 300");
    scene.first().sh(&format!("systemd-run --quiet --unit=hold sh -c \"{hold}\""));
    until("the lock is held", Duration::from_secs(10), || lock_is_held(&scene));
    let told = ["apply of plan 3fa94c01be77 by ops@laptop has been running for", "[locked]"];
    scene.quorate(&["plan"]).exits(0).says(&told);
    scene.quorate(&["status"]).exits(0).says(&told);
    let refused = scene.quorate(&["apply", "--yes"]).exits(5).says(&told[..1]);
    assert!(refused.stdout.is_empty(), "{}", refused.stdout);
    scene.first().sh("systemctl stop hold");
    let free = scene.quorate(&["plan"]).exits(0);
    assert!(!free.stdout.contains("[locked]"), "{}", free.stdout);
}

/// The lock is the life of a connection: killing its holder frees it.
#[test]
fn a_killed_apply_leaves_no_lock() {
    let Some(scene) = Scene::bare("a_killed_apply_leaves_no_lock", 1, Series::V3_5) else { return };
    let mut first = apply_that_holds_the_lock(&scene);
    first.kill().expect("it runs");
    first.wait().expect("it ends");
    until("the lock is free", Duration::from_secs(5), || !lock_is_held(&scene));
    scene.apply().exits(0);
    scene.is_in_sync();
}

#[test]
fn a_lock_can_be_broken_by_name() {
    let Some(scene) = Scene::bare("a_lock_can_be_broken_by_name", 1, Series::V3_5) else { return };
    scene.quorate(&["lock", "status"]).exits(0).says(&["not locked"]);
    let mut first = apply_that_holds_the_lock(&scene);
    scene.quorate(&["lock", "break", "--yes"]).exits(0);
    // Its holder notices before its next change, unless it was done by then.
    let output = first.wait().expect("it ends");
    assert!(output.success() || matches!(output.code(), Some(5 | 7)), "{output:?}");
    scene.apply().exits(0);
    scene.is_in_sync();
}
