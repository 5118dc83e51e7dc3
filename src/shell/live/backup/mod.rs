//! Snapshots: taken of a member, kept here or on its host, and read again.
//!
//! ```text
//! member ─ tunnel ─► pieces ─► [ check ─ compress ─ write ]  a thread of its own     ─► synced, renamed
//! ```

mod nodes;
mod packing;
mod read;
mod receive;
mod staged;
mod wanted;

pub use packing::{Packer, Unpacked};
pub use read::{check, check_in_thread, facts, keep_facts, open};
pub(in crate::shell::live) use read::{check_stream, unsound};
pub use receive::Received;
pub(in crate::shell::live) use staged::{keep, staged, unwritable};
pub(in crate::shell::live) use wanted::{Wanted, while_wanted};

use crate::core::content::runtime;
use crate::core::desired::Compression;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{HostName, RemotePath};
use crate::shell::clock::now;
use crate::shell::live::credentials::Credentials;
use crate::shell::live::hosts::Hosts;
use crate::shell::live::lock::{self, Operation};
use crate::shell::live::remote::{Command, LockProof, Source};
use crate::shell::live::{Live, reach};

/// The member on `host`, wherever it answers, to be asked by whoever may read everything.
///
/// # Errors
/// When there are no credentials for that.
pub(in crate::shell::live) async fn source(
    hosts: &Hosts,
    credentials: &Credentials,
    host: &HostName,
) -> Result<Source, Diagnostic> {
    let client = credentials.client(now()).await?;
    let database_bytes = reach::of_reachable(hosts, credentials, host).await.map(|(_, answer)| answer.database_bytes);
    Ok(Source { binaries: hosts.running(host), endpoint: hosts.endpoint(host), client, database_bytes })
}

impl Live {
    /// Receives a snapshot of the member on `host` into `file`, checked and compressed on its way. `progress` is told
    /// how many bytes of the database have come, and how many there are.
    ///
    /// # Errors
    /// When the member cannot be reached, the stream ends, the snapshot is not sound, or the file cannot be written;
    /// nothing is left then.
    pub async fn receive_snapshot(
        &self,
        host: &HostName,
        file: &std::path::Path,
        compression: Compression,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Received, Diagnostic> {
        let answered = reach::of_reachable(&self.hosts, &self.credentials, host).await;
        let (member, _) = answered.ok_or_else(|| silent(&self.hosts.desired, host))?;
        receive::receive(&member, file, compression, progress).await
    }

    /// Has `host` save a snapshot of its own member into `folder` under `name`; it stays there.
    ///
    /// # Errors
    /// When the host is locked by someone else, or the snapshot could not be taken, is not sound, or finds no room.
    pub async fn snapshot_on(
        &self,
        host: &HostName,
        folder: &RemotePath,
        name: &str,
        compression: Compression,
        operation: Operation,
    ) -> Result<(), Diagnostic> {
        let from = source(&self.hosts, &self.credentials, host).await?;
        let command = Command::backup(&self.hosts.desired, folder, name, compression, &from);
        self.run_alone(host, command, operation, &format!("save {name}")).await.map(drop)
    }

    /// Runs a command on one host while we hold the lock of that host alone, and returns what it said.
    pub(in crate::shell::live) async fn run_alone(
        &self,
        host: &HostName,
        command: Command,
        operation: Operation,
        what: &str,
    ) -> Result<String, Diagnostic> {
        let remote = self.hosts.on(host).await?;
        let alone = vec![(host.clone(), Ok(remote.clone()))];
        let lock = lock::take(alone, operation, std::time::Duration::ZERO, &|_, _| {}).await?;
        if let Some((_, cause)) = lock.skipped.first() {
            return Err(cause.clone().into());
        }
        let proof = LockProof { token: &lock.token, audit: lock.operation.audit(what) };
        remote.run(command, &proof).await
    }
}

fn silent(desired: &Desired, host: &HostName) -> Diagnostic {
    Diagnostic::new(Kind::Unseen, format!("the member on {host} does not answer"))
        .at(host.as_str())
        .hint(format!("run `quorate status`, and `{}` on {host}", runtime::log(desired)))
}
