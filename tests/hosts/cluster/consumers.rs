//! Clients whose certificates are kept with the cluster's own: issued, renewed and rotated while they write.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::certificates::killed_after_every_step;
use super::scene::{Scene, until};
use crate::lab::{Host, Series};

/// One beside a member, with authentication on, and one on a machine of its own.
const DECLARED: &str = "\
[auth]
enabled = true
[users.app]
prefix = \"/app/\"
[users.kube-apiserver]
roles = [\"root\"]
[consumers.app]
host = \"etcd-1\"
certificate = \"/srv/app/etcd.crt\"
key = \"/srv/app/etcd.key\"
ca = \"/srv/app/ca.crt\"
reload = \"echo told >>/srv/app/reloads\"
[consumers.apiserver]
host = \"etcd-4\"
user = \"kube-apiserver\"
certificate = \"/etc/kubernetes/pki/apiserver-etcd-client.crt\"
key = \"/etc/kubernetes/pki/apiserver-etcd-client.key\"
ca = \"/etc/kubernetes/pki/etcd-ca.crt\"
owner = \"nobody\"
group = \"nogroup\"
reload = \"test -e /root/ready\"
";

/// Writes over a new connection each time, with the consumer's own files; tries once more before it counts a failure.
const WRITER: &str = "\
export ETCDCTL_API=3
try() { etcdctl --command-timeout=5s --endpoints=\"$1\" --cacert=/srv/app/ca.crt --cert=/srv/app/etcd.crt \
--key=/srv/app/etcd.key put \"/app/$2\" yes >/dev/null 2>>/srv/app/errors; }
count=0
while [ ! -e /srv/app/stop ]; do
    count=$((count + 1))
    try \"$1\" $count || try \"$1\" $count || echo $count >>/srv/app/failed
    echo $count >/srv/app/written
done
";

fn serial(host: &Host, path: &str) -> String {
    host.sh(&format!("openssl x509 -in {path} -noout -serial -subject"))
}

#[test]
fn consumers_are_kept_through_renewal_and_rotation() {
    let test = "consumers_are_kept_through_renewal_and_rotation";
    let Some(mut scene) = Scene::of_some(test, 3, 4, Series::V3_6) else { return };
    let other = scene.lab.hosts()[3].name().to_owned();
    scene.declare(|scene| scene.more = DECLARED.replace("etcd-4", &other));
    let (beside, apart) = (scene.lab.hosts()[0].name().to_owned(), 3);
    let beside =
        |scene: &Scene| scene.lab.host(&beside).sh("cat /srv/app/reloads 2>/dev/null | wc -l").trim().to_owned();
    // Folders are the application's own.
    let lacking = ["has no directory /etc/kubernetes/pki", "has no directory /srv/app", "[consumer-unready]"];
    scene.plan().exits(3).says(&lacking);
    scene.quorate(&["apply", "--yes"]).exits(3).says(&lacking);
    let (first, last) = (scene.first().name().to_owned(), &scene.lab.hosts()[apart]);
    last.sh("mkdir -p /etc/kubernetes/pki");
    scene.lab.host(&first).sh("mkdir -p /srv/app");
    // The program could not be told: that is not forgotten.
    let run = scene.quorate(&["apply", "--yes"]);
    assert_eq!(run.code, 7, "{run:?}");
    drop(run.says(&["`test -e /root/ready` ended with status 1"]));
    scene.plan().exits(2).says(&["its `reload` command has not run since its files changed"]);
    last.sh("touch /root/ready");
    scene.apply().exits(0);
    scene.is_in_sync();
    assert_eq!(beside(&scene), "1");
    let access = "stat -c '%a %U:%G' /etc/kubernetes/pki/apiserver-etcd-client.*";
    assert_eq!(last.sh(access), "644 nobody:nogroup\n600 nobody:nogroup");
    assert!(last.sh("ls -A /etc/kubernetes/pki").lines().count() == 3, "{}", last.sh("ls -A /etc/kubernetes/pki"));
    assert!(serial(last, "/etc/kubernetes/pki/apiserver-etcd-client.crt").contains("CN = kube-apiserver"));
    scene.quorate(&["certs", "list"]).exits(0).says(&["consumer app", "consumer apiserver", "kube-apiserver"]);

    let host = scene.lab.host(&first);
    let endpoints: Vec<_> =
        scene.lab.hosts()[..3].iter().map(|host| format!("https://{}:2379", host.address())).collect();
    host.write("/srv/app/writer.sh", WRITER);
    host.sh(&format!("systemd-run --quiet --unit=writer sh /srv/app/writer.sh {}", endpoints.join(",")));
    let written = || host.sh("cat /srv/app/written 2>/dev/null || echo 0").trim().parse::<u32>().unwrap_or_default();
    until("the consumer writes", Duration::from_secs(20), || written() > 5);

    // What somebody broke is mended.
    last.sh("rm /etc/kubernetes/pki/apiserver-etcd-client.key; chmod 666 /etc/kubernetes/pki/etcd-ca.crt");
    scene.is_repaired(&["etcd-ca.crt: 666 nobody:nogroup → 644 nobody:nogroup", "on etcd-4"]);
    // Renewal of everything.
    let before = serial(host, "/srv/app/etcd.crt");
    scene.quorate(&["apply", "--yes", "--renew-certs"]).exits(0);
    assert_ne!(serial(host, "/srv/app/etcd.crt"), before);
    assert_eq!(beside(&scene), "2");
    // Rotation, killed after every step.
    let old = host.read("/srv/app/etcd.crt").expect("it is there");
    let kills = killed_after_every_step(&scene, &["--rotate-ca"]);
    scene.is_in_sync();
    // The one for root that this test uses is of the old authority.
    host.sh("rm -f /root/root.*");
    scene.is_healthy();
    host.sh("touch /srv/app/stop");
    until("the writer ends", Duration::from_secs(20), || {
        host.sh("systemctl is-active writer || true").trim() != "active"
    });
    println!("killed {kills} times, {} written", written());
    let failed = host.sh("cat /srv/app/failed /srv/app/errors 2>/dev/null || true");
    assert!(host.read("/srv/app/failed").is_none() && written() > 50, "{failed}");
    let authority = std::fs::read_to_string(scene.lab.dir().join("pki/ca.crt")).expect("it is there");
    assert_eq!(host.read("/srv/app/ca.crt").as_deref(), Some(authority.as_str()));
    assert_eq!(last.read("/etc/kubernetes/pki/etcd-ca.crt").as_deref(), Some(authority.as_str()));
    for (name, pem) in [("old", Some(old)), ("new", host.read("/srv/app/etcd.crt"))] {
        let file = scene.lab.dir().join(format!("{name}.crt"));
        std::fs::write(&file, pem.expect("it is there")).expect("the lab's folder can be written");
        let verified = Command::new("openssl")
            .current_dir(scene.lab.dir())
            .args(["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "pki/ca.crt"])
            .arg(&file)
            .stderr(Stdio::null())
            .status();
        assert_eq!(verified.expect("openssl runs").success(), name == "new", "{name}");
    }
    // A machine that cannot be seen is told of, and stops nothing else.
    last.power_off();
    let run = scene.quorate(&["plan"]);
    assert_eq!(run.code, 6, "{run:?}");
}
