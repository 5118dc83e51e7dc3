//! What the places are like that etcd needs on a host: whether its account gets there, and what is mounted there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use super::Access;
use crate::core::names::RemotePath;

// Where each is declared to be stands in `content::layout`.
/// What etcd needs at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, VariantArray)]
#[serde(rename_all = "kebab-case")]
pub enum Needed {
    /// Of the declared version.
    Binary,
    Config,
    Certificates,
    Data,
}

impl Needed {
    pub const ALL: &[Self] = Self::VARIANTS;
}

/// A place that is declared, as it is now or will be when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The path with its links followed.
    pub real: RemotePath,
    /// The path itself is a link, and not only a directory above it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_link: bool,
    /// What etcd's account cannot pass on the way there; a program that it cannot execute; data that is another account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
    pub mount: Mount,
}

/// A directory or program, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    pub path: RemotePath,
    pub access: Access,
}

/// The file system that a place is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub point: RemotePath,
    /// `ext4`, `tmpfs`
    pub filesystem: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_exec: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A line of a unit's drop-ins that changes what etcd can do below a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    pub effect: Restricted,
    pub path: RemotePath,
    /// `ProtectSystem=strict`
    pub line: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restricted {
    Hidden,
    ReadOnly,
    /// In what is read-only.
    Writable,
    NoExec,
    /// In what is noexec.
    Exec,
}
