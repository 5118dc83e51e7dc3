//! Somebody else's run, which holds the locks of hosts: what is seen meanwhile may be in the middle of a step.

use std::collections::BTreeMap;

use crate::core::code::Code;
use crate::core::names::{HostName, UnixSeconds, listed};
use crate::core::observed::{LockHolder, Observed};
use crate::core::plan::ruling::Finding;
use crate::core::span;

/// A run, and what it holds.
#[derive(Default)]
struct Run {
    since: Option<UnixSeconds>,
    hosts: Vec<HostName>,
}

/// One a run, however many hosts it holds.
pub fn findings(observed: &Observed) -> Vec<Finding> {
    let mut runs: BTreeMap<(&str, &str), Run> = BTreeMap::new();
    for (name, host) in observed.seen_hosts() {
        let Some(LockHolder { operator, purpose, since }) = &host.lock else { continue };
        let run = runs.entry((operator, purpose)).or_default();
        // The locks of one run are taken one after the other.
        run.since = run.since.into_iter().chain(*since).min();
        run.hosts.push(name.clone());
    }
    runs.into_iter().map(|((operator, purpose), run)| finding(observed, operator, purpose, run)).collect()
}

fn finding(observed: &Observed, operator: &str, purpose: &str, Run { since, hosts }: Run) -> Finding {
    let runs = match since {
        Some(since) => format!("has been running for {}", span::age(observed.at.0.saturating_sub(since.0).max(0))),
        None => "is running".to_owned(),
    };
    let on = listed(&hosts);
    Finding {
        code: Code::Locked,
        what: format!(
            "{purpose} by {operator} {runs} and holds the lock on {on}: what is seen may be in the middle of a step"
        ),
        hosts,
        hint: Some(HINT.to_owned()),
    }
}

const HINT: &str = "look again when it has finished; `quorate lock status` shows whether it still holds the lock, and if it is \
                    stuck, `quorate lock break` ends it";

#[cfg(test)]
mod tests {
    use super::*;
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
