//! The addresses of the host, and from which of them it speaks to each other node.

use super::unreadable;
use crate::core::names::HostName;
use crate::core::observed::checkup::Network;
use crate::shell::live::probe::Trouble;
use crate::shell::live::probe::answer::Answer;
use crate::shell::live::probe::section::{Section, Subject, Words};

pub(super) struct Look;

impl Section for Look {
    type Fact = Network;

    const SHELL: &'static str = include_str!("network.sh");

    const NEEDS: &'static [&'static str] = &["getent", "ip", "timeout"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let peers = of.desired.nodes.iter().filter(|(name, _)| *name != of.host);
        let peers: Vec<_> = peers.map(|(name, node)| format!("{name}={}", node.address)).collect();
        Some(vec![("q_peers", peers.join(" "))])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<Network, Trouble> {
        let source = |line: &str| {
            let (peer, address) = line.split_once(' ').ok_or_else(|| unreadable(line))?;
            Ok((HostName::new(peer), address.to_owned()))
        };
        Ok(Network {
            addresses: answer.values("network", "own").map(str::to_owned).collect(),
            sources: answer.values("network", "peer").map(source).collect::<Result<_, _>>()?,
        })
    }
}
