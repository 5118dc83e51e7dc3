//! Each operation as a careful operator does it with etcdctl and systemctl: one member at a time, the leader last and
//! only after it has handed over, everyone healthy in between.

use std::collections::BTreeSet;

use quorate::core::cluster::leaf::wanted;
use quorate::core::observed::Role;
use quorate::shell::live::pki::Signer;
use secrecy::ExposeSecret as _;

use crate::cluster::Cluster;
use crate::lab::Archive;
use crate::operations::Operation;
use crate::staging;
use crate::traffic::now;

/// Does it to a cluster whose declaration was edited already.
pub fn perform(cluster: &Cluster, operation: &Operation) {
    match operation {
        Operation::Restart => rolling(cluster, |_| ()),
        Operation::Setting => {
            let value = &cluster.declaration.extra["max-request-bytes"];
            rolling(cluster, |name| {
                edit(cluster, name, &format!("$a max-request-bytes: {value}"), "/^max-request-bytes:/d")
            });
        }
        Operation::PeerPort => {
            let port = cluster.declaration.ports.peer;
            rolling(cluster, |name| {
                edit(cluster, name, &format!("/-peer-urls:/s/:[0-9]*$/:{port}/"), "");
                let url = format!("https://{}:{port}", cluster.host(name).address());
                succeeds(
                    cluster,
                    cluster.another(name),
                    &format!("member update {} --peer-urls={url}", cluster.id_of(name)),
                );
            });
        }
        Operation::Add { name } => add(cluster, name),
        Operation::Remove { name, host } => remove(cluster, name, host),
        Operation::Replace { name } => {
            let id = cluster.id_of(name);
            accepted(cluster, cluster.another(name), &format!("member remove {id}"));
            cluster.wait_until_healthy(Some(name));
            add(cluster, name);
        }
        Operation::Upgrade { archive } => upgrade(cluster, archive),
        Operation::Renew => issue_all(cluster, &cluster.authority()),
        Operation::Rotate => rotate(cluster),
    }
}

/// A bundle and a restart of each member, new certificates, the new authority alone and a restart of each again.
fn rotate(cluster: &Cluster) {
    let (old, new) = (cluster.authority(), cluster.next_authority());
    let trust = |text: String| {
        rolling(cluster, |name| {
            let host = cluster.host(name);
            host.write("/etc/etcd/pki/.ca.crt", &text);
            host.sh("chmod 644 /etc/etcd/pki/.ca.crt && mv /etc/etcd/pki/.ca.crt /etc/etcd/pki/ca.crt");
        });
    };
    trust(format!("{}{}", old.certificate_pem(), new.certificate_pem()));
    issue_all(cluster, &new);
    trust(new.certificate_pem().to_owned());
    cluster.adopt_next_authority();
}

/// Every pair of every member, both files renamed together.
fn issue_all(cluster: &Cluster, signer: &Signer) {
    let desired = cluster.desired();
    for name in desired.nodes.keys() {
        let host = cluster.host(name.as_str());
        for role in [Role::Server, Role::Peer, Role::HealthcheckClient] {
            let wanted = wanted(&desired, name, role, &BTreeSet::new());
            let issued = signer.issue(&wanted, desired.certificates.validity_seconds, now()).expect("it can be issued");
            let stem = role.file_stem();
            host.sh("mkdir -p -m 700 /etc/etcd/pki/.new");
            host.write(&format!("/etc/etcd/pki/.new/{stem}.crt"), &issued.certificate_pem);
            host.write(&format!("/etc/etcd/pki/.new/{stem}.key"), issued.key_pem.expose_secret());
            host.sh(&format!(
                "cd /etc/etcd/pki/.new && chown --reference=../{stem}.key * && chmod 600 {stem}.key && chmod 644 {stem}.crt && \
                 mv -f -t .. {stem}.crt {stem}.key"
            ));
        }
        cluster.wait_until_healthy(None);
    }
}

/// Prepares and restarts each member, the leader last.
fn rolling(cluster: &Cluster, prepare: impl Fn(&str)) {
    let leader = cluster.leader();
    let followers = cluster.declaration.nodes.keys().filter(|name| **name != leader);
    for name in followers.chain([&leader]) {
        hand_over(cluster, name);
        prepare(name);
        cluster.host(name).sh("systemctl daemon-reload && systemctl restart etcd");
        cluster.wait_until_healthy(None);
    }
}

/// Moves leadership away from `name`, if it leads.
fn hand_over(cluster: &Cluster, name: &str) {
    if cluster.leader() == name {
        let heir = cluster.id_of(cluster.another(name));
        succeeds(cluster, name, &format!("move-leader {heir}"));
    }
}

fn edit(cluster: &Cluster, name: &str, expression: &str, before: &str) {
    cluster
        .host(name)
        .sh(&format!("sed -i -e '{before}' /etc/etcd/etcd.yaml && sed -i -e '{expression}' /etc/etcd/etcd.yaml"));
}

/// etcd refuses changes of the member list until all members have been connected for five seconds.
fn accepted(cluster: &Cluster, member: &str, arguments: &str) {
    cluster.wait(arguments, || cluster.etcdctl(member, arguments).0);
}

fn succeeds(cluster: &Cluster, member: &str, arguments: &str) -> String {
    let (succeeded, said) = cluster.etcdctl(member, arguments);
    assert!(succeeded, "etcdctl {arguments}: {said}");
    said
}

/// Stages the host, adds it as a learner, starts it and promotes it.
fn add(cluster: &Cluster, name: &str) {
    let model = cluster.another(name).to_owned();
    staging::stage_like(cluster, name, &model);
    let host = cluster.host(name);
    let url = format!("https://{}:{}", host.address(), cluster.declaration.ports.peer);
    accepted(cluster, &model, &format!("member add {name} --learner --peer-urls={url}"));
    host.sh("systemctl daemon-reload && systemctl enable etcd 2>/dev/null && systemctl start --no-block etcd");
    let id = cluster.id_of(name);
    cluster.wait("the learner has caught up", || cluster.etcdctl(&model, &format!("member promote {id}")).0);
    cluster.wait_until_healthy(None);
}

fn remove(cluster: &Cluster, name: &str, host: &str) {
    let list = succeeds(cluster, cluster.another(name), "member list");
    let id_of = |wanted: &str| {
        let line = list.lines().find(|line| line.split(", ").nth(2) == Some(wanted));
        line.and_then(|line| line.split(", ").next())
            .unwrap_or_else(|| panic!("{wanted} is not in:\n{list}"))
            .to_owned()
    };
    let host = cluster.lab.host(host);
    let heir = cluster.another(name).to_owned();
    // It is not declared any more, so it is asked by its address.
    let pki = "/etc/etcd/pki";
    let own = format!(
        "ETCDCTL_API=3 etcdctl --endpoints=https://{}:{} --cacert={pki}/ca.crt --cert={pki}/healthcheck-client.crt \
         --key={pki}/healthcheck-client.key",
        host.address(),
        cluster.declaration.ports.client
    );
    if host.sh(&format!("{own} endpoint status")).split(", ").nth(4) == Some("true") {
        host.sh(&format!("{own} move-leader {}", id_of(&heir)));
    }
    accepted(cluster, &heir, &format!("member remove {}", id_of(name)));
    host.sh("systemctl disable --now etcd 2>/dev/null; mv /var/lib/etcd /var/lib/etcd.removed-$(date +%s)");
    cluster.wait_until_healthy(None);
}

fn upgrade(cluster: &Cluster, archive: &Archive) {
    for name in cluster.declaration.nodes.keys() {
        staging::unpack(cluster.host(name), archive);
    }
    let version = &archive.version;
    rolling(cluster, |name| {
        cluster.host(name).sh(&format!(
            "sed -i 's#/opt/etcd/[0-9.]*/etcd#/opt/etcd/{version}/etcd#' /etc/systemd/system/etcd.service"
        ));
    });
}
