//! Newtypes for everything that could be swapped by mistake: hosts, members, ids, versions, digests, instants.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

/// Declares a newtype over `String` that is printed and compared as its text.
macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_newtype!(
    /// A machine, by the name of its table in cluster.toml; also the name of the etcd member that it runs.
    HostName
);
text_newtype!(
    /// The cluster's name: the operator's word for it, and the first part of etcd's `initial-cluster-token`.
    ClusterName
);
text_newtype!(
    /// `https://ADDRESS:PORT` where a member answers its peers. Members are matched by it: a member just added has no name.
    PeerUrl
);
text_newtype!(
    /// `https://ADDRESS:PORT` where a member answers clients.
    ClientUrl
);
text_newtype!(
    /// An absolute path on a host.
    RemotePath
);
text_newtype!(
    /// A user of etcd's authentication: the common name of the client certificate that it comes with.
    UserName
);
text_newtype!(
    /// A role of etcd's authentication.
    RoleName
);
text_newtype!(
    /// A client of the cluster whose certificates are kept, by the name of its table in cluster.toml.
    ConsumerName
);
text_newtype!(
    /// etcd's `initial-cluster-token`: unique to one life of a cluster, so that two lives never share a cluster id.
    Token
);

impl RemotePath {
    /// `self/name`.
    pub fn join(&self, name: &str) -> RemotePath {
        RemotePath(format!("{}/{name}", self.0.trim_end_matches('/')))
    }

    /// The last part of it: `server.crt`.
    pub fn name(&self) -> &str {
        self.0.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
    }

    /// The folder that holds this path; `/` for a path directly below it.
    pub fn parent(&self) -> RemotePath {
        match self.0.trim_end_matches('/').rsplit_once('/') {
            None | Some(("", _)) => RemotePath("/".to_owned()),
            Some((folder, _)) => RemotePath(folder.to_owned()),
        }
    }

    /// Whether it is `outer`, or in it.
    pub fn is_within(&self, outer: &RemotePath) -> bool {
        let rest = self.0.strip_prefix(outer.0.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl PeerUrl {
    /// The address in it, without port and brackets.
    pub fn address(&self) -> &str {
        let authority = self.0.split_once("://").map_or(self.as_str(), |(_, rest)| rest);
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// Declares a newtype over `u64` that etcd prints as lower-case hexadecimal.
macro_rules! id_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:x}", self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "description": "An id of etcd, in hexadecimal.",
                    "type": "string",
                    "pattern": "^[0-9a-f]+$",
                })
            }
        }

        // As text: the ids use all 64 bits, and neither TOML nor most JSON readers keep those.
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                u64::from_str_radix(&text, 16).map($name).map_err(serde::de::Error::custom)
            }
        }
    };
}

id_newtype!(
    /// A member's id. It is new every time a member is added, even at the same address.
    MemberId
);
id_newtype!(
    /// A cluster's id, derived by etcd from the initial members and the token.
    ClusterId
);

/// An etcd version, `3.5.16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
}

impl Version {
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Why a text is not a [`Version`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version is three numbers such as 3.5.16, without a leading v")]
pub struct NotAVersion;

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let mut parts = text.split('.').map(|part| {
            let canonical = part == "0" || (!part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit()));
            if canonical { part.parse().map_err(|_| NotAVersion) } else { Err(NotAVersion) }
        });
        let mut next = || parts.next().ok_or(NotAVersion)?;
        let version = Version::new(next()?, next()?, next()?);
        if parts.next().is_some() { Err(NotAVersion) } else { Ok(version) }
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "An etcd version, `3.5.16`.",
            "type": "string",
            "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+$",
        })
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a snapshot is saved before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SnapshotReason {
    Upgrade(Version),
    /// Another change that cannot be taken back.
    Change,
    /// A restore, which puts other data in the place of all that was written lately.
    Restore,
}

const CHANGE: &str = "change";
const RESTORE: &str = "restore";

impl fmt::Display for SnapshotReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upgrade(version) => version.fmt(f),
            Self::Change => f.write_str(CHANGE),
            Self::Restore => f.write_str(RESTORE),
        }
    }
}

impl FromStr for SnapshotReason {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        match text {
            CHANGE => Ok(Self::Change),
            RESTORE => Ok(Self::Restore),
            version => version.parse().map(Self::Upgrade),
        }
    }
}

impl Serialize for SnapshotReason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SnapshotReason {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for SnapshotReason {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Occasion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "What a snapshot is saved before: an etcd version, `3.5.16`, `change` or `restore`.",
            "type": "string",
            "pattern": "^([0-9]+\\.[0-9]+\\.[0-9]+|change|restore)$",
        })
    }
}

/// A SHA-256, printed as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes.as_ref());
        Self(digest.as_ref().try_into().expect("a SHA-256 has 32 bytes"))
    }

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The first eight digits: enough to tell versions of one file apart in a table.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Why a text is not a [`Digest`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 is 64 hexadecimal digits")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotADigest);
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| NotADigest)?;
        }
        Ok(Self(bytes))
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A SHA-256 in hexadecimal.",
            "type": "string",
            "pattern": "^[0-9a-f]{64}$",
        })
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An instant, in seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct UnixSeconds(pub i64);

impl UnixSeconds {
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// A processor architecture, in the words of etcd's release archives.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    Amd64,
    Arm64,
    Ppc64le,
    S390x,
}

impl Architecture {
    pub const ALL: &[Self] = Self::VARIANTS;

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Ppc64le => "ppc64le",
            Self::S390x => "s390x",
        }
    }

    /// From what `uname -m` prints; `None` for a machine that etcd publishes no archive for.
    pub fn from_uname(machine: &str) -> Option<Self> {
        match machine {
            "x86_64" => Some(Self::Amd64),
            "aarch64" => Some(Self::Arm64),
            "ppc64le" => Some(Self::Ppc64le),
            "s390x" => Some(Self::S390x),
            _ => None,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A DNS name or IP address as certificates are compared by it.
pub fn canonical(name: &str) -> String {
    name.parse::<core::net::IpAddr>().map_or_else(|_| name.to_ascii_lowercase(), |ip| ip.to_string())
}

/// `a, b`
pub fn listed<T: fmt::Display>(words: impl IntoIterator<Item = T>) -> String {
    words.into_iter().map(|word| word.to_string()).collect::<Vec<_>>().join(", ")
}

/// What the tag of an image says: of `registry.k8s.io/etcd:3.6.8-0` it is 3.6.8, and of `v3.6.8`, too.
pub fn version_of_image(image: &str) -> Option<Version> {
    let (_, tag) = image.split('@').next()?.rsplit('/').next()?.rsplit_once(':')?;
    tag.strip_prefix('v').unwrap_or(tag).split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_three_plain_numbers() {
        assert_eq!("3.5.16".parse(), Ok(Version::new(3, 5, 16)));
        for bad in ["", "3.5", "3.5.16.1", "v3.5.16", "3.5.x", "3.05.1", "3..1", "3.5.99999", "+3.5.1"] {
            assert_eq!(bad.parse::<Version>(), Err(NotAVersion), "{bad}");
        }
        assert!(Version::new(3, 5, 9) < Version::new(3, 5, 16));
    }

    #[test]
    fn a_digest_survives_being_printed() {
        let digest = Digest::of("abc");
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("zz".repeat(32).parse::<Digest>(), Err(NotADigest));
        assert_eq!("é".repeat(32).parse::<Digest>(), Err(NotADigest));
    }

    #[test]
    fn the_parent_of_a_path_is_its_folder() {
        assert_eq!(RemotePath::new("/etc/etcd/etcd.yaml").parent().as_str(), "/etc/etcd");
        assert_eq!(RemotePath::new("/data").parent().as_str(), "/");
    }
}
