//! The snapshots that lie on the nodes: listed, and fetched from there.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::{read, staged};
use crate::core::cluster::snapshot::{self, Facts, Listed, Sound};
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{HostName, RemotePath};
use crate::core::observed::{Drill, Seen};
use crate::shell::live::Live;
use crate::shell::live::lock::Lock;
use crate::shell::live::remote::{Command, Unrun, host_words, with_arguments};
use crate::shell::live::ssh::Stdin;

/// A node that sends nothing for so long has gone.
const IDLE: Duration = Duration::from_secs(60);

impl Live {
    /// The finished snapshots in `folder` on every node, the newest last.
    pub async fn snapshots(&self, folder: &RemotePath) -> BTreeMap<HostName, Seen<Vec<Listed>>> {
        let asked = self.hosts.each(|hosts, host| {
            let folder = folder.clone();
            async move {
                let remote = match hosts.on(&host).await {
                    Ok(remote) => remote,
                    Err(cause) => return Seen::Unknown(cause),
                };
                let script = include_str!("../script/list.sh");
                match remote.ask("listing the snapshots", script, &[folder.as_str()]).await {
                    Ok((_, said)) => Seen::Known(listed(&said)),
                    Err(cause) => Seen::Unknown(cause),
                }
            }
        });
        asked.await
    }

    /// Removes `surplus` from a node, unless none of `kept` is whole; both the newest first. We hold its lock.
    ///
    /// # Errors
    /// When the lock is not ours, the node is lost, or what would stay is not whole: nothing is removed then.
    pub async fn prune_snapshots(
        &self,
        lock: &Lock,
        host: &HostName,
        folder: &RemotePath,
        kept: &[Listed],
        surplus: &[Listed],
    ) -> Result<(), Diagnostic> {
        // One script names them all: it must not grow without a limit.
        const KEPT_LOOKED_AT_MAX: usize = 20;
        const AT_ONCE: usize = 400;
        let names = |listed: &[Listed]| listed.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        let kept = names(&kept[..kept.len().min(KEPT_LOOKED_AT_MAX)]);
        let kept: Vec<_> = kept.iter().map(String::as_str).collect();
        // The oldest go first: whenever it ends, the newest are there.
        for some in names(surplus).rchunks(AT_ONCE) {
            let some: Vec<_> = some.iter().map(String::as_str).collect();
            let what = format!("remove {} old snapshots", some.len());
            self.hosts.run(lock, host, Command::prune_snapshots(folder, &kept, &some), &what).await?;
        }
        Ok(())
    }

    /// Notes on every node under our lock that a drill was passed; where the snapshot lies on one, what is known of it, too.
    ///
    /// # Errors
    /// When a node is lost or its lock is not ours; the others have noted it.
    pub async fn note_drill(
        &self,
        lock: &Lock,
        folder: &RemotePath,
        drill: &Drill,
        with: Option<(&HostName, &str, &Facts)>,
    ) -> Result<(), Diagnostic> {
        let mut noted = Ok(());
        for host in self.hosts.desired.nodes.keys().filter(|host| lock.covers(host)) {
            let with = with.filter(|(of, ..)| *of == host).map(|(_, name, facts)| (name, facts));
            let command = Command::note_drill(&self.hosts.desired, folder, drill, with);
            noted = noted.and(self.hosts.run(lock, host, command, "record the test restore").await);
        }
        noted
    }

    /// Fetches a snapshot from a node into `to`, and checks it there. `progress` is told how many bytes have come.
    ///
    /// # Errors
    /// When the node is lost, the file cannot be written or is there already, or the snapshot is not sound.
    pub async fn fetch_snapshot(
        &self,
        host: &HostName,
        path: &RemotePath,
        to: &Path,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Sound, Diagnostic> {
        let what = format!("reading {path}");
        let lost = |unrun: Unrun| Diagnostic::from(unrun.cause(host, &what));
        let remote = self.hosts.on(host).await?;
        let script = with_arguments("cat -- \"$1\"", [path.as_str()]);
        let mut stream = remote.stream(&what, &script, Stdin::Empty, IDLE).await.map_err(lost)?;
        let staged = staged::staged(to)?;
        let unwritable = |error: &io::Error| staged::unwritable(to, error);
        let file = staged.as_file().try_clone().map_err(|error| unwritable(&error))?;
        let mut file = tokio::fs::File::from_std(file);
        let mut bytes = 0;
        loop {
            let piece = stream.next().await.map_err(lost)?;
            if piece.is_empty() {
                break;
            }
            file.write_all(piece).await.map_err(|error| unwritable(&error))?;
            bytes += piece.len() as u64;
            progress(bytes);
        }
        file.sync_all().await.map_err(|error| unwritable(&error))?;
        let output = stream.end().await.map_err(lost)?;
        if !output.is_success() {
            let what = format!("{path} could not be read on {host}");
            return Err(Diagnostic::failure(what).at(host.as_str()).with_cause(host_words(&output)));
        }
        let sound = read::check_in_thread(staged.path().to_owned(), format!("{path} on {host}")).await?;
        staged::keep(staged, to)?;
        Ok(sound)
    }
}

/// Lines of `SIZE NAME FACTS`; what is no name of ours is left out.
fn listed(said: &str) -> Vec<Listed> {
    let mut listed: Vec<_> = said
        .lines()
        .filter_map(|line| {
            let (bytes, rest) = line.split_once(' ')?;
            let (name, facts) = rest.split_once(' ').unwrap_or((rest, ""));
            let (at, bytes) = (snapshot::begun(name)?, bytes.parse().ok()?);
            Some(Listed { at, name: name.to_owned(), bytes, facts: Facts::read(facts) })
        })
        .collect();
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    listed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::UnixSeconds;

    #[test]
    fn only_names_of_ours_are_listed() {
        let said = "12 snapshot-20270115_080000.db.zst {\"revision\":7}\nx snapshot-20270115_080000.db\n9 snapshot-noon.db\n\
                    7 snapshot-20270114_080000.db;rm.db\n5 snapshot-20270114_080000.db \n";
        let names: Vec<_> = listed(said)
            .into_iter()
            .map(|listed| (listed.name, listed.bytes, listed.at, listed.facts.revision))
            .collect();
        assert_eq!(
            names,
            [
                ("snapshot-20270114_080000.db".to_owned(), 5, UnixSeconds(1_799_913_600), None),
                ("snapshot-20270115_080000.db.zst".to_owned(), 12, UnixSeconds(1_800_000_000), Some(7)),
            ]
        );
    }
}
