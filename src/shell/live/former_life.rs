//! What is left of a cluster here, on the nodes and off-site where every host is bare: before an empty one takes its place.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use super::Live;
use super::backup;
use super::offsite::Offsite;
use super::probe::Saved;
use crate::core::cluster::snapshot::{self, Check, Fault, counts};
use crate::core::content::layout;
use crate::core::desired::Desired;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{HostName, UnixSeconds};
use crate::core::observed::{DataDirectory, File, FormerLife, Host, Observed, Seen};

/// The snapshots that were found, and where nobody could look.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    found: Vec<(UnixSeconds, String)>,
    unseen: Vec<String>,
}

/// Whether every host was seen and shows nothing of a cluster, nor of one that is about to begin.
pub(super) fn is_in_question(observed: &Observed) -> bool {
    let is_bare = |host: &Host| {
        let begun = [File::NewDataMarker, File::Config, File::Unit].iter().any(|file| host.files.contains_key(file));
        host.data == DataDirectory::Empty && host.data_elsewhere.is_none() && host.process.is_none() && !begun
    };
    observed.hosts.values().all(|host| host.known().is_some_and(is_bare))
}

/// Looks for it. What was `saved` on the hosts before changes is known already.
pub(super) async fn look(live: &Live, saved: &BTreeMap<HostName, Vec<Saved>>) -> FormerLife {
    let kept = live.snapshots_of_former_life.get_or_init(|| look_for_snapshots(live)).await;
    let Snapshots { mut found, unseen } = kept.clone();
    for (host, saved) in saved {
        let folder = layout::SNAPSHOTS_FOLDER;
        found.extend(saved.iter().map(|saved| (saved.at, format!("one on {host}, saved before a change in {folder}"))));
    }
    found.sort();
    let snapshots = found.into_iter().map(|(_, path)| path).collect();
    FormerLife { authority_has_signed: live.credentials.has_signed(), snapshots, unseen }
}

async fn look_for_snapshots(live: &Live) -> Snapshots {
    let desired = &live.hosts.desired;
    let folder = snapshot::folder(desired);
    let (nodes, there) = tokio::join!(live.snapshots(&folder), offsite(desired));
    let mut all = Snapshots { found: here(), unseen: Vec::new() };
    for (node, listed) in nodes {
        match listed {
            Seen::Known(listed) => {
                let whole = listed.into_iter().filter(|one| counts(one.bytes, one.facts.bytes));
                all.found.extend(whole.map(|one| (one.at, format!("{node}:{}", folder.join(&one.name)))));
            }
            Seen::Unknown(cause) => all.unseen.push(cause.summary),
        }
    }
    match there {
        Ok(there) => all.found.extend(there),
        Err(failure) => all.unseen.push(failure.to_string().lines().next().unwrap_or_default().to_owned()),
    }
    all
}

async fn offsite(desired: &Desired) -> Result<Vec<(UnixSeconds, String)>, Diagnostic> {
    let Some(declared) = desired.backup.as_ref().and_then(|backup| backup.offsite.as_ref()) else {
        return Ok(Vec::new());
    };
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let offsite = Offsite::open(declared, environment)?;
    let whole = offsite.list().await?.into_iter().filter(|one| counts(one.bytes, one.facts.bytes));
    Ok(whole.map(|one| (one.at, offsite.url_of(&one.name))).collect())
}

/// Those in this folder, whatever they are called: `backup run -o` gives any name. One of another name than ours is told by
/// how it begins.
fn here() -> Vec<(UnixSeconds, String)> {
    let entries = std::fs::read_dir(".").into_iter().flatten().flatten();
    let found = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let is_named = [".db", ".db.zst", ".db.gz"].iter().any(|end| name.ends_with(end));
        let metadata = entry.metadata().ok().filter(|metadata| is_named && metadata.is_file())?;
        let is_whole = || counts(metadata.len(), backup::facts(Path::new(&name)).bytes);
        if !is_whole() && !begins_as_one(Path::new(&name)) {
            return None;
        }
        let written = || {
            let since = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            Some(UnixSeconds(i64::try_from(since.as_secs()).ok()?))
        };
        Some((snapshot::begun(&name).or_else(written)?, format!("./{name}")))
    };
    entries.filter_map(found).collect()
}

/// As much as holds both meta pages of a database, whatever its pages are.
const BEGINNING_BYTES: u64 = 256 << 10;

fn begins_as_one(file: &Path) -> bool {
    let Ok(unpacked) = backup::open(file) else { return false };
    let mut beginning = Vec::new();
    // What cannot be unpacked further may have begun well.
    let _ = unpacked.take(BEGINNING_BYTES).read_to_end(&mut beginning);
    let mut check = Check::default();
    check.update(&beginning);
    !beginning.is_empty() && !matches!(check.finish(), Err(Fault::NotOne))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_as_no_database_is_no_snapshot() {
        let folder = tempfile::TempDir::new().expect("there is room");
        let file = folder.path().join("kept.db");
        for content in [&b""[..], b"hello", &[0; 300 << 10]] {
            std::fs::write(&file, content).expect("it can be written");
            assert!(!begins_as_one(&file), "{} bytes", content.len());
        }
        assert!(!begins_as_one(&folder.path().join("none.db")));
    }
}
