//! How a file tells that the key in it is encrypted.

/// How the key in a file is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    Pkcs8,
    Age,
    /// The older form of openssl, which nobody should use.
    Legacy,
}

/// `None` when it is not.
pub(super) fn encryption(bytes: &[u8]) -> Option<Encryption> {
    match () {
        () if contains(bytes, PROC_TYPE) => Some(Encryption::Legacy),
        () if contains(bytes, ENCRYPTED) => Some(Encryption::Pkcs8),
        () if bytes.starts_with(AGE) || contains(bytes, AGE_ARMOR) => Some(Encryption::Age),
        () => None,
    }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

const ENCRYPTED: &[u8] = b"ENCRYPTED PRIVATE KEY";
/// The header of the older encrypted form: `Proc-Type: 4,ENCRYPTED`.
const PROC_TYPE: &[u8] = b"Proc-Type: 4,ENCRYPTED";
/// <https://c2sp.org/age>
const AGE: &[u8] = b"age-encryption.org/v1";
const AGE_ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
