//! One look at one host: the probe and the member's own answer, at the same time over the same connection.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::code::Code;
use crate::live::etcd::{Member, Tls, Unreachable};
use crate::live::pki::KnownAuthority;
use crate::live::probe::{self, Sight, Trouble};
use crate::live::ssh::{Connection, Output, SshError};
use crate::live::{Shared, cause, remote};
use crate::names::HostName;
use crate::observed::{Answer, Cause, Host, Seen};

/// A host ends its probe after this many seconds.
const PROBE_SECONDS: &str = "20";
/// The probe takes some 30 ms; a host that swaps takes longer, and one that takes this long is not to be worked on.
const PROBE_DEADLINE: Duration = Duration::from_secs(25);
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// Files that change while they are read do not do so again and again.
const PROBES_MAX: usize = 3;

pub(super) async fn look(shared: &Shared, host: &HostName, known: &[KnownAuthority], tls: Option<Tls>) -> Seen<Host> {
    match look_once(shared, host, known, tls.as_ref()).await {
        Ok(seen) => Seen::Known(seen),
        // A host that was restarted since the last look: a new connection tells.
        Err(Failed::Lost(_)) => match look_once(shared, host, known, tls.as_ref()).await {
            Ok(seen) => Seen::Known(seen),
            Err(Failed::Lost(cause) | Failed::Seen(cause)) => Seen::Unknown(cause),
        },
        Err(Failed::Seen(cause)) => Seen::Unknown(cause),
    }
}

enum Failed {
    /// A connection that was open before has gone.
    Lost(Cause),
    Seen(Cause),
}

async fn look_once(
    shared: &Shared,
    host: &HostName,
    known: &[KnownAuthority],
    tls: Option<&Tls>,
) -> Result<Host, Failed> {
    let opened = shared.connection(host).await;
    let connection = opened.map_err(|error| Failed::Seen(cause::of_ssh(host, &error)))?;
    let (sight, member) =
        tokio::join!(probe(shared, host, &connection, known), ask(shared, host, &connection, tls, None));
    let Sight { host: seen, own_ports, .. } = match sight {
        Ok(sight) => sight,
        Err(ProbeError::Ssh(error)) => {
            shared.disconnect(host).await;
            let cause = cause::of_ssh(host, &error);
            return Err(if error.is_connection_lost() { Failed::Lost(cause) } else { Failed::Seen(cause) });
        }
        Err(ProbeError::Cause(cause)) => return Err(Failed::Seen(cause)),
    };
    let mut member = member;
    // It may listen where it was told to at its start, which is no longer what is declared.
    if let Err(Unreachable::Refused(_)) = member {
        for port in own_ports {
            member = ask(shared, host, &connection, tls, Some(port)).await;
            if member.is_ok() {
                break;
            }
        }
    }
    let member = match member {
        Ok(answer) => Seen::Known(answer),
        Err(_) if seen.process.is_none() => Seen::Known(None),
        Err(Unreachable::Refused(cause) | Unreachable::Silent(cause)) => Seen::Unknown(cause),
    };
    Ok(Host { member, ..seen })
}

enum ProbeError {
    Ssh(SshError),
    Cause(Cause),
}

async fn probe(
    shared: &Shared,
    host: &HostName,
    connection: &Connection,
    known: &[KnownAuthority],
) -> Result<Sight, ProbeError> {
    let command = shared.elevation.command(&["timeout", "-k", "2", PROBE_SECONDS, "sh", "-s"]);
    let mut said = String::new();
    for _ in 0..PROBES_MAX {
        let script = probe::script(&shared.desired);
        let sent = seconds();
        let output = connection.exec(&command, script.as_str(), PROBE_DEADLINE).await.map_err(ProbeError::Ssh)?;
        let midpoint = sent.midpoint(seconds());
        match probe::parse(&shared.desired, known, &output.stdout) {
            Ok(mut sight) => {
                // The host's clock is told in whole seconds: on average half a second has passed since.
                #[expect(clippy::cast_possible_truncation, reason = "a difference of two clocks in seconds")]
                let offset = (sight.now.0 as f64 + 0.5 - midpoint).round() as i64;
                sight.host.clock_offset_seconds = offset;
                return Ok(sight);
            }
            Err(trouble @ Trouble::Changed(_)) => {
                said = format!("{trouble}; the host said: {}", remote::host_words(&output));
            }
            Err(trouble) => return Err(ProbeError::Cause(explained(host, &trouble, &output))),
        }
    }
    Err(ProbeError::Cause(Cause {
        code: Code::ProbeFailed,
        summary: format!("{host} was reached, but its files could not be read in one look: {said}"),
        hint: Some("if something writes them now, run again when it has ended".to_owned()),
    }))
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn explained(host: &HostName, trouble: &Trouble, output: &Output) -> Cause {
    if let Some(cause) = remote::no_root(host, output).filter(|_| matches!(trouble, Trouble::Unreadable(_))) {
        return cause;
    }
    match trouble {
        Trouble::NotRoot => Cause {
            code: Code::Sudo,
            summary: format!("the user on {host} is not root, and `sudo` is false in [ssh]"),
            hint: Some("log in as root, or leave `sudo` out and allow it".to_owned()),
        },
        Trouble::Unsupported(what) => Cause {
            code: Code::Unsupported,
            summary: format!("{host} cannot be worked on: {what}"),
            hint: Some("quorate keeps etcd on Linux hosts with systemd (amd64, arm64, ppc64le, s390x)".to_owned()),
        },
        Trouble::Changed(what) | Trouble::Unreadable(what) => {
            let words = remote::host_words(output);
            let said = if words.is_empty() { format!("it ended with {}", output.status) } else { words };
            Cause {
                code: Code::ProbeFailed,
                summary: format!("{host} was reached, but {what}; the host said: {said}"),
                hint: Some("the probe needs a POSIX sh, GNU coreutils, grep and systemd on the host".to_owned()),
            }
        }
    }
}

/// The member's own answer. A connection that we kept may be one to an etcd that has ended since.
async fn ask(
    shared: &Shared,
    host: &HostName,
    connection: &Connection,
    tls: Option<&Tls>,
    port: Option<u16>,
) -> Result<Option<Answer>, Unreachable> {
    let Some(tls) = tls else { return Err(Unreachable::Refused(no_credentials(host))) };
    let port = port.unwrap_or(shared.desired.ports.client);
    let kept = super::guarded(&shared.hosts[host].member).clone();
    if let Some(member) = kept {
        if let Ok(answer) = member.answer(ANSWER_DEADLINE).await {
            return Ok(Some(answer));
        }
        shared.forget_member(host);
    }
    let member: Arc<Member> = shared.member(host, connection, tls, port).await?;
    match member.answer(ANSWER_DEADLINE).await {
        Ok(answer) => Ok(Some(answer)),
        Err(cause) => {
            shared.forget_member(host);
            Err(Unreachable::Silent(cause))
        }
    }
}

fn no_credentials(host: &HostName) -> Cause {
    Cause {
        code: Code::AuthorityMissing,
        summary: format!("the member on {host} was not asked: there is no authority here to log in with"),
        hint: Some("restore ca.crt and ca.key into the folder of `[ca] dir`".to_owned()),
    }
}
