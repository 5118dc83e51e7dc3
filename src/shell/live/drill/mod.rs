//! A restore drill: a snapshot is restored into an etcd of its own, on loopback, here or on a node, which is then asked
//! what it holds.
//!
//! ```text
//! check all bytes ─► unpack ─► snapshot status ─► snapshot restore ─► etcd ─► revision, keys, hash ─► the live cluster's
//! ```
//!
//! The scratch etcd asks for certificates as the real members do, of an authority that is made for the drill and never
//! written down: what it serves for a few seconds is everything.

mod watchdog;
mod on_node;
mod scratch;

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io::{self, BufReader, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{ClusterId, HostName, PeerUrl};
use crate::shell::live::backup::{Wanted, open, while_wanted};
use crate::shell::live::machine::Place;
use crate::shell::live::remote::scaled;
use crate::shell::live::{Live, reach};

/// What a drill has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drilled {
    /// As `snapshot status` claims.
    pub claim: Claim,
    /// Keys that are there at that revision, without their history.
    pub keys: i64,
    /// etcd's hash of all keys and their history.
    pub hash: u32,
    /// The peer URLs of the members that the snapshot knows of, former ones perhaps among them.
    pub members: BTreeSet<String>,
    pub live: Comparison,
    pub took: Duration,
}

/// What `etcdutl snapshot status` says of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    pub hash: u32,
    pub revision: i64,
    /// Everything in the database: the history of keys, leases, users.
    pub total_key: i64,
}

/// The snapshot that a drill is held with.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub name: &'a str,
    /// The cluster that it was taken of, if that was noted. etcd keeps the id in its log, not in its database (3.4 to 3.7).
    pub cluster: Option<ClusterId>,
}

/// How the live cluster compares at the snapshot's revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Its hash is the same.
    EqualHash,
    /// It was compacted since, so that hashes cannot be compared; it has as many keys at that revision.
    EqualKeys,
    /// It does not have that revision any more.
    Gone,
    /// It has begun anew since, under another id: its revisions are not those of the snapshot.
    BegunAnew,
    /// No member answers.
    Unseen,
}

/// For a question that reads the whole database. More for a large one.
const READ_DEADLINE: Duration = Duration::from_secs(120);

impl Live {
    /// Restores the snapshot at `path`, which was checked, into a scratch etcd here. `sources` are the members of the live
    /// cluster that are asked for their hash.
    ///
    /// # Errors
    /// When what is restored is not what the snapshot claims, or not what the live cluster holds at its revision; when it
    /// is of another cluster; and when no drill can be held here.
    pub async fn drill(&self, path: &Path, subject: Subject<'_>, sources: &[HostName]) -> Result<Drilled, Diagnostic> {
        let begun = Instant::now();
        let desired = &self.hosts.desired;
        let signer = scratch::authority(&desired.cluster.name)?;
        // It goes with everything in it, whatever happens; not before the last thread that writes there has ended.
        let folder = Arc::new(folder()?);
        let tools = scratch::tools(desired, &self.packages, &folder).await?;
        let database = folder.path().join("snapshot.db");
        let (from, to, keeps) = (path.to_owned(), database.clone(), folder.clone());
        let unpacked = while_wanted(move |wanted| {
            let unpacked = unpack(&from, &to, wanted);
            drop(keeps);
            unpacked
        });
        let members = unpacked.await.ok_or_else(|| Diagnostic::failure("unpacking the snapshot was interrupted"))??;
        self.is_of_this_cluster(subject.name, &members)?;
        let claim = tools.status(&database).await?;
        let scratch = tools.start(&signer, &database, desired.certificates.validity_seconds).await?;
        let bytes = database.metadata().map_err(|error| failed(&error))?.len();
        let deadline = scaled(READ_DEADLINE, bytes);
        let (revision, hash, compacted) = scratch.member.hash_at(0, deadline).await?;
        let keys = scratch.member.count_at(revision, deadline).await?;
        drop(scratch);
        let restored = Restored { revision, hash, compacted, keys };
        self.judge(subject, Evidence { bytes, claim, members, restored }, sources, begun).await
    }

    /// What was restored against what the snapshot claims, and against the live cluster.
    async fn judge(
        &self,
        subject: Subject<'_>,
        evidence: Evidence,
        sources: &[HostName],
        begun: Instant,
    ) -> Result<Drilled, Diagnostic> {
        let Evidence { bytes, claim, members, restored } = evidence;
        let Restored { revision, hash, compacted, keys } = restored;
        // etcd begins at 1, and where the newest keys were deleted and compacted away, at that compaction.
        let expected = claim.revision.max(compacted).max(1);
        if revision != expected || keys > claim.total_key {
            let what = format!(
                "the file claims revision {} and {} entries, but the restored data is at revision {revision} with \
                 {keys} keys",
                claim.revision, claim.total_key
            );
            return Err(differs(subject.name, what));
        }
        let live = self.compare(subject, sources, &restored, scaled(READ_DEADLINE, bytes)).await?;
        Ok(Drilled { claim, keys, hash, members, live, took: begun.elapsed() })
    }

    /// By the peer URLs of its members: names are often the same in all clusters.
    fn is_of_this_cluster(&self, name: &str, members: &BTreeSet<String>) -> Result<(), Diagnostic> {
        let desired = &self.hosts.desired;
        if !is_foreign(desired, members) {
            return Ok(());
        }
        let code = Code::SnapshotForeign;
        let members: Vec<_> = members.iter().map(String::as_str).collect();
        let what = format!("{name} is from a different cluster from {} [{code}]", desired.cluster.name);
        Err(Diagnostic::new(code.kind(), what)
            .with_cause(format!("its members were {}; none of them is in cluster.toml", members.join(", ")))
            .hint(format!("run `quorate explain {code}`")))
    }

    async fn compare(
        &self,
        subject: Subject<'_>,
        sources: &[HostName],
        is: &Restored,
        deadline: Duration,
    ) -> Result<Comparison, Diagnostic> {
        let Some(source) = sources.first() else { return Ok(Comparison::Unseen) };
        let Some((member, answer)) = reach::of_reachable(&self.hosts, &self.credentials, source).await else {
            return Ok(Comparison::Unseen);
        };
        if subject.cluster.is_some_and(|cluster| cluster != answer.cluster) {
            return Ok(Comparison::BegunAnew);
        }
        let Ok((_, hash, compacted)) = member.hash_at(is.revision, deadline).await else {
            return Ok(Comparison::Gone);
        };
        if compacted == is.compacted {
            let what = || {
                format!(
                    "at revision {}, the hash of {source} is {hash}, but the snapshot's is {}",
                    is.revision, is.hash
                )
            };
            return if hash == is.hash { Ok(Comparison::EqualHash) } else { Err(subject.differs_from_live(what())) };
        }
        let Ok(keys) = member.count_at(is.revision, deadline).await else { return Ok(Comparison::Gone) };
        let what =
            || format!("at revision {}, {source} has {keys} keys, but the snapshot has {}", is.revision, is.keys);
        if keys == is.keys { Ok(Comparison::EqualKeys) } else { Err(subject.differs_from_live(what())) }
    }
}

impl Subject<'_> {
    fn differs_from_live(self, what: String) -> Diagnostic {
        let differs = differs(self.name, what);
        match self.cluster {
            Some(_) => differs,
            None => differs.with_cause(
                "its cluster id was not recorded: either the snapshot or the member has wrong data, or the cluster was \
                 restored after the snapshot was taken (the snapshot may be good then)",
            ),
        }
    }
}

/// What a drill has brought to light.
struct Evidence {
    /// Of the database.
    bytes: u64,
    claim: Claim,
    members: BTreeSet<String>,
    restored: Restored,
}

/// What the scratch etcd holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Restored {
    revision: i64,
    hash: u32,
    compacted: i64,
    keys: i64,
}

/// A folder that is gone with everything in it when it is dropped. Nobody else may look into it: a database may hold secrets.
///
/// # Errors
/// When none can be made.
pub fn folder() -> Result<TempDir, Diagnostic> {
    let folder = tempfile::Builder::new().prefix("quorate-drill-").permissions(Permissions::from_mode(0o700)).tempdir();
    folder.map_err(|error| failed(&error))
}

/// The peer URLs of the members that a snapshot knows of, when none of them is declared.
///
/// # Errors
/// When it cannot be read.
pub fn foreign_members(desired: &Desired, snapshot: &Path) -> Result<Vec<String>, Diagnostic> {
    let members = peer_urls(open(snapshot)?).map_err(|error| {
        Diagnostic::failure("cannot read the snapshot").at(snapshot.display().to_string()).caused_by(&error)
    })?;
    Ok(if is_foreign(desired, &members) { members.into_iter().collect() } else { Vec::new() })
}

fn is_foreign(desired: &Desired, members: &BTreeSet<String>) -> bool {
    let declared: Vec<_> = desired.nodes.keys().map(|name| desired.peer_url(name)).collect();
    !members.is_empty() && !any_of(members, &declared)
}

/// Unpacks a snapshot, and finds the peer URLs in it.
fn unpack(from: &Path, to: &Path, wanted: Wanted) -> Result<BTreeSet<String>, Diagnostic> {
    let mut unpacked = wanted.reading(open(from)?);
    let mut written = io::BufWriter::new(File::create(to).map_err(|error| failed(&error))?);
    io::copy(&mut unpacked, &mut written).and_then(|_| written.flush()).map_err(|error| failed(&error))?;
    File::open(to).and_then(|file| peer_urls(BufReader::new(file))).map_err(|error| failed(&error))
}

/// Members are kept as JSON, whole in one place; those of old pages that are not in use any more are found, too.
fn peer_urls(mut database: impl io::Read) -> io::Result<BTreeSet<String>> {
    const BEFORE: &[u8] = b"\"peerURLs\":";
    const LIST_BYTES_MAX: usize = 4096;
    const MEMBERS_MAX: usize = 1000;
    let finder = memchr::memmem::Finder::new(BEFORE);
    let mut found = BTreeSet::new();
    let mut buffer = Vec::new();
    loop {
        let read = database.by_ref().take(1 << 20).read_to_end(&mut buffer)?;
        for at in finder.find_iter(&buffer) {
            found.extend(urls(&buffer[at + BEFORE.len()..buffer.len().min(at + BEFORE.len() + LIST_BYTES_MAX)]));
        }
        if read == 0 || found.len() > MEMBERS_MAX {
            return Ok(found);
        }
        // A list that lies across two pieces is found in the next.
        let keep = buffer.len().min(LIST_BYTES_MAX);
        buffer.drain(..buffer.len() - keep);
    }
}

/// Of the list that these bytes begin with: JSON, as the address of IPv6 has a `]` of its own.
fn urls(bytes: &[u8]) -> impl Iterator<Item = String> + use<> {
    let list = serde_json::Deserializer::from_slice(bytes).into_iter::<Vec<String>>().next();
    list.and_then(Result::ok).unwrap_or_default().into_iter().filter(|url| is_url(url))
}

/// Whether one of these URLs is declared, however its address is written.
fn any_of(urls: &BTreeSet<String>, declared: &[PeerUrl]) -> bool {
    let place = |url: &PeerUrl| {
        let Place { address, port } = Place::of(url)?;
        let address = address.parse().map_or_else(|_| address.to_lowercase(), |address: IpAddr| address.to_string());
        Some((address, port))
    };
    let declared: BTreeSet<_> = declared.iter().filter_map(place).collect();
    urls.iter().filter_map(|url| place(&PeerUrl::new(url.as_str()))).any(|place| declared.contains(&place))
}

fn is_url(text: &str) -> bool {
    text.starts_with("http") && text.len() < 300 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn differs(name: &str, what: String) -> Diagnostic {
    let code = Code::SnapshotDiffers;
    Diagnostic::new(code.kind(), format!("{name} failed the test restore [{code}]"))
        .with_cause(what)
        .hint(format!("run `quorate explain {code}`"))
}

pub(super) fn failed(error: &io::Error) -> Diagnostic {
    let hint = "the test restore runs in the temporary directory: set TMPDIR to use another one";
    Diagnostic::new(Kind::Failure, "no test restore is possible here").caused_by(error).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_may_look_into_the_folder() {
        let folder = folder().expect("one can be made");
        let mode = folder.path().metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_snapshot_of_other_members_is_told_by_them() {
        let folder = folder().expect("one can be made");
        let path = folder.path().join("snapshot.db");
        let foreign = |text: &str| {
            std::fs::write(&path, text).expect("the folder is ours");
            foreign_members(&crate::laws::sample::desired(3), &path).expect("it can be read")
        };
        assert_eq!(foreign(r#"{"peerURLs":["https://10.9.0.1:2380"]}"#), ["https://10.9.0.1:2380"]);
        assert_eq!(
            foreign(r#"{"peerURLs":["https://10.0.0.11:2380"]} {"peerURLs":["https://10.9.0.1:2380"]}"#),
            [""; 0]
        );
        assert_eq!(foreign("no members at all"), [""; 0]);
    }

    #[test]
    fn members_are_found_wherever_they_lie() {
        let entry = br#"{"id":1,"peerURLs":["https://10.0.0.1:2380","https://10.0.0.2:2380"],"name":"a"}"#;
        for before in [0, 10, (1 << 20) - 40, (1 << 20) - 5, 3 << 20] {
            let mut bytes = vec![b'x'; before];
            bytes.extend_from_slice(entry);
            bytes.extend(vec![b'y'; 9000]);
            let found = peer_urls(bytes.as_slice()).expect("memory can be read");
            assert_eq!(found.len(), 2, "{before}");
        }
        assert!(peer_urls(&b"\"peerURLs\":[\"no url\"] \"peerURLs\":["[..]).expect("it can be read").is_empty());
    }

    #[test]
    fn members_of_ipv6_are_of_this_cluster() {
        let entry = br#"x{"id":1,"peerURLs":["https://[fd00::1]:2380","https://[FD00:0::2]:2380"],"name":"a"}y"#;
        let found = peer_urls(&entry[..]).expect("memory can be read");
        assert_eq!(found, ["https://[FD00:0::2]:2380", "https://[fd00::1]:2380"].map(str::to_owned).into());
        let is_of = |url: &str| any_of(&found, &[PeerUrl::new("https://10.0.0.1:2380"), PeerUrl::new(url)]);
        assert!(is_of("https://[fd00::1]:2380"));
        // However it is written.
        assert!(is_of("https://[fd00::2]:2380"));
        assert!(!is_of("https://[fd00::3]:2380"));
        assert!(!is_of("https://[fd00::1]:2381"));
    }

    #[test]
    fn a_difference_may_be_of_a_later_life_where_the_cluster_is_not_known() {
        let said = |cluster| Subject { name: "x.db", cluster }.differs_from_live("hashes".to_owned()).to_string();
        let (known, unknown) = (said(Some(ClusterId(1))), said(None));
        assert!(known.contains("[snapshot-differs]") && !known.contains("restored after"), "{known}");
        assert!(unknown.contains("[snapshot-differs]") && unknown.contains("restored after"), "{unknown}");
    }
}
