//! The form of a certificate that is there, whoever made it: what one that takes its place has in common with it.
//!
//! Its subject, its kind of key, and its extensions byte by byte: names, usages, and whatever else stands there. Those that are
//! of its own key or signature alone are made anew, or left out.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize, SignatureAlgorithm,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use x509_parser::der_parser::asn1_rs::Tag;
use x509_parser::oid_registry::{
    OID_CT_LIST_SCT, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
    OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, OID_X509_EXT_SUBJECT_KEY_IDENTIFIER, Oid,
};
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Name};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{AttributeTypeAndValue, SubjectPublicKeyInfo};

use super::whole;

/// Of its own key or signature alone.
const OF_ITSELF: [Oid<'static>; 3] =
    [OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, OID_X509_EXT_SUBJECT_KEY_IDENTIFIER, OID_CT_LIST_SCT];

#[derive(Debug)]
pub(super) struct Form {
    subject: DistinguishedName,
    extensions: Vec<CustomExtension>,
    /// It tells which its key is.
    has_key_identifier: bool,
    key: KeyKind,
}

#[derive(Debug)]
enum KeyKind {
    Named(&'static SignatureAlgorithm),
    Rsa(RsaKeySize),
}

impl Form {
    /// That of the first certificate in `pem`.
    ///
    /// # Errors
    /// What in it cannot be made again.
    pub(super) fn of(pem: &str) -> Result<Self, String> {
        let unreadable = || "it is not a certificate".to_owned();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| unreadable())?;
        Self::of_certificate(&whole(X509Certificate::from_der(&der)).ok_or_else(unreadable)?)
    }

    /// # Errors
    /// As [`Form::of`].
    pub(super) fn of_certificate(certificate: &X509Certificate<'_>) -> Result<Self, String> {
        if certificate.is_ca() {
            return Err("it is the certificate of a CA".to_owned());
        }
        let its_own = certificate.extensions().iter().filter(|extension| !OF_ITSELF.contains(&extension.oid));
        let extensions = its_own.map(|extension| {
            let oid = numbers(&extension.oid).ok_or_else(|| "it has an extension of an unreadable kind".to_owned())?;
            let mut copied = CustomExtension::from_oid_content(&oid, extension.value.to_vec());
            copied.set_criticality(extension.critical);
            Ok(copied)
        });
        let extensions: Vec<_> = extensions.collect::<Result<_, String>>()?;
        let mut all = certificate.extensions().iter();
        Ok(Self {
            subject: subject(certificate.subject())?,
            extensions,
            has_key_identifier: all.any(|extension| extension.oid == OID_X509_EXT_SUBJECT_KEY_IDENTIFIER),
            key: key_kind(certificate.public_key())?,
        })
    }

    pub(super) fn new_key(&self) -> Result<KeyPair, rcgen::Error> {
        match self.key {
            // The form of RFC 5958, which rcgen writes it in, is one that OpenSSL 3.0 does not read.
            KeyKind::Named(algorithm) if *algorithm == PKCS_ED25519 => {
                let plain = Ed25519KeyPair::generate().and_then(|key| key.to_pkcs8v1());
                let plain = plain.map_err(|_| rcgen::Error::KeyGenerationUnavailable)?;
                KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(plain.as_ref()), algorithm)
            }
            KeyKind::Named(algorithm) => KeyPair::generate_for(algorithm),
            KeyKind::Rsa(size) => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size),
        }
    }

    pub(super) fn params(self, key: &KeyPair) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = self.subject;
        params.custom_extensions = self.extensions;
        if self.has_key_identifier {
            params.custom_extensions.push(key_identifier(key));
        }
        // What it says of that is among its extensions.
        params.is_ca = IsCa::NoCa;
        params
    }
}

/// By the first method of RFC 7093: 160 bits of the SHA-256 of the public key, in an OCTET STRING.
fn key_identifier(key: &KeyPair) -> CustomExtension {
    const BYTES: u8 = 20;
    let digest = digest(&SHA256, key.public_key_raw());
    let content = [0x04, BYTES].into_iter().chain(digest.as_ref().iter().copied().take(BYTES.into()));
    CustomExtension::from_oid_content(&[2, 5, 29, 14], content.collect())
}

fn numbers(oid: &Oid<'_>) -> Option<Vec<u64>> {
    Some(oid.iter()?.collect())
}

/// rcgen writes each attribute as a part of its own, and each kind once.
fn subject(of: &X509Name<'_>) -> Result<DistinguishedName, String> {
    let mut subject = DistinguishedName::new();
    for part in of.iter_rdn() {
        let mut attributes = part.iter();
        let (Some(attribute), None) = (attributes.next(), attributes.next()) else {
            return Err(format!("its subject ({of}) has a part of several attributes"));
        };
        let oid = numbers(attribute.attr_type()).ok_or_else(|| format!("its subject ({of}) cannot be read"))?;
        let kind = DnType::from_oid(&oid);
        if subject.get(&kind).is_some() {
            return Err(format!("its subject ({of}) has two attributes of one kind"));
        }
        subject.push(kind, text(attribute).ok_or_else(|| format!("its subject ({of}) has text of an old kind"))?);
    }
    Ok(subject)
}

/// With the type of text that it has: some compare subjects byte by byte.
fn text(attribute: &AttributeTypeAndValue<'_>) -> Option<DnValue> {
    let text = attribute.as_str().ok()?;
    match attribute.attr_value().tag() {
        Tag::Utf8String => Some(DnValue::Utf8String(text.to_owned())),
        Tag::PrintableString => Some(DnValue::PrintableString(text.try_into().ok()?)),
        Tag::Ia5String => Some(DnValue::Ia5String(text.try_into().ok()?)),
        _ => None,
    }
}

fn key_kind(of: &SubjectPublicKeyInfo<'_>) -> Result<KeyKind, String> {
    const P256_BYTES: usize = 65;
    const P384_BYTES: usize = 97;
    const P521_BYTES: usize = 133;
    let algorithm = &of.algorithm.algorithm;
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        let bits = match of.parsed() {
            Ok(PublicKey::RSA(key)) => key.key_size(),
            _ => 0,
        };
        // Weaker ones are not made any more.
        return Ok(KeyKind::Rsa(match bits {
            ..=2048 => RsaKeySize::_2048,
            2049..=3072 => RsaKeySize::_3072,
            _ => RsaKeySize::_4096,
        }));
    }
    let named = match of.subject_public_key.data.len() {
        _ if *algorithm == OID_SIG_ED25519 => Some(&PKCS_ED25519),
        _ if *algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY => None,
        P256_BYTES => Some(&PKCS_ECDSA_P256_SHA256),
        P384_BYTES => Some(&PKCS_ECDSA_P384_SHA384),
        P521_BYTES => Some(&PKCS_ECDSA_P521_SHA256),
        _ => None,
    };
    named.map(KeyKind::Named).ok_or_else(|| "its key is of a kind that quorate does not make".to_owned())
}
