//! What opens encrypted keys of authorities: a passphrase from a file, the environment or whoever runs quorate, and age. It
//! is looked for once something is to be signed.

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::context::Context;
use crate::core::desired::{Age, Desired, KeyCare, Pair, Passphrase, Place};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::shell::live::pki::{Ask, Asked, Means, Opener};
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
    let is_unattended = age.as_ref().map_or(!asks_somebody, |age| opens_alone(&age.identity));
    let ask: Ask = Box::new(move |key: &Path, asked: Asked| {
        let had = match asked {
            Asked::New if asks_somebody => new(key, may_ask),
            Asked::Open | Asked::Again | Asked::New => read(&source, key, asked, may_ask),
        };
        had.map_err(|failure| failure.at(place.clone()))
    });
    Means {
        ask: Some(ask),
        attempts: if asks_somebody && may_ask { ATTEMPTS } else { 1 },
        is_unattended,
        encrypts: care.passphrase.is_some(),
        age,
        may_ask,
    }
}

/// An identity that is neither encrypted itself nor on a device.
fn opens_alone(identity: &Path) -> bool {
    let text = fs::read_to_string(identity).map(Zeroizing::new);
    text.is_ok_and(|text| text.lines().any(|line| line.starts_with("AGE-SECRET-KEY-1")))
}

fn read(source: &Passphrase, key: &Path, asked: Asked, may_ask: bool) -> Result<SecretString, Diagnostic> {
    let key = key.display();
    let failed = || Diagnostic::failure(format!("no passphrase for {key}"));
    let text = match source {
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
        Passphrase::Prompt => {
            let wrong = if asked == Asked::Again { "Wrong passphrase. " } else { "" };
            prompt(&format!("{wrong}Passphrase of {key}: "), may_ask).map_err(|why| failed().with_causes_of(why))?
        }
    };
    if text.is_empty() {
        return Err(failed().with_cause("it is empty"));
    }
    Ok(SecretString::from(text.as_str()))
}

/// Typed twice: nobody could open what a slip has encrypted.
fn new(key: &Path, may_ask: bool) -> Result<SecretString, Diagnostic> {
    let failed = || Diagnostic::failure(format!("no passphrase for {}", key.display()));
    let mut question = format!("New passphrase of {}: ", key.display());
    for _ in 0..ATTEMPTS {
        let first = prompt(&question, may_ask).map_err(|why| failed().with_causes_of(why))?;
        if first.is_empty() {
            question = format!("It must not be empty. New passphrase of {}: ", key.display());
            continue;
        }
        let first = SecretString::from(first.as_str());
        let second = prompt("Once more: ", may_ask).map_err(|why| failed().with_causes_of(why))?;
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

trait WithCausesOf {
    fn with_causes_of(self, why: Diagnostic) -> Diagnostic;
}

impl WithCausesOf for Diagnostic {
    fn with_causes_of(self, why: Diagnostic) -> Diagnostic {
        let Diagnostic { summary, causes, hint, .. } = why;
        let told = causes.into_iter().fold(self.with_cause(summary), Diagnostic::with_cause);
        Diagnostic { hint, ..told }
    }
}
