//! Everything in an [`Observed`] that does not change by itself, one line a fact.
//!
//! Two outlines are compared to see whether a step brought about what its `effect` had predicted.

use std::collections::BTreeSet;

use crate::core::cluster::leaf::usages;
use crate::core::desired::{AuthoritySource, Desired};
use crate::core::observed::{Answer, Held, Host, Observed, Seen, ServiceState};

/// The lines, each beginning with the host it is about.
pub fn outline(desired: &Desired, observed: &Observed) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    lines.extend(observed.workstation.keepers.iter().map(|(name, held)| match held {
        Held::Nothing => format!("{name} has no key of the authority"),
        Held::Key(access) => format!("{name} has the authority's key {access}"),
    }));
    let authority = match &observed.workstation.authority {
        Seen::Known(Some(_)) => "present",
        Seen::Known(None) => "absent",
        Seen::Unknown(_) => "unknown",
    };
    lines.insert(format!("authority {authority}"));
    lines.extend(auth_lines(observed));
    for (name, host) in &observed.hosts {
        match host {
            Seen::Known(host) => lines.extend(host_lines(desired, observed, host).map(|line| format!("{name} {line}"))),
            Seen::Unknown(cause) => {
                lines.insert(format!("{name} unknown {}", cause.code));
            }
        }
    }
    lines
}

/// Nothing where authentication is not looked at.
fn auth_lines(observed: &Observed) -> Vec<String> {
    match &observed.auth {
        None => Vec::new(),
        Some(Seen::Unknown(cause)) => vec![format!("auth unknown {}", cause.code)],
        Some(Seen::Known(store)) => {
            let users = store.users.iter().map(|(name, user)| format!("user {name} {:?}", user.roles));
            let roles = store.roles.iter().map(|(name, permissions)| format!("role {name} {permissions:?}"));
            users.chain(roles).chain([format!("auth {}", store.enabled)]).collect()
        }
    }
}

/// What the second has and the first has not, with `+`, and the other way round with `-`.
pub fn differences(predicted: &BTreeSet<String>, seen: &BTreeSet<String>) -> Vec<String> {
    let missing = predicted.difference(seen).map(|line| format!("- {line}"));
    let surprising = seen.difference(predicted).map(|line| format!("+ {line}"));
    missing.chain(surprising).collect()
}

fn host_lines(desired: &Desired, observed: &Observed, host: &Host) -> impl Iterator<Item = String> {
    let authority =
        observed.workstation.authority.known().and_then(Option::as_ref).map(|authority| authority.fingerprint);
    // One that waits for a quorum becomes active by itself.
    let state = match host.service.state {
        ServiceState::Activating | ServiceState::Active => "up",
        ServiceState::Inactive | ServiceState::Failed => "down",
    };
    let mut lines = vec![
        format!("account {}", host.account),
        format!("data {:?}", host.data),
        format!("service {} enabled={} needs-reload={}", state, host.service.enabled, host.service.needs_reload),
        format!("tools {:?}", host.tools),
    ];
    if let Some(is) = &host.scheduled {
        let timer = format!("enabled={} active={} needs-reload={}", is.enabled, is.active, is.needs_reload);
        lines.push(format!("scheduled {timer} compressor={}", is.compressor));
    }
    lines.extend(host.folders.iter().map(|(folder, access)| format!("folder {folder:?} {access}")));
    for (file, fact) in &host.files {
        let text = fact.text.as_deref().map_or(String::new(), |text| {
            format!(" {}", crate::core::names::Digest::of(crate::core::content::without_token(*file, text)).short())
        });
        lines.push(format!("file {file:?} {}{text}", fact.access));
    }
    for (role, certificate) in &host.certificates {
        let needed = usages(*role);
        let shown: Vec<_> = match desired.authority {
            AuthoritySource::Vault(_) => certificate.usages.intersection(&needed).collect(),
            _ => certificate.usages.iter().collect(),
        };
        let signed = if certificate.signed_by == authority { "ours" } else { "others" };
        lines.push(format!(
            "certificate {role} of {} for {:?} {:?} signed-by={signed} matches-key={}",
            certificate.common_name,
            certificate.names,
            shown,
            certificate.matches_key != Seen::Known(false)
        ));
    }
    lines.extend(
        host.trusted
            .iter()
            .map(|trusted| format!("trusts {}", if Some(*trusted) == authority { "ours" } else { "others" })),
    );
    lines.extend(host.installed.keys().map(|version| format!("installed {version}")));
    lines.extend(host.taken_ports.keys().map(|port| format!("taken {port}")));
    if let Some(process) = &host.process {
        let stale = crate::core::cluster::process::stale(desired, host);
        lines.push(format!("process {} stale={stale:?}", process.executable));
    }
    lines.push(match &host.member {
        Seen::Known(None) => "member none".to_owned(),
        Seen::Unknown(cause) => format!("member unknown {}", cause.code),
        Seen::Known(Some(answer)) => format!("member {}", member_words(answer)),
    });
    lines.into_iter()
}

fn member_words(answer: &Answer) -> String {
    let count = answer.members.known().map_or_else(|| "unknown".to_owned(), |members| members.len().to_string());
    format!(
        "{} {} of {count} led={} reads={} errors={:?}",
        if answer.learner { "learner" } else { "voter" },
        answer.version,
        answer.leader.is_some(),
        answer.reads,
        answer.errors
    )
}
