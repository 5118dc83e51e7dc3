//! Which host keys are believed: a strict matcher over the lines of known hosts files.
//!
//! Ours, because libssh2's accepts a key that a `@revoked` line names, reads nothing of a file with one malformed line,
//! does not know wildcards with ports, and reports a mismatch when it only negotiated another key type than the known.
//! The order: a revoked key is refused whatever else is said; a known key is accepted; a host that is known with another
//! key of the same type has changed; everything else is unknown. Nothing is ever added to a file.

use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use ssh_key::known_hosts::{Entry, HostPatterns, Marker};

use super::blob;
use super::error::SshError;

/// The lines of all files, in order.
#[derive(Debug, Default)]
pub(super) struct KnownHosts {
    lines: Vec<Line>,
    /// Lines that could not be read. They are skipped: one bad line must not hide the good ones.
    skipped: Vec<Place>,
}

#[derive(Debug)]
struct Line {
    place: Place,
    entry: Entry,
    /// The key as it goes over the wire.
    blob: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub file: PathBuf,
    pub line: usize,
}

/// The names a host can have in the files.
#[derive(Debug, Clone)]
pub(super) struct HostId {
    /// `host`, or `[host]:port` for a port that is not 22.
    name: String,
    /// Without the port: OpenSSH accepts a key known so, too.
    plain: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Known,
    Revoked(Place),
    Changed { place: Place, fingerprint: String },
    Unknown { note: Option<String> },
}

impl HostId {
    pub fn new(hostname: &str, port: u16, alias: Option<&str>) -> HostId {
        let hostname = hostname.to_ascii_lowercase();
        match alias {
            Some(alias) => HostId { name: alias.to_ascii_lowercase(), plain: None },
            None if port == 22 => HostId { name: hostname, plain: None },
            None => HostId { name: format!("[{hostname}]:{port}"), plain: Some(hostname) },
        }
    }

    /// As it is written into a file.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl KnownHosts {
    /// A file that does not exist holds nothing; one that cannot be read is an error.
    pub fn load(files: &[PathBuf]) -> Result<KnownHosts, SshError> {
        let mut known = KnownHosts::default();
        for file in files {
            match std::fs::read(file) {
                Ok(bytes) => known.add(file, &String::from_utf8_lossy(&bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(SshError::KnownHosts { file: file.clone(), reason: error.to_string() });
                }
            }
        }
        Ok(known)
    }

    fn add(&mut self, file: &Path, text: &str) {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = Place { file: file.to_owned(), line: index + 1 };
            match line.parse::<Entry>().ok().and_then(|entry| Some((entry.public_key().to_bytes().ok()?, entry))) {
                Some((blob, entry)) => self.lines.push(Line { place, entry, blob }),
                None => self.skipped.push(place),
            }
        }
    }

    /// The key types known for this host, in the order to ask the server for them. Certificate authorities do not count:
    /// host certificates are not checked here.
    pub fn algorithms(&self, host: &HostId) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for line in self.lines.iter().filter(|line| line.entry.marker().is_none() && line.matches_any(host)) {
            let name = line.algorithm();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    pub fn check(&self, host: &HostId, algorithm: &str, blob: &[u8]) -> Verdict {
        let marked = |line: &&Line, marker: Option<&Marker>| line.entry.marker() == marker;
        let of_host = || self.lines.iter().filter(|line| line.matches(&host.name));

        let mut revoked = self.lines.iter().filter(|line| marked(line, Some(&Marker::Revoked)));
        if let Some(line) = revoked.find(|line| line.blob == blob && line.matches_any(host)) {
            return Verdict::Revoked(line.place.clone());
        }
        let mut plain = self.lines.iter().filter(|line| marked(line, None));
        if plain.any(|line| line.blob == blob && line.matches_any(host)) {
            return Verdict::Known;
        }
        let mut same_type = of_host().filter(|line| marked(line, None) && line.algorithm() == algorithm);
        if let Some(line) = same_type.next() {
            return Verdict::Changed { place: line.place.clone(), fingerprint: blob::fingerprint(&line.blob) };
        }
        Verdict::Unknown { note: self.note(host) }
    }

    /// What there is about a host whose key is unknown.
    fn note(&self, host: &HostId) -> Option<String> {
        let mut notes = Vec::new();
        let about =
            |marker| self.lines.iter().find(move |line| line.entry.marker() == marker && line.matches_any(host));
        if let Some(line) = about(None) {
            notes.push(format!("{} has a key of a different type for it ({})", line.place, line.algorithm()));
        }
        if let Some(line) = about(Some(&Marker::CertAuthority)) {
            notes.push(format!(
                "{} trusts a certificate authority for it, but host certificates are not supported",
                line.place
            ));
        }
        if let Some(place) = self.skipped.first() {
            let more = match self.skipped.len() - 1 {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            notes.push(format!("{place}{more} could not be read"));
        }
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

impl Line {
    fn algorithm(&self) -> String {
        self.entry.public_key().algorithm().to_string()
    }

    fn matches_any(&self, host: &HostId) -> bool {
        self.matches(&host.name) || host.plain.as_ref().is_some_and(|plain| self.matches(plain))
    }

    fn matches(&self, name: &str) -> bool {
        match self.entry.host_patterns() {
            HostPatterns::HashedName { salt, hash } => {
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                hmac::sign(&key, name.as_bytes()).as_ref() == hash
            }
            HostPatterns::Patterns(patterns) => {
                let mut found = false;
                for pattern in patterns {
                    match pattern.strip_prefix('!') {
                        Some(negated) if matches_pattern(&negated.to_ascii_lowercase(), name) => return false,
                        Some(_) => {}
                        None => found |= matches_pattern(&pattern.to_ascii_lowercase(), name),
                    }
                }
                found
            }
        }
    }
}

/// `*` stands for any letters, `?` for one.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where to go on if a later letter does not fit: after the last star, which then takes one letter more.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n + 1));
                p += 1;
            }
            Some(letter) if *letter == b'?' || *letter == name[n] => (p, n) = (p + 1, n + 1),
            _ => match retry {
                Some((after_star, next)) => {
                    (p, n) = (after_star, next);
                    retry = Some((after_star, next + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|letter| *letter == b'*')
}

/// The line that makes a key known.
pub(super) fn line_for(host: &HostId, algorithm: &str, blob: &[u8]) -> String {
    format!("{} {algorithm} {}", host.name(), blob::base64(blob))
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

#[cfg(test)]
#[path = "known_hosts_tests.rs"]
mod tests;
