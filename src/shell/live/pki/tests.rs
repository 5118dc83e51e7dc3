//! The authority and its leaves, with openssl as the judge, and authorities that openssl made.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;
use crate::core::cluster::leaf::Wanted;
use crate::core::code::Code;
use crate::core::desired::AuthoritySource;
use crate::core::names::{ClusterName, Digest, UnixSeconds};
use crate::core::observed::{Cause, OpenedBy, Seen, Unable, Usage};

const DAY: u64 = 24 * 3600;

/// openssl judges by the real clock, so the tests live in the present.
fn now() -> UnixSeconds {
    UnixSeconds(jiff::Timestamp::now().as_second())
}

fn prod() -> ClusterName {
    ClusterName::new("prod")
}

fn created() -> (TempDir, Signer) {
    let parent = TempDir::new().unwrap();
    let signer = create(&parent.path().join("pki"), &prod(), now()).unwrap();
    (parent, signer)
}

fn server() -> Wanted {
    Wanted {
        common_name: "etcd-1".to_owned(),
        names: ["etcd-1", "10.0.0.11", "fd00::11", "localhost"].map(str::to_owned).into(),
        usages: [Usage::ServerAuth, Usage::ClientAuth].into(),
        like: None,
    }
}

fn client() -> Wanted {
    Wanted { common_name: "app".to_owned(), names: BTreeSet::new(), usages: [Usage::ClientAuth].into(), like: None }
}

fn cause(folder: &Path) -> Cause {
    let cause = load(folder, now()).expect_err("the authority should not be usable");
    assert_eq!(cause.code, Code::AuthorityUnreadable);
    cause
}

/// Runs openssl in `folder`; `None`, said aloud, where there is none.
fn openssl(folder: &Path, arguments: &str) -> Option<String> {
    let output = match Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: openssl is not installed");
            return None;
        }
        output => output.unwrap(),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "openssl {arguments}: {text}{}", String::from_utf8_lossy(&output.stderr));
    Some(text)
}

#[test]
fn there_is_no_authority_until_one_is_made() {
    let (parent, signer) = created();
    assert!(load(&parent.path().join("elsewhere"), now()).unwrap().is_none());
    assert!(load(parent.path(), now()).unwrap().is_none());
    let folder = parent.path().join("pki");
    let again = load(&folder, now()).unwrap().unwrap();
    assert_eq!(again.facts(), signer.facts());
    let text = fs::read(folder.join("ca.crt")).unwrap();
    assert_eq!(again.certificate_pem().as_bytes(), text);
    assert_eq!(again.facts().file_digest, Digest::of(&text));
    assert_eq!(trusted(again.certificate_pem()), [again.facts().fingerprint]);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(folder.clone()), mode(folder.join("ca.key"))), (0o700, 0o600));
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".ca.unused", "ca.crt", "ca.key"], "nothing else is left behind");
}

/// An authority that was made here says of itself when it has signed; one that was brought by hand, or is another
/// cluster's, says nothing.
#[test]
fn an_authority_tells_whether_it_has_signed() {
    let (parent, _) = created();
    let folder = parent.path().join("pki");
    assert!(!has_signed(&folder, &prod(), now()));
    note_use(&folder).unwrap();
    note_use(&folder).unwrap();
    assert!(has_signed(&folder, &prod(), now()));
    assert!(!has_signed(&folder, &ClusterName::new("other"), now()));
    assert!(!has_signed(&parent.path().join("elsewhere"), &prod(), now()));
    create_next(&folder, &prod(), now()).unwrap();
    adopt_next(&folder, now()).unwrap();
    assert!(has_signed(&folder, &prod(), now()), "after a rotation, too");
}

#[test]
fn an_existing_authority_is_never_overwritten() {
    let (parent, _) = created();
    let folder = parent.path().join("pki");
    let before = ["ca.crt", "ca.key"].map(|name| fs::read(folder.join(name)).unwrap());
    create(&folder, &prod(), now()).unwrap_err();
    for missing in ["ca.crt", "ca.key"] {
        let kept = folder.join("kept");
        fs::rename(folder.join(missing), &kept).unwrap();
        create(&folder, &prod(), now()).unwrap_err();
        assert!(cause(&folder).hint.is_some_and(|hint| hint.contains("restore it")));
        fs::rename(&kept, folder.join(missing)).unwrap();
    }
    assert_eq!(before, ["ca.crt", "ca.key"].map(|name| fs::read(folder.join(name)).unwrap()));
}

/// Every state that a crash can leave: the next run makes an authority, or finishes the one that was begun.
#[test]
fn a_creation_that_was_cut_off_is_finished() {
    let (parent, signer) = created();
    let made = parent.path().join("pki");
    let stages: [&[(&str, &str)]; 4] = [
        &[],
        &[("ca.key", ".ca.key.pending")],
        &[("ca.key", ".ca.key.pending"), ("ca.crt", ".ca.crt.pending")],
        &[("ca.key", "ca.key"), ("ca.crt", ".ca.crt.pending")],
    ];
    for stage in stages {
        let folder = parent.path().join("cut");
        fs::create_dir(&folder).unwrap();
        for (from, to) in stage {
            fs::copy(made.join(from), folder.join(to)).unwrap();
        }
        assert!(load(&folder, now()).unwrap().is_none(), "{stage:?}");
        let finished = create(&folder, &prod(), now()).unwrap();
        let resumed = stage.contains(&("ca.key", "ca.key"));
        assert_eq!(finished.facts().fingerprint == signer.facts().fingerprint, resumed, "{stage:?}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "{stage:?}");
        assert!(!has_signed(&folder, &prod(), now()), "{stage:?}");
        fs::remove_dir_all(&folder).unwrap();
    }
}

/// A key alone may be all that is left of an authority that hosts trust.
#[test]
fn a_key_alone_is_not_taken_for_an_interrupted_creation() {
    let (parent, _) = created();
    let (other, _) = created();
    let folder = parent.path().join("pki");
    fs::remove_file(folder.join("ca.crt")).unwrap();
    assert!(cause(&folder).summary.ends_with("ca.crt does not"));
    // Nor is one beside the pending certificate of another.
    fs::copy(other.path().join("pki/ca.crt"), folder.join(".ca.crt.pending")).unwrap();
    cause(&folder);
    create(&folder, &prod(), now()).unwrap_err();
}

#[test]
fn only_one_process_makes_an_authority_at_a_time() {
    let parent = TempDir::new().unwrap();
    let held = fs::File::open(parent.path()).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let refused = create(parent.path(), &prod(), now()).unwrap_err();
    assert_eq!(refused.kind, crate::core::diagnostic::Kind::Locked);
    drop(held);
    create(parent.path(), &prod(), now()).unwrap();
}

#[test]
fn each_fault_of_an_authority_is_named() {
    let (parent, signer) = created();
    let (other, _) = created();
    let folder = parent.path().join("pki");
    let (crt, key) = (folder.join("ca.crt"), folder.join("ca.key"));
    let pem = fs::read_to_string(&crt).unwrap();
    let key_pem = fs::read_to_string(&key).unwrap();
    let leaf = signer.issue(&client(), DAY, now()).unwrap();

    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(cause(&folder).summary.contains("mode 640"));
    assert!(cause(&folder).hint.unwrap().starts_with("run `chmod 600 "));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    let with = |certificate: &str, private: &str| {
        fs::write(&crt, certificate).unwrap();
        fs::write(&key, private).unwrap();
        cause(&folder).summary
    };
    let other_key = fs::read_to_string(other.path().join("pki/ca.key")).unwrap();
    assert!(with(&pem, &other_key).contains("is not the key of"));
    assert!(with(&pem, "").contains("no PEM private key"));
    assert!(with(&pem, &"x".repeat(70_000)).contains("too large"));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIH\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert!(with(&pem, encrypted).contains("encrypted"));
    assert!(with("", &key_pem).contains("no PEM certificate"));
    assert!(with(&pem[..pem.len() / 2], &key_pem).contains("PEM"));
    assert!(with(&format!("{pem}{pem}"), &key_pem).contains("2 certificates"));
    assert!(with(&format!("{pem}{key_pem}"), &key_pem).contains("contains a private key"));
    assert!(with(&leaf.certificate_pem, leaf.key_pem.expose_secret()).contains("basic constraints"));
    fs::write(&crt, &pem).unwrap();
    fs::write(&key, &key_pem).unwrap();
    load(&folder, now()).unwrap().unwrap();

    let years = |count: i64| now().plus_seconds(count * 366 * 24 * 3600);
    assert!(load(&folder, years(11)).unwrap_err().summary.contains("expired on 20"));
    assert!(load(&folder, years(-1)).unwrap_err().summary.contains("not valid before"));
    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    assert!(cause(&folder).summary.contains("is not a file"));
}

/// What is told without hosts and without keys.
#[test]
fn a_declared_authority_is_checked_where_its_certificate_is_here() {
    let (parent, _) = created();
    let here = AuthoritySource::Generated { folder: parent.path().join("pki") };
    let elsewhere = AuthoritySource::Generated { folder: parent.path().join("not made yet") };
    fs::remove_file(parent.path().join("pki/ca.key")).unwrap();
    let later = now().plus_seconds(11 * 366 * 24 * 3600);
    let told = |declared: &AuthoritySource, previous: Option<&AuthoritySource>, at| {
        let mut desired = crate::laws::sample::desired(1);
        desired.authority = declared.clone();
        desired.previous_authority = previous.cloned();
        let (problems, notes) = problems(&desired, at);
        (problems.iter().map(|cause| cause.summary.clone()).collect::<Vec<_>>().concat(), notes.concat())
    };
    let nothing = (String::new(), String::new());
    assert_eq!(told(&elsewhere, None, now()), nothing);
    assert_eq!(told(&here, Some(&elsewhere), now()), nothing);
    assert!(told(&here, None, later).0.contains("openssl verify: certificate has expired"));
    // One that was replaced may end.
    let (problems, notes) = told(&elsewhere, Some(&here), later);
    assert!(problems.is_empty() && notes.contains("the CA in [ca.previous] expired on 20"), "{problems} {notes}");
    assert_eq!((ended(&here, now()), ended(&elsewhere, later)), (None, None));
    // What else lies in its file does not end it.
    let old = now().plus_seconds(-11 * 366 * 24 * 3600);
    let (expired, _) = generate_authority(&ClusterName::new("old"), old).unwrap();
    let certificate = parent.path().join("pki/ca.crt");
    let current = fs::read_to_string(&certificate).unwrap();
    fs::write(&certificate, format!("{current}{expired}")).unwrap();
    assert_eq!(ended(&here, now()), None);
    fs::write(&certificate, format!("{expired}{current}")).unwrap();
    assert!(ended(&here, now()).is_some());
    fs::write(&certificate, "no certificate\n").unwrap();
    assert!(told(&elsewhere, Some(&here), now()).0.contains("contains no PEM certificate"));
}

#[test]
fn a_leaf_says_what_was_asked_for() {
    let (_parent, signer) = created();
    let at = now();
    for wanted in [server(), client()] {
        let leaf = signer.issue(&wanted, 365 * DAY, at).unwrap();
        let facts = &leaf.facts;
        assert_eq!(
            (&facts.common_name, &facts.names, &facts.usages),
            (&wanted.common_name, &wanted.names, &wanted.usages)
        );
        assert_eq!(facts.signed_by, Some(signer.facts().fingerprint));
        assert_eq!(facts.not_after, at.plus_seconds(365 * DAY as i64));
        assert_eq!(facts.not_before, at.plus_seconds(-300));
        assert!(!leaf.shortened);
        assert_eq!(facts.serial.len(), 32);
        let again = signer.issue(&wanted, 365 * DAY, at).unwrap();
        assert_ne!(again.facts.serial, facts.serial);
        assert_ne!(again.key_pem.expose_secret(), leaf.key_pem.expose_secret());
    }
}

#[test]
fn a_leaf_ends_with_its_authority() {
    let (_parent, signer) = created();
    let leaf = signer.issue(&client(), 100 * 365 * DAY, now()).unwrap();
    assert!(leaf.shortened);
    assert_eq!(leaf.facts.not_after, signer.facts().not_after);
}

#[test]
fn a_name_that_no_certificate_can_hold_is_refused() {
    let (_parent, signer) = created();
    let wanted = Wanted { names: BTreeSet::from(["bücher.example".to_owned()]), ..server() };
    assert!(signer.issue(&wanted, DAY, now()).unwrap_err().to_string().contains("bücher.example"));
}

#[test]
fn no_key_is_ever_printed() {
    let (parent, signer) = created();
    let leaf = signer.issue(&server(), DAY, now()).unwrap();
    let printed = format!("{signer:?} {leaf:?}");
    assert!(printed.contains("***"));
    let secrets = [fs::read_to_string(parent.path().join("pki/ca.key")).unwrap(), leaf.key_pem.expose_secret().into()];
    for line in secrets.iter().flat_map(|secret| secret.lines()) {
        assert!(!printed.contains(line));
    }
}

#[test]
fn a_certificate_tells_which_authority_signed_it_and_whether_the_key_is_its_own() {
    let (_parent, ours) = created();
    let (_parent, theirs) = created();
    let leaf = ours.issue(&server(), DAY, now()).unwrap();
    let stranger = theirs.issue(&server(), DAY, now()).unwrap();
    let known = authorities(&format!("# ours\n{}", ours.certificate_pem()));
    let facts = certificate_facts(&leaf.certificate_pem, Some(tail(&leaf)), &known).unwrap();
    assert_eq!((facts.signed_by, facts.matches_key), (Some(ours.facts().fingerprint), Seen::Known(true)));
    let facts = certificate_facts(&leaf.certificate_pem, Some(tail(&stranger)), &known).unwrap();
    assert_eq!(facts.matches_key, Seen::Known(false));
    let facts = certificate_facts(&stranger.certificate_pem, None, &known).unwrap();
    assert_eq!(facts.signed_by, None, "the same issuer name is not a signature");
    assert!(facts.matches_key.unknown().is_some());
    let both = authorities(&format!("{}junk\n{}", theirs.certificate_pem(), ours.certificate_pem()));
    assert_eq!(both, [theirs.known(), ours.known()]);
    let end = ours.facts().not_after;
    assert!(!ours.known().has_ended(now()) && !ours.known().has_ended(end.plus_seconds(-1)));
    assert!(ours.known().has_ended(end));
    for bad in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert_eq!(certificate_facts(bad, None, &known), None);
        assert_eq!(trusted(bad), []);
    }
}

/// As a host computes it: the digest of the last 65 bytes of the key's DER.
fn tail(leaf: &Issued) -> Digest {
    use base64::Engine as _;
    let pem = leaf.key_pem.expose_secret();
    let body: String = pem.lines().filter(|line| !line.contains("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    Digest::of(&der[der.len() - 65..])
}

#[test]
fn openssl_agrees_with_what_was_issued() {
    let (parent, signer) = created();
    let folder = parent.path();
    let leaf = signer.issue(&server(), 365 * DAY, now()).unwrap();
    fs::write(folder.join("server.crt"), &leaf.certificate_pem).unwrap();
    fs::write(folder.join("server.key"), leaf.key_pem.expose_secret()).unwrap();
    for purpose in ["sslserver", "sslclient"] {
        let verify = format!("verify -x509_strict -purpose {purpose} -CAfile pki/ca.crt server.crt");
        let Some(said) = openssl(folder, &verify) else { return };
        assert!(said.contains("server.crt: OK"), "{said}");
    }
    let text = openssl(folder, "x509 -in server.crt -noout -text").unwrap();
    for line in [
        "Issuer: O = prod, CN = etcd-ca",
        "Subject: CN = etcd-1",
        "DNS:etcd-1",
        "DNS:localhost",
        "IP Address:10.0.0.11",
        "IP Address:FD00:0:0:0:0:0:0:11",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "CA:FALSE",
        "Digital Signature",
        "Signature Algorithm: ecdsa-with-SHA256",
        "ASN1 OID: prime256v1",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(!text.contains("Key Encipherment"));
    let authority = openssl(folder, "x509 -in pki/ca.crt -noout -text").unwrap();
    for line in ["CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign", "X509v3 Subject Key Identifier"] {
        assert!(authority.contains(line), "{line} is not in {authority}");
    }
    let serial = openssl(folder, "x509 -in server.crt -noout -serial").unwrap();
    assert_eq!(serial.trim().to_lowercase(), format!("serial={}", leaf.facts.serial));
    let shell = "sed /-----/d server.key | base64 -d | tail -c 65 | sha256sum";
    let digest = Command::new("sh").current_dir(folder).args(["-c", shell]).output().unwrap();
    assert!(String::from_utf8(digest.stdout).unwrap().starts_with(&tail(&leaf).to_string()));
    let public = Command::new("sh")
        .current_dir(folder)
        .args(["-c", "openssl pkey -in server.key -pubout -outform DER | sha256sum"])
        .output()
        .unwrap();
    let spki = String::from_utf8(public.stdout).unwrap()[..64].parse().unwrap();
    let facts = certificate_facts(&leaf.certificate_pem, Some(spki), &[]).unwrap();
    assert_eq!(facts.matches_key, Seen::Known(true));
}

/// The commands that make an authority of each kind that is found in the field, into ca.crt and ca.key.
const FOREIGN: [(&str, &[&str]); 6] = [
    (
        "RSA, PKCS#1, as kubeadm makes it",
        &[
            "genrsa -traditional -out ca.key 2048",
            "req -x509 -new -key ca.key -out ca.crt -days 30 -subj /CN=etcd-ca -addext keyUsage=critical,keyCertSign",
        ],
    ),
    (
        "RSA, PKCS#8",
        &[
            "genrsa -out ca.key 3072",
            "req -x509 -new -key ca.key -out ca.crt -days 30 -subj /O=Example/CN=etcd-ca -addext keyUsage=critical,keyCertSign",
        ],
    ),
    (
        "P-256, SEC1 with its parameters in front",
        &[
            "ecparam -name prime256v1 -genkey -out ca.key",
            "req -x509 -new -key ca.key -out ca.crt -days 30 -subj /C=DE/O=Example/CN=etcd-ca -addext keyUsage=critical,keyCertSign",
        ],
    ),
    (
        "P-384, PKCS#8",
        &[
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out ca.key",
            "req -x509 -new -key ca.key -out ca.crt -days 30 -subj /CN=etcd-ca -addext keyUsage=critical,keyCertSign",
        ],
    ),
    (
        "Ed25519",
        &[
            "genpkey -algorithm ED25519 -out ca.key",
            "req -x509 -new -key ca.key -out ca.crt -days 30 -subj /CN=etcd-ca -addext keyUsage=critical,keyCertSign",
        ],
    ),
    (
        "no key identifier",
        &[
            "ecparam -name prime256v1 -genkey -out ca.key",
            "req -x509 -new -key ca.key -out ca.crt -days 30 -subj /CN=etcd-ca -addext subjectKeyIdentifier=none -addext authorityKeyIdentifier=none",
        ],
    ),
];

fn made_by_openssl(commands: &[&str]) -> Option<TempDir> {
    let folder = TempDir::new().unwrap();
    for command in commands {
        openssl(folder.path(), command)?;
    }
    fs::set_permissions(folder.path().join("ca.key"), fs::Permissions::from_mode(0o600)).unwrap();
    Some(folder)
}

#[test]
fn authorities_made_by_openssl_sign_too() {
    for (kind, commands) in FOREIGN {
        let Some(folder) = made_by_openssl(commands) else { return };
        let signer = load(folder.path(), now()).unwrap_or_else(|cause| panic!("{kind}: {cause:?}")).unwrap();
        let leaf = signer.issue(&server(), 365 * DAY, now()).unwrap();
        assert!(leaf.shortened, "{kind}: the authority ends in 30 days");
        fs::write(folder.path().join("server.crt"), &leaf.certificate_pem).unwrap();
        // Strictly, an authority needs a key identifier.
        let strict = if kind == "no key identifier" { "" } else { "-x509_strict " };
        let said = openssl(folder.path(), &format!("verify {strict}-purpose sslserver -CAfile ca.crt server.crt"));
        assert!(said.unwrap().contains("OK"), "{kind}");
    }
}

/// rcgen would collapse the two, and issue leaves that verify nowhere.
#[test]
fn an_authority_that_rcgen_cannot_speak_for_is_refused_when_it_is_read() {
    let subject = "req -x509 -new -key ca.key -out ca.crt -days 30 -subj /DC=org/DC=example/CN=etcd-ca";
    let Some(folder) = made_by_openssl(&["ecparam -name prime256v1 -genkey -out ca.key", subject]) else { return };
    let cause = cause(folder.path());
    assert!(cause.summary.contains("do not verify"), "{cause:?}");
    assert!(cause.hint.unwrap().contains("subject"));
}

/// What lies on a host may be anything.
#[test]
fn no_damaged_certificate_makes_the_reader_panic() {
    let (_parent, signer) = created();
    let leaf = signer.issue(&server(), DAY, now()).unwrap();
    let pem = leaf.certificate_pem.as_bytes();
    let known = [signer.known()];
    for index in 0..pem.len() {
        for replacement in [b'A', b'/', b'-', b'\n', 0xff] {
            let mut damaged = pem.to_vec();
            damaged[index] = replacement;
            let text = String::from_utf8_lossy(&damaged);
            if let Some(facts) = certificate_facts(&text, None, &known) {
                let is_same = damaged == pem || facts == leaf_facts(&leaf);
                assert!(is_same || facts.signed_by.is_none(), "byte {index} is not covered by the signature");
            }
            trusted(&text);
        }
    }
}

/// As they are read without the key.
fn leaf_facts(leaf: &Issued) -> crate::core::observed::Certificate {
    let unknown = certificate_facts(&leaf.certificate_pem, None, &[]).unwrap().matches_key;
    crate::core::observed::Certificate { matches_key: unknown, ..leaf.facts.clone() }
}

fn files(folder: &Path) -> crate::core::desired::Pair {
    crate::core::desired::Pair { certificate: folder.join("ca.crt"), key: folder.join("ca.key") }
}

fn opener(passphrase: &str) -> Opener {
    Opener::with(secrecy::SecretString::from(passphrase))
}

fn signer_in(folder: &Path) -> Result<Signer, Cause> {
    load_files(&files(folder), &Opener::default(), now())?.into_signer(&folder.join("ca.key"))
}

/// As kubeadm makes it: RSA-2048 in PKCS#1, CN=etcd-ca with itself as its name, and key encipherment.
#[test]
fn an_authority_as_kubeadm_makes_it_signs() {
    let request = "req -x509 -new -key ca.key -out ca.crt -days 3650 -subj /CN=etcd-ca -addext \
                   keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign -addext subjectAltName=DNS:etcd-ca";
    let Some(folder) = made_by_openssl(&["genrsa -traditional -out ca.key 2048", request]) else { return };
    let folder = folder.path();
    assert!(fs::read_to_string(folder.join("ca.key")).unwrap().starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    let signer = signer_in(folder).unwrap();
    for (name, wanted) in [("server", server()), ("client", client())] {
        let leaf = signer.issue(&wanted, 365 * DAY, now()).unwrap();
        fs::write(folder.join("leaf.crt"), &leaf.certificate_pem).unwrap();
        let said = openssl(folder, &format!("verify -x509_strict -purpose ssl{name} -CAfile ca.crt leaf.crt")).unwrap();
        assert!(said.contains("leaf.crt: OK"), "{said}");
        let text = openssl(folder, "x509 -in leaf.crt -noout -text").unwrap();
        for line in ["Issuer: CN = etcd-ca", "Signature Algorithm: sha256WithRSAEncryption", "CA:FALSE"] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}

/// What openssl encrypts a key with, now and for the last ten years.
#[test]
fn an_encrypted_key_is_opened_with_its_passphrase() {
    let ways = ["-v2 aes-256-cbc -v2prf hmacWithSHA256", "-v2 aes-128-cbc -v2prf hmacWithSHA512", "-scrypt"];
    for algorithm in ["RSA -pkeyopt rsa_keygen_bits:2048", "EC -pkeyopt ec_paramgen_curve:P-256"] {
        let commands = [
            &format!("genpkey -algorithm {algorithm} -out plain.key"),
            "req -x509 -new -key plain.key -out ca.crt -days 30 -subj /CN=etcd-ca -addext keyUsage=critical,keyCertSign",
        ];
        let folder = TempDir::new().unwrap();
        for command in commands {
            if openssl(folder.path(), command).is_none() {
                return;
            }
        }
        let folder = folder.path();
        for way in ways {
            openssl(folder, &format!("pkcs8 -topk8 -in plain.key -out ca.key {way} -passout pass:hunter2")).unwrap();
            fs::set_permissions(folder.join("ca.key"), fs::Permissions::from_mode(0o600)).unwrap();
            let right = opener("hunter2");
            let key = folder.join("ca.key");
            // Looking opens nothing.
            let locked = load_files(&files(folder), &right, now()).unwrap();
            assert_eq!(locked.locked().map(|why| &why.why), Some(&Unable::Encrypted(OpenedBy::Passphrase)));
            for _ in 0..2 {
                right.open(&key).unwrap_or_else(|failure| panic!("{way}: {failure}"));
                let signer = load_files(&files(folder), &right, now()).unwrap().into_signer(&key);
                signer.unwrap_or_else(|cause| panic!("{way}: {cause:?}")).issue(&server(), DAY, now()).unwrap();
            }
            assert!(!format!("{right:?}").contains("hunter2"));
            let wrong = opener("hunter3").open(&key).unwrap_err();
            assert!(wrong.summary.ends_with("cannot be decrypted: the passphrase is wrong"), "{wrong}");
            assert_eq!(wrong.hint.as_deref(), Some("check the passphrase that [ca] refers to"));
            let none = Opener::default().open(&key).unwrap_err();
            assert!(none.summary.ends_with("is encrypted, and there is no passphrase"), "{none}");
        }
    }
}

/// An intermediate authority: hosts trust the whole chain, and a leaf leads whoever trusts the root alone there.
#[test]
fn an_authority_may_have_others_above_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    fs::write(path.join("extensions"), "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n").unwrap();
    let commands = [
        "ecparam -name prime256v1 -genkey -noout -out root.key",
        "req -x509 -new -key root.key -out root.crt -days 30 -subj /CN=root -addext keyUsage=critical,keyCertSign",
        "genrsa -out ca.key 2048",
        "req -new -key ca.key -out ca.csr -subj /CN=etcd-ca",
        "x509 -req -in ca.csr -CA root.crt -CAkey root.key -CAcreateserial -days 20 -extfile extensions -out lower.crt",
    ];
    for command in commands {
        if openssl(path, command).is_none() {
            return;
        }
    }
    fs::set_permissions(path.join("ca.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let [lower, root] = ["lower.crt", "root.crt"].map(|name| fs::read_to_string(path.join(name)).unwrap());
    fs::write(path.join("ca.crt"), format!("{lower}{root}")).unwrap();
    let signer = signer_in(path).unwrap();
    assert_eq!(signer.facts().trusted(), trusted(signer.certificate_pem()));
    assert_eq!(signer.facts().chain.len(), 1);
    let leaf = signer.issue(&server(), 365 * DAY, now()).unwrap();
    assert!(leaf.shortened, "the lower authority ends first");
    assert_eq!(leaf.certificate_pem.matches("BEGIN CERTIFICATE").count(), 2);
    fs::write(path.join("leaf.crt"), &leaf.certificate_pem).unwrap();
    let said = openssl(path, "verify -x509_strict -purpose sslserver -CAfile root.crt -untrusted leaf.crt leaf.crt");
    assert!(said.unwrap().contains("leaf.crt: OK"));
    fs::write(path.join("ca.crt"), format!("{root}{lower}")).unwrap();
    assert!(signer_in(path).unwrap_err().summary.contains("do not form a chain"));
    fs::remove_file(path.join("ca.crt")).unwrap();
    assert!(signer_in(path).unwrap_err().summary.ends_with("ca.crt does not exist"));
}

/// Each file of a pair, missing and wrong in turn.
#[test]
fn a_given_pair_is_looked_at_file_by_file() {
    let (_parent, signer) = created();
    let (_other, stranger) = created();
    let folder = TempDir::new().unwrap();
    let pair =
        crate::core::desired::Pair { certificate: folder.path().join("a.crt"), key: folder.path().join("a.key") };
    let write = |certificate: &str, key: &str, mode: u32| {
        fs::write(&pair.certificate, certificate).unwrap();
        fs::write(&pair.key, key).unwrap();
        fs::set_permissions(&pair.key, fs::Permissions::from_mode(mode)).unwrap();
    };
    let known = [signer.known()];
    let faults = || look_at_given(&pair, &known).faults.join("; ");
    assert_eq!(faults().matches("does not exist").count(), 2);
    let (leaf, other) = (signer.issue(&server(), DAY, now()).unwrap(), stranger.issue(&server(), DAY, now()).unwrap());
    let (pem, key) = (leaf.certificate_pem.as_str(), leaf.key_pem.expose_secret());
    write(pem, key, 0o600);
    let seen = look_at_given(&pair, &known);
    assert_eq!((seen.faults.len(), seen.digest), (0, Some(Digest::of(pem))));
    assert_eq!(seen.certificate.unwrap().signed_by, Some(signer.facts().fingerprint));
    let text = read_pair(&pair).unwrap();
    assert_eq!((text.certificate.as_str(), text.key.expose_secret()), (pem, key));
    write(pem, key, 0o644);
    assert!(faults().contains("is readable by users other than"));
    write(pem, other.key_pem.expose_secret(), 0o600);
    assert!(faults().contains("a.key is not the key of"));
    write(&other.certificate_pem, other.key_pem.expose_secret(), 0o600);
    assert_eq!(look_at_given(&pair, &known).certificate.unwrap().signed_by, None);
    write("hello", key, 0o600);
    assert!(faults().contains("is not a readable certificate"));
    write(pem, "hello", 0o600);
    assert!(faults().contains("no PEM private key"));
    write(&format!("{pem}{key}"), key, 0o600);
    assert!(faults().contains("contains a private key"));
    write(pem, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIH\n-----END ENCRYPTED PRIVATE KEY-----\n", 0o600);
    assert!(faults().contains("is encrypted, and etcd cannot decrypt it"));
}

/// Every state that a crash can leave while the next authority is made, and while it takes its place.
#[test]
fn a_rotation_that_was_cut_off_goes_on() {
    let (parent, old) = created();
    let folder = parent.path().join("pki");
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let fingerprint = |signer: &Signer| signer.facts().fingerprint;
    note_use(&folder).unwrap();
    assert!(load_next(&folder, now()).unwrap().is_none());
    adopt_next(&folder, now()).unwrap_err();
    // A key alone is nobody's yet.
    fs::write(folder.join("ca.next.key"), "truncated").unwrap();
    assert!(load_next(&folder, now()).unwrap().is_none());
    let next = create_next(&folder, &prod(), now()).unwrap();
    assert_ne!(fingerprint(&next), fingerprint(&old));
    assert_ne!(next.certificate().subject(), old.certificate().subject(), "an issuer is found by its name");
    assert_eq!(names(), ["ca.crt", "ca.key", "ca.next.crt", "ca.next.key"]);
    assert_eq!(fs::metadata(folder.join("ca.next.key")).unwrap().mode() & 0o777, 0o600);
    create_next(&folder, &prod(), now()).unwrap_err();
    assert_eq!(fingerprint(&load(&folder, now()).unwrap().unwrap()), fingerprint(&old));
    // The old pair has its other name, and nothing else was done; then the key has its new place, too.
    let kept = format!("ca.{}", &fingerprint(&old).to_string()[..12]);
    fs::hard_link(folder.join("ca.crt"), folder.join(format!("{kept}.crt"))).unwrap();
    fs::hard_link(folder.join("ca.key"), folder.join(format!("{kept}.key"))).unwrap();
    fs::rename(folder.join("ca.next.key"), folder.join("ca.key")).unwrap();
    for loaded in [load(&folder, now()), load_next(&folder, now())] {
        assert_eq!(fingerprint(&loaded.unwrap().unwrap()), fingerprint(&next));
    }
    adopt_next(&folder, now()).unwrap();
    // Where the fingerprint sorts is chance.
    let mut done = [format!("{kept}.crt"), format!("{kept}.key"), "ca.crt".to_owned(), "ca.key".to_owned()];
    done.sort();
    assert_eq!(names(), done);
    assert_eq!(fingerprint(&load(&folder, now()).unwrap().unwrap()), fingerprint(&next));
    assert!(load_next(&folder, now()).unwrap().is_none());
    // And the whole of it again, undisturbed.
    let third = create_next(&folder, &prod(), now().plus_seconds(1)).unwrap();
    adopt_next(&folder, now().plus_seconds(1)).unwrap();
    assert_eq!(fingerprint(&load(&folder, now().plus_seconds(1)).unwrap().unwrap()), fingerprint(&third));
    assert_eq!(names().len(), 6);
}

/// Leaves of the next one verify where both are trusted, and where the next alone is.
#[test]
fn openssl_agrees_with_a_rotation() {
    let (parent, old) = created();
    let folder = parent.path();
    let next = create_next(&folder.join("pki"), &prod(), now()).unwrap();
    fs::write(folder.join("both.crt"), format!("{}{}", old.certificate_pem(), next.certificate_pem())).unwrap();
    for signer in [&old, &next] {
        let leaf = signer.issue(&server(), DAY, now()).unwrap();
        fs::write(folder.join("leaf.crt"), &leaf.certificate_pem).unwrap();
        let Some(said) = openssl(folder, "verify -x509_strict -purpose sslserver -CAfile both.crt leaf.crt") else {
            return;
        };
        assert!(said.contains("leaf.crt: OK"), "{said}");
    }
    let said = openssl(folder, "verify -x509_strict -purpose sslserver -CAfile pki/ca.next.crt leaf.crt").unwrap();
    assert!(said.contains("leaf.crt: OK"), "{said}");
}

#[test]
fn a_key_is_the_same_in_every_form() {
    let folder = TempDir::new().unwrap();
    let Some(_) = openssl(folder.path(), "genrsa -traditional -out pkcs1.key 2048") else { return };
    openssl(folder.path(), "pkcs8 -topk8 -nocrypt -in pkcs1.key -out pkcs8.key").unwrap();
    openssl(folder.path(), "genrsa -out other.key 2048").unwrap();
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_ne!(read("pkcs1.key"), read("pkcs8.key"));
    assert!(is_same_key(&read("pkcs1.key"), &read("pkcs8.key")));
    assert!(!is_same_key(&read("pkcs1.key"), &read("other.key")));
    // What cannot be read is not the same as anything, itself included.
    assert!(!is_same_key(b"nonsense", b"nonsense"));
}

/// An authority that names purposes signs for no others: members show their certificates as servers and as clients.
#[test]
fn an_authority_that_may_not_sign_for_servers_and_clients_is_refused() {
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose as Purpose, IsCa, KeyPair};
    let made = |purposes: &[Purpose]| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "limited");
        params.extended_key_usages = purposes.to_vec();
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        assemble_text(
            &certificate.pem(),
            Path::new("ca.crt"),
            key.serialize_pem().as_bytes(),
            Path::new("ca.key"),
            now(),
        )
    };
    for fine in [&[][..], &[Purpose::Any], &[Purpose::ServerAuth, Purpose::ClientAuth]] {
        made(fine).unwrap();
    }
    for (limited, wanted) in [
        (Purpose::ServerAuth, "may not sign client certificates"),
        (Purpose::ClientAuth, "may not sign server certificates"),
        (Purpose::CodeSigning, "may not sign client certificates"),
    ] {
        let refused = made(&[limited]).unwrap_err();
        assert!(refused.summary.contains(wanted), "{refused:?}");
        assert!(refused.summary.contains("unsuitable certificate purpose"), "{refused:?}");
    }
}

/// A leaf of somebody else's, as `shape` makes it.
fn theirs(signer: &Signer, key: &rcgen::KeyPair, shape: impl FnOnce(&mut rcgen::CertificateParams)) -> String {
    let mut params = rcgen::CertificateParams::new(vec!["lb.example".to_owned(), "10.0.0.1".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    shape(&mut params);
    let issuer = rcgen::Issuer::from_ca_cert_der(signer.certificate_der(), &signer.key).unwrap();
    params.signed_by(key, &issuer).unwrap().pem()
}

/// What `openssl x509` says of its subject and extensions, without what is of its own key.
fn form_of(pem: &str) -> String {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    let of_key = ["2.5.29.35", "2.5.29.14"];
    let extensions = leaf.extensions().iter().map(|one| {
        let oid = one.oid.to_id_string();
        let value = if of_key.contains(&oid.as_str()) { Vec::new() } else { one.value.to_vec() };
        (oid, one.critical, value)
    });
    // Everything has what tells the key of the CA.
    let mut extensions: Vec<_> = extensions.filter(|(oid, ..)| oid != "2.5.29.35").collect();
    extensions.sort();
    let key = leaf.public_key();
    let bytes = key.subject_public_key.data.len();
    format!("{:?} {extensions:?} {} {bytes}", leaf.subject().as_raw(), key.algorithm.algorithm.to_id_string())
}

#[test]
fn a_certificate_of_others_is_issued_again_in_its_form() {
    use rcgen::{CustomExtension, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType};
    let (parent, signer) = created();
    let again = |pem: &str| {
        let is = certificate_facts(pem, None, &[]).unwrap();
        assert_eq!(is.no_other_like_it, None);
        let wanted = Wanted {
            common_name: is.common_name,
            names: is.names,
            usages: is.usages,
            like: Some(format!("some words before it\n{pem}")),
        };
        let issued = signer.issue(&wanted, DAY, now()).unwrap();
        assert_eq!(form_of(&issued.certificate_pem), form_of(pem));
        let is_of_its_key = KeyPair::from_pem(issued.key_pem.expose_secret()).unwrap();
        let public = rcgen::PublicKeyData::subject_public_key_info(&is_of_its_key);
        fs::write(parent.path().join("leaf.key"), issued.key_pem.expose_secret()).unwrap();
        let key = openssl(parent.path(), "pkey -in leaf.key -noout -text");
        assert!(key.is_none_or(|key| key.contains("Private")), "openssl reads it");
        assert_eq!(
            certificate_facts(&issued.certificate_pem, Some(Digest::of(public)), &[]).unwrap().matches_key,
            Seen::Known(true)
        );
        issued
    };
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    for key in [&rsa, &p384, &ed25519] {
        again(&theirs(&signer, key, |params| {
            params.distinguished_name.push(DnType::CountryName, DnValue::PrintableString("DE".try_into().unwrap()));
            params.distinguished_name.push(DnType::OrganizationName, "system:masters");
            params.distinguished_name.push(DnType::OrganizationalUnitName, "Äpfel");
            params.distinguished_name.push(DnType::CommonName, "etcd-member-1");
            params.subject_alt_names.push(SanType::URI("spiffe://prod/etcd".try_into().unwrap()));
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            params.is_ca = IsCa::ExplicitNoCa;
            params.custom_extensions =
                vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0])];
        }));
    }
    // Neither names nor usages.
    let bare = again(&theirs(&signer, &p384, |params| {
        params.subject_alt_names.clear();
        params.distinguished_name.push(DnType::CommonName, "bare");
    }));
    assert_eq!(bare.facts.usages, [Usage::ServerAuth, Usage::ClientAuth].into());
}

#[test]
fn what_cannot_be_issued_again_is_told_before() {
    use rcgen::{BasicConstraints, DnType, DnValue, IsCa, KeyPair};
    let (_parent, signer) = created();
    let key = KeyPair::generate().unwrap();
    let why = |shape: &dyn Fn(&mut rcgen::CertificateParams)| {
        let pem = theirs(&signer, &key, |params| shape(params));
        let wanted = Wanted { like: Some(pem.clone()), ..server() };
        let failure = signer.issue(&wanted, DAY, now()).unwrap_err().to_string();
        let told = certificate_facts(&pem, None, &[]).unwrap().no_other_like_it.expect("it is told");
        assert!(failure.contains(&told), "{failure}");
        told
    };
    let of_a_ca = why(&|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(of_a_ca, "it is the certificate of a CA");
    let old = why(&|params| {
        params.distinguished_name.push(DnType::CommonName, DnValue::TeletexString("old".try_into().unwrap()));
    });
    assert!(old.ends_with("has text of an old kind"), "{old}");
}
