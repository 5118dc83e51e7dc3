//! How far a restore has come, read from the hosts.
//!
//! The pushed file carries its digest in its name, a note says that a restore is under way and under which token, and the
//! restored data holds a mark with that token.

use std::collections::BTreeSet;

use crate::core::code::Code;
use crate::core::content::{self, Restoration, layout};
use crate::core::desired::{Desired, Restore};
use crate::core::names::{Digest, HostName, Token, listed};
use crate::core::observed::{DataDirectory, File, Host, Observed};
use crate::core::plan::ruling::Blocked;

/// The restore that is asked for, and the token of the life that it begins, unless it is over.
pub fn under_way(desired: &Desired, observed: &Observed) -> Option<Restoration> {
    let restore = desired.request.restore.as_ref()?;
    let begun = begun(desired, observed, restore.digest);
    let token = begun.clone().unwrap_or_else(|| restore.token.clone());
    let is_due = begun.is_some() || !is_over(desired, observed, restore);
    is_due.then_some(Restoration { digest: restore.digest, token })
}

/// The token of a restore of this snapshot that was begun for the members that are declared, and cut off. Of two, the
/// later wins: it is made from the time. When other members are declared since, it begins anew.
pub fn begun(desired: &Desired, observed: &Observed, digest: Digest) -> Option<Token> {
    let is_it = |text: &str, note: &Restoration| note.digest == digest && content::is_restore_of(desired, text);
    notes(observed).filter(|(_, text, note)| is_it(text, note)).map(|(.., note)| note.token).max()
}

/// A note that is older than data which others have restored since is none: its host was away, and the restore was begun
/// anew without it.
pub fn notes(observed: &Observed) -> impl Iterator<Item = (&HostName, &str, Restoration)> {
    let latest = observed.seen_hosts().filter_map(|(_, host)| Some(mark(host)?.token)).max();
    let texts = observed.seen_hosts().filter_map(|(name, host)| Some((name, host.text_of(File::RestoreNote)?)));
    let noted = texts.filter_map(|(name, text)| Some((name, text, content::read_restoration(text)?)));
    noted.filter(move |(.., note)| latest.as_ref().is_none_or(|latest| note.token >= *latest))
}

pub fn mark(host: &Host) -> Option<Restoration> {
    let mark = content::read_restoration(host.text_of(File::RestoreMark)?);
    mark.filter(|_| host.data == DataDirectory::Member)
}

/// Every member runs on data that was restored from this snapshot, in one life.
pub fn is_over(desired: &Desired, observed: &Observed, restore: &Restore) -> bool {
    if notes(observed).next().is_some() {
        return false;
    }
    let marks: BTreeSet<_> = desired.nodes.keys().map(|name| observed.host(name).and_then(mark)).collect();
    let one = marks.first().cloned().flatten().filter(|_| marks.len() == 1);
    one.is_some_and(|mark| mark.digest == restore.digest && (!restore.again || mark.token == restore.token))
}

/// Why nothing else may be done: a restore was begun, and this run does not go on with it.
pub fn unfinished(desired: &Desired, observed: &Observed) -> Option<Blocked> {
    // Another snapshot may have been chosen meanwhile. What was restored so far is set aside then, like all data.
    let (.., note) = notes(observed).next().filter(|_| desired.request.restore.is_none())?;
    let hosts: Vec<_> = notes(observed).map(|(name, ..)| name.clone()).collect();
    let what = format!("a restore of {} is unfinished on {}", note.digest.short(), listed(&hosts));
    let pushed = layout::pushed_snapshot(desired, note.digest);
    let hint = format!(
        "run `quorate restore SNAPSHOT --confirm {}` again; the nodes also have the snapshot, as {pushed}",
        desired.cluster.name
    );
    Some(Blocked { hosts, ..Blocked::new(Code::RestoreUnfinished, what).hint(hint) })
}
