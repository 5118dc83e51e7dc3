//! Commands on a host: typed, quoted in one place, run as root, under a deadline.
//!
//! ```text
//! one line for every login shell (line.rs) ─ the way to root (way.rs) ─ between marks (frame.rs): timeout ─ sh ◄─ script
//! ```
//!
//! Scripts with their arguments come on stdin, and behind them what they read: files, keys, archives.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::core::cluster::room;
use crate::core::complaint;
use crate::core::content::layout::{self, Listener, Previous};
use crate::core::desired::{Consumer, Desired, Paths};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{HostName, RemotePath, Version};
use crate::core::observed::{Access, Cause, File, Folder, Role};
use crate::shell::live::archive::Package;
use crate::shell::live::cause;
use crate::shell::live::ssh::{Connection, Exit, Held, Output, SshError, Stdin};

mod backup;
mod data;
mod departure;
mod frame;
mod line;
mod runtime;
mod stream;
mod sudo;
mod way;

pub use data::Source;
pub use frame::random_word;
pub use line::{quoted, with_arguments};
pub use stream::Stream;

use frame::{Frame, Framed};
use way::{Way, Ways};

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
}

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

/// What a script is told of who may read a file that it makes: nothing where only somebody else makes it.
fn given_access(desired: &Desired, file: File) -> Access {
    match layout::is_theirs(desired, file) && !desired.cluster.layout.is_set_up_by_us() {
        true => Access::new("", "", ""),
        false => layout::new_access(desired, file),
    }
}

/// Whether a file that is there keeps whose it is.
fn keeps_access(desired: &Desired, file: File) -> String {
    if layout::is_theirs(desired, file) { "theirs" } else { "ours" }.to_owned()
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
        let mut arguments = vec![layout::account(desired).to_owned(), desired.paths.data.to_string()];
        for &folder in Folder::ALL {
            let Access { mode, owner, group } = layout::new_folder_access(desired, folder);
            arguments.extend([layout::folder_path(desired, folder).to_string(), mode, owner, group]);
        }
        Self::new("creating the user and directories", include_str!("script/prepare.sh"), arguments)
    }

    /// Writes `text`, and tells who must hear of it.
    pub fn write(desired: &Desired, host: &HostName, file: File, text: &str) -> Self {
        let path = layout::path(desired, host, file);
        let Access { mode, owner, group } = given_access(desired, file);
        let row = layout::row(file);
        let then = match row.listener {
            Listener::Nobody => "",
            Listener::Units => "reload",
            Listener::Timer => "restart",
        };
        let whose = keeps_access(desired, file);
        let words =
            [path.as_str(), &text.len().to_string(), &mode, &owner, &group, word_of(row.previous), then, &whose];
        let arguments = words.map(str::to_owned).into();
        Self { stdin: text.into(), ..Self::new(format!("writing {path}"), include_str!("script/write.sh"), arguments) }
    }

    /// Replaces the certificate and the key of a role together.
    pub fn replace_pair(desired: &Desired, host: &HostName, role: Role, certificate: &str, key: &SecretString) -> Self {
        let key = key.expose_secret();
        let [certificate_name, key_name] =
            [role.certificate(), role.key()].map(|file| layout::path(desired, host, file).name().to_owned());
        let mut arguments = vec![desired.paths.certificates.to_string(), certificate_name.clone(), key_name.clone()];
        for (file, length) in [(role.certificate(), certificate.len()), (role.key(), key.len())] {
            let Access { mode, owner, group } = given_access(desired, file);
            arguments.extend([length.to_string(), mode, owner, group]);
        }
        arguments.push(keeps_access(desired, role.certificate()));
        if layout::is_theirs(desired, role.certificate()) {
            let others = [Role::Server, Role::Peer, Role::HealthcheckClient].into_iter().filter(|other| *other != role);
            let files = others.flat_map(|other| [other.certificate(), other.key()]);
            arguments.extend(files.map(|file| layout::path(desired, host, file).to_string()));
        }
        let mut both = Zeroizing::new(Vec::with_capacity(certificate.len() + key.len()));
        both.extend_from_slice(certificate.as_bytes());
        both.extend_from_slice(key.as_bytes());
        let what = format!("replacing {certificate_name} and {key_name}");
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

/// A host that commands can be sent to, over one connection.
#[derive(Clone)]
pub struct Remote {
    pub host: HostName,
    pub connection: Connection,
    ways: Arc<Ways>,
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
/// For a script that only reads a few files.
const ASKING_TAKES: Duration = Duration::from_secs(20);

/// As often as a script is sent again that did not begin: once more without the helper, once more with a new one.
const SENT_MAX: usize = 3;

/// Why a script was not run to its end, or is not known to have been.
pub enum Unrun {
    Ssh(SshError),
    /// It was not begun: there is no way to root, or the login shell runs nothing.
    Cause(Cause),
}

impl Unrun {
    /// What broke while `what` was done there.
    pub fn cause(self, host: &HostName, what: &str) -> Cause {
        match self {
            Self::Ssh(error) => cause::of_call(host, what, &error),
            Self::Cause(cause) => Cause { summary: format!("{what} on {host} failed: {}", cause.summary), ..cause },
        }
    }
}

impl Remote {
    pub fn new(host: &HostName, connection: Connection, elevation: Elevation) -> Self {
        Self { host: host.clone(), connection, ways: Arc::new(Ways::new(elevation)) }
    }

    /// Runs a script as root, which the host ends after `allowed`. Its exit status and what it printed itself.
    ///
    /// # Errors
    /// When it was not begun, or the host was lost, or it did not end in time.
    pub async fn exec(
        &self,
        what: &str,
        script: &str,
        stdin: impl Into<Stdin>,
        allowed: Duration,
    ) -> Result<Output, Unrun> {
        let mut stdin = Some(stdin.into());
        for _ in 0..SENT_MAX {
            let Some(body) = stdin.take() else { break };
            stdin = body.again();
            let (way, frame) = self.way().await?;
            let body = line::before(way.scripts(&frame, Some(allowed), script), body);
            let deadline = allowed + GRACE + way.grace();
            let output = match self.connection.exec(line::line(what), body, deadline).await {
                Ok(output) => output,
                Err(error) => {
                    self.without_helper(&way, error).await?;
                    continue;
                }
            };
            match frame.read(output) {
                Framed::Whole(output) => return Ok(output),
                Framed::Cut(output) => return Err(self.cut(&output)),
                Framed::NotBegun(output) => self.not_begun(&way, &frame, &output).await?,
            }
        }
        Err(self.way_lost())
    }

    /// Runs a script as the user who logs in, and returns what the login shell printed before it, and what it said itself.
    ///
    /// # Errors
    /// When the host was lost, or the script was not run to its end.
    pub async fn as_user(&self, what: &str, script: &str, allowed: Duration) -> Result<(String, String), Unrun> {
        let frame = way::new_frame(&self.host)?;
        let scripts = line::packed(&frame.script(Some(allowed))) + &line::packed(script);
        let stdin = line::before(scripts, Stdin::Empty);
        let output = self.connection.exec(line::line(what), stdin, allowed + GRACE).await.map_err(Unrun::Ssh)?;
        let before = String::from_utf8_lossy(frame.before(&output.stdout)).into_owned();
        match frame.read(output) {
            Framed::Whole(output) => Ok((before, String::from_utf8_lossy(&output.stdout).into_owned())),
            Framed::Cut(output) => Err(self.cut(&output)),
            Framed::NotBegun(output) => Err(way::not_begun(&self.host, &self.connection, &frame, &output).await),
        }
    }

    /// Starts a script as root that stays, and is ready when `ready` stands in what it prints; what it left, if it ended
    /// before. It reads what follows until the result is dropped.
    ///
    /// # Errors
    /// As [`Remote::exec`].
    pub async fn hold(
        &self,
        what: &str,
        script: &str,
        ready: &str,
        deadline: Duration,
    ) -> Result<Result<Held, Output>, Unrun> {
        for _ in 0..SENT_MAX {
            let (way, frame) = self.way().await?;
            let stdin = line::before(way.scripts(&frame, None, script), Stdin::Empty);
            let output = match self.connection.hold(line::line(what), stdin, ready, deadline + way.grace()).await {
                Ok(held) => return Ok(Ok(held)),
                Err(SshError::NotReady(output)) => *output,
                Err(error) => {
                    self.without_helper(&way, error).await?;
                    continue;
                }
            };
            match frame.read(output) {
                Framed::Whole(output) | Framed::Cut(output) => return Ok(Err(output)),
                Framed::NotBegun(output) => self.not_begun(&way, &frame, &output).await?,
            }
        }
        Err(self.way_lost())
    }

    /// Runs a script as root whose answer is read as it comes. It fails when no byte comes for `idle`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn stream(
        &self,
        what: &str,
        script: &str,
        stdin: impl Into<Stdin>,
        idle: Duration,
    ) -> Result<Stream, Unrun> {
        let (way, frame) = self.way().await?;
        let stdin = line::before(way.scripts(&frame, None, script), stdin.into());
        let stream = self.connection.stream(line::line(what), stdin, idle + way.grace()).map_err(Unrun::Ssh)?;
        Ok(Stream::new(self.clone(), way, frame, stream))
    }

    async fn way(&self) -> Result<(Way, Frame), Unrun> {
        let way = self.ways.way(&self.host, &self.connection).await?;
        Ok((way, way::new_frame(&self.host)?))
    }

    /// Goes on without a helper where it takes a session that is needed; all other errors are returned.
    async fn without_helper(&self, way: &Way, error: SshError) -> Result<(), Unrun> {
        match (way, error) {
            (Way::Helper(_), SshError::NoSession { .. }) => {
                self.ways.do_without(way, &self.host, &self.connection).await
            }
            (_, error) => Err(Unrun::Ssh(error)),
        }
    }

    /// Returns when it can be sent again, which is when its helper had gone.
    async fn not_begun(&self, way: &Way, frame: &Frame, output: &Output) -> Result<(), Unrun> {
        if way::is_gone(frame, output) {
            self.ways.forget(way).await;
            return Ok(());
        }
        Err(way::not_begun(&self.host, &self.connection, frame, output).await)
    }

    fn cut(&self, output: &Output) -> Unrun {
        let words = host_words(output);
        let said = if words.is_empty() { String::new() } else { format!("; it said: {words}") };
        let reason = format!("what ran there was killed, or its answer cut off{said}");
        Unrun::Ssh(SshError::Channel { host: self.host.to_string(), reason })
    }

    fn way_lost(&self) -> Unrun {
        let reason = "the helper that runs commands as root ended: run the same command again".to_owned();
        Unrun::Ssh(SshError::Channel { host: self.host.to_string(), reason })
    }

    /// Runs a command that changes something, under our lock and with a line in the host's log, and returns what it said.
    ///
    /// # Errors
    /// When it failed, when the lock is no longer ours, or when the host was lost; it may have been done all the same.
    pub async fn run(&self, command: Command, proof: &LockProof<'_>) -> Result<String, Diagnostic> {
        let Command { what, script, arguments, stdin, allowed } = command;
        let arguments = [proof.token, &proof.audit].into_iter().chain(arguments.iter().map(String::as_str));
        let script = line::with_arguments(&format!("{PRELUDE}\n{script}"), arguments);
        let output = match self.exec(&what, &script, stdin, allowed).await {
            Ok(output) => output,
            Err(Unrun::Ssh(error)) => return Err(cause::failed_call(&self.host, &what, &error)),
            Err(Unrun::Cause(cause)) => return Err(self.not_run(&what, cause)),
        };
        if output.is_success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(self.failure(&what, &output))
    }

    /// Runs a script that needs no lock, and returns its exit code and what it said.
    ///
    /// # Errors
    /// When the host was lost or root's rights are missing.
    pub async fn ask(&self, what: &str, script: &str, arguments: &[&str]) -> Result<(Exit, String), Cause> {
        let script = line::with_arguments(script, arguments);
        let output = self.exec(what, &script, Stdin::Empty, ASKING_TAKES).await;
        let output = output.map_err(|unrun| unrun.cause(&self.host, what))?;
        let said = if output.is_success() || !output.stdout.is_empty() { &output.stdout } else { &output.stderr };
        let said = String::from_utf8_lossy(said).into_owned();
        Ok((output.status, said))
    }

    fn not_run(&self, what: &str, cause: Cause) -> Diagnostic {
        Diagnostic::new(cause.code.kind(), format!("{what} on {} failed", self.host))
            .at(self.host.as_str())
            .with_cause(cause.summary)
            .hint(cause.hint.unwrap_or_default())
    }

    fn failure(&self, what: &str, output: &Output) -> Diagnostic {
        let host = &self.host;
        let said = said_or_status(output);
        match output.status {
            Exit::Code(LOCK_LOST) => Diagnostic::new(Kind::Locked, format!("{what} on {host} was not started"))
                .at(host.as_str())
                .with_cause(said)
                .hint("the lock was broken, or the host was restarted: see `quorate lock status`, then run again"),
            Exit::Code(124 | 137) => Diagnostic::failure(format!("{what} on {host} took too long and was stopped"))
                .at(host.as_str())
                .with_cause(said),
            _ if complaint::is_of_full_disk(&said) => {
                Diagnostic::failure(format!("{what} on {host} failed: a disk there is full"))
                    .at(host.as_str())
                    .with_cause(said)
                    .hint(room::after_full(host))
            }
            _ => Diagnostic::failure(format!("{what} on {host} failed")).at(host.as_str()).with_cause(said),
        }
    }
}

/// The exit status of a script whose lock is gone, or taken by another.
pub const LOCK_LOST: i32 = 75;

fn said_or_status(output: &Output) -> String {
    let said = host_words(output);
    if said.is_empty() { format!("it exited with {}", output.status) } else { said }
}

/// What a script printed on stderr, in the host's words: the error, or the last lines.
pub fn host_words(output: &Output) -> String {
    complaint::of_tool(&String::from_utf8_lossy(&output.stderr))
}

fn last_lines(said: &str) -> String {
    const LINES_MAX: usize = 5;
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].join("; ")
}
