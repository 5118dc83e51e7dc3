//! What went wrong on the way to a host, in the words of the core.

use crate::code::Code;
use crate::live::ssh::SshError;
use crate::names::HostName;
use crate::observed::Cause;

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
