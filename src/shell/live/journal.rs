//! What the journal of a node has of its etcd, or the log of its pod.

use zeroize::Zeroizing;

use super::Live;
use super::attended::Attended;
use crate::core::desired::Runtime;
use crate::core::diagnostic::{Diagnostic, Kind};
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
        let desired = &self.hosts.desired;
        if desired.cluster.runtime == Runtime::StaticPod {
            return self.log_of_pod(host, part).await;
        }
        let remote = self.hosts.on(host).await?;
        let lines = part.lines.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let mut arguments = vec![desired.paths.service.clone(), format!("--lines={lines}")];
        arguments.extend(part.since.map(|since| format!("--since={since}")));
        if part.follows {
            arguments.push("--follow".to_owned());
        }
        let script = include_str!("script/journal.sh");
        Attended::start(&remote, "reading the journal", script, &arguments, Zeroizing::default()).await
    }

    /// What the kubelet has written of it into a file.
    async fn log_of_pod(&self, host: &HostName, part: &Part<'_>) -> Result<Attended, Diagnostic> {
        if part.since.is_some() {
            let what = "the log of a static pod is a file, from which `--since` takes no part";
            return Err(Diagnostic::new(Kind::Usage, what).hint("ask for its last lines: `--lines 1000`"));
        }
        let remote = self.hosts.on(host).await?;
        let lines = part.lines.map_or_else(|| "+1".to_owned(), |lines| lines.to_string());
        let mut arguments = vec!["-n".to_owned(), lines];
        if part.follows {
            arguments.push("-F".to_owned());
        }
        let script = include_str!("script/pod-log.sh");
        Attended::start(&remote, "reading the log of the pod", script, &arguments, Zeroizing::default()).await
    }
}
