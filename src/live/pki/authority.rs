//! ca.crt and ca.key, read from their folder and proven to belong together.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::{Zeroize as _, Zeroizing};

use super::create::{self, Interrupted};
use super::facts::{self, KnownAuthority};
use super::{CERTIFICATE, KEY, date};
use crate::code::Code;
use crate::names::{Digest, UnixSeconds};
use crate::observed::{Authority, Cause, Seen};

/// An authority that can sign. Its key stays in memory, is never printed, and is overwritten when dropped.
pub struct Signer {
    pub(super) facts: Authority,
    pub(super) certificate_pem: String,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: KeyPair,
}

impl Signer {
    pub fn facts(&self) -> &Authority {
        &self.facts
    }

    /// The exact text of ca.crt, as it is put on the hosts.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// For [`certificate_facts`](super::certificate_facts).
    pub fn known(&self) -> KnownAuthority {
        KnownAuthority::new(self.certificate.clone())
    }

    /// What a load says as a fact.
    pub fn seen(loaded: &Result<Option<Signer>, Cause>) -> Seen<Option<Authority>> {
        match loaded {
            Ok(signer) => Seen::Known(signer.as_ref().map(|signer| signer.facts.clone())),
            Err(cause) => Seen::Unknown(cause.clone()),
        }
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("facts", &self.facts).field("key", &"***").finish_non_exhaustive()
    }
}

/// Reads the authority in `folder`; `None` when there is none yet.
///
/// # Errors
/// When one of the two files is missing or unreadable, when others can read the key, when the certificate is no
/// authority's or has expired, or when the key is not its own. Nothing here is ever overwritten, so each is for the
/// operator to mend.
pub fn load(folder: &Path, at: UnixSeconds) -> Result<Option<Signer>, Cause> {
    let certificate_path = folder.join(CERTIFICATE);
    let key_path = folder.join(KEY);
    match (read(&certificate_path)?, read(&key_path)?) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            check_mode(&key, &key_path)?;
            let signer = assemble(&certificate.bytes, &certificate_path, &key.bytes, &key_path, at)?;
            Ok(Some(signer))
        }
        (Some(_), None) => {
            let what = format!("{} is there, but {} is not", certificate_path.display(), key_path.display());
            Err(unusable(
                what,
                Some("restore it from your backup: quorate cannot make the key of an existing authority"),
            ))
        }
        // A creation that was cut off between its last two steps is finished by the next one.
        (None, Some(_)) if create::interrupted(folder) == Some(Interrupted::BeforeCertificate) => Ok(None),
        (None, Some(_)) => {
            let what = format!("{} is there, but {} is not", key_path.display(), certificate_path.display());
            Err(unusable(
                what,
                Some("restore it from your backup; every host that trusts the authority also has it as ca.crt"),
            ))
        }
    }
}

pub(super) struct Content {
    pub bytes: Zeroizing<Vec<u8>>,
    mode: u32,
}

/// No certificate or key is near this size.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The file's content, or `None` when it does not exist.
pub(super) fn read(path: &Path) -> Result<Option<Content>, Cause> {
    let cannot = |error: &io::Error| unusable(format!("{} cannot be read: {error}", path.display()), None);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| cannot(&error))?,
    };
    let metadata = file.metadata().map_err(|error| cannot(&error))?;
    if !metadata.is_file() {
        return Err(unusable(format!("{} is not a file", path.display()), None));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unusable(format!("{} is too large to be a certificate or a key", path.display()), None));
    }
    Ok(Some(Content { bytes, mode: metadata.mode() }))
}

fn check_mode(key: &Content, path: &Path) -> Result<(), Cause> {
    if key.mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    let what = format!("{path} can be read by others than its owner (mode {:o})", key.mode & 0o7777);
    Err(unusable(what, Some(&format!("chmod 600 {path}; if others may have read it, make a new authority"))))
}

/// Checks that the two files are an authority and its key, that it is valid now, and that what it signs verifies.
pub(super) fn assemble(
    certificate_bytes: &[u8],
    certificate_path: &Path,
    key_bytes: &[u8],
    key_path: &Path,
    at: UnixSeconds,
) -> Result<Signer, Cause> {
    let crt = certificate_path.display();
    let certificate_pem = text_of_certificate(certificate_bytes, certificate_path)?;
    let certificate = the_certificate(certificate_bytes, certificate_path)?;
    let key = read_key(key_bytes, key_path)?;
    let parsed = parse(&certificate)
        .ok_or_else(|| unusable(format!("{crt} is not a certificate that can be read"), Some(RESTORE)))?;
    if parsed.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
        let what = format!("{} is not the key of {crt}", key_path.display());
        return Err(unusable(what, Some("put back the pair that belongs together, from one backup")));
    }
    if let Some(what) = why_no_authority(&parsed) {
        return Err(unusable(format!("{crt} {what}"), Some(RESTORE)));
    }
    let not_before = UnixSeconds(parsed.validity().not_before.timestamp());
    let not_after = UnixSeconds(parsed.validity().not_after.timestamp());
    if not_after <= at {
        let what = format!("{crt} expired on {}", date(not_after));
        return Err(unusable(
            what,
            Some("every certificate that it signed has ended with it: a new authority is needed"),
        ));
    }
    if not_before > at {
        let what = format!("{crt} is not valid before {}", date(not_before));
        return Err(unusable(what, Some("check this machine's clock")));
    }
    let facts =
        Authority { fingerprint: Digest::of(&certificate), file_digest: Digest::of(certificate_bytes), not_after };
    let signer = Signer { facts, certificate_pem, certificate: certificate.clone(), key };
    // Some authorities parse, and yet what rcgen signs in their name does not verify: a subject with a repeated
    // attribute loses one of them. Better found by `plan` than by a half-finished `apply`.
    signer.operator(at).map_err(|diagnostic| {
        let why = diagnostic.causes.join(": ");
        unusable(format!("{crt} cannot sign certificates that verify: {why}"), Some(SUBJECT))
    })?;
    Ok(signer)
}

const RESTORE: &str = "restore ca.crt and ca.key from your backup";
const SUBJECT: &str = "an authority with an RSA, P-256, P-384 or Ed25519 key can be used, whose subject names each attribute once (CN=…, O=…)";

/// ca.crt goes to every host, readable by all: it must hold nothing but certificates.
fn text_of_certificate(bytes: &[u8], path: &Path) -> Result<String, Cause> {
    let path = path.display();
    let text = std::str::from_utf8(bytes)
        .map_err(|_| unusable(format!("{path} is not in PEM form"), Some("openssl x509 -inform DER converts it")))?;
    if text.contains("PRIVATE KEY-----") {
        let what = format!("{path} holds a private key, and would be put on every host");
        return Err(unusable(what, Some("leave only the certificate in it; the key belongs into ca.key")));
    }
    Ok(text.to_owned())
}

fn the_certificate(bytes: &[u8], path: &Path) -> Result<CertificateDer<'static>, Cause> {
    let path = path.display();
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match certificates.as_deref() {
        Ok([certificate]) => Ok(certificate.clone()),
        Ok([]) => Err(unusable(format!("{path} holds no certificate in PEM form"), Some(RESTORE))),
        Ok(several) => {
            let what = format!("{path} holds {} certificates, and only one can be the authority's", several.len());
            Err(unusable(what, Some("leave the one that ca.key belongs to")))
        }
        Err(error) => Err(unusable(format!("{path} is not in PEM form: {error}"), Some(RESTORE))),
    }
}

fn read_key(bytes: &[u8], path: &Path) -> Result<KeyPair, Cause> {
    let path = path.display();
    if bytes.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED)
        || bytes.windows(PROC_TYPE.len()).any(|window| window == PROC_TYPE)
    {
        let what = format!("{path} is encrypted, and quorate asks for no passphrase");
        return Err(unusable(what, Some("decrypt it with `openssl pkey`, and keep it readable by you alone")));
    }
    let mut der = PrivateKeyDer::from_pem_slice(bytes)
        .map_err(|_| unusable(format!("{path} holds no private key in PEM form"), Some(RESTORE)))?;
    let key = KeyPair::try_from(&der);
    der.zeroize();
    key.map_err(|_| {
        let what = format!("{path} is not a private key that can be used");
        unusable(
            what,
            Some("RSA of 2048 bits or more, P-256, P-384 and Ed25519 are understood, as PKCS#8, PKCS#1 or SEC1"),
        )
    })
}

const ENCRYPTED: &[u8] = b"ENCRYPTED PRIVATE KEY";
/// The header of the older encrypted form: `Proc-Type: 4,ENCRYPTED`.
const PROC_TYPE: &[u8] = b"Proc-Type: 4,ENCRYPTED";

/// Why the certificate cannot sign others.
fn why_no_authority(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    let is_authority = matches!(certificate.basic_constraints(), Ok(Some(constraints)) if constraints.value.ca);
    if !is_authority {
        return Some("is no authority's certificate (its basic constraints do not say CA)");
    }
    match certificate.key_usage() {
        Ok(None) => None,
        Ok(Some(usage)) if usage.value.key_cert_sign() => None,
        _ => Some("may not sign certificates (its key usage does not say so)"),
    }
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    facts::whole(X509Certificate::from_der(certificate))
}

pub(super) fn unusable(summary: String, hint: Option<&str>) -> Cause {
    Cause { code: Code::AuthorityUnreadable, summary, hint: hint.map(str::to_owned) }
}
