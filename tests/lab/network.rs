//! One bridge per lab, and per host a network namespace with a veth on it.
//!
//! ```text
//! qlab7-br 10.77.7.1/24 ──┬── qlab7-1 ═ eth0 10.77.7.11 in namespace qlab7-1
//!                         └── qlab7-2 ═ eth0 10.77.7.12 in namespace qlab7-2
//! ```

use std::net::Ipv4Addr;
use std::process::Command;

use super::Result;
use super::command::{QUICK, run, succeed};
use super::registry::{host_label, lab_prefix};

pub fn address(id: u8, number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, id, 10 + number)
}

/// The lab's bridge; this machine is 10.77.ID.1 on it.
pub fn create_bridge(id: u8) -> Result<()> {
    let bridge = bridge(id);
    ip_batch(
        None,
        &format!(
            "link add {bridge} type bridge\n\
             address add 10.77.{id}.1/24 dev {bridge}\n\
             link set {bridge} up\n"
        ),
    )
}

/// A new namespace, connected and empty of rules: as a machine's network is when it boots.
pub fn plug_in(id: u8, number: u8) -> Result<()> {
    let (label, bridge) = (host_label(id, number), bridge(id));
    ip_batch(
        None,
        &format!(
            "netns add {label}\n\
             link add {label} type veth peer name eth0 netns {label}\n\
             link set {label} master {bridge} up\n"
        ),
    )?;
    let address = address(id, number);
    // The hardware address stays over power cycles, as a machine's does; the others would ask for the old one a while.
    ip_batch(
        Some(&label),
        &format!(
            "link set lo up\n\
             link set eth0 address 02:71:6c:{id:02x}:00:{number:02x}\n\
             address add {address}/24 dev eth0\n\
             link set eth0 up\n\
             route add default via 10.77.{id}.1\n"
        ),
    )
}

/// Takes the link away at once: no packet leaves, not even the reset of a connection whose process dies.
pub fn unplug(id: u8, number: u8) -> Result<()> {
    let mut delete = ip();
    delete.args(["link", "delete", &host_label(id, number)]);
    run(&mut delete, b"", QUICK).map(|_gone_already_is_fine| ())
}

/// Forgets the namespace; the kernel frees it when its last process is gone.
pub fn forget(id: u8, number: u8) -> Result<()> {
    let mut delete = ip();
    delete.args(["netns", "delete", &host_label(id, number)]);
    run(&mut delete, b"", QUICK).map(|_gone_already_is_fine| ())
}

/// Drops all packets of a host, both ways and with open connections, except on its loopback.
pub fn cut(id: u8, number: u8) -> Result<()> {
    drop_packets(id, number, "", "")
}

/// Drops only the packets between a host and another.
pub fn cut_between(id: u8, number: u8, other: Ipv4Addr) -> Result<()> {
    drop_packets(id, number, &format!("ip saddr {other}"), &format!("ip daddr {other}"))
}

fn drop_packets(id: u8, number: u8, incoming: &str, outgoing: &str) -> Result<()> {
    // Adding to the table, so that several cuts go together; priority -300 is before any firewall of the host.
    let rules = format!(
        "table inet quorate_lab {{\n\
         chain in {{ type filter hook input priority -300; iifname != \"lo\" {incoming} drop; }}\n\
         chain out {{ type filter hook output priority -300; oifname != \"lo\" {outgoing} drop; }}\n}}\n"
    );
    nft(id, number, &rules)
}

/// Takes every cut of this host away.
pub fn heal(id: u8, number: u8) -> Result<()> {
    nft(id, number, "table inet quorate_lab\ndelete table inet quorate_lab\n")
}

fn nft(id: u8, number: u8, rules: &str) -> Result<()> {
    let mut nft = ip();
    nft.args(["netns", "exec", &host_label(id, number), "nft", "-f", "-"]);
    succeed(&mut nft, rules.as_bytes(), QUICK).map(|_silent| ())
}

/// Removes the bridge, links and namespaces of a lab, whichever there are.
pub fn remove(id: u8) -> Result<()> {
    let prefix = lab_prefix(id);
    let links = succeed(ip().args(["-brief", "link", "show"]), b"", QUICK)?;
    let names = links.lines().filter_map(|line| line.split(['@', ' ']).next());
    let mut batch: String =
        names.filter(|name| name.starts_with(&prefix)).map(|name| format!("link delete {name}\n")).collect();
    let namespaces = succeed(ip().args(["netns", "list"]), b"", QUICK)?;
    let names = namespaces.lines().filter_map(|line| line.split(' ').next());
    batch.extend(names.filter(|name| name.starts_with(&prefix)).map(|name| format!("netns delete {name}\n")));
    if batch.is_empty() { Ok(()) } else { ip_batch(None, &batch) }
}

fn bridge(id: u8) -> String {
    format!("{}br", lab_prefix(id))
}

fn ip_batch(namespace: Option<&str>, lines: &str) -> Result<()> {
    let mut command = ip();
    if let Some(namespace) = namespace {
        command.args(["-n", namespace]);
    }
    command.args(["-batch", "-"]);
    succeed(&mut command, lines.as_bytes(), QUICK).map(|_silent| ())
}

fn ip() -> Command {
    Command::new("ip")
}
