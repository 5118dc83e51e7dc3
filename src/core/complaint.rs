//! What a program failed of, from its own words: the line with the error, not the last one.
//!
//! ```text
//! {"level":"panic","msg":"tocommit(7) is out of range"}  ◄ this one
//! panic: tocommit(7) is out of range
//! goroutine 1 [running]:
//! go.etcd.io/etcd/raft/v3.(*raftLog).commitTo(…)
//!     go.etcd.io/etcd/raft/v3@v3.5.16/log.go:237 +0x1ca   ◄ not this one
//! ```
//!
//! etcd logs one JSON object a line (3.4 lines of its own, unless told otherwise), Go ends with a panic and a trace, and
//! etcdctl warns before it says `Error:`.

/// A line is cut to this many letters.
const LETTERS_MAX: usize = 500;

/// How much a line says of why a program ended; the more the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// A frame of a stack trace, or what surrounds one.
    Frame,
    /// A line of a log that says itself that nothing is wrong.
    Calm,
    Plain,
    /// A warning, or a word of trouble in plain text.
    Trouble,
    Error,
    /// It ended with this.
    Fatal,
}

/// One line, as it is to be told.
struct Line {
    weight: Weight,
    words: String,
}

/// The line that says why a program ended, or its last one; `None` where it said nothing, or nothing of any trouble: one that
/// is killed has been serving.
pub fn of(said: &str) -> Option<String> {
    let lines = lines(said);
    let weightiest = lines.iter().map(|line| line.weight).max()?;
    if weightiest == Weight::Calm { None } else { told(&lines, weightiest) }
}

/// As [`of`], for programs that say what they have to say in few lines: where none is an error, the last ones.
pub fn of_tool(said: &str) -> String {
    const LINES_MAX: usize = 5;
    let lines = lines(said);
    let weightiest = lines.iter().map(|line| line.weight).max().unwrap_or(Weight::Frame);
    if weightiest >= Weight::Error {
        let context = context(said).map_or_else(String::new, |context| format!("{context}: "));
        return told(&lines, weightiest).map_or_else(String::new, |words| format!("{context}{words}"));
    }
    let telling: Vec<_> = lines.iter().filter(|line| line.weight > Weight::Frame).collect();
    let telling = if telling.is_empty() { lines.iter().collect() } else { telling };
    let last = telling[telling.len().saturating_sub(LINES_MAX)..].iter();
    last.map(|line| line.words.as_str()).collect::<Vec<_>>().join("; ")
}

/// What a member says in its log of a connection that was refused, the last time, and when: of the peer at `address` where
/// it says of any. Lines as `journalctl --output short-iso` prints them.
pub fn overheard(log: &str, address: &str) -> Option<(String, String)> {
    const REFUSED: [&str; 5] = ["rejected connection", "ID mismatch", "bad certificate", "x509: ", "tls: "];
    let said = |line: &str| {
        // 2026-11-20T10:00:00+0000 etcd-1 etcd[412]: {"level":"warn",…
        let (head, words) = line.split_once("]: ")?;
        let at = head.split(' ').next()?.replace("+0000", "Z").replace("+00:00", "Z");
        let words = refusal(words)?;
        REFUSED.iter().any(|refused| words.contains(refused)).then_some((at, words))
    };
    let all: Vec<_> = log.lines().filter_map(said).collect();
    let is_it = |(_, words): &&(String, String)| !address.is_empty() && words.contains(address);
    all.iter().rfind(is_it).or_else(|| all.last()).cloned()
}

/// `rejected connection on peer endpoint (10.0.0.13:41234): tls: "10.0.0.13" does not match any of DNSNames […]`
fn refusal(line: &str) -> Option<String> {
    let Ok(object) = serde_json::from_str::<serde_json::Value>(line) else { return Some(cut(line)) };
    let text = |key: &str| object.get(key).and_then(serde_json::Value::as_str);
    let whom = ["remote-addr", "remote-peer-id", "remote-peer-server-from", "address"].iter().find_map(|key| text(key));
    let whom = whom.map_or_else(String::new, |whom| format!(" ({whom})"));
    let mut words = format!("{}{whom}", text("msg")?);
    if let Some(error) = text("error").filter(|error| !error.is_empty()) {
        words = format!("{words}: {error}");
    }
    if let (Some(own), Some(theirs)) = (text("local-member-cluster-id"), text("remote-peer-cluster-id")) {
        words = format!("{words}: ours is {own}, and theirs {theirs}");
    }
    Some(cut(&words))
}

/// Whether it is of a disk that is full, or of an account that may use no more of it.
pub fn is_of_full_disk(words: &str) -> bool {
    const FULL: [&str; 4] = ["no space left on device", "disk quota exceeded", "enospc", "edquot"];
    let words = words.to_lowercase();
    FULL.iter().any(|full| words.contains(full))
}

/// Whether it is of a log or a database that is damaged, or lacks what it had: etcd does not start with it, however often it
/// is started. As etcd 3.4 to 3.7, its raft and bbolt say it; a database that ends too early is a fault of memory to Go.
pub fn is_of_damaged_data(words: &str) -> bool {
    const DAMAGED: [&str; 13] = [
        "file size too small",
        "crc mismatch",
        "proto: record: ",
        "max entry size limit exceeded",
        "cannot be repaired",
        "failed to find database snapshot file",
        "failed to recover v3 backend from snapshot",
        "tocommit(",
        "fatal error: fault",
        "invalid database",
        "checksum error",
        "file corrupt",
        "page already freed",
    ];
    let words = words.to_lowercase();
    !is_of_full_disk(&words) && DAMAGED.iter().any(|damaged| words.contains(damaged))
}

/// The last of those lines; and where that one only says that time was up, what was told of it before. Go repeats what etcd
/// panicked of without the error that etcd has logged with it.
fn told(lines: &[Line], weight: Weight) -> Option<String> {
    let of_weight = || lines.iter().filter(|line| line.weight == weight).map(|line| &line.words);
    let last = of_weight().next_back()?;
    let beginning = format!("{}: ", last.strip_prefix("panic: ").unwrap_or(last));
    let words = of_weight().rfind(|words| words.starts_with(&beginning)).unwrap_or(last);
    let is_vague = ["context deadline exceeded", "context canceled"].iter().any(|vague| words.ends_with(vague));
    let before = || lines.iter().rfind(|line| line.weight == Weight::Trouble && !words.contains(&line.words));
    let cause = is_vague.then(before).flatten().and_then(|line| innermost(&line.words));
    Some(match cause {
        Some(cause) => cut(&format!("{words}: {cause}")),
        None => words.clone(),
    })
}

/// Of `rpc error: code = Unavailable desc = connection error: desc = "transport: …"` the transport's own words.
fn innermost(words: &str) -> Option<&str> {
    let (_, cause) = words.rsplit_once("desc = ")?;
    let cause = cause.trim_matches(|letter| matches!(letter, '"' | '\\' | ' '));
    (!cause.is_empty() && !cause.ends_with("context deadline exceeded")).then_some(cause)
}

/// What a script of ours says before it quotes a program: `etcdctl snapshot save: {"level":"info",…`.
fn context(said: &str) -> Option<&str> {
    let first = said.trim_start().lines().next()?;
    let at = first.find(": {\"level\":").or_else(|| first.find(": Error:"))?;
    let context = &first[..at];
    (!context.starts_with('{')).then_some(context)
}

fn lines(said: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut in_trace = false;
    for line in said.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()) {
        let mut line = weighed(line);
        in_trace = match line.weight {
            Weight::Error | Weight::Fatal => false,
            _ => in_trace || line.words.starts_with("goroutine "),
        };
        if in_trace {
            line.weight = Weight::Frame;
        }
        lines.push(line);
    }
    lines
}

fn weighed(line: &str) -> Line {
    let json = line.find("{\"level\":").map_or(line, |at| &line[at..]);
    let (weight, words) = of_json(json).or_else(|| of_old_log(line)).unwrap_or_else(|| of_text(line.trim()));
    Line { weight, words: cut(&words) }
}

/// `{"level":"fatal","msg":"discovery failed","error":"…"}` → `discovery failed: …`
fn of_json(line: &str) -> Option<(Weight, String)> {
    let object: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| object.get(key).and_then(serde_json::Value::as_str);
    let (message, error) = (text("msg").unwrap_or("an error without a message"), text("error"));
    let weight = match text("level")? {
        "fatal" if error == Some("server is stopping") => Weight::Trouble,
        "fatal" | "panic" | "dpanic" => Weight::Fatal,
        "error" => Weight::Error,
        // With this a member ends that the others have removed; the listeners say afterwards that they were closed.
        "warn" if message == "server error" => Weight::Fatal,
        "warn" if error.is_some() => Weight::Trouble,
        "info" | "debug" => Weight::Calm,
        _ => Weight::Plain,
    };
    Some((weight, error.map_or_else(|| message.to_owned(), |error| format!("{message}: {error}"))))
}

/// etcd 3.4: `2026-11-20 23:17:03.123456 C | etcdmain: cannot access data directory`
fn of_old_log(line: &str) -> Option<(Weight, String)> {
    let (head, words) = line.split_once(" | ")?;
    let (instant, level) = head.rsplit_once(' ')?;
    if !instant.starts_with(|letter: char| letter.is_ascii_digit()) {
        return None;
    }
    let weight = match level {
        "C" => Weight::Fatal,
        "E" => Weight::Error,
        "W" => Weight::Trouble,
        "N" | "I" | "D" => Weight::Calm,
        _ => return None,
    };
    Some((weight, words.to_owned()))
}

fn of_text(line: &str) -> (Weight, String) {
    const TROUBLE: [&str; 15] = [
        "error",
        "fail",
        "cannot",
        "can't",
        "could not",
        "denied",
        "refused",
        "not found",
        "no such",
        "invalid",
        "unable",
        "no space",
        "exceeded",
        "expired",
        "signal ",
    ];
    if is_frame(line) {
        return (Weight::Frame, line.to_owned());
    }
    // Go says what it panicked of once more where a deferred function took part: `panic: … [recovered]`.
    for ended in ["panic: ", "fatal error: ", "fatal: "] {
        if line.starts_with(ended) {
            return (Weight::Fatal, line.trim_end_matches(" [recovered]").to_owned());
        }
    }
    // A script of ours may have put its own words before it.
    if let Some(at) = line.find("Error: ").filter(|at| *at == 0 || line[..*at].ends_with(": ")) {
        return (Weight::Error, line[at..].to_owned());
    }
    let lower = line.to_lowercase();
    let weight = if TROUBLE.iter().any(|word| lower.contains(word)) { Weight::Trouble } else { Weight::Plain };
    (weight, line.to_owned())
}

/// `main.main()`, `/go/src/…/log.go:237 +0x1ca`, `created by …`, `exit status 2`.
fn is_frame(line: &str) -> bool {
    let begins = |with: &[&str]| with.iter().any(|with| line.starts_with(with));
    let has_place = line.split_whitespace().any(|word| {
        word.rsplit_once(".go:")
            .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    });
    let is_short = line.split_whitespace().count() <= 3;
    let has_offset = line.rsplit_once(" +0x").is_some_and(|(_, hex)| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let is_call =
        begins(&["main.", "runtime.", "go.etcd.io/", "github.com/", "go.uber.org/", "google.golang.org/", "net/"])
            && (line.contains('(') || is_short);
    begins(&[
        "goroutine ",
        "created by ",
        "exit status ",
        "Error: exit status ",
        "runtime stack:",
        "[originating from goroutine",
    ]) || is_call
        || has_offset
        || (has_place && is_short)
}

fn cut(words: &str) -> String {
    words.trim().chars().filter(|letter| !letter.is_control()).take(LETTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As real programs said it, by what is to be told of it.
    const REAL: &[(&str, &str)] = &[
        // etcd 3.5, a member that has lost its log.
        (
            "panic: tocommit(9) is out of range [lastIndex(0)]. Was the raft log corrupted, truncated, or lost?",
            r#"{"level":"info","ts":"2026-11-20T10:00:00.000Z","logger":"raft","msg":"8e9e05c52164694d [term: 1] received a MsgHeartbeat"}
{"level":"panic","ts":"2026-11-20T10:00:00.001Z","logger":"raft","caller":"etcdserver/zap_raft.go:101","msg":"tocommit(9) is out of range [lastIndex(0)]. Was the raft log corrupted, truncated, or lost?","stacktrace":"go.etcd.io/etcd/raft/v3.(*raftLog).commitTo\n\tgo.etcd.io/etcd/raft/v3@v3.5.16/log.go:237"}
panic: tocommit(9) is out of range [lastIndex(0)]. Was the raft log corrupted, truncated, or lost?

goroutine 157 [running]:
go.uber.org/zap/zapcore.CheckWriteAction.OnWrite(0x0, 0xc0?, {0x0?, 0x0?, 0xc000b0?})
	go.uber.org/zap@v1.17.0/zapcore/entry.go:234 +0x4a
go.etcd.io/etcd/raft/v3.(*node).run(0xc00014f440)
	go.etcd.io/etcd/raft/v3@v3.5.16/node.go:357 +0x72
created by go.etcd.io/etcd/raft/v3.StartNode in goroutine 1
	go.etcd.io/etcd/raft/node.go:244 +0x245"#,
        ),
        // Only the end of it has come.
        (
            "panic: assertion failed: Page expected to be: 4, but self identifies as 0",
            "panic: assertion failed: Page expected to be: 4, but self identifies as 0 [recovered]\n\
             \tpanic: assertion failed: Page expected to be: 4, but self identifies as 0\n\ngoroutine 1 [running]:\n\
             main.main()\n\tgo.etcd.io/etcd/etcdctl/main.go:24 +0x20\nruntime.main()\n\t/usr/lib/go/src/runtime/proc.go:250 +0x1d3\nexit status 2",
        ),
        // Go 1.22 has one more line after the trace.
        (
            "fatal error: out of memory",
            "fatal error: out of memory\n\nruntime stack:\nruntime.throw({0x1a2b3c?, 0x0?})\n\truntime/panic.go:1077 +0x5c\n\
             goroutine 1 gp=0xc0000061c0 m=0 mp=0x2d3 [running]:\nruntime.systemstack_switch()\n",
        ),
        // etcd 3.6, a wrong file.
        (
            "discovery failed: --initial-cluster has etcd-3=https://10.0.0.13:2380 but missing from --initial-advertise-peer-urls",
            r#"{"level":"error","ts":"2026-11-20T10:00:00Z","msg":"failed to verify flags","error":"old"}
{"level":"fatal","ts":"2026-11-20T10:00:00Z","caller":"etcdmain/etcd.go:184","msg":"discovery failed","error":"--initial-cluster has etcd-3=https://10.0.0.13:2380 but missing from --initial-advertise-peer-urls","stacktrace":"go.etcd.io/etcd/server/v3/etcdmain.startEtcdOrProxyV2\n\tgo.etcd.io/etcd/server/v3/etcdmain/etcd.go:184\nmain.main\nruntime.main"}
{"level":"info","msg":"closing etcd server"}"#,
        ),
        // etcd 3.4.
        (
            "etcdmain: listen tcp 10.0.0.11:2380: bind: address already in use",
            "2026-11-20 23:17:03.123456 W | pkg/fileutil: check file permission: directory \"/var/lib/etcd\" exist, but the permission is \"drwxr-xr-x\"\n\
             2026-11-20 23:17:03.200000 C | etcdmain: listen tcp 10.0.0.11:2380: bind: address already in use\n\
             2026-11-20 23:17:03.200001 I | embed: stopped",
        ),
        // etcdctl 3.5, an expired certificate.
        (
            "Error: context deadline exceeded: transport: authentication handshake failed: tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
            r#"{"level":"warn","ts":"2026-11-20T10:00:00.000Z","logger":"etcd-client","caller":"v3@v3.5.16/retry_interceptor.go:63","msg":"retrying of unary invoker failed","target":"etcd-endpoints://0xc0/10.0.0.11:2379","attempt":0,"error":"rpc error: code = DeadlineExceeded desc = latest balancer error: last connection error: connection error: desc = \"transport: authentication handshake failed: tls: failed to verify certificate: x509: certificate has expired or is not yet valid\""}
Error: context deadline exceeded"#,
        ),
        // etcdctl, NOSPACE.
        (
            "Error: etcdserver: mvcc: database space exceeded",
            "{\"level\":\"warn\",\"ts\":\"2026-11-20T10:00:00.000Z\",\"msg\":\"retrying of unary invoker failed\",\"error\":\"rpc error: code = ResourceExhausted desc = etcdserver: mvcc: database space exceeded\"}\n\
             Error: etcdserver: mvcc: database space exceeded\n",
        ),
        // `etcdctl lock` has run a script that failed.
        (
            "Error: rpc error: code = PermissionDenied desc = etcdserver: permission denied",
            "etcdctl snapshot save: Error: rpc error: code = PermissionDenied desc = etcdserver: permission denied\nError: exit status 1\n",
        ),
        ("sh: 1: exec: /opt/etcd/3.5.16/etcd: not found", "first\nsh: 1: exec: /opt/etcd/3.5.16/etcd: not found\n"),
        // etcd 3.5, a database whose first pages are gone.
        (
            "failed to open database: invalid database",
            r#"{"level":"panic","ts":"2026-11-30T00:10:00.000Z","caller":"backend/backend.go:189","msg":"failed to open database","path":"/var/lib/etcd/member/snap/db","error":"invalid database","stacktrace":"x"}
panic: failed to open database
goroutine 93 [running]:
go.uber.org/zap/zapcore.CheckWriteAction.OnWrite(0x1, 0xc0?, {0x0?, 0x0?, 0xc000b0?})
	go.uber.org/zap@v1.17.0/zapcore/entry.go:234 +0x4a"#,
        ),
        ("first", "\nfirst\n\n"),
        // Nothing but the end of a trace: better than nothing.
        ("runtime.main()", "main.main()\n\tgo.etcd.io/etcd/main.go:24 +0x20\nruntime.main()"),
    ];

    /// As etcd 3.5.30 says it.
    #[test]
    fn who_was_removed_says_so_and_not_that_its_listeners_were_closed() {
        let said = "{\"level\":\"warn\",\"msg\":\"server error\",\"error\":\"the member has been permanently removed from the cluster\"}\n\
                    {\"level\":\"warn\",\"msg\":\"data-dir used by this member must be removed\"}\n\
                    {\"level\":\"warn\",\"msg\":\"failed to process Raft message\",\"error\":\"raft: stopped\"}\n\
                    {\"level\":\"fatal\",\"msg\":\"listener failed\",\"error\":\"server is stopping\",\"stacktrace\":\"x\"}\n\
                    etcd.service: Main process exited, code=exited, status=1/FAILURE\n";
        let cause = "server error: the member has been permanently removed from the cluster";
        assert_eq!(of(said).as_deref(), Some(cause));
    }

    #[test]
    fn the_line_with_the_error_is_told_and_not_the_last_one() {
        for (expected, said) in REAL {
            assert_eq!(of(said).as_deref(), Some(*expected), "{said}");
        }
        assert_eq!(of("\n \n"), None);
        // As one that the kernel killed has said last.
        let calm = "{\"level\":\"info\",\"msg\":\"serving client traffic securely\",\"address\":\"10.0.0.12:2379\"}\n\
                    2026-11-20 23:17:03.200001 I | embed: ready to serve client requests\n";
        assert_eq!(of(calm), None);
        assert_eq!(of_tool("{\"level\":\"info\",\"msg\":\"saved\"}"), "saved");
    }

    #[test]
    fn a_full_disk_is_known_by_whatever_word() {
        let full = [
            "failed to read WAL, cannot be repaired: no space left on device",
            "head: write error: No space left on device",
            "tar: etcd: Cannot write: Disk quota exceeded",
            "write /var/lib/etcd/member/snap/db: ENOSPC",
        ];
        for words in full {
            assert!(is_of_full_disk(words), "{words}");
        }
        assert!(!is_of_full_disk("Error: etcdserver: mvcc: database space exceeded"));
    }

    #[test]
    fn damaged_data_is_known_from_a_disk_that_is_full() {
        let damaged = [
            "discovery failed: walpb: crc mismatch",
            "discovery failed: proto: Record: wiretype end group for non-group",
            "fatal error: fault",
            "failed to read WAL, cannot be repaired: wal: file not found",
            "panic: tocommit(9) is out of range [lastIndex(0)]. Was the raft log corrupted, truncated, or lost?",
            "failed to recover v3 backend from snapshot: failed to find database snapshot file (snap: snapshot file doesn't exist)",
        ];
        for words in damaged {
            assert!(is_of_damaged_data(words), "{words}");
        }
        for words in ["failed to read WAL, cannot be repaired: no space left on device", "fatal error: out of memory"] {
            assert!(!is_of_damaged_data(words), "{words}");
        }
    }

    #[test]
    fn what_others_say_of_a_peer_is_told_with_when() {
        let line = |second: u32, words: &str| format!("2026-11-20T10:00:{second:02}+0000 etcd-1 etcd[412]: {words}\n");
        let rejected = |address: &str| {
            format!(
                r#"{{"level":"warn","ts":"2026","caller":"embed/config_logging.go:169","msg":"rejected connection","remote-addr":"{address}:41234","server-name":"","ip-addresses":["10.0.0.13"],"dns-names":["etcd-3"],"error":"tls: \"{address}\" does not match any of DNSNames [\"etcd-3\"]"}}"#
            )
        };
        let log = line(1, &rejected("10.0.0.13"))
            + &line(2, &rejected("10.0.0.99"))
            + &line(3, "{\"level\":\"info\",\"msg\":\"tls: fine\"}");
        let told = |of: &str| overheard(&log, of).expect("it says so");
        let expected =
            "rejected connection (10.0.0.13:41234): tls: \"10.0.0.13\" does not match any of DNSNames [\"etcd-3\"]";
        assert_eq!(told("10.0.0.13"), ("2026-11-20T10:00:01Z".to_owned(), expected.to_owned()));
        let mismatch = r#"{"level":"warn","msg":"request cluster ID mismatch","local-member-id":"1","local-member-cluster-id":"cdf8","remote-peer-cluster-id":"beef"}"#;
        let (_, words) = overheard(&line(4, mismatch), "10.0.0.13").expect("it says so");
        assert_eq!(words, "request cluster ID mismatch: ours is cdf8, and theirs beef");
        // etcd 3.4, and the side that dials.
        let old = "2026-11-20 10:00:05.1 W | rafthttp: health check for peer 1 could not connect: remote error: tls: bad certificate";
        let (_, words) = overheard(&line(5, old), "10.0.0.13").expect("it says so");
        assert!(words.ends_with("remote error: tls: bad certificate"), "{words}");
        assert_eq!(overheard(&line(6, "{\"level\":\"info\",\"msg\":\"ready\"}"), "10.0.0.13"), None);
        assert_eq!(overheard("", ""), None);
    }

    #[test]
    fn of_a_script_its_own_words_are_told_too() {
        let quoted = "etcdctl snapshot save: {\"level\":\"info\",\"msg\":\"created temporary db file\"}\n\
                      Error: rpc error: code = PermissionDenied desc = etcdserver: permission denied\nmain.main\nruntime.main\n";
        assert_eq!(
            of_tool(quoted),
            "etcdctl snapshot save: Error: rpc error: code = PermissionDenied desc = etcdserver: permission denied"
        );
        assert_eq!(of_tool("etcdctl snapshot save: Error: no space"), "etcdctl snapshot save: Error: no space");
        assert_eq!(of_tool("mv: no\n\ntar: x: Cannot open\n"), "mv: no; tar: x: Cannot open");
        assert_eq!(of_tool(""), "");
        let many: String = (1..9).map(|number| format!("{number}\n")).collect();
        assert_eq!(of_tool(&many), "4; 5; 6; 7; 8");
        let traced = format!("panic: it broke\ngoroutine 1 [running]:\n{}", "main.main\n".repeat(9));
        assert_eq!(of_tool(&traced), "panic: it broke");
    }
}
