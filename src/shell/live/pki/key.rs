//! Private keys as they are found in files: PKCS#8, PKCS#1 or SEC1, and those that are encrypted.

use std::path::Path;

use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroize as _;

use super::ca_certificate::RESTORE;
use super::encryption::{Encryption, encryption};
use super::file::unusable;
use super::opener::Opener;
use crate::core::observed::Cause;

/// Reads the key in a file; `None` when it is encrypted and was not opened.
///
/// # Errors
/// When there is none, or it is of a kind that is not understood.
pub(super) fn read_key(bytes: &[u8], path: &Path, opener: &Opener) -> Result<Option<KeyPair>, Cause> {
    let shown = path.display();
    let mut der = match encryption(bytes) {
        Some(Encryption::Legacy) => {
            let what = format!("{shown} is encrypted in the legacy openssl format, which is not supported");
            let hint = "convert it: `openssl pkcs8 -topk8 -in OLD -out NEW` asks for both passphrases";
            return Err(unusable(what, Some(hint)));
        }
        Some(Encryption::Pkcs8 | Encryption::Age) => {
            let Some(pem) = opener.opened(bytes) else { return Ok(None) };
            plain(&pem, path)?
        }
        None => plain(bytes, path)?,
    };
    let key = KeyPair::try_from(&der);
    der.zeroize();
    key.map(Some).map_err(|_| {
        let what = format!("{shown} is not a usable private key");
        let hint = "use RSA of at least 2048 bits, P-256, P-384 or Ed25519, as PKCS#8, PKCS#1 or SEC1";
        unusable(what, Some(hint))
    })
}

fn plain(bytes: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, Cause> {
    PrivateKeyDer::from_pem_slice(bytes)
        .map_err(|_| unusable(format!("{} contains no PEM private key", path.display()), Some(RESTORE)))
}

/// Whether two files hold one key, whatever their forms.
pub fn is_same_key(one: &[u8], other: &[u8]) -> bool {
    let public = |bytes| {
        let key = read_key(bytes, Path::new("a key"), &Opener::default()).ok()??;
        Some(key.subject_public_key_info())
    };
    public(one).is_some_and(|one| public(other) == Some(one))
}
