//! Which servers are believed, and how we log in.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use quorate::shell::live::ssh::{Connection, SshError, Stdin, Target};

use super::server::{Options, SECONDS, Sshd, keygen, known_line, server, server_with};

async fn works(server: &Sshd) {
    let output = server.connect().await.exec("echo in", Stdin::Empty, SECONDS(10)).await.expect("runs");
    assert_eq!(output.stdout, b"in\n");
}

async fn refused(server: &Sshd) -> SshError {
    server.open().await.expect_err("must be refused")
}

fn fingerprint(key: &Path) -> String {
    let output = Command::new("ssh-keygen").arg("-lf").arg(key).output().expect("ssh-keygen runs");
    String::from_utf8(output.stdout).expect("utf-8").split_whitespace().nth(1).expect("SHA256:…").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_key_is_refused_with_the_line_to_add() {
    let Some(server) = server() else { return };
    let known_hosts = server.path("known_hosts");
    let line = fs::read_to_string(&known_hosts).expect("reads");
    fs::remove_file(&known_hosts).expect("removes");
    let error = refused(&server).await;
    let offered = fingerprint(&server.path("host_ed25519"));
    assert_eq!(error.to_string(), format!("the host key of lab is unknown: it offered ssh-ed25519 {offered}"));
    let SshError::HostKeyUnknown { line_to_add, file, .. } = &error else { panic!("{error}") };
    assert_eq!(format!("{line_to_add}\n"), line);
    assert_eq!(file, &known_hosts);
    assert!(error.hint().contains(line_to_add) && error.hint().contains("ssh_host_ed25519_key.pub"));
    assert!(!known_hosts.exists(), "nothing may be trusted on first use");
    // Doing as told works.
    fs::write(&known_hosts, line_to_add).expect("writes");
    works(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_host_key_is_refused_with_its_place() {
    let Some(server) = server() else { return };
    keygen("ed25519", &server.path("another"), "");
    let text = format!("# first\n{}", known_line(server.port, &server.path("another")));
    fs::write(server.path("known_hosts"), text).expect("writes");
    let error = refused(&server).await;
    let expected = format!(
        "THE HOST KEY OF lab HAS CHANGED: it offered ssh-ed25519 {}, but {}:2 says {}",
        fingerprint(&server.path("host_ed25519")),
        server.path("known_hosts").display(),
        fingerprint(&server.path("another")),
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_host_key_is_refused_although_it_is_known() {
    let Some(server) = server() else { return };
    let line = fs::read_to_string(server.path("known_hosts")).expect("reads");
    fs::write(server.path("known_hosts"), format!("{line}@revoked {line}")).expect("writes");
    assert!(matches!(refused(&server).await, SshError::HostKeyRevoked { line: 2, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_known_key_type_is_asked_for() {
    let all = ["ed25519", "ecdsa", "rsa"];
    let Some(server) = server_with(&Options { host_keys: &all, ..Options::default() }) else { return };
    for kind in all {
        let line = known_line(server.port, &server.path(&format!("host_{kind}")));
        fs::write(server.path("known_hosts"), line).expect("writes");
        works(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_type_that_the_server_no_longer_has_is_explained() {
    let Some(server) = server() else { return };
    keygen("ecdsa", &server.path("old"), "");
    let line = known_line(server.port, &server.path("old"));
    fs::write(server.path("known_hosts"), format!("garbage\n{line}")).expect("writes");
    let SshError::HostKeyUnknown { note: Some(note), .. } = refused(&server).await else {
        panic!("unknown, with a note")
    };
    assert!(note.contains("known_hosts:2 has a key of a different type for it (ecdsa-sha2-nistp256)"), "{note}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explicit_known_hosts_file_is_the_only_one() {
    let Some(server) = server() else { return };
    fs::write(server.path("empty"), "").expect("writes");
    let target = Target { known_hosts: Some(server.path("empty")), ..server.target() };
    let error = Connection::open(&target, SECONDS(10)).await.expect_err("must be refused");
    assert!(matches!(error, SshError::HostKeyUnknown { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_named() {
    let Some(server) = server() else { return };
    keygen("ed25519", &server.path("id"), "");
    let error = refused(&server).await;
    let expected = format!(
        "cannot log in to lab as {}; tried:\n  no ssh agent (SSH_AUTH_SOCK is not set)\n  \
         key file {}: the server does not accept it",
        server.user,
        server.path("id").display()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_used_say_why() {
    let Some(server) = server() else { return };
    let id = server.path("id");
    let why = async || match refused(&server).await {
        SshError::Auth { tried, .. } => tried[1..].join("; ").replace(&id.display().to_string(), "ID"),
        other => panic!("{other}"),
    };
    keygen("ed25519", &id, "secret");
    assert_eq!(why().await, "key file ID: has a passphrase; add it to the agent first (ssh-add)");
    keygen("rsa", &id, "");
    to_pem(&id, "secret");
    assert_eq!(why().await, "key file ID: has a passphrase; add it to the agent first (ssh-add)");
    keygen("ed25519", &id, "");
    set_mode(&id, 0o644);
    assert_eq!(why().await, "key file ID: is readable by others (mode 644): run chmod 600 on it");
    fs::rename(server.path("id.pub"), &id).expect("renames");
    assert_eq!(why().await, "key file ID: is a public key, and the agent does not have its private key");
    fs::remove_file(&id).expect("removes");
    assert_eq!(why().await, "");
}

/// Rewrites a key in the old PEM form.
fn to_pem(key: &Path, passphrase: &str) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-p", "-m", "PEM", "-P", "", "-N", passphrase, "-f"]).arg(key).stdout(Stdio::null());
    assert!(command.status().expect("ssh-keygen runs").success());
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_key_file_works() {
    let Some(server) = server() else { return };
    for (kind, pem) in [("rsa", false), ("rsa", true), ("ecdsa", false), ("ecdsa", true), ("ed25519", false)] {
        keygen(kind, &server.path("id"), "");
        if pem {
            to_pem(&server.path("id"), "");
        }
        fs::copy(server.path("id.pub"), server.path("authorized_keys")).expect("copies");
        works(&server).await;
    }
}

/// Signs `key` with a fresh authority that the server trusts.
fn certify(server: &Sshd, key: &Path) {
    keygen("ed25519", &server.path("ca"), "");
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-I", "someone", "-n", &server.user, "-s"]).arg(server.path("ca"));
    assert!(command.arg(key.with_extension("pub")).status().expect("runs").success());
    fs::copy(server.path("ca.pub"), server.path("trusted")).expect("copies");
    fs::write(server.path("authorized_keys"), "").expect("writes");
}

fn trusting_server(client: &str) -> Option<Sshd> {
    // The name of the folder is known only when the server runs: TrustedUserCAKeys is relative to nothing, so authorized
    // keys hold the authority instead.
    server_with(&Options { client, ..Options::default() })
}

fn trust_authority(server: &Sshd) {
    let authority = fs::read_to_string(server.path("trusted")).expect("reads");
    let line = format!("cert-authority,principals=\"{}\" {authority}", server.user);
    fs::write(server.path("authorized_keys"), line).expect("writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_beside_the_key_is_used() {
    let Some(server) = trusting_server("") else { return };
    for kind in ["ed25519", "ecdsa", "rsa"] {
        keygen(kind, &server.path("id"), "");
        certify(&server, &server.path("id"));
        let error = refused(&server).await;
        assert!(error.to_string().contains("id with certificate"), "{error}");
        trust_authority(&server);
        works(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_certificate_is_used() {
    let Some(server) = server() else { return };
    certify(&server, &server.path("id"));
    trust_authority(&server);
    fs::rename(server.path("id-cert.pub"), server.path("elsewhere-cert.pub")).expect("renames");
    refused(&server).await;
    let config = fs::read_to_string(server.path("ssh_config")).expect("reads");
    let line = format!("  CertificateFile {}\n", server.path("elsewhere-cert.pub").display());
    fs::write(server.path("ssh_config"), config + &line).expect("writes");
    works(&server).await;
}

/// An ssh-agent of our own.
struct Agent {
    child: Child,
    socket: std::path::PathBuf,
}

impl Agent {
    fn start(server: &Sshd) -> Agent {
        let socket = server.path("agent.sock");
        let mut command = Command::new("ssh-agent");
        command.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null());
        let agent = Agent { child: command.spawn().expect("ssh-agent starts"), socket };
        let give_up = Instant::now() + SECONDS(5);
        while !agent.socket.exists() {
            assert!(Instant::now() < give_up, "the agent does not listen");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let config = fs::read_to_string(server.path("ssh_config")).expect("reads");
        let line = format!("IdentityAgent {}", agent.socket.display());
        fs::write(server.path("ssh_config"), config.replace("IdentityAgent none", &line)).expect("writes");
        agent
    }

    fn add(&self, key: &Path) {
        let mut command = Command::new("ssh-add");
        command.arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket);
        assert!(command.status().expect("ssh-add runs").success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_keys_are_used() {
    let Some(server) = server() else { return };
    let agent = Agent::start(&server);
    for kind in ["ed25519", "ecdsa", "rsa"] {
        keygen(kind, &server.path("agent_key"), "");
        fs::copy(server.path("agent_key.pub"), server.path("authorized_keys")).expect("copies");
        agent.add(&server.path("agent_key"));
        fs::remove_file(server.path("agent_key")).expect("removes");
        works(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_in_the_agent_is_used() {
    let Some(server) = trusting_server("  IdentitiesOnly yes") else { return };
    let agent = Agent::start(&server);
    certify(&server, &server.path("id"));
    trust_authority(&server);
    agent.add(&server.path("id"));
    fs::remove_file(server.path("id")).expect("removes");
    works(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configured_key_of_a_full_agent_comes_first() {
    // The agent holds more keys than the server lets us try.
    let Some(server) = server_with(&Options { sshd: "MaxAuthTries 3", ..Options::default() }) else { return };
    let agent = Agent::start(&server);
    for index in 0..5 {
        let key = server.path(&format!("other{index}"));
        keygen("ed25519", &key, "");
        agent.add(&key);
    }
    agent.add(&server.path("id"));
    fs::remove_file(server.path("id")).expect("removes");
    works(&server).await;
    // Without its name, the server hangs up before it is its turn; that is said.
    fs::remove_file(server.path("id.pub")).expect("removes");
    let error = refused(&server).await;
    assert!(error.to_string().contains("MaxAuthTries"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_only_leaves_other_agent_keys_alone() {
    let client = "  IdentitiesOnly yes";
    let Some(server) = server_with(&Options { client, ..Options::default() }) else { return };
    let agent = Agent::start(&server);
    agent.add(&server.path("id"));
    keygen("ed25519", &server.path("id"), "");
    let error = refused(&server).await;
    assert!(error.to_string().contains("holds none of the keys that IdentitiesOnly allows"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_answer_times_out() {
    let Some(server) = server() else { return };
    let agent = Agent::start(&server);
    fs::remove_file(&agent.socket).expect("removes");
    let _silent = std::os::unix::net::UnixListener::bind(&agent.socket).expect("binds");
    let started = Instant::now();
    let error = Connection::open(&server.target(), SECONDS(1)).await.expect_err("must time out");
    assert!(matches!(error, SshError::Timeout { .. }), "{error}");
    assert!(started.elapsed() < SECONDS(3), "{:?}", started.elapsed());
}
