//! From one authority to the next, without a moment in which two members do not trust each other.
//!
//! ```text
//! make the next ─► ca.crt with both, restart ─► leaves of the next ─► ca.crt with the next alone, restart ─► the next is the one
//! ```
//!
//! Where it stands is read from the hosts: what each ca.crt holds, what each process has loaded, who signed each leaf.
//! etcd reads its trusted authorities once, at its start, and leaves at every handshake (3.4 to 3.7).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::capability::authority::VALIDITY_SECONDS;
use crate::core::capability::consumers;
use crate::core::cluster::situation::Situation;
use crate::core::code::Code;
use crate::core::desired::{AuthoritySource, Desired};
use crate::core::guard::{Guard, upheld};
use crate::core::names::Digest;
use crate::core::observed::{Authority, File, Host, Observed, Role, Seen};
use crate::core::plan::action::{Action, Readiness};
use crate::core::planner::{Draft, Finding, Ruling, View};

/// Which authorities a ca.crt holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// The one that there is.
    #[default]
    Current,
    /// That, and the one that is to take its place.
    Both,
    /// The one that is to take its place, alone.
    Next,
}

impl Trust {
    pub fn is_current(&self) -> bool {
        *self == Self::Current
    }
}

/// The authority that signs a leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignedBy {
    /// The one that there is.
    #[default]
    Current,
    /// The one that is to take its place.
    Next,
}

impl SignedBy {
    pub fn is_current(&self) -> bool {
        *self == Self::Current
    }
}

fn current(observed: &Observed) -> Option<&Authority> {
    observed.workstation.authority.known()?.as_ref()
}

fn next_one(observed: &Observed) -> Option<&Authority> {
    observed.workstation.next.as_ref()
}

/// Whether `fingerprint` is an authority of this cluster.
pub fn is_ours(observed: &Observed, fingerprint: &Digest) -> bool {
    let ours = current(observed).into_iter().chain(next_one(observed));
    ours.into_iter().any(|authority| authority.fingerprint == *fingerprint)
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
pub fn wanted_trust(observed: &Observed) -> Trust {
    match next_one(observed) {
        None => Trust::Current,
        Some(next) if upheld(Guard::IssuedBeforeDropped, is_issued_everywhere(observed, next)) => Trust::Next,
        Some(_) => Trust::Both,
    }
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
fn all(observed: &Observed) -> Option<Vec<&Host>> {
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
    upheld(Guard::ConsumersTrustFirst, consumers::all_trust(observed, &authority.fingerprint))
        && all(observed).is_some_and(|hosts| hosts.iter().all(is_loaded))
}

fn holds_alone(host: &Host, authority: &Authority) -> bool {
    let alone = authority.trusted();
    !host.trusted.is_empty() && host.trusted.iter().all(|trusted| alone.contains(trusted))
}

fn has_loaded_trust(host: &Host) -> bool {
    let on_disk = host.files.get(&File::Trust).map(|fact| fact.digest);
    host.process.as_ref().is_none_or(|process| process.loaded.get(&File::Trust).copied() == on_disk)
}

fn is_issued_everywhere(observed: &Observed, authority: &Authority) -> bool {
    let Some(hosts) = all(observed) else { return false };
    // Once the old one was dropped anywhere there is no way back: a leaf that is lost then is issued by the new one.
    let has_begun = hosts.iter().any(|host| holds_alone(host, authority));
    let is_its = |host: &&Host| {
        let all_there =
            host.trusted.is_empty() || Role::OF_MEMBERS.iter().all(|role| host.certificates.contains_key(role));
        (all_there || has_begun) && host.certificates.values().all(|leaf| leaf.signed_by == Some(authority.fingerprint))
    };
    let issued = consumers::all_are_of(observed, &authority.fingerprint);
    let consumers = has_begun || upheld(Guard::ConsumersIssuedFirst, issued);
    consumers && is_loaded_everywhere(observed, authority) && hosts.iter().all(is_its)
}

/// Begins a rotation that was asked for. One that has begun goes on by itself.
pub fn begin(view: &View) -> Ruling {
    let asked = is_asked(view.desired, view.observed) && matches!(view.situation, Situation::Serving(_));
    if !asked || !view.blocked.is_empty() {
        return Ruling::default();
    }
    let why = match view.desired.previous_authority {
        Some(_) => "another authority is declared than the members trust",
        None => "`--rotate-ca` asks for it",
    };
    Ruling::step(Draft::of(Action::CreateNextAuthority, view.reason(why, "ca")))
}

fn is_asked(desired: &Desired, observed: &Observed) -> bool {
    if desired.previous_authority.is_some() {
        return next_one(observed).is_none() && !observed.workstation.is_replaced;
    }
    let AuthoritySource::Generated { .. } = desired.authority else { return false };
    let Some(current) = current(observed) else { return false };
    let asked = desired.request.rotation.is_some_and(|of| of.from.is_none_or(|from| from == current.fingerprint));
    asked && next_one(observed).is_none()
}

pub fn create_readiness(observed: &Observed) -> Readiness {
    match (current(observed), next_one(observed)) {
        (_, Some(_)) => Readiness::Done,
        (Some(_), None) => Readiness::Ready,
        (None, None) => Readiness::Refused("there is no authority to be replaced".to_owned()),
    }
}

pub fn create_effect(observed: &mut Observed) {
    let before = current(observed).map(|current| current.fingerprint.to_string()).unwrap_or_default();
    let made = Digest::of(format!("the authority that will be made after {before}"));
    observed.workstation.next = Some(Authority {
        fingerprint: made,
        file_digest: made,
        not_after: observed.at.plus_seconds(VALIDITY_SECONDS),
        chain: Vec::new(),
    });
}

/// Ends it: nobody trusts the old one any more.
pub fn adopt(view: &View) -> Ruling {
    if adopt_readiness(view.observed) != Readiness::Ready {
        return Ruling::default();
    }
    let reason = view.reason("every member trusts the new authority alone", "ca");
    Ruling::step(Draft::of(Action::AdoptAuthority, reason))
}

pub fn adopt_readiness(observed: &Observed) -> Readiness {
    let Some(next) = next_one(observed) else { return Readiness::Done };
    let refused = |why: &str| Readiness::Refused(why.to_owned());
    let Some(hosts) = all(observed) else { return refused("a host cannot be seen") };
    let trusts_alone = |host: &&Host| host.trusted.is_empty() || (holds_alone(host, next) && has_loaded_trust(host));
    let consumers =
        consumers::all_are_of(observed, &next.fingerprint) && consumers::all_trust_only(observed, &next.trusted());
    if !consumers || !is_issued_everywhere(observed, next) || !hosts.iter().all(trusts_alone) {
        return refused("the old authority is still in use");
    }
    Readiness::Ready
}

pub fn adopt_effect(desired: &Desired, observed: &mut Observed) {
    if let Some(next) = observed.workstation.next.take() {
        observed.workstation.authority = Seen::Known(Some(next));
        observed.workstation.is_replaced = desired.previous_authority.is_some();
    }
}

/// Whether nobody trusts the one that was to go any more, nor has anything of it.
pub fn is_over(observed: &Observed) -> bool {
    next_one(observed).is_some() && adopt_readiness(observed) == Readiness::Ready
}

/// What [ca.previous] is still for.
pub fn findings(observed: &Observed) -> Option<Finding> {
    observed.workstation.is_replaced.then(|| Finding {
        code: Code::AuthorityReplaced,
        hosts: Vec::new(),
        what: "nobody trusts the authority of [ca.previous] any more".to_owned(),
        hint: Some("remove [ca.previous] from cluster.toml; keep its key as long as you like".to_owned()),
    })
}
