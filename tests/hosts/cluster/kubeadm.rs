//! etcd in static pods, as kubeadm sets it up under a real kubelet: taken over with an empty plan and no file touched, then its
//! settings changed one member at a time, each restarted once by its kubelet.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use super::adopted::{
    a_member_leaves_and_comes_back, a_snapshot_is_restored, declare, declared, due, files, forms, nothing_failed,
    snapshots_are_scheduled,
};
use super::certificates::{killed_after_every_step, killed_after_every_step_of};
use super::scene::{Scene, until};
use crate::lab::{Archive, Host, Lab, Series, etcd_archive, kubeadm, kubelet};
use crate::traffic::{Credentials, Endpoint, Writer};

const MANIFEST: &str = "/etc/kubernetes/manifests/etcd.yaml";
/// Where it waits while etcd is stopped.
const ASIDE: &str = "/etc/kubernetes/quorate/etcd.yaml";

/// A client with a certificate of kubeadm's CA.
fn writer(scene: &Scene) -> Writer {
    let folder = scene.lab.dir().join("of-kubeadm");
    std::fs::create_dir(&folder).expect("the lab's folder can be written");
    for file in ["ca.crt", "ca.key"] {
        let text = scene.first().read(&format!("/etc/kubernetes/pki/etcd/{file}")).expect("kubeadm made a CA");
        let mut options = std::fs::OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(folder.join(file)).expect("it can be made");
        file.write_all(text.as_bytes()).expect("it can be written");
    }
    let writer = Writer::begin(Credentials::issue(&folder), "/writer/");
    let endpoint =
        |host: &Host| Endpoint { name: host.name().to_owned(), addresses: vec![(host.address(), 2379).into()] };
    writer.aim(scene.lab.hosts().iter().map(endpoint).collect());
    writer
}

/// How often each host has started an etcd.
fn starts(scene: &Scene) -> Vec<u32> {
    let count = "journalctl -u containerd --no-pager | grep -c 'StartContainer for .* returns successfully' || :";
    scene.lab.hosts().iter().map(|host| host.sh(count).parse().expect("a number")).collect()
}

/// Where the kubelet reads them, or where one waits for a moment.
fn manifests(scene: &Scene) -> Vec<String> {
    let of = |host: &Host| host.read(MANIFEST).or_else(|| host.read(ASIDE)).or_else(|| host.read(MANIFEST));
    scene.lab.hosts().iter().map(|host| of(host).expect("it has one")).collect()
}

fn runs(host: &Host) -> bool {
    host.exec("pgrep -x etcd").succeeded()
}

#[test]
fn what_kubeadm_has_set_up_is_kept() {
    let Some(scene) = on_kubelets("what_kubeadm_has_set_up_is_kept") else { return };
    kubeadm::members(scene.lab.hosts());
    let writer = writer(&scene);
    is_taken_over(&scene);
    settings_are_changed(&scene, &writer);
    certificates_are_renewed(&scene, &writer);
    snapshots_come_and_go(&scene, &writer);
    what_operators_do(&scene);
    without_a_kubelet_nothing_is_touched(&scene);
    a_refused_value_has_a_way_back(&scene);
    assert!(writer.settles(Duration::from_secs(30)), "nothing is written");
}

/// As an older kubeadm has it, with etcd 3.5.
#[test]
fn members_data_and_versions_of_kubeadms_pods_are_changed() {
    let Some(scene) = on_kubelets("members_data_and_versions_of_kubeadms_pods_are_changed") else { return };
    let (archive, image) = image(&scene, Series::V3_5);
    kubeadm::members_of_3_5(scene.lab.hosts(), &image);
    let writer = writer(&scene);
    is_taken_over(&scene);
    a_failed_member_is_replaced(&scene, &writer);
    a_member_leaves_and_comes_back(&scene, &writer, "etcd-3");
    a_snapshot_is_restored(&scene, "etcd", false);
    assert!(writer.settles(Duration::from_secs(30)), "nothing is written");
    an_image_comes_in_turn(&scene, &writer, &archive.version);
    assert!(writer.settles(Duration::from_secs(30)), "nothing is written");
}

fn on_kubelets(test: &str) -> Option<Scene> {
    if !Lab::can_run_kubelet(test) {
        return None;
    }
    Scene::on(test, Lab::builder().hosts(3).kubelet(), Series::V3_5)
}

/// Another etcd on every node: there is no registry to pull it from.
fn image(scene: &Scene, series: Series) -> (Archive, String) {
    let archive = etcd_archive(series).expect("it is in the cache");
    let (path, name) = kubelet::etcd_image(&archive).expect("it can be made");
    let packed = std::fs::read(path).expect("it was made");
    std::thread::scope(|scope| {
        for host in scene.lab.hosts() {
            scope.spawn(|| {
                host.write("/root/image.tar", &packed);
                host.sh("ctr -n k8s.io images import /root/image.tar && rm /root/image.tar");
            });
        }
    });
    (archive, name)
}

/// Ends as soon as a manifest is another one than before.
fn killed_while_the_kubelet_works(scene: &Scene, before: &[String]) {
    let mut apply = scene.command(&["apply", "--yes"]).spawn().expect("it runs");
    until("a manifest is replaced", Duration::from_secs(60), || manifests(scene) != before);
    apply.kill().expect("it runs still");
    apply.wait().expect("it ends");
}

/// Ends as soon as a plan says why etcd has exited.
fn killed_once_it_is_told(scene: &Scene, exited: &str) {
    let mut apply = scene.command(&["apply", "--yes"]).spawn().expect("it runs");
    until("it is told", Duration::from_secs(90), || scene.plan().stdout.contains(exited));
    apply.kill().expect("it waits still");
    apply.wait().expect("it ends");
}

/// From 3.5 to 3.6, each member restarted once; apply is killed after every step. Until a node has the image, nothing restarts.
fn an_image_comes_in_turn(scene: &Scene, writer: &Writer, is: &str) {
    let starts_before = starts(scene);
    let newer = etcd_archive(Series::V3_6).expect("it is in the cache").version;
    declare(scene, &format!("version = \"{is}\""), &format!("version = \"{newer}\""));
    let name = format!("registry.k8s.io/etcd:{newer}-0");
    // A cluster that has just begun says only in a moment that all of it is of that version.
    until("it may be upgraded", Duration::from_secs(30), || scene.plan().code == 2);
    scene.plan().exits(2).says(&[&format!("pull the image {name}"), &format!("etcd version: {is} → {newer}")]);
    let run = scene.quorate(&["apply", "--yes"]);
    assert_ne!(run.code, 0, "{run:?}");
    run.says(&["could not be pulled", "ctr -n k8s.io images import"]);
    assert_eq!(starts(scene), starts_before, "nobody is restarted");
    let (_, made) = image(scene, Series::V3_6);
    assert_eq!(made, name);
    let before = manifests(scene);
    let _until_now = writer.take_tally();
    killed_while_the_kubelet_works(scene, &before);
    let kills = killed_after_every_step(scene, &[]);
    // The snapshot was saved, and the first member may have the image by now.
    assert!((2..=3).contains(&kills), "{kills}");
    nothing_failed(writer, "upgraded");
    scene.is_in_sync();
    let once: Vec<_> = starts_before.iter().map(|starts| starts + 1).collect();
    assert_eq!(starts(scene), once, "each member is restarted once");
    for (after, before) in manifests(scene).into_iter().zip(before) {
        assert_eq!(after, before.replace(&format!("etcd:{is}-0"), &format!("etcd:{newer}-0")));
    }
    scene.quorate(&["status"]).exits(0).says(&["3 of 3 voters healthy", &format!("running: {newer}")]);
}

fn is_taken_over(scene: &Scene) {
    let before = (files(scene), starts(scene));
    std::fs::remove_file(scene.file()).expect("the scene wrote it");
    let path = |path: std::path::PathBuf| path.display().to_string();
    let (config, known) = (path(scene.lab.ssh_config()), path(scene.lab.known_hosts()));
    let first = scene.first().name();
    let init = ["init", "--from-live", first, "--offline", "--ssh-config", &config, "--known-hosts", &known];
    scene.quorate(&init).exits(0).says(&["a plan of it changes nothing", "kubeadm upgrade"]);
    scene.is_in_sync();
    assert!(before == (files(scene), starts(scene)), "a file was touched, or a member restarted");
    let text = std::fs::read_to_string(scene.file()).expect("it was written");
    assert!(text.contains("layout = \"kubeadm\"") && !text.contains("\npreinstalled"), "{text}");
}

/// Apply is killed while the kubelet is at work, and then after every step.
fn settings_are_changed(scene: &Scene, writer: &Writer) {
    let (before, starts_before) = (manifests(scene), starts(scene));
    let access = scene.first().sh(&format!("stat -c '%a %U %G' {MANIFEST}"));
    declare(scene, "\n# quota-backend = \"2GiB\"", "\nquota-backend = \"4GiB\"");
    let _until_now = writer.take_tally();
    killed_while_the_kubelet_works(scene, &before);
    let kills = killed_after_every_step(scene, &[]);
    // The first member may be done by now.
    assert!((2..=3).contains(&kills), "{kills}");
    nothing_failed(writer, "settings changed");
    scene.is_in_sync();
    for (after, before) in manifests(scene).into_iter().zip(&before) {
        let image = "    image: registry.k8s.io/etcd";
        assert_eq!(after, before.replace(image, &format!("    - --quota-backend-bytes=4294967296\n{image}")));
    }
    assert_eq!(access, scene.first().sh(&format!("stat -c '%a %U %G' {MANIFEST}")));
    let once: Vec<_> = starts_before.iter().map(|starts| starts + 1).collect();
    assert_eq!(starts(scene), once, "each member is restarted once");
    for (host, before) in scene.lab.hosts().iter().zip(before) {
        assert_eq!(host.sh(&format!("ls -A {}", MANIFEST.trim_end_matches("/etcd.yaml"))), "etcd.yaml");
        assert_eq!(host.read(&format!("{ASIDE}.previous")), Some(before));
    }
}

/// Apply is killed after every pair; kubeadm takes the new ones for its own.
fn certificates_are_renewed(scene: &Scene, writer: &Writer) {
    const PKI: &str = "/etc/kubernetes/pki/etcd";
    let (before, starts_before) = (forms(scene, PKI), starts(scene));
    let _until_now = writer.take_tally();
    due(scene);
    let kills = killed_after_every_step(scene, &[]);
    assert_eq!(kills, 9, "three pairs on three hosts");
    nothing_failed(writer, "certificates renewed");
    scene.is_in_sync();
    assert_eq!(forms(scene, PKI), before);
    assert_eq!(starts(scene), starts_before, "nobody is restarted");
    let host = scene.first();
    let list = host.sh("kubeadm certs check-expiration --config /root/kubeadm.yaml 2>/dev/null");
    let years = |name: &str| {
        list.lines().any(|line| line.starts_with(name) && line.contains(" 729d ") || line.contains(" 1y "))
    };
    assert!(["etcd-server", "etcd-peer", "etcd-healthcheck-client"].iter().all(|name| years(name)), "{list}");
    host.sh("kubeadm certs renew etcd-server --config /root/kubeadm.yaml >/dev/null");
    scene.plan().exits(2).says(&["issue server.crt with a new key on etcd-1", "server.crt is due for renewal"]);
    scene.apply().exits(0);
    scene.is_in_sync();
}

/// One that has lost its log, and is started again and again by its kubelet, begins anew: once, and by a manifest that nobody
/// else's tool would write otherwise.
fn a_failed_member_is_replaced(scene: &Scene, writer: &Writer) {
    let host = &scene.lab.hosts()[0];
    let (before, starts_before) = (manifests(scene), starts(scene));
    let _until_now = writer.take_tally();
    host.sh(&format!("mkdir -m 700 -p {} && mv {MANIFEST} {ASIDE}", ASIDE.trim_end_matches("/etcd.yaml")));
    until("its kubelet ends it", Duration::from_secs(60), || !runs(host));
    println!("its kubelet starts it anew before anybody looks: with a log of its own, which is none");
    host.sh(&format!("rm -r /var/lib/etcd/member/wal; mv {ASIDE} {MANIFEST}"));
    let way = "replace it: `quorate plan --lost=etcd-1`";
    until("what it says is told", Duration::from_secs(60), || scene.plan().stdout.contains(way));
    scene.quorate(&["plan", "--lost=etcd-1"]).exits(0).says(&["stop and disable etcd", "replace-member:etcd-1"]);
    host.sh(&format!("mv {MANIFEST} {ASIDE}; rm -r /var/lib/etcd/member/wal"));
    scene.plan().exits(2).says(&["member/wal", "--allow replace-member:etcd-1"]);
    let kills = killed_after_every_step_of(scene, "replace-member:etcd-1");
    assert!((9..=11).contains(&kills), "{kills}");
    nothing_failed(writer, "a failed member replaced");
    scene.is_in_sync();
    let image = "    image: registry.k8s.io/etcd";
    let after = before[0]
        .replace("--initial-cluster=etcd-1=", "--initial-cluster=etcd-1-has-begun=")
        .replace(image, &format!("    - --initial-cluster-state=existing\n{image}"));
    assert_eq!(manifests(scene)[0], after);
    assert_eq!(starts(scene)[1..], starts_before[1..], "nobody else is restarted");
}

fn snapshots_come_and_go(scene: &Scene, writer: &Writer) {
    let theirs = || {
        scene
            .lab
            .hosts()
            .iter()
            .map(|host| host.sh("ls /etc/kubernetes/*/* | grep -v backup-client"))
            .collect::<Vec<_>>()
    };
    let (before, text) = (theirs(), std::fs::read_to_string(scene.file()).expect("it was written"));
    snapshots_are_scheduled(scene, writer, "etcd-2");
    scene.quorate(&["backup", "run", "--on", "etcd-1"]).exits(0).says(&["verified"]);
    std::fs::write(scene.file(), text).expect("the lab's folder can be written");
    scene.apply().exits(0).says(&["cluster.toml has no [backup]"]);
    scene.is_in_sync();
    assert_eq!(theirs(), before);
    let left =
        "find /etc/systemd/system /usr/local/lib /etc/kubernetes -name '*backup*' | grep -v -e previous -e dpkg || :";
    assert_eq!(scene.first().sh(left), "", "the units, the script and the pair are gone");
}

fn what_operators_do(scene: &Scene) {
    let other = &scene.lab.hosts()[1];
    let list = scene.quorate(&["etcdctl", "--node", other.name(), "--", "member", "list"]).exits(0);
    assert_eq!(list.stdout.matches(", started, ").count(), 3, "{}", list.stdout);
    scene.quorate(&["logs", other.name(), "--lines", "5"]).exits(0).says(&["\"level\":"]);
    scene.quorate(&["status"]).exits(0).says(&["3 of 3 voters healthy"]);
    let before = starts(scene);
    scene.quorate(&["apply", "--yes", "--restart", other.name()]).exits(0).says(&["1 restart"]);
    assert_eq!(starts(scene), [before[0], before[1] + 1, before[2]]);
    scene.is_in_sync();

    println!("a manifest that was set aside is put back, and one that somebody moved away is not made anew");
    other.sh(&format!("mv {MANIFEST} {ASIDE}"));
    until("its kubelet ends it", Duration::from_secs(60), || !runs(other));
    scene.apply().exits(0).says(&["start etcd on etcd-2"]);
    scene.is_in_sync();
    other.sh(&format!("mv {MANIFEST} /root/"));
    until("its kubelet ends it", Duration::from_secs(60), || !runs(other));
    scene.plan().exits(3).says(&["etcd on etcd-2 is not started: its manifest"]);
    other.sh(&format!("mv /root/etcd.yaml {MANIFEST}"));
    kubeadm::wait_until_ready(other);
}

/// What would not come back is not changed; nor is any other member, then.
fn without_a_kubelet_nothing_is_touched(scene: &Scene) {
    let before = (manifests(scene), starts(scene));
    let last = &scene.lab.hosts()[2];
    declare(scene, "\nquota-backend = \"4GiB\"", "\nquota-backend = \"5GiB\"");
    let folder = MANIFEST.trim_end_matches("/etcd.yaml");
    for (broken, mended, said) in [
        (
            "systemctl stop containerd".to_owned(),
            "systemctl start containerd".to_owned(),
            "no container runtime listens",
        ),
        (format!("mount --bind {folder} {folder}"), format!("umount {folder}"), "is another mount than"),
        (format!("chattr +i {MANIFEST}"), format!("chattr -i {MANIFEST}"), "it is immutable"),
    ] {
        last.sh(&broken);
        scene.quorate(&["apply", "--yes"]).exits(3).says(&[said]);
        last.sh(&mended);
    }
    last.sh("systemctl stop kubelet");
    for arguments in [&["apply", "--yes"][..], &["apply", "--yes", "--restart", "etcd-3"]] {
        scene.quorate(arguments).exits(3).says(&["its kubelet (kubelet.service) does not run"]);
    }
    last.sh("systemctl start kubelet");
    declare(scene, "\nquota-backend = \"5GiB\"", "\nquota-backend = \"4GiB\"");
    scene.is_in_sync();
    assert!(before == (manifests(scene), starts(scene)), "something was changed");
}

/// One member has it, the others are not given it, and the log of its pod is told.
fn a_refused_value_has_a_way_back(scene: &Scene) {
    let text = std::fs::read_to_string(scene.file()).expect("it was written");
    let with = |suite: &str| text.replace("extra = { ", &format!("extra = {{ cipher-suites = [\"{suite}\"], "));
    let write = |text: String| std::fs::write(scene.file(), text).expect("the lab's folder can be written");
    let before = manifests(scene);
    write(with("TLS_RSA_WITH_NULL_SHA"));
    let exited = "the kubelet starts it again after a pause: discovery failed: unexpected TLS cipher suite";
    killed_once_it_is_told(scene, exited);
    scene.quorate(&["apply", "--yes"]).exits(3).says(&[exited, ".previous"]);
    let changed = manifests(scene).into_iter().zip(before).filter(|(after, before)| after != before);
    assert_eq!(changed.count(), 1);
    write(with("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"));
    scene.apply().exits(0);
    scene.is_in_sync();
}

/// As kubeadm's guide for an external etcd does it by hand, on hosts with a kubelet and nothing else; kubeadm takes all of it for its
/// own.
#[test]
fn pods_begin_on_bare_kubelets() {
    let Some(scene) = on_kubelets("pods_begin_on_bare_kubelets") else { return };
    nothing_is_made_before_the_image_is_there(&scene);
    a_first_start_that_etcd_refuses_has_a_way_back(&scene);
    println!("once more, and apply is killed after every step");
    wiped(&scene, scene.lab.hosts());
    let kills = killed_after_every_step(&scene, &[]);
    assert!((14..=16).contains(&kills), "{kills}");
    scene.is_in_sync();
    scene.quorate(&["status"]).exits(0).says(&["3 of 3 voters healthy"]);
    let writer = writer(&scene);
    kubeadm_takes_it_for_its_own(&scene);
    data_that_vanishes_begins_nothing(&scene);
    what_kubeadm_takes_back_is_told(&scene);
    println!("an empty machine takes the place of a member");
    let starts_before = starts(&scene);
    wiped(&scene, &scene.lab.hosts()[2..]);
    // What a power cut costs is not what is counted.
    assert!(writer.settles(Duration::from_secs(30)), "nothing is written");
    let _until_now = writer.take_tally();
    let kills = killed_after_every_step_of(&scene, "replace-member:etcd-3");
    assert!((13..=15).contains(&kills), "{kills}");
    nothing_failed(&writer, "a member on an empty machine");
    scene.is_in_sync();
    assert_eq!(starts(&scene)[..2], starts_before[..2], "nobody else is restarted");
    let [first, third] = [0, 2].map(|index| manifests(&scene)[index].clone());
    let [address, own] = [0, 2].map(|index| scene.lab.hosts()[index].address().to_string());
    assert_eq!(third, first.replace(&address, &own).replace("etcd-1", "etcd-3"));
    assert!(writer.settles(Duration::from_secs(30)), "nothing is written");
    drop(writer);
    a_snapshot_is_restored_on_empty_machines(&scene);
}

fn a_snapshot_is_restored_on_empty_machines(scene: &Scene) {
    let snapshot = scene.lab.dir().join("kept.db").display().to_string();
    scene.quorate(&["etcdctl", "--", "put", "kept", "as it was"]).exits(0);
    scene.quorate(&["backup", "run", "-o", &snapshot]).exits(0).says(&["verified"]);
    wiped(scene, scene.lab.hosts());
    scene.quorate(&["restore", &snapshot, "--confirm", "lab", "--yes"]).exits(0).says(&["Every member has the data"]);
    scene.is_in_sync();
    scene.quorate(&["etcdctl", "--", "get", "kept"]).exits(0).says(&["as it was"]);
}

/// Declared as static pods, whose CA is on the nodes as kubeadm keeps it.
fn declare_pods(scene: &Scene, version: &str, more: &str) {
    let text = declared(scene);
    let archive = text.find("\n[etcd.archive]").expect("the scene declares one");
    let is = format!("version = \"{}\"", scene.archive.version);
    let text = text[..archive].replace(&is, &format!("version = \"{version}\"\nlayout = \"kubeadm\""));
    let text = format!("{}\n{more}\n[ca]\nsource = \"node\"\n", text.trim_end());
    std::fs::write(scene.file(), text).expect("the lab's folder can be written");
}

fn wiped(scene: &Scene, hosts: &[Host]) {
    std::thread::scope(|scope| hosts.iter().for_each(|host| drop(scope.spawn(|| host.wipe()))));
    until("their kubelets run", Duration::from_secs(60), || {
        scene
            .lab
            .hosts()
            .iter()
            .all(|host| host.exec("systemctl is-active --quiet kubelet && crictl images").succeeded())
    });
}

fn nothing_is_made_before_the_image_is_there(scene: &Scene) {
    let text = declared(scene);
    declare_pods(scene, "3.6.9", "");
    let run = scene.quorate(&["apply", "--yes"]);
    assert_ne!(run.code, 0, "{run:?}");
    run.says(&["registry.k8s.io/etcd:3.6.9-0 could not be pulled", "ctr -n k8s.io images import"]);
    scene.lab.hosts().iter().for_each(|host| assert!(!host.exec("ls /etc/kubernetes/pki").succeeded()));
    std::fs::write(scene.file(), text).expect("the lab's folder can be written");
}

fn a_first_start_that_etcd_refuses_has_a_way_back(scene: &Scene) {
    let suite = |name: &str| format!("quota-backend = \"4GiB\"\nextra = {{ cipher-suites = [\"{name}\"] }}\n");
    declare_pods(scene, kubelet::ETCD, &suite("TLS_RSA_WITH_NULL_SHA"));
    let exited = "discovery failed: unexpected TLS cipher suite";
    killed_once_it_is_told(scene, exited);
    scene.quorate(&["apply", "--yes"]).exits(3).says(&[exited, "correct it in cluster.toml"]);
    declare(scene, "TLS_RSA_WITH_NULL_SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    scene.apply().exits(0);
    scene.is_in_sync();
    let marker = "ls /var/lib/quorate/*/may-create-data";
    scene.lab.hosts().iter().for_each(|host| assert!(!host.exec(marker).succeeded(), "it may begin anew"));
}

fn kubeadm_takes_it_for_its_own(scene: &Scene) {
    let host = scene.first();
    let list = host.sh("kubeadm certs check-expiration 2>/dev/null");
    for name in ["etcd-server", "etcd-peer", "etcd-healthcheck-client"] {
        let line = list.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {list}"));
        assert!(line.contains(" 364d ") && line.contains("etcd-ca") && line.contains(" no"), "{line}");
        host.sh(&format!("kubeadm certs renew {name} >/dev/null"));
    }
    let phases =
        "for what in etcd-ca etcd-server etcd-peer etcd-healthcheck-client; do kubeadm init phase certs $what; done";
    let said = host.sh(phases);
    assert_eq!(said.matches("Using existing etcd/").count(), 4, "{said}");
    scene.is_in_sync();
}

/// Its upgrade writes a manifest of its own: without the settings that nobody has told it, and with those that are exported for it.
fn what_kubeadm_takes_back_is_told(scene: &Scene) {
    let host = &scene.lab.hosts()[1];
    let (name, address) = (host.name(), host.address());
    let own = format!(
        "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {{advertiseAddress: {address}}}\n\
         nodeRegistration: {{name: {name}}}\n"
    );
    let exported = scene.quorate(&["export", "kubeadm"]).exits(0).stdout;
    assert!(exported.contains("quota-backend-bytes"), "{exported}");
    for (text, code) in [(own.clone(), 2), (format!("{own}---\n{exported}"), 0)] {
        host.write("/root/etcd.yaml", text);
        host.sh("kubeadm config validate --config /root/etcd.yaml && kubeadm init phase etcd local --config /root/etcd.yaml");
        let told = match code {
            0 => "No changes",
            _ => "quota-backend-bytes: not set → 4.0 GiB",
        };
        let is_told = || {
            let run = scene.plan();
            run.code == code && run.stdout.contains(told)
        };
        until("it is told", Duration::from_secs(90), is_told);
    }
    let external = scene.quorate(&["export", "kubeadm", "--external"]).exits(0).stdout;
    host.write("/root/etcd.yaml", format!("{own}---\n{external}"));
    host.sh("kubeadm config validate --config /root/etcd.yaml");
}

/// kubeadm's own pod begins an empty cluster there, or is the member that it was, with an empty log.
fn data_that_vanishes_begins_nothing(scene: &Scene) {
    let host = &scene.lab.hosts()[1];
    let before_a_pod = format!(
        "mv {MANIFEST} /root/; while pgrep -x etcd >/dev/null; do sleep 0.2; done; rm -r /var/lib/etcd; mv /root/etcd.yaml {MANIFEST}"
    );
    for vanishes in ["rm -r /var/lib/etcd/member; pkill -9 -x etcd", &before_a_pod] {
        host.sh(&format!("rm -rf /var/log/pods/*_etcd-*; {vanishes}"));
        let refuses = "grep -q -h 'find local name' /var/log/pods/*_etcd-*/etcd/*.log";
        until("it does not start", Duration::from_secs(90), || host.exec(refuses).succeeded());
        let allowed = "--allow=replace-member:etcd-2";
        scene.plan().exits(2).says(&["--allow replace-member:etcd-2"]);
        scene.quorate(&["apply", "--yes", allowed]).exits(0);
        scene.is_in_sync();
    }
}
