//! Tunnels, held processes and streams.

use std::time::Duration;

use quorate::live::ssh::{HoldError, SshError, Stdin};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::server::{SECONDS, free_port, server};

const TUNNEL_BYTES: usize = 50 << 20;

/// Echoes every connection, in both directions at once.
async fn echo_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = socket.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_carries_50_mb_both_ways() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let port = echo_server().await;
    let stream = host.tunnel("127.0.0.1", port, SECONDS(10)).await.expect("opens");
    let (mut from, mut to) = stream.into_split();
    let sent: Vec<u8> = (0..TUNNEL_BYTES).map(|index| (index % 251) as u8).collect();
    let expected = sent.clone();
    let started = std::time::Instant::now();
    let writer = tokio::spawn(async move {
        to.write_all(&sent).await.expect("writes");
        to.shutdown().await.expect("shuts down");
    });
    let mut received = Vec::new();
    from.read_to_end(&mut received).await.expect("reads");
    writer.await.expect("writer ends");
    eprintln!("50 MB echoed in {:?}", started.elapsed());
    assert!(received == expected, "what came back is not what went in ({} bytes)", received.len());
    // The connection is still good.
    host.exec("true", Stdin::Empty, SECONDS(10)).await.expect("runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_to_a_closed_port_is_refused() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let error = host.tunnel("127.0.0.1", free_port(), SECONDS(10)).await.expect_err("nobody listens");
    assert!(matches!(error, SshError::TunnelRefused { .. }), "{error}");
    host.exec("true", Stdin::Empty, SECONDS(10)).await.expect("runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_process_ends_when_it_is_let_go() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let marker = server.path("held");
    let command = format!("touch {0}; echo starting; echo locked by me; cat; rm {0}", marker.display());
    let held = host.hold(&command, "locked", SECONDS(10)).await.expect("becomes ready");
    assert_eq!(held.first_line, "locked by me");
    assert!(held.is_alive() && marker.exists());
    drop(held);
    let mut waited = 0;
    while marker.exists() {
        waited += 1;
        assert!(waited < 500, "the process does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_process_that_ends_is_noticed() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let held = host.hold("echo ready; sleep 0.2; exit 3", "ready", SECONDS(10)).await.expect("becomes ready");
    let output = held.closed().await.expect("it ended by itself");
    assert_eq!(output.status.to_string(), "exit status 3");
    assert!(!held.is_alive());

    let error = host.hold("echo no; echo why >&2; exit 4", "ready", SECONDS(10)).await.err().expect("never ready");
    match &error {
        HoldError::Exited(output) => assert_eq!(output.stderr, b"why\n"),
        other => panic!("{other}"),
    }
    assert_eq!(error.to_string(), "it ended with exit status 4 before it was ready: why");
}
