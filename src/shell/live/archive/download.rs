//! Fetching an archive, into a cache where its digest is its name.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::{ARCHIVE_BYTES_MAX, Hasher, differs, digest, unusable};
use crate::core::names::Digest;
use crate::core::observed::Cause;

/// `~/.cache/quorate`, or where XDG says; `None` without a home folder.
pub fn cache_folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("quorate"))
}

/// The archive with this digest: from the cache, or from `url`. Without a cache, the file vanishes when it is closed.
pub fn fetch(url: &str, expected: Digest, cache: Option<&Path>) -> Result<File, Cause> {
    let Some(cache) = cache else {
        let mut file = tempfile::tempfile().map_err(|error| cannot_keep(&std::env::temp_dir(), &error))?;
        download(url, expected, &mut file)?;
        return Ok(file);
    };
    let kept = cache.join(format!("{expected}.tar.gz"));
    // One that was cut short, or spoiled on the disk, is replaced.
    if let Ok(file) = File::open(&kept)
        && digest(&file).is_ok_and(|found| found == expected)
    {
        return Ok(file);
    }
    let cannot = |error: &std::io::Error| cannot_keep(cache, error);
    fs::create_dir_all(cache).map_err(|error| cannot(&error))?;
    let mut file = tempfile::NamedTempFile::with_prefix_in(".download-", cache).map_err(|error| cannot(&error))?;
    download(url, expected, file.as_file_mut())?;
    file.as_file().sync_all().map_err(|error| cannot(&error))?;
    file.persist(&kept).map_err(|error| cannot(&error.error))
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Without a byte.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// 25 MB at 30 kB/s.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);

fn download(url: &str, expected: Digest, into: &mut File) -> Result<(), Cause> {
    let mut response = agent(None).get(url).call().map_err(|error| cannot_fetch(url, &error))?;
    let mut body = response.body_mut().with_config().limit(ARCHIVE_BYTES_MAX).reader();
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = body.read(&mut buffer).map_err(|error| cannot_fetch(url, &ureq::Error::from(error)))?;
        if count == 0 {
            break;
        }
        let chunk = &buffer[..count];
        let written = hasher.update(chunk).and_then(|()| into.write_all(chunk));
        written.map_err(|error| unusable(format!("{url} could not be cached: {error}"), SPACE))?;
    }
    let found = hasher.finish();
    if found == expected { Ok(()) } else { Err(differs(url, expected, found)) }
}

/// Trusts what the machine trusts, and goes through the proxies of its environment. `whole` is the time for all of a call.
pub(super) fn agent(whole: Option<Duration>) -> Agent {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .user_agent(concat!("quorate/", env!("CARGO_PKG_VERSION")))
        .timeout_global(whole)
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(STALL_TIMEOUT))
        .timeout_per_read(Some(STALL_TIMEOUT))
        .timeout_recv_body(Some(DOWNLOAD_TIMEOUT))
        .build();
    config.into()
}

const SPACE: &str = "free space, or set XDG_CACHE_HOME to a directory that has enough";

const TRUST: &str = "this machine must trust the server's certificate";

fn cannot_fetch(url: &str, error: &ureq::Error) -> Cause {
    let hint = match error {
        ureq::Error::StatusCode(404) => "check that the release exists; fix `url` or `version`",
        ureq::Error::StatusCode(_) => "open it in a browser; if it needs a login, download it and use `path`",
        ureq::Error::Rustls(_) => TRUST,
        ureq::Error::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => TRUST,
        _ => {
            "if this machine has no access, download it elsewhere and set `path` in [etcd.archive]; HTTPS_PROXY is \
              honoured"
        }
    };
    let why = match error {
        ureq::Error::StatusCode(code) => format!("the server answered {code}"),
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    };
    unusable(format!("{url} could not be downloaded: {why}"), hint)
}

fn cannot_keep(folder: &Path, error: &std::io::Error) -> Cause {
    unusable(format!("the archive cannot be cached in {}: {error}", folder.display()), SPACE)
}
