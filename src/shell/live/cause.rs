//! What went wrong on the way to a host, in the words of the core.

use crate::core::code::Code;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::HostName;
use crate::core::observed::Cause;
use crate::shell::live::etcd::Unreachable;
use crate::shell::live::ssh::SshError;

/// Why a host could not be seen.
pub fn of_ssh(host: &HostName, error: &SshError) -> Cause {
    let code = match error {
        SshError::HostKeyUnknown { .. } | SshError::HostKeyChanged { .. } | SshError::HostKeyRevoked { .. } => {
            Code::HostKey
        }
        SshError::KnownHosts { .. } => Code::HostKey,
        SshError::Auth { .. } => Code::SshAuthentication,
        SshError::Unresolvable { .. }
        | SshError::Connect { .. }
        | SshError::Proxy { .. }
        | SshError::Handshake { .. }
        | SshError::Timeout { .. }
        | SshError::Closed { .. }
        | SshError::Channel { .. }
        | SshError::TunnelRefused { .. } => Code::HostUnreachable,
    };
    // The message names what ssh was told to connect to, which need not be the node's name.
    let summary = error.to_string();
    let summary = if summary.contains(host.as_str()) { summary } else { format!("{host}: {summary}") };
    Cause { code, summary, hint: Some(error.hint()) }
}

/// Why a member could not be dialled through a tunnel.
pub fn of_tunnel(host: &HostName, port: u16, error: &SshError) -> Unreachable {
    let cause = |summary| Cause { code: Code::MemberSilent, summary, hint: Some(error.hint()) };
    match error {
        SshError::TunnelRefused { reason, .. } => {
            Unreachable::Refused(cause(format!("etcd on {host} does not take connections to port {port}: {reason}")))
        }
        SshError::Timeout { .. } => {
            Unreachable::Elsewhere(cause(format!("etcd on {host} could not be asked: {error}")))
        }
        other => Unreachable::Silent(cause(format!("etcd on {host} could not be asked: {other}"))),
    }
}

pub fn of_diagnostic(failure: Diagnostic) -> Cause {
    let code = if failure.kind == Code::Sudo.kind() { Code::Sudo } else { Code::ProbeFailed };
    let summary = std::iter::once(failure.summary).chain(failure.causes).collect::<Vec<_>>().join(": ");
    Cause { code, summary, hint: failure.hint }
}

/// A task of ours that was ended.
pub fn interrupted(what: &str) -> Cause {
    Cause { code: Code::ArchiveUnusable, summary: format!("{what} ended half-way"), hint: None }
}

/// A member that cannot be asked without the authority.
pub fn no_credentials(host: &HostName) -> Cause {
    Cause {
        code: Code::AuthorityMissing,
        summary: format!("the member on {host} was not asked: there is no authority here to log in with"),
        hint: Some("restore ca.crt and ca.key where [ca] says".to_owned()),
    }
}

/// What the operator is told of it.
pub fn told(cause: Cause) -> Diagnostic {
    let diagnostic = Diagnostic::new(cause.code.kind(), cause.summary);
    match cause.hint {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}
