//! The built quorate, run to its end or killed on the way.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No apply of these tests takes as long; one that does is stuck.
const APPLY_TAKES: Duration = Duration::from_secs(600);

/// What one run said.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// The events of an apply, each with its second.
    pub timed: String,
}

/// Where an apply is killed.
#[derive(Clone, Copy, Debug)]
pub enum Kill {
    After(Duration),
    /// So long after the event of this number, of those that tell of steps and actions.
    AtEvent(usize, Duration),
}

/// How an apply ended.
#[derive(Debug)]
pub enum End {
    Exited(Run),
    Killed {
        /// What it was at.
        during: String,
        timed: String,
    },
}

pub struct Quorate {
    pub binary: PathBuf,
    /// Where cluster.toml is.
    pub folder: PathBuf,
}

impl Quorate {
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.folder).args(arguments).stdin(Stdio::null()).env_remove("SSH_AUTH_SOCK");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        let output = self.command(arguments).output().expect("the binary runs");
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            timed: String::new(),
        }
    }

    /// `apply --yes --json` with `more`, killed with SIGKILL at `kill` unless it ends before.
    pub fn apply(&self, more: &[String], kill: Option<Kill>) -> End {
        let errors = self.folder.join("apply.stderr");
        let mut command = self.command(&["apply", "--yes", "--json", "--lock-timeout", "30s"]);
        command.args(more).stdout(Stdio::piped()).stderr(File::create(&errors).expect("the folder can be written"));
        let mut child = command.spawn().expect("the binary runs");
        let lines = lines_of(&mut child);
        let follower = Follower {
            begun: Instant::now(),
            events: 0,
            during: "before the first step".to_owned(),
            stdout: String::new(),
            timed: String::new(),
        };
        let (follower, killed) = follower.follow(&lines, kill);
        if killed {
            // It may have ended by itself just now; then it was not killed.
            let _ended_already = child.kill();
        }
        let status = child.wait().expect("it ends");
        match status.code() {
            None => End::Killed { during: follower.during, timed: follower.timed },
            Some(code) => {
                let stderr = fs::read_to_string(&errors).unwrap_or_default();
                let timed = follower.timed;
                End::Exited(Run { code, stdout: follower.stdout, stderr, timed })
            }
        }
    }
}

impl Run {
    /// The facts that no step had predicted, by step; what shows that `effect` and the world differ.
    pub fn surprises(&self) -> Vec<String> {
        let mut title = String::new();
        let mut found = Vec::new();
        for event in self.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            match event["event"].as_str() {
                Some("step-started") => title = event["title"].as_str().unwrap_or_default().to_owned(),
                Some("step-done") if event["surprises"].as_array().is_some_and(|facts| !facts.is_empty()) => {
                    found.push(format!("{title}: {}", event["surprises"]));
                }
                _ => {}
            }
        }
        found
    }
}

/// A thread reads, so that waiting for a line can end before there is one.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let stdout = child.stdout.take().expect("it is piped");
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.into_iter().try_for_each(|line| sender.send(line))
    });
    receiver
}

struct Follower {
    begun: Instant,
    events: usize,
    during: String,
    stdout: String,
    timed: String,
}

impl Follower {
    /// Reads to the end, or to the place where apply is to be killed: then it is true.
    fn follow(mut self, lines: &Receiver<String>, kill: Option<Kill>) -> (Follower, bool) {
        loop {
            let limit = match kill {
                Some(Kill::After(delay)) => delay,
                Some(Kill::AtEvent(..)) | None => APPLY_TAKES,
            };
            match lines.recv_timeout(limit.saturating_sub(self.begun.elapsed())) {
                Ok(line) => self.note(&line),
                Err(RecvTimeoutError::Timeout) => return (self, true),
                Err(RecvTimeoutError::Disconnected) => return (self, false),
            }
            if let Some(Kill::AtEvent(number, pause)) = kill
                && self.events >= number
            {
                std::thread::sleep(pause);
                return (self, true);
            }
        }
    }

    fn note(&mut self, line: &str) {
        self.stdout.push_str(line);
        self.stdout.push('\n');
        let at = jiff::Timestamp::now().strftime("%H:%M:%S%.3f");
        self.timed.push_str(&format!("{at} {line}\n"));
        let Ok(event) = serde_json::from_str::<Value>(line) else { return };
        match event["event"].as_str() {
            Some("step-started") => {
                self.during = format!("during \"{}\"", event["title"].as_str().unwrap_or_default());
            }
            Some("step-done") => self.during = self.during.replace("during", "after"),
            Some("action-done") => {}
            _ => return,
        }
        self.events += 1;
    }
}
