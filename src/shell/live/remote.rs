//! Commands on a host: typed, quoted in one place, run as root, under a deadline.
//!
//! ```text
//! login shell ─ sh: root? ─┬─ yes ──────────┬─ timeout ─ sh ARGUMENTS   < script, then bodies and secrets
//!                          └─ no ─ sudo -n ─┘
//! ```
//!
//! The script comes on stdin, too: sudo writes every command line to the host's log, and login shells differ in what
//! they make of a long one. A script says `quorate-begin` first: when that is missing, the way to root is what failed,
//! and not the script.

use std::borrow::Cow;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::core::code::Code;
use crate::core::complaint;
use crate::core::content::layout::{self, Listener, Previous};
use crate::core::desired::{Consumer, Desired, Paths};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{HostName, RemotePath, Version};
use crate::core::observed::{Access, Cause, File, Folder, Role};
use crate::shell::live::archive::Package;
use crate::shell::live::cause;
use crate::shell::live::ssh::{Connection, Exit, Output, SshError, Stdin};

mod backup;
mod departure;
mod data;
mod runtime;

pub use data::Source;

/// One word of a shell's command line.
pub fn quoted(word: &str) -> String {
    // It refuses only a NUL. None of our words holds one, and the connection refuses a command that does.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Cow::into_owned)
}

/// Runs its arguments as root. Process 1 is root's, so who owns it needs no program to find out.
const AS_ROOT: &str = "if [ -O /proc/1 ]; then exec \"$@\"; fi; LC_ALL=C; export LC_ALL; \
                       echo quorate-sudo >&2; exec sudo -n \"$@\"";
const AS_USER: &str = "exec \"$@\"";

/// How commands become root's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elevation {
    /// By `sudo -n`, unless the user is root.
    Sudo,
    /// Not at all: the user is expected to be root.
    None,
}

impl Elevation {
    pub fn of(desired: &Desired) -> Self {
        if desired.ssh.sudo == Some(false) { Self::None } else { Self::Sudo }
    }

    /// The text for the login shell, whatever shell that is.
    pub fn command(self, words: &[&str]) -> String {
        let way = match self {
            Self::Sudo => AS_ROOT,
            Self::None => AS_USER,
        };
        let words: Vec<_> = ["sh", "-c", way, "quorate"].iter().chain(words).map(|word| quoted(word)).collect();
        format!("exec {}", words.join(" "))
    }
}

/// What every script prints first.
const BEGIN: &[u8] = b"quorate-begin\n";
/// On stderr: sudo was asked.
const SUDO: &str = "quorate-sudo\n";

/// One command that changes something on a host.
pub struct Command {
    /// What it does, for messages: `writing /etc/etcd/etcd.yaml`.
    pub what: String,
    script: Cow<'static, str>,
    arguments: Vec<String>,
    stdin: Stdin,
    allowed: Duration,
}

/// For commands that only touch files and systemd. A loaded host with a slow disk syncs for many seconds.
const QUICK: Duration = Duration::from_secs(60);
/// For copying and unpacking an archive of some 25 MB, also over a slow line.
const LONG: Duration = Duration::from_secs(900);

/// A line or a disk that is slower than this is not to be waited for.
const SLOWEST_BYTES_A_SECOND: u64 = 1 << 20;

/// For work on so many bytes of a database, after `least` for all that does not depend on them.
pub(super) fn scaled(least: Duration, bytes: u64) -> Duration {
    least + Duration::from_secs(bytes / SLOWEST_BYTES_A_SECOND)
}

/// What the script is told of the file that another one replaces.
fn word_of(previous: Previous) -> &'static str {
    match previous {
        Previous::Kept => "always",
        Previous::KeptIfForeign => "foreign",
        Previous::Replaced => "never",
    }
}

impl Command {
    fn new(what: impl Into<String>, script: impl Into<Cow<'static, str>>, arguments: Vec<String>) -> Self {
        Self { what: what.into(), script: script.into(), arguments, stdin: Stdin::Empty, allowed: QUICK }
    }

    /// Changes nothing: only whether the lock is ours is checked, and the log written.
    pub fn nothing() -> Self {
        Self::new("checking the lock", ":", Vec::new())
    }

    pub fn prepare(desired: &Desired) -> Self {
        let mut arguments = vec![layout::ACCOUNT.to_owned(), desired.paths.data.to_string()];
        for &folder in Folder::ALL {
            let Access { mode, owner, group } = layout::folder_access(folder);
            arguments.extend([layout::folder_path(desired, folder).to_string(), mode, owner, group]);
        }
        Self::new("creating the user and directories", include_str!("script/prepare.sh"), arguments)
    }

    /// Writes `text`, and tells who must hear of it.
    pub fn write(desired: &Desired, file: File, text: &str) -> Self {
        let path = layout::path(desired, file);
        let Access { mode, owner, group } = layout::access(file);
        let row = layout::row(file);
        let then = match row.listener {
            Listener::Nobody => "",
            Listener::Units => "reload",
            Listener::Timer => "restart",
        };
        let words = [path.as_str(), &text.len().to_string(), &mode, &owner, &group, word_of(row.previous), then];
        let arguments = words.map(str::to_owned).into();
        Self { stdin: text.into(), ..Self::new(format!("writing {path}"), include_str!("script/write.sh"), arguments) }
    }

    /// Replaces the certificate and the key of a role together.
    pub fn replace_pair(desired: &Desired, role: Role, certificate: &str, key: &SecretString) -> Self {
        let stem = role.file_stem();
        let key = key.expose_secret();
        let mut arguments = vec![desired.paths.certificates.to_string(), format!("{stem}.crt"), format!("{stem}.key")];
        for (file, length) in [(role.certificate(), certificate.len()), (role.key(), key.len())] {
            let Access { mode, owner, group } = layout::access(file);
            arguments.extend([length.to_string(), mode, owner, group]);
        }
        let mut both = Zeroizing::new(Vec::with_capacity(certificate.len() + key.len()));
        both.extend_from_slice(certificate.as_bytes());
        both.extend_from_slice(key.as_bytes());
        let what = format!("replacing {stem}.crt and {stem}.key");
        Self { stdin: Stdin::Bytes(both), ..Self::new(what, include_str!("script/pair.sh"), arguments) }
    }

    /// Writes the files of a consumer that are given, and tells it.
    pub fn keep_consumer(
        consumer: &Consumer,
        due: &RemotePath,
        authority: Option<&str>,
        pair: Option<(&str, &SecretString)>,
    ) -> Self {
        let (certificate, key) = pair.map_or(("", ""), |(certificate, key)| (certificate, key.expose_secret()));
        let bodies = [certificate, key, authority.unwrap_or_default()];
        let path = |path: Option<&RemotePath>| path.map_or_else(String::new, RemotePath::to_string);
        let paths = [Some(&consumer.certificate), Some(&consumer.key), consumer.authority.as_ref()].map(path);
        let [owner, group, due] = [consumer.owner.clone(), consumer.group.clone(), due.to_string()];
        let lengths = bodies.map(|body| body.len().to_string());
        let last = [consumer.reload.clone().unwrap_or_default()];
        let arguments = paths.into_iter().chain([owner, group, due]).chain(lengths).chain(last).collect();
        let mut all = Zeroizing::new(Vec::with_capacity(bodies.iter().map(|body| body.len()).sum()));
        bodies.iter().for_each(|body| all.extend_from_slice(body.as_bytes()));
        let what = format!("storing the files next to {}", consumer.certificate);
        Self { stdin: Stdin::Bytes(all), ..Self::new(what, include_str!("script/consumer.sh"), arguments) }
    }

    /// Puts the authority's pair, certificate and key, at these paths of a node; a certificate that is there is only replaced where the pair is new.
    pub fn write_authority([certificate_path, key_path]: [&RemotePath; 2], pair: [&[u8]; 2], is_new: bool) -> Self {
        let which = if is_new { "always" } else { "absent" };
        let (trust, own) = (layout::access(File::Trust), layout::authority_key_access());
        let lengths = pair.map(|content| content.len().to_string());
        let words =
            [certificate_path.as_str(), which, &lengths[0], &trust.mode, key_path.as_str(), &lengths[1], &own.mode];
        let arguments = words.map(str::to_owned).into();
        let stdin = Stdin::Bytes(Zeroizing::new(pair.concat()));
        let what = format!("writing {key_path}");
        Self { stdin, ..Self::new(what, include_str!("script/authority.sh"), arguments) }
    }

    /// Pushes and unpacks an archive.
    pub fn install(paths: &Paths, version: Version, package: &Package) -> Self {
        let digest = package.facts.sha256.to_string();
        let words = [paths.binaries.to_string(), version.to_string(), digest, package.strip.to_string()];
        let arguments = words.into_iter().chain(package.members.iter().cloned()).collect();
        let stdin = Stdin::Reader { reader: Box::new(package.reader()), progress: None };
        let what = format!("installing etcd {version}");
        Self { stdin, allowed: LONG, ..Self::new(what, include_str!("script/install.sh"), arguments) }
    }

    pub fn link_tools(desired: &Desired, version: Version) -> Self {
        let folder = desired.paths.binaries.join(&version.to_string());
        let words = [desired.paths.binaries.as_str(), folder.as_str(), layout::TOOLS_FOLDER];
        let what = format!("pointing etcdctl at {version}");
        Self::new(what, include_str!("script/tools.sh"), words.map(str::to_owned).into())
    }

    pub fn restore_access(path: &RemotePath, access: Access) -> Self {
        let Access { mode, owner, group } = access;
        let what = format!("restoring owner and mode of {path}");
        Self::new(what, include_str!("script/access.sh"), vec![path.to_string(), mode, owner, group])
    }
}

/// A host that commands can be sent to.
#[derive(Clone)]
pub struct Remote {
    pub host: HostName,
    pub connection: Connection,
    pub elevation: Elevation,
}

/// What a command that changes something carries along: that the lock of its host is ours.
pub struct LockProof<'a> {
    /// The token of our lock on that host.
    pub token: &'a str,
    /// The line in the host's log: who does what, for which plan.
    pub audit: String,
}

const PRELUDE: &str = include_str!("script/prelude.sh");
/// Between the end that a host sets to its command and the end that we set to waiting for it.
const GRACE: Duration = Duration::from_secs(10);

impl Remote {
    /// Runs a program as root.
    ///
    /// # Errors
    /// When the host was lost, or the program did not end in time.
    pub async fn exec(&self, words: &[&str], stdin: impl Into<Stdin>, deadline: Duration) -> Result<Output, SshError> {
        self.connection.exec(&self.elevation.command(words), stdin, deadline).await
    }

    /// Runs a command that changes something, under our lock and with a line in the host's log, and returns what it said.
    ///
    /// # Errors
    /// When it failed, when the lock is no longer ours, or when the host was lost; it may have been done all the same.
    pub async fn run(&self, command: Command, proof: &LockProof<'_>) -> Result<String, Diagnostic> {
        let Command { what, script, arguments, stdin, allowed } = command;
        let script = format!("{PRELUDE}\n{}", script.trim_end());
        let seconds = allowed.as_secs().to_string();
        let shell = reading_shell(&script);
        let mut words = vec!["timeout", "-k", "5", &seconds, "sh", "-c", &shell, "quorate", proof.token, &proof.audit];
        words.extend(arguments.iter().map(String::as_str));
        let output = self.exec(&words, after(script, stdin), allowed + GRACE).await;
        let output = output.map_err(|error| cause::failed_call(&self.host, &what, &error))?;
        match after_begin(&output.stdout) {
            Some(said) if output.is_success() => Ok(String::from_utf8_lossy(said).into_owned()),
            _ => Err(self.failure(&what, &output)),
        }
    }

    /// Runs a script that needs no lock, and returns its exit code and what it said after its beginning.
    ///
    /// # Errors
    /// When the host was lost or root's rights are missing.
    pub async fn ask(&self, what: &str, script: &str, arguments: &[&str]) -> Result<(Exit, String), Cause> {
        let mut words = vec!["timeout", "-k", "5", "20", "sh", "-s", "--"];
        words.extend(arguments);
        let output = self.exec(&words, script, Duration::from_secs(30)).await;
        let output = output.map_err(|error| cause::of_call(&self.host, what, &error))?;
        match after_begin(&output.stdout) {
            Some(said) => {
                let said = if output.is_success() || !said.is_empty() { said } else { &output.stderr };
                Ok((output.status.clone(), String::from_utf8_lossy(said).into_owned()))
            }
            None => Err(not_answered(&self.host, what, &output)),
        }
    }

    fn failure(&self, what: &str, output: &Output) -> Diagnostic {
        let host = &self.host;
        if !has_begun(output)
            && let Some(cause) = no_root(host, output)
        {
            return Diagnostic::new(cause.code.kind(), format!("{what} on {host} failed"))
                .at(host.as_str())
                .with_cause(cause.summary)
                .hint(cause.hint.unwrap_or_default());
        }
        let said = said_or_status(output);
        match output.status {
            Exit::Code(LOCK_LOST) => Diagnostic::new(Kind::Locked, format!("{what} on {host} was not started"))
                .at(host.as_str())
                .with_cause(said)
                .hint("the lock was broken, or the host was restarted: see `quorate lock status`, then run again"),
            Exit::Code(124 | 137) => Diagnostic::failure(format!("{what} on {host} took too long and was stopped"))
                .at(host.as_str())
                .with_cause(said),
            _ => Diagnostic::failure(format!("{what} on {host} failed")).at(host.as_str()).with_cause(said),
        }
    }
}

/// A script that only asks did not come to its beginning.
fn not_answered(host: &HostName, what: &str, output: &Output) -> Cause {
    let failed = |why: String| format!("{what} on {host} failed: {why}");
    match no_root(host, output) {
        Some(cause) => Cause { summary: failed(cause.summary), ..cause },
        None => Cause { code: Code::ProbeFailed, summary: failed(said_or_status(output)), hint: None },
    }
}

/// What runs a script that comes on stdin before its body. A shell that reads its own script reads ahead; head takes the
/// script's bytes and leaves the rest. A script that did not arrive whole is not begun.
fn reading_shell(script: &str) -> String {
    format!("s=$(head -c {0}); [ \"${{#s}}\" = {0} ] && eval \"$s\"", script.len())
}

/// The script, then what it reads.
fn after(script: String, stdin: Stdin) -> Stdin {
    match stdin {
        Stdin::Empty => Stdin::Bytes(Zeroizing::new(script.into_bytes())),
        Stdin::Bytes(body) => {
            let mut both = Zeroizing::new(Vec::with_capacity(script.len() + body.len()));
            both.extend_from_slice(script.as_bytes());
            both.extend_from_slice(&body);
            Stdin::Bytes(both)
        }
        Stdin::Reader { reader, progress } => {
            let reader = Box::new(std::io::Read::chain(std::io::Cursor::new(script), reader));
            Stdin::Reader { reader, progress }
        }
    }
}

/// The exit status of a script whose lock is gone, or taken by another.
pub const LOCK_LOST: i32 = 75;

fn has_begun(output: &Output) -> bool {
    after_begin(&output.stdout).is_some()
}

/// What a script printed, without what a login shell printed before it.
pub fn after_begin(stdout: &[u8]) -> Option<&[u8]> {
    let at = stdout.windows(BEGIN.len()).position(|window| window == BEGIN)?;
    Some(&stdout[at + BEGIN.len()..])
}

/// Why nothing ran as root, if that is what went wrong: for an output without its beginning.
pub fn no_root(host: &HostName, output: &Output) -> Option<Cause> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let (_, said) = stderr.split_once(SUDO)?;
    let said = said.trim();
    let said = if said.is_empty() { format!("it exited with {}", output.status) } else { said.to_owned() };
    Some(Cause { code: Code::Sudo, summary: format!("sudo on {host} refused: {said}"), hint: Some(sudo_hint()) })
}

pub fn sudo_hint() -> String {
    "allow `user` of [ssh] to run everything without a password, for example `ops ALL=(root) NOPASSWD: ALL` in \
     /etc/sudoers.d/quorate; or log in as root"
        .to_owned()
}

fn said_or_status(output: &Output) -> String {
    let said = host_words(output);
    if said.is_empty() { format!("it exited with {}", output.status) } else { said }
}

/// What a host printed on stderr, in its own words: the error, or the last lines.
pub fn host_words(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stderr = stderr.split_once(SUDO).map_or(&*stderr, |(_, said)| said);
    complaint::of_tool(stderr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word_in_any_shell() {
        for word in ["", "plain", "two words", "it's", "$HOME `id` \"x\" \\", "-n", "a\nb", "!", "*"] {
            let output = std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(word))).output();
            assert_eq!(output.expect("there is a sh").stdout, word.as_bytes(), "{word:?}");
        }
    }

    #[test]
    fn a_script_is_whole_or_not_begun_and_leaves_its_body_alone() {
        let script = "echo \"$1\"; cat";
        let run = |stdin: &[u8]| {
            let mut child = std::process::Command::new("sh")
                .args(["-c", &reading_shell(script), "quorate", "argument"])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .expect("there is a sh");
            std::io::Write::write_all(&mut child.stdin.take().expect("piped"), stdin).expect("it reads");
            String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("text")
        };
        assert_eq!(run(format!("{script}body\n").as_bytes()), "argument\nbody\n");
        assert_eq!(run(b"echo \"$1\""), "");
    }

    #[test]
    fn scripts_have_as_many_bytes_as_letters() {
        for script in [PRELUDE, include_str!("script/lock.sh"), include_str!("script/install.sh")] {
            assert!(script.is_ascii());
        }
    }

    #[test]
    fn what_sudo_says_is_told_and_a_failure_of_the_script_is_not_taken_for_it() {
        let output =
            |stdout: &str, stderr: &str| Output { status: Exit::Code(1), stdout: stdout.into(), stderr: stderr.into() };
        let host = HostName::new("etcd-1");
        let refused = no_root(&host, &output("", "motd\nquorate-sudo\nsudo: a password is required\n"));
        let refused = refused.expect("sudo was asked");
        assert_eq!(refused.summary, "sudo on etcd-1 refused: sudo: a password is required");
        assert_eq!(no_root(&host, &output("", "sh: cannot fork\n")), None);
        assert_eq!(host_words(&output("", "motd\nquorate-sudo\nmv: no\n\n")), "mv: no");
    }
}
