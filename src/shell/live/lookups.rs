//! Where the names in a certificate lead to, as the peers look them up that check it. Only what somebody speaks from an
//! address that the certificate does not name for is asked, since a look that waits for DNS would be a slow one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::hosts::Hosts;
use crate::core::names::HostName;

/// Of each host the names that it is asked for. One that cannot say knows none.
pub(super) async fn of(
    hosts: &Arc<Hosts>,
    names: &BTreeMap<HostName, BTreeSet<String>>,
) -> BTreeMap<HostName, BTreeMap<String, BTreeSet<IpAddr>>> {
    let ask = |hosts: Arc<Hosts>, host: HostName| {
        let names = names.get(&host).cloned().unwrap_or_default();
        async move {
            let remote = hosts.on(&host).await.ok()?;
            let words: Vec<_> = names.iter().map(String::as_str).collect();
            let said = remote.ask("looking up names", include_str!("script/lookups.sh"), &words).await;
            said.ok().map(|(_, said)| read(&said))
        }
    };
    let found = hosts.each_of(names.keys(), ask).await;
    found.into_iter().map(|(host, found)| (host, found.unwrap_or_default())).collect()
}

/// Of lines `NAME ADDRESS`.
fn read(said: &str) -> BTreeMap<String, BTreeSet<IpAddr>> {
    let mut found: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
    for (name, address) in said.lines().filter_map(|line| line.split_once(' ')) {
        if let Ok(address) = address.parse() {
            found.entry(name.to_owned()).or_default().insert(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_lead_to_several_addresses() {
        let found = read("etcd-2 10.0.0.12\netcd-2 fd00::2\netcd-3 nowhere\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found["etcd-2"].iter().map(IpAddr::to_string).collect::<Vec<_>>(), ["10.0.0.12", "fd00::2"]);
    }
}
