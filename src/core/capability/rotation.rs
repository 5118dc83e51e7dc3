//! From one authority to the next, without a moment in which two members do not trust each other.
//!
//! ```text
//! make the next ─► ca.crt with both, restart ─► leaves of the next ─► ca.crt with the next alone, restart ─► the next is the one
//! ```
//!
//! Where it stands is read from the hosts: what each ca.crt holds, what each process has loaded, who signed each leaf.
//! etcd reads its trusted authorities once, at its start, and leaves at every handshake (3.4 to 3.7).

use crate::core::cluster::clients;
use crate::core::cluster::model::AUTHORITY_VALIDITY_SECONDS;
use crate::core::cluster::situation::Situation;
use crate::core::cluster::trust::{
    self, current, everyone, has_loaded_trust, holds_alone, is_issued_everywhere, next_one,
};
use crate::core::cluster::view::View;
use crate::core::code::Code;
use crate::core::desired::{AuthoritySource, Desired, Place};
use crate::core::names::Digest;
use crate::core::observed::{Authority, Host, Observed, Seen};
use crate::core::plan::action::{Action, AuthorityAction, Readiness};
use crate::core::plan::ruling::{Draft, Finding, Ruling};
use crate::core::span::days;

/// Begins a rotation that was asked for. One that has begun goes on by itself.
pub fn begin(view: &View) -> Ruling {
    let asked = is_asked(view.desired, view.observed) && matches!(view.situation, Situation::Serving(_));
    if !asked || !view.blocked.is_empty() {
        return Ruling::default();
    }
    let why = match view.desired.previous_authority {
        Some(_) => "[ca] declares a different CA from the one that the members trust",
        None => "requested with `--rotate-ca`",
    };
    Ruling::step(Draft::of(Action::Authority(AuthorityAction::CreateNext), view.reason(why, Place::Ca)))
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
        (None, None) => Readiness::Refused("there is no CA to replace".to_owned()),
    }
}

pub fn create_effect(observed: &mut Observed) {
    let before = current(observed).map(|current| current.fingerprint.to_string()).unwrap_or_default();
    let made = Digest::of(format!("the authority that will be made after {before}"));
    observed.workstation.next = Some(Authority {
        fingerprint: made,
        file_digest: made,
        not_after: observed.at.plus_seconds(AUTHORITY_VALIDITY_SECONDS),
        chain: Vec::new(),
    });
}

/// Ends it: nobody trusts the old one any more.
pub fn adopt(view: &View) -> Ruling {
    if let Some(refusal) = clients::refusal(view.desired, view.observed) {
        return Ruling::blocked(refusal);
    }
    if adopt_readiness(view.observed) != Readiness::Ready {
        return Ruling::default();
    }
    let reason = view.reason("every member trusts only the new CA", Place::Ca);
    Ruling::step(Draft::of(Action::Authority(AuthorityAction::Adopt), reason))
}

pub fn adopt_readiness(observed: &Observed) -> Readiness {
    let Some(next) = next_one(observed) else { return Readiness::Done };
    let refused = |why: &str| Readiness::Refused(why.to_owned());
    let Some(hosts) = everyone(observed) else { return refused("a host is unreachable") };
    let trusts_alone = |host: &&Host| host.trusted.is_empty() || (holds_alone(host, next) && has_loaded_trust(host));
    let consumers =
        trust::consumers_are_of(observed, &next.fingerprint) && trust::consumers_trust_only(observed, &next.trusted());
    if !consumers || !is_issued_everywhere(observed, next) || !hosts.iter().all(trusts_alone) {
        return refused("the old CA is still in use");
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
    let what = match observed.workstation.previous_ended {
        Some(end) => format!(
            "the CA in [ca.previous] expired {} ago, and no certificate that it signed is accepted any more",
            days(observed.at.0 - end.0)
        ),
        None => "no member trusts the CA in [ca.previous] any more".to_owned(),
    };
    observed.workstation.is_replaced.then(|| Finding {
        code: Code::AuthorityReplaced,
        hosts: Vec::new(),
        what,
        hint: Some("remove [ca.previous] from cluster.toml; its key is no longer needed".to_owned()),
    })
}
