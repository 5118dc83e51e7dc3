//! The machines that cluster.toml does not declare, and that are, or until lately were, members.
//!
//! They are known from the member list and from the notes of removals alone. While there are none, they cost nothing.

use std::collections::BTreeMap;

use crate::core::cluster::departed::{departed_key, noted};
use crate::core::cluster::quorum::Membership;
use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::names::canonical;
use crate::core::names::{HostName, PeerUrl};
use crate::core::observed::departure::Departure;
use crate::core::observed::{Cause, Former, Host, MemberEntry, Observed, Seen};

/// What leads to a machine that is not declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lead {
    /// The member's name.
    pub name: HostName,
    pub peer_url: PeerUrl,
    /// Why that machine must not be taken for the member's.
    pub obstacle: Option<Cause>,
}

/// The members that no declared host runs, and those that are noted as leaving.
pub(super) fn found(desired: &Desired, observed: &Observed) -> BTreeMap<HostName, Lead> {
    let mut found = BTreeMap::new();
    for departure in noted(observed) {
        // A machine that is declared is looked at anyhow.
        let Some(key) = departed_key(desired, &departure) else { continue };
        let Departure { peer_url, .. } = departure;
        let name = key.as_str().split_once('@').map_or(key.as_str(), |(name, _)| name);
        found.insert(key.clone(), lead(desired, &key, HostName::new(name), peer_url));
    }
    let members = Membership::of(desired, observed).map(|membership| membership.members).unwrap_or_default();
    for member in members.into_iter().filter(|member| !member.declared) {
        let MemberEntry { name, peer_urls, .. } = member.entry;
        let (key, Some(peer_url)) = (member.host, peer_urls.into_iter().next()) else { continue };
        let name = name.unwrap_or_else(|| key.clone());
        found.insert(key.clone(), lead(desired, &key, name, peer_url));
    }
    found
}

fn lead(desired: &Desired, key: &HostName, name: HostName, peer_url: PeerUrl) -> Lead {
    let address = canonical(peer_url.address());
    let owner = desired.nodes.iter().find(|(_, node)| canonical(&node.address) == address);
    let unusable = address.is_empty() || address.contains('@');
    let why = match owner {
        // What is cleared away there would be the declared member's.
        Some((owner, _)) => {
            Some(format!("{key} was not looked up at {address}, which cluster.toml assigns to {owner}"))
        }
        None => unusable.then(|| format!("{key} has a peer URL without a usable address: {peer_url}")),
    };
    Lead { name, peer_url, obstacle: why.map(obstacle) }
}

/// Each lead with what was seen there. A machine that turns out to be a declared one is not seen under a second name.
pub(super) fn seen(
    observed: &Observed,
    found: BTreeMap<HostName, Lead>,
    mut looked_at: BTreeMap<HostName, Seen<Host>>,
    declared_as: impl Fn(&HostName) -> Option<HostName>,
) -> BTreeMap<HostName, Former> {
    let former = |(key, lead): (HostName, Lead)| {
        let host = match (lead.obstacle, looked_at.remove(&key)) {
            (Some(cause), _) => Seen::Unknown(cause),
            (None, Some(host)) => match declared_as(&key).or_else(|| answers_as(observed, &host)) {
                None => host,
                Some(declared) => {
                    Seen::Unknown(obstacle(format!("the machine of {key} is {declared} in cluster.toml")))
                }
            },
            (None, None) => Seen::Unknown(obstacle(format!("{key} was not looked at"))),
        };
        let address = lead.peer_url.address().to_owned();
        (key, Former { name: lead.name, address, peer_url: lead.peer_url, host })
    };
    found.into_iter().map(former).collect()
}

/// The declared host through which the same member answered.
fn answers_as(observed: &Observed, host: &Seen<Host>) -> Option<HostName> {
    let id = host.known()?.answer()?.member;
    let same = observed.seen_hosts().find(|(_, declared)| declared.answer().is_some_and(|answer| answer.member == id));
    same.map(|(host, _)| host.clone())
}

/// Why nothing is looked at, and so nothing is done, under this name.
fn obstacle(summary: String) -> Cause {
    Cause { code: Code::HostUnreachable, summary, hint: None }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::core::names::UnixSeconds;
    use crate::core::observed::{Access, File, FileFact};
    use crate::core::planner::world;

    fn desired(hosts: &[u8]) -> Desired {
        let nodes: String =
            hosts.iter().map(|host| format!("[nodes.etcd-{host}]\naddress = \"10.0.0.{host}\"\n")).collect();
        let text = format!(
            "[cluster]\nname = \"lab\"\nversion = \"3.5.30\"\n{nodes}\
             [etcd.archive]\npath = \"etcd.tar.gz\"\nsha256 = {{ amd64 = \"{}\" }}\n",
            "0".repeat(64)
        );
        crate::core::desired::read::parse(&text, "cluster.toml", Path::new("/here"), None)
            .expect("a valid cluster.toml")
    }

    fn noted(mut observed: Observed, text: &str) -> Observed {
        let host = observed.hosts.values_mut().next().and_then(Seen::known_mut).expect("it is seen");
        let digest = crate::core::names::Digest::of(text);
        let fact = FileFact { access: Access::new("644", "root", "root"), digest, text: Some(text.to_owned()) };
        host.files.insert(File::Departures, fact);
        observed
    }

    #[test]
    fn members_that_are_not_declared_and_those_that_are_noted_are_found() {
        let mut observed = world::healthy(&desired(&[1, 2, 3]), UnixSeconds(0));
        assert_eq!(found(&desired(&[1, 2, 3]), &observed), BTreeMap::new());
        observed.hosts.remove(&HostName::new("etcd-3"));
        let observed = noted(
            observed,
            "etcd-1@10.0.0.8 https://10.0.0.8:2380\netcd-2 https://10.0.0.9:2380\netcd-7 https://10.0.0.1:2380\n\
             etcd-6 https://root@10.0.0.6:2380\n",
        );
        let found = found(&desired(&[1, 2]), &observed);
        let shown: Vec<_> = found
            .iter()
            .map(|(key, lead)| (key.as_str(), lead.name.as_str(), lead.peer_url.address(), lead.obstacle.is_some()))
            .collect();
        assert_eq!(
            shown,
            [
                ("etcd-1@10.0.0.8", "etcd-1", "10.0.0.8", false),
                ("etcd-2@10.0.0.9", "etcd-2", "10.0.0.9", false),
                ("etcd-3", "etcd-3", "10.0.0.3", false),
                ("etcd-6", "etcd-6", "root@10.0.0.6", true),
            ]
        );
    }

    #[test]
    fn a_declared_machine_is_not_seen_under_a_second_name() {
        let desired = desired(&[1, 2]);
        let observed = noted(world::healthy(&desired, UnixSeconds(0)), "etcd-7 https://second-name:2380\n");
        let of = |host: Host, declared_as: Option<&str>| {
            let key = HostName::new("etcd-7");
            let looked_at = BTreeMap::from([(key.clone(), Seen::Known(host))]);
            let declared_as = declared_as.map(HostName::new);
            seen(&observed, found(&desired, &observed), looked_at, |_| declared_as.clone())[&key].host.clone()
        };
        let second = observed.host(&HostName::new("etcd-2")).expect("it is seen").clone();
        assert!(of(second.clone(), None).unknown().is_some_and(|cause| cause.summary.contains(
            "is etcd-2 in \
                                                                                               cluster.toml"
        )));
        assert!(of(world::bare_host(), Some("etcd-1")).unknown().is_some());
        assert!(of(world::bare_host(), None).known().is_some());
    }
}
