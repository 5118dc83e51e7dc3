//! Who else listens on the ports that etcd needs.

use std::collections::BTreeMap;

use super::Answer;
use crate::desired::Desired;

/// Each port that something other than the process of `uid` listens on, and what that is.
pub(super) fn taken_ports(desired: &Desired, answer: &Answer, uid: Option<u32>) -> BTreeMap<u16, String> {
    let ports = desired.ports;
    let ours = [ports.client, ports.peer, ports.metrics];
    let listeners = answer.lines("listeners").filter_map(of_ss).chain(answer.lines("tcp").filter_map(of_proc));
    let others = listeners.filter(|listener| ours.contains(&listener.port) && Some(listener.uid) != uid);
    others.map(|listener| (listener.port, listener.holder)).collect()
}

/// The ports that the running etcd listens on, where the script has looked for them.
pub(super) fn own_ports(answer: &Answer) -> Vec<u16> {
    let mut ports: Vec<u16> = answer.lines("own").filter_map(of_ss).map(|listener| listener.port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports.truncate(OWN_PORTS_MAX);
    ports
}

/// etcd listens for clients, peers and metrics.
const OWN_PORTS_MAX: usize = 4;

struct Listener {
    port: u16,
    uid: u32,
    holder: String,
}

/// `LISTEN 0 511 0.0.0.0:2379 0.0.0.0:* users:(("nginx",pid=12,fd=6)) uid:33 ino:1 sk:1`; root's uid is left out.
fn of_ss(line: &str) -> Option<Listener> {
    let local = line.split_whitespace().nth(3)?;
    let port = local.rsplit_once(':')?.1.parse().ok()?;
    let uid = line.split_whitespace().find_map(|word| word.strip_prefix("uid:")).unwrap_or("0").parse().ok()?;
    let holder = line.split_once("users:((\"").and_then(|(_, users)| {
        let (name, rest) = users.split_once("\",pid=")?;
        let (pid, _) = rest.split_once(',')?;
        Some(format!("{name} (process {pid})"))
    });
    Some(Listener { port, uid, holder: holder.unwrap_or_else(|| "an unknown program".to_owned()) })
}

/// A line of /proc/net/tcp: `0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000 33 …`.
fn of_proc(line: &str) -> Option<Listener> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let port = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
    let uid = fields.get(7)?.parse().ok()?;
    Some(Listener { port, uid, holder: format!("a program of user {uid}") })
}
