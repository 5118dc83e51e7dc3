//! A certificate that somebody else signs while we wait: the key is made here and stays here, and what comes back is
//! checked as our own leaves are before anyone gets it.

use pkcs8::LineEnding;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::SecretString;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroize as _;

use super::ca_certificate::CaCertificate;
use super::facts::certificate_facts;
use super::issue::{Issued, alternative_name, with_chain};
use super::whole;
use crate::core::cluster::leaf::Wanted;
use crate::core::names::{Digest, UnixSeconds};
use crate::core::observed::Seen;

/// A new key, and the request for a certificate for it.
pub struct Request {
    key: KeyPair,
    /// PKCS#10.
    pub csr_pem: String,
}

/// The clocks of two machines may be this far apart, and a reply takes its time.
const CLOCK_SECONDS: i64 = 300;
/// A life that is shorter by no more than this was not cut by anybody.
const ROUNDED_SECONDS: i64 = 60;

impl Request {
    /// # Errors
    /// When a name cannot stand in a certificate, or no key can be made.
    pub fn new(wanted: &Wanted) -> Result<Request, String> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, wanted.common_name.as_str());
        params.subject_alt_names = wanted.names.iter().map(|name| alternative_name(name)).collect::<Result<_, _>>()?;
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        let csr = params.serialize_request(&key).and_then(|request| request.pem());
        let csr_pem = csr.map_err(|error| error.to_string())?;
        Ok(Request { key, csr_pem })
    }

    /// Checks that `pem` is what was asked for, by `ca_certificate`, and gives it together with the key.
    ///
    /// # Errors
    /// Which of all that it is not.
    pub fn accept(
        &self,
        pem: &str,
        wanted: &Wanted,
        ca_certificate: &CaCertificate,
        validity_seconds: u64,
        at: UnixSeconds,
    ) -> Result<Issued, String> {
        let unreadable = || "it cannot be read".to_owned();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| unreadable())?;
        let leaf = pkcs8::der::pem::encode_string("CERTIFICATE", LineEnding::LF, &der).map_err(|_| unreadable())?;
        let public_key = Digest::of(self.key.subject_public_key_info());
        let facts = certificate_facts(&leaf, Some(public_key), &[ca_certificate.known()]).ok_or_else(unreadable)?;
        let asked_end = at.plus_seconds(i64::try_from(validity_seconds).unwrap_or(i64::MAX));
        let (may_sign, may_be_shown) = purposes(&der);
        let checks = [
            (facts.matches_key == Seen::Known(true), "it is for another key"),
            (facts.signed_by == Some(ca_certificate.facts.fingerprint), "it is not signed by the CA that came with it"),
            (facts.common_name == wanted.common_name, "its common name is not the one requested"),
            (facts.names == wanted.names, "its names are not those requested"),
            (facts.usages.is_superset(&wanted.usages), "its key usages are not those requested"),
            (may_be_shown, "its key usage does not allow TLS signatures"),
            (!may_sign, "it is a CA certificate"),
            (facts.not_before <= at, "it is not valid yet: compare the clocks"),
            (facts.not_after > at, "it has already expired: compare the clocks"),
            (facts.not_after <= asked_end.plus_seconds(CLOCK_SECONDS), "it is valid for longer than requested"),
        ];
        if let Some((_, why)) = checks.iter().find(|(holds, _)| !holds) {
            return Err((*why).to_owned());
        }
        let shortened = facts.not_after < asked_end.plus_seconds(-ROUNDED_SECONDS);
        let key_pem = SecretString::from(self.key.serialize_pem());
        Ok(Issued { certificate_pem: with_chain(&leaf, ca_certificate), key_pem, facts, shortened })
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// Whether the certificate may sign others, and whether its key may sign a handshake.
fn purposes(der: &CertificateDer<'_>) -> (bool, bool) {
    let Some(certificate) = whole(X509Certificate::from_der(der)) else { return (true, false) };
    let may_sign = !matches!(certificate.basic_constraints(), Ok(None))
        && !matches!(certificate.basic_constraints(), Ok(Some(constraints)) if !constraints.value.ca);
    let may_be_shown = match certificate.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.digital_signature()),
        Err(_) => false,
    };
    (may_sign, may_be_shown)
}
