//! Whether the members hold the same data, by what it hashes to at one revision.
//!
//! A member whose data has diverged votes and serves like every other one: nothing but a comparison finds it. While one is
//! known to differ, taking out or restarting another could leave the wrong data with the quorum.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, MemberId, listed};
use crate::core::observed::{Comparison, MemberEntry, Observed};
use crate::core::plan::action::{Action, MemberAction, ServiceAction};
use crate::core::plan::ruling::Blocked;

/// What a comparison says of the members that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sameness {
    /// All that were compared hold the same, or nothing was compared.
    Alike,
    /// These differ from more than half of all that were compared.
    Odd(BTreeSet<MemberId>),
    /// They differ, and nobody has a majority: only the operator can tell whose data is right.
    Undecided,
}

impl Sameness {
    /// Where nobody can tell who is right, everyone may be wrong.
    pub fn differs_of(&self, id: MemberId) -> bool {
        match self {
            Self::Alike => false,
            Self::Odd(odd) => odd.contains(&id),
            Self::Undecided => true,
        }
    }
}

/// Whether a plan depends on it: a member that answers is called lost. It is as well as it looks, or its data is not the others'.
pub fn is_asked_for(desired: &Desired, observed: &Observed) -> bool {
    let answers = |name: &HostName| observed.host(name).is_some_and(|host| host.answer().is_some());
    desired.request.lost.keys().any(answers)
}

/// Whether one of these actions restarts or takes out a member that the others of a cluster depend on.
pub fn depends_on<'a>(observed: &Observed, mut actions: impl Iterator<Item = &'a Action>) -> bool {
    let answering = observed.answers().filter(|(_, answer)| !answer.learner).count();
    let is_risky = |action: &Action| {
        matches!(
            action,
            Action::Service(
                ServiceAction::Restart { .. } | ServiceAction::ReplaceManifest { .. } | ServiceAction::Stop { .. }
            ) | Action::Member(MemberAction::Remove { .. })
        )
    };
    answering > 1 && actions.any(is_risky)
}

/// Whether the data of this member is known not to be the majority's.
pub fn is_odd(observed: &Observed, id: MemberId) -> bool {
    let list = observed.member_list();
    list.is_some_and(|list| matches!(sameness(observed, list), Sameness::Odd(odd) if odd.contains(&id)))
}

/// The size of the largest database, where a hash of it would hold its member up for long.
pub fn too_large(observed: &Observed) -> Option<u64> {
    let largest = observed.answers().map(|(_, answer)| answer.database_bytes).max()?;
    (largest > COMPARED_BYTES_MAX).then_some(largest)
}

/// For about as long as this takes, a member applies nothing.
const COMPARED_BYTES_MAX: u64 = 1 << 30;

/// Of the members that are in `list`: one that was replaced since has taken its data with it.
pub fn sameness(observed: &Observed, list: &[MemberEntry]) -> Sameness {
    let Some(comparison) = &observed.comparison else { return Sameness::Alike };
    let groups = groups(comparison, |id| list.iter().any(|entry| entry.id == id));
    if upheld(Guard::SameDataBeforeRisk, groups.len() <= 1) {
        return Sameness::Alike;
    }
    let total: usize = groups.values().map(Vec::len).sum();
    match groups.iter().find(|(_, members)| members.len() * 2 > total) {
        Some((right, _)) => {
            let odd = groups.iter().filter(|(hash, _)| *hash != right).flat_map(|(_, members)| members.iter().copied());
            Sameness::Odd(odd.collect())
        }
        None => Sameness::Undecided,
    }
}

/// The members by what their data hashes to.
fn groups(comparison: &Comparison, is_there: impl Fn(MemberId) -> bool) -> BTreeMap<u32, Vec<MemberId>> {
    let mut groups: BTreeMap<u32, Vec<MemberId>> = BTreeMap::new();
    for (id, member) in comparison.hashes.iter().filter(|(id, _)| is_there(**id)) {
        groups.entry(member.hash).or_default().push(*id);
    }
    groups
}

/// That the members hold different data, with the hashes, and the way out.
pub fn difference(observed: &Observed) -> Option<Blocked> {
    let comparison = observed.comparison.as_ref()?;
    let list = observed.member_list()?;
    let sameness = sameness(observed, list);
    let is_there = |id: MemberId| list.iter().any(|entry| entry.id == id);
    let said = groups(comparison, is_there).into_iter().map(|(hash, ids)| {
        let hosts: Vec<_> = ids.iter().map(|id| &comparison.hashes[id].host).collect();
        format!("{hash:08x} on {}", listed(&hosts))
    });
    let said = said.collect::<Vec<_>>().join(", ");
    let revision = comparison.revision;
    match sameness {
        Sameness::Alike => None,
        Sameness::Odd(odd) => {
            let hosts: Vec<HostName> = odd.iter().map(|id| comparison.hashes[id].host.clone()).collect();
            let what = format!(
                "the data of {} differs from the other members': at revision {revision} HashKV is {said}",
                listed(&hosts)
            );
            let first = &hosts[0];
            let hint = format!(
                "replace it before anything else: `quorate apply --lost={first} --allow replace-member:{first}` (one that is \
                 not declared: `--allow remove-member:{first}`)"
            );
            let blocked = Blocked::new(Code::DataDiffers, what).hint(hint);
            Some(Blocked { hosts, ..blocked })
        }
        Sameness::Undecided => {
            let what = format!(
                "the members hold different data, and none of it is a majority's: at revision {revision} HashKV is {said}"
            );
            let hint = "find out whose data is right, then name another: `quorate apply --lost=NAME --allow \
                        replace-member:NAME`; see `quorate explain data-differs`";
            Some(Blocked::new(Code::DataDiffers, what).hint(hint))
        }
    }
}
