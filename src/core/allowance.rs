//! The dangerous things that are done only when the operator allows each by name.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::core::names::listed;

/// One dangerous thing and whose it is, `remove-member:etcd-3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allowance {
    pub kind: AllowKind,
    /// A member, a user, or the cluster.
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, VariantArray)]
pub enum AllowKind {
    /// Take a member out of the cluster that is not declared any more.
    RemoveMember,
    /// Take a declared member out that has failed, and put a new one in its place.
    ReplaceMember,
    RemoveUser,
    DisableAuth,
    /// Go back to an older version.
    Downgrade,
    /// Make a cluster of one survivor when the quorum is gone for good. Its name is the cluster's.
    LoseQuorum,
    /// Begin an empty cluster although there was one of this declaration. Its name is the cluster's.
    NewCluster,
    /// Stop trusting the old authority of a rotation, and with it every client certificate that it has signed. Its name is
    /// the cluster's.
    DropOldCa,
}

impl AllowKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RemoveMember => "remove-member",
            Self::ReplaceMember => "replace-member",
            Self::RemoveUser => "remove-user",
            Self::DisableAuth => "disable-auth",
            Self::Downgrade => "downgrade",
            Self::LoseQuorum => "lose-quorum",
            Self::NewCluster => "new-cluster",
            Self::DropOldCa => "drop-old-ca",
        }
    }
}

impl Allowance {
    pub fn new(kind: AllowKind, name: impl fmt::Display) -> Self {
        Self { kind, name: name.to_string() }
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.name)
    }
}

impl FromStr for Allowance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text
            .split_once(':')
            .filter(|(_, name)| !name.is_empty())
            .ok_or("write KIND:NAME, for example remove-member:etcd-3")?;
        let kinds = AllowKind::VARIANTS.iter().copied();
        let kind = kinds.clone().find(|known| known.as_str() == kind).ok_or_else(|| {
            format!("unknown kind {kind:?}; use one of {}", listed(kinds.clone().map(AllowKind::as_str)))
        })?;
        Ok(Self { kind, name: name.to_owned() })
    }
}

impl Serialize for Allowance {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Allowance {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Allowance {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Allowance".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "What `apply --allow` must be given, `remove-member:etcd-3`.",
            "type": "string",
            "pattern": "^[a-z-]+:.+$",
        })
    }
}
