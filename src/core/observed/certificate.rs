//! A leaf certificate on a host, and what it is for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Seen;
use crate::core::names::{Digest, UnixSeconds};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Usage {
    ServerAuth,
    ClientAuth,
}

/// A leaf certificate on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The fingerprint of the known authority (ours, or one in ca.crt) whose key signed it; `None` when none did.
    pub signed_by: Option<Digest>,
    pub common_name: String,
    /// The common name of who signed it, as it says.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// DNS names and IP addresses, as text.
    pub names: BTreeSet<String>,
    pub usages: BTreeSet<Usage>,
    /// Volatile.
    pub not_before: UnixSeconds,
    /// Volatile, but for whether it is due.
    pub not_after: UnixSeconds,
    /// In hexadecimal. Volatile.
    pub serial: String,
    /// Whether the key file beside it is the key of this certificate.
    pub matches_key: Seen<bool>,
    /// What in it keeps another one of the same form from being issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_other_like_it: Option<String>,
}
