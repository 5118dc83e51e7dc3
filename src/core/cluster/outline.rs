//! Everything in an [`Observed`] that does not change by itself, one line a fact.
//!
//! Two outlines are compared to see whether a step brought about what its `effect` had predicted. What cannot be seen any
//! more is one difference, with its cause, and not as many as it had facts.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::cluster::leaf::usages;
use crate::core::cluster::{others, process};
use crate::core::code::Code;
use crate::core::content::{self, layout};
use crate::core::count::count;
use crate::core::desired::{AuthoritySource, Desired};
use crate::core::names::{Digest, HostName, listed};
use crate::core::observed::auth::AuthStore;
use crate::core::observed::{
    Answer, Cause, Certificate, DataDirectory, Held, Host, Observed, Role, Seen, ServiceState, Tools, Usage,
};

/// The facts about something, or why there are none.
type Facts = Result<BTreeSet<String>, Cause>;

pub struct Outline {
    authority: Facts,
    /// `None` where nobody was asked.
    access: Option<Facts>,
    hosts: BTreeMap<HostName, Facts>,
    /// Of every host that was seen, what its member said.
    members: BTreeMap<HostName, Facts>,
}

pub fn outline(desired: &Desired, observed: &Observed) -> Outline {
    let authority = match &observed.workstation.authority {
        Seen::Known(authority) => facts([if authority.is_some() { "there" } else { "not there" }]),
        Seen::Unknown(cause) => Err(cause.clone()),
    };
    let access = observed.auth.as_ref().map(|seen| match seen {
        Seen::Known(store) => facts(access_lines(store)),
        Seen::Unknown(cause) => Err(cause.clone()),
    });
    let host = |(name, seen): (&HostName, &Seen<Host>)| {
        let facts = match seen {
            Seen::Known(host) => facts(host_lines(desired, observed, name, host)),
            Seen::Unknown(cause) => Err(cause.clone()),
        };
        (name.clone(), facts)
    };
    let member = |(name, host): (&HostName, &Host)| {
        let facts = match &host.member {
            Seen::Known(answer) => facts([answer.as_ref().map_or("not running".to_owned(), member_words)]),
            Seen::Unknown(cause) => Err(cause.clone()),
        };
        (name.clone(), facts)
    };
    Outline {
        authority,
        access,
        hosts: observed.hosts.iter().map(host).collect(),
        members: observed.seen_hosts().map(member).collect(),
    }
}

fn facts<T: Into<String>>(lines: impl IntoIterator<Item = T>) -> Facts {
    Ok(lines.into_iter().map(Into::into).collect())
}

/// What the second has and the first has not, with `+`, and the other way round with `-`.
pub fn differences(predicted: &Outline, seen: &Outline) -> Vec<String> {
    let mut found = Differences::default();
    found.compare("the CA", &predicted.authority, &seen.authority, |cause| {
        format!("the CA can no longer be read: {}", cause.summary)
    });
    match (&predicted.access, &seen.access) {
        (Some(predicted), Some(seen)) => found.compare("access", predicted, seen, |cause| {
            format!("users and roles can no longer be read: {}", cause.summary)
        }),
        (Some(_), None) => found.surprising("users and roles can no longer be read: no member can be asked"),
        (None, Some(_)) => found.surprising("users and roles can be read"),
        (None, None) => {}
    }
    for (name, predicted) in &predicted.hosts {
        if let Some(seen) = seen.hosts.get(name) {
            found.compare(name.as_str(), predicted, seen, |cause| match cause.code {
                Code::HostUnreachable => format!("{name} became unreachable: {}", cause.summary),
                _ => format!("{name} can no longer be inspected: {}", cause.summary),
            });
        }
    }
    // Nothing is said of the member of a host that is unreachable itself.
    for (name, predicted) in &predicted.members {
        if let Some(seen) = seen.members.get(name) {
            found.compare(&format!("etcd on {name}"), predicted, seen, |cause| cause.summary.clone());
        }
    }
    let missing = found.missing.iter().map(|line| format!("- {line}"));
    missing.chain(found.surprising.iter().map(|line| format!("+ {line}"))).collect()
}

#[derive(Default)]
struct Differences {
    missing: BTreeSet<String>,
    surprising: BTreeSet<String>,
}

impl Differences {
    fn surprising(&mut self, what: &str) {
        self.surprising.insert(what.to_owned());
    }

    fn compare(&mut self, about: &str, predicted: &Facts, seen: &Facts, lost: impl Fn(&Cause) -> String) {
        match (predicted, seen) {
            (Ok(predicted), Ok(seen)) => {
                self.missing.extend(predicted.difference(seen).map(|fact| format!("{about}: {fact}")));
                self.surprising.extend(seen.difference(predicted).map(|fact| format!("{about}: {fact}")));
            }
            (Err(before), Err(now)) if before.code == now.code => {}
            (_, Err(now)) => drop(self.surprising.insert(lost(now))),
            (Err(_), Ok(_)) => drop(self.surprising.insert(format!("{about}: can be seen again"))),
        }
    }
}

fn access_lines(store: &AuthStore) -> Vec<String> {
    let users = store.users.iter().map(|(name, user)| format!("user {name} has the roles [{}]", listed(&user.roles)));
    let roles = store.roles.iter().map(|(name, permissions)| format!("role {name} permits [{}]", listed(permissions)));
    let enabled = format!("authentication is {}", if store.enabled { "on" } else { "off" });
    users.chain(roles).chain([enabled]).collect()
}

fn host_lines(desired: &Desired, observed: &Observed, name: &HostName, host: &Host) -> Vec<String> {
    let authority =
        observed.workstation.authority.known().and_then(Option::as_ref).map(|authority| authority.fingerprint);
    // One that waits for a quorum becomes active by itself.
    let state = match host.service.state {
        ServiceState::Activating | ServiceState::Active => "up",
        ServiceState::Inactive | ServiceState::Failed => "down",
    };
    let data = match host.data {
        DataDirectory::Empty => "empty",
        DataDirectory::Member => "holds a member's data",
        DataDirectory::NoLog => "holds a member without its log",
        DataDirectory::NoDatabase => "holds a member without its database",
        DataDirectory::NotMounted => "is not mounted",
        DataDirectory::DeadLink => "is a link that leads nowhere",
        DataDirectory::Foreign => "holds something else",
    };
    let tools = match &host.tools {
        Tools::Absent => "not there".to_owned(),
        Tools::Link(path) => format!("linked to {path}"),
        Tools::Foreign => "installed by someone else".to_owned(),
    };
    let mut lines = vec![
        format!("the account of etcd {}", if host.account { "exists" } else { "does not exist" }),
        format!("the data directory: {data}"),
        format!("the service: {state}, {}", unit_words(host.service.enabled, host.service.needs_reload)),
        format!("the tools of etcd: {tools}"),
    ];
    lines.extend(host.data_elsewhere.iter().map(|is| format!("the data is in {is}")));
    if let Some(is) = &host.scheduled {
        let state = if is.active { "active" } else { "not active" };
        let program = if is.compressor { "" } else { ", its program to compress is missing" };
        lines.push(format!("the backup timer: {state}, {}{program}", unit_words(is.enabled, is.needs_reload)));
    }
    lines.extend(observed.workstation.ca_keys.get(name).map(|held| match held {
        Held::Nothing => "the key of the CA: not there".to_owned(),
        Held::Key(access) => format!("the key of the CA: {access}"),
    }));
    for (folder, access) in &host.folders {
        lines.push(format!("the {} folder: {access}", layout::folder_row(*folder).word));
    }
    for (file, fact) in &host.files {
        let text = fact.text.as_deref().map_or(String::new(), |text| {
            format!(", SHA-256 {} without its token", Digest::of(content::without_token(*file, text)).short())
        });
        lines.push(format!("{}: {}{text}", layout::row(*file).word, fact.access));
    }
    let of = |(role, certificate): (&Role, &Certificate)| certificate_words(desired, *role, certificate, authority);
    lines.extend(host.certificates.iter().map(of));
    let whose = |signer: Option<Digest>| if signer == authority { "the current CA" } else { "another CA" };
    lines.extend(host.trusted.iter().map(|trusted| format!("trusts {}", whose(Some(*trusted)))));
    lines.extend(host.installed.keys().map(|version| format!("etcd {version} is installed")));
    lines.extend(host.taken_ports.keys().map(|port| format!("port {port} is in use by another program")));
    lines.extend(host.others.iter().map(|other| format!("another etcd {}", others::by(&other.runner))));
    if let Some(running) = &host.process {
        let stale = process::stale(desired, host).map_or(String::new(), |(why, _)| format!(", {why}"));
        lines.push(format!("the process: {}{stale}", running.executable));
    }
    lines
}

fn unit_words(enabled: bool, needs_reload: bool) -> String {
    let enabled = if enabled { "enabled" } else { "not enabled" };
    format!("{enabled}{}", if needs_reload { ", to be read again by systemd" } else { "" })
}

fn certificate_words(desired: &Desired, role: Role, certificate: &Certificate, authority: Option<Digest>) -> String {
    let needed = usages(role);
    let shown: BTreeSet<_> = match desired.authority {
        AuthoritySource::Vault(_) => certificate.usages.intersection(&needed).collect(),
        _ => certificate.usages.iter().collect(),
    };
    let shown = shown.into_iter().map(|usage| match usage {
        Usage::ServerAuth => "servers",
        Usage::ClientAuth => "clients",
    });
    format!(
        "{role}.crt: {}, for {}, used by {}, signed by {}{}",
        certificate.common_name,
        listed(&certificate.names),
        listed(shown),
        if certificate.signed_by == authority { "the current CA" } else { "another CA" },
        if certificate.matches_key == Seen::Known(false) { ", of another key" } else { "" },
    )
}

fn member_words(answer: &Answer) -> String {
    let members = answer.members.known();
    let of = members.map_or_else(|| "unknown members".to_owned(), |members| count(members.len(), "member"));
    let errors: Vec<_> = answer.errors.iter().map(|error| format!(", reports {error}")).collect();
    format!(
        "{} of {of}, etcd {}, {}, {}{}",
        if answer.learner { "a learner" } else { "a voter" },
        answer.version,
        if answer.leader.is_some() { "has a leader" } else { "has no leader" },
        if answer.reads { "serves reads" } else { "serves no reads" },
        errors.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::UnixSeconds;
    use crate::core::planner::world;
    use crate::laws::sample;

    fn cause(code: Code, summary: &str) -> Cause {
        Cause { code, summary: summary.to_owned(), hint: None }
    }

    #[test]
    fn a_host_that_died_is_one_difference_with_its_cause() {
        let desired = sample::desired(3);
        let before = world::healthy(&desired, UnixSeconds(0));
        let mut after = before.clone();
        let name = HostName::new("etcd-2");
        let summary = "cannot reach 10.0.0.12: the connection was lost";
        after.hosts.insert(name.clone(), Seen::Unknown(cause(Code::HostUnreachable, summary)));
        let told = |predicted: &Observed, seen: &Observed| {
            differences(&outline(&desired, predicted), &outline(&desired, seen))
        };
        assert_eq!(
            told(&before, &after),
            ["+ etcd-2 became unreachable: cannot reach 10.0.0.12: the connection was lost"]
        );
        assert_eq!(told(&after, &after), [""; 0]);
        assert_eq!(told(&after, &before), ["+ etcd-2: can be seen again"]);
        after.hosts.insert(name, Seen::Unknown(cause(Code::ProbeFailed, "etcd-2 is reachable, but the disk is full")));
        assert_eq!(
            told(&before, &after),
            ["+ etcd-2 can no longer be inspected: etcd-2 is reachable, but the disk is full"]
        );
    }

    #[test]
    fn facts_are_told_in_words() {
        let desired = sample::desired(3);
        let before = world::healthy(&desired, UnixSeconds(0));
        let mut after = before.clone();
        let host = after.host_mut(&HostName::new("etcd-2")).expect("it was seen");
        host.data = DataDirectory::Foreign;
        host.tools = Tools::Absent;
        host.member =
            Seen::Unknown(cause(Code::MemberSilent, "etcd on etcd-2 does not answer: it closed the connection"));
        let told = differences(&outline(&desired, &before), &outline(&desired, &after));
        assert_eq!(
            told,
            [
                "- etcd-2: the data directory: holds a member's data",
                "- etcd-2: the tools of etcd: linked to /opt/etcd/3.5.16",
                "+ etcd on etcd-2 does not answer: it closed the connection",
                "+ etcd-2: the data directory: holds something else",
                "+ etcd-2: the tools of etcd: not there",
            ]
        );
        let lines = outline(&desired, &before).hosts.into_values().flatten().flatten().collect::<Vec<_>>();
        assert!(lines.iter().all(|line| !line.contains(['{', '"'])), "{lines:#?}");
    }
}
