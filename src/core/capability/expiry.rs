//! Certificates that end while one looks away: within an apply, or after the authority that they need.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::code::Code;
use crate::core::count::count;
use crate::core::names::{Digest, HostName, UnixSeconds};
use crate::core::observed::{Authority, Certificate, Observed, Role};
use crate::core::plan::ruling::Finding;
use crate::core::span::days;

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
            ..=0 => format!("{role}.crt on {host} has expired: new connections are refused"),
            1..=APPLY_SECONDS => {
                let minutes = count(usize::try_from(left / 60).unwrap_or_default(), "minute");
                format!("{role}.crt on {host} expires in {minutes}, possibly during an apply")
            }
            _ => return None,
        };
        let hint = "if quorate issues it, renew it before anything else: `quorate apply --renew-certs`";
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
    let (mut leaves_after, mut first): (usize, Option<UnixSeconds>) = (0, None);
    for (host, _, leaf) in leaves {
        let Some(authority) = leaf.signed_by.and_then(|signer| ours.get(&signer)) else { continue };
        if leaf.not_after > authority.not_after {
            hosts.insert((*host).clone());
            leaves_after += 1;
            first = Some(first.map_or(authority.not_after, |first| first.min(authority.not_after)));
        }
    }
    let left = days(first?.0 - observed.at.0);
    let what = match leaves_after {
        1 => format!("a certificate expires after its CA, which expires in {left}"),
        leaves_after => format!("{leaves_after} certificates expire after their CA, which expires in {left}"),
    };
    let hint = "they stop being accepted when the CA expires: replace the CA before then, which reissues them";
    Some(Finding {
        code: Code::AuthorityEndsFirst,
        hosts: hosts.into_iter().collect(),
        what,
        hint: Some(hint.to_owned()),
    })
}
