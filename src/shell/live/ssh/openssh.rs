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
use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

use super::error::{ConnectFailure, SshError};
use super::process::{OUTPUT_BYTES_MAX, Stdin};
use super::target::Target;
use super::{Exit, Output};
use crate::core::url;

/// Before a password, a code or a finger is there.
const LOGIN_BY_HAND: Duration = Duration::from_secs(90);
/// Who is asked for something must not be asked for two hosts at once.
static TERMINAL: Mutex<()> = Mutex::const_new(());
/// What ssh itself exits with when it fails.
const FAILED: i32 = 255;
/// How much of what ssh said is shown.
const SAID_BYTES_MAX: u64 = 2048;
/// Longer than any answer of a host that refuses a connection: then the way is taken to be open.
const REFUSAL_TAKES_MAX: Duration = Duration::from_millis(300);

pub(super) struct Master {
    pub label: String,
    /// With the control socket, which nobody else may use.
    folder: tempfile::TempDir,
    /// `-F`, `-l`, `-p`, and what known hosts there are.
    words: Vec<OsString>,
    /// How long it took to log in.
    login_took: Duration,
    end: OnceLock<String>,
}

impl Master {
    pub async fn open(target: &Target, deadline: Duration) -> Result<Master, SshError> {
        let failed = |error: io::Error| SshError::Closed { host: target.alias.clone(), reason: error.to_string() };
        // A socket's path may have no more than 100 letters.
        let folder = tempfile::Builder::new().prefix("quorate-").tempdir_in("/tmp").map_err(failed)?;
        let begun = Instant::now();
        let mut master = Master {
            label: target.alias.clone(),
            folder,
            words: words(target),
            login_took: Duration::ZERO,
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
        Ok(master)
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
                return Err(SshError::Timeout { host: self.label.clone(), what, after: deadline });
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
        let host = self.label.clone();
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it says nothing");
        let has = |words: &str| said.contains(words);
        if has("Host key verification failed") {
            return SshError::HostKeyRefused { host, said: said.trim().to_owned() };
        }
        if has("Permission denied") || has("Too many authentication failures") {
            let user = last.split_once('@').map_or("the declared user", |(user, _)| user).to_owned();
            return SshError::Auth { host, user, tried: vec![format!("ssh: {last}")] };
        }
        if has("Could not resolve hostname") {
            return SshError::Unresolvable { host, reason: last.to_owned() };
        }
        let failures = [
            ("Connection refused", ConnectFailure::Refused),
            ("No route to host", ConnectFailure::Unreachable("no route to host".to_owned())),
            ("Network is unreachable", ConnectFailure::Unreachable("the network is unreachable".to_owned())),
            ("timed out", ConnectFailure::Other("no answer in time".to_owned())),
        ];
        match failures.into_iter().find(|(words, _)| has(words)) {
            Some((_, failure)) => SshError::Connect { address: host.clone(), host, failure },
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

    /// Starts `command` on the host.
    fn start(&self, command: &str) -> Result<Child, SshError> {
        if self.is_closed() {
            return Err(self.closed());
        }
        let mut ssh = self.command();
        ssh.args(["-o", "RemoteCommand=none"]).arg("--").arg(&self.label).arg(command);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        ssh.spawn().map_err(|error| self.broken(format!("ssh could not be run: {error}")))
    }

    /// How a remote command ended. ssh's own failures have a number that a command may have as well.
    async fn exit(&self, status: ExitStatus) -> Result<Exit, SshError> {
        let code = status.code().unwrap_or(FAILED);
        // A master that is losing its connection still answers for a moment.
        if code == FAILED && !(self.answers().await && self.answers_still().await) {
            let _ = self.end.set("the connection ended".to_owned());
            return Err(self.closed());
        }
        Ok(Exit::Code(code))
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

    fn timeout(&self, command: &str, after: Duration, silent: &str) -> SshError {
        let what: String = command.lines().next().unwrap_or_default().chars().take(60).collect();
        SshError::Timeout { host: self.label.clone(), what: format!("running `{what}`{silent}"), after }
    }

    async fn feed(&self, input: Option<ChildStdin>, stdin: Stdin) -> Result<(), SshError> {
        let fed = feed(input, stdin).await;
        fed.map_err(|error| self.channel(format!("reading the data to send failed: {error}")))
    }

    async fn all_of(&self, pipe: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, SshError> {
        all_of(pipe).await.map_err(|reason| self.channel(reason))
    }

    pub async fn exec(&self, command: &str, stdin: Stdin, deadline: Duration) -> Result<Output, SshError> {
        let mut child = self.start(command)?;
        let (input, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let work = async {
            let ((), stdout, stderr) =
                tokio::try_join!(self.feed(input, stdin), self.all_of(stdout), self.all_of(stderr))?;
            let status = child.wait().await.map_err(|error| self.channel(error.to_string()))?;
            Ok(Output { status: self.exit(status).await?, stdout, stderr })
        };
        match timeout(deadline, work).await {
            Ok(output) => output,
            Err(_) => Err(self.timeout(command, deadline, "")),
        }
    }
}

/// Runs a command whose stdout goes into `stdout` as it comes.
pub(super) async fn stream(
    master: std::sync::Arc<Master>,
    command: String,
    stdin: Stdin,
    idle: Duration,
    mut stdout: UnixStream,
    reply: oneshot::Sender<Result<Output, SshError>>,
) {
    // The reader finds the end of the stream with the end of the work, before it asks how it ended.
    let work = async move {
        let mut child = master.start(&command)?;
        let (input, output, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let copied = async {
            let mut output = output.expect("it is piped");
            let mut buffer = vec![0; 64 << 10];
            loop {
                // The time in which nobody reads what there is does not count.
                let read = timeout(idle, output.read(&mut buffer)).await;
                let count = match read {
                    Err(_) => return Err(master.timeout(&command, idle, " (without moving a byte)")),
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
        let ((), (), stderr) = tokio::try_join!(copied, master.feed(input, stdin), master.all_of(stderr))?;
        let status = child.wait().await.map_err(|error| master.channel(error.to_string()))?;
        Ok(Output { status: master.exit(status).await?, stdout: Vec::new(), stderr })
    };
    let mut reply = reply;
    let result = tokio::select! {
        result = work => result,
        // Nobody waits for it any more: dropping the work ends the command.
        () = reply.closed() => return,
    };
    drop(reply.send(result));
}

/// Starts a command that stays, and waits for the line that says it is ready.
pub(super) async fn hold(
    master: std::sync::Arc<Master>,
    command: &str,
    line_start: &str,
    deadline: Duration,
) -> Result<(String, watch::Receiver<Option<Output>>, tokio::task::AbortHandle), SshError> {
    let until = Instant::now() + deadline;
    let mut child = master.start(command)?;
    // Its stdin stays open for as long as the task below lives.
    let input = child.stdin.take();
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut stderr = child.stderr.take().expect("it is piped");
    let mut said = Vec::new();
    let ready = loop {
        let mut line = Vec::new();
        let count = match timeout_at(until, lines.read_until(b'\n', &mut line)).await {
            Err(_) => return Err(master.timeout(command, deadline, "")),
            Ok(read) => read.map_err(|error| master.channel(error.to_string()))?,
        };
        said.extend_from_slice(&line);
        if count == 0 {
            break None;
        }
        if line.ends_with(b"\n") && line.starts_with(line_start.as_bytes()) {
            break Some(String::from_utf8_lossy(&line[..line.len() - 1]).into_owned());
        }
    };
    let mut rest = async move |mut said: Vec<u8>| {
        let mut complaints = Vec::new();
        let (read, complained) = tokio::join!(lines.read_to_end(&mut said), stderr.read_to_end(&mut complaints));
        read.and(complained).map_err(|error| master.channel(error.to_string()))?;
        let status = child.wait().await.map_err(|error| master.channel(error.to_string()))?;
        Ok(Output { status: master.exit(status).await?, stdout: said, stderr: complaints })
    };
    let Some(first_line) = ready else {
        let label = command.chars().take(60).collect::<String>();
        return match timeout_at(until, rest(said)).await {
            Ok(output) => Err(SshError::NotReady(Box::new(output?))),
            Err(_) => Err(SshError::Channel { host: label, reason: "it closed its output and goes on".to_owned() }),
        };
    };
    let (end, ended) = watch::channel(None);
    let task = tokio::spawn(async move {
        let _input = input;
        let output: Result<Output, SshError> = rest(said).await;
        // Where the connection went, dropping the sender says so.
        if let Ok(output) = output {
            end.send_replace(Some(output));
        }
    });
    Ok((first_line, ended, task.abort_handle()))
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

/// Writes all of `stdin`, and closes it. A reader that has gone is no failure: how the command ends says more.
async fn feed(input: Option<ChildStdin>, stdin: Stdin) -> io::Result<()> {
    let mut input = input.expect("it is piped");
    match stdin {
        Stdin::Empty => {}
        Stdin::Bytes(bytes) => drop(input.write_all(&bytes).await),
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

async fn all_of(pipe: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut pipe = pipe.expect("it is piped").take(OUTPUT_BYTES_MAX as u64 + 1);
    pipe.read_to_end(&mut bytes).await.map_err(|error| error.to_string())?;
    match bytes.len() > OUTPUT_BYTES_MAX {
        true => Err(format!("the command printed more than {} MiB", OUTPUT_BYTES_MAX >> 20)),
        false => Ok(bytes),
    }
}

fn text_of(mut said: File) -> String {
    let mut bytes = Vec::new();
    // What cannot be read back is as if nothing had been said.
    let _ = said.seek(SeekFrom::Start(0)).and_then(|_| (&said).take(SAID_BYTES_MAX).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
