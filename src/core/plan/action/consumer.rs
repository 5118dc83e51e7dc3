//! The certificates of those who use etcd, such as a kube-apiserver.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::certificate::{SignedBy, Trust};
use super::impact::Impact;
use crate::core::names::{ConsumerName, HostName};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum ConsumerAction {
    /// Write the files of a consumer that are not as they should be, and tell it.
    #[serde(rename = "keep-consumer")]
    Keep {
        host: HostName,
        consumer: ConsumerName,
        /// Whether a certificate is issued with a new key.
        issue: bool,
        #[serde(default, skip_serializing_if = "Trust::is_current")]
        trust: Trust,
        #[serde(default, skip_serializing_if = "SignedBy::is_current")]
        by: SignedBy,
    },
}

impl ConsumerAction {
    pub fn host(&self) -> &HostName {
        let Self::Keep { host, .. } = self;
        host
    }

    pub fn impact(&self) -> Impact {
        Impact::Nothing
    }

    pub fn effect(&self) -> &'static str {
        match self {
            Self::Keep { .. } => "members unaffected; the consumer's `reload` command runs",
        }
    }
}

impl fmt::Display for ConsumerAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Keep { consumer, issue, trust, by, .. } = self;
        match (issue, by, trust) {
            (true, SignedBy::Current, _) => write!(f, "issue the certificate of {consumer} with a new key"),
            (true, SignedBy::Next, _) => {
                write!(f, "issue the certificate of {consumer} with a new key, signed by the new CA")
            }
            (false, _, Trust::Current) => write!(f, "install the CA certificate for {consumer}"),
            (false, _, Trust::Both) => write!(f, "install the old and the new CA certificate for {consumer}"),
            (false, _, Trust::Next) => write!(f, "install only the new CA certificate for {consumer}"),
        }
    }
}
