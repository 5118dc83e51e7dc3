//! The authority that comes after: made beside the one that there is, and put in its place when nobody trusts that any more.
//!
//! ```text
//! ca.key  ca.crt   ca.next.key  ca.next.crt    the rotation is under way
//! ca.key  ca.crt                ca.next.crt    ca.key is the next one's already: the certificate is given its name
//! ca.key  ca.crt   ca.1f0c….key ca.1f0c….crt   done; the old pair stays beside it under its fingerprint
//! ```

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::create::generate;
use super::folder::{NEXT_CERTIFICATE, NEXT_KEY, is_half_adopted, read_folder, read_next, write_new};
use super::opener::Opener;
use super::signer::Signer;
use super::{CERTIFICATE, COMMON_NAME, KEY};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{ClusterName, UnixSeconds};

/// Makes the next authority beside the one that there is.
///
/// # Errors
/// When there is one already, or a file cannot be written.
pub fn create_next(folder: &Path, cluster: &ClusterName, at: UnixSeconds) -> Result<Signer, Diagnostic> {
    create_next_with(folder, cluster, &Opener::default(), at)
}

/// As [`create_next`], with a key that is encrypted as `opener` does it.
///
/// # Errors
/// As [`create_next`], and when the key cannot be encrypted.
pub fn create_next_with(
    folder: &Path,
    cluster: &ClusterName,
    opener: &Opener,
    at: UnixSeconds,
) -> Result<Signer, Diagnostic> {
    let what = || Diagnostic::failure(format!("no new CA could be created in {}", folder.display()));
    let failed = |error: io::Error| what().caused_by(&error);
    let directory = locked(folder)?;
    if read_folder(folder, opener, at)?.is_none() {
        return Err(what().with_cause("there is none to replace"));
    }
    if read_next(folder, opener, at)?.is_some() {
        return Err(Diagnostic::new(Kind::Refused, format!("{} already contains a new CA", folder.display())));
    }
    // Members compare an issuer by its name: that of the next one must not be the same.
    let moment = jiff::Timestamp::from_second(at.0).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ");
    let (certificate, key) =
        generate(cluster, &format!("{COMMON_NAME} {moment}"), at).map_err(|why| what().with_cause(why))?;
    let next_key = folder.join(NEXT_KEY);
    let sealed = opener.seal(&key, &next_key, Some(&folder.join(KEY)))?;
    opener.verify(sealed.as_bytes(), &next_key)?;
    write_new(&next_key, 0o600, sealed.as_str()).map_err(failed)?;
    directory.sync_all().map_err(failed)?;
    let pending = folder.join(".ca.next.crt.pending");
    write_new(&pending, 0o644, &certificate).map_err(failed)?;
    fs::rename(&pending, folder.join(NEXT_CERTIFICATE)).map_err(failed)?;
    directory.sync_all().map_err(failed)?;
    let made = read_next(folder, opener, at)?.ok_or_else(|| what().with_cause("it is gone"))?;
    Ok(made.into_signer(&next_key)?)
}

/// Puts the next authority in the place of the one that there is, which keeps another name.
///
/// # Errors
/// When there is none, or a file cannot be given its name.
pub fn adopt_next(folder: &Path, at: UnixSeconds) -> Result<(), Diagnostic> {
    adopt_next_with(folder, &Opener::default(), at)
}

/// As [`adopt_next`], where the keys are encrypted.
///
/// # Errors
/// As [`adopt_next`].
pub fn adopt_next_with(folder: &Path, opener: &Opener, at: UnixSeconds) -> Result<(), Diagnostic> {
    let failed = |error: io::Error| {
        Diagnostic::failure(format!("the new CA in {} could not be made current", folder.display())).caused_by(&error)
    };
    let directory = locked(folder)?;
    if read_next(folder, opener, at)?.is_none() {
        return Err(Diagnostic::failure(format!("no new CA in {}", folder.display())));
    }
    if !is_half_adopted(folder) {
        let old = read_folder(folder, opener, at)?;
        let old = old.ok_or_else(|| Diagnostic::failure("there is no CA to replace"))?;
        let short = old.certificate().facts().fingerprint.to_string()[..12].to_owned();
        for (name, kept) in [(CERTIFICATE, format!("ca.{short}.crt")), (KEY, format!("ca.{short}.key"))] {
            match fs::hard_link(folder.join(name), folder.join(kept)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                _ => {}
            }
        }
        directory.sync_all().map_err(failed)?;
        fs::rename(folder.join(NEXT_KEY), folder.join(KEY)).map_err(failed)?;
        directory.sync_all().map_err(failed)?;
    }
    fs::rename(folder.join(NEXT_CERTIFICATE), folder.join(CERTIFICATE)).map_err(failed)?;
    directory.sync_all().map_err(failed)
}

const LOCK_TRIES: usize = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

fn locked(folder: &Path) -> Result<File, Diagnostic> {
    let failed = |error: io::Error| Diagnostic::failure(format!("cannot open {}", folder.display())).caused_by(&error);
    let directory = File::open(folder).map_err(failed)?;
    // A child of ours has it, too, from its fork until it runs its program.
    let tries = || {
        (0..LOCK_TRIES).any(|index| {
            if index > 0 {
                std::thread::sleep(LOCK_PAUSE);
            }
            flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok()
        })
    };
    if !tries() {
        let what = format!("another quorate process is changing the CA in {}", folder.display());
        return Err(Diagnostic::new(Kind::Locked, what).hint("wait until it has finished, then run again"));
    }
    Ok(directory)
}
