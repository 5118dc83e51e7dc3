//! How we prove who we are, and check who answers: one configuration for all members.

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret as _;
use tokio_rustls::TlsConnector;

use crate::diagnostic::Diagnostic;
use crate::live::pki::Signer;
use crate::names::UnixSeconds;

pub(super) const HTTP_2: &[u8] = b"h2";

/// Trusts the cluster's authority alone, and presents a client certificate that lives for minutes. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    not_after: UnixSeconds,
}

/// A new connection must have time to be made before the certificate ends. Connections live on after it.
const REMAINING_SECONDS_MIN: i64 = 300;

impl Tls {
    /// Issues the certificate. Once for a run, and again when [it is due](Tls::is_due).
    ///
    /// # Errors
    /// When no certificate can be issued.
    pub fn new(signer: &Signer, at: UnixSeconds) -> Result<Tls, Diagnostic> {
        let identity = signer.operator(at)?;
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose_secret().as_bytes());
        let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes());
        let (key, certificate) = key
            .and_then(|key| Ok((key, certificate?)))
            .map_err(|error| Diagnostic::failure("our own certificate cannot be used").caused_by(&error))?;
        Self::with_identity(signer.certificate_der().clone(), certificate, key, identity.facts.not_after)
    }

    fn with_identity(
        authority: CertificateDer<'static>,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
        not_after: UnixSeconds,
    ) -> Result<Tls, Diagnostic> {
        let unusable = |error: rustls::Error| Diagnostic::failure("no TLS client could be set up").caused_by(&error);
        let mut roots = RootCertStore::empty();
        roots.add(authority).map_err(unusable)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)
            .map_err(unusable)?;
        config.alpn_protocols = vec![HTTP_2.to_vec()];
        // A resumed session would not show the certificate that a member has now.
        config.resumption = Resumption::disabled();
        Ok(Tls { config: Arc::new(config), not_after })
    }

    /// Whether a new one should be made before the next connection.
    pub fn is_due(&self, at: UnixSeconds) -> bool {
        self.not_after <= at.plus_seconds(REMAINING_SECONDS_MIN)
    }

    pub(super) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.config))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("not_after", &self.not_after).field("key", &"***").finish_non_exhaustive()
    }
}
