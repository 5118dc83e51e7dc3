//! The release archive: found or fetched, checked against the declared digest, and looked into, before any host sees it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

mod contents;
mod download;
pub mod release;
#[cfg(test)]
mod tests;

use contents::Contents;

use crate::core::code::Code;
use crate::core::desired::{ArchiveLocation, Binaries, Desired};
use crate::core::names::{Architecture, Digest, Version};
use crate::core::observed::{Archive, Cause};

/// A checked archive, ready to be pushed.
#[derive(Debug)]
pub struct Package {
    pub facts: Archive,
    pub size_bytes: u64,
    /// The binaries' names in the archive, exactly as tar has them: etcd, etcdctl and, where there is one, etcdutl.
    /// They consist of letters, digits and `. _ + / -`, and none begins with a hyphen.
    pub members: Vec<String>,
    /// How many leading folders each of them has, for `tar --strip-components`.
    pub strip: usize,
    file: Arc<File>,
}

impl Package {
    /// Its bytes from the beginning. Each reader has its own place, so several hosts can be fed at once.
    pub fn reader(&self) -> Reader {
        Reader { file: Arc::clone(&self.file), offset: 0 }
    }
}

/// Reads the file that was checked, whatever its name leads to by now.
#[derive(Debug)]
pub struct Reader {
    file: Arc<File>,
    offset: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// etcd's archives have 20 to 25 MB.
const ARCHIVE_BYTES_MAX: u64 = 512 << 20;

/// Finds, or fetches, and checks the declared archive of `version` for `architecture`. Blocks for as long as a download takes.
///
/// # Errors
/// When it cannot be had, is not the one that was declared, or does not hold the binaries.
pub fn prepare(desired: &Desired, version: Version, architecture: Architecture) -> Result<Package, Cause> {
    prepare_with(desired, version, architecture, download::cache_folder().as_deref())
}

fn prepare_with(
    desired: &Desired,
    version: Version,
    architecture: Architecture,
    cache: Option<&Path>,
) -> Result<Package, Cause> {
    let Binaries::Archive { location, .. } = &desired.binaries else {
        return Err(unusable("cluster.toml configures no etcd archive", "add [etcd.archive] with `url` or `path`"));
    };
    let Some(expected) = desired.archive_digest(version, architecture) else {
        let what = format!("[etcd.archive] has no SHA-256 for etcd {version} on {architecture}");
        let hint = "add it: etcd publishes SHA256SUMS with each release";
        return Err(unusable(what, hint));
    };
    let (file, name) = match location.resolve(version, architecture) {
        ArchiveLocation::Path(path) => (open(&path, expected)?, path),
        ArchiveLocation::Url(url) => (download::fetch(&url, expected, cache)?, url),
    };
    let size_bytes = file.metadata().map_err(|error| cannot_read(&name, &error))?.len();
    let file = Arc::new(file);
    let contents = contents::read(Reader { file: Arc::clone(&file), offset: 0 }, architecture);
    let Contents { members, strip, unpacked_bytes } = contents.map_err(|why| {
        unusable(format!("{name} {why}"), "a release archive of etcd contains etcd and etcdctl side by side")
    })?;
    let facts = Archive { sha256: expected, bytes: size_bytes.saturating_add(unpacked_bytes) };
    Ok(Package { facts, size_bytes, members, strip, file })
}

/// Opens an archive on this machine whose digest is the one expected.
fn open(path: &str, expected: Digest) -> Result<File, Cause> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => unusable(
            format!("there is no archive at {path}"),
            "correct `path` in [etcd.archive], or put the archive there",
        ),
        _ => cannot_read(path, &error),
    })?;
    let metadata = file.metadata().map_err(|error| cannot_read(path, &error))?;
    if !metadata.is_file() {
        return Err(unusable(format!("{path} is not a file"), "correct `path` in [etcd.archive]"));
    }
    let found = digest(&file).map_err(|error| cannot_read(path, &error))?;
    if found == expected { Ok(file) } else { Err(differs(path, expected, found)) }
}

/// The digest of a whole file, which must not be larger than an archive can be.
fn digest(file: &File) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut reader = BufferedAt { file, offset: 0, buffer: vec![0; 256 << 10] };
    while let Some(chunk) = reader.next()? {
        hasher.update(chunk)?;
    }
    Ok(hasher.finish())
}

struct BufferedAt<'a> {
    file: &'a File,
    offset: u64,
    buffer: Vec<u8>,
}

impl BufferedAt<'_> {
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let count = self.file.read_at(&mut self.buffer, self.offset)?;
        self.offset += count as u64;
        Ok((count > 0).then_some(&self.buffer[..count]))
    }
}

/// A digest in the making, of no more bytes than an archive can have.
struct Hasher {
    context: aws_lc_rs::digest::Context,
    bytes: u64,
}

impl Hasher {
    fn new() -> Self {
        Self { context: aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256), bytes: 0 }
    }

    fn update(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.bytes += chunk.len() as u64;
        if self.bytes > ARCHIVE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 512 MiB"));
        }
        self.context.update(chunk);
        Ok(())
    }

    fn finish(self) -> Digest {
        Digest::from_bytes(self.context.finish().as_ref().try_into().expect("a SHA-256 has 32 bytes"))
    }
}

fn differs(name: &str, expected: Digest, found: Digest) -> Cause {
    let what = format!("{name} does not match: its SHA-256 is {found}, but cluster.toml declares {expected}");
    unusable(what, "compare both with the SHA256SUMS that etcd publishes with the release")
}

fn cannot_read(name: &str, error: &io::Error) -> Cause {
    unusable(format!("{name} cannot be read: {error}"), "correct `[etcd.archive]`, or make it readable")
}

fn unusable(summary: impl Into<String>, hint: &str) -> Cause {
    Cause { code: Code::ArchiveUnusable, summary: summary.into(), hint: Some(hint.to_owned()) }
}
