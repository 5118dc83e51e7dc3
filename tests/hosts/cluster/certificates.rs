//! Where certificates come from: authorities that openssl made, and pairs that someone else has signed.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use quorate::core::names::ClusterName;

use super::expired::authority_here_until;
use super::scene::{SERIES, Scene, until};
use super::secrets::Watch;
use crate::lab::{Host, Series, is_turn};
use crate::traffic::{Credentials, Endpoint, Writer, addresses, now};

/// Runs openssl in `folder`; words are split at spaces.
#[track_caller]
fn openssl(folder: &Path, arguments: &str) -> String {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().expect("openssl runs");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "openssl {arguments}: {}{}", said(&output.stdout), said(&output.stderr));
    said(&output.stdout)
}

/// ca.crt and ca.key, RSA-2048 in PKCS#1, as `kubeadm init phase certs etcd-ca` makes them.
pub fn kubeadm_authority(folder: &Path) {
    fs::create_dir_all(folder).expect("the lab's folder can be written");
    openssl(folder, "genrsa -traditional -out ca.key 2048");
    let usage = "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign";
    openssl(
        folder,
        &format!(
            "req -x509 -new -key ca.key -out ca.crt -days 3650 -subj /CN=etcd-ca -addext {usage} -addext subjectAltName=DNS:etcd-ca"
        ),
    );
    private(&folder.join("ca.key"));
}

fn private(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

/// Every certificate on every host verifies under the authority in `ca`, for what it is used for.
#[track_caller]
pub fn openssl_verifies(scene: &Scene, ca: &Path) {
    for host in scene.lab.hosts() {
        for (stem, purposes) in [
            ("server", &["sslserver", "sslclient"][..]),
            ("peer", &["sslserver", "sslclient"]),
            ("healthcheck-client", &["sslclient"]),
        ] {
            let Some(pem) = host.read(&format!("/etc/etcd/pki/{stem}.crt")) else { continue };
            let file = scene.lab.dir().join("verified.crt");
            fs::write(&file, pem).expect("the lab's folder can be written");
            for purpose in purposes {
                let command = format!("verify -x509_strict -purpose {purpose} -CAfile {} verified.crt", ca.display());
                assert!(openssl(&scene.lab.dir(), &command).contains("verified.crt: OK"), "{stem} of {}", host.name());
            }
            let text = openssl(&scene.lab.dir(), "x509 -in verified.crt -noout -ext subjectAltName,extendedKeyUsage");
            if stem != "healthcheck-client" {
                assert!(text.contains(&format!("IP Address:{}", host.address())), "{text}");
            }
        }
    }
}

#[test]
fn an_authority_as_kubeadm_makes_it_signs_for_a_cluster() {
    let test = "an_authority_as_kubeadm_makes_it_signs_for_a_cluster";
    let Some(mut scene) = Scene::installed(test, 3, Series::V3_5) else { return };
    let folder = scene.lab.dir().join("ca");
    kubeadm_authority(&folder);
    let declared = "\n[ca]\nsource = \"files\"\ncertificate = \"ca/ca.crt\"\nkey = \"ca/ca.key\"\n";
    scene.declare(|scene| scene.more = declared.to_owned());
    scene.apply().exits(0);
    scene.is_as_declared();
    openssl_verifies(&scene, &folder.join("ca.crt"));
    assert!(!scene.lab.dir().join("pki").exists(), "no authority of ours is made");
    // The same key under a passphrase: asked for by what signs alone, nowhere but where it is said to be, and told to nobody.
    openssl(&folder, "pkcs8 -topk8 -v2 aes-256-cbc -in ca.key -out encrypted.key -passout pass:correct-horse");
    private(&folder.join("encrypted.key"));
    scene.declare(|scene| scene.more = declared.replace("ca.key", "encrypted.key"));
    scene.plan().exits(0).says(&["No changes"]);
    scene.quorate(&["certs", "issue", "app"]).exits(1).says(&["no passphrase for", "encrypted.key"]);
    // A key that others may read is told once, and not as a missing CA of each member that could not be asked.
    let key = folder.join("ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("it is ours");
    scene.declare(|scene| scene.more = declared.to_owned());
    let run = scene.plan().exits(3).says(&["ca.key is readable by users other than its owner", "chmod 600"]);
    assert_eq!(run.stdout.matches("\nblocked: ").count(), 1, "{}", run.stdout);
    assert!(!run.stdout.contains("[authority-missing]"), "{}", run.stdout);
    private(&key);
    scene.is_in_sync();
    scene.declare(|scene| scene.more = declared.replace("ca.key", "encrypted.key"));
    scene.declare(|scene| scene.more.push_str("passphrase = { env = \"QUORATE_TEST_PASSPHRASE\" }\n"));
    let unset = ["cluster.toml:", "QUORATE_TEST_PASSPHRASE is not set"];
    scene.quorate(&["certs", "issue", "app"]).exits(1).says(&unset);
    scene.first().sh("rm /etc/etcd/pki/server.crt");
    scene.plan().exits(2).says(&["[ca-key-encrypted]", "the environment variable QUORATE_TEST_PASSPHRASE"]);
    let watch = Watch::begin();
    let output = scene
        .command(&["apply", "--yes", "-v"])
        .env("QUORATE_TEST_PASSPHRASE", "correct-horse")
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("correct-horse"));
    assert!(!watch.end().iter().any(|line| line.contains("correct-horse")));
    openssl_verifies(&scene, &folder.join("ca.crt"));
}

/// The files of a node whose certificates somebody else signs.
struct Outside {
    folder: PathBuf,
}

impl Outside {
    fn begin(scene: &Scene) -> Self {
        let folder = scene.lab.dir().join("given");
        kubeadm_authority(&folder);
        let outside = Self { folder };
        outside.issue("client", "clientAuth", "DNS:operator", 30);
        for host in scene.lab.hosts() {
            outside.issue_for(host, 30);
        }
        outside
    }

    fn issue_for(&self, host: &Host, days: u32) {
        for role in ["server", "peer"] {
            let stem = format!("{}-{role}", host.name());
            self.issue(&stem, "serverAuth,clientAuth", &format!("IP:{},IP:127.0.0.1", host.address()), days);
        }
    }

    fn issue(&self, stem: &str, usage: &str, names: &str, days: u32) {
        let folder = &self.folder;
        openssl(folder, &format!("genrsa -out {stem}.key 2048"));
        openssl(folder, &format!("req -new -key {stem}.key -out request.csr -subj /CN={stem}"));
        let extensions = format!("extendedKeyUsage={usage}\nsubjectAltName={names}\nauthorityKeyIdentifier=keyid\n");
        fs::write(folder.join("extensions"), extensions).expect("the lab's folder can be written");
        openssl(
            folder,
            &format!(
                "x509 -req -in request.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days {days} -extfile extensions -out {stem}.crt"
            ),
        );
        private(&folder.join(format!("{stem}.key")));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn declared(scene: &Scene) -> String {
        let mut text = "\n[ca]\nsource = \"external\"\ncertificate = \"given/ca.crt\"\nclient = \"given/client.crt\"\n\
                        client-key = \"given/client.key\"\n"
            .to_owned();
        for (name, _, host) in &scene.nodes {
            let at = |end: &str| format!("\"given/{host}-{end}\"");
            let [server, server_key, peer, peer_key] = ["server.crt", "server.key", "peer.crt", "peer.key"].map(at);
            text.push_str(&format!(
                "\n[nodes.{name}.certificates]\nserver = {server}\nserver-key = {server_key}\npeer = {peer}\npeer-key = {peer_key}\n"
            ));
        }
        text
    }
}

/// What openssl says of the certificate that a port serves.
fn served(scene: &Scene, outside: &Outside, host: &Host, port: u16) -> String {
    let connect = format!(
        "openssl s_client -connect {}:{port} -CAfile {ca} -cert {crt} -key {key} </dev/null 2>/dev/null | openssl x509 -noout -serial",
        host.address(),
        ca = outside.path("ca.crt").display(),
        crt = outside.path("client.crt").display(),
        key = outside.path("client.key").display(),
    );
    let output = Command::new("sh").current_dir(scene.lab.dir()).args(["-c", &connect]).output().expect("sh runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn touched(scene: &Scene) -> String {
    scene.lab.hosts().iter().map(|host| host.sh("ls -d /etc/etcd /opt/etcd 2>/dev/null; true")).collect()
}

/// Each file that is needed, missing and wrong in turn, and all at once; then all are right, one joins, one is renewed.
#[test]
fn certificates_that_someone_else_signs() {
    let test = "certificates_that_someone_else_signs";
    let Some(mut scene) = Scene::bare(test, 3, Series::V3_6) else { return };
    let outside = Outside::begin(&scene);
    scene.declare_hosts(0..2);
    scene.declare(|scene| scene.more = Outside::declared(scene));
    let needed: Vec<String> = ["etcd-1", "etcd-2"]
        .iter()
        .flat_map(|host| ["server.crt", "server.key", "peer.crt", "peer.key"].map(|end| format!("{host}-{end}")))
        .chain(["client.crt", "client.key"].map(str::to_owned))
        .collect();
    for name in &needed {
        let (path, aside) = (outside.path(name), outside.path("aside"));
        fs::rename(&path, &aside).expect("it is there");
        scene.plan().exits(3).says(&["[certificate-unusable]", &format!("{name} does not exist")]);
        fs::rename(&aside, &path).expect("it is there");
    }
    // Each wrong in turn: somebody else's certificate, and somebody else's key.
    openssl(
        &outside.folder,
        "req -x509 -newkey rsa:2048 -noenc -keyout other.key -out other.crt -days 9 -subj /CN=other",
    );
    private(&outside.path("other.key"));
    for name in &needed {
        let (path, aside) = (outside.path(name), outside.path("aside"));
        let (end, fault) =
            if name.ends_with(".crt") { ("crt", "is not signed by") } else { ("key", "is not the key of") };
        fs::rename(&path, &aside).expect("it is there");
        fs::copy(outside.path(&format!("other.{end}")), &path).expect("it is there");
        scene.plan().exits(3).says(&[&format!("{name} {fault}")]);
        fs::rename(&aside, &path).expect("it is there");
    }
    assert_eq!(touched(&scene), "");
    // All that can be wrong, in one run.
    let keep = |name: &str| fs::copy(outside.path(name), outside.path(&format!("{name}.right"))).expect("it is there");
    assert!(needed.iter().all(|name| keep(name) > 0));
    let first = scene.lab.hosts()[0].address();
    outside.issue("etcd-1-server", "serverAuth,clientAuth", "IP:10.99.99.99", 30);
    outside.issue("etcd-1-peer", "serverAuth", &format!("IP:{first}"), 30);
    fs::copy(outside.path("etcd-1-server.key"), outside.path("etcd-2-server.key")).expect("it is there");
    fs::remove_file(outside.path("etcd-2-peer.key")).expect("it is there");
    fs::set_permissions(outside.path("client.key"), fs::Permissions::from_mode(0o644)).expect("it is ours");
    let words = [
        "etcd-1-server.crt does not name",
        "etcd-1-peer.crt is not for clients (clientAuth)",
        "etcd-2-server.key is not the key of",
        "etcd-2-peer.key does not exist",
        "client.key is readable by users other than",
    ];
    scene.plan().exits(3).says(&words);
    scene.quorate(&["apply", "--yes"]).exits(3).says(&words);
    assert_eq!(touched(&scene), "");
    for name in &needed {
        fs::copy(outside.path(&format!("{name}.right")), outside.path(name)).expect("it is there");
        private(&outside.path(name));
    }
    scene.apply().exits(0);
    scene.is_in_sync();
    openssl_verifies(&scene, &outside.path("ca.crt"));
    // A third one joins, first without its key.
    scene.declare_hosts(0..3);
    scene.declare(|scene| scene.more = Outside::declared(scene));
    fs::rename(outside.path("etcd-3-peer.key"), outside.path("aside")).expect("it is there");
    scene.quorate(&["apply", "--yes"]).exits(3).says(&["etcd-3-peer.key does not exist"]);
    assert_eq!(scene.lab.host("etcd-3").sh("ls -d /etc/etcd /opt/etcd 2>/dev/null; true"), "");
    fs::rename(outside.path("aside"), outside.path("etcd-3-peer.key")).expect("it is there");
    scene.apply().exits(0);
    scene.is_in_sync();
    // Renewed: no restart, and both ports serve the new one.
    let before = scene.starts();
    outside.issue_for(&scene.lab.hosts()[1], 60);
    scene
        .plan()
        .exits(2)
        .says(&["server.crt differs from the configured file", "peer.crt differs from the configured file"]);
    scene.apply().exits(0);
    scene.is_in_sync();
    assert_eq!(scene.starts(), before, "a member was restarted");
    for (port, role) in [(2379, "server"), (2380, "peer")] {
        let serial = openssl(&outside.folder, &format!("x509 -in etcd-2-{role}.crt -noout -serial"));
        assert_eq!(served(&scene, &outside, &scene.lab.hosts()[1], port), serial.trim());
    }
}

/// The serials of all leaf certificates, as they lie on the hosts.
pub fn serials(scene: &Scene) -> Vec<String> {
    let list = scene.quorate(&["certs", "list", "--json"]).exits(0).stdout;
    let list: serde_json::Value = serde_json::from_str(&list).expect("it is JSON");
    let rows = list["certificates"].as_array().expect("it is a list");
    let leaves = rows.iter().filter(|row| row["role"] != "authority");
    leaves.map(|row| format!("{} {} {}", row["node"], row["role"], row["serial"])).collect()
}

fn writer(scene: &Scene, credentials: &Credentials) -> Writer {
    let writer = Writer::begin(credentials.clone(), "/writer/");
    let endpoint =
        |host: &Host| Endpoint { name: host.name().to_owned(), addresses: addresses(host.address(), &[2379]) };
    writer.aim(scene.lab.hosts().iter().map(endpoint).collect());
    assert!(writer.settles(Duration::from_secs(10)), "nothing is written");
    writer
}

#[track_caller]
fn none_failed(writer: &Writer, what: &str) {
    assert!(writer.settles(Duration::from_secs(10)), "nothing is written");
    let tally = writer.take_tally();
    println!("{what}: {} acknowledged, {} retried, longest {:?}", tally.acknowledged, tally.retried, tally.longest);
    assert_eq!((tally.failed, tally.acknowledged > 20), (0, true), "{tally:?}");
}

/// Every pair is swapped while clients come and go: no restart, no failed write, and the new ones are served.
#[test]
fn certificates_are_renewed_without_a_restart() {
    let Some(scene) = Scene::healthy("certificates_are_renewed_without_a_restart", 3, Series::V3_5) else { return };
    let credentials = Credentials::issue(&scene.lab.dir().join("pki"));
    let writer = writer(&scene, &credentials);
    let (starts, before) = (scene.starts(), serials(&scene));
    let plan =
        scene.quorate(&["plan", "--renew-certs", "-o", "plan.json"]).exits(0).says(&["requested with `--renew-certs`"]);
    assert_eq!(plan.stdout.matches("with a new key on").count(), 9, "{}", plan.stdout);
    writer.take_tally();
    scene.quorate(&["apply", "plan.json", "--yes"]).exits(0);
    none_failed(&writer, "renewal of nine certificates");
    let after = serials(&scene);
    assert!(before.iter().all(|serial| !after.contains(serial)), "{before:?} {after:?}");
    // What the ports serve is what lies there: openssl is asked, too.
    for host in scene.lab.hosts() {
        for (role, port) in [("server", 2379), ("peer", 2380)] {
            let pki = "/etc/etcd/pki";
            let connect = format!(
                "openssl s_client -connect {}:{port} -cert {pki}/server.crt -key {pki}/server.key </dev/null 2>/dev/null \
                 | openssl x509 -noout -serial",
                host.address()
            );
            let on_disk = host.sh(&format!("openssl x509 -in {pki}/{role}.crt -noout -serial"));
            assert_eq!(host.sh(&connect), on_disk, "{} {role}", host.name());
        }
    }
    // Nothing is done twice; one node alone can be asked for.
    scene.quorate(&["apply", "plan.json", "--yes"]).exits(0);
    assert_eq!(serials(&scene), after);
    scene.quorate(&["apply", "--yes", "--renew-certs=etcd-2"]).exits(0);
    let one = serials(&scene);
    assert_eq!(one.iter().filter(|serial| !after.contains(serial)).count(), 3);
    assert_eq!(scene.starts(), starts, "a member was restarted");
    scene.is_as_declared();
    scene.quorate(&["plan", "--renew-certs=etcd-9"]).exits(64);
}

/// The next authority is made as by a run that was cut off after its first step; clients are told of both.
fn begin_rotation(scene: &Scene) -> Credentials {
    let pki = scene.lab.dir().join("pki");
    quorate::shell::live::pki::create_next(&pki, &ClusterName::new("lab"), now())
        .expect("the lab's folder can be written");
    Credentials::issue(&pki)
}

/// Nothing is left of the old authority: on no host, in no process, and its client certificate is refused.
#[track_caller]
fn old_authority_is_gone(scene: &Scene, old: &IssuedClient) {
    let pki = scene.lab.dir().join("pki");
    openssl_verifies(scene, &pki.join("ca.crt"));
    let new = fs::read_to_string(pki.join("ca.crt")).expect("it is there");
    for host in scene.lab.hosts() {
        assert_eq!(host.read("/etc/etcd/pki/ca.crt").as_deref(), Some(new.as_str()), "{}", host.name());
    }
    old.is_refused(scene);
    let names: Vec<_> =
        fs::read_dir(&pki).expect("it is there").map(|entry| entry.expect("it too").file_name()).collect();
    let names: Vec<_> = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    assert_eq!(names.len(), 4, "the old pair is kept beside the new one: {names:?}");
    assert!(!names.iter().any(|name| name.contains("next")), "{names:?}");
}

/// A client certificate of the authority that there is now.
struct IssuedClient {
    certificate: String,
    key: String,
}

impl IssuedClient {
    fn issue(scene: &Scene) -> Self {
        let printed = scene.quorate(&["certs", "issue", "someone"]).exits(0).stdout;
        let printed: serde_json::Value = serde_json::from_str(&printed).expect("it is JSON");
        let text = |key: &str| printed[key].as_str().expect("it is text").to_owned();
        Self { certificate: text("certificate"), key: text("private_key") }
    }

    /// By every member.
    #[track_caller]
    fn is_refused(&self, scene: &Scene) {
        for host in scene.lab.hosts() {
            assert!(!self.may_read(host), "{} still takes the old client certificate", host.name());
        }
    }

    #[track_caller]
    fn is_accepted(&self, scene: &Scene) {
        for host in scene.lab.hosts() {
            assert!(self.may_read(host), "{} refuses a client certificate that was issued just now", host.name());
        }
    }

    fn lay(&self, host: &Host) {
        host.write("/root/old.crt", &self.certificate);
        host.write("/root/old.key", &self.key);
    }

    fn may_read(&self, host: &Host) -> bool {
        self.lay(host);
        let said = host.exec(&format!(
            "ETCDCTL_API=3 etcdctl --endpoints=https://{}:2379 --cacert=/etc/etcd/pki/ca.crt --cert=/root/old.crt \
             --key=/root/old.key --command-timeout=3s get x",
            host.address()
        ));
        said.succeeded()
    }
}

/// Without it a rotation stops where both are trusted.
const DROP_OLD_CA: &str = "drop-old-ca:lab";

/// The writer of the tests may write where it writes.
const AUTH: &str = "[auth]\nenabled = true\n[users.writer]\nprefix = \"/writer/\"\n";

/// A second workstation, or a copy of pki/ from before: the rotation that was begun elsewhere is not undone.
fn without_the_next(scene: &Scene) {
    let (pki, aside) = (scene.lab.dir().join("pki"), scene.lab.dir().join("aside"));
    fs::create_dir(&aside).expect("the folder is ours");
    let move_all = |from: &Path, to: &Path| {
        for name in ["ca.next.crt", "ca.next.key"] {
            fs::rename(from.join(name), to.join(name)).expect("it is there");
        }
    };
    let before = serials(scene);
    move_all(&pki, &aside);
    let plan = scene.plan();
    assert!([3, 6].contains(&plan.code), "{plan:?}");
    let plan = plan.says(&["a second CA", "a replacement of the CA was begun somewhere else", "[authority-differs]"]);
    assert!(!plan.stdout.contains("] issue "), "{}", plan.stdout);
    let apply = scene.quorate(&["apply", "--yes"]);
    assert!([3, 6].contains(&apply.code), "{apply:?}");
    assert_eq!(serials(scene), before);
    move_all(&aside, &pki);
}

/// Renewal and rotation, while a client comes anew for every write.
fn rotates(test: &str, hosts: usize, series: Series, auth: &str) {
    if !is_turn(test, "rotation", series, &SERIES) {
        return;
    }
    let Some(mut scene) = Scene::installed(test, hosts, series) else { return };
    scene.declare(|scene| scene.more = auth.to_owned());
    scene.apply().exits(0);
    let what = |of: &str| {
        let auth = if auth.is_empty() { "off" } else { "on" };
        format!("{of}, {hosts} members of {}, authentication {auth}", scene.archive.version)
    };
    {
        let credentials = Credentials::issue(&scene.lab.dir().join("pki"));
        let writer = writer(&scene, &credentials);
        let (starts, before) = (scene.starts(), serials(&scene));
        writer.take_tally();
        scene.quorate(&["apply", "--yes", "--renew-certs"]).exits(0);
        none_failed(&writer, &what("renewal"));
        let after = serials(&scene);
        assert!(before.iter().all(|serial| !after.contains(serial)) && scene.starts() == starts);
    }
    let old = IssuedClient::issue(&scene);
    let unnamed = scene.quorate(&["plan", "--rotate-ca", "--detailed-exitcode"]).exits(3);
    assert_eq!(unnamed.stdout.matches("] restart etcd").count(), hosts, "{}", unnamed.stdout);
    let plan = scene.quorate(&["plan", "--rotate-ca", "--allow", DROP_OLD_CA, "--detailed-exitcode"]).exits(2);
    assert_eq!(plan.stdout.matches("] restart etcd").count(), 2 * hosts, "{}", plan.stdout);
    let plan = plan.says(&["create the new CA", "with the old and the new CA"]);
    plan.says(&["with a new key, signed by the new CA", "with only the new CA", "verify that the old CA"]);
    let credentials = begin_rotation(&scene);
    let writer = writer(&scene, &credentials);
    let before = serials(&scene);
    writer.take_tally();
    // It goes on without being asked again, to where clients of the old one and of the new one are served alike.
    scene.apply().exits(3).says(&["[old-ca-clients]", "--allow drop-old-ca:lab"]);
    scene.quorate(&["status"]).exits(0).says(&["CA rotation: 2 of 3 done, both CAs are trusted"]);
    if auth.is_empty() {
        old.is_accepted(&scene);
        IssuedClient::issue(&scene).is_accepted(&scene);
        without_the_next(&scene);
    }
    scene.quorate(&["apply", "--yes", "--allow", DROP_OLD_CA]).exits(0);
    none_failed(&writer, &what("rotation of the authority"));
    // That of root, as whom this test asks, is of the old authority.
    scene.lab.hosts().iter().for_each(|host| drop(host.sh("rm -f /root/root.*")));
    scene.is_as_declared();
    old_authority_is_gone(&scene, &old);
    let after = serials(&scene);
    assert!(before.iter().all(|serial| !after.contains(serial)));
    for host in scene.lab.hosts() {
        let rejected = host.sh("journalctl -u etcd --no-pager | grep -c 'rejected connection' || true");
        println!("{}: {} rejected connections in the log", host.name(), rejected.trim());
    }
}

#[test]
fn the_authority_is_rotated_on_3_4() {
    rotates("the_authority_is_rotated_on_3_4", 3, Series::V3_4, AUTH);
}

#[test]
fn the_authority_is_rotated_on_3_5() {
    rotates("the_authority_is_rotated_on_3_5", 3, Series::V3_5, "");
}

#[test]
fn the_authority_is_rotated_on_3_6_with_five_members() {
    rotates("the_authority_is_rotated_on_3_6_with_five_members", 5, Series::V3_6, AUTH);
}

#[test]
fn the_authority_is_rotated_on_3_7() {
    rotates("the_authority_is_rotated_on_3_7", 3, Series::V3_7, "");
}

/// Who is connected is told before anybody is refused, by address and by program.
#[test]
fn a_rotation_waits_for_the_clients() {
    let Some(scene) = Scene::healthy("a_rotation_waits_for_the_clients", 3, Series::V3_5) else { return };
    let (old, hosts) = (IssuedClient::issue(&scene), scene.lab.hosts());
    let watch = |host: &Host, of: &Host| {
        old.lay(host);
        host.sh(&format!(
            "systemd-run --unit=watch-{name} env -i PATH=\"$PATH\" ETCDCTL_API=3 etcdctl --endpoints=https://{address}:2379 \
             --cacert=/etc/etcd/pki/ca.crt --cert=/root/old.crt --key=/root/old.key watch x",
            name = of.name(),
            address = of.address()
        ));
    };
    watch(&hosts[1], &hosts[0]);
    let from = format!("etcd-2 at {} (to etcd-1)", hosts[1].address());
    let waits = scene.quorate(&["apply", "--yes", "--rotate-ca"]).exits(3);
    waits.says(&["[old-ca-clients]", "--allow drop-old-ca:lab"]);
    watch(&hosts[2], &hosts[2]);
    // It knows the CA of its start. On a busy machine it comes back, after the restart of its member, when that has its certificate
    // of the new one already.
    hosts[1].sh("systemctl restart watch-etcd-1");
    let told = [from.as_str(), "the program etcdctl (to etcd-3)"];
    until("the clients are seen", Duration::from_secs(60), || {
        let plan = scene.quorate(&["plan"]).exits(3).stdout;
        told.iter().all(|one| plan.contains(one))
    });
    old.is_accepted(&scene);
    scene.quorate(&["status"]).exits(0).says(&["CA rotation: 2 of 3 done, both CAs are trusted"]);
    // As long as it takes; what has nothing to do with it goes on.
    scene.quorate(&["apply", "--yes", "--restart=etcd-2"]).exits(3);
    old.is_accepted(&scene);
    scene.quorate(&["apply", "--yes", "--allow", DROP_OLD_CA]).exits(0);
    scene.is_as_declared();
    old_authority_is_gone(&scene, &old);
}

/// Killed after every single step: each time it goes on from what is there.
#[test]
fn a_rotation_is_killed_after_every_step() {
    let Some(scene) = Scene::healthy("a_rotation_is_killed_after_every_step", 3, Series::V3_5) else { return };
    let old = IssuedClient::issue(&scene);
    let kills = killed_after_every_step(&scene, &["--rotate-ca"]);
    println!("killed {kills} times");
    assert!(kills > 15, "{kills}");
    scene.is_as_declared();
    old_authority_is_gone(&scene, &old);
}

/// Another [ca], with the one before as [ca.previous]: the members go over to it while apply is killed after every step; and
/// from there to one that has yet to be made.
#[test]
fn another_authority_is_declared() {
    let Some(mut scene) = Scene::healthy("another_authority_is_declared", 3, Series::V3_5) else { return };
    let old = IssuedClient::issue(&scene);
    kubeadm_authority(&scene.lab.dir().join("kubeadm"));
    let files = "[ca]\nsource = \"files\"\ncertificate = \"kubeadm/ca.crt\"\nkey = \"kubeadm/ca.key\"\n";
    // Without the one before there is no way to go over.
    scene.declare(|scene| scene.more = files.to_owned());
    scene.plan().exits(3).says(&["trusts a different CA from the one in [ca]", "[ca.previous]"]);
    scene.declare(|scene| scene.more = format!("{files}[ca.previous]\nsource = \"generated\"\n"));
    scene.plan().exits(3).says(&["with the old and the new CA", "[old-ca-clients]"]);
    let (key, aside) = (scene.lab.dir().join("pki/ca.key"), scene.lab.dir().join("ca.key.aside"));
    let set_aside = || fs::rename(&key, &aside).expect("the lab's folder can be written");
    let put_back = || fs::rename(&aside, &key).expect("the lab's folder can be written");
    set_aside();
    scene.plan().exits(3).says(&["pki/ca.key is not here", "[ca-key-not-here]"]);
    let run = scene.quorate(&["apply", "--yes", "--allow", DROP_OLD_CA]).exits(3);
    run.says(&["this plan needs the key of the CA", "pki/ca.key is not here"]);
    put_back();
    let plan = scene.quorate(&["plan", "--allow", DROP_OLD_CA, "--detailed-exitcode"]).exits(2);
    let plan = plan.says(&["with the old and the new CA", "verify that the old CA is rejected"]);
    assert_eq!(plan.stdout.matches("] restart etcd").count(), 6, "{}", plan.stdout);
    scene.quorate(&["plan", "--rotate-ca"]).exits(64);
    // In a clone the certificates of both are enough to see how far it is.
    let keys = ["kubeadm/ca.key", "pki/ca.key"].map(|name| scene.lab.dir().join(name));
    keys.iter().for_each(|key| fs::rename(key, key.with_extension("aside")).expect("it is there"));
    scene.plan().exits(3).says(&["[ca-key-not-here]", "with the old and the new CA", "[old-ca-clients]"]);
    scene.quorate(&["apply", "--yes"]).exits(3).says(&["this plan needs the key of the CA"]);
    keys.iter().for_each(|key| fs::rename(key.with_extension("aside"), key).expect("it is there"));
    let kills = killed_after_every_step(&scene, &[]);
    assert!(kills > 15, "{kills}");
    scene.plan().exits(0).says(&["[authority-replaced]"]);
    // What is issued now is of the one that the members accept.
    IssuedClient::issue(&scene).is_accepted(&scene);
    openssl_verifies(&scene, &scene.lab.dir().join("kubeadm/ca.crt"));
    old.is_refused(&scene);
    // Neither its key nor its validity is needed then.
    set_aside();
    scene.plan().exits(0).says(&["no member trusts the CA in [ca.previous] any more", "No changes"]);
    IssuedClient::issue(&scene).is_accepted(&scene);
    put_back();
    authority_here_until(&scene.lab.dir().join("pki"), "20200102000000Z");
    scene.plan().exits(0).says(&["the CA in [ca.previous] expired", "No changes"]);
    IssuedClient::issue(&scene).is_accepted(&scene);
    let run = scene.quorate(&["validate"]).exits(0);
    assert!(run.stderr.contains("the CA in [ca.previous] expired on 2020-01-02"), "{}", run.stderr);
    // From there to one that quorate makes, in one run.
    scene.write_with(files);
    scene.is_as_declared();
    let old = IssuedClient::issue(&scene);
    scene.write_with(&format!(
        "[ca]\nsource = \"generated\"\ndir = \"made\"\n{}",
        files.replace("[ca]", "[ca.previous]")
    ));
    scene.plan().exits(3).says(&["create the new CA", "[ca] declares a different CA"]);
    scene.quorate(&["apply", "--yes", "--allow", DROP_OLD_CA]).exits(0);
    openssl_verifies(&scene, &scene.lab.dir().join("made/ca.crt"));
    old.is_refused(&scene);
    scene.write_with("[ca]\nsource = \"generated\"\ndir = \"made\"\n");
    scene.is_as_declared();
}

/// Applies, killed after every single step, until there is none left. `asked` are flags of the first run. How often that was.
#[track_caller]
pub fn killed_after_every_step(scene: &Scene, asked: &[&str]) -> usize {
    killed(scene, DROP_OLD_CA, asked)
}

/// The same of what is done only where it is allowed by name.
#[track_caller]
pub fn killed_after_every_step_of(scene: &Scene, allowed: &str) -> usize {
    killed(scene, allowed, &[])
}

#[track_caller]
fn killed(scene: &Scene, allowed: &str, asked: &[&str]) -> usize {
    let again = ["apply", "--yes", "--json", "--allow", allowed];
    let mut arguments = [&again, asked].concat();
    let mut kills = 0;
    while one_step(scene, &arguments) {
        arguments.truncate(again.len());
        kills += 1;
        assert!(kills < 60, "it does not end");
    }
    kills
}

/// Kills a run once its first step is done; false when there was none to do.
pub fn one_step(scene: &Scene, arguments: &[&str]) -> bool {
    let mut child = scene.command(arguments).stdout(Stdio::piped()).spawn().expect("it runs");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut said = Vec::new();
    let done = lines.map_while(Result::ok).any(|line| {
        said.push(line);
        said.last().is_some_and(|line| line.contains("step-done"))
    });
    // It may have ended by itself.
    let _ended_already = child.kill();
    let status = child.wait().expect("it ends");
    let is_well = done || status.success();
    assert!(is_well, "{status}: {}\n{}", said.join("\n"), if is_well { String::new() } else { scene.plan().stdout });
    done
}
