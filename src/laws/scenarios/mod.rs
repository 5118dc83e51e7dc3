//! `fixtures/scenarios/*.txt`: sessions with quorate over a fleet in memory, so that a bug report becomes a text file.
//!
//! Each file begins with comments that say what it shows. Then comes, a line each, what happens and what is typed, and
//! under what is typed, indented by four spaces, the golden: what quorate prints for it.
//!
//! ```text
//! # Somebody edits etcd.yaml by hand; the next apply puts it back.
//! healthy cluster prod 3.5.16 etcd-1 etcd-2 etcd-3
//!
//! edit etcd.yaml on etcd-2: snapshot-count: 5
//! $ quorate plan
//!     cluster prod, etcd 3.5.16: 3 of 3 voters healthy, quorum 2, margin 1
//!     ...
//! ```
//!
//! | line | meaning |
//! |---|---|
//! | `# TEXT` | a comment |
//! | `bare cluster NAME VERSION HOST...` | what is declared, and its hosts, on which nothing was ever done; comes first |
//! | `healthy cluster NAME VERSION HOST...` | the same after an apply |
//! | `declare KEY = VALUE` | one line of TOML goes into cluster.toml: `declare nodes.etcd-4.address = "10.0.0.14"` |
//! | `undeclare KEY` | it goes out again: `undeclare nodes.etcd-4` |
//! | `kill HOST`, `revive HOST` | the machine loses its power, and gets it back |
//! | `replace HOST` | another machine, a bare one, comes in its place |
//! | `stop etcd on HOST`, `hang etcd on HOST` | its service stops; it runs on and answers nobody |
//! | `raise ALARM for HOST`, `disarm alarms` | NOSPACE or CORRUPT, of its member; `for nobody` where etcd could not tell; all go |
//! | `diverge HOST` | its member's data becomes another, and no alarm says so |
//! | `delete data of HOST` | etcd stops, and its data directory is gone |
//! | `move data of HOST to PATH` | what is in its data directory, wherever that is, while etcd is stopped |
//! | `delete log of HOST`, `delete database of HOST` | etcd stops, and of its data this is gone |
//! | `unmount data of HOST` | etcd stops, and the disk of its data is not there, which fstab names |
//! | `disk of HOST is N% full`, `disk of HOST has N MiB free` | of 100 GiB, on which everything is that is written there; before, nothing is known of it |
//! | `delete FILE of HOST` | a file by its name: `delete server.crt of etcd-2` |
//! | `edit FILE on HOST: LINE` | a line is added to etcd.yaml or the unit |
//! | `keep snapshot NAME` | a finished snapshot of the cluster lies beside cluster.toml from now on |
//! | `bare machine at ADDRESS`, `nobody at ADDRESS`, `unknown name NAME` | what a node is that is declared with it later; otherwise a node with another address is the machine that had that address, or its own |
//! | `pass N days`, `pass N hours` | time goes by |
//! | `in step N: kill quorate` | the next apply ends in the middle of this step: when its first action is done and before it is seen |
//! | `in step N: LINE` | at that moment this happens, which may be any line from `kill HOST` to `edit` |
//! | `$ quorate ARGS` | plan, apply, status or restore, with the flags of the command line; it ends with exit code 0 or, where `--detailed-exitcode` was asked for, 2 |
//! | `! quorate ARGS` | the same, and it ends with another one, which is the last line of its output |
//!
//! Any other line is an error. A plan is printed in a short form, one line a step: title, hosts, margin, risk and what it
//! needs; neither hints of notes nor files. `# in full` at the end of the line prints it as an operator sees it. apply
//! does not repeat the plan that was printed last, and steps that go as that says are one line.
//!
//! Besides the goldens, every plan here must keep the laws, and an apply that ends well leaves nothing to do.
//!
//! `UPDATE_FIXTURES=1 cargo test --lib laws::scenarios` writes the goldens anew, for review.

use std::fs;
use std::path::{Path, PathBuf};

use crate::core::guard::{Guard, with_broken};

mod machines;
mod script;
mod session;

use script::{Line, Script};
use session::Session;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios");
    let entries = fs::read_dir(folder).expect("fixtures/scenarios can be read");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("its entries too").path()).collect();
    files.sort();
    files
}

/// The text of a scenario with what quorate prints now.
///
/// # Errors
/// The number of the line that cannot be read or done, and why.
fn played(text: &str) -> Result<String, (usize, String)> {
    let script = Script::read(text)?;
    let mut session: Option<Session> = None;
    let mut now = String::new();
    for (number, source, line) in script.lines {
        now.push_str(&source);
        now.push('\n');
        let at = |why: String| (number, why);
        match (line, &mut session) {
            (Line::Remark, _) => {}
            (Line::Cluster(cluster), None) => session = Some(Session::new(&cluster).map_err(at)?),
            (Line::Cluster(_), Some(_)) => return Err(at("a scenario has one cluster".to_owned())),
            (_, None) => return Err(at("the first line must say `bare cluster` or `healthy cluster`".to_owned())),
            (Line::Happens(happening), Some(session)) => session.happens(happening).map_err(at)?,
            (Line::InStep(step, happening), Some(session)) => session.in_step(step, happening),
            (Line::Typed(typed), Some(session)) => {
                for line in session.run(&typed).map_err(at)?.lines() {
                    now.push_str(format!("    {line}").trim_end());
                    now.push('\n');
                }
            }
        }
    }
    Ok(now)
}

/// What is wrong with a scenario, in words for a person.
fn check(file: &Path) -> Option<String> {
    let shown = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(file).display();
    let kept = fs::read_to_string(file).expect("a scenario is text");
    match played(&kept) {
        Err((number, why)) => Some(format!("{shown}:{number}: {why}")),
        Ok(now) if now == kept => None,
        Ok(now) if std::env::var_os("UPDATE_FIXTURES").is_some() => {
            fs::write(file, now).expect("a fixture can be written");
            None
        }
        Ok(now) => {
            let diff = similar::TextDiff::from_lines(&kept, &now);
            Some(format!("{shown} differs:\n{}", diff.unified_diff().context_radius(2)))
        }
    }
}

#[test]
fn every_scenario_goes_as_it_says() {
    let files = files();
    assert!(files.len() >= 10, "only {} scenarios were found", files.len());
    let wrong: Vec<String> = files.iter().filter_map(|file| check(file)).collect();
    assert!(wrong.is_empty(), "UPDATE_FIXTURES=1 writes goldens anew:\n\n{}", wrong.join("\n"));
}

/// A scenario that goes on as before when what it shows is broken shows nothing.
#[test]
fn a_broken_guard_breaks_its_scenario() {
    let differs = |file: &str| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios").join(file);
        let kept = fs::read_to_string(&file).expect("a scenario is text");
        // A plan that does not end panics.
        std::panic::catch_unwind(|| played(&kept) != Ok(kept.clone())).unwrap_or(true)
    };
    let unnoticed: Vec<_> = SHOWN.iter().filter(|(guard, file)| !with_broken(*guard, || differs(file))).collect();
    assert!(unnoticed.is_empty(), "broken, and the scenario is the same: {unnoticed:?}");
}

/// The guards that a scenario is there to show.
const SHOWN: [(Guard, &str); 20] = [
    (Guard::AllSeenBeforeBootstrap, "bootstrap.txt"),
    (Guard::HealthyBeforeRestart, "quorum-back.txt"),
    (Guard::HealthyBeforeRemoval, "removal-refused.txt"),
    (Guard::SnapshotBeforeRisk, "removal-refused.txt"),
    (Guard::SurvivorsSeen, "quorum-lost.txt"),
    (Guard::SnapshotBeforeUpgrade, "upgrade-killed.txt"),
    (Guard::NoDowngradeOfACluster, "upgrade-killed.txt"),
    (Guard::TrustedBeforeIssued, "rotation-killed.txt"),
    (Guard::OldDroppedByName, "rotation-killed.txt"),
    (Guard::UsersGoByName, "users.txt"),
    (Guard::SoundBeforeChange, "corrupt-member-replaced.txt"),
    (Guard::DataStaysWithMember, "data-elsewhere.txt"),
    (Guard::OneConfigurationAtATime, "paths-changed.txt"),
    (Guard::SameDataBeforeRisk, "data-differs.txt"),
    (Guard::NewClusterByName, "all-wiped.txt"),
    (Guard::SuccessorIsReady, "address-mistyped.txt"),
    (Guard::AddressIsFree, "address-taken.txt"),
    (Guard::NamesApart, "names-changed.txt"),
    (Guard::DiskNotFull, "disk-full.txt"),
    (Guard::RoomBeforeStep, "disk-full.txt"),
];

#[test]
fn every_scenario_says_what_it_shows_and_can_be_read() {
    for file in files() {
        let text = fs::read_to_string(&file).expect("a scenario is text");
        let lines = text.lines().count();
        assert!(text.starts_with("# "), "{} does not begin with a comment", file.display());
        assert!(lines <= LINES_MAX, "{} has {lines} lines: too long to review", file.display());
    }
}

/// As many as a reviewer reads.
const LINES_MAX: usize = 80;

#[test]
fn a_line_that_cannot_be_played_is_told_with_its_place() {
    let cluster = "# It begins.\nhealthy cluster prod 3.5.16 etcd-1 etcd-2 etcd-3\n";
    let refusal = |line: &str| played(&format!("{cluster}{line}\n")).expect_err("it cannot be played");
    let (number, why) = refusal("unplug etcd-2");
    assert_eq!(number, 3);
    assert!(why.starts_with("unknown line: unplug etcd-2"), "{why}");
    for (line, wanted) in [
        ("kill etcd-9", "there is no host etcd-9"),
        ("revive etcd-1", "etcd-1 is not off"),
        ("declare nodes.etcd-4.adress = \"10.0.0.14\"", "adress"),
        ("undeclare nodes.etcd-4", "nodes.etcd-4 is not declared"),
        ("edit server.key on etcd-1: x", "server.key is not kept as text"),
        ("delete etcd.key of etcd-1", "etcd-1 has no file etcd.key"),
        ("in step 4: pass 3 days", "unknown line"),
        ("$ quorate plan --lots", "--lots"),
        ("$ quorate lock status", "only plan, apply, status and restore"),
        ("! quorate plan", "it exited with exit code 0"),
        ("healthy cluster prod 3.5.16 etcd-1", "a scenario has one cluster"),
    ] {
        let (number, why) = refusal(line);
        assert!(number == 3 && why.contains(wanted), "{line}: {number}: {why}");
    }
    let (_, why) = refusal("in step 4: kill quorate\n$ quorate apply --yes");
    assert!(why.contains("step 4 was not reached"), "{why}");
    assert_eq!(played("kill etcd-1\n").expect_err("nothing is there").0, 1);
}
