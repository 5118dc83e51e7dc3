//! Snapshots off-site: copied to S3 or a folder, read back before anybody relies on them, and had again from there.
//!
//! Credentials come from the environment alone, as `AWS_…`; no node ever has them.

mod upload;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3CopyIfNotExists};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _, RetryConfig};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use crate::core::cluster::snapshot::{self, FACTS_BYTES_MAX, Facts, Listed, Sound, facts_name};
use crate::core::desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{Digest, UnixSeconds};
use crate::shell::live::backup::{self, keep, staged, unwritable};

/// A place for copies, which may not be there.
#[derive(Clone, Debug)]
pub struct Offsite {
    store: Arc<dyn ObjectStore>,
    prefix: Key,
    url: String,
    /// Where it is one of files here.
    folder: Option<PathBuf>,
}

const QUESTIONS_UNDER_WAY_MAX: usize = 8;
/// Pieces on their way to the thread that checks them: the store's are of some KiB.
const PIECES_WAITING_MAX: usize = 64;
/// No upload takes longer.
const ABANDONED_SECONDS: i64 = 24 * 3600;
/// How long the place may fail to answer before that is told.
const PATIENCE: Duration = Duration::from_secs(30);

/// Any of these is a way to credentials. Without one, an address would be asked that only machines of AWS have.
const CREDENTIALS: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

impl Offsite {
    /// With what `environment` says of credentials, region and endpoint.
    ///
    /// # Errors
    /// When it says nothing of credentials for S3, or the folder is not there.
    pub fn open(
        declared: &desired::Offsite,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Diagnostic> {
        let url = declared.url.clone();
        let failed = || Diagnostic::failure("the off-site location cannot be used").at(url.clone());
        if let Some(folder) = url.strip_prefix("file://") {
            // A snapshot holds everything: what the store makes is ours alone.
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
            let hint = "create the directory, or mount the volume that belongs there";
            let store = LocalFileSystem::new_with_prefix(folder);
            let store = store.map_err(|error| failed().caused_by(&error).hint(hint))?.with_fsync(true);
            let folder = Some(folder.into());
            return Ok(Self { store: Arc::new(store), prefix: Key::default(), url, folder });
        }
        let place = url.strip_prefix("s3://").ok_or_else(|| failed().with_cause("it is neither s3:// nor file://"))?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        // As Amazon's can; the environment may say otherwise.
        let mut builder = AmazonS3Builder::new().with_copy_if_not_exists(S3CopyIfNotExists::Multipart);
        let mut has_credentials = false;
        for (name, value) in environment {
            has_credentials |= CREDENTIALS.contains(&name.as_str());
            if let (true, Ok(key)) = (name.starts_with("AWS_"), name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>())
            {
                builder = builder.with_config(key, value);
            }
        }
        if !has_credentials {
            let none = failed().with_cause("no credentials for it in the environment");
            return Err(none.hint("set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION"));
        }
        let retry = RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() };
        let store = builder.with_bucket_name(bucket).with_retry(retry).build();
        let store = store.map_err(|error| failed().caused_by(&error))?;
        Ok(Self { store: Arc::new(store), prefix: Key::from(prefix), url, folder: None })
    }

    /// `s3://bucket/prefix/snapshot-….db.zst`
    pub fn url_of(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }

    fn key(&self, name: &str) -> Key {
        self.prefix.clone().join(name)
    }

    /// Reads what lies there to its end.
    ///
    /// # Errors
    /// When that is something else than what has this SHA-256.
    pub async fn confirm(&self, name: &str, sent: Digest) -> Result<(), Diagnostic> {
        let mut pieces = self.pieces(name).await?;
        let mut context = Context::new(&SHA256);
        while let Some(piece) = pieces.next().await {
            context.update(&piece?);
        }
        if digest(context) == sent {
            return Ok(());
        }
        Err(Diagnostic::failure("the off-site copy differs from what was sent").at(self.url_of(name)))
    }

    async fn pieces(
        &self,
        name: &str,
    ) -> Result<impl futures_util::Stream<Item = Result<Vec<u8>, Diagnostic>> + Unpin + use<'_>, Diagnostic> {
        let found = self.store.get(&self.key(name)).await.map_err(|error| self.failed(name, &error))?;
        let name = name.to_owned();
        let pieces = found.into_stream().map(move |piece| match piece {
            Ok(piece) => Ok(piece.to_vec()),
            Err(error) => Err(self.failed(&name, &error)),
        });
        Ok(Box::pin(pieces))
    }

    /// The snapshots there, the newest last.
    ///
    /// # Errors
    /// When the place fails.
    pub async fn list(&self) -> Result<Vec<Listed>, Diagnostic> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let found = self.store.list_with_delimiter(prefix).await.map_err(|error| self.failed("", &error))?;
        let objects = found.objects.iter().filter_map(|object| Some((object.location.filename()?, object.size)));
        let objects: BTreeMap<_, _> = objects.collect();
        let of = |(name, bytes): (&&str, &u64)| Some((snapshot::begun(name)?, (*name).to_owned(), *bytes));
        let listed = objects.iter().filter_map(of).map(|(at, name, bytes)| {
            let has_facts = objects.contains_key(facts_name(&name).as_str());
            async move {
                let facts = if has_facts { self.facts(&name).await } else { Facts::default() };
                Listed { name, at, bytes, facts }
            }
        });
        let listed: Vec<_> = listed.collect();
        Ok(futures_util::stream::iter(listed).buffered(QUESTIONS_UNDER_WAY_MAX).collect().await)
    }

    /// What is known of one besides its bytes; nothing where that cannot be had.
    async fn facts(&self, name: &str) -> Facts {
        let read = async {
            let found = self.store.get(&self.key(&facts_name(name))).await.ok()?;
            if found.meta.size > FACTS_BYTES_MAX {
                return None;
            }
            String::from_utf8(found.bytes().await.ok()?.to_vec()).ok()
        };
        read.await.map(|line| Facts::read(&line)).unwrap_or_default()
    }

    /// Keeps what is known of one beside it.
    ///
    /// # Errors
    /// When the place fails.
    pub async fn keep_facts(&self, name: &str, facts: &Facts) -> Result<(), Diagnostic> {
        let line = format!("{}\n", facts.line());
        let put = self.store.put(&self.key(&facts_name(name)), line.into()).await;
        put.map(drop).map_err(|error| self.failed(name, &error))
    }

    /// Fetches one into `to`, and checks it.
    ///
    /// # Errors
    /// When the place fails, the file cannot be written or is there already, or the snapshot is not sound.
    pub async fn fetch(&self, name: &str, to: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<Sound, Diagnostic> {
        let mut pieces = self.pieces(name).await?;
        let staged = staged(to)?;
        let file = staged.as_file().try_clone().map_err(|error| unwritable(to, &error))?;
        let mut file = tokio::fs::File::from_std(file);
        let mut bytes = 0;
        while let Some(piece) = pieces.try_next().await? {
            file.write_all(&piece).await.map_err(|error| unwritable(to, &error))?;
            bytes += piece.len() as u64;
            progress(bytes);
        }
        // Writing goes on behind us until then.
        file.flush().await.map_err(|error| unwritable(to, &error))?;
        file.sync_all().await.map_err(|error| unwritable(to, &error))?;
        let sound = backup::check_in_thread(staged.path().to_owned(), self.url_of(name)).await?;
        keep(staged, to)?;
        Ok(sound)
    }

    /// Reads one to its end, without keeping it anywhere.
    ///
    /// # Errors
    /// When the place fails, or the snapshot is not sound.
    pub async fn check(&self, name: &str) -> Result<Sound, Diagnostic> {
        let mut pieces = self.pieces(name).await?;
        let (sender, coming) = mpsc::channel(PIECES_WAITING_MAX);
        let called = self.url_of(name);
        let from = Coming { pieces: coming, piece: Vec::new(), read: 0 };
        let checked = tokio::task::spawn_blocking(move || backup::check_stream(from, &called));
        while let Some(piece) = pieces.try_next().await? {
            // Whoever checks has ended: why, it says itself.
            if sender.send(piece).await.is_err() {
                break;
            }
        }
        drop(sender);
        checked.await.map_err(|_| Diagnostic::failure("verifying the snapshot was interrupted"))?
    }

    /// Removes `surplus`, unless none of `kept` is whole; both the newest first. `warn` is told of each that is not.
    ///
    /// # Errors
    /// When the place fails, or what would stay is not whole: nothing is removed then.
    pub async fn prune(
        &self,
        kept: &[Listed],
        surplus: &[Listed],
        warn: &(dyn Fn(&Diagnostic) + Sync),
    ) -> Result<(), Diagnostic> {
        let mut whole = false;
        for one in kept {
            match self.check(&one.name).await {
                Ok(_) => whole = true,
                Err(failure) => warn(&failure),
            }
            if whole {
                break;
            }
        }
        if !whole {
            let what = "none of the off-site snapshots to keep is intact: nothing was deleted";
            return Err(Diagnostic::failure(what).at(self.url.clone()));
        }
        for one in surplus.iter().rev() {
            match self.store.delete(&self.key(&facts_name(&one.name))).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed(&one.name, &error)),
            }
            self.store.delete(&self.key(&one.name)).await.map_err(|error| self.failed(&one.name, &error))?;
        }
        Ok(())
    }

    /// What uploads that were killed have left there more than a day before `now`, and how large it is.
    ///
    /// # Errors
    /// When the place fails.
    pub async fn abandoned(&self, now: UnixSeconds) -> Result<Vec<(String, u64)>, Diagnostic> {
        let is_one = |name: &str, at: i64| upload::uploading(name).is_some() && at < now.0 - ABANDONED_SECONDS;
        let mut abandoned = Vec::new();
        if let Some(folder) = &self.folder {
            // What is on its way into a folder has a name that the store does not list.
            let unreadable =
                |error: io::Error| Diagnostic::failure("it cannot be listed").at(&self.url).caused_by(&error);
            for entry in std::fs::read_dir(folder).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let (Ok(name), Ok(file)) = (entry.file_name().into_string(), entry.metadata()) else { continue };
                if is_one(&name, file.mtime()) {
                    abandoned.push((name, file.len()));
                }
            }
            abandoned.sort();
            return Ok(abandoned);
        }
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let found = self.store.list_with_delimiter(prefix).await.map_err(|error| self.failed("", &error))?;
        for object in found.objects {
            let Some(name) = object.location.filename() else { continue };
            if is_one(name, object.last_modified.timestamp()) {
                abandoned.push((name.to_owned(), object.size));
            }
        }
        Ok(abandoned)
    }

    /// # Errors
    /// When the place fails.
    pub async fn remove_abandoned(&self, names: impl IntoIterator<Item = &str>) -> Result<(), Diagnostic> {
        for name in names {
            if let Some(folder) = &self.folder {
                let removed = std::fs::remove_file(folder.join(name));
                removed.map_err(|error| {
                    Diagnostic::failure("it cannot be deleted").at(self.url_of(name)).caused_by(&error)
                })?;
            } else {
                self.store.delete(&self.key(name)).await.map_err(|error| self.failed(name, &error))?;
            }
        }
        Ok(())
    }

    fn failed(&self, name: &str, error: &object_store::Error) -> Diagnostic {
        let at = if name.is_empty() { self.url.clone() } else { self.url_of(name) };
        let failed = Diagnostic::new(Kind::Failure, "the off-site location failed").at(at).caused_by(error);
        match error {
            object_store::Error::Unauthenticated { .. } | object_store::Error::PermissionDenied { .. } => {
                failed.hint("check that the credentials in the environment (AWS_…) may read, write and list there")
            }
            _ if self.url.starts_with("file://") => failed.hint("check that it is writable and has free space"),
            _ => {
                failed.hint("check that it is reachable from here, and that AWS_REGION and AWS_ENDPOINT_URL are right")
            }
        }
    }
}

/// The pieces of a snapshot, read by the thread that checks it.
///
/// tokio-util's SyncIoBridge would have that thread fetch each piece itself: no other would come while one is unpacked and
/// hashed, and what the place says of a failure would have to come through as an I/O error of the check.
struct Coming {
    pieces: mpsc::Receiver<Vec<u8>>,
    piece: Vec<u8>,
    read: usize,
}

impl Read for Coming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.piece.len() {
            let Some(piece) = self.pieces.blocking_recv() else { return Ok(0) };
            (self.piece, self.read) = (piece, 0);
        }
        let count = buffer.len().min(self.piece.len() - self.read);
        buffer[..count].copy_from_slice(&self.piece[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

fn digest(context: Context) -> Digest {
    Digest::from_bytes(context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::core::cluster::snapshot::tests::snapshot as bytes_of_one;
    use crate::core::names::UnixSeconds;

    const NOW: UnixSeconds = UnixSeconds(4_000_000_000);

    fn open(url: &str) -> Result<Offsite, Diagnostic> {
        Offsite::open(&desired::Offsite { url: url.to_owned() }, [])
    }

    #[tokio::test]
    async fn a_folder_is_a_place() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (here, there) = (folder.path().join("here.db"), folder.path().join("there"));
        let url = format!("file://{}", there.display());
        let said = open(&url).expect_err("the folder is not there").to_string();
        assert!(said.contains("mount"), "{said}");
        fs::create_dir(&there).expect("the folder is ours");
        fs::write(&here, bytes_of_one()).expect("the folder is ours");
        let offsite = open(&url).expect("it is there");
        let names: Vec<_> = (1..=3).map(|day| format!("snapshot-2027010{day}_080000.db")).collect();
        for name in &names {
            offsite.upload(&here, name, &|_| {}).await.expect("it can be copied");
        }
        assert_eq!(fs::metadata(there.join(&names[0])).expect("it is there").permissions().mode() & 0o777, 0o600);
        let said = offsite.upload(&here, &names[0], &|_| {}).await.expect_err("it is there").to_string();
        assert!(said.contains("never overwritten"), "{said}");
        fs::write(there.join("notes.txt"), "mine").expect("the folder is ours");
        let listed = offsite.list().await.expect("it can be listed");
        assert_eq!(listed.iter().map(|one| one.name.clone()).collect::<Vec<_>>(), names);
        let facts = Facts { revision: Some(7), ..Facts::default() };
        offsite.keep_facts(&names[1], &facts).await.expect("they can be kept");
        let listed = offsite.list().await.expect("it can be listed");
        let known: Vec<_> = listed.iter().map(|one| one.facts.revision).collect();
        assert_eq!(known, [None, Some(7), None]);
        let to = folder.path().join("fetched.db");
        offsite.fetch(&names[0], &to, &|_| {}).await.expect("it can be fetched");
        assert_eq!(fs::read(&to).expect("it is there"), bytes_of_one());
        // What was changed there is noticed, and nothing goes on its account.
        let sent = Digest::of(bytes_of_one());
        offsite.confirm(&names[2], sent).await.expect("it is what was sent");
        let mut flipped = bytes_of_one();
        flipped[5000] ^= 1;
        fs::write(there.join(&names[2]), flipped).expect("the folder is ours");
        offsite.confirm(&names[2], sent).await.expect_err("it was changed");
        let again = folder.path().join("again.db");
        let said = offsite.fetch(&names[2], &again, &|_| {}).await.expect_err("it was changed").to_string();
        assert!(said.contains("snapshot-damaged") && !again.exists(), "{said}");
        let (kept, surplus) = snapshot::kept_and_surplus(&listed, 1, NOW);
        let said = offsite.prune(&kept, &surplus, &|_| {}).await.expect_err("the newest is not whole").to_string();
        assert!(said.contains("nothing was deleted"), "{said}");
        let (kept, surplus) = snapshot::kept_and_surplus(&listed, 2, NOW);
        offsite.prune(&kept, &surplus, &|_| {}).await.expect("one is whole");
        assert_eq!(offsite.list().await.expect("it can be listed").len(), 2);
        // Those two, what is known of one of them, and what is not ours.
        assert_eq!(fs::read_dir(&there).expect("it is there").count(), 4);
        // What is known of one goes with it.
        fs::write(there.join(&names[2]), bytes_of_one()).expect("the folder is ours");
        let (kept, surplus) = snapshot::kept_and_surplus(&offsite.list().await.expect("it can be listed"), 1, NOW);
        offsite.prune(&kept, &surplus, &|_| {}).await.expect("it is whole");
        assert_eq!(fs::read_dir(&there).expect("it is there").count(), 2);
    }

    /// What another run has put there meanwhile is neither overwritten nor removed.
    #[tokio::test]
    async fn a_name_is_given_once_and_only_to_what_was_read_back() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (here, there) = (folder.path().join("here.db"), folder.path().join("there"));
        fs::create_dir(&there).expect("the folder is ours");
        fs::write(&here, bytes_of_one()).expect("the folder is ours");
        let offsite = open(&format!("file://{}", there.display())).expect("it is there");
        let name = "snapshot-20270101_080000.db";
        // Another run gives its copy that name while ours is on its way.
        let theirs = || fs::write(there.join(name), "theirs").expect("the folder is ours");
        let said = offsite.upload(&here, name, &|_| theirs()).await.expect_err("it is there").to_string();
        assert!(said.contains("never overwritten"), "{said}");
        let left = || {
            let names = fs::read_dir(&there).expect("it is there").map(|entry| entry.expect("it is").file_name());
            names.map(|name| name.into_string().expect("a name of ours")).collect::<Vec<_>>()
        };
        assert_eq!(
            (left(), fs::read(there.join(name)).expect("it is there")),
            (vec![name.to_owned()], b"theirs".to_vec())
        );
        // And ours is spoilt on its way besides: it goes, and theirs stays.
        let spoilt = || {
            theirs();
            let ours = left().into_iter().find(|name| name.contains(".uploading-")).expect("it is on its way");
            let file = fs::File::options().append(true).open(there.join(ours));
            file.and_then(|mut file| file.write_all(&vec![7; bytes_of_one().len() + 10])).expect("the folder is ours");
        };
        fs::remove_file(there.join(name)).expect("it is there");
        let said = offsite.upload(&here, name, &|_| spoilt()).await.expect_err("it is spoilt").to_string();
        assert!(said.contains("differs from what was sent"), "{said}");
        assert_eq!(
            (left(), fs::read(there.join(name)).expect("it is there")),
            (vec![name.to_owned()], b"theirs".to_vec())
        );
    }

    /// What was killed on its way is no snapshot, and goes after a day.
    #[tokio::test]
    async fn what_a_killed_upload_leaves_is_removed_later() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let offsite = open(&format!("file://{}", folder.path().display())).expect("it is there");
        let now = crate::shell::clock::now();
        let of = |end: &str| format!("snapshot-20270101_080000.db{end}");
        // The last is what the store makes of it until it is whole.
        for end in [".uploading-00aa", ".uploading-00bb#1", "", ".json", ".notes"] {
            fs::write(folder.path().join(of(end)), "x").expect("the folder is ours");
        }
        assert_eq!(offsite.list().await.expect("it can be listed").len(), 1);
        assert_eq!(offsite.abandoned(now).await.expect("it can be listed"), []);
        let found = offsite.abandoned(UnixSeconds(now.0 + 25 * 3600)).await.expect("it can be listed");
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [of(".uploading-00aa"), of(".uploading-00bb#1")]);
        offsite.remove_abandoned(names).await.expect("they can be removed");
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 3);
    }

    #[test]
    fn without_credentials_nobody_is_asked() {
        let said = open("s3://bucket/prefix").expect_err("there are none").to_string();
        assert!(said.contains("AWS_ACCESS_KEY_ID"), "{said}");
    }
}
