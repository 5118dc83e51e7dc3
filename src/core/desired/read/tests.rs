//! How each problem is told. What is accepted is in tests/offline/examples.rs, and laws over many texts are in tests/offline/cluster_toml.rs.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Problem, parse, render};
use crate::core::desired::{
    Age, ArchiveLocation, Auth, AuthoritySource, Binaries, Compression, Desired, Pair, Passphrase, PasswordSource,
    Ports, Setting, VaultLogin,
};
use crate::core::names::HostName;
use crate::core::observed::Role;

const VALID: &str = r#"[cluster]
name = "prod"
version = "3.5.16"
[nodes.a]
address = "10.0.0.1"
"#;

fn read(text: &str) -> Result<Desired, Vec<Problem>> {
    parse(text, "cluster.toml", Path::new("/ops/prod"), Some(Path::new("/home/me")))
}

/// The problems of `text`, each as `LINE:COLUMN SUMMARY`, then its label in brackets, then its hint after an arrow.
fn told(text: &str) -> String {
    let problems = read(text).err().unwrap_or_default();
    let line = |problem: &Problem| {
        let (line, column) = problem.position(text);
        let mut told = format!("{line}:{column} {}", problem.summary);
        if !problem.label.is_empty() {
            told += &format!(" [{}]", problem.label);
        }
        if let Some(hint) = &problem.hint {
            told += &format!(" -> {hint}");
        }
        told
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A valid file with `more` after it, from line 6 on, has exactly these problems.
#[track_caller]
fn check(more: &str, expected: &[&str]) {
    assert_eq!(told(&format!("{VALID}{more}")), expected.join("\n"));
}

/// The valid file with `from` replaced has exactly these problems.
#[track_caller]
fn check_changed(from: &str, to: &str, expected: &[&str]) {
    assert!(VALID.contains(from), "{from}");
    assert_eq!(told(&VALID.replace(from, to)), expected.join("\n"));
}

/// What `more` makes of the valid file.
#[track_caller]
fn good(more: &str) -> Desired {
    let text = format!("{VALID}{more}");
    read(&text).unwrap_or_else(|problems| panic!("{}", render(&problems, &text, "cluster.toml", false)))
}

#[test]
fn a_problem_is_shown_with_its_line_and_a_caret() {
    let text = format!("{VALID}[etcd]\nquota_backend = \"8GiB\"\n");
    assert_eq!(
        render(&read(&text).unwrap_err(), &text, "cluster.toml", false),
        r#"error: unknown key `quota_backend` in [etcd]
 --> cluster.toml:7:1
  |
7 | quota_backend = "8GiB"
  | ^^^^^^^^^^^^^ not known
  |
  = help: did you mean `quota-backend`?
"#
    );
}

#[test]
fn a_contradiction_is_shown_with_both_places() {
    let text = format!("{VALID}[nodes.b]\naddress = \"10.0.0.1\"\n");
    assert_eq!(
        render(&read(&text).unwrap_err(), &text, "cluster.toml", false),
        r#"error: two nodes have the address "10.0.0.1"
 --> cluster.toml:7:11
  |
5 | address = "10.0.0.1"
  |           ---------- here first
6 | [nodes.b]
7 | address = "10.0.0.1"
  |           ^^^^^^^^^^ again
"#
    );
}

#[test]
fn colour_is_the_callers_choice() {
    let problems = [Problem::new(0..1, "wrong")];
    assert!(render(&problems, "x", "f", true).contains("\x1b["));
    assert!(!render(&problems, "x", "f", false).contains('\x1b'));
}

#[test]
fn what_is_not_toml_is_told_beside_the_rest() {
    check_changed(
        "name = \"prod\"",
        "name =\nnmae = 1",
        &[
            "2:7 invalid TOML: string values must be quoted, expected literal string",
            "3:1 unknown key `nmae` in [cluster] [not known] -> did you mean `name`?",
        ],
    );
    check("[nodes.a]\n", &["6:8 invalid TOML: duplicate key"]);
    // What stands below a header that was not understood belongs nowhere: it is neither unknown nor missing.
    check("[nodes.b\naddress = 3\n", &["6:9 invalid TOML: unclosed table, expected `]`"]);
    check_changed("[cluster]", "[cluster", &["1:9 invalid TOML: unclosed table, expected `]`"]);
    check(
        "[nodez]\n[ports\n",
        &[
            "6:2 unknown section or key `nodez` [not known] -> did you mean `nodes`?",
            "7:7 invalid TOML: unclosed table, expected `]`",
        ],
    );
}

#[test]
fn what_is_missing_is_told_at_its_section() {
    assert_eq!(
        told(""),
        "1:1 missing section [cluster] -> add [cluster] with `name = \"prod\"`\n\
         1:1 no nodes are declared -> add one section for each: [nodes.etcd-1] with `address = \"10.0.0.11\"`"
    );
    check_changed("name = \"prod\"\n", "", &["1:2 missing key `name` in [cluster] -> add `name = \"prod\"`"]);
    check("[nodes.b]\n", &["6:8 missing key `address` in [nodes.b] -> add `address = \"10.0.0.11\"`"]);
}

#[test]
fn unknown_keys_lead_to_known_ones() {
    check(
        "[maintenance]\nkeep = 3\n",
        &[
            "6:2 unknown section or key `maintenance` [not known] -> the sections are `cluster`, `nodes`, `ports`, `ssh`, `etcd`, \
         `paths`, `ca`, `certificates`, `auth`, `users`, `roles`, `consumers` and `backup`",
        ],
    );
    check("[sssh]\n", &["6:2 unknown section or key `sssh` [not known] -> did you mean `ssh`?"]);
    check(
        "[ports]\nhttp = 80\n",
        &["7:1 unknown key `http` in [ports] [not known] -> [ports] knows `client`, `peer` and `metrics`"],
    );
    check(
        "[etcd]\nsnapshot-count = 1\n",
        &["7:1 unknown key `snapshot-count` in [etcd] [not known] -> it is one of etcd's own keys: write `extra = { \
             snapshot-count = … }`"],
    );
    check(
        "[etcd.archive.sha256]\namd46 = \"\"\n",
        &[
            "6:7 [etcd.archive] has no location for the binaries -> add one of `url`, `path` and `preinstalled`",
            "7:1 unknown key `amd46` in [etcd.archive.sha256] [not known] -> did you mean `amd64`?",
        ],
    );
}

#[test]
fn keys_cannot_write_to_the_terminal() {
    check(
        "[\"a\\nb\\u001b[1m\"]\nx = 1\n[etcd.extra]\n\"\\u001b\" = 1\n",
        &[
            "6:2 unknown section or key `a\\nb\\u{1b}[1m` [not known] -> the sections are `cluster`, `nodes`, `ports`, `ssh`, \
         `etcd`, `paths`, `ca`, `certificates`, `auth`, `users`, `roles`, `consumers` and `backup`",
            "9:1 etcd has no key `\\u{1b}` -> `extra` takes the keys of etcd's configuration file, in kebab-case, as \
             in `etcd --help`",
        ],
    );
    check(
        "[nodes.\"\\u001b\"]\nx = 1\naddress = \"h\"\n",
        &[
            "6:8 \"\\u{1b}\" is not a valid node name -> use letters, digits, `-`, `.` and `_` only",
            "7:1 unknown key `x` in [nodes.\\u{1b}] [not known] -> [nodes.\\u{1b}] knows `address`, `ssh`, `hostname`, `peer-names` and `certificates`",
        ],
    );
}

#[test]
fn kinds_of_values() {
    check("ssh = 5\n", &["6:7 `ssh` must be text [this is a whole number] -> put it in double quotes"]);
    check("[ssh]\nsudo = \"yes\"\n", &["7:8 `sudo` must be true or false [this is text] -> write it without quotes"]);
    check(
        "[certificates]\nserver-names = \"a\"\n",
        &["7:16 `server-names` must be a list [this is text] -> write `server-names = [\"…\"]`"],
    );
    assert_eq!(told(&format!("etcd = 3\n{VALID}")), "1:8 `etcd` must be a table [this is a whole number]");
}

#[test]
fn the_cluster() {
    check_changed(
        "\"prod\"",
        "\"a=b\"",
        &["2:8 \"a=b\" is not a valid name -> use letters, digits, `-`, `.` and `_` only"],
    );
    check_changed("\"prod\"", "\"\"", &["2:8 \"\" is not a valid name -> it is empty"]);
    check_changed("\"prod\"", "\"-a\"", &["2:8 \"-a\" is not a valid name -> it must start with a letter or a digit"]);
    let not_yet =
        "version = \"3.5.16\"\nruntime = \"static-pod\"\nlayout = \"pod\"\ntopology = \"stacked\"\ndowntime = \"nevr\"";
    check_changed(
        "version = \"3.5.16\"",
        not_yet,
        &[
            "4:11 with `layout = \"default\"`, etcd is run by systemd -> omit `runtime`: it is \"systemd\" there",
            "5:10 \"pod\" is not a valid value of `layout` -> use one of `default`, `canonical`, `kubeadm`, `kubespray`, \
             `etcdadm`, `autobase`, `debian` and `unit`",
            "6:12 `topology = \"stacked\"` is not supported yet -> supported: `external`",
            "7:12 \"nevr\" is not a valid value of `downtime` -> did you mean \"never\"?",
        ],
    );
}

#[test]
fn versions() {
    let told = |version: &str| told(&VALID.replace("\"3.5.16\"", version));
    let (low, high) = ("3:11 etcd 3.3.27 is not supported", "3:11 etcd 3.8.0 is not supported");
    assert_eq!(told("\"3.3.27\""), format!("{low} -> supported: 3.4, 3.5, 3.6 and 3.7"));
    assert_eq!(told("\"3.8.0\""), format!("{high} -> supported: 3.4, 3.5, 3.6 and 3.7"));
    assert_eq!(told("\"v3.5.16\""), "3:11 \"v3.5.16\" is not a valid version -> write \"3.5.16\", without the v");
    assert_eq!(told("\"3.5\""), "3:11 \"3.5\" is not a valid version -> write three numbers: \"3.6.16\"");
    assert_eq!(
        told("3.5"),
        "3:11 `version` must be text [this is a number] -> write all three numbers in quotes: \"3.6.16\""
    );
    for bad in ["3.5.0", "3.5.1", "3.5.2"] {
        assert_eq!(
            told(&format!("{bad:?}")),
            format!("3:11 etcd {bad} is not supported [3.5.0 to 3.5.2 can corrupt data] -> use 3.5.6 or newer")
        );
    }
    for good in ["3.4.0", "3.4.44", "3.5.3", "3.6.16", "3.7.3"] {
        assert_eq!(told(&format!("{good:?}")), "", "{good}");
    }
}

#[test]
fn addresses() {
    let told = |address: &str| told(&VALID.replace("10.0.0.1", address));
    let hint = |address: &str| {
        let told = told(address);
        let start = format!("5:11 {address:?} is not a valid address -> ");
        told.strip_prefix(&start).unwrap_or_else(|| panic!("{told}")).to_owned()
    };
    assert_eq!(hint("https://10.0.0.1:2379/x"), "write only the host, without a scheme: \"10.0.0.1\"");
    let without =
        |host: &str| format!("write only the host, without port or brackets: {host:?}; ports are set in [ports]");
    assert_eq!(hint("10.0.0.1:2379"), without("10.0.0.1"));
    assert_eq!(hint("[fd00::1]:2379"), without("fd00::1"));
    assert_eq!(hint("[fd00::1]"), without("fd00::1"));
    assert_eq!(hint("10.0.0.256"), "an IPv4 address has four numbers from 0 to 255");
    assert_eq!(hint("0.0.0.0"), "peers and clients must be able to connect to it");
    for bad in ["", "a b", "etcd-1.", "-a", "a..b", "fd00::1%eth0", "user@host", "*.example"] {
        assert!(hint(bad).starts_with("use an IP address"), "{bad}: {}", hint(bad));
    }
}

#[test]
fn an_address_has_one_spelling() {
    let nodes = good("[nodes.b]\naddress = \"FD00:0:0::B\"\n[nodes.c]\naddress = \"Etcd-3.Example\"\n").nodes;
    let addresses: Vec<&str> = nodes.values().map(|node| node.address.as_str()).collect();
    assert_eq!(addresses, ["10.0.0.1", "fd00::b", "etcd-3.example"]);
}

#[test]
fn nodes() {
    check(
        "[nodes.\"a,b\"]\naddress = \"h\"\n",
        &["6:8 \"a,b\" is not a valid node name -> use letters, digits, `-`, `.` and `_` only"],
    );
    check(
        "[nodes.b]\naddress = \"h\"\nssh = \"x\"\n[nodes.c]\naddress = \"i\"\nssh = \"x\"\n",
        &["11:7 two nodes have the ssh destination \"x\" [again]"],
    );
    check("[nodes]\nb = \"10.0.0.2\"\n", &["7:5 `b` must be a table [this is text]"]);
}

#[test]
fn ssh_destinations() {
    let told = |ssh: &str| told(&format!("{VALID}ssh = {ssh:?}\n"));
    for good in ["h", "ops@h", "ops@h:2222", "fd00::1", "ops@[fd00::1]:22", "user@corp@bastion"] {
        assert_eq!(told(good), "", "{good}");
    }
    for bad in ["", "-oProxyCommand=x", "ops@-h", "a b", "@h", "ops@", "h\n"] {
        let hint = "use a host, an alias from the ssh config, or user@host:port";
        assert_eq!(told(bad), format!("6:7 {bad:?} is not a valid ssh destination -> {hint}"));
    }
    for bad in ["h:0", "h:x", "h:65536", "[fd00::1]22"] {
        assert_eq!(
            told(bad),
            format!(
                "6:7 {bad:?} is not a valid ssh destination -> the port must be between 1 and \
                                       65535"
            )
        );
    }
    assert_eq!(
        told("ssh://h"),
        "6:7 \"ssh://h\" is not a valid ssh destination -> write user@host:port, without a \
                                 scheme"
    );
}

#[test]
fn ports() {
    check(
        "[ports]\nclient = 0\npeer = 65536\n",
        &[
            "7:10 0 is not a valid port -> a port must be between 1 and 65535",
            "8:8 65536 is not a valid port -> a port must be between 1 and 65535",
        ],
    );
    let hint = "the defaults are client 2379, peer 2380 and metrics 2381";
    check("[ports]\nclient = 2381\n", &[&format!("7:10 `client` and `metrics` are both port 2381 -> {hint}")]);
    check("[ports]\npeer = 80\nclient = 80\n", &[&format!("7:8 `client` and `peer` are both port 80 -> {hint}")]);
    assert_eq!(good("[ports]\nclient = 2380\npeer = 2379\n").ports, Ports { client: 2380, peer: 2379, metrics: 2381 });
}

#[test]
fn ssh() {
    check(
        "[ssh]\nuser = \"-l\"\netcd-access = \"tunel\"\nknown-hosts = \"~you/x\"\n",
        &[
            "7:8 \"-l\" is not a valid user name",
            "8:15 \"tunel\" is not a valid value of `etcd-access` -> did you mean \"tunnel\"?",
            "9:15 \"~you/x\" is another user's home directory -> write the full path",
        ],
    );
    let ssh = good("[ssh]\nconfig = \"~/.ssh/config\"\nknown-hosts = \"./../known_hosts\"\n").ssh;
    assert_eq!(ssh.config.as_deref(), Some(Path::new("/home/me/.ssh/config")));
    assert_eq!(ssh.known_hosts.as_deref(), Some(Path::new("/ops/known_hosts")));
}

#[test]
fn durations_and_sizes_have_units() {
    let alone = "[the unit is missing]";
    check(
        "[etcd]\nquota-backend = 8\nheartbeat-interval = 100\n[certificates]\nvalidity = \"365\"\n",
        &[
            &format!("7:17 `quota-backend` needs a unit {alone} -> for example \"8GiB\""),
            &format!("8:22 `heartbeat-interval` needs a unit {alone} -> for example \"100ms\""),
            &format!("10:12 `validity` needs a unit {alone} -> for example \"365d\""),
        ],
    );
    check(
        "[etcd]\nquota-backend = \"8 gigs\"\nheartbeat-interval = \"soon\"\nelection-timeout = \"0s\"\n",
        &[
            "7:17 \"8 gigs\" is not a valid size -> write a number and a unit: \"100MiB\", \"8GiB\" (powers of 1024) \
             or \"8GB\" (powers of 1000)",
            "8:22 \"soon\" is not a valid duration -> write a number and a unit: \"100ms\", \"5s\", \"10m\", \"8h\", \
             \"365d\"",
            "9:20 `election-timeout` must be greater than zero",
        ],
    );
    check(
        "[etcd]\nquota-backend = \"101GiB\"\nheartbeat-interval = \"1500us\"\n",
        &[
            "7:17 `quota-backend` is more than 100GiB -> etcd recommends at most 8GiB",
            "8:22 `heartbeat-interval` must be whole milliseconds",
        ],
    );
    assert_eq!(good("[etcd]\nquota-backend = \"8GiB\"\n").etcd.quota_backend_bytes, Some(8 << 30));
    assert_eq!(good("[etcd]\nquota-backend = \"8GB\"\n").etcd.quota_backend_bytes, Some(8_000_000_000));
}

#[test]
fn an_image_is_of_a_static_pod_and_says_its_version() {
    let is = "registry.k8s.io/etcd:{version}-0";
    check(
        &format!("[etcd]\nimage = \"{is}\"\n"),
        &[
            "6:2 `image` in [etcd] is for static pods only (`layout = \"kubeadm\"`) -> [etcd.archive] says where the programs of a \
           service come from: omit it",
        ],
    );
    let of = |image: &str| {
        let text = format!(
            "[cluster]\nname = \"a\"\nversion = \"3.6.16\"\nlayout = \"kubeadm\"\n[nodes]\na = {{ address = \"10.0.0.1\" }}\n[etcd]\nimage = \"{image}\"\n"
        );
        read(&text)
            .map(|desired| desired.etcd.image)
            .map_err(|problems| problems.into_iter().map(|problem| problem.summary).collect::<Vec<_>>())
    };
    assert_eq!(of(is), Ok(Some(is.to_owned())));
    assert_eq!(of("host:5000/etcd:v3.6.16"), Ok(Some("host:5000/etcd:v3.6.16".to_owned())));
    for (image, said) in [
        ("etcd:latest", "the tag of `image` does not say 3.6.16"),
        ("etcd:3.6.8-0", "the tag of `image` does not say 3.6.16"),
        ("etcd:{version}@sha256:0a", "`image` is no name of an image"),
        ("etcd: {version}", "`image` is no name of an image"),
    ] {
        assert_eq!(of(image), Err(vec![said.to_owned()]), "{image}");
    }
}

#[test]
fn timing_is_etcds_own_rule() {
    let hint = "ten times is usual; etcd does not start with less than five";
    let summary = "`election-timeout` is less than five times `heartbeat-interval`";
    check(
        "[etcd]\nheartbeat-interval = \"201ms\"\n",
        &[&format!("7:22 {summary} [election timeout 1000ms, heartbeat 201ms] -> {hint}")],
    );
    check(
        "[etcd]\nheartbeat-interval = \"2s\"\nelection-timeout = \"9s\"\n",
        &[&format!("8:20 {summary} [election timeout 9000ms, heartbeat 2000ms] -> {hint}")],
    );
    check(
        "[etcd]\nelection-timeout = \"51s\"\n",
        &["7:20 `election-timeout` is more than 50s -> etcd does not start with more than that"],
    );
    assert_eq!(good("[etcd]\nheartbeat-interval = \"200ms\"\n").etcd.heartbeat_interval_ms, Some(200));
}

#[test]
fn auto_compaction() {
    check("[etcd]\nauto-compaction = \"8h\"\n", &["7:19 `auto-compaction` must be a table [this is text]"]);
    check(
        "[etcd]\nauto-compaction = { mode = \"revision\", retention = \"8h\" }\n",
        &["7:52 `retention` must be a whole number [this is text] -> with mode \"revision\" it is the number of \
             revisions to keep, for example 10000"],
    );
    check(
        "[etcd]\nauto-compaction = { mode = \"periodic\" }\n",
        &["7:1 missing key `retention` in [etcd.auto-compaction] -> add `retention = \"8h\"`"],
    );
    // Go's durations know no days.
    let of = |mode: &str, retention: &str| {
        let more = format!("[etcd]\nauto-compaction = {{ mode = {mode:?}, retention = {retention} }}\n");
        good(&more).etcd.auto_compaction.expect("declared").retention
    };
    assert_eq!(of("periodic", "\"1d\""), "24h");
    assert_eq!(of("periodic", "\"90m\""), "90m");
    assert_eq!(of("periodic", "\"1m 30s\""), "90s");
    assert_eq!(of("revision", "10000"), "10000");
}

#[test]
fn extra_is_checked_against_the_version() {
    let told = |version: &str, extra: &str| {
        let text = format!("{VALID}[etcd.extra]\n{extra}\n").replace("3.5.16", version);
        told(&text)
    };
    assert_eq!(told("3.5.16", "max-txn-opps = 1"), "7:1 etcd has no key `max-txn-opps` -> did you mean `max-txn-ops`?");
    assert_eq!(
        told("3.5.16", "colour = 1"),
        "7:1 etcd has no key `colour` -> `extra` takes the keys of etcd's configuration file, in kebab-case, as in \
         `etcd --help`"
    );
    assert_eq!(
        told("3.7.3", "experimental-corrupt-check-time = 1"),
        "7:1 etcd 3.7.3 has no key `experimental-corrupt-check-time` -> in 3.7.3 it is `corrupt-check-time`"
    );
    assert_eq!(
        told("3.5.35", "feature-gates = \"\""),
        "7:1 etcd 3.5.35 has no key `feature-gates` -> it exists in 3.6, 3.7"
    );
    assert_eq!(
        told("3.5.7", "tls-min-version = \"TLS1.3\""),
        "7:1 etcd 3.5.7 has no key `tls-min-version` -> it exists in 3.4 from 3.4.25, 3.5 from 3.5.8, 3.6, 3.7"
    );
    assert_eq!(told("3.5.8", "tls-min-version = \"TLS1.3\""), "");
    assert_eq!(told("3.5.16", "data-dir = \"/x\""), "7:1 `data-dir` cannot be set in `extra` -> set `data` in [paths]");
}

#[test]
fn extra_is_of_the_kind_that_etcd_decodes() {
    check(
        "[etcd.extra]\npre-vote = \"true\"\nmax-txn-ops = -1\ncipher-suites = \"A,B\"\nlog-level = 3\n",
        &[
            "7:12 `pre-vote` must be true or false [this is text]",
            "8:15 `max-txn-ops` must be a whole number, not below zero [this is a whole number]",
            "9:17 `cipher-suites` must be a list of strings [this is text]",
            "10:13 `log-level` must be text [this is a whole number]",
        ],
    );
    check(
        "[etcd.extra]\ngrpc-keepalive-timeout = \"20s\"\nmax-request-bytes = 1979-05-27\nmax-wals = 9223372036854775808\n",
        &[
            "7:26 `grpc-keepalive-timeout` must be a number of nanoseconds [this is text] -> etcd's file takes no \
             units: write 20000000000",
            "8:21 `max-request-bytes` must be a value that etcd's file can represent [this is a date] -> put it in \
             quotes",
            "9:12 the number in `max-wals` is too large",
        ],
    );
    let extra =
        good("[etcd.extra]\nsocket-options = { reuse-port = true }\ncipher-suites = [\"A\"]\nmax-wals = 0x10\n")
            .etcd
            .extra;
    let socket = BTreeMap::from([("reuse-port".to_owned(), Setting::Bool(true))]);
    assert_eq!(extra["socket-options"], Setting::Table(socket));
    assert_eq!(extra["cipher-suites"], Setting::List(vec![Setting::Text("A".to_owned())]));
    assert_eq!(extra["max-wals"], Setting::Integer(16));
}

#[test]
fn archives() {
    let sha = "0".repeat(64);
    let digest = format!("sha256 = {{ amd64 = \"{sha}\" }}\n");
    check(
        "[etcd.archive]\nurl = \"https://x/a\"\n",
        &["7:7 the archive has no `sha256` -> add `sha256 = { amd64 = \"…\" }`, so that the hosts run exactly what \
             was reviewed"],
    );
    check(
        &format!("[etcd.archive]\nurl = \"https://x/a\"\npath = \"a\"\n{digest}"),
        &["8:1 `url` and `path` cannot be combined"],
    );
    check(
        &format!("[etcd.archive]\npreinstalled = \"/usr/bin\"\n{digest}"),
        &["8:1 `sha256` has no archive to verify -> omit it with `preinstalled`"],
    );
    check(
        &format!("[etcd.archive]\nurl = \"file:///a\"\n{digest}"),
        &["7:7 `url` is not a valid download URL -> for a file on this machine write `path = \"/a\"`"],
    );
    check(
        &format!("[etcd.archive]\nurl = \"s3://b/a\"\n{digest}"),
        &["7:7 `url` is not a valid download URL -> it must start with https:// or http://; for a file on this \
             machine use `path`"],
    );
    check(
        &format!("[etcd.archive]\npath = \"https://x/a\"\n{digest}"),
        &["7:8 `path` must be a file on this machine -> write `url = \"https://x/a\"`"],
    );
    check(
        &format!("[etcd.archive]\npath = \"etcd-{{vers}}-{{arch}}\"\n{digest}"),
        &["7:8 `path` has an unknown placeholder [`{vers}`] -> known are `{version}` and `{arch}`"],
    );
    check(
        "[etcd.archive]\npath = \"a\"\nsha256 = { amd64 = \"abc\" }\n",
        &["8:20 `amd64` is not a valid SHA-256 [3 characters] -> write 64 hexadecimal digits: the first word that \
             `sha256sum` prints"],
    );
    check(
        "[etcd.archive]\npath = \"a\"\nsha256 = { }\n",
        &["8:1 `sha256` is empty -> its keys are `amd64`, `arm64`, `ppc64le` and `s390x`"],
    );
    check(
        &format!("[etcd.archive]\npath = \"a\"\nsha256 = {{ amd64 = \"{sha}\", arm64 = \"{sha}\" }}\n"),
        &["7:8 one archive cannot have several `sha256` -> use {arch} for the architecture in its name"],
    );
    let Binaries::Archive { location, .. } =
        good(&format!("[etcd.archive]\npath = \"a/../b/{{version}}\"\n{digest}")).binaries
    else {
        panic!("an archive was declared")
    };
    assert_eq!(location, ArchiveLocation::Path("/ops/prod/b/{version}".to_owned()));
}

#[test]
fn certificates() {
    check("[ca]\nsource = \"nodes\"\n", &["7:10 \"nodes\" is not a valid value of `source` -> did you mean \"node\"?"]);
    check(
        "[certificates]\nvalidity = \"30d\"\nrenew-before = \"30d\"\nserver-names = [\"a b\", 3]\n",
        &[
            "8:16 `renew-before` must be shorter than `validity` [a new certificate would be due at once] -> a quarter \
             of `validity` is usual",
            "9:17 \"a b\" is not a valid server name -> use an IP address (\"10.0.0.11\", \"fd00::11\") or a DNS name \
             (\"etcd-1.example\")",
            "9:24 `server-names` must be text [this is a whole number] -> put it in double quotes",
        ],
    );
    check(
        "[certificates]\nvalidity = \"11y\"\n",
        &["7:12 `validity` must be between one minute and ten years -> for example \"365d\""],
    );
    const DAY: u64 = 86_400;
    let renewal = |more: &str| good(more).certificates.renew_before_seconds;
    assert_eq!(renewal(""), 90 * DAY);
    assert_eq!(renewal("[certificates]\nvalidity = \"40d\"\n"), 10 * DAY);
    assert_eq!(renewal("[certificates]\nvalidity = \"1000d\"\n"), 90 * DAY);
    let names =
        good("[certificates]\nserver-names = [\"b\", \"*.A.example\", \"b\", \"FD00::1\"]\n").certificates.server_names;
    assert_eq!(names, ["*.a.example", "b", "fd00::1"]);
}

#[test]
fn paths() {
    check(
        "[paths]\nconfig = \"etcd.yaml\"\ndata = \"/a//b/\"\ncertificates = \"/a/../b\"\nbinaries = \"/opt/my etcd\"\n",
        &[
            "7:10 `config` is not a usable path -> paths on the hosts must be absolute",
            "8:8 `data` is not a usable path -> write \"/a/b\"",
            "9:16 `certificates` is not a usable path -> write it without `..`",
            "10:12 `binaries` is not a usable path -> use letters, digits and / - . _ + @ only",
        ],
    );
    check(
        "[paths]\nconfig = \"/etc/etcd.yaml\"\ndata = \"/var/lib\"\nbinaries = \"/\"\nservice = \"etcd\"\n",
        &[
            "7:10 `config` needs a directory of its own [/etc is used by other programs too] -> for example \
             \"/etc/etcd/etcd.yaml\"",
            "8:8 `data` must be a directory of its own [a system directory] -> for example \"/var/lib/etcd\"",
            "9:12 `binaries` is not a usable path -> it cannot be the root directory",
            "10:11 \"etcd\" is not a valid service unit name -> use a plain name that ends in .service: \
             \"etcd.service\"",
        ],
    );
    check(
        "[paths]\ndata = \"/etc/etcd\"\n",
        &[
            "7:8 `config` is inside `data` -> `config` is /etc/etcd/etcd.yaml, and `data` is /etc/etcd",
            "7:8 `certificates` is inside `data` -> `certificates` is /etc/etcd/pki, and `data` is /etc/etcd",
        ],
    );
    check(
        "[paths]\nbinaries = \"/data\"\ndata = \"/data\"\n",
        &["8:8 `data` and `binaries` are the same path -> `data` is /data, and `binaries` is /data"],
    );
    for bad in ["etcd@1.service", ".service", "a/b.service", "-x.service", "etcd.timer"] {
        check(
            &format!("[paths]\nservice = {bad:?}\n"),
            &[&format!(
                "7:11 {bad:?} is not a valid service unit name -> use a plain name that ends in .service: \
                 \"etcd.service\""
            )],
        );
    }
}

#[test]
fn places_are_the_lines_of_the_keys() {
    let places = good("[etcd]\nextra = {\n  max-wals = 1,\n}\n[etcd.archive]\npreinstalled = \"/usr/bin\"\n").places;
    for (path, place) in [
        ("cluster", "cluster.toml:1"),
        ("cluster.version", "cluster.toml:3"),
        ("cluster.downtime", "cluster.toml:1"),
        ("nodes.a.address", "cluster.toml:5"),
        ("etcd.extra.max-wals", "cluster.toml:8"),
        ("etcd.archive.preinstalled", "cluster.toml:11"),
        ("ports.client", "cluster.toml"),
    ] {
        assert_eq!(places.at(path), place, "{path}");
    }
}

fn auth(more: &str) -> Auth {
    good(&format!("[auth]\nenabled = true\n{more}")).auth.expect("it is declared")
}

#[test]
fn users_have_what_they_are_declared_with() {
    use crate::core::names::{RoleName, UserName};
    use crate::core::observed::auth::{KeyAccess, Permission};

    let auth = auth(
        "[users.app]\nprefix = \"/app/\"\npassword = { env = \"APP\" }\n\
         [users.\"system:node\"]\nroles = [\"reader\", \"root\"]\npassword = { command = [\"pass\", \"x\"] }\n\
         [users.some]\npermissions = [{ key = \"/a\", access = \"write\" }, { range = [\"b\", \"d\"], access = \"read\" }]\n\
         password = { file = \"secret\" }\n\
         [roles.reader]\npermissions = [{ prefix = \"\", access = \"read\" }]\n",
    );
    assert!(auth.enabled);
    let role = |name: &str| auth.roles[&RoleName::new(name)].iter().map(Permission::to_string).collect::<Vec<_>>();
    assert_eq!(role("app"), ["readwrite prefix /app/"]);
    assert_eq!(role("some"), ["write key /a", "read range b to d"]);
    assert_eq!(role("reader"), ["read every key"]);
    assert_eq!(role("root"), Vec::<String>::new());
    let user = |name: &str| &auth.users[&UserName::new(name)];
    let roles = |name: &str| user(name).roles.iter().map(RoleName::as_str).collect::<Vec<_>>();
    assert_eq!(
        [roles("app"), roles("system:node"), roles("root")],
        [vec!["app"], vec!["reader", "root"], vec!["root"]]
    );
    assert_eq!(user("app").password, Some(PasswordSource::Env("APP".to_owned())));
    assert_eq!(user("some").password, Some(PasswordSource::File("/ops/prod/secret".into())));
    assert_eq!(user("system:node").password, Some(PasswordSource::Command(vec!["pass".to_owned(), "x".to_owned()])));
    assert_eq!(auth.roles[&RoleName::new("some")].first().map(|first| first.access), Some(KeyAccess::Write));
    assert_eq!(good("").auth, None);
    assert!(!good("[auth]\nenabled = false\n").auth.expect("it is declared").enabled);
}

#[test]
fn someone_holds_root_and_the_api_server_can_compact() {
    check(
        "[auth]\nenabled = true\n[users.root]\nprefix = \"/\"\n",
        &["8:8 the user `root` lacks the role `root` [nobody could administer the cluster] -> write `roles = \
             [\"root\"]`, or omit [users.root]"],
    );
    check(
        "[auth]\nenabled = true\n[users.kube-apiserver]\nprefix = \"/registry/\"\n",
        &["8:8 `kube-apiserver` cannot compact without the role `root` [the database would grow until it reaches its \
             quota] -> write `roles = [\"root\"]`"],
    );
    assert_eq!(auth("[users.kube-apiserver]\nroles = [\"root\"]\n").users.len(), 2);
}

#[test]
fn rights_that_contradict_are_told() {
    let told = |more: &str, expected: &[&str]| check(&format!("[auth]\nenabled = true\n{more}"), expected);
    check("[users.a]\nprefix = \"/\"\n", &["6:2 [users] needs [auth] -> add [auth] with `enabled = true`"]);
    check("[auth]\n", &["6:2 missing key `enabled` in [auth] -> add `enabled = true`"]);
    told(
        "[users.a]\n",
        &["8:8 [users.a] grants nothing -> add one of `prefix = \"/app/\"`, `permissions = […]` and `roles = […]`"],
    );
    told(
        "[users.a]\nprefix = \"/\"\nroles = []\n",
        &["10:1 `prefix` and `roles` cannot be combined -> put the permissions into a role, and list it in `roles`"],
    );
    told(
        "[users.a]\nroles = [\"reder\", \"b\"]\n[roles.reader]\npermissions = []\n[users.b]\nprefix = \"/b\"\n",
        &[
            "9:10 no role \"reder\" -> did you mean \"reader\"?",
            "9:19 no role \"b\" -> add [roles.b]; the built-in role `root` has full access",
        ],
    );
    told(
        "[users.a]\nprefix = \"/\"\n[roles.a]\npermissions = []\n",
        &["8:8 user `a` and role `a` both have permissions -> set `roles = [\"a\"]` for the user, or rename the role"],
    );
    told(
        "[roles.root]\npermissions = []\n",
        &["8:8 the role `root` is built into etcd and has full access -> omit it, and list it in `roles` of a user"],
    );
    told(
        "[roles.a]\n",
        &[
            "8:8 missing key `permissions` in [roles.a] -> add `permissions = [{ prefix = \"/app/\", access = \"read\" }]`",
        ],
    );
    told(
        "[users.\" a\"]\nroles = []\n",
        &["8:8 \" a\" is not a valid user name -> it has control characters, or leading or trailing spaces"],
    );
}

#[test]
fn permissions_and_passwords_are_checked() {
    let told = |permissions: &str, expected: &[&str]| {
        check(&format!("[auth]\nenabled = true\n[roles.a]\npermissions = [{permissions}]\n"), expected);
    };
    told("{ prefix = \"/\" }", &["9:16 missing key `access` in [roles.a.permissions] -> add `access = \"read\"`"]);
    told(
        "{ access = \"read\" }",
        &["9:16 a permission needs keys, and this one has none -> write one of `prefix`, `key` and `range`"],
    );
    told(
        "{ prefix = \"/\", key = \"/\", access = \"read\" }",
        &["9:32 `prefix` and `key` cannot be combined -> write one of `prefix`, `key` and `range`"],
    );
    told(
        "{ prefix = \"/\", access = \"reed\" }",
        &["9:41 \"reed\" is not a valid value of `access` -> did you mean \"read\"?"],
    );
    told(
        "{ range = [\"b\", \"a\"], access = \"read\" }",
        &["9:26 the range from \"b\" to \"a\" is empty -> write the first key, and the first key after the range: \
             `range = [\"/a\", \"/c\"]`"],
    );
    told("{ key = \"\", access = \"read\" }", &["9:24 `key` is empty -> for every key, use `prefix = \"\"`"]);
    told(
        "{ key = \"a\", access = \"read\" }, { key = \"a\", access = \"write\" }",
        &["9:48 key a is listed twice [again]"],
    );
    let password = |source: &str, expected: &[&str]| {
        check(&format!("[auth]\nenabled = true\n[users.a]\nprefix = \"/a\"\npassword = {source}\n"), expected);
    };
    password("\"hunter2\"", &["10:12 `password` must be a table [this is text]"]);
    password("{}", &["10:1 a password needs exactly one source -> write one of `file`, `env` and `command`"]);
    password(
        "{ env = \"A\", file = \"b\" }",
        &["10:1 a password needs exactly one source -> write one of `file`, `env` and `command`"],
    );
    password("{ env = \"A B\" }", &["10:20 \"A B\" is not a valid variable name"]);
    password("{ command = [] }", &["10:14 `command` is empty -> write `command = [\"pass\", \"show\", \"etcd/app\"]`"]);
}

#[test]
fn backups_are_read_with_their_defaults() {
    let backup = good("[backup]\nschedule = \"30 2 * * 1-5\"\n").backup.expect("it is declared");
    assert_eq!(backup.schedule.calendar, ["Mon..Fri *-*-* 02:30:00 UTC"]);
    assert_eq!((backup.keep, backup.compression, backup.max_age_seconds), (14, Compression::Zstd, None));
    assert_eq!(backup.directory.as_str(), "/var/backups/etcd");
    assert_eq!(backup.nodes, [HostName::new("a")].into());
    assert_eq!(good("").backup, None);
    let offsite = |url: &str| {
        good(&format!("[backup]\nschedule = \"@daily\"\noffsite = \"{url}\"\n")).backup.unwrap().offsite.unwrap().url
    };
    assert_eq!(offsite("s3://etcd-copies/prod/"), "s3://etcd-copies/prod");
    assert_eq!(offsite("file:///srv/etcd"), "file:///srv/etcd");
}

#[test]
fn backups_are_checked() {
    check(
        "[backup]\nkeep = 0\ncompression = \"zsdt\"\ndirectory = \"/var/lib/etcd/b\"\nmax-age = \"30s\"\nnodes = [\"b\"]\nofsite = 1\n",
        &[
            "6:2 missing key `schedule` in [backup] -> add `schedule = \"0 * * * *\"`",
            "7:8 `keep = 0` is out of range -> `keep` is the number of snapshots on each node, from 1 to 4000",
            "8:15 \"zsdt\" is not a valid value of `compression` -> did you mean \"zstd\"?",
            "9:13 `directory` and the directory of `data` overlap -> `data` is in /var/lib/etcd; snapshots need a \
             directory of their own",
            "10:11 `max-age` is less than a minute -> for example \"26h\" for daily snapshots",
            "11:10 no node \"b\" -> the nodes are `a`",
            "12:1 unknown key `ofsite` in [backup] [not known] -> did you mean `offsite`?",
        ],
    );
    check(
        "[backup]\nschedule = \"@daily\"\nnodes = []\n",
        &["8:1 no node would take snapshots -> omit `nodes` for all nodes, or [backup] for none"],
    );
    let schedule = |text: &str, expected: &str| check(&format!("[backup]\nschedule = {text}\n"), &[expected]);
    let example = "-> minute, hour, day of the month, month, day of the week: \"0 * * * *\" is every hour, in UTC";
    schedule(
        "\"* * * *\"",
        &format!(
            "7:12 \"* * * *\" is not a valid cron schedule [it must have five fields] \
                                      {example}"
        ),
    );
    schedule(
        "\"0 0 * * * *\"",
        &format!(
            "7:12 \"0 0 * * * *\" is not a valid cron schedule [it must have five fields] \
                                          {example}"
        ),
    );
    schedule(
        "\"0 25 * * *\"",
        &format!(
            "7:12 \"0 25 * * *\" is not a valid cron schedule [number out of bounds] \
                                         {example}"
        ),
    );
    schedule("\"0 0 30 2 *\"", "7:12 \"0 0 30 2 *\" never occurs -> these months have no such day");
    schedule(
        "\"0 0 L * *\"",
        "7:12 \"0 0 L * *\" depends on the length of the month -> systemd timers do not support `L`, `W` and `#`: list \
         days of the month or of the week",
    );
    schedule("3", "7:12 `schedule` must be text [this is a whole number] -> put it in double quotes");
    let offsite = |url: &str, summary: &str, hint: &str| {
        let expected = format!("8:11 {summary} -> {hint}");
        check(&format!("[backup]\nschedule = \"@daily\"\noffsite = \"{url}\"\n"), &[&expected]);
    };
    let forms = "use \"s3://BUCKET/PREFIX\" or \"file:///DIRECTORY\"";
    offsite("/srv/etcd", "\"/srv/etcd\" is not a valid off-site location", forms);
    offsite("gs://a", "\"gs://a\" is not a valid off-site location", forms);
    offsite(
        "s3://key:secret@bucket",
        "an off-site location cannot have a user, password or parameters",
        "write the location only; credentials come from the environment",
    );
    offsite(
        "file://srv",
        "\"file://srv\" is not an absolute path",
        "write it with three slashes: \"file:///srv/etcd\"",
    );
    offsite(
        "s3://",
        "\"s3://\" has no valid bucket name",
        "a bucket name has 3 to 63 characters: \"s3://BUCKET/PREFIX\"",
    );
}

#[test]
fn backups_need_a_certificate_of_their_own() {
    check_changed(
        "[nodes.a]",
        "[backup]\nschedule = \"@daily\"\n[ca]\nsource = \"external\"\ncertificate = \"c\"\nclient = \"c\"\nclient-key = \"c\"\n\
         [nodes.a]\ncertificates = { server = \"s\", server-key = \"s\", peer = \"p\", peer-key = \"p\" }",
        &["4:2 [backup] needs a CA that quorate can sign with [a client certificate of its own] -> quorate issues \
             the client certificate for snapshots itself; with `source = \"external\"`, use `quorate export \
             backup-cronjob` instead"],
    );
}

#[test]
fn authorities() {
    let read = |more: &str| read(&format!("{VALID}{more}")).unwrap().authority;
    let pair = |certificate: &str, key: &str| Pair { certificate: certificate.into(), key: key.into() };
    let passphrase = |text: &str| {
        let more = format!("[ca]\nsource = \"files\"\ncertificate = \"a.crt\"\nkey = \"/k/a.key\"\n{text}");
        let AuthoritySource::Files { pair: of } = read(&more) else { panic!("{more}") };
        assert_eq!(of, pair("/ops/prod/a.crt", "/k/a.key"));
        super::tests::read(&format!("{VALID}{more}")).unwrap().authority_key.passphrase
    };
    assert_eq!(passphrase(""), None);
    assert_eq!(passphrase("passphrase = { prompt = true }"), Some(Passphrase::Prompt));
    assert_eq!(passphrase("passphrase.env = \"CA_PASS\""), Some(Passphrase::Environment("CA_PASS".to_owned())));
    let file = Passphrase::File("/home/me/ca.pass".into());
    assert_eq!(passphrase("passphrase.file = \"~/ca.pass\""), Some(file));
    let kept = |more: &str| super::tests::read(&format!("{VALID}[ca]\n{more}")).unwrap();
    assert_eq!(kept("passphrase.prompt = true").authority_key.passphrase, Some(Passphrase::Prompt));
    let age =
        kept("age = { recipients = [\"age1xyz\", \"ssh-ed25519 AAAA\"], identity = \"~/keys.txt\" }").authority_key.age;
    let recipients = vec!["age1xyz".to_owned(), "ssh-ed25519 AAAA".to_owned()];
    assert_eq!(age, Some(Age { recipients, identity: "/home/me/keys.txt".into() }));
    let reads = kept("reader = { certificate = \"c.crt\", key = \"c.key\" }");
    assert_eq!(reads.reader, Some(pair("/ops/prod/c.crt", "/ops/prod/c.key")));
    let more = "[nodes.a.certificates]\nserver = \"s.crt\"\nserver-key = \"s.key\"\npeer = \"p.crt\"\npeer-key = \"p.key\"\n\
                [ca]\nsource = \"external\"\ncertificate = \"a.crt\"\nclient = \"c.crt\"\nclient-key = \"c.key\"\n";
    let AuthoritySource::External { certificate, client, nodes } = read(more) else { panic!("{more}") };
    assert_eq!(certificate, Path::new("/ops/prod/a.crt"));
    assert_eq!(client, pair("/ops/prod/c.crt", "/ops/prod/c.key"));
    let pairs = &nodes[&HostName::new("a")];
    assert_eq!(pairs[&Role::Server], pair("/ops/prod/s.crt", "/ops/prod/s.key"));
    assert_eq!(pairs[&Role::Peer], pair("/ops/prod/p.crt", "/ops/prod/p.key"));
}

#[test]
fn vaults() {
    let vault = |more: &str| {
        let text = format!("{VALID}[ca]\nsource = \"vault\"\nrole = \"etcd\"\n{more}");
        let AuthoritySource::Vault(vault) = read(&text).unwrap().authority else { panic!("{more}") };
        *vault
    };
    let least = vault("address = \"https://vault.example:8200/\"\n");
    assert_eq!(least.address, "https://vault.example:8200");
    assert_eq!((least.mount.as_str(), least.role.as_str(), least.namespace, least.trust), ("pki", "etcd", None, None));
    assert_eq!(least.login, VaultLogin::Token(PasswordSource::Env("VAULT_TOKEN".to_owned())));
    let all = vault(
        "address = \"http://[::1]:8200\"\nmount = \"/org/pki-etcd/\"\nnamespace = \"ops\"\nvault-ca = \"vault.crt\"\n\
         approle = { role-id = \"r\", secret-id.file = \"s\", mount = \"logins\" }\n",
    );
    assert_eq!((all.mount.as_str(), all.namespace.as_deref()), ("org/pki-etcd", Some("ops")));
    assert_eq!(all.trust.as_deref(), Some(Path::new("/ops/prod/vault.crt")));
    let secret_id = PasswordSource::File("/ops/prod/s".into());
    assert_eq!(all.login, VaultLogin::AppRole { mount: "logins".to_owned(), role_id: "r".to_owned(), secret_id });
    assert_eq!(vault("address = \"http://localhost\"\n").address, "http://localhost");
}

#[test]
fn vaults_that_are_half_declared() {
    let told = |more: &str, expected: &[&str]| check(&format!("[ca]\nsource = \"vault\"\n{more}"), expected);
    told(
        "dir = \"pki\"\n",
        &[
            "6:2 missing key `address` in [ca] -> add `address = \"https://vault.example:8200\"`",
            "6:2 missing key `role` in [ca] -> add `role = \"etcd\"`",
            "8:1 `dir` has no meaning with `source = \"vault\"` -> it belongs to `source = \"generated\"`",
        ],
    );
    let address = |text: &str, hint: &str| {
        let problem = format!("9:11 {text:?} is not a valid Vault address -> {hint}");
        told(&format!("role = \"etcd\"\naddress = {text:?}\n"), &[&problem]);
    };
    address("vault.example", "write https://HOST:PORT, for example \"https://vault.example:8200\"");
    address("http://vault.example", "the token would be sent unencrypted: use https://");
    address("http://127.0.0.1.example:8200", "the token would be sent unencrypted: use https://");
    address("https://me@vault.example", "write https://HOST:PORT; the path of the engine goes into `mount`");
    address("https://vault.example/v1/pki", "write https://HOST:PORT; the path of the engine goes into `mount`");
    address("https://vault.example:port", "a port must be between 1 and 65535");
    let rest = "address = \"https://v\"\nrole = \"a/../b\"\nmount = \"a//b\"\n";
    told(
        &format!("{rest}token = {{ env = \"T\" }}\napprole = {{ role-id = \"\" }}\n"),
        &[
            "9:8 `role` is not a valid Vault name -> use letters, digits, `-`, `_` and `.`",
            "10:9 `mount` is not a valid Vault name -> use letters, digits, `-`, `_` and `.`",
            "12:1 `token` and `approle` cannot be combined",
            "12:1 the AppRole has no `secret-id` -> add its source: `secret-id = { file = \"…\" }`, { env } or { \
             command }",
            "12:23 `role-id` is empty",
        ],
    );
    check(
        "[ca]\nrole = \"etcd\"\n",
        &["7:1 `role` has no meaning with `source = \"generated\"` -> it belongs to `source = \"vault\"`"],
    );
}

/// Whatever certificates somebody else has issued say, they go on to say.
#[test]
fn names_for_certificates_are_refused_where_they_would_have_no_effect() {
    let text = "[cluster]\nname = \"prod\"\nversion = \"3.5.16\"\nlayout = \"kubespray\"\n[nodes.a]\naddress = \"10.0.0.1\"\n\
                [etcd.archive]\npreinstalled = \"/usr/local/bin\"\n[ca]\nsource = \"node\"\n";
    assert!(matches!(read(text).unwrap().authority, AuthoritySource::Node { .. }));
    let names = format!("{text}[certificates]\nserver-names = [\"lb.example\"]\n");
    let names = names.replace("10.0.0.1\"\n", "10.0.0.1\"\npeer-names = [\"x\"]\n");
    let problems = read(&names).unwrap_err();
    let told = format!("{problems:?}");
    assert!(
        told.contains("`server-names` has no effect") && told.contains("`peer-names` of a have no effect"),
        "{told}"
    );
}

#[test]
fn the_authority_on_the_nodes() {
    let node = |more: &str| {
        let text = format!("{VALID}[ca]\nsource = \"node\"\n{more}");
        let AuthoritySource::Node { certificate, key } = read(&text).unwrap().authority else { panic!("{more}") };
        (certificate.to_string(), key.to_string())
    };
    let both = |folder: &str| (format!("{folder}/ca.crt"), format!("{folder}/ca.key"));
    assert_eq!(node(""), both("/etc/etcd/pki"));
    assert_eq!(node("[paths]\ncertificates = \"/srv/etcd/pki\"\n"), both("/srv/etcd/pki"));
    let kubeadm = "/etc/kubernetes/pki/etcd";
    assert_eq!(node(&format!("certificate = \"{kubeadm}/ca.crt\"\nkey = \"{kubeadm}/ca.key\"\n")), both(kubeadm));
    let folder = "`certificate` and `key` must be two different files in the same directory -> the defaults are \
                  /etc/etcd/pki/ca.crt and /etc/etcd/pki/ca.key";
    for key in ["/k/ca.key", "/etc/etcd/pki/ca.crt", "/etc/etcd/pki/peer.key"] {
        check(&format!("[ca]\nsource = \"node\"\nkey = \"{key}\"\n"), &[&format!("8:7 {folder}")]);
    }
    check(
        "[ca]\nsource = \"node\"\nkey = \"ca.key\"\ndir = \"pki\"\npassphrase = { prompt = true }\n",
        &[
            "8:7 `key` is not a usable path -> paths on the hosts must be absolute",
            "9:1 `dir` has no meaning with `source = \"node\"` -> it belongs to `source = \"generated\"`",
            "10:1 `passphrase` has no meaning with `source = \"node\"` -> it belongs to `source = \"generated\"` \
             and `source = \"files\"`",
        ],
    );
}

#[test]
fn names_of_the_files_of_certificates() {
    let named = "[paths.names]\nca = \"ca.pem\"\nserver = \"member-{host}.pem\"\npeer-key = \"peer.key\"\n";
    let desired = read(&format!("{VALID}[ca]\nsource = \"node\"\n{named}")).unwrap();
    let AuthoritySource::Node { certificate, .. } = &desired.authority else { panic!("{:?}", desired.authority) };
    assert_eq!(certificate.as_str(), "/etc/etcd/pki/ca.pem");
    // The usual name is no other one.
    assert_eq!(desired.paths.names.len(), 2);
    let hint =
        "letters, digits, `-`, `_` and `.`, in the folder `certificates`; {member} is the node's name, {host} its host";
    for name in ["", "a/b.pem", "../ca.crt", ".hidden", "-x", "a b", "{node}.pem", "/etc/ca.pem"] {
        let refused = format!("7:10 {name:?} is not a valid file name -> {hint}");
        check(&format!("[paths.names]\nserver = \"{name}\"\n"), &[&refused]);
    }
    check(
        "[paths.names]\nca = \"{member}.pem\"\nserver = \"peer.crt\"\n",
        &[
            "6:8 two files are called \"peer.crt\" -> each file in `certificates` needs a name of its own",
            "7:6 `ca` is the same file on every host -> only `server`, `server-key`, `peer` and `peer-key` take {member} and \
             {host}",
        ],
    );
    // The key of a CA that lies there is none of them.
    let key = "`certificate` and `key` must be two different files in the same directory -> the defaults are \
               /etc/etcd/pki/ca.crt and /etc/etcd/pki/ca.key";
    check("[ca]\nsource = \"node\"\n[paths.names]\nserver-key = \"ca.key\"\n", &[&format!("6:2 {key}")]);
}

#[test]
fn authorities_that_are_half_declared() {
    check(
        "[ca]\nsource = \"files\"\ndir = \"pki\"\nclient = \"c\"\npassphrase = { env = \"a b\", prompt = true }\n",
        &[
            "6:2 missing key `certificate` in [ca] -> add `certificate = \"ca.crt\"`",
            "6:2 missing key `key` in [ca] -> add `key = \"ca.key\"`",
            "8:1 `dir` has no meaning with `source = \"files\"` -> it belongs to `source = \"generated\"`",
            "9:1 `client` has no meaning with `source = \"files\"` -> it belongs to `source = \"external\"`",
            "10:1 the passphrase needs exactly one source -> write one of { file = \"…\" }, { env = \"…\" } and { \
             prompt = true }",
            "10:22 \"a b\" is not a valid environment variable name",
        ],
    );
    check(
        "[ca]\nsource = \"external\"\ncertificate = \"c\"\nclient = \"c\"\nclient-key = \"c\"\n[nodes.b]\naddress = \"b\"\n\
         certificates = { server = \"s\", peer = \"p\" }\n",
        &[
            "4:8 a has no certificates -> with `source = \"external\"`, [nodes.a.certificates] needs `server`, \
             `server-key`, `peer` and `peer-key`",
            "13:1 missing key `server-key` in [nodes.b.certificates] -> add `server-key = \"server.key\"`",
            "13:1 missing key `peer-key` in [nodes.b.certificates] -> add `peer-key = \"peer.key\"`",
        ],
    );
    check(
        "[nodes.a.certificates]\nserver = \"s\"\nserver-key = \"s\"\npeer = \"p\"\npeer-key = \"p\"\n",
        &["6:10 the certificates of a are not used -> they are only used with `source = \"external\"` in [ca]"],
    );
}

/// Where etcd could not start again, or would start with nothing.
#[test]
fn what_the_unit_hides_and_what_a_boot_empties_is_no_place_for_etcd() {
    check(
        "[paths]\nconfig = \"/root/etcd/etcd.yaml\"\ndata = \"/home/etcd/data\"\ncertificates = \"/run/etcd/pki\"\nbinaries = \"/tmp/etcd\"\n",
        &[
            "7:10 `config` cannot be in /root [the unit hides it from etcd: ProtectHome=true] -> for example \
             \"/etc/etcd/etcd.yaml\"",
            "8:8 `data` cannot be in /home [the unit hides it from etcd: ProtectHome=true] -> for example \
             \"/var/lib/etcd\"",
            "9:16 `certificates` cannot be in /run [nothing is kept there for good] -> for example \"/etc/etcd/pki\"",
            "10:12 `binaries` cannot be in /tmp [nothing is kept there for good] -> for example \"/opt/etcd\"",
        ],
    );
    check(
        "[etcd.archive]\npreinstalled = \"/root/bin\"\n",
        &["7:16 `preinstalled` cannot be in /root [the unit hides it from etcd: ProtectHome=true] -> for example \
           \"/usr/bin\""],
    );
    // root takes the snapshots, so what is hidden from etcd is no matter.
    good("[backup]\nschedule = \"@daily\"\ndirectory = \"/home/backups\"\n");
    check(
        "[backup]\nschedule = \"@daily\"\ndirectory = \"/var/tmp/etcd\"\n",
        &["8:13 `directory` cannot be in /var/tmp [nothing is kept there for good] -> for example \
           \"/var/backups/etcd\""],
    );
}

#[test]
fn the_example_for_a_refused_path_is_one_that_is_taken() {
    let refused = [
        "/proc/etcd",
        "/sys/fs/etcd",
        "/dev/shm/etcd",
        "/proc",
        "/var/lib",
        "/usr/bin",
        "/opt",
        "/tmp",
        "/tmp//etcd",
        "/run/./x",
        "/home/etcd",
        "/root/x",
        "/var/run/etcd",
        "/etc",
        "/home//me/",
        "/var//lib",
        "/srv/a/",
    ];
    for key in [
        "[paths]\nconfig",
        "[paths]\ndata",
        "[paths]\ncertificates",
        "[paths]\nbinaries",
        "[backup]\nschedule = \"@daily\"\ndirectory",
    ] {
        for refused in refused {
            let text = format!("{VALID}{key} = \"{refused}\"\n");
            let Err(problems) = read(&text) else { continue };
            let shown = render(&problems, &text, "cluster.toml", false);
            let hint = problems[0].hint.as_deref().unwrap_or_default();
            let example = hint.split('"').nth(1).unwrap_or_else(|| panic!("no example: {shown}"));
            assert_ne!(example, refused, "{shown}");
            let taken = read(&format!("{VALID}{key} = \"{example}\"\n"));
            assert!(taken.is_ok(), "{shown}");
        }
    }
}
