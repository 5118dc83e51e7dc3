//! Packs binaries like etcd's release archives; the same binaries give the same bytes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::super::Result;
use super::super::command::Failure;

const README: &str = "etcd, packed for the tests of quorate from binaries that others built, or from the published Go \
                      modules.\nThis is not one of etcd's release archives.\n";

/// Writes `to`, a .tar.gz with the folder `name`: etcd, etcdctl, etcdutl where there is one, README.md.
pub fn pack(binaries: &Path, name: &str, to: &Path) -> Result<()> {
    try_pack(binaries, name, to).map_err(|error| Failure::new(to.display(), error))
}

fn try_pack(binaries: &Path, name: &str, to: &Path) -> io::Result<()> {
    // Packed well, because it is packed once, and every test that installs etcd sends, digests and unpacks it several times.
    let gzip = flate2::GzBuilder::new().write(File::create(to)?, flate2::Compression::default());
    let mut archive = tar::Builder::new(gzip);
    archive.append_data(&mut header(tar::EntryType::Directory, 0o755, 0), format!("{name}/"), io::empty())?;
    for binary in ["etcd", "etcdctl", "etcdutl"] {
        let path = binaries.join(binary);
        if binary == "etcdutl" && !path.exists() {
            continue;
        }
        let content = fs::read(&path)?;
        let mut header = header(tar::EntryType::Regular, 0o755, content.len() as u64);
        archive.append_data(&mut header, format!("{name}/{binary}"), &*content)?;
    }
    let mut header = header(tar::EntryType::Regular, 0o644, README.len() as u64);
    archive.append_data(&mut header, format!("{name}/README.md"), README.as_bytes())?;
    archive.into_inner()?.finish()?.flush()
}

/// Owner root and time 0, so that nothing but the content tells two archives apart.
pub fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header
}
