//! The lab does what tests rely on. Needs root; skipped by name without.

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::lab::{self, Host, Lab, Process, Series, User, etcd_archive, kubeadm};

#[test]
fn three_hosts_boot_and_root_logs_in() {
    if !Lab::can_run("three_hosts_boot_and_root_logs_in") {
        return;
    }
    let started = Instant::now();
    let lab = Lab::builder().hosts(3).plain().up();
    println!("three hosts were up after {:.2} s", started.elapsed().as_secs_f64());
    for host in lab.hosts() {
        let name = host.name();
        let output = lab.ssh(name, "hostname; id -un");
        assert_eq!(output.stdout, format!("{name}\nroot\n"), "{output:?}");
        assert_eq!(host.sh("systemctl is-system-running || systemctl --failed"), "running");
    }
    let ids: Vec<String> = lab.hosts().iter().map(|host| host.sh("cat /etc/machine-id")).collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    // One's services are nobody else's: were the control groups shared, this would stop all three.
    lab.host("etcd-1").sh("systemctl stop ssh");
    assert!(answers(&lab, "etcd-2") && !answers(&lab, "etcd-1"));
}

#[test]
fn host_keys_are_checked_strictly() {
    if !Lab::can_run("host_keys_are_checked_strictly") {
        return;
    }
    let lab = Lab::up(1);
    assert!(lab.ssh("etcd-1", "true").succeeded());
    lab.host("etcd-1").change_host_keys();
    let refused = lab.ssh("etcd-1", "true");
    assert_eq!(refused.code, 255);
    assert!(refused.stderr.contains("Host key verification failed"), "{refused:?}");
}

#[test]
fn ordinary_users_have_the_sudo_rights_they_were_given() {
    if !Lab::can_run("ordinary_users_have_the_sudo_rights_they_were_given") {
        return;
    }
    // Two labs at once, with the same names of hosts.
    let with = Lab::builder().hosts(1).plain().user(User::WithSudo("ops".to_owned())).up();
    let without = Lab::builder().hosts(1).plain().user(User::WithoutSudo("ops".to_owned())).up();
    assert_ne!(with.id(), without.id());
    let output = with.ssh("etcd-1", "id -un; sudo -n id -un");
    assert_eq!(output.stdout, "ops\nroot\n", "{output:?}");
    let output = without.ssh("etcd-1", "id -un; sudo -n id -un");
    assert_eq!((output.code, output.stdout.as_str()), (1, "ops\n"), "{output:?}");
}

#[test]
fn a_cut_host_is_gone_until_it_is_healed() {
    if !Lab::can_run("a_cut_host_is_gone_until_it_is_healed") {
        return;
    }
    let lab = Lab::up(3);
    let [first, second, third] = lab.hosts() else { panic!("three hosts") };
    second.cut();
    assert!(!answers(&lab, "etcd-2") && answers(&lab, "etcd-1"));
    assert_eq!(second.sh("hostname"), "etcd-2", "exec does not need the network");
    second.heal();
    assert!(answers(&lab, "etcd-2"));

    first.cut_from(third);
    assert!(!reaches(first, third) && !reaches(third, first));
    assert!(reaches(first, second) && reaches(third, second) && answers(&lab, "etcd-1"));
    first.heal();
    assert!(reaches(first, third));
}

#[test]
fn a_power_cut_keeps_the_disk_and_wipe_empties_it() {
    if !Lab::can_run("a_power_cut_keeps_the_disk_and_wipe_empties_it") {
        return;
    }
    let lab = Lab::builder().hosts(1).idle(1).data_in_place().up();
    let host = lab.host("etcd-1");
    host.write("/var/lib/etcd/some file", "kept");
    host.power_off();
    assert!(!host.is_on() && !answers(&lab, "etcd-1") && host.processes().is_empty());
    assert_eq!(host.read("/var/lib/etcd/some file").as_deref(), Some("kept"), "readable while off");
    host.write("/var/lib/etcd/another", "written while off");
    host.power_on();
    assert!(lab.ssh("etcd-1", "true").succeeded());
    assert_eq!(host.sh("cat '/var/lib/etcd/some file' /var/lib/etcd/another"), "keptwritten while off");

    host.shut_down();
    assert!(!host.is_on());
    host.power_on();
    assert_eq!(host.read("/var/lib/etcd/some file").as_deref(), Some("kept"));

    host.wipe();
    assert_eq!(host.read("/var/lib/etcd/some file"), None);
    assert!(lab.ssh("etcd-1", "true").succeeded(), "a wiped host keeps its address and keys");

    let spare = lab.host("etcd-2");
    assert!(!spare.is_on());
    spare.power_on();
    assert!(lab.ssh("etcd-2", "true").succeeded());
}

#[test]
fn a_small_disk_gets_full() {
    if !Lab::can_run("a_small_disk_gets_full") {
        return;
    }
    let lab = Lab::builder().hosts(2).disk_bytes_of("etcd-2", 64 << 20).up();
    let write = "head -c 80000000 /dev/zero >/var/lib/big";
    assert!(lab.host("etcd-1").exec(write).succeeded());
    let full = lab.host("etcd-2").exec(write);
    assert!(full.stderr.contains("No space left on device"), "{full:?}");
}

#[test]
fn snapshots_show_what_was_written_and_nothing_else() {
    if !Lab::can_run("snapshots_show_what_was_written_and_nothing_else") {
        return;
    }
    let lab = Lab::builder().hosts(1).user(User::WithSudo("ops".to_owned())).plain().up();
    let host = lab.host("etcd-1");
    let before = host.snapshot_files();
    let reading = "cat /etc/passwd /etc/hostname; ls -lR /etc /var/lib; sudo -n cat /etc/shadow; systemctl status ssh";
    assert!(lab.ssh("etcd-1", reading).stdout.contains("root:"));
    assert_eq!(host.snapshot_files(), before, "reading over ssh writes nothing");

    host.sh("chmod 0600 /etc/hostname; rm /etc/motd; ln -s /nowhere /etc/link");
    let after = host.snapshot_files();
    let differs = |path: &&std::path::PathBuf| before.get(*path) != after.get(*path);
    let changed: Vec<_> = before.keys().chain(after.keys()).filter(differs).collect();
    for path in ["/etc/hostname", "/etc/motd", "/etc/link"] {
        assert!(changed.iter().any(|changed| changed.as_os_str() == path), "{path} is not among {changed:?}");
    }
    assert_eq!(after[std::path::Path::new("/etc/hostname")].mode & 0o7777, 0o600);
}

#[test]
fn processes_are_seen_with_their_arguments() {
    if !Lab::can_run("processes_are_seen_with_their_arguments") {
        return;
    }
    let lab = Lab::up(1);
    let host = lab.host("etcd-1");
    host.sh("systemd-run --quiet --service-type=exec --unit=sleeper --uid=nobody sleep 12345");
    let processes = host.processes();
    assert_eq!(processes.first().map(|process| process.pid), Some(1));
    let sleeper: Vec<&Process> =
        processes.iter().filter(|process| process.command.ends_with(&["12345".into()])).collect();
    assert_eq!((sleeper.len(), sleeper[0].uid), (1, 65534), "{processes:?}");
}

#[test]
fn date_can_be_wrong() {
    if !Lab::can_run("date_can_be_wrong") {
        return;
    }
    let lab = Lab::builder().hosts(1).plain().up();
    let host = lab.host("etcd-1");
    let ahead_seconds = || host.sh("echo $(( $(date +%s) - $(/bin/date +%s) ))").parse::<i64>().expect("a number");
    host.skew_clock(-90);
    assert!((-91..=-89).contains(&ahead_seconds()));
    host.skew_clock(0);
    assert!((-1..=1).contains(&ahead_seconds()));
}

#[test]
fn the_next_lab_removes_what_a_killed_test_left() {
    if !Lab::can_run("the_next_lab_removes_what_a_killed_test_left") {
        return;
    }
    let left = Lab::up(1);
    let init = left.host("etcd-1").processes().swap_remove(0);
    left.abandon();
    // Another test may start a lab just now, so whether it still lives says nothing here.
    let _next = Lab::up(1);
    assert!(!lives(&init));
}

#[test]
fn every_etcd_archive_runs_on_a_host() {
    if !Lab::can_run("every_etcd_archive_runs_on_a_host") {
        return;
    }
    let lab = Lab::up(1);
    let host = lab.host("etcd-1");
    for &series in Series::ALL {
        let archive = match etcd_archive(series) {
            Ok(archive) => archive,
            Err(skip) => {
                eprintln!("skipped: every_etcd_archive_runs_on_a_host: {skip}");
                continue;
            }
        };
        let content = fs::read(&archive.path).expect("the archive that was just made");
        let unpacked = host.exec_with("rm -rf /opt/etcd; mkdir /opt/etcd; tar -xzf - -C /opt/etcd", &content);
        assert!(unpacked.succeeded(), "{unpacked:?}");
        let version = archive.version;
        let folder = format!("/opt/etcd/etcd-v{version}-linux-{}", lab::arch());
        assert!(host.sh(&format!("{folder}/etcd --version")).starts_with(&format!("etcd Version: {version}\n")));
        assert!(host.sh(&format!("ETCDCTL_API=3 {folder}/etcdctl version")).contains(&version));
        let has_etcdutl = host.exec(&format!("{folder}/etcdutl version")).stdout.contains(&version);
        assert_eq!(has_etcdutl, series != Series::V3_4, "etcdutl of {version}");
    }
}

#[test]
fn a_kubelet_runs_the_etcd_that_kubeadm_sets_up() {
    if !Lab::can_run_kubelet("a_kubelet_runs_the_etcd_that_kubeadm_sets_up") {
        return;
    }
    let lab = Lab::builder().hosts(2).kubelet().up();
    let [member, other] = lab.hosts() else { panic!("two hosts") };
    kubeadm::members(std::slice::from_ref(member));
    assert!(kubeadm::etcdctl(member, "put key value").succeeded());
    assert!(member.snapshot_files().contains_key(std::path::Path::new("/etc/kubernetes/manifests/etcd.yaml")));
    let runs_etcd = |host: &Host| {
        host.processes().iter().any(|process| process.command.first().is_some_and(|program| program == "etcd"))
    };
    assert!(runs_etcd(member) && !runs_etcd(other));
    assert_eq!(other.sh("crictl images --output json | jq '.images | length'"), "2");

    member.power_off();
    assert!(!member.is_on() && member.read("/etc/kubernetes/manifests/etcd.yaml").is_some());
    let hierarchies = fs::read_dir("/sys/fs/cgroup").expect("control groups").flatten();
    let groups = hierarchies.map(|hierarchy| hierarchy.path().join(format!("qlab{}-1", lab.id())));
    assert_eq!(groups.filter(|group| group.exists()).collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new());
    member.power_on();
    kubeadm::wait_until_ready(member);
    assert_eq!(kubeadm::etcdctl(member, "get key --print-value-only").stdout, "value\n");
}

/// Whether sshd on that host accepts a connection from here.
fn answers(lab: &Lab, name: &str) -> bool {
    TcpStream::connect_timeout(&(lab.host(name).address(), 22).into(), Duration::from_secs(2)).is_ok()
}

/// Whether sshd of one host accepts a connection from another.
fn reaches(from: &Host, to: &Host) -> bool {
    from.exec(&format!("timeout 2 bash -c '</dev/tcp/{}/22'", to.address())).succeeded()
}

/// Whether this very process is still there, and not just waiting for its parent to ask how it ended.
fn lives(process: &Process) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.outside_pid)).unwrap_or_default();
    let words: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, words)| words).split_whitespace().collect();
    words.first().is_some_and(|state| *state != "Z") && words.get(19) == Some(&process.started.to_string().as_str())
}
