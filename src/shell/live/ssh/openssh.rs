//! The system's own ssh as the way to a host: for servers that speak only what libssh2 does not (post-quantum key exchange,
//! hardware keys, Kerberos, second factors).
//!
//! ```text
//! task ── ssh -S socket HOST COMMAND ──►┐
//! task ── ssh -S socket -W TO HOST ────►┴─ control socket ── ssh master, logged in ── sshd
//! ```
//!
//! One connection a host. Every command is an ssh of its own over the control socket, and never connects by itself. The
//! master ends with the last handle; when we are killed, a minute after its last command.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::error::{ConnectFailure, SshError};
use super::process::{Line, OUTPUT_BYTES_MAX, Stdin, line_from};
use super::target::Target;
use super::{Exit, Output};
use crate::core::url;

/// Before a password, a code or a finger is there.
const LOGIN_BY_HAND: Duration = Duration::from_secs(90);
/// Who is asked for something must not be asked for two hosts at once.
static TERMINAL: Mutex<()> = Mutex::const_new(());
/// sshd allows 10 sessions on a connection (MaxSessions); those that are held for long are not counted here.
const SESSIONS_MAX: usize = 8;
/// What ssh itself exits with when it fails.
const FAILED: i32 = 255;
/// How much of what ssh said is shown.
const SAID_BYTES_MAX: u64 = 2048;
/// Longer than any answer of a host that refuses a connection: then the way is taken to be open.
const REFUSAL_TAKES_MAX: Duration = Duration::from_millis(300);

pub(super) struct Master {
    pub label: String,
    /// As [`Target::typed`].
    typed: String,
    /// With the control socket, which nobody else may use.
    folder: tempfile::TempDir,
    /// `-F`, `-l`, `-p`, and what known hosts there are.
    words: Vec<OsString>,
    /// How long it took to log in.
    login_took: Duration,
    sessions: Semaphore,
    end: OnceLock<String>,
}

impl Master {
    /// With the name of who is logged in.
    pub async fn open(target: &Target, deadline: Duration) -> Result<(Master, String), SshError> {
        let user = target.resolve().await?.user;
        let failed = |error: io::Error| SshError::Closed { host: target.alias.clone(), reason: error.to_string() };
        // A socket's path may have no more than 100 letters.
        let folder = tempfile::Builder::new().prefix("quorate-").tempdir_in("/tmp").map_err(failed)?;
        let begun = Instant::now();
        let mut master = Master {
            label: target.alias.clone(),
            typed: target.typed(),
            folder,
            words: words(target),
            login_took: Duration::ZERO,
            sessions: Semaphore::new(SESSIONS_MAX),
            end: OnceLock::new(),
        };
        match master.log_in(deadline, false).await {
            // Something is to be typed or touched, and somebody may be there to do it.
            Err(SshError::Auth { .. }) if io::stdin().is_terminal() && io::stderr().is_terminal() => {
                let _one_at_a_time = TERMINAL.lock().await;
                master.log_in(LOGIN_BY_HAND, true).await?;
            }
            logged_in => logged_in?,
        }
        master.login_took = begun.elapsed();
        Ok((master, user))
    }

    /// Starts the master, which goes to the background when it is logged in.
    async fn log_in(&self, deadline: Duration, by_hand: bool) -> Result<(), SshError> {
        let failed = |error: io::Error| self.broken(format!("ssh could not be run: {error}"));
        let said = tempfile::tempfile().map_err(failed)?;
        let mut command = Command::new("ssh");
        command.args(["-f", "-N", "-M", "-S"]).arg(self.socket()).args(["-o", "ControlPersist=60"]);
        command.args(["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=2"]);
        command.arg("-o").arg(format!("ConnectTimeout={}", deadline.as_secs().max(1)));
        command.arg("-o").arg(format!("BatchMode={}", if by_hand { "no" } else { "yes" }));
        command.args(&self.words).arg("--").arg(&self.label);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone().map_err(failed)?).kill_on_drop(true);
        if !by_hand {
            // Its own process group: a ^C is for us to handle. Who is to be asked must stay in ours.
            command.process_group(0);
        }
        let status = timeout(deadline, async { command.spawn()?.wait().await }).await;
        let status = match status {
            Err(_) => {
                let what = "logging in".to_owned();
                return Err(SshError::Timeout { host: self.label.clone(), what, after: deadline, said: text_of(said) });
            }
            Ok(status) => status.map_err(failed)?,
        };
        match status.success() {
            true => Ok(()),
            false => Err(self.not_logged_in(&text_of(said))),
        }
    }

    /// What ssh said, as the kind that it is.
    fn not_logged_in(&self, said: &str) -> SshError {
        let (host, typed) = (self.label.clone(), self.typed.clone());
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it says nothing");
        let has = |words: &str| said.contains(words);
        if has("Host key verification failed") {
            return SshError::HostKeyRefused { host, said: said.trim().to_owned(), typed };
        }
        if has("Permission denied") || has("Too many authentication failures") {
            let user = last.split_once('@').map_or("the declared user", |(user, _)| user).to_owned();
            return SshError::Auth { host, user, tried: vec![format!("ssh: {last}")], typed };
        }
        if has("Could not resolve hostname") {
            return SshError::Unresolvable { host, reason: last.to_owned(), typed };
        }
        let failures = [
            ("Connection refused", ConnectFailure::Refused),
            ("No route to host", ConnectFailure::Unreachable("no route to host".to_owned())),
            ("Network is unreachable", ConnectFailure::Unreachable("the network is unreachable".to_owned())),
            ("timed out", ConnectFailure::Other("no answer in time".to_owned())),
        ];
        match failures.into_iter().find(|(words, _)| has(words)) {
            Some((_, failure)) => SshError::Connect { address: host.clone(), host, failure, typed },
            None => SshError::Handshake { host, reason: last.to_owned() },
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// An ssh that goes over the control socket or fails.
    fn command(&self) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-S").arg(self.socket()).args(["-T", "-o", "ControlMaster=no", "-o", "BatchMode=yes"]);
        // Without a master it would connect by itself; this cannot.
        command.args(["-o", "ProxyCommand=false", "-o", "ProxyJump=none"]);
        command.args(&self.words).kill_on_drop(true).process_group(0);
        command
    }

    pub fn is_closed(&self) -> bool {
        if !self.socket().exists() {
            let _ = self.end.set("ssh has ended".to_owned());
        }
        self.end.get().is_some()
    }

    pub fn closed(&self) -> SshError {
        self.broken(self.end.get().cloned().unwrap_or_else(|| "ssh has ended".to_owned()))
    }

    fn broken(&self, reason: String) -> SshError {
        SshError::Closed { host: self.label.clone(), reason }
    }

    fn channel(&self, reason: String) -> SshError {
        SshError::Channel { host: self.label.clone(), reason }
    }

    /// Starts a command on the host.
    fn start(&self, line: &Line) -> Result<Child, SshError> {
        if self.is_closed() {
            return Err(self.closed());
        }
        let mut ssh = self.command();
        ssh.args(["-o", "RemoteCommand=none"]).arg("--").arg(&self.label).arg(&line.text);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        ssh.spawn().map_err(|error| self.broken(format!("ssh could not be run: {error}")))
    }

    /// How a remote command ended. ssh's own failures have a number that a command may have as well.
    async fn exit(&self, status: ExitStatus, stderr: &[u8]) -> Result<Exit, SshError> {
        let code = status.code().unwrap_or(FAILED);
        if code != FAILED {
            return Ok(Exit::Code(code));
        }
        // A master that is losing its connection still answers for a moment.
        if !(self.answers().await && self.answers_still().await) {
            let _ = self.end.set("the connection ended".to_owned());
            return Err(self.closed());
        }
        let said = String::from_utf8_lossy(stderr);
        match said.lines().find(|line| line.contains("session request failed")) {
            Some(line) => Err(SshError::NoSession { host: self.label.clone(), reason: line.trim().to_owned() }),
            None => Ok(Exit::Code(code)),
        }
    }

    /// Whether the master is there and thinks that it is connected.
    async fn answers(&self) -> bool {
        let mut command = self.command();
        command.args(["-O", "check"]).arg("--").arg(&self.label);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        matches!(timeout(Duration::from_secs(5), command.status()).await, Ok(Ok(status)) if status.success())
    }

    async fn answers_still(&self) -> bool {
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.answers().await
    }

    fn timeout(&self, line: &Line, after: Duration, silent: &str) -> SshError {
        let what = format!("{}{silent}", line.under_way());
        SshError::Timeout { host: self.label.clone(), what, after, said: String::new() }
    }

    async fn session(&self) -> SemaphorePermit<'_> {
        self.sessions.acquire().await.expect("nobody closes it")
    }

    /// What is to stay open is returned, and closed when it is dropped.
    async fn feed(&self, input: Option<ChildStdin>, stdin: Stdin) -> Result<Option<ChildStdin>, SshError> {
        let stays_open = matches!(stdin, Stdin::Open(_));
        let mut input = input.expect("it is piped");
        let fed = put(&mut input, stdin).await;
        fed.map_err(|error| self.channel(format!("reading the data to send failed: {error}")))?;
        Ok(stays_open.then_some(input))
    }

    /// As [`Master::all_of`], so that what came is there also when the rest does not.
    async fn into(&self, pipe: Option<impl AsyncRead + Unpin>, bytes: &mut Vec<u8>) -> Result<(), SshError> {
        let mut pipe = pipe.expect("it is piped").take(OUTPUT_BYTES_MAX as u64 + 1);
        pipe.read_to_end(bytes).await.map_err(|error| self.channel(error.to_string()))?;
        match bytes.len() > OUTPUT_BYTES_MAX {
            true => Err(self.channel(format!("the command printed more than {} MiB", OUTPUT_BYTES_MAX >> 20))),
            false => Ok(()),
        }
    }

    async fn all_of(&self, pipe: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, SshError> {
        let mut bytes = Vec::new();
        self.into(pipe, &mut bytes).await?;
        Ok(bytes)
    }

    pub async fn exec(&self, line: &Line, stdin: Stdin, deadline: Duration) -> Result<Output, SshError> {
        let mut complaints = Vec::new();
        let work = async {
            let _session = self.session().await;
            let mut child = self.start(line)?;
            let (input, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
            let (_input, stdout, ()) =
                tokio::try_join!(self.feed(input, stdin), self.all_of(stdout), self.into(stderr, &mut complaints))?;
            let status = child.wait().await.map_err(|error| self.channel(error.to_string()))?;
            Ok(Output { status: self.exit(status, &complaints).await?, stdout, stderr: Vec::new() })
        };
        match timeout(deadline, work).await {
            Ok(output) => Ok(Output { stderr: complaints, ..output? }),
            Err(_) => match self.timeout(line, deadline, "") {
                // What it said until then.
                SshError::Timeout { host, what, after, .. } => {
                    let said = String::from_utf8_lossy(&complaints).into_owned();
                    Err(SshError::Timeout { host, what, after, said })
                }
                other => Err(other),
            },
        }
    }
}

/// Runs a command whose stdout goes into `stdout` as it comes.
pub(super) async fn stream(
    master: Arc<Master>,
    line: Line,
    stdin: Stdin,
    idle: Duration,
    mut stdout: UnixStream,
    reply: oneshot::Sender<Result<Output, SshError>>,
) {
    // The reader finds the end of the stream with the end of the work, before it asks how it ended.
    let work = async move {
        let _session = master.session().await;
        let mut child = master.start(&line)?;
        let (input, output, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let copied = async {
            let mut output = output.expect("it is piped");
            let mut buffer = vec![0; 64 << 10];
            loop {
                // The time in which nobody reads what there is does not count.
                let read = timeout(idle, output.read(&mut buffer)).await;
                let count = match read {
                    Err(_) => return Err(master.timeout(&line, idle, " (without moving a byte)")),
                    Ok(read) => read.map_err(|error| master.channel(error.to_string()))?,
                };
                if count == 0 {
                    return Ok(());
                }
                stdout
                    .write_all(&buffer[..count])
                    .await
                    .map_err(|_| master.channel("nothing reads its output any more".to_owned()))?;
            }
        };
        // The first failure ends all of it, and with it the command.
        let ((), _input, stderr) = tokio::try_join!(copied, master.feed(input, stdin), master.all_of(stderr))?;
        let status = child.wait().await.map_err(|error| master.channel(error.to_string()))?;
        Ok(Output { status: master.exit(status, &stderr).await?, stdout: Vec::new(), stderr })
    };
    let mut reply = reply;
    let result = tokio::select! {
        result = work => result,
        // Nobody waits for it any more: dropping the work ends the command.
        () = reply.closed() => return,
    };
    drop(reply.send(result));
}

/// Starts a command that stays, and waits until its stdout has `ready` and the line with it is whole.
pub(super) async fn hold(
    master: Arc<Master>,
    line: &Line,
    stdin: Stdin,
    ready: &str,
    deadline: Duration,
) -> Result<(String, watch::Receiver<Option<Output>>, AbortHandle), SshError> {
    let mut child = master.start(line)?;
    let mut input = child.stdin.take().expect("it is piped");
    let mut stdout = child.stdout.take().expect("it is piped");
    let stderr = child.stderr.take();
    let (told, heard) = oneshot::channel();
    let (end, ended) = watch::channel(None);
    let mark = ready.to_owned();
    let keeper = Arc::clone(&master);
    let task = tokio::spawn(async move {
        let mut told = Some(told);
        let mut said = Vec::new();
        let read = async {
            let mut piece = vec![0; 4096];
            loop {
                let count = stdout.read(&mut piece).await.map_err(|error| keeper.channel(error.to_string()))?;
                if count == 0 {
                    return Ok(());
                }
                said.extend_from_slice(&piece[..count]);
                if let Some(line) = told.as_ref().and_then(|_| line_from(&said, &mark)) {
                    drop(told.take().map(|told| told.send(Ok(line))));
                }
            }
        };
        // Its stdin stays open for as long as this task lives.
        let fed = async { put(&mut input, stdin).await.map_err(|error| keeper.channel(error.to_string())) };
        let output = async {
            let ((), (), stderr) = tokio::try_join!(read, fed, keeper.all_of(stderr))?;
            let status = child.wait().await.map_err(|error| keeper.channel(error.to_string()))?;
            Ok((keeper.exit(status, &stderr).await?, stderr))
        };
        let output = output.await.map(|(status, stderr)| Output { status, stdout: said, stderr });
        match (told, output) {
            (Some(told), output) => {
                let error = output.map_or_else(|error| error, |output| SshError::NotReady(Box::new(output)));
                drop(told.send(Err(error)));
            }
            (None, Ok(output)) => drop(end.send_replace(Some(output))),
            // The connection went: dropping the sender says so.
            (None, Err(_)) => {}
        }
    });
    let guard = AbortUnlessKept(Some(task.abort_handle()));
    match timeout(deadline, heard).await {
        Ok(Ok(first_line)) => Ok((first_line?, ended, guard.keep())),
        Ok(Err(_)) => Err(master.closed()),
        Err(_) => Err(master.timeout(line, deadline, "")),
    }
}

/// Ends the task of a command that nobody waits for any more.
struct AbortUnlessKept(Option<AbortHandle>);

impl AbortUnlessKept {
    fn keep(mut self) -> AbortHandle {
        self.0.take().expect("it is kept once")
    }
}

impl Drop for AbortUnlessKept {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Connects to a port as the host sees it.
pub(super) async fn tunnel(master: &Master, host: &str, port: u16, deadline: Duration) -> Result<UnixStream, SshError> {
    if master.is_closed() {
        return Err(master.closed());
    }
    let broken = |error: io::Error| master.channel(error.to_string());
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(broken)?;
    ours.set_nonblocking(true).map_err(broken)?;
    let said = tempfile::tempfile().map_err(broken)?;
    let mut ssh = master.command();
    ssh.arg("-W").arg(format!("{}:{port}", url::host(host))).arg("--").arg(&master.label);
    ssh.stdin(Stdio::from(OwnedFd::from(theirs.try_clone().map_err(broken)?)));
    ssh.stdout(Stdio::from(OwnedFd::from(theirs))).stderr(said.try_clone().map_err(broken)?);
    let mut child = ssh.spawn().map_err(broken)?;
    drop(ssh);
    // ssh tells of a refusal only, by ending. One takes as long as an answer does, of which logging in took several.
    let refusal_takes = (master.login_took / 2).clamp(Duration::from_millis(30), REFUSAL_TAKES_MAX).min(deadline);
    match timeout(refusal_takes, child.wait()).await {
        Ok(_) if !master.answers().await => Err(master.closed()),
        Ok(_) => {
            let reason = text_of(said);
            let reason = reason.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
            let (host, to) = (master.label.clone(), format!("{host}:{port}"));
            Err(SshError::TunnelRefused { host, to, reason: reason.to_owned() })
        }
        Err(_) => {
            // It ends with the stream: it reads the end of its input.
            tokio::spawn(async move { child.wait().await });
            UnixStream::from_std(ours).map_err(broken)
        }
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("ssh");
        command.arg("-S").arg(self.socket()).args(["-O", "exit"]).args(&self.words).arg("--").arg(&self.label);
        // It cannot fail in a way that matters: without a master there is nothing to end.
        let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// What the target says beyond the configuration of ssh.
fn words(target: &Target) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    let mut option = |key: &str, value: OsString| words.extend([key.into(), value]);
    if let Some(config) = &target.config {
        option("-F", config.into());
    }
    if let Some(user) = &target.user {
        option("-l", user.into());
    }
    if let Some(port) = target.port {
        option("-p", port.to_string().into());
    }
    option("-o", "StrictHostKeyChecking=yes".into());
    if let Some(file) = &target.known_hosts {
        option("-o", format!("UserKnownHostsFile=\"{}\"", file.display()).into());
        option("-o", "GlobalKnownHostsFile=/dev/null".into());
    }
    for setting in ["UpdateHostKeys=no", "ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes"] {
        option("-o", setting.into());
    }
    option("-o", "PermitLocalCommand=no".into());
    words
}

/// Writes all of `stdin`. A reader that has gone is no failure: how the command ends says more.
async fn put(input: &mut ChildStdin, stdin: Stdin) -> io::Result<()> {
    match stdin {
        Stdin::Empty => {}
        Stdin::Bytes(bytes) | Stdin::Open(bytes) => drop(input.write_all(&bytes).await),
        Stdin::Reader { mut reader, mut progress } => {
            let mut sent = 0;
            let mut buffer = Zeroizing::new(vec![0; 64 << 10]);
            loop {
                let count = match reader.read(&mut buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    read => read?,
                };
                if count == 0 || input.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
                sent += count as u64;
                if let Some(progress) = &mut progress {
                    progress(sent);
                }
            }
        }
    }
    Ok(())
}

fn text_of(mut said: File) -> String {
    let mut bytes = Vec::new();
    // What cannot be read back is as if nothing had been said.
    let _ = said.seek(SeekFrom::Start(0)).and_then(|_| (&said).take(SAID_BYTES_MAX).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
