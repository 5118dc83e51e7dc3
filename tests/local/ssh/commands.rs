//! Running commands: status, output, input, many at once, deadlines.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quorate::shell::live::ssh::{Connection, Exit, SshError, Stdin};
use tokio::io::AsyncReadExt as _;

use super::server::{Options, SECONDS, server, server_with};

const MIB: usize = 1 << 20;

async fn run(host: &Connection, command: &str) -> String {
    let output = host.exec(command, Stdin::Empty, SECONDS(20)).await.expect(command);
    assert_eq!(output.status, Exit::Code(0), "{command}");
    String::from_utf8(output.stdout).expect("utf-8").trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_status_signal_and_both_outputs() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let output = host.exec("echo out; echo err >&2; exit 7", Stdin::Empty, SECONDS(10)).await.expect("runs");
    assert_eq!(output.status, Exit::Code(7));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    let output = host.exec("kill -TERM $$", Stdin::Empty, SECONDS(10)).await.expect("runs");
    assert_eq!(output.status, Exit::Signal("TERM".into()));
    let output = host.exec("no-such-program", Stdin::Empty, SECONDS(10)).await.expect("runs");
    assert_eq!(output.status, Exit::Code(127));
    let output = host.exec("cat", "hello", SECONDS(10)).await.expect("runs");
    assert_eq!(output.stdout, b"hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn much_stderr_does_not_block_stdout() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let command = "echo first; head -c 5242880 /dev/zero >&2; echo last";
    let output = host.exec(command, Stdin::Empty, SECONDS(20)).await.expect("runs");
    assert_eq!(output.stdout, b"first\nlast\n");
    assert_eq!(output.stderr.len(), 5 * MIB);
}

/// Numbers that do not repeat soon, so that a lost or doubled piece changes the sum.
struct Pattern {
    next: u64,
    left: usize,
}

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(self.left) / 8 * 8;
        for word in buffer[..count].chunks_exact_mut(8) {
            self.next = self.next.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            word.copy_from_slice(&self.next.to_le_bytes());
        }
        self.left -= count;
        Ok(count)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_200_mb_unharmed() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let size = 200 * MIB;
    let mut expected = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut bytes = Vec::new();
    Pattern { next: 1, left: size }.read_to_end(&mut bytes).expect("reads");
    expected.update(&bytes);
    let expected: String = expected.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();

    let seen = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&seen);
    let progress = Box::new(move |sent| counter.store(sent, Ordering::Relaxed));
    let reader = Box::new(Pattern { next: 1, left: size });
    let stdin = Stdin::Reader { reader, progress: Some(progress) };
    let output = host.exec("sha256sum", stdin, SECONDS(60)).await.expect("runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{expected}  -\n"));
    assert_eq!(seen.load(Ordering::Relaxed), size as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn output_follows_input_while_both_are_large() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let mut bytes = Vec::new();
    Pattern { next: 7, left: 30 * MIB }.read_to_end(&mut bytes).expect("reads");
    let output = host.exec("tee /dev/stderr", bytes.clone(), SECONDS(60)).await.expect("runs");
    assert!(output.stdout == bytes && output.stderr == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_does_not_read_its_input_is_no_error() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let output = host.exec("exit 5", vec![0; 20 * MIB], SECONDS(20)).await.expect("runs");
    assert_eq!(output.status, Exit::Code(5));
    assert_eq!(run(&host, "echo still here").await, "still here");
}

/// Runs so many at once, each with output on both sides, and returns how many ran at the same time.
async fn crowd(host: &Connection, count: usize) -> usize {
    let started = Instant::now();
    let tasks: Vec<_> = (0..count)
        .map(|index| {
            let host = host.clone();
            let command =
                format!("date +%s%N; head -c 1000000 /dev/zero >&2; sleep 0.3; date +%s%N; echo {index}; exit {index}");
            tokio::spawn(async move { host.exec(&command, Stdin::Empty, SECONDS(30)).await })
        })
        .collect();
    let mut spans = Vec::new();
    for (index, task) in tasks.into_iter().enumerate() {
        let output = task.await.expect("does not panic").expect("runs");
        assert_eq!(output.status, Exit::Code(index as i32));
        assert_eq!(output.stderr.len(), 1_000_000);
        let text = String::from_utf8(output.stdout).expect("utf-8");
        let mut lines = text.lines().map(|line| line.parse::<u128>().expect("a number"));
        spans.push((lines.next().expect("start"), lines.next().expect("end")));
        assert_eq!(lines.next(), Some(index as u128));
    }
    let at_once = spans.iter().map(|(start, _)| spans.iter().filter(|(s, e)| s <= start && start < e).count());
    let at_once = at_once.max().expect("some");
    eprintln!("{count} commands of 0.3s in {:?}, {at_once} at once", started.elapsed());
    at_once
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_at_once_wait_for_their_turn() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let at_once = crowd(&host, 22).await;
    assert!((2..=8).contains(&at_once), "{at_once} at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_allows_fewer_sessions_is_obeyed() {
    let Some(server) = server_with(&Options { sshd: "MaxSessions 3", ..Options::default() }) else {
        return;
    };
    let host = server.connect().await;
    let at_once = crowd(&host, 9).await;
    assert!((2..=3).contains(&at_once), "{at_once} at once");
    let refusals = server.log().matches("no more sessions").count();
    assert!((1..=9).contains(&refusals), "asked {refusals} times too often");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_at_a_time_is_enough() {
    let Some(server) = server_with(&Options { sshd: "MaxSessions 1", ..Options::default() }) else { return };
    let host = server.connect().await;
    for _ in 0..20 {
        run(&host, "true").await;
    }
    assert_eq!(crowd(&host, 4).await, 1);
    // What is held is never over, so waiting for it would be for ever.
    let _held = host.hold("echo ready; cat", Stdin::Empty, "ready", SECONDS(5)).await.expect("becomes ready");
    let error = host.exec("true", Stdin::Empty, SECONDS(5)).await.expect_err("there is no second session");
    assert!(error.to_string().starts_with("lab: the server refused another session"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_command_times_out_and_harms_nothing() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let started = Instant::now();
    let error = host.exec("sleep 6", Stdin::Empty, Duration::from_millis(700)).await.expect_err("hangs");
    assert_eq!(error.to_string(), "lab: running `sleep 6` took longer than 0.7 s");
    assert!(matches!(error, SshError::Timeout { .. }) && !error.is_connection_lost());
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    assert_eq!(run(&host, "echo still here").await, "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_upload_times_out_and_harms_nothing() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let error = host.exec("sleep 6", vec![0; 20 * MIB], Duration::from_millis(700)).await.expect_err("hangs");
    assert!(matches!(error, SshError::Timeout { .. }), "{error}");
    assert_eq!(run(&host, "echo still here").await, "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_futures_end_their_commands() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let marker = server.path("marker");
    // `cat` ends at the end of its input, which comes when the channel closes; `rm` proves it.
    let command = format!("touch {0}; sleep 0.1; cat; rm {0}", marker.display());
    for _ in 0..20 {
        let reader = Box::new(Endless);
        let stdin = Stdin::Reader { reader, progress: None };
        tokio::select! {
            result = host.exec(&command, stdin, SECONDS(10)) => panic!("must not end: {result:?}"),
            () = tokio::time::sleep(Duration::from_millis(30)) => {}
        }
    }
    let started = Instant::now();
    assert_eq!(run(&host, "echo still here").await, "still here");
    assert!(started.elapsed() < SECONDS(4), "it waited for what nobody wanted any more: {:?}", started.elapsed());
    let give_up = Instant::now() + SECONDS(10);
    while marker.exists() {
        assert!(Instant::now() < give_up, "the command still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct Endless;

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.fill(b'x');
        Ok(buffer.len())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_300_mb_to_a_slow_reader() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let mut stream =
        host.stream("head -c 314572800 /dev/zero; echo done >&2; exit 9", "", SECONDS(10)).expect("starts");
    let mut buffer = vec![0; 1 << 16];
    let mut count = 0;
    tokio::time::sleep(Duration::from_millis(300)).await;
    loop {
        match stream.stdout.read(&mut buffer).await.expect("reads") {
            0 => break,
            more => count += more,
        }
    }
    assert_eq!(count, 300 * MIB);
    let output = stream.exit.wait().await.expect("ends");
    assert_eq!((output.status, output.stderr.as_slice()), (Exit::Code(9), &b"done\n"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_stops_moving_times_out_and_a_dropped_one_ends() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let mut stream = host.stream("echo one; sleep 5", "", Duration::from_millis(500)).expect("starts");
    let mut text = String::new();
    stream.stdout.read_to_string(&mut text).await.expect("reads");
    assert_eq!(text, "one\n");
    let error = stream.exit.wait().await.expect_err("it hangs");
    assert!(error.to_string().contains("(without moving a byte) took longer than 0.5 s"), "{error}");

    // Nothing is written, so nothing but the closed socket says that the reader has gone.
    let stream = host.stream("sleep 6", "", SECONDS(6)).expect("starts");
    drop(stream.stdout);
    let started = Instant::now();
    let error = stream.exit.wait().await.expect_err("the reader has gone");
    assert_eq!(error.to_string(), "lab: nothing reads its output any more");
    assert!(started.elapsed() < SECONDS(3), "{:?}", started.elapsed());

    let marker = server.path("marker");
    let command = format!("touch {0}; yes; rm {0}", marker.display());
    let mut stream = host.stream(&command, "", SECONDS(5)).expect("starts");
    stream.stdout.read_exact(&mut [0; 100_000]).await.expect("reads");
    drop(stream);
    let give_up = Instant::now() + SECONDS(10);
    while marker.exists() {
        assert!(Instant::now() < give_up, "the command still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(run(&host, "echo still here").await, "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_survives_new_keys_on_the_way() {
    // A new key exchange every 4 MB, in the middle of everything.
    let Some(server) = server_with(&Options { sshd: "RekeyLimit 4M", ..Options::default() }) else { return };
    let host = server.connect().await;
    let mut bytes = Vec::new();
    Pattern { next: 3, left: 40 * MIB }.read_to_end(&mut bytes).expect("reads");
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (host, bytes) = (host.clone(), bytes.clone());
            tokio::spawn(async move {
                let output = host.exec("cat", bytes.clone(), SECONDS(60)).await.expect("runs");
                assert!(output.stdout == bytes, "{} of {} bytes", output.stdout.len(), bytes.len());
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("unharmed");
    }
}

/// While new keys are exchanged nothing else can be sent, the end of stdin neither.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_stdin_waits_for_new_keys() {
    let Some(server) = server_with(&Options { sshd: "RekeyLimit 32K", ..Options::default() }) else { return };
    let host = server.connect().await;
    // Output without end has the server ask for new keys all the time.
    let mut stream = host.stream("cat /dev/zero", Stdin::Empty, SECONDS(60)).expect("is asked for");
    let reader = tokio::spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        while stream.stdout.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    });
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let host = host.clone();
            tokio::spawn(async move {
                for number in 0..25 {
                    let said = format!("said {number}");
                    let stdin = if number % 2 == 0 { Stdin::Empty } else { said.as_str().into() };
                    let output = host.exec("cat; echo .", stdin, SECONDS(30)).await.expect("runs");
                    let expected = if number % 2 == 0 { ".\n".to_owned() } else { format!("{said}.\n") };
                    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("unharmed");
    }
    reader.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_cannot_be_sent_are_refused() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    let long = format!("true {}", "x".repeat(40_000));
    let error = host.exec(&long, Stdin::Empty, SECONDS(5)).await.expect_err("too long");
    assert_eq!(error.to_string(), "lab: the command is longer than 32 KB; send it on stdin to sh");
    assert!(host.exec("true \0", Stdin::Empty, SECONDS(5)).await.is_err());
    let longest = format!("printf %s {}", "x".repeat(32_000));
    assert_eq!(run(&host, &longest).await.len(), 32_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_given_up_that_still_run_are_blamed() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    for _ in 0..10 {
        host.exec("sleep 8", Stdin::Empty, Duration::from_millis(150)).await.expect_err("hangs");
    }
    let error = host.exec("echo here", Stdin::Empty, SECONDS(6)).await.expect_err("the server allows ten");
    let expected = "lab: the server refused another session: Channel open failure (connect failed); 10 abandoned \
                    commands may still be running there";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_costs_only_the_deadline() {
    let Some(server) = server() else { return };
    let host = server.connect().await;
    run(&host, "true").await;
    server.signal_sessions("STOP");
    for _ in 0..2 {
        let started = Instant::now();
        let error = host.exec("echo here", Stdin::Empty, Duration::from_millis(400)).await.expect_err("it is frozen");
        assert!(matches!(error, SshError::Timeout { .. }), "{error}");
        assert!(started.elapsed() < SECONDS(1), "{:?}", started.elapsed());
    }
    // What was given up on in between harms nothing once the server goes on.
    server.signal_sessions("CONT");
    assert_eq!(run(&host, "echo still here").await, "still here");
    assert!(!host.is_closed());
}
