//! From a resolved target to a session that is logged in: TCP or proxy, handshake, host key, authentication. Runs in
//! the host's own thread; every wait ends at the deadline.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use ssh2::{MethodType, Session};

use super::auth;
use super::blob;
use super::clock::{Clock, Failure, retry};
use super::error::{ConnectFailure, SshError};
use super::known_hosts::{HostId, KnownHosts, Verdict, line_for};
use super::proxy::ProxyProcess;
use super::raw;
use super::target::Resolved;
use super::wire::Wire;

/// A session that is ready for channels. Fields drop in order: the session before the program that carries it.
pub(super) struct Live {
    pub session: Session,
    pub wire: Rc<Wire>,
    pub proxy: Option<ProxyProcess>,
}

pub(super) fn connect(resolved: &Resolved, clock: Clock) -> Result<Live, SshError> {
    let known_hosts = KnownHosts::load(&resolved.known_hosts)?;
    let (socket, mut proxy) = match &resolved.proxy {
        Some(proxy) => {
            let (socket, process) = ProxyProcess::start(proxy, resolved)?;
            (socket, Some(process))
        }
        None => (tcp(resolved, clock)?, None),
    };
    log_in(resolved, &known_hosts, socket, clock)
        .map(|(session, wire)| Live { session, wire, proxy: proxy.take() })
        .map_err(|error| match (&mut proxy, &error) {
            (Some(process), SshError::Handshake { reason, .. }) => process.explain(&resolved.label, reason),
            (Some(process), SshError::Timeout { .. }) => process.explain(&resolved.label, &error.to_string()),
            _ => error,
        })
}

fn log_in(
    resolved: &Resolved,
    known_hosts: &KnownHosts,
    socket: OwnedFd,
    clock: Clock,
) -> Result<(Session, Rc<Wire>), SshError> {
    let id = HostId::new(&resolved.hostname, resolved.port, resolved.host_key_alias.as_deref());
    let handshake_failed =
        |error: ssh2::Error| SshError::Handshake { host: resolved.label.clone(), reason: error.message().to_owned() };

    let mut session = Session::new().map_err(handshake_failed)?;
    session.set_blocking(false);
    let wire = Wire::new(socket);
    raw::attach(&mut session, &wire);
    let preferred = preferred_algorithms(&known_hosts.algorithms(&id));
    session.method_pref(MethodType::HostKey, &preferred).map_err(handshake_failed)?;

    retry(&wire, clock, || session.clone().handshake()).map_err(|failure| match failure {
        Failure::TimeUp => clock.timeout(resolved, "the ssh handshake"),
        Failure::Ssh(error) => {
            let reason = match wire.end() {
                Some(end) => format!("{} ({end})", error.message()),
                None => error.message().to_owned(),
            };
            SshError::Handshake { host: resolved.label.clone(), reason }
        }
    })?;
    check_host_key(&session, known_hosts, &id, resolved)?;
    auth::authenticate(&session, &wire, resolved, clock)?;
    Ok((session, wire))
}

fn tcp(resolved: &Resolved, clock: Clock) -> Result<OwnedFd, SshError> {
    let (host, port) = (resolved.hostname.as_str(), resolved.port);
    let (label, typed) = (&resolved.label, &resolved.typed);
    let unresolvable = |reason: String| SshError::Unresolvable { host: label.clone(), reason, typed: typed.clone() };
    let addresses: Vec<SocketAddr> =
        (host, port).to_socket_addrs().map_err(|error| unresolvable(format!("{host}: {error}")))?.collect();
    let mut last = unresolvable(format!("{host} has no address"));
    for address in addresses {
        let left = clock.deadline.saturating_duration_since(Instant::now());
        let limit = resolved.connect_timeout.unwrap_or(left).min(left).max(Duration::from_millis(1));
        let result = TcpStream::connect_timeout(&address, limit).and_then(|stream| {
            prepare(&stream)?;
            Ok(stream)
        });
        match result {
            Ok(stream) => return Ok(OwnedFd::from(stream)),
            Err(error) => {
                last = SshError::Connect {
                    host: resolved.label.clone(),
                    address: address.to_string(),
                    failure: connect_failure(&error, limit),
                    typed: typed.clone(),
                };
            }
        }
    }
    Err(last)
}

/// Without TCP_NODELAY each command takes 44 ms longer. A host that is gone without a word is noticed after
/// 30 + 3 × 10 s when idle, and after 60 s when it owes us an answer.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(stream, 60_000)?;
    Ok(())
}

fn connect_failure(error: &io::Error, limit: Duration) -> ConnectFailure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectFailure::Refused,
        io::ErrorKind::TimedOut => ConnectFailure::TimedOut(limit),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            ConnectFailure::Unreachable(error.to_string())
        }
        _ => ConnectFailure::Other(error.to_string()),
    }
}

/// The host key types to ask for: the known ones first, so that a host known only by its ECDSA key shows that one; then
/// the rest, so that a host with another key is told apart from one that speaks no SSH. Certificates are left out.
fn preferred_algorithms(known: &[String]) -> String {
    const SUPPORTED: [&str; 6] = [
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ];
    let is_known = |method: &&str| {
        let key_type = if method.starts_with("rsa-") { "ssh-rsa" } else { method };
        known.iter().any(|known| known == key_type)
    };
    let (first, rest): (Vec<&str>, Vec<&str>) = SUPPORTED.iter().partition(|method| is_known(method));
    [first, rest].concat().join(",")
}

fn check_host_key(
    session: &Session,
    known_hosts: &KnownHosts,
    id: &HostId,
    resolved: &Resolved,
) -> Result<(), SshError> {
    let host = resolved.label.clone();
    let Some((blob, _)) = session.host_key() else {
        return Err(SshError::Handshake { host, reason: "the server showed no host key".into() });
    };
    let algorithm: Box<str> = blob::algorithm(blob).unwrap_or("(unknown)").into();
    let fingerprint: Box<str> = blob::fingerprint(blob).into();
    match known_hosts.check(id, &algorithm, blob) {
        Verdict::Known => Ok(()),
        Verdict::Revoked(place) => {
            Err(SshError::HostKeyRevoked { host, fingerprint, file: place.file, line: place.line })
        }
        Verdict::Changed { place, fingerprint: known } => {
            let known = known.into();
            Err(SshError::HostKeyChanged { host, algorithm, fingerprint, known, file: place.file, line: place.line })
        }
        Verdict::Unknown { note } => Err(SshError::HostKeyUnknown {
            host,
            line_to_add: line_for(id, &algorithm, blob),
            algorithm,
            fingerprint,
            file: resolved.known_hosts.first().cloned().unwrap_or_else(|| PathBuf::from("~/.ssh/known_hosts")),
            note: note.map(Into::into),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_known_key_types_first() {
        assert!(preferred_algorithms(&[]).starts_with("ssh-ed25519,ecdsa"));
        assert!(preferred_algorithms(&["ecdsa-sha2-nistp384".into()]).starts_with("ecdsa-sha2-nistp384,ssh-ed25519"));
        assert!(preferred_algorithms(&["ssh-rsa".into()]).starts_with("rsa-sha2-512,rsa-sha2-256,ssh-ed25519"));
        assert!(!preferred_algorithms(&[]).contains("cert"));
    }
}
