//! A cluster that somebody else has set up: taken over with an empty plan and no file touched, then its settings changed one
//! member at a time, in the file and the form that are there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::certificates::{killed_after_every_step, killed_after_every_step_of, one_step};
use super::scene::{Scene, set_aside, until};
use crate::lab::{Host, Series, etcd_archive};
use crate::traffic::{Credentials, Endpoint, Writer};

/// Names of members, which are not those of their hosts.
const MEMBERS: [&str; 3] = ["etcd1", "etcd2", "etcd3"];
const PKI: &str = "/etc/ssl/etcd/ssl";

/// Where the others have them.
const OTHER_PKI: &str = "/etc/etcd/pki";

/// Three members that quorate has bootstrapped, and of which it knows nothing any more: no cluster.toml, and no CA.
fn forgotten(test: &str) -> Option<(Scene, Writer)> {
    let mut scene = Scene::installed(test, 3, Series::V3_5)?;
    scene.declare(|scene| {
        for (node, name) in scene.nodes.iter_mut().zip(MEMBERS) {
            name.clone_into(&mut node.0);
        }
    });
    scene.apply().exits(0);
    let pki = scene.lab.dir().join("pki");
    let writer = Writer::begin(Credentials::issue(&pki), "/writer/");
    std::fs::rename(&pki, pki.with_extension("of-theirs")).expect("the lab's folder can be written");
    std::fs::remove_file(scene.file()).expect("the lab's folder can be written");
    let endpoint = |(name, host): (&str, &Host)| Endpoint {
        name: name.to_owned(),
        addresses: vec![(host.address(), 2379).into()],
    };
    writer.aim(MEMBERS.into_iter().zip(scene.lab.hosts()).map(endpoint).collect());
    Some((scene, writer))
}

/// The settings of a member as kubespray writes them, by the names of flags.
fn settings(scene: &Scene, index: usize) -> Vec<(&'static str, String)> {
    let host = &scene.lab.hosts()[index];
    let (name, at) = (host.name(), host.address());
    let all = MEMBERS.into_iter().zip(scene.lab.hosts());
    let all: Vec<_> = all.map(|(member, host)| format!("{member}=https://{}:2380", host.address())).collect();
    vec![
        ("data-dir", "/var/lib/etcd".to_owned()),
        ("advertise-client-urls", format!("https://{at}:2379")),
        ("initial-advertise-peer-urls", format!("https://{at}:2380")),
        ("initial-cluster-state", "existing".to_owned()),
        ("metrics", "basic".to_owned()),
        ("listen-client-urls", format!("https://{at}:2379,https://127.0.0.1:2379")),
        ("election-timeout", "2500".to_owned()),
        ("heartbeat-interval", "250".to_owned()),
        ("initial-cluster-token", "k8s_etcd".to_owned()),
        ("listen-peer-urls", format!("https://{at}:2380")),
        ("name", MEMBERS[index].to_owned()),
        ("initial-cluster", all.join(",")),
        ("auto-compaction-retention", "8".to_owned()),
        ("quota-backend-bytes", "2147483648".to_owned()),
        ("trusted-ca-file", format!("{PKI}/ca.pem")),
        ("cert-file", format!("{PKI}/member-{name}.pem")),
        ("key-file", format!("{PKI}/member-{name}-key.pem")),
        ("client-cert-auth", "true".to_owned()),
        ("peer-trusted-ca-file", format!("{PKI}/ca.pem")),
        ("peer-cert-file", format!("{PKI}/member-{name}.pem")),
        ("peer-key-file", format!("{PKI}/member-{name}-key.pem")),
        ("peer-client-cert-auth", "True".to_owned()),
    ]
}

/// The file of variables as kubespray writes it, with what is not etcd's in it.
fn variables(scene: &Scene, index: usize) -> String {
    let mut text = String::from("# Environment file for etcd\n");
    for (name, value) in settings(scene, index) {
        let name = name.to_ascii_uppercase().replace('-', "_");
        writeln!(text, "ETCD_{name}={value}").expect("a String takes every write");
    }
    text + "\n# Flannel need etcd v2 API\n#ETCD_ENABLE_V2=true\nETCDCTL_ENDPOINTS=https://127.0.0.1:2379\nETCD_PROXY=off"
}

/// The same as flags of a unit, in all spellings.
fn flags(scene: &Scene, index: usize) -> String {
    let mut text = String::from(
        "[Unit]\nDescription=etcd\n\n[Service]\nType=notify\nUnsetEnvironment=ETCD_NAME\nExecStart=/usr/local/bin/etcd",
    );
    for (index, (name, value)) in settings(scene, index).into_iter().enumerate() {
        let flag = match (index % 3, value.as_str()) {
            (_, "true" | "True") => format!("--{name}"),
            (0, value) => format!("--{name} {value}"),
            (1, value) => format!("--{name}={value}"),
            (_, value) => format!("-{name}={value}"),
        };
        write!(text, " \\\n  {flag}").expect("a String takes every write");
    }
    text + "\nRestart=on-failure\nRestartSec=5\n\n[Install]\nWantedBy=multi-user.target\n"
}

const UNIT: &str = "[Unit]\nDescription=etcd\nAfter=network.target\n\n[Service]\nType=notify\nUser=root\n\
                    EnvironmentFile=/etc/etcd.env\nExecStart=/usr/local/bin/etcd\nNotifyAccess=all\nRestart=always\n\
                    RestartSec=10s\nLimitNOFILE=40000\n\n[Install]\nWantedBy=multi-user.target\n";

/// As kubespray leaves it: its own unit as root, one pair for both ports, and nothing of quorate's.
fn like_kubespray(scene: &Scene, index: usize) {
    let host = &scene.lab.hosts()[index];
    let name = host.name();
    host.sh(&format!(
        "systemctl stop etcd && rm -f /usr/local/bin/etcdctl /usr/local/bin/etcdutl
         cp /opt/etcd/*/etcd /opt/etcd/*/etcdctl /opt/etcd/*/etcdutl /usr/local/bin/ && chmod 755 /usr/local/bin/etcd*
         mkdir -p -m 755 /etc/ssl/etcd && install -d -m 700 -o etcd -g root {PKI} && cd /etc/etcd/pki
         install -m 640 -o etcd -g root ca.crt {PKI}/ca.pem && cd / && rm -rf /etc/etcd /opt/etcd"
    ));
    let key = std::fs::read(scene.lab.dir().join("pki.of-theirs/ca.key")).expect("quorate made a CA");
    host.write(&format!("{PKI}/ca-key.pem"), key);
    host.sh(&format!(
        "cd {PKI} && chmod 600 ca-key.pem && umask 027
         openssl req -new -newkey rsa:2048 -nodes -keyout member-{name}-key.pem -subj /CN=etcd-member-{name}/O=theirs -out /tmp/csr 2>/dev/null
         printf '%s\\n' 'basicConstraints = CA:FALSE' 'keyUsage = nonRepudiation, digitalSignature, keyEncipherment' \
             'extendedKeyUsage = clientAuth, serverAuth' 'subjectAltName = DNS:localhost,DNS:lb.example,DNS:{name},IP:{address},IP:127.0.0.1' >/tmp/ext
         openssl x509 -req -in /tmp/csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out member-{name}.pem -days 365 -extfile /tmp/ext 2>/dev/null
         rm -f /tmp/csr /tmp/ext *.srl && chown etcd:root *.pem",
        address = host.address()
    ));
    host.write("/etc/etcd.env", variables(scene, index));
    host.write("/etc/systemd/system/etcd.service", UNIT);
    host.sh(
        "chmod 640 /etc/etcd.env; systemctl daemon-reload; systemctl enable -q etcd; systemctl start --no-block etcd",
    );
}

fn on_all(scene: &Scene, change: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        (0..3).for_each(|index| {
            let change = &change;
            drop(scope.spawn(move || change(index)));
        });
    });
    // Not by the unit alone: one of `Type=simple` is active before etcd has a leader.
    let serves = |host: &Host| {
        let (address, pair) = (host.address(), format!("{PKI}/member-{}", host.name()));
        let health = format!(
            "ETCDCTL_API=3 etcdctl --endpoints=https://{address}:2379 --cacert={PKI}/ca.pem --cert={pair}.pem \
             --key={pair}-key.pem endpoint health && systemctl is-active --quiet etcd"
        );
        host.exec(&health).succeeded()
    };
    until("all members serve", Duration::from_secs(60), || scene.lab.hosts().iter().all(serves));
}

/// Every file of the hosts but what changes by itself, with its times.
pub fn files(scene: &Scene) -> Vec<BTreeMap<PathBuf, impl PartialEq + use<>>> {
    let of = |host: &Host| {
        let mut files = host.snapshot_files();
        let stays = ["etc", "usr/local", "opt", "root"];
        files.retain(|path, _| {
            let path = path.strip_prefix("/").unwrap_or(path);
            stays.iter().any(|folder| path.starts_with(folder))
        });
        files
    };
    scene.lab.hosts().iter().map(of).collect()
}

/// Takes the cluster over, with nothing touched on its hosts.
#[track_caller]
fn is_taken_over(scene: &Scene, layout: &str) {
    let _before = std::fs::remove_file(scene.file());
    let _before = std::fs::remove_dir_all(scene.lab.dir().join("pki"));
    let (files_before, starts) = (files(scene), scene.starts());
    let path = |path: PathBuf| path.display().to_string();
    let (config, known) = (path(scene.lab.ssh_config()), path(scene.lab.known_hosts()));
    let first = scene.first().name();
    let init = ["init", "--from-live", first, "--offline", "--ssh-config", &config, "--known-hosts", &known];
    scene.quorate(&init).exits(0).says(&["a plan of it changes nothing"]);
    scene.is_in_sync();
    scene.quorate(&["status"]).exits(0).says(&["3 of 3 voters healthy"]);
    assert!(files_before == files(scene), "a file of the hosts was touched");
    assert_eq!(starts, scene.starts(), "a member was restarted");
    let text = declared(scene);
    assert!(text.contains(&format!("layout = \"{layout}\"")), "{text}");
}

pub fn declared(scene: &Scene) -> String {
    std::fs::read_to_string(scene.file()).expect("it was written")
}

pub fn declare(scene: &Scene, is: &str, wanted: &str) {
    let text = declared(scene);
    assert_eq!(text.matches(is).count(), 1, "{is} in {text}");
    std::fs::write(scene.file(), text.replace(is, wanted)).expect("the lab's folder can be written");
}

/// Every write was acknowledged.
#[track_caller]
pub fn nothing_failed(writer: &Writer, what: &str) {
    assert!(writer.settles(Duration::from_secs(30)), "{what}: nothing is written");
    let tally = writer.take_tally();
    assert!(tally.failed == 0 && tally.acknowledged > 20, "{what}: {tally:?}");
}

/// What each certificate in a folder says, but for its time, its number and its key; and whose each file there is.
pub fn forms(scene: &Scene, folder: &str) -> Vec<String> {
    let form = format!(
        "cd {folder} && for file in *.crt *.pem; do [ -f \"$file\" ] || continue; echo \"$file\"
             openssl x509 -in \"$file\" -noout -subject -issuer 2>/dev/null
             openssl x509 -in \"$file\" -noout -text 2>/dev/null | sed -n -e '/Public-Key/p' -e '/X509v3/,/^    Signature/p' |
                 grep -v -e 'Authority Key' -e ' 0[^ ]*$' -e '[0-9A-F][0-9A-F]:[0-9A-F][0-9A-F]:' -e 'Signature'
         done; stat -c '%n %a %U %G' -- $(ls | grep -v previous)"
    );
    scene.lab.hosts().iter().map(|host| host.sh(&form)).collect()
}

/// Declares what makes every pair due that was issued for a year, and none that is issued from now on.
pub fn due(scene: &Scene) {
    declare(scene, "\n# validity = \"365d\"", "\nvalidity = \"730d\"");
    declare(scene, "\n# renew-before = \"90d\"", "\nrenew-before = \"366d\"");
}

/// One pair for both ports, with a key of RSA, and a CA whose key lies on the hosts: apply is killed after every one.
fn certificates_are_renewed(scene: &Scene, writer: &Writer) {
    let (before, starts) = (forms(scene, PKI), scene.starts());
    assert!(writer.settles(Duration::from_secs(30)), "nothing is written");
    let _until_now = writer.take_tally();
    due(scene);
    scene.plan().exits(2).says(&["member-etcd-1.pem is due for renewal", "no restart"]);
    let kills = killed_after_every_step(scene, &[]);
    assert_eq!(kills, 3, "one pair a host");
    nothing_failed(writer, "certificates renewed");
    scene.is_in_sync();
    assert_eq!(forms(scene, PKI), before);
    assert_eq!(scene.starts(), starts, "nobody is restarted");
    let host = scene.first();
    for port in [2379, 2380] {
        let end = host.sh(&format!(
            "openssl s_client -connect {}:{port} </dev/null 2>/dev/null | openssl x509 -noout -checkend $((400 * 86400))",
            host.address()
        ));
        assert!(end.contains("will not expire"), "{port}: {end}");
    }
    println!("links, and a name in place of another file");
    host.sh(&format!(
        "mkdir -m 750 /srv/tls && chown etcd /srv/tls && cd {PKI} && for file in member-etcd-1.pem member-etcd-1-key.pem; do
             mv $file /srv/tls/ && ln -s /srv/tls/$file $file
         done"
    ));
    scene.quorate(&["apply", "--yes", "--renew-certs=etcd1"]).exits(0);
    scene.is_in_sync();
    assert_eq!(
        host.sh(&format!("ls {PKI}/*.previous | wc -l; ls /srv/tls | wc -l; find {PKI} -type l | wc -l")),
        "2\n4\n2"
    );
    let half =
        "ln -s /srv/tls/member-etcd-1-key.pem healthcheck-client.key && cp -L member-etcd-1.pem healthcheck-client.crt";
    host.sh(&format!("cd {PKI} && {half}"));
    let run = scene.quorate(&["apply", "--yes", "--renew-certs=etcd1"]);
    assert_ne!(run.code, 0, "{run:?}");
    run.says(&["have one of these two files in common"]);
    host.sh(&format!("cd {PKI} && rm healthcheck-client.key healthcheck-client.crt"));
    host.sh(&format!("cd {PKI} && rm member-etcd-1-key.pem && mv /srv/tls/member-etcd-1-key.pem ."));
    let run = scene.quorate(&["apply", "--yes", "--renew-certs=etcd1"]);
    assert_ne!(run.code, 0, "{run:?}");
    run.says(&["lie in different folders"]);
    scene.quorate(&["status"]).exits(0).says(&["3 of 3 voters healthy"]);
    host.sh(&format!("cd {PKI} && rm member-etcd-1.pem && mv /srv/tls/member-etcd-1.pem . && rm -r /srv/tls"));
    println!("a key that is not the CA's");
    host.sh(&format!(
        "cd {PKI} && cp -p ca-key.pem /root/ca-key.pem && openssl genrsa -out ca-key.pem 2048 2>/dev/null"
    ));
    let plan = scene.plan();
    assert_ne!(plan.code, 0, "{plan:?}");
    println!("{}{}", plan.stdout, plan.stderr);
    let run = scene.quorate(&["apply", "--yes", "--renew-certs=etcd1"]);
    assert_ne!(run.code, 0, "{run:?}");
    host.sh(&format!("mv /root/ca-key.pem {PKI}/ca-key.pem"));
    scene.is_in_sync();
}

/// Snapshots by a timer of ours, saved with the etcdctl that is there; apply is killed after every step.
pub fn snapshots_are_scheduled(scene: &Scene, writer: &Writer, node: &str) {
    let before = scene.starts();
    let _until_now = writer.take_tally();
    let text = declared(scene) + "\n[backup]\nschedule = \"0 3 * * *\"\ncompression = \"gzip\"\n";
    std::fs::write(scene.file(), text).expect("the lab's folder can be written");
    let kills = killed_after_every_step(scene, &[]);
    assert!((5..=7).contains(&kills), "{kills}");
    nothing_failed(writer, "snapshots scheduled");
    scene.is_in_sync();
    scene.lab.hosts()[1].sh("systemctl start quorate-backup.service");
    let list = scene.quorate(&["backup", "list"]).exits(0).stdout;
    assert_eq!(list.matches("snapshot-").count(), 1, "{list}");
    scene.quorate(&["backup", "verify", "--on", node]).exits(0).says(&["same hash"]);
    assert_eq!(scene.starts(), before, "nobody is restarted");
}

/// Apply is killed after every step; then every member has been restarted just once, and `wanted` is all that differs.
#[track_caller]
fn settings_are_changed(scene: &Scene, writer: &Writer, path: &str, wanted: &[(&str, &str)]) {
    let texts = || scene.lab.hosts().iter().map(|host| host.read(path).expect("it is there")).collect::<Vec<_>>();
    let (before, starts) = (texts(), scene.starts());
    let access = scene.first().sh(&format!("stat -c '%a %U %G' {path}"));
    // Until now all members were down together.
    assert!(writer.settles(Duration::from_secs(30)), "nothing is written");
    let _until_now = writer.take_tally();
    let kills = killed_after_every_step(scene, &[]);
    assert!(kills >= 6, "{kills}");
    nothing_failed(writer, "settings changed");
    scene.is_in_sync();
    for (after, before) in texts().into_iter().zip(before) {
        let expected = wanted.iter().fold(before, |text, (is, wanted)| text.replace(is, wanted));
        assert_eq!(after, expected);
    }
    assert_eq!(access, scene.first().sh(&format!("stat -c '%a %U %G' {path}")));
    let changed = scene.starts().into_iter().zip(starts).filter(|(after, before)| after != before);
    assert_eq!(changed.count(), 3);
    let count = |host: &Host| host.sh("journalctl -u etcd --no-pager -b | grep -c 'Started etcd' || true");
    assert!(scene.lab.hosts().iter().all(|host| count(host).trim() != "0"));
}

#[test]
fn a_cluster_that_somebody_else_has_set_up_is_kept() {
    let Some((scene, writer)) = forgotten("a_cluster_that_somebody_else_has_set_up_is_kept") else { return };
    println!("as kubespray has it");
    on_all(&scene, |index| like_kubespray(&scene, index));
    is_taken_over(&scene, "kubespray");
    declare(&scene, "quota-backend = \"2GiB\"", "quota-backend = \"4GiB\"");
    let changed = [("QUOTA_BACKEND_BYTES=2147483648", "QUOTA_BACKEND_BYTES=4294967296")];
    settings_are_changed(&scene, &writer, "/etc/etcd.env", &changed);
    certificates_are_renewed(&scene, &writer);
    snapshots_are_scheduled(&scene, &writer, MEMBERS[1]);
    drift_is_found(&scene);
    what_would_do_harm_is_left(&scene);

    by_hand(&scene);
    assert!(declared(&scene).contains("\nschedule = \"0 3 * * *\""), "{}", declared(&scene));
    declare(&scene, "heartbeat-interval = \"250ms\"", "heartbeat-interval = \"300ms\"");
    declare(&scene, "quota-backend = \"2GiB\"", "quota-backend = \"4GiB\"");
    let changed = [
        ("heartbeat-interval=250", "heartbeat-interval=300"),
        ("--heartbeat-interval 250", "--heartbeat-interval 300"),
        ("quota-backend-bytes=2147483648", "quota-backend-bytes=4294967296"),
        ("quota-backend-bytes 2147483648", "quota-backend-bytes 4294967296"),
    ];
    settings_are_changed(&scene, &writer, "/etc/systemd/system/etcd.service", &changed);
}

#[test]
fn members_data_and_versions_of_somebody_elses_service_are_changed() {
    let Some((scene, writer)) = forgotten("members_data_and_versions_of_somebody_elses_service_are_changed") else {
        return;
    };
    on_all(&scene, |index| like_kubespray(&scene, index));
    is_taken_over(&scene, "kubespray");
    a_snapshot_is_restored(&scene, "k8s_etcd", true);
    a_failed_member_is_replaced(&scene, &writer);
    a_member_leaves_and_comes_back(&scene, &writer, MEMBERS[2]);
    assert_eq!(scene.lab.hosts()[2].sh("systemctl is-enabled etcd"), "enabled");
    by_hand(&scene);
    a_version_comes_in_turn(&scene, &writer);
    a_lost_quorum_goes_on_with_what_is_left(&scene);
}

fn by_hand(scene: &Scene) {
    println!("by hand, with flags in the unit");
    on_all(scene, |index| {
        let host = &scene.lab.hosts()[index];
        host.write("/etc/systemd/system/etcd.service", flags(scene, index));
        host.sh("rm -f /etc/etcd.env*; systemctl daemon-reload; systemctl restart --no-block etcd");
    });
    is_taken_over(scene, "unit");
}

/// Whoever owns the programs installs the new ones, and nothing restarts for that; declared, they come one member after the other,
/// behind a snapshot. apply is killed after every step.
fn a_version_comes_in_turn(scene: &Scene, writer: &Writer) {
    let archive = etcd_archive(Series::V3_6).expect("it is in the cache");
    let (packed, starts) = (std::fs::read(&archive.path).expect("it can be read"), scene.starts());
    let install = |host: &Host| {
        host.write("/root/etcd.tar.gz", &packed);
        host.sh("mkdir /root/etcd && tar -xzf /root/etcd.tar.gz -C /root/etcd --strip-components=1 --no-same-owner
                 for tool in etcd etcdctl etcdutl; do mv -f /root/etcd/$tool /usr/local/bin/$tool; done; rm -r /root/etcd*");
    };
    let is = declared(scene).lines().find(|line| line.starts_with("version = ")).expect("it is declared").to_owned();
    let wanted = format!("version = \"{}\"", archive.version);
    install(scene.first());
    scene.plan().exits(3).says(&["which was installed since", &wanted]);
    declare(scene, is.split('#').next().unwrap_or(&is).trim_end(), &wanted);
    println!("not on all, and a flag that the next version does not know");
    scene.plan().exits(3).says(&["/usr/local/bin on etcd2, etcd3 does not contain etcd 3.6"]);
    scene.lab.hosts()[1..].iter().for_each(install);
    let unit = "/etc/systemd/system/etcd.service";
    let last = &scene.lab.hosts()[2];
    last.sh(&format!(
        "sed -i 's|^ExecStart=/usr/local/bin/etcd|& --enable-v2=false|' {unit} && systemctl daemon-reload"
    ));
    scene.plan().exits(3).says(&["does not know the setting `enable-v2`"]);
    last.sh(&format!("sed -i 's| --enable-v2=false||' {unit} && systemctl daemon-reload"));
    assert_eq!(scene.starts(), starts, "nobody was restarted for that");
    let _until_now = writer.take_tally();
    let kills = killed_after_every_step(scene, &[]);
    assert_eq!(kills, 4, "a snapshot and three restarts");
    nothing_failed(writer, "upgraded");
    scene.is_in_sync();
    scene.quorate(&["status"]).exits(0).says(&["3 of 3 voters healthy", &format!("running: {}", archive.version)]);
    let has_snapshot = |host: &Host| host.sh("ls /var/backups/etcd").contains("before-3.6");
    assert!(scene.lab.hosts().iter().any(has_snapshot));
}

/// The other ways, one after the other on the same hosts: each is taken over, and a setting changed in its file.
#[test]
fn every_way_in_which_a_service_has_its_settings_is_kept() {
    let Some((scene, writer)) = forgotten("every_way_in_which_a_service_has_its_settings_is_kept") else { return };
    on_all(&scene, |index| like_kubespray(&scene, index));
    for (layout, path, make) in [
        ("autobase", "/etc/etcd/etcd.conf", like_autobase as fn(&Scene, usize)),
        ("debian", "/etc/default/etcd", like_debian),
        ("unit", "/etc/etcd/etcd.conf.yml", with_a_configuration_file),
        ("canonical", "/var/snap/k8s/common/args/etcd", like_canonical),
    ] {
        println!("{layout}: {path}");
        on_all(&scene, |index| make(&scene, index));
        is_taken_over(&scene, layout);
        assert!(declared(&scene).contains(&format!("config = \"{path}\"")), "{}", declared(&scene));
        declare(&scene, "quota-backend = \"2GiB\"", "quota-backend = \"4GiB\"");
        let texts = || scene.lab.hosts().iter().map(|host| host.read(path).expect("it is there")).collect::<Vec<_>>();
        let (before, starts) = (texts(), scene.starts());
        assert!(writer.settles(Duration::from_secs(30)), "nothing is written");
        let _until_now = writer.take_tally();
        scene.apply().exits(0);
        nothing_failed(&writer, layout);
        scene.is_in_sync();
        for (after, before) in texts().into_iter().zip(before) {
            assert_eq!(after, before.replace("2147483648", "4294967296"));
        }
        assert!(scene.starts().into_iter().zip(starts).all(|(after, before)| after != before), "all are restarted");
        let texts = texts();
        scene.lab.hosts()[1].sh("systemctl stop snap.k8s.etcd.service etcd 2>/dev/null; 
             rm -r /var/lib/etcd/member/snap 2>/dev/null || rm -r /var/snap/k8s/common/var/lib/etcd/data/member/snap");
        let replace = ["apply", "--yes", "--no-snapshot", "--allow", "replace-member:etcd2"];
        scene.quorate(&replace).exits(0).says(&["promote the learner to voter on etcd2"]);
        nothing_failed(&writer, layout);
        scene.is_in_sync();
        assert_eq!(scene.lab.hosts()[1].read(path).as_ref(), Some(&texts[1]), "it said all that a newcomer reads");
        if layout == "debian" {
            let text = declared(&scene) + "\n[backup]\nschedule = \"0 3 * * *\"\n";
            std::fs::write(scene.file(), text).expect("the lab's folder can be written");
            scene.plan().exits(3).says(&[
                "there is no etcdctl in /usr/bin on etcd1",
                "etcd-client",
                "[etcdctl-missing]",
            ]);
        }
    }
}

/// The certificates in a folder of /etc/etcd, for the account etcd.
fn others_pki(host: &Host) {
    let name = host.name();
    host.sh(&format!(
        "systemctl stop etcd; mkdir -p -m 755 /etc/etcd {OTHER_PKI}
         [ -e {OTHER_PKI}/ca.pem ] || cp {PKI}/* {OTHER_PKI}/
         chown -R etcd:etcd {OTHER_PKI} /var/lib/etcd && chmod 600 {OTHER_PKI}/member-{name}-key.pem && rm -f /etc/etcd.env*"
    ));
}

/// A shell starts etcd, and the values are quoted.
fn like_autobase(scene: &Scene, index: usize) {
    let host = &scene.lab.hosts()[index];
    others_pki(host);
    let mut text = String::new();
    for (name, value) in settings(scene, index) {
        let (name, value) = (name.to_ascii_uppercase().replace('-', "_"), value.replace(PKI, OTHER_PKI));
        writeln!(text, "ETCD_{name}=\"{value}\"").expect("a String takes every write");
    }
    host.write("/etc/etcd/etcd.conf", text);
    host.write(
        "/etc/systemd/system/etcd.service",
        "[Service]\nType=notify\nWorkingDirectory=/var/lib/etcd/\nEnvironmentFile=-/etc/etcd/etcd.conf\nUser=etcd\n\
         ExecStart=/bin/bash -c \"GOMAXPROCS=$(nproc) /usr/local/bin/etcd\"\nRestart=on-failure\nLimitNOFILE=65536\n\
         Nice=-20\n\n[Install]\nWantedBy=multi-user.target\n",
    );
    host.sh("chmod 644 /etc/etcd/etcd.conf; systemctl daemon-reload; systemctl start --no-block etcd");
}

/// The unit of the package, under its two names and outside of /etc, with a flag in the file of variables; etcdctl is in another
/// package.
fn like_debian(scene: &Scene, index: usize) {
    let host = &scene.lab.hosts()[index];
    others_pki(host);
    host.sh(
        "rm -f /etc/systemd/system/etcd.service /etc/etcd/etcd.conf* && mv /usr/local/bin/etcd /usr/bin/etcd
         mkdir -p /usr/lib/systemd/system /var/lib/dpkg/info && ln -sf /usr/lib/systemd/system/etcd.service /etc/systemd/system/etcd2.service
         echo /usr/bin/etcd >/var/lib/dpkg/info/etcd-server.list
         printf 'Package: etcd-server\\nStatus: install ok installed\\nArchitecture: amd64\\nMaintainer: x <x@x>\\nVersion: 3.5.30-2\\nDescription: etcd\\n\\n' \
             >>/var/lib/dpkg/status",
    );
    host.write(
        "/usr/lib/systemd/system/etcd.service",
        "[Unit]\nDescription=etcd - highly-available key value store\n\n[Service]\nEnvironment=DAEMON_ARGS=\n\
         Environment=ETCD_NAME=%H\nEnvironment=ETCD_DATA_DIR=/var/lib/etcd/default\nEnvironmentFile=-/etc/default/%p\n\
         Type=notify\nUser=etcd\nPermissionsStartOnly=true\nExecStart=/usr/bin/etcd $DAEMON_ARGS\nRestart=on-abnormal\n\
         LimitNOFILE=65536\n\n[Install]\nWantedBy=multi-user.target\nAlias=etcd2.service\n",
    );
    let text = variables(scene, index).replace(PKI, OTHER_PKI);
    host.write("/etc/default/etcd", format!("DAEMON_ARGS=\"--enable-pprof\"\n{text}"));
    host.sh("chmod 644 /etc/default/etcd; systemctl daemon-reload; systemctl start --no-block etcd");
}

/// etcd's own configuration file, as its documentation has it.
fn with_a_configuration_file(scene: &Scene, index: usize) {
    let host = &scene.lab.hosts()[index];
    host.sh("systemctl stop etcd; mv /usr/bin/etcd /usr/local/bin/etcd
         rm -f /usr/lib/systemd/system/etcd.service /etc/systemd/system/etcd2.service /etc/default/etcd*");
    let mut text = String::from("# This is the configuration file for the etcd server.\n");
    let mut security = [String::from("client-transport-security:\n"), String::from("peer-transport-security:\n")];
    for (name, value) in settings(scene, index) {
        let value = value.replace(PKI, OTHER_PKI).to_lowercase();
        let is_peers = name.starts_with("peer-");
        let key = name.trim_start_matches("peer-");
        let line = match ["-file", "cert-auth"].iter().any(|end| name.ends_with(end)) {
            true => (&mut security[usize::from(is_peers)], format!("  {key}: {value}\n")),
            false if name == "auto-compaction-retention" => (&mut text, format!("{name}: \"{value}\"\n")),
            false => (&mut text, format!("{name}: {value}\n")),
        };
        line.0.push_str(&line.1);
    }
    host.write("/etc/etcd/etcd.conf.yml", text + &security.concat());
    host.write(
        "/etc/systemd/system/etcd.service",
        "[Service]\nType=notify\nUser=etcd\nExecStart=/usr/local/bin/etcd --config-file /etc/etcd/etcd.conf.yml\nRestart=always\n\n\
         [Install]\nWantedBy=multi-user.target\n",
    );
    host.sh("chmod 644 /etc/etcd/etcd.conf.yml; systemctl daemon-reload; systemctl start --no-block etcd");
}

/// The snap of Canonical Kubernetes: a script of it gives etcd the words of a file.
fn like_canonical(scene: &Scene, index: usize) {
    const ARGUMENTS: &str = "/var/snap/k8s/common/args/etcd";
    let host = &scene.lab.hosts()[index];
    let (name, data, pki) = (host.name(), "/var/snap/k8s/common/var/lib/etcd/data", "/etc/kubernetes/pki/etcd");
    host.sh(&format!(
        "systemctl stop etcd; rm -f /etc/systemd/system/etcd.service /etc/etcd/etcd.conf.yml*
         mkdir -p /snap/k8s/4565/bin /var/snap/k8s/common/args {data} {pki} && ln -sfn 4565 /snap/k8s/current
         mv /usr/local/bin/etcd /snap/k8s/4565/bin/etcd && mv /var/lib/etcd/member {data}/ && chown -R root:root {data} && chmod 700 {data}
         cd {OTHER_PKI} && cp ca.pem {pki}/ca.crt
         for pair in server peer; do cp member-{name}.pem {pki}/$pair.crt; cp member-{name}-key.pem {pki}/$pair.key; done
         chown root:root {pki}/* && chmod 600 {pki}/*"
    ));
    let mut text = String::new();
    for (setting, value) in settings(scene, index) {
        let value = match setting {
            "data-dir" => data.to_owned(),
            setting if setting.ends_with("-file") => {
                let pair = if setting.starts_with("peer-") { "peer" } else { "server" };
                let file = match setting.trim_start_matches("peer-") {
                    "trusted-ca-file" => "ca.crt".to_owned(),
                    "cert-file" => format!("{pair}.crt"),
                    _ => format!("{pair}.key"),
                };
                format!("{pki}/{file}")
            }
            _ => value,
        };
        writeln!(text, "--{setting}=\"{value}\"").expect("a String takes every write");
    }
    host.write(ARGUMENTS, text);
    host.write(
        "/snap/k8s/4565/bin/start",
        format!(
            "#!/bin/bash -e\ndeclare -a args=\"($(cat {ARGUMENTS}))\"\nexec /snap/k8s/4565/bin/etcd \"${{args[@]}}\"\n"
        ),
    );
    host.write(
        "/etc/systemd/system/snap.k8s.etcd.service",
        "[Service]\nType=simple\nUnsetEnvironment=ETCD_NAME\nExecStart=/snap/k8s/4565/bin/start\nRestart=always\n\n[Install]\nWantedBy=multi-user.target\n",
    );
    // The tests look at it by the other name.
    host.sh(&format!(
        "chmod 600 {ARGUMENTS}; chmod 755 /snap/k8s/4565/bin/start; ln -sf snap.k8s.etcd.service /etc/systemd/system/etcd.service
         systemctl daemon-reload; systemctl start --no-block snap.k8s.etcd.service"
    ));
}

/// What was written since is gone, and no file of theirs is another; the run is killed after every step.
pub fn a_snapshot_is_restored(scene: &Scene, cluster: &str, is_killed: bool) {
    let ctl = |arguments: &str| {
        let words: Vec<_> = ["etcdctl", "--"].into_iter().chain(arguments.split(' ')).collect();
        scene.quorate(&words).exits(0).stdout
    };
    ctl("put /kept before");
    scene.quorate(&["backup", "run", "-o", "kept.db.zst"]).exits(0);
    ctl("put /kept after");
    ctl("put /later after");
    let restore = ["restore", "kept.db.zst", "--confirm", cluster, "--yes", "--json"];
    let mut kills = 0;
    while is_killed && one_step(scene, &restore) {
        kills += 1;
        assert!(kills < 20, "it does not end");
    }
    if is_killed {
        assert!((7..=9).contains(&kills), "{kills}");
    } else {
        scene.quorate(&restore).exits(0);
    }
    scene.is_in_sync();
    for host in scene.lab.hosts() {
        let left =
            host.sh("ls -A /var/lib/quorate/* /var/lib | grep -e restore -e tools | grep -v before-restore || :");
        assert_eq!(left, "", "{}", host.name());
    }
    assert_eq!(ctl("get /kept --print-value-only").trim_end(), "before");
    assert!(!ctl("get /later").contains("after"));
    scene.quorate(&["status"]).exits(0).says(&["3 of 3 voters healthy"]);
}

/// Two of three are gone for good: the one that is left saves what it has, and begins anew with that; then two others join.
fn a_lost_quorum_goes_on_with_what_is_left(scene: &Scene) {
    let (gone, whole) = (&scene.lab.hosts()[1..], declared(scene));
    scene.quorate(&["etcdctl", "--", "put", "/kept", "last"]).exits(0);
    // Together they would be a quorum, and go on with what they have.
    gone.iter().for_each(|host| drop(host.sh("systemctl disable -q etcd")));
    gone.iter().for_each(Host::power_off);
    scene.plan().exits(6).says(&["quorum is lost", "quorate backup run -o last.db", "--confirm k8s_etcd"]);
    let lost = scene.quorate(&["apply", "--yes", "--lost=etcd2", "--lost=etcd3"]);
    assert_ne!(lost.code, 0, "{lost:?}");
    lost.says(&["makes no new cluster"]);
    scene.quorate(&["backup", "run", "-o", "last.db"]).exits(0);
    std::fs::write(scene.file(), without_nodes_from(&whole, "etcd2")).expect("the lab's folder can be written");
    scene.quorate(&["restore", "last.db", "--confirm", "k8s_etcd", "--yes"]).exits(0);
    scene.is_in_sync();
    println!("the others come back with what they had, and join as new members");
    gone.iter().for_each(Host::power_on);
    std::fs::write(scene.file(), whole).expect("the lab's folder can be written");
    let join = ["apply", "--yes", "--allow", "replace-member:etcd2", "--allow", "replace-member:etcd3"];
    until("they have joined", Duration::from_secs(120), || scene.quorate(&join).code == 0);
    scene.is_in_sync();
    for member in MEMBERS {
        let said = scene.quorate(&["etcdctl", "--node", member, "--", "get", "/kept"]).exits(0).stdout;
        assert!(said.contains("last"), "{said}");
    }
}

/// The declaration without the nodes from this one on.
fn without_nodes_from(whole: &str, node: &str) -> String {
    let (begin, end) = (whole.find(&format!("[nodes.{node}]")), whole.find("\n# The ports of"));
    format!("{}{}", &whole[..begin.expect("it is declared")], &whole[end.expect("ports follow")..])
}

/// One that has lost its log is stopped, taken out, and begins anew on its host; apply is killed after every step.
fn a_failed_member_is_replaced(scene: &Scene, writer: &Writer) {
    let host = &scene.lab.hosts()[2];
    let (others, text) = (scene.starts_of(2), host.read("/etc/etcd.env"));
    let _until_now = writer.take_tally();
    host.sh("systemctl stop etcd; chmod 750 /var/lib/etcd; rm -r /var/lib/etcd/member/wal");
    println!("where no other could begin, it stays as it is");
    host.sh("printf '\\nETCD_DISCOVERY_SRV=example.org\\n' >>/etc/etcd.env");
    scene.plan().exits(3).says(&["no new member can join on etcd3", "discovery-srv is set"]);
    host.sh("sed -i /DISCOVERY_SRV/d /etc/etcd.env");
    scene.plan().exits(2).says(&["member/wal", "--allow replace-member:etcd3"]);
    let kills = killed_after_every_step_of(scene, "replace-member:etcd3");
    assert!((7..=9).contains(&kills), "{kills}");
    nothing_failed(writer, "a failed member replaced");
    scene.is_in_sync();
    assert_eq!(scene.starts_of(2), others, "nobody else is restarted");
    assert_eq!(host.read("/etc/etcd.env"), text.map(|text| text + "\n"), "it said all that a newcomer reads");
    assert_eq!(
        host.sh("systemctl is-enabled etcd; stat -L -c %a /var/lib/etcd"),
        "enabled\n750",
        "whose mode is as before"
    );
    assert_eq!(set_aside(host, "removed"), 1);
}

/// A member that is not declared any more is taken out and stopped, with its files left as they are; declared again, it
/// begins anew there.
pub fn a_member_leaves_and_comes_back(scene: &Scene, writer: &Writer, last: &str) {
    let host = &scene.lab.hosts()[2];
    let whole = declared(scene);
    std::fs::write(scene.file(), without_nodes_from(&whole, last)).expect("the lab's folder can be written");
    let _until_now = writer.take_tally();
    let kills = killed_after_every_step_of(scene, &format!("remove-member:{last}"));
    assert!((4..=5).contains(&kills), "{kills}");
    nothing_failed(writer, "a member removed");
    scene.is_in_sync();
    scene.quorate(&["status"]).exits(0).says(&["2 of 2 voters healthy"]);
    assert!(!host.exec("pgrep -x etcd").succeeded(), "it runs still");
    std::fs::write(scene.file(), whole).expect("the lab's folder can be written");
    let kills = killed_after_every_step_of(scene, &format!("replace-member:{last}"));
    assert!((5..=9).contains(&kills), "{kills}");
    nothing_failed(writer, "a member added");
    scene.is_in_sync();
    scene.quorate(&["status"]).exits(0).says(&["3 of 3 voters healthy"]);
}

/// What somebody has changed by hand is put back; what nobody declares is only brought to the process.
fn drift_is_found(scene: &Scene) {
    let host = &scene.lab.hosts()[1];
    host.sh("sed -i 's/QUOTA_BACKEND_BYTES=.*/QUOTA_BACKEND_BYTES=1073741824/' /etc/etcd.env");
    let plan = scene.plan().exits(2).says(&["change etcd's settings on etcd2", "1.0 GiB → 4.0 GiB"]);
    assert!(plan.stdout.contains("Plan: 1 step"), "the process never had it: {}", plan.stdout);
    scene.apply().exits(0);
    host.sh("printf '\\nETCD_LOG_LEVEL=warn\\n' >>/etc/etcd.env");
    let plan = scene.plan().exits(2).says(&["restart etcd on etcd2", "another `log-level` than /etc/etcd.env says"]);
    assert!(plan.stdout.contains("Plan: 1 step"), "{}", plan.stdout);
    scene.apply().exits(0);
    scene.is_in_sync();
}

/// Nothing is changed where it would not reach etcd, or keep it from starting.
fn what_would_do_harm_is_left(scene: &Scene) {
    let host = &scene.lab.hosts()[2];
    println!("a member whose data is gone is not started without it");
    host.sh("systemctl stop etcd; mv /var/lib/etcd/member /root/member");
    scene.quorate(&["apply", "--yes"]).exits(3).says(&["--allow replace-member:etcd3"]);
    assert!(!host.exec("systemctl is-active --quiet etcd").succeeded());
    host.sh("mv /root/member /var/lib/etcd/member");
    println!("the same, stopped");
    scene.apply().exits(0);
    scene.is_in_sync();
    println!("a log in a folder of its own");
    host.sh("systemctl stop etcd; mv /var/lib/etcd/member/wal /srv/wal; printf '\\nETCD_WAL_DIR=/srv/wal\\n' >>/etc/etcd.env; systemctl start etcd");
    scene.plan().exits(3).says(&["etcd on etcd3 has its log in /srv/wal"]);
    host.sh("systemctl stop etcd; mv /srv/wal /var/lib/etcd/member/wal; sed -i /WAL_DIR/d /etc/etcd.env; systemctl start etcd");
    scene.is_in_sync();
}
