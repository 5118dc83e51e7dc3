//! The certificates of a host, and which CAs its ca.crt trusts.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::{Impact, NO_IMPACT, UNTIL_RESTART};
use crate::core::names::HostName;
use crate::core::observed::Role;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum CertificateAction {
    /// Write ca.crt.
    InstallTrust {
        host: HostName,
        #[serde(default, skip_serializing_if = "Trust::is_current")]
        trust: Trust,
    },
    /// Issue a certificate with a new key and write both.
    #[serde(rename = "issue-certificate")]
    Issue {
        host: HostName,
        role: Role,
        /// Addresses that it must name for as long as the member is still reached there.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        also: BTreeSet<String>,
        #[serde(default, skip_serializing_if = "SignedBy::is_current")]
        by: SignedBy,
    },
    /// Put a certificate and its key in place as they are given.
    #[serde(rename = "install-certificate")]
    Install { host: HostName, role: Role },
}

/// Which authorities a ca.crt holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// The one that there is.
    #[default]
    Current,
    /// That, and the one that is to take its place.
    Both,
    /// The one that is to take its place, alone.
    Next,
}

/// The authority that signs a leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignedBy {
    /// The one that there is.
    #[default]
    Current,
    /// The one that is to take its place.
    Next,
}

impl Trust {
    pub fn is_current(&self) -> bool {
        *self == Self::Current
    }
}

impl SignedBy {
    pub fn is_current(&self) -> bool {
        *self == Self::Current
    }
}

impl CertificateAction {
    pub fn host(&self) -> &HostName {
        let (Self::InstallTrust { host, .. } | Self::Issue { host, .. } | Self::Install { host, .. }) = self;
        host
    }

    pub fn impact(&self) -> Impact {
        Impact::Nothing
    }

    pub fn effect(&self) -> &'static str {
        match self {
            Self::InstallTrust { trust: Trust::Current, .. } => NO_IMPACT,
            Self::InstallTrust { trust: Trust::Both | Trust::Next, .. } => UNTIL_RESTART,
            Self::Issue { role, .. } | Self::Install { role, .. } if role.is_served() => {
                "no restart: etcd reloads it at the next TLS handshake"
            }
            // Those of clients, which etcd never reads.
            Self::Issue { .. } | Self::Install { .. } => NO_IMPACT,
        }
    }
}

impl fmt::Display for CertificateAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InstallTrust { trust: Trust::Current, .. } => f.write_str("install ca.crt"),
            Self::InstallTrust { trust: Trust::Both, .. } => f.write_str("install ca.crt with the old and the new CA"),
            Self::InstallTrust { trust: Trust::Next, .. } => f.write_str("install ca.crt with only the new CA"),
            Self::Issue { role, by: SignedBy::Next, .. } => {
                write!(f, "issue {role}.crt with a new key, signed by the new CA")
            }
            Self::Issue { role, by: SignedBy::Current, .. } => write!(f, "issue {role}.crt with a new key"),
            Self::Install { role, .. } => write!(f, "install the provided {role}.crt and its key"),
        }
    }
}
