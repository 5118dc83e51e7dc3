//! What kubeadm is to be told of etcd: the settings that it would otherwise take back at its next upgrade, or where the members are.
//!
//! Source: kubeadm.k8s.io/v1beta4, ClusterConfiguration, as kubeadm has it from 1.31 on.

use serde_json::{Map, Value, json};

use crate::core::content::{adopted, kubeadm};
use crate::core::desired::Desired;

/// Which of the two ways in which a Kubernetes has its etcd is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// In static pods on its own nodes, which kubeadm makes.
    Local,
    /// Elsewhere: kubeadm is told where.
    External,
}

/// The ClusterConfiguration, as far as it is about etcd.
pub fn configuration(desired: &Desired, topology: Topology) -> String {
    let (head, etcd) = match topology {
        Topology::Local => (
            "\
# What keeps etcd's settings through `kubeadm upgrade` and `kubeadm join`. Put `etcd` of this into the ClusterConfiguration in
#   kubectl -n kube-system edit configmap kubeadm-config
# (v1beta4: kubeadm 1.31 and newer)
",
            json!({"local": local(desired)}),
        ),
        Topology::External => (
            "\
# For `kubeadm init --config` of a Kubernetes whose etcd this cluster is (v1beta4: kubeadm 1.31 and newer). Each of its nodes needs these
# three files: the CA of etcd, and a client certificate, which `quorate certs issue kube-apiserver-etcd-client` makes.
",
            json!({"external": external(desired)}),
        ),
    };
    let document = json!({"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration", "etcd": etcd});
    format!("{head}{}", yaml_serde::to_string(&document).expect("the document is plain data"))
}

/// The image is `REPOSITORY/etcd:TAG` to kubeadm.
fn local(desired: &Desired) -> Value {
    let mut local = Map::new();
    let image = kubeadm::image(desired);
    if let Some((name, tag)) = image.rsplit_once(':') {
        if let Some(repository) = name.strip_suffix("/etcd").filter(|_| desired.etcd.image.is_some()) {
            local.insert("imageRepository".to_owned(), json!(repository));
        }
        local.insert("imageTag".to_owned(), json!(tag));
    }
    local.insert("dataDir".to_owned(), json!(desired.paths.data.as_str()));
    let settings = adopted::declared(desired).into_iter().map(|(name, value)| json!({"name": name, "value": value}));
    local.insert("extraArgs".to_owned(), settings.collect());
    Value::Object(local)
}

fn external(desired: &Desired) -> Value {
    let endpoints: Vec<_> = desired.nodes.keys().map(|node| desired.client_url(node).to_string()).collect();
    json!({
        "endpoints": endpoints,
        "caFile": "/etc/kubernetes/pki/etcd/ca.crt",
        "certFile": "/etc/kubernetes/pki/apiserver-etcd-client.crt",
        "keyFile": "/etc/kubernetes/pki/apiserver-etcd-client.key",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::desired::{Layout, Setting};
    use crate::laws::sample;

    #[test]
    fn kubeadm_is_told_of_the_settings_and_the_image() {
        let mut desired = sample::desired(3);
        desired.cluster.layout = Layout::Kubeadm;
        desired.etcd.quota_backend_bytes = Some(4 << 30);
        desired.etcd.extra = [("log-level".to_owned(), Setting::Text("warn".to_owned()))].into();
        let text = configuration(&desired, Topology::Local);
        let expected = "apiVersion: kubeadm.k8s.io/v1beta4\netcd:\n  local:\n    dataDir: /var/lib/etcd\n    extraArgs:\n    - name: \
                        log-level\n      value: warn\n    - name: quota-backend-bytes\n      value: '4294967296'\n    imageTag: \
                        3.5.16-0\nkind: ClusterConfiguration\n";
        assert!(text.ends_with(expected), "{text}");
        desired.etcd.image = Some("registry.example/k8s/etcd:{version}-0".to_owned());
        let text = configuration(&desired, Topology::Local);
        assert!(
            text.contains("imageRepository: registry.example/k8s\n") && text.contains("imageTag: 3.5.16-0"),
            "{text}"
        );
    }

    #[test]
    fn kubeadm_is_told_where_the_members_are() {
        let text = configuration(&sample::desired(3), Topology::External);
        for line in ["- https://10.0.0.11:2379\n", "caFile: /etc/kubernetes/pki/etcd/ca.crt\n"] {
            assert!(text.contains(line), "{text}");
        }
    }
}
