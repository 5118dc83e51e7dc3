//! A CronJob for clusters in which Kubernetes takes the snapshots, into a volume.
//!
//! ```text
//! init container (etcd's own image, no shell in it): etcdctl snapshot save ─► emptyDir
//! container (busybox): check ─► gzip ─► rename into the volume ─► the oldest go
//! ```

use serde_json::{Value, json};

use crate::core::desired::Desired;

/// What the second container does with a snapshot. It has a POSIX sh and busybox's tools.
pub const SCRIPT: &str = include_str!("cronjob.sh");

/// What the declaration does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronJob {
    /// Cron, in UTC.
    pub schedule: String,
    pub keep: u32,
    pub namespace: String,
    pub claim: String,
    /// A Secret with ca.crt, tls.crt and tls.key.
    pub secret: String,
    pub endpoint: String,
    pub etcd_image: String,
    pub shell_image: String,
}

/// The manifest, with the commands for what it needs in comments before it.
pub fn manifest(desired: &Desired, job: &CronJob) -> String {
    let CronJob { namespace, claim, secret, .. } = job;
    let head = format!(
        "\
# Snapshots of the etcd cluster {cluster}, taken by Kubernetes. It needs a PersistentVolumeClaim {claim} and, from a
# client certificate (where etcd asks who comes: of a user with the role root), a Secret:
#
#   quorate certs issue quorate-backup --ttl 8760h > client.json
#   kubectl -n {namespace} create secret generic {secret} --from-file=ca.crt=<(jq -r .ca_certificate client.json) \\
#     --from-file=tls.crt=<(jq -r .certificate client.json) --from-file=tls.key=<(jq -r .private_key client.json)
",
        cluster = desired.cluster.name,
    );
    head + &yaml_serde::to_string(&document(desired, job)).expect("the document is plain data")
}

fn document(desired: &Desired, job: &CronJob) -> Value {
    let mount =
        |name: &str, path: &str, read_only: bool| json!({"name": name, "mountPath": path, "readOnly": read_only});
    let locked =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true});
    let save = json!({
        "name": "save",
        "image": job.etcd_image,
        "command": ["etcdctl"],
        "args": [
            format!("--endpoints={}", job.endpoint),
            "--cacert=/credentials/ca.crt",
            "--cert=/credentials/tls.crt",
            "--key=/credentials/tls.key",
            "snapshot", "save", "/work/snapshot.db",
        ],
        "securityContext": locked,
        "volumeMounts": [mount("credentials", "/credentials", true), mount("work", "/work", false)],
    });
    let keep = json!({
        "name": "keep",
        "image": job.shell_image,
        "command": ["sh", "-c", SCRIPT],
        "env": [{"name": "KEEP", "value": job.keep.to_string()}],
        "securityContext": locked,
        "volumeMounts": [mount("work", "/work", true), mount("snapshots", "/snapshots", false)],
    });
    let pod = json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "initContainers": [save],
        "containers": [keep],
        "volumes": [
            {"name": "credentials", "secret": {"secretName": job.secret, "defaultMode": 256}},
            {"name": "work", "emptyDir": {}},
            {"name": "snapshots", "persistentVolumeClaim": {"claimName": job.claim}},
        ],
    });
    json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": "etcd-backup",
            "namespace": job.namespace,
            "labels": {"app.kubernetes.io/name": "etcd-backup", "app.kubernetes.io/instance": desired.cluster.name.as_str()},
        },
        "spec": {
            "schedule": job.schedule,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 600,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"spec": {"backoffLimit": 2, "activeDeadlineSeconds": 7200, "template": {"spec": pod}}},
        },
    })
}
