//! From which of its addresses the host speaks to the other nodes, and whether it has the one that is declared.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::names::HostName;

pub(super) struct Look;

/// Without a route, or without `ip`, nothing is known.
pub(super) struct Sources {
    /// Of the nodes that are declared by an address; a name would have to be looked up first.
    pub sources: BTreeMap<HostName, IpAddr>,
    /// The declared address is on no interface.
    pub lacks_address: bool,
}

impl Section for Look {
    type Fact = Sources;

    const SHELL: &'static str = include_str!("sources.sh");

    fn words(of: &Subject<'_>) -> Option<Words> {
        let peers: Vec<_> = peers(of).map(|(_, address)| address.to_string()).collect();
        let address = own_address(of).map_or_else(String::new, |address| address.to_string());
        Some(vec![("q_address", address), ("q_peers", peers.join(" "))])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Self::Fact, Trouble> {
        let routes: BTreeMap<IpAddr, IpAddr> = answer.lines("sources").filter_map(route).collect();
        let sources = peers(of).filter_map(|(name, address)| Some((name.clone(), *routes.get(&address)?))).collect();
        let has: BTreeSet<IpAddr> = answer.lines("sources").filter_map(interface_address).collect();
        let is_any_allowed = answer.value("sources", "nonlocal").is_some();
        let lacks = |own| !has.is_empty() && !has.contains(&own) && !is_any_allowed;
        Ok(Sources { sources, lacks_address: own_address(of).is_some_and(lacks) })
    }
}

/// A node that is declared by a name listens on all of its addresses.
fn own_address(of: &Subject<'_>) -> Option<IpAddr> {
    of.desired.nodes.get(of.host)?.address.parse().ok()
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

/// `2: eth0    inet 10.0.0.11/24 brd 10.0.0.255 scope global eth0\       valid_lft forever …`
fn interface_address(line: &str) -> Option<IpAddr> {
    let mut words = line.split_whitespace().skip_while(|word| !matches!(*word, "inet" | "inet6"));
    let (address, _) = words.nth(1)?.split_once('/')?;
    address.parse().ok()
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
    #[test]
    fn an_address_stands_before_its_prefix() {
        let of = |line: &str| interface_address(line).map(|address| address.to_string());
        let plain = "2: eth0    inet 10.0.0.11/24 brd 10.0.0.255 scope global eth0\\       valid_lft forever";
        assert_eq!(of(plain).as_deref(), Some("10.0.0.11"));
        assert_eq!(of("2: eth0    inet6 fd00::1/64 scope global").as_deref(), Some("fd00::1"));
        assert_eq!(of("10.0.0.12 dev eth0 src 10.0.0.99 uid 0"), None);
    }
}
