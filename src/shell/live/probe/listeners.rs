//! Who listens on the ports that etcd needs.

use std::collections::BTreeMap;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::desired::Ports;

pub(super) struct Look;

pub(super) struct Listeners {
    /// Each of our ports that somebody listens on, with the user who does.
    users: Vec<(u16, u32)>,
    /// The programs behind them, where the script has looked for them.
    holders: BTreeMap<u16, String>,
    /// The process of a recovery that was killed.
    forced: Option<String>,
    /// The ports that the running etcd listens on, where the script has looked for them.
    pub own: Vec<u16>,
}

impl Section for Look {
    type Fact = Listeners;

    const SHELL: &'static str = include_str!("listeners.sh");

    const NEEDS: &'static [&'static str] = &["grep"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let hex = |port: u16| format!("{port:04X}");
        Some(vec![
            ("q_ports_hex", of_etcd(of.desired.ports).map(hex).join("|")),
            ("q_client_port_hex", hex(of.desired.ports.client)),
        ])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Listeners, Trouble> {
        let ours = of_etcd(of.desired.ports);
        let users = answer.lines("listeners").filter_map(listener).filter(|(port, _)| ours.contains(port));
        let mut own: Vec<u16> = answer.lines("own").filter_map(port).collect();
        own.sort_unstable();
        own.dedup();
        own.truncate(OWN_PORTS_MAX);
        Ok(Listeners {
            users: users.collect(),
            holders: answer.lines("holders").filter_map(holder).collect(),
            forced: answer.lines("forced").next().filter(|pid| *pid != "0").map(|pid| format!("(process {pid})")),
            own,
        })
    }
}

impl Listeners {
    /// Each port that something other than a process of `uid`, or of ours, listens on, and what that is.
    pub fn others(&self, uid: Option<u32>) -> BTreeMap<u16, String> {
        let others = self.users.iter().filter(|(_, user)| Some(*user) != uid);
        let named = others.map(|(port, user)| {
            let holder = self.holders.get(port).cloned();
            (*port, holder.unwrap_or_else(|| format!("a program of user {user}")))
        });
        let is_forced = |holder: &str| self.forced.as_ref().is_some_and(|forced| holder.ends_with(forced));
        named.filter(|(_, holder)| !is_forced(holder)).collect()
    }
}

fn of_etcd(ports: Ports) -> [u16; 3] {
    [ports.client, ports.peer, ports.metrics]
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
