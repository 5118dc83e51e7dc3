//! Leaf certificates: issued by rcgen, and read back with x509-parser before anyone gets them.
//!
//! rcgen does not check what it is given: an authority with a repeated attribute in its subject, or a key that is not
//! the authority's, gives a certificate that verifies nowhere, and no error (rcgen 0.14.10).

use std::fmt;
use std::net::IpAddr;

use pkcs8::LineEnding;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, SanType,
};
use secrecy::SecretString;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroize as _;

use super::ca_certificate::CaCertificate;
use super::facts::certificate_facts;
use super::form::Form;
use super::signer::Signer;
use super::whole;
use super::{rcgen_time, serial_number};
use crate::core::cluster::leaf::BACKDATED_SECONDS;
use crate::core::cluster::leaf::{Wanted, client};
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{Digest, UnixSeconds};
use crate::core::observed::{Certificate, Seen, Usage};

/// A leaf and its key.
pub struct Issued {
    pub certificate_pem: String,
    /// PKCS#8.
    pub key_pem: SecretString,
    /// What it says, read back.
    pub facts: Certificate,
    /// Who signed gave less than was asked for: the authority itself ends before, or Vault's role allows no more.
    pub shortened: bool,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("facts", &self.facts).field("key_pem", &"***").finish_non_exhaustive()
    }
}

/// How long our own client certificate for one run is valid. A longer run makes another.
pub const OPERATOR_VALIDITY_SECONDS: u64 = 600;

impl Signer {
    /// Issues a leaf with a new key, of P-256 or of the kind that the one has whose form it takes.
    ///
    /// # Errors
    /// When a name cannot be in a certificate, or what was issued does not verify.
    pub fn issue(&self, wanted: &Wanted, validity_seconds: u64, at: UnixSeconds) -> Result<Issued, Diagnostic> {
        let failed = || Diagnostic::failure(format!("no certificate for {} could be issued", wanted.common_name));
        let validity = i64::try_from(validity_seconds).unwrap_or(i64::MAX);
        let not_before = at.plus_seconds(-BACKDATED_SECONDS);
        let not_after = at.plus_seconds(validity).min(self.facts().not_after);
        let form = wanted.like.as_deref().map(Form::of).transpose();
        let form = form.map_err(|why| failed().with_cause(format!("none like the one that is there: {why}")))?;
        let key = form.as_ref().map_or_else(KeyPair::generate, Form::new_key);
        let mut key = key.map_err(|error| failed().caused_by(&error))?;
        let params = form.map_or_else(|| own_form(wanted), |form| Ok(form.params(&key)));
        let result = params.and_then(|params| self.sign(params, not_before, not_after, &key));
        let key_pem = SecretString::from(key.serialize_pem());
        let certificate = result.and_then(|certificate| {
            let facts = self.read_back(&certificate, wanted, (not_before, not_after), &key)?;
            Ok((certificate, facts))
        });
        key.zeroize();
        let (certificate, facts) = certificate.map_err(|why| failed().with_cause(why))?;
        let shortened = not_after < at.plus_seconds(validity);
        Ok(Issued { certificate_pem: with_chain(&certificate.pem(), self.certificate()), key_pem, facts, shortened })
    }

    /// A client certificate for our own connections to etcd: the root user's, for minutes, never stored.
    ///
    /// # Errors
    /// As [`Signer::issue`].
    pub fn operator(&self, at: UnixSeconds) -> Result<Issued, Diagnostic> {
        self.issue(&client("root"), OPERATOR_VALIDITY_SECONDS, at)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        not_before: UnixSeconds,
        not_after: UnixSeconds,
        key: &KeyPair,
    ) -> Result<rcgen::Certificate, String> {
        params.not_before = rcgen_time(not_before).map_err(|error| error.to_string())?;
        params.not_after = rcgen_time(not_after).map_err(|error| error.to_string())?;
        params.serial_number = Some(serial_number().map_err(|_| "no random bytes for a serial number")?);
        // The authority's own key identifier is copied; one that it does not have must not be made up.
        params.use_authority_key_identifier_extension = self.has_key_identifier();
        let issuer = Issuer::from_ca_cert_der(self.certificate_der(), &self.key).map_err(|error| error.to_string())?;
        params.signed_by(key, &issuer).map_err(|error| error.to_string())
    }

    fn has_key_identifier(&self) -> bool {
        let identifier = x509_parser::oid_registry::OID_X509_EXT_SUBJECT_KEY_IDENTIFIER;
        whole(X509Certificate::from_der(self.certificate_der()))
            .is_some_and(|authority| matches!(authority.get_extension_unique(&identifier), Ok(Some(_))))
    }

    /// Checks that the leaf says what was asked for, and that it verifies.
    fn read_back(
        &self,
        certificate: &rcgen::Certificate,
        wanted: &Wanted,
        validity: (UnixSeconds, UnixSeconds),
        key: &KeyPair,
    ) -> Result<Certificate, String> {
        let public_key = Digest::of(key.subject_public_key_info());
        let facts = certificate_facts(&certificate.pem(), Some(public_key), &[self.known()])
            .ok_or("the issued certificate is unreadable")?;
        let checks = [
            (facts.signed_by == Some(self.facts().fingerprint), "it is not signed by the CA"),
            (facts.common_name == wanted.common_name, "its common name is not the one requested"),
            (facts.names == wanted.names, "its names are not those requested"),
            (facts.usages == wanted.usages, "its key usages are not those requested"),
            ((facts.not_before, facts.not_after) == validity, "its validity is not the one requested"),
            (facts.matches_key == Seen::Known(true), "its key is not the one generated for it"),
        ];
        match checks.iter().find(|(holds, _)| !holds) {
            None => Ok(facts),
            Some((_, why)) => Err(format!("the issued certificate is wrong: {why}")),
        }
    }
}

/// As quorate has its own.
fn own_form(wanted: &Wanted) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, wanted.common_name.as_str());
    params.subject_alt_names = wanted.names.iter().map(|name| alternative_name(name)).collect::<Result<_, _>>()?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = wanted.usages.iter().map(|usage| purpose(*usage)).collect();
    Ok(params)
}

pub(super) fn alternative_name(name: &str) -> Result<SanType, String> {
    match name.parse::<IpAddr>() {
        Ok(ip) => Ok(SanType::IpAddress(ip)),
        Err(_) => {
            name.try_into().map(SanType::DnsName).map_err(|_| format!("{name} is not a valid name for a certificate"))
        }
    }
}

/// The leaf, and what is between it and the root.
pub(super) fn with_chain(leaf: &str, ca_certificate: &CaCertificate) -> String {
    let above = ca_certificate.below_root().into_iter().map(|der| {
        pkcs8::der::pem::encode_string("CERTIFICATE", LineEnding::LF, der).expect("its validity is too long")
    });
    std::iter::once(leaf.to_owned()).chain(above).collect()
}

fn purpose(usage: Usage) -> ExtendedKeyUsagePurpose {
    match usage {
        Usage::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
        Usage::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
    }
}
