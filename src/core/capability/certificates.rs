//! ca.crt and the leaf certificates of each host. A leaf is read again on every handshake, so none needs a restart.

use super::unreachable;
use std::collections::BTreeSet;

use crate::core::cluster::leaf::{alike, also, fault, is_kept, issued, next_one, not_served, works};
use crate::core::cluster::model::{self, serve_serial};
use crate::core::cluster::situation::Situation;
use crate::core::cluster::view::View;
use crate::core::cluster::{adopted, clients, setup, trust, turn};
use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::desired::{AuthoritySource, Desired, Place};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{Digest, HostName};
use crate::core::observed::{Authority, File, FileFact, Host, Observed, Role};
use crate::core::plan::action::{Action, CertificateAction, Readiness, SignedBy, Trust};
use crate::core::plan::ruling::{Blocked, Draft, Ruling};

pub fn trust(view: &View) -> Ruling {
    if authority(view.observed).is_none() || !may_change(view) {
        return Ruling::default();
    }
    let trust = trust::wanted_trust(view.desired, view.observed);
    let action = |name: &HostName| Action::Certificate(CertificateAction::InstallTrust { host: name.clone(), trust });
    let lacks = |name: &HostName, host: &Host| host.trusted.is_empty() && setup::is_here(view, name, host);
    let without: Vec<_> = view.hosts_to_lay_ready().filter(|(name, host)| lacks(name, host)).collect();
    if !without.is_empty() || trust.is_current() {
        let called = layout::called(view.desired, File::Trust);
        let why = match without.iter().any(|(_, host)| host.files.contains_key(&File::Trust)) {
            true => format!("{called} holds no CA certificate that is still valid"),
            false => format!("{called} is missing or unreadable"),
        };
        let actions = without.into_iter().map(|(name, _)| action(name)).collect();
        return Ruling::steps_for(actions, vec![view.reason(why, Place::Ca)]);
    }
    // The authority is rotated: one member at a time takes what it is to trust, and serves with it before the next.
    let why = match trust {
        Trust::Current | Trust::Both => "both CAs must be trusted during the rotation",
        Trust::Next => "no certificate signed by the old CA is left",
    };
    let differing = turn::in_turn(view).into_iter().filter(|(_, host)| !holds(view.observed, host, trust));
    let mut ruling =
        turn::due(view, differing.map(|(name, _)| (action(name), vec![view.reason(why, Place::Ca)])).collect());
    let is_first = trust::next_one(view.observed).is_some_and(|next| !trust::is_being_dropped(view.observed, next));
    if let Some(step) = ruling.step.as_mut().filter(|_| trust == Trust::Next && is_first) {
        step.needs.insert(clients::allowance(view.desired));
    }
    ruling
}

/// While somebody else replaces the authority, which `situation` tells, it is for them to say who trusts and has what.
fn may_change(view: &View) -> bool {
    upheld(Guard::NoSecondAuthority, !trust::keeps_certificates(view.desired, view.observed))
}

/// Whether ca.crt on the host holds just that.
fn holds(observed: &Observed, host: &Host, trust: Trust) -> bool {
    let wanted: BTreeSet<_> = trust::trusted(observed, trust).into_iter().collect();
    host.trusted.iter().copied().collect::<BTreeSet<_>>() == wanted
}

fn authority(observed: &Observed) -> Option<&Authority> {
    observed.workstation.authority.known()?.as_ref()
}

pub fn trust_readiness(desired: &Desired, observed: &Observed, name: &HostName, trust: Trust) -> Readiness {
    match (observed.host(name), authority(observed)) {
        (Some(host), Some(_)) if !trust.is_current() => rotated_readiness(desired, observed, name, host, trust),
        (None, _) => unreachable(name),
        (_, None) => Readiness::Refused("there is no CA here".to_owned()),
        (Some(host), Some(authority)) if host.trusted.contains(&authority.fingerprint) => Readiness::Done,
        (Some(host), Some(_)) if !host.trusted.is_empty() => {
            Readiness::Refused(format!("{name} trusts a different CA"))
        }
        (Some(_), Some(_)) => Readiness::Ready,
    }
}

fn rotated_readiness(desired: &Desired, observed: &Observed, name: &HostName, host: &Host, trust: Trust) -> Readiness {
    if holds(observed, host, trust) {
        Readiness::Done
    } else if trust::wanted_trust(desired, observed) != trust {
        Readiness::Refused("the CA rotation has not reached this step".to_owned())
    } else if !host.trusted.is_empty() && !host.trusted.iter().any(|one| trust::is_ours(observed, one)) {
        Readiness::Refused(format!("{name} trusts a different CA"))
    } else {
        Readiness::Ready
    }
}

pub fn trust_effect(observed: &mut Observed, name: &HostName, trust: Trust) {
    let Some(authority) = authority(observed).cloned() else { return };
    let trusted = trust::trusted(observed, trust);
    let digest = if trust.is_current() { authority.file_digest } else { Digest::of(format!("ca.crt of {trusted:?}")) };
    let Some(host) = observed.host_mut(name) else { return };
    host.trusted = trusted;
    host.files.insert(File::Trust, FileFact { access: layout::access(File::Trust), digest, text: None });
}

/// Issues what is missing, wrong or due. Where members serve it is one host at a time, and apply sees each answer with its
/// new certificate before the next; a pair that works is only replaced while every running member answers. Where nothing
/// works, one at a time protects nothing: the pairs that do not work are replaced on all hosts together.
pub fn next(view: &View) -> Ruling {
    let mut ruling = Ruling::default();
    if authority(view.observed).is_none() || !may_change(view) {
        return ruling;
    }
    // Those that do not serve yet get theirs all at once.
    let serves = |host: &Host| view.situation != Situation::New && host.process.is_some();
    let nothing_works = !view.observed.answers().any(|(_, answer)| answer.reads);
    for &role in view.desired.authority.roles() {
        let mut actions = Vec::new();
        let mut because = Vec::new();
        for (name, host) in turn::in_turn_to_lay_ready(view).into_iter().filter(|(_, host)| host.account) {
            let also = also(view.desired, view.observed, name);
            let is_left = view.desired.request.restore.is_some() && view.desired.cluster.layout.is_adopted();
            if (is_left || !is_kept(view.desired, name, host, role)) && !is_made(view, name, host, role) {
                continue;
            }
            let Some(fault) = fault(view.desired, view.observed, name, host, role, &also) else { continue };
            if view.desired.cluster.layout.is_adopted()
                && let Some(why) = adopted::not_issued(view.desired, view.observed, name, host, role, &fault)
            {
                ruling.blocked.push(why);
                continue;
            }
            let silent = view.observed.seen_hosts().find(|(_, host)| host.process.is_some() && host.answer().is_none());
            if let (Some((silent, _)), true) = (silent, works(view.observed, host, role))
                && role != Role::BackupClient
                && !upheld(Guard::AllAnswerBeforeReissue, false)
            {
                let what = format!("{name}: {fault}, but its replacement waits: {silent} does not answer");
                let hint = format!(
                    "repair {silent} first: a working certificate is not replaced until all members \
                                    answer"
                );
                ruling.blocked.push(Blocked::new(Code::NotHealthy, what).on(name).hint(hint));
                continue;
            }
            let place = if role == Role::BackupClient { Place::Backup } else { Place::Certificates };
            let reason = view.reason(fault, place);
            if !because.contains(&reason) {
                because.push(reason);
            }
            let host_name = name.clone();
            actions.push(match view.desired.authority {
                AuthoritySource::External { .. } => {
                    Action::Certificate(CertificateAction::Install { host: host_name, role })
                }
                AuthoritySource::Generated { .. }
                | AuthoritySource::Files { .. }
                | AuthoritySource::Vault(_)
                | AuthoritySource::Node { .. } => {
                    let by = trust::signer(view.observed);
                    Action::Certificate(CertificateAction::Issue { host: host_name, role, also, by })
                }
            });
            // Nobody but our own script comes with it.
            let together = nothing_works && !works(view.observed, host, role);
            if serves(host) && role != Role::BackupClient && !upheld(Guard::OnePairAtATime, together) {
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

/// Whether the pair is made where it is missing. One for both ports is made as the server's.
fn is_made(view: &View, name: &HostName, host: &Host, role: Role) -> bool {
    let is_once = role != Role::Peer || !layout::has_one_pair(view.desired, name);
    role != Role::BackupClient && is_once && setup::is_here(view, name, host)
}

/// Ports that serve another certificate than the one on disk, although nothing is wrong with that one.
pub fn served(view: &View) -> Ruling {
    let roles = |(name, host)| {
        [Role::Server, Role::Peer].into_iter().filter_map(move |role| not_served(view.desired, name, host, role))
    };
    Ruling { step: None, blocked: view.hosts().flat_map(roles).collect() }
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
        (None, _) => unreachable(name),
        (_, None) => Readiness::Refused("there is no CA here".to_owned()),
        (Some(host), Some(_)) if fault(desired, observed, name, host, role, also).is_some() => {
            if by == trust::signer(observed) {
                Readiness::Ready
            } else {
                Readiness::Refused("the CA rotation has not reached this step".to_owned())
            }
        }
        // Half of the change: done is when it is served.
        (Some(host), Some(_)) => {
            let mut roles = alike(desired, name, role).iter();
            match roles.find_map(|role| not_served(desired, name, host, *role)) {
                None => Readiness::Done,
                Some(blocked) => Readiness::Refused(blocked.what),
            }
        }
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
    let Some(authority) = trust::authority(observed, by).cloned() else { return };
    observed.workstation.former_life.authority_has_signed |=
        matches!(desired.authority, AuthoritySource::Generated { .. });
    let at = observed.at;
    let Some(host) = observed.host_mut(name) else { return };
    let before = host.certificates.get(&role);
    let wanted = next_one(desired, name, role, also, before);
    let issued = issued(desired, &authority, at, wanted, before);
    for &role in alike(desired, name, role) {
        serve_serial(desired, name, host, role, &issued.serial);
        host.certificates.insert(role, issued.clone());
        for file in [role.certificate(), role.key()] {
            let digest = Digest::of(format!("{name} {file:?} to be issued"));
            let access = layout::access_after(desired, file, host.files.get(&file));
            host.files.insert(file, FileFact { access, digest, text: None });
        }
    }
    // A member that only lacked a certificate to serve with is heard again.
    if role == Role::Server && host.process.is_some() && host.member.known().is_none() {
        model::serve(desired, observed, name);
    }
}
