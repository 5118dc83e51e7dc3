//! What we hold of the cluster's authority: its key, or only its certificate and what it has given us.

use super::COMMON_NAME;
use super::authority::{Signer, load_ca_certificate, load_files};
use super::ca_certificate::CaCertificate;
use super::folder::load;
use super::given::{self, PairText};
use super::key::Opener;
use crate::core::desired::{AuthoritySource, Pair};
use crate::core::names::{ClusterName, UnixSeconds};
use crate::core::observed::{Authority, Cause, Given, Seen};

/// The cluster's authority as far as it is here.
#[derive(Debug)]
pub enum LoadedCa {
    Signer(Signer),
    /// Somebody else signs; the pair is for our own connections.
    Outside {
        ca_certificate: CaCertificate,
        client: Pair,
    },
    /// Somebody else signs, and has signed this for our own connections.
    Remote {
        ca_certificate: CaCertificate,
        client: PairText,
    },
}

impl LoadedCa {
    /// Reads what is declared to be in files here; `None` when none was generated yet, and where it is not in files.
    ///
    /// # Errors
    /// When a file is missing or wrong.
    pub fn load(source: &AuthoritySource, opener: &Opener, at: UnixSeconds) -> Result<Option<LoadedCa>, Cause> {
        match source {
            AuthoritySource::Generated { folder } => Ok(load(folder, at)?.map(LoadedCa::Signer)),
            AuthoritySource::Files { pair, .. } => {
                load_files(pair, opener, at).map(|signer| Some(Self::Signer(signer)))
            }
            AuthoritySource::External { certificate, client, .. } => {
                let ca_certificate = load_ca_certificate(certificate, at)?;
                Ok(Some(Self::Outside { ca_certificate, client: client.clone() }))
            }
            AuthoritySource::Vault(_) | AuthoritySource::Node { .. } => Ok(None),
        }
    }

    pub fn certificate(&self) -> &CaCertificate {
        match self {
            Self::Signer(signer) => signer.certificate(),
            Self::Outside { ca_certificate, .. } | Self::Remote { ca_certificate, .. } => ca_certificate,
        }
    }

    pub fn signer(&self) -> Option<&Signer> {
        match self {
            Self::Signer(signer) => Some(signer),
            Self::Outside { .. } | Self::Remote { .. } => None,
        }
    }

    /// A client certificate for our own connections, with its key: issued for minutes, or the one that is given.
    ///
    /// # Errors
    /// When none can be issued, or the files cannot be read.
    pub fn operator(&self, at: UnixSeconds) -> Result<PairText, crate::core::diagnostic::Diagnostic> {
        match self {
            Self::Signer(signer) => operator(signer, at),
            Self::Remote { client, .. } => Ok(client.clone()),
            Self::Outside { client, .. } => given::read_pair(client).map_err(|why| {
                crate::core::diagnostic::Diagnostic::failure("our own client certificate cannot be used")
                    .with_cause(why)
            }),
        }
    }

    /// What a load says as a fact.
    pub fn seen(loaded: &Result<Option<LoadedCa>, Cause>) -> Seen<Option<Authority>> {
        match loaded {
            Ok(ca) => Seen::Known(ca.as_ref().map(|ca| ca.certificate().facts.clone())),
            Err(cause) => Seen::Unknown(cause.clone()),
        }
    }
}

impl CaCertificate {
    /// The exact text of ca.crt, as it is put on the hosts.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// The name of the authority, in DER.
    pub fn subject(&self) -> Vec<u8> {
        super::ca_certificate::parse(self.certificate_der())
            .map(|parsed| parsed.subject().as_raw().to_vec())
            .unwrap_or_default()
    }

    /// Whether it is an authority as quorate makes one for `cluster`.
    pub fn is_named_after(&self, cluster: &ClusterName) -> bool {
        let Some(parsed) = super::ca_certificate::parse(self.certificate_der()) else { return false };
        let subject = parsed.subject();
        let organization = subject.iter_organization().find_map(|name| name.as_str().ok());
        let common_name = subject.iter_common_name().find_map(|name| name.as_str().ok());
        organization == Some(cluster.as_str()) && common_name.is_some_and(|name| name.starts_with(COMMON_NAME))
    }

    pub fn certificate_der(&self) -> &rustls::pki_types::CertificateDer<'static> {
        &self.certificates[0]
    }
}

/// A client certificate for our own connections, issued for minutes.
///
/// # Errors
/// When none can be issued.
pub fn operator(signer: &Signer, at: UnixSeconds) -> Result<PairText, crate::core::diagnostic::Diagnostic> {
    let issued = signer.operator(at)?;
    Ok(PairText { certificate: issued.certificate_pem, key: issued.key_pem })
}

/// The pairs that are given, if the declared authority is one that we cannot ask.
pub fn given(source: &AuthoritySource, loaded: &Result<Option<LoadedCa>, Cause>) -> Option<Given> {
    let AuthoritySource::External { client, nodes, .. } = source else { return None };
    let known: Vec<_> = loaded.iter().flatten().map(|ca| ca.certificate().known()).collect();
    let of_node = |pairs: &std::collections::BTreeMap<_, Pair>| {
        pairs.iter().map(|(role, pair)| (*role, given::look(pair, &known))).collect()
    };
    let nodes = nodes.iter().map(|(name, pairs)| (name.clone(), of_node(pairs))).collect();
    Some(Given { client: given::look(client, &known), nodes })
}
