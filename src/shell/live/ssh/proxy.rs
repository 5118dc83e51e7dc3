//! A connection carried by another program: `ssh -W` for ProxyJump, sh for ProxyCommand.
//!
//! The program gets one end of a socket pair as its stdin and stdout, libssh2 the other.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use super::error::SshError;
use super::target::{Proxy, Resolved};
use crate::core::url;

/// The running program. Dropping it ends it.
pub(super) struct ProxyProcess {
    child: Child,
    command: String,
    /// What it writes to stderr, in an unlinked file: nobody has to read along, and it cannot block.
    stderr: File,
}

/// How much of what the program said is shown.
const SAID_BYTES_MAX: u64 = 2048;

impl ProxyProcess {
    pub fn start(proxy: &Proxy, resolved: &Resolved) -> Result<(OwnedFd, ProxyProcess), SshError> {
        let mut command = command_for(proxy, resolved);
        let shown = shown(&command);
        let failed = |error: std::io::Error| SshError::Proxy {
            host: resolved.label.clone(),
            command: shown.clone(),
            reason: format!("it could not be started: {error}"),
            said: "(nothing)".into(),
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let stderr = tempfile::tempfile().map_err(failed)?;
        let child = command
            .stdin(Stdio::from(OwnedFd::from(theirs.try_clone().map_err(failed)?)))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::from(stderr.try_clone().map_err(failed)?))
            // Its own process group: Ctrl-C is for us to handle, and must not cut the connection under a step.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        Ok((OwnedFd::from(ours), ProxyProcess { child, command: shown, stderr }))
    }

    /// Turns the failure of a connection that went through this program into one that shows what the program said.
    pub fn explain(&mut self, host: &str, reason: &str) -> SshError {
        // It may be about to say why.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let mut said = String::new();
        let mut bytes = Vec::new();
        if self.stderr.seek(SeekFrom::Start(0)).is_ok()
            && (&self.stderr).take(SAID_BYTES_MAX).read_to_end(&mut bytes).is_ok()
        {
            said = String::from_utf8_lossy(&bytes).trim().to_owned();
        }
        let reason = match self.child.try_wait() {
            Ok(Some(status)) => format!("the proxy exited with {status}"),
            _ => reason.to_owned(),
        };
        let said = if said.is_empty() { "(nothing)".to_owned() } else { said };
        SshError::Proxy { host: host.to_owned(), command: self.command.clone(), reason, said }
    }
}

impl Drop for ProxyProcess {
    fn drop(&mut self) {
        // The whole group: sh may have started something itself. Neither can fail in a way that matters: it is gone already.
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

fn command_for(proxy: &Proxy, resolved: &Resolved) -> Command {
    match proxy {
        Proxy::Command(line) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("exec {line}"));
            command
        }
        Proxy::Jump(jumps) => {
            let mut command = Command::new("ssh");
            if let Some(config) = &resolved.config {
                command.arg("-F").arg(config);
            }
            command.args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]);
            if let Some(file) = &resolved.known_hosts_set {
                // The jump host's key may be in either: what is behind it is checked by us, over the tunnel.
                command.arg("-o").arg(format!("UserKnownHostsFile=\"{}\" ~/.ssh/known_hosts", file.display()));
            }
            let (before, last) = match jumps.rsplit_once(',') {
                Some((before, last)) => (Some(before), last),
                None => (None, jumps.as_str()),
            };
            if let Some(before) = before {
                command.arg("-J").arg(before);
            }
            command.arg("-W").arg(format!("{}:{}", url::host(&resolved.hostname), resolved.port));
            // ssh takes user@host:port only as a URI, and -J takes both.
            let destination = match last.contains(':') && !last.starts_with("ssh://") {
                true => format!("ssh://{last}"),
                false => last.to_owned(),
            };
            command.arg("--").arg(destination);
            command
        }
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
