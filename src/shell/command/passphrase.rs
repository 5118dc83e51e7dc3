//! What opens encrypted keys of authorities: a passphrase from a file, the environment or whoever runs quorate, and age. It
//! is looked for once something is to be signed.

use std::env::VarError;
use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::context::Context;
use crate::core::desired::{Age, Desired, KeyCare, Pair, Passphrase, Place};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::shell::live::pki::{self, Ask, Asked, Means, Opener};
use crate::shell::live::{Openers, Reader};

/// The file of the passphrase of the declared authority's key. It may be /dev/fd/3, or a credential of systemd.
const PASSPHRASE_FILE: &str = "QUORATE_CA_PASSPHRASE_FILE";
/// The file of the identity that opens a key which age has encrypted.
const AGE_IDENTITY: &str = "QUORATE_AGE_IDENTITY";
/// The files of the client certificate to look with, and its key.
const CLIENT: [&str; 2] = ["QUORATE_CLIENT_CERTIFICATE", "QUORATE_CLIENT_KEY"];

/// How often whoever sits there may mistype.
const ATTEMPTS: usize = 3;

/// What opens the keys of the declared authority and of the previous one, and the certificate to look with.
///
/// # Errors
/// When the environment names half a pair.
pub fn openers(desired: &Desired, context: &Context) -> Result<Openers, Diagnostic> {
    let place = |place| desired.places.of(place);
    let file = variable(PASSPHRASE_FILE).map(|path| Passphrase::File(path.into()));
    let authority = means(&desired.authority_key, file, place(Place::CaPassphrase), context);
    let previous = means(&desired.previous_key, None, place(Place::CaPreviousPassphrase), context);
    Ok(Openers {
        authority: Arc::new(Opener::new(authority)),
        previous: Arc::new(Opener::new(previous)),
        reader: reader(desired)?,
    })
}

fn reader(desired: &Desired) -> Result<Reader, Diagnostic> {
    let absolute = |path: String| std::path::absolute(&path).unwrap_or_else(|_| path.into());
    match CLIENT.map(|name| variable(name).map(absolute)) {
        [Some(certificate), Some(key)] => Ok(Reader { pair: Some(Pair { certificate, key }), is_asked_for: true }),
        [None, None] => Ok(Reader { pair: desired.reader.clone(), is_asked_for: false }),
        [Some(_), None] | [None, Some(_)] => {
            let what = format!("only one of {} and {} is set", CLIENT[0], CLIENT[1]);
            Err(Diagnostic::new(Kind::Usage, what).hint("set both, to the files of a client certificate and its key"))
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn means(care: &KeyCare, instead: Option<Passphrase>, place: String, context: &Context) -> Means {
    let source = instead.or_else(|| care.passphrase.clone()).unwrap_or(Passphrase::Prompt);
    let asks_somebody = source == Passphrase::Prompt;
    let may_ask = !context.no_input && std::io::stdin().is_terminal();
    let age = match (variable(AGE_IDENTITY).map(PathBuf::from), &care.age) {
        (Some(identity), declared) => {
            let recipients = declared.iter().flat_map(|age| age.recipients.clone()).collect();
            Some(Age { recipients, identity })
        }
        (None, declared) => declared.clone(),
    };
    let source = Source::new(source);
    let ask: Ask = Box::new(move |key: &Path, asked: Asked| {
        let had = match asked {
            Asked::New if asks_somebody => new(key, may_ask),
            Asked::Open | Asked::Again | Asked::New => source.passphrase(key, asked, may_ask),
        };
        had.map_err(|failure| failure.at(place.clone()))
    });
    Means {
        ask: Some(ask),
        attempts: if asks_somebody && may_ask { ATTEMPTS } else { 1 },
        is_unattended: !asks_somebody,
        encrypts: care.passphrase.is_some(),
        age,
        may_ask,
    }
}

/// Where a passphrase is. What is no person is read once a run: a pipe gives it once, and may be asked for two keys.
struct Source {
    declared: Passphrase,
    read: OnceLock<Result<SecretString, Diagnostic>>,
}

impl Source {
    fn new(declared: Passphrase) -> Self {
        Self { declared, read: OnceLock::new() }
    }

    fn passphrase(&self, key: &Path, asked: Asked, may_ask: bool) -> Result<SecretString, Diagnostic> {
        let failed = || Diagnostic::failure(format!("no passphrase for {}", key.display()));
        let had = match &self.declared {
            Passphrase::File(path) => self.read.get_or_init(|| of_file(path)).clone(),
            Passphrase::Environment(variable) => self.read.get_or_init(|| of_variable(variable)).clone(),
            Passphrase::Prompt => {
                let wrong = if asked == Asked::Again { "Wrong passphrase. " } else { "" };
                prompt(&format!("{wrong}Passphrase of {}: ", key.display()), may_ask)
                    .map(|text| SecretString::from(text.as_str()))
            }
        };
        let had = had.map_err(|why| failed().because_of(why))?;
        if had.expose_secret().is_empty() { Err(failed().with_cause("it is empty")) } else { Ok(had) }
    }
}

/// No passphrase is near this size.
const BYTES_MAX: usize = 4096;

/// An editor ends the line; a passphrase has no line breaks.
fn of_file(path: &Path) -> Result<SecretString, Diagnostic> {
    let failed = || Diagnostic::failure(format!("cannot read {}", path.display()));
    let cannot = |error: io::Error| failed().caused_by(&error);
    let file = File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    let mode = metadata.mode() & 0o7777;
    if metadata.is_file() && mode & 0o077 != 0 && !is_credential(path) {
        let path = path.display();
        let what = format!("{path} is readable by users other than its owner (mode {mode:o})");
        let hint = format!("run `chmod 600 {path}`; if others may have read it, encrypt the key anew");
        return Err(Diagnostic::failure(what).hint(hint));
    }
    let too_long = || failed().with_cause(format!("it is longer than {BYTES_MAX} bytes"));
    let bytes = pki::read_secret(file, BYTES_MAX).map_err(cannot)?.ok_or_else(too_long)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| failed().with_cause("it is not UTF-8"))?;
    Ok(SecretString::from(text.lines().next().unwrap_or_default()))
}

/// systemd gives a service's user its credentials by an ACL, which shows as the rights of the group.
fn is_credential(path: &Path) -> bool {
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|folder| !folder.is_empty() && path.starts_with(folder))
}

fn of_variable(name: &str) -> Result<SecretString, Diagnostic> {
    match std::env::var(name).map(Zeroizing::new) {
        Ok(text) => Ok(SecretString::from(text.as_str())),
        Err(VarError::NotPresent) => Err(Diagnostic::failure(format!("the environment variable {name} is not set"))),
        Err(VarError::NotUnicode(_)) => {
            Err(Diagnostic::failure(format!("the environment variable {name} is not UTF-8")))
        }
    }
}

/// Typed twice: nobody could open what a slip has encrypted.
fn new(key: &Path, may_ask: bool) -> Result<SecretString, Diagnostic> {
    let failed = || Diagnostic::failure(format!("no passphrase for {}", key.display()));
    let mut question = format!("New passphrase of {}: ", key.display());
    for _ in 0..ATTEMPTS {
        let first = prompt(&question, may_ask).map_err(|why| failed().because_of(why))?;
        if first.is_empty() {
            question = format!("It must not be empty. New passphrase of {}: ", key.display());
            continue;
        }
        let first = SecretString::from(first.as_str());
        let second = prompt("Once more: ", may_ask).map_err(|why| failed().because_of(why))?;
        if *first.expose_secret() == **second {
            return Ok(first);
        }
        question = format!("They differ. New passphrase of {}: ", key.display());
    }
    Err(failed().with_cause("the same was not typed twice"))
}

/// Without an echo.
fn prompt(question: &str, may_ask: bool) -> Result<Zeroizing<String>, Diagnostic> {
    if !may_ask {
        let hint = "run it on a terminal, let QUORATE_CA_PASSPHRASE_FILE name a file, or set `passphrase` in [ca] to \
                    { file = \"…\" } or { env = \"…\" }";
        return Err(Diagnostic::failure("cannot prompt for it here").hint(hint));
    }
    let asked = rpassword::prompt_password(question);
    asked.map(Zeroizing::new).map_err(|error| Diagnostic::failure("cannot prompt for it").caused_by(&error))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn opened(source: &Source, asked: Asked) -> Result<String, String> {
        let had = source.passphrase(Path::new("pki/ca.key"), asked, false);
        had.map(|had| had.expose_secret().to_owned()).map_err(|failure| failure.to_string())
    }

    fn written(path: &Path, text: &str, mode: u32) -> Source {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        Source::new(Passphrase::File(path.to_owned()))
    }

    /// As /dev/fd/3: a second reading would say that it is empty.
    #[test]
    fn a_pipe_is_read_once() {
        use std::io::Write as _;
        use std::os::fd::AsRawFd as _;

        let (pipe, mut writer) = io::pipe().unwrap();
        writer.write_all(b"hunter2\n").unwrap();
        drop(writer);
        let source = Source::new(Passphrase::File(format!("/dev/fd/{}", pipe.as_raw_fd()).into()));
        assert_eq!(opened(&source, Asked::Open).as_deref(), Ok("hunter2"));
        drop(pipe);
        assert_eq!(opened(&source, Asked::Again).as_deref(), Ok("hunter2"));
    }

    #[test]
    fn a_file_of_a_passphrase_is_its_owners_alone_and_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        assert_eq!(opened(&written(&path, "hunter2\nmore\n", 0o600), Asked::Open).as_deref(), Ok("hunter2"));
        let readable = opened(&written(&path, "hunter2", 0o640), Asked::Open).unwrap_err();
        assert!(readable.contains("readable by users other than its owner (mode 640)"), "{readable}");
        assert!(readable.contains("chmod 600") && !readable.contains("hunter2"), "{readable}");
        let long = opened(&written(&path, &"x".repeat(BYTES_MAX + 1), 0o600), Asked::Open).unwrap_err();
        assert!(long.contains("longer than 4096 bytes"), "{long}");
        assert!(opened(&written(&path, "\n", 0o600), Asked::Open).unwrap_err().contains("it is empty"));
        let none = opened(&Source::new(Passphrase::File(folder.path().join("none"))), Asked::Open).unwrap_err();
        assert!(none.starts_with("no passphrase for pki/ca.key") && none.contains("cannot read"), "{none}");
    }
}
