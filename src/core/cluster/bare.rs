//! A host on which nobody has set etcd up: whether it may be, and which member shows how.

use crate::core::code::Code;
use crate::core::desired::{Desired, Place};
use crate::core::guard::{Guard, upheld};
use crate::core::names::HostName;
use crate::core::observed::{File, Host, Observed};
use crate::core::plan::ruling::Blocked;

/// Whether nobody has laid there what starts an etcd.
pub fn is_bare(host: &Host) -> bool {
    !host.files.contains_key(&File::Settings)
}

/// A member whose file of settings shows how the others have theirs, and that file.
pub fn example<'a>(observed: &'a Observed, name: &HostName) -> Option<(&'a HostName, &'a str)> {
    let mut others = observed.seen_hosts().filter(|(other, host)| *other != name && host.answer().is_some());
    others.find_map(|(other, host)| Some((other, host.text_of(File::Settings)?)))
}

/// Why etcd is not set up on a host on which nobody has: what its kubelet does, and whose node it is.
pub fn refusal(desired: &Desired, observed: &Observed, name: &HostName, host: &Host) -> Option<Blocked> {
    let kubelet = host.kubelet.as_ref().filter(|_| is_bare(host) && !upheld(Guard::KubeletRunsIt, false))?;
    let refused = |why: &str, hint: &str, place: Place| {
        let what = format!("etcd is not set up on {name}: {why}");
        Some(Blocked::new(Code::NotInLayout, what).on(name).hint(hint).declared_at(place))
    };
    if kubelet.manifests.is_none() {
        let hint = format!(
            "set `staticPodPath: {}` in the file of its `--config`, and restart the kubelet",
            desired.paths.config_folder()
        );
        return refused("which folder its kubelet reads manifests from is not known", &hint, Place::PathsConfig);
    }
    if kubelet.config_written_since {
        let why = "the configuration of its kubelet was written after that had started, and may not be what it goes by";
        let hint = format!("`systemctl restart {}` on the host, then plan again", desired.paths.service);
        return refused(why, &hint, Place::PathsService);
    }
    let has_api_server = |host: &Host| host.kubelet.as_ref().is_some_and(|kubelet| kubelet.api_server);
    let mut members = observed.seen_hosts().filter(|(_, host)| host.process.is_some()).peekable();
    if members.peek().is_none() && kubelet.api_server {
        let why = format!("an API server of Kubernetes is there, and no {}", desired.paths.config);
        let hint = "put that manifest back; if this API server uses another etcd, [nodes] names the wrong host";
        return refused(&why, hint, Place::Node(name));
    }
    let (other, _) = members.find(|(_, host)| has_api_server(host)).filter(|_| !kubelet.api_server)?;
    let why = format!("{other} is in a control plane of Kubernetes, and {name} is not");
    let hint =
        "`kubeadm join --control-plane` sets up the whole of such a node, its etcd included: run that there first";
    refused(&why, hint, Place::Node(name))
}
