//! The members that were taken out and of which something is left, as the note on the other hosts has it.

use std::collections::BTreeSet;

use crate::core::cluster::standing::Standing;
use crate::core::cluster::view::View;
use crate::core::desired::Desired;
use crate::core::names::{HostName, canonical};
use crate::core::observed::departure::{self, Departure};
use crate::core::observed::{File, Host, Observed};
use crate::core::plan::action::{Action, FileAction};

/// The members that are noted as leaving, on any host.
pub fn noted(observed: &Observed) -> BTreeSet<Departure> {
    let notes = observed.seen_hosts().filter_map(|(_, host)| host.text_of(File::Departures));
    notes.flat_map(departure::read_departures).collect()
}

/// What the machine of a departure is called among [`Observed::former`]; `None` when its address is a declared node's,
/// which is looked at, and cared for, under that node's name.
pub fn departed_key(desired: &Desired, departure: &Departure) -> Option<HostName> {
    if desired.nodes.values().any(|node| runs_at(&node.address, departure)) {
        return None;
    }
    let address = canonical(departure.peer_url.address());
    let taken = desired.nodes.contains_key(&departure.name);
    Some(if taken { HostName::new(format!("{}@{address}", departure.name)) } else { departure.name.clone() })
}

/// Whether a machine with this address is the one that was left.
pub fn runs_at(address: &str, departure: &Departure) -> bool {
    canonical(address) == canonical(departure.peer_url.address())
}

/// Writes the note on every member's host that has not got it.
pub fn unwritten(view: &View, departures: &BTreeSet<Departure>) -> Vec<Action> {
    let text = departure::departures(departures);
    let members = view.hosts().filter(|(name, _)| view.standing(name) == Some(&Standing::Member));
    let without = members.filter(|(_, host)| host.text_of(File::Departures) != Some(text.as_str()));
    let write = |(name, _): (&HostName, &Host)| {
        Action::File(FileAction::Write { host: name.clone(), file: File::Departures, text: text.clone() })
    };
    without.map(write).collect()
}
