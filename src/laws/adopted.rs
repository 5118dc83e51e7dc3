//! The laws of a service that somebody else has set up: only declared settings are changed in its file, one member at a time,
//! and no member is restarted into what nobody has prepared.

mod begun;
mod restored;
mod versions;
mod worlds;

use std::collections::BTreeSet;

use strum::VariantArray as _;

use crate::core::code::Code;
use crate::core::content::adopted;
use crate::core::content::form;
use crate::core::desired::{Desired, Layout, Rotation};
use crate::core::guard::{Guard, with_broken};
use crate::core::names::HostName;
use crate::core::observed::{Cause, File, Host, Lent, Location, Mount, Needed, Observed, Role, Seen, Unable};
use crate::core::plan::Plan;
use crate::core::plan::action::{
    Action, CertificateAction, DepartureAction, FileAction, MemberAction, ServiceAction, SnapshotAction,
};
use crate::core::planner::{self, plan};
use crate::laws::sample;
use worlds::{OF_PODS, PLAIN, State, adopt, text, world, worlds};

/// Every law that the plan of this world breaks.
fn complaints(states: [State; 3], desired: &Desired, observed: &Observed) -> Vec<String> {
    let plan = plan(desired, observed);
    [
        only_settings_and_certificates_are_changed(desired, states, &plan),
        only_who_has_lost_its_data_is_replaced(states, &plan),
        certificates_are_renewed_where_all_trust_them(states, desired, observed, &plan),
        whoever_is_not_as_declared_is_left_alone(states, &plan),
        nothing_is_given_twice(states, &plan),
        all_or_none_is_changed(desired, states, &plan),
        quorum_is_kept(&plan),
        it_ends(desired, observed, states, &plan),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Nothing else is done on a host than to renew a pair, to change the file, have systemd read it, start etcd anew, and replace a
/// member; and in the file nothing else is changed than what is declared, and what the first start of a new member reads.
fn only_settings_and_certificates_are_changed(desired: &Desired, states: [State; 3], plan: &Plan) -> Option<String> {
    for action in plan.actions() {
        match action {
            Action::File(
                FileAction::Write { file: File::Settings | File::NewDataMarker, .. }
                | FileAction::Remove { file: File::NewDataMarker, .. },
            )
            | Action::Member(MemberAction::Remove { .. } | MemberAction::Add { .. } | MemberAction::Promote { .. })
            | Action::Departure(DepartureAction::SetDataAside { .. })
            | Action::Snapshot(SnapshotAction::Save { .. })
            | Action::Certificate(CertificateAction::Issue { role: Role::Server, .. })
            | Action::Service(
                ServiceAction::ReloadUnits { .. }
                | ServiceAction::Start { .. }
                | ServiceAction::Restart { .. }
                | ServiceAction::Stop { .. }
                | ServiceAction::Enable { .. }
                | ServiceAction::LayManifest { .. }
                | ServiceAction::ReplaceManifest { .. },
            ) => {}
            other => return Some(format!("{other:?}")),
        }
    }
    let mut declared: BTreeSet<_> = adopted::declared(desired).into_keys().collect();
    if states.contains(&State::DataLost) {
        declared.extend(["initial-cluster", "initial-cluster-state"].map(str::to_owned));
    }
    plan.steps.iter().flat_map(|step| &step.diffs).find_map(|diff| {
        let form = adopted::form(desired)?;
        let (before, after) = (form::read(form, diff.before.as_deref()?).ok()?, form::read(form, &diff.after).ok()?);
        let value = |settings: &form::Settings, name: &str| settings.get(name).and_then(|one| one.value.clone());
        let mut names = before.keys().chain(after.keys());
        let is_changed = |name: &&String| value(&before, name) != value(&after, name) && !declared.contains(*name);
        names.find(is_changed).map(|name| format!("{name} is not declared, and changed"))
    })
}

/// A pair is replaced only where it is due and another one like it can be made, says the same afterwards, and stays whose it is;
/// and only while no member would refuse it.
fn certificates_are_renewed_where_all_trust_them(
    states: [State; 3],
    desired: &Desired,
    observed: &Observed,
    plan: &Plan,
) -> Option<String> {
    plan.actions().find_map(|action| {
        let Action::Certificate(CertificateAction::Issue { host: name, role, .. }) = action else { return None };
        let state = states[(0..3).find(|index| sample::name(*index) == *name)?];
        let mut after = observed.clone();
        planner::effect(action, desired, &mut after);
        let [before, after] = [observed, &after].map(|world| world.host(name).expect("it was seen"));
        let says = |host: &Host| host.certificates.get(role).map(|one| (one.common_name.clone(), one.names.clone()));
        let whose = |host: &Host| host.files.get(&role.key()).map(|fact| fact.access.clone());
        let holds = [
            (state == State::CertificateDue, "is not due"),
            (!states.contains(&State::OtherAuthority), "is of a CA that not all trust"),
            (says(before) == says(after), "says something else"),
            (whose(before) == whose(after), "is somebody else's"),
        ];
        let (_, why) = holds.iter().find(|(holds, _)| !holds)?;
        Some(format!("{action:?} {why}"))
    })
}

/// Nobody else is stopped, taken out, or has its data moved; and it does not start before it was added again.
fn only_who_has_lost_its_data_is_replaced(states: [State; 3], plan: &Plan) -> Option<String> {
    let mut added = BTreeSet::new();
    plan.actions().find_map(|action| {
        let name = action.host()?;
        let is_lost = states[(0..3).find(|index| sample::name(*index) == *name)?] == State::DataLost;
        match action {
            Action::Member(MemberAction::Remove { .. })
            | Action::Departure(DepartureAction::SetDataAside { .. })
            | Action::Service(ServiceAction::Stop { .. })
                if !is_lost =>
            {
                return Some(format!("{action:?}"));
            }
            Action::Member(MemberAction::Add { .. }) => drop(added.insert(name.clone())),
            Action::Service(ServiceAction::Start { .. }) if is_lost && !added.contains(name) => {
                return Some(format!("{name} starts without data, and as the member that it was"));
            }
            _ => {}
        }
        None
    })
}

fn touched(plan: &Plan) -> BTreeSet<HostName> {
    plan.actions().filter_map(Action::host).cloned().collect()
}

fn whoever_is_not_as_declared_is_left_alone(states: [State; 3], plan: &Plan) -> Option<String> {
    let foreign = [
        State::OtherName,
        State::OtherFile,
        State::Unreadable,
        State::Upgraded,
        State::DataLostOdd,
        State::LogElsewhere,
        State::KubeletStopped,
        State::OtherManifests,
        State::OtherVolume,
        State::NoRuntime,
    ];
    let is_foreign = |index: &usize| foreign.contains(&states[*index]);
    let mut foreign = (0..3).filter(is_foreign).map(sample::name);
    foreign.find(|name| touched(plan).contains(name)).map(|name| format!("{name} is touched"))
}

/// etcd refuses a setting that is both a flag and a variable; and where another file gives it, ours would not decide it.
fn nothing_is_given_twice(states: [State; 3], plan: &Plan) -> Option<String> {
    let given = [State::FlagGiven, State::VariableOfAnother];
    plan.actions().find_map(|action| match action {
        Action::File(FileAction::Write { host, text, .. })
        | Action::Service(ServiceAction::LayManifest { host, text } | ServiceAction::ReplaceManifest { host, text }) => {
            let index = (0..3).find(|index| sample::name(*index) == *host)?;
            let is_written = text.contains("SNAPSHOT_COUNT") || text.contains("snapshot-count");
            (given.contains(&states[index]) && is_written).then(|| format!("{host} is given snapshot-count twice"))
        }
        _ => None,
    })
}

/// Where one cannot be changed, none is.
fn all_or_none_is_changed(desired: &Desired, states: [State; 3], plan: &Plan) -> Option<String> {
    let changes = desired.etcd.extra.contains_key("snapshot-count");
    let holds = |state: &State| match state {
        State::OtherName
        | State::OtherFile
        | State::Unreadable
        | State::Upgraded
        | State::LogElsewhere
        | State::KubeletStopped
        | State::OtherManifests
        | State::OtherVolume
        | State::NoRuntime => true,
        State::FlagGiven | State::VariableOfAnother | State::Linked => changes,
        State::Healthy
        | State::Stopped
        | State::NotRestarted
        | State::Edited
        | State::DataLost
        | State::DataLostOdd
        | State::CertificateDue
        | State::CertificateOdd
        | State::CertificateOfAnother
        | State::OneKeyForTwo
        | State::OtherAuthority
        | State::ManifestAside => false,
    };
    let is_write = |action: &Action| {
        matches!(
            action,
            Action::File(FileAction::Write { .. })
                | Action::Service(ServiceAction::LayManifest { .. } | ServiceAction::ReplaceManifest { .. })
        )
    };
    (states.iter().any(holds) && plan.actions().any(is_write)).then(|| "only some are changed".to_owned())
}

fn quorum_is_kept(plan: &Plan) -> Option<String> {
    let mut steps = plan.steps.iter();
    let lost = steps
        .find(|step| step.margin.before >= Some(0) && (step.margin.during < Some(0) || step.margin.after < Some(0)));
    lost.map(|step| format!("quorum is lost by {:?}", step.actions))
}

/// Once all is done, the plan of what is there is empty, or says why it is not.
fn it_ends(desired: &Desired, observed: &Observed, states: [State; 3], before: &Plan) -> Option<String> {
    let mut world = observed.clone();
    for action in before.actions() {
        planner::effect(action, desired, &mut world);
    }
    let after = plan(desired, &world);
    if !after.steps.is_empty() {
        return Some(format!("something is left to do: {:?}", after.steps));
    }
    let in_order = [
        State::Healthy,
        State::Stopped,
        State::NotRestarted,
        State::Edited,
        State::CertificateDue,
        State::ManifestAside,
    ];
    let is_in_order = states.iter().all(|state| in_order.contains(state));
    let is_replaced = states == [State::Healthy, State::Healthy, State::DataLost];
    let is_in_order = is_in_order || is_replaced;
    // Two that are stopped are started together, and until then nobody knows the members.
    (is_in_order && !after.blocked.is_empty()).then(|| format!("{:?}", after.blocked))
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    versions::takes_an_image_that_is_gone()
        || worlds().any(|(states, desired, observed)| !complaints(states, &desired, &observed).is_empty())
}

#[test]
fn a_service_of_others_keeps_all_that_is_not_declared() {
    let mut count = 0;
    for (states, desired, observed) in worlds() {
        let found = complaints(states, &desired, &observed);
        assert!(found.is_empty(), "{states:?} {:?}: {found:?}", desired.cluster.layout);
        count += 1;
    }
    let (all, of_services) = (State::VARIANTS.len(), State::VARIANTS.len() - OF_PODS.len());
    assert_eq!(count, of_services * of_services * 3 + PLAIN.len() * all * 2);
    for guard in [
        Guard::SettingGivenOnce,
        Guard::NoUpgradeByRestart,
        Guard::SignerIsTrusted,
        Guard::PairsApart,
        Guard::LogIsWithData,
        Guard::NewcomerCanBegin,
        Guard::KubeletRunsIt,
        Guard::PodSeesHost,
    ] {
        // A plan that does not end panics: that is noticed, too.
        let noticed = || std::panic::catch_unwind(any_complaint).unwrap_or(true);
        assert!(with_broken(guard, noticed), "no law misses {guard:?}");
    }
}

/// Whoever may not ask, as authentication is on, changes nothing: not one file.
#[test]
fn nothing_is_changed_while_no_member_says_who_belongs_to_it() {
    let (desired, mut observed) = world([State::Healthy; 3], Layout::Kubespray, true);
    for host in observed.hosts.values_mut().filter_map(Seen::known_mut) {
        let cause = Cause { code: Code::AuthUnknown, summary: "it may not ask".to_owned(), hint: None };
        host.member = Seen::Unknown(cause);
    }
    let plan = plan(&desired, &observed);
    assert_eq!(plan.steps, []);
    assert!(plan.blocked.iter().all(|blocked| blocked.code == Code::AuthUnknown), "{:?}", plan.blocked);
}

#[test]
fn what_stays_with_others_is_said() {
    let (mut desired, observed) = world([State::Healthy; 3], Layout::Kubespray, false);
    assert_eq!(plan(&desired, &observed).blocked, []);
    let said = |desired: &Desired| {
        let blocked = plan(desired, &observed).blocked;
        assert!(
            blocked.iter().all(|blocked| blocked.code == Code::NotInLayout && blocked.hint.is_some()),
            "{blocked:?}"
        );
        blocked.into_iter().map(|blocked| blocked.what).collect::<Vec<_>>()
    };
    desired.request.rotation = Some(Rotation::default());
    assert_eq!(said(&desired), ["`--rotate-ca` was asked for: in the layout kubespray quorate replaces no CA yet"]);
}

/// Where the key of the CA is not here, a certificate that is due is told, and keeps nothing else from being done.
#[test]
fn without_the_key_of_the_authority_what_is_due_is_told() {
    let (mut desired, mut observed) =
        world([State::Healthy, State::CertificateDue, State::Healthy], Layout::Kubespray, true);
    let issues = |action: &Action| matches!(action, Action::Certificate(_));
    assert_eq!(plan(&desired, &observed).actions().filter(|action| issues(action)).count(), 1);
    let key = "pki/ca.key".to_owned();
    observed.workstation.lent = Some(Lent { key, why: Unable::NotHere, reader: None, has_certificate: true });
    let told = plan(&desired, &observed);
    assert!(told.blocked.is_empty() && told.actions().count() > 0 && !told.actions().any(issues), "{:?}", told.steps);
    let told = told.findings.iter().find(|finding| finding.code == Code::CertificateExpires).expect("it is told");
    assert_eq!(told.what, "certificates of etcd on etcd-2 expire in 10 days");
    assert!(told.hint.as_ref().is_some_and(|hint| hint.contains("pki/ca.key")), "{told:?}");
    // Who asks for it by name is refused.
    desired.request.renewals.insert(sample::name(0), None);
    let asked = plan(&desired, &observed);
    assert!(!asked.actions().any(issues));
    assert!(asked.blocked.iter().all(|blocked| blocked.code == Code::KeyNotHere), "{:?}", asked.blocked);
    assert_eq!(
        asked.blocked.first().map(|blocked| blocked.what.as_str()),
        Some("no certificate is issued on etcd-1 (requested with `--renew-certs`): pki/ca.key is not here")
    );
}

/// One pair for both ports is issued once.
#[test]
fn one_pair_for_both_ports_is_issued_once() {
    let (mut desired, mut observed) =
        world([State::CertificateDue, State::Healthy, State::Healthy], Layout::Kubespray, false);
    for (file, name) in [
        (File::ServerCertificate, "member-{host}.pem"),
        (File::PeerCertificate, "member-{host}.pem"),
        (File::ServerKey, "member-{host}-key.pem"),
        (File::PeerKey, "member-{host}-key.pem"),
    ] {
        desired.paths.names.insert(file, name.to_owned());
    }
    for index in 0..3 {
        let name = sample::name(index);
        let text = text(&desired, &name);
        let host = observed.host_mut(&name).expect("it is there");
        let of_server = host.certificates[&Role::Server].clone();
        host.certificates.insert(Role::Peer, of_server);
        host.files.insert(File::Config, host.files[&File::Settings].clone());
        adopt(&desired, host, text);
    }
    let plan = plan(&desired, &observed);
    let issued: Vec<_> = plan.actions().map(ToString::to_string).collect();
    assert!(issued.len() == 1 && issued[0].contains("server.crt"), "{issued:?} {:?}", plan.blocked);
    for action in plan.actions() {
        planner::effect(action, &desired, &mut observed);
    }
    let host = observed.host(&sample::name(0)).expect("it is there");
    assert_eq!(host.certificates[&Role::Server], host.certificates[&Role::Peer]);
    assert!(planner::plan(&desired, &observed).is_empty());
}

/// Snapshots are ours in any layout: what takes them, and nothing else, comes and goes with `[backup]`.
#[test]
fn scheduled_snapshots_are_kept_beside_the_service_of_others() {
    for layout in [Layout::Kubespray, Layout::Kubeadm] {
        let (mut desired, mut observed) = world([State::Healthy; 3], layout, false);
        desired.backup = Some(sample::backup(&desired));
        let begin = plan(&desired, &observed);
        assert!(begin.blocked.is_empty(), "{:?}", begin.blocked);
        let is_ours = |action: &Action| match action {
            Action::Backup(_) => true,
            Action::Certificate(CertificateAction::Issue { role, .. }) => *role == Role::BackupClient,
            Action::File(FileAction::Write { file, .. }) => [File::BackupService, File::BackupTimer].contains(file),
            Action::Service(ServiceAction::ReloadUnits { .. }) => true,
            _ => false,
        };
        assert!(begin.actions().count() >= 12 && begin.actions().all(is_ours), "{:?}", begin.steps);
        for action in begin.actions() {
            planner::effect(action, &desired, &mut observed);
        }
        assert!(plan(&desired, &observed).is_empty());
        let host = observed.host(&sample::name(1)).expect("it is there");
        let service = host.text_of(File::BackupService).expect("it was written");
        assert!(service.contains("QUORATE_NODE=etcd-2\n") && !service.contains("QUORATE_CONFIG"), "{service}");
        assert_eq!(service.contains("QUORATE_POD=yes"), layout == Layout::Kubeadm);
        let without = |change: &dyn Fn(&mut Host)| {
            let mut without = observed.clone();
            let host = without.host_mut(&sample::name(0)).expect("it is there");
            change(host);
            plan(&desired, &without)
        };
        let no_tool = without(&|host| {
            host.files.remove(&File::BackupScript);
            host.scheduled.as_mut().expect("it has a timer").without_etcdctl = true;
        });
        assert!(no_tool.steps.is_empty(), "{:?}", no_tool.steps);
        assert_eq!(no_tool.blocked.iter().map(|one| one.code).collect::<Vec<_>>(), [Code::EtcdctlMissing]);
        desired.backup = None;
        let end = plan(&desired, &observed);
        assert!(end.actions().count() == 3 && end.actions().all(|action| matches!(action, Action::Backup(_))));
        for action in end.actions() {
            planner::effect(action, &desired, &mut observed);
        }
        // A pair of that name, alone, may be of whoever set etcd up.
        let host = observed.host_mut(&sample::name(0)).expect("it is there");
        host.files.insert(File::BackupCertificate, host.files[&File::ServerCertificate].clone());
        assert!(plan(&desired, &observed).is_empty());
    }
}

/// Where data would not last, the one that is there is not given up for another.
#[test]
fn nobody_is_taken_out_where_no_other_could_begin() {
    let (mut desired, mut observed) = world([State::Healthy; 3], Layout::Kubespray, false);
    let name = sample::name(2);
    desired.request.lost.insert(name.clone(), None);
    let host = observed.host_mut(&name).expect("it is there");
    let cause = Cause { code: Code::MemberSilent, summary: "it does not answer".to_owned(), hint: None };
    host.member = Seen::Unknown(cause);
    let takes_out = |observed: &Observed| {
        let plan = plan(&desired, observed);
        plan.actions().any(|action| matches!(action, Action::Member(MemberAction::Remove { .. })))
    };
    assert!(takes_out(&observed));
    let host = observed.host_mut(&name).expect("it is there");
    let real = desired.paths.data.clone();
    let mount = Mount { point: real.clone(), filesystem: "tmpfs".to_owned(), no_exec: false, read_only: false };
    host.locations.insert(Needed::Data, Location { real, is_link: false, closed: None, mount });
    assert!(!takes_out(&observed));
}
