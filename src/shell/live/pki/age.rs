//! The program age (https://age-encryption.org), which opens and encrypts keys. What it says on stderr goes where ours
//! does. What it asks it asks on the terminal; where nobody may be asked it is run without one, and says what it lacks.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::file::{read, read_secret};
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

/// Whether an identity opens keys with nobody there: it is neither encrypted itself nor on a device.
pub(super) fn opens_alone(identity: &Path) -> bool {
    let begins = |line: &[u8]| line.starts_with(b"AGE-SECRET-KEY-");
    read(identity).ok().flatten().is_some_and(|content| content.bytes.split(|byte| *byte == b'\n').any(begins))
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
    may_ask: bool,
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
    let attempts = if identity.is_none() && may_ask { attempts.max(1) } else { 1 };
    let mut failed = Diagnostic::failure(format!("age did not open {shown}"));
    for _ in 0..attempts {
        match run(&mut command, file, may_ask) {
            Ok(pem) => return Ok(pem),
            Err(why) => failed = Diagnostic::failure(format!("age did not open {shown}")).with_cause(why),
        }
    }
    is_there()?;
    Err(match may_ask {
        true => failed.hint(hint),
        false => {
            failed.hint(format!("{hint}; where it asks for something, run this on a terminal, without --no-input"))
        }
    })
}

/// The armored file of a key.
///
/// # Errors
/// When age cannot be run, or refuses.
pub(super) fn encrypt(key_pem: &str, path: &Path, age: &Age, may_ask: bool) -> Result<Zeroizing<String>, Diagnostic> {
    let mut command = Command::new("age");
    command.args(["--encrypt", "--armor"]);
    for recipient in &age.recipients {
        command.arg("--recipient").arg(recipient);
    }
    let failed = |why: String| Diagnostic::failure(format!("age did not encrypt {}", path.display())).with_cause(why);
    let file = run(&mut command, key_pem.as_bytes(), may_ask).map_err(failed)?;
    let text = std::str::from_utf8(&file).map_err(|error| failed(error.to_string()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// No key is near this size.
const BYTES_MAX: usize = 64 << 10;

fn run(command: &mut Command, input: &[u8], may_ask: bool) -> Result<Zeroizing<Vec<u8>>, String> {
    if !may_ask {
        // It would find the terminal by itself, whatever its stdin is.
        // SAFETY: setsid is async-signal-safe, and nothing else is done between fork and exec.
        unsafe { command.pre_exec(|| rustix::process::setsid().map(drop).map_err(std::io::Error::from)) };
    }
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
    let mut child = spawned.map_err(|error| error.to_string())?;
    // It reads all before it writes, and both are smaller than a pipe. One that has ended reads nothing.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input));
    let said = child.stdout.take().map(|stdout| read_secret(stdout, BYTES_MAX)).transpose();
    let ended = child.wait().map_err(|error| error.to_string())?;
    let said = said.map_err(|error| error.to_string())?.flatten();
    let said = said.ok_or_else(|| format!("it gave more than {BYTES_MAX} bytes"))?;
    if ended.success() { Ok(said) } else { Err(format!("it exited with {ended}")) }
}
