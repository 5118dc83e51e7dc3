//! Whether the host can connect to the ports of the other nodes, as its own processes would.

use std::collections::BTreeMap;

use super::unreadable;
use crate::core::names::HostName;
use crate::core::observed::checkup::Way;
use crate::shell::live::probe::answer::Answer;
use crate::shell::live::probe::section::{Section, Subject, Words};
use crate::shell::live::probe::{Trouble, missing};

pub(super) struct Look;

impl Section for Look {
    type Fact = BTreeMap<(HostName, u16), Way>;

    const SHELL: &'static str = include_str!("ways.sh");

    const NEEDS: &'static [&'static str] = &["timeout"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let ways = ports(of).map(|(name, port)| format!("{name}={}={port}", of.desired.nodes[name].address));
        Some(vec![("q_ways", ways.collect::<Vec<_>>().join(" "))])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Self::Fact, Trouble> {
        if answer.lines("ways").any(|line| line == "no-bash") {
            return Err(Trouble::Unreadable("it has no bash to connect with".to_owned()));
        }
        let ways = answer.lines("ways").map(|line| way(line).ok_or_else(|| unreadable(line)));
        let ways: Self::Fact = ways.collect::<Result<_, _>>()?;
        match ports(of).all(|(name, port)| ways.contains_key(&(name.clone(), port))) {
            true => Ok(ways),
            false => Err(missing("some ports")),
        }
    }
}

/// Both ports of each other node.
fn ports<'a>(of: &Subject<'a>) -> impl Iterator<Item = (&'a HostName, u16)> + use<'a> {
    let (host, ports) = (of.host, of.desired.ports);
    let others = of.desired.nodes.keys().filter(move |name| *name != host);
    others.flat_map(move |name| [(name, ports.client), (name, ports.peer)])
}

/// `1 etcd-2 2380 Connection refused`: an exit status, a node, its port, and what bash says.
fn way(line: &str) -> Option<((HostName, u16), Way)> {
    let mut words = line.splitn(4, ' ');
    let (status, name, port) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
    let way = match (status, words.next().unwrap_or_default()) {
        ("0", _) => Way::Open,
        ("124", _) => Way::Silent,
        (_, "Connection refused") => Way::Refused,
        (_, said) => Way::Failed(said.to_owned()),
    };
    Some(((HostName::new(name), port), way))
}
