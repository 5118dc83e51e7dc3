//! The certificates of the declared authorities as they lie here, without their keys: what can be said offline.

use std::path::PathBuf;

use x509_parser::pem::Pem;

use super::authority::load_certificate;
use super::file::read;
use super::{CERTIFICATE, date};
use crate::core::desired::{AuthoritySource, Desired};
use crate::core::names::UnixSeconds;
use crate::core::observed::Cause;

/// Where the certificate of an authority is declared to be here.
fn place(source: &AuthoritySource) -> Option<PathBuf> {
    match source {
        AuthoritySource::Generated { folder } => Some(folder.join(CERTIFICATE)),
        AuthoritySource::Files { pair, .. } => Some(pair.certificate.clone()),
        AuthoritySource::External { certificate, .. } => Some(certificate.clone()),
        AuthoritySource::Vault(_) | AuthoritySource::Node { .. } => None,
    }
}

/// When the certificate that signs ended, if it has: no certificate of that authority is accepted any more. It is the first one in
/// its file; those above it, and what else lies there, do not matter.
pub fn ended(source: &AuthoritySource, at: UnixSeconds) -> Option<UnixSeconds> {
    let content = read(&place(source)?).ok()??;
    let end = |pem: Pem| Some(UnixSeconds(pem.parse_x509().ok()?.validity().not_after.timestamp()));
    Pem::iter_from_buffer(&content.bytes).next()?.ok().and_then(end).filter(|end| *end <= at)
}

/// What is wrong with the certificates that are here, and what is worth knowing of them. One that is not here yet is none of
/// both: who validates need not have it.
pub fn problems(desired: &Desired, at: UnixSeconds) -> (Vec<Cause>, Vec<String>) {
    let check = |source: &AuthoritySource| {
        let path = place(source).filter(|path| path.exists())?;
        load_certificate(source, &path, at).err()
    };
    let mut problems: Vec<_> = check(&desired.authority).into_iter().collect();
    let mut notes = Vec::new();
    if let Some(previous) = &desired.previous_authority {
        match ended(previous, at) {
            Some(end) => notes.push(format!(
                "the CA in [ca.previous] expired on {}: no certificate that it signed is accepted any more; remove \
                 [ca.previous]",
                date(end)
            )),
            None => problems.extend(check(previous)),
        }
    }
    (problems, notes)
}
