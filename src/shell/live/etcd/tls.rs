//! How we prove who we are, and check who answers: one configuration for all members.

use std::fmt;
use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use secrecy::ExposeSecret as _;
use tokio_rustls::TlsConnector;

use super::onlooker::Onlooker;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::UnixSeconds;
use crate::shell::live::pki::{self, CaCertificate, LoadedCa, PairText, Signer, certificate_facts};

pub(super) const HTTP_2: &[u8] = b"h2";

/// Trusts the cluster's authority alone, and presents a client certificate that lives for minutes. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    /// Presents the same certificate, and takes any.
    onlooker: Arc<ClientConfig>,
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
        Self::with_pairs(&[(signer.certificate(), pki::operator(signer, at)?)], at)
    }

    /// As [`Tls::new`], or with the certificate that is given where we cannot issue one. While an authority is rotated it
    /// trusts both, and each member is shown the certificate of the one that it names.
    ///
    /// # Errors
    /// As [`Tls::new`], and when the given one cannot be read.
    /// `reading` is what is shown for one that cannot sign.
    pub fn of(
        ca: &LoadedCa,
        next: Option<&LoadedCa>,
        reading: Option<&PairText>,
        at: UnixSeconds,
    ) -> Result<Tls, Diagnostic> {
        let pair = |of: &LoadedCa| match (of.locked(), reading) {
            (Some(_), Some(reading)) => Ok(reading.clone()),
            _ => of.operator(at),
        };
        let mut pairs = vec![(ca.certificate(), pair(ca)?)];
        if let Some(next) = next {
            pairs.push((next.certificate(), pair(next)?));
        }
        Self::with_pairs(&pairs, at)
    }

    /// Trusts every certificate in `trust`, and shows `pair` if there is one: for an etcd of which nothing is declared.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn with_trust(trust: &str, pair: Option<&PairText>, at: UnixSeconds) -> Result<Tls, Diagnostic> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        // One that cannot be used keeps the others from nothing.
        let (usable, _) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(trust.as_bytes()).flatten());
        if usable == 0 {
            return Err(Diagnostic::failure("no CA certificate in it can be used"));
        }
        let identities = match pair {
            Some(pair) => vec![(Vec::new(), identity(pair, &provider)?)],
            None => Vec::new(),
        };
        Self::configured(&provider, roots, identities, at.plus_seconds(REMAINING_SECONDS_MIN + 1))
    }

    fn with_pairs(pairs: &[(&CaCertificate, PairText)], at: UnixSeconds) -> Result<Tls, Diagnostic> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        let mut identities = Vec::with_capacity(pairs.len());
        let mut not_after = None;
        for (ca_certificate, pair) in pairs {
            roots.add(ca_certificate.certificate_der().clone()).map_err(|error| unusable(&error))?;
            identities.push((ca_certificate.subject(), identity(pair, &provider)?));
            let end = certificate_facts(&pair.certificate, None, &[]).map_or(at, |facts| facts.not_after);
            not_after = Some(not_after.map_or(end, |first: UnixSeconds| first.min(end)));
        }
        Self::configured(&provider, roots, identities, not_after.unwrap_or(at))
    }

    fn configured(
        provider: &Arc<CryptoProvider>,
        roots: RootCertStore,
        identities: Vec<(Vec<u8>, Arc<CertifiedKey>)>,
        not_after: UnixSeconds,
    ) -> Result<Tls, Diagnostic> {
        let identities: Arc<dyn ResolvesClientCert> = Arc::new(Identities(identities));
        let builder = || {
            let builder = ClientConfig::builder_with_provider(Arc::clone(provider));
            builder.with_safe_default_protocol_versions().map_err(|error| unusable(&error))
        };
        let onlooker = Arc::new(Onlooker(Arc::clone(provider)));
        let onlooker = builder()?.dangerous().with_custom_certificate_verifier(onlooker);
        let mut onlooker = onlooker.with_client_cert_resolver(Arc::clone(&identities));
        onlooker.resumption = Resumption::disabled();
        let mut config = builder()?.with_root_certificates(roots).with_client_cert_resolver(identities);
        config.alpn_protocols = vec![HTTP_2.to_vec()];
        // A resumed session would not show the certificate that a member has now.
        config.resumption = Resumption::disabled();
        Ok(Tls { config: Arc::new(config), onlooker: Arc::new(onlooker), not_after })
    }

    /// Whether a new one should be made before the next connection.
    pub fn is_due(&self, at: UnixSeconds) -> bool {
        self.not_after <= at.plus_seconds(REMAINING_SECONDS_MIN)
    }

    /// For a look at what is served.
    pub(super) fn onlooker(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.onlooker)
    }

    pub(super) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.config))
    }
}

fn unusable(error: &dyn std::error::Error) -> Diagnostic {
    Diagnostic::failure("no TLS client could be set up").caused_by(error)
}

/// A certificate and its key, as rustls takes them.
fn identity(pair: &PairText, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Diagnostic> {
    let failed = || Diagnostic::failure("our own certificate cannot be used");
    let key = PrivateKeyDer::from_pem_slice(pair.key.expose_secret().as_bytes());
    let key = key.map_err(|error| failed().caused_by(&error))?;
    let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| failed().caused_by(&error))?;
    let identity = CertifiedKey::from_der(chain, key, provider).map_err(|error| failed().caused_by(&error))?;
    Ok(Arc::new(identity))
}

/// Our certificates, each with the name of the authority that it is from. etcd names those that it trusts when it asks
/// for one (Go's crypto/tls does so whenever it has a pool for clients).
#[derive(Debug)]
struct Identities(Vec<(Vec<u8>, Arc<CertifiedKey>)>);

impl ResolvesClientCert for Identities {
    fn resolve(&self, trusted: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let fitting = self.0.iter().find(|(authority, _)| trusted.contains(&authority.as_slice()));
        Some(Arc::clone(&fitting.or(self.0.first())?.1))
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("not_after", &self.not_after).field("key", &"***").finish_non_exhaustive()
    }
}
