//! The public halves of the private keys on a host, as digests that `pki` compares with the certificates beside them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, files};
use crate::core::content::layout;
use crate::core::names::Digest;
use crate::core::observed::Role;

pub(super) struct Look;

impl Section for Look {
    /// The digest of each key's public point (P-256), or of its public key in DER.
    type Fact = BTreeMap<Role, Digest>;

    const SHELL: &'static str = include_str!("keys.sh");

    fn words(of: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_keys", files::keys(of))])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<BTreeMap<Role, Digest>, Trouble> {
        let by_path: BTreeMap<_, _> = answer.lines("keys").filter_map(public_digest).collect();
        let of_role = |role: Role| Some((role, *by_path.get(layout::path(of.desired, of.host, role.key()).as_str())?));
        Ok(Role::ALL.iter().copied().filter_map(of_role).collect())
    }
}

fn public_digest(line: &str) -> Option<(&str, Digest)> {
    let mut words = line.split(' ');
    let (path, form) = (words.next()?, words.next()?);
    let bytes = STANDARD.decode(words.collect::<String>()).ok()?;
    match (form, &bytes[..]) {
        // The last byte of the bit string's head, then the uncompressed point.
        ("point", [0, point @ ..]) if point.len() == 65 && point[0] == 4 => Some((path, Digest::of(point))),
        ("spki", [_, ..]) => Some((path, Digest::of(&bytes))),
        _ => None,
    }
}
