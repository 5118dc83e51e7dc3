//! What went wrong on the way to a host, in the words of the core.

use crate::core::code::Code;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::HostName;
use crate::core::observed::Cause;
use crate::shell::live::etcd::Unreached;
use crate::shell::live::ssh::SshError;

/// Why a host could not be seen.
pub fn of_ssh(host: &HostName, error: &SshError) -> Cause {
    // The message names what ssh was told to connect to, which need not be the node's name.
    let summary = error.to_string();
    let summary = if summary.contains(host.as_str()) { summary } else { format!("{host}: {summary}") };
    Cause { code: code(error), summary, hint: Some(error.hint()) }
}

/// As [`of_ssh`], when it broke while `what` was done there.
pub fn of_call(host: &HostName, what: &str, error: &SshError) -> Cause {
    Cause { code: code(error), summary: format!("{what} on {host} failed: {error}"), hint: Some(error.hint()) }
}

/// As [`of_call`], of what changes something: it may have been done all the same.
pub fn failed_call(host: &HostName, what: &str, error: &SshError) -> Diagnostic {
    Diagnostic::new(code(error).kind(), format!("{what} on {host} failed"))
        .at(host.as_str())
        .with_cause(error.to_string())
        .hint(error.hint())
}

/// One code for all that can go wrong between here and a host that was to be talked to, whatever call it goes wrong in.
fn code(error: &SshError) -> Code {
    match error {
        SshError::HostKeyUnknown { .. }
        | SshError::HostKeyChanged { .. }
        | SshError::HostKeyRevoked { .. }
        | SshError::HostKeyRefused { .. }
        | SshError::KnownHosts { .. } => Code::HostKey,
        SshError::Auth { .. } => Code::SshAuthentication,
        SshError::Malformed { .. }
        | SshError::Unresolvable { .. }
        | SshError::Connect { .. }
        | SshError::Proxy { .. }
        | SshError::Handshake { .. }
        | SshError::Timeout { .. }
        | SshError::Closed { .. }
        | SshError::NoSession { .. }
        | SshError::Channel { .. }
        | SshError::TunnelRefused { .. } => Code::HostUnreachable,
        SshError::NotReady(_) => Code::ProbeFailed,
    }
}

/// Why a member could not be dialled through a tunnel: what sshd says of it tells a closed port from one that it may not
/// connect to.
pub fn of_tunnel(host: &HostName, port: u16, error: &SshError) -> Unreached {
    let cause = |summary, hint| Cause { code: Code::MemberSilent, summary, hint: Some(hint) };
    match error {
        SshError::TunnelRefused { reason, .. } if reason.contains("connect failed") => Unreached::elsewhere(cause(
            format!("nothing on {host} took a connection to port {port}: {reason}"),
            format!("see whether etcd runs on {host}, and listens there: `ss -ltnp 'sport = :{port}'`"),
        )),
        SshError::TunnelRefused { reason, .. } => Unreached::elsewhere(cause(
            format!("could not query etcd on {host}: sshd there did not connect to port {port}: {reason}"),
            error.hint(),
        )),
        SshError::Timeout { .. } => Unreached::elsewhere(cause(
            format!("could not query etcd on {host}: {error}"),
            format!(
                "see whether a firewall on {host} drops what comes to port {port}, also from the host itself (`nft list \
                 ruleset`), and how busy the host is"
            ),
        )),
        other => Unreached::here(cause(format!("could not query etcd on {host}: {other}"), other.hint())),
    }
}

/// Why no member can be asked where there is no authority that could issue us a client certificate.
pub fn no_authority() -> Cause {
    Cause {
        code: Code::AuthorityMissing,
        summary: "etcd cannot be queried: there is no CA here to issue a client certificate".to_owned(),
        hint: Some("restore ca.crt and ca.key from your backup to the location in [ca]".to_owned()),
    }
}

/// As [`no_authority`], where there is one, and no client certificate of it.
pub fn no_client(failure: Diagnostic) -> Cause {
    let causes = failure.causes.iter().map(|cause| format!(": {cause}")).collect::<String>();
    Cause {
        code: Code::CertificateUnusable,
        summary: format!("etcd cannot be queried: {}{causes}", failure.summary),
        hint: failure.hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::diagnostic::Kind;

    /// Whatever call it breaks in: the host was not seen.
    #[test]
    fn a_connection_that_breaks_has_one_exit_code() {
        let host = HostName::new("etcd-1");
        let closed = SshError::Closed { host: "etcd-1".to_owned(), reason: "the server closed it".to_owned() };
        let connecting = of_ssh(&host, &closed);
        let looking = of_call(&host, "looking for the authority", &closed);
        assert_eq!((connecting.code, looking.code), (Code::HostUnreachable, Code::HostUnreachable));
        assert_eq!(Diagnostic::from(looking).kind, Kind::Unseen);
        assert_eq!(failed_call(&host, "writing /etc/etcd/etcd.yaml", &closed).kind, Kind::Unseen);
    }

    #[test]
    fn what_was_done_there_is_told_with_what_broke() {
        let host = HostName::new("etcd-1");
        let closed = SshError::Closed { host: "etcd-1".to_owned(), reason: "the server closed it".to_owned() };
        let cause = of_call(&host, "reading the lock", &closed);
        let expected = "reading the lock on etcd-1 failed: the connection to etcd-1 is closed: the server closed it";
        assert_eq!(cause.summary, expected);
        assert_eq!(cause.hint, Some(closed.hint()));
    }

    /// As sshd and libssh2 say it.
    #[test]
    fn a_port_that_refuses_is_told_from_one_that_could_not_be_tried() {
        let host = HostName::new("etcd-1");
        let told = |reason: &str| {
            let (host_name, to) = ("etcd-1".to_owned(), "10.0.0.11:2379".to_owned());
            let refused = SshError::TunnelRefused { host: host_name, to, reason: reason.to_owned() };
            let cause = of_tunnel(&host, 2379, &refused).cause;
            (cause.summary.contains("took a connection"), cause.hint.expect("there is one"))
        };
        let (refuses, hint) = told("Channel open failure (connect failed)");
        assert!(refuses && hint.contains("ss -ltnp") && !hint.contains("AllowTcpForwarding"), "{hint}");
        for reason in ["Channel open failure (administratively prohibited)", "Unexpected error"] {
            let (refuses, hint) = told(reason);
            assert!(!refuses && hint.contains("AllowTcpForwarding"), "{reason}: {hint}");
        }
        let what = "opening a tunnel to 10.0.0.11:2379".to_owned();
        let after = std::time::Duration::from_secs(5);
        let late = SshError::Timeout { host: "etcd-1".to_owned(), what, after, said: String::new() };
        let hint = of_tunnel(&host, 2379, &late).cause.hint.expect("there is one");
        assert!(hint.contains("firewall") && !hint.contains("command"), "{hint}");
    }
}
