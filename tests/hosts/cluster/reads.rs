//! Whoever has no key of the authority can look all the same: in a fresh clone, or in a pipeline.

use std::fs;

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
    let made = std::process::Command::new("openssl")
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
    fs::rename(&aside, &pki).expect("it can be written");
    let backup = "[backup]\nschedule = \"0 3 * * *\"\ncompression = \"gzip\"\n";
    scene.declare(|scene| scene.more = format!("{auth}{backup}"));
    scene.apply().exits(0);
    fs::rename(&pki, &aside).expect("it can be written");
    let plan = shows_no_key(scene.plan().exits(0).says(&["No changes", "[ca-key-not-here]"]));
    assert!(!plan.stdout.contains("not compared"), "{}", plan.stdout);
    shows_no_key(scene.quorate(&["status"]).exits(0).says(&["3 of 3 voters healthy"]));
}
