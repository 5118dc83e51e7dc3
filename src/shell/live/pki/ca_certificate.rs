//! The certificate of an authority, with those above it: what hosts trust, and what its leaves are checked against.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::date;
use super::facts::KnownAuthority;
use super::file::unusable;
use crate::core::names::{Digest, UnixSeconds};
use crate::core::observed::{Authority, Cause};

pub(super) const RESTORE: &str = "restore ca.crt and ca.key from your backup";

/// Whether ca.crt may hold the authorities above the one that signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chain {
    Forbidden,
    Allowed,
}

/// An authority's certificate, which is valid now and may sign.
#[derive(Clone, Debug)]
pub struct CaCertificate {
    pub(super) facts: Authority,
    /// The exact text of ca.crt.
    pub(super) pem: String,
    /// The one that signs leaves first, then the one that signed it, and so on.
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

impl CaCertificate {
    /// Reads what is in `path`.
    ///
    /// # Errors
    /// When it is no authority's certificate, has expired, or holds anything else.
    pub(super) fn parse(bytes: &[u8], path: &Path, chain: Chain, at: UnixSeconds) -> Result<CaCertificate, Cause> {
        let pem = text_of_certificate(bytes, path)?;
        let certificates = the_certificates(bytes, path, chain)?;
        let crt = path.display();
        let mut parsed = Vec::with_capacity(certificates.len());
        for certificate in &certificates {
            let read = parse(certificate);
            parsed.push(read.ok_or_else(|| unusable(format!("{crt} is not a readable certificate"), Some(RESTORE)))?);
        }
        for certificate in &parsed {
            check(certificate, path, at)?;
        }
        for pair in parsed.windows(2) {
            let [lower, upper] = pair else { continue };
            let is_above = lower.issuer().as_raw() == upper.subject().as_raw()
                && lower.verify_signature(Some(upper.public_key())).is_ok();
            if !is_above {
                let what = format!(
                    "the certificates in {crt} do not form a chain: one is not signed by the one after \
                                    it"
                );
                let hint = "put the issuing CA first, then the CA that signed it, and nothing else";
                return Err(unusable(what, Some(hint)));
            }
        }
        let ends = parsed.iter().map(|certificate| UnixSeconds(certificate.validity().not_after.timestamp()));
        let facts = Authority {
            fingerprint: Digest::of(&certificates[0]),
            file_digest: Digest::of(bytes),
            not_after: ends.min().unwrap_or(at),
            chain: certificates[1..].iter().map(Digest::of).collect(),
        };
        Ok(CaCertificate { facts, pem, certificates })
    }

    /// The authority that signs, and those above it among `chain`, as somebody told us in PEM.
    ///
    /// # Errors
    /// As [`CaCertificate::parse`]; `place` is where they are from.
    pub fn of_texts(signs: &str, chain: &str, place: &str, at: UnixSeconds) -> Result<CaCertificate, Cause> {
        let path = Path::new(place);
        let first = the_certificates(signs.as_bytes(), path, Chain::Forbidden)?;
        let above = CertificateDer::pem_slice_iter(chain.as_bytes()).flatten().filter(|der| !first.contains(der));
        let pem = |der: &CertificateDer| {
            pkcs8::der::pem::encode_string("CERTIFICATE", pkcs8::LineEnding::LF, der)
                .map_err(|_| unusable(format!("{place} holds a certificate that is too long"), None))
        };
        let text = first.iter().cloned().chain(above).map(|der| pem(&der)).collect::<Result<String, _>>()?;
        Self::parse(text.as_bytes(), path, Chain::Allowed, at)
    }

    pub fn not_after(&self) -> UnixSeconds {
        self.facts.not_after
    }

    pub fn facts(&self) -> &Authority {
        &self.facts
    }

    /// For [`certificate_facts`](super::certificate_facts).
    pub fn known(&self) -> KnownAuthority {
        KnownAuthority::new(self.certificates[0].clone())
    }

    /// What a leaf must be served with, so that who trusts only the root can follow: everything below the root.
    pub(super) fn below_root(&self) -> Vec<&CertificateDer<'static>> {
        let is_root = |der: &CertificateDer| parse(der).is_some_and(|one| one.subject() == one.issuer());
        self.certificates.iter().filter(|der| !is_root(der)).collect()
    }
}

fn check(certificate: &X509Certificate<'_>, path: &Path, at: UnixSeconds) -> Result<(), Cause> {
    let crt = path.display();
    if let Some(what) = why_no_authority(certificate) {
        return Err(unusable(format!("{crt} {what}"), Some(RESTORE)));
    }
    let not_before = UnixSeconds(certificate.validity().not_before.timestamp());
    let not_after = UnixSeconds(certificate.validity().not_after.timestamp());
    if not_after <= at {
        let what = format!("{crt} expired on {} (openssl verify: certificate has expired)", date(not_after));
        return Err(unusable(what, Some(&renewal(certificate, path))));
    }
    if not_before > at {
        let what = format!("{crt} is not valid before {}", date(not_before));
        return Err(unusable(what, Some("check this machine's clock")));
    }
    Ok(())
}

/// How an authority that has expired is replaced. With the same key all that it has signed is valid again.
fn renewal(certificate: &X509Certificate<'_>, path: &Path) -> String {
    let (crt, key) = (path.display(), path.with_extension("key"));
    let new = match certificate.subject() == certificate.issuer() && key.exists() {
        true => format!(
            "renew it with its own key (`openssl x509 -in {crt} -signkey {} -days 3650 -out new-ca.crt && mv new-ca.crt \
             {crt}`)",
            key.display()
        ),
        false => "have it renewed, or put a new CA in its place".to_owned(),
    };
    format!(
        "no certificate that it signed is accepted any more: {new}; then stop etcd on every node, and `quorate apply` \
         installs it and starts them together: see `quorate explain authority-unreadable`"
    )
}

/// ca.crt goes to every host, readable by all: it must hold nothing but certificates.
fn text_of_certificate(bytes: &[u8], path: &Path) -> Result<String, Cause> {
    let path = path.display();
    let text = std::str::from_utf8(bytes)
        .map_err(|_| unusable(format!("{path} is not PEM"), Some("convert it with `openssl x509 -inform DER`")))?;
    if text.contains("PRIVATE KEY-----") {
        let what = format!("{path} contains a private key, which would be copied to every host");
        return Err(unusable(what, Some("leave only the certificate in it; the key belongs in ca.key")));
    }
    Ok(text.to_owned())
}

fn the_certificates(bytes: &[u8], path: &Path, chain: Chain) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let path = path.display();
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match (certificates, chain) {
        (Ok(none), _) if none.is_empty() => Err(unusable(format!("{path} contains no PEM certificate"), Some(RESTORE))),
        (Ok(several), Chain::Forbidden) if several.len() > 1 => {
            let what = format!("{path} contains {} certificates, but only one can be the CA's", several.len());
            Err(unusable(what, Some("keep the one that ca.key belongs to")))
        }
        (Ok(certificates), _) => Ok(certificates),
        (Err(error), _) => Err(unusable(format!("{path} is not PEM: {error}"), Some(RESTORE))),
    }
}

/// Why the certificate cannot sign others.
fn why_no_authority(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    let is_authority = matches!(certificate.basic_constraints(), Ok(Some(constraints)) if constraints.value.ca);
    if !is_authority {
        return Some("is not a CA certificate (basic constraints without CA)");
    }
    match certificate.key_usage() {
        Ok(None) => {}
        Ok(Some(usage)) if usage.value.key_cert_sign() => {}
        _ => return Some("may not sign certificates (key usage without keyCertSign)"),
    }
    // A CA that names purposes limits its leaves to them, in Go's verification as in OpenSSL's: members show certificates
    // for both.
    match certificate.extended_key_usage() {
        Ok(None) => None,
        Ok(Some(purposes)) if purposes.value.any => None,
        Ok(Some(purposes)) => match (purposes.value.server_auth, purposes.value.client_auth) {
            (true, true) => None,
            (_, false) => Some(
                "may not sign client certificates (extended key usage without clientAuth; openssl verify: unsuitable \
                 certificate purpose)",
            ),
            (false, true) => Some(
                "may not sign server certificates (extended key usage without serverAuth; openssl verify: unsuitable \
                 certificate purpose)",
            ),
        },
        Err(_) => Some("has an extended key usage that cannot be read"),
    }
}

pub(super) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    super::whole(X509Certificate::from_der(certificate))
}
