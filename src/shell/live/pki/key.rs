//! Private keys as they are found in files: PKCS#8, PKCS#1 or SEC1, and PKCS#8 under a passphrase.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use pkcs8::EncryptedPrivateKeyInfo;
use pkcs8::der::Decode as _;
use pkcs8::der::pem::PemLabel as _;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::{Zeroize as _, Zeroizing};

use super::ca_certificate::RESTORE;
use super::file::unusable;
use crate::core::names::Digest;
use crate::core::observed::Cause;

/// What opens an encrypted key, and the key as it was opened last: a derivation takes longer than a look at the hosts.
#[derive(Default)]
pub struct Opener {
    passphrase: Option<SecretString>,
    opened: Mutex<Option<(Digest, Zeroizing<Vec<u8>>)>>,
}

impl Opener {
    pub fn with(passphrase: Option<SecretString>) -> Self {
        Self { passphrase, opened: Mutex::default() }
    }

    /// The PKCS#8 form of an encrypted key.
    fn open(&self, pem: &[u8], path: &Path) -> Result<Zeroizing<Vec<u8>>, Cause> {
        let path = path.display();
        let Some(passphrase) = &self.passphrase else {
            let hint = "set `passphrase` in [ca] to { file = \"…\" }, { env = \"…\" } or { prompt = true }";
            return Err(unusable(format!("{path} is encrypted, but no passphrase is configured"), Some(hint)));
        };
        let digest = Digest::of(pem);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, der)) = opened.as_ref().filter(|(of, _)| *of == digest) {
            return Ok(der.clone());
        }
        let text = std::str::from_utf8(pem).unwrap_or_default();
        let begin = text.find("-----BEGIN").unwrap_or(0);
        let unreadable = || unusable(format!("{path} is not a readable encrypted key"), Some(RESTORE));
        let (label, der) = pkcs8::der::pem::decode_vec(&text.as_bytes()[begin..]).map_err(|_| unreadable())?;
        let encrypted = EncryptedPrivateKeyInfo::from_der(&der).map_err(|_| unreadable())?;
        if label != EncryptedPrivateKeyInfo::PEM_LABEL {
            return Err(unreadable());
        }
        let document = encrypted.decrypt(passphrase.expose_secret()).map_err(|error| {
            let what = format!("{path} cannot be decrypted with the configured passphrase");
            let hint = match error {
                // Its kind of encryption is not one that we know, whatever the passphrase.
                pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }) => {
                    "encrypt it with AES: `openssl pkcs8 -topk8 -v2 aes-256-cbc`"
                }
                _ => "check the passphrase that [ca] refers to",
            };
            unusable(what, Some(hint))
        })?;
        let der = Zeroizing::new(document.as_bytes().to_vec());
        *opened = Some((digest, der.clone()));
        Ok(der)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("passphrase", &"***").finish_non_exhaustive()
    }
}

/// Reads the key in a file.
///
/// # Errors
/// When there is none, it is of a kind that is not understood, or its passphrase is missing or wrong.
pub(super) fn read_key(bytes: &[u8], path: &Path, opener: &Opener) -> Result<KeyPair, Cause> {
    let shown = path.display();
    if contains(bytes, PROC_TYPE) {
        let what = format!("{shown} is encrypted in the legacy openssl format, which is not supported");
        let hint = "convert it: `openssl pkcs8 -topk8 -in OLD -out NEW` asks for both passphrases";
        return Err(unusable(what, Some(hint)));
    }
    let mut der = if contains(bytes, ENCRYPTED) {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(opener.open(bytes, path)?.to_vec()))
    } else {
        PrivateKeyDer::from_pem_slice(bytes)
            .map_err(|_| unusable(format!("{shown} contains no PEM private key"), Some(RESTORE)))?
    };
    let key = KeyPair::try_from(&der);
    der.zeroize();
    key.map_err(|_| {
        let what = format!("{shown} is not a usable private key");
        let hint = "use RSA of at least 2048 bits, P-256, P-384 or Ed25519, as PKCS#8, PKCS#1 or SEC1";
        unusable(what, Some(hint))
    })
}

/// Whether two files hold one key, whatever their forms.
pub fn is_same_key(one: &[u8], other: &[u8]) -> bool {
    let public = |bytes| {
        let key = read_key(bytes, Path::new("a key"), &Opener::default()).ok()?;
        Some(key.subject_public_key_info())
    };
    public(one).is_some_and(|one| public(other) == Some(one))
}

pub(super) fn is_encrypted(bytes: &[u8]) -> bool {
    contains(bytes, ENCRYPTED) || contains(bytes, PROC_TYPE)
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

const ENCRYPTED: &[u8] = b"ENCRYPTED PRIVATE KEY";
/// The header of the older encrypted form: `Proc-Type: 4,ENCRYPTED`.
const PROC_TYPE: &[u8] = b"Proc-Type: 4,ENCRYPTED";
