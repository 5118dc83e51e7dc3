//! ca.crt and ca.key, read from their folder and proven to belong together.

use std::path::Path;

use rcgen::PublicKeyData as _;

use super::ca_certificate::{CaCertificate, Chain, parse};
use super::encryption::{Encryption, encryption};
use super::file::{check_mode, read, unusable};
use super::key::read_key;
use super::loaded_ca::LoadedCa;
use super::opener::Opener;
use super::signer::Signer;
use crate::core::desired::{AuthoritySource, Pair};
use crate::core::names::UnixSeconds;
use crate::core::observed::{Cause, Lent, OpenedBy, Unable};

/// Reads an authority that someone else made: `certificate` may hold the chain above it, and the key may be encrypted.
///
/// # Errors
/// As [`load`](super::load), and when one of the files is not there: nobody but the operator can make it.
pub fn load_files(pair: &Pair, opener: &Opener, at: UnixSeconds) -> Result<LoadedCa, Cause> {
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
    let whole = assemble(ca_certificate, certificate_path, key, key_path, &Opener::default(), at)?;
    whole.into_signer(key_path)
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

/// Checks that the key is the authority's, and that what it signs verifies; neither of one that is encrypted and was not
/// opened.
pub(super) fn assemble(
    ca_certificate: CaCertificate,
    certificate_path: &Path,
    key_bytes: &[u8],
    key_path: &Path,
    opener: &Opener,
    at: UnixSeconds,
) -> Result<LoadedCa, Cause> {
    let crt = certificate_path.display();
    let Some(key) = read_key(key_bytes, key_path, opener)? else {
        let key = key_path.display().to_string();
        let by = if encryption(key_bytes) == Some(Encryption::Age) { OpenedBy::Age } else { OpenedBy::Passphrase };
        let why = Lent { key, has_certificate: true, why: Unable::Encrypted(by), reader: None };
        return Ok(LoadedCa::Locked { ca_certificate, why });
    };
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
    Ok(LoadedCa::Signer(signer))
}

const SUBJECT: &str = "use a CA with an RSA, P-256, P-384 or Ed25519 key whose subject has each attribute once (CN=…, \
                       O=…)";
