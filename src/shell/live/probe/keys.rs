//! The public halves of the private keys on a host, as digests that `pki` compares with the certificates beside them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Answer;
use crate::core::names::Digest;

/// By the key's path: the digest of its public point (P-256), or of its public key in DER.
pub(super) fn public_digests<'a>(answer: &Answer<'a>) -> BTreeMap<&'a str, Digest> {
    answer.lines("keys").filter_map(public_digest).collect()
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
