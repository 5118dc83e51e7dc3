//! What a leaf certificate must say, and whether the one on a host does.

use std::collections::BTreeSet;

use crate::core::cluster::quorum::Membership;
use crate::core::cluster::{process, trust};
use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::desired::{AuthoritySource, Desired, Layout};
use crate::core::names::{ClientUrl, HostName, PeerUrl, UnixSeconds, canonical, listed};
use crate::core::observed::auth::BACKUP;
use crate::core::observed::{Authority, Certificate, GivenPair, Host, Observed, Role, Seen, Usage};
use crate::core::plan::action::SignedBy;
use crate::core::plan::ruling::Blocked;

/// A certificate is valid a little before it was made, because a host's clock may be behind ours.
pub const BACKDATED_SECONDS: i64 = 300;

/// What a leaf must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub common_name: String,
    /// DNS names in lower case and IP addresses in their shortest form.
    pub names: BTreeSet<String>,
    pub usages: BTreeSet<Usage>,
    /// The text of the certificate whose form it takes; `None` where it takes quorate's own.
    pub like: Option<String>,
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
    let is_kubeadms = desired.cluster.layout == Layout::Kubeadm;
    match role {
        Role::Server => {
            let extra = desired.certificates.server_names.iter().map(|name| canonical(name));
            let names = own().chain(loopback).chain(extra).collect();
            Wanted { common_name: host.to_string(), names, usages, like: None }
        }
        Role::Peer => {
            let extra = desired.nodes[host].peer_names.iter().map(|name| canonical(name));
            // kubeadm refuses a pair without these.
            let loopback = loopback.into_iter().filter(|_| is_kubeadms);
            let names = own().chain(loopback).chain(extra).collect();
            Wanted { common_name: host.to_string(), names, usages, like: None }
        }
        Role::HealthcheckClient => {
            let common_name = if is_kubeadms { "kube-etcd-healthcheck-client" } else { "etcd-healthcheck-client" };
            Wanted { common_name: common_name.to_owned(), names: BTreeSet::new(), usages, like: None }
        }
        Role::BackupClient => Wanted { common_name: BACKUP.to_owned(), names: BTreeSet::new(), usages, like: None },
    }
}

/// Whether the pair of `role` is kept on a host: of a service that somebody else has set up, only what lies there.
pub fn is_kept(desired: &Desired, name: &HostName, host: &Host, role: Role) -> bool {
    let is_there = || {
        [role.certificate(), role.key()].iter().all(|file| host.files.contains_key(file))
            && host.certificates.contains_key(&role)
    };
    match role {
        Role::BackupClient => desired.backup_on(name).is_some(),
        _ if !desired.cluster.layout.is_adopted() => true,
        // One pair for both ports is issued once, as the server's.
        Role::Peer => !layout::has_one_pair(desired, name) && is_there(),
        Role::Server | Role::HealthcheckClient => is_there(),
    }
}

/// The roles that one pair is for: a service that somebody else has set up may show one on both its ports.
pub fn alike(desired: &Desired, name: &HostName, role: Role) -> &'static [Role] {
    match role {
        Role::Server if desired.cluster.layout.is_adopted() && layout::has_one_pair(desired, name) => {
            &[Role::Server, Role::Peer]
        }
        Role::Server => &[Role::Server],
        Role::Peer => &[Role::Peer],
        Role::HealthcheckClient => &[Role::HealthcheckClient],
        Role::BackupClient => &[Role::BackupClient],
    }
}

/// What is issued in the place of what a host has: to somebody else's service, one that says the same.
pub fn next_one(
    desired: &Desired,
    name: &HostName,
    role: Role,
    also: &BTreeSet<String>,
    before: Option<&Certificate>,
) -> Wanted {
    match before.filter(|_| layout::is_theirs(desired, role.certificate())) {
        Some(Certificate { common_name, names, usages, .. }) => {
            Wanted { common_name: common_name.clone(), names: names.clone(), usages: usages.clone(), like: None }
        }
        None => wanted(desired, name, role, also),
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
    Wanted {
        common_name: user.to_owned(),
        names: BTreeSet::new(),
        usages: BTreeSet::from([Usage::ClientAuth]),
        like: None,
    }
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

pub fn not_served(desired: &Desired, name: &HostName, host: &Host, role: Role) -> Option<Blocked> {
    if process::shows_other_files(desired, name, host) {
        return None;
    }
    let on_disk = &host.certificates.get(&role)?.serial;
    match host.process.as_ref()?.served.get(&role)? {
        Seen::Known(served) if served == on_disk => None,
        Seen::Known(served) => {
            let what = format!("{name} serves a different certificate ({served}) from {role}.crt ({on_disk})");
            let hint = format!(
                "check which process listens on its ports, then restart it with `quorate apply \
                                --restart={name}`"
            );
            Some(Blocked::new(Code::NotServed, what).on(name).hint(hint))
        }
        Seen::Unknown(cause) => Some(Blocked::unseen(cause).on(name)),
    }
}

/// Whether a peer or client accepts the pair as it lies there now.
pub fn works(observed: &Observed, host: &Host, role: Role) -> bool {
    host.files.contains_key(&role.key())
        && host.certificates.get(&role).is_some_and(|certificate| {
            certificate.matches_key != Seen::Known(false)
                && certificate.signed_by.is_some_and(|signer| trust::is_ours(observed, &signer))
                && certificate.not_before <= observed.at
                && certificate.not_after > observed.at
        })
}

/// Whether the pair of `role` is as it should be.
pub fn is_right(desired: &Desired, observed: &Observed, name: &HostName, host: &Host, role: Role) -> bool {
    trust::current(observed).is_some()
        && fault(desired, observed, name, host, role, &also(desired, observed, name)).is_none()
}

/// Why the pair of `role` must be issued anew; `None` when it is as it should be.
pub fn fault(
    desired: &Desired,
    observed: &Observed,
    name: &HostName,
    host: &Host,
    role: Role,
    also: &BTreeSet<String>,
) -> Option<String> {
    trust::current(observed)?;
    if let AuthoritySource::External { .. } = desired.authority {
        return difference_from_given(observed, name, host, role);
    }
    if layout::is_theirs(desired, role.certificate()) {
        return fault_of_theirs(desired, observed, name, host, role);
    }
    let [crt, key] = [role.certificate(), role.key()].map(|file| layout::called(desired, file));
    if !host.files.contains_key(&role.certificate()) {
        return Some(format!("{crt} is missing"));
    }
    if !host.files.contains_key(&role.key()) {
        return Some(format!("{key} is missing"));
    }
    let Some(certificate) = host.certificates.get(&role) else {
        return Some(format!("{crt} is not a certificate"));
    };
    let wanted = wanted(desired, name, role, also);
    if certificate.matches_key == Seen::Known(false) {
        return Some(format!("{crt} and {key} do not match"));
    }
    let signer = certificate.signed_by.filter(|signer| trust::is_ours(observed, signer));
    if signer.is_none() {
        return Some(format!("{crt} is not signed by the cluster's CA"));
    }
    let due = trust::signer(observed);
    if due == SignedBy::Next && signer != trust::authority(observed, due).map(|next| next.fingerprint) {
        return Some(format!("{crt} is not signed by the new CA"));
    }
    if certificate.common_name != wanted.common_name {
        return Some(format!("the common name in {crt}: {} → {}", certificate.common_name, wanted.common_name));
    }
    if certificate.names != wanted.names {
        return Some(format!("the names in {crt}: {}", changed_names(&certificate.names, &wanted.names)));
    }
    let is_usable = match desired.authority {
        AuthoritySource::Vault(_) => certificate.usages.is_superset(&wanted.usages),
        _ => certificate.usages == wanted.usages,
    };
    if !is_usable {
        return Some(format!("{crt} has the wrong key usages"));
    }
    if is_asked_for(desired, name, role, certificate) {
        return Some(ASKED_FOR.to_owned());
    }
    let authority = trust::authority(observed, due)?;
    is_due(desired, observed, certificate, authority).map(|when| format!("{crt} {when}"))
}

const ASKED_FOR: &str = "requested with `--renew-certs`";

fn is_asked_for(desired: &Desired, name: &HostName, role: Role, certificate: &Certificate) -> bool {
    desired
        .request
        .renewals
        .get(name)
        .is_some_and(|serials| serials.as_ref().is_none_or(|serials| serials.get(&role) == Some(&certificate.serial)))
}

/// The same of a pair that somebody else has issued: what it says is theirs to say, and only its age is looked at, and whether
/// it is a pair.
fn fault_of_theirs(desired: &Desired, observed: &Observed, name: &HostName, host: &Host, role: Role) -> Option<String> {
    let missing = [role.certificate(), role.key()].into_iter().find(|file| !host.files.contains_key(file));
    if let Some(file) = missing.filter(|_| desired.cluster.layout.is_set_up_by_us()) {
        return Some(format!("{} is missing", layout::path(desired, name, file).name()));
    }
    let certificate = host.certificates.get(&role).filter(|_| is_kept(desired, name, host, role))?;
    let [crt, key] = [role.certificate(), role.key()].map(|file| layout::path(desired, name, file).name().to_owned());
    if certificate.matches_key == Seen::Known(false) {
        return Some(format!("{crt} and {key} do not match"));
    }
    if is_asked_for(desired, name, role, certificate) {
        return Some(ASKED_FOR.to_owned());
    }
    // What nobody here can sign is told, and keeps nothing else from being done.
    let authority = trust::current(observed).filter(|_| trust::without_key(observed).is_none())?;
    is_due(desired, observed, certificate, authority).map(|when| format!("{crt} {when}"))
}

/// `+ etcd.example, - 10.0.0.9`: what is to be added, and what is to go.
fn changed_names(is: &BTreeSet<String>, wanted: &BTreeSet<String>) -> String {
    let added = wanted.difference(is).map(|name| format!("+ {name}"));
    listed(added.chain(is.difference(wanted).map(|name| format!("- {name}"))))
}

/// Why a certificate is to be issued anew for its age alone. One that ends with its authority would end no later then.
pub fn is_due(
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

/// What is there once it was issued in the place of `before`.
pub fn issued(
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
        no_other_like_it: None,
    }
}

pub fn given_pair<'a>(observed: &'a Observed, name: &HostName, role: Role) -> Option<&'a GivenPair> {
    observed.workstation.given.as_ref()?.nodes.get(name)?.get(&role)
}

/// How the pair on a host differs from the one that is given; `None` when it does not.
pub fn difference_from_given(observed: &Observed, name: &HostName, host: &Host, role: Role) -> Option<String> {
    let stem = role.file_stem();
    let given = given_pair(observed, name, role)?;
    let Some(on_host) = host.files.get(&role.certificate()) else {
        return Some(format!("{stem}.crt is missing"));
    };
    if !host.files.contains_key(&role.key()) {
        return Some(format!("{stem}.key is missing"));
    }
    if given.digest.is_some_and(|digest| digest != on_host.digest) {
        return Some(format!("{stem}.crt differs from the configured file"));
    }
    let mismatched = host.certificates.get(&role).is_some_and(|one| one.matches_key == Seen::Known(false));
    mismatched.then(|| format!("{stem}.crt and {stem}.key do not match"))
}
