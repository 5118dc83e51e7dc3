//! The authority's key in memory, with its certificate.

use std::fmt;

use rcgen::KeyPair;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroize as _;

use super::ca_certificate::CaCertificate;
use super::facts::KnownAuthority;
use crate::core::observed::Authority;

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
