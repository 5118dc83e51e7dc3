//! From which of its addresses the host speaks to the other nodes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::names::HostName;

pub(super) struct Look;

impl Section for Look {
    /// Of the nodes that are declared by an address; a name would have to be looked up first. Without a route, or without
    /// `ip`, nothing is known.
    type Fact = BTreeMap<HostName, IpAddr>;

    const SHELL: &'static str = include_str!("sources.sh");

    fn words(of: &Subject<'_>) -> Option<Words> {
        let peers: Vec<_> = peers(of).map(|(_, address)| address.to_string()).collect();
        (!peers.is_empty()).then(|| vec![("q_peers", peers.join(" "))])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Self::Fact, Trouble> {
        let routes: BTreeMap<IpAddr, IpAddr> = answer.lines("sources").filter_map(route).collect();
        Ok(peers(of).filter_map(|(name, address)| Some((name.clone(), *routes.get(&address)?))).collect())
    }
}

fn peers<'a>(of: &Subject<'a>) -> impl Iterator<Item = (&'a HostName, IpAddr)> + use<'a> {
    let host = of.host;
    let others = of.desired.nodes.iter().filter(move |(name, _)| *name != host);
    others.filter_map(|(name, node)| Some((name, node.address.parse().ok()?)))
}

/// `10.0.0.12 via 10.0.0.1 dev eth0 src 10.0.0.11 uid 0 \    cache`, with the kind of the route before it where it is not
/// a plain one (`local`).
fn route(line: &str) -> Option<(IpAddr, IpAddr)> {
    let mut words = line.split_whitespace();
    let to = words.by_ref().take(2).find_map(|word| word.parse().ok())?;
    words.find(|word| *word == "src")?;
    Some((to, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_stands_behind_its_word() {
        let of = |line: &str| route(line).map(|(to, from)| format!("{to} from {from}"));
        let plain = "10.0.0.12 dev eth0 src 10.0.0.99 uid 0 \\    cache ";
        assert_eq!(of(plain).as_deref(), Some("10.0.0.12 from 10.0.0.99"));
        let routed = "fd00::2 from :: via fe80::1 dev eth0 proto ra src fd00::1 metric 100 pref medium";
        assert_eq!(of(routed).as_deref(), Some("fd00::2 from fd00::1"));
        assert_eq!(of("local 10.0.0.1 dev lo src 10.0.0.1 uid 0").as_deref(), Some("10.0.0.1 from 10.0.0.1"));
        assert_eq!(of("unreachable 10.0.0.12 dev lo"), None);
        assert_eq!(of(""), None);
    }
}
