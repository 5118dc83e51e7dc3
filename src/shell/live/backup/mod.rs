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

use crate::core::desired::Compression;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{ClusterId, HostName, RemotePath};
use crate::shell::live::lock::Errand;
use crate::shell::live::perform::told;
use crate::shell::live::remote::{Command, Remote, Source, Warrant};
use crate::shell::live::{Live, Shared, cause, lock, now, reach};

/// The member on `host`, wherever it answers, to be asked by whoever may read everything.
///
/// # Errors
/// When there are no credentials for that.
pub(in crate::shell::live) async fn source(shared: &Shared, host: &HostName) -> Result<Source, Diagnostic> {
    let client = shared.holding(now()).await?.operator(now())?;
    let database_bytes = reach::of_reachable(shared, host).await.map(|(_, answer)| answer.database_bytes);
    Ok(Source { binaries: shared.running(host), endpoint: shared.endpoint(host), client, database_bytes })
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
        let answered = reach::of_reachable(&self.shared, host).await;
        let (member, _) = answered.ok_or_else(|| silent(host))?;
        receive::receive(&member, file, compression, progress).await
    }

    /// Has `host` save a snapshot of its own member, which is of `cluster`, into `folder` under `name`; it stays there.
    ///
    /// # Errors
    /// When the host is locked by someone else, or the snapshot could not be taken, is not sound, or finds no room.
    pub async fn snapshot_on(
        &self,
        host: &HostName,
        folder: &RemotePath,
        name: &str,
        compression: Compression,
        cluster: ClusterId,
        errand: Errand,
    ) -> Result<(), Diagnostic> {
        let shared = &self.shared;
        let from = source(shared, host).await?;
        let command = Command::backup(&shared.desired, folder, name, compression, cluster, &from);
        self.run_alone(host, command, errand, &format!("save {name}")).await.map(drop)
    }

    /// Runs a command on one host while we hold the lock of that host alone, and returns what it said.
    pub(in crate::shell::live) async fn run_alone(
        &self,
        host: &HostName,
        command: Command,
        errand: Errand,
        what: &str,
    ) -> Result<String, Diagnostic> {
        let shared = &self.shared;
        let connection = shared.connection(host).await.map_err(|error| told(cause::of_ssh(host, &error)))?;
        let hosts = vec![(host.clone(), Ok(connection.clone()))];
        let lock = lock::take(hosts, shared.elevation, errand, std::time::Duration::ZERO, &|_, _| {}).await?;
        if let Some((_, cause)) = lock.skipped.first() {
            return Err(told(cause.clone()));
        }
        let remote = Remote { host, connection: &connection, elevation: shared.elevation };
        let warrant = Warrant { token: &lock.token, audit: lock.errand.audit(what) };
        remote.run(command, &warrant).await
    }
}

fn silent(host: &HostName) -> Diagnostic {
    Diagnostic::new(Kind::Unseen, format!("the member on {host} does not answer"))
        .at(host.as_str())
        .hint(format!("look at `quorate status`, and at `journalctl -u etcd` on {host}"))
}
