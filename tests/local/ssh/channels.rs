//! Tunnels, held processes and streams.

use std::time::Duration;

use quorate::shell::live::ssh::{SshError, Stdin};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::server::{SECONDS, free_port, server};

const TUNNEL_BYTES: usize = 50 << 20;

/// Echoes every connection, in both directions at once.
pub async fn echo_server() -> u16 {
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
    let held = host.hold(&command, Stdin::Empty, "locked", SECONDS(2)).await.expect("becomes ready");
    assert_eq!(held.first_line, "locked by me");
    // The deadline was for becoming ready.
    tokio::time::sleep(Duration::from_millis(2300)).await;
    assert!(held.is_alive() && marker.exists(), "it must not read the end of its input yet");
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
    let held =
        host.hold("echo ready; sleep 0.2; exit 3", Stdin::Empty, "ready", SECONDS(10)).await.expect("becomes ready");
    let output = held.closed().await.expect("it ended by itself");
    assert_eq!(output.status.to_string(), "exit status 3");
    assert!(!held.is_alive());

    let error = host
        .hold("echo no; echo why >&2; exit 4", Stdin::Empty, "ready", SECONDS(10))
        .await
        .err()
        .expect("never ready");
    match &error {
        SshError::NotReady(output) => assert_eq!(output.stderr, b"why\n"),
        other => panic!("{other}"),
    }
    assert_eq!(error.to_string(), "it exited with exit status 4 before it was ready: why");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_to_nowhere_holds_up_others_for_a_second_at_most() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    // A full queue of connections nobody accepts: the next one gets no answer at all.
    let full = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    rustix::net::listen(&full, 0).expect("listens");
    let address = full.local_addr().expect("bound");
    let fill = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200));
    let _filled: Vec<_> = std::iter::from_fn(|| fill().ok()).take(50).collect();

    let started = std::time::Instant::now();
    let error = host.tunnel("127.0.0.1", address.port(), Duration::from_millis(500)).await.expect_err("nowhere");
    assert_eq!(
        error.to_string(),
        format!("lab: opening a tunnel to 127.0.0.1:{} took longer than 0.5 s", address.port())
    );
    host.exec("true", Stdin::Empty, SECONDS(5)).await.expect("runs");
    assert!(started.elapsed() < SECONDS(4), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tunnels_and_commands_share_a_connection() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let port = echo_server().await;
    let mut tasks = Vec::new();
    for index in 0..20_u8 {
        let host = host.clone();
        tasks.push(tokio::spawn(async move {
            let mut stream = host.tunnel("127.0.0.1", port, SECONDS(20)).await.expect("opens");
            for round in 0..50_usize {
                let sent = vec![index; 1 + round * 97];
                stream.write_all(&sent).await.expect("writes");
                let mut received = vec![0; sent.len()];
                stream.read_exact(&mut received).await.expect("reads");
                assert!(received == sent);
            }
        }));
    }
    for index in 0..20 {
        let host = host.clone();
        tasks.push(tokio::spawn(async move {
            let command = format!("head -c {} /dev/zero", index * 100_000);
            let output = host.exec(&command, Stdin::Empty, SECONDS(30)).await.expect("runs");
            assert_eq!(output.stdout.len(), index * 100_000);
        }));
    }
    for task in tasks {
        task.await.expect("unharmed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_of_a_tunnel_notices_the_other() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("bound").port();

    // Ours is dropped while much of what it wrote is still on the way: the far one reads all of it, and the end.
    let stream = host.tunnel("127.0.0.1", port, SECONDS(5)).await.expect("opens");
    let (mut far, _) = listener.accept().await.expect("accepts");
    let mut written = 0;
    while tokio::time::timeout(Duration::from_millis(200), stream.writable()).await.is_ok() {
        written += stream.try_write(&[7; 65536]).unwrap_or(0);
    }
    drop(stream);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut received = Vec::new();
    far.read_to_end(&mut received).await.expect("reads");
    assert_eq!(received.len(), written);

    // The far one says something and closes: ours reads it, and then the end.
    let mut stream = host.tunnel("127.0.0.1", port, SECONDS(5)).await.expect("opens");
    let (mut far, _) = listener.accept().await.expect("accepts");
    far.write_all(b"bye").await.expect("writes");
    drop(far);
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("reads");
    assert_eq!(text, "bye");

    // Half closed: the other half still works.
    let mut stream = host.tunnel("127.0.0.1", port, SECONDS(5)).await.expect("opens");
    let (mut far, _) = listener.accept().await.expect("accepts");
    stream.shutdown().await.expect("shuts down");
    assert_eq!(far.read(&mut [0; 8]).await.expect("reads"), 0);
    far.write_all(b"late").await.expect("writes");
    drop(far);
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("reads");
    assert_eq!(text, "late");

    // The connection goes: so do its tunnels.
    let mut stream = host.tunnel("127.0.0.1", port, SECONDS(5)).await.expect("opens");
    let (_far, _) = listener.accept().await.expect("accepts");
    drop(host);
    assert_eq!(stream.read(&mut [0; 8]).await.expect("reads"), 0);
}

/// As a TLS connection is dropped whose server has sent session tickets: a kernel tells the end of such a one as an error.
#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_is_dropped_with_something_unread_in_it_ends() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    for bytes in [1000, 10 << 20] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("bound").port();
        // More than a connection may have at once.
        for round in 0..70 {
            let tunnel = host.tunnel("127.0.0.1", port, SECONDS(5)).await;
            let tunnel = tunnel.unwrap_or_else(|error| panic!("{bytes} bytes, tunnel {round}: {error}"));
            let (mut far, _) = listener.accept().await.expect("somebody comes");
            let (mut from, mut to) = far.split();
            let talk = async {
                // It fails when nobody is there to read it, and that is an end, too.
                let _ = to.write_all(&vec![1; bytes]).await;
                from.read(&mut [0]).await
            };
            let leave = async {
                tunnel.readable().await.expect("something comes");
                drop(tunnel);
            };
            let ended = tokio::time::timeout(SECONDS(5), async { tokio::join!(talk, leave) }).await;
            assert!(ended.is_ok(), "{bytes} bytes, tunnel {round}: the far end was not told");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stalls_does_not_stall_the_others() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let port = echo_server().await;
    let marker = server.path("all_sent");
    let command = format!("head -c 30000000 /dev/zero; touch {}", marker.display());
    let stalled = host.stream(&command, "", SECONDS(30)).expect("starts");
    let mut tunnel = host.tunnel("127.0.0.1", port, SECONDS(5)).await.expect("opens");
    for _ in 0..20 {
        tunnel.write_all(b"ping").await.expect("writes");
        tunnel.read_exact(&mut [0; 4]).await.expect("reads");
        host.exec("true", Stdin::Empty, SECONDS(5)).await.expect("runs");
    }
    // The SSH window is 2 MB: the far end waits, and nothing piles up here.
    assert!(!marker.exists(), "30 MB were taken from a process whose output nobody reads");
    drop(stalled);
}

/// Processor time of the thread of the host `name`, in ticks of 10 ms.
fn ticks_of_thread(name: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("proc");
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let of_host = stats.filter(|stat| stat.contains(&format!("(ssh {name})")));
    let ticks = of_host.map(|stat| {
        let (_, fields) = stat.rsplit_once(')').expect("stat");
        let times = fields.split_whitespace().skip(11).take(2);
        times.map(|ticks| ticks.parse::<u64>().expect("a number")).sum::<u64>()
    });
    ticks.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_costs_nothing() {
    let Some(server) = server() else { return };
    let config = std::fs::read_to_string(server.path("ssh_config")).expect("reads");
    std::fs::write(server.path("ssh_config"), config.replace("Host lab", "Host lab quiet")).expect("writes");
    let target = quorate::shell::live::ssh::Target { alias: "quiet".into(), ..server.target() };
    let host = quorate::shell::live::ssh::Connection::open(&target, SECONDS(20)).await.expect("opens");
    let measure = async |what: &str| {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = ticks_of_thread("quiet");
        tokio::time::sleep(SECONDS(1)).await;
        let used = ticks_of_thread("quiet") - before;
        assert!(used < 10, "{what}: used {used}0 ms of processor time in a second");
    };
    measure("nothing open").await;
    let held = host.hold("echo ready; cat", Stdin::Empty, "ready", SECONDS(5)).await.expect("becomes ready");
    measure("a lock held").await;
    drop(held);
    let stream = host.stream("yes", "", SECONDS(30)).expect("starts");
    measure("a stream nobody reads").await;
    drop(stream);

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("bound").port();
    let tunnel = host.tunnel("127.0.0.1", port, SECONDS(5)).await.expect("opens");
    let (mut far, _) = listener.accept().await.expect("accepts");
    tokio::spawn(async move { while far.write_all(&[1; 4096]).await.is_ok() {} });
    measure("a tunnel nobody reads").await;
    drop(tunnel);

    let mut tunnel = host.tunnel("127.0.0.1", port, SECONDS(5)).await.expect("opens");
    let (_far, _) = listener.accept().await.expect("accepts");
    let writing = tokio::spawn(async move { tunnel.write_all(&vec![1; 40 << 20]).await });
    measure("a tunnel the far end does not read").await;
    writing.abort();
    measure("and whose writer has gone").await;
    host.exec("sleep 3", Stdin::Empty, Duration::from_millis(100)).await.expect_err("hangs");
    measure("a command given up on").await;
}
