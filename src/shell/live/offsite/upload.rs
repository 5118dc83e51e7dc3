//! A copy on its way off-site: under a key of its own, read back, and only then given its name.
//!
//! ```text
//! parts ─► NAME.uploading-RANDOM ─ read back ─► NAME, if nothing has that name yet ─► NAME.uploading-RANDOM goes
//! ```
//!
//! So what has the name of a snapshot was read back, and no run touches another's copy.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use object_store::path::Path as Key;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinSet;

use super::{Offsite, digest};
use crate::core::diagnostic::Diagnostic;
use crate::core::names::Digest;

/// Parts of an upload: S3 takes 10000 of them, and at least 5 MiB in each.
const PART_BYTES: usize = 16 << 20;
const PARTS_UNDER_WAY_MAX: usize = 2;
/// S3 copies no more in one go.
const COPY_BYTES_MAX: u64 = 5 << 30;
/// How long an upload that was given up may take to remove what it has sent.
const CLEARING_DEADLINE: Duration = Duration::from_secs(5);

/// Between the name of a snapshot and what tells uploads of it apart.
const UPLOADING: &str = ".uploading-";

/// The name of the snapshot of which this was to be a copy; `None` when it is no name of an upload.
pub(super) fn uploading(name: &str) -> Option<&str> {
    let (name, _) = name.split_once(UPLOADING)?;
    crate::core::cluster::snapshot::begun(name).map(|_| name)
}

fn temporary_name(name: &str) -> Result<String, Diagnostic> {
    let mut bytes = [0; 8];
    let filled = aws_lc_rs::rand::fill(&mut bytes);
    filled.map_err(|_| Diagnostic::failure("this machine provides no random numbers"))?;
    Ok(format!("{name}{UPLOADING}{:016x}", u64::from_be_bytes(bytes)))
}

impl Offsite {
    /// Copies `file` there under `name`, and reads it back. `progress` is told how many bytes went.
    ///
    /// # Errors
    /// When it is there already, the place fails, or what is read back is not what was sent.
    pub async fn upload(&self, file: &Path, name: &str, progress: &(dyn Fn(u64) + Sync)) -> Result<(), Diagnostic> {
        self.is_free(name).await?;
        let bytes = std::fs::metadata(file).map_err(|error| unreadable(file, &error))?.len();
        // One that is too large to be given its name is sent under it.
        let is_copied = bytes <= COPY_BYTES_MAX || self.folder.is_some();
        let sent_as = if is_copied { temporary_name(name)? } else { name.to_owned() };
        let mut sending = self.begin(&sent_as, is_copied).await?;
        let sent = async {
            let digest = self.send(file, &mut sending, progress).await?;
            self.confirm(&sent_as, digest).await?;
            if is_copied { self.name(&sent_as, name).await } else { Ok(()) }
        };
        let sent = sent.await;
        sending.clear().await;
        sent
    }

    /// # Errors
    /// When something has that name.
    async fn is_free(&self, name: &str) -> Result<(), Diagnostic> {
        match self.store.head(&self.key(name)).await {
            Ok(_) => Err(self.taken(name)),
            Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(name, &error)),
        }
    }

    fn taken(&self, name: &str) -> Diagnostic {
        let there = Diagnostic::failure("an off-site snapshot with that name already exists").at(self.url_of(name));
        there.hint("snapshots are never overwritten")
    }

    async fn begin(&self, sent_as: &str, is_temporary: bool) -> Result<Sending, Diagnostic> {
        let key = self.key(sent_as);
        let parts = self.store.put_multipart(&key).await.map_err(|error| self.failed(sent_as, &error))?;
        let temporary = is_temporary.then(|| (self.store.clone(), key));
        Ok(Sending { parts: Some(parts), under_way: JoinSet::new(), temporary })
    }

    /// Gives what was sent its name, in one step where the place can.
    async fn name(&self, sent_as: &str, name: &str) -> Result<(), Diagnostic> {
        let (from, to) = (self.key(sent_as), self.key(name));
        match self.store.copy_if_not_exists(&from, &to).await {
            Ok(()) => Ok(()),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Err(self.taken(name)),
            // Not every store that is like S3 can do that.
            Err(_) => {
                self.is_free(name).await?;
                self.store.copy(&from, &to).await.map_err(|error| self.failed(name, &error))
            }
        }
    }

    async fn send(
        &self,
        file: &Path,
        sending: &mut Sending,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Digest, Diagnostic> {
        let failed = |error: &Error| self.failed(&file.display().to_string(), error);
        let mut from = tokio::fs::File::open(file).await.map_err(|error| unreadable(file, &error))?;
        let mut context = Context::new(&SHA256);
        let mut bytes = 0;
        loop {
            let mut part = Vec::with_capacity(PART_BYTES);
            let mut piece = (&mut from).take(PART_BYTES as u64);
            piece.read_to_end(&mut part).await.map_err(|error| unreadable(file, &error))?;
            if part.is_empty() {
                break;
            }
            context.update(&part);
            bytes += part.len() as u64;
            sending.put(part).await.map_err(|error| failed(&error))?;
            progress(bytes);
        }
        sending.complete().await.map_err(|error| failed(&error))?;
        Ok(digest(context))
    }
}

fn unreadable(file: &Path, error: &io::Error) -> Diagnostic {
    Diagnostic::failure("cannot read the snapshot").at(file.display().to_string()).caused_by(error)
}

/// What is on its way. Dropping it removes what has gone, as well as it can be done without waiting for long.
struct Sending {
    /// `None` when all of it has gone.
    parts: Option<Box<dyn MultipartUpload>>,
    under_way: JoinSet<Result<(), Error>>,
    /// Where nothing is to stay.
    temporary: Option<(Arc<dyn ObjectStore>, Key)>,
}

impl Sending {
    async fn put(&mut self, part: Vec<u8>) -> Result<(), Error> {
        while self.under_way.len() >= PARTS_UNDER_WAY_MAX {
            self.one_has_gone().await?;
        }
        if let Some(parts) = &mut self.parts {
            self.under_way.spawn(parts.put_part(part.into()));
        }
        Ok(())
    }

    async fn one_has_gone(&mut self) -> Result<(), Error> {
        match self.under_way.join_next().await {
            None => Ok(()),
            Some(gone) => gone.map_err(|source| Error::JoinError { source })?,
        }
    }

    async fn complete(&mut self) -> Result<(), Error> {
        while !self.under_way.is_empty() {
            self.one_has_gone().await?;
        }
        if let Some(parts) = &mut self.parts {
            parts.complete().await?;
        }
        self.parts = None;
        Ok(())
    }

    /// Parts that are left cost, and are nothing to anybody. What stays all the same is removed by a later prune.
    async fn clear(&mut self) {
        self.under_way.shutdown().await;
        if let Some(mut parts) = self.parts.take() {
            let _ = parts.abort().await;
        }
        if let Some((store, key)) = self.temporary.take() {
            let _ = store.delete(&key).await;
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let is_cleared = self.parts.is_none() && self.temporary.is_none();
        let Ok(runtime) = Handle::try_current() else { return };
        if is_cleared || runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
            return;
        }
        tokio::task::block_in_place(|| {
            let _ = runtime.block_on(tokio::time::timeout(CLEARING_DEADLINE, self.clear()));
        });
    }
}
