//! etcd processes on loopback, of any version that the lab has, each ended when its value is dropped.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use quorate::core::cluster::leaf::Wanted;
use quorate::core::desired::{ArchiveLocation, Binaries, read};
use quorate::core::names::{Architecture, ClusterName, HostName, UnixSeconds};
use quorate::core::observed::{Answer, Usage};
use quorate::shell::live::archive;
use quorate::shell::live::etcd::{Member, Place, Tls, Unreached};
use quorate::shell::live::pki::{self, Signer};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use crate::lab::{Archive, Series, etcd_archive};

/// A loopback address of its own for each caller, so that no port is taken, not even by an outgoing connection.
pub fn new_address() -> String {
    static LAST: AtomicU8 = AtomicU8::new(0);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    format!("127.{}.{low}.{}", 100 + high % 100, LAST.fetch_add(1, Ordering::Relaxed) + 1)
}

/// Of the first member; the next has the next two.
const CLIENT_PORT: u16 = 2379;

pub const DEADLINE: Duration = Duration::from_secs(3);

pub fn now() -> UnixSeconds {
    UnixSeconds(jiff::Timestamp::now().as_second())
}

pub fn place(host: &HostName, address: &str) -> Place {
    Place::new(host, address, "journalctl -u etcd.service".to_owned())
}

pub fn host(index: usize) -> HostName {
    HostName::new(format!("etcd-{index}"))
}

pub fn authority() -> (TempDir, Signer) {
    let folder = TempDir::new().unwrap();
    let signer = pki::create(&folder.path().join("pki"), &ClusterName::new("prod"), now()).unwrap();
    (folder, signer)
}

pub fn names(names: &[&str]) -> Wanted {
    Wanted {
        common_name: "etcd".to_owned(),
        names: names.iter().map(|&name| name.to_owned()).collect(),
        usages: BTreeSet::from([Usage::ServerAuth, Usage::ClientAuth]),
        like: None,
    }
}

/// The folder with the binaries of a release; `None`, said aloud, if it cannot be had.
pub fn binaries(test: &str, series: Series) -> Option<PathBuf> {
    let packed = match etcd_archive(series) {
        Ok(packed) => packed,
        Err(skip) => {
            eprintln!("skipped: {test}: {skip}");
            return None;
        }
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("etcd-{}", packed.sha256));
    if !folder.exists() {
        let unpacked = unpacked(&packed);
        // Another test may have been faster.
        let _ = fs::rename(unpacked.path(), &folder);
    }
    Some(folder)
}

/// Checked here and unpacked by tar, as a host does it.
fn unpacked(packed: &Archive) -> TempDir {
    let architecture = Architecture::from_uname(std::env::consts::ARCH).unwrap();
    let sha256 = packed.sha256.parse().unwrap();
    // Some versions here may not be declared; the path names the archive whatever the version.
    let text = "[cluster]\nname = \"prod\"\nversion = \"3.5.16\"\n[nodes.etcd-1]\naddress = \"10.0.0.1\"\n";
    let mut desired = read::parse(text, "cluster.toml", Path::new("/"), None).unwrap();
    let location = ArchiveLocation::Path(packed.path.to_str().unwrap().to_owned());
    desired.binaries = Binaries::Archive { location, sha256: [(architecture, sha256)].into(), via: Default::default() };
    let package = archive::prepare(&desired, desired.cluster.version, architecture).unwrap();
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut tar = Command::new("tar")
        .args(["-xz", &format!("--strip-components={}", package.strip), "-C"])
        .arg(folder.path())
        .arg("--")
        .args(&package.members)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::copy(&mut package.reader(), &mut tar.stdin.take().unwrap()).unwrap();
    assert!(tar.wait().unwrap().success());
    folder
}

/// A cluster to be started member by member.
pub struct Cluster {
    pub signer: Signer,
    /// Settings for every member, as flags.
    pub flags: Vec<String>,
    /// The text of the trusted-ca-file; the signer's own by default.
    pub trusted: String,
    /// What each member serves clients with.
    pub server: (String, String),
    pub members: usize,
    pub address: String,
    folder: TempDir,
    binaries: PathBuf,
    authority: TempDir,
}

impl Cluster {
    pub fn of(members: usize, test: &str, series: Series) -> Option<Cluster> {
        let binaries = binaries(test, series)?;
        let (authority, signer) = authority();
        let address = new_address();
        let server = pair(&signer, &names(&[&address]), now());
        let (folder, trusted) = (TempDir::new().unwrap(), signer.certificate_pem().to_owned());
        let flags = Vec::new();
        Some(Cluster { signer, flags, trusted, server, members, address, folder, binaries, authority })
    }

    pub fn tls(&self) -> Tls {
        Tls::new(&self.signer, now()).unwrap()
    }

    pub fn authority_folder(&self) -> PathBuf {
        self.authority.path().join("pki")
    }

    pub fn client_url(&self, index: usize) -> String {
        format!("https://{}:{}", self.address, client_port(index))
    }

    pub fn peer_url(&self, index: usize) -> String {
        format!("https://{}:{}", self.address, client_port(index) + 1)
    }

    pub fn tool(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// Starts member `index` of a new cluster of all of them.
    pub fn start(&self, index: usize) -> Etcd {
        self.start_among(index, self.members, "new")
    }

    /// Starts member `index` of the first `members`.
    pub fn start_among(&self, index: usize, members: usize, state: &str) -> Etcd {
        let folder = self.folder.path().join(host(index).as_str());
        fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let ca = write("ca.crt", &self.trusted);
        let own_ca = write("own-ca.crt", self.signer.certificate_pem());
        let (crt, key) = (write("server.crt", &self.server.0), write("server.key", &self.server.1));
        // Connections to any loopback address come from 127.0.0.1, and a peer's certificate must name where it comes from.
        let peer = pair(&self.signer, &names(&[&self.address, "127.0.0.1"]), now());
        let (peer_crt, peer_key) = (write("peer.crt", &peer.0), write("peer.key", &peer.1));
        let (client, peer) = (self.client_url(index), self.peer_url(index));
        let all: Vec<_> = (0..members).map(|index| format!("{}={}", host(index), self.peer_url(index))).collect();
        let log = folder.join("log");
        let file = |path: &Path| path.to_str().unwrap().to_owned();
        let child = Command::new(self.binaries.join("etcd"))
            .env_clear()
            .arg(format!("--name={}", host(index)))
            .arg(format!("--data-dir={}", file(&folder.join("data"))))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster={}", all.join(",")))
            .arg(format!("--initial-cluster-state={state}"))
            .args(["--client-cert-auth", "--peer-client-cert-auth"])
            .arg(format!("--trusted-ca-file={}", file(&ca)))
            .arg(format!("--peer-trusted-ca-file={}", file(&own_ca)))
            .arg(format!("--cert-file={}", file(&crt)))
            .arg(format!("--key-file={}", file(&key)))
            .arg(format!("--peer-cert-file={}", file(&peer_crt)))
            .arg(format!("--peer-key-file={}", file(&peer_key)))
            .args(["--heartbeat-interval=50", "--election-timeout=500", "--logger=zap"])
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(File::create(&log).unwrap())
            .stderr(File::options().append(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        Etcd { child, host: host(index), address: self.address.clone(), port: client_port(index), log }
    }

    /// Starts all of them, and waits until each reads.
    pub async fn started(&self) -> Vec<Etcd> {
        let mut members: Vec<_> = (0..self.members).map(|index| self.start(index)).collect();
        for member in &mut members {
            member.until(&self.tls(), |answer| answer.reads).await;
        }
        members
    }

    /// Spoils what a running member serves with.
    pub fn replace_server_key(&self, index: usize, key: &str) {
        fs::write(self.folder.path().join(host(index).as_str()).join("server.key"), key).unwrap();
    }

    pub fn log_of(&self, index: usize) -> String {
        fs::read_to_string(self.folder.path().join(host(index).as_str()).join("log")).unwrap()
    }
}

/// A certificate and its key, as PEM.
pub fn pair(signer: &Signer, wanted: &Wanted, at: UnixSeconds) -> (String, String) {
    let leaf = signer.issue(wanted, 3600, at).unwrap();
    (leaf.certificate_pem, leaf.key_pem.expose_secret().to_owned())
}

fn client_port(index: usize) -> u16 {
    CLIENT_PORT + 2 * u16::try_from(index).unwrap()
}

pub struct Etcd {
    child: Child,
    pub host: HostName,
    pub address: String,
    pub port: u16,
    log: PathBuf,
}

impl Etcd {
    pub async fn connect(&self, tls: &Tls) -> Result<Member, Unreached> {
        Member::direct(place(&self.host, &self.address), self.port, tls, DEADLINE).await
    }

    pub async fn answer(&self, tls: &Tls) -> Result<Answer, String> {
        let member = self.connect(tls).await.map_err(|unreachable| unreachable.cause.summary)?;
        member.answer(DEADLINE).await.map_err(|cause| cause.summary)
    }

    /// Asks until the answer is as it should be.
    pub async fn until(&mut self, tls: &Tls, is_so: impl Fn(&Answer) -> bool) -> Answer {
        let begun = Instant::now();
        loop {
            let answer = self.answer(tls).await;
            match &answer {
                Ok(answer) if is_so(answer) => return answer.clone(),
                _ => {}
            }
            let ended = self.child.try_wait().unwrap();
            let log = || fs::read_to_string(&self.log).unwrap();
            assert!(ended.is_none(), "{} has ended: {}", self.host, log());
            assert!(begun.elapsed() < Duration::from_secs(30), "{}: {answer:?}\n{}", self.host, log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until it listens, whether or not it serves.
    pub async fn until_listening(&self) {
        let begun = Instant::now();
        while tokio::net::TcpStream::connect((self.address.as_str(), self.port)).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{} does not listen", self.host);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops it without its knowing.
    pub fn freeze(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
