//! The certificates of the cluster's clients, kept as the members' own are: issued, renewed, and rotated with them.
//!
//! While the authority is rotated a consumer trusts the next one before any member serves a certificate of it, and has a
//! certificate of it before any member stops trusting the old one.

use crate::core::cluster::leaf::{client, is_due, issued};
use crate::core::cluster::situation::Situation;
use crate::core::cluster::trust;
use crate::core::cluster::view::View;
use crate::core::code::Code;
use crate::core::desired::{Consumer, Desired, Place};
use crate::core::names::{ConsumerName, listed};
use crate::core::observed::{Access, ConsumerFiles, Lacking, Observed, Seen};
use crate::core::plan::action::{Action, ConsumerAction, Readiness, SignedBy, Trust};
use crate::core::plan::ruling::{Blocked, Draft, Ruling};

pub fn next(view: &View) -> Ruling {
    let (Situation::Serving(_), Seen::Known(Some(_))) = (&view.situation, &view.observed.workstation.authority) else {
        return Ruling::default();
    };
    if trust::keeps_certificates(view.desired, view.observed) {
        return Ruling::default();
    }
    let mut ruling = Ruling::default();
    for (name, consumer) in &view.desired.consumers {
        match view.observed.consumers.get(name) {
            Some(Seen::Known(files)) if !files.lacks.is_empty() => {
                ruling.blocked.push(lacking(name, consumer, files));
            }
            Some(Seen::Known(files)) if ruling.step.is_none() => {
                let Some(fault) = fault(view.desired, view.observed, name, files) else { continue };
                let reason = view.reason(fault, Place::Consumer(name));
                ruling.step = Some(Draft::of(action(view, name, consumer, files), reason));
            }
            Some(Seen::Known(_)) | None => {}
            Some(Seen::Unknown(cause)) => {
                ruling.blocked.push(Blocked::unseen(cause).declared_at(Place::Consumer(name)));
            }
        }
    }
    ruling
}

/// What is made by hand, before anything is written there.
fn lacking(name: &ConsumerName, consumer: &Consumer, files: &ConsumerFiles) -> Blocked {
    let each = files.lacks.iter().map(|lacking| match lacking {
        Lacking::Folder(path) => format!("directory {path}"),
        Lacking::Account(name) => format!("user {name}"),
        Lacking::Group(name) => format!("group {name}"),
    });
    let what = format!("{} has no {}, which the files of consumer {name} need", consumer.host, listed(each));
    Blocked::new(Code::ConsumerUnready, what)
        .on(&consumer.host)
        .hint(format!("create it there, or correct [consumers.{name}]"))
        .declared_at(Place::Consumer(name))
}

fn action(view: &View, name: &ConsumerName, consumer: &Consumer, files: &ConsumerFiles) -> Action {
    Action::Consumer(ConsumerAction::Keep {
        host: consumer.host.clone(),
        consumer: name.clone(),
        issue: fault_of_pair(view.desired, view.observed, name, files, trust::signer(view.observed)).is_some(),
        trust: trust::wanted_trust(view.desired, view.observed),
        by: trust::signer(view.observed),
    })
}

/// Who may read a consumer's key, and its other files.
pub fn access(consumer: &Consumer, is_key: bool) -> Access {
    Access::new(if is_key { "600" } else { "644" }, &consumer.owner, &consumer.group)
}

/// What is wrong with the file of authorities; `None` when it holds just what is wanted, or is kept otherwise.
fn fault_of_trust(observed: &Observed, consumer: &Consumer, files: &ConsumerFiles, trust: Trust) -> Option<String> {
    let path = consumer.authority.as_ref()?;
    let Some(found) = &files.authority_access else { return Some(format!("{path} is missing")) };
    let mut wanted = trust::trusted(observed, trust);
    let mut trusted = files.trusted.clone();
    wanted.sort_unstable();
    trusted.sort_unstable();
    if wanted != trusted {
        return Some(format!("{path} does not contain the cluster's CA"));
    }
    differs(path.as_str(), found, &access(consumer, false))
}

fn differs(path: &str, found: &Access, wanted: &Access) -> Option<String> {
    (found != wanted).then(|| format!("{path}: {found} → {wanted}"))
}

/// What is wrong with the certificate and its key; `None` when they are as they should be.
fn fault_of_pair(
    desired: &Desired,
    observed: &Observed,
    name: &ConsumerName,
    files: &ConsumerFiles,
    by: SignedBy,
) -> Option<String> {
    let consumer = desired.consumers.get(name)?;
    let Consumer { certificate: path, key, user, .. } = consumer;
    let Some(on_host) = &files.certificate_access else { return Some(format!("{path} is missing")) };
    let Some(key_on_host) = &files.key_access else { return Some(format!("{key} is missing")) };
    let Some(certificate) = &files.certificate else { return Some(format!("{path} is not a certificate")) };
    if certificate.matches_key == Seen::Known(false) {
        return Some(format!("{path} and its key do not match"));
    }
    let signer = certificate.signed_by.filter(|signer| trust::is_ours(observed, signer));
    if signer.is_none() {
        return Some(format!("{path} is not signed by the cluster's CA"));
    }
    let authority = trust::authority(observed, by)?;
    if by == SignedBy::Next && signer != Some(authority.fingerprint) {
        return Some(format!("{path} is not signed by the new CA"));
    }
    let wanted = client(user.as_str());
    if certificate.common_name != wanted.common_name {
        return Some(format!("the common name in {path}: {} → {user}", certificate.common_name));
    }
    if !certificate.usages.is_superset(&wanted.usages) {
        return Some(format!("{path} is not a client certificate (no clientAuth)"));
    }
    let asked = desired.request.consumer_renewals.get(name);
    if asked.is_some_and(|serial| serial.as_ref().is_none_or(|serial| *serial == certificate.serial)) {
        return Some("requested with `--renew-certs`".to_owned());
    }
    if let Some(when) = is_due(desired, observed, certificate, authority) {
        return Some(format!("{path} {when}"));
    }
    differs(path.as_str(), on_host, &access(consumer, false))
        .or_else(|| differs(key.as_str(), key_on_host, &access(consumer, true)))
}

fn fault(desired: &Desired, observed: &Observed, name: &ConsumerName, files: &ConsumerFiles) -> Option<String> {
    fault_of_trust(observed, desired.consumers.get(name)?, files, trust::wanted_trust(desired, observed))
        .or_else(|| fault_of_pair(desired, observed, name, files, trust::signer(observed)))
        .or_else(|| files.reload_due.then(|| "its `reload` command has not run since its files changed".to_owned()))
}

pub fn readiness(
    desired: &Desired,
    observed: &Observed,
    name: &ConsumerName,
    issue: bool,
    trust: Trust,
    by: SignedBy,
) -> Readiness {
    let refused = |why: String| Readiness::Refused(why);
    let Some(consumer) = desired.consumers.get(name) else { return refused(format!("{name} is not declared")) };
    let Some(files) = observed.consumers.get(name).and_then(Seen::known) else {
        return refused(format!("the host of {name} is unreachable"));
    };
    if trust::authority(observed, by).is_none() {
        return refused("there is no CA here".to_owned());
    }
    if !files.lacks.is_empty() {
        return refused(lacking(name, consumer, files).what);
    }
    let is_wrong = fault_of_trust(observed, consumer, files, trust).is_some()
        || issue && fault_of_pair(desired, observed, name, files, by).is_some()
        || files.reload_due;
    let is_now = trust::wanted_trust(desired, observed) == trust && trust::signer(observed) == by;
    match (is_wrong, is_now) {
        (false, _) => Readiness::Done,
        (true, true) => Readiness::Ready,
        (true, false) => refused("the CA rotation has not reached this step".to_owned()),
    }
}

pub fn effect(
    desired: &Desired,
    observed: &mut Observed,
    name: &ConsumerName,
    issue: bool,
    trust: Trust,
    by: SignedBy,
) {
    let Some(consumer) = desired.consumers.get(name) else { return };
    let Some(authority) = trust::authority(observed, by).cloned() else { return };
    let (at, trusted) = (observed.at, trust::trusted(observed, trust));
    let Some(files) = observed.consumers.get_mut(name).and_then(Seen::known_mut) else { return };
    if consumer.authority.is_some() {
        files.trusted = trusted;
        files.authority_access = Some(access(consumer, false));
    }
    if issue {
        let wanted = client(consumer.user.as_str());
        files.certificate = Some(issued(desired, &authority, at, wanted, files.certificate.as_ref()));
        files.certificate_access = Some(access(consumer, false));
        files.key_access = Some(access(consumer, true));
    }
    files.reload_due = false;
}
