//! How connections begin badly and end.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use quorate::shell::live::ssh::{ConnectFailure, Connection, SshError, Stdin, Target};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::server::{Options, SECONDS, free_port, known_line, server, server_with};

async fn open(text: &str) -> SshError {
    let target = Target { config: Some("/dev/null".into()), ..Target::parse(text).expect("a name") };
    Connection::open(&target, Duration::from_millis(800)).await.expect_err("must fail")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_is_told_from_a_silent_one() {
    let port = free_port();
    let error = open(&format!("127.0.0.1:{port}")).await;
    assert!(matches!(error, SshError::Connect { failure: ConnectFailure::Refused, .. }), "{error}");
    let expected = format!("cannot reach 127.0.0.1: connecting to 127.0.0.1:{port} failed: connection refused");
    assert_eq!(error.to_string(), expected);

    let silent = TcpListener::bind("127.0.0.1:0").expect("binds");
    let started = Instant::now();
    let error = open(&format!("127.0.0.1:{}", silent.local_addr().expect("bound").port())).await;
    assert_eq!(error.to_string(), "127.0.0.1: the ssh handshake took longer than 0.8 s");
    assert!(started.elapsed() < SECONDS(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_an_address_is_unresolvable() {
    let error = open("no-such-host.invalid").await;
    // A resolver without a network may take longer than the deadline.
    assert!(matches!(error, SshError::Unresolvable { .. } | SshError::Timeout { .. }), "{error}");
    let target = Target { config: Some("/no/such/config".into()), ..Target::parse("lab").expect("a name") };
    let error = Connection::open(&target, SECONDS(5)).await.expect_err("no config");
    assert!(matches!(error, SshError::Unresolvable { .. }), "{error}");
    assert!(error.to_string().contains("/no/such/config"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn something_else_on_the_port_is_no_ssh_server() {
    let other = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = other.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        use std::io::Write as _;
        let (mut socket, _) = other.accept().expect("accepts");
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let error = open(&format!("127.0.0.1:{port}")).await;
    assert!(matches!(error, SshError::Handshake { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_closes_everything_quickly() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let held = host.hold("echo ready; cat", Stdin::Empty, "ready", SECONDS(5)).await.expect("becomes ready");
    let stream = host.stream("sleep 30", "", SECONDS(40)).expect("starts");
    let running = tokio::spawn({
        let host = host.clone();
        async move { host.exec("sleep 30", Stdin::Empty, SECONDS(40)).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let started = Instant::now();
    server.kill_sessions();
    let error = running.await.expect("does not panic").expect_err("the server died");
    assert!(matches!(error, SshError::Closed { .. }) && error.is_connection_lost(), "{error}");
    assert!(matches!(stream.exit.wait().await, Err(SshError::Closed { .. })));
    assert_eq!(held.closed().await, None);
    assert!(!held.is_alive() && host.is_closed());
    let error = host.exec("true", Stdin::Empty, SECONDS(5)).await.expect_err("closed");
    assert_eq!(error.to_string(), "the connection to lab is closed: the server closed it");
    assert!(started.elapsed() < SECONDS(1), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_notices_its_end() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    host.exec("true", Stdin::Empty, SECONDS(5)).await.expect("runs");
    server.kill_sessions();
    let give_up = Instant::now() + SECONDS(5);
    while !host.is_closed() {
        assert!(Instant::now() < give_up, "nobody noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_answers_the_servers_keepalives() {
    let options = Options { sshd: "ClientAliveInterval 1\nClientAliveCountMax 2", ..Options::default() };
    let Some(server) = server_with(&options) else { return };
    let host = server.connect().await;
    // Asked every second or two, it gives up at the third question without an answer.
    tokio::time::sleep(SECONDS(10)).await;
    let output = host.exec("echo here", Stdin::Empty, SECONDS(5)).await.expect("the server did not give up on us");
    assert_eq!(output.stdout, b"here\n");
    // And while a command runs that says nothing.
    host.exec("sleep 8", Stdin::Empty, SECONDS(12)).await.expect("runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_connection_closes_it() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let other = host.clone();
    drop(host);
    other.exec("true", Stdin::Empty, SECONDS(5)).await.expect("a clone keeps it");
    assert_eq!(server.sessions().len(), 1);
    drop(other);
    let give_up = Instant::now() + SECONDS(5);
    while !server.sessions().is_empty() {
        assert!(Instant::now() < give_up, "still connected");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(server.log().contains("Received disconnect"), "{}", server.log());
}

/// Stands between us and the server, and spoils one byte of what the server sends after so many.
async fn spoiling_relay(to: u16, after: usize) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (mut ours, _) = listener.accept().await.expect("accepts");
        let mut theirs = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.expect("connects");
        let (mut from_us, mut to_us) = ours.split();
        let (mut from_server, mut to_server) = theirs.split();
        let spoil = async {
            let mut count = 0;
            let mut buffer = [0; 4096];
            loop {
                let length = from_server.read(&mut buffer).await.expect("reads");
                if length == 0 {
                    // Never closes: only the bad byte says that something is wrong.
                    std::future::pending::<()>().await;
                }
                if count < after && after < count + length {
                    buffer[after - count] ^= 1;
                }
                count += length;
                to_us.write_all(&buffer[..length]).await.expect("writes");
            }
        };
        let _ = tokio::join!(tokio::io::copy(&mut from_us, &mut to_server), spoil);
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn spoiled_bytes_end_the_connection() {
    let Some(server) = server() else { return };
    let port = spoiling_relay(server.port, 1_000_000).await;
    std::fs::write(server.path("known_hosts"), known_line(port, &server.path("host_ed25519"))).expect("writes");
    let target = Target { port: Some(port), ..server.target() };
    let host = Connection::open(&target, SECONDS(10)).await.expect("opens");
    let started = Instant::now();
    let result = host.exec("head -c 3000000 /dev/zero", Stdin::Empty, SECONDS(20)).await;
    let error = result.expect_err("what came is not what was sent");
    assert!(matches!(error, SshError::Closed { .. }), "{error}");
    assert!(started.elapsed() < SECONDS(5), "{:?}", started.elapsed());
}
