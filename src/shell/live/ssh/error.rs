//! What can go wrong between here and a host, as kinds a caller can match, each with the next thing to do.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::Output;
use crate::core::span;

/// Why something over SSH did not work. `host` is always the name the user wrote. (`Box<str>` keeps it small: it is in the
/// result of every call.)
#[derive(Debug, Clone, thiserror::Error)]
pub enum SshError {
    /// What is written as the host is no name of one, or of none that is known here.
    #[error("cannot resolve {host}: {reason}")]
    Malformed { host: String, reason: String },

    /// The name, or the SSH configuration behind it, could not be turned into an address. `typed` is what goes behind
    /// `ssh` to try the same by hand, here and below.
    #[error("cannot resolve {host}: {reason}")]
    Unresolvable { host: String, reason: String, typed: String },

    /// No TCP connection to the SSH port.
    #[error("cannot reach {host}: connecting to {address} failed: {failure}")]
    Connect { host: String, address: String, failure: ConnectFailure, typed: String },

    /// The ProxyCommand or `ssh -W` that was to carry the connection ended or said something.
    #[error("cannot reach {host} through its proxy: {reason}\n  command: {command}\n  output: {said}")]
    Proxy { host: String, command: String, reason: String, said: String },

    /// The two ends did not agree on how to talk, or the far end is no SSH server.
    #[error("the ssh handshake with {host} failed: {reason}")]
    Handshake { host: String, reason: String },

    #[error("cannot read known hosts file {}: {reason}", file.display())]
    KnownHosts { file: PathBuf, reason: String },

    #[error("the host key of {host} is unknown: it offered {algorithm} {fingerprint}{}", note.as_deref().map(|note| format!("; {note}")).unwrap_or_default())]
    HostKeyUnknown {
        host: String,
        algorithm: Box<str>,
        fingerprint: Box<str>,
        /// Where `line_to_add` belongs.
        file: PathBuf,
        line_to_add: String,
        /// What the files do hold for this host, if anything.
        note: Option<Box<str>>,
    },

    #[error(
        "THE HOST KEY OF {host} HAS CHANGED: it offered {algorithm} {fingerprint}, but {}:{line} says {known}",
        file.display()
    )]
    HostKeyChanged {
        host: String,
        algorithm: Box<str>,
        fingerprint: Box<str>,
        known: Box<str>,
        file: PathBuf,
        line: usize,
    },

    #[error("the host key of {host} is revoked: {}:{line} revokes {fingerprint}", file.display())]
    HostKeyRevoked { host: String, fingerprint: Box<str>, file: PathBuf, line: usize },

    /// The system's ssh does not trust the host's key, in its words.
    #[error("ssh does not trust the host key of {host}: {said}")]
    HostKeyRefused { host: String, said: String, typed: String },

    #[error("cannot log in to {host} as {user}; tried:\n  {}", tried.join("\n  "))]
    Auth { host: String, user: String, tried: Vec<String>, typed: String },

    #[error("{host}: {what} took longer than {}{}", span::limit(*after), so_far(said))]
    Timeout {
        host: String,
        what: String,
        after: Duration,
        /// What came on stderr until then.
        said: String,
    },

    /// The connection ended while it was needed.
    #[error("the connection to {host} is closed: {reason}")]
    Closed { host: String, reason: String },

    /// The server allows no session more on this connection: nothing was started. The connection is still good.
    #[error("{host}: {reason}")]
    NoSession { host: String, reason: String },

    /// This one operation failed; the connection is still good.
    #[error("{host}: {reason}")]
    Channel { host: String, reason: String },

    /// A process that should stay ended before it was ready; what it printed says why.
    #[error("it exited with {} before it was ready: {}", .0.status, String::from_utf8_lossy(if .0.stderr.is_empty() { &.0.stdout } else { &.0.stderr }).trim())]
    NotReady(Box<Output>),

    #[error("{host}: cannot open a tunnel to {to}: {reason}")]
    TunnelRefused { host: String, to: String, reason: String },
}

/// How connecting failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectFailure {
    Refused,
    TimedOut(Duration),
    Unreachable(String),
    Other(String),
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => write!(f, "connection refused"),
            Self::TimedOut(after) => write!(f, "no answer within {}", span::limit(*after)),
            Self::Unreachable(why) | Self::Other(why) => write!(f, "{why}"),
        }
    }
}

impl SshError {
    /// The next thing to do, in words.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Malformed { .. } => "correct `ssh` or `address` of the node in cluster.toml".into(),
            Self::Unresolvable { typed, .. } => format!("check how ssh resolves the name: `ssh -G {typed}`"),
            Self::Connect { failure, address, typed, .. } => match failure {
                ConnectFailure::Refused => {
                    format!("{address} is up but refuses connections on that port: check the port, and that sshd is \
                             running")
                }
                ConnectFailure::TimedOut(_) | ConnectFailure::Unreachable(_) => {
                    "check that the host is up, that the address is right, and that no firewall is in between".into()
                }
                ConnectFailure::Other(_) => format!("try the same by hand: `ssh {typed} true`"),
            },
            Self::Proxy { .. } => "run the command above by hand; it must work without a prompt".into(),
            Self::Handshake { .. } => {
                "check that the port is sshd's; if its sshd_config allows only algorithms that quorate does not have (it has curve25519, ed25519 and rsa-sha2, and nothing post-quantum), let it use the system's ssh: `client = \"openssh\"` in [ssh]".into()
            }
            Self::KnownHosts { .. } => "make the file readable, or name another one in [ssh] known-hosts".into(),
            Self::HostKeyUnknown { file, line_to_add, algorithm, .. } => format!(
                "compare the fingerprint with the one printed on the host itself by\n  ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub\nand if it is the same, add this line to {}:\n  {line_to_add}",
                key_file_word(algorithm),
                file.display()
            ),
            Self::HostKeyChanged { file, line, .. } => format!(
                "this may be a man-in-the-middle, or the host was reinstalled: find out before you continue; only then \
                 replace line {line} of {}",
                file.display()
            ),
            Self::HostKeyRefused { typed, .. } => format!(
                "compare the key with the one on the host's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then \
                 add it to the known_hosts file that [ssh] or your ssh config names; `ssh {typed}` shows which"
            ),
            Self::HostKeyRevoked { .. } => "this key must no longer be trusted: give the host a new key".into(),
            Self::Auth { typed, .. } => {
                format!("this must work without a prompt: `ssh -o BatchMode=yes {typed} true` (ssh-add adds a key to the \
                         agent); for hardware keys, Kerberos and second factors set `client = \"openssh\"` in [ssh]")
            }
            Self::Timeout { .. } => "check the load of the host and the network; the command may still be running there".into(),
            Self::Closed { .. } => "check that the host is still up; no clean-up is needed, run the same command again".into(),
            Self::Channel { .. } | Self::NoSession { .. } => "if the server refuses more sessions, check MaxSessions in its sshd_config".into(),
            Self::NotReady(_) => "run the same command on the host by hand".into(),
            Self::TunnelRefused { .. } => {
                "check that the service is running, and that sshd_config allows AllowTcpForwarding (local) and has no \
                 PermitOpen against it".into()
            }
        }
    }

    /// Whether the connection is lost with it, so that a new one is needed before anything else is tried.
    #[must_use]
    pub fn is_connection_lost(&self) -> bool {
        !matches!(
            self,
            Self::Timeout { .. }
                | Self::NoSession { .. }
                | Self::Channel { .. }
                | Self::NotReady(_)
                | Self::TunnelRefused { .. }
        )
    }
}

/// Behind what took too long: the last lines that were said until then.
fn so_far(said: &str) -> String {
    const LINES_MAX: usize = 5;
    // The mark before the answer is ours.
    let is_theirs = |line: &&str| !line.is_empty() && !line.contains("quorate-begin-");
    let lines: Vec<_> = said.lines().map(str::trim).filter(is_theirs).collect();
    let last = &lines[lines.len().saturating_sub(LINES_MAX)..];
    if last.is_empty() { String::new() } else { format!("; it said so far: {}", last.join("; ")) }
}

/// The word sshd uses for an algorithm in its key's file name.
fn key_file_word(algorithm: &str) -> &'static str {
    match algorithm {
        "ssh-rsa" => "rsa",
        "ssh-dss" => "dsa",
        other if other.starts_with("ecdsa") => "ecdsa",
        _ => "ed25519",
    }
}
