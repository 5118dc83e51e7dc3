//! From which address a member speaks to its peers, and whether its certificate names it.
//!
//! A member that dials a peer shows its peer certificate, and the peer checks it against the address that the connection
//! comes from: it must be among the certificate's addresses, or one of its DNS names must lead there. What does not
//! match is refused, which only the peer's log tells. Source: `checkCertSAN` in etcd's client/pkg/transport/listener_tls.go
//! (pkg/transport in 3.4), the same from 3.4 to 3.7.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use crate::core::cluster::leaf;
use crate::core::code::Code;
use crate::core::desired::{AuthoritySource, Desired, Place};
use crate::core::guard::{Guard, upheld};
use crate::core::names::HostName;
use crate::core::observed::{Host, Observed, Role};
use crate::core::plan::ruling::{Blocked, Finding};

/// One way on which a member would be refused.
struct Stranger<'a> {
    from: &'a HostName,
    to: &'a HostName,
    address: IpAddr,
}

/// The ways from `name` on which it speaks from an address that its peer certificate, as it is declared to be, does not
/// name, and to which none of its names leads, as far as the peer has looked them up. A node that is declared by a DNS name
/// is one that other names may lead to.
fn strangers<'a>(desired: &Desired, observed: &Observed, name: &'a HostName, host: &'a Host) -> Vec<Stranger<'a>> {
    let Some(named) = certificate_names(desired, name, host) else { return Vec::new() };
    let is_led_to = |peer: &HostName, address: &IpAddr| {
        let lookups = observed.host(peer).map(|peer| &peer.lookups);
        let mut led = named.iter().filter_map(|name| lookups?.get(name));
        led.any(|addresses| addresses.contains(address))
    };
    let sources = host.sources.iter().filter(|(_, address)| !named.contains(&address.to_string()));
    let sources = sources.filter(|(to, address)| !is_led_to(to, address));
    sources.map(|(to, address)| Stranger { from: name, to, address: *address }).collect()
}

/// The names of its peer certificate; `None` where nothing is to be said of it.
fn certificate_names(desired: &Desired, name: &HostName, host: &Host) -> Option<BTreeSet<String>> {
    desired.nodes.get(name)?.address.parse::<IpAddr>().ok()?;
    let theirs = || host.certificates.get(&Role::Peer).map(|leaf| leaf.names.clone());
    let named = match desired.authority {
        // What others have issued names what it names.
        AuthoritySource::External { .. } => theirs(),
        _ if desired.cluster.layout.is_adopted() => theirs(),
        _ => None,
    };
    Some(named.unwrap_or_else(|| leaf::wanted(desired, name, Role::Peer, &BTreeSet::new()).names))
}

/// What each peer has to look up before it is known whether it would refuse somebody.
pub fn unsure(desired: &Desired, observed: &Observed) -> BTreeMap<HostName, BTreeSet<String>> {
    let mut unsure: BTreeMap<HostName, BTreeSet<String>> = BTreeMap::new();
    for Stranger { from, to, .. } in all(desired, observed) {
        let host = observed.host(from).filter(|_| observed.host(to).is_some());
        let names = host.and_then(|host| certificate_names(desired, from, host)).unwrap_or_default();
        let names: BTreeSet<_> = names.into_iter().filter(|name| name.parse::<IpAddr>().is_err()).collect();
        if !names.is_empty() {
            unsure.entry(to.clone()).or_default().extend(names);
        }
    }
    unsure
}

fn all<'a>(desired: &Desired, observed: &'a Observed) -> Vec<Stranger<'a>> {
    observed.seen_hosts().flat_map(|(name, host)| strangers(desired, observed, name, host)).collect()
}

const HINT: &str = "if it is right to speak from there, name that address in `peer-names` of the node; otherwise let the \
                    host prefer the declared one (`ip route get ADDRESS` there shows which it takes)";

fn refusal(stranger: &Stranger, done: &str) -> Blocked {
    let Stranger { from, to, address } = stranger;
    let what = format!("{done}: {from} speaks to {to} from {address}, which its peer certificate does not name");
    Blocked::new(Code::SourceAddress, what).on(from).hint(HINT).declared_at(Place::NodeAddress(from))
}

/// What keeps a new cluster from beginning.
pub fn before_bootstrap(desired: &Desired, observed: &Observed) -> Vec<Blocked> {
    let strangers = all(desired, observed).into_iter();
    let strangers = strangers.filter(|_| !upheld(Guard::SourceIsNamed, false));
    strangers.map(|stranger| refusal(&stranger, "the members would refuse each other")).collect()
}

/// What keeps `name` from being added or started again: it and some other node would not speak to each other.
pub fn before_start(desired: &Desired, observed: &Observed, name: &HostName, done: &str) -> Option<Blocked> {
    let stranger = all(desired, observed).into_iter().find(|one| one.from == name || one.to == name)?;
    (!upheld(Guard::SourceIsNamed, false)).then(|| refusal(&stranger, done))
}

/// What is worth knowing while the members run: a connection that stands was checked when it was made.
pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let strangers = all(desired, observed).into_iter();
    let running = strangers.filter(|stranger| observed.host(stranger.from).is_some_and(|host| host.process.is_some()));
    let finding = |Stranger { from, to, address }: Stranger| Finding {
        code: Code::SourceAddress,
        hosts: vec![from.clone()],
        what: format!(
            "{from} speaks to {to} from {address}, which its peer certificate does not name: {to} refuses new connections \
             from there"
        ),
        hint: Some(HINT.to_owned()),
    };
    running.map(finding).collect()
}
