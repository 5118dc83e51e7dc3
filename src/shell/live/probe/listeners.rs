//! Who else listens on the ports that etcd needs.

use std::collections::BTreeMap;

use super::Answer;
use crate::core::desired::Desired;

/// Each port that something other than a process of `uid`, or of ours, listens on, and what that is.
pub(super) fn taken_ports(desired: &Desired, answer: &Answer, uid: Option<u32>) -> BTreeMap<u16, String> {
    let ports = desired.ports;
    let ours = [ports.client, ports.peer, ports.metrics];
    let holders: BTreeMap<u16, String> = answer.lines("holders").filter_map(holder).collect();
    let listeners = answer.lines("listeners").filter_map(listener);
    let others = listeners.filter(|(port, listener)| ours.contains(port) && Some(*listener) != uid);
    let forced = answer.lines("forced").next().filter(|pid| *pid != "0").map(|pid| format!("(process {pid})"));
    let named = others.map(|(port, uid)| {
        let holder = holders.get(&port).cloned();
        (port, holder.unwrap_or_else(|| format!("a program of user {uid}")))
    });
    named.filter(|(_, holder)| forced.as_ref().is_none_or(|forced| !holder.ends_with(forced))).collect()
}

/// The ports that the running etcd listens on, where the script has looked for them.
pub(super) fn own_ports(answer: &Answer) -> Vec<u16> {
    let mut ports: Vec<u16> = answer.lines("own").filter_map(port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports.truncate(OWN_PORTS_MAX);
    ports
}

/// etcd listens for clients, peers and metrics.
const OWN_PORTS_MAX: usize = 4;

/// Port and user of a line of /proc/net/tcp: `0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000 33 …`.
fn listener(line: &str) -> Option<(u16, u32)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let port = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
    Some((port, fields.get(7)?.parse().ok()?))
}

/// Of a line of ss: `LISTEN 0 511 0.0.0.0:2379 0.0.0.0:* users:(("nginx",pid=12,fd=6))`.
fn port(line: &str) -> Option<u16> {
    line.split_whitespace().nth(3)?.rsplit_once(':')?.1.parse().ok()
}

fn holder(line: &str) -> Option<(u16, String)> {
    let (name, rest) = line.split_once("users:((\"")?.1.split_once("\",pid=")?;
    let (pid, _) = rest.split_once(',')?;
    Some((port(line)?, format!("{name} (process {pid})")))
}
