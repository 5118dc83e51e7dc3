//! ca.crt and ca.key, read from their folder and proven to belong together.

use std::fmt;
use std::path::Path;

use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::CertificateDer;
use zeroize::Zeroize as _;

use super::ca_certificate::{CaCertificate, Chain, parse};
use super::facts::KnownAuthority;
use super::file::{check_mode, read, unusable};
use super::key::{Opener, read_key};
use crate::core::desired::{AuthoritySource, Pair};
use crate::core::names::UnixSeconds;
use crate::core::observed::{Authority, Cause};

/// An authority that can sign. Its key stays in memory, is never printed, and is overwritten when dropped.
pub struct Signer {
    pub(super) ca_certificate: CaCertificate,
    pub(super) key: KeyPair,
}

impl Signer {
    pub fn facts(&self) -> &Authority {
        &self.ca_certificate.facts
    }

    pub fn certificate(&self) -> &CaCertificate {
        &self.ca_certificate
    }

    /// The exact text of ca.crt, as it is put on the hosts.
    pub fn certificate_pem(&self) -> &str {
        &self.ca_certificate.pem
    }

    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.ca_certificate.certificates[0]
    }

    /// For [`certificate_facts`](super::certificate_facts).
    pub fn known(&self) -> KnownAuthority {
        self.ca_certificate.known()
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("facts", self.facts()).field("key", &"***").finish_non_exhaustive()
    }
}

/// Reads an authority that someone else made: `certificate` may hold the chain above it, and the key may be encrypted.
///
/// # Errors
/// As [`load`](super::load), and when one of the files is not there: nobody but the operator can make it.
pub fn load_files(pair: &Pair, opener: &Opener, at: UnixSeconds) -> Result<Signer, Cause> {
    let Pair { certificate: certificate_path, key: key_path } = pair;
    let certificate = needed(certificate_path)?;
    let key = needed(key_path)?;
    check_mode(&key, key_path)?;
    let ca_certificate = CaCertificate::parse(&certificate.bytes, certificate_path, Chain::Allowed, at)?;
    assemble(ca_certificate, certificate_path, &key.bytes, key_path, opener, at)
}

/// An authority whose pair was read elsewhere; the paths say where, for messages.
///
/// # Errors
/// As [`load_files`].
pub fn assemble_text(
    certificate: &str,
    certificate_path: &Path,
    key: &[u8],
    key_path: &Path,
    at: UnixSeconds,
) -> Result<Signer, Cause> {
    let ca_certificate = CaCertificate::parse(certificate.as_bytes(), certificate_path, Chain::Allowed, at)?;
    assemble(ca_certificate, certificate_path, key, key_path, &Opener::default(), at)
}

/// Reads the certificate of an authority whose key is not here.
///
/// # Errors
/// When it is missing or no authority's.
pub fn load_ca_certificate(certificate_path: &Path, at: UnixSeconds) -> Result<CaCertificate, Cause> {
    CaCertificate::parse(&needed(certificate_path)?.bytes, certificate_path, Chain::Allowed, at)
}

/// The certificate of an authority that is declared to be here with its key, alone.
///
/// # Errors
/// As [`load_ca_certificate`].
pub fn load_certificate(source: &AuthoritySource, path: &Path, at: UnixSeconds) -> Result<CaCertificate, Cause> {
    CaCertificate::parse(&needed(path)?.bytes, path, chain_of(source), at)
}

/// As [`load_certificate`], of a text that was read at `path` somewhere else.
///
/// # Errors
/// When it is no authority's.
pub fn certificate_of_text(
    source: &AuthoritySource,
    text: &str,
    path: &Path,
    at: UnixSeconds,
) -> Result<CaCertificate, Cause> {
    CaCertificate::parse(text.as_bytes(), path, chain_of(source), at)
}

/// One that is made here stands alone: two in its file are one that takes the other's place.
fn chain_of(source: &AuthoritySource) -> Chain {
    match source {
        AuthoritySource::Generated { .. } => Chain::Forbidden,
        _ => Chain::Allowed,
    }
}

fn needed(path: &Path) -> Result<super::file::Content, Cause> {
    let hint = "correct the path in [ca], or put the file there";
    read(path)?.ok_or_else(|| unusable(format!("{} does not exist", path.display()), Some(hint)))
}

/// Checks that the key is the authority's, and that what it signs verifies.
pub(super) fn assemble(
    ca_certificate: CaCertificate,
    certificate_path: &Path,
    key_bytes: &[u8],
    key_path: &Path,
    opener: &Opener,
    at: UnixSeconds,
) -> Result<Signer, Cause> {
    let crt = certificate_path.display();
    let key = read_key(key_bytes, key_path, opener)?;
    let is_its_own = parse(&ca_certificate.certificates[0])
        .is_some_and(|parsed| parsed.public_key().subject_public_key.data.as_ref() == key.der_bytes());
    let signer = Signer { ca_certificate, key };
    if !is_its_own {
        let what = format!("{} is not the key of {crt}", key_path.display());
        return Err(unusable(what, Some("restore a matching pair, from one backup")));
    }
    // Some authorities parse, and yet what rcgen signs in their name does not verify: a subject with a repeated
    // attribute loses one of them. Better found by `plan` than by a half-finished `apply`.
    signer.operator(at).map_err(|diagnostic| {
        let why = diagnostic.causes.join(": ");
        unusable(format!("certificates signed by {crt} do not verify: {why}"), Some(SUBJECT))
    })?;
    Ok(signer)
}

const SUBJECT: &str = "use a CA with an RSA, P-256, P-384 or Ed25519 key whose subject has each attribute once (CN=…, \
                       O=…)";
