//! The folder of an authority that is made here: what lies in it, also where a creation or a rotation was cut off.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::authority::{assemble, load_ca_certificate, load_files};
use super::ca_certificate::{CaCertificate, Chain};
use super::file::{check_mode, read, unusable};
use super::loaded_ca::LoadedCa;
use super::opener::Opener;
use super::signer::Signer;
use super::{CERTIFICATE, KEY};
use crate::core::desired::AuthoritySource;
use crate::core::names::{ClusterName, UnixSeconds};
use crate::core::observed::{Cause, Lent, Unable};

pub(super) const CERTIFICATE_PENDING: &str = ".ca.crt.pending";
pub(super) const KEY_PENDING: &str = ".ca.key.pending";
pub(super) const NEXT_CERTIFICATE: &str = "ca.next.crt";
pub(super) const NEXT_KEY: &str = "ca.next.key";

/// Beside a new authority until it signs its first certificate. One without it may have a cluster somewhere.
const UNUSED: &str = ".ca.unused";
const UNUSED_TEXT: &str = "This CA has issued no certificate yet; quorate removes this file before the first one.\n";

/// Notes that the authority that is being made has signed nothing.
pub(super) fn note_unused(folder: &Path) -> io::Result<()> {
    write_new(&folder.join(UNUSED), 0o644, UNUSED_TEXT)
}

/// Notes that the authority in `folder` signs from now on.
///
/// # Errors
/// When the note could not be removed: nothing may be signed then.
pub fn note_use(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(UNUSED)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fs::File::open(folder)?.sync_all(),
    }
}

/// Whether the authority in `folder` was made here for `cluster` and has signed a certificate, as far as can be told.
pub fn has_signed(folder: &Path, cluster: &ClusterName, at: UnixSeconds) -> bool {
    let is_own = |ca: LoadedCa| ca.certificate().is_named_after(cluster);
    !folder.join(UNUSED).exists() && read_folder(folder, &Opener::default(), at).ok().flatten().is_some_and(is_own)
}

/// The authority in `folder`, whose key is not encrypted; `None` when there is none yet.
///
/// # Errors
/// As [`read_folder`], and when the key is encrypted.
pub fn load(folder: &Path, at: UnixSeconds) -> Result<Option<Signer>, Cause> {
    read_folder(folder, &Opener::default(), at)?.map(|ca| ca.into_signer(&folder.join(KEY))).transpose()
}

/// Reads the authority in `folder`; `None` when there is none yet.
///
/// # Errors
/// When one of the two files is missing or unreadable, when others can read the key, when the certificate is no
/// authority's or has expired, or when the key is not its own. Nothing here is ever overwritten, so each is for the
/// operator to mend.
pub fn read_folder(folder: &Path, opener: &Opener, at: UnixSeconds) -> Result<Option<LoadedCa>, Cause> {
    // The key has its new name already, and the certificate not yet.
    if is_half_adopted(folder) {
        return read_next(folder, opener, at);
    }
    let certificate_path = folder.join(CERTIFICATE);
    let key_path = folder.join(KEY);
    match (read(&certificate_path)?, read(&key_path)?) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            check_mode(&key, &key_path)?;
            let ca_certificate = CaCertificate::parse(&certificate.bytes, &certificate_path, Chain::Forbidden, at)?;
            assemble(ca_certificate, &certificate_path, &key.bytes, &key_path, opener, at).map(Some)
        }
        (Some(_), None) => {
            let what = format!("{} exists, but {} does not", certificate_path.display(), key_path.display());
            Err(unusable(what, Some("restore it from your backup: the key of an existing CA cannot be recreated")))
        }
        // A creation that was cut off between its last two steps is finished by the next one.
        (None, Some(_)) if interrupted(folder, opener) == Some(Interrupted::BeforeCertificate) => Ok(None),
        (None, Some(_)) => {
            let what = format!("{} exists, but {} does not", key_path.display(), certificate_path.display());
            Err(unusable(
                what,
                Some("restore it from your backup; every host that trusts the CA also has it as ca.crt"),
            ))
        }
    }
}

/// As [`load`], of the next authority in `folder`, if a rotation is under way.
///
/// # Errors
/// As [`read_next`], and when the key is encrypted or not here.
pub fn load_next(folder: &Path, at: UnixSeconds) -> Result<Option<Signer>, Cause> {
    read_next(folder, &Opener::default(), at)?.map(|ca| ca.into_signer(&folder.join(NEXT_KEY))).transpose()
}

/// The next authority in `folder`, if a rotation is under way.
///
/// # Errors
/// When what is there of it cannot be used.
pub fn read_next(folder: &Path, opener: &Opener, at: UnixSeconds) -> Result<Option<LoadedCa>, Cause> {
    let certificate_path = folder.join(NEXT_CERTIFICATE);
    // A key without a certificate is a creation that was cut off, and nobody knows of it.
    let Some(certificate) = read(&certificate_path)? else { return Ok(None) };
    let key_path = folder.join(NEXT_KEY);
    let (key_path, key) = match read(&key_path)? {
        Some(key) => (key_path, Some(key)),
        None => (folder.join(KEY), read(&folder.join(KEY))?),
    };
    let ca_certificate = CaCertificate::parse(&certificate.bytes, &certificate_path, Chain::Forbidden, at)?;
    let Some(key) = key else {
        // In a clone without keys, the certificates alone tell of the rotation.
        let key = folder.join(NEXT_KEY).display().to_string();
        let why = Lent { key, has_certificate: true, why: Unable::NotHere, reader: None };
        return Ok(Some(LoadedCa::Locked { ca_certificate, why }));
    };
    assemble(ca_certificate, &certificate_path, &key.bytes, &key_path, opener, at).map(Some)
}

/// Whether the swap of `folder` was cut off after the key.
pub(super) fn is_half_adopted(folder: &Path) -> bool {
    let is_there = |name| folder.join(name).exists();
    is_there(NEXT_CERTIFICATE) && !is_there(NEXT_KEY) && is_there(KEY)
}

impl LoadedCa {
    /// Reads what is declared to be in files here; `None` when none was generated yet, and where it is not in files.
    ///
    /// # Errors
    /// When a file is missing or wrong.
    pub fn load(source: &AuthoritySource, opener: &Opener, at: UnixSeconds) -> Result<Option<LoadedCa>, Cause> {
        match source {
            AuthoritySource::Generated { folder } => read_folder(folder, opener, at),
            AuthoritySource::Files { pair } => load_files(pair, opener, at).map(Some),
            AuthoritySource::External { certificate, client, .. } => {
                let ca_certificate = load_ca_certificate(certificate, at)?;
                Ok(Some(Self::Outside { ca_certificate, client: client.clone() }))
            }
            AuthoritySource::Vault(_) | AuthoritySource::Node { .. } => Ok(None),
        }
    }
}

/// Where the keys of an authority lie that is made in `folder`: the one that there is, and the next one.
pub fn keys_in(folder: &Path) -> [PathBuf; 2] {
    [folder.join(KEY), folder.join(NEXT_KEY)]
}

/// What is left of a creation that was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// ca.key has its name; the certificate that belongs to it does not yet.
    BeforeCertificate,
}

/// Whether `folder` holds a creation that needs to be finished.
pub(super) fn interrupted(folder: &Path, opener: &Opener) -> Option<Interrupted> {
    let certificate_path = folder.join(CERTIFICATE_PENDING);
    let key_path = folder.join(KEY);
    let certificate = read(&certificate_path).ok()??;
    let key = read(&key_path).ok()??;
    if folder.join(CERTIFICATE).exists() {
        return None;
    }
    // Valid at its own beginning, whatever the time is now: `load` judges that once it has its name.
    let made = x509_parser::pem::parse_x509_pem(&certificate.bytes).ok()?.1;
    let at = UnixSeconds(made.parse_x509().ok()?.validity().not_before.timestamp());
    let ca_certificate = CaCertificate::parse(&certificate.bytes, &certificate_path, Chain::Forbidden, at).ok()?;
    // Of an encrypted key that was not opened it is not known whether it belongs to it; making one opens it.
    assemble(ca_certificate, &certificate_path, &key.bytes, &key_path, opener, at).ok()?;
    Some(Interrupted::BeforeCertificate)
}

/// Writes a file that does not outlive a crash half-written, in place of one that such a crash left.
pub(super) fn write_new(path: &Path, mode: u32, content: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}
