//! Somebody else's run, which holds the locks of hosts: what is seen meanwhile may be in the middle of a step.

use std::collections::BTreeMap;

use crate::core::code::Code;
use crate::core::names::{HostName, listed};
use crate::core::observed::{LockHolder, Observed};
use crate::core::plan::ruling::Finding;
use crate::core::span;

/// One a run, however many hosts it holds.
pub fn findings(observed: &Observed) -> Vec<Finding> {
    let mut runs: BTreeMap<&LockHolder, Vec<HostName>> = BTreeMap::new();
    for (name, host) in observed.seen_hosts() {
        if let Some(holder) = &host.lock {
            runs.entry(holder).or_default().push(name.clone());
        }
    }
    // The locks of one run are taken one after the other.
    let mut told: BTreeMap<(&str, &str), (Option<i64>, Vec<HostName>)> = BTreeMap::new();
    for (LockHolder { operator, purpose, since }, hosts) in runs {
        let (first, all) = told.entry((operator, purpose)).or_default();
        *first = first.iter().copied().chain(since.map(|since| since.0)).min();
        all.extend(hosts);
    }
    let finding = |((operator, purpose), (since, hosts)): ((&str, &str), (Option<i64>, Vec<HostName>))| {
        let since = since.map_or_else(String::new, |since| {
            format!(" has been running for {}", span::age(observed.at.0.saturating_sub(since).max(0)))
        });
        let verb = if since.is_empty() { " is running" } else { since.as_str() };
        Finding {
            code: Code::Locked,
            what: format!(
                "{purpose} by {operator}{verb} and holds the lock on {}: what is seen may be in the middle of a step",
                listed(&hosts)
            ),
            hosts,
            hint: Some(HINT.to_owned()),
        }
    };
    told.into_iter().map(finding).collect()
}

const HINT: &str = "look again when it has finished; `quorate lock status` shows whether it still holds the lock, and if it is \
                    stuck, `quorate lock break` ends it";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::UnixSeconds;
    use crate::laws::sample;

    #[test]
    fn a_run_is_told_once_with_its_beginning_and_all_its_hosts() {
        let mut observed = sample::healthy(&sample::desired(3));
        assert_eq!(findings(&observed), []);
        let now = observed.at.0;
        for (index, before) in [(0, 12), (1, 11)] {
            let host = observed.host_mut(&sample::name(index)).expect("it was seen");
            host.lock = Some(LockHolder {
                operator: "ops@laptop".to_owned(),
                purpose: "apply of plan 3fa94c01be77".to_owned(),
                since: Some(UnixSeconds(now - before)),
            });
        }
        let told = findings(&observed);
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[0].what,
            "apply of plan 3fa94c01be77 by ops@laptop has been running for 12 s and holds the lock on etcd-1, etcd-2: what is \
             seen may be in the middle of a step"
        );
    }
}
