//! The matcher, case by case. `E` and `O` are two ed25519 keys, `C` an ECDSA one, `R` an RSA one.

use super::*;

const E: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINcF8sRO8fOqRGwKCr6tCFZ8uA9ZWc5PlUW0nr5X/liY";
const O: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAvaHWZIe1qYpYcwR4CFyILo4LteTSy600B3mjZnLaN/";
const C: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBJXOvJZMQf14O+0/LCgPgTqP8SEbinYAV3hMY08geO99PiS0lXGOYTtZGcQpl9kVrQjCCpOjie0gw2WEAgwqLfE=";
const R: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCUXLpWXvT7FWkicuQYO+W1ADQ0zG8orcAc7SM2TE0JQV71QAysT/lZdFzGdBcanvv3Q6vUopY76Mi67rkdB2CJKsboyui3CLqlkHFDCpgrsFLIzDK+n1+tgnFh9VgaJq7Bef9ph+O5e3SudOlhKmdFlzUUnmmqz5G5OlYHPM1pS0lsSEdkZeWQ3nvb+gnACkKVUzTZ0jSYBFL78ia727QfK3XH5EB+72xANkBDdVUCK+cl4AG2/avYlkKXDEqlJmMDY3/FGFe3t33h19MwkC0JLMtP2NRjWJYiYzZAYrq0WveKgfzROPSVN7uIQJ17rBY8RXp2tKHjjjwzzh3YdG9T";
/// `etcd-1.example` and `[etcd-1.example]:2222`, as ssh-keygen -H writes them.
const HASHED: &str = "|1|9VWdMULfL9ZDwVaBlaLmQNZnMJU=|1jtps4bVl6BynJOajFiByZpCjaQ=";
const HASHED_2222: &str = "|1|/+dfL2A4E7OljJzmnRnYXqezIDk=|3eBjleaG5C1twn2KR7mgw1epGC4=";

fn known(text: &str) -> KnownHosts {
    let mut known = KnownHosts::default();
    known.add(Path::new("kh"), text);
    known
}

/// `host:port` offers `key` to someone whose file is `text`: known, revoked N, changed N, or unknown.
fn verdict(text: &str, host: &str, key: &str) -> String {
    let (name, port) = host.rsplit_once(':').map_or((host, 22), |(name, port)| (name, port.parse().unwrap()));
    let blob = blob::of_line(key).unwrap();
    match known(text).check(&HostId::new(name, port, None), blob::algorithm(&blob).unwrap(), &blob) {
        Verdict::Known => "known".into(),
        Verdict::Revoked(place) => format!("revoked {}", place.line),
        Verdict::Changed { place, .. } => format!("changed {}", place.line),
        Verdict::Unknown { .. } => "unknown".into(),
    }
}

#[track_caller]
fn check(text: &str, host: &str, key: &str, expected: &str) {
    assert_eq!(verdict(text, host, key), expected, "{host} with the file:\n{text}");
}

#[test]
fn plain_names_and_lists() {
    check(&format!("etcd-1 {E}"), "etcd-1", E, "known");
    check(&format!("etcd-1 {E} a comment"), "ETCD-1", E, "known");
    check(&format!("Etcd-1 {E}"), "etcd-1", E, "known");
    check(&format!("a,etcd-1,10.0.0.1 {E}"), "10.0.0.1", E, "known");
    check(&format!("etcd-1 {E}"), "etcd-2", E, "unknown");
    check("", "etcd-1", E, "unknown");
    check(&format!("fd00::1 {E}"), "fd00::1:22", E, "known");
}

#[test]
fn hashed_names() {
    check(&format!("{HASHED} {E}"), "etcd-1.example", E, "known");
    check(&format!("{HASHED} {E}"), "etcd-2.example", E, "unknown");
    check(&format!("{HASHED_2222} {E}"), "etcd-1.example:2222", E, "known");
    check(&format!("{HASHED_2222} {E}"), "etcd-1.example", E, "unknown");
    check(&format!("{HASHED} {O}"), "etcd-1.example", E, "changed 1");
    check(&format!("@revoked {HASHED} {E}"), "etcd-1.example", E, "revoked 1");
}

#[test]
fn wildcards_and_negation() {
    check(&format!("*.example {E}"), "etcd-1.example", E, "known");
    check(&format!("etcd-?.example {E}"), "etcd-1.example", E, "known");
    check(&format!("etcd-?.example {E}"), "etcd-11.example", E, "unknown");
    check(&format!("*.example,!etcd-1.example {E}"), "etcd-1.example", E, "unknown");
    check(&format!("!etcd-1.example,*.example {E}"), "etcd-1.example", E, "unknown");
    check(&format!("*.example,!etcd-1.example {E}"), "etcd-2.example", E, "known");
    check(&format!("!etcd-1 {E}"), "etcd-2", E, "unknown");
    check(&format!("[127.0.0.*]:2222 {E}"), "127.0.0.1:2222", E, "known");
    check(&format!("[127.0.0.*]:2222 {E}"), "127.0.0.1:2223", E, "unknown");
    check(&format!("* {E}"), "anything:99", E, "known");
}

#[test]
fn ports() {
    check(&format!("[etcd-1]:2222 {E}"), "etcd-1:2222", E, "known");
    check(&format!("[etcd-1]:2222 {E}"), "etcd-1", E, "unknown");
    // As OpenSSH: a key known for the host without a port is good on any port; another key there proves no change.
    check(&format!("etcd-1 {E}"), "etcd-1:2222", E, "known");
    check(&format!("etcd-1 {O}"), "etcd-1:2222", E, "unknown");
    check(&format!("[etcd-1]:2222 {O}\netcd-1 {E}"), "etcd-1:2222", E, "known");
    check(&format!("[etcd-1]:22 {E}"), "etcd-1", E, "unknown");
}

#[test]
fn revoked_wins_over_everything() {
    check(&format!("etcd-1 {E}\n@revoked etcd-1 {E}"), "etcd-1", E, "revoked 2");
    check(&format!("@revoked * {E}\netcd-1 {E}"), "etcd-1", E, "revoked 1");
    check(&format!("@revoked * {E}\n[etcd-1]:2222 {E}"), "etcd-1:2222", E, "revoked 1");
    check(&format!("@revoked etcd-1 {E}\n[etcd-1]:2222 {E}"), "etcd-1:2222", E, "revoked 1");
    check(&format!("@revoked etcd-1 {O}\netcd-1 {E}"), "etcd-1", E, "known");
    check(&format!("@revoked etcd-1 {O}"), "etcd-1", E, "unknown");
}

#[test]
fn changed_means_the_same_type() {
    check(&format!("etcd-1 {O}"), "etcd-1", E, "changed 1");
    check(&format!("etcd-1 {C}\n# comment\n\netcd-1 {O}"), "etcd-1", E, "changed 4");
    check(&format!("etcd-1 {O}\netcd-1 {E}"), "etcd-1", E, "known");
    check(&format!("etcd-1 {C}"), "etcd-1", E, "unknown");
    check(&format!("etcd-1 {R}"), "etcd-1", R, "known");
}

#[test]
fn authorities_are_not_keys_and_are_mentioned() {
    check(&format!("@cert-authority *.example {E}"), "etcd-1.example", E, "unknown");
    let known = known(&format!("@cert-authority *.example {E}\nbroken line\nother-broken\n*.example {C}"));
    let host = HostId::new("etcd-1.example", 22, None);
    assert_eq!(known.algorithms(&host), ["ecdsa-sha2-nistp256"]);
    let Verdict::Unknown { note: Some(note) } = known.check(&host, "ssh-ed25519", b"x") else {
        panic!("unknown, with a note")
    };
    assert_eq!(
        note,
        "kh:4 has a key of a different type for it (ecdsa-sha2-nistp256); kh:1 trusts a certificate authority for it, \
         but host certificates are not supported; kh:2 and 1 more could not be read"
    );
}

#[test]
fn bad_lines_are_skipped() {
    let unknown_type = "etcd-1 ssh-future AAAAC3NzaC1lZDI1NTE5AAAAINcF8sRO8fOqRGwKCr6tCFZ8uA9ZWc5PlUW0nr5X/liY";
    for bad in [
        "garbage",
        "etcd-1 ssh-ed25519 not!base64",
        "@unknown etcd-1 x y",
        "|1|bad|x ssh-ed25519 AAAA",
        unknown_type,
        "\u{0}\u{fffd}",
    ] {
        check(&format!("{bad}\netcd-1 {E}"), "etcd-1", E, "known");
    }
    // A key whose named type is not its own is no key.
    check(&format!("etcd-1 ssh-rsa {}", E.split_once(' ').unwrap().1), "etcd-1", E, "unknown");
}

#[test]
fn algorithms_to_ask_for() {
    let text = format!("etcd-1 {C}\n[etcd-1]:2222 {R}\netcd-2 {E}\n@revoked etcd-1 {E}");
    assert_eq!(known(&text).algorithms(&HostId::new("etcd-1", 22, None)), ["ecdsa-sha2-nistp256"]);
    assert_eq!(known(&text).algorithms(&HostId::new("etcd-1", 2222, None)), ["ecdsa-sha2-nistp256", "ssh-rsa"]);
    assert!(known(&text).algorithms(&HostId::new("etcd-3", 22, None)).is_empty());
}

#[test]
fn an_alias_is_looked_up_without_the_port() {
    let text = format!("cluster-key {E}");
    let blob = blob::of_line(E).unwrap();
    let id = HostId::new("10.0.0.1", 2222, Some("Cluster-Key"));
    assert_eq!(known(&text).check(&id, "ssh-ed25519", &blob), Verdict::Known);
    assert_eq!(line_for(&id, "ssh-ed25519", &blob), text);
}

#[test]
fn patterns() {
    for (pattern, name, expected) in [
        ("", "", true),
        ("*", "", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("*ab", "aab", true),
        ("?", "", false),
        ("a", "ab", false),
        ("**", "x", true),
    ] {
        assert_eq!(matches_pattern(pattern, name), expected, "{pattern} against {name}");
    }
}
