//! What opens encrypted keys, and encrypts new ones: PKCS#8 under a passphrase, and the program age.
//!
//! Looking opens nothing. What signs opens the keys that are here first, once a run, and whoever sits there may be asked.
//! What was opened is kept in memory by the digest of its file, so that a file which was changed is opened anew.
//!
//! age is run rather than linked: its crate brings 72 others, and the program knows hardware keys, too. It asks for a
//! passphrase of its own on the terminal.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use pkcs8::der::Decode as _;
use pkcs8::der::pem::PemLabel as _;
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::age;
use super::ca_certificate::RESTORE;
use super::encryption::{Encryption, encryption};
use super::file::{read, unusable};
use crate::core::desired::Age;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::Digest;
use crate::core::observed::Cause;
use crate::shell::live::mutex::guarded;

/// What a passphrase is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To open a key.
    Open,
    /// Again: the one before was wrong.
    Again,
    /// For a key that is to be made.
    New,
}

/// Has the passphrase of a key, from wherever it is.
pub type Ask = Box<dyn Fn(&Path, Asked) -> Result<SecretString, Diagnostic> + Send + Sync>;

/// How keys are opened and encrypted.
#[derive(Default)]
pub struct Means {
    /// `None`: there is no passphrase.
    pub ask: Option<Ask>,
    /// How often it may be asked for one key: more than once of a person only.
    pub attempts: usize,
    /// For the passphrase nobody has to sit there.
    pub is_unattended: bool,
    /// A new key is encrypted, although the one before it is not.
    pub encrypts: bool,
    pub age: Option<Age>,
    /// Somebody sits there.
    pub may_ask: bool,
}

#[derive(Default)]
pub struct Opener {
    means: Means,
    passphrase: Mutex<Option<SecretString>>,
    /// As PEM, by the digest of the file.
    opened: Mutex<BTreeMap<Digest, Zeroizing<Vec<u8>>>>,
    /// What age encrypts for the declared recipients was opened with the identity that is here.
    age_is_proven: AtomicBool,
}

/// How a new key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form<'a> {
    Plain,
    Passphrase,
    Age(&'a Age),
}

/// OWASP's figure for PBKDF2 with HMAC-SHA-256 (2023): about half a second.
const ITERATIONS: u32 = 600_000;

impl Opener {
    pub fn new(means: Means) -> Self {
        Self { means, ..Self::default() }
    }

    /// With a passphrase that is known, which nobody is asked for.
    pub fn with(passphrase: SecretString) -> Self {
        let means = Means { attempts: 1, is_unattended: true, encrypts: true, ..Means::default() };
        Self { means, passphrase: Mutex::new(Some(passphrase)), ..Self::default() }
    }

    /// Whether it opens a key that is encrypted in this way with nobody there.
    fn is_unattended(&self, encryption: Encryption) -> bool {
        match encryption {
            Encryption::Pkcs8 => self.means.is_unattended,
            Encryption::Age => self.means.age.as_ref().is_some_and(|age| age::opens_alone(&age.identity)),
            Encryption::Legacy => false,
        }
    }

    /// The key of a file that was opened.
    pub(super) fn opened(&self, file: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        guarded(&self.opened).get(&Digest::of(file)).cloned()
    }

    fn keep(&self, file: &[u8], pem: Zeroizing<Vec<u8>>) {
        guarded(&self.opened).insert(Digest::of(file), pem);
    }

    /// Opens the key in a file, if there is one and it is encrypted.
    ///
    /// # Errors
    /// When it cannot be read or opened.
    pub fn open(&self, path: &Path) -> Result<(), Diagnostic> {
        self.open_if(path, |_| true, self.means.may_ask).map(drop)
    }

    /// Whether there is an encrypted key in a file that opens with nobody there.
    pub fn opens_alone(&self, path: &Path) -> bool {
        let content = read(path).ok().flatten();
        content.and_then(|content| encryption(&content.bytes)).is_some_and(|how| self.is_unattended(how))
    }

    /// As [`Opener::open`], where nobody has to be there for it; whether one was opened.
    ///
    /// # Errors
    /// As [`Opener::open`].
    pub fn open_unattended(&self, path: &Path) -> Result<bool, Diagnostic> {
        self.open_if(path, |encryption| self.is_unattended(encryption), false)
    }

    fn open_if(&self, path: &Path, is_to: impl Fn(Encryption) -> bool, may_ask: bool) -> Result<bool, Diagnostic> {
        let Some(content) = read(path)? else { return Ok(false) };
        let bytes = &content.bytes;
        let pem = match encryption(bytes) {
            None | Some(Encryption::Legacy) => return Ok(false),
            Some(how) if self.opened(bytes).is_some() || !is_to(how) => return Ok(false),
            Some(Encryption::Pkcs8) => self.decrypt(bytes, path)?,
            Some(Encryption::Age) => self.decrypt_by_age(bytes, path, may_ask)?,
        };
        self.keep(bytes, pem);
        Ok(true)
    }

    fn decrypt_by_age(&self, file: &[u8], path: &Path, may_ask: bool) -> Result<Zeroizing<Vec<u8>>, Diagnostic> {
        let identity = self.means.age.as_ref().map(|age| age.identity.as_path());
        age::decrypt(file, path, identity, self.means.attempts, may_ask)
    }

    fn decrypt(&self, pem: &[u8], path: &Path) -> Result<Zeroizing<Vec<u8>>, Diagnostic> {
        let document = Encrypted::read(pem, path)?;
        // The one that opened another key of this authority.
        let known = guarded(&self.passphrase).clone();
        if let Some(pem) = known.as_ref().and_then(|known| document.open(known).ok()) {
            return Ok(pem);
        }
        let Some(ask) = &self.means.ask else {
            let hint = "set `passphrase` in [ca] to { file = \"…\" }, { env = \"…\" } or { prompt = true }";
            return Err(match known {
                None => Diagnostic::failure(format!("{} is encrypted, and there is no passphrase", path.display()))
                    .hint(hint),
                Some(known) => {
                    document.open(&known).err().map_or_else(|| document.wrong(), |error| document.failed(&error))
                }
            });
        };
        for attempt in 0..self.means.attempts {
            let passphrase = ask(path, if attempt == 0 { Asked::Open } else { Asked::Again })?;
            match document.open(&passphrase) {
                Ok(pem) => {
                    *guarded(&self.passphrase) = Some(passphrase);
                    return Ok(pem);
                }
                Err(error) if is_unknown(&error) => return Err(document.failed(&error)),
                Err(_) => {}
            }
        }
        Err(document.wrong())
    }

    /// Sees to it that a new key can be encrypted as it has to be, before anything is begun. `current` is the file of the
    /// key that there is, if one is there: it was opened.
    ///
    /// # Errors
    /// When there is no passphrase, no age, or nothing says how.
    pub fn prepare(&self, new: &Path, current: Option<&Path>) -> Result<(), Diagnostic> {
        match self.form(new, current)? {
            Form::Plain => Ok(()),
            Form::Age(age) => self.prove(age, new),
            Form::Passphrase if guarded(&self.passphrase).is_some() => Ok(()),
            Form::Passphrase => {
                let none = || Diagnostic::failure(format!("no passphrase for {}", new.display()));
                let ask = self.means.ask.as_ref().ok_or_else(none)?;
                *guarded(&self.passphrase) = Some(ask(new, Asked::New)?);
                Ok(())
            }
        }
    }

    /// That what is encrypted for the recipients can be opened here. Of a key it would be found with the hosts locked, and
    /// whoever sits there be asked then.
    fn prove(&self, age: &Age, new: &Path) -> Result<(), Diagnostic> {
        age::is_there()?;
        let probe = "quorate asks whether it can open what it encrypts";
        let sealed = age::encrypt(probe, new, age, self.means.may_ask)?;
        let lost = || {
            let what = "what age encrypts for the recipients in [ca] cannot be opened here, so no key is made";
            Diagnostic::failure(what)
        };
        let opened = self.decrypt_by_age(sealed.as_bytes(), new, self.means.may_ask);
        let opened = opened.map_err(|why| lost().because_of(why))?;
        if opened.as_slice() != probe.as_bytes() {
            return Err(lost().with_cause("it opens to something else"));
        }
        self.age_is_proven.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn form(&self, new: &Path, current: Option<&Path>) -> Result<Form<'_>, Diagnostic> {
        if let Some(age) = self.means.age.as_ref().filter(|age| !age.recipients.is_empty()) {
            return Ok(Form::Age(age));
        }
        if self.means.encrypts {
            return Ok(Form::Passphrase);
        }
        let current = current.map(read).transpose()?.flatten();
        // A key that takes the place of an encrypted one is never plain.
        match current.and_then(|content| encryption(&content.bytes)) {
            None => Ok(Form::Plain),
            Some(Encryption::Pkcs8 | Encryption::Legacy) => Ok(Form::Passphrase),
            Some(Encryption::Age) => Err(Diagnostic::failure(format!(
                "the key of the CA is encrypted by age, and nothing says for whom {} is to be",
                new.display()
            ))
            .hint("set `age = { recipients = [\"age1…\"], identity = \"…\" }` in [ca]")),
        }
    }

    /// The text of the file for a new key, which is kept as one that was opened.
    ///
    /// # Errors
    /// As [`Opener::prepare`], and when it cannot be encrypted.
    pub(super) fn seal(
        &self,
        key_pem: &str,
        new: &Path,
        current: Option<&Path>,
    ) -> Result<Zeroizing<String>, Diagnostic> {
        let failed =
            |why: String| Diagnostic::failure(format!("{} cannot be encrypted", new.display())).with_cause(why);
        let text = match self.form(new, current)? {
            Form::Plain => return Ok(Zeroizing::new(key_pem.to_owned())),
            Form::Age(age) => age::encrypt(key_pem, new, age, self.means.may_ask)?,
            Form::Passphrase => {
                let passphrase = guarded(&self.passphrase).clone();
                let passphrase = passphrase.ok_or_else(|| failed("there is no passphrase".to_owned()))?;
                encrypt(&der_of(key_pem.as_bytes()).ok_or_else(|| failed("it is no PEM".to_owned()))?, &passphrase)
                    .map_err(failed)?
            }
        };
        self.keep(text.as_bytes(), Zeroizing::new(key_pem.as_bytes().to_vec()));
        Ok(text)
    }

    /// Whether `file` opens to the key that it was made of, by what will open it in later runs.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn verify(&self, file: &[u8], path: &Path) -> Result<(), Diagnostic> {
        let Some(made_of) = self.opened(file) else { return Ok(()) };
        let again = match encryption(file) {
            // Nobody is asked twice.
            Some(Encryption::Age) if self.age_is_proven.load(Ordering::Relaxed) => return Ok(()),
            Some(Encryption::Age) => self.decrypt_by_age(file, path, self.means.may_ask)?,
            Some(Encryption::Pkcs8) => self.decrypt(file, path)?,
            Some(Encryption::Legacy) | None => return Ok(()),
        };
        if der_of(&again).is_some_and(|again| Some(again) == der_of(&made_of)) {
            return Ok(());
        }
        Err(Diagnostic::failure(format!("{} does not open to the key that was encrypted", path.display())))
    }
}

/// An encrypted key, and where it lies.
struct Encrypted<'a> {
    der: Vec<u8>,
    path: &'a Path,
}

impl<'a> Encrypted<'a> {
    fn read(pem: &[u8], path: &'a Path) -> Result<Self, Cause> {
        let unreadable = || unusable(format!("{} is not a readable encrypted key", path.display()), Some(RESTORE));
        let text = std::str::from_utf8(pem).map_err(|_| unreadable())?;
        let begin = text.find("-----BEGIN").unwrap_or(0);
        let (label, der) = pkcs8::der::pem::decode_vec(&text.as_bytes()[begin..]).map_err(|_| unreadable())?;
        if label != EncryptedPrivateKeyInfo::PEM_LABEL || EncryptedPrivateKeyInfo::from_der(&der).is_err() {
            return Err(unreadable());
        }
        Ok(Self { der, path })
    }

    fn open(&self, passphrase: &SecretString) -> Result<Zeroizing<Vec<u8>>, pkcs8::Error> {
        let document = EncryptedPrivateKeyInfo::from_der(&self.der)?.decrypt(passphrase.expose_secret())?;
        // A wrong passphrase may give bytes that only look unpadded.
        PrivateKeyInfo::from_der(document.as_bytes())?;
        let pem = document.to_pem(PrivateKeyInfo::PEM_LABEL, LineEnding::LF)?;
        Ok(Zeroizing::new(pem.as_bytes().to_vec()))
    }

    fn wrong(&self) -> Diagnostic {
        let what = format!("{} cannot be decrypted: the passphrase is wrong", self.path.display());
        Diagnostic::failure(what).hint("check the passphrase that [ca] refers to")
    }

    fn failed(&self, error: &pkcs8::Error) -> Diagnostic {
        match is_unknown(error) {
            true => {
                Diagnostic::failure(format!("{} is encrypted in a way that quorate does not know", self.path.display()))
                    .hint("encrypt it with AES: `openssl pkcs8 -topk8 -v2 aes-256-cbc`")
            }
            false => self.wrong(),
        }
    }
}

fn der_of(pem: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    pkcs8::der::pem::decode_vec(pem).ok().map(|(_, der)| Zeroizing::new(der))
}

/// Whatever the passphrase.
fn is_unknown(error: &pkcs8::Error) -> bool {
    matches!(error, pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }))
}

/// As `openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000` does it.
fn encrypt(der: &[u8], passphrase: &SecretString) -> Result<Zeroizing<String>, String> {
    let (mut salt, mut start) = ([0; 16], [0; 16]);
    for bytes in [&mut salt, &mut start] {
        aws_lc_rs::rand::fill(bytes).map_err(|_| "there are no random bytes")?;
    }
    let parameters = pbes2::Parameters::pbkdf2_sha256_aes256cbc(ITERATIONS, &salt, &start);
    let parameters = parameters.map_err(|error| error.to_string())?;
    let key = PrivateKeyInfo::try_from(der).map_err(|error| error.to_string())?;
    let sealed = key.encrypt_with_params(parameters, passphrase.expose_secret()).map_err(|error| error.to_string())?;
    sealed.to_pem(EncryptedPrivateKeyInfo::PEM_LABEL, LineEnding::LF).map_err(|error| error.to_string())
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("passphrase", &"***").finish_non_exhaustive()
    }
}
