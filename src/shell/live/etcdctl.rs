//! etcdctl on a node: of the version that runs there, at its own member, with a certificate that it is given for this.

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::Live;
use super::attended::Attended;
use super::lock::Operation;
use super::reach;
use super::remote::Remote;
use crate::core::cluster::leaf;
use crate::core::content::layout;
use crate::core::desired::Desired;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{HostName, UnixSeconds};
use crate::core::observed::{File, Role};

/// Long enough for a `watch` to begin, and for what is asked again after an election.
const TTL_SECONDS: u64 = 3600;

/// What is to be run.
pub struct Asked<'a> {
    /// `None`: the first whose member answers.
    pub node: Option<&'a HostName>,
    /// The user whose certificate is issued for it; `None` for the one that the node has for health checks.
    pub user: Option<&'a str>,
    pub words: &'a [String],
    /// What it reads.
    pub input: &'a [u8],
}

impl Live {
    /// Starts it.
    ///
    /// # Errors
    /// When no node can be reached, or no certificate can be had.
    pub async fn etcdctl(
        &self,
        asked: &Asked<'_>,
        operation: &Operation,
        at: UnixSeconds,
    ) -> Result<Attended, Diagnostic> {
        let remote = match asked.node {
            Some(node) => self.hosts.on(node).await?,
            None => self.answering().await?,
        };
        let host = &remote.host;
        let mut stdin = Zeroizing::new(Vec::new());
        let pair = match asked.user {
            None => {
                let desired = &self.hosts.desired;
                // Somebody else's service has no pair for health checks that is known of.
                let is_adopted = desired.cluster.layout.is_adopted();
                let role = if is_adopted { Role::Peer } else { Role::HealthcheckClient };
                let files = [File::Trust, role.certificate(), role.key()];
                ["there".to_owned()].into_iter().chain(files.map(|file| layout::path(desired, host, file).to_string()))
            }
            Some(user) => {
                let (issued, trusted) = self.issue(&leaf::client(user), TTL_SECONDS, at).await?;
                let texts = [&trusted, &issued.certificate_pem, issued.key_pem.expose_secret()];
                texts.iter().for_each(|text| stdin.extend_from_slice(text.as_bytes()));
                ["given".to_owned()].into_iter().chain(texts.map(|text| text.len().to_string()))
            }
        };
        stdin.extend_from_slice(asked.input);
        let command = command(asked.words);
        // All other words may be anything: keys, values, passwords.
        let audit = operation.audit(command.unwrap_or("etcdctl"));
        let folders = [self.hosts.running(host).to_string(), layout::TOOLS_FOLDER.to_owned()];
        let mut arguments: Vec<String> = folders.into_iter().chain([audit]).chain(pair).collect();
        arguments.push(asked.input.len().to_string());
        // Nobody waits for the end of these to read what is wrong.
        let is_endless = command.is_some_and(|command| ENDLESS.contains(&command));
        arguments.push(if is_endless { "at-once" } else { "at-the-end" }.to_owned());
        if !names_endpoints(asked.words) {
            arguments.push(format!("--endpoints={}", self.hosts.endpoint(host)));
        }
        arguments.extend_from_slice(asked.words);
        let script = include_str!("script/etcdctl.sh");
        Attended::start(&remote, "running etcdctl", script, &arguments, stdin).await
    }

    /// The first declared node whose member answers; where none does, the first that can be reached: etcdctl says what is
    /// wrong there.
    async fn answering(&self) -> Result<Remote, Diagnostic> {
        // All at once: one that is off takes its time.
        let connected = self.hosts.each(|hosts, host| async move { hosts.on(&host).await }).await;
        let (mut reached, mut lost) = (None, None);
        for (node, connected) in connected {
            match connected {
                Ok(remote) if reach::of_connected(&self.hosts, &self.credentials, &node).await.is_some() => {
                    return Ok(remote);
                }
                Ok(remote) => reached = reached.or(Some(remote)),
                Err(cause) => lost = lost.or(Some(cause)),
            }
        }
        match (reached, lost) {
            (Some(remote), _) => Ok(remote),
            (None, Some(cause)) => Err(cause.into()),
            (None, None) => Err(Diagnostic::failure("no node is declared")),
        }
    }
}

/// etcdctl's commands, of 3.4 to 3.7.
const COMMANDS: [&str; 23] = [
    "alarm",
    "auth",
    "check",
    "compact",
    "compaction",
    "completion",
    "defrag",
    "del",
    "downgrade",
    "elect",
    "endpoint",
    "get",
    "help",
    "lease",
    "lock",
    "make-mirror",
    "member",
    "move-leader",
    "put",
    "role",
    "snapshot",
    "user",
    "version",
];
/// Those that go on until they are ended, or wait for somebody.
const ENDLESS: [&str; 5] = ["elect", "lock", "make-mirror", "txn", "watch"];

/// The command among etcdctl's words. What stands before it are flags and their values.
fn command(words: &[String]) -> Option<&'static str> {
    let known = |word: &str| COMMANDS.into_iter().chain(ENDLESS).find(|command| *command == word);
    words.iter().find_map(|word| known(word))
}

/// Whether somebody must be named as whom it is asked: nobody else has rights.
pub fn needs_user(desired: &Desired) -> bool {
    desired.auth.as_ref().is_some_and(|auth| auth.enabled)
}

/// A second `--endpoints` would add to the first.
fn names_endpoints(words: &[String]) -> bool {
    words.iter().any(|word| word == "--endpoints" || word.starts_with("--endpoints="))
}
