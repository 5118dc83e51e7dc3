//! The snapshots that are saved before an upgrade, and before every step of high risk or that needs the operator's word.
//!
//! They stay on the host of the member that they were taken of, and are not among those of `[backup]`.

use crate::core::cluster::risk::risk_of;
use crate::core::cluster::saved::is_saved;
use crate::core::cluster::snapshot::sources;
use crate::core::cluster::view::View;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, SnapshotReason};
use crate::core::observed::{File, Observed};
use crate::core::plan::action::{Action, FileAction, Impact, Readiness, SnapshotAction};
use crate::core::plan::ruling::{Draft, Reason};
use crate::core::plan::step::{Risk, title};

/// `draft`, or what must come before it: a snapshot, where any member can be asked for one.
pub fn insured(view: &View, draft: Draft) -> Draft {
    let View { desired, observed, .. } = view;
    if !is_needed(desired, observed, &draft) || is_saved(observed, SnapshotReason::Change) {
        return draft;
    }
    let Some(host) = sources(desired, observed).into_iter().find(|name| view.all_hosts().contains_key(name)) else {
        return draft;
    };
    if upheld(Guard::SnapshotBeforeRisk, false) {
        return draft;
    }
    let place = draft.because.first().map(|reason| reason.place.clone()).unwrap_or_default();
    let because = Reason { what: format!("safety snapshot before: {}", title(&draft.actions, &draft.because)), place };
    Draft::of(Action::Snapshot(SnapshotAction::Save { host, before: SnapshotReason::Change }), because)
}

/// Whether a step needs a snapshot before it.
pub fn is_needed(desired: &Desired, observed: &Observed, draft: &Draft) -> bool {
    let is_risky = || !draft.needs.is_empty() || risk_of(desired, observed, &draft.actions) == Risk::High;
    // It keeps a copy of all that the member has, which is more than a snapshot.
    let any = |is: fn(&Action) -> bool| draft.actions.iter().any(is);
    let keeps_all = any(|action| action.impact() == Impact::Outage);
    // Once that is noted, a restore must be finished.
    let begins_restore =
        any(|action| matches!(action, Action::File(FileAction::Write { file: File::RestoreNote, .. })));
    !desired.request.no_snapshot && !keeps_all && (begins_restore || is_risky())
}

pub fn readiness(observed: &Observed, before: SnapshotReason) -> Readiness {
    if is_saved(observed, before) { Readiness::Done } else { Readiness::Ready }
}

pub fn effect(observed: &mut Observed, name: &HostName, before: SnapshotReason) {
    let at = observed.at;
    if let Some(host) = observed.host_mut(name) {
        host.snapshots.insert(before, at);
    }
}
