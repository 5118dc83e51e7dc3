//! Pairs that an authority we cannot ask has signed: read, and what is wrong with their files named.

use rcgen::PublicKeyData as _;
use secrecy::SecretString;

use super::encryption::encryption;
use super::facts::{KnownAuthority, certificate_facts};
use super::file::{check_mode, read};
use super::key::read_key;
use super::opener::Opener;
use crate::core::desired::Pair;
use crate::core::names::Digest;
use crate::core::observed::{Cause, GivenPair};

/// The text of a pair.
#[derive(Clone, Debug)]
pub struct PairText {
    pub certificate: String,
    pub key: SecretString,
}

/// What is there of a pair. `known` is the authority that should have signed it, if its certificate could be read.
pub fn look(pair: &Pair, known: &[KnownAuthority]) -> GivenPair {
    let path = pair.certificate.display().to_string();
    let mut seen = GivenPair { path: path.clone(), ..GivenPair::default() };
    let certificate = text(&pair.certificate).map_err(|fault| seen.faults.push(fault)).ok();
    let key = key_text(pair).map_err(|fault| seen.faults.push(fault)).ok();
    let public = key.as_ref().and_then(|key| match read_key(key, &pair.key, &Opener::default()) {
        Ok(key) => key.map(|key| Digest::of(key.subject_public_key_info())),
        Err(Cause { summary, .. }) => {
            seen.faults.push(summary);
            None
        }
    });
    let Some(certificate) = certificate else { return seen };
    if String::from_utf8_lossy(&certificate).contains("PRIVATE KEY-----") {
        seen.faults.push(format!("{path} contains a private key, which everybody on the host could read"));
    }
    let facts = std::str::from_utf8(&certificate).ok().and_then(|pem| certificate_facts(pem, public, known));
    match facts {
        None => seen.faults.push(format!("{path} is not a readable certificate")),
        Some(facts) => {
            if public.is_some() && facts.matches_key.known() != Some(&true) {
                seen.faults.push(format!("{} is not the key of {path}", pair.key.display()));
            }
            seen.certificate = Some(facts);
            seen.digest = Some(Digest::of(&certificate));
        }
    }
    seen
}

/// The pair as it is to be installed.
///
/// # Errors
/// When one of the files cannot be read any more.
pub fn read_pair(pair: &Pair) -> Result<PairText, String> {
    let certificate = text(&pair.certificate)?;
    let key = key_text(pair)?;
    let utf8 = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned);
    match (utf8(&certificate), utf8(&key)) {
        (Ok(certificate), Ok(key)) => Ok(PairText { certificate, key: SecretString::from(key) }),
        _ => Err(format!("{} and its key are not PEM", pair.certificate.display())),
    }
}

fn text(path: &std::path::Path) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
    match read(path) {
        Ok(Some(content)) => Ok(content.bytes),
        Ok(None) => Err(format!("{} does not exist", path.display())),
        Err(cause) => Err(cause.summary),
    }
}

fn key_text(pair: &Pair) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
    let path = pair.key.display();
    match read(&pair.key) {
        Ok(Some(content)) if encryption(&content.bytes).is_some() => {
            Err(format!("{path} is encrypted, and etcd cannot decrypt it"))
        }
        Ok(Some(content)) => {
            check_mode(&content, &pair.key).map_err(|cause| cause.summary)?;
            Ok(content.bytes)
        }
        Ok(None) => Err(format!("{path} does not exist")),
        Err(cause) => Err(cause.summary),
    }
}
