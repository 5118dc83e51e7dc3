//! The CA beside cluster.toml, and the one that is to take its place.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::{Impact, NO_IMPACT};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum AuthorityAction {
    /// Make ca.crt and ca.key beside cluster.toml.
    #[serde(rename = "create-authority")]
    Create,
    /// Make the authority that is to take the place of the one that there is, beside it.
    #[serde(rename = "create-next-authority")]
    CreateNext,
    /// See that no member takes a certificate of the old authority any more, and put the new one in its place.
    #[serde(rename = "adopt-authority")]
    Adopt,
}

impl AuthorityAction {
    pub fn impact(&self) -> Impact {
        Impact::Nothing
    }

    pub fn effect(&self) -> &'static str {
        NO_IMPACT
    }
}

impl fmt::Display for AuthorityAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create the CA on this machine",
            Self::CreateNext => "create the new CA",
            Self::Adopt => "verify that the old CA is rejected, then make the new CA current",
        })
    }
}
