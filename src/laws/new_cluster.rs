//! The law of new clusters: none takes the place of one that has lived unless the operator says so.

use super::{State, World};
use crate::core::allowance::AllowKind;
use crate::core::cluster::quorum::Membership;
use crate::core::code::Code;
use crate::core::desired::{AuthoritySource, Desired};
use crate::core::guard::{Guard, with_broken};
use crate::core::names::RemotePath;
use crate::core::observed::{File, FormerLife, Observed};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, AuthorityAction, FileAction, NodeCaAction};
use crate::core::planner::{self, plan};
use crate::laws::sample;

/// Whether this host shows, or may hide, that the cluster has lived.
fn may_have_lived(state: State) -> bool {
    !matches!(state, State::Bare | State::CutOffStart)
}

pub(super) fn needs_bare_hosts(world: &World, plan: &Plan) -> Option<String> {
    let mut observed = world.observed.clone();
    let begins = plan.steps.iter().any(|step| {
        // A marker for new data in a cluster that serves lets a newcomer join it.
        let serves = Membership::of(&world.desired, &observed).is_some();
        for action in &step.actions {
            planner::effect(action, &world.desired, &mut observed);
        }
        step.actions.iter().any(|action| match action {
            Action::Authority(AuthorityAction::Create) | Action::NodeCa(NodeCaAction::CreateAuthority { .. }) => true,
            Action::File(FileAction::Write { file: File::NewDataMarker, .. }) => !serves,
            _ => false,
        })
    });
    let lived = world.states.iter().find(|state| may_have_lived(**state));
    lived.filter(|_| begins).map(|state| format!("a new cluster beside a host that is {state:?}"))
}

/// Where all hosts are bare and the authority has signed, the permission to begin without data needs a word.
pub(super) fn takes_no_place_unasked(world: &World, plan: &Plan) -> Option<String> {
    let has_lived = world.observed.workstation.former_life.authority_has_signed
        && world.states.iter().all(|state| *state == State::Bare);
    (has_lived && begins(plan) && !needs_a_word(plan)).then(|| "an empty cluster begins unasked".to_owned())
}

fn marks(action: &Action) -> bool {
    matches!(action, Action::File(FileAction::Write { file: File::NewDataMarker, .. }))
}

fn begins(plan: &Plan) -> bool {
    plan.actions().any(marks)
}

fn needs_a_word(plan: &Plan) -> bool {
    let marking = plan.steps.iter().filter(|step| step.actions.iter().any(marks));
    let named = |kind: AllowKind, name: &str| kind == AllowKind::NewCluster && name == plan.cluster.as_str();
    marking.into_iter().any(|step| step.needs.iter().any(|needs| named(needs.kind, &needs.name)))
}

/// What is left of a cluster, in every combination.
fn lives() -> impl Iterator<Item = FormerLife> {
    [false, true].into_iter().flat_map(|authority_has_signed| {
        [vec![], vec!["./snapshot-20261121_080000.db.zst".to_owned()]].map(|snapshots| FormerLife {
            authority_has_signed,
            snapshots,
            unseen: Vec::new(),
        })
    })
}

fn bare(former_life: &FormerLife) -> (Desired, Observed) {
    let desired = sample::desired(3);
    let mut observed = sample::bare(&desired);
    observed.workstation.former_life = former_life.clone();
    (desired, observed)
}

fn complaint(former_life: &FormerLife) -> Option<String> {
    let (desired, observed) = bare(former_life);
    let plan = plan(&desired, &observed);
    let has_lived = !former_life.is_empty();
    let told = plan.findings.iter().any(|finding| finding.code == Code::NewCluster);
    if needs_a_word(&plan) != has_lived || told != has_lived {
        return Some(format!("needs a word: {}, told: {told}", needs_a_word(&plan)));
    }
    // Cut off anywhere, it needs none as soon as a host shows that it was begun, and until then the same.
    let mut world = observed;
    plan.steps.iter().find_map(|step| {
        for action in &step.actions {
            planner::effect(action, &desired, &mut world);
        }
        let rest = planner::plan(&desired, &world);
        (needs_a_word(&rest) != (has_lived && begins(&rest)))
            .then(|| format!("after {}: needs a word: {}", step.title(), needs_a_word(&rest)))
    })
}

#[test]
fn an_empty_cluster_takes_the_place_of_a_lost_one_by_name() {
    for former_life in lives() {
        assert_eq!(complaint(&former_life), None, "{former_life:?}");
    }
}

#[test]
fn a_broken_guard_of_new_clusters_breaks_the_law() {
    for former_life in lives().filter(|life| !life.is_empty()) {
        assert!(with_broken(Guard::NewClusterByName, || complaint(&former_life).is_some()), "{former_life:?}");
    }
}

/// That somebody else's authority has signed before says nothing of this cluster, nor is a restore a new cluster.
#[test]
fn what_is_not_ours_and_a_restore_need_no_word() {
    let life = FormerLife { authority_has_signed: true, ..FormerLife::default() };
    let (desired, observed) = bare(&life);
    let foreign = Desired {
        authority: AuthoritySource::Node {
            certificate: RemotePath::new("/pki/ca.crt"),
            key: RemotePath::new("/pki/ca.key"),
        },
        ..desired.clone()
    };
    assert!(!needs_a_word(&plan(&foreign, &observed)));
    let restored = plan(&sample::restoring(&desired), &observed);
    assert!(!restored.steps.is_empty() && !needs_a_word(&restored));
}

/// Where nobody could look there may be something, which is told.
#[test]
fn what_was_not_seen_is_told_and_needs_no_word() {
    let life = FormerLife { unseen: vec!["s3://kept: no credentials".to_owned()], ..FormerLife::default() };
    let (desired, observed) = bare(&life);
    let plan = plan(&desired, &observed);
    assert!(!needs_a_word(&plan));
    let told: Vec<_> = plan.findings.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(told, ["it is not known whether there are snapshots of cluster prod: s3://kept: no credentials"]);
}
