//! A cluster whose certificates Vault signs. Vault is played by tests/local/vault/server.rs, an HTTPS server of ours.

use std::fs;

use serde_json::Value;

use super::certificates::{openssl_verifies, serials};
use super::scene::Scene;
use super::secrets::{Watch, assert_absent};
use crate::lab::Series;
use crate::vault_server::{Server, TOKEN};

#[test]
fn vault_signs_for_a_cluster() {
    let Some(mut scene) = Scene::bare("vault_signs_for_a_cluster", 3, Series::V3_6) else { return };
    let server = Server::begin(&scene.lab.dir());
    fs::write(scene.lab.dir().join("token"), TOKEN).expect("the lab's folder can be written");
    let declared = format!("{}token = {{ file = \"token\" }}\n", server.declared());
    scene.declare(|scene| scene.more = declared.clone());
    // Nothing is begun without Vault.
    server.behaviour().sealed = true;
    scene.quorate(&["apply", "--yes"]).exits(1).says(&["[vault]", "Vault is sealed", "unseal it"]);
    assert_eq!(scene.first().sh("ls -d /etc/etcd /opt/etcd 2>/dev/null; true"), "");
    server.behaviour().sealed = false;
    let watch = Watch::begin();
    let applied = scene.quorate(&["apply", "--yes", "-v"]).exits(0);
    assert!(!watch.end().iter().any(|line| line.contains(TOKEN)));
    assert!(!applied.stderr.contains(TOKEN) && !applied.stderr.contains("unexpected state"), "{}", applied.stderr);
    assert_absent(&[], "what apply says", &format!("{}{}", applied.stdout, applied.stderr));
    scene.is_as_declared();
    assert!(!scene.lab.dir().join("pki").exists(), "no authority of ours is made");
    // The engine's intermediate signs, and its root is trusted with it.
    let ca = scene.lab.dir().join("trusted.crt");
    fs::write(&ca, scene.first().read("/etc/etcd/pki/ca.crt").expect("it is there")).expect("it can be written");
    openssl_verifies(&scene, &ca);

    // One look is one signature: our own.
    server.behaviour().asked.clear();
    scene.is_in_sync();
    assert_eq!(server.behaviour().asked, ["GET pki/ca/pem", "GET pki/ca_chain", "POST pki/sign/etcd"]);

    // Renewed, without a restart.
    let (starts, before) = (scene.starts(), serials(&scene));
    scene.quorate(&["apply", "--yes", "--renew-certs"]).exits(0);
    let after = serials(&scene);
    assert!(before.iter().all(|serial| !after.contains(serial)), "{before:?} {after:?}");
    assert_eq!(scene.starts(), starts, "a member was restarted");
    scene.is_as_declared();

    // A role that gives less than `renew-before` would be asked again and again: nothing is replaced. One that gives less
    // than was asked for, and more than that, is taken.
    server.behaviour().max_ttl = Some(60 * 24 * 3600);
    let words = ["Vault limits the", "60 days", "90 days before it expires", "raise `max_ttl`"];
    scene.quorate(&["apply", "--yes", "--renew-certs=etcd-2"]).exits(7).says(&words);
    assert_eq!(serials(&scene), after);
    server.behaviour().max_ttl = Some(100 * 24 * 3600);
    scene.apply_with(&["--renew-certs=etcd-2"]).exits(0);
    assert_eq!(serials(&scene).iter().filter(|serial| !after.contains(serial)).count(), 3);
    scene.is_in_sync();

    // A token that may not sign: that is told, once, and nothing is said to be missing here or of the members.
    server.behaviour().rights = Some(&["deny"]);
    for arguments in [&["plan"][..], &["apply", "--yes"]] {
        let run = scene.quorate(arguments).exits(3);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert_eq!(said.matches("(403 Forbidden)").count(), 1, "{said}");
        assert!(said.contains("no right to `update` pki/sign/etcd (its rights there: deny)"), "{said}");
        assert!(said.contains("path \"pki/sign/etcd\" { capabilities = [\"update\"] }"), "{said}");
        assert!(!said.contains("ca.key") && !said.contains("does not answer"), "{said}");
    }
    scene.quorate(&["status"]).exits(6).says(&["UNKNOWN", "etcd could not be queried"]);
    server.behaviour().rights = None;
    scene.is_in_sync();

    // root's certificate is one that etcdctl gets in with.
    let issued: Value = serde_json::from_str(&scene.quorate(&["certs", "root-issue"]).exits(0).stdout).expect("JSON");
    let host = scene.first();
    for (key, file) in [("ca_certificate", "ca.crt"), ("certificate", "root.crt"), ("private_key", "root.key")] {
        host.exec_with(&format!("umask 077; cat > /root/{file}"), issued[key].as_str().expect("PEM").as_bytes());
    }
    let said = host.sh(&format!(
        "ETCDCTL_API=3 etcdctl --endpoints=https://{}:2379 --cacert=/root/ca.crt --cert=/root/root.crt \
         --key=/root/root.key put /by-vault yes",
        host.address()
    ));
    assert!(said.contains("OK"), "{said}");

    // Without a token, and then without Vault: what looks goes on, and what signs says what it needs.
    fs::rename(scene.lab.dir().join("token"), scene.lab.dir().join("token.aside")).expect("it was written");
    let with = "etcd was asked with a client certificate that lies on the nodes";
    server.behaviour().asked.clear();
    scene.plan().exits(0).says(&["No changes", "[ca-key-not-here]", with]);
    assert!(server.behaviour().asked.iter().all(|asked| asked.starts_with("GET pki/ca")));
    scene.quorate(&["status"]).exits(0).says(&["3 of 3 voters healthy"]);
    scene.quorate(&["apply", "--yes", "--renew-certs"]).exits(3).says(&["this plan needs Vault", "issue server.crt"]);
    scene.quorate(&["certs", "issue", "app"]).exits(1);
    scene.apply_with(&["--restart=etcd-2"]).exits(0);
    let gone = declared.replace(&server.address, "https://127.0.0.1:1");
    assert_ne!(gone, declared);
    scene.declare(|scene| scene.more = gone);
    scene.plan().exits(0).says(&["No changes", "is unreachable", with]);
    scene.quorate(&["apply", "--yes", "--restart=etcd-2"]).exits(3).says(&["nothing shows that these are the nodes"]);
}
