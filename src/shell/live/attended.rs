//! Programs on a host that somebody watches: what they print is shown as it comes, and they end with who reads it.

use std::time::Duration;

use super::remote::{Remote, Stream, with_arguments};
use super::ssh::{Exit, Stdin};
use crate::core::diagnostic::Diagnostic;
use crate::core::names::HostName;
use zeroize::Zeroizing;

const ATTENDED: &str = include_str!("script/attended.sh");
/// `watch` and `--follow` may say nothing for days.
const IDLE: Duration = Duration::from_secs(30 * 24 * 3600);

/// One that runs. Dropping it ends it.
pub struct Attended {
    host: HostName,
    what: String,
    stream: Stream,
}

/// How one ended.
pub struct Ended {
    /// Its own exit status; as a shell has it, where a signal ended it.
    pub status: u8,
    /// What it printed on stderr.
    pub stderr: Vec<u8>,
}

impl Attended {
    /// Runs a script that says `attended`.
    pub(super) async fn start(
        remote: &Remote,
        what: &str,
        script: &str,
        arguments: &[String],
        stdin: Zeroizing<Vec<u8>>,
    ) -> Result<Self, Diagnostic> {
        let script = with_arguments(&format!("{ATTENDED}\n{script}"), arguments);
        let stream = remote.stream(what, &script, Stdin::Open(stdin), IDLE).await;
        let stream = stream.map_err(|unrun| Diagnostic::from(unrun.cause(&remote.host, what)))?;
        Ok(Self { host: remote.host.clone(), what: what.to_owned(), stream })
    }

    /// What it prints next; nothing when it has printed all.
    ///
    /// # Errors
    /// When the host was lost.
    pub async fn next(&mut self) -> Result<&[u8], Diagnostic> {
        let Self { host, what, stream } = self;
        stream.next().await.map_err(|unrun| Diagnostic::from(unrun.cause(host, what)))
    }

    /// How it ended, when all was read.
    ///
    /// # Errors
    /// When the host was lost, or it was not begun.
    pub async fn end(self) -> Result<Ended, Diagnostic> {
        let output = self.stream.end().await;
        let output = output.map_err(|unrun| Diagnostic::from(unrun.cause(&self.host, &self.what)))?;
        let status = match output.status {
            Exit::Code(code) => u8::try_from(code).unwrap_or(u8::MAX),
            Exit::Signal(_) => u8::MAX,
        };
        Ok(Ended { status, stderr: output.stderr })
    }
}
