//! Who has a connection to the client port.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::content::layout;
use crate::core::observed::{Client, File};

pub(super) struct Look;

/// etcd itself, whose gateway is its own client, and who carries our own questions.
const OURS: [&str; 4] = ["etcd", "sshd", "sshd-session", "ss"];

impl Section for Look {
    type Fact = BTreeSet<Client>;

    const SHELL: &'static str = include_str!("clients.sh");

    const NEEDS: &'static [&'static str] = &["grep", "head"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let port = of.desired.ports.client;
        Some(vec![
            ("q_client_port", port.to_string()),
            ("q_trust", layout::common_path(of.desired, File::Trust).to_string()),
        ])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<BTreeSet<Client>, Trouble> {
        let far = answer.lines("clients").filter_map(address).filter(|address| !address.is_loopback());
        let near = answer.lines("programs").filter_map(program).filter(|program| !OURS.contains(&program.as_str()));
        Ok(far.map(Client::Address).chain(near.map(Client::Program)).collect())
    }
}

/// The other end: `[::ffff:10.82.0.51]` or `fe80::1%eth0`, as ss has it, or as /proc/net/tcp does.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let (bare, _) = bare.split_once('%').unwrap_or((bare, ""));
    bare.parse().ok().map(|address: IpAddr| address.to_canonical()).or_else(|| of_the_kernel(text))
}

/// Of `3300520A`: words of four bytes whose order is the machine's.
fn of_the_kernel(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_le_bytes);
    match hex.len() {
        8 => word(0).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// Of a line of ss: `0 0 10.0.0.11:41822 10.0.0.11:2379 users:(("kube-apiserver",pid=12,fd=6))`. One whose other end is another
/// machine is told by that.
fn program(line: &str) -> Option<String> {
    let mut ends = line.split_whitespace().skip(2).map(|end| end.rsplit_once(':').map(|(address, _)| address));
    let (own, other) = (ends.next()??, ends.next()??);
    let (name, _) = line.split_once("users:((\"")?.1.split_once('"')?;
    (own == other).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_ss_and_the_kernel_write_it() {
        let read = |line: &str| address(line).map(|address| address.to_string());
        assert_eq!(read("10.82.0.51").as_deref(), Some("10.82.0.51"));
        assert_eq!(read("[::ffff:10.82.0.51]").as_deref(), Some("10.82.0.51"));
        assert_eq!(read("[fe80::1%eth0]").as_deref(), Some("fe80::1"));
        assert_eq!(read("[2001:db8::1]").as_deref(), Some("2001:db8::1"));
        assert_eq!(read("3300520A").as_deref(), Some("10.82.0.51"));
        assert_eq!(read("0000000000000000FFFF00003300520A").as_deref(), Some("10.82.0.51"));
        assert_eq!(read("B80D0120000000000000000001000000").as_deref(), Some("2001:db8::1"));
        for other in ["", "33", "GG00520A", "é300520"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_program_is_told_by_its_name() {
        let of =
            |own: &str, other: &str| program(&format!("0 0 {own} {other} users:((\"kube-apiserver\",pid=12,fd=6))"));
        let told = Some("kube-apiserver".to_owned());
        assert_eq!(of("127.0.0.1:41822", "127.0.0.1:2379"), told);
        assert_eq!(of("[::ffff:10.0.0.11]:41822", "[::ffff:10.0.0.11]:2379"), told);
        assert_eq!(of("10.0.0.12:41822", "10.0.0.11:2379"), None);
        assert_eq!(program("0 0 127.0.0.1:41822 127.0.0.1:2379"), None);
    }
}
