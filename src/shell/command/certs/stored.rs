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

    /// Refuses what is not an earlier pair of this user's: nobody else's file is written over. Whether there is one.
    ///
    /// # Errors
    /// When the folder is a CA's, or has other files under these names.
    pub fn check(&self, user: &str) -> Result<bool, Diagnostic> {
        let folder = self.key.parent().unwrap_or(Path::new("."));
        if self.certificate == self.authority {
            let what =
                Diagnostic::new(Kind::Usage, format!("ca.crt cannot be both the CA's certificate and that of {user}"));
            return Err(what.hint("print it instead: leave out `-d`"));
        }
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
            return Ok(true);
        }
        for path in [&self.certificate, &self.key] {
            if is_there(path)? {
                let what =
                    format!("this file is there already, and is no certificate of {user}, or has none beside it");
                return Err(Diagnostic::failure(what).at(path.display().to_string()).hint(NOT_REPLACED));
            }
        }
        Ok(false)
    }

    /// Writes them, the key first: who reads in between finds a new key to an old certificate, never one that is not there.
    /// `replaces`: what [`Files::check`] has found.
    ///
    /// # Errors
    /// When the folder cannot be made or written to, or has a ca.crt that is not this CA's.
    pub fn write(&self, authority: &str, issued: &Issued, replaces: bool) -> Result<(), Diagnostic> {
        self.check_authority(authority, replaces)?;
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

impl Files {
    /// Beside an earlier pair it is that pair's, and the CA may be another one by now.
    fn check_authority(&self, authority: &str, replaces: bool) -> Result<(), Diagnostic> {
        match fs::read(&self.authority) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(unreadable(&self.authority, &error)),
            Ok(text) if replaces || text == authority.as_bytes() => Ok(()),
            Ok(_) => {
                let what = Diagnostic::failure("the ca.crt that is here is not that of this cluster's CA");
                Err(what.at(self.authority.display().to_string()).hint(NOT_REPLACED))
            }
        }
    }
}

const NOT_REPLACED: &str =
    "move it away, or give another directory with `-d`: only an earlier pair of the same user is replaced";

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
        assert!(refused.to_string().contains("is no certificate of app"), "{refused}");
        fs::write(&files.certificate, "no certificate").expect("writes");
        files.check("app").expect_err("still somebody's");
        for path in [&files.certificate, &files.key] {
            fs::remove_file(path).expect("it is there");
        }
        fs::write(&files.authority, "a CA of somebody else").expect("writes");
        files.check_authority("ours", false).expect_err("ca.crt is somebody's, too");
        files.check_authority("ours", true).expect("a pair of this user was beside it");
        files.check_authority("a CA of somebody else", false).expect("it is the same");
        Files::of(Path::new("/nowhere"), "ca").check("ca").expect_err("two files of one name");
    }

    #[test]
    fn the_folder_of_a_ca_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ca.key"), "").expect("writes");
        let refused = Files::of(folder.path(), "app").check("app").expect_err("a CA's");
        assert_eq!(refused.kind, Kind::Usage);
    }
}
