//! What an operator should know although no step changes it.

use crate::code::Code;
use crate::desired::Desired;
use crate::observed::Observed;
use crate::plan::Finding;

/// Half a year: long enough to plan a rotation.
const AUTHORITY_WARNING_SECONDS: i64 = 180 * 24 * 3600;

pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let mut findings = Vec::new();
    if desired.nodes.len().is_multiple_of(2) {
        let what = format!(
            "{} voters tolerate the loss of {}, no more than {} would",
            desired.nodes.len(),
            (desired.nodes.len() - 1) / 2,
            desired.nodes.len() - 1
        );
        findings.push(Finding {
            code: Code::EvenVoters,
            hosts: Vec::new(),
            what,
            hint: Some("declare an odd number of nodes".to_owned()),
        });
    }
    for (name, host) in observed.seen_hosts() {
        let mut add = |code, what: String, hint: &str| {
            findings.push(Finding { code, hosts: vec![name.clone()], what, hint: Some(hint.to_owned()) });
        };
        for drop_in in &host.service.drop_ins {
            add(
                Code::DropIn,
                format!("{drop_in} changes the unit on {name}"),
                "move its settings into cluster.toml, or remove it",
            );
        }
    }
    if let Some(Some(authority)) = observed.workstation.authority.known() {
        let left = authority.not_after.0 - observed.at.0;
        if left < AUTHORITY_WARNING_SECONDS {
            let what = format!("the certificate authority expires in {} days", left.div_euclid(24 * 3600));
            let hint = Some("plan its rotation".to_owned());
            findings.push(Finding { code: Code::AuthorityExpires, hosts: Vec::new(), what, hint });
        }
    }
    findings
}
