//! Encrypted keys: made, opened, asked for, and taken over by a rotation.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::{fs, iter};

use secrecy::SecretString;

use super::encryption::{Encryption, encryption};
use super::*;
use crate::core::desired::Age;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{ClusterName, UnixSeconds};
use crate::core::observed::{OpenedBy, Unable};

fn now() -> UnixSeconds {
    UnixSeconds(jiff::Timestamp::now().as_second())
}

fn prod() -> ClusterName {
    ClusterName::new("prod")
}

fn known(passphrase: &str) -> Opener {
    Opener::with(SecretString::from(passphrase))
}

/// Somebody who gives these answers, and what was asked.
fn somebody(answers: &'static [&'static str], encrypts: bool) -> (Opener, Arc<Mutex<Vec<Asked>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let ask: Ask = Box::new(move |_, what| {
        let mut asked = heard.lock().unwrap();
        asked.push(what);
        let answer = answers.get(asked.len() - 1).ok_or_else(|| Diagnostic::failure("asked too often"))?;
        Ok(SecretString::from(*answer))
    });
    let means = Means { ask: Some(ask), attempts: 3, encrypts, may_ask: true, ..Means::default() };
    (Opener::new(means), asked)
}

fn is_encrypted(path: &Path) -> bool {
    let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{}", path.display());
    encryption(&fs::read(path).unwrap()).is_some()
}

fn why(ca: &LoadedCa) -> Option<&Unable> {
    ca.locked().map(|lent| &lent.why)
}

#[test]
fn a_new_key_is_written_encrypted_and_opened_by_later_runs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = folder.join(KEY);
    let (making, asked) = somebody(&["hunter2"], true);
    making.prepare(&key, None).unwrap();
    let made = create_with(folder, &prod(), &making, now()).unwrap();
    assert_eq!(*asked.lock().unwrap(), [Asked::New]);
    assert!(is_encrypted(&key));
    assert!(!has_signed(folder, &ClusterName::new("other"), now()));
    // A later run knows the certificate alone, until it asks.
    let (later, asked) = somebody(&["hunter3", "hunter2"], true);
    let locked = read_folder(folder, &later, now()).unwrap().unwrap();
    assert_eq!(why(&locked), Some(&Unable::Encrypted(OpenedBy::Passphrase)));
    assert_eq!(locked.certificate().facts(), made.facts());
    assert!(load(folder, now()).unwrap_err().summary.contains("is encrypted"));
    later.open(&key).unwrap();
    later.open(&key).unwrap();
    assert_eq!(*asked.lock().unwrap(), [Asked::Open, Asked::Again]);
    let opened = read_folder(folder, &later, now()).unwrap().unwrap();
    assert!(opened.signer().is_some());
    // openssl opens it, too.
    let mut openssl = Command::new("openssl");
    openssl.args(["pkey", "-noout", "-passin", "pass:hunter2", "-in"]).arg(&key);
    if let Ok(output) = openssl.output() {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn who_mistypes_three_times_is_told() {
    let folder = tempfile::tempdir().unwrap();
    create_with(folder.path(), &prod(), &known("hunter2"), now()).unwrap();
    let (wrong, asked) = somebody(&["a", "b", "c", "hunter2"], false);
    let failure = wrong.open(&folder.path().join(KEY)).unwrap_err();
    assert!(failure.summary.ends_with("the passphrase is wrong"), "{failure}");
    assert_eq!(*asked.lock().unwrap(), [Asked::Open, Asked::Again, Asked::Again]);
}

/// Where cluster.toml says nothing, too: the key that takes the place of an encrypted one is encrypted with the same.
#[test]
fn the_next_key_is_encrypted_where_the_current_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    create_with(folder, &prod(), &known("hunter2"), now()).unwrap();
    let (opener, asked) = somebody(&["hunter2"], false);
    let [current, next] = keys_in(folder);
    opener.open(&current).unwrap();
    opener.prepare(&next, Some(&current)).unwrap();
    create_next_with(folder, &prod(), &opener, now()).unwrap();
    assert!(is_encrypted(&next));
    // A run that was killed in between asks again, once for both.
    let (again, asked_again) = somebody(&["hunter2"], false);
    assert_eq!(
        read_next(folder, &again, now()).unwrap().as_ref().and_then(why),
        Some(&Unable::Encrypted(OpenedBy::Passphrase))
    );
    keys_in(folder).iter().for_each(|path| again.open(path).unwrap());
    adopt_next_with(folder, &again, now()).unwrap();
    assert_eq!((asked.lock().unwrap().len(), asked_again.lock().unwrap().len()), (1, 1));
    let keys: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let keys: Vec<_> = keys.iter().filter(|path| path.extension().is_some_and(|end| end == "key")).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys.into_iter().all(|path| is_encrypted(path)));
    assert!(read_folder(folder, &again, now()).unwrap().unwrap().signer().is_some());
}

#[test]
fn a_creation_that_was_cut_off_is_finished_with_the_passphrase_that_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let begun = create_with(folder, &prod(), &known("hunter2"), now()).unwrap();
    fs::rename(folder.join(CERTIFICATE), folder.join(super::folder::CERTIFICATE_PENDING)).unwrap();
    assert!(read_folder(folder, &Opener::default(), now()).unwrap().is_none());
    let (wrong, _) = somebody(&["hunter3", "a", "b"], true);
    wrong.open(&folder.join(KEY)).unwrap_err();
    let (right, asked) = somebody(&["hunter2"], true);
    right.open(&folder.join(KEY)).unwrap();
    right.prepare(&folder.join(super::folder::NEXT_KEY), Some(&folder.join(KEY))).unwrap();
    let finished = create_with(folder, &prod(), &right, now()).unwrap();
    assert_eq!(finished.facts(), begun.facts());
    assert_eq!(asked.lock().unwrap().len(), 1);
}

/// In a clone without keys, the certificates alone tell how far a rotation is.
#[test]
fn certificates_without_keys_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    create(folder, &prod(), now()).unwrap();
    let next = create_next(folder, &prod(), now().plus_seconds(1)).unwrap();
    keys_in(folder).iter().for_each(|path| fs::remove_file(path).unwrap());
    let known = read_next(folder, &Opener::default(), now()).unwrap().unwrap();
    assert_eq!((known.certificate().facts(), why(&known)), (next.facts(), Some(&Unable::NotHere)));
    assert!(read_folder(folder, &Opener::default(), now()).unwrap_err().summary.contains("ca.key does not"));
}

#[test]
fn age_encrypts_and_opens_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["identity", "other"] {
        let made = Command::new("age-keygen").arg("-o").arg(path(name)).stderr(Stdio::null()).status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("skipped: age_encrypts_and_opens_keys: age-keygen is not installed");
            return;
        }
    }
    let recipient = Command::new("age-keygen").arg("-y").arg(path("identity")).output().unwrap();
    let recipients = vec![String::from_utf8(recipient.stdout).unwrap().trim().to_owned()];
    let opener = |identity: &str, recipients: &[String]| {
        let age = Some(Age { recipients: recipients.to_vec(), identity: path(identity) });
        Opener::new(Means { age, attempts: 1, ..Means::default() })
    };
    let pki = path("pki");
    // What nobody here could open again is not made.
    create_with(&pki, &prod(), &opener("other", &recipients), now()).unwrap_err();
    assert!(!pki.join(KEY).exists() && !pki.join(CERTIFICATE).exists());
    create_with(&pki, &prod(), &opener("identity", &recipients), now()).unwrap();
    assert!(is_encrypted(&pki.join(KEY)));
    assert_eq!(encryption(&fs::read(pki.join(KEY)).unwrap()), Some(Encryption::Age));
    // The binary form, as `age --encrypt` without `--armor` writes it.
    let mut age = Command::new("age");
    age.args(["--encrypt", "--recipient", &recipients[0], "--output"]).arg(path("binary"));
    let plain = Command::new("age").args(["--decrypt", "--identity"]).arg(path("identity")).arg(pki.join(KEY)).output();
    fs::write(path("plain"), plain.unwrap().stdout).unwrap();
    assert!(age.arg(path("plain")).status().unwrap().success());
    assert_eq!(encryption(&fs::read(path("binary")).unwrap()), Some(Encryption::Age));
    for key in [pki.join(KEY), path("binary")] {
        opener("identity", &[]).open(&key).unwrap();
        let failure = opener("other", &[]).open(&key).unwrap_err();
        assert!(failure.summary.contains("age did not open"), "{failure}");
        let failure = opener("missing", &[]).open(&key).unwrap_err().to_string();
        assert!(failure.contains("no identity of age") && failure.contains("missing"), "{failure}");
    }
    // Without recipients nobody knows for whom the next one is to be; it is not written plain.
    let nobody = opener("identity", &[]);
    nobody.open(&pki.join(KEY)).unwrap();
    let [current, next] = keys_in(&pki);
    assert!(nobody.prepare(&next, Some(&current)).unwrap_err().to_string().contains("recipients"));
    let rotating = opener("identity", &recipients);
    iter::once(&current).for_each(|path| rotating.open(path).unwrap());
    // That it can be opened again is proven before anything is begun, and not asked a second time.
    let failure = opener("other", &recipients).prepare(&next, Some(&current)).unwrap_err();
    assert!(failure.summary.contains("for the recipients in [ca] cannot be opened here"), "{failure}");
    rotating.prepare(&next, Some(&current)).unwrap();
    fs::remove_file(path("identity")).unwrap();
    create_next_with(&pki, &prod(), &rotating, now().plus_seconds(1)).unwrap();
    assert!(is_encrypted(&next));
}

/// An identity of ssh is none that a look would use by itself; whoever signs may, without a terminal, too.
#[test]
fn age_opens_with_an_identity_of_ssh_where_nobody_can_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path("identity"));
    let has_age = Command::new("age").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !has_age || !keygen.status().is_ok_and(|status| status.success()) {
        eprintln!(
            "skipped: age_opens_with_an_identity_of_ssh_where_nobody_can_be_asked: age or ssh-keygen is not installed"
        );
        return;
    }
    let recipients = vec![fs::read_to_string(path("identity.pub")).unwrap().trim().to_owned()];
    let opener = || {
        let age = Some(Age { recipients: recipients.clone(), identity: path("identity") });
        Opener::new(Means { age, attempts: 1, ..Means::default() })
    };
    let pki = path("pki");
    create_with(&pki, &prod(), &opener(), now()).unwrap();
    let later = opener();
    assert!(!later.open_unattended(&pki.join(KEY)).unwrap());
    assert_eq!(why(&read_folder(&pki, &later, now()).unwrap().unwrap()), Some(&Unable::Encrypted(OpenedBy::Age)));
    later.open(&pki.join(KEY)).unwrap();
    assert!(read_folder(&pki, &later, now()).unwrap().unwrap().signer().is_some());
}

/// How the file is encrypted decides, and not what else is at hand: an identity of age opens no passphrase.
#[test]
fn a_look_asks_nobody_for_a_passphrase_because_there_is_an_identity_of_age() {
    let folder = tempfile::tempdir().unwrap();
    create_with(folder.path(), &prod(), &known("hunter2"), now()).unwrap();
    let identity = folder.path().join("identity");
    fs::write(&identity, "# public key: age1\nAGE-SECRET-KEY-1XYZ\n").unwrap();
    let key = folder.path().join(KEY);
    let opener = |is_unattended| {
        let asked = Arc::new(Mutex::new(0));
        let heard = Arc::clone(&asked);
        let ask: Ask = Box::new(move |_, _| {
            *heard.lock().unwrap() += 1;
            Ok(SecretString::from("hunter2"))
        });
        let age = Some(Age { recipients: Vec::new(), identity: identity.clone() });
        (Opener::new(Means { ask: Some(ask), attempts: 1, is_unattended, age, ..Means::default() }), asked)
    };
    let (attended, asked) = opener(false);
    assert_eq!((attended.open_unattended(&key), *asked.lock().unwrap()), (Ok(false), 0));
    let (alone, asked) = opener(true);
    assert_eq!((alone.open_unattended(&key), *asked.lock().unwrap()), (Ok(true), 1));
}
