//! The script of scheduled snapshots under dash and busybox's sh, with an etcdctl that breaks what a real one would not:
//! snapshots that are cut or flipped, a lock that is lost, marks that cannot be written. The lab has the real one.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use quorate::core::content::backup::SCRIPT;
use tempfile::TempDir;

const SHELLS: [&[&str]; 2] = [&["dash"], &["busybox", "sh"]];

/// Answers as etcdctl of 3.5 does, from files beside it: `snapshot`, `marks/`, and what is to fail in `broken`.
const ETCDCTL: &str = r#"#!/bin/sh
here=${0%/*}
while :; do
    case $1 in
    -w) shift 2 ;;
    -*) shift ;;
    *) break ;;
    esac
done
# As the real one does of a variable that a flag shadows.
if [ -n "${ETCDCTL_ENDPOINTS-}" ]; then
    echo "Error: conflicting environment variable is shadowed by corresponding command-line flag" >&2
    exit 1
fi
if grep -qx "$1" "$here/broken" 2>/dev/null; then
    echo '{"level":"warn","msg":"retrying of unary invoker failed"}' >&2
    echo "Error: broken" >&2
    exit 1
fi
case $1 in
endpoint)
    printf '"ClusterID" : 18446744073709551615\n"MemberID" : 1\n'
    cat "$here/more" 2>/dev/null || printf '"Leader" : 2\n'
    printf '"DBSize" : %s\n' "$(cat "$here/size" 2>/dev/null || echo 20480)"
    ;;
lock)
    while [ "$1" != -- ]; do shift; done
    shift 2
    exec flock "$here/lock" "$@"
    ;;
get)
    while [ "$2" ]; do shift; done
    cat "$here/marks/${1##*/}" 2>/dev/null || :
    ;;
lease) echo "lease 694da1fd4b357705 granted with TTL(7200s)" ;;
put) while [ "$1" != -- ]; do shift; done; mkdir -p "$here/marks"; echo "$3" >"$here/marks/${2##*/}" ;;
snapshot)
    case $2 in
    save) cp "$here/snapshot" "$3"; [ ! -e "$here/after-save" ] || sh "$here/after-save" ;;
    status) [ -s "$3" ] && echo '{"hash":1,"revision":7,"totalKey":3,"totalSize":4}' ;;
    esac
    ;;
*) exit 1 ;;
esac
"#;

/// What is known of a snapshot of three bytes that this cluster has taken.
const OURS: &str = "{\"cluster_id\":\"ffffffffffffffff\",\"revision\":1,\"bytes\":3}\n";

/// Where a run has what it makes.
const STAGED: &str = ".scheduled-etcd-1-ffffffffffffffff.quorate";

struct Node {
    dir: TempDir,
    shell: &'static [&'static str],
    etcd: Child,
    compression: &'static str,
    mount: &'static str,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.etcd.kill().and_then(|()| self.etcd.wait()).expect("it was started by us");
    }
}

/// Written by another process: what this one holds open for writing, all that other tests start in that moment hold open,
/// too, and such a file cannot be run.
fn executable(path: &Path, content: impl AsRef<[u8]>) {
    let mut install = Command::new("install");
    let install = install.args(["-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut install = install.spawn().expect("install can be run");
    install.stdin.take().expect("it is piped").write_all(content.as_ref()).expect("it is read");
    assert!(install.wait().expect("it ends").success(), "{} was not written", path.display());
}

/// Whole pages and their SHA-256.
fn whole() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..4096_u32 * 4).map(|index| (index % 251) as u8).collect();
    let sum = quorate::core::names::Digest::of(&bytes).to_string();
    let byte = |at: usize| u8::from_str_radix(&sum[at..at + 2], 16).expect("it is hexadecimal");
    bytes.extend((0..64).step_by(2).map(byte));
    bytes
}

impl Node {
    fn new(shell: &'static [&'static str]) -> Option<Self> {
        if Command::new(shell[0]).args(&shell[1..]).args(["-c", ":"]).output().is_err() {
            eprintln!("skipped: {shell:?} is not on this machine");
            return None;
        }
        let dir = TempDir::new().expect("there is a temporary folder");
        let at = |name: &str| dir.path().join(name);
        for folder in ["bin", "etcd", "snapshots", "metrics"] {
            fs::create_dir(at(folder)).expect("it is new");
        }
        executable(&at("etcd/etcd"), fs::read("/bin/sleep").expect("there is a sleep"));
        let mut etcd = Command::new(at("etcd/etcd"));
        let etcd = etcd.arg("600").stdout(Stdio::null()).spawn().expect("it can be run");
        executable(&at("etcd/etcdctl"), ETCDCTL);
        executable(&at("bin/systemctl"), format!("#!/bin/sh\necho {}\n", etcd.id()));
        // Nobody waits for a turn here.
        executable(&at("bin/sleep"), "#!/bin/sh\n");
        fs::write(at("etcd/snapshot"), whole()).expect("it can be written");
        let data = format!("data-dir: {}", at("etcd").display());
        let config = format!("name: etcd-1\n{data}\nadvertise-client-urls: https://10.0.0.11:2379\n");
        fs::write(at("etcd.yaml"), config).expect("it too");
        let node = Self { shell, etcd, compression: "gzip", mount: "", dir };
        let first = "PATH=";
        let ours = format!("{first}{}:", node.at("bin").display());
        assert!(SCRIPT.contains(first));
        fs::write(node.at("backup.sh"), SCRIPT.replacen(first, &ours, 1)).expect("it too");
        Some(node)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self) -> Output {
        let mut command = Command::new(self.shell[0]);
        command.args(&self.shell[1..]).arg(self.at("backup.sh")).env_clear().stdin(Stdio::null());
        for (name, value) in [
            ("CLUSTER", "prod".into()),
            ("ETCD", "etcd.service".into()),
            ("CONFIG", self.at("etcd.yaml")),
            ("CA", "/ca".into()),
            ("CERTIFICATE", "/certificate".into()),
            ("KEY", "/key".into()),
            ("DIRECTORY", self.at("snapshots")),
            ("KEEP", "2".into()),
            ("COMPRESSION", self.compression.into()),
            ("METRICS", self.at("metrics")),
            ("MOUNT", self.mount.into()),
            ("LAST", self.at("last")),
        ] {
            command.env(format!("QUORATE_{name}"), value);
        }
        // What systemd may give every service.
        command.env("ETCDCTL_ENDPOINTS", "https://203.0.113.9:2379");
        command.output().expect("the shell runs")
    }

    /// Everything in the folder of the snapshots, sorted, without what is known of them.
    fn there(&self) -> Vec<String> {
        let mut names = self.all();
        names.retain(|name| !name.ends_with(".json"));
        names
    }

    fn all(&self) -> Vec<String> {
        let entries = fs::read_dir(self.at("snapshots")).expect("it is there");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("it too").file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Snapshots of this cluster, and what has no such name.
    fn old(&self, names: &[&str]) {
        for name in names {
            self.write(&format!("snapshots/{name}"), "old");
            if name.starts_with("snapshot-2") {
                self.write(&format!("snapshots/{name}.json"), OURS);
            }
        }
    }

    /// What a run says of how it ended, without when.
    fn last(&self) -> String {
        let text = fs::read_to_string(self.at("last")).expect("it was written");
        text.lines().filter(|line| !line.starts_with("at=")).fold(String::new(), |all, line| all + line + "\n")
    }

    /// The slots go on as if a minute had passed.
    fn next_slot(&self) {
        let _ = fs::remove_dir_all(self.at("etcd/marks"));
        another_second();
    }

    fn metric(&self, gauge: &str) -> Option<String> {
        let text = fs::read_to_string(self.at("metrics/quorate_backup.prom")).ok()?;
        let labels = "{cluster=\"prod\",node=\"etcd-1\"} ";
        text.lines().find_map(|line| line.strip_prefix(&format!("quorate_backup_{gauge}{labels}")).map(str::to_owned))
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.at(name), content).expect("it can be written");
    }
}

/// Two snapshots of one second would have one name.
fn another_second() {
    std::thread::sleep(std::time::Duration::from_millis(1100));
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Under every shell that there is; at least one of them.
fn under_every_shell(test: impl Fn(Node)) {
    let nodes: Vec<_> = SHELLS.into_iter().filter_map(Node::new).collect();
    assert!(!nodes.is_empty(), "neither dash nor busybox is on this machine");
    nodes.into_iter().for_each(test);
}

#[test]
fn a_snapshot_is_taken_once_a_slot_and_the_oldest_go() {
    under_every_shell(|mut node| {
        let old = ["snapshot-20200101_000000.db.zst", "snapshot-20200102_000000.db", "snapshot-20200103_000000.db.gz"];
        node.old(&old);
        node.old(&["other.db", "snapshot-x.db", "before-3.6.0-20200101-000000.db"]);
        let output = node.run();
        assert!(output.status.success(), "{}", words(&output));
        let there = node.there();
        let taken: Vec<_> =
            there.iter().filter(|name| name.starts_with("snapshot-2") && !old.contains(&name.as_str())).collect();
        assert_eq!(taken.len(), 1, "{there:?}");
        assert!(taken[0].ends_with(".db.gz") && there.contains(&old[2].to_owned()), "{there:?}");
        assert_eq!(there.len(), 5, "{there:?}");
        let facts = fs::read_to_string(node.at("snapshots").join(format!("{}.json", taken[0]))).expect("it is there");
        let bytes = fs::metadata(node.at("snapshots").join(taken[0])).expect("it is there").len();
        assert_eq!(facts, format!("{{\"cluster_id\":\"ffffffffffffffff\",\"revision\":7,\"bytes\":{bytes}}}\n"));
        assert_eq!(node.last(), "result=taken\n");
        assert_eq!(node.metric("last_run_success").as_deref(), Some("1"));
        let seconds = node.metric("last_success_duration_seconds").and_then(|seconds| seconds.parse::<u16>().ok());
        assert!(seconds.is_some_and(|seconds| seconds < 600), "{seconds:?}");
        another_second();
        // The same slot, or the one after it when a minute has just passed: then there is nothing to compare.
        let again = node.run();
        assert!(again.status.success(), "{}", words(&again));
        if words(&again).contains("etcd-1 has taken it") {
            assert_eq!(node.there(), there);
        }
        for (compression, suffix) in [("zstd", ".db.zst"), ("none", ".db")] {
            node.next_slot();
            node.compression = compression;
            let output = node.run();
            assert!(output.status.success(), "{}", words(&output));
            let newest = node.there().into_iter().rfind(|name| name.starts_with("snapshot-2")).expect("there is one");
            assert!(newest.ends_with(suffix), "{newest}: {}", words(&output));
        }
        // What is known of a snapshot has gone with it.
        assert_eq!(node.all().iter().filter(|name| name.ends_with(".json")).count(), 2, "{:?}", node.all());
    });
}

#[test]
fn a_broken_snapshot_never_takes_the_place_of_a_good_one() {
    under_every_shell(|node| {
        let good =
            ["snapshot-20200101_000000.db.gz", "snapshot-20200102_000000.db.gz", "snapshot-20200103_000000.db.gz"];
        node.old(&good);
        let mut flipped = whole();
        flipped[5000] ^= 1;
        let cut = whole()[..4096 * 3 + 32].to_vec();
        let bare = whole()[..4096 * 4].to_vec();
        for (what, bytes) in [("flipped", flipped), ("cut", cut), ("without its sum", bare), ("empty", Vec::new())] {
            node.write("etcd/snapshot", bytes);
            let output = node.run();
            assert!(!output.status.success() && words(&output).contains("not whole"), "{what}: {}", words(&output));
            assert_eq!(node.there(), good, "{what}");
            assert_eq!(node.metric("last_run_success").as_deref(), Some("0"), "{what}");
            assert_eq!(node.metric("last_success_timestamp_seconds"), None);
        }
        // The slot is not marked: it is taken as soon as that can be.
        node.write("etcd/snapshot", whole());
        let output = node.run();
        assert!(output.status.success() && node.there().len() == 2, "{}", words(&output));
        let success = node.metric("last_success_timestamp_seconds").expect("it is told");
        // What goes wrong later leaves the time of the last success.
        for broken in ["endpoint", "snapshot"] {
            node.next_slot();
            let there = node.there();
            node.write("etcd/broken", format!("{broken}\n"));
            let output = node.run();
            assert!(!output.status.success(), "{broken}: {}", words(&output));
            assert_eq!(node.there(), there, "{broken}");
            assert_eq!(node.metric("last_run_success").as_deref(), Some("0"), "{broken}");
            assert_eq!(node.metric("last_success_timestamp_seconds").as_ref(), Some(&success), "{broken}");
            assert!(node.last().starts_with("result=failed\nsaid="), "{broken}: {}", node.last());
        }
    });
}

/// A snapshot is a read, lock and mark are writes: what etcd refuses to write costs no snapshot.
#[test]
fn without_its_lock_or_mark_it_is_taken_all_the_same() {
    under_every_shell(|node| {
        for (taken, broken) in ["lock", "get", "lock\nget\nlease"].into_iter().enumerate() {
            node.write("etcd/broken", format!("{broken}\n"));
            let output = node.run();
            let said = words(&output);
            assert!(output.status.success(), "{broken}: {said}");
            assert_eq!(node.there().len(), (taken + 1).min(2), "{broken}: {said}");
            assert_eq!(node.metric("last_run_success").as_deref(), Some("1"), "{broken}");
            if broken.starts_with("lock") {
                assert!(said.contains("etcd-1 takes it without the lock, which etcd refuses (broken)"), "{said}");
                assert_eq!(node.last(), "result=taken-alone\nsaid=broken\n");
            } else {
                assert_eq!(node.last(), "result=taken\n");
            }
            node.next_slot();
        }
        // Without a leader nobody is asked what would take its time.
        node.write("etcd/broken", "");
        node.write("etcd/more", "\"Leader\" : 0\n\"Errors\" : [etcdserver: no leader]\n");
        let output = node.run();
        assert!(output.status.success() && words(&output).contains("has no leader"), "{}", words(&output));
        assert_eq!(node.last(), "result=taken-alone\nsaid=the member here has no leader\n");
    });
}

/// One that had the lock and failed is not tried again at once: the next node takes it.
#[test]
fn one_that_fails_under_the_lock_is_not_taken_without_it() {
    under_every_shell(|node| {
        node.write("etcd/broken", "snapshot\n");
        let output = node.run();
        let said = words(&output);
        assert!(!output.status.success() && !said.contains("without the lock"), "{said}");
        assert!(node.last().contains("said=Error: broken\n"), "{}", node.last());
        assert_eq!(node.all(), [""; 0]);
    });
}

#[test]
fn a_member_that_must_not_be_asked_leaves_it_to_the_others() {
    under_every_shell(|node| {
        for (more, expected) in [
            ("\"Leader\" : 2\n\"IsLearner\" : true\n", "a learner"),
            ("\"Leader\" : 2\n\"Errors\" : [memberID:2 alarm:NOSPACE  memberID:1  alarm:CORRUPT ]\n", "alarm CORRUPT"),
        ] {
            node.write("etcd/more", more);
            let output = node.run();
            let said = words(&output);
            assert!(!output.status.success() && said.contains(expected), "{said}");
            assert_eq!(node.all(), [""; 0]);
            assert!(node.last().contains(expected), "{}", node.last());
        }
        // The alarm is another member's.
        let others = "\"Leader\" : 2\n\"IsLearner\" : false\n\"Errors\" : [memberID:1 alarm:NOSPACE memberID:2 alarm:CORRUPT ]\n";
        node.write("etcd/more", others);
        let output = node.run();
        assert!(output.status.success(), "{}", words(&output));
        assert_eq!(node.there().len(), 1);
    });
}

/// Another cluster uses the folder, too.
#[test]
fn what_is_not_ours_stays_and_counts_for_nothing() {
    under_every_shell(|node| {
        let ours =
            ["snapshot-20200101_000000.db.gz", "snapshot-20200102_000000.db.gz", "snapshot-20200103_000000.db.gz"];
        node.old(&ours);
        let theirs = ["snapshot-20200101_000001.db.gz", "snapshot-20990101_000000.db", "snapshot-20200104_000000.db"];
        for name in theirs {
            node.write(&format!("snapshots/{name}"), "xx");
        }
        node.write(&format!("snapshots/{}.json", theirs[0]), "{\"cluster_id\":\"cdf8\",\"revision\":7,\"bytes\":2}\n");
        // One of ours that was cut since.
        node.write("snapshots/snapshot-20200103_000000.db.gz", "ol");
        let output = node.run();
        assert!(output.status.success(), "{}", words(&output));
        let there = node.there();
        let has = |name: &str| there.contains(&name.to_owned());
        assert!(theirs.iter().all(|name| has(name)), "{there:?}");
        // Two of ours that count, and the one that does not takes nobody's place.
        assert!(has(ours[1]) && has(ours[2]) && !has(ours[0]), "{there:?}");
        assert_eq!(there.len(), 6, "{there:?}");
    });
}

/// It would fill the disk below.
#[test]
fn without_the_mount_that_was_declared_nothing_is_written() {
    under_every_shell(|mut node| {
        node.mount = "yes";
        fs::remove_dir(node.at("snapshots")).expect("it is empty");
        let output = node.run();
        let said = words(&output);
        assert!(!output.status.success() && said.contains("is not mounted"), "{said}");
        assert!(!node.at("snapshots").exists());
        assert!(node.last().starts_with("result=failed\nsaid=") && node.last().contains("is not mounted"));
        assert_eq!(node.metric("last_run_success").as_deref(), Some("0"));
    });
}

/// The timers of all clusters fire in the same second.
#[test]
fn a_name_that_another_cluster_has_taken_is_not_taken_from_it() {
    under_every_shell(|node| {
        // It takes the names of these seconds while ours is being made: a busy machine takes some until then.
        node.write(
            "etcd/after-save",
            "here=${0%/*}\nnow=$(date +%s)\nfor seconds in 0 1 2 3 4 5 6 7 8 9; do\n\
             echo theirs >\"$here/../snapshots/snapshot-$(TZ=UTC date -d \"@$((now - seconds))\" +%Y%m%d_%H%M%S).db.gz\"\ndone\n",
        );
        let output = node.run();
        assert!(output.status.success(), "{}", words(&output));
        let read = |name: &String| fs::read(node.at("snapshots").join(name)).expect("it is there");
        let theirs = node.there().iter().filter(|name| read(name) == b"theirs\n").count();
        assert_eq!((theirs, node.there().len()), (10, 11), "{:?}", node.there());
    });
}

#[test]
fn what_is_good_stays_when_its_mark_cannot_be_written() {
    under_every_shell(|node| {
        node.write("etcd/broken", "lease\n");
        let output = node.run();
        assert!(output.status.success() && words(&output).contains("could not be marked"), "{}", words(&output));
        assert_eq!(node.there().len(), 1);
        assert_eq!(node.metric("last_run_success").as_deref(), Some("1"));
    });
}

#[test]
fn names_of_a_clock_that_was_ahead_do_not_cost_the_new_one() {
    under_every_shell(|node| {
        let ahead =
            ["snapshot-20990101_000000.db.gz", "snapshot-20990102_000000.db.gz", "snapshot-20990103_000000.db.gz"];
        node.old(&ahead);
        let output = node.run();
        assert!(output.status.success(), "{}", words(&output));
        let there = node.there();
        assert!(there.iter().any(|name| !ahead.contains(&name.as_str())), "{there:?}");
        // They go before any that was taken since.
        node.next_slot();
        let output = node.run();
        assert!(output.status.success(), "{}", words(&output));
        let there = node.there();
        assert!(there.len() == 2 && there.iter().all(|name| !ahead.contains(&name.as_str())), "{there:?}");
    });
}

/// The disk is full when half of it is written.
#[test]
fn what_cannot_be_written_takes_nobodys_place() {
    under_every_shell(|node| {
        let good = ["snapshot-20200101_000000.db.gz", "snapshot-20200102_000000.db.gz"];
        node.old(&good);
        executable(&node.at("bin/gzip"), "#!/bin/sh\nhead -c 1000 /dev/zero\necho 'gzip: no space left' >&2\nexit 1\n");
        let output = node.run();
        assert!(!output.status.success() && words(&output).contains("no space left"), "{}", words(&output));
        assert_eq!(
            node.all(),
            good.iter().flat_map(|name| [(*name).to_owned(), format!("{name}.json")]).collect::<Vec<_>>()
        );
        assert_eq!(node.metric("last_run_success").as_deref(), Some("0"));
    });
}

/// etcd ends when its disk is full: no snapshot may fill it.
#[test]
fn without_room_nothing_is_begun() {
    under_every_shell(|node| {
        node.old(&["snapshot-20200101_000000.db.gz"]);
        node.write("etcd/size", "1000000000000000");
        let output = node.run();
        let said = words(&output);
        assert!(!output.status.success() && said.contains("a snapshot needs"), "{said}");
        assert_eq!(node.there(), ["snapshot-20200101_000000.db.gz"]);
        assert_eq!(node.metric("last_run_success").as_deref(), Some("0"));
        node.write("etcd/size", "20480");
        let output = node.run();
        assert!(output.status.success(), "{}", words(&output));
    });
}

#[test]
fn what_a_killed_run_has_left_goes_with_the_next() {
    under_every_shell(|node| {
        // It kills the run when the snapshot is there and not yet checked.
        node.write("etcd/after-save", "kill -9 $(cat \"${0%/*}/../victim\")\n");
        let victim = node.at("victim");
        let script = fs::read_to_string(node.at("backup.sh")).expect("it was written");
        let marked = script.replacen(
            "    since=$(date +%s)\n",
            &format!("    since=$(date +%s)\n    echo $$ >{}\n", victim.display()),
            1,
        );
        assert_ne!(marked, script);
        node.write("backup.sh", marked);
        let output = node.run();
        assert!(!output.status.success(), "{}", words(&output));
        assert_eq!(node.there(), [STAGED]);
        fs::remove_file(node.at("etcd/after-save")).expect("it was written");
        let output = node.run();
        assert!(output.status.success(), "{}", words(&output));
        let there = node.there();
        assert!(there.len() == 1 && there[0].starts_with("snapshot-"), "{there:?}");
    });
}

#[test]
fn without_an_etcd_it_says_so() {
    under_every_shell(|node| {
        executable(&node.at("bin/systemctl"), "#!/bin/sh\necho 0\n");
        let output = node.run();
        assert!(!output.status.success() && words(&output).contains("does not run here"), "{}", words(&output));
        executable(&node.at("bin/systemctl"), format!("#!/bin/sh\necho {}\n", node.etcd.id()));
        node.write("etcd.yaml", "name: etcd-1\n");
        let output = node.run();
        assert!(!output.status.success() && words(&output).contains("does not say who"), "{}", words(&output));
    });
}
