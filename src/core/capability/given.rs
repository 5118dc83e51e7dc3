//! Certificates that someone else issues: each pair is checked here, and put on its host as it is.
//!
//! A wrong one would cut a member off, and half of them are of no use: all are checked before anything is touched, and
//! everything that is wrong is told at once.

use super::unreachable;
use std::collections::BTreeSet;

use crate::core::cluster::leaf::{also, difference_from_given, given_pair, not_served};
use crate::core::cluster::model::serve_serial;
use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::desired::{AuthoritySource, Desired, Place};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{Digest, HostName, canonical};
use crate::core::observed::{Certificate, FileFact, GivenPair, Observed, Role, Usage};
use crate::core::plan::action::Readiness;
use crate::core::plan::ruling::{Blocked, Finding};
use crate::core::span::days;

/// Everything that is wrong with what is given. Nothing is touched until it is empty.
pub fn faults(desired: &Desired, observed: &Observed) -> Vec<Blocked> {
    let (AuthoritySource::External { nodes, .. }, Some(given)) = (&desired.authority, &observed.workstation.given)
    else {
        return Vec::new();
    };
    if upheld(Guard::GivenIsWhole, false) {
        return Vec::new();
    }
    let client = pair_faults(observed, &given.client, &BTreeSet::new(), &[Usage::ClientAuth]);
    let mut blocked: Vec<_> = client.into_iter().map(|what| fault(what, Place::Ca)).collect();
    for name in nodes.keys() {
        for &role in desired.authority.roles() {
            let pair = given.nodes.get(name).and_then(|pairs| pairs.get(&role)).cloned().unwrap_or_default();
            let needed = needed_names(desired, observed, name, role);
            let both = [Usage::ServerAuth, Usage::ClientAuth];
            let faults = pair_faults(observed, &pair, &needed, &both).into_iter();
            blocked.extend(faults.map(|what| fault(what, Place::NodeCertificates(name)).on(name)));
        }
    }
    blocked
}

fn fault(what: String, declared: Place) -> Blocked {
    let hint = "reissue it, or correct the path; nothing is changed until every pair is valid";
    Blocked::new(Code::CertificateUnusable, what).hint(hint).declared_at(declared)
}

/// What a certificate must at least name: the address that clients and peers dial, and for a server what is declared
/// besides. A name more does no harm.
fn needed_names(desired: &Desired, observed: &Observed, name: &HostName, role: Role) -> BTreeSet<String> {
    let Some(node) = desired.nodes.get(name) else { return BTreeSet::new() };
    let mut names = also(desired, observed, name);
    names.insert(canonical(&node.address));
    match role {
        Role::Server => names.extend(desired.certificates.server_names.iter().map(|name| canonical(name))),
        Role::Peer => names.extend(node.peer_names.iter().map(|name| canonical(name))),
        Role::HealthcheckClient | Role::BackupClient => {}
    }
    names
}

fn pair_faults(observed: &Observed, pair: &GivenPair, names: &BTreeSet<String>, usages: &[Usage]) -> Vec<String> {
    let mut faults = pair.faults.clone();
    let path = &pair.path;
    let Some(certificate) = &pair.certificate else {
        if faults.is_empty() {
            faults.push("no certificate and key are configured for it".to_owned());
        }
        return faults;
    };
    // Without the authority's certificate nobody can say who signed what; that it is missing is told elsewhere.
    if let Some(authority) = observed.workstation.authority.known().and_then(Option::as_ref)
        && certificate.signed_by != Some(authority.fingerprint)
    {
        faults.push(format!("{path} is not signed by the CA in [ca]"));
    }
    if certificate.not_after <= observed.at {
        faults.push(format!("{path} has expired"));
    }
    if certificate.not_before > observed.at {
        faults.push(format!("{path} is not valid yet"));
    }
    let missing: Vec<_> = names.iter().filter(|name| !is_named(certificate, name)).map(String::as_str).collect();
    if !missing.is_empty() {
        faults.push(format!("{path} does not name {}", missing.join(" and ")));
    }
    for usage in usages.iter().filter(|usage| !certificate.usages.contains(usage)) {
        let what = match usage {
            Usage::ServerAuth => "servers (serverAuth)",
            Usage::ClientAuth => "clients (clientAuth)",
        };
        faults.push(format!("{path} is not for {what}"));
    }
    faults
}

/// By the name itself, or by a wildcard for its first label.
fn is_named(certificate: &Certificate, name: &str) -> bool {
    let wildcard = || name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
    certificate.names.contains(name)
        || (name.parse::<core::net::IpAddr>().is_err()
            && wildcard().is_some_and(|wildcard| certificate.names.contains(&wildcard)))
}

pub fn readiness(desired: &Desired, observed: &Observed, name: &HostName, role: Role) -> Readiness {
    let Some(host) = observed.host(name) else { return unreachable(name) };
    if let Some(fault) = faults(desired, observed).into_iter().next() {
        return Readiness::Refused(fault.what);
    }
    if given_pair(observed, name, role).is_none() {
        return Readiness::Refused(format!("no {role} certificate is configured for {name}"));
    }
    if difference_from_given(observed, name, host, role).is_some() {
        return Readiness::Ready;
    }
    match not_served(desired, name, host, role) {
        None => Readiness::Done,
        Some(blocked) => Readiness::Refused(blocked.what),
    }
}

/// The files on the host; the certificate in them is what was given.
pub fn effect(desired: &Desired, observed: &mut Observed, name: &HostName, role: Role) {
    let Some(GivenPair { certificate: Some(certificate), digest: Some(digest), .. }) =
        given_pair(observed, name, role).cloned()
    else {
        return;
    };
    let Some(host) = observed.host_mut(name) else { return };
    serve_serial(desired, name, host, role, &certificate.serial);
    host.certificates.insert(role, certificate);
    let key = Digest::of(format!("{name} {role} as configured"));
    for (file, digest) in [(role.certificate(), digest), (role.key(), key)] {
        host.files.insert(file, FileFact { access: layout::access(file), digest, text: None });
    }
}

/// Pairs that end soon. Only who issued them can renew them.
pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let Some(given) = &observed.workstation.given else { return Vec::new() };
    let renew_before = i64::try_from(desired.certificates.renew_before_seconds).unwrap_or(i64::MAX);
    let ends_soon = |pair: &GivenPair| {
        let left = pair.certificate.as_ref()?.not_after.0 - observed.at.0;
        (0..renew_before).contains(&left).then(|| format!("{} expires in {}", pair.path, days(left)))
    };
    let nodes = given.nodes.iter().flat_map(|(name, pairs)| pairs.values().map(move |pair| (Some(name), pair)));
    let found = [(None, &given.client)].into_iter().chain(nodes).filter_map(|(name, pair)| {
        let hint = Some("reissue it and replace the file: the next apply installs it".to_owned());
        let hosts = name.into_iter().cloned().collect();
        Some(Finding { code: Code::CertificateExpires, hosts, what: ends_soon(pair)?, hint })
    });
    found.collect()
}
