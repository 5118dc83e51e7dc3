//! The manifest of a member as kubeadm writes it, for a host on which nobody has set etcd up yet.
//!
//! ```text
//! [nodes], [ports], [paths], image ─► Pod, etcd's flags one a line ─► /etc/kubernetes/manifests/etcd.yaml
//! ```
//!
//! Source: cmd/kubeadm/app/phases/etcd/local.go of Kubernetes 1.34 to 1.37. One thing differs: the startup probe asks `/livez`, as a
//! learner and a member without a quorum fail `/readyz`, and the kubelet would kill both.

use std::collections::BTreeMap;

use super::{adopted, layout, listen_url, loopback};
use crate::core::desired::{Desired, is_known_to};
use crate::core::names::{HostName, Version};
use crate::core::observed::File;
use crate::core::url;

/// The image of the first members of a cluster: as it is declared, or Kubernetes' own.
pub fn image(desired: &Desired) -> String {
    let image = desired.etcd.image.as_deref().unwrap_or("registry.k8s.io/etcd:{version}-0");
    image.replace("{version}", &desired.cluster.version.to_string())
}

/// # Panics
/// If `host` is not declared.
pub fn manifest(desired: &Desired, host: &HostName, version: Version, image: &str) -> String {
    let (data, certificates) = (&desired.paths.data, &desired.paths.certificates);
    let (client, metrics) = (desired.client_url(host).to_string(), desired.ports.metrics);
    let flags = flags(desired, host, version).into_iter();
    let flags: String = flags.map(|(name, value)| format!("    - --{name}={value}\n")).collect();
    format!(
        r"apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/etcd.advertise-client-urls: {client}
  labels:
    component: etcd
    tier: control-plane
  name: etcd
  namespace: kube-system
spec:
  containers:
  - command:
    - etcd
{flags}    image: {image}
    imagePullPolicy: IfNotPresent
    livenessProbe:
      failureThreshold: 8
      httpGet:
        host: 127.0.0.1
        path: /livez
        port: probe-port
        scheme: HTTP
      initialDelaySeconds: 10
      periodSeconds: 10
      timeoutSeconds: 15
    name: etcd
    ports:
    - containerPort: {metrics}
      name: probe-port
      protocol: TCP
    readinessProbe:
      failureThreshold: 3
      httpGet:
        host: 127.0.0.1
        path: /readyz
        port: probe-port
        scheme: HTTP
      periodSeconds: 1
      timeoutSeconds: 15
    resources:
      requests:
        cpu: 100m
        memory: 100Mi
    startupProbe:
      failureThreshold: 24
      httpGet:
        host: 127.0.0.1
        path: /livez
        port: probe-port
        scheme: HTTP
      initialDelaySeconds: 10
      periodSeconds: 10
      timeoutSeconds: 15
    volumeMounts:
    - mountPath: {data}
      name: etcd-data
    - mountPath: {certificates}
      name: etcd-certs
  hostNetwork: true
  priority: 2000001000
  priorityClassName: system-node-critical
  securityContext:
    seccompProfile:
      type: RuntimeDefault
  volumes:
  - hostPath:
      path: {certificates}
      type: DirectoryOrCreate
    name: etcd-certs
  - hostPath:
      path: {data}
      type: DirectoryOrCreate
    name: etcd-data
status: {{}}
"
    )
}

/// By name, as kubeadm has them.
fn flags(desired: &Desired, host: &HostName, version: Version) -> BTreeMap<&'static str, String> {
    let (address, ports) = (&desired.nodes[host].address, &desired.ports);
    let own = listen_url(address, ports.client);
    let listens = match loopback(address) {
        Some(loopback) => format!("{},{own}", url::https(loopback, ports.client)),
        None => own,
    };
    let of_each = [
        ("client-cert-auth", "true".to_owned()),
        ("listen-client-urls", listens),
        ("listen-metrics-urls", format!("http://127.0.0.1:{}", ports.metrics)),
        ("listen-peer-urls", listen_url(address, ports.peer)),
        ("peer-client-cert-auth", "true".to_owned()),
        ("peer-trusted-ca-file", layout::path(desired, host, File::Trust).to_string()),
        ("snapshot-count", "10000".to_owned()),
    ];
    let of_version = [
        [("feature-gates", "InitialCorruptCheck=true"), ("experimental-initial-corrupt-check", "true")],
        [("watch-progress-notify-interval", "5s"), ("experimental-watch-progress-notify-interval", "5s")],
    ];
    let known = of_version.iter().filter_map(|names| names.iter().find(|(name, _)| is_known_to(name, version)));
    let known = known.map(|(name, value)| (*name, (*value).to_owned()));
    adopted::identity(desired, host).into_iter().chain(of_each).chain(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::content::form::{self, Form};
    use crate::core::desired::Layout;
    use crate::laws::sample;

    /// Tried with etcd of each minor version: none starts with a flag that it does not know.
    #[test]
    fn only_flags_that_the_version_knows_are_set() {
        let mut desired = sample::desired(1);
        desired.cluster.layout = Layout::Kubeadm;
        for (version, known, unknown) in [
            (
                Version::new(3, 4, 9),
                "experimental-initial-corrupt-check",
                "experimental-watch-progress-notify-interval",
            ),
            (Version::new(3, 5, 30), "experimental-watch-progress-notify-interval", "feature-gates"),
            (Version::new(3, 6, 8), "feature-gates", "experimental-initial-corrupt-check"),
        ] {
            let text = manifest(&desired, &sample::name(0), version, "registry.example/etcd:1");
            let settings = form::read(Form::Manifest, &text).expect("it can be read");
            assert!(settings.contains_key(known) && !settings.contains_key(unknown), "{version}: {text}");
            assert!(settings.keys().all(|name| is_known_to(name, version)), "{text}");
            let pod = form::pod(&text).expect("it is one");
            assert_eq!(pod.image.as_deref(), Some("registry.example/etcd:1"));
            let data = &desired.paths.data;
            assert_eq!(pod.on_host(data).as_ref(), Some(data));
        }
    }
}
