//! Certificates that have all expired together, as they do who were all issued together: nobody is left to be careful with.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use super::certificates::kubeadm_authority;
use super::scene::{Scene, until};
use crate::lab::{Host, Series};

const PKI: &str = "/etc/etcd/pki";

#[track_caller]
fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().expect("openssl runs");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Puts pairs on the host that its authority has signed, and that ended years ago.
fn expire(scene: &Scene, host: &Host) {
    let folder = scene.lab.dir().join("pki");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("the lab's folder can be written");
    write(
        "expired.cnf",
        "[ca]\ndefault_ca = own\n[own]\ndatabase = expired.index\nnew_certs_dir = .\nrand_serial = yes\n\
         default_md = sha256\npolicy = any\nunique_subject = no\n[any]\ncommonName = supplied\n",
    );
    write("expired.index", "");
    for role in ["server", "peer"] {
        let names = format!("IP:{},IP:127.0.0.1,DNS:{}", host.address(), host.name());
        write("expired.ext", &format!("extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName={names}\n"));
        openssl(&folder, "ecparam -name prime256v1 -genkey -noout -out expired.key");
        openssl(&folder, &format!("req -new -key expired.key -out expired.csr -subj /CN={}", host.name()));
        openssl(
            &folder,
            "ca -batch -notext -config expired.cnf -cert ca.crt -keyfile ca.key -in expired.csr -out expired.crt \
             -startdate 20200101000000Z -enddate 20200102000000Z -extfile expired.ext",
        );
        // Over what is there: owners and modes stay.
        for end in ["crt", "key"] {
            let content = fs::read(folder.join(format!("expired.{end}"))).expect("it was made");
            host.exec_with(&format!("cat >{PKI}/{role}.{end}"), &content);
        }
    }
    host.sh(&format!("openssl x509 -in {PKI}/server.crt -noout -checkend 0 && exit 1 || exit 0"));
    for name in ["cnf", "index", "index.old", "index.attr", "index.attr.old", "ext", "key", "csr", "crt"] {
        let _ = fs::remove_file(folder.join(format!("expired.{name}")));
    }
}

/// The processes go on, and every new handshake is refused; and then, after a restart of all, nobody finds a peer.
#[test]
fn pairs_that_have_all_expired_are_renewed_by_one_apply() {
    let test = "pairs_that_have_all_expired_are_renewed_by_one_apply";
    let Some(scene) = Scene::healthy(test, 3, Series::V3_5) else { return };
    scene.etcdctl(scene.first(), "put /kept yes");
    for restarted in [false, true] {
        scene.lab.hosts().iter().for_each(|host| expire(&scene, host));
        if restarted {
            scene.lab.hosts().iter().for_each(|host| drop(host.sh("systemctl --no-block restart etcd")));
            until("nobody serves", Duration::from_secs(30), || {
                let state = |host: &Host| host.sh("systemctl show -p ActiveState --value etcd").trim().to_owned();
                scene.lab.hosts().iter().all(|host| state(host) == "activating")
            });
        }
        scene.quorate(&["apply", "--yes", "--renew-certs"]).exits(0).says(&["issue server.crt"]);
        until("all serve", Duration::from_secs(30), || {
            scene.etcdctl(scene.first(), "endpoint health --cluster || :").matches("is healthy").count() == 3
        });
        assert!(scene.etcdctl(scene.first(), "get /kept").contains("yes"), "restarted: {restarted}");
        scene.is_as_declared();
    }
}

/// The CA's certificate again, with the same key, until `end`; here and on every host, as it was when they were issued.
fn authority_until(scene: &Scene, end: &str) {
    let folder = scene.lab.dir().join("pki");
    authority_here_until(&folder, end);
    let content = fs::read(folder.join("ca.crt")).expect("it was made");
    scene.lab.hosts().iter().for_each(|host| drop(host.exec_with(&format!("cat >{PKI}/ca.crt"), &content)));
}

/// The same in `folder` alone.
pub(super) fn authority_here_until(folder: &Path, end: &str) {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("the lab's folder can be written");
    write(
        "short.cnf",
        "[ca]\ndefault_ca = own\n[own]\ndatabase = short.index\nnew_certs_dir = .\nrand_serial = yes\n\
         default_md = sha256\npolicy = any\nunique_subject = no\npreserve = yes\n[any]\norganizationName = optional\n\
         commonName = supplied\n",
    );
    write("short.index", "");
    write("short.ext", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n");
    openssl(folder, "x509 -x509toreq -in ca.crt -signkey ca.key -out short.csr");
    openssl(
        folder,
        &format!(
            "ca -batch -notext -selfsign -config short.cnf -keyfile ca.key -in short.csr -out ca.crt \
             -startdate 20200101000000Z -enddate {end} -extfile short.ext"
        ),
    );
}

fn in_seconds(seconds: u32) -> String {
    let date = Command::new("date").args(["-u", "-d", &format!("{seconds} seconds"), "+%Y%m%d%H%M%SZ"]).output();
    String::from_utf8(date.expect("date runs").stdout).expect("text").trim().to_owned()
}

/// Every hint is followed to the letter, until the cluster is well.
#[test]
fn an_authority_that_has_expired_has_a_way_out() {
    let Some(mut scene) = Scene::healthy("an_authority_that_has_expired_has_a_way_out", 3, Series::V3_5) else {
        return;
    };
    scene.etcdctl(scene.first(), "put /kept yes");
    let on_all = |scene: &Scene, command: &str| scene.lab.hosts().iter().for_each(|host| drop(host.sh(command)));
    // It ends while they run.
    authority_until(&scene, &in_seconds(25));
    on_all(&scene, "systemctl --no-block restart etcd");
    sleep(Duration::from_secs(26));
    on_all(&scene, "systemctl is-active etcd");
    let said = scene.plan().exits(3).says(&["ca.crt expired on", "[authority-unreadable]"]).stdout;
    let command = said.split_once("own key (`").and_then(|(_, rest)| rest.split_once("`)")).expect("a command").0;
    let renewed = Command::new("sh").current_dir(scene.lab.dir()).args(["-c", command]).output().expect("sh runs");
    assert!(renewed.status.success(), "{command}: {}", String::from_utf8_lossy(&renewed.stderr));
    // Who does not stop etcd first is told to.
    let run = scene.quorate(&["apply", "--yes"]);
    assert_ne!(run.code, 0, "{}", run.stdout);
    run.says(&[
        "ca.crt holds no CA certificate that is still valid",
        "run `systemctl stop etcd.service` on every node",
    ]);
    on_all(&scene, "systemctl stop etcd.service");
    scene.apply().exits(0);
    scene.is_as_declared();
    assert!(scene.etcdctl(scene.first(), "get /kept").contains("yes"));

    // Another one in its place, declared without the one that has expired.
    authority_until(&scene, "20200102000000Z");
    on_all(&scene, "systemctl stop etcd.service");
    kubeadm_authority(&scene.lab.dir().join("ca"));
    let files = "[ca]\nsource = \"files\"\ncertificate = \"ca/ca.crt\"\nkey = \"ca/ca.key\"\n";
    scene.declare(|scene| scene.more = format!("{files}[ca.previous]\nsource = \"generated\"\n"));
    // Also while that is still declared, which nobody can trust any more.
    scene.plan().exits(2).says(&["the CA in [ca.previous] expired", "issue server.crt"]);
    scene.apply().exits(0).says(&["issue server.crt"]);
    assert!(scene.etcdctl(scene.first(), "get /kept").contains("yes"));
    scene.declare(|scene| scene.more = files.to_owned());
    scene.is_as_declared();
}
