//! The planner: a list of rules picks one next step, run to a fixed point over the predicted effect of each.
//!
//! The order of [`RULES`] is the policy: repairs that cannot hurt come first, touching a healthy member comes last.

use std::collections::BTreeSet;

use crate::core::capability::{
    access, adopted, authority, backup, certificates, config, consumers, departure, given, image, membership, node_ca,
    prepare, raft_log, recovery, relocation, restore, room, rotation, service, users, version,
};
use crate::core::cluster::overview::{is_bare, overview};
use crate::core::cluster::quorum::Membership;
use crate::core::cluster::risk::{during, risk};
use crate::core::cluster::situation::Situation;
use crate::core::cluster::view::View;
use crate::core::cluster::{insurance, lost, named, others, restoration, trust};
use crate::core::content::backup::SCRIPT;
use crate::core::content::layout;
use crate::core::desired::Desired;
use crate::core::names::HostName;
use crate::core::observed::{File, Observed};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, BackupAction};
use crate::core::plan::ruling::{Blocked, Draft, Ruling};
use crate::core::plan::step::{FileDiff, Margin, Step};

mod bound;
mod dispatch;
mod findings;
mod order;
pub mod world;

pub use dispatch::{effect, readiness};
pub use findings::findings;

/// A rule: its name, and what it says of a world.
pub struct Rule {
    pub name: &'static str,
    pub next: fn(&View) -> Ruling,
}

/// The rules, in order. The order is the policy.
pub const RULES: &[Rule] = &[
    Rule { name: "create the authority", next: authority::next },
    Rule { name: "create the authority on a node", next: node_ca::create },
    Rule { name: "begin a rotation of the authority", next: rotation::begin },
    Rule { name: "go on with one survivor", next: recovery::next },
    Rule { name: "remove failed members", next: membership::remove_failed },
    Rule { name: "set stale data aside", next: departure::set_aside },
    Rule { name: "prepare hosts", next: prepare::next },
    Rule { name: "permit new data directories", next: config::new_data_marker },
    Rule { name: "install binaries", next: version::next },
    Rule { name: "install the trusted authority", next: certificates::trust },
    Rule { name: "keep the authority's key on every node", next: node_ca::next },
    Rule { name: "issue certificates", next: certificates::next },
    Rule { name: "move data", next: relocation::next },
    Rule { name: "write etcd.yaml", next: config::next },
    Rule { name: "save a snapshot before an upgrade", next: version::snapshot },
    Rule { name: "cut the raft log before an upgrade", next: raft_log::next },
    Rule { name: "write the unit", next: service::write_unit },
    Rule { name: "restore owners and modes", next: access::next },
    Rule { name: "reload units", next: service::reload },
    Rule { name: "enable the service", next: service::enable },
    Rule { name: "start members", next: service::start },
    Rule { name: "promote learners", next: membership::promote },
    Rule { name: "change peer URLs", next: membership::update_peer_url },
    Rule { name: "restart members", next: service::restart },
    Rule { name: "end the rotation of the authority", next: rotation::adopt },
    Rule { name: "tell what keeps the version back", next: version::obstacles },
    Rule { name: "add members", next: membership::add },
    Rule { name: "remove undeclared members", next: membership::remove_undeclared },
    Rule { name: "clear away former members", next: departure::retire },
    Rule { name: "forget former members", next: departure::forget },
    Rule { name: "keep users, roles and authentication", next: users::next },
    Rule { name: "keep the consumers' certificates", next: consumers::next },
    Rule { name: "keep scheduled snapshots", next: backup::next },
    Rule { name: "link the tools", next: version::tools },
    Rule { name: "tell what is served", next: certificates::served },
    Rule { name: "tell what stays wrong", next: service::health },
];

/// The rules while a restore is under way: everything is laid ready before the first member stops.
const RESTORE_RULES: &[Rule] = &[
    Rule { name: "create the authority", next: authority::next },
    Rule { name: "create the authority on a node", next: node_ca::create },
    Rule { name: "prepare hosts", next: prepare::next },
    Rule { name: "install binaries", next: version::next },
    Rule { name: "push the snapshot", next: restore::push },
    Rule { name: "install the trusted authority", next: certificates::trust },
    Rule { name: "keep the authority's key on every node", next: node_ca::next },
    Rule { name: "issue certificates", next: certificates::next },
    // Until here nothing has changed for the cluster that serves; etcd.yaml is of the one to come.
    Rule { name: "note the restore", next: restore::note },
    Rule { name: "write etcd.yaml", next: config::next },
    Rule { name: "write the unit", next: service::write_unit },
    Rule { name: "restore owners and modes", next: access::next },
    Rule { name: "reload units", next: service::reload },
    Rule { name: "stop members", next: restore::stop },
    Rule { name: "set old data aside", next: restore::set_aside },
    Rule { name: "restore data", next: restore::restore },
    Rule { name: "enable the service", next: service::enable },
    Rule { name: "start members", next: service::start },
    Rule { name: "link the tools", next: version::tools },
    Rule { name: "confirm the restore", next: restore::confirm },
    Rule { name: "tell what stays wrong", next: service::health },
];

/// The rules for a service that somebody else has set up: what is declared of its settings, members, users and snapshots, and
/// certificates that are due. Where its layout is known whole, also what a host needs on which nobody has set etcd up.
const ADOPTED_RULES: &[Rule] = &[
    Rule { name: "tell what stays with others", next: adopted::obstacles },
    Rule { name: "fetch the image of a first start", next: image::pull_first },
    Rule { name: "create the authority of a new cluster", next: authority::fault },
    Rule { name: "create the authority on a node", next: node_ca::create },
    Rule { name: "remove failed members", next: membership::remove_failed },
    Rule { name: "set stale data aside", next: departure::set_aside },
    Rule { name: "prepare hosts", next: prepare::next },
    Rule { name: "permit new data directories", next: config::new_data_marker },
    Rule { name: "tell which programs are missing", next: version::next },
    Rule { name: "install the trusted authority", next: certificates::trust },
    Rule { name: "put the authority's key on the first nodes", next: node_ca::next },
    Rule { name: "renew certificates", next: certificates::next },
    Rule { name: "change settings", next: adopted::next },
    Rule { name: "put an image back", next: image::back },
    Rule { name: "pull the image of an upgrade", next: image::pull },
    Rule { name: "save a snapshot before an upgrade", next: version::snapshot },
    Rule { name: "cut the raft log before an upgrade", next: raft_log::next },
    Rule { name: "change the image", next: image::change },
    Rule { name: "reload units", next: service::reload },
    Rule { name: "enable the service", next: adopted::enable },
    Rule { name: "start members", next: service::start },
    Rule { name: "close the first start", next: adopted::close },
    Rule { name: "promote learners", next: membership::promote },
    Rule { name: "restart members", next: service::restart },
    Rule { name: "tell what keeps the version back", next: version::obstacles },
    Rule { name: "add members", next: membership::add },
    Rule { name: "remove undeclared members", next: membership::remove_undeclared },
    Rule { name: "clear away former members", next: departure::retire },
    Rule { name: "forget former members", next: departure::forget },
    Rule { name: "keep users, roles and authentication", next: users::next },
    Rule { name: "keep scheduled snapshots", next: backup::next },
    Rule { name: "tell what is served", next: certificates::served },
    Rule { name: "tell what stays wrong", next: service::health },
];

/// The same while a restore is under way: what starts there afterwards is what started before; on a bare host all is laid ready.
const ADOPTED_RESTORE_RULES: &[Rule] = &[
    Rule { name: "tell what stays with others", next: adopted::obstacles },
    Rule { name: "fetch the image of a first start", next: image::pull_first },
    Rule { name: "create the authority of a new cluster", next: authority::fault },
    Rule { name: "create the authority on a node", next: node_ca::create },
    Rule { name: "prepare hosts", next: prepare::next },
    Rule { name: "install the trusted authority", next: certificates::trust },
    Rule { name: "put the authority's key on the first nodes", next: node_ca::next },
    Rule { name: "issue certificates", next: certificates::next },
    // Which image has the programs that look at the snapshot, it says.
    Rule { name: "write the settings of a first start", next: adopted::next },
    Rule { name: "push the snapshot", next: restore::push },
    Rule { name: "note the restore", next: restore::note },
    Rule { name: "stop members", next: restore::stop },
    Rule { name: "set old data aside", next: restore::set_aside },
    Rule { name: "restore data", next: restore::restore },
    Rule { name: "enable the service", next: adopted::enable },
    Rule { name: "start members", next: service::start },
    Rule { name: "confirm the restore", next: restore::confirm },
    Rule { name: "tell what stays wrong", next: service::health },
];

/// The next step in this world and everything that is blocked in it.
pub fn next(desired: &Desired, observed: &Observed) -> Ruling {
    let view = View::new(desired, observed);
    let mut ruling = ruling(&view);
    // Whom the operator calls lost is not missed where the others go on: `findings` tells of it.
    if lost::is_gone_on(&view, ruling.step.is_some()) {
        ruling.blocked.retain(|blocked| !lost::is_of(desired, observed, blocked));
    }
    ruling
}

fn ruling(view: &View) -> Ruling {
    let (desired, observed) = (view.desired, view.observed);
    let mut ruling = Ruling { step: None, blocked: view.blocked.clone() };
    if view.situation == Situation::Closed && observed.seen_hosts().any(|(_, host)| others::is_taken(host)) {
        return ruling;
    }
    let faults = given::faults(desired, observed);
    if !faults.is_empty() {
        ruling.blocked.extend(authority::next(view).blocked);
        ruling.blocked.extend(faults);
        return ruling;
    }
    // Every file would be written, or waited for, by names that cannot stay.
    if let Some(crossed) = named::in_use(view) {
        ruling.blocked.push(crossed);
        return ruling;
    }
    let is_adopted = desired.cluster.layout.is_adopted();
    let is_restored = is_adopted && desired.request.restore.is_some();
    if view.situation == Situation::New && desired.cluster.layout.is_set_up_by_us() && !is_restored {
        // What is needed from outside must be there before the first step: no half-made hosts are left behind.
        let needed =
            [authority::next, node_ca::create, version::next, backup::obstacles, config::obstacles, service::obstacles];
        let needed = needed.into_iter().chain(is_adopted.then_some(adopted::obstacles as fn(&View) -> Ruling));
        ruling.blocked.extend(needed.flat_map(|rule| rule(view).blocked));
        if !ruling.blocked.is_empty() {
            return ruling;
        }
    }
    if is_restored {
        // A restore that could not end on one host is begun on none.
        ruling.blocked.extend(adopted::obstacles(view).blocked);
        if !ruling.blocked.is_empty() {
            return ruling;
        }
    }
    let rules = match &desired.request.restore {
        // A restore is one thing; what else differs is for a plan of its own.
        Some(_) if restoration::under_way(desired, observed).is_none() => &[],
        Some(_) if is_adopted => ADOPTED_RESTORE_RULES,
        Some(_) => RESTORE_RULES,
        None if is_adopted => ADOPTED_RULES,
        None => RULES,
    };
    for rule in rules {
        let said = (rule.next)(view);
        ruling.blocked.extend(said.blocked);
        if let Some(draft) = said.step.filter(|draft| !touches_another(observed, draft)) {
            let insured = match insurance::insured(view, draft) {
                Ok(insured) => insured,
                Err(why) => {
                    ruling.blocked.push(why);
                    continue;
                }
            };
            let (step, blocked) = room::affordable(desired, observed, insured);
            ruling.blocked.extend(blocked);
            ruling.step = step;
            if ruling.step.is_some() {
                break;
            }
        }
    }
    ruling
}

/// Whether it would touch a host on which another program runs an etcd in the place of ours: also what is not done to etcd
/// there waits until it is known whose that host is.
fn touches_another(observed: &Observed, draft: &Draft) -> bool {
    let taken = |host: &HostName| observed.host(host).is_some_and(others::is_taken);
    draft.actions.iter().filter_map(Action::host).any(taken)
}

/// No cluster needs more steps than this; a plan that reaches it has two rules that undo each other.
const STEPS_MAX: usize = 1000;

/// Everything that would be done, from this world on.
///
/// # Panics
/// If two rules undo each other, so that the plan does not end: a defect of quorate.
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let (steps, blocked) = to_the_end(desired, observed);
    let mut findings = findings(desired, observed);
    findings.extend(adopted::second_owner(desired, &steps));
    findings.extend(trust::opening(desired, observed, trust::needs_key(desired, &steps)));
    Plan {
        cluster: desired.cluster.name.clone(),
        version: desired.cluster.version,
        file: desired.places.file.clone(),
        observed_at: observed.at,
        complete: observed.is_complete(),
        health: Membership::of(desired, observed).as_ref().map(Membership::in_numbers),
        overview: overview(desired, observed),
        hosts: observed.hosts.len(),
        unseen: observed.hosts.len() - observed.seen_hosts().count(),
        bare: observed.seen_hosts().filter(|(_, host)| is_bare(host)).count(),
        addresses: desired.nodes.iter().map(|(host, node)| (host.clone(), node.address.clone())).collect(),
        findings,
        without_leader: order::without_leader(desired, observed, &steps),
        steps,
        request: desired.request.clone(),
        pinned: desired.pinned.clone(),
        allowed: BTreeSet::new(),
        directory: None,
        blocked: distinct(blocked).into_iter().map(|blocked| placed(desired, blocked)).collect(),
    }
}

/// All steps, and what is blocked when none is left.
fn to_the_end(desired: &Desired, observed: &Observed) -> (Vec<Step>, Vec<Blocked>) {
    let mut world = observed.clone();
    let mut steps = Vec::new();
    loop {
        let ruling = next(desired, &world);
        let Some(draft) = ruling.step else { return (steps, ruling.blocked) };
        steps.push(take(desired, observed, &mut world, draft));
        assert!(steps.len() < STEPS_MAX, "the plan does not end; its last step is {:?}", steps.last());
    }
}

fn placed(desired: &Desired, blocked: Blocked) -> Blocked {
    Blocked { place: blocked.declared.as_deref().map(|path| desired.places.at(path)), ..blocked }
}

/// Applies a draft to the world, and keeps what it looked like around it.
fn take(desired: &Desired, first: &Observed, world: &mut Observed, draft: Draft) -> Step {
    let margin_in = |world: &Observed| Membership::of(desired, world).map(|membership| membership.margin());
    let before = margin_in(world);
    let during = during(desired, world, &draft.actions);
    let diffs = draft.actions.iter().filter_map(|action| diff(desired, world, action)).collect();
    let mut bound: Vec<_> = draft.actions.iter().map(|action| bound::bound(desired, first, action)).collect();
    if bound.iter().all(Option::is_none) {
        bound.clear();
    }
    for action in &draft.actions {
        effect(action, desired, world);
    }
    let margin = Margin { before, during, after: margin_in(world) };
    Step {
        risk: risk(&draft.actions, margin),
        actions: draft.actions,
        because: draft.because,
        needs: draft.needs,
        margin,
        diffs,
        bound,
    }
}

/// What becomes of a file that is written whole; `None` for every other action.
pub fn diff(desired: &Desired, world: &Observed, action: &Action) -> Option<FileDiff> {
    let (host, file, text) = match action {
        // Root will run it.
        Action::Backup(BackupAction::InstallScript { host }) => (host, File::BackupScript, SCRIPT),
        _ => action.written()?,
    };
    let seen = world.host(host);
    let before = || match seen?.text_of(file) {
        Some(text) => Some(text.to_owned()),
        None => Some(format!("(not read, SHA-256 {})\n", seen?.files.get(&file)?.digest)),
    };
    Some(FileDiff {
        host: host.clone(),
        path: layout::path(desired, host, file),
        before: before(),
        after: text.to_owned(),
        access_before: seen.and_then(|seen| Some(seen.files.get(&file)?.access.to_string())),
        access: Some(layout::access_after(desired, file, seen.and_then(|seen| seen.files.get(&file))).to_string()),
    })
}

fn distinct(mut blocked: Vec<Blocked>) -> Vec<Blocked> {
    let mut seen = BTreeSet::new();
    blocked.retain(|blocked| seen.insert((blocked.code.as_str(), blocked.hosts.clone(), blocked.what.clone())));
    blocked
}
