//! What can be declared of a service that somebody else has set up: its settings, users, and where its files lie.

use std::collections::BTreeMap;

use super::problem::Problem;
use super::table::Table;
use crate::core::desired::{AuthoritySource, Binaries, Layout, Node, Runtime};
use crate::core::names::HostName;

/// The sections for which quorate would put files of its own beside theirs.
const NOT_YET: [(&str, &str); 1] = [("consumers", "certificates of consumers")];

/// Reports what `layout` does not take; where its programs are.
pub(super) fn check(
    root: &mut Table,
    layout: Layout,
    nodes: &BTreeMap<HostName, Node>,
    (authority, previous): (&AuthoritySource, Option<&AuthoritySource>),
    binaries: Binaries,
) -> Binaries {
    if !layout.is_adopted() {
        return binaries;
    }
    let name = layout.name();
    let declared = |table: &Table, section| table.declares(section);
    for (section, what) in NOT_YET {
        let Some(span) = declared(root, section) else { continue };
        let problem = Problem::new(span, format!("[{section}] is not supported yet with `layout = \"{name}\"`"));
        root.report(problem.hint(format!("{what} stay with whoever set etcd up")));
    }
    if let Some((node, _)) = nodes.iter().find(|(_, node)| !node.peer_names.is_empty()) {
        let span = declared(root, "nodes").unwrap_or_default();
        root.report(names_stay(Problem::new(
            span,
            format!("`peer-names` of {node} have no effect with `layout = \"{name}\"`"),
        )));
    }
    if previous.is_some() {
        let span = declared(root, "ca").unwrap_or_default();
        let problem = Problem::new(span, format!("[ca.previous] is not supported yet with `layout = \"{name}\"`"));
        root.report(problem.hint("declare in [ca] the CA that the members trust: quorate replaces none there"));
    }
    if matches!(authority, AuthoritySource::External { .. } | AuthoritySource::Vault(_)) {
        let span = declared(root, "ca").unwrap_or_default();
        let problem = Problem::new(span, format!("this source is not supported yet with `layout = \"{name}\"`"));
        root.report(problem.hint(
            "put the CA's certificate into `dir` of [ca] as ca.crt, which is enough to look; or use `source = \"node\"`",
        ));
    }
    if layout.runtime() == Runtime::StaticPod {
        if !matches!(binaries, Binaries::Undeclared) {
            let span = declared(root, "etcd").unwrap_or_default();
            let problem = Problem::new(span, format!("[etcd.archive] is not supported with `layout = \"{name}\"`"));
            root.report(problem.hint("the programs are in the image that the manifest names: omit it"));
        }
        return Binaries::Image;
    }
    if !matches!(binaries, Binaries::Preinstalled { .. }) {
        let span = declared(root, "etcd").or_else(|| declared(root, "cluster")).unwrap_or_default();
        let problem = Problem::new(span, format!("`layout = \"{name}\"` needs the folder of the programs"));
        let hint =
            "add [etcd.archive] with `preinstalled = \"/usr/local/bin\"`, or wherever the service starts etcd from";
        root.report_missing(problem.hint(hint));
    }
    binaries
}

/// Of names for certificates.
pub(super) fn names_stay(problem: Problem) -> Problem {
    problem.hint("a certificate of somebody else's service is renewed with the names that it has: omit it")
}
