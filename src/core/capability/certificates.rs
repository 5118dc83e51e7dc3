//! ca.crt and the leaf certificates of each host. A leaf is read again on every handshake, so none needs a restart.

use std::collections::BTreeSet;

use crate::core::capability::rotation::{self, SignedBy, Trust};
use crate::core::capability::{backup, given, service};
use crate::core::cluster::quorum::Membership;
use crate::core::cluster::situation::Situation;
use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::desired::{AuthoritySource, Desired};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{ClientUrl, Digest, HostName, PeerUrl, UnixSeconds};
use crate::core::observed::auth::BACKUP;
use crate::core::observed::{Authority, Certificate, File, FileFact, Host, Observed, Role, Seen, Usage};
use crate::core::plan::action::{Action, Readiness};
use crate::core::planner::{Blocked, Draft, Ruling, View};

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
    let usages = usages(role);
    match role {
        Role::Server => {
            let extra = desired.certificates.server_names.iter().map(|name| canonical(name));
            let names = own().chain(loopback).chain(extra).collect();
            Wanted { common_name: host.to_string(), names, usages }
        }
        Role::Peer => Wanted { common_name: host.to_string(), names: own().collect(), usages },
        Role::HealthcheckClient => {
            Wanted { common_name: "etcd-healthcheck-client".to_owned(), names: BTreeSet::new(), usages }
        }
        Role::BackupClient => Wanted { common_name: BACKUP.to_owned(), names: BTreeSet::new(), usages },
    }
}

/// What a leaf is at least for. Vault's role decides what else.
pub fn usages(role: Role) -> BTreeSet<Usage> {
    match role {
        Role::Server | Role::Peer => [Usage::ServerAuth, Usage::ClientAuth].into(),
        Role::HealthcheckClient | Role::BackupClient => [Usage::ClientAuth].into(),
    }
}

/// The certificate by which etcd knows a user.
pub fn client(user: &str) -> Wanted {
    Wanted { common_name: user.to_owned(), names: BTreeSet::new(), usages: BTreeSet::from([Usage::ClientAuth]) }
}

/// The addresses at which a member is reached until it has moved to the declared one.
pub fn also(desired: &Desired, observed: &Observed, name: &HostName) -> BTreeSet<String> {
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
    let trust = rotation::wanted_trust(view.observed);
    let action = |name: &HostName| Action::InstallTrust { host: name.clone(), trust };
    let without = view.hosts().filter(|(_, host)| host.trusted.is_empty());
    let actions: Vec<_> = without.map(|(name, _)| action(name)).collect();
    if !actions.is_empty() || trust.is_current() {
        return Ruling::steps_for(actions, vec![view.reason("ca.crt is missing or unreadable", "ca")]);
    }
    // The authority is rotated: one member at a time takes what it is to trust, and serves with it before the next.
    let why = match trust {
        Trust::Current | Trust::Both => "the new authority is to be trusted as well",
        Trust::Next => "nothing is signed by the old authority any more",
    };
    let differing = service::in_turn(view).into_iter().filter(|(_, host)| !holds(view.observed, host, trust));
    service::due(view, differing.map(|(name, _)| (action(name), vec![view.reason(why, "ca")])).collect())
}

/// Whether ca.crt on the host holds just that.
fn holds(observed: &Observed, host: &Host, trust: Trust) -> bool {
    let wanted: BTreeSet<_> = rotation::trusted(observed, trust).into_iter().collect();
    host.trusted.iter().copied().collect::<BTreeSet<_>>() == wanted
}

fn authority(observed: &Observed) -> Option<&Authority> {
    observed.workstation.authority.known()?.as_ref()
}

pub fn trust_readiness(observed: &Observed, name: &HostName, trust: Trust) -> Readiness {
    match (observed.host(name), authority(observed)) {
        (Some(host), Some(_)) if !trust.is_current() => rotated_readiness(observed, name, host, trust),
        (None, _) => Readiness::Refused(format!("{name} cannot be seen")),
        (_, None) => Readiness::Refused("there is no authority beside cluster.toml".to_owned()),
        (Some(host), Some(authority)) if host.trusted.contains(&authority.fingerprint) => Readiness::Done,
        (Some(host), Some(_)) if !host.trusted.is_empty() => {
            Readiness::Refused(format!("{name} trusts another authority"))
        }
        (Some(_), Some(_)) => Readiness::Ready,
    }
}

fn rotated_readiness(observed: &Observed, name: &HostName, host: &Host, trust: Trust) -> Readiness {
    if holds(observed, host, trust) {
        Readiness::Done
    } else if rotation::wanted_trust(observed) != trust {
        Readiness::Refused("the rotation of the authority is not that far".to_owned())
    } else if !host.trusted.is_empty() && !host.trusted.iter().any(|one| rotation::is_ours(observed, one)) {
        Readiness::Refused(format!("{name} trusts another authority"))
    } else {
        Readiness::Ready
    }
}

pub fn trust_effect(observed: &mut Observed, name: &HostName, trust: Trust) {
    let Some(authority) = authority(observed).cloned() else { return };
    let trusted = rotation::trusted(observed, trust);
    let digest = if trust.is_current() { authority.file_digest } else { Digest::of(format!("ca.crt of {trusted:?}")) };
    let Some(host) = observed.host_mut(name) else { return };
    host.trusted = trusted;
    host.files.insert(File::Trust, FileFact { access: layout::access(File::Trust), digest, text: None });
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
    for &role in view.desired.authority.roles() {
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
            let host_name = name.clone();
            actions.push(match view.desired.authority {
                AuthoritySource::External { .. } => Action::InstallCertificate { host: host_name, role },
                AuthoritySource::Generated { .. }
                | AuthoritySource::Files { .. }
                | AuthoritySource::Vault(_)
                | AuthoritySource::Node { .. } => {
                    let by = rotation::signer(view.observed);
                    Action::IssueCertificate { host: host_name, role, also, by }
                }
            });
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

/// Ports that serve another certificate than the one on disk, although nothing is wrong with that one.
pub fn served(view: &View) -> Ruling {
    let roles =
        |(name, host)| [Role::Server, Role::Peer].into_iter().filter_map(move |role| not_served(name, host, role));
    Ruling { step: None, blocked: view.hosts().flat_map(roles).collect() }
}

pub(super) fn not_served(name: &HostName, host: &Host, role: Role) -> Option<Blocked> {
    let on_disk = &host.certificates.get(&role)?.serial;
    match host.process.as_ref()?.served.get(&role)? {
        Seen::Known(served) if served == on_disk => None,
        Seen::Known(served) => {
            let what = format!("{name} serves another certificate ({served}) than {role}.crt ({on_disk})");
            let hint = format!("`quorate plan --restart={name}` restarts it; look who listens on its ports first");
            Some(Blocked::new(Code::NotServed, what).on(name).hint(hint))
        }
        Seen::Unknown(cause) => Some(Blocked::unseen(cause).on(name)),
    }
}

/// A running etcd reads the pair again at the next handshake.
pub(super) fn serve_serial(host: &mut Host, role: Role, serial: &str) {
    if let Some(process) = host.process.as_mut().filter(|_| role.is_served()) {
        process.served.insert(role, Seen::Known(serial.to_owned()));
    }
}

/// Whether a peer or client accepts the pair as it lies there now.
fn works(observed: &Observed, host: &Host, role: Role) -> bool {
    host.files.contains_key(&role.key())
        && host.certificates.get(&role).is_some_and(|certificate| {
            certificate.matches_key != Seen::Known(false)
                && certificate.signed_by.is_some_and(|signer| rotation::is_ours(observed, &signer))
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
    authority(observed)?;
    if let AuthoritySource::External { .. } = desired.authority {
        return given::difference(observed, name, host, role);
    }
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
    let signer = certificate.signed_by.filter(|signer| rotation::is_ours(observed, signer));
    if signer.is_none() {
        return Some(format!("{stem}.crt is not signed by the cluster's authority"));
    }
    let due = rotation::signer(observed);
    if due == SignedBy::Next && signer != rotation::authority(observed, due).map(|next| next.fingerprint) {
        return Some(format!("{stem}.crt is not signed by the new authority"));
    }
    if certificate.names != wanted.names || certificate.common_name != wanted.common_name {
        return Some(format!("{stem}.crt has other names than declared"));
    }
    let is_usable = match desired.authority {
        AuthoritySource::Vault(_) => certificate.usages.is_superset(&wanted.usages),
        _ => certificate.usages == wanted.usages,
    };
    if !is_usable {
        return Some(format!("{stem}.crt has other key usages than needed"));
    }
    let asked =
        desired.request.renewals.get(name).is_some_and(|serials| {
            serials.as_ref().is_none_or(|serials| serials.get(&role) == Some(&certificate.serial))
        });
    if asked {
        return Some("`--renew-certs` asks for it".to_owned());
    }
    let authority = rotation::authority(observed, due)?;
    is_due(desired, observed, certificate, authority).map(|when| format!("{stem}.crt {when}"))
}

/// Why a certificate is to be issued anew for its age alone. One that ends with its authority would end no later then.
pub(super) fn is_due(
    desired: &Desired,
    observed: &Observed,
    certificate: &Certificate,
    authority: &Authority,
) -> Option<&'static str> {
    if certificate.not_before > observed.at {
        return Some("is not valid yet");
    }
    let renew_before = i64::try_from(desired.certificates.renew_before_seconds).unwrap_or(i64::MAX);
    let ends_soon = certificate.not_after <= observed.at.plus_seconds(renew_before);
    (ends_soon && certificate.not_after < authority.not_after).then_some("is due for renewal")
}

pub fn readiness(
    desired: &Desired,
    observed: &Observed,
    name: &HostName,
    role: Role,
    also: &BTreeSet<String>,
    by: SignedBy,
) -> Readiness {
    match (observed.host(name), authority(observed)) {
        (None, _) => Readiness::Refused(format!("{name} cannot be seen")),
        (_, None) => Readiness::Refused("there is no authority beside cluster.toml".to_owned()),
        (Some(host), Some(_)) if fault(desired, observed, name, host, role, also).is_some() => {
            if by == rotation::signer(observed) {
                Readiness::Ready
            } else {
                Readiness::Refused("the rotation of the authority is not that far".to_owned())
            }
        }
        // Half of the change: done is when it is served.
        (Some(host), Some(_)) => match not_served(name, host, role) {
            None => Readiness::Done,
            Some(blocked) => Readiness::Refused(blocked.what),
        },
    }
}

/// What is there once it was issued in the place of `before`.
pub(super) fn issued(
    desired: &Desired,
    authority: &Authority,
    at: UnixSeconds,
    wanted: Wanted,
    before: Option<&Certificate>,
) -> Certificate {
    let validity = i64::try_from(desired.certificates.validity_seconds).unwrap_or(i64::MAX);
    Certificate {
        signed_by: Some(authority.fingerprint),
        common_name: wanted.common_name,
        issuer: String::new(),
        names: wanted.names,
        usages: wanted.usages,
        not_before: at,
        not_after: at.plus_seconds(validity),
        // Another one than before, whichever.
        serial: before.map_or_else(String::new, |before| format!("{}'", before.serial)),
        matches_key: Seen::Known(true),
    }
}

pub fn effect(
    desired: &Desired,
    observed: &mut Observed,
    name: &HostName,
    role: Role,
    also: &BTreeSet<String>,
    by: SignedBy,
) {
    let Some(authority) = rotation::authority(observed, by).cloned() else { return };
    let at = observed.at;
    let Some(host) = observed.host_mut(name) else { return };
    let wanted = wanted(desired, name, role, also);
    let issued = issued(desired, &authority, at, wanted, host.certificates.get(&role));
    serve_serial(host, role, &issued.serial);
    host.certificates.insert(role, issued);
    for file in [role.certificate(), role.key()] {
        let digest = Digest::of(format!("{name} {file:?} to be issued"));
        host.files.insert(file, FileFact { access: layout::access(file), digest, text: None });
    }
    // A member that only lacked a certificate to serve with is heard again.
    if role == Role::Server && host.process.is_some() && host.member.known().is_none() {
        service::serve(desired, observed, name);
    }
}
