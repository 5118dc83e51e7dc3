//! Each action that stages something, done twice: the effect that was predicted is what is seen.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use quorate::core::names::Digest;
use quorate::core::observed::{File, Folder, Role};
use quorate::core::plan::action::{Action, AuthorityAction, CertificateAction, FileAction, HostAction, ServiceAction};

use super::{World, name, seen};
use crate::lab::{Host, Lab, User};

#[test]
fn every_staging_action_does_what_it_predicts_and_does_no_harm_when_repeated() {
    for user in [User::Root, User::WithSudo("ops".into())] {
        let test = "every_staging_action_does_what_it_predicts_and_does_no_harm_when_repeated";
        // Plain, because what is due is counted, and an account is drawn.
        let lab = Lab::builder().hosts(1).user(user).plain();
        let Some(world) = World::on(test, lab) else { return };
        let live = world.live();
        let _lock = world.lock(&live);
        let mut observed = world.observe(&live);
        let mut kinds = Vec::new();
        loop {
            let draft = quorate::core::planner::next(&world.desired, &observed).step.expect("a start is planned");
            if draft.actions.iter().any(Action::touches_service) {
                break;
            }
            for action in &draft.actions {
                kinds.push(action.to_string());
                observed = match action {
                    // It is made once, and never over another.
                    Action::Authority(AuthorityAction::Create) => {
                        world.wait(quorate::shell::fleet::Fleet::perform(&live, action)).expect("it is made");
                        world.observe(&live)
                    }
                    _ => world.perform_twice(&live, action, &observed),
                };
            }
        }
        let version = world.desired.cluster.version;
        let link = Action::Host(HostAction::LinkTools { host: name("etcd-1"), version });
        world.perform_twice(&live, &link, &observed);
        assert_eq!(kinds.len(), 11, "{kinds:?}");
        let host = world.lab.host("etcd-1");
        assert_eq!(host.sh("etcdctl version | head -n 1"), format!("etcdctl version: {version}"));
        assert_eq!(host.sh("getent passwd etcd | cut -d: -f6,7"), "/var/lib/etcd:/usr/sbin/nologin");
        let log = host.sh("journalctl --no-pager --output cat --identifier quorate");
        assert!(log.contains("test by tester@lab: install etcd"), "{log}");
        assert!(log.contains("test by tester@lab: issue server.crt with a new key: done"), "{log}");
        no_rest(host);
    }
}

/// No temporary file of ours is left.
fn no_rest(host: &Host) {
    assert_eq!(host.sh("find / -xdev -name '*.quorate' 2>/dev/null || true"), "");
}

/// A host on which everything is staged, seen.
fn staged(test: &str) -> Option<(World, quorate::shell::live::Live, std::sync::Arc<quorate::shell::live::lock::Lock>)> {
    let world = World::up(test, 1, User::Root)?;
    world.give_etcd();
    let live = world.live();
    let lock = world.lock(&live);
    world.stage(&live);
    Some((world, live, lock))
}

#[test]
fn what_was_put_wrong_by_hand_is_put_right() {
    let Some((world, live, _lock)) = staged("what_was_put_wrong_by_hand_is_put_right") else { return };
    let host = world.lab.host("etcd-1");
    let etcd_1 = || name("etcd-1");
    host.sh("cd /etc/etcd/pki; chmod 644 server.key; chown root:daemon peer.key; chown etcd /etc/etcd/etcd.yaml; \
         chmod 777 /var/lib/etcd; chown daemon /etc/etcd; systemctl disable --quiet etcd");
    let mut observed = world.observe(&live);
    for action in [
        Action::File(FileAction::RestoreAccess { host: etcd_1(), file: File::ServerKey }),
        Action::File(FileAction::RestoreAccess { host: etcd_1(), file: File::PeerKey }),
        Action::File(FileAction::RestoreAccess { host: etcd_1(), file: File::Config }),
        Action::File(FileAction::RestoreFolderAccess { host: etcd_1(), folder: Folder::Data }),
        Action::File(FileAction::RestoreFolderAccess { host: etcd_1(), folder: Folder::Config }),
        Action::Service(ServiceAction::Enable { host: etcd_1() }),
    ] {
        observed = world.perform_twice(&live, &action, &observed);
    }
    // systemd compares the time of the file with when it has read it.
    host.sh("systemctl start --no-block etcd; sleep 1.1; touch /etc/systemd/system/etcd.service; systemctl stop etcd");
    let observed = world.observe(&live);
    if seen(&observed, "etcd-1").service.needs_reload {
        world.perform_twice(&live, &Action::Service(ServiceAction::ReloadUnits { host: etcd_1() }), &observed);
    }
}

#[test]
fn keys_certificates_and_files_of_others_are_kept_when_they_are_replaced() {
    let Some((world, live, _lock)) = staged("keys_certificates_and_files_of_others_are_kept") else { return };
    let host = world.lab.host("etcd-1");
    let etcd_1 = || name("etcd-1");
    let digest = |path: &str| Digest::of(host.read(path).unwrap_or_else(|| panic!("there is no {path}")));
    let (key, certificate) = (digest("/etc/etcd/pki/server.key"), digest("/etc/etcd/pki/server.crt"));
    let issue = Action::Certificate(CertificateAction::Issue {
        host: etcd_1(),
        role: Role::Server,
        also: Default::default(),
        by: Default::default(),
    });
    // What a run that was killed in the middle leaves behind.
    host.sh("mkdir /etc/etcd/pki/.server.quorate; echo half >/etc/etcd/pki/.server.quorate/server.key");
    world.perform(&live, &issue);
    assert_ne!(digest("/etc/etcd/pki/server.key"), key);
    assert_eq!(digest("/etc/etcd/pki/server.key.previous"), key);
    assert_eq!(digest("/etc/etcd/pki/server.crt.previous"), certificate);
    assert_eq!(host.sh("stat -c '%a %U %G' /etc/etcd/pki/server.key.previous"), "600 etcd etcd");
    // The next one may find the last name given and the last rename not done.
    host.sh("cd /etc/etcd/pki; ln -f server.key server.key.previous");
    world.perform(&live, &issue);

    let write =
        |text: &str| Action::File(FileAction::Write { host: etcd_1(), file: File::Config, text: text.to_owned() });
    let ours = host.read("/etc/etcd/etcd.yaml").expect("it is staged");
    host.write("/etc/etcd/.etcd.yaml.quorate", "half of a");
    world.perform(&live, &write(&(ours.clone() + "# once more\n")));
    assert_eq!(host.read("/etc/etcd/etcd.yaml.previous"), None, "our own text is in no need of being kept");
    host.write("/etc/etcd/etcd.yaml", "name: someone-elses\n");
    world.perform(&live, &write(&ours));
    assert_eq!(host.read("/etc/etcd/etcd.yaml.previous").as_deref(), Some("name: someone-elses\n"));
    assert_eq!(host.read("/etc/etcd/etcd.yaml"), Some(ours));
    no_rest(host);
}

#[test]
fn a_broken_installation_is_installed_again_and_the_binary_that_is_right_stays_the_same_file() {
    let Some((world, live, _lock)) = staged("a_broken_installation_is_installed_again") else { return };
    let host = world.lab.host("etcd-1");
    let folder = format!("/opt/etcd/{}", world.desired.cluster.version);
    let inode = || host.sh(&format!("stat -c %i {folder}/etcd"));
    let before = inode();
    host.sh(&format!("rm {folder}/etcdctl; mkdir -p /opt/etcd/.{}.quorate/etcd", world.desired.cluster.version));
    let observed = world.observe(&live);
    let [install] = &quorate::core::planner::next(&world.desired, &observed).step.expect("a repair").actions[..] else {
        panic!("one action")
    };
    assert!(matches!(install, Action::Host(HostAction::InstallBinaries { .. })), "{install}");
    world.perform_twice(&live, install, &observed);
    assert_eq!(inode(), before);
    no_rest(host);
}

/// Run by the test below in a process of its own, which is then killed.
#[test]
#[ignore = "a part of another test"]
fn stage_until_killed() {
    let world = World::attach();
    let live = world.live();
    let _lock = world.lock(&live);
    println!("staging");
    world.stage(&live);
}

/// A remote script goes on for a while when the run that began it is killed; the next run must not meet it half-way.
#[test]
fn a_run_that_is_killed_anywhere_is_finished_by_the_next() {
    let Some(world) = World::up("a_run_that_is_killed_anywhere_is_finished_by_the_next", 1, User::Root) else { return };
    let host = world.lab.host("etcd-1");
    let live = world.live();
    for delay_ms in [30, 120, 250, 400, 600, 800, 1000, 1200, 1500, 2000] {
        let mut child = world.child("live::staging::stage_until_killed");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line.ends_with("staging"))));
        std::thread::sleep(Duration::from_millis(delay_ms));
        child.kill().expect("SIGKILL");
        child.wait().expect("it is dead");
        let lock = world.lock(&live);
        world.stage(&live);
        drop(lock);
        let observed = world.observe(&live);
        assert!(seen(&observed, "etcd-1").installed.values().all(|installed| installed.archive.is_some()));
        no_rest(host);
        host.sh("rm -rf /opt/etcd /etc/etcd /etc/systemd/system/etcd.service; systemctl daemon-reload");
        std::fs::remove_dir_all(world.lab.dir().join("pki")).expect("it was made");
    }
}

#[test]
fn what_cannot_be_done_says_so_in_the_hosts_words_and_leaves_nothing_behind() {
    let Some((world, live, _lock)) = staged("what_cannot_be_done_says_so_in_the_hosts_words") else { return };
    let host = world.lab.host("etcd-1");
    let etcd_1 = || name("etcd-1");
    let fails = |action: &Action| {
        let failure = world.wait(quorate::shell::fleet::Fleet::perform(&live, action)).expect_err("it must fail");
        assert_eq!(failure.place.as_deref(), Some("etcd-1"));
        failure.to_string()
    };
    host.sh("rm /etc/systemd/system/etcd.service; systemctl mask --quiet etcd.service");
    let unit = Action::File(FileAction::Write { host: etcd_1(), file: File::Unit, text: "[Unit]\n".to_owned() });
    assert!(fails(&unit).contains("was masked by hand"), "{}", fails(&unit));

    host.sh("rm -r /etc/etcd/etcd.yaml; mkdir /etc/etcd/etcd.yaml");
    let config =
        Action::File(FileAction::Write { host: etcd_1(), file: File::Config, text: "name: etcd-1\n".to_owned() });
    assert!(fails(&config).contains("/etc/etcd/etcd.yaml is a folder"), "{}", fails(&config));

    host.sh("rm -r /opt/etcd; mkdir /opt/etcd; mount -t tmpfs -o size=30m tmpfs /opt/etcd");
    let version = world.desired.cluster.version;
    let architecture = quorate::core::names::Architecture::Amd64;
    let said = fails(&Action::Host(HostAction::InstallBinaries { host: etcd_1(), version, architecture }));
    assert!(said.contains("No space left on device"), "{said}");
    no_rest(host);

    let log = host.sh("journalctl --no-pager --output cat --identifier quorate");
    assert!(log.contains("write etcd.yaml: failed with status 1"), "{log}");
    let secrets = ["PRIVATE KEY", "BEGIN"];
    assert!(!secrets.iter().any(|secret| log.contains(secret)), "{log}");
}
