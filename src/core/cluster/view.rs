//! What every rule reads: what is declared, what was seen, and what that amounts to.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use crate::core::cluster::quorum::Membership;
use crate::core::cluster::situation::{Situation, situation, workable};
use crate::core::cluster::standing::{Standing, standing};
use crate::core::code::Code;
use crate::core::desired::{Desired, Place};
use crate::core::names::{HostName, Version};
use crate::core::observed::{Host, Observed, Seen};
use crate::core::plan::ruling::{Blocked, Reason};

/// What every rule reads.
pub struct View<'a> {
    pub desired: &'a Desired,
    pub observed: &'a Observed,
    pub situation: Situation,
    /// Why some hosts are left alone.
    pub blocked: Vec<Blocked>,
    /// The standing of each declared host of a cluster that serves, unless it is disputed.
    standings: BTreeMap<&'a HostName, Standing>,
    /// Whether the next member may be taken to the next version; asked many times, decided once.
    pub(crate) upgrade: OnceCell<Upgrade>,
}

impl<'a> View<'a> {
    pub fn new(desired: &'a Desired, observed: &'a Observed) -> Self {
        let (situation, blocked) = situation(desired, observed);
        let standings = match &situation {
            Situation::Serving(membership) => {
                let of = |name| Some((name, standing(desired, observed, membership, name).ok()?));
                desired.nodes.keys().filter_map(of).collect()
            }
            Situation::New | Situation::Down | Situation::Closed => BTreeMap::new(),
        };
        Self { desired, observed, situation, blocked, standings, upgrade: OnceCell::new() }
    }

    /// The declared hosts that may be worked on, and are or may become members.
    pub fn hosts(&self) -> impl Iterator<Item = (&'a HostName, &'a Host)> + use<'a> {
        self.hosts_and(|_| false)
    }

    /// The same with those whose member has failed and has to go, where nothing runs: what its successor needs is laid ready
    /// before, and only the permission to begin without data afterwards.
    pub fn hosts_to_lay_ready(&self) -> impl Iterator<Item = (&'a HostName, &'a Host)> + use<'a> {
        self.hosts_and(|failed| failed.process.is_none() && failed.data_elsewhere.is_none())
    }

    fn hosts_and(
        &self,
        is_wanted_failed: fn(&Host) -> bool,
    ) -> impl Iterator<Item = (&'a HostName, &'a Host)> + use<'a> {
        let mut hosts = self.all_hosts();
        if self.membership().is_some() {
            hosts.retain(|name, host| match self.standings.get(name) {
                Some(Standing::Member | Standing::Newcomer) => true,
                Some(Standing::Failed(_)) => is_wanted_failed(host),
                Some(Standing::Removed | Standing::Unseen) | None => false,
            });
        }
        hosts.into_iter()
    }

    /// Whether the situation itself has met that, so that it is told already.
    pub fn is_blocked_by(&self, code: Code) -> bool {
        self.blocked.iter().any(|blocked| blocked.code == code)
    }

    /// The declared hosts that may be worked on, whatever they are to the cluster.
    pub fn all_hosts(&self) -> BTreeMap<&'a HostName, &'a Host> {
        workable(self.observed, &self.situation, &self.blocked)
    }

    /// Where a declared host stands; `None` where no cluster serves or nobody can say.
    pub fn standing(&self, name: &HostName) -> Option<&Standing> {
        self.standings.get(name)
    }

    /// A reason, and where it is declared.
    pub fn reason(&self, what: impl Into<String>, place: Place) -> Reason {
        Reason { what: what.into(), place: self.desired.places.of(place) }
    }

    /// The member list as far as it may be changed: it was seen, and there is an authority for new members.
    pub fn members(&self) -> Option<&Membership> {
        let has_authority = matches!(self.observed.workstation.authority, Seen::Known(Some(_)));
        self.membership().filter(|_| has_authority && !self.observed.guessed)
    }

    pub fn membership(&self) -> Option<&Membership> {
        match &self.situation {
            Situation::Serving(membership) => Some(membership),
            Situation::New | Situation::Down | Situation::Closed => None,
        }
    }
}

/// The way from what runs to what is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradePath {
    /// The versions that all members are brought to, one after the other; the last is the declared one. Empty when every
    /// member runs it.
    pub stops: Vec<Version>,
    /// The lowest version that runs now.
    pub running: Version,
}

/// What is decided once of a view.
#[derive(Debug)]
pub struct Upgrade {
    pub(super) upgrade_path: Result<UpgradePath, Blocked>,
    pub(super) gate: Result<(), Blocked>,
}
