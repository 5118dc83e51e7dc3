//! A new authority: made whole under other names, then given its names, key first, never over anything.
//!
//! Wherever it is cut off, what is left is one of these, and the next run goes on from it:
//!
//! ```text
//! (nothing)
//! .ca.key.pending  .ca.crt.pending     thrown away, as nobody has seen them
//! ca.key           .ca.crt.pending     the certificate is given its name
//! ca.key           ca.crt              done
//! ```

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;
use zeroize::{Zeroize as _, Zeroizing};

use super::folder::{CERTIFICATE_PENDING, KEY_PENDING, interrupted, note_unused, read_folder, write_new};
use super::loaded_ca::LoadedCa;
use super::opener::Opener;
use super::signer::Signer;
use super::{CERTIFICATE, COMMON_NAME, KEY, rcgen_time, serial_number};
use crate::core::cluster::leaf::BACKDATED_SECONDS;
use crate::core::cluster::model::AUTHORITY_VALIDITY_SECONDS;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{ClusterName, UnixSeconds};

/// Makes ca.key and ca.crt in `folder`, or finishes making them, and reads them back.
///
/// # Errors
/// When there is an authority already, when someone else is making one, or when a file cannot be written.
pub fn create(folder: &Path, cluster: &ClusterName, at: UnixSeconds) -> Result<Signer, Diagnostic> {
    create_with(folder, cluster, &Opener::default(), at)
}

/// As [`create`], with a key that is encrypted as `opener` does it.
///
/// # Errors
/// As [`create`], and when the key cannot be encrypted.
pub fn create_with(
    folder: &Path,
    cluster: &ClusterName,
    opener: &Opener,
    at: UnixSeconds,
) -> Result<Signer, Diagnostic> {
    let failed = |error: io::Error| {
        Diagnostic::failure(format!("no CA could be created in {}", folder.display())).caused_by(&error)
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    sync_parent(folder).map_err(failed)?;
    let directory = File::open(folder).map_err(failed)?;
    if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err() {
        let what = format!("another quorate process is creating a CA in {}", folder.display());
        return Err(Diagnostic::new(Kind::Locked, what).hint("wait until it has finished, then run again"));
    }
    if read_folder(folder, opener, at)?.is_some() {
        return Err(Diagnostic::new(Kind::Refused, format!("{} already contains a CA", folder.display())));
    }
    if interrupted(folder, opener).is_none() {
        write_pending(folder, cluster, opener, at)?;
        directory.sync_all().map_err(failed)?;
        publish(folder, KEY_PENDING, KEY).map_err(failed)?;
        directory.sync_all().map_err(failed)?;
    }
    note_unused(folder).map_err(failed)?;
    publish(folder, CERTIFICATE_PENDING, CERTIFICATE).map_err(failed)?;
    directory.sync_all().map_err(failed)?;
    let made = read_folder(folder, opener, at)?.map(|made: LoadedCa| made.into_signer(&folder.join(KEY)));
    made.transpose()?.ok_or_else(|| Diagnostic::failure(format!("the CA just created in {} is gone", folder.display())))
}

/// The folder itself may be new, and must not vanish with the power once hosts trust what is in it.
fn sync_parent(folder: &Path) -> io::Result<()> {
    let absolute = std::path::absolute(folder)?;
    absolute.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn write_pending(folder: &Path, cluster: &ClusterName, opener: &Opener, at: UnixSeconds) -> Result<(), Diagnostic> {
    let cannot = |path: &Path, error: io::Error| {
        Diagnostic::failure(format!("{} could not be written", path.display())).caused_by(&error)
    };
    let (certificate, key) = generate(cluster, COMMON_NAME, at)
        .map_err(|why| Diagnostic::failure(format!("no CA could be created for cluster {cluster}")).with_cause(why))?;
    let sealed = opener.seal(&key, &folder.join(KEY), None)?;
    opener.verify(sealed.as_bytes(), &folder.join(KEY))?;
    for (name, mode, content) in [(KEY_PENDING, 0o600, sealed.as_str()), (CERTIFICATE_PENDING, 0o644, &certificate)] {
        let path = folder.join(name);
        write_new(&path, mode, content).map_err(|error| cannot(&path, error))?;
    }
    Ok(())
}

/// A new authority for a cluster, as PEM.
///
/// # Errors
/// When no key can be made.
pub fn generate_authority(cluster: &ClusterName, at: UnixSeconds) -> Result<(String, Zeroizing<String>), String> {
    generate(cluster, COMMON_NAME, at)
}

/// The certificate and the key, as PEM.
pub(super) fn generate(
    cluster: &ClusterName,
    common_name: &str,
    at: UnixSeconds,
) -> Result<(String, Zeroizing<String>), String> {
    let mut params = CertificateParams::default();
    params.not_before = rcgen_time(at.plus_seconds(-BACKDATED_SECONDS)).map_err(|error| error.to_string())?;
    params.not_after = rcgen_time(at.plus_seconds(AUTHORITY_VALIDITY_SECONDS)).map_err(|error| error.to_string())?;
    params.serial_number = Some(serial_number().map_err(|_| "no random bytes for a serial number")?);
    params.distinguished_name = DistinguishedName::new();
    // kubeadm's name for it, and the cluster's: authorities of two clusters must not be mistaken for each other.
    params.distinguished_name.push(DnType::OrganizationName, cluster.as_str());
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let mut key = KeyPair::generate().map_err(|error| error.to_string())?;
    let certificate = params.self_signed(&key).map_err(|error| error.to_string());
    let key_pem = Zeroizing::new(key.serialize_pem());
    key.zeroize();
    Ok((certificate?.pem(), key_pem))
}

/// Gives a finished file its name, unless something has that name.
fn publish(folder: &Path, pending: &str, name: &str) -> io::Result<()> {
    let from = folder.join(pending);
    let to = folder.join(name);
    match renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
        // Not every file system can do that in one step; a link does not replace either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(&from, &to)?;
            fs::remove_file(&from)
        }
        result => result.map_err(io::Error::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last line of defence, against whoever made the file between our look and our step.
    #[test]
    fn a_name_that_is_taken_stays_as_it_is() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = |name| folder.path().join(name);
        fs::write(path(KEY), "theirs").unwrap();
        fs::write(path(KEY_PENDING), "ours").unwrap();
        let refused = publish(folder.path(), KEY_PENDING, KEY).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(path(KEY)).unwrap(), "theirs");
        fs::remove_file(path(KEY)).unwrap();
        publish(folder.path(), KEY_PENDING, KEY).unwrap();
        assert_eq!(fs::read_to_string(path(KEY)).unwrap(), "ours");
        assert!(!path(KEY_PENDING).exists());
    }
}
