//! What an operator should know although no step changes it.

use crate::core::capability::{access, adopted, backup, drop_ins, expiry, given, recovery, restore, rotation, users};
use crate::core::cluster::quorum::{Health, Membership};
use crate::core::cluster::{
    clients, connections, crash, departed, former_life, locked, lost, next_start, others, quota, room, source, timing,
    trust,
};
use crate::core::code::Code;
use crate::core::count::count;
use crate::core::desired::{AuthoritySource, Desired};
use crate::core::names::HostName;
use crate::core::observed::Observed;
use crate::core::plan::ruling::Finding;
use crate::core::span::days;

/// Half a year: long enough to plan a rotation.
const AUTHORITY_WARNING_SECONDS: i64 = 180 * 24 * 3600;

pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let mut findings = locked::findings(observed);
    if desired.nodes.len().is_multiple_of(2) {
        let voters = desired.nodes.len();
        let what =
            format!("{voters} voters tolerate {}, the same as {}", count((voters - 1) / 2, "failure"), voters - 1);
        findings.push(Finding {
            code: Code::EvenVoters,
            hosts: Vec::new(),
            what,
            hint: Some("use an odd number of nodes".to_owned()),
        });
    }
    findings.extend(trust::lent(desired, observed));
    findings.extend(departed(desired, observed));
    findings.extend(lost::findings(desired, observed));
    findings.extend(former_life::findings(desired, observed));
    findings.extend(recovery::findings(desired, observed));
    findings.extend(restore::findings(desired, observed));
    findings.extend(users::findings(desired, observed));
    findings.extend(quota::findings(desired, observed));
    findings.extend(room::findings(desired, observed));
    findings.extend(source::findings(desired, observed));
    if let Some(membership) = Membership::of(desired, observed) {
        findings.extend(connections::findings(&membership.gaps));
    }
    findings.extend(others::findings(observed));
    findings.extend(backup::findings(desired, observed));
    findings.extend(backup::without_room(desired, observed));
    findings.extend(quota::large_requests(desired));
    findings.extend(timing::findings(desired, observed));
    findings.extend(given::findings(desired, observed));
    findings.extend(expiry::findings(observed));
    findings.extend(adopted::findings(desired, observed));
    findings.extend(next_start::findings(desired, observed));
    findings.extend(crash::findings(desired, observed));
    findings.extend(rotation::findings(observed));
    findings.extend(trust::extra(desired, observed));
    findings.extend(clients::finding(desired, observed));
    findings.extend(access::findings(desired, observed));
    findings.extend(drop_ins::findings(desired, observed));
    if let Some(Some(authority)) = observed.workstation.authority.known() {
        let left = authority.not_after.0 - observed.at.0;
        if left < AUTHORITY_WARNING_SECONDS {
            let what = format!("the CA expires in {}", days(left));
            let hint = Some(match desired.authority {
                AuthoritySource::Generated { .. } => "rotate it with `quorate plan --rotate-ca`".to_owned(),
                AuthoritySource::Files { .. } | AuthoritySource::External { .. } | AuthoritySource::Node { .. } => {
                    "plan its replacement".to_owned()
                }
                AuthoritySource::Vault(_) => "plan its replacement in Vault".to_owned(),
            });
            findings.push(Finding { code: Code::AuthorityExpires, hosts: Vec::new(), what, hint });
        }
    }
    findings
}

/// Members that were removed and could not be cleared away, and members that were called lost and are well.
fn departed(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let Some(membership) = Membership::of(desired, observed) else { return Vec::new() };
    let noted = departed::noted(observed);
    let is_left = |name: &HostName| {
        let unseen = observed.former.get(name).is_some_and(|former| former.host.known().is_none());
        unseen && membership.member_of(name).is_none() && !desired.request.lost.contains_key(name)
    };
    let left = noted.into_iter().filter_map(|departure| {
        let name = departed::departed_key(desired, &departure).filter(is_left)?;
        let what = format!("{name} was removed while its host ({}) was unreachable", departure.peer_url.address());
        let hint = format!(
            "it is cleaned up once it is reachable again; if it is gone for good: `quorate apply \
                            --lost={name}`"
        );
        Some(Finding { code: Code::Departed, hosts: vec![name], what, hint: Some(hint) })
    });
    let well = desired
        .request
        .lost
        .keys()
        .filter_map(|name| Some((name, membership.member_of(name)?)))
        .filter(|(_, member)| member.health == Health::Healthy && !membership.may_differ(member));
    let well = well.map(|(name, _)| Finding {
        code: Code::NotLost,
        hosts: vec![name.clone()],
        what: format!("--lost={name} is ignored: {name} is healthy"),
        hint: (!desired.cluster.layout.is_adopted())
            .then(|| format!("to remove it, delete [nodes.{name}] from cluster.toml")),
    });
    left.chain(well).collect()
}
