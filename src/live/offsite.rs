//! Snapshots off-site: copied to S3 or a folder, read back before anybody relies on them, and had again from there.
//!
//! Credentials come from the environment alone, as `AWS_…`; no node ever has them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _, RetryConfig, WriteMultipart};
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::desired;
use crate::diagnostic::{Diagnostic, Kind};
use crate::live::backup::{self, keep, staged, unwritable};
use crate::names::Digest;
use crate::snapshot::{self, FACTS_BYTES_MAX, Facts, Listed, Sound, facts_name};

/// A place for copies, which may not be there.
#[derive(Clone, Debug)]
pub struct Offsite {
    store: Arc<dyn ObjectStore>,
    prefix: Key,
    url: String,
}

/// Parts of an upload: S3 takes 10000 of them, and at least 5 MiB in each.
const PART_BYTES: usize = 16 << 20;
const PARTS_UNDER_WAY_MAX: usize = 2;
const PIECE_BYTES: usize = 256 << 10;
const QUESTIONS_UNDER_WAY_MAX: usize = 8;
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
        let failed = || Diagnostic::failure("the place off-site cannot be used").at(url.clone());
        if let Some(folder) = url.strip_prefix("file://") {
            // A snapshot holds everything: what the store makes is ours alone.
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
            let hint = "make the folder, or mount what belongs there";
            let store = LocalFileSystem::new_with_prefix(folder);
            let store = store.map_err(|error| failed().caused_by(&error).hint(hint))?.with_fsync(true);
            return Ok(Self { store: Arc::new(store), prefix: Key::default(), url });
        }
        let place = url.strip_prefix("s3://").ok_or_else(|| failed().because("it is neither s3:// nor file://"))?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let mut builder = AmazonS3Builder::new();
        let mut has_credentials = false;
        for (name, value) in environment {
            has_credentials |= CREDENTIALS.contains(&name.as_str());
            if let (true, Ok(key)) = (name.starts_with("AWS_"), name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>())
            {
                builder = builder.with_config(key, value);
            }
        }
        if !has_credentials {
            let none = failed().because("the environment has no credentials for it");
            return Err(none.hint("set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION"));
        }
        let retry = RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() };
        let store = builder.with_bucket_name(bucket).with_retry(retry).build();
        let store = store.map_err(|error| failed().caused_by(&error))?;
        Ok(Self { store: Arc::new(store), prefix: Key::from(prefix), url })
    }

    /// `s3://bucket/prefix/snapshot-….db.zst`
    pub fn url_of(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }

    fn key(&self, name: &str) -> Key {
        self.prefix.clone().join(name)
    }

    /// Copies `file` there under `name`, and reads it back. `progress` is told how many bytes went.
    ///
    /// # Errors
    /// When it is there already, the place fails, or what is read back is not what was sent: that is removed then.
    pub async fn upload(&self, file: &Path, name: &str, progress: &(dyn Fn(u64) + Sync)) -> Result<(), Diagnostic> {
        let key = self.key(name);
        match self.store.head(&key).await {
            Ok(_) => {
                let there = Diagnostic::failure("there is a snapshot of that name off-site").at(self.url_of(name));
                return Err(there.hint("a snapshot is never overwritten"));
            }
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(self.failed(name, &error)),
        }
        let upload = self.store.put_multipart(&key).await.map_err(|error| self.failed(name, &error))?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let digest = match self.send(file, &mut parts, progress).await {
            Ok(digest) => digest,
            Err(failure) => {
                // What is left of parts costs, and is nothing to anybody.
                let _ = parts.abort().await;
                return Err(failure);
            }
        };
        parts.finish().await.map_err(|error| self.failed(name, &error))?;
        let confirmed = self.confirm(name, digest).await;
        if confirmed.is_err() {
            let _ = self.store.delete(&key).await;
        }
        confirmed
    }

    async fn send(
        &self,
        file: &Path,
        parts: &mut WriteMultipart,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Digest, Diagnostic> {
        let unreadable = |error: &io::Error| {
            Diagnostic::failure("the snapshot cannot be read").at(file.display().to_string()).caused_by(error)
        };
        let mut from = tokio::fs::File::open(file).await.map_err(|error| unreadable(&error))?;
        let mut context = Context::new(&SHA256);
        let mut piece = vec![0; PIECE_BYTES];
        let mut bytes = 0;
        loop {
            let count = from.read(&mut piece).await.map_err(|error| unreadable(&error))?;
            if count == 0 {
                break;
            }
            context.update(&piece[..count]);
            let waited = parts.wait_for_capacity(PARTS_UNDER_WAY_MAX).await;
            waited.map_err(|error| self.failed(&file.display().to_string(), &error))?;
            parts.write(&piece[..count]);
            bytes += count as u64;
            progress(bytes);
        }
        Ok(digest(context))
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
        Err(Diagnostic::failure("what is read back from off-site is not what was sent").at(self.url_of(name)))
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

    /// Removes `surplus`, unless none of `kept` is whole; both the newest first.
    ///
    /// # Errors
    /// When the place fails, or what would stay is not whole: nothing is removed then.
    pub async fn prune(&self, kept: &[Listed], surplus: &[Listed]) -> Result<(), Diagnostic> {
        let folder = tempfile::tempdir().map_err(|error| unwritable(&std::env::temp_dir(), &error))?;
        let mut whole = false;
        for one in kept {
            let to = folder.path().join(&one.name);
            match self.fetch(&one.name, &to, &|_| {}).await {
                Ok(_) => whole = true,
                Err(failure) => eprintln!("warning: {failure}"),
            }
            let _ = std::fs::remove_file(&to);
            if whole {
                break;
            }
        }
        if !whole {
            let what = "none of the snapshots that would stay off-site is whole: nothing was removed";
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

    fn failed(&self, name: &str, error: &object_store::Error) -> Diagnostic {
        let at = if name.is_empty() { self.url.clone() } else { self.url_of(name) };
        let failed = Diagnostic::new(Kind::Failure, "the place off-site fails").at(at).caused_by(error);
        match error {
            object_store::Error::Unauthenticated { .. } | object_store::Error::PermissionDenied { .. } => {
                failed.hint("see whether the credentials in the environment (AWS_…) may read, write and list there")
            }
            _ => failed
                .hint("see whether it can be reached from here, and whether AWS_REGION and AWS_ENDPOINT_URL are right"),
        }
    }
}

fn digest(context: Context) -> Digest {
    Digest::from_bytes(context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::names::UnixSeconds;
    use crate::snapshot::tests::snapshot as bytes_of_one;

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
        let said = offsite.prune(&kept, &surplus).await.expect_err("the newest is not whole").to_string();
        assert!(said.contains("nothing was removed"), "{said}");
        let (kept, surplus) = snapshot::kept_and_surplus(&listed, 2, NOW);
        offsite.prune(&kept, &surplus).await.expect("one is whole");
        assert_eq!(offsite.list().await.expect("it can be listed").len(), 2);
        // Those two, what is known of one of them, and what is not ours.
        assert_eq!(fs::read_dir(&there).expect("it is there").count(), 4);
        // What is known of one goes with it.
        fs::write(there.join(&names[2]), bytes_of_one()).expect("the folder is ours");
        let (kept, surplus) = snapshot::kept_and_surplus(&offsite.list().await.expect("it can be listed"), 1, NOW);
        offsite.prune(&kept, &surplus).await.expect("it is whole");
        assert_eq!(fs::read_dir(&there).expect("it is there").count(), 2);
    }

    #[test]
    fn without_credentials_nobody_is_asked() {
        let said = open("s3://bucket/prefix").expect_err("there are none").to_string();
        assert!(said.contains("AWS_ACCESS_KEY_ID"), "{said}");
    }
}
