//! Clusters that somebody else has set up, with members in every state that one is found in.

use strum::VariantArray;

use crate::core::content::adopted;
use crate::core::content::form::{self, Form};
use crate::core::desired::{Binaries, Desired, Layout, Runtime, Setting};
use crate::core::names::{Digest, HostName, RemotePath, Version};
use crate::core::observed::{
    DataDirectory, File, FileFact, Host, Installed, Kubelet, Observed, Role, Seen, ServiceState, StartedWith,
};
use crate::laws::sample;

/// What a member is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub enum State {
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
    /// The same, and its file says how to find members elsewhere.
    DataLostOdd,
    /// It runs, and its log is in a folder of its own.
    LogElsewhere,
    /// A name in its file is not the declared one.
    OtherName,
    /// Its unit reads another file.
    OtherFile,
    Unreadable,
    /// Its server's certificate is due.
    CertificateDue,
    /// The same, of a form that quorate cannot make.
    CertificateOdd,
    /// The same, issued by somebody in between.
    CertificateOfAnother,
    /// The same, and its peers' certificate is for the same key.
    OneKeyForTwo,
    /// Its bundle holds another CA alone.
    OtherAuthority,
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
pub const PLAIN: [State; 2] = [State::Healthy, State::Stopped];

/// The states that only a static pod is in.
pub const OF_PODS: [State; 6] = [
    State::KubeletStopped,
    State::OtherManifests,
    State::ManifestAside,
    State::OtherVolume,
    State::Linked,
    State::NoRuntime,
];

/// Three members as the tool of the layout sets them up, and what is to change: nothing, or `snapshot-count`.
pub fn world(states: [State; 3], layout: Layout, changes: bool) -> (Desired, Observed) {
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

pub fn text(desired: &Desired, name: &HostName) -> String {
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

pub fn adopt(desired: &Desired, host: &mut Host, text: String) {
    let access = host.files[&File::Config].access.clone();
    host.files.retain(|file, _| crate::core::content::layout::files(desired).any(|one| one == *file));
    let with = adopted::read(desired, &text).expect("it is plain");
    write(host, text, access);
    if desired.cluster.runtime == Runtime::StaticPod {
        let manifests = Some(desired.paths.config_folder());
        host.kubelet = Some(Kubelet {
            runs: true,
            manifests,
            manifest_aside: false,
            fixed: None,
            deaf_runtime: None,
            config_written_since: false,
            api_server: false,
            images: Default::default(),
        });
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
        State::DataLostOdd => {
            stop(host);
            host.data = DataDirectory::NoLog;
            let settings = [("discovery-srv".to_owned(), Some("example.org".to_owned()))].into();
            let form = adopted::form(desired).expect("it has one");
            write(host, form::with(form, &text, &settings).expect("it can be set"), fact.access);
        }
        State::LogElsewhere => {
            given(desired, with).insert("wal-dir".to_owned(), "/srv/wal".to_owned());
            host.data = DataDirectory::NoLog;
        }
        State::OtherName => {
            given(desired, with).insert("name".to_owned(), "another".to_owned());
        }
        State::OtherFile => with.reads_declared_file = false,
        State::Unreadable => write(host, format!("{text}\0"), fact.access),
        State::CertificateDue | State::CertificateOdd | State::CertificateOfAnother | State::OneKeyForTwo => {
            let certificate = host.certificates.get_mut(&Role::Server).expect("it has one");
            certificate.not_after = sample::AT.plus_seconds(10 * 24 * 3600);
            "their.name".clone_into(&mut certificate.common_name);
            certificate.no_other_like_it = (state == State::CertificateOdd).then(|| "it is odd".to_owned());
            if state == State::CertificateOfAnother {
                certificate.signed_by = None;
            }
            if state == State::OneKeyForTwo {
                let key = host.files[&File::ServerKey].clone();
                host.files.insert(File::PeerKey, key);
            }
        }
        State::OtherAuthority => host.trusted = vec![Digest::of("another CA")],
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

pub fn worlds() -> impl Iterator<Item = ([State; 3], Desired, Observed)> {
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
