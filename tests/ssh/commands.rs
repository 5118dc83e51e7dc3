//! Running commands: status, output, input, many at once, deadlines.

use std::time::Instant;

use quorate::live::ssh::{Exit, SshError, Stdin};
use tokio::io::AsyncReadExt as _;

use crate::server::{SECONDS, server};

#[tokio::test(flavor = "multi_thread")]
async fn reports_status_and_both_outputs() {
    let Some(server) = server() else { return };
    let started = Instant::now();
    let host = server.connect().await;
    eprintln!("connected in {:?}", started.elapsed());
    let output = host.exec("echo out; echo err >&2; exit 7", Stdin::Empty, SECONDS(10)).await.expect("runs");
    eprintln!("first exec after {:?}", started.elapsed());
    assert_eq!(output.status, Exit::Code(7));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));

    let started = Instant::now();
    for _ in 0..20 {
        host.exec("true", Stdin::Empty, SECONDS(10)).await.expect("runs");
    }
    eprintln!("exec round trip {:?}", started.elapsed() / 20);
    let output = host.exec("kill -TERM $$", Stdin::Empty, SECONDS(10)).await.expect("runs");
    assert_eq!(output.status, Exit::Signal("TERM".into()));
    let output = host.exec("cat", "hello", SECONDS(10)).await.expect("runs");
    assert_eq!(output.stdout, b"hello");
}
