//! Whether the members are connected to each other, as etcd itself sees it.
//!
//! A member that follows the leader and reads may lack the way to another one: with the leader between them both serve. Once
//! a third one is stopped or taken out, the two of them may have to be the quorum, and cannot. Source: `peerStatus` in
//! etcd's rafthttp/peer_status.go, told as `etcd_network_active_peers` (3.4 to 3.7).
//!
//! That metric may stay at 0 although all is well again: one message that fails late in a restart sets it, and nothing takes
//! it back while the streams hold (etcd-io/etcd#14523). So only a way that was tried and found closed keeps anything from
//! being done.

use crate::core::code::Code;
use crate::core::count::count;
use crate::core::names::{HostName, MemberId, listed};
use crate::core::observed::{Observed, Peer};
use crate::core::plan::ruling::{Blocked, Finding};

/// A way that is missing, between two members that are healthy otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Whose metrics say so.
    pub from: HostName,
    pub to: HostName,
    /// How many messages could not be sent since it started. Volatile.
    pub failures: u64,
    /// As [`Peer::is_reached`].
    pub is_reached: Option<bool>,
}

impl Gap {
    /// The way was tried, and is known to be closed.
    pub fn is_closed(&self) -> bool {
        self.is_reached == Some(false)
    }
}

/// Between the members that are `healthy`: what is wrong with the others is told already. Those that were members once do
/// not count.
pub fn gaps(observed: &Observed, healthy: &[(&HostName, MemberId)]) -> Vec<Gap> {
    let from = |(from, _): &(&HostName, MemberId)| {
        let peers = observed.host(from).and_then(|host| Some(&host.answer()?.peers));
        let missing = |(to, id): &(&HostName, MemberId)| {
            let Peer { is_active, is_reached, failures, .. } = *peers?.get(id)?;
            let gap = || Gap { from: (*from).clone(), to: (*to).clone(), failures, is_reached };
            (!is_active).then(gap)
        };
        healthy.iter().filter_map(missing).collect::<Vec<_>>()
    };
    healthy.iter().flat_map(from).collect()
}

/// What is worth knowing of each member that lacks one.
pub fn findings(gaps: &[Gap]) -> Vec<Finding> {
    let of_one = |gaps: &[Gap]| {
        let from = &gaps.first()?.from;
        let failures: u64 = gaps.iter().map(|gap| gap.failures).sum();
        let lost = match failures {
            0 => String::new(),
            failures => format!("; {} could not be sent since it started", messages(failures)),
        };
        let (tried, hint) = match gaps.first()?.is_reached {
            None => ("", HINT.to_owned()),
            Some(false) => ("; its host does not reach the peer port", HINT.to_owned()),
            Some(true) => (
                "; its host reaches the peer port, so this may be left over from a restart",
                format!(
                    "`quorate apply --restart={from}` makes it connect anew; `quorate logs {from}` shows whether it is refused"
                ),
            ),
        };
        let what = format!(
            "{from} has no connection to {} for raft's messages, as etcd there says (metric \
             etcd_network_active_peers){lost}{tried}",
            listed(gaps.iter().map(|gap| &gap.to))
        );
        Some(Finding { code: Code::PeerInactive, hosts: vec![from.clone()], what, hint: Some(hint) })
    };
    gaps.chunk_by(|one, other| (&one.from, one.is_reached) == (&other.from, other.is_reached))
        .filter_map(of_one)
        .collect()
}

fn messages(failures: u64) -> String {
    count(usize::try_from(failures).unwrap_or(usize::MAX), "message")
}

const HINT: &str = "`quorate doctor` looks for the cause: whether the peer port is open both ways, from which address each \
                    host speaks, and what each side's log refused";

/// Why nothing that costs redundancy is done to others while two members are not connected.
pub fn waits(Gap { from, to, .. }: &Gap) -> Blocked {
    let what = format!(
        "no other member is added, changed, restarted or removed while {from} has no connection to {to}: without a third one \
         the two may be no quorum"
    );
    Blocked::new(Code::PeerInactive, what).on(from).hint(HINT)
}

/// In a few words, of the first that is known to be one.
pub fn words(gaps: &[Gap]) -> Option<String> {
    let Gap { from, to, .. } = gaps.iter().find(|gap| gap.is_closed())?;
    Some(format!("{from} has no connection to {to}"))
}
