//! Passwords, fetched from where cluster.toml says, at the moment when etcd is given them.

use std::fs::File;
use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::core::desired::PasswordSource;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::UserName;
use crate::core::span;

/// No password is near this size.
const BYTES_MAX: u64 = 4096;
/// A password manager may ask whoever sits there.
const COMMAND_DEADLINE: Duration = Duration::from_secs(120);

/// The password of a user: the first line of what its source gives.
///
/// # Errors
/// When the source cannot be read, or what it gives begins with an empty line. What it gave is never told.
pub(super) async fn fetch(user: &UserName, source: &PasswordSource) -> Result<SecretString, Diagnostic> {
    secret(source).await.map_err(|Failure { from, why }| {
        Diagnostic::failure(format!("could not get the password of user {user} from {from}"))
            .with_cause(why)
            .hint(format!("check `password` in [users.{user}]; then run apply again"))
    })
}

/// Where a secret was looked for, and why it was not had. What the place gave is not in it.
pub(super) struct Failure {
    pub from: String,
    pub why: String,
}

/// The first line of what a source gives.
///
/// # Errors
/// As [`fetch`].
pub(super) async fn secret(source: &PasswordSource) -> Result<SecretString, Failure> {
    let (from, read) = match source {
        PasswordSource::File(path) => (path.display().to_string(), file(path)),
        PasswordSource::Env(name) => (format!("the variable {name}"), environment(name)),
        PasswordSource::Command(words) => (format!("`{}`", words[0]), command(words).await),
    };
    let failed = |why: String| Failure { from: from.clone(), why };
    let bytes = read.map_err(failed)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| failed("it is not UTF-8".to_owned()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(failed("it is empty".to_owned()));
    }
    Ok(SecretString::from(line))
}

type Bytes = Result<Zeroizing<Vec<u8>>, String>;

fn file(path: &std::path::Path) -> Bytes {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| error.to_string())
}

fn environment(name: &str) -> Bytes {
    match std::env::var(name) {
        Ok(text) => Ok(Zeroizing::new(text.into_bytes())),
        Err(std::env::VarError::NotPresent) => Err("it is not set".to_owned()),
        Err(std::env::VarError::NotUnicode(_)) => Err("it is not UTF-8".to_owned()),
    }
}

/// What it says on stderr goes where ours does: it may ask for a passphrase.
async fn command(words: &[String]) -> Bytes {
    let (program, arguments) = words.split_first().expect("an empty command is refused by the declaration");
    let mut command = tokio::process::Command::new(program);
    let command = command.args(arguments).stdin(Stdio::inherit()).stderr(Stdio::inherit()).kill_on_drop(true);
    let run = tokio::time::timeout(COMMAND_DEADLINE, command.output()).await;
    let output = run.map_err(|_| format!("it took longer than {}", span::limit(COMMAND_DEADLINE)))?;
    let output = output.map_err(|error| error.to_string())?;
    let bytes = Zeroizing::new(output.stdout);
    if output.status.success() { Ok(bytes) } else { Err(format!("it exited with {}", output.status)) }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    async fn fetched(source: PasswordSource) -> Result<String, String> {
        let secret = fetch(&UserName::new("app"), &source).await;
        let shown = format!("{secret:?}");
        assert!(!shown.contains("hunter"), "{shown}");
        secret.map(|secret| secret.expose_secret().to_owned()).map_err(|failure| failure.to_string())
    }

    #[tokio::test]
    async fn the_first_line_is_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "hunter2\nmore\n").unwrap();
        assert_eq!(fetched(PasswordSource::File(path)).await.as_deref(), Ok("hunter2"));
        let words = ["sh", "-c", "echo hunter3"].map(str::to_owned);
        assert_eq!(fetched(PasswordSource::Command(words.into())).await.as_deref(), Ok("hunter3"));
    }

    #[tokio::test]
    async fn what_was_wrong_is_told_and_never_the_password() {
        let why = fetched(PasswordSource::Env("QUORATE_NOT_SET".to_owned())).await.unwrap_err();
        assert!(why.contains("could not get the password of user app from the variable QUORATE_NOT_SET"), "{why}");
        let words = ["sh", "-c", "echo hunter2; exit 3"].map(str::to_owned);
        let why = fetched(PasswordSource::Command(words.into())).await.unwrap_err();
        assert!(why.contains("from `sh`") && why.contains("exit status: 3") && !why.contains("hunter2"), "{why}");
        let words = ["true"].map(str::to_owned);
        assert!(fetched(PasswordSource::Command(words.into())).await.unwrap_err().contains("it is empty"));
    }
}
