//! What an operator asks of etcd itself, through quorate alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::scene::{Scene, until};

/// On a healthy cluster without authentication, which it leaves as it is but for who leads.
pub fn all(scene: &Scene) {
    etcdctl_is_run_on_a_node(scene);
    a_certificate_is_issued_for_it(scene);
    what_is_watched_ends_with_who_watches(scene);
    logs_are_shown(scene);
    leadership_is_moved(scene);
    a_pair_is_stored(scene);
    quiet_is_one_line(scene);
}

fn quiet_is_one_line(scene: &Scene) {
    for words in [&["-q", "plan"][..], &["-q", "status", "--check"], &["-q", "apply", "--yes"]] {
        let run = scene.quorate(words).exits(0);
        assert_eq!((run.stdout.lines().count(), run.stderr.as_str()), (1, ""), "{words:?}: {}", run.stdout);
    }
}

fn etcdctl_is_run_on_a_node(scene: &Scene) {
    let members = scene.quorate(&["etcdctl", "--", "member", "list"]).exits(0).stdout;
    assert_eq!(members.lines().count(), 3, "{members}");
    // At its own member alone, unless another one is named.
    let own = scene.quorate(&["etcdctl", "--node", "etcd-2", "--", "endpoint", "health"]).exits(0);
    let of = |host: &str| format!("https://{}:2379", scene.lab.host(host).address());
    assert!(own.stdout.contains(&of("etcd-2")), "{}", own.stdout);
    let other = format!("--endpoints={}", of("etcd-3"));
    let asked = scene.quorate(&["etcdctl", "--", &other, "endpoint", "health"]).exits(0).stdout;
    assert!(asked.contains(&of("etcd-3")) && asked.lines().count() == 1, "{asked}");
    // Its exit code and its words are ours.
    scene.quorate(&["etcdctl", "--", "get", "a", "--no-such-flag"]).exits(1).says(&["unknown flag: --no-such-flag"]);
    scene.quorate(&["etcdctl", "--node", "etcd-9", "--", "get", "a"]).exits(64).says(&["no such node"]);
}

fn a_certificate_is_issued_for_it(scene: &Scene) {
    let word = "a value that no log may have";
    let put = scene.quorate_reading(&["etcdctl", "--as", "app", "--stdin", "--", "put", "/by-stdin"], word.as_bytes());
    put.exits(0);
    let got = scene.quorate(&["etcdctl", "--as", "root", "--", "get", "/by-stdin", "--print-value-only"]).exits(0);
    assert_eq!(got.stdout.trim_end(), word);
    scene.quorate(&["etcdctl", "--as", "app", "--", &format!("--user=app:{word}"), "version"]).exits(0);
    scene.quorate(&["etcdctl", "--as", "app", "--", "put", "/by-word", word]).exits(0);
    let host = scene.first();
    let said = host.sh("journalctl -t quorate -o cat");
    assert!(said.contains(": put") && !said.contains(word), "{said}");
    assert_eq!(host.sh("ls -d /run/quorate.etcdctl.* 2>/dev/null || :"), "", "no key is left");
}

fn what_is_watched_ends_with_who_watches(scene: &Scene) {
    let words = ["etcdctl", "--node", "etcd-1", "--as", "app", "--", "watch", "/watched"];
    let mut watch = scene.command(&words).stdout(Stdio::null()).spawn().expect("the binary runs");
    let host = scene.lab.host("etcd-1");
    let watching = "pgrep -fc '^[^ ]*etcdctl .*watch /watched' || :";
    until("it watches", Duration::from_secs(20), || host.sh(watching) == "1");
    watch.kill().expect("it runs");
    watch.wait().expect("it ends");
    until("it ends there, too", Duration::from_secs(20), || host.sh(watching) == "0");
    until("its key is gone", Duration::from_secs(5), || host.sh("ls /run | grep quorate.etcdctl || :").is_empty());
}

fn logs_are_shown(scene: &Scene) {
    let shown = scene.quorate(&["logs", "etcd-3", "-n", "4"]).exits(0).stdout;
    assert_eq!(shown.lines().count(), 4, "{shown}");
    assert!(shown.contains("etcd-3"), "{shown}");
    scene.quorate(&["logs", "etcd-9"]).exits(64).says(&["no such node"]);
}

fn leadership_is_moved(scene: &Scene) {
    scene.quorate(&["move-leader", "etcd-2"]).exits(0);
    scene.quorate(&["move-leader", "etcd-2"]).exits(0).says(&["etcd-2 is the leader already"]);
    scene.quorate(&["move-leader", "etcd-3"]).exits(0).says(&["leadership moved from etcd-2 to etcd-3"]);
    let moved = scene.quorate(&["move-leader"]).exits(0).stdout;
    assert!(moved.contains("leadership moved from etcd-3 to"), "{moved}");
}

fn a_pair_is_stored(scene: &Scene) {
    let folder = scene.lab.dir().join("issued");
    let path = folder.to_str().expect("text");
    // Again, as a timer would.
    for _ in 0..2 {
        scene.quorate(&["certs", "issue", "app", "--ttl", "1h", "-d", path]).exits(0).says(&["app.crt: app, expires "]);
    }
    let mode = |name: &str| fs::metadata(folder.join(name)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!([mode("app.key"), mode("app.crt"), mode("ca.crt"), mode("")], [0o600, 0o644, 0o644, 0o700]);
    let key = |arguments: &[&str], file: &str| {
        let said = Command::new("openssl").args(arguments).arg(folder.join(file)).output().expect("openssl runs");
        String::from_utf8(said.stdout).expect("text")
    };
    let of_certificate = key(&["x509", "-noout", "-pubkey", "-in"], "app.crt");
    assert_eq!(of_certificate, key(&["pkey", "-pubout", "-in"], "app.key"));
    let env = scene.quorate(&["export", "env", "--as", "app", "-d", path]).exits(0).stdout;
    assert!(env.contains(&format!("export ETCDCTL_KEY={path}/app.key\n")), "{env}");
    // On a node its words are enough for etcdctl.
    let env = scene.quorate(&["export", "env", "--node", "etcd-1"]).exits(0).stdout;
    let members = scene.lab.host("etcd-1").sh(&format!("{env} etcdctl member list"));
    assert_eq!(members.lines().count(), 3, "{members}");
    let pki = scene.lab.dir().join("pki");
    scene.quorate(&["certs", "issue", "app", "-d", pki.to_str().expect("text")]).exits(64).says(&["the key of a CA"]);
}
