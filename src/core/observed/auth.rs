//! Users, roles and permissions, in the words that the declaration, the look and the actions share.
//!
//! ```text
//! prefix "/app/"        key "/app/"   end "/app0"     the first key after all that begin with it
//! every key             key "\0"      end "\0"        as etcdctl writes the empty prefix
//! key "/app/x"          key "/app/x"  no end
//! range "a" to "c"      key "a"       end "c"         without "c" itself
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::names::{RoleName, UserName};

/// The user and the role that etcd gives every right. Our own connection comes as this user.
pub const ROOT: &str = "root";

/// The user of scheduled snapshots, where etcd asks who comes. Only the role root may take one (etcd's
/// `authMaintenanceServer`, 3.4 to 3.7), so it has that, under a name of its own: it can be told apart, and taken away.
pub const BACKUP: &str = "quorate-backup";

/// What etcd's auth store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthStore {
    pub enabled: bool,
    pub users: BTreeMap<UserName, User>,
    pub roles: BTreeMap<RoleName, BTreeSet<Permission>>,
}

/// A user as etcd has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub roles: BTreeSet<RoleName>,
    /// Whether a password was given to it; etcd tells only while authentication is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<bool>,
}

/// Keys, and what may be done with them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Permission {
    pub key: Key,
    /// The first key that it is no longer about; `None` for the one key alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Key>,
    pub access: KeyAccess,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyAccess {
    Read,
    Write,
    ReadWrite,
}

/// A key of etcd: any bytes. As text, bytes beyond printable ASCII and backslashes are written `\x00`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Vec<u8>);

/// What etcd takes for the end of all keys.
const LAST: &[u8] = b"\0";

impl Key {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first key after all that begin with this one.
    fn after_prefix(&self) -> Key {
        let kept = self.0.iter().rposition(|byte| *byte < u8::MAX);
        let Some(last) = kept else { return Key::new(LAST) };
        let mut end = self.0[..=last].to_vec();
        end[last] += 1;
        Key(end)
    }
}

impl Permission {
    pub fn prefix(prefix: &str, access: KeyAccess) -> Self {
        if prefix.is_empty() {
            return Self { key: Key::new(LAST), end: Some(Key::new(LAST)), access };
        }
        let key = Key::new(prefix);
        Self { end: Some(key.after_prefix()), key, access }
    }

    pub fn key(key: &str, access: KeyAccess) -> Self {
        Self { key: Key::new(key), end: None, access }
    }

    pub fn range(first: &str, end: &str, access: KeyAccess) -> Self {
        Self { key: Key::new(first), end: Some(Key::new(end)), access }
    }

    /// Whether it is about the same keys: a role has one permission for them.
    pub fn has_keys_of(&self, other: &Permission) -> bool {
        (&self.key, &self.end) == (&other.key, &other.end)
    }

    /// `prefix /app/`
    pub fn keys(&self) -> String {
        let Permission { key, end, .. } = self;
        match end {
            None => format!("key {key}"),
            Some(end) if key.0 == LAST && end.0 == LAST => "every key".to_owned(),
            Some(end) if *end == key.after_prefix() => format!("prefix {key}"),
            Some(end) if end.0 == LAST => format!("keys from {key} on"),
            Some(end) => format!("range {key} to {end}"),
        }
    }
}

/// `readwrite prefix /app/`
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.access, self.keys())
    }
}

impl fmt::Display for KeyAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::ReadWrite => "readwrite",
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0 {
            match byte {
                b'\\' => f.write_str("\\x5c")?,
                0x20..=0x7e => write!(f, "{}", char::from(*byte))?,
                other => write!(f, "\\x{other:02x}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, escaped)) = rest.split_once('\\') {
            let digits = escaped.strip_prefix('x').and_then(|digits| digits.get(..2));
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            let byte = byte.ok_or_else(|| format!("{text:?} has a backslash that begins no \\x00"))?;
            bytes.extend_from_slice(before.as_bytes());
            bytes.push(byte);
            rest = &escaped[3..];
        }
        bytes.extend_from_slice(rest.as_bytes());
        Ok(Self(bytes))
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Key {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Key".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A key of etcd; bytes beyond printable ASCII, and backslashes, as `\\x00`.",
            "type": "string",
        })
    }
}

impl AuthStore {
    /// Whether our own connection can get in, and change everything, once authentication is on.
    pub fn lets_root_in(&self) -> bool {
        let root = self.users.get(&UserName::new(ROOT));
        root.is_some_and(|root| root.roles.contains(&RoleName::new(ROOT)))
            && self.roles.contains_key(&RoleName::new(ROOT))
    }

    /// Takes a role out, of every user, too.
    pub fn remove_role(&mut self, role: &RoleName) {
        self.roles.remove(role);
        for user in self.users.values_mut() {
            user.roles.remove(role);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_as_they_were_meant() {
        let in_words = |permission: Permission| permission.to_string();
        let access = KeyAccess::ReadWrite;
        assert_eq!(in_words(Permission::prefix("/app/", access)), "readwrite prefix /app/");
        assert_eq!(Permission::prefix("/app/", access).end, Some(Key::new("/app0")));
        assert_eq!(in_words(Permission::prefix("", KeyAccess::Read)), "read every key");
        assert_eq!(in_words(Permission::key("/app", KeyAccess::Write)), "write key /app");
        assert_eq!(in_words(Permission::range("a", "c", access)), "readwrite range a to c");
        let from = Permission { key: Key::new("a"), end: Some(Key::new(LAST)), access };
        assert_eq!(in_words(from), "readwrite keys from a on");
        // Nothing comes after all keys that begin with 0xff.
        let last = Key::new([0xff, 0xff]);
        assert_eq!(last.after_prefix(), Key::new(LAST));
        assert_eq!(Key::new([b'a', 0xff]).after_prefix(), Key::new("b"));
    }

    #[test]
    fn any_bytes_survive_being_text() {
        let all = Key::new((0..=u8::MAX).collect::<Vec<_>>());
        assert_eq!(all.to_string().parse(), Ok(all));
        assert!("\\q".parse::<Key>().is_err() && "\\x1".parse::<Key>().is_err());
        assert_eq!("ä".parse(), Ok(Key::new("ä")));
    }
}
