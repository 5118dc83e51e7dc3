//! Certificates that end while one looks away: within an apply, or after the authority that they need.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::code::Code;
use crate::core::names::{Digest, HostName, UnixSeconds};
use crate::core::observed::{Authority, Certificate, Observed, Role};
use crate::core::plan::ruling::Finding;

/// Longer than an apply takes that restarts every member twice.
const APPLY_SECONDS: i64 = 3600;

pub fn findings(observed: &Observed) -> Vec<Finding> {
    let leaves: Vec<(&HostName, Role, &Certificate)> = observed
        .seen_hosts()
        .flat_map(|(name, host)| host.certificates.iter().map(move |(role, leaf)| (name, *role, leaf)))
        .collect();
    let soon = leaves.iter().filter_map(|(host, role, leaf)| {
        let left = leaf.not_after.0 - observed.at.0;
        let what = match left {
            ..=0 => format!("{role}.crt on {host} has ended: who connects now is refused"),
            1..=APPLY_SECONDS => format!("{role}.crt on {host} ends in {} minutes, maybe during an apply", left / 60),
            _ => return None,
        };
        let hint = "where quorate issues it, apply renews it before anything else on that host; do that alone first: \
                    `quorate apply --renew-certs`";
        Some(Finding {
            code: Code::CertificateExpires,
            hosts: vec![(*host).clone()],
            what,
            hint: Some(hint.to_owned()),
        })
    });
    soon.chain(ends_first(observed, &leaves)).collect()
}

/// A leaf is worth nothing once its authority has ended, whatever it says itself.
fn ends_first(observed: &Observed, leaves: &[(&HostName, Role, &Certificate)]) -> Option<Finding> {
    let current = observed.workstation.authority.known().and_then(Option::as_ref);
    let ours: BTreeMap<Digest, &Authority> =
        current.into_iter().chain(&observed.workstation.next).map(|one| (one.fingerprint, one)).collect();
    let mut hosts = BTreeSet::new();
    let (mut count, mut first): (usize, Option<UnixSeconds>) = (0, None);
    for (host, _, leaf) in leaves {
        let Some(authority) = leaf.signed_by.and_then(|signer| ours.get(&signer)) else { continue };
        if leaf.not_after > authority.not_after {
            hosts.insert((*host).clone());
            count += 1;
            first = Some(first.map_or(authority.not_after, |first| first.min(authority.not_after)));
        }
    }
    let left = (first?.0 - observed.at.0).div_euclid(24 * 3600);
    let what = match count {
        1 => format!("a certificate ends after its authority, which ends in {left} days"),
        count => format!("{count} certificates end after their authority, which ends in {left} days"),
    };
    let hint = "they are refused from then on: replace the authority before, and they are issued again with it";
    Some(Finding {
        code: Code::AuthorityEndsFirst,
        hosts: hosts.into_iter().collect(),
        what,
        hint: Some(hint.to_owned()),
    })
}
