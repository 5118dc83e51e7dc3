//! The ways in which etcd lies on hosts: by whom one was put there, who else writes its files, and whether quorate can keep it.
//!
//! Told from what a host shows: who runs the process and from which files, where its data is, and what else lies there. The first row that
//! fits counts, so those of a tool that owns etcd altogether stand before the more general ones.

use crate::core::content::settings::Told;
use crate::core::names::RemotePath;
use crate::core::observed::Runner;
use crate::core::observed::survey::{RunningEtcd, Survey};

/// One way.
#[derive(Debug)]
pub struct Layout {
    /// `kubespray`
    pub name: &'static str,
    /// Whose it is, and what that means: `kubespray's service, with its settings in /etc/etcd.env`.
    pub what: &'static str,
    /// Who else writes these files, when, and what stops it.
    pub also: Option<&'static str>,
    pub kept: Kept,
    fits: fn(&Shown<'_>) -> bool,
}

/// Whether quorate can keep a cluster that lies there in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Yes,
    /// Nothing speaks against it but that quorate cannot do it.
    NotYet,
    /// Another program owns it, which undoes what anybody else changes: its own tool is the way.
    Never(&'static str),
}

/// What a row is chosen by.
struct Shown<'a> {
    running: &'a RunningEtcd,
    told: Option<&'a Told>,
    survey: &'a Survey,
}

impl Shown<'_> {
    fn has(&self, mark: &str) -> bool {
        self.survey.marks.contains(&RemotePath::new(mark))
    }

    fn setting_within(&self, name: &str, folder: &str) -> bool {
        let value = self.told.and_then(|told| told.value(name));
        value.is_some_and(|path| RemotePath::new(path).is_within(&RemotePath::new(folder)))
    }

    fn data_within(&self, folder: &str) -> bool {
        self.setting_within("data-dir", folder)
    }

    fn is_pod(&self) -> bool {
        matches!(self.running.runner, Runner::Kubelet(_))
    }

    fn is_unit(&self) -> bool {
        matches!(self.running.runner, Runner::Unit(_))
    }

    fn is_container_of(&self, engine: &str) -> bool {
        matches!(&self.running.runner, Runner::Container(name) if name == engine)
    }

    /// It is a service that takes its settings from this file.
    fn takes_from(&self, file: &str) -> bool {
        self.is_unit() && self.running.variable_files.iter().any(|path| path.as_str() == file)
    }

    fn package(&self) -> &str {
        self.running.package.as_deref().unwrap_or_default()
    }
}

/// Paths that are asked for on a host.
pub const MARKS: [&str; 4] = [
    "/etc/etcd.env",
    "/etc/kolla",
    "/etc/kubernetes/manifests/etcd-manager-main.manifest",
    "/etc/kubernetes/manifests/etcd.yaml",
];

const LAYOUTS: [Layout; 19] = [
    Layout {
        name: "default",
        what: "the service of quorate, as it sets it up itself",
        also: None,
        kept: Kept::Yes,
        fits: |shown| shown.running.is_ours && shown.is_unit(),
    },
    Layout {
        name: "rke2",
        what: "RKE2's static pod",
        also: Some("rke2-server writes its settings and its manifest again at every start"),
        kept: Kept::Never("RKE2 adds, removes and restarts its members itself: use `rke2` and its config.yaml"),
        fits: |shown| shown.data_within("/var/lib/rancher/rke2"),
    },
    Layout {
        name: "k3s",
        what: "the etcd inside of k3s",
        also: Some("k3s writes its settings again at every start"),
        kept: Kept::Never("it is no process of its own: use `k3s etcd-snapshot` and `k3s server`"),
        fits: |shown| shown.data_within("/var/lib/rancher/k3s"),
    },
    Layout {
        name: "k0s",
        what: "the child of `k0s controller`",
        also: Some("k0s writes its flags and certificates again at every start"),
        kept: Kept::Never("k0s starts it and issues its certificates: use `k0s etcd` and `k0s backup`"),
        fits: |shown| shown.data_within("/var/lib/k0s"),
    },
    Layout {
        name: "microk8s",
        what: "MicroK8s' service",
        also: Some("snapd, at a refresh"),
        kept: Kept::Never("it is a single member by design: use `microk8s`"),
        fits: |shown| shown.data_within("/var/snap/microk8s"),
    },
    Layout {
        name: "kops",
        what: "the child of etcd-manager, as kOps has it",
        also: Some("etcd-manager chooses version, members and settings itself"),
        kept: Kept::Never("etcd-manager owns it: use `kops`"),
        fits: |shown| shown.has("/etc/kubernetes/manifests/etcd-manager-main.manifest"),
    },
    Layout {
        name: "cke",
        what: "CKE's container",
        also: Some("CKE compares the container with what it wants all the time, and restarts it"),
        kept: Kept::Never("CKE owns it: use `ckecli`"),
        fits: |shown| {
            shown.is_container_of("docker")
                && shown.told.is_some_and(|told| {
                    told.value("initial-cluster-token") == Some("cke")
                        || told.value("peer-trusted-ca-file").is_some_and(|path| path.ends_with("/ca-peer.crt"))
                })
        },
    },
    Layout {
        name: "kolla",
        what: "Kolla's container",
        also: Some("`kolla-ansible deploy`, `reconfigure` and `upgrade` make it anew"),
        kept: Kept::Never("kolla-ansible owns it: use `kolla-ansible`"),
        fits: |shown| matches!(shown.running.runner, Runner::Container(_)) && shown.has("/etc/kolla"),
    },
    Layout {
        name: "canonical",
        what: "Canonical Kubernetes' service, with its settings in /var/snap/k8s/common/args/etcd",
        also: Some("k8sd, when a node joins or leaves; snapd, at a refresh (`snap refresh --hold k8s` stops that)"),
        kept: Kept::Yes,
        fits: |shown| shown.data_within("/var/snap/k8s"),
    },
    Layout {
        name: "kubeadm",
        what: "kubeadm's static pod, with its settings as flags in the manifest",
        also: Some(
            "kubeadm: `kubeadm upgrade` (`--etcd-upgrade=false` leaves etcd out) and `kubeadm certs renew` (renews \
             nothing of etcd where etcd/ca.key is not on the node)",
        ),
        kept: Kept::Yes,
        fits: |shown| {
            shown.is_pod()
                && (shown.has("/etc/kubernetes/manifests/etcd.yaml"))
                && ["/etc/kubernetes/pki", "/etc/kubernetes/ssl"]
                    .iter()
                    .any(|folder| shown.setting_within("cert-file", folder))
        },
    },
    Layout {
        name: "pod",
        what: "a pod of the kubelet",
        also: Some("who keeps its manifest, or made the pod"),
        kept: Kept::NotYet,
        fits: |shown| shown.is_pod(),
    },
    Layout {
        name: "kubespray",
        what: "kubespray's service, with its settings in /etc/etcd.env",
        also: Some(
            "every run of kubespray: it writes settings and unit again, and issues all certificates anew \
             (`force_etcd_cert_refresh: false` stops that)",
        ),
        kept: Kept::Yes,
        fits: |shown| shown.takes_from("/etc/etcd.env") || shown.takes_from("/etc/etcd-events.env"),
    },
    Layout {
        name: "kubespray-docker",
        what: "kubespray's container, with its settings in /etc/etcd.env",
        also: Some("every run of kubespray, as where it is a service"),
        kept: Kept::NotYet,
        fits: |shown| {
            shown.is_container_of("docker")
                && shown.has("/etc/etcd.env")
                && shown.setting_within("cert-file", "/etc/ssl/etcd")
        },
    },
    Layout {
        name: "container",
        what: "a container",
        also: Some("who starts the container"),
        kept: Kept::NotYet,
        fits: |shown| matches!(shown.running.runner, Runner::Container(_)),
    },
    Layout {
        name: "etcdadm",
        what: "etcdadm's service, with its settings in /etc/etcd/etcd.env",
        also: None,
        kept: Kept::Yes,
        fits: |shown| shown.takes_from("/etc/etcd/etcd.env"),
    },
    Layout {
        name: "autobase",
        what: "a service with its settings in /etc/etcd/etcd.conf, as autobase and the packages of Fedora have it",
        also: Some("the playbooks of autobase, or the package, where they made it"),
        kept: Kept::Yes,
        fits: |shown| shown.takes_from("/etc/etcd/etcd.conf"),
    },
    Layout {
        name: "debian",
        what: "the service of the distribution's package, with its settings in /etc/default/etcd",
        also: Some("dpkg: an upgrade of the package restarts etcd (`apt-mark hold etcd-server` stops that)"),
        kept: Kept::Yes,
        fits: |shown| shown.takes_from("/etc/default/etcd") && ["etcd-server", "etcd"].contains(&shown.package()),
    },
    Layout {
        name: "unit",
        what: "a service of this host, set up by hand",
        also: None,
        kept: Kept::Yes,
        fits: |shown| shown.is_unit(),
    },
    Layout {
        name: "process",
        what: "a process that no service runs: it is gone with the next boot",
        also: None,
        kept: Kept::NotYet,
        fits: |_| true,
    },
];

/// In which of the ways `running` lies on the host of `survey`.
///
/// # Panics
/// Never: the last row fits everything.
pub fn recognised(survey: &Survey, running: &RunningEtcd, told: Option<&Told>) -> &'static Layout {
    let shown = Shown { running, told, survey };
    LAYOUTS.iter().find(|layout| (layout.fits)(&shown)).expect("the last row fits everything")
}

/// Who else writes the files of the layout of that name, when, and what stops it.
pub fn also_written_by(name: &str) -> Option<&'static str> {
    LAYOUTS.iter().find(|layout| layout.name == name)?.also
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::core::content::settings::Medium;
    use crate::core::names::UnixSeconds;

    /// The name of the layout of an etcd with these settings, and files that are there and its unit names.
    fn of(runner: Runner, settings: &[(&str, &str)], files: &[&str], package: Option<&str>) -> &'static str {
        let files: Vec<_> = files.iter().map(|file| RemotePath::new(*file)).collect();
        let running = RunningEtcd {
            pid: 1,
            runner,
            executable: RemotePath::new("/usr/local/bin/etcd"),
            account: "root".to_owned(),
            since: None,
            variable_files: files.clone(),
            package: package.map(str::to_owned),
            arguments: Vec::new(),
            variables: BTreeMap::from([("ETCD_NAME".to_owned(), "a".to_owned())]),
            config: None,
            is_ours: false,
        };
        let values = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let told = Told { by: Medium::Flags, values };
        let marks = files.into_iter().collect::<BTreeSet<_>>();
        let survey = Survey { host: "a".to_owned(), at: UnixSeconds(0), marks, running: Vec::new() };
        recognised(&survey, &running, Some(&told)).name
    }

    #[test]
    fn each_is_known_by_what_its_tool_leaves() {
        let unit = || Runner::Unit("etcd.service".to_owned());
        let pod = || Runner::Kubelet(Some(RemotePath::new("/etc/kubernetes/manifests/etcd.yaml")));
        let manifest = ["/etc/kubernetes/manifests/etcd.yaml"];
        let kubeadm = [("cert-file", "/etc/kubernetes/pki/etcd/server.crt"), ("data-dir", "/var/lib/etcd")];
        assert_eq!(of(pod(), &kubeadm, &manifest, None), "kubeadm");
        assert_eq!(of(pod(), &[("cert-file", "/srv/x.crt")], &manifest, None), "pod");
        assert_eq!(of(pod(), &[("data-dir", "/var/lib/rancher/rke2/server/db/etcd")], &[], None), "rke2");
        let pair = [("cert-file", "/etc/ssl/etcd/ssl/member-a.pem")];
        assert_eq!(of(unit(), &[], &["/etc/etcd.env"], None), "kubespray");
        assert_eq!(of(Runner::Container("docker".to_owned()), &pair, &["/etc/etcd.env"], None), "kubespray-docker");
        assert_eq!(of(Runner::Container("docker".to_owned()), &[("initial-cluster-token", "cke")], &[], None), "cke");
        assert_eq!(of(Runner::Container("podman".to_owned()), &[], &[], None), "container");
        assert_eq!(of(unit(), &[], &["/etc/default/etcd"], Some("etcd-server")), "debian");
        assert_eq!(of(unit(), &[], &["/etc/default/etcd"], None), "unit");
        assert_eq!(
            of(Runner::Session, &[], &["/etc/etcd.env"], None),
            "process",
            "what lies there need not be its own"
        );
        assert_eq!(of(unit(), &[], &["/etc/etcd/etcd.env"], None), "etcdadm");
        assert_eq!(of(unit(), &[], &["/etc/etcd/etcd.conf"], None), "autobase");
        let canonical = [("data-dir", "/var/snap/k8s/common/var/lib/etcd/data")];
        assert_eq!(of(Runner::Unit("snap.k8s.etcd.service".to_owned()), &canonical, &[], None), "canonical");
        assert_eq!(of(unit(), &[("data-dir", "/var/lib/k0s/etcd")], &[], None), "k0s");
        // A folder that only begins with the same letters is another one.
        assert_eq!(of(unit(), &[("data-dir", "/var/lib/k0s-old/etcd")], &[], None), "unit");
        assert_eq!(of(Runner::Session, &[], &[], None), "process");
    }

    #[test]
    fn no_two_have_one_name_and_every_mark_is_asked_for() {
        let names: BTreeSet<_> = LAYOUTS.iter().map(|layout| layout.name).collect();
        assert_eq!(names.len(), LAYOUTS.len());
        assert!(MARKS.is_sorted());
        let page = include_str!("../../../docs/existing.md");
        for name in names {
            assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/existing.md");
        }
    }
}
