//! Public keys and certificates as they go over the wire (RFC 4253, 6.6; OpenSSH's PROTOCOL.certkeys): a row of strings,
//! each with its length before it, the first being the type.

use std::path::Path;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// What a certificate's type has behind the type of its key.
const CERTIFICATE_SUFFIX: &str = "-cert-v01@openssh.com";

/// The key in a file that holds one line `ssh-ed25519 AAAA… comment`.
pub(super) fn read_public(path: &Path) -> Option<Vec<u8>> {
    of_line(&std::fs::read_to_string(path).ok()?)
}

pub(super) fn of_line(line: &str) -> Option<Vec<u8>> {
    let mut words = line.split_whitespace();
    words.next().filter(|word| ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start)))?;
    STANDARD.decode(words.next()?).ok()
}

/// The type, as `ssh-ed25519`.
pub(super) fn algorithm(blob: &[u8]) -> Option<&str> {
    std::str::from_utf8(string(blob)?.0).ok()
}

/// The key that a certificate is for. By hand, because ssh-key 0.6.7 refuses a certificate without an end of validity,
/// which is what ssh-keygen makes unless told otherwise.
pub(super) fn key_of_certificate(blob: &[u8]) -> Option<Vec<u8>> {
    let key_type = algorithm(blob)?.strip_suffix(CERTIFICATE_SUFFIX)?;
    let (_type, rest) = string(blob)?;
    let (_nonce, mut rest) = string(rest)?;
    let fields = match key_type {
        "ssh-ed25519" => 1,
        // Curve and point; exponent and modulus.
        "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521" | "ssh-rsa" => 2,
        _ => return None,
    };
    let mut key = Vec::new();
    put(&mut key, key_type.as_bytes());
    for _ in 0..fields {
        let (field, after) = string(rest)?;
        put(&mut key, field);
        rest = after;
    }
    Some(key)
}

/// As `ssh-keygen -l` prints it.
pub(super) fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(digest::digest(&digest::SHA256, blob)))
}

pub(super) fn base64(blob: &[u8]) -> String {
    STANDARD.encode(blob)
}

/// The first string, and what comes after it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

fn put(bytes: &mut Vec<u8>, field: &[u8]) {
    bytes.extend((field.len() as u32).to_be_bytes());
    bytes.extend(field);
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINcF8sRO8fOqRGwKCr6tCFZ8uA9ZWc5PlUW0nr5X/liY";

    #[test]
    fn reads_a_public_key_line() {
        let blob = of_line(KEY).expect("a key");
        assert_eq!(algorithm(&blob), Some("ssh-ed25519"));
        assert_eq!(fingerprint(&blob), "SHA256:fBy27tJ9iPpQ94UZZqbB5S70q1AekVaqti/zcYF9QXA");
        assert_eq!(of_line(&format!("{KEY} a comment\n")), Some(blob));
        assert_eq!(of_line("-----BEGIN OPENSSH PRIVATE KEY-----"), None);
        assert_eq!(of_line("ssh-ed25519"), None);
    }

    #[test]
    fn finds_the_key_in_a_certificate() {
        let key = of_line(KEY).expect("a key");
        let (_type, point) = string(&key).expect("a type");
        let mut certificate = Vec::new();
        put(&mut certificate, b"ssh-ed25519-cert-v01@openssh.com");
        put(&mut certificate, b"nonce");
        certificate.extend(point);
        certificate.extend([0; 8]);
        assert_eq!(key_of_certificate(&certificate), Some(key.clone()));
        assert_eq!(key_of_certificate(&key), None);
        assert_eq!(key_of_certificate(&certificate[..40]), None);
    }

    #[test]
    fn short_input_is_no_key() {
        for bytes in [&[][..], &[0, 0, 0], &[0, 0, 0, 9, 1], &[0xff; 8]] {
            assert_eq!(algorithm(bytes), None);
            assert_eq!(key_of_certificate(bytes), None);
        }
    }
}
