//! Others' files that change the unit: which of their settings get in the way, and which may stay.

use std::collections::BTreeSet;

use crate::core::cluster::next_start::DECLARE_SETTINGS;
use crate::core::code::Code;
use crate::core::content::runtime;
use crate::core::desired::Desired;
use crate::core::names::{HostName, RemotePath, listed};
use crate::core::observed::Observed;
use crate::core::plan::ruling::Finding;

/// What the unit says for a reason: how etcd is started and as whom, and what keeps a member that has lost its data from
/// starting as if nothing had happened.
const OVERRIDING: [&str; 14] = [
    "ConditionPathExists",
    "ConditionPathExistsGlob",
    "DynamicUser",
    "ExecStart",
    "ExecStartPost",
    "ExecStartPre",
    "Group",
    "RequiresMountsFor",
    "Restart",
    "RootDirectory",
    "RootImage",
    "Type",
    "User",
    "WorkingDirectory",
];

pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    // What somebody else's unit and its drop-ins say is theirs.
    if desired.cluster.layout.is_adopted() {
        return Vec::new();
    }
    let unit = runtime::name(desired);
    let drop_ins = observed.seen_hosts().flat_map(|(name, host)| {
        host.service.drop_ins.iter().map(move |(path, settings)| of(unit, name, path, settings))
    });
    drop_ins.collect()
}

fn of(unit: &str, name: &HostName, path: &RemotePath, settings: &BTreeSet<String>) -> Finding {
    let finding = |code, what, hint: String| Finding { code, hosts: vec![name.clone()], what, hint: Some(hint) };
    let (overriding, others): (Vec<&str>, Vec<&str>) =
        settings.iter().map(String::as_str).partition(|setting| OVERRIDING.contains(setting));
    if settings.is_empty() {
        let hint = format!("`systemctl cat {unit}` on {name} shows what it sets");
        return finding(Code::DropIn, format!("{path} changes the unit on {name}"), hint);
    }
    let stays = stay(&others);
    if overriding.is_empty() {
        let what = format!("{path} adds {} to the unit on {name}", listed(&others));
        return finding(Code::UnitExtended, what, stays);
    }
    let what = format!("{path} overrides {} of the unit on {name}", listed(&overriding));
    let flags = match overriding.contains(&"ExecStart") {
        true => format!("{DECLARE_SETTINGS}, then "),
        false => String::new(),
    };
    let rest = if others.is_empty() { String::new() } else { format!("; {stays}") };
    finding(Code::DropIn, what, format!("{flags}remove {} from it{rest}", listed(&overriding)))
}

/// What cluster.toml has no key for.
fn stay(settings: &[&str]) -> String {
    let environment = match settings.iter().any(|setting| setting.starts_with("Environment")) {
        true => " (etcd takes no ETCD_… variable beside etcd.yaml: declare such a setting in [etcd])",
        false => "",
    };
    let restricts = |setting: &&str| RESTRICTING.iter().any(|word| setting.starts_with(word));
    let restriction = match settings.iter().any(restricts) {
        true => " (where it keeps from etcd what that needs, the plan refuses)",
        false => "",
    };
    format!("{} may stay: cluster.toml has no key for it{environment}{restriction}", listed(settings))
}

/// How the settings begin by which systemd keeps a service from what is on its host.
const RESTRICTING: [&str; 10] =
    ["Bind", "Exec", "Inaccessible", "NoExec", "Private", "Protect", "ReadOnly", "ReadWrite", "Restrict", "Temporary"];

#[cfg(test)]
mod tests {
    use super::*;

    fn told(settings: &[&str]) -> (Code, String, String) {
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let finding = of("etcd.service", &HostName::new("etcd-1"), &RemotePath::new("/x.conf"), &settings);
        (finding.code, finding.what, finding.hint.expect("each has one"))
    }

    #[test]
    fn nothing_is_asked_for_that_cannot_be_done() {
        let (code, what, hint) = told(&["MemoryMax", "Nice"]);
        assert_eq!((code, what.as_str()), (Code::UnitExtended, "/x.conf adds MemoryMax, Nice to the unit on etcd-1"));
        assert_eq!(hint, "MemoryMax, Nice may stay: cluster.toml has no key for it");
        let (code, what, hint) = told(&["ExecStart", "Nice", "User"]);
        assert_eq!((code, what.as_str()), (Code::DropIn, "/x.conf overrides ExecStart, User of the unit on etcd-1"));
        assert_eq!(
            hint,
            "declare etcd's settings in [etcd], [ports] and [paths] of cluster.toml, then remove ExecStart, User from it; \
             Nice may stay: cluster.toml has no key for it"
        );
        let (code, _, hint) = told(&["Environment"]);
        assert_eq!(code, Code::UnitExtended);
        assert!(hint.contains("declare such a setting in [etcd]"), "{hint}");
        let (_, _, hint) = told(&["ProtectSystem"]);
        assert!(hint.ends_with("(where it keeps from etcd what that needs, the plan refuses)"), "{hint}");
        let (code, what, hint) = told(&[]);
        assert_eq!((code, what.as_str()), (Code::DropIn, "/x.conf changes the unit on etcd-1"));
        assert_eq!(hint, "`systemctl cat etcd.service` on etcd-1 shows what it sets");
    }
}
