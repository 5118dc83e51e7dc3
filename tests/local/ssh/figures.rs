//! Prints how fast it is beside the ssh program. Not a test of anything: run it by name, optimised, on a quiet machine:
//! `cargo test --release --test ssh figures -- --ignored --nocapture`

use std::io::{Read, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quorate::shell::live::ssh::Stdin;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::server::{SECONDS, Sshd, server};

const BULK_BYTES: u64 = 500 << 20;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn megabytes_per_second(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64()
}

/// Processor time of this process, and of its children that have ended.
fn cpu() -> (Duration, Duration) {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("proc");
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .expect("stat")
        .1
        .split_whitespace()
        .skip(11)
        .take(4)
        .map(|n| n.parse().unwrap())
        .collect();
    let ticks = |count| Duration::from_millis(count * 10);
    (ticks(fields[0] + fields[1]), ticks(fields[2] + fields[3]))
}

fn ssh(server: &Sshd, command: &str) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(server.path("ssh_config")).args(["lab", command]).stdout(Stdio::null());
    ssh
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures"]
async fn figures() {
    let Some(server) = server() else { return };

    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..9 {
        let started = Instant::now();
        server.connect().await.exec("true", Stdin::Empty, SECONDS(5)).await.expect("runs");
        ours.push(started.elapsed());
        let started = Instant::now();
        assert!(ssh(&server, "true").status().expect("ssh runs").success());
        theirs.push(started.elapsed());
    }
    println!("connect and first command: {:?}; ssh: {:?}", median(ours), median(theirs));

    let host = server.connect().await;
    let mut times = Vec::new();
    for _ in 0..101 {
        let started = Instant::now();
        host.exec("true", Stdin::Empty, SECONDS(5)).await.expect("runs");
        times.push(started.elapsed());
    }
    println!("next command: {:?}", median(times));

    let before = cpu();
    let started = Instant::now();
    let reader = Box::new(std::io::repeat(7).take(BULK_BYTES));
    host.exec("cat > /dev/null", Stdin::Reader { reader, progress: None }, SECONDS(60)).await.expect("runs");
    let ours = started.elapsed();
    let started = Instant::now();
    let mut child = ssh(&server, "cat > /dev/null").stdin(Stdio::piped()).spawn().expect("ssh runs");
    let mut stdin = child.stdin.take().expect("piped");
    let piece = vec![7; 1 << 18];
    (0..BULK_BYTES >> 18).for_each(|_| stdin.write_all(&piece).expect("writes"));
    drop(stdin);
    assert!(child.wait().expect("ends").success());
    let theirs = started.elapsed();
    let speed = |time| megabytes_per_second(BULK_BYTES, time);
    let after = cpu();
    println!("upload cpu: {:?} ssh {:?}", after.0 - before.0, after.1 - before.1);
    println!("upload: {:.0} MB/s; ssh: {:.0} MB/s", speed(ours), speed(theirs));

    let command = format!("head -c {BULK_BYTES} /dev/zero");
    let before = cpu();
    let started = Instant::now();
    let mut stream = host.stream(&command, "", SECONDS(10)).expect("starts");
    let mut buffer = vec![0; 1 << 18];
    while stream.stdout.read(&mut buffer).await.expect("reads") > 0 {}
    let ours = started.elapsed();
    let started = Instant::now();
    let mut child = ssh(&server, &command).stdout(Stdio::piped()).spawn().expect("ssh runs");
    let mut stdout = child.stdout.take().expect("piped");
    while stdout.read(&mut buffer).expect("reads") > 0 {}
    assert!(child.wait().expect("ends").success());
    println!("download: {:.0} MB/s; ssh: {:.0} MB/s", speed(ours), speed(started.elapsed()));
    let after = cpu();
    println!("download cpu: {:?} ssh {:?}", after.0 - before.0, after.1 - before.1);

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("accepts");
        socket.set_nodelay(true).expect("sets");
        let mut ping = [0; 4];
        for _ in 0..101 {
            socket.read_exact(&mut ping).await.expect("reads");
            socket.write_all(&ping).await.expect("writes");
        }
        let piece = vec![7; 1 << 16];
        for _ in 0..BULK_BYTES >> 16 {
            socket.write_all(&piece).await.expect("writes");
        }
    });
    let mut tunnel = host.tunnel("127.0.0.1", port, SECONDS(5)).await.expect("opens");
    let mut times = Vec::new();
    for _ in 0..101 {
        let started = Instant::now();
        tunnel.write_all(b"ping").await.expect("writes");
        tunnel.read_exact(&mut [0; 4]).await.expect("reads");
        times.push(started.elapsed());
    }
    let started = Instant::now();
    while tunnel.read(&mut buffer).await.expect("reads") > 0 {}
    println!("tunnel: round trip {:?}, {:.0} MB/s down", median(times), speed(started.elapsed()));
}
