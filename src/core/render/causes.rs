//! What is said alike of several hosts is said once, of all of them.

use std::collections::BTreeMap;

use crate::core::code::Code;
use crate::core::names::{HostName, listed};
use crate::core::plan::Plan;
use crate::core::plan::ruling::{Blocked, Finding};
use crate::core::render::diff::replaced;

/// What is blocked, each cause once.
pub fn blocked(plan: &Plan) -> Vec<Blocked> {
    let said = plan.blocked.iter().map(|blocked| Said {
        code: blocked.code,
        hosts: &blocked.hosts,
        what: &blocked.what,
        hint: blocked.hint.as_deref(),
        place: blocked.place.as_deref(),
    });
    let once = once(&said.collect::<Vec<_>>(), &plan.addresses);
    let of = |Once { first, hosts, what, hint }| Blocked { hosts, what, hint, ..plan.blocked[first].clone() };
    once.into_iter().map(of).collect()
}

/// The findings, each cause once.
pub fn findings(plan: &Plan) -> Vec<Finding> {
    let said = plan.findings.iter().map(|finding| Said {
        code: finding.code,
        hosts: &finding.hosts,
        what: &finding.what,
        hint: finding.hint.as_deref(),
        place: None,
    });
    let once = once(&said.collect::<Vec<_>>(), &plan.addresses);
    let of = |Once { first, hosts, what, hint }| Finding { hosts, what, hint, ..plan.findings[first].clone() };
    once.into_iter().map(of).collect()
}

/// What is said of hosts.
struct Said<'a> {
    code: Code,
    hosts: &'a [HostName],
    what: &'a str,
    hint: Option<&'a str>,
    place: Option<&'a str>,
}

/// The same for all hosts of which it is said; `first`: which of them said it first.
struct Once {
    first: usize,
    hosts: Vec<HostName>,
    what: String,
    hint: Option<String>,
}

impl Said<'_> {
    /// With the host's name and address taken out; `None` where it is not of one host, or does not name it.
    fn without_host(&self, addresses: &Addresses) -> Option<(Code, String, Option<String>, Option<&str>)> {
        let [host] = self.hosts else { return None };
        let without = |text: &str| with(text, host, addresses, "\u{1}", "\u{2}");
        let what = without(self.what);
        (what != self.what).then(|| (self.code, what, self.hint.map(without), self.place))
    }
}

type Addresses = BTreeMap<HostName, String>;

/// `text` with others in the place of the host's name and its address.
fn with(text: &str, host: &HostName, addresses: &Addresses, name: &str, address: &str) -> String {
    let text = replaced(text, host.as_str(), name);
    // A list of addresses says nothing of a port behind the last one.
    let has_port = |own: &str| {
        let behind = text.match_indices(own).map(|(at, _)| &text.as_bytes()[at + own.len()..]);
        behind.into_iter().any(|behind| matches!(behind, [b':', digit, ..] if digit.is_ascii_digit()))
    };
    match addresses.get(host).filter(|own| *own != host.as_str() && !has_port(own)) {
        Some(own) => replaced(&text, own, address),
        None => text,
    }
}

/// As [`with`], of all hosts. What is in backticks is typed as it stands, so it stays that of the first, and the others are
/// named behind it.
fn of_all(text: &str, all: &[HostName], addresses: &Addresses) -> String {
    let Some((first, others)) = all.split_first() else { return text.to_owned() };
    let of = |host: &HostName| addresses.get(host).map_or_else(|| host.to_string(), Clone::clone);
    let (names, addressed) = (listed(all), listed(all.iter().map(of)));
    let mut is_typed = false;
    let part = |(place, part): (usize, &str)| {
        let of_all = with(part, first, addresses, &names, &addressed);
        // What is in backticks stands at the odd places.
        if place % 2 == 0 {
            return of_all;
        }
        is_typed |= of_all != part;
        part.to_owned()
    };
    let text = text.split('`').enumerate().map(part).collect::<Vec<_>>().join("`");
    if is_typed { format!("{text}; likewise for {}", listed(others)) } else { text }
}

fn once(said: &[Said<'_>], addresses: &Addresses) -> Vec<Once> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, one) in said.iter().enumerate() {
        let alike = one.without_host(addresses).and_then(|cause| {
            groups.iter_mut().find(|group| said[group[0]].without_host(addresses).as_ref() == Some(&cause))
        });
        match alike {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    let of = |group: Vec<usize>| {
        let first = group[0];
        let Said { hosts, what, hint, .. } = said[first];
        if group.len() == 1 {
            return Once { first, hosts: hosts.to_vec(), what: what.to_owned(), hint: hint.map(str::to_owned) };
        }
        let all: Vec<HostName> = group.iter().flat_map(|index| said[*index].hosts).cloned().collect();
        let of_all = |text: &str| of_all(text, &all, addresses);
        Once { first, what: of_all(what), hint: hint.map(of_all), hosts: all.clone() }
    };
    groups.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::render::samples;

    fn of(host: &str, what: &str, hint: &str) -> Blocked {
        let hosts = vec![HostName::new(host)];
        Blocked { hosts, hint: Some(hint.to_owned()), ..Blocked::new(Code::Sudo, what) }
    }

    #[test]
    fn one_cause_on_three_hosts_is_told_once() {
        let mut plan = samples::blocked();
        plan.blocked = vec![
            of("a-1", "sudo on a-1 refused: no tty", "run it on a-1"),
            of("a-2", "sudo on a-2 refused: no tty", "run it on a-2"),
            of("a-3", "sudo on a-3 refused: a password is required", "run it on a-3"),
            of("a-10", "sudo on a-10 refused: no tty", "run it on a-10"),
        ];
        let once = blocked(&plan);
        let whats: Vec<_> = once.iter().map(|blocked| blocked.what.as_str()).collect();
        assert_eq!(whats, ["sudo on a-1, a-2, a-10 refused: no tty", "sudo on a-3 refused: a password is required"]);
        assert_eq!(once[0].hint.as_deref(), Some("run it on a-1, a-2, a-10"));
        assert_eq!(once[0].hosts.len(), 3);
    }

    /// A login that every host refuses is told with each host's own address, and by a command that works as it stands.
    #[test]
    fn addresses_are_listed_and_commands_stay_whole() {
        let mut plan = samples::blocked();
        let hosts = [("a-1", "10.0.0.11"), ("a-2", "10.0.0.12")];
        plan.addresses = hosts.map(|(host, address)| (HostName::new(host), address.to_owned())).into();
        let login = |(host, address): (&str, &str)| {
            of(host, &format!("{host}: no login to {address}"), &format!("try `ssh -l ops {address} true`"))
        };
        plan.blocked = hosts.map(login).into();
        let once = blocked(&plan);
        assert_eq!(once.len(), 1);
        assert_eq!(once[0].what, "a-1, a-2: no login to 10.0.0.11, 10.0.0.12");
        assert_eq!(once[0].hint.as_deref(), Some("try `ssh -l ops 10.0.0.11 true`; likewise for a-2"));
        let silent = |(host, address): (&str, &str)| of(host, &format!("{host} ({address}:22): no route"), "look");
        plan.blocked = hosts.map(silent).into();
        assert_eq!(blocked(&plan), plan.blocked, "each has its own port");
    }

    #[test]
    fn another_way_out_is_another_cause() {
        let mut plan = samples::blocked();
        plan.blocked = vec![of("a-1", "no key of a-1", "add one: AAA"), of("a-2", "no key of a-2", "add one: BBB")];
        assert_eq!(blocked(&plan), plan.blocked);
    }
}
