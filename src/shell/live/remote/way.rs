//! How scripts become root's on one connection.
//!
//! ```text
//! root       login shell ─ sh ───────────────────────────────────────────── script
//! a user     login shell ─ sudo -n ─ helper ──┐ once, as long as the connection lasts
//!            login shell ─ sh ── FIFOs ───────┴─ sh ─────────────────────── script
//! the same where sshd allows too few sessions at once
//!            login shell ─ sudo -n ─ sh ─────────────────────────────────── script
//! ```
//!
//! sudo may take long (20 s where the host's own name does not resolve), and it may record what passes through it: it is
//! asked once a connection, and no script, answer or key comes through it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::frame::{Frame, Framed};
use super::line::{before, clean_shell, line, one_line, packed, quoted, reader};
use super::sudo::{self, Listed};
use super::{Elevation, Unrun, said_or_status};
use crate::core::code::Code;
use crate::core::names::HostName;
use crate::core::observed::Cause;
use crate::core::span;
use crate::shell::live::mutex::guarded;
use crate::shell::live::ssh::{Connection, Held, Output, SshError, Stdin};

/// For sudo: name servers and directory services that do not answer take it minutes.
const SUDO_TAKES: Duration = Duration::from_secs(180);

const SUDO: &str = concat!("exec sudo -n -u root ", clean_shell!());

/// In a session of its own: whatever ends sudo ends none of the scripts. By way of env, so that `secure_path` of sudoers need
/// not lead to setsid.
const SUDO_APART: &str =
    concat!("exec sudo -n -u root /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin setsid -w ", clean_shell!());

/// Before what only root may run. A login script that reads stdin takes the line that leads to root, and the next one would
/// be run without.
const IS_ROOT: &str =
    "[ -O /proc/1 ] || { echo 'a part of what came on stdin is missing: does a login script read it?' >&2; exit 1; }; ";

/// One of them.
#[derive(Clone)]
pub(super) enum Way {
    /// The user is root.
    Direct,
    Helper(Arc<Helper>),
    /// sudo is asked for every command.
    Sudo,
}

/// A shell of root's that runs what it is handed, until the connection ends.
pub(super) struct Helper {
    folder: String,
    requests: AtomicU64,
    held: Mutex<Option<Held>>,
}

impl Way {
    /// How much longer a script may take than it takes itself.
    pub fn grace(&self) -> Duration {
        match self {
            Self::Direct | Self::Helper(_) => Duration::ZERO,
            Self::Sudo => SUDO_TAKES,
        }
    }

    /// What goes on stdin so that `script` is run as root, within `frame` and for no longer than `allowed`.
    pub fn scripts(&self, frame: &Frame, allowed: Option<Duration>, script: &str) -> String {
        let check = if matches!(self, Self::Direct) { "" } else { IS_ROOT };
        let inner = one_line(&format!("{check}{}", frame.script(allowed))) + &packed(script);
        match self {
            Self::Direct => inner,
            Self::Sudo => one_line(&format!("{}; {SUDO}", frame.asking())) + &inner,
            Self::Helper(helper) => helper.request(frame) + &inner,
        }
    }

    fn is_there(&self) -> bool {
        match self {
            Self::Direct | Self::Sudo => true,
            Self::Helper(helper) => guarded(&helper.held).as_ref().is_some_and(Held::is_alive),
        }
    }
}

impl Helper {
    fn request(&self, frame: &Frame) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        request(frame.word(), &format!("{}/{number}", self.folder))
    }
}

/// Whether the helper that a request was for had gone before it began.
pub(super) fn is_gone(frame: &Frame, output: &Output) -> bool {
    let said = format!("quorate-gone-{}\n", frame.word());
    memchr::memmem::find(&output.stdout, said.as_bytes()).is_some()
}

/// The way of one connection, found when it is first needed.
pub(super) struct Ways {
    elevation: Elevation,
    found: tokio::sync::Mutex<Option<Way>>,
}

impl Ways {
    pub fn new(elevation: Elevation) -> Self {
        Self { elevation, found: tokio::sync::Mutex::default() }
    }

    pub async fn way(&self, host: &HostName, connection: &Connection) -> Result<Way, Unrun> {
        if self.elevation == Elevation::None || connection.user() == "root" {
            return Ok(Way::Direct);
        }
        // One asks sudo, and the others wait for what it says.
        let mut found = self.found.lock().await;
        if let Some(way) = found.as_ref().filter(|way| way.is_there()) {
            return Ok(way.clone());
        }
        let way = find(host, connection).await?;
        *found = Some(way.clone());
        Ok(way)
    }

    /// A helper has gone: the next command finds another.
    pub async fn forget(&self, way: &Way) {
        let mut found = self.found.lock().await;
        found.take_if(|kept| is_same(kept, way));
    }

    /// There is no session for a command beside the helper's: from now on sudo is asked for each.
    pub async fn do_without(&self, way: &Way, host: &HostName, connection: &Connection) -> Result<(), Unrun> {
        let mut found = self.found.lock().await;
        if let Some(Way::Helper(helper)) = found.take_if(|kept| is_same(kept, way)) {
            // What it runs goes on without it.
            drop(guarded(&helper.held).take());
            let why = "sshd allows no session more on the connection, so that each command needs its own sudo";
            *found = Some(every_time(host, connection, why).await?);
        }
        Ok(())
    }
}

fn is_same(one: &Way, other: &Way) -> bool {
    matches!((one, other), (Way::Helper(one), Way::Helper(other)) if Arc::ptr_eq(one, other))
}

/// Asks whether the user is root, and if not, sudo for a helper.
async fn find(host: &HostName, connection: &Connection) -> Result<Way, Unrun> {
    let frame = new_frame(host)?;
    let (word, asking) = (frame.word(), frame.asking());
    // Process 1 is root's, so who owns it needs no program to find out.
    let first = format!(
        "if [ -O /proc/1 ]; then echo \"quorate-way-{word} direct\"; exit; fi; {asking}; {SUDO_APART} quorate \"$(id -u)\""
    );
    let stdin = before(one_line(&first) + &packed(&format!("{IS_ROOT}\n{}", helper(word, "/run"))), Stdin::Empty);
    let ready = format!("quorate-way-{word} ");
    let output = match connection.hold(line("`sudo -n`"), stdin, &ready, SUDO_TAKES).await {
        Ok(held) => {
            let place = held.first_line.strip_prefix(&ready).unwrap_or_default().to_owned();
            return match place.as_str() {
                "direct" => Ok(Way::Direct),
                _ => {
                    let (requests, held) = (AtomicU64::new(0), Mutex::new(Some(held)));
                    Ok(Way::Helper(Arc::new(Helper { folder: place, requests, held })))
                }
            };
        }
        Err(SshError::NotReady(output)) => *output,
        Err(error) => return Err(late(host, &frame, error)),
    };
    // As root it ran; what it said is no matter where sudo can be asked every time.
    if let Some(own) = frame.own_words(&output.stderr) {
        let said = said_or_status(&Output { stderr: own.to_vec(), ..output.clone() });
        return every_time(host, connection, &format!("no helper could be started there: {said}")).await;
    }
    Err(not_begun(host, connection, &frame, &output).await)
}

/// The script of a helper whose lines hold `word`.
fn helper(word: &str, run: &str) -> String {
    let script = include_str!("../script/helper.sh").trim_end();
    format!("word={word} run={run} reader={}\n{script}", quoted(reader!()))
}

/// The line that hands a request to a helper.
fn request(word: &str, at: &str) -> String {
    one_line(&format!("at={at} word={word};\n{}", include_str!("../script/request.sh")))
}

/// Has sudo asked for every command, unless it keeps what passes through it.
async fn every_time(host: &HostName, connection: &Connection, why: &str) -> Result<Way, Unrun> {
    let listed = listed(host, connection).await?;
    match listed.records() {
        None => Ok(Way::Sudo),
        Some(option) => Err(Unrun::Cause(sudo::recorded(host, option, why, &listed))),
    }
}

/// What sudo says of itself to the user who logs in.
async fn listed(host: &HostName, connection: &Connection) -> Result<Listed, Unrun> {
    let frame = new_frame(host)?;
    let scripts = one_line(&frame.script(None)) + &packed("id -un; sudo -n -l 2>&1");
    let asked = connection.exec(line("`sudo -n -l`"), before(scripts, Stdin::Empty), SUDO_TAKES).await;
    match frame.read(asked.map_err(Unrun::Ssh)?) {
        Framed::Whole(output) | Framed::Cut(output) => Ok(Listed::parse(&String::from_utf8_lossy(&output.stdout))),
        Framed::NotBegun(_) => Ok(Listed::default()),
    }
}

/// Why a script did not come to its beginning.
pub(super) async fn not_begun(host: &HostName, connection: &Connection, frame: &Frame, output: &Output) -> Unrun {
    if let Some(said) = frame.words_of_sudo(&output.stderr) {
        let said = said_or_status(&Output { stderr: said.to_vec(), ..output.clone() });
        let listed = listed(host, connection).await.unwrap_or_default();
        return Unrun::Cause(sudo::refused(host, &said, &listed));
    }
    // Some login shells that let nobody in say so on stdout.
    let stderr = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let said = said_or_status(&Output { stderr: stderr.clone(), ..output.clone() });
    Unrun::Cause(Cause {
        code: Code::ProbeFailed,
        summary: format!("the login shell on {host} did not run what it was given: {said}"),
        hint: Some(format!("`ssh {} /usr/bin/env` must work, and there must be a sh on {host}", connection.typed())),
    })
}

/// An error of the connection; where it was sudo that took too long, in those words.
fn late(host: &HostName, frame: &Frame, error: SshError) -> Unrun {
    if let SshError::Timeout { after, said, .. } = &error
        && let Some(said) = frame.words_of_sudo(said.as_bytes())
    {
        let said = String::from_utf8_lossy(said);
        return Unrun::Cause(sudo::slow(host, &span::limit(*after), &super::last_lines(&said)));
    }
    Unrun::Ssh(error)
}

pub(super) fn new_frame(host: &HostName) -> Result<Frame, Unrun> {
    let reason = || "this machine provides no random numbers".to_owned();
    Frame::new().ok_or_else(|| Unrun::Ssh(SshError::Channel { host: host.to_string(), reason: reason() }))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::shell::live::ssh::Exit;

    /// A helper of the user who runs the tests, and its folder.
    fn started(run: &Path) -> (Child, String) {
        let uid = Command::new("id").arg("-u").output().expect("there is an id").stdout;
        let uid = String::from_utf8(uid).expect("a number");
        let mut child = Command::new("sh")
            .args(["-c", &helper("w", &run.display().to_string()), "quorate", uid.trim()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a sh");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it speaks");
        let folder = line.strip_prefix("quorate-way-w ").expect("it is ready").trim_end().to_owned();
        (child, folder)
    }

    fn asked(at: &str, frame: &Frame, script: &str, body: &str) -> Output {
        let allowed = Some(Duration::from_secs(5));
        let stdin = request(frame.word(), at) + &one_line(&frame.script(allowed)) + &packed(script) + body;
        let mut child = Command::new("sh")
            .args(["-c", reader!()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is a sh");
        child.stdin.take().expect("piped").write_all(stdin.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        Output { status: Exit::Code(0), stdout: output.stdout, stderr: output.stderr }
    }

    fn is_left(run: &Path) -> bool {
        std::fs::read_dir(run).expect("it is there").next().is_some()
    }

    fn wait_until_gone(run: &Path) {
        let begun = std::time::Instant::now();
        while is_left(run) {
            assert!(begun.elapsed() < Duration::from_secs(10), "the folder is left");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_helper_runs_what_it_is_handed_and_leaves_nothing() {
        let run = tempfile::tempdir().expect("there is a temporary folder");
        let (mut child, folder) = started(run.path());
        for (number, status) in [(0, 7), (1, 0)] {
            let frame = Frame::new().expect("there is chance");
            let script = format!("echo err >&2; cat; exit {status}");
            let output = asked(&format!("{folder}/{number}"), &frame, &script, "body");
            let Framed::Whole(whole) = frame.read(output) else { panic!("it is whole") };
            assert_eq!(whole.status, Exit::Code(status));
            assert_eq!((whole.stdout.as_slice(), whole.stderr.as_slice()), (&b"body"[..], &b"err\n"[..]));
        }
        // The end of its stdin is that of the connection.
        drop(child.stdin.take());
        assert!(child.wait().expect("it ends").success());
        wait_until_gone(run.path());
    }

    #[test]
    fn what_a_script_does_not_read_holds_nobody_up() {
        let run = tempfile::tempdir().expect("there is a temporary folder");
        let (mut child, folder) = started(run.path());
        let frame = Frame::new().expect("there is chance");
        let output = asked(&format!("{folder}/0"), &frame, "exit 5", &"x".repeat(1 << 16));
        let Framed::Whole(whole) = frame.read(output) else { panic!("it is whole") };
        assert_eq!(whole.status, Exit::Code(5));
        drop(child.stdin.take());
        child.wait().expect("it ends");
    }

    #[test]
    fn a_request_to_a_helper_that_is_killed_is_not_begun() {
        let run = tempfile::tempdir().expect("there is a temporary folder");
        let (mut child, folder) = started(run.path());
        let frame = Frame::new().expect("there is chance");
        // It takes no request any more, and has taken none that is waiting.
        let stopped = Command::new("kill").args(["-STOP", &child.id().to_string()]).status().expect("there is a kill");
        assert!(stopped.success());
        let at = format!("{folder}/0");
        let output = std::thread::scope(|scope| {
            let asking = scope.spawn(|| asked(&at, &frame, "true", ""));
            std::thread::sleep(Duration::from_millis(200));
            child.kill().expect("it is there");
            asking.join().expect("it ends")
        });
        assert!(is_gone(&frame, &output), "{output:?}");
        assert!(matches!(frame.read(output), Framed::NotBegun(_)));
        child.wait().expect("it is dead");
        wait_until_gone(run.path());
        let later = asked(&at, &frame, "true", "");
        assert!(is_gone(&frame, &later), "{later:?}");
    }

    #[test]
    fn the_next_helper_clears_up() {
        let run = tempfile::tempdir().expect("there is a temporary folder");
        // As one that was killed with all that belongs to it leaves it.
        let folder = run.path().join("quorate.session.0123456789");
        std::fs::create_dir(&folder).expect("it is new");
        let made = Command::new("mkfifo").arg(folder.join("ask")).status().expect("there is a mkfifo");
        assert!(made.success());
        let (mut child, _) = started(run.path());
        assert!(!folder.exists());
        drop(child.stdin.take());
        child.wait().expect("it ends");
        wait_until_gone(run.path());
    }

    /// FIFOs are made ahead, and where they are not yet, by who asks.
    #[test]
    fn a_helper_is_asked_many_times() {
        let run = tempfile::tempdir().expect("there is a temporary folder");
        let (mut child, folder) = started(run.path());
        for number in (0..300).chain([1000]) {
            let frame = Frame::new().expect("there is chance");
            let output = asked(&format!("{folder}/{number}"), &frame, "cat", "body");
            assert!(matches!(frame.read(output), Framed::Whole(whole) if whole.stdout == b"body"), "{number}");
        }
        let left = std::fs::read_dir(&folder).expect("it is there").count();
        assert!(left < 600, "{left} are left");
        drop(child.stdin.take());
        child.wait().expect("it ends");
        wait_until_gone(run.path());
    }

    #[test]
    fn a_helper_that_is_killed_leaves_no_folder() {
        let run = tempfile::tempdir().expect("there is a temporary folder");
        let (mut child, _) = started(run.path());
        let stdin = child.stdin.take();
        child.kill().expect("it runs");
        child.wait().expect("it is dead");
        drop(stdin);
        wait_until_gone(run.path());
    }
}
