//! A look is sent to a host, and again where a file changed while it was read.

use std::time::Duration;

use super::Trouble;
use crate::core::code::Code;
use crate::core::names::HostName;
use crate::core::observed::Cause;
use crate::shell::clock::precise_seconds;
use crate::shell::live::remote::{Remote, Unrun as Failed, host_words};
use crate::shell::live::ssh::Output;

/// The probe takes some 30 ms; a host that swaps takes longer, and one that takes this long is not to be worked on.
const PROBE_TAKES: Duration = Duration::from_secs(20);
/// Files that change while they are read do not do so again and again.
const PROBES_MAX: usize = 3;

/// What a host has said, and our own clock half-way between the question and the answer.
pub struct Asked<T> {
    pub said: T,
    pub midpoint: f64,
}

/// Sends `script`, and reads the answer by `parse`.
pub async fn ask<T>(
    remote: &Remote,
    script: &str,
    parse: impl Fn(&[u8]) -> Result<T, Trouble>,
) -> Result<Asked<T>, Failed> {
    let host = &remote.host;
    let mut said = String::new();
    for _ in 0..PROBES_MAX {
        let sent = precise_seconds();
        let output = remote.exec("looking at the host", script, Vec::new(), PROBE_TAKES).await?;
        let midpoint = sent.midpoint(precise_seconds());
        match parse(&output.stdout) {
            Ok(said) => return Ok(Asked { said, midpoint }),
            Err(trouble @ Trouble::Changed(_)) => {
                said = format!("{trouble}; the host printed: {}", host_words(&output));
            }
            Err(trouble) => return Err(Failed::Cause(explained(host, &trouble, &output))),
        }
    }
    Err(Failed::Cause(Cause {
        code: Code::ProbeFailed,
        summary: format!("{host} is reachable, but its files changed while they were read: {said}"),
        hint: Some("run again when the program that writes them has finished".to_owned()),
    }))
}

fn explained(host: &HostName, trouble: &Trouble, output: &Output) -> Cause {
    match trouble {
        Trouble::NotRoot => Cause {
            code: Code::Sudo,
            summary: format!("the SSH user on {host} is not root, and `sudo` is false in [ssh]"),
            hint: Some("log in as root, or remove `sudo = false` and allow sudo without a password".to_owned()),
        },
        Trouble::Unsupported(what) => Cause {
            code: Code::Unsupported,
            summary: format!("{host} is not supported: {what}"),
            hint: Some("quorate supports Linux hosts with systemd (amd64, arm64, ppc64le, s390x)".to_owned()),
        },
        Trouble::Changed(what) | Trouble::Unreadable(what) => {
            let words = host_words(output);
            let said = if words.is_empty() { format!("it exited with {}", output.status) } else { words };
            Cause {
                code: Code::ProbeFailed,
                summary: format!("{host} is reachable, but {what}; the host printed: {said}"),
                hint: Some("this needs a POSIX sh, GNU coreutils, grep and systemd on the host".to_owned()),
            }
        }
    }
}
