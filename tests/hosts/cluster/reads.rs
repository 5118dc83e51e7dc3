//! Whoever has no key of the authority can look all the same: in a fresh clone, or in a pipeline.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::certificates::serials;
use super::crash::killed_at;
use super::scene::{Run, Scene};
use crate::lab::Series;

/// Nobody is told a key.
#[track_caller]
fn shows_no_key(run: Run) -> Run {
    assert!(!run.stdout.contains("PRIVATE KEY") && !run.stderr.contains("PRIVATE KEY"), "{run:?}");
    run
}

#[test]
fn looking_needs_no_key_of_the_authority() {
    let Some(mut scene) = Scene::healthy("looking_needs_no_key_of_the_authority", 3, Series::V3_5) else { return };
    let (pki, aside) = (scene.lab.dir().join("pki"), scene.lab.dir().join("pki.aside"));
    scene.declare(|scene| scene.etcd = "quota-backend = \"4GiB\"".to_owned());
    let id = |run: &Run| run.stdout.split("Plan id ").nth(1).map(str::to_owned).expect("there is a plan");
    let with_key = id(&scene.plan().exits(2));
    fs::rename(&pki, &aside).expect("the lab's folder can be written");
    let plan = shows_no_key(scene.plan().exits(2).says(&[
        "3 of 3 voters healthy",
        "pki/ca.key is not here",
        "[ca-key-not-here]",
    ]));
    assert_eq!(id(&plan), with_key);
    shows_no_key(scene.quorate(&["plan", "-v", "--format", "json"]).exits(0));
    shows_no_key(scene.quorate(&["status"]).exits(0).says(&["3 of 3 voters healthy", "leader"]));
    scene.quorate(&["status", "--check"]).exits(0);
    let listed = scene.quorate(&["certs", "list"]).exits(0);
    assert!(!listed.stdout.contains("ANOTHER"), "{}", listed.stdout);
    scene.quorate(&["backup", "list"]).exits(0);
    shows_no_key(scene.quorate(&["doctor", "--no-disk"]).says(&["data"]));
    // What signs says what it needs, and where that would be found.
    let needs = ["pki/ca.key", "restore ca.crt and"];
    scene.quorate(&["certs", "issue", "app"]).exits(3).says(&needs);
    scene.quorate(&["apply", "--yes"]).exits(3).says(&["nothing shows that these are the nodes of this cluster"]);
    assert!(!pki.exists(), "nothing is written here");
    // With the certificate alone, what needs no signature is done.
    fs::create_dir(&pki).expect("the lab's folder can be written");
    fs::copy(aside.join("ca.crt"), pki.join("ca.crt")).expect("it was there");
    scene.quorate(&["apply", "--yes", "--renew-certs"]).exits(3).says(&needs).says(&["issue server.crt"]);
    scene.apply().exits(0);
    scene.quorate(&["plan", "--detailed-exitcode"]).exits(0).says(&["No changes"]);
    // One that does not answer is silent, and not one that nobody asked.
    scene.lab.host("etcd-3").sh("systemctl stop etcd");
    let status = scene.quorate(&["status"]).says(&["2 of 3 voters healthy", "STOPPED"]);
    assert!(!status.stdout.contains("UNKNOWN"), "{}", status.stdout);
    // Another cluster's certificate is not taken for this one's.
    let other = scene.lab.dir().join("other");
    fs::create_dir(&other).expect("the lab's folder can be written");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9"])
        .args(["-subj", "/CN=etcd-ca", "-addext", "keyUsage=critical,keyCertSign", "-keyout", "/dev/null", "-out"])
        .arg(pki.join("ca.crt"))
        .output();
    if made.is_ok_and(|made| made.status.success()) {
        let run = scene.quorate(&["plan"]);
        assert!(run.code != 0 && run.stdout.contains("[authority-differs]"), "{run:?}");
    }
}

/// With authentication on etcd tells nobody without a right how it is. That is not its silence; and where snapshots are
/// scheduled, their certificate may ask.
#[test]
fn looking_with_authentication_on() {
    let Some(mut scene) = Scene::healthy("looking_with_authentication_on", 3, Series::V3_5) else { return };
    let (pki, aside) = (scene.lab.dir().join("pki"), scene.lab.dir().join("pki.aside"));
    let auth = "\n[auth]\nenabled = true\n[users.app]\nprefix = \"/app/\"\n";
    scene.declare(|scene| scene.more = auth.to_owned());
    scene.apply().exits(0);
    fs::rename(&pki, &aside).expect("it can be written");
    for command in ["plan", "status"] {
        let run = scene.quorate(&[command]).exits(6);
        let run =
            run.says(&["etcd on etcd-1, etcd-2, etcd-3 was not asked", "authentication is on", "[ca-key-not-here]"]);
        assert!(!run.stdout.contains("no member answers") && !run.stdout.contains("NO ANSWER"), "{}", run.stdout);
    }
    // A certificate that is configured may look if its user may, and it is said if not.
    let look = |user: &str| {
        let [certificate, key] = ["crt", "key"].map(|end| scene.lab.dir().join(format!("reader/{user}.{end}")));
        let pair = [("QUORATE_CLIENT_CERTIFICATE", certificate), ("QUORATE_CLIENT_KEY", key)];
        let pair = pair.each_ref().map(|(name, path)| (*name, path.to_str().expect("it is UTF-8")));
        shows_no_key(scene.quorate_with(&["plan"], &pair))
    };
    let nobody = look("nobody").says(&["[reader-unusable]", "nobody.crt does not exist"]);
    assert_ne!(nobody.code, 0);
    fs::rename(&aside, &pki).expect("it can be written");
    scene.quorate(&["certs", "issue", "app", "-d", "reader"]).exits(0);
    scene.quorate(&["certs", "root-issue", "-d", "reader"]).exits(0);
    fs::rename(&pki, &aside).expect("it can be written");
    look("app").exits(6).says(&["app.crt has no right to", "give its user the role root"]);
    look("root").exits(0).says(&["No changes", "root.crt"]);
    fs::rename(&aside, &pki).expect("it can be written");
    let backup = "[backup]\nschedule = \"0 3 * * *\"\ncompression = \"gzip\"\n";
    scene.declare(|scene| scene.more = format!("{auth}{backup}"));
    // The certificate that may ask is not on the nodes yet. With an encrypted key, too, apply puts it there.
    let encrypt =
        "umask 077; openssl pkcs8 -topk8 -v2 aes-256-cbc -in ca.key -out new -passout pass:hunter2; mv new ca.key";
    let encrypted = Command::new("sh").current_dir(&pki).args(["-ec", encrypt]).status();
    assert!(encrypted.is_ok_and(|status| status.success()), "openssl runs");
    scene.plan().exits(6).says(&["authentication is on", "`apply` opens", "ca.key to look"]);
    scene.quorate(&["apply", "--yes"]).exits(1).says(&["no passphrase for"]);
    let passphrase = scene.lab.dir().join("passphrase");
    write_secret(&passphrase, "hunter2\n");
    let named = [("QUORATE_CA_PASSPHRASE_FILE", passphrase.to_str().expect("it is UTF-8"))];
    shows_no_key(scene.quorate_with(&["apply", "--yes"], &named).exits(0));
    scene.plan().exits(0).says(&["No changes"]);
    fs::rename(&pki, &aside).expect("it can be written");
    let plan = shows_no_key(scene.plan().exits(0).says(&["No changes", "[ca-key-not-here]"]));
    assert!(!plan.stdout.contains("not compared"), "{}", plan.stdout);
    shows_no_key(scene.quorate(&["status"]).exits(0).says(&["3 of 3 voters healthy"]));
}

/// The keys of authorities in a folder; none is readable without its passphrase.
#[track_caller]
fn encrypted_keys(pki: &Path) -> usize {
    let files = fs::read_dir(pki).expect("it is there").map(|entry| entry.expect("it too").path());
    let keys: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "key")).collect();
    for key in &keys {
        let text = fs::read_to_string(key).expect("it is text");
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{} is not encrypted", key.display());
    }
    keys.len()
}

/// Others may not read it, or it is refused.
fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).expect("the lab's folder can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

/// From the first apply on, through kills, a renewal and a rotation.
#[test]
fn an_encrypted_key_is_opened_by_what_signs_alone() {
    let test = "an_encrypted_key_is_opened_by_what_signs_alone";
    let Some(mut scene) = Scene::installed(test, 3, Series::V3_6) else { return };
    let dir = scene.lab.dir();
    let (pki, passphrase) = (dir.join("pki"), dir.join("ca.passphrase"));
    let write = |text: &str| write_secret(&passphrase, text);
    let forget = || fs::remove_file(&passphrase).expect("it was written");
    let ca = "[ca]\npassphrase = { file = \"ca.passphrase\" }\n";
    scene.declare(|scene| scene.more = ca.to_owned());
    // The plan says what apply needs, and nothing is begun without it.
    let needs = ["[ca-key-encrypted]", "before the first step", "ca.passphrase"];
    scene.plan().exits(2).says(&needs);
    scene.quorate(&["apply", "--yes"]).exits(1).says(&["no passphrase for", "cannot read"]);
    assert!(!pki.join("ca.key").exists());
    write("hunter2\n");
    killed_at(&scene, &["apply"], "server.crt");
    assert_eq!(encrypted_keys(&pki), 1);
    // It goes on with the passphrase that it began with, and with no other.
    write("hunter3\n");
    scene.quorate(&["apply", "--yes"]).exits(1).says(&["ca.key cannot be decrypted: the passphrase is wrong"]);
    write("hunter2\n");
    scene.apply().exits(0);
    forget();
    scene.is_as_declared();
    scene.quorate(&["status", "--check"]).exits(0).says(&["3 of 3 voters healthy"]);
    let listed = scene.quorate(&["certs", "list"]).exits(0);
    assert!(!listed.stdout.contains("ANOTHER"), "{}", listed.stdout);
    scene.quorate(&["backup", "list"]).exits(0);
    // What does not sign opens nothing; what signs says so before it begins.
    scene.apply_with(&["--restart=etcd-2"]).exits(0);
    let before = serials(&scene);
    scene.quorate(&["plan", "--renew-certs"]).exits(0).says(&needs);
    scene.quorate(&["apply", "--yes", "--renew-certs"]).exits(1).says(&["no passphrase for"]);
    scene.quorate(&["certs", "issue", "app"]).exits(1).says(&["no passphrase for"]);
    assert_eq!(serials(&scene), before);
    let elsewhere = dir.join("credential");
    write_secret(&elsewhere, "hunter2");
    let named = [("QUORATE_CA_PASSPHRASE_FILE", elsewhere.to_str().expect("it is UTF-8"))];
    shows_no_key(scene.quorate_with(&["apply", "--yes", "--renew-certs"], &named).exits(0));
    assert!(serials(&scene).iter().all(|serial| !before.contains(serial)));
    scene.is_in_sync();

    // A client certificate to look with goes before those on the nodes, and has to be right.
    scene.quorate_with(&["certs", "issue", "monitoring", "-d", "reader"], &named).exits(0);
    let pair = |certificate: &str| {
        format!("{ca}reader = {{ certificate = \"reader/{certificate}\", key = \"reader/monitoring.key\" }}\n")
    };
    scene.declare(|scene| scene.more = pair("monitoring.crt"));
    scene.is_in_sync();
    scene.declare(|scene| scene.more = pair("ca.crt"));
    let refused = scene.plan();
    assert_ne!(refused.code, 0);
    refused.says(&["[reader-unusable]", "monitoring.key is not the key of"]);
    scene.declare(|scene| scene.more = ca.to_owned());

    // A rotation, cut off and taken up again, while looks tell how far it is.
    write("hunter2\n");
    killed_at(&scene, &["apply", "--rotate-ca"], "server.crt");
    assert_eq!(encrypted_keys(&pki), 2);
    forget();
    scene.quorate(&["status"]).exits(0).says(&["CA rotation"]);
    scene.plan().exits(3).says(&needs).says(&["[old-ca-clients]"]);
    // In a clone without keys, too: the certificates tell.
    let keys = ["ca.key", "ca.next.key"].map(|name| (pki.join(name), dir.join(name)));
    keys.iter().for_each(|(here, aside)| fs::rename(here, aside).expect("it is there"));
    scene.quorate(&["status"]).exits(0).says(&["CA rotation", "3 of 3 voters healthy"]);
    scene.plan().exits(3).says(&["[ca-key-not-here]", "[old-ca-clients]"]);
    keys.iter().for_each(|(here, aside)| fs::rename(aside, here).expect("it is there"));
    let finish = ["apply", "--yes", "--allow", "drop-old-ca:lab"];
    scene.quorate(&finish).exits(1).says(&["no passphrase for"]);
    scene.quorate_with(&finish, &named).exits(0);
    assert_eq!(encrypted_keys(&pki), 2);
    scene.is_as_declared();
    assert!(!passphrase.exists());
}
