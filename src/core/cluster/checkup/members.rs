//! What a check-up says of the etcds on a host: those of others, and whether the member's data is what the others have.

use super::{Check, Outcome, Verdict};
use crate::core::cluster::others::{self, by};
use crate::core::cluster::sameness::{Sameness, sameness};
use crate::core::names::HostName;
use crate::core::observed::{Host, Observed};

pub(super) fn other_etcds(host: &Host) -> Outcome {
    let mut found: Vec<_> = host
        .others
        .iter()
        .map(|other| {
            let verb = if other.runs() { "runs" } else { "can be started" };
            format!("an etcd {verb} {}: {}", by(&other.runner), others::details(other))
        })
        .collect();
    found.sort();
    let seen = found.join("; ");
    match (others::is_taken(host), found.is_empty()) {
        (true, _) => Outcome::problem(
            Check::OtherEtcd,
            format!("{seen}, in the place of this cluster's"),
            "declare another host, or other [ports] and other [paths]; quorate touches nothing here until then",
        ),
        (false, true) => Outcome::ok(Check::OtherEtcd, "no etcd but quorate's"),
        (false, false) => Outcome::ok(Check::OtherEtcd, format!("{seen}, beside this cluster's")),
    }
}

/// `None` where nothing was compared.
pub(super) fn data(observed: &Observed, name: &HostName) -> Option<Outcome> {
    let comparison = observed.comparison.as_ref()?;
    if let Some(why) = comparison.missed.get(name) {
        let seen = format!("it could not be compared with the other members': {why}");
        return Some(Outcome { check: Check::Data, verdict: Verdict::Unknown, seen, fix: None });
    }
    let (id, member) = comparison.hashes.iter().find(|(_, member)| member.host == *name)?;
    let list = observed.answers().find_map(|(_, answer)| answer.members.known())?;
    let (hash, revision) = (member.hash, comparison.revision);
    Some(match sameness(observed, list) {
        Sameness::Odd(odd) if odd.contains(id) => Outcome::problem(
            Check::Data,
            format!("it differs from the other members': HashKV {hash:08x} at revision {revision}"),
            format!("replace the member: `quorate apply --lost={name} --allow replace-member:{name}`"),
        ),
        Sameness::Undecided => Outcome::problem(
            Check::Data,
            format!("no hash is a majority's: HashKV {hash:08x} at revision {revision}"),
            "find out whose data is right: `quorate explain data-differs`",
        ),
        Sameness::Odd(_) | Sameness::Alike => Outcome::ok(
            Check::Data,
            format!("the same as the other members': HashKV {hash:08x} at revision {revision}"),
        ),
    })
}
