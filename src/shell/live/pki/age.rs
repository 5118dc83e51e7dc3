//! The program age (https://age-encryption.org), which opens and encrypts keys. What it says on stderr goes where ours
//! does, and what it asks it asks on the terminal.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use crate::core::desired::Age;
use crate::core::diagnostic::Diagnostic;

/// # Errors
/// When age is not installed here.
pub(super) fn is_there() -> Result<(), Diagnostic> {
    let mut command = Command::new("age");
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().map(drop).map_err(|error| missing().caused_by(&error))
}

fn missing() -> Diagnostic {
    Diagnostic::failure("the key of the CA is encrypted by age, and age cannot be run here")
        .hint("install age (Debian: `apt install age`)")
}

/// The PEM of the key in a file that age encrypted. Where there is no identity, age asks for its passphrase.
///
/// # Errors
/// When age cannot be run, or does not open it.
pub(super) fn decrypt(
    file: &[u8],
    path: &Path,
    identity: Option<&Path>,
    attempts: usize,
) -> Result<Zeroizing<Vec<u8>>, Diagnostic> {
    let shown = path.display();
    let mut command = Command::new("age");
    command.arg("--decrypt");
    let hint = match identity {
        None => "set `age = { recipients = [\"age1…\"], identity = \"…\" }` in [ca]".to_owned(),
        Some(identity) => {
            if let Err(error) = std::fs::metadata(identity) {
                let what = Diagnostic::failure(format!("{shown} cannot be opened: no identity of age"));
                return Err(what.with_cause(identity.display().to_string()).caused_by(&error));
            }
            command.arg("--identity").arg(identity);
            format!("`age-keygen -y {}` shows whether it is the identity that the key is for", identity.display())
        }
    };
    // Only a passphrase can be mistyped.
    let attempts = if identity.is_none() { attempts } else { 1 };
    let mut failed = Diagnostic::failure(format!("age did not open {shown}"));
    for _ in 0..attempts {
        match run(&mut command, file) {
            Ok(pem) => return Ok(pem),
            Err(why) => failed = Diagnostic::failure(format!("age did not open {shown}")).with_cause(why),
        }
    }
    is_there()?;
    Err(failed.hint(hint))
}

/// The armored file of a key.
///
/// # Errors
/// When age cannot be run, or refuses.
pub(super) fn encrypt(key_pem: &str, path: &Path, age: &Age) -> Result<Zeroizing<String>, Diagnostic> {
    let mut command = Command::new("age");
    command.args(["--encrypt", "--armor"]);
    for recipient in &age.recipients {
        command.arg("--recipient").arg(recipient);
    }
    let failed = |why: String| Diagnostic::failure(format!("age did not encrypt {}", path.display())).with_cause(why);
    let file = run(&mut command, key_pem.as_bytes()).map_err(failed)?;
    let text = std::str::from_utf8(&file).map_err(|error| failed(error.to_string()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// No key is near this size.
const BYTES_MAX: u64 = 64 << 10;

fn run(command: &mut Command, input: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
    let mut child = spawned.map_err(|error| error.to_string())?;
    // It reads all before it writes, and both are smaller than a pipe. One that has ended reads nothing.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input));
    let mut said = Zeroizing::new(Vec::new());
    let read = child.stdout.take().map(|stdout| stdout.take(BYTES_MAX).read_to_end(&mut said)).transpose();
    let ended = child.wait().map_err(|error| error.to_string())?;
    read.map_err(|error| error.to_string())?;
    if ended.success() { Ok(said) } else { Err(format!("it exited with {ended}")) }
}
