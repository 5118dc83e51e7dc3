//! The certificate authority beside cluster.toml: made once, for a cluster that has not begun, and never again.

use crate::core::cluster::situation::Situation;
use crate::core::cluster::view::View;
use crate::core::code::Code;
use crate::core::desired::{AuthoritySource, Place};
use crate::core::observed::{Observed, Seen};
use crate::core::plan::action::{Action, AuthorityAction, Readiness};
use crate::core::plan::ruling::{Blocked, Draft, Ruling};

pub fn next(view: &View) -> Ruling {
    match (&view.observed.workstation.authority, &view.situation) {
        (Seen::Known(Some(_)), _) | (_, Situation::Closed) => Ruling::default(),
        // Another rule's.
        (Seen::Known(None), _) if matches!(view.desired.authority, AuthoritySource::Node { .. }) => Ruling::default(),
        (Seen::Unknown(cause), _) => {
            let running = view.observed.seen_hosts().filter(|(_, host)| host.process.is_some());
            let unasked: Vec<_> = running.filter(|(_, host)| host.member.unknown() == Some(cause)).collect();
            let mut blocked = Blocked::unseen(cause).declared_at(Place::Ca);
            if !unasked.is_empty() {
                // Otherwise the hosts would read as those that it is wrong on.
                blocked.what.push_str(", so etcd could not be queried");
            }
            Ruling::blocked(unasked.into_iter().fold(blocked, |blocked, (name, _)| blocked.on(name)))
        }
        (Seen::Known(None), Situation::New) => Ruling::step(Draft::of(
            Action::Authority(AuthorityAction::Create),
            view.reason("no CA exists yet", Place::Ca),
        )),
        // Told of the hosts that trust it.
        (Seen::Known(None), _) if view.is_blocked_by(Code::AuthorityMissing) => Ruling::default(),
        (Seen::Known(None), Situation::Serving(_) | Situation::Down) => {
            let what = "the cluster exists, but its ca.crt and ca.key are missing here";
            let hint = "restore them from your backup to the location in [ca]";
            Ruling::blocked(Blocked::new(Code::AuthorityMissing, what).hint(hint).declared_at(Place::Ca))
        }
    }
}

/// Only what is wrong with it: none is made for a cluster that somebody else has set up; for one that begins it is.
pub fn fault(view: &View) -> Ruling {
    let begins = view.situation == Situation::New && view.desired.cluster.layout.is_set_up_by_us();
    match view.observed.workstation.authority {
        Seen::Unknown(_) => next(view),
        Seen::Known(_) if begins => next(view),
        Seen::Known(_) => Ruling::default(),
    }
}

pub fn readiness(observed: &Observed) -> Readiness {
    match &observed.workstation.authority {
        Seen::Known(Some(_)) => Readiness::Done,
        Seen::Known(None) => Readiness::Ready,
        Seen::Unknown(cause) => Readiness::Refused(cause.summary.clone()),
    }
}
