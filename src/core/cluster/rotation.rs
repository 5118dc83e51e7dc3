//! How far a rotation of the authority is, read from the hosts.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::cluster::trust::{has_loaded_trust, holds_alone, is_being_dropped, next_one, waits_for_clients};
use crate::core::count::count;
use crate::core::desired::Desired;
use crate::core::observed::{Host, Observed};

/// A rotation that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rotation {
    pub phase: Phase,
    /// How many nodes have done their part of it.
    pub done: usize,
    /// How many nodes were seen.
    pub of: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The members come to trust both authorities.
    Trust,
    /// All trust both, and get certificates of the new one.
    Issue,
    /// All that is left is to drop the old one, and nobody has named that.
    Clients,
    /// The members come to trust the new one alone.
    Drop,
}

/// `None` while there is no next authority.
pub fn rotation(desired: &Desired, observed: &Observed) -> Option<Rotation> {
    let next = next_one(observed)?;
    let hosts: Vec<&Host> =
        observed.seen_hosts().map(|(_, host)| host).filter(|host| !host.trusted.is_empty()).collect();
    let count_of = |is_so: &dyn Fn(&Host) -> bool| hosts.iter().filter(|host| is_so(host)).count();
    let trusts_both = count_of(&|host| host.trusted.contains(&next.fingerprint) && has_loaded_trust(host));
    let issued = count_of(&|host| host.certificates.values().all(|leaf| leaf.signed_by == Some(next.fingerprint)));
    let dropped = count_of(&|host| holds_alone(host, next) && has_loaded_trust(host));
    let (phase, done) = match trusts_both == hosts.len() {
        _ if is_being_dropped(observed, next) => (Phase::Drop, dropped),
        false => (Phase::Trust, trusts_both),
        true if waits_for_clients(desired, observed) => (Phase::Clients, issued),
        true => (Phase::Issue, issued),
    };
    Some(Rotation { phase, done, of: hosts.len() })
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (done, of) = (self.done, count(self.of, "node"));
        match self.phase {
            Phase::Trust => write!(f, "1 of 3, {done} of {of} trust both CAs; `quorate apply` goes on"),
            Phase::Issue => {
                write!(f, "2 of 3, {done} of {of} have all certificates from the new CA; `quorate apply` goes on")
            }
            Phase::Clients => f.write_str(
                "2 of 3 done, both CAs are trusted; it waits for the clients: `quorate plan` shows who is connected",
            ),
            Phase::Drop => write!(f, "3 of 3, {done} of {of} trust only the new CA; `quorate apply` goes on"),
        }
    }
}
