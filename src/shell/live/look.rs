//! One look at one host: the probe and the member's own answer, at the same time over the same connection.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::core::capability::version;
use crate::core::code::Code;
use crate::core::desired::EtcdAccess;
use crate::core::names::HostName;
use crate::core::observed::{Answer, Cause, Host, Seen};
use crate::shell::live::etcd::{Tls, Unreachable};
use crate::shell::live::hosts::Hosts;
use crate::shell::live::pki::KnownAuthority;
use crate::shell::live::probe::{self, Sight, Trouble};
use crate::shell::live::remote::{Remote, host_words, no_root};
use crate::shell::live::ssh::{Output, SshError};
use crate::shell::live::{cause, reach};

/// A host ends its probe after this many seconds.
const PROBE_SECONDS: &str = "20";
/// The probe takes some 30 ms; a host that swaps takes longer, and one that takes this long is not to be worked on.
const PROBE_DEADLINE: Duration = Duration::from_secs(25);
/// Files that change while they are read do not do so again and again.
const PROBES_MAX: usize = 3;

pub(super) async fn look(hosts: &Hosts, host: &HostName, known: &[KnownAuthority], tls: Option<Tls>) -> Seen<Host> {
    match look_once(hosts, host, known, tls.as_ref()).await {
        Ok(seen) => Seen::Known(seen),
        // A host that was restarted since the last look: a new connection tells.
        Err(Failed::Lost(_)) => match look_once(hosts, host, known, tls.as_ref()).await {
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
    hosts: &Hosts,
    host: &HostName,
    known: &[KnownAuthority],
    tls: Option<&Tls>,
) -> Result<Host, Failed> {
    let remote = hosts.on(host).await.map_err(Failed::Seen)?;
    let (sight, member) = tokio::join!(probe(hosts, &remote, known), reach::ask(hosts, &remote, tls));
    let Sight { host: mut seen, own_ports, machine_id, .. } = match sight {
        Ok(sight) => sight,
        Err(ProbeError::Ssh(error)) => {
            hosts.disconnect(host).await;
            let cause = cause::of_ssh(host, &error);
            return Err(if error.is_connection_lost() { Failed::Lost(cause) } else { Failed::Seen(cause) });
        }
        Err(ProbeError::Cause(cause)) => return Err(Failed::Seen(cause)),
    };
    keep(hosts, host, &seen, machine_id);
    let member = match (member, tls) {
        (Err(missed @ (Unreachable::Refused(_) | Unreachable::Elsewhere(_))), Some(tls)) if seen.process.is_some() => {
            reach::ask_elsewhere(hosts, &remote, tls, &own_ports).await.ok_or(missed)
        }
        (Ok((_, answer)), Some(tls)) if seen.process.is_some() && is_of_another(hosts, host, &answer) => {
            let own = reach::ask_elsewhere(hosts, &remote, tls, &own_ports).await;
            own.ok_or_else(|| Unreachable::Silent(another(hosts, host, &answer)))
        }
        (member, _) => member,
    };
    let member = match member {
        Ok((_, answer)) => {
            if let (Some(process), Some(tls)) = (&mut seen.process, tls) {
                process.served = reach::served(hosts, &remote, tls, &answer).await;
            }
            Seen::Known(Some(answer))
        }
        Err(_) if seen.process.is_none() => Seen::Known(None),
        Err(missed) => Seen::Unknown(missed.into_cause()),
    };
    Ok(Host { member, ..seen })
}

/// Whether the member that answered calls itself by the name of another declared host: two addresses may have been
/// swapped in cluster.toml, and from here the declared one of `host` leads to the other.
fn is_of_another(hosts: &Hosts, host: &HostName, answer: &Answer) -> bool {
    let lists = answer.members.known().into_iter().chain([&answer.own_members]);
    let name = lists.flatten().find(|entry| entry.id == answer.member).and_then(|entry| entry.name.as_ref());
    let through_host = hosts.desired.ssh.etcd_access == EtcdAccess::Tunnel;
    through_host && name.is_some_and(|name| name != host && hosts.desired.nodes.contains_key(name))
}

fn another(hosts: &Hosts, host: &HostName, answer: &Answer) -> Cause {
    let address = hosts.machines.get(host).map_or_else(String::new, |machine| machine.address.clone());
    Cause {
        code: Code::MemberSilent,
        summary: format!("at {address}, the address of {host}, another member answers ({})", answer.member),
        hint: Some(format!("correct `address` or `ssh` of {host} in cluster.toml")),
    }
}

/// Which machine it is, and which etcd runs there, for what is done with the tools beside it.
fn keep(hosts: &Hosts, host: &HostName, seen: &Host, machine_id: Option<String>) {
    let running = seen.process.as_ref().map(|process| process.executable.parent());
    let started = || hosts.desired.binaries_folder_of(version::on_disk(&hosts.desired, seen));
    if let Some(machine) = hosts.machines.get(host) {
        machine.keep(machine_id, running.unwrap_or_else(started));
    }
}

enum ProbeError {
    Ssh(SshError),
    Cause(Cause),
}

async fn probe(hosts: &Hosts, remote: &Remote, known: &[KnownAuthority]) -> Result<Sight, ProbeError> {
    let host = &remote.host;
    let command = ["timeout", "-k", "2", PROBE_SECONDS, "sh", "-s"];
    let mut said = String::new();
    for _ in 0..PROBES_MAX {
        let script = probe::script(&hosts.desired);
        let sent = seconds();
        let output = remote.exec(&command, script.as_str(), PROBE_DEADLINE).await.map_err(ProbeError::Ssh)?;
        let midpoint = sent.midpoint(seconds());
        match probe::parse(&hosts.desired, known, &output.stdout) {
            Ok(mut sight) => {
                // The host's clock is told in whole seconds: on average half a second has passed since.
                #[expect(clippy::cast_possible_truncation, reason = "a difference of two clocks in seconds")]
                let offset = (sight.now.0 as f64 + 0.5 - midpoint).round() as i64;
                sight.host.clock_offset_seconds = offset;
                return Ok(sight);
            }
            Err(trouble @ Trouble::Changed(_)) => {
                said = format!("{trouble}; the host said: {}", host_words(&output));
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
    if let Some(cause) = no_root(host, output).filter(|_| matches!(trouble, Trouble::Unreadable(_))) {
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
            let words = host_words(output);
            let said = if words.is_empty() { format!("it ended with {}", output.status) } else { words };
            Cause {
                code: Code::ProbeFailed,
                summary: format!("{host} was reached, but {what}; the host said: {said}"),
                hint: Some("the probe needs a POSIX sh, GNU coreutils, grep and systemd on the host".to_owned()),
            }
        }
    }
}
