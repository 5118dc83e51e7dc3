//! Who uses etcd, as far as that can be seen, and who would be refused once the old authority of a rotation is dropped.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::allowance::{AllowKind, Allowance};
use crate::core::cluster::trust;
use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::names::{ConsumerName, HostName, canonical, listed};
use crate::core::observed::{Client, ConsumerFiles, Observed, Seen};
use crate::core::plan::ruling::{Blocked, Finding};

/// What must be named before the old authority is dropped.
pub fn allowance(desired: &Desired) -> Allowance {
    Allowance::new(AllowKind::DropOldCa, &desired.cluster.name)
}

/// The end of a rotation, while nobody has named it. Who is connected changes by itself, so it stands in the hint.
pub fn refusal(desired: &Desired, observed: &Observed) -> Option<Blocked> {
    if !trust::waits_for_clients(desired, observed) {
        return None;
    }
    let what = "the CA rotation waits with both CAs trusted: once the old one is dropped, members reject every client \
                certificate that it signed";
    let hint = format!(
        "{}; give every client that is not in [consumers] the nodes' ca.crt, which then holds both CAs, and a certificate of \
         the new one (`quorate certs issue USER`); then run `quorate apply --allow {}`",
        who(desired, observed),
        allowance(desired)
    );
    Some(Blocked::new(Code::OldCaClients, what).hint(hint))
}

/// The same to know beforehand, where a rotation is wanted or under way, and goes on to its end.
pub fn finding(desired: &Desired, observed: &Observed) -> Option<Finding> {
    let is_wanted = desired.request.rotation.is_some() || trust::next_one(observed).is_some();
    let is_dropped = trust::next_one(observed).is_some_and(|next| trust::is_being_dropped(observed, next));
    if !is_wanted || !(desired.request.drop_old_ca || is_dropped) {
        return None;
    }
    let what = "this rotation goes on until the old CA is dropped: members then reject every client certificate that it \
                signed";
    let hint = format!("{}; each needs a certificate of the new CA before that", who(desired, observed));
    Some(Finding { code: Code::OldCaClients, hosts: Vec::new(), what: what.to_owned(), hint: Some(hint) })
}

/// `connected to the client ports now: 10.0.0.50 (to etcd-1, etcd-2)`
fn who(desired: &Desired, observed: &Observed) -> String {
    let connected = connected(desired, observed);
    let mut text = match connected.is_empty() {
        true => "no client is connected to the client ports now (one that connects seldom is not seen)".to_owned(),
        false => format!(
            "connected to the client ports now: {} (etcd does not tell with which certificates)",
            listed(connected)
        ),
    };
    let kept = kept(observed);
    if !kept.is_empty() {
        text.push_str(&format!("; [consumers]: {}", listed(kept)));
    }
    text
}

/// `10.0.0.50 (to etcd-1, etcd-2)`, `the program kube-apiserver (to etcd-1)`.
fn connected(desired: &Desired, observed: &Observed) -> Vec<String> {
    let mut hosts: BTreeMap<String, BTreeSet<&HostName>> = BTreeMap::new();
    for (name, host) in observed.seen_hosts() {
        let own = desired.nodes.get(name).map(|node| canonical(&node.address));
        for client in &host.clients {
            let title = match client {
                Client::Address(address) if Some(address.to_string()) == own => continue,
                Client::Address(address) => match node_at(desired, &address.to_string()) {
                    Some(node) => format!("{node} at {address}"),
                    None => address.to_string(),
                },
                Client::Program(program) => format!("the program {program}"),
            };
            hosts.entry(title).or_default().insert(name);
        }
    }
    hosts.into_iter().map(|(client, hosts)| format!("{client} (to {})", listed(hosts))).collect()
}

fn node_at<'a>(desired: &'a Desired, address: &str) -> Option<&'a HostName> {
    desired.nodes.iter().find(|(_, node)| canonical(&node.address) == address).map(|(name, _)| name)
}

/// The consumers, whose certificates are known: `api-1 has one of kube-apiserver by the new CA`.
fn kept(observed: &Observed) -> Vec<String> {
    let of = |(name, files): (&ConsumerName, &Seen<ConsumerFiles>)| {
        let certificate = files.known()?.certificate.as_ref()?;
        let new = trust::next_one(observed).map(|next| next.fingerprint);
        let by = if new.is_some() && certificate.signed_by == new { "the new CA" } else { "the old CA" };
        Some(format!("{name} has a certificate of {} by {by}", certificate.common_name))
    };
    observed.consumers.iter().filter_map(of).collect()
}
