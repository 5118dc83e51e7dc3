//! What the other members say of one that does not come up: whom they refuse, and why, stands in their logs alone.

use std::time::Duration;

use crate::core::complaint::overheard;
use crate::core::content::runtime;
use crate::core::names::{HostName, canonical};
use crate::shell::live::hosts::Hosts;

/// One line a member, with when it was said.
pub(super) async fn of(hosts: &std::sync::Arc<Hosts>, host: &HostName, since: Duration) -> Vec<String> {
    let desired = &hosts.desired;
    let seconds = since.as_secs().to_string();
    let ask = |hosts: std::sync::Arc<Hosts>, other: HostName| {
        let seconds = seconds.clone();
        async move {
            let remote = hosts.on(&other).await.ok()?;
            let words = [runtime::name(&hosts.desired), seconds.as_str()];
            let said = remote.ask("reading the log of etcd", include_str!("script/overheard.sh"), &words).await;
            said.ok().map(|(_, said)| said)
        }
    };
    let said = hosts.each(ask).await;
    // What it says itself names others, if anybody.
    let address = desired.nodes.get(host).map(|node| canonical(&node.address)).unwrap_or_default();
    let told = said.into_iter().filter_map(|(other, said)| {
        let (at, words) = overheard(&said?, &address)?;
        let of = if other == *host { "" } else { " of a peer" };
        Some(format!("{other} said{of} at {at}: {words}"))
    });
    told.collect()
}
