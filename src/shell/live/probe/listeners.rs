//! Who listens on the ports that etcd needs.

use std::collections::{BTreeMap, BTreeSet};

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
    /// The first port on which not only root may listen, where that is known.
    unprivileged: Option<u16>,
    /// The ports that the running etcd listens on, where the script has looked for them.
    pub own: Vec<u16>,
}

impl Section for Look {
    type Fact = Listeners;

    const SHELL: &'static str = include_str!("listeners.sh");

    const NEEDS: &'static [&'static str] = &["grep"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let ports = of_etcd(of.desired.ports);
        Some(vec![
            ("q_ports", ports.map(|port| format!("sport = :{port}")).join(" or ")),
            ("q_ports_hex", ports.map(|port| format!("{port:04X}")).join("|")),
            ("q_client_port", of.desired.ports.client.to_string()),
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
            unprivileged: answer.value("listeners", "unprivileged").and_then(|first| first.parse().ok()),
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

impl Listeners {
    /// Those of our ports on which only root may listen, and on which no process of `uid` does.
    pub fn privileged(&self, ports: Ports, uid: Option<u32>) -> BTreeSet<u16> {
        let listens = |port: u16| self.users.iter().any(|(on, user)| *on == port && Some(*user) == uid);
        let is_roots = |port: &u16| self.unprivileged.is_some_and(|first| *port < first) && !listens(*port);
        of_etcd(ports).into_iter().filter(is_roots).collect()
    }
}

fn of_etcd(ports: Ports) -> [u16; 3] {
    [ports.client, ports.peer, ports.metrics]
}

/// etcd listens for clients, peers and metrics.
const OWN_PORTS_MAX: usize = 4;

/// `2379 999`: a port and the user who listens on it.
fn listener(line: &str) -> Option<(u16, u32)> {
    let (port, user) = line.split_once(' ')?;
    Some((port.parse().ok()?, user.parse().ok()?))
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

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;

    use super::*;

    /// Some hosts have no ss, and then the kernel's table says the same.
    #[test]
    fn with_and_without_ss_the_same_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has one").port();
        let here = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        let kept = listener.accept().expect("it was connected to");
        let user = Command::new("id").arg("-u").output().expect("it is everywhere").stdout;
        let user = String::from_utf8(user).expect("a number").trim().to_owned();
        let told = |ss: &str| {
            let script = format!(
                "newline='\n' tab='\t' uid={user} pid=1 q_client_port={port} q_ports='sport = :{port}' \
                 q_ports_hex={port:04X}\n{ss}\n{}\nlook_listeners; echo \"$connected\"",
                Look::SHELL
            );
            let output = Command::new("sh").args(["-c", &script]).output().expect("it is everywhere");
            let text = String::from_utf8(output.stdout).expect("it is text");
            let lines = text.lines().filter(|line| !line.starts_with("unprivileged="));
            lines.map(|line| format!("{line}\n")).collect::<String>()
        };
        let without = told("ss() { return 127; }");
        assert_eq!(without, format!("{port} {user}\n 0100007F\n"));
        if Command::new("ss").arg("-V").output().is_ok_and(|output| output.status.success()) {
            assert_eq!(told(""), format!("{port} {user}\n 127.0.0.1\n"));
        }
        drop((here, kept));
    }

    /// In a shell an address in brackets is a pattern of names of files.
    #[test]
    fn no_file_takes_the_place_of_an_address() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::fs::write(folder.path().join("1"), "").expect("it is ours");
        let script = format!(
            "newline='\n' tab='\t' uid=1 pid=1 q_client_port=2379 q_ports=x q_ports_hex=x q_trust=/dev/null\n\
             ss() {{ echo 'ESTAB 0 0 [::ffff:10.0.0.1]:2379 [::ffff:10.82.0.51]:41822 uid:1'; }}\n{}\n{}\n\
             look_listeners; look_clients",
            Look::SHELL,
            super::super::clients::Look::SHELL
        );
        let output =
            Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().expect("it is everywhere");
        let text = String::from_utf8(output.stdout).expect("it is text");
        assert!(text.ends_with("\n[::ffff:10.82.0.51]\n"), "{text}");
    }
}
