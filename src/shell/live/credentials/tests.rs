//! What a look opens by itself, and what it takes for a certificate to look with. No host is asked here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::core::cluster::leaf;
use crate::core::desired::{Auth, Pair};
use crate::core::names::ClusterName;
use crate::core::observed::OpenedBy;
use crate::laws::sample;
use crate::shell::live::pki::{Ask, Means};

/// The credentials of a cluster whose authority is in `folder`, under `hunter2`.
fn credentials(folder: &Path, openers: Openers, auth: bool) -> Credentials {
    let mut desired = sample::desired(1);
    desired.authority = AuthoritySource::Generated { folder: folder.to_owned() };
    desired.auth = auth.then(|| Auth { enabled: true, users: BTreeMap::new(), roles: BTreeMap::new() });
    Credentials::new(Arc::new(Hosts::new(desired)), openers)
}

fn encrypted(folder: &Path) {
    let opener = Opener::with(SecretString::from("hunter2"));
    pki::create_with(folder, &ClusterName::new("prod"), &opener, now()).unwrap();
}

/// What has this passphrase somewhere, and how often it was asked for.
fn answering(passphrase: &'static str, is_unattended: bool) -> (Openers, Arc<Mutex<usize>>) {
    let asked = Arc::new(Mutex::new(0));
    let heard = Arc::clone(&asked);
    let ask: Ask = Box::new(move |_, _| {
        *heard.lock().unwrap() += 1;
        Ok(SecretString::from(passphrase))
    });
    let means = Means { ask: Some(ask), attempts: 1, is_unattended, ..Means::default() };
    (Openers { authority: Arc::new(Opener::new(means)), ..Openers::default() }, asked)
}

/// Authentication is on, and only root may look.
#[tokio::test]
async fn a_look_opens_what_opens_alone_and_tries_that_once() {
    let folder = tempfile::tempdir().unwrap();
    encrypted(folder.path());
    for (passphrase, is_unattended, asked_for, opens) in
        [("hunter2", true, 1, true), ("hunter3", true, 1, false), ("hunter2", false, 0, false)]
    {
        let (openers, asked) = answering(passphrase, is_unattended);
        let credentials = credentials(folder.path(), openers, true);
        for _ in 0..3 {
            let loaded = credentials.load_authority(now()).await.unwrap().unwrap();
            assert_eq!(loaded.signer().is_some(), opens, "{passphrase}");
        }
        assert!(!credentials.open_unattended().await, "it was tried");
        assert_eq!(*asked.lock().unwrap(), asked_for, "{passphrase}");
    }
}

/// What the declaration does not tell, a look does: then the key is opened after it, and what that look could not find out is
/// found out by the next.
#[tokio::test]
async fn after_a_look_that_was_not_let_in_the_key_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    encrypted(folder.path());
    let (openers, asked) = answering("hunter2", true);
    let alone = credentials(folder.path(), openers, false);
    assert!(alone.take_first_look() && !alone.take_first_look());
    assert!(alone.open_unattended().await && alone.take_first_look());
    assert!(alone.load_authority(now()).await.unwrap().unwrap().signer().is_some());
    assert!(!alone.open_unattended().await);
    assert_eq!(*asked.lock().unwrap(), 1);
    let (openers, asked) = answering("hunter2", false);
    let attended = credentials(folder.path(), openers, false);
    assert!(attended.take_first_look() && !attended.open_unattended().await && !attended.take_first_look());
    attended.open_keys(Need::Look).await.unwrap();
    assert_eq!(*asked.lock().unwrap(), 0);
    attended.open_keys(Need::LookAgain).await.unwrap();
    assert!(attended.load_authority(now()).await.unwrap().unwrap().signer().is_some());
    assert!(attended.take_first_look());
}

/// While a rotation is under way, members trust both.
#[tokio::test]
async fn a_reader_may_be_signed_by_the_next_authority() {
    let folder = tempfile::tempdir().unwrap();
    let pki = folder.path().join("pki");
    encrypted(&pki);
    let opener = Opener::with(SecretString::from("hunter2"));
    opener.open(&pki.join("ca.key")).unwrap();
    let next = pki::create_next_with(&pki, &ClusterName::new("prod"), &opener, now()).unwrap();
    let leaf = next.issue(&leaf::client("monitoring"), 3600, now()).unwrap();
    let [certificate, key] = ["crt", "key"].map(|end| folder.path().join(format!("reader.{end}")));
    fs::write(&certificate, &leaf.certificate_pem).unwrap();
    fs::write(&key, leaf.key_pem.expose_secret()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let reader = Reader { pair: Some(Pair { certificate, key }), is_asked_for: true };
    let credentials = credentials(&pki, Openers { reader, ..Openers::default() }, false);
    assert_eq!(credentials.client(now()).await.unwrap().certificate, leaf.certificate_pem);
}

#[test]
fn what_is_missing_is_told_as_it_is() {
    let told = |why| {
        let lent = Lent { key: "pki/ca.key".to_owned(), has_certificate: true, why, reader: None };
        let cause = nothing_to_show(&lent);
        (cause.code, cause.summary)
    };
    let (code, said) = told(Unable::Encrypted(OpenedBy::Passphrase));
    assert!(code == Code::KeyEncrypted && said.contains("pki/ca.key is encrypted, and no node has lent"), "{said}");
    let (code, said) = told(Unable::NotHere);
    assert!(code == Code::KeyNotHere && said.contains("pki/ca.key is not here"), "{said}");
    let (code, said) = told(Unable::Vault("the token of Vault is not here".to_owned()));
    assert!(code == Code::KeyNotHere && said.contains("queried: the token of Vault is not here"), "{said}");
}
