//! What the journal of a node has of its etcd.

use zeroize::Zeroizing;

use super::Live;
use super::attended::Attended;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::HostName;

/// Which part of it.
pub struct Part<'a> {
    /// The last so many; `None`: all.
    pub lines: Option<u32>,
    /// As journalctl takes it.
    pub since: Option<&'a str>,
    /// And what comes, until it is dropped.
    pub follows: bool,
}

impl Live {
    /// Starts to print it.
    ///
    /// # Errors
    /// When the host cannot be reached.
    pub async fn journal(&self, host: &HostName, part: &Part<'_>) -> Result<Attended, Diagnostic> {
        let remote = self.hosts.on(host).await?;
        let lines = part.lines.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let mut arguments = vec![self.hosts.desired.paths.service.clone(), format!("--lines={lines}")];
        arguments.extend(part.since.map(|since| format!("--since={since}")));
        if part.follows {
            arguments.push("--follow".to_owned());
        }
        let script = include_str!("script/journal.sh");
        Attended::start(&remote, "reading the journal", script, &arguments, Zeroizing::default()).await
    }
}
