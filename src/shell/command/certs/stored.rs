//! An issued certificate as files in a folder: `ca.crt`, `USER.crt` and `USER.key`, which a later one replaces.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use crate::core::diagnostic::{Diagnostic, Kind};
use crate::shell::command::output::{write_private, write_public};
use crate::shell::live::pki::{self, Issued};

/// Where the files of a user are.
pub struct Files {
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Files {
    pub fn of(folder: &Path, user: &str) -> Self {
        Self {
            authority: folder.join("ca.crt"),
            certificate: folder.join(format!("{user}.crt")),
            key: folder.join(format!("{user}.key")),
        }
    }

    /// Refuses what is not an earlier pair of this user's: nobody else's file is written over.
    ///
    /// # Errors
    /// When the folder is a CA's, or has other files under these names.
    pub fn check(&self, user: &str) -> Result<(), Diagnostic> {
        let folder = self.key.parent().unwrap_or(Path::new("."));
        if is_there(&folder.join("ca.key"))? {
            let what = Diagnostic::new(Kind::Usage, "this directory has the key of a CA in it");
            return Err(what
                .at(folder.display().to_string())
                .hint("give another directory with `-d`: what is issued comes with a ca.crt of its own"));
        }
        let earlier = match fs::read_to_string(&self.certificate) {
            Ok(text) => pki::certificate_facts(&text, None, &[]).map(|facts| facts.common_name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unreadable(&self.certificate, &error)),
        };
        if earlier.as_deref() == Some(user) {
            return Ok(());
        }
        for path in [&self.certificate, &self.key] {
            if is_there(path)? {
                let what = Diagnostic::failure(format!("there is a file here that is not a certificate of {user} yet"));
                return Err(what.at(path.display().to_string()).hint(
                    "move it away, or give another directory with `-d`: only an earlier pair of this user is replaced",
                ));
            }
        }
        Ok(())
    }

    /// Writes them, the key first: who reads in between finds a new key to an old certificate, never one that is not there.
    ///
    /// # Errors
    /// When the folder cannot be made or written to.
    pub fn write(&self, authority: &str, issued: &Issued) -> Result<(), Diagnostic> {
        let folder = self.key.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| {
                Diagnostic::failure("cannot create the directory").at(folder.display().to_string()).caused_by(&error)
            })?;
        }
        write_private(&self.key, issued.key_pem.expose_secret())?;
        write_public(&self.certificate, &issued.certificate_pem)?;
        write_public(&self.authority, authority)
    }
}

fn is_there(path: &Path) -> Result<bool, Diagnostic> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    Diagnostic::failure("cannot read the file").at(path.display().to_string()).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_earlier_pair_of_the_same_user_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Files::of(folder.path(), "app");
        files.check("app").expect("an empty folder");
        fs::write(&files.key, "mine").expect("writes");
        let refused = files.check("app").expect_err("somebody's file");
        assert!(refused.to_string().contains("not a certificate of app"), "{refused}");
        fs::write(&files.certificate, "no certificate").expect("writes");
        files.check("app").expect_err("still somebody's");
    }

    #[test]
    fn the_folder_of_a_ca_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ca.key"), "").expect("writes");
        let refused = Files::of(folder.path(), "app").check("app").expect_err("a CA's");
        assert_eq!(refused.kind, Kind::Usage);
    }
}
