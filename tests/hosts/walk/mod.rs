//! A random walk: a cluster grows, shrinks, moves, restarts and loses hosts, quorate is killed on the way and run again,
//! and a client writes all the while. Nothing that was acknowledged may be missing in the end.
//!
//! | variable | meaning |
//! |---|---|
//! | `QUORATE_SEED` | the choices; printed by every walk |
//! | `QUORATE_WALK_STEPS` | transitions before the upgrade; 7 if it is not set |
//! | `QUORATE_WALK_SERIES` | only this one of 3.4, 3.5, 3.6, 3.7 |
//! | `QUORATE_WALK_KINDS` | only transitions whose name has one of these words, such as `port,cut` |
//! | `QUORATE_WALK_AUTH` | authentication is on, and the writer comes as a declared user |
//! | `QUORATE_WALK_REPORT` | the file that the report is appended to |
//! | `QUORATE_WALK_VERBOSE` | prints every event of every apply |
//!
//! ```text
//! QUORATE_WALK_STEPS=80 QUORATE_WALK_SERIES=3.5 cargo test --test hosts walk:: -- --nocapture
//! ```

mod checks;
mod declaration;
mod faults;
mod history;
mod kinds;
mod quorate;
mod random;
mod report;
mod transitions;
mod upgrade;
mod strides;

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Instant;

use crate::lab::{Lab, Series, etcd_archive, is_drawn};
use crate::traffic;
use strides::Walk;

const STEPS: usize = 7;
/// A walk of so many transitions takes its time, and goes on to the newest version in the end, a shorter one to the next.
const LONG: usize = 30;
const SEED: u64 = 20_261_121;
const MEMBERS: usize = 3;

fn walks(test: &str, series: Series) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let only = std::env::var("QUORATE_WALK_SERIES").unwrap_or_default();
    if !only.is_empty() && only != series.to_string() {
        println!("not asked for: QUORATE_WALK_SERIES={only}");
        return;
    }
    if only.is_empty() && !is_drawn(test, series) {
        return;
    }
    if !Lab::can_run(test) {
        return;
    }
    let archive = match etcd_archive(series) {
        Ok(archive) => archive,
        Err(skip) => {
            eprintln!("skipped: {test}: {skip}");
            return;
        }
    };
    let steps = number("QUORATE_WALK_STEPS").map_or(STEPS, |steps| usize::try_from(steps).expect("not that many"));
    // Short walks see few kinds each, so every series takes another way.
    let seed = number("QUORATE_SEED").unwrap_or(SEED + series as u64);
    let auth = if std::env::var_os("QUORATE_WALK_AUTH").is_some() { ", QUORATE_WALK_AUTH=1" } else { "" };
    println!("{test}: etcd {}, QUORATE_SEED={seed}{auth}, {steps} transitions", archive.version);
    let begun = Instant::now();
    let mut walk = Walk::begin(&archive, MEMBERS, seed, |declaration| {
        declaration.auth = std::env::var_os("QUORATE_WALK_AUTH").is_some();
        declaration.extra.insert("snapshot-count", traffic::history::SNAPSHOT_COUNT.to_owned());
    });
    walk.patient = steps >= LONG;
    let result = to_the_end(&mut walk, steps, upgrade::targets(series, steps >= LONG));
    let lost = walk.writer.acknowledged().len();
    let mut text = format!(
        "{test}: etcd {} to {}, QUORATE_SEED={seed}, {} transitions, apply killed {} times, {:.0} s\n\n{}\n",
        archive.version,
        walk.declaration.version,
        walk.report.transitions(),
        walk.report.kills(),
        begun.elapsed().as_secs_f64(),
        walk.report.table()
    );
    let verdict = match &result {
        Ok(()) => format!("{lost} acknowledged writes, 0 lost; HashKV equal on all members after every transition"),
        Err(why) => format!("ended early: {why}"),
    };
    writeln!(text, "{verdict}\n\n{}", walk.report.trail()).expect("a String takes every write");
    for problem in &walk.report.problems {
        writeln!(text, "PROBLEM: {problem}").expect("a String takes every write");
    }
    println!("{text}");
    if let Some(file) = std::env::var_os("QUORATE_WALK_REPORT") {
        let file = OpenOptions::new().create(true).append(true).open(file);
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("the report can be written");
    }
    if let Err(why) = result {
        panic!("QUORATE_SEED={seed}: {why}\n{}", walk.evidence());
    }
    assert!(walk.report.problems.is_empty(), "QUORATE_SEED={seed}: {}", walk.report.problems.join("\n"));
}

fn to_the_end(walk: &mut Walk, steps: usize, targets: Vec<Series>) -> Result<(), String> {
    // At first, so that all that joins later is sent a snapshot, and no member is young at the upgrade.
    history::make(walk)?;
    for _ in 0..steps {
        let kind = kinds::choose(walk);
        transitions::perform(walk, kind).map_err(|why| format!("{}: {why}", kind.name()))?;
    }
    upgrade::perform(walk, targets)
}

#[test]
fn walk_3_4() {
    walks("walk_3_4", Series::V3_4);
}

#[test]
fn walk_3_5() {
    walks("walk_3_5", Series::V3_5);
}

#[test]
fn walk_3_6() {
    walks("walk_3_6", Series::V3_6);
}

#[test]
fn walk_3_7() {
    walks("walk_3_7", Series::V3_7);
}
