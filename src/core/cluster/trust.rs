//! Who signs, and who trusts whom, while the authority stays and while it is rotated.
//!
//! Read from the hosts: what each ca.crt holds, what each process has loaded, who signed each leaf.

use std::path::Path;

use crate::core::code::Code;
use crate::core::desired::{AuthoritySource, Desired, KeyCare, Passphrase};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{Digest, HostName, listed};
use crate::core::observed::{
    Authority, Cause, ConsumerFiles, File, Host, Lent, Observed, OpenedBy, Process, Role, Seen, Unable, Workstation,
};
use crate::core::plan::action::{Action, SignedBy, Trust};
use crate::core::plan::ruling::Finding;
use crate::core::plan::step::Step;

/// Whether none of them would refuse a member whose certificate `authority` has signed. One that has no file yet trusts
/// nobody, and refuses nobody of whom it has not heard.
fn consumers_trust(observed: &Observed, authority: &Digest) -> bool {
    all_consumers(observed, |files| files.authority_access.is_none() || files.trusted.contains(authority))
}

/// Whether none of them has a certificate of another authority any more.
pub fn consumers_are_of(observed: &Observed, authority: &Digest) -> bool {
    all_consumers(observed, |files| files.certificate.as_ref().is_none_or(|one| one.signed_by == Some(*authority)))
}

/// Whether none of them trusts another authority any more.
pub fn consumers_trust_only(observed: &Observed, authorities: &[Digest]) -> bool {
    all_consumers(observed, |files| files.trusted.iter().all(|one| authorities.contains(one)))
}

fn all_consumers(observed: &Observed, is_so: impl Fn(&ConsumerFiles) -> bool) -> bool {
    observed.consumers.values().all(|files| files.known().is_some_and(&is_so))
}

pub fn current(observed: &Observed) -> Option<&Authority> {
    observed.workstation.authority.known()?.as_ref()
}

pub fn next_one(observed: &Observed) -> Option<&Authority> {
    observed.workstation.next.as_ref()
}

/// Whether it is for the authority that no member could be asked: there is none here, or `cause` is wrong with it. That
/// is told of the authority, once, and of no member.
pub fn is_why(observed: &Observed, cause: &Cause) -> bool {
    match &observed.workstation.authority {
        Seen::Unknown(unread) => unread == cause,
        Seen::Known(None) => cause.code == Code::AuthorityMissing,
        Seen::Known(Some(_)) => false,
    }
}

/// That the key of the authority is not here, and what was seen without it.
pub fn lent(desired: &Desired, observed: &Observed) -> Option<Finding> {
    let Lent { key, why, reader, .. } = observed.workstation.lent.as_ref()?;
    let users = match (&desired.auth, &observed.auth) {
        (Some(_), None) => ", which may not read users and roles: those are not compared",
        _ => "",
    };
    let with = match reader {
        Some(path) => format!("the client certificate {path}"),
        None => "a client certificate that lies on the nodes".to_owned(),
    };
    let enough = "to look, that is enough; what issues certificates or changes users needs";
    let (code, why, hint) = match why {
        Unable::NotHere => (Code::KeyNotHere, format!("{key} is not here"), format!("{enough} the key")),
        // That is how it is to be: told only where something was not seen for it.
        Unable::Encrypted(_) if users.is_empty() => return None,
        Unable::Encrypted(_) => {
            (Code::KeyEncrypted, format!("{key} is encrypted"), format!("{enough} the key, and opens it"))
        }
        Unable::Vault(missing) => (Code::KeyNotHere, missing.clone(), format!("{enough} Vault")),
    };
    let what = format!("{why}: etcd was asked with {with}{users}");
    Some(Finding { code, hosts: Vec::new(), what, hint: Some(hint) })
}

/// Where the key is missing here, so that nobody can sign.
pub fn without_key(observed: &Observed) -> Option<&Lent> {
    observed.workstation.lent.as_ref().filter(|lent| lent.why == Unable::NotHere)
}

/// Whether a plan of these steps needs a key that signs: for a certificate, or to log in as root, as which leadership is moved
/// and users are changed.
pub fn needs_key(desired: &Desired, steps: &[Step]) -> bool {
    let signs = steps.iter().flat_map(|step| &step.actions).any(Action::is_signed);
    signs || desired.auth.is_some() && !steps.is_empty()
}

/// Whether a look without the key, which is encrypted, was not let in: with it there is more to see.
pub fn is_shut_out(desired: &Desired, observed: &Observed) -> bool {
    let Some(Lent { why: Unable::Encrypted(_), .. }) = &observed.workstation.lent else { return false };
    let is_for_the_key = |cause: &Cause| matches!(cause.code, Code::AuthUnknown | Code::KeyEncrypted);
    let could_say = observed.answers().any(|(_, answer)| answer.reads && !answer.learner);
    let users_are_unread = desired.auth.is_some() && observed.auth.is_none() && could_say;
    users_are_unread || observed.seen_hosts().any(|(_, host)| host.member.unknown().is_some_and(is_for_the_key))
}

/// What apply needs before its first step, where the plan needs a key: somebody may be asked for it.
pub fn opening(desired: &Desired, observed: &Observed, needs_key: bool) -> Option<Finding> {
    let new = &desired.authority_key;
    let new_by = match (&new.age, &new.passphrase) {
        (Some(age), _) if !age.recipients.is_empty() => Some(OpenedBy::Age),
        (_, Some(_)) => Some(OpenedBy::Passphrase),
        _ => None,
    };
    let (what, by, care) = match (&observed.workstation, new_by) {
        _ if !needs_key => return None,
        (Workstation { lent: Some(Lent { key, why: Unable::Encrypted(by), .. }), .. }, _) => {
            (format!("{key} is encrypted"), *by, care_of(desired, key))
        }
        // Where it was opened, nobody is asked again.
        (Workstation { authority: Seen::Known(None), .. }, Some(by))
            if matches!(desired.authority, AuthoritySource::Generated { .. }) =>
        {
            ("the key of the new CA is encrypted".to_owned(), by, new)
        }
        _ => return None,
    };
    let (needs, hint) = match (by, &care.passphrase) {
        (OpenedBy::Age, _) => ("apply runs age", "age has to be installed here".to_owned()),
        (OpenedBy::Passphrase, passphrase) => ("apply needs its passphrase", source_of(passphrase.as_ref())),
    };
    let what = format!("{what}: {needs} before the first step");
    Some(Finding { code: Code::KeyEncrypted, hosts: Vec::new(), what, hint: Some(hint) })
}

/// How the key at this path is opened, of the two that there may be.
fn care_of<'a>(desired: &'a Desired, key: &str) -> &'a KeyCare {
    let is_previous = match &desired.previous_authority {
        Some(AuthoritySource::Generated { folder }) => Path::new(key).starts_with(folder),
        Some(AuthoritySource::Files { pair }) => Path::new(key) == pair.key,
        _ => false,
    };
    if is_previous { &desired.previous_key } else { &desired.authority_key }
}

fn source_of(passphrase: Option<&Passphrase>) -> String {
    match passphrase {
        Some(Passphrase::File(path)) => format!("it is read from {}", path.display()),
        Some(Passphrase::Environment(name)) => format!("it is read from the environment variable {name}"),
        Some(Passphrase::Prompt) | None => {
            "it is asked for on the terminal, or read from the file that QUORATE_CA_PASSPHRASE_FILE names".to_owned()
        }
    }
}

/// Whether `fingerprint` is an authority of this cluster.
pub fn is_ours(observed: &Observed, fingerprint: &Digest) -> bool {
    let ours = current(observed).into_iter().chain(next_one(observed));
    ours.into_iter().any(|authority| authority.fingerprint == *fingerprint)
}

/// Whether a host trusts an authority of this cluster.
pub fn trusts_ours(observed: &Observed, host: &Host) -> bool {
    host.trusted.iter().any(|trusted| is_ours(observed, trusted))
}

/// Whether a ca.crt of this cluster may hold `fingerprint`: an authority, or one above it.
pub fn is_known(observed: &Observed, fingerprint: &Digest) -> bool {
    let ours = current(observed).into_iter().chain(next_one(observed));
    ours.into_iter().any(|authority| authority.trusted().contains(fingerprint))
}

/// The hosts that have certificates of a second authority which they trust and which is not here: it is taking the place of ours,
/// and whoever began that has it.
pub fn succeeded(observed: &Observed) -> Vec<&HostName> {
    let has_its = |host: &Host| {
        let mut signers = host.certificates.values().filter_map(|leaf| leaf.signed_by);
        signers.any(|signer| host.trusted.contains(&signer) && !is_known(observed, &signer))
    };
    match current(observed) {
        Some(_) => observed.seen_hosts().filter(|(_, host)| has_its(host)).map(|(name, _)| name).collect(),
        None => Vec::new(),
    }
}

/// Whether certificates stay as they are because of that. Where every host was seen and trusts the one that is here, the operator
/// may name all of them to be issued anew by it.
pub fn keeps_certificates(desired: &Desired, observed: &Observed) -> bool {
    // The certificates of others are not ours to issue.
    if let AuthoritySource::External { .. } = desired.authority {
        return false;
    }
    let hosts = succeeded(observed);
    let is_asked = || may_issue_anew(observed) && hosts.iter().all(|name| desired.request.renewals.contains_key(*name));
    !hosts.is_empty() && !is_asked()
}

/// Whether nobody would refuse what the authority that is here signs.
pub fn may_issue_anew(observed: &Observed) -> bool {
    let may_trust_ours = |host: &&Host| host.trusted.is_empty() || trusts_ours(observed, host);
    everyone(observed).is_some_and(|hosts| hosts.iter().all(may_trust_ours))
}

/// A CA that members trust beside ours, and that has signed nothing that was seen: who has its key is let in.
pub fn extra(desired: &Desired, observed: &Observed) -> Option<Finding> {
    current(observed)?;
    if !succeeded(observed).is_empty() {
        return None;
    }
    let is_extra =
        |host: &&Host| trusts_ours(observed, host) && host.trusted.iter().any(|one| !is_known(observed, one));
    let hosts: Vec<_> =
        observed.seen_hosts().filter(|(_, host)| is_extra(host)).map(|(name, _)| name.clone()).collect();
    let of = match hosts.len() {
        0 => return None,
        1 => format!("ca.crt on {}", hosts[0]),
        _ => format!("the ca.crt files on {}", listed(&hosts)),
    };
    let what = format!("{of} also {} a CA that is not in [ca]", if hosts.len() == 1 { "holds" } else { "hold" });
    let hint = match desired.cluster.layout.is_adopted() {
        true => {
            "who has its key is let in: if nobody is to be, take its certificate out of the file on one host, and restart etcd there with \
             `quorate apply --restart=NODE`; then on the next"
        }
        false => {
            "leave it there if a replacement of the CA was begun somewhere else, and go on with that there; otherwise whoever has \
             its key is let in: take its certificate out of ca.crt on one host, and `apply` restarts etcd there; then on the next"
        }
    };
    Some(Finding { code: Code::AuthorityDiffers, hosts, what, hint: Some(hint.to_owned()) })
}

/// The fingerprints that a ca.crt of this kind holds, in the file's order.
pub fn trusted(observed: &Observed, trust: Trust) -> Vec<Digest> {
    let of = |authority: Option<&Authority>| authority.map(Authority::trusted).unwrap_or_default();
    let (old, new) = (of(current(observed)), of(next_one(observed)));
    match trust {
        Trust::Current => old,
        Trust::Next => new,
        // A swap that was cut off leaves one that is both.
        Trust::Both => old.iter().chain(new.iter().filter(|one| !old.contains(one))).copied().collect(),
    }
}

/// What ca.crt is to hold now, on every host.
pub fn wanted_trust(desired: &Desired, observed: &Observed) -> Trust {
    match next_one(observed) {
        None => Trust::Current,
        Some(next) if upheld(Guard::IssuedBeforeDropped, is_issued_everywhere(observed, next)) => {
            let is_named = desired.request.drop_old_ca || is_being_dropped(observed, next);
            if upheld(Guard::OldDroppedByName, is_named) { Trust::Next } else { Trust::Both }
        }
        Some(_) => Trust::Both,
    }
}

/// Whether a host trusts the next one alone already: whoever has a certificate of the old one is refused there.
pub fn is_being_dropped(observed: &Observed, next: &Authority) -> bool {
    everyone_seen(observed).any(|host| holds_alone(host, next))
}

/// Whether all that is left of the rotation is to drop the old one, and nobody has named that.
pub fn waits_for_clients(desired: &Desired, observed: &Observed) -> bool {
    next_one(observed).is_some_and(|next| is_issued_everywhere(observed, next))
        && wanted_trust(desired, observed) == Trust::Both
}

fn everyone_seen(observed: &Observed) -> impl Iterator<Item = &Host> {
    let former = observed.former.values().map(|former| &former.host);
    observed.hosts.values().chain(former).filter_map(Seen::known)
}

/// Who signs now.
pub fn signer(observed: &Observed) -> SignedBy {
    match next_one(observed) {
        Some(next) if upheld(Guard::TrustedBeforeIssued, is_loaded_everywhere(observed, next)) => SignedBy::Next,
        _ => SignedBy::Current,
    }
}

pub fn authority(observed: &Observed, by: SignedBy) -> Option<&Authority> {
    match by {
        SignedBy::Current => current(observed),
        SignedBy::Next => next_one(observed),
    }
}

/// Every host, and everyone who is a member still; `None` when one of them could not be seen.
pub fn everyone(observed: &Observed) -> Option<Vec<&Host>> {
    let former = observed.former.values().map(|former| &former.host);
    observed.hosts.values().chain(former).map(Seen::known).collect()
}

/// Whether no member would refuse a leaf of `authority`: each has it in its ca.crt, and has loaded that if it runs.
fn is_loaded_everywhere(observed: &Observed, authority: &Authority) -> bool {
    // A host on which nothing lies yet gets what is wanted then. One whose ca.crt holds the new one alone has loaded both
    // before: the old one is dropped only after that.
    let is_loaded = |host: &&Host| {
        host.process.is_none() && host.trusted.is_empty()
            || host.trusted.contains(&authority.fingerprint) && (has_loaded_trust(host) || holds_alone(host, authority))
    };
    upheld(Guard::ConsumersTrustFirst, consumers_trust(observed, &authority.fingerprint))
        && everyone(observed).is_some_and(|hosts| hosts.iter().all(is_loaded))
}

pub fn holds_alone(host: &Host, authority: &Authority) -> bool {
    let alone = authority.trusted();
    !host.trusted.is_empty() && host.trusted.iter().all(|trusted| alone.contains(trusted))
}

pub fn has_loaded_trust(host: &Host) -> bool {
    let on_disk = host.files.get(&File::Trust).map(|fact| fact.digest);
    // Somebody else's process does not tell what it has loaded.
    let has =
        |process: &Process| process.started_with.is_some() || process.loaded.get(&File::Trust).copied() == on_disk;
    host.process.as_ref().is_none_or(has)
}

pub fn is_issued_everywhere(observed: &Observed, authority: &Authority) -> bool {
    let Some(hosts) = everyone(observed) else { return false };
    // Once the old one was dropped anywhere there is no way back: a leaf that is lost then is issued by the new one.
    let has_begun = hosts.iter().any(|host| holds_alone(host, authority));
    let is_its = |host: &&Host| {
        let all_there =
            host.trusted.is_empty() || Role::OF_MEMBERS.iter().all(|role| host.certificates.contains_key(role));
        (all_there || has_begun) && host.certificates.values().all(|leaf| leaf.signed_by == Some(authority.fingerprint))
    };
    let issued = consumers_are_of(observed, &authority.fingerprint);
    let consumers = has_begun || upheld(Guard::ConsumersIssuedFirst, issued);
    consumers && is_loaded_everywhere(observed, authority) && hosts.iter().all(is_its)
}
