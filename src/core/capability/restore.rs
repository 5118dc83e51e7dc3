//! A cluster from a snapshot: every host gets the same file, all members stop, the old data is set aside, each restores
//! the snapshot for itself under one new token, and all start together.
//!
//! ```text
//! stage as for a new cluster ─► push ─► note ─► stop all ─► set data aside ─► restore ─► start all ─► compare, forget
//!                               nothing has changed yet │ from here on only the end leads back to a cluster
//! ```
//!
//! How far it has come is read from the hosts: the pushed file carries its digest in its name, a note says that a restore
//! is under way and under which token, and the restored data holds a mark with that token. Only on the operator's word
//! (`restore SNAPSHOT --confirm CLUSTER`); until a restore that was begun is finished, nothing else is done.

use super::{done_when, unreachable};
use crate::core::cluster::process::is_stopped;
use crate::core::cluster::restoration::{begun, mark, notes, under_way};
use crate::core::cluster::view::View;
use crate::core::code::Code;
use crate::core::content::{self, Restoration, layout};
use crate::core::desired::{Desired, Place};
use crate::core::names::{Digest, HostName, SnapshotReason, Token, listed};
use crate::core::observed::{Access, DataDirectory, File, FileFact, Folder, Host, Observed};
use crate::core::plan::action::{Action, FileAction, Readiness, RestoreAction, ServiceAction};
use crate::core::plan::ruling::{Draft, Finding, Ruling};

pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let is_over = desired.request.restore.is_some() && under_way(desired, observed).is_none();
    let done = is_over.then(|| Finding {
        code: Code::RestoreDone,
        hosts: Vec::new(),
        what: "every member already runs on data restored from this snapshot".to_owned(),
        hint: Some("to restore it again and set aside everything written since, pass `--again`".to_owned()),
    });
    let noted: Vec<_> = notes(observed).map(|(name, ..)| name.clone()).collect();
    let goes_on = desired.request.restore.as_ref().filter(|_| !noted.is_empty()).map(|restore| {
        let does = match begun(desired, observed, restore.digest) {
            Some(_) => "this plan resumes it",
            None => "this plan starts over",
        };
        let what = format!("a restore is unfinished on {}: {does}", listed(&noted));
        Finding { code: Code::RestoreUnfinished, hosts: noted, what, hint: None }
    });
    let pushed_to = observed.seen_hosts().filter(|(_, host)| !host.pushed.is_empty());
    let left_over: Vec<_> = pushed_to.map(|(name, _)| name.clone()).collect();
    let is_forgotten = desired.request.restore.is_none() && notes(observed).next().is_none() && !left_over.is_empty();
    let forgotten = is_forgotten.then(|| Finding {
        code: Code::RestoreUnfinished,
        hosts: left_over,
        what: "a snapshot copied for an unfinished restore is still on the host; no member was stopped for it"
            .to_owned(),
        hint: Some(format!("run the restore again, or delete {}.restore-*.db on the host", desired.paths.data)),
    });
    let foreign = desired.request.restore.as_ref().map_or(&[][..], |restore| &restore.foreign_members);
    let foreign = (!foreign.is_empty()).then(|| Finding {
        code: Code::SnapshotForeign,
        hosts: Vec::new(),
        what: format!(
            "the snapshot is from a cluster with members at {}; none of them is in cluster.toml",
            foreign.join(", ")
        ),
        hint: Some(
            "expected if the cluster moves to new machines; otherwise this is another cluster's snapshot".to_owned(),
        ),
    });
    let former = under_way(desired, observed).into_iter().flat_map(|_| &observed.former);
    let left = former.map(|(name, former)| Finding {
        code: Code::RestoreLeavesMember,
        hosts: vec![name.clone()],
        what: format!("a member of the cluster being replaced runs at {} and is not in cluster.toml", former.address),
        hint: Some("stop etcd there, or its clients keep using the old data".to_owned()),
    });
    done.into_iter().chain(goes_on).chain(foreign).chain(forgotten).chain(left).collect()
}

/// The file to every host that has not restored it yet, while the old cluster still serves.
pub fn push(view: &View) -> Ruling {
    let Some(Restoration { digest, token }) = under_way(view.desired, view.observed) else { return Ruling::default() };
    let without = view.hosts().filter(|(_, host)| !is_restored(host, &token) && !host.pushed.contains(&digest));
    let push = |(name, _): (&HostName, _)| Action::Restore(RestoreAction::PushSnapshot { host: name.clone(), digest });
    let file =
        view.desired.request.restore.as_ref().map_or_else(String::new, |restore| restore.file.display().to_string());
    let what = format!("every member restores from the same file: {file}");
    Ruling::steps_for(without.map(push).collect(), vec![view.reason(what, Place::Nodes)])
}

/// From here on the cluster is what the snapshot holds.
pub fn note(view: &View) -> Ruling {
    let Some(restoration) = under_way(view.desired, view.observed) else { return Ruling::default() };
    let text = content::restore_note(view.desired, &restoration);
    let without = view
        .hosts()
        .filter(|(_, host)| !is_restored(host, &restoration.token))
        .filter(|(_, host)| host.text_of(File::RestoreNote) != Some(text.as_str()));
    let write = |(name, _): (&HostName, _)| {
        Action::File(FileAction::Write { host: name.clone(), file: File::RestoreNote, text: text.clone() })
    };
    let because = vec![view.reason("so that an interrupted restore can be resumed", Place::Nodes)];
    Ruling::steps_for(without.map(write).collect(), because)
}

/// Every member that is left of the old cluster: one that went on would serve what is about to be replaced.
pub fn stop(view: &View) -> Ruling {
    of_unrestored(
        view,
        |host| !is_stopped(host),
        "no member may keep serving the old data",
        |host| Action::Service(ServiceAction::Stop { host }),
    )
}

pub fn set_aside(view: &View) -> Ruling {
    let because = "the current data is kept under another name";
    of_unrestored(
        view,
        |host| host.data == DataDirectory::Member,
        because,
        |host| Action::Restore(RestoreAction::SetOldDataAside { host }),
    )
}

pub fn restore(view: &View) -> Ruling {
    let Some(Restoration { digest, token }) = under_way(view.desired, view.observed) else { return Ruling::default() };
    of_unrestored(
        view,
        |_| true,
        "all members start as a new cluster with the same data",
        |host| Action::Restore(RestoreAction::RestoreData { host, digest, token: token.clone() }),
    )
}

fn of_unrestored(
    view: &View,
    is_due: impl Fn(&Host) -> bool,
    because: &str,
    action: impl Fn(HostName) -> Action,
) -> Ruling {
    let Some(restoration) = under_way(view.desired, view.observed) else { return Ruling::default() };
    let due = view.hosts().filter(|(_, host)| !is_restored(host, &restoration.token) && is_due(host));
    Ruling::steps_for(due.map(|(name, _)| action(name.clone())).collect(), vec![view.reason(because, Place::Nodes)])
}

/// When all serve the same, what was needed for the restore goes.
pub fn confirm(view: &View) -> Ruling {
    if under_way(view.desired, view.observed).is_none() || !all_serve(view.desired, view.observed) {
        return Ruling::default();
    }
    let because = view.reason("a restore succeeds only if all members hold the same data", Place::Nodes);
    Ruling::step(Draft::of(Action::Restore(RestoreAction::Confirm), because))
}

fn is_restored(host: &Host, token: &Token) -> bool {
    mark(host).is_some_and(|mark| mark.token == *token)
}

fn all_serve(desired: &Desired, observed: &Observed) -> bool {
    let serves = |host: &Host| host.answer().is_some_and(|answer| answer.reads) && mark(host).is_some();
    desired.nodes.keys().all(|name| observed.host(name).is_some_and(serves))
}

pub fn push_readiness(observed: &Observed, name: &HostName, digest: Digest) -> Readiness {
    done_when(observed, name, |host| host.pushed.contains(&digest))
}

pub fn push_effect(observed: &mut Observed, name: &HostName, digest: Digest) {
    if let Some(host) = observed.host_mut(name) {
        host.pushed.insert(digest);
    }
}

/// Only where the note says that a restore is under way, and of a member that is dead.
pub fn set_aside_readiness(observed: &Observed, name: &HostName) -> Readiness {
    match observed.host(name) {
        None => unreachable(name),
        Some(host) if host.data == DataDirectory::Empty => Readiness::Done,
        Some(host) if !host.files.contains_key(&File::RestoreNote) => {
            Readiness::Refused(format!("no restore is under way on {name}"))
        }
        Some(host) if !is_stopped(host) => Readiness::Refused(format!("etcd is still running on {name}")),
        Some(_) => Readiness::Ready,
    }
}

pub fn restore_readiness(observed: &Observed, name: &HostName, digest: Digest, token: &Token) -> Readiness {
    match observed.host(name) {
        None => unreachable(name),
        Some(host) if is_restored(host, token) => Readiness::Done,
        Some(host) if host.data != DataDirectory::Empty => Readiness::Refused(format!(
            "{name} still has the old data \
                                                                                       directory"
        )),
        Some(host) if !is_stopped(host) => Readiness::Refused(format!("etcd is still running on {name}")),
        Some(host) if !host.pushed.contains(&digest) => Readiness::Refused(format!("the snapshot is not on {name}")),
        Some(_) => Readiness::Ready,
    }
}

pub fn restore_effect(desired: &Desired, observed: &mut Observed, name: &HostName, digest: Digest, token: &Token) {
    // Somebody else's data stays whose it is; where nothing is left of it, the others show that.
    let is_theirs = desired.cluster.layout.is_adopted();
    let others = || observed.seen_hosts().find_map(|(_, host)| host.folders.get(&Folder::Data).cloned());
    let folder = |host: &Host| host.folders.get(&Folder::Data).cloned().or_else(others);
    let folder = observed.host(name).and_then(folder).filter(|_| is_theirs);
    let folder = folder.unwrap_or_else(|| layout::folder_access(Folder::Data));
    let Some(host) = observed.host_mut(name) else { return };
    let text = content::restore_mark(&Restoration { digest, token: token.clone() });
    let access = Access::new("600", &folder.owner, &folder.group);
    host.files.insert(File::RestoreMark, FileFact { access, digest: Digest::of(&text), text: Some(text) });
    host.data = DataDirectory::Member;
    host.folders.insert(Folder::Data, folder);
}

pub fn confirm_readiness(desired: &Desired, observed: &Observed) -> Readiness {
    if notes(observed).next().is_none() && all_serve(desired, observed) {
        return Readiness::Done;
    }
    match desired.nodes.keys().find(|name| observed.host(name).and_then(Host::answer).is_none()) {
        Some(silent) => Readiness::Refused(format!("{silent} does not answer")),
        None if all_serve(desired, observed) => Readiness::Ready,
        None => Readiness::Refused("not every member serves the restored data".to_owned()),
    }
}

pub fn confirm_effect(observed: &mut Observed) {
    for host in observed.hosts.values_mut().filter_map(|host| host.known_mut()) {
        host.files.remove(&File::RestoreNote);
        host.pushed.clear();
        // They are of data that was set aside.
        host.snapshots.retain(|reason, _| matches!(reason, SnapshotReason::Upgrade(_)));
    }
}
