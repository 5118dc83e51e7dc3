//! A real sshd on loopback, with its own keys and configuration, ended by its own pid.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate::shell::live::ssh::{Connection, SshError, Target};
use tempfile::TempDir;

pub const SECONDS: fn(u64) -> Duration = Duration::from_secs;

pub struct Sshd {
    pub dir: TempDir,
    pub port: u16,
    pub user: String,
    child: Child,
}

/// How a server differs from the usual one.
#[derive(Default)]
pub struct Options<'a> {
    /// Lines for sshd_config.
    pub sshd: &'a str,
    /// Lines for the client's ssh_config.
    pub client: &'a str,
    /// Key types of the host, ed25519 if empty.
    pub host_keys: &'a [&'a str],
}

fn sshd_binary() -> Option<PathBuf> {
    ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"].iter().map(PathBuf::from).find(|path| path.exists())
}

/// Starts a server, or says that the test is skipped.
pub fn server() -> Option<Sshd> {
    server_with(&Options::default())
}

pub fn server_with(options: &Options) -> Option<Sshd> {
    let Some(binary) = sshd_binary() else {
        eprintln!("SKIPPED: there is no sshd here");
        return None;
    };
    // sshd wants this folder when it runs as root.
    let _ = fs::create_dir_all("/run/sshd");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| dir.path().join(name);
    let types = if options.host_keys.is_empty() { &["ed25519"] } else { options.host_keys };
    let mut config = String::new();
    let mut known = String::new();
    let port = free_port();
    for kind in types {
        let key = at(&format!("host_{kind}"));
        keygen(kind, &key, "");
        config += &format!("HostKey {}\n", key.display());
        known += &known_line(port, &key);
    }
    fs::write(at("known_hosts"), known).expect("writes");
    keygen("ed25519", &at("id"), "");
    fs::copy(at("id.pub"), at("authorized_keys")).expect("copies");
    config += &format!(
        "Port {port}\nListenAddress 127.0.0.1\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nAuthorizedKeysFile {}\nMaxStartups 100\n\
         SetEnv HOME={}\n{}\n",
        at("authorized_keys").display(),
        // The shell must not read a login file of whoever runs the tests.
        dir.path().display(),
        options.sshd
    );
    fs::write(at("sshd_config"), config).expect("writes");
    let user = String::from_utf8(Command::new("id").arg("-un").output().expect("id runs").stdout).expect("utf-8");
    let user = user.trim().to_owned();
    let client = format!(
        "Host lab\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile {0}/id\n  IdentityAgent none\n  \
         UserKnownHostsFile {0}/known_hosts\n  GlobalKnownHostsFile none\n{1}\n",
        dir.path().display(),
        options.client
    );
    fs::write(at("ssh_config"), client).expect("writes");
    let log = fs::File::create(at("sshd.log")).expect("creates");
    let child = Command::new(binary)
        .args(["-D", "-e", "-f"])
        .arg(at("sshd_config"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("sshd starts");
    let server = Sshd { dir, port, user, child };
    let give_up = Instant::now() + SECONDS(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < give_up, "sshd does not listen; it said: {}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(server)
}

impl Sshd {
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn target(&self) -> Target {
        Target { config: Some(self.path("ssh_config")), ..Target::parse("lab").expect("a name") }
    }

    pub async fn open(&self) -> Result<Connection, SshError> {
        Connection::open(&self.target(), SECONDS(20)).await
    }

    pub async fn connect(&self) -> Connection {
        match self.open().await {
            Ok(connection) => connection,
            Err(error) => panic!("{error}\nsshd said: {}", self.log()),
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("sshd.log")).unwrap_or_default()
    }

    /// The processes that serve a connection each.
    pub fn sessions(&self) -> Vec<u32> {
        children_of(self.child.id())
    }

    /// As if the host lost power, but for its last FIN.
    pub fn kill_sessions(&self) {
        self.signal_sessions("KILL");
    }

    pub fn signal_sessions(&self, signal: &str) {
        let sessions = self.sessions();
        // Unless root logs in, each has a child that does the talking. Where root does, its children are commands that may
        // end by themselves meanwhile, so only that some process got the signal is certain.
        let children = sessions.iter().copied().flat_map(children_of).collect::<Vec<_>>();
        let signalled = sessions.into_iter().chain(children).filter(|pid| {
            let kill = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status();
            kill.expect("kill runs").success()
        });
        assert!(signalled.count() > 0, "no session to send {signal} to");
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).expect("binds").local_addr().expect("bound").port()
}

pub fn keygen(kind: &str, path: &Path, passphrase: &str) {
    let _ = fs::remove_file(path);
    let ok = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", passphrase, "-f"]).arg(path).status();
    assert!(ok.expect("ssh-keygen runs").success());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("chmod");
}

pub fn known_line(port: u16, host_key: &Path) -> String {
    let public = fs::read_to_string(host_key.with_extension("pub")).expect("reads");
    let mut words = public.split_whitespace();
    format!("[127.0.0.1]:{port} {} {}\n", words.next().expect("type"), words.next().expect("key"))
}

/// The children of a process, as /proc knows them.
fn children_of(parent: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc").expect("proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name may contain spaces and brackets: the fields count from the last bracket.
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok()) == Some(parent)
    };
    pids.filter(is_child).collect()
}
