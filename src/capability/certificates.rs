//! ca.crt and the leaf certificates of each host. A leaf is read again on every handshake, so none needs a restart.

use std::collections::BTreeSet;

use crate::action::{Action, Readiness};
use crate::auth::BACKUP;
use crate::capability::{backup, service};
use crate::code::Code;
use crate::desired::Desired;
use crate::guard::{Guard, upheld};
use crate::layout;
use crate::names::{ClientUrl, Digest, HostName, PeerUrl};
use crate::observed::{Authority, Certificate, File, FileFact, Host, Observed, Role, Seen, Usage};
use crate::plan::{Blocked, Draft, Ruling, View};
use crate::quorum::Membership;
use crate::situation::Situation;

/// What a leaf must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub common_name: String,
    /// DNS names in lower case and IP addresses in their shortest form.
    pub names: BTreeSet<String>,
    pub usages: BTreeSet<Usage>,
}

/// The leaf of `role` on `host`.
///
/// A server certificate is also used as a client's (etcd's own gateway dials its member), and a peer's is both by
/// nature. A peer certificate must name the address that the other peers see.
///
/// # Panics
/// If `host` is not declared.
pub fn wanted(desired: &Desired, host: &HostName, role: Role, also: &BTreeSet<String>) -> Wanted {
    let address = canonical(&desired.nodes[host].address);
    let own = || [canonical(host.as_str()), address.clone()].into_iter().chain(also.iter().cloned());
    let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let both = BTreeSet::from([Usage::ServerAuth, Usage::ClientAuth]);
    match role {
        Role::Server => {
            let extra = desired.certificates.server_names.iter().map(|name| canonical(name));
            let names = own().chain(loopback).chain(extra).collect();
            Wanted { common_name: host.to_string(), names, usages: both }
        }
        Role::Peer => Wanted { common_name: host.to_string(), names: own().collect(), usages: both },
        Role::HealthcheckClient => Wanted {
            common_name: "etcd-healthcheck-client".to_owned(),
            names: BTreeSet::new(),
            usages: [Usage::ClientAuth].into(),
        },
        Role::BackupClient => {
            Wanted { common_name: BACKUP.to_owned(), names: BTreeSet::new(), usages: [Usage::ClientAuth].into() }
        }
    }
}

/// The addresses at which a member is reached until it has moved to the declared one.
fn also(desired: &Desired, observed: &Observed, name: &HostName) -> BTreeSet<String> {
    let Some(membership) = Membership::of(desired, observed) else { return BTreeSet::new() };
    let Some(member) = membership.member_of(name) else { return BTreeSet::new() };
    let declared = canonical(&desired.nodes[name].address);
    // Its client URL stays the old one until it has restarted.
    let urls = member.entry.peer_urls.iter().map(PeerUrl::as_str);
    let urls = urls.chain(member.entry.client_urls.iter().map(ClientUrl::as_str));
    let addresses = urls.map(|url| canonical(PeerUrl::new(url).address()));
    addresses.filter(|address| *address != declared).collect()
}

/// A name as certificates are compared by it.
pub fn canonical(name: &str) -> String {
    name.parse::<core::net::IpAddr>().map_or_else(|_| name.to_ascii_lowercase(), |ip| ip.to_string())
}

pub fn trust(view: &View) -> Ruling {
    if authority(view.observed).is_none() {
        return Ruling::default();
    }
    let without = view.hosts().filter(|(_, host)| host.trusted.is_empty());
    let actions = without.map(|(name, _)| Action::InstallTrust { host: name.clone() }).collect();
    Ruling::steps_for(actions, vec![view.reason("ca.crt is missing or unreadable", "ca")])
}

fn authority(observed: &Observed) -> Option<&Authority> {
    observed.workstation.authority.known()?.as_ref()
}

pub fn trust_readiness(observed: &Observed, name: &HostName) -> Readiness {
    match (observed.host(name), authority(observed)) {
        (None, _) => Readiness::Refused(format!("{name} cannot be seen")),
        (_, None) => Readiness::Refused("there is no authority beside cluster.toml".to_owned()),
        (Some(host), Some(authority)) if host.trusted.contains(&authority.fingerprint) => Readiness::Done,
        (Some(host), Some(_)) if !host.trusted.is_empty() => {
            Readiness::Refused(format!("{name} trusts another authority"))
        }
        (Some(_), Some(_)) => Readiness::Ready,
    }
}

pub fn trust_effect(observed: &mut Observed, name: &HostName) {
    let Some(authority) = authority(observed).cloned() else { return };
    let Some(host) = observed.host_mut(name) else { return };
    host.trusted = vec![authority.fingerprint];
    host.files.insert(
        File::Trust,
        FileFact { access: layout::access(File::Trust), digest: authority.file_digest, text: None },
    );
}

/// Issues what is missing, wrong or due. Where members serve it is one host at a time, and apply sees each answer with its
/// new certificate before the next; a pair that works is only replaced while every running member answers.
pub fn next(view: &View) -> Ruling {
    let mut ruling = Ruling::default();
    if authority(view.observed).is_none() {
        return ruling;
    }
    // Those that do not serve yet get theirs all at once.
    let serves = |host: &Host| view.situation != Situation::New && host.process.is_some();
    for role in Role::ALL {
        let mut actions = Vec::new();
        let mut because = Vec::new();
        for (name, host) in service::in_turn(view).into_iter().filter(|(_, host)| host.account) {
            let also = also(view.desired, view.observed, name);
            if role == Role::BackupClient && backup::policy(view.desired, name).is_none() {
                continue;
            }
            let Some(fault) = fault(view.desired, view.observed, name, host, role, &also) else { continue };
            let silent = view.observed.seen_hosts().find(|(_, host)| host.process.is_some() && host.answer().is_none());
            if let (Some((silent, _)), true) = (silent, works(view.observed, host, role))
                && role != Role::BackupClient
                && !upheld(Guard::AllAnswerBeforeReissue, false)
            {
                let what = format!("{fault} on {name}, and waits: {silent} does not answer");
                let hint = format!("repair {silent} first: a certificate that works is not replaced meanwhile");
                ruling.blocked.push(Blocked::new(Code::NotHealthy, what).on(name).hint(hint));
                continue;
            }
            let place = if role == Role::BackupClient { "backup" } else { "certificates" };
            let reason = view.reason(fault, place);
            if !because.contains(&reason) {
                because.push(reason);
            }
            actions.push(Action::IssueCertificate { host: name.clone(), role, also });
            // Nobody but our own script comes with it.
            if serves(host) && role != Role::BackupClient {
                break;
            }
        }
        if !actions.is_empty() {
            ruling.step = Some(Draft { actions, because, needs: BTreeSet::new() });
            return ruling;
        }
    }
    ruling
}

/// Whether a peer or client accepts the pair as it lies there now.
fn works(observed: &Observed, host: &Host, role: Role) -> bool {
    let ours = authority(observed).map(|authority| authority.fingerprint);
    host.files.contains_key(&role.key())
        && host.certificates.get(&role).is_some_and(|certificate| {
            certificate.matches_key != Seen::Known(false)
                && certificate.signed_by == ours
                && certificate.not_before <= observed.at
                && certificate.not_after > observed.at
        })
}

/// Whether the pair of `role` is as it should be.
pub fn is_right(desired: &Desired, observed: &Observed, name: &HostName, host: &Host, role: Role) -> bool {
    authority(observed).is_some()
        && fault(desired, observed, name, host, role, &also(desired, observed, name)).is_none()
}

/// Why the pair of `role` must be issued anew; `None` when it is as it should be.
fn fault(
    desired: &Desired,
    observed: &Observed,
    name: &HostName,
    host: &Host,
    role: Role,
    also: &BTreeSet<String>,
) -> Option<String> {
    let authority = authority(observed)?;
    let stem = role.file_stem();
    if !host.files.contains_key(&role.certificate()) {
        return Some(format!("{stem}.crt is missing"));
    }
    if !host.files.contains_key(&role.key()) {
        return Some(format!("{stem}.key is missing"));
    }
    let Some(certificate) = host.certificates.get(&role) else {
        return Some(format!("{stem}.crt is not a certificate"));
    };
    let wanted = wanted(desired, name, role, also);
    if certificate.matches_key == Seen::Known(false) {
        return Some(format!("{stem}.crt and {stem}.key do not belong together"));
    }
    if certificate.signed_by != Some(authority.fingerprint) {
        return Some(format!("{stem}.crt is not signed by the cluster's authority"));
    }
    if certificate.names != wanted.names || certificate.common_name != wanted.common_name {
        return Some(format!("{stem}.crt has other names than declared"));
    }
    if certificate.usages != wanted.usages {
        return Some(format!("{stem}.crt has other key usages than needed"));
    }
    if certificate.not_before > observed.at {
        return Some(format!("{stem}.crt is not valid yet"));
    }
    let renew_before = i64::try_from(desired.certificates.renew_before_seconds).unwrap_or(i64::MAX);
    if certificate.not_after <= observed.at.plus_seconds(renew_before) {
        return Some(format!("{stem}.crt is due for renewal"));
    }
    None
}

pub fn readiness(
    desired: &Desired,
    observed: &Observed,
    name: &HostName,
    role: Role,
    also: &BTreeSet<String>,
) -> Readiness {
    match (observed.host(name), authority(observed)) {
        (None, _) => Readiness::Refused(format!("{name} cannot be seen")),
        (_, None) => Readiness::Refused("there is no authority beside cluster.toml".to_owned()),
        (Some(host), Some(_)) if fault(desired, observed, name, host, role, also).is_none() => Readiness::Done,
        (Some(_), Some(_)) => Readiness::Ready,
    }
}

pub fn effect(desired: &Desired, observed: &mut Observed, name: &HostName, role: Role, also: &BTreeSet<String>) {
    let Some(authority) = authority(observed).cloned() else { return };
    let at = observed.at;
    let Some(host) = observed.host_mut(name) else { return };
    let wanted = wanted(desired, name, role, also);
    let validity = i64::try_from(desired.certificates.validity_seconds).unwrap_or(i64::MAX);
    host.certificates.insert(
        role,
        Certificate {
            signed_by: Some(authority.fingerprint),
            common_name: wanted.common_name,
            names: wanted.names,
            usages: wanted.usages,
            not_before: at,
            not_after: at.plus_seconds(validity),
            serial: String::new(),
            matches_key: Seen::Known(true),
        },
    );
    for file in [role.certificate(), role.key()] {
        let digest = Digest::of(format!("{name} {file:?} to be issued"));
        host.files.insert(file, FileFact { access: layout::access(file), digest, text: None });
    }
    // A member that only lacked a certificate to serve with is heard again.
    if role == Role::Server && host.process.is_some() && host.member.known().is_none() {
        service::serve(desired, observed, name);
    }
}
