//! What comes before a step that cannot be taken back: a snapshot, on a member that has room for it.

use crate::core::cluster::risk::risk_of;
use crate::core::cluster::room;
use crate::core::cluster::saved::is_saved;
use crate::core::cluster::snapshot::sources;
use crate::core::cluster::view::View;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, upheld};
use crate::core::names::SnapshotReason;
use crate::core::observed::{File, Observed};
use crate::core::plan::action::{Action, FileAction, Impact, SnapshotAction};
use crate::core::plan::ruling::{Blocked, Draft, Reason};
use crate::core::plan::step::{Risk, title};

/// `draft`, or what must come before it: a snapshot, where any member can be asked for one.
///
/// # Errors
/// When no member that can be asked has room for it.
pub fn insured(view: &View, draft: Draft) -> Result<Draft, Blocked> {
    let View { desired, observed, .. } = view;
    let before = if begins_restore(&draft) { SnapshotReason::Restore } else { SnapshotReason::Change };
    if !is_needed(desired, observed, &draft) || is_saved(observed, before) {
        return Ok(draft);
    }
    if upheld(Guard::SnapshotBeforeRisk, false) {
        return Ok(draft);
    }
    let (sources, workable) = (sources(desired, observed), view.all_hosts());
    let sources = sources.iter().filter(|name| workable.contains_key(name));
    let what = format!("no room for the snapshot before: {}", title(&draft.actions, &draft.because));
    let saver = room::saver(desired, observed, sources, &what).map_err(|why| {
        let hint = why.hint.clone().unwrap_or_default();
        why.hint(format!("{hint}; or pass `--no-snapshot` to go on without it"))
    });
    let Some(host) = saver?.cloned() else { return Ok(draft) };
    let place = draft.because.first().map(|reason| reason.place.clone()).unwrap_or_default();
    let because = Reason { what: format!("safety snapshot before: {}", title(&draft.actions, &draft.because)), place };
    Ok(Draft::of(Action::Snapshot(SnapshotAction::Save { host, before }), because))
}

/// Whether a step needs a snapshot before it.
pub fn is_needed(desired: &Desired, observed: &Observed, draft: &Draft) -> bool {
    let is_risky = || !draft.needs.is_empty() || risk_of(desired, observed, &draft.actions) == Risk::High;
    // It keeps a copy of all that the member has, which is more than a snapshot.
    let any = |is: fn(&Action) -> bool| draft.actions.iter().any(is);
    let keeps_all = any(|action| action.impact() == Impact::Outage);
    !desired.request.no_snapshot && !keeps_all && (begins_restore(draft) || is_risky())
}

/// Once that is noted, a restore must be finished.
fn begins_restore(draft: &Draft) -> bool {
    draft.actions.iter().any(|action| matches!(action, Action::File(FileAction::Write { file: File::RestoreNote, .. })))
}
