//! What is seen of etcd where nothing here can sign a certificate to ask it with.

use serde::{Deserialize, Serialize};

/// The authority cannot sign: what is seen of etcd is seen with a client certificate that somebody has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lent {
    /// Where the key is, or would be.
    pub key: String,
    /// Whether its certificate is here, so that the nodes are known to be those of this cluster.
    pub has_certificate: bool,
    #[serde(default)]
    pub why: Unable,
    /// The certificate that is configured for this; `None`: one that lies on a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<String>,
}

/// What opens an encrypted key, as its file tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpenedBy {
    Passphrase,
    /// The program age.
    Age,
}

/// Why an authority cannot sign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unable {
    #[default]
    NotHere,
    /// It is here, encrypted, and was not opened.
    Encrypted(OpenedBy),
    /// Nobody could log in to Vault, or it could not be reached: what was missing.
    Vault(String),
}
