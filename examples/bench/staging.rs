//! What an operator copies to a host before etcd starts there.

use std::collections::BTreeSet;
use std::fs;

use quorate::core::cluster::leaf::Wanted;
use quorate::core::observed::Usage;
use quorate::shell::live::pki;
use secrecy::ExposeSecret as _;

use crate::cluster::Cluster;
use crate::lab::{Archive, Host};
use crate::traffic::now;

/// Puts everything but data on the host of `name`, as it is on the host of `model`: account, binaries, unit,
/// certificates, etcd.yaml.
pub fn stage_like(cluster: &Cluster, name: &str, model: &str) {
    let (host, model) = (cluster.host(name), cluster.host(model));
    host.sh(
        "getent passwd etcd >/dev/null || useradd --system --user-group --no-create-home --home-dir /var/lib/etcd etcd; \
         rm -rf /etc/etcd; mkdir -p /etc/etcd/pki; install -d -m 700 -o etcd -g etcd /var/lib/etcd",
    );
    let archive = cluster.archives.path(&cluster.declaration.version);
    unpack_file(host, &archive, &cluster.declaration.version);
    for file in [
        "/etc/systemd/system/etcd.service",
        "/etc/etcd/pki/ca.crt",
        "/etc/etcd/pki/healthcheck-client.crt",
        "/etc/etcd/pki/healthcheck-client.key",
    ] {
        host.write(file, model.read(file).unwrap_or_else(|| panic!("{file} is missing on {}", model.name())));
    }
    certify(cluster, host, name);
    host.write("/etc/etcd/etcd.yaml", config(cluster, name, &model.read("/etc/etcd/etcd.yaml").expect("it is there")));
    // The unit starts a member without data only with this.
    host.write("/etc/etcd/may-create-data", "");
    host.sh("chown -R etcd:etcd /etc/etcd; chmod 600 /etc/etcd/pki/*.key; \
         ln -sf /opt/etcd/*/etcdctl /usr/local/bin/etcdctl");
}

/// The model's file with the host's own name and addresses, for a member that joins those who are there.
fn config(cluster: &Cluster, name: &str, model: &str) -> String {
    let host = cluster.host(name);
    let members = cluster.declaration.nodes.keys();
    let url =
        |name: &String| format!("{name}=https://{}:{}", cluster.host(name).address(), cluster.declaration.ports.peer);
    let all: Vec<String> = members.map(url).collect();
    let own = |line: &str| match line.split_once(": ") {
        Some(("name", _)) => format!("name: {name}"),
        Some(("initial-cluster", _)) => format!("initial-cluster: {}", all.join(",")),
        Some(("initial-cluster-state", _)) => "initial-cluster-state: existing".to_owned(),
        Some((key, urls)) if key.ends_with("-urls") => {
            let urls = urls.split(',').map(|url| match url.rsplit_once(':') {
                Some((_, port)) if !url.contains("127.0.0.1") => format!("https://{}:{port}", host.address()),
                _ => url.to_owned(),
            });
            format!("{key}: {}", urls.collect::<Vec<_>>().join(","))
        }
        _ => line.to_owned(),
    };
    model.lines().map(|line| own(line) + "\n").collect()
}

fn certify(cluster: &Cluster, host: &Host, name: &str) {
    let at = now();
    let signer = pki::load(&cluster.lab.dir().join("pki"), at).expect("it can be read").expect("there is an authority");
    let names = [name, "localhost", "127.0.0.1", &host.address().to_string()].map(str::to_owned);
    for role in ["server", "peer"] {
        let wanted = Wanted {
            common_name: name.to_owned(),
            names: BTreeSet::from(names.clone()),
            usages: BTreeSet::from([Usage::ServerAuth, Usage::ClientAuth]),
            like: None,
        };
        let issued = signer.issue(&wanted, 365 * 24 * 3600, at).expect("a certificate can be issued");
        host.write(&format!("/etc/etcd/pki/{role}.crt"), issued.certificate_pem);
        host.write(&format!("/etc/etcd/pki/{role}.key"), issued.key_pem.expose_secret());
    }
}

/// The binaries of an archive, in a folder of their version.
pub fn unpack(host: &Host, archive: &Archive) {
    unpack_file(host, &archive.path, &archive.version);
}

fn unpack_file(host: &Host, archive: &std::path::Path, version: &str) {
    let content = fs::read(archive).expect("an archive can be read");
    let folder = format!("/opt/etcd/{version}");
    let output = host.exec_with(
        &format!("mkdir -p {folder} && tar --extract --gzip --strip-components 1 --directory {folder}"),
        &content,
    );
    assert!(output.succeeded(), "{output:?}");
}
