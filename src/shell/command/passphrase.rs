//! The passphrase of an authority's key: from a file, the environment, or whoever runs quorate.

use std::fs;
use std::io::IsTerminal as _;
use std::sync::Arc;

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::context::Context;
use crate::core::desired::{AuthoritySource, Desired, Passphrase, Place};
use crate::core::diagnostic::Diagnostic;
use crate::shell::live::Openers;
use crate::shell::live::pki::Opener;

/// What opens the keys of the declared authority and of the previous one.
///
/// # Errors
/// When a passphrase is not where [ca] says, or nobody can be asked for it.
pub fn openers(desired: &Desired, context: &Context) -> Result<Openers, Diagnostic> {
    let place = |place| desired.places.of(place);
    let authority = opener(Some(&desired.authority), place(Place::CaPassphrase), context)?;
    let previous = opener(desired.previous_authority.as_ref(), place(Place::CaPreviousPassphrase), context)?;
    Ok(Openers { authority: Arc::new(authority), previous: Arc::new(previous) })
}

fn opener(source: Option<&AuthoritySource>, place: String, context: &Context) -> Result<Opener, Diagnostic> {
    match source {
        // Without the key there is nothing to open.
        Some(AuthoritySource::Files { passphrase: Some(passphrase), pair }) if pair.key.symlink_metadata().is_ok() => {
            let read = read(passphrase, &pair.key.display().to_string(), context);
            Ok(Opener::with(Some(read.map_err(|failure| failure.at(place))?)))
        }
        _ => Ok(Opener::default()),
    }
}

fn read(passphrase: &Passphrase, key: &str, context: &Context) -> Result<SecretString, Diagnostic> {
    let failed = || Diagnostic::failure(format!("no passphrase for {key}"));
    let text = match passphrase {
        Passphrase::File(path) => {
            let text = fs::read_to_string(path).map(Zeroizing::new);
            let cannot = |error| failed().with_cause(format!("cannot read {}", path.display())).caused_by(&error);
            // An editor ends the line; a passphrase has no line breaks.
            let text = text.map_err(cannot)?;
            Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())
        }
        Passphrase::Environment(variable) => match std::env::var(variable) {
            Ok(text) => Zeroizing::new(text),
            Err(_) => return Err(failed().with_cause(format!("the environment variable {variable} is not set"))),
        },
        Passphrase::Prompt if context.no_input || !std::io::stdin().is_terminal() => {
            let hint = "run it on a terminal, or set `passphrase` in [ca] to { file = \"…\" } or { env = \"…\" }";
            return Err(failed().with_cause("cannot prompt for it here").hint(hint));
        }
        Passphrase::Prompt => {
            let asked = rpassword::prompt_password(format!("Passphrase of {key}: "));
            Zeroizing::new(asked.map_err(|error| failed().caused_by(&error))?)
        }
    };
    if text.is_empty() {
        return Err(failed().with_cause("it is empty"));
    }
    Ok(SecretString::from(text.as_str()))
}
