//! Certificates: the authority beside cluster.toml, the leaves that it signs, and what the hosts' certificates say.
//!
//! - [`load`] and [`create`] handle ca.crt and ca.key; [`Signer`] is the pair, read and proven to belong together.
//! - [`create_next`], [`load_next`] and [`adopt_next`] handle the authority that takes its place.
//! - [`LoadedCa`] is that, or what a declared authority gives us without its key.
//! - [`Request`] is for who signs while we wait.
//! - [`Signer::issue`] makes a leaf with a new key, and reads back what was issued before anyone gets it.
//! - [`certificate_facts`] and [`trusted`] read what was found on a host. The same code checks our own leaves, so
//!   that what is issued and what is observed cannot mean different things.
//!
//! All signatures are made and verified by aws-lc, which reads the PKCS#1 and SEC1 keys that kubeadm and openssl write.

mod ca_certificate;
mod age;
mod authority;
mod create;
mod declared;
mod encryption;
mod facts;
mod file;
mod folder;
mod form;
mod given;
mod loaded_ca;
mod issue;
mod key;
mod opener;
mod request;
mod rotate;
mod signer;
#[cfg(test)]
mod opener_tests;
#[cfg(test)]
mod tests;

pub use authority::{assemble_text, certificate_of_text, load_certificate, load_files};
pub use ca_certificate::CaCertificate;
pub use create::{create, create_with, generate_authority};
pub use declared::{ended, problems};
pub use facts::{KnownAuthority, authorities, certificate_facts, serial_of, trusted};
pub use file::read_secret;
pub use folder::{has_signed, keys_in, load, load_next, note_use, read_folder, read_next};
pub use given::{PairText, look as look_at_given, read_pair};
pub use issue::{Issued, OPERATOR_VALIDITY_SECONDS};
pub use key::is_same_key;
pub use loaded_ca::{LoadedCa, given, operator};
pub use opener::{Ask, Asked, Means, Opener};
pub use request::Request;
pub use rotate::{adopt_next, adopt_next_with, create_next, create_next_with};
pub use signer::Signer;

/// The file names in the authority's folder: kubeadm's.
const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";
/// kubeadm's name for an authority of etcd, which the names of later ones begin with.
const COMMON_NAME: &str = "etcd-ca";

/// A serial number: random, positive, and never the same twice; RFC 5280 allows 20 bytes.
///
/// Without one rcgen takes a hash of the public key, so a renewal with the same key would repeat the serial.
fn serial_number() -> Result<rcgen::SerialNumber, aws_lc_rs::error::Unspecified> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)?;
    // Bit 7 is the sign; bit 6 keeps the first byte from being zero, so that every serial has the same length.
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(rcgen::SerialNumber::from_slice(&bytes))
}

fn rcgen_time(at: crate::core::names::UnixSeconds) -> Result<time::OffsetDateTime, time::error::ComponentRange> {
    time::OffsetDateTime::from_unix_timestamp(at.0)
}

/// `2036-11-18`, for messages.
fn date(at: crate::core::names::UnixSeconds) -> String {
    jiff::Timestamp::from_second(at.0)
        .map_or_else(|_| format!("second {}", at.0), |timestamp| timestamp.strftime("%Y-%m-%d").to_string())
}

/// The value of a parse that used up its input.
fn whole<T, E>(parsed: Result<(&[u8], T), E>) -> Option<T> {
    parsed.ok().and_then(|(rest, value)| rest.is_empty().then_some(value))
}
