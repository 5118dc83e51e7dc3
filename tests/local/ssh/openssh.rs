//! The system's ssh as the client, against a server that libssh2 cannot talk to.

use std::fs;
use std::time::Duration;

use quorate::core::desired::SshClient;
use quorate::shell::live::ssh::{Connection, Exit, SshError, Stdin, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::channels::echo_server;
use super::server::{Options, SECONDS, Sshd, free_port, server, server_with};

fn target(server: &Sshd) -> Target {
    Target { client: SshClient::OpenSsh, ..server.target() }
}

async fn connect(server: &Sshd) -> Connection {
    match Connection::open(&target(server), SECONDS(20)).await {
        Ok(connection) => connection,
        Err(error) => panic!("{error}\nsshd said: {}", server.log()),
    }
}

/// A key exchange that libssh2 does not have.
fn post_quantum_server() -> Option<Sshd> {
    server_with(&Options { sshd: "KexAlgorithms sntrup761x25519-sha512@openssh.com", ..Options::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_ssh_can_talk_to() {
    let Some(server) = post_quantum_server() else { return };
    let error = server.open().await.expect_err("libssh2 has no such key exchange");
    assert!(matches!(error, SshError::Handshake { .. }), "{error}");
    assert!(error.hint().contains("client = \"openssh\""), "{}", error.hint());
    let host = connect(&server).await;
    let output = host.exec("echo out; echo err >&2; exit 3", Stdin::Empty, SECONDS(10)).await.expect("runs");
    assert_eq!(output.status, Exit::Code(3));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    // ssh's own number for a failure, of a command.
    let output = host.exec("exit 255", Stdin::Empty, SECONDS(10)).await.expect("the connection is there");
    assert_eq!(output.status, Exit::Code(255));
    let sent: Vec<u8> = (0..5_000_000).map(|index| (index % 251) as u8).collect();
    let output = host.exec("cat", sent.clone(), SECONDS(30)).await.expect("runs");
    assert!(output.stdout == sent, "{} bytes came back", output.stdout.len());
    let reader = Box::new(std::io::Cursor::new(sent.clone()));
    let output = host.exec("wc -c", Stdin::Reader { reader, progress: None }, SECONDS(30)).await.expect("runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), sent.len().to_string());
    // All over one connection.
    assert_eq!(server.sessions().len(), 1);
    drop(host);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.sessions().len(), 0, "it is closed with the last handle");
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_hold_and_harm_nothing() {
    let Some(server) = server() else { return };
    let host = connect(&server).await;
    let error = host.exec("sleep 30", Stdin::Empty, Duration::from_millis(300)).await.expect_err("it takes longer");
    assert!(matches!(error, SshError::Timeout { .. }), "{error}");
    let mut stream = host.stream("echo first; sleep 30", Stdin::Empty, Duration::from_millis(500)).expect("starts");
    let mut said = Vec::new();
    stream.stdout.read_to_end(&mut said).await.expect("reads");
    assert_eq!(said, b"first\n");
    let error = stream.exit.wait().await.expect_err("it stopped moving");
    assert!(matches!(error, SshError::Timeout { .. }), "{error}");
    host.exec("true", Stdin::Empty, SECONDS(10)).await.expect("runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_comes_whole_and_waits_for_its_reader() {
    let Some(server) = server() else { return };
    let host = connect(&server).await;
    let mut stream = host.stream("head -c 30000000 /dev/zero; exit 4", "", SECONDS(5)).expect("starts");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut bytes = Vec::new();
    stream.stdout.read_to_end(&mut bytes).await.expect("reads");
    assert_eq!(bytes.len(), 30_000_000);
    assert_eq!(stream.exit.wait().await.expect("it ended").status, Exit::Code(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_ends_when_it_is_let_go() {
    let Some(server) = server() else { return };
    let host = connect(&server).await;
    let gone = server.path("gone");
    let script = format!("echo noise; echo ready now; while read -r _; do :; done; touch {}", gone.display());
    let held = host.hold(&script, "", "ready", SECONDS(10)).await.expect("it gets ready");
    assert_eq!(held.first_line, "ready now");
    assert!(held.is_alive() && !gone.exists());
    drop(held);
    for _ in 0..100 {
        if gone.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(gone.exists(), "it did not read the end of its stdin");
    let Err(error) = host.hold("echo taken; exit 75", "", "ready", SECONDS(10)).await else {
        panic!("it is not ready")
    };
    let SshError::NotReady(output) = error else { panic!("{error}") };
    assert_eq!((output.status, output.stdout.as_slice()), (Exit::Code(75), &b"taken\n"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnels_carry_both_ways_and_tell_a_closed_port() {
    let Some(server) = server() else { return };
    let host = connect(&server).await;
    let mut stream = host.tunnel("127.0.0.1", echo_server().await, SECONDS(10)).await.expect("opens");
    stream.write_all(b"ping").await.expect("writes");
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.expect("reads");
    assert_eq!(&back, b"ping");
    let error = host.tunnel("127.0.0.1", free_port(), SECONDS(10)).await.expect_err("nobody listens");
    assert!(matches!(error, SshError::TunnelRefused { .. }), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ssh_refuses_has_the_same_kinds() {
    let Some(server) = server() else { return };
    let opened = async |target: Target| match Connection::open(&target, SECONDS(10)).await {
        Ok(_) => panic!("it was let in"),
        Err(error) => error,
    };
    let known = fs::read_to_string(server.path("known_hosts")).expect("reads");
    fs::write(server.path("empty"), "").expect("writes");
    let error = opened(Target { known_hosts: Some(server.path("empty")), ..target(&server) }).await;
    assert!(matches!(error, SshError::HostKeyRefused { .. }), "{error}");
    let error = opened(Target { port: Some(free_port()), ..target(&server) }).await;
    assert!(matches!(error, SshError::Connect { .. }), "{error}");
    fs::write(server.path("authorized_keys"), "").expect("writes");
    let error = opened(target(&server)).await;
    assert!(matches!(error, SshError::Auth { .. }), "{error}");
    assert_eq!(known, fs::read_to_string(server.path("known_hosts")).expect("reads"), "no key was added");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_a_connection_that_is_closed() {
    let Some(server) = server() else { return };
    let host = connect(&server).await;
    server.kill_sessions();
    let error = host.exec("true", Stdin::Empty, SECONDS(10)).await.expect_err("it is gone");
    assert!(matches!(error, SshError::Closed { .. }), "{error}");
    assert!(host.is_closed());
}
