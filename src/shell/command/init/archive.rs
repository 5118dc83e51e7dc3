//! The archive of etcd that a new cluster.toml names: the one that was given, or the one that lies nearby.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::InitArgs;
use crate::core::desired::ArchiveLocation;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{Architecture, Digest, Version};
use crate::shell::live::archive::release;

/// An archive, or the same one for several architectures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Archive {
    /// The template; a path is relative to the folder of cluster.toml where it lies below it.
    pub location: ArchiveLocation,
    pub sha256: BTreeMap<Architecture, Digest>,
    version: Option<Version>,
    /// Whether the digests are what the release's own list says.
    is_release: bool,
}

impl Archive {
    /// The version in the archive's name.
    pub fn version(&self) -> Option<Version> {
        self.version
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ArchiveLocation::Url(template) | ArchiveLocation::Path(template)) = &self.location;
        let architectures: Vec<&str> = self.sha256.keys().map(|architecture| architecture.as_str()).collect();
        write!(f, "{template} ({})", architectures.join(", "))?;
        if self.is_release { f.write_str(", with the SHA-256 of its SHA256SUMS") } else { Ok(()) }
    }
}

/// What a file name says, when it is one of etcd's: `etcd-v3.5.16-linux-amd64.tar.gz`.
fn parse_name(name: &str) -> Option<(Version, Architecture)> {
    let (version, rest) = name.strip_prefix("etcd-v")?.split_once("-linux-")?;
    let architecture = rest.strip_suffix(".tar.gz")?;
    let architecture = Architecture::ALL.iter().copied().find(|known| known.as_str() == architecture)?;
    Some((version.parse().ok()?, architecture))
}

/// The archive that was named, or that lies nearby. Only files are read: a URL is not fetched.
pub(super) fn choose(args: &InitArgs, folder: &Path) -> Result<Option<Archive>, Diagnostic> {
    let chosen = match &args.archive {
        Some(url) if url.contains("://") => Some(at_url(url, args.sha256)?),
        Some(path) => Some(at_path(Path::new(path), folder, args.sha256)?),
        None => nearby(folder, args.version)?,
    };
    match (chosen.as_ref().and_then(Archive::version), args.version, &args.archive) {
        (Some(found), Some(wanted), Some(archive)) if found != wanted => {
            Err(Diagnostic::failure(format!("the archive is for etcd {found}, but --version is {wanted}")).at(archive))
        }
        _ => Ok(chosen),
    }
}

fn at_url(url: &str, sha256: Option<Digest>) -> Result<Archive, Diagnostic> {
    let name = url.rsplit('/').next().unwrap_or(url);
    let Some(digest) = sha256 else {
        return Err(Diagnostic::failure("an archive at a URL needs its SHA-256")
            .at(url)
            .hint("add --sha256 HEX from the release's SHA256SUMS"));
    };
    Ok(archive(name, digest, |name| match parse_name(name) {
        // etcd's releases have the version in a folder's name too.
        Some((version, _)) => {
            let parent = url[..url.len() - name.len()].replace(&format!("/v{version}/"), "/v{version}/");
            ArchiveLocation::Url(parent + &template(name))
        }
        None => ArchiveLocation::Url(url.to_owned()),
    }))
}

fn at_path(path: &Path, folder: &Path, expected: Option<Digest>) -> Result<Archive, Diagnostic> {
    let shown = path.display().to_string();
    let failure = |error: io::Error| Diagnostic::failure("cannot read the archive").at(&shown).caused_by(&error);
    let digest = digest_of(path).map_err(failure)?;
    if expected.is_some_and(|expected| expected != digest) {
        return Err(Diagnostic::failure("the archive's SHA-256 does not match")
            .at(&shown)
            .with_cause(format!("it is {digest}")));
    }
    let absolute = std::path::absolute(path).map_err(failure)?;
    let relative = absolute.strip_prefix(folder).unwrap_or(&absolute);
    let (Some(text), Some(name)) = (relative.to_str(), relative.file_name().and_then(|name| name.to_str())) else {
        return Err(Diagnostic::failure("the archive's path is not UTF-8").at(&shown));
    };
    Ok(archive(name, digest, |name| {
        ArchiveLocation::Path(text[..text.len() - name.len()].to_owned() + &template(name))
    }))
}

/// The archive of that name. One whose name says nothing is taken for amd64: the file shows it, to be corrected.
fn archive(name: &str, digest: Digest, location: impl FnOnce(&str) -> ArchiveLocation) -> Archive {
    let said = parse_name(name);
    let architecture = said.map_or(Architecture::Amd64, |(_, architecture)| architecture);
    Archive {
        location: location(name),
        sha256: BTreeMap::from([(architecture, digest)]),
        version: said.map(|(version, _)| version),
        is_release: false,
    }
}

/// The official release of `version` below `base`, with the digests that it publishes.
///
/// # Errors
/// Why they could not be had.
pub(super) fn of_release(base: &str, version: Version) -> Result<Archive, String> {
    let base = base.trim_end_matches('/');
    let location = ArchiveLocation::Url(format!("{base}/v{{version}}/etcd-v{{version}}-linux-{{arch}}.tar.gz"));
    let sha256 = release::digests(base, version)?;
    Ok(Archive { location, sha256, version: Some(version), is_release: true })
}

/// The name with placeholders, so that a new version needs a new number and a new digest only.
fn template(name: &str) -> String {
    match parse_name(name) {
        Some(_) => "etcd-v{version}-linux-{arch}.tar.gz".to_owned(),
        None => name.to_owned(),
    }
}

/// The archives in `folder` or `folder/artifacts`, when they are of one version.
fn nearby(folder: &Path, wanted: Option<Version>) -> Result<Option<Archive>, Diagnostic> {
    for place in [folder.to_owned(), folder.join("artifacts")] {
        let mut found: BTreeMap<Version, Vec<String>> = BTreeMap::new();
        // A folder that cannot be listed has nothing to offer: naming no archive is fine.
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            match parse_name(&name) {
                Some((version, _)) if wanted.is_none_or(|wanted| wanted == version) => {
                    found.entry(version).or_default().push(name);
                }
                Some(_) | None => {}
            }
        }
        if found.len() > 1 {
            let versions: Vec<String> = found.keys().map(Version::to_string).collect();
            return Err(Diagnostic::failure(format!("found archives of etcd {} here", versions.join(" and ")))
                .at(place.display().to_string())
                .hint("choose with --version X.Y.Z or --archive PATH"));
        }
        let Some((_, names)) = found.pop_first() else { continue };
        let archives: Vec<Archive> =
            names.iter().map(|name| at_path(&place.join(name), folder, None)).collect::<Result<_, _>>()?;
        return Ok(archives.into_iter().reduce(|mut all, one| {
            all.sha256.extend(one.sha256);
            all
        }));
    }
    Ok(None)
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => context.update(&buffer[..length]),
        }
    }
    let digest = context.finish();
    Ok(Digest::from_bytes(digest.as_ref().try_into().expect("a SHA-256 has 32 bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_etcds_own_names_say_something() {
        let said = Some((Version::new(3, 5, 16), Architecture::Arm64));
        assert_eq!(parse_name("etcd-v3.5.16-linux-arm64.tar.gz"), said);
        for other in
            ["etcd-v3.5-linux-arm64.tar.gz", "etcd-v3.5.16-linux-mips.tar.gz", "etcd-v3.5.16-darwin-arm64.zip", "etcd"]
        {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }
}
