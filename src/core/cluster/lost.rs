//! Hosts that the operator calls lost (`--lost`): where the others go on without them, nobody waits for them.

use crate::core::cluster::situation::Situation;
use crate::core::cluster::view::View;
use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::diagnostic::Kind;
use crate::core::names::{HostName, listed};
use crate::core::observed::Observed;
use crate::core::plan::ruling::{Blocked, Finding};

/// Whether the cluster serves without them, or a step is due that makes it serve.
pub fn is_gone_on(view: &View, has_step: bool) -> bool {
    match view.situation {
        Situation::Serving(_) => true,
        Situation::Down => has_step,
        Situation::New | Situation::Closed => false,
    }
}

/// Whether it says of such hosts that they cannot be seen, and nothing else.
pub fn is_of(desired: &Desired, observed: &Observed, blocked: &Blocked) -> bool {
    let is_lost = |host: &HostName| is_lost(desired, observed, host);
    blocked.kind() == Kind::Unseen && !blocked.hosts.is_empty() && blocked.hosts.iter().all(is_lost)
}

/// A declared host that is called lost and cannot be seen.
fn is_lost(desired: &Desired, observed: &Observed, host: &HostName) -> bool {
    let is_away = observed.hosts.get(host).is_some_and(|seen| seen.known().is_none());
    is_away && desired.request.lost.contains_key(host)
}

pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let hosts: Vec<_> = desired.nodes.keys().filter(|host| is_lost(desired, observed, host)).cloned().collect();
    if hosts.is_empty() || !is_gone_on(&View::new(desired, observed), false) {
        return Vec::new();
    }
    let (are, they) = if hosts.len() == 1 { ("is", "it is") } else { ("are", "they are") };
    let what = format!("{} {are} unreachable, and given up with --lost: the others go on without", listed(&hosts));
    let hint = format!(
        "a machine that can be reached under that name joins as a new member with the next `quorate apply`; until then \
         every plan without --lost says that {they} unreachable"
    );
    vec![Finding { code: Code::Departed, hosts, what, hint: Some(hint) }]
}
