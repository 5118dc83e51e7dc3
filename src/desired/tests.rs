//! What parses, and how each problem is told.

use std::path::Path;

use super::*;

const VALID: &str = r#"[cluster]
name = "prod"
version = "3.5.16"

[nodes.etcd-1]
address = "10.0.0.11"
"#;

fn read(text: &str) -> Result<Desired, String> {
    parse(text, "cluster.toml", Path::new("/ops"), Some(Path::new("/home/me")))
        .map_err(|problems| render(&problems, text, "cluster.toml", false))
}

#[test]
fn try_it() {
    println!("{:#?}", read(VALID));
    for text in
        ["", "cluster = 3", "[cluster]\nname = \n version = \"3.5\n[nodes.a]\naddress=1\n", "\u{feff}[clustr]\nx=1"]
    {
        println!("=====\n{}", read(text).unwrap_err());
    }
    println!(
        "=====\n{}",
        read(
            r#"[cluster]
name = "prod,a"
version = "v3.5.16"
runtime = "static-pod"
layout = "cannonical"
[nodes.etcd-1]
address = "https://10.0.0.11:2379"
[nodes."a b"]
address = "10.0.0.1:2380"
ssh = "-oProxy=x"
[nodes.c]
[nodes.d]
address = "fd00::1"
[nodes.e]
address = "FD00:0::1"
[ports]
client = 2380
metrics = 0
[etcd]
quota_backend = "8GiB"
quota-backend = 8
max-request-bytes = 1
heartbeat-interval = "1s"
auto-compaction = { mode = "revision", retention = "8h" }
extra = { name = "x", grpc-keepalive-timeout = "5s", max-txn-ops = -1, max-txn-opps = 1, feature-gates = "a" }
[etcd.archive]
url = "file:///a/{vers}"
path = "a{foo}b"
sha256 = { amd64 = "abc", foo = 3 }
[ca]
source = "vault"
[certificates]
validity = "1d"
renew-before = "365d"
server-names = ["a.b", 3, "*.x.y"]
[paths]
config = "/var/lib/etcd/etcd.yaml"
data = "/etc/"
certificates = "/opt/etcd/pki"
service = "etcd@1.service"
[auth]
enabled = true
"#
        )
        .unwrap_err()
    );
}
