//! `quorate certs` on real hosts, with openssl and etcdctl as witnesses.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::scene::Scene;
use crate::lab::Series;

#[test]
fn certificates_are_listed_and_issued() {
    let Some(scene) = Scene::healthy("certificates_are_listed_and_issued", 3, Series::V3_6) else { return };
    let table = scene.quorate(&["certs", "list"]).exits(0);
    assert_eq!(table.stdout.lines().count(), 1 + 1 + 3 * 3, "{}", table.stdout);
    // openssl reads the same serial on the host.
    let list: Value = serde_json::from_str(&scene.quorate(&["certs", "list", "--json"]).exits(0).stdout).expect("JSON");
    let rows = list["certificates"].as_array().expect("a list");
    for row in rows.iter().filter(|row| row["node"] == "etcd-2") {
        let path = row["path"].as_str().expect("a path");
        let said = scene.lab.host("etcd-2").sh(&format!("openssl x509 -noout -serial -in {path}"));
        let serial = row["serial"].as_str().expect("a serial").replace(':', "");
        assert!(said.trim().to_lowercase().ends_with(&serial.to_lowercase()), "{said} is not {serial}");
        assert_eq!(row["issuer"], "authority");
    }
    scene.quorate(&["certs", "list", "--within", "30d"]).exits(0);
    scene.quorate(&["certs", "list", "--within", "400d"]).exits(2);

    for arguments in [&["certs", "issue", "app", "--ttl", "1h"][..], &["certs", "root-issue"][..]] {
        let issued: Value = serde_json::from_str(&scene.quorate(arguments).exits(0).stdout).expect("JSON");
        let text = |key: &str| issued[key].as_str().expect("PEM").to_owned();
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (authority, certificate) = (folder.path().join("ca.crt"), folder.path().join("client.crt"));
        fs::write(&authority, text("ca_certificate")).expect("it can be written");
        fs::write(&certificate, text("certificate")).expect("it can be written");
        let verified = Command::new("openssl")
            .args(["verify", "-purpose", "sslclient", "-CAfile"])
            .args([&authority, &certificate])
            .output()
            .expect("openssl runs");
        assert!(verified.status.success(), "{verified:?}");
        // etcd lets its bearer in.
        let host = scene.first();
        for (key, file) in [("ca_certificate", "ca.crt"), ("certificate", "u.crt"), ("private_key", "u.key")] {
            host.exec_with(&format!("umask 077; cat > /root/{file}"), text(key).as_bytes());
        }
        let said = host.sh(&format!(
            "ETCDCTL_API=3 etcdctl --endpoints=https://{}:2379 --cacert=/root/ca.crt --cert=/root/u.crt --key=/root/u.key \
             put /by-certificate yes",
            host.address()
        ));
        assert!(said.contains("OK"), "{said}");
    }
    super::verbs::all(&scene);
    // Nothing is stored, and what would last too long is not made.
    let kept = fs::read_dir(scene.lab.dir().join("pki")).expect("the authority's folder").count();
    assert_eq!(kept, 2, "ca.crt and ca.key");
    scene.quorate(&["certs", "root-issue", "--ttl", "3h"]).exits(64).says(&["limited to two hours"]);
    scene.quorate(&["certs", "issue", "root"]).exits(64).says(&["certs root-issue"]);
    scene.quorate(&["certs", "issue", "a/b"]).exits(64);
    let pem = scene.quorate(&["certs", "issue", "app", "--output", "pem"]).exits(0);
    assert_eq!(pem.stdout.matches("-----BEGIN ").count(), 3);
    scene.lab.hosts()[2].power_off();
    scene.quorate(&["certs", "list"]).exits(6).says(&["etcd-3: "]);
}
