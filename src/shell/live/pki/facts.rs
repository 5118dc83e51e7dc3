//! What a certificate says, read with x509-parser: what lies on a host, and what we have just issued ourselves.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Name};

use super::form::Form;
use super::whole;
use crate::core::code::Code;
use crate::core::names::canonical;
use crate::core::names::{Digest, UnixSeconds};
use crate::core::observed::{Cause, Certificate, Seen, Usage};

/// An authority that a certificate may have been signed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownAuthority {
    pub fingerprint: Digest,
    certificate: CertificateDer<'static>,
}

impl KnownAuthority {
    pub fn new(certificate: CertificateDer<'static>) -> Self {
        Self { fingerprint: Digest::of(&certificate), certificate }
    }

    /// Whether it has expired: nobody who trusts it accepts a certificate of it any more.
    pub fn has_ended(&self, at: UnixSeconds) -> bool {
        whole(X509Certificate::from_der(&self.certificate))
            .is_some_and(|authority| UnixSeconds(authority.validity().not_after.timestamp()) <= at)
    }

    /// Whether `leaf` names it as its issuer and carries its signature.
    fn signed(&self, leaf: &X509Certificate<'_>) -> bool {
        whole(X509Certificate::from_der(&self.certificate)).is_some_and(|authority| {
            authority.subject().as_raw() == leaf.issuer().as_raw()
                && leaf.verify_signature(Some(authority.public_key())).is_ok()
        })
    }
}

/// Every certificate in a ca.crt, in the file's order. What is not a certificate is passed over.
pub fn authorities(pem: &str) -> Vec<KnownAuthority> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).flatten();
    let readable = certificates.filter(|der| whole(X509Certificate::from_der(der)).is_some());
    readable.map(KnownAuthority::new).collect()
}

/// The fingerprints of the authorities in a ca.crt, in the file's order.
pub fn trusted(pem: &str) -> Vec<Digest> {
    authorities(pem).into_iter().map(|authority| authority.fingerprint).collect()
}

/// What the first certificate in `pem` says; `None` when there is none that can be read.
///
/// `key` is what the host says of the key beside it: the SHA-256 either of the public key in DER (`openssl pkey -pubout
/// -outform DER | sha256sum`), or of the last 65 bytes of the private key's own DER, where a P-256 key holds its public
/// point, so that a host needs coreutils only:
///
/// ```sh
/// sed /-----/d server.key | base64 -d | tail -c 65 | sha256sum
/// ```
///
/// The latter says nothing of other kinds of keys; then whether the two belong together stays unknown.
pub fn certificate_facts(pem: &str, key: Option<Digest>, known: &[KnownAuthority]) -> Option<Certificate> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let certificate = whole(X509Certificate::from_der(&der))?;
    let signed_by = known.iter().find(|authority| authority.signed(&certificate));
    Some(Certificate {
        signed_by: signed_by.map(|authority| authority.fingerprint),
        common_name: common_name(certificate.subject()),
        issuer: common_name(certificate.issuer()),
        names: names(&certificate),
        usages: usages(&certificate),
        not_before: UnixSeconds(certificate.validity().not_before.timestamp()),
        not_after: UnixSeconds(certificate.validity().not_after.timestamp()),
        serial: hexadecimal(certificate.raw_serial()),
        matches_key: matches_key(&certificate, key),
        no_other_like_it: Form::of_certificate(&certificate).err(),
    })
}

/// The serial number of a certificate, as [`Certificate::serial`] has it.
pub fn serial_of(der: &CertificateDer<'_>) -> Option<String> {
    Some(hexadecimal(whole(X509Certificate::from_der(der))?.raw_serial()))
}

/// A P-256 point as it is written in keys and certificates: `04`, X, Y.
const POINT_BYTES: usize = 65;

fn matches_key(certificate: &X509Certificate<'_>, key: Option<Digest>) -> Seen<bool> {
    let unknown = |why: &str| {
        let summary = format!("could not check whether the key matches the certificate: {why}");
        Seen::Unknown(Cause { code: Code::ProbeFailed, summary, hint: None })
    };
    let Some(key) = key else { return unknown("the key was not read") };
    let point = certificate.public_key().subject_public_key.data.as_ref();
    let is_p256 = point.len() == POINT_BYTES;
    if key == Digest::of(certificate.public_key().raw) || (is_p256 && key == Digest::of(point)) {
        Seen::Known(true)
    } else if is_p256 {
        Seen::Known(false)
    } else {
        unknown("it is not a P-256 key")
    }
}

fn common_name(of: &X509Name<'_>) -> String {
    let mut names = of.iter_common_name();
    names.next().and_then(|name| name.as_str().ok()).unwrap_or_default().to_owned()
}

/// DNS names and IP addresses, as `capability::certificates::canonical` writes them.
fn names(certificate: &X509Certificate<'_>) -> BTreeSet<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return BTreeSet::new() };
    extension.value.general_names.iter().filter_map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        // An address written as a DNS name is of no use to anyone who verifies, and must not pass for an address.
        GeneralName::DNSName(name) if name.parse::<IpAddr>().is_ok() => Some(format!("dns:{name}")),
        GeneralName::DNSName(name) => Some(canonical(name)),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or(v6).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

/// One that names no usages may be used for all.
fn usages(certificate: &X509Certificate<'_>) -> BTreeSet<Usage> {
    let Ok(extension) = certificate.extended_key_usage() else { return BTreeSet::new() };
    let may = |named: bool| extension.as_ref().is_none_or(|extension| extension.value.any || named);
    let server = may(extension.as_ref().is_some_and(|of| of.value.server_auth)).then_some(Usage::ServerAuth);
    let client = may(extension.as_ref().is_some_and(|of| of.value.client_auth)).then_some(Usage::ClientAuth);
    server.into_iter().chain(client).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}
