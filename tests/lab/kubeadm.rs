//! etcd as kubeadm sets it up: certificates and a static pod, by kubeadm's own phases.
//!
//! As a control plane that grew host by host: the first member begins alone, and each other one was told of those before
//! it. It joins as a learner, as with `kubeadm join`, which cannot be used itself, for want of an API server.

use std::thread;
use std::time::{Duration, Instant};

use super::Host;
use super::command::Output;
use super::kubelet::KUBERNETES;

/// For a pod to start, or a member to be promoted, on a machine that is busy with other tests.
const TAKES: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(200);
const CONFIG: &str = "/root/kubeadm.yaml";
const CA: [&str; 2] = ["/etc/kubernetes/pki/etcd/ca.crt", "/etc/kubernetes/pki/etcd/ca.key"];

/// Makes hosts members of one etcd cluster, in their order; returns when all are ready.
#[track_caller]
pub fn members(hosts: &[Host]) {
    members_with(hosts, None);
}

/// The same as an older kubeadm does it, with this image of etcd 3.5 and the flags of that.
#[track_caller]
pub fn members_of_3_5(hosts: &[Host], image: &str) {
    members_with(hosts, Some(image));
}

#[track_caller]
fn members_with(hosts: &[Host], image: Option<&str>) {
    let Some(first) = hosts.first() else { return };
    configure(first, &[]);
    certificates(first);
    manifest(first, image);
    wait_until_ready(first);
    for (number, host) in hosts.iter().enumerate().skip(1) {
        for file in CA {
            host.write(file, first.read(file).expect("kubeadm made a CA"));
        }
        host.sh(&format!("chmod 600 {}", CA[1]));
        configure(host, &hosts[..=number]);
        certificates(host);
        join(first, host, image);
    }
}

/// Runs etcdctl in the pod of a member, which has certificates for it.
#[track_caller]
pub fn etcdctl(host: &Host, arguments: &str) -> Output {
    host.exec(&format!(
        "pki=/etc/kubernetes/pki/etcd; exec crictl exec $(crictl ps -q --name '^etcd$') etcdctl --cacert=$pki/ca.crt \
         --cert=$pki/server.crt --key=$pki/server.key --endpoints=https://127.0.0.1:2379 {arguments}"
    ))
}

/// Waits until a member says that it serves, as its pod's probe asks it.
#[track_caller]
pub fn wait_until_ready(host: &Host) {
    until(host, "etcd is ready", || host.exec("busybox wget -q -O /dev/null http://127.0.0.1:2381/readyz"));
}

/// `members` are those that a joining host knows of, itself last; none of them for the first host of all.
fn configure(host: &Host, members: &[Host]) {
    let known: Vec<String> =
        members.iter().map(|member| format!("{}=https://{}:2380", member.name(), member.address())).collect();
    let joins = format!(
        "{{name: initial-cluster, value: '{}'}}, {{name: initial-cluster-state, value: existing}}",
        known.join(",")
    );
    let arguments = if members.is_empty() { "" } else { &joins };
    let (name, address) = (host.name(), host.address());
    host.write(
        CONFIG,
        format!(
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {{advertiseAddress: {address}}}\n\
             nodeRegistration: {{name: {name}}}\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n\
             kubernetesVersion: v{KUBERNETES}\netcd: {{local: {{extraArgs: [{arguments}]}}}}\n"
        ),
    );
}

/// All that has to do with etcd, those of its clients included.
fn certificates(host: &Host) {
    host.sh(&format!(
        "set -e; for what in etcd-ca etcd-server etcd-peer etcd-healthcheck-client apiserver-etcd-client; do \
             kubeadm init phase certs $what --config {CONFIG}; \
         done"
    ));
}

/// The manifest, which the kubelet finds.
fn manifest(host: &Host, image: Option<&str>) {
    let write = format!("kubeadm init phase etcd local --config {CONFIG}");
    let Some(image) = image else { return drop(host.sh(&write)) };
    host.sh(&format!(
        "set -e; systemctl stop kubelet; {write}
         sed -i -e 's|image: .*|image: {image}|' -e 's|--feature-gates=InitialCorruptCheck|--experimental-initial-corrupt-check|' \
             -e 's|--watch-progress|--experimental-watch-progress|' /etc/kubernetes/manifests/etcd.yaml
         systemctl start kubelet"
    ));
}

fn join(first: &Host, host: &Host, image: Option<&str>) {
    let peer = format!("https://{}:2380", host.address());
    let add = format!("member add {} --learner --peer-urls={peer}", host.name());
    // Refused for some seconds after the member before was promoted.
    until(host, "etcd takes it in", || etcdctl(first, &add));
    manifest(host, image);
    let listed = etcdctl(first, "member list");
    let id = listed.stdout.lines().find(|line| line.contains(&peer)).and_then(|line| line.split(',').next());
    let id = id.unwrap_or_else(|| panic!("{} is no member: {listed:?}", host.name()));
    // Refused until it has all that the leader has. Only then is it ready.
    until(host, "etcd promotes it", || etcdctl(first, &format!("member promote {id}")));
    wait_until_ready(host);
}

#[track_caller]
fn until(host: &Host, what: &str, mut ask: impl FnMut() -> Output) {
    let started = Instant::now();
    loop {
        let said = ask();
        if said.succeeded() {
            return;
        }
        assert!(started.elapsed() < TAKES, "{}: until {what} took more than {TAKES:?}: {said:?}", host.name());
        thread::sleep(PAUSE);
    }
}
