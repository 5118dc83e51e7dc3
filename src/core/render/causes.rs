//! What is said alike of several hosts is said once, of all of them.

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
    let once = once(&said.collect::<Vec<_>>());
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
    let once = once(&said.collect::<Vec<_>>());
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
    /// With the host's name taken out; `None` where it is not of one host, or does not name it.
    fn without_host(&self) -> Option<(Code, String, Option<String>, Option<&str>)> {
        let [host] = self.hosts else { return None };
        let what = with(self.what, host, "\u{1}");
        (what != self.what).then(|| (self.code, what, self.hint.map(|hint| with(hint, host, "\u{1}")), self.place))
    }
}

fn with(text: &str, host: &HostName, by: &str) -> String {
    replaced(text, host.as_str(), by)
}

fn once(said: &[Said<'_>]) -> Vec<Once> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, one) in said.iter().enumerate() {
        let alike = one
            .without_host()
            .and_then(|cause| groups.iter_mut().find(|group| said[group[0]].without_host().as_ref() == Some(&cause)));
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
        let names = listed(&all);
        let of_all = |text: &str| with(text, &hosts[0], &names);
        Once { first, what: of_all(what), hint: hint.map(of_all), hosts: all }
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

    #[test]
    fn another_way_out_is_another_cause() {
        let mut plan = samples::blocked();
        plan.blocked = vec![of("a-1", "no key of a-1", "add one: AAA"), of("a-2", "no key of a-2", "add one: BBB")];
        assert_eq!(blocked(&plan), plan.blocked);
    }
}
