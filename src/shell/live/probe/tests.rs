//! Answers that real hosts have given (fixtures/remote: hosts of the lab in the state of their name, asked with the script
//! over ssh), and answers that nobody should ever give.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::core::content::layout;
use crate::core::desired::{AuthoritySource, Desired, Layout};
use crate::core::names::{Architecture, ClusterId, HostName, RemotePath, SnapshotReason, Version};
use crate::core::observed::{
    Access, Client, DataDirectory, Ended, File, Folder, Installed, Needed, OtherEtcd, Role, Room, Runner, ServiceState,
    Stored, Tools, Usage, V2Store, Work,
};

const BARE: &[u8] = include_bytes!("../../../../fixtures/remote/bare.txt");
const RUNNING: &[u8] = include_bytes!("../../../../fixtures/remote/running.txt");
const DRIFTED: &[u8] = include_bytes!("../../../../fixtures/remote/drifted.txt");
const TAKEN: &[u8] = include_bytes!("../../../../fixtures/remote/taken.txt");
const TAKEN_WITHOUT_SS: &[u8] = include_bytes!("../../../../fixtures/remote/taken-without-ss.txt");
const PREINSTALLED: &[u8] = include_bytes!("../../../../fixtures/remote/preinstalled.txt");

fn desired(more: &str) -> Desired {
    let text = format!(
        "[cluster]\nname = \"lab\"\nversion = \"3.5.30\"\n[nodes.etcd-1]\naddress = \"10.77.3.11\"\n\
         [nodes.etcd-2]\naddress = \"10.77.3.12\"\n[nodes.etcd-3]\naddress = \"10.77.3.13\"\n{more}"
    );
    crate::core::desired::read::parse(&text, "cluster.toml", Path::new("/here"), None).expect("a valid cluster.toml")
}

fn of(desired: &Desired) -> Subject<'_> {
    Subject { desired, host: desired.nodes.keys().next().expect("it has nodes") }
}

/// With the certificates that only the authorities of the host itself can have signed.
fn parse(desired: &Desired, bytes: &[u8]) -> Result<Sight, Trouble> {
    let sight = super::parse(&of(desired), bytes)?;
    let host = sight.clone().recognised(&[]);
    Ok(Sight { host, ..sight })
}

fn seen(bytes: &[u8]) -> Host {
    parse(&desired(""), bytes).expect("a whole answer").host
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = core::str::from_utf8(bytes).expect("fixtures are text");
    assert!(text.contains(from), "the fixture does not hold {from:?}");
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn a_bare_host_has_nothing() {
    let host = seen(BARE);
    assert_eq!(host.architecture, Architecture::Amd64);
    assert!(!host.account && host.folders.is_empty() && host.files.is_empty() && host.installed.is_empty());
    assert!(host.certificates.is_empty() && host.trusted.is_empty() && host.taken_ports.is_empty());
    assert_eq!((host.data, host.tools, host.process), (DataDirectory::Empty, Tools::Absent, None));
    assert_eq!(host.service.state, ServiceState::Inactive);
}

#[test]
fn a_running_member_is_seen_whole() {
    let sight = parse(&desired(""), RUNNING).expect("a whole answer");
    let host = sight.host;
    assert!(host.account && host.service.enabled && !host.service.needs_reload);
    assert_eq!(host.service.state, ServiceState::Active);
    assert_eq!(host.data, DataDirectory::Member);
    let not_there = [File::Settings, File::NewDataMarker, File::Departures, File::RestoreNote, File::RestoreMark]
        .into_iter()
        .chain(crate::core::content::layout::OF_BACKUPS);
    let not_there: Vec<_> = not_there.collect();
    for &file in File::ALL.iter().filter(|file| !not_there.contains(file)) {
        assert_eq!(host.files[&file].access, layout::access(file), "{file:?}");
    }
    for &folder in Folder::ALL {
        assert_eq!(host.folders[&folder], layout::folder_access(folder));
    }
    assert!(host.text_of_for_tests(File::Config).starts_with("# Kept by quorate"));
    assert_eq!(host.files[&File::ServerKey].text, None);
    let [authority] = host.trusted[..] else { panic!("it trusts one authority: {:?}", host.trusted) };
    for (role, certificate) in &host.certificates {
        assert_eq!(certificate.signed_by, Some(authority), "{role}");
        assert_eq!(certificate.matches_key, Seen::Known(true), "{role}");
    }
    assert_eq!(host.certificates[&Role::HealthcheckClient].usages, [Usage::ClientAuth].into());
    let archive = "a73b8daed8f189574c21bdd4095ce6111b5ab1fdb77ebfe543197c99b8f94591".parse().ok();
    assert_eq!(host.installed, BTreeMap::from([(Version::new(3, 5, 30), Installed { archive })]));
    assert_eq!(host.tools, Tools::Link(RemotePath::new("/opt/etcd/3.5.30")));
    assert!(host.taken_ports.is_empty() && sight.own_ports.is_empty());
    let process = host.process.expect("it runs");
    assert_eq!(process.executable.as_str(), "/opt/etcd/3.5.30/etcd");
    assert!(!process.executable_replaced);
    assert_eq!(process.started, UnixSeconds(1_795_219_771));
    for (file, digest) in process.loaded {
        assert_eq!(digest, host.files[&file].digest, "{file:?}");
    }
}

#[test]
fn every_drift_of_a_running_member_is_seen() {
    let sight = parse(&desired("[ports]\nclient = 4379\n"), DRIFTED).expect("a whole answer");
    let host = sight.host;
    assert!(!host.service.enabled);
    let nice = (RemotePath::new("/etc/systemd/system/etcd.service.d/nice.conf"), ["Nice".to_owned()].into());
    assert_eq!(host.service.drop_ins, [nice].into());
    let process = host.process.as_ref().expect("it runs");
    assert!(process.executable_replaced);
    assert_eq!(process.executable.as_str(), "/opt/etcd/3.5.30/etcd");
    assert_ne!(process.loaded[&File::Config], host.files[&File::Config].digest);
    assert_eq!(process.loaded[&File::Unit], host.files[&File::Unit].digest);
    assert_eq!(host.certificates[&Role::Server].matches_key, Seen::Known(true));
    assert_eq!(host.certificates[&Role::Peer].matches_key, Seen::Known(false), "the server's key lies there");
    assert_eq!(host.certificates[&Role::HealthcheckClient].matches_key, Seen::Known(false), "an RSA key lies there");
    assert_eq!(host.files[&File::ServerKey].access, Access::new("644", "etcd", "etcd"));
    assert_eq!(host.installed[&Version::new(3, 5, 30)], Installed { archive: None }, "etcdctl was changed");
    assert_eq!(host.tools, Tools::Absent);
    assert!(host.taken_ports.is_empty(), "they are our own: {:?}", host.taken_ports);
    assert_eq!(sight.own_ports, [2379, 2380, 2381]);
}

#[test]
fn a_binary_younger_than_the_record_is_compared_whole() {
    let touched = |digest: &str| {
        let sums = format!("[sums]\n{digest}  /opt/etcd/3.5.30/etcdctl\n");
        seen(&replaced(RUNNING, "[sums]\n", &sums)).installed[&Version::new(3, 5, 30)].archive
    };
    assert!(touched("b4efd1d8768179f304bf86487956ab5e152eb853efc119b6c69925db1df5453d").is_some());
    assert_eq!(touched(&"0".repeat(64)), None);
}

#[test]
fn ports_of_others_are_told_with_their_holder() {
    let host = seen(TAKEN);
    let perl = || "perl (process 102)".to_owned();
    assert_eq!(host.taken_ports, BTreeMap::from([(2379, perl()), (2381, perl())]));
    assert_eq!((host.data, host.tools), (DataDirectory::Foreign, Tools::Foreign));
    let someone = || "a program of user 1".to_owned();
    assert_eq!(seen(TAKEN_WITHOUT_SS).taken_ports, BTreeMap::from([(2379, someone()), (2381, someone())]));
}

#[test]
fn a_preinstalled_etcd_says_its_version_itself() {
    let desired = desired("[etcd.archive]\npreinstalled = \"/usr/bin\"\n");
    let host = parse(&desired, PREINSTALLED).expect("a whole answer").host;
    assert_eq!(host.installed, BTreeMap::from([(Version::new(3, 5, 30), Installed { archive: None })]));
}

#[test]
fn the_newest_snapshot_before_each_version_is_told() {
    let with = |lines: &str| {
        let section = format!("[snapshots]\n{lines}[listeners]\n");
        parse(&desired(""), &replaced(RUNNING, "[listeners]\n", &section)).expect("a whole answer").saved
    };
    let folder = layout::SNAPSHOTS_FOLDER;
    let known = |name: &str, cluster: &str| {
        format!("known {folder}/{name}.db {{\"cluster_id\":\"{cluster}\",\"bytes\":4096}}\n")
    };
    let ours =
        ["3.6.16-20261120-231640", "3.6.16-20261120-233140", "3.7.3-20261120-231820", "change-20261120-232000", "noon"];
    let known: String =
        ours.iter().map(|name| known(&format!("before-{name}"), "a")).chain([known("before-3.7.4-1", "b")]).collect();
    let saved = with(&format!(
        "{known}1795219000 4096 {folder}/before-3.6.16-20261120-231640.db\n1795219900 4096 {folder}/before-3.6.16-20261120-233140.db\n\
         1795219100 4096 {folder}/before-3.7.3-20261120-231820.db\n1795219100 4096 {folder}/before-noon.db\nx 4096 {folder}/before-3.5.30-1.db\n\
         1795219200 4096 {folder}/before-change-20261120-232000.db\n\
         1795219900 4096 {folder}/before-3.7.4-1.db\n1795219900 4096 {folder}/before-3.8.0-1.db\n"
    ));
    let expected = [
        (SnapshotReason::Upgrade(Version::new(3, 6, 16)), UnixSeconds(1_795_219_900)),
        (SnapshotReason::Upgrade(Version::new(3, 7, 3)), UnixSeconds(1_795_219_100)),
        (SnapshotReason::Change, UnixSeconds(1_795_219_200)),
    ];
    assert_eq!(newest_saved(&saved, ClusterId(0xa)), BTreeMap::from(expected));
    // Of another cluster, and one that was cut since.
    let other = [(SnapshotReason::Upgrade(Version::new(3, 7, 4)), UnixSeconds(1_795_219_900))];
    assert_eq!(newest_saved(&saved, ClusterId(0xb)), BTreeMap::from(other));
    let cut = with(&format!("{known}1795219000 2 {folder}/before-3.6.16-20261120-231640.db\n"));
    assert_eq!(cut, []);
    assert!(seen(RUNNING).snapshots.is_empty());
}

#[test]
fn what_the_check_of_the_old_store_says_is_told() {
    let with = |lines: &str| {
        let section = format!("[v2store]\n{lines}[listeners]\n");
        seen(&replaced(RUNNING, "[listeners]\n", &section)).v2store
    };
    assert_eq!(seen(RUNNING).v2store, None);
    assert_eq!(with("status=0\nNo custom content found in v2store.\n"), Some(V2Store::Clean));
    let refused = |words: &str| Some(V2Store::Refused(words.to_owned()));
    let said = "Error: detected custom content in v2store";
    assert_eq!(with(&format!("status=1\n{said}\n")), refused(said));
    assert_eq!(with("status=2\n"), refused("the check exited with 2"));
    assert_eq!(with("status=124\n\n"), refused("`etcdutl check v2store` did not finish within 10 s"));
}

#[test]
fn the_cluster_version_of_the_raft_log_is_told() {
    let with =
        |lines: &str| seen(&replaced(RUNNING, "[listeners]\n", &format!("[log]\n{lines}[listeners]\n"))).log_version;
    assert_eq!(seen(RUNNING).log_version, None);
    assert_eq!(with("version=3.6.0\n"), Some(Version::new(3, 6, 0)));
    assert_eq!(with("version=\n"), None);
}

#[test]
fn a_machine_is_known_by_what_no_clone_has() {
    let id = |bytes: &[u8]| parse(&desired(""), bytes).expect("a whole answer").identity;
    assert_eq!(id(RUNNING), None, "an answer of before it was asked for");
    assert_eq!(
        id(&replaced(RUNNING, "machine=", "identity=0123abcd 9f 120\nmachine=")).as_deref(),
        Some("0123abcd 9f 120")
    );
}

#[test]
fn what_a_login_shell_prints_first_is_skipped() {
    let noisy = [b"Welcome to etcd-1!\nquorate-probe 1 is what it will say\n", RUNNING].concat();
    assert_eq!(seen(&noisy), seen(RUNNING));
}

#[test]
fn an_answer_that_is_cut_off_anywhere_is_no_answer() {
    for end in 0..RUNNING.len() {
        let cut = parse(&desired(""), &RUNNING[..end]);
        assert!(matches!(cut, Err(Trouble::Unreadable(_))), "cut at {end}: {cut:?}");
    }
}

#[test]
fn a_file_that_changed_between_two_commands_asks_for_another_look() {
    // Longer than stat has said, and of the same length with another content.
    for (from, to) in [("name: etcd-1\n", "name: etcd-11\n"), ("name: etcd-1\n", "name: etcd-2\n")] {
        let changed = parse(&desired(""), &replaced(RUNNING, from, to));
        assert!(matches!(changed, Err(Trouble::Changed(_))), "{changed:?}");
    }
}

#[test]
fn a_file_too_long_to_be_ours_is_not_read_as_absent() {
    let path = "/etc/etcd/etcd.yaml";
    let unlisted = replaced(RUNNING, &format!("[bodies]\n{path}\n"), "[bodies]\n");
    assert!(parse(&desired(""), &unlisted).is_err());
}

#[test]
fn hosts_that_etcd_cannot_be_kept_on() {
    let parsed = |text: &str| parse(&desired(""), text.as_bytes());
    assert_eq!(parsed("quorate-probe 1\n[not-root]\nquorate-end\n"), Err(Trouble::NotRoot));
    let no_systemd =
        parsed("quorate-probe 1\n[host]\nmachine=x86_64\nnow=1\ninit=openrc-init\n[no-systemd]\nquorate-end\n");
    assert_eq!(no_systemd, Err(Trouble::Unsupported("its init is openrc-init, not systemd".to_owned())));
    let other = parse(&desired(""), &replaced(RUNNING, "machine=x86_64", "machine=riscv64"));
    assert!(matches!(other, Err(Trouble::Unsupported(_))), "{other:?}");
}

#[test]
fn the_shell_that_takes_the_digests_is_not_etcd_yet() {
    let starting = replaced(RUNNING, "executable=/opt/etcd/3.5.30/etcd", "executable=/usr/bin/dash");
    let starting = replaced(&starting, "ActiveState=active", "ActiveState=activating");
    assert_eq!(seen(&starting).process, None);
    // On a busy host etcd listens by the time when that is asked for, and is of the user that the shell was of.
    assert!(seen(&starting).taken_ports.is_empty());
}

#[test]
fn how_far_a_start_is_and_how_the_last_one_ended_is_told() {
    let work = "executable=/opt/etcd/3.5.30/etcd\ndisk=100\nread=300\ndatabase=5000\ncpu=7";
    let starting = replaced(RUNNING, "executable=/opt/etcd/3.5.30/etcd", work);
    let work = Work { read_bytes: 300, cpu_ticks: 7, disk_bytes: Some(100), database_bytes: Some(5000) };
    assert_eq!(seen(&starting).process.and_then(|process| process.work), Some(work));
    let ended = |states: &str, exit: &str| {
        let times = format!(
            "MainPID=0\n{states}\nExecMainPID=377\nExecMainStartTimestampMonotonic=9000000\n\
             ExecMainExitTimestampMonotonic={exit}"
        );
        let down = replaced(RUNNING, "MainPID=377", &times);
        let down = replaced(&down, "\nActiveState=active", "");
        seen(&replaced(&down, "executable=/opt/etcd/3.5.30/etcd\n", "")).service.ended
    };
    let waiting = "ActiveState=activating\nSubState=auto-restart";
    assert_eq!(ended(waiting, "10250000"), Some(Ended { pid: 377, ran_ms: Some(1250) }));
    assert_eq!(ended("ActiveState=failed\nSubState=failed", "0"), Some(Ended { pid: 377, ran_ms: None }));
    // Stopped by somebody, or on its way: that is no end of its own.
    assert_eq!(ended("ActiveState=inactive\nSubState=dead", "10250000"), None);
    assert_eq!(ended("ActiveState=activating\nSubState=start", "0"), None);
}

/// As systemd 252 and journald told it of a drop-in whose command fails, and of an etcd that was killed.
#[test]
fn what_ended_a_service_is_told_by_who_did() {
    let service = |unit: &str, said: &str| {
        let states =
            "MainPID=0\nActiveState=activating\nSubState=auto-restart\nInvocationID=868c7c47f3fe4592a4f7928466d1db6c";
        let down = replaced(RUNNING, "MainPID=377", &format!("{states}\n{unit}"));
        let down = replaced(&down, "\nActiveState=active", "");
        let down = replaced(&down, "executable=/opt/etcd/3.5.30/etcd\n", "");
        seen(&replaced(&down, "[process]\n", &format!("[complaint]\n{said}[process]\n"))).service
    };
    let command = |path: &str, pid: u32, code: &str, status: &str| {
        format!(
            "ExecStartPre={{ path={path} ; argv[]={path} --pid=7 ; ignore_errors=no ; start_time=[Mon 2026-11-30 00:17:14 \
             UTC] ; stop_time=[n/a] ; pid={pid} ; code={code} ; status={status} }}\n"
        )
    };
    let fails = format!(
        "ExecMainPID=0\nExecMainStatus=0\nResult=exit-code\n{}{}{}",
        command("/bin/true", 20, "exited", "0"),
        command("/usr/local/bin/check-disk", 21, "exited", "3"),
        command("/bin/never", 0, "(null)", "0/0"),
    );
    let before = service(&fails, "checking\ncheck-disk: /dev/sdb is not there\n");
    assert_eq!(before.ended, Some(Ended { pid: 21, ran_ms: None }));
    assert_eq!(
        before.complaint.as_deref(),
        Some(
            "before etcd could start, /usr/local/bin/check-disk (ExecStartPre of its unit) exited with status 3: check-disk: \
             /dev/sdb is not there"
        )
    );
    let of = |result: &str, said: &str| {
        service(&format!("ExecMainPID=377\nResult={result}"), said).complaint.unwrap_or_default()
    };
    // It warned of this and that before, as any member does.
    let warned = "{\"level\":\"warn\",\"msg\":\"lost TCP streaming connection with remote peer\",\"error\":\"EOF\"}\n";
    assert_eq!(of("oom-kill\nExecMainStatus=9", warned), "killed for want of memory (systemd: oom-kill)");
    assert!(of("signal\nExecMainStatus=9", warned).starts_with("killed (SIGKILL)"));
    assert_eq!(of("watchdog\nExecMainStatus=6", ""), "ended by systemd's watchdog");
    assert_eq!(
        of("exit-code\nExecMainStatus=2", "panic: tocommit(9) is out of range\n"),
        "panic: tocommit(9) is out of range"
    );
}

#[test]
fn a_process_of_anothers_unit_has_loaded_what_is_older_than_it() {
    let text = core::str::from_utf8(RUNNING).expect("fixtures are text");
    let (before, rest) = text.split_once("[loaded]\n").expect("a section");
    let (_, after) = rest.split_once("[listeners]").expect("a section");
    let unrecorded = format!("{before}[loaded]\n[others]\n[listeners]{after}");
    let later = unrecorded.replacen("889\t1795219769", "889\t1795219999", 1);
    let host = seen(later.as_bytes());
    let loaded = &host.process.as_ref().expect("it runs").loaded;
    assert_ne!(loaded[&File::Config], host.files[&File::Config].digest);
    assert_eq!(loaded[&File::Trust], host.files[&File::Trust].digest);
}

#[test]
fn the_script_names_every_path_once_and_quotes_it() {
    let script = script(&of(&desired("")));
    assert!(script.contains("\nq_folders='/etc/etcd /etc/etcd/pki /var/lib/etcd'\n"), "{script}");
    assert!(script.contains("q_ports='sport = :2379 or sport = :2380 or sport = :2381'\n"));
    assert!(script.contains("q_ports_hex='094B|094C|094D'\n"));
    assert!(script.contains("q_preinstalled=''\n"));
}

/// Declares whatever any section looks at, on its first node.
const EVERYTHING: &str = "[ca]\nsource = \"node\"\n[backup]\nschedule = \"0 * * * *\"\n\
    [consumers.app]\nhost = \"etcd-1\"\nuser = \"app\"\ncertificate = \"/etc/app/client.crt\"\nkey = \"/etc/app/client.key\"\n\
    [consumers.elsewhere]\nhost = \"app-1\"\nuser = \"app\"\ncertificate = \"/etc/app/client.crt\"\nkey = \"/etc/app/client.key\"\n\
    [users.app]\nprefix = \"/app/\"\n[auth]\nenabled = true\n";

fn everything() -> Desired {
    let mut desired = desired(EVERYTHING);
    desired.cluster.version = Version::new(3, 7, 0);
    desired
}

#[test]
fn every_section_is_in_the_list_and_says_what_its_lines_are_told() {
    let desired = everything();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shell/live/probe");
    let names = std::fs::read_dir(folder).expect("our own folder").map(|entry| entry.expect("an entry").file_name());
    let names = names.filter_map(|name| Some(name.to_str()?.strip_suffix(".sh")?.to_owned()));
    for name in names.filter(|name| name != "frame") {
        assert!(SECTIONS.iter().any(|section| section.name == name), "{name}.sh is in no section of the list");
    }
    assert_eq!(
        SECTIONS.last().map(|section| section.name),
        Some("files"),
        "the bytes that it ends with end the answer"
    );
    let mut adopted = everything();
    adopted.cluster.layout = Layout::Kubeadm;
    adopted.cluster.runtime = Layout::Kubeadm.runtime();
    let mut told: BTreeMap<(bool, &str), String> = BTreeMap::new();
    for Lines { name, shell, words, .. } in SECTIONS {
        assert!(shell.contains(&format!("\nlook_{name}() {{\n")), "{name}.sh has no function look_{name}");
        let of_ours = words(&of(&desired));
        let is_ours = of_ours.is_some();
        let words = of_ours.or_else(|| words(&of(&adopted)));
        let words = words.unwrap_or_else(|| panic!("{name} is not looked at where all is declared"));
        for word in shell.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
            let is_told = words.iter().any(|(told, _)| *told == word);
            assert!(!word.starts_with("q_") || is_told, "{name}.sh reads {word}, which {name}.rs does not give");
        }
        for (word, value) in words {
            assert!(shell.contains(word), "{name}.sh does not read {word}, which {name}.rs gives");
            assert_eq!(
                told.entry((is_ours, word)).or_insert_with(|| value.clone()),
                &value,
                "{word} of {name} is another elsewhere"
            );
        }
    }
}

#[test]
fn what_the_places_are_like_that_etcd_needs_is_told() {
    let with = |from: &str, to: &str| parse(&desired(""), &replaced(RUNNING, from, to)).map(|sight| sight.host);
    let host = seen(RUNNING);
    let data = &host.locations[&Needed::Data];
    assert_eq!((data.real.as_str(), data.closed.as_ref()), ("/var/lib/etcd", None));
    assert_eq!((data.mount.point.as_str(), data.mount.filesystem.as_str()), ("/", "overlay"));
    assert!(!data.mount.no_exec && !data.mount.read_only && !data.is_link);
    // A link to a disk that is mounted later in the table, behind a directory that is closed.
    let linked = "real=/var/lib/etcd\t/disk/etcd\nlink=/var/lib/etcd\nmount=/disk\text4\tro,noexec,rw\t8:17\nclosed=/disk/etcd\t/disk\t700 root root\n";
    let host = with("real=/var/lib/etcd\t/var/lib/etcd\n", linked).expect("a whole answer");
    let data = &host.locations[&Needed::Data];
    assert_eq!((data.real.as_str(), data.mount.point.as_str()), ("/disk/etcd", "/disk"));
    assert!(data.mount.no_exec && data.mount.read_only && data.is_link);
    let closed = data.closed.as_ref().expect("it is closed");
    assert_eq!((closed.path.as_str(), &closed.access), ("/disk", &Access::new("700", "root", "root")));
    assert_eq!(host.locations[&Needed::Binary].mount.point.as_str(), "/");
    for (from, to) in
        [("mount=/\t", "mount=/srv\t"), ("real=/etc/etcd/pki\t", "x="), ("[locations]\n", "[locations]\nunasked=yes\n")]
    {
        assert!(matches!(with(from, to), Err(Trouble::Unreadable(_))), "{from:?}: what was not told is not fine");
    }
}

#[test]
fn what_is_free_is_told_of_each_folder() {
    let host = seen(RUNNING);
    let data = &host.room[&Stored::Data];
    let expected = Room {
        mount: RemotePath::new("/"),
        device: "0:50".to_owned(),
        available_bytes: 4_096_000,
        reserved_bytes: 500 * 4096,
        used_bytes: 8500 * 4096,
        available_inodes: 900,
        inodes: 1000,
        read_only: false,
    };
    assert_eq!((data, data.used_percent(), data.used_inodes_percent()), (&expected, 90, 10));
    assert_eq!(host.room[&Stored::Programs].inodes, 0);
    // The folder itself is not there yet, and nothing was said of the one above it; nobody has asked for [backup].
    assert!(!host.room.contains_key(&Stored::Snapshots) && !host.room.contains_key(&Stored::Backups));
    let with = |from: &str, to: &str| {
        let host = parse(&desired(""), &replaced(RUNNING, from, to)).expect("a whole answer").host;
        host.room.get(&Stored::Data).cloned()
    };
    let line = "free=/var/lib/etcd\t1000 10000 1500 4096 900 1000";
    // Not counted, in the words of some file systems.
    let uncounted = with(line, "free=/var/lib/etcd\t1000 10000 1500 4096 -1 -1").expect("it is told");
    assert_eq!((uncounted.available_bytes, uncounted.available_inodes, uncounted.inodes), (4_096_000, 0, 0));
    for strange in ["free=/var/lib/etcd\t0 0 0 4096 0 0", "free=/var/lib/etcd\t1000 x", "free=/var/lib/etcd", "x"] {
        assert_eq!(with(line, strange), None, "{strange}");
    }
    // A disk of its own, and more free than there is: what nobody may tell is not believed to be less than nothing.
    let mounted = "mount=/var\text4\tro,noatime\t8:17\nmount=/\t";
    let own = with("mount=/\t", mounted).expect("it is told");
    assert_eq!((own.mount.as_str(), own.device.as_str(), own.read_only), ("/var", "8:17", true));
    assert_eq!(with(line, "free=/var/lib/etcd\t7 1 9 4096 1 1").expect("it is told").used_bytes, 0);
}

/// What such a script says in every shell, which is the same.
fn in_every_shell(script: &str) -> String {
    let mut said = shells().map(|shell| {
        let output = run(&shell, &["-s"], script);
        assert!(output.stderr.is_empty(), "{shell:?}: {output:?}");
        String::from_utf8(output.stdout).expect("it is text")
    });
    let first = said.next().expect("there is a shell");
    assert!(said.all(|other| other == first), "shells differ: {first}");
    first
}

#[test]
fn every_shell_sees_what_is_mounted_at_the_root() {
    let (locations, room) = (include_str!("locations.sh"), include_str!("room.sh"));
    // What is free changes between two shells.
    let said = in_every_shell(&format!(
        "newline='\n'\ntab='\t'\nq_locations='/proc/etcd /etcd'\nq_written='/proc/1/none /no/such/folder'\nelsewhere=/proc\n\
         q_account=etcd\nq_data=/etcd\nq_walk=:\nsetpriv() {{ :; }}\nstat() {{ shift 4; echo \"asked of $1 $2 $3\"; }}\n\
         {locations}\n{room}\nlook_locations\nlook_room\n"
    ));
    assert!(
        said.ends_with("at=/proc/1/none\t/proc/1\nat=/no/such/folder\t/\nat=/proc\t/proc\nasked of /proc/1 / /proc\n"),
        "{said}"
    );
    assert!(said.contains("real=/etcd\t/etcd\n") && said.contains("\nmount=/\t"), "{said}");
    assert!(said.contains("\nmount=/proc\tproc\t"), "{said}");
    // A link may lead to where no declared path can: to a name with a space in it, or to where no answer is given.
    let said = in_every_shell(&format!(
        "newline='\n'\ntab='\t'\nq_written='/backups /more'\nelsewhere=\nwritten='/no such/folder'\n\
         stat() {{ shift 4; echo \"asked of $*\"; }}\n{room}\nlook_room\n"
    ));
    assert_eq!(said, "at=/backups\t/\nasked of /\n");
    let mounted = include_str!("../../../core/content/mounted.sh");
    let said = in_every_shell(&format!(
        "{mounted}\nmounted /etcd /var && echo yes\necho \"$mount\"\nmounted /proc/etcd /var && echo yes\necho \"$mount\"\n"
    ));
    assert_eq!(said, "/\nyes\n/proc\n");
}

/// The newest log is of the manifest that is there, or of an earlier pod, which says nothing of a start.
#[test]
fn every_shell_tells_which_log_is_of_a_start_that_has_failed() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let at = folder.path().display();
    let logs = folder.path().join("kube-system_etcd-a_1/etcd");
    std::fs::create_dir_all(&logs).expect("it can be made");
    std::fs::write(folder.path().join("etcd.yaml"), "kind: Pod\n").expect("it can be written");
    let section = include_str!("pod.sh").replace("/var/log/pods", &at.to_string());
    let with = |time: &str| {
        std::fs::write(logs.join("3.log"), format!("{time}.5Z stderr F {{\"level\":\"fatal\"}}\n"))
            .expect("it can be written");
        in_every_shell(&format!(
            "pid='' exited='' q_config={at}/etcd.yaml q_aside={at}/none q_data=/d q_version=1\nlist_images() {{ :; }}\npod_etcd() {{ :; }}\nonly_pod_etcd() {{ :; }}\n{section}\nlook_pod || :\n\
             echo \"$exited\"\n"
        ))
    };
    let told = with("2099-01-01T00:00:00");
    // Everything lies in one folder here, from which no manifest is moved aside.
    assert!(told.starts_with("fixed=") && told.contains("\nexit=") && told.ends_with("/3.log\n"), "{told}");
    assert!(!with("2020-01-01T00:00:00").contains("exit="));
}

#[test]
fn a_pod_is_seen_as_a_service_that_starts_with_its_manifest() {
    let mut desired = desired("");
    (desired.cluster.layout, desired.cluster.runtime) = (Layout::Kubeadm, Layout::Kubeadm.runtime());
    let said = |lines: &str, has_manifest: bool| {
        let stat = match has_manifest {
            true => format!("{}\tregular file\t600\troot\troot\t1\t1\n", desired.paths.config),
            false => String::new(),
        };
        let text = format!("quorate-probe 1\n[unit]\naccount=root\n[pod]\n{lines}[stat]\n{stat}quorate-end\n");
        let answer = Answer::read(text.as_bytes()).expect("it is whole");
        let kubelet = pod::Look::read(&of(&desired), &answer).expect("it can be read").expect("one is asked for");
        let service = pod::service(&of(&desired), &answer);
        (kubelet, service.state, service.enabled, service.ended.map(|ended| ended.pid))
    };
    let (kubelet, state, enabled, ended) = said("runs=yes\nmanifests=/etc/kubernetes/manifests/\npid=7\n", true);
    assert!(kubelet.runs && !kubelet.manifest_aside);
    assert_eq!(kubelet.manifests, Some(RemotePath::new("/etc/kubernetes/manifests")));
    assert_eq!((state, enabled, ended), (ServiceState::Active, true, None));
    let (_, state, _, ended) = said("runs=yes\nexit=4294967303\n", true);
    assert_eq!((state, ended), (ServiceState::Activating, Some(7)));
    let (kubelet, state, enabled, _) = said("runs=yes\naside=yes\n", false);
    assert!(kubelet.manifest_aside);
    assert_eq!((state, enabled), (ServiceState::Inactive, false));
    assert!(!said("", true).0.runs);
}

#[test]
fn an_address_that_the_host_does_not_have_is_told() {
    let lacks = |lines: &str| {
        seen(&replaced(RUNNING, "[listeners]\n", &format!("[sources]\n{lines}[listeners]\n"))).lacks_address
    };
    let loopback = "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n";
    assert!(lacks(loopback));
    assert!(lacks(&format!("{loopback}10.77.3.12 dev eth0 src 10.77.3.111 uid 0 \\    cache\n")));
    assert!(!lacks(&format!("{loopback}2: eth0    inet 10.77.3.11/24 brd 10.77.3.255 scope global eth0\n")));
    // The kernel lets programs listen on any.
    assert!(!lacks(&format!("nonlocal=yes\n{loopback}")));
    // There is no `ip`.
    assert!(!lacks(""));
}

#[test]
fn a_port_on_which_only_root_may_listen_is_told() {
    let privileged = |client: u16, lines: &str| {
        let mut desired = desired("");
        desired.ports.client = client;
        let text = replaced(BARE, "[listeners]\n", &format!("[listeners]\n{lines}"));
        parse(&desired, &text).expect("a whole answer").host.privileged_ports
    };
    assert_eq!(privileged(443, "unprivileged=1024\n"), [443].into());
    assert_eq!(privileged(443, "unprivileged=443\n"), [].into());
    assert_eq!(privileged(2379, "unprivileged=1024\n"), [].into());
    // What nobody could tell is not refused.
    assert_eq!(privileged(443, ""), [].into());
}

#[test]
fn who_is_connected_to_the_client_port_is_told() {
    let with = |lines: &str| seen(&replaced(RUNNING, "[listeners]\n", &format!("{lines}[listeners]\n"))).clients;
    assert_eq!(with(""), BTreeSet::new());
    let lines = "[clients]\n0100007F\n3300520A\n0000000000000000FFFF00003300520A\n[programs]\n\
                 0 0 127.0.0.1:41822 127.0.0.1:2379 users:((\"kube-apiserver\",pid=12,fd=6))\n\
                 0 0 127.0.0.1:41823 127.0.0.1:2379 users:((\"etcd\",pid=9,fd=7))\n\
                 0 0 127.0.0.1:41824 127.0.0.1:2379 users:((\"sshd\",pid=7,fd=8))\n\
                 0 0 10.77.3.11:41825 10.77.3.12:2379 users:((\"etcdctl\",pid=8,fd=3))\n";
    let address = "10.82.0.51".parse().expect("it is one");
    assert_eq!(with(lines), BTreeSet::from([Client::Address(address), Client::Program("kube-apiserver".to_owned())]));
}

#[test]
fn data_is_found_where_it_is() {
    let with =
        |lines: &str| seen(&replaced(RUNNING, "[loaded]\n", &format!("[elsewhere]\n{lines}[loaded]\n"))).data_elsewhere;
    assert_eq!([with(""), seen(RUNNING).data_elsewhere], [None, None]);
    assert_eq!(
        with("stopped=/a\nrunning=/data/etcd\n"),
        Some(RemotePath::new("/data/etcd")),
        "what is open is the truth"
    );
    assert_eq!(with("stopped=/a\nstopped=/b\n"), Some(RemotePath::new("/a")));
}

#[test]
fn what_is_not_declared_on_a_host_is_not_looked_at() {
    let sections = |script: &str| {
        let line = script.lines().find_map(|line| line.strip_prefix("q_sections=")).expect("it is assigned");
        line.trim_matches('\'').split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let missing = |desired: &Desired, host: &str| {
        let host = HostName::new(host);
        let sent = sections(&script(&Subject { desired, host: &host }));
        let names = SECTIONS.iter().map(|section| section.name);
        names.filter(|name| !sent.iter().any(|sent| sent == name)).collect::<Vec<_>>()
    };
    // Somebody else's pod, and what their process was started with.
    let theirs = ["pod", "started_with"];
    let with = |others: &[&'static str]| [&theirs, others].concat();
    assert_eq!(missing(&everything(), "etcd-1"), with(&[]));
    assert_eq!(missing(&everything(), "etcd-2"), with(&["consumers"]));
    assert_eq!(
        missing(&everything(), "etcd-9"),
        with(&["authority", "consumers"]),
        "a member that left is no place for a key"
    );
    assert_eq!(missing(&desired(""), "etcd-1"), with(&["v2store", "log", "scheduled", "authority", "consumers"]));

    let desired = everything();
    let on = |host: &'static str| HostName::new(host);
    let of_consumers = |host: &HostName| script_of_consumers(&Subject { desired: &desired, host });
    assert_eq!(of_consumers(&on("app-1")).map(|script| sections(&script)), Some(vec!["consumers".to_owned()]));
    assert_eq!(of_consumers(&on("etcd-2")), None);
    let of_authority = |host: &HostName| script_of_authority(&Subject { desired: &desired, host });
    assert_eq!(of_authority(&on("etcd-2")).map(|script| sections(&script)), Some(vec!["authority".to_owned()]));
    assert_eq!(of_authority(&on("app-1")), None);
}

#[test]
fn an_answer_without_a_section_that_was_sent_is_not_read_as_absence() {
    let upgraded = replaced(RUNNING, "real=/opt/etcd/3.5.30/etcd\t", "real=/opt/etcd/3.7.0/etcd\t");
    let sight = parse(&everything(), &upgraded).expect("a whole answer");
    assert_eq!(sight.authority, None);
    assert!(matches!(sight.consumers.values().next(), Some(Err(Trouble::Unreadable(_)))), "{:?}", sight.consumers);
    let with =
        |lines: &str| parse(&everything(), &replaced(&upgraded, "[listeners]\n", &format!("{lines}[listeners]\n")));
    let sight = with("[authority]\n[consumers]\n").expect("a whole answer");
    assert_eq!(sight.authority, Some(Ok(AuthorityLying::default())));
    assert!(matches!(sight.consumers.values().next(), Some(Ok(_))));
    let sight = with("[authority]\nsh: oops\n[consumers]\nsh: oops\n").expect("the host itself is seen");
    assert!(matches!(sight.authority, Some(Err(Trouble::Unreadable(_)))), "{:?}", sight.authority);
    assert!(matches!(sight.consumers.values().next(), Some(Err(Trouble::Unreadable(_)))), "{:?}", sight.consumers);
}

/// The shells that this machine has of those that hosts have.
fn shells() -> impl Iterator<Item = Vec<&'static str>> {
    let shells = [vec!["sh"], vec!["dash"], vec!["bash"], vec!["bash", "--posix"], vec!["busybox", "sh"]];
    let is_here = |shell: &Vec<&str>| {
        std::process::Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", ":"])
            .output()
            .is_ok_and(|it| it.status.success())
    };
    shells.into_iter().filter(is_here)
}

fn run(shell: &[&str], arguments: &[&str], script: &str) -> std::process::Output {
    let mut child = std::process::Command::new(shell[0])
        .args(&shell[1..])
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it is here");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), script.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

#[test]
fn every_shell_understands_the_script() {
    for shell in shells() {
        let output = run(&shell, &["-n"], &script(&of(&everything())));
        assert!(output.status.success() && output.stderr.is_empty(), "{shell:?}: {output:?}");
    }
}

#[test]
fn files_of_a_consumer_and_of_the_authority_are_seen_by_every_shell() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let place = |name: &str| folder.path().join(name).to_str().expect("its name is text").to_owned();
    let mut desired = everything();
    let (name, consumer) = desired.consumers.iter_mut().next().expect("one is declared");
    let name = name.clone();
    (consumer.certificate, consumer.key) = (RemotePath::new(place("app.crt")), RemotePath::new(place("app.key")));
    let AuthoritySource::Node { certificate, key } = &mut desired.authority else { panic!("it lies on nodes") };
    (*certificate, *key) = (RemotePath::new(place("ca.crt")), RemotePath::new(place("ca.key")));
    for (name, text) in [("app.crt", "no certificate\n"), ("app.crt.reload-due", ""), ("ca.key", "secret\n")] {
        std::fs::write(place(name), text).expect("the folder is ours");
    }
    let is_root =
        std::fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0);
    for shell in shells() {
        let said = run(&shell, &["-s"], &script_of_consumers(&of(&desired)).expect("one is declared")).stdout;
        let consumers = parse_consumers(&of(&desired), &said);
        let said = run(&shell, &["-s"], &script_of_authority(&of(&desired)).expect("it is declared")).stdout;
        let authority = parse_authority(&of(&desired), &said);
        if !is_root {
            assert_eq!((consumers, authority), (Err(Trouble::NotRoot), Err(Trouble::NotRoot)));
            continue;
        }
        let seen = consumers.expect("a whole answer")[&name].clone().expect("it can be read").recognised(&[]);
        assert!(
            seen.reload_due && seen.certificate_access.is_some() && seen.certificate.is_none(),
            "{shell:?}: {seen:?}"
        );
        assert!(seen.key_access.is_none() && seen.authority_access.is_none(), "{shell:?}: {seen:?}");
        let authority = authority.expect("a whole answer");
        assert_eq!(authority.certificate, None, "{shell:?}");
        assert_eq!(authority.key.map(|(digest, _)| digest), Some(Digest::of("secret\n").to_string()), "{shell:?}");
    }
}

fn others(lines: &str) -> Vec<OtherEtcd> {
    seen(&replaced(BARE, "[others]\n", &format!("[others]\n{lines}"))).others
}

#[test]
fn who_runs_another_etcd_is_told_by_its_control_group() {
    let runner = |groups: &[&str]| {
        let groups: String = groups.iter().map(|group| format!("cgroup={group}\n")).collect();
        others(&format!("pid=812\n{groups}executable=/usr/bin/etcd\ndata=/x\nurls=\n")).remove(0).runner
    };
    // A static pod of kubeadm's under a kubelet with cgroupfs, as the host showed it, and a container of containerd's alone.
    let pod = "/kubepods/burstable/pod978958cc682f705a521bf93366e0b4fe/7717610c8aea27a44c49d67881472d7b37ad34a9e7da549e40\
               68c628aa187d03";
    let kinds = ["pids", "blkio", "freezer", "devices", "memory", "cpuset", "cpuacct", "cpu", ""];
    let groups: Vec<String> = kinds.iter().rev().enumerate().map(|(at, kind)| format!("{at}:{kind}:{pod}")).collect();
    assert_eq!(runner(&groups.iter().map(String::as_str).collect::<Vec<_>>()), Runner::Kubelet(None));
    let kept = |group: &str, parent: &str| {
        let lines =
            format!("pid=181\ncgroup={group}\nparent={parent}\nexecutable=/usr/local/bin/etcd\ndata=/x\nurls=\n");
        others(&lines).remove(0).runner
    };
    assert_eq!(kept("9:name=systemd:/k8s.io/etcd1", "containerd-shim"), Runner::Container("containerd".to_owned()));
    assert_eq!(kept("0::/user.slice/app.slice/x.scope", "conmon"), Runner::Container("podman".to_owned()));
    assert_eq!(kept("0::/system.slice/etcd-events.service", "systemd"), Runner::Unit("etcd-events.service".to_owned()));
    let unit = |name: &str| Runner::Unit(name.to_owned());
    let container = |name: &str| Runner::Container(name.to_owned());
    let id = "3f2a0c".repeat(10);
    assert_eq!(runner(&["0::/system.slice/etcd-events.service"]), unit("etcd-events.service"));
    assert_eq!(runner(&["0::/system.slice/snap.k8s.etcd.service"]), unit("snap.k8s.etcd.service"));
    assert_eq!(runner(&["0::/system.slice/k3s.service"]), unit("k3s.service"));
    assert_eq!(
        runner(&["0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-1.scope"]),
        Runner::Kubelet(None)
    );
    assert_eq!(
        runner(&["12:cpuset:/", &format!("1:name=systemd:/kubepods/burstable/pod1/{id}")]),
        Runner::Kubelet(None)
    );
    assert_eq!(runner(&[&format!("0::/system.slice/docker-{id}.scope")]), container("docker"));
    assert_eq!(runner(&["3:memory:/", &format!("1:name=systemd:/docker/{id}")]), container("docker"));
    assert_eq!(runner(&[&format!("0::/machine.slice/libpod-{id}.scope/container")]), container("podman"));
    assert_eq!(runner(&[&format!("0::/system.slice/containerd.service/cri-containerd-{id}")]), container("containerd"));
    assert_eq!(runner(&["0::/user.slice/user-0.slice/session-4.scope"]), Runner::Session);
    assert_eq!(runner(&["0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope"]), Runner::Session);
    assert_eq!(runner(&["9:name=systemd:/system.slice/ssh.service"]), Runner::Session);
    assert_eq!(runner(&["0::/system.slice/sshd@3-10.0.0.1:22-10.0.0.9:51022.service"]), Runner::Session);
    assert_eq!(runner(&["0::/"]), Runner::Unknown);
    assert_eq!(runner(&[]), Runner::Unknown);
}

#[test]
fn another_etcd_is_in_our_place_by_its_data_or_its_ports() {
    let of = |lines: &str| others(&format!("pid=812\ncgroup=0::/system.slice/x.service\n{lines}")).remove(0);
    let beside = of("net=host\ndata=/var/lib/etcd-events\nurls=https://10.0.0.1:3379,https://[fd00::1]:3380,\n");
    assert!(!beside.in_our_place && beside.ports == [3379, 3380].into());
    assert!(of("net=host\ndata=/x\nurls=https://0.0.0.0:2380/,\n").in_our_place);
    assert!(of("net=host\ndata=/x\nurls=\n").in_our_place, "etcd's own ports");
    assert!(!of("data=/x\nurls=https://0.0.0.0:2379,\n").in_our_place, "in a network of its own");
    assert!(of("data=/x\nsame-data=yes\nurls=\n").in_our_place);
    let listens = "listens=LISTEN 0 4096 *:2379 *:* users:((\"etcd\",pid=812,fd=8))\n\
                   listens=LISTEN 0 4096 *:9 *:* users:((\"sshd\",pid=1,fd=8))\n";
    let told = of(&format!("net=host\ndata=/x\nurls=http://h:3379\n{listens}"));
    assert!(told.in_our_place && told.ports == [2379, 3379].into(), "{told:?}");
    // What might start one, and what quorate itself runs for a moment.
    let manifest = others(
        "manifest=/etc/kubernetes/manifests/etcd.yaml\ndata=/var/lib/etcd\nsame-data=yes\nurls=https://h:2379,\n",
    );
    assert!(manifest[0].in_our_place && !manifest[0].runs());
    let unit = others("unit=snap.k8s.etcd.service\nActiveState=inactive\nUnitFileState=disabled\nurls=\n");
    assert!(!unit[0].in_our_place && !unit[0].runs());
    assert_eq!(
        others(
            "pid=9\ncgroup=0::/system.slice/quorate-force-new-cluster.service\ndata=/var/lib/etcd\nsame-data=yes\nurls=\n"
        ),
        []
    );
    // One pod is told once.
    let pod = others(
        "pid=812\ncgroup=0::/kubepods/burstable/pod1/x\nnet=host\ndata=/var/lib/etcd\nsame-data=yes\nurls=\n\
         manifest=/etc/kubernetes/manifests/etcd.yaml\ndata=/var/lib/etcd\nsame-data=yes\nurls=\n",
    );
    let [pod] = &pod[..] else { panic!("{pod:#?}") };
    assert!(pod.runs() && matches!(&pod.runner, Runner::Kubelet(Some(path)) if path.as_str().ends_with("etcd.yaml")));
}

#[test]
fn a_unit_of_quorates_under_another_name_is_told_once() {
    let unit = "unit=etcd-old.service\nActiveState=active\nUnitFileState=enabled\nkept=yes\n";
    let ours = "data=/var/lib/etcd\nsame-data=yes\nurls=\n";
    let process = "pid=812\ncgroup=0::/system.slice/etcd-old.service\nnet=host\n";
    let running = others(&format!("{process}{ours}{unit}{ours}"));
    assert!(matches!(&running[..], [one] if one.runs() && one.is_own && one.in_our_place), "{running:#?}");
    // Stopped, it would start beside ours at the next boot.
    let stopped = others(&format!("{unit}{ours}"));
    assert!(matches!(&stopped[..], [one] if !one.runs() && one.is_own && one.in_our_place), "{stopped:#?}");
    // Of another cluster of quorate's on the same host.
    let beside = others(&format!("{unit}data=/var/lib/etcd-events\nurls=https://h:3379\n"));
    assert!(matches!(&beside[..], [one] if !one.is_own && !one.in_our_place), "{beside:#?}");
}

/// A unit of our name that quorate did not write, as Debian's package has one.
#[test]
fn the_process_of_anothers_unit_of_our_name_is_none_of_ours() {
    let main = "[others]\npid=812\ncgroup=0::/system.slice/etcd.service\nexecutable=/usr/bin/etcd\nnet=host\n\
                data=/var/lib/etcd/default\nurls=\nmain=yes\n";
    let with = |banner: &str| {
        let text = String::from_utf8(replaced(RUNNING, "[others]\n", main)).expect("fixtures are text");
        // Of the same length, and with the digest of what it is then.
        let files = seen(RUNNING).files;
        let edited = [File::Unit, File::Config].iter().fold(text, |text, file| {
            let fact = &files[file];
            let body = fact.text.as_deref().expect("it is text").replace("# Kept by quorate", banner);
            text.replace(&fact.digest.to_string(), &Digest::of(&body).to_string())
        });
        seen(edited.replace("# Kept by quorate", banner).as_bytes())
    };
    let theirs = with("# Kept by someone");
    assert_eq!(theirs.process, None);
    assert_eq!(theirs.others.len(), 1);
    assert!(theirs.others[0].in_our_place && theirs.others[0].runner == Runner::Unit("etcd.service".to_owned()));
    let ours = with("# Kept by quorate");
    assert!(ours.process.is_some() && ours.others.is_empty());
}

/// A program that calls itself etcd, told what etcd is told in each of its ways.
#[test]
fn what_a_running_etcd_was_told_is_seen_by_every_shell() {
    use std::process::Command;
    let folder = tempfile::tempdir().expect("a folder can be made");
    let place = |name: &str| folder.path().join(name).to_str().expect("its name is text").to_owned();
    std::fs::create_dir(place("data")).expect("the folder is ours");
    std::fs::write(
        place("etcd.yaml"),
        format!("name: 'x'\ndata-dir: \"{}\"\nlisten-client-urls: https://a:3379,https://b:3379\n", place("data")),
    )
    .expect("the folder is ours");
    let shell = ["/bin/dash", "/bin/bash", "/bin/sh"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("there is a shell");
    std::fs::copy(shell, place("etcd")).expect("the folder is ours");
    for (arguments, variables, data) in [
        (
            vec![format!("--data-dir={}", place("data")), "--listen-peer-urls".to_owned(), "https://a:3380".to_owned()],
            vec![],
            "same",
        ),
        (vec!["-data-dir".to_owned(), place("other")], vec![], "other"),
        (
            vec![],
            vec![("ETCD_DATA_DIR", place("data")), ("ETCD_LISTEN_CLIENT_URLS", "https://a:3379".to_owned())],
            "same",
        ),
        (
            vec![format!("--config-file={}", place("etcd.yaml")), format!("--data-dir={}", place("other"))],
            vec![],
            "same",
        ),
        (vec![], vec![("ETCD_CONFIG_FILE", place("etcd.yaml")), ("ETCD_NAME", "y".to_owned())], "same"),
        (vec!["--name=data".to_owned()], vec![], "data.etcd"),
        // As kubeadm writes them.
        (
            vec![
                "--advertise-client-urls=https://10.79.0.11:2379".to_owned(),
                "--client-cert-auth=true".to_owned(),
                format!("--data-dir={}", place("data")),
                "--feature-gates=InitialCorruptCheck=true".to_owned(),
                "--initial-cluster=node-1=https://10.79.0.11:2380".to_owned(),
                "--listen-client-urls=https://127.0.0.1:2379,https://10.79.0.11:2379".to_owned(),
                "--listen-metrics-urls=http://127.0.0.1:2381".to_owned(),
                "--listen-peer-urls=https://10.79.0.11:2380".to_owned(),
                "--name=node-1".to_owned(),
            ],
            vec![],
            "same",
        ),
    ] {
        let mut running = Command::new(place("etcd"));
        running
            .args(["-c", "read line; exit"])
            .args(&arguments)
            .env_clear()
            .envs(variables.iter().map(|(name, value)| (*name, value)));
        running.current_dir(folder.path()).stdin(std::process::Stdio::piped());
        let mut running = running.spawn().expect("it is here");
        let pid = running.id();
        let lines = concat!(include_str!("../../../core/content/processes.sh"), include_str!("others.sh"));
        let script = format!(
            "newline='\n'\ntab='\t'\nIFS=\" $tab$newline\"\nq_data={}\nq_service=etcd.service\npid=''\nrecorded=''\n{lines}\nlook_others\n",
            place("data")
        );
        for with in shells() {
            let output = run(&with, &["-s"], &script);
            assert!(output.stderr.is_empty(), "{with:?}: {output:?}");
            let said = String::from_utf8(output.stdout).expect("it is text");
            let (_, record) = said.split_once(&format!("pid={pid}\n")).unwrap_or_else(|| panic!("{with:?}: {said}"));
            let end =
                ["\npid=", "\nlistens=", "\nmanifest=", "\nunit="].iter().filter_map(|next| record.find(next)).min();
            let record = &record[..end.unwrap_or(record.len())];
            assert_eq!(
                record.contains("same-data=yes"),
                data == "same",
                "{with:?} {arguments:?} {variables:?}: {record}"
            );
            let path = if data == "same" {
                place("data")
            } else if data == "other" {
                place("other")
            } else {
                data.to_owned()
            };
            assert!(record.lines().any(|line| line == format!("data={path}")), "{with:?}: {record}");
            assert!(record.contains("\nnet=host\n") && record.contains("cgroup="), "{with:?}: {record}");
        }
        drop(running.stdin.take());
        running.wait().expect("it ends");
    }
}

/// What `look_data` says of the folder `data` in every shell; `edits` are words of the script that stand for other files here.
fn data_in_every_shell(data: &Path, edits: &[(&str, &str)], pid: &str) -> String {
    let lines = edits.iter().fold(include_str!("data.sh").to_owned(), |text, (from, to)| text.replace(from, to));
    let script = format!(
        "newline='\n'\nq_data={}\nq_moved_from=moved-from\npid={pid}\nmeasure() {{ :; }}\n{lines}\nlook_data\n",
        data.display()
    );
    in_every_shell(&script).trim_end().to_owned()
}

#[test]
fn a_member_is_told_by_its_log_and_its_database() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let data = folder.path().join("etcd");
    let place = |name: &str| data.join(name);
    let look = || data_in_every_shell(&data, &[], "");
    let put = |name: &str, text: &str| {
        std::fs::create_dir_all(place(name).parent().expect("it has one")).expect("the folder is ours");
        std::fs::write(place(name), text).expect("the folder is ours");
    };
    let take = |name: &str| std::fs::remove_file(place(name)).expect("it is there");
    assert_eq!(look(), "data=empty");
    put("lost+found/x", "");
    put(".touch", "");
    assert_eq!(look(), "data=empty");
    put("member/snap/db", "database");
    assert_eq!(look(), "data=no-log", "etcd would begin an empty log");
    for leftover in ["member/wal/0.tmp", "member/wal/0-0.wal.broken", "member/wal.tmp/0-0.wal"] {
        put(leftover, "x");
        assert_eq!(look(), "data=no-log", "{leftover}");
    }
    put("member/wal/0-0.wal", "log");
    assert_eq!(look(), "data=member");
    put("member/snap/db", "");
    assert_eq!(look(), "data=no-database");
    take("member/snap/db");
    assert_eq!(look(), "data=no-database");
    put("member/snap/db", "database");
    assert_eq!(look(), "data=member");
    // The log on a disk of its own that is away.
    std::fs::rename(place("member/wal"), folder.path().join("wal")).expect("it is there");
    std::os::unix::fs::symlink(folder.path().join("wal"), place("member/wal")).expect("the folder is ours");
    assert_eq!(look(), "data=member");
    std::fs::rename(folder.path().join("wal"), folder.path().join("away")).expect("it is there");
    assert_eq!(look(), "data=dead-link");
    std::fs::remove_dir_all(&data).expect("it is there");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &data).expect("the folder is ours");
    assert_eq!(look(), "data=dead-link");
    std::fs::remove_file(&data).expect("it is there");
    put("notes.txt", "");
    assert_eq!(look(), "data=foreign");
}

/// A process of its own, with this file open or none: what runs beside a test has logs open, too.
struct Holder(std::process::Child);

impl Holder {
    fn of(open: Option<std::fs::File>) -> Self {
        let input = open.map_or_else(Stdio::null, Stdio::from);
        Self(Command::new("sleep").arg("60").stdin(input).spawn().expect("sleep is installed"))
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

#[test]
fn a_process_that_has_a_log_open_has_had_one() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let data = folder.path().join("etcd");
    let look = |holder: &Holder| data_in_every_shell(&data, &[], &holder.pid());
    std::fs::create_dir_all(data.join("member/wal")).expect("the folder is ours");
    let log = std::fs::File::create(data.join("member/wal/0-0.wal")).expect("the folder is ours");
    let holder = Holder::of(Some(log));
    // Its data is elsewhere, and nothing of it is missing there.
    std::fs::rename(&data, folder.path().join("elsewhere")).expect("it is there");
    assert_eq!(look(&holder), "data=empty");
    std::fs::remove_dir_all(folder.path().join("elsewhere")).expect("it is there");
    assert_eq!(look(&holder), "data=no-log");
    assert_eq!(look(&Holder::of(None)), "data=empty");
}

#[test]
fn a_process_that_begins_has_no_log_yet() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let data = folder.path().join("etcd");
    let look = |pid: &str| data_in_every_shell(&data, &[], pid);
    std::fs::create_dir_all(data.join("member/snap")).expect("the folder is ours");
    std::fs::write(data.join("member/snap/db"), "database").expect("the folder is ours");
    assert_eq!(look(&Holder::of(None).pid()), "data=empty");
    assert_eq!(look(""), "data=no-log");
    // etcd makes the log beside its place and then renames the folder.
    std::fs::create_dir_all(data.join("member/wal.tmp")).expect("the folder is ours");
    let log = std::fs::File::create(data.join("member/wal.tmp/0-0.wal")).expect("the folder is ours");
    log.set_len(1).expect("the folder is ours");
    let begins = Holder::of(Some(log));
    assert_eq!(look(&begins.pid()), "data=empty");
    std::fs::rename(data.join("member/wal.tmp"), data.join("member/wal")).expect("it is there");
    assert_eq!(look(&begins.pid()), "data=member");
    std::fs::rename(data.join("member/wal"), folder.path().join("away")).expect("it is there");
    assert_eq!(look(&begins.pid()), "data=no-log", "it writes its log elsewhere, and whoever starts next has none");
}

#[test]
fn a_disk_that_is_not_mounted_is_not_lost_data() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let place = |name: &str| folder.path().join(name).to_str().expect("its name is text").to_owned();
    let data = folder.path().join("disk/etcd");
    // Older than the disk: what lies below it is not the member's.
    std::fs::create_dir_all(data.join("member/wal")).expect("the folder is ours");
    std::fs::write(data.join("member/wal/0-0.wal"), "old").expect("the folder is ours");
    std::fs::create_dir_all(place("units/multi-user.target.wants")).expect("the folder is ours");
    let (fstab, mounts, units, disk) = (place("fstab"), place("mounts"), place("units"), place("disk"));
    let edits = [("/etc/fstab", fstab.as_str()), ("/proc/self/mounts", &mounts), ("/etc/systemd/system", &units)];
    let look = || data_in_every_shell(&data, &edits, "");
    let told = |fstab_line: &str, mounts_line: &str| {
        std::fs::write(&fstab, format!("# {disk} is a comment\n\n/dev/vda1 / ext4 defaults 0 1\n{fstab_line}\n"))
            .expect("the folder is ours");
        std::fs::write(&mounts, format!("/dev/vda1 / ext4 rw 0 0\n{mounts_line}\n")).expect("the folder is ours");
        look()
    };
    assert_eq!(told("", ""), "data=no-database");
    assert_eq!(told(&format!("/dev/vdb {disk} ext4 defaults 0 2"), ""), "data=not-mounted");
    assert_eq!(told(&format!("/dev/vdb {disk}/etcd/ ext4 nofail 0 2"), ""), "data=not-mounted");
    assert_eq!(told(&format!("/dev/vdb {disk}/etcd2 ext4 defaults 0 2"), ""), "data=no-database");
    assert_eq!(told(&format!("/dev/vdb {disk} ext4 defaults,noauto 0 2"), ""), "data=no-database");
    let mounted = format!("/dev/vdb {disk} ext4 rw 0 0");
    assert_eq!(told(&format!("/dev/vdb {disk} ext4 defaults 0 2"), &mounted), "data=no-database");
    std::fs::write(format!("{units}/multi-user.target.wants/x.mount"), format!("[Mount]\nWhat=x\nWhere={disk}\n"))
        .expect("the folder is ours");
    assert_eq!(told("", ""), "data=not-mounted");
    assert_eq!(told("", &mounted), "data=no-database");
    std::fs::remove_file(&fstab).expect("it is there");
    assert_eq!(look(), "data=no-database");
}

impl Host {
    fn text_of_for_tests(&self, file: File) -> &str {
        self.text_of(file).expect("its text is told")
    }
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let framed = [b"quorate-probe 1\n", &bytes[..], b"\nquorate-end\n"].concat();
        let _said = parse(&desired(""), &framed);
        let _said = parse(&desired(""), &bytes);
    }

    #[test]
    fn no_damage_to_a_real_answer_makes_it_panic(
        at in 0..RUNNING.len(), length in 0..200_usize, bytes in proptest::collection::vec(any::<u8>(), 0..60)
    ) {
        let end = RUNNING.len().min(at + length);
        let damaged = [&RUNNING[..at], &bytes, &RUNNING[end..]].concat();
        let _said = parse(&desired(""), &damaged);
    }
}
