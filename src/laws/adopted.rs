//! The laws of a service that somebody else has set up: only declared settings are changed in its file, one member at a time,
//! and no member is restarted into what nobody has prepared.

use std::collections::BTreeSet;

use strum::VariantArray;

use crate::core::code::Code;
use crate::core::content::adopted;
use crate::core::content::form::{self, Form};
use crate::core::desired::{Binaries, Desired, Layout, Runtime, Setting};
use crate::core::guard::{Guard, with_broken};
use crate::core::names::{Digest, HostName, RemotePath, Version};
use crate::core::observed::{
    Cause, DataDirectory, File, FileFact, Host, Installed, Kubelet, Observed, Role, Seen, ServiceState, StartedWith,
};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, FileAction, ServiceAction};
use crate::core::planner::{self, plan};
use crate::laws::sample;

/// What a member is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
enum State {
    Healthy,
    Stopped,
    /// Its file says something that it was not started with.
    NotRestarted,
    /// Somebody has set what is declared to something else.
    Edited,
    /// What is to be declared is a flag of its unit.
    FlagGiven,
    /// It runs with a variable that its file does not have.
    VariableOfAnother,
    /// Another version was installed while it runs.
    Upgraded,
    DataLost,
    /// A name in its file is not the declared one.
    OtherName,
    /// Its unit reads another file.
    OtherFile,
    Unreadable,
    /// Of a static pod: the kubelet does not run.
    KubeletStopped,
    /// Of a static pod: the kubelet reads manifests from another folder.
    OtherManifests,
    /// Of a static pod: its manifest was set aside, and a run that was killed has not put it back.
    ManifestAside,
    /// Of a static pod: it has its data from another folder of the host.
    OtherVolume,
    /// Of a static pod: its manifest is a link.
    Linked,
    /// Of a static pod: nobody runs containers.
    NoRuntime,
}

/// The states beside which a pod is looked at in every one.
const PLAIN: [State; 2] = [State::Healthy, State::Stopped];

/// The states that only a static pod is in.
const OF_PODS: [State; 6] = [
    State::KubeletStopped,
    State::OtherManifests,
    State::ManifestAside,
    State::OtherVolume,
    State::Linked,
    State::NoRuntime,
];

/// Three members as the tool of the layout sets them up, and what is to change: nothing, or `snapshot-count`.
fn world(states: [State; 3], layout: Layout, changes: bool) -> (Desired, Observed) {
    let mut desired = sample::desired(3);
    let mut observed = sample::healthy(&desired);
    desired.cluster.layout = layout;
    desired.cluster.runtime = layout.runtime();
    desired.binaries = match layout.runtime() {
        Runtime::Systemd => Binaries::Preinstalled { folder: RemotePath::new("/usr/local/bin") },
        Runtime::StaticPod => Binaries::Image,
    };
    desired.paths.config = match layout {
        Layout::Unit => desired.paths.unit(),
        Layout::Kubeadm => RemotePath::new("/etc/kubernetes/manifests/etcd.yaml"),
        _ => RemotePath::new("/etc/etcd.env"),
    };
    desired.etcd.quota_backend_bytes = Some(4 << 30);
    for (index, state) in states.into_iter().enumerate() {
        let name = sample::name(index);
        let text = text(&desired, &name);
        let host = observed.host_mut(&name).expect("it is there");
        adopt(&desired, host, text);
        make(&desired, host, state);
    }
    if changes {
        desired.etcd.extra.insert("snapshot-count".to_owned(), Setting::Integer(20_000));
    }
    (desired, observed)
}

fn text(desired: &Desired, name: &HostName) -> String {
    let identity = adopted::identity(desired, name).into_iter();
    let rest = [("quota-backend-bytes", "4294967296".to_owned()), ("log-level", "warn".to_owned())];
    let settings = identity.chain(rest);
    match adopted::form(desired) {
        Some(Form::Flags) => {
            let flags: String = settings.map(|(name, value)| format!(" \\\n  --{name}={value}")).collect();
            format!("[Service]\nExecStart=/usr/local/bin/etcd{flags}\n")
        }
        Some(Form::Manifest) => {
            let flags: String = settings.map(|(name, value)| format!("    - --{name}={value}\n")).collect();
            let paths = [&desired.paths.data, &desired.paths.certificates];
            let mounts = paths.map(|path| format!("    - mountPath: {path}\n      name: v{path}\n"));
            let volumes = paths.map(|path| format!("  - hostPath:\n      path: {path}\n    name: v{path}\n"));
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata:\n  name: etcd\nspec:\n  containers:\n  - command:\n    - etcd\n{flags}    \
                 image: registry.k8s.io/etcd:3.5.16-0\n    name: etcd\n    volumeMounts:\n{}  volumes:\n{}",
                mounts.concat(),
                volumes.concat()
            )
        }
        _ => settings
            .map(|(name, value)| format!("ETCD_{}={value}\n", name.to_ascii_uppercase().replace('-', "_")))
            .collect(),
    }
}

fn adopt(desired: &Desired, host: &mut Host, text: String) {
    let access = host.files[&File::Config].access.clone();
    host.files.retain(|file, _| crate::core::content::layout::files(desired).any(|one| one == *file));
    let with = adopted::read(desired, &text).expect("it is plain");
    write(host, text, access);
    if desired.cluster.runtime == Runtime::StaticPod {
        let manifests = Some(desired.paths.config_folder());
        host.kubelet = Some(Kubelet { runs: true, manifests, manifest_aside: false, fixed: None, deaf_runtime: None });
        host.installed.clear();
    } else {
        host.installed = [(Version::new(3, 5, 16), Installed { archive: None })].into();
    }
    let process = host.process.as_mut().expect("it runs");
    process.executable = RemotePath::new("/usr/local/bin/etcd");
    process.loaded.clear();
    let mut started = StartedWith { reads_declared_file: true, ..StartedWith::default() };
    *given(desired, &mut started) = with;
    process.started_with = Some(started);
}

/// What its form gives it by.
fn given<'a>(desired: &Desired, with: &'a mut StartedWith) -> &'a mut std::collections::BTreeMap<String, String> {
    if adopted::form(desired) == Some(Form::Environment) { &mut with.variables } else { &mut with.flags }
}

fn write(host: &mut Host, text: String, access: crate::core::observed::Access) {
    host.files.insert(File::Settings, FileFact { access, digest: Digest::of(&text), text: Some(text) });
}

fn make(desired: &Desired, host: &mut Host, state: State) {
    let fact = host.files[&File::Settings].clone();
    let text = fact.text.expect("it is text");
    let with = host.process.as_mut().and_then(|process| process.started_with.as_mut()).expect("it runs");
    let stop = |host: &mut Host| {
        host.process = None;
        host.service.state = ServiceState::Inactive;
        host.member = Seen::Known(None);
    };
    match state {
        State::Healthy => {}
        State::Stopped => stop(host),
        State::NotRestarted => drop(given(desired, with).insert("log-level".to_owned(), "info".to_owned())),
        State::Edited => {
            given(desired, with).insert("quota-backend-bytes".to_owned(), "1073741824".to_owned());
            write(host, text.replace("4294967296", "1073741824"), fact.access);
        }
        State::FlagGiven | State::VariableOfAnother => {
            let is_flags = adopted::form(desired) != Some(Form::Environment);
            let is_other = (state == State::FlagGiven) != is_flags;
            let place = match is_other {
                true if is_flags => &mut with.variables,
                true => &mut with.flags,
                false => given(desired, with),
            };
            place.insert("snapshot-count".to_owned(), "5000".to_owned());
        }
        // The kubelet has not come to its new manifest yet.
        State::Upgraded if host.kubelet.is_some() => {
            write(host, text.replace("etcd:3.5.16-0", "etcd:3.6.4-0"), fact.access)
        }
        State::Upgraded => {
            host.installed = [(Version::new(3, 6, 4), Installed { archive: None })].into();
            host.process.as_mut().expect("it runs").executable_replaced = true;
        }
        State::DataLost => {
            stop(host);
            host.data = DataDirectory::Empty;
        }
        State::OtherName => {
            given(desired, with).insert("name".to_owned(), "another".to_owned());
        }
        State::OtherFile => with.reads_declared_file = false,
        State::Unreadable => write(host, format!("{text}\0"), fact.access),
        State::KubeletStopped => host.kubelet.as_mut().expect("it has one").runs = false,
        State::OtherManifests => {
            host.kubelet.as_mut().expect("it has one").manifests = Some(RemotePath::new("/etc/kubelet.d"));
        }
        State::Linked => host.kubelet.as_mut().expect("it has one").fixed = Some("it is a link".to_owned()),
        State::NoRuntime => {
            host.kubelet.as_mut().expect("it has one").deaf_runtime =
                Some("/run/containerd/containerd.sock".to_owned());
        }
        State::OtherVolume => {
            let is = format!("hostPath:\n      path: {}\n", desired.paths.data);
            write(host, text.replace(&is, "hostPath:\n      path: /srv/etcd\n"), fact.access);
        }
        State::ManifestAside => {
            stop(host);
            host.service.enabled = false;
            host.kubelet.as_mut().expect("it has one").manifest_aside = true;
        }
    }
}

fn worlds() -> impl Iterator<Item = ([State; 3], Desired, Observed)> {
    let all = State::VARIANTS;
    let pairs = all.iter().flat_map(move |a| all.iter().map(move |b| [State::Healthy, *a, *b]));
    const KINDS: [(Layout, bool); 5] = [
        (Layout::Kubespray, true),
        (Layout::Kubespray, false),
        (Layout::Unit, true),
        (Layout::Kubeadm, true),
        (Layout::Kubeadm, false),
    ];
    let all = pairs.flat_map(|states| KINDS.map(|(layout, changes)| (states, layout, changes)));
    // A manifest takes a parser of YAML each time it is asked for something: of pods, one at most is odd beside one that is stopped.
    let is_possible = |(states, layout, _): &([State; 3], Layout, bool)| match layout.runtime() {
        Runtime::Systemd => !states.iter().any(|state| OF_PODS.contains(state)),
        Runtime::StaticPod => PLAIN.contains(&states[1]),
    };
    all.filter(is_possible).map(|(states, layout, changes)| {
        let (desired, observed) = world(states, layout, changes);
        (states, desired, observed)
    })
}

/// Every law that the plan of this world breaks.
fn complaints(states: [State; 3], desired: &Desired, observed: &Observed) -> Vec<String> {
    let plan = plan(desired, observed);
    [
        only_settings_are_changed(desired, &plan),
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

/// Nothing else is done on a host than to change the file, have systemd read it, and start etcd anew; and in the file
/// nothing else is changed than what is declared.
fn only_settings_are_changed(desired: &Desired, plan: &Plan) -> Option<String> {
    for action in plan.actions() {
        match action {
            Action::File(FileAction::Write { file: File::Settings, .. })
            | Action::Service(
                ServiceAction::ReloadUnits { .. }
                | ServiceAction::Start { .. }
                | ServiceAction::Restart { .. }
                | ServiceAction::ReplaceManifest { .. },
            ) => {}
            other => return Some(format!("{other:?}")),
        }
    }
    let declared: BTreeSet<_> = adopted::declared(desired).into_keys().collect();
    plan.steps.iter().flat_map(|step| &step.diffs).find_map(|diff| {
        let form = adopted::form(desired)?;
        let (before, after) = (form::read(form, diff.before.as_deref()?).ok()?, form::read(form, &diff.after).ok()?);
        let value = |settings: &form::Settings, name: &str| settings.get(name).and_then(|one| one.value.clone());
        let mut names = before.keys().chain(after.keys());
        let is_changed = |name: &&String| value(&before, name) != value(&after, name) && !declared.contains(*name);
        names.find(is_changed).map(|name| format!("{name} is not declared, and changed"))
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
        State::DataLost,
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
        | Action::Service(ServiceAction::ReplaceManifest { host, text }) => {
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
        | State::ManifestAside => false,
    };
    let is_write = |action: &Action| {
        matches!(
            action,
            Action::File(FileAction::Write { .. }) | Action::Service(ServiceAction::ReplaceManifest { .. })
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
    let in_order = [State::Healthy, State::Stopped, State::NotRestarted, State::Edited, State::ManifestAside];
    let is_in_order = states.iter().all(|state| in_order.contains(state));
    // Two that are stopped are started together, and until then nobody knows the members.
    (is_in_order && !after.blocked.is_empty()).then(|| format!("{:?}", after.blocked))
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    worlds().any(|(states, desired, observed)| !complaints(states, &desired, &observed).is_empty())
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
    for guard in [Guard::SettingGivenOnce, Guard::NoUpgradeByRestart, Guard::KubeletRunsIt, Guard::PodSeesHost] {
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
    desired.cluster.version = Version::new(3, 5, 17);
    assert_eq!(
        said(&desired),
        [
            "etcd 3.5.17 is declared, and etcd-1, etcd-2, etcd-3 run another version: in the layout kubespray quorate upgrades none yet"
        ]
    );
    desired.cluster.version = Version::new(3, 5, 16);
    let gone = desired.nodes.remove(&sample::name(2)).expect("it is declared");
    assert_eq!(
        said(&desired),
        ["etcd-3 is a member and not declared: in the layout kubespray quorate removes none yet"]
    );
    desired.nodes.insert(sample::name(2), gone);
    let mut due = observed.clone();
    let host = due.host_mut(&sample::name(1)).expect("it is there");
    let certificate = host.certificates.get_mut(&Role::Server).expect("it has one");
    certificate.not_after = sample::AT.plus_seconds(10 * 24 * 3600);
    let plan_of_due = plan(&desired, &due);
    assert!(plan_of_due.steps.is_empty() && plan_of_due.blocked.is_empty(), "{:?}", plan_of_due.steps);
    let told = plan_of_due.findings.iter().find(|finding| finding.code == Code::CertificateExpires);
    assert_eq!(told.map(|finding| finding.what.as_str()), Some("certificates of etcd on etcd-2 expire in 10 days"));
    desired.request.renewals.insert(sample::name(0), None);
    assert_eq!(
        said(&desired),
        ["`--renew-certs` was asked for: in the layout kubespray quorate issues no certificate yet"]
    );
}
