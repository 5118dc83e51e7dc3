//! Hosts whose sessions are not plain: login shells, what they print, variables that reach every session, and a sudo that is
//! slow, watches, or refuses for another reason than a password.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::scene::{Scene, until};
use super::secrets::assert_absent;
use crate::lab::{Host, Lab, Series, User};

/// Variables that change what programs of ours, or of etcd, do.
const ENVIRONMENT: &str = "ETCDCTL_ENDPOINTS=https://203.0.113.9:2379\nETCDCTL_API=2\nETCD_NAME=other\nHTTPS_PROXY=http://203.0.113.9:1\n\
                           TAR_OPTIONS=--no-such-option\nGREP_OPTIONS=--color=always\nSYSTEMD_LOG_LEVEL=debug\nPOSIXLY_CORRECT=1\n";

fn login_shell(host: &Host, shell: &str) {
    host.sh(&format!("usermod --shell $(command -v {shell}) ops"));
}

fn sudoers(host: &Host, line: &str) {
    host.write("/etc/sudoers.d/zz-test", format!("{line}\n"));
    host.sh("chmod 0440 /etc/sudoers.d/zz-test && visudo -c -q");
}

/// How often sudo has been asked on the host so far, by its own log.
fn sudos(host: &Host) -> usize {
    host.sh("grep -c COMMAND= /var/log/sudo.log || true").parse().expect("a number")
}

fn is_locked(host: &Host) -> bool {
    !host.exec("exec 9>>/run/quorate.lock && flock -n 9").succeeded()
}

fn odd(test: &str, hosts: usize) -> Option<Scene> {
    // Their sessions are what these tests make of them.
    let lab = Lab::builder().hosts(hosts).user(User::WithSudo("ops".to_owned())).plain();
    let scene = Scene::on(test, lab, Series::V3_5)?;
    crate::installed::give(&scene.lab, &scene.archive);
    for host in scene.lab.hosts() {
        sudoers(host, "Defaults logfile=/var/log/sudo.log");
    }
    Some(scene)
}

#[test]
fn a_cluster_is_made_and_kept_whatever_its_sessions_are() {
    let Some(mut scene) = odd("a_cluster_is_made_and_kept_whatever_its_sessions_are", 3) else { return };
    scene
        .declare(|scene| scene.more = "[backup]\ndirectory = \"/var/backups/etcd\"\nschedule = \"0 3 * * *\"\n".into());
    let [tcsh, fish, bash] = scene.lab.hosts() else { panic!("three hosts") };
    login_shell(tcsh, "tcsh");
    tcsh.write("/home/ops/.cshrc", "echo -n Welcome\n");
    login_shell(fish, "fish");
    sudoers(fish, "Defaults logfile=/var/log/sudo.log, log_input, log_output, use_pty");
    login_shell(bash, "bash");
    bash.write("/home/ops/.bashrc", "printf Welcome; printf hello >&2; trap 'echo goodbye' EXIT\n");
    bash.write("/home/ops/.bash_logout", "echo logout\n");
    sudoers(bash, "Defaults logfile=/var/log/sudo.log, umask=0777, umask_override");
    for host in scene.lab.hosts() {
        host.write("/etc/environment", ENVIRONMENT);
    }

    let mut command = scene.command(&["apply", "--yes"]);
    let mut apply = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().expect("the binary runs");
    until("all hosts are locked", Duration::from_secs(20), || scene.lab.hosts().iter().all(is_locked));
    assert!(apply.wait().expect("it ends").success());
    scene.is_in_sync();
    scene.is_healthy();
    until("no host is locked", Duration::from_secs(5), || !scene.lab.hosts().iter().any(is_locked));

    scene.quorate(&["backup", "run", "--on", "etcd-1"]).exits(0);
    scene.quorate(&["backup", "run", "--on", "etcd-2"]).exits(0);
    let said = scene.quorate(&["backup", "list"]).exits(0).stdout;
    assert_eq!(said.matches("snapshot-").count(), 2, "{said}");
    let name = said.split_whitespace().find(|word| word.starts_with("snapshot-")).expect("it is listed");
    scene.quorate(&["backup", "get", name]).exits(0);
    // The scheduled one, with what systemd may give every service.
    tcsh.sh("mkdir -p /etc/systemd/system/service.d");
    let service: String = ENVIRONMENT.lines().map(|line| format!("Environment={line}\n")).collect();
    tcsh.write("/etc/systemd/system/service.d/all.conf", format!("[Service]\n{service}"));
    tcsh.sh("systemctl daemon-reload && systemctl start quorate-backup.service");

    // sudo is asked once for each connection, and has seen no key.
    let before = sudos(fish);
    scene.quorate(&["plan"]).exits(0);
    assert_eq!(sudos(fish), before + 1);
    let recorded = fish.sh("find /var/log/sudo-io -type f -exec zcat -f {} +");
    assert!(recorded.contains("quorate-way-"), "sudo was to record something: {recorded}");
    let keys: Vec<_> = ["server", "peer"]
        .iter()
        .map(|name| fish.read(&format!("/etc/etcd/pki/{name}.key")).expect("there is a key"))
        .collect();
    assert_absent(&keys, "what sudo has recorded", &recorded);
    until("nothing is left", Duration::from_secs(5), || {
        scene.lab.hosts().iter().all(|host| host.sh("ls -d /run/quorate.session.* 2>/dev/null || true").is_empty())
    });
}

/// A helper lives as long as its connection, also when that is cut off, and what one that was killed has left goes with the next.
#[test]
fn a_helper_leaves_nothing_behind() {
    let Some(mut scene) = odd("a_helper_leaves_nothing_behind", 1) else { return };
    scene.declare(|scene| scene.cluster = "downtime = \"allowed\"".into());
    let host = scene.first();
    let sessions = || host.sh("ls -d /run/quorate.session.* 2>/dev/null || true");
    let mut apply =
        scene.command(&["apply", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    until("it is locked", Duration::from_secs(60), || is_locked(host));
    assert_eq!(host.sh("stat -c '%a %U' /run/quorate.session.*"), "700 ops");
    apply.kill().expect("it runs");
    apply.wait().expect("it ends");
    until("nothing is left", Duration::from_secs(5), || sessions().is_empty() && !is_locked(host));

    // As one that was killed leaves it, with the process that clears up.
    host.sh("mkdir -m 700 /run/quorate.session.aaaaaaaaaa && mkfifo /run/quorate.session.aaaaaaaaaa/ask");
    scene.apply().exits(0);
    until("nothing is left", Duration::from_secs(5), || sessions().is_empty());

    // One that is killed while it is needed is started anew.
    let mut apply = scene.command(&["apply", "--yes", "--restart=etcd-1"]).spawn().expect("it runs");
    until("it is locked", Duration::from_secs(60), || is_locked(host));
    host.sh("pkill -9 -o -f '^sh -c.* quorate [0-9]+$'");
    assert!(apply.wait().expect("it ends").success());
    scene.is_in_sync();
    until("nothing is left", Duration::from_secs(5), || sessions().is_empty());
}

/// A host whose own name does not resolve: sudo waits for a name server that gives no answer, once.
#[test]
fn a_slow_sudo_is_waited_for_once() {
    let Some(scene) = odd("a_slow_sudo_is_waited_for_once", 1) else { return };
    let host = scene.first();
    host.sh("sed -i /etcd-1/d /etc/hosts && echo 'hosts: files dns' >/etc/nsswitch.conf");
    host.write("/etc/resolv.conf", "nameserver 127.0.0.9\noptions timeout:4 attempts:1\n");
    host.sh("nft add table inet test && nft 'add chain inet test in { type filter hook input priority 0; }' && \
         nft add rule inet test in udp dport 53 drop");
    let begun = Instant::now();
    host.sh("su ops -c 'sudo -n true' 2>&1");
    let once = begun.elapsed();
    assert!(once > Duration::from_secs(2), "sudo is not slow: {once:?}");
    let before = sudos(host);
    let begun = Instant::now();
    scene.apply().exits(0);
    eprintln!("sudo takes {once:?}, apply {:?}", begun.elapsed());
    assert_eq!(sudos(host), before + 1);
    scene.is_in_sync();
}

#[test]
fn what_stands_in_the_way_of_sudo_is_named() {
    let Some(scene) = odd("what_stands_in_the_way_of_sudo_is_named", 1) else { return };
    let host = scene.first();
    for (option, line) in [
        ("Defaults requiretty", "Defaults:ops !requiretty"),
        ("Defaults noexec", "Defaults:ops !noexec"),
        ("ops ALL=(ALL:ALL) NOEXEC: NOPASSWD: ALL", "EXEC: NOPASSWD: ALL"),
        ("ops ALL=(ALL:ALL) PASSWD: ALL", "ops ALL=(root) NOPASSWD: ALL"),
    ] {
        sudoers(host, option);
        let run = scene.quorate(&["plan"]);
        assert_eq!(run.code, 6, "{option}: {run:?}");
        let said = run.stdout + &run.stderr;
        assert!(said.contains(line), "{option}: {said}");
        // Whatever sudo lists: once, and not with every check that it stands in the way of.
        let doctor = scene.quorate(&["doctor", "--no-disk"]);
        let told = doctor.stdout.split_once("  PROBLEM  sudo ").unwrap_or_else(|| panic!("{option}: {doctor:?}")).1;
        assert!(told.contains(line) && told.contains("not looked at: see sudo"), "{option}: {told}");
        assert_eq!(told.matches("on etcd-1 refused").count(), 1, "{option}: {told}");
    }
    // Not sudo's fault, and not said to be.
    sudoers(host, "Defaults !noexec");
    login_shell(host, "bash");
    host.write("/home/ops/.bashrc", "read -r line\n");
    scene.quorate(&["plan"]).exits(6).says(&["does a login script read it?"]);
    host.sh("rm /home/ops/.bashrc");
    // Nothing of what we use is where sudo looks.
    sudoers(host, "Defaults secure_path=/opt/none");
    scene.quorate(&["plan"]).exits(0);
    let doctor = scene.quorate(&["doctor", "--no-disk"]);
    assert!(doctor.stdout.contains("  ok       sudo "), "{doctor:?}");
    // The line that is named is the one that changes it.
    sudoers(host, "Defaults noexec\nDefaults:ops !noexec");
    scene.quorate(&["plan"]).exits(0);
}

/// Hardening guides set MaxSessions to 2: beside the lock there is one for everything.
#[test]
fn few_sessions_are_enough_unless_sudo_watches() {
    let Some(scene) = odd("few_sessions_are_enough_unless_sudo_watches", 1) else { return };
    let host = scene.first();
    host.sh("echo 'MaxSessions 2' >>/etc/ssh/sshd_config && systemctl restart ssh");
    sudoers(host, "Defaults log_input");
    scene.quorate(&["plan"]).exits(0);
    let run = scene.quorate(&["apply", "--yes"]);
    assert_ne!(run.code, 0, "{run:?}");
    assert!((run.stdout.clone() + &run.stderr).contains("MaxSessions"), "{run:?}");
    assert!(!host.exec("ls /etc/etcd/pki/server.key").succeeded(), "something was done");
    sudoers(host, "Defaults !log_input");
    scene.apply().exits(0);
    scene.is_in_sync();
}
