//! Running other programs: always with a deadline, and with an error that says what was run and what it said.

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::Result;

/// For ip, mount, nft and the like, on a machine that is busy with other tests.
pub const QUICK: Duration = Duration::from_secs(20);
/// For a command over ssh.
pub const SSH: Duration = Duration::from_secs(60);
/// For a command inside a host, such as a service restart that waits for its own time-out of 90 s.
pub const INSIDE: Duration = Duration::from_secs(120);

/// Output quoted in an error is cut to this much of its end, where the reason usually is.
const QUOTED_CHARS_MAX: usize = 2000;

/// An error of the lab: one text, complete in itself.
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// `what` failed with `why`.
    pub fn new(what: impl fmt::Display, why: impl fmt::Display) -> Failure {
        Failure(format!("{what}: {why}"))
    }
}

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; 128 + N after signal N, as a shell has it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn succeeded(&self) -> bool {
        self.code == 0
    }
}

/// Unwraps for the public methods, blaming the test's line.
#[track_caller]
pub fn must<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|failure| panic!("{failure}"))
}

/// Whether a program is on the search path, or where root's programs are.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = longer_path().unwrap_or(path);
    path.split(':').any(|dir| Path::new(dir).join(program).is_file())
}

/// PATH with the folders of root's programs, which `su` and cron leave out; `None` where it has them. A program that is
/// given a PATH of its own costs a copy of this whole process, because std has to fork for it.
fn longer_path() -> Option<String> {
    const PROGRAMS: [&str; 5] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    let path = std::env::var("PATH").unwrap_or_default();
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|dir| !path.split(':').any(|has| has == *dir)).collect();
    (!missing.is_empty()).then(|| format!("{path}:{}", missing.join(":")))
}

/// Runs a program that must succeed, and returns its stdout.
pub fn succeed(command: &mut Command, stdin: &[u8], deadline: Duration) -> Result<String> {
    let output = run(command, stdin, deadline)?;
    if output.succeeded() {
        return Ok(output.stdout);
    }
    let said = format!("{}{}", output.stdout, output.stderr);
    Err(Failure(format!("{} exited with {}: {}", shown(command), output.code, last_part(&said))))
}

/// Runs a program to its end, whatever its exit code. At the deadline it is killed, with all that it started.
pub fn run(command: &mut Command, stdin: &[u8], deadline: Duration) -> Result<Output> {
    let started = Instant::now();
    command.env("LC_ALL", "C").process_group(0);
    if let Some(path) = longer_path() {
        command.env("PATH", path);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| Failure::new(shown(command), error))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    feed(&mut child, stdin);

    let status = loop {
        let polled = child.try_wait().map_err(|error| Failure::new(shown(command), error))?;
        if let Some(status) = polled {
            break status;
        }
        if started.elapsed() > deadline {
            kill_group(&mut child);
            let said = format!("{}{}", received(&stdout), received(&stderr));
            let limit = deadline.as_secs();
            return Err(Failure(format!("{} took more than {limit} s: {}", shown(command), last_part(&said))));
        }
        thread::sleep(pause(started.elapsed()));
    };
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Ok(Output { code, stdout: received(&stdout), stderr: received(&stderr) })
}

/// Short at first, so that quick programs stay quick.
pub fn pause(elapsed: Duration) -> Duration {
    (elapsed / 10).clamp(Duration::from_millis(1), Duration::from_millis(25))
}

/// The command as a person would type it.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    shlex::try_join(words.iter().copied()).unwrap_or_else(|_| words.join(" "))
}

fn last_part(said: &str) -> String {
    let said = said.trim();
    if said.is_empty() {
        return "it said nothing".to_owned();
    }
    let skipped = said.chars().count().saturating_sub(QUOTED_CHARS_MAX);
    said.chars().skip(skipped).collect()
}

fn kill_group(child: &mut Child) {
    if let Some(group) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        let _gone_already = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _reaped = child.wait();
}

/// A program may end without reading its input; that is its business.
fn feed(child: &mut Child, stdin: &[u8]) {
    let Some(mut pipe) = child.stdin.take() else {
        return;
    };
    if stdin.is_empty() {
        return;
    }
    let stdin = stdin.to_vec();
    thread::spawn(move || {
        let _ignored = pipe.write_all(&stdin);
    });
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _partial_is_fine = pipe.read_to_end(&mut bytes);
        }
        let _nobody_waits = sender.send(bytes);
    });
    receiver
}

/// What was said; nothing when a child that was left running still holds the pipe.
fn received(pipe: &Receiver<Vec<u8>>) -> String {
    let bytes = pipe.recv_timeout(Duration::from_secs(2)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
