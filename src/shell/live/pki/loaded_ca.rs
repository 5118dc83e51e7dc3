//! What we hold of the cluster's authority: its key, or only its certificate and what it has given us.

use super::COMMON_NAME;
use super::ca_certificate::CaCertificate;
use super::file::unusable;
use super::given::{self, PairText};
use super::signer::Signer;
use crate::core::desired::{AuthoritySource, Pair};
use crate::core::names::{ClusterName, UnixSeconds};
use crate::core::observed::{Authority, Cause, Given, Lent, Seen, Unable};

/// The cluster's authority as far as it is here.
#[derive(Debug)]
pub enum LoadedCa {
    Signer(Signer),
    /// Somebody else signs; the pair is for our own connections.
    Outside {
        ca_certificate: CaCertificate,
        client: Pair,
    },
    /// It cannot sign, for want of its key or of Vault; what we ask etcd with comes from elsewhere.
    Locked {
        ca_certificate: CaCertificate,
        why: Lent,
    },
    /// Somebody else signs, and has signed this for our own connections.
    Remote {
        ca_certificate: CaCertificate,
        client: PairText,
    },
}

impl LoadedCa {
    pub fn certificate(&self) -> &CaCertificate {
        match self {
            Self::Signer(signer) => signer.certificate(),
            Self::Outside { ca_certificate, .. }
            | Self::Remote { ca_certificate, .. }
            | Self::Locked { ca_certificate, .. } => ca_certificate,
        }
    }

    pub fn signer(&self) -> Option<&Signer> {
        match self {
            Self::Signer(signer) => Some(signer),
            Self::Outside { .. } | Self::Remote { .. } | Self::Locked { .. } => None,
        }
    }

    /// Why it cannot sign, if that is what it is for.
    pub fn locked(&self) -> Option<&Lent> {
        match self {
            Self::Locked { why, .. } => Some(why),
            Self::Signer(_) | Self::Outside { .. } | Self::Remote { .. } => None,
        }
    }

    /// # Errors
    /// When it cannot sign: the key at `path` is encrypted, or not here.
    pub(super) fn into_signer(self, path: &std::path::Path) -> Result<Signer, Cause> {
        match self {
            Self::Signer(signer) => Ok(signer),
            Self::Locked { why: Lent { why: Unable::NotHere, key, .. }, .. } => {
                Err(unusable(format!("{key} does not exist"), Some("restore it from your backup")))
            }
            Self::Outside { .. } | Self::Remote { .. } | Self::Locked { .. } => {
                let what = format!("{} is encrypted, and was not opened", path.display());
                Err(unusable(
                    what,
                    Some("put the key there unencrypted, or declare it in [ca] as a file of this machine"),
                ))
            }
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
            Self::Locked { why, .. } => {
                let why = match &why.why {
                    Unable::Encrypted(_) => format!("{} was not opened", why.key),
                    Unable::NotHere => format!("{} is not here", why.key),
                    Unable::Vault(missing) => missing.clone(),
                };
                Err(crate::core::diagnostic::Diagnostic::failure(format!("etcd cannot be asked as root: {why}")))
            }
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
