//! What etcd publishes about a release: SHA256SUMS, which lies beside its archives.

use std::collections::BTreeMap;
use std::time::Duration;

use super::download::agent;
use crate::core::names::{Architecture, Digest, Version};
use crate::core::span;

/// Where the releases of etcd are, each in a folder `vX.Y.Z`.
pub const RELEASES: &str = "https://github.com/etcd-io/etcd/releases/download";

/// For all of it. Whoever has no network should not wait for it.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Some 20 lines of 100 characters.
const SUMS_BYTES_MAX: u64 = 64 << 10;

/// The architectures that nearly everybody has: more would be lines that nobody reads.
const WANTED: [Architecture; 2] = [Architecture::Amd64, Architecture::Arm64];

/// The digests of the archives of `version`, from SHA256SUMS below `base`.
///
/// # Errors
/// Why they could not be had, in words.
pub fn digests(base: &str, version: Version) -> Result<BTreeMap<Architecture, Digest>, String> {
    let url = format!("{base}/v{version}/SHA256SUMS");
    let cannot = |error: ureq::Error| match error {
        ureq::Error::StatusCode(404) => format!("{url} does not exist"),
        ureq::Error::StatusCode(code) => format!("{url}: the server answered {code}"),
        ureq::Error::Timeout(_) => format!("{url} did not answer within {}", span::limit(TIMEOUT)),
        error => format!("{url} could not be downloaded: {error}"),
    };
    let mut response = agent(Some(TIMEOUT)).get(&url).call().map_err(cannot)?;
    let text = response.body_mut().with_config().limit(SUMS_BYTES_MAX).read_to_string().map_err(cannot)?;
    let found = parse(&text, version);
    if found.is_empty() { Err(format!("{url} lists no archive of etcd {version} for Linux")) } else { Ok(found) }
}

/// The lines of `sha256sum` for the archives that are wanted.
fn parse(text: &str, version: Version) -> BTreeMap<Architecture, Digest> {
    let of = |architecture: Architecture| {
        let name = format!("etcd-v{version}-linux-{architecture}.tar.gz");
        let mut lines = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
        let (digest, _) = lines.find(|(_, file)| file.trim_start().trim_start_matches('*') == name)?;
        Some((architecture, digest.parse().ok()?))
    };
    WANTED.into_iter().filter_map(of).collect()
}
