//! A snapshot of 2 GiB by `quorate backup run`, and by etcdctl and zstd as an operator does without quorate: from the same
//! machine, through SSH, into a file of the same folder.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use etcd_client::{Txn, TxnOp};

use crate::cluster::{PATIENCE, quorate};
use crate::costs::{Cost, cost};
use crate::declaration::{Archives, Declaration};
use crate::lab::{Archive, Lab};
use crate::traffic::{Connection, Credentials, addresses, pair, run};

const ROUNDS: usize = 3;
/// Of values; what the database makes of them is told in the table.
const DATABASE_BYTES: usize = 2 << 30;
const VALUE_BYTES: std::ops::Range<usize> = (8 << 10)..(64 << 10);
/// Of one transaction, below etcd's 1.5 MiB.
const PUT_BYTES_MAX: usize = 1 << 20;
const WRITERS: usize = 2;
/// The database, its write-ahead log and two versions of a snapshot. It is taken from memory.
const DISK_BYTES: u64 = 10 << 30;
/// How often a process is asked how much memory it has had.
const MEMORY_LOOK: Duration = Duration::from_millis(20);

/// As quorate compresses, which is as zstd does unless told otherwise, and not at all.
const WAYS: [(&str, bool); 2] = [("zstd, level 3", true), ("not compressed", false)];

/// One snapshot in one way.
#[derive(Clone, Copy)]
struct Taken {
    cost: Cost,
    /// The most of quorate's process; by hand there are three, which are not looked at.
    memory_bytes: u64,
    file_bytes: u64,
}

type Part = fn(&Taken) -> Duration;

struct Scene {
    lab: Lab,
    archive: Archive,
    /// On a disk, which the lab's own folder is not.
    folder: tempfile::TempDir,
    client_port: u16,
}

/// Fills a member, and takes its snapshot again and again.
pub fn measure(archive: &Archive) -> String {
    let scene = Scene::filled(archive);
    let mut taken: [[Vec<Taken>; 2]; WAYS.len()] = Default::default();
    for round in 1..=ROUNDS {
        for (index, (name, is_compressed)) in WAYS.iter().enumerate() {
            let ours = scene.by_quorate(*is_compressed);
            let theirs = scene.by_hand(*is_compressed);
            for (who, one) in [("by quorate", ours), ("by hand", theirs)] {
                eprintln!(
                    "bench: {name}, round {round}, {who}: {:.1?}, CPU {:.1?}, {} MiB of file, peak {} MiB",
                    one.cost.wall,
                    one.cost.cpu,
                    one.file_bytes >> 20,
                    one.memory_bytes >> 20
                );
            }
            taken[index][0].push(ours);
            taken[index][1].push(theirs);
        }
    }
    table(archive, &taken)
}

fn table(archive: &Archive, taken: &[[Vec<Taken>; 2]]) -> String {
    let database = taken[1][0][0].file_bytes;
    let mut text = format!(
        "A snapshot of {:.2} GiB (etcd {}, values of 8 to 64 KiB, half of them random and half JSON), through SSH into a file; best of {ROUNDS}:\n\n\
         | | `quorate backup run` | by hand | rate, by hand = 1 |\n|---|---|---|---|\n",
        as_f64(database) / f64::from(1 << 30),
        archive.version
    );
    for ((name, _), [ours, theirs]) in WAYS.iter().zip(taken) {
        let best = |taken: &[Taken], part: Part| taken.iter().map(part).min().expect("a round");
        let parts: [(&str, Part); 2] = [("wall clock", |one| one.cost.wall), ("CPU of the client", |one| one.cost.cpu)];
        for (what, part) in parts {
            let (ours, theirs) = (best(ours, part).as_secs_f64(), best(theirs, part).as_secs_f64());
            text += &format!("| {name}: {what} | {ours:.1} s | {theirs:.1} s | {:.2} |\n", theirs / ours);
        }
        let file = |taken: &[Taken]| as_f64(taken[0].file_bytes) / f64::from(1 << 30);
        text += &format!("| {name}: file | {:.2} GiB | {:.2} GiB | |\n", file(ours), file(theirs));
        let memory = ours.iter().map(|one| one.memory_bytes).max().expect("a round");
        text += &format!("| {name}: peak memory | {} MiB | | |\n", memory.div_ceil(1 << 20));
    }
    text
}

#[allow(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

impl Scene {
    fn filled(archive: &Archive) -> Scene {
        let lab = Lab::builder().hosts(1).plain().disk_bytes(DISK_BYTES).up();
        let mut archives = Archives::new(&lab);
        archives.add(archive);
        let mut declaration = Declaration::new(&archive.version);
        declaration.nodes = lab.hosts().iter().map(|host| (host.name().to_owned(), host.name().to_owned())).collect();
        declaration.etcd.insert("quota-backend", "\"6GiB\"".to_owned());
        fs::write(lab.dir().join("cluster.toml"), declaration.text(&lab, &archives)).expect("it can be written");
        let output = quorate(&lab.dir(), &["apply", "--yes"]).output().expect("quorate runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder can be made");
        let scene = Scene { lab, archive: archive.clone(), folder, client_port: declaration.ports.client };
        scene.prepare_tools();
        let begun = Instant::now();
        scene.fill();
        eprintln!("bench: filled in {:.1?}", begun.elapsed());
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// etcdctl of the archive, and a certificate for it.
    fn prepare_tools(&self) {
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--gzip", "--strip-components=1", "--file"]).arg(&self.archive.path);
        tar.arg("--directory").arg(self.folder.path());
        assert!(tar.status().expect("tar runs").success());
        let authority = self.lab.dir().join("pki");
        let (certificate, key) = pair(&authority, "root");
        fs::write(self.path("client.crt"), certificate).expect("it can be written");
        fs::write(self.path("client.key"), key).expect("it can be written");
        fs::copy(authority.join("ca.crt"), self.path("ca.crt")).expect("it can be copied");
    }

    fn fill(&self) {
        let credentials = Credentials::issue_for(&self.lab.dir().join("pki"), "root");
        let addresses = addresses(self.lab.hosts()[0].address(), &[self.client_port]);
        let written = AtomicUsize::new(0);
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (credentials, addresses, written) = (&credentials, &addresses, &written);
                scope.spawn(move || {
                    run(async {
                        let mut connection = Connection::open(credentials, addresses).await.expect("it serves");
                        for number in 0.. {
                            if written.load(Ordering::Relaxed) >= DATABASE_BYTES {
                                return;
                            }
                            let (puts, bytes) = puts(&format!("/bench/{writer}/{number}"));
                            connection.client.txn(puts).await.expect("it is written");
                            written.fetch_add(bytes, Ordering::Relaxed);
                        }
                    });
                });
            }
        });
    }

    fn by_quorate(&self, is_compressed: bool) -> Taken {
        rustix::fs::sync();
        let file = self.path("ours");
        let mut memory_bytes = 0;
        let cost = cost(|| {
            let how = if is_compressed { "zstd" } else { "none" };
            let mut command = quorate(&self.lab.dir(), &["backup", "run", "--compression", how, "-o"]);
            let mut child = command.arg(&file).stdout(Stdio::null()).spawn().expect("quorate runs");
            let status = loop {
                memory_bytes = memory_of(&child).unwrap_or(memory_bytes);
                match child.try_wait().expect("it can be waited for") {
                    Some(status) => break status,
                    None => thread::sleep(MEMORY_LOOK),
                }
            };
            assert!(status.success());
        });
        Taken { cost, memory_bytes, file_bytes: taken_away(&file) }
    }

    /// etcdctl writes only to a file, which is compressed then.
    fn by_hand(&self, is_compressed: bool) -> Taken {
        let script = "set -eu; cd \"$1\"; \
             ETCDCTL_API=3 ./etcdctl --endpoints=\"https://127.0.0.1:$2\" --cacert=ca.crt --cert=client.crt --key=client.key \
             --command-timeout=10m snapshot save by-hand >by-hand.log 2>&1 || { cat by-hand.log >&2; exit 1; }";
        let zstd = "; zstd -q -3 --check by-hand -o by-hand.zst";
        rustix::fs::sync();
        let cost = cost(|| {
            let port = free_port();
            let mut tunnel = self.tunnel(port);
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(if is_compressed { format!("{script}{zstd}") } else { script.to_owned() });
            let status = shell.arg("sh").arg(self.folder.path()).arg(port.to_string()).status();
            assert!(status.expect("sh runs").success());
            tunnel.kill().expect("it runs");
            tunnel.wait().expect("it ends");
        });
        let bytes = taken_away(&self.path("by-hand"));
        Taken {
            cost,
            memory_bytes: 0,
            file_bytes: if is_compressed { taken_away(&self.path("by-hand.zst")) } else { bytes },
        }
    }

    /// `ssh -L`, ready.
    fn tunnel(&self, port: u16) -> Child {
        let host = &self.lab.hosts()[0];
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(self.lab.ssh_config()).args(["-N", "-o", "ExitOnForwardFailure=yes", "-L"]);
        ssh.arg(format!("127.0.0.1:{port}:{}:{}", host.address(), self.client_port)).arg(host.name());
        let child = ssh.stdin(Stdio::null()).spawn().expect("ssh runs");
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "ssh does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        child
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a port");
    listener.local_addr().expect("it is bound").port()
}

/// The size of a file that goes now, so that each begins with as much room.
fn taken_away(file: &Path) -> u64 {
    let bytes = file.metadata().expect("it was written").len();
    fs::remove_file(file).expect("it can go");
    bytes
}

/// The most that the process has had in memory so far; none when it has ended.
fn memory_of(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// Puts of as many values as one transaction takes, and how much they are.
fn puts(prefix: &str) -> (Txn, usize) {
    let mut puts = Vec::new();
    let mut bytes = 0;
    while bytes + VALUE_BYTES.end < PUT_BYTES_MAX {
        let value = value();
        bytes += value.len();
        puts.push(TxnOp::put(format!("{prefix}/{}", puts.len()), value, None));
    }
    (Txn::new().and_then(puts), bytes)
}

/// Random bytes, as encrypted Secrets are, or a list of objects as Kubernetes has them.
fn value() -> Vec<u8> {
    let [first, second, kind] = random();
    let bytes = VALUE_BYTES.start + usize::from(u16::from_le_bytes([first, second])) % VALUE_BYTES.len();
    let mut value = vec![0; bytes];
    if kind % 2 == 0 {
        aws_lc_rs::rand::fill(&mut value).expect("there is chance");
        return value;
    }
    let mut text = String::with_capacity(bytes + 1024);
    while text.len() < bytes {
        text += &object();
    }
    text.truncate(bytes);
    text.into_bytes()
}

fn object() -> String {
    let [node, team, a, b, c] = random();
    format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"web-{}-{}\",\"namespace\":\"team-{team}\",\"uid\":\"{}\",\
         \"resourceVersion\":\"{}\",\"labels\":{{\"app\":\"web\",\"pod-template-hash\":\"{}\"}}}},\"spec\":{{\"nodeName\":\"node-{node}\",\
         \"restartPolicy\":\"Always\",\"serviceAccountName\":\"default\",\"terminationGracePeriodSeconds\":30,\"tolerations\":\
         [{{\"effect\":\"NoExecute\",\"key\":\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\",\"tolerationSeconds\":300}}]}},\
         \"status\":{{\"phase\":\"Running\",\"podIP\":\"10.{a}.{b}.{c}\",\"qosClass\":\"Burstable\",\"containerStatuses\":[{{\"name\":\"web\",\
         \"imageID\":\"registry.example/web@sha256:{}\",\"containerID\":\"containerd://{}\",\"ready\":true,\"restartCount\":0}}]}}}}\n",
        hex::<5>(),
        hex::<3>(),
        hex::<16>(),
        u32::from_le_bytes(random()),
        hex::<5>(),
        hex::<32>(),
        hex::<32>(),
    )
}

fn hex<const N: usize>() -> String {
    random::<N>().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("there is chance");
    bytes
}
