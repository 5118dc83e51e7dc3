//! Images for containers, written as the archives that `ctr images import` reads.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::super::archive::pack::header;
use super::super::command::Failure;
use super::super::{Result, arch, hex_sha256};

const TYPES: &str = "application/vnd.oci.image";

/// An image of one layer with these programs, each with its path there, of which the first is run if `entry` says so.
pub fn write(to: &Path, name: &str, entry: &[&str], programs: &[(&Path, &str)]) -> Result<()> {
    try_write(to, name, entry, programs).map_err(|error| Failure::new(to.display(), error))
}

fn try_write(to: &Path, name: &str, entry: &[&str], programs: &[(&Path, &str)]) -> io::Result<()> {
    // Not packed: every host unpacks it when it is booted for the first time.
    let layer = layer(programs)?;
    let config = json!({
        "architecture": arch(),
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "WorkingDir": "/", "Entrypoint": entry},
    });
    let config = serde_json::to_vec(&config)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": format!("{TYPES}.manifest.v1+json"),
        "config": described("config.v1+json", &config),
        "layers": [described("layer.v1.tar", &layer)],
    });
    let manifest = serde_json::to_vec(&manifest)?;
    let mut listed = described("manifest.v1+json", &manifest);
    listed["annotations"] = json!({"io.containerd.image.name": name});
    let index = serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": [listed]}))?;
    let mut archive = tar::Builder::new(File::create(to)?);
    append(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    append(&mut archive, "index.json", &index)?;
    for blob in [&config, &layer, &manifest] {
        append(&mut archive, &format!("blobs/sha256/{}", hex_sha256(blob)), blob)?;
    }
    archive.finish()
}

fn layer(programs: &[(&Path, &str)]) -> io::Result<Vec<u8>> {
    let mut layer = tar::Builder::new(Vec::new());
    for (from, to) in programs {
        append(&mut layer, to, &fs::read(from)?)?;
    }
    layer.into_inner()
}

fn append(archive: &mut tar::Builder<impl io::Write>, path: &str, content: &[u8]) -> io::Result<()> {
    archive.append_data(&mut header(tar::EntryType::Regular, 0o755, content.len() as u64), path, content)
}

fn described(kind: &str, content: &[u8]) -> Value {
    json!({"mediaType": format!("{TYPES}.{kind}"), "digest": digest(content), "size": content.len()})
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex_sha256(content))
}
