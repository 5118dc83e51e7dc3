//! What takes a member off its host, on hosts where a data directory is a disk of its own, or a link to one.

use quorate::core::observed::{DataDirectory, File};
use quorate::core::plan::action::{Action, DepartureAction, ServiceAction};

use super::{World, name, seen};
use crate::lab::{Host, Lab, User};

#[test]
fn data_is_set_aside_whatever_it_lies_on() {
    let test = "data_is_set_aside_whatever_it_lies_on";
    let Some(world) = World::on(test, Lab::builder().hosts(1).data_in_place()) else { return };
    world.give_etcd();
    let live = world.live();
    let _lock = world.lock(&live);
    world.stage(&live);
    let host = world.lab.host("etcd-1");
    let data = || seen(&world.observe(&live), "etcd-1").data;
    let aside = Action::Departure(DepartureAction::SetDataAside { host: name("etcd-1") });
    let new_data_marker = "/etc/etcd/may-create-data";
    assert!(seen(&world.observe(&live), "etcd-1").files.contains_key(&File::NewDataMarker));

    // While it runs, and while systemd is about to start it once more, nothing is moved.
    world.perform(&live, &Action::Service(ServiceAction::Start { host: name("etcd-1") }));
    // It blocks until it serves.
    host.sh("systemctl start etcd");
    let refused = world.wait(quorate::shell::fleet::Fleet::perform(&live, &aside)).expect_err("it runs");
    assert!(refused.to_string().contains("etcd.service still runs"), "{refused}");
    world.perform(&live, &Action::Service(ServiceAction::Stop { host: name("etcd-1") }));
    host.write(new_data_marker, "token\n");

    // A folder gets another name.
    for _ in 0..2 {
        world.perform(&live, &aside);
        assert_eq!(data(), DataDirectory::Empty);
        assert_eq!(host.sh("ls -d /var/lib/etcd /var/lib/etcd.removed-*/member 2>/dev/null | wc -l"), "1");
    }
    assert!(!seen(&world.observe(&live), "etcd-1").files.contains_key(&File::NewDataMarker));

    // A disk of its own stays where it is, and so does a link to one.
    for place in
        ["mkdir /var/lib/etcd; mount -t tmpfs tmpfs /var/lib/etcd", "mkdir /srv/disk; ln -s /srv/disk /var/lib/etcd"]
    {
        host.sh(place);
        host.sh("cd /var/lib/etcd; mkdir -p lost+found member/wal member/snap; echo x | tee member/wal/0.wal >member/snap/db; touch .hidden");
        assert_eq!(data(), DataDirectory::Member);
        for _ in 0..2 {
            world.perform(&live, &aside);
            assert_eq!(data(), DataDirectory::Empty, "{place}");
        }
        assert_eq!(
            host.sh("cd /var/lib/etcd/removed-*; find . -mindepth 1 | sort | tr '\\n' ' '"),
            "./.hidden ./member ./member/snap ./member/snap/db ./member/wal ./member/wal/0.wal"
        );
        assert_eq!(host.sh("ls -A /var/lib/etcd | wc -l; ls -d /var/lib/etcd.removed-* | wc -l"), "2\n1");
        etcd_begins_anew(host);
        host.sh("umount /var/lib/etcd 2>/dev/null && rmdir /var/lib/etcd || rm /var/lib/etcd");
    }
}

/// etcd itself takes such a folder for an empty one.
fn etcd_begins_anew(host: &Host) {
    host.sh("chown -R etcd:etcd /var/lib/etcd/; chmod 700 /var/lib/etcd/");
    host.write("/etc/etcd/may-create-data", "token\n");
    host.sh("systemctl start etcd; systemctl is-active etcd; systemctl stop etcd");
    host.sh("rm -rf /var/lib/etcd/member");
}

#[test]
fn a_retirement_that_was_cut_off_is_finished() {
    let Some(world) = World::up("a_retirement_that_was_cut_off_is_finished", 1, User::Root) else { return };
    world.give_etcd();
    let live = world.live();
    let _lock = world.lock(&live);
    world.stage(&live);
    let host = world.lab.host("etcd-1");
    let retire = Action::Departure(DepartureAction::Retire { host: name("etcd-1") });
    host.write("/etc/etcd/departures", "# a note\n");
    host.write("/etc/etcd/etcd.yaml.previous", "someone-elses: text\n");
    host.sh("mkdir -p /var/lib/etcd/member/wal; touch /var/lib/etcd/member/wal/0.wal; ln /etc/etcd/pki/peer.key /etc/etcd/pki/peer.key.previous; systemctl start --no-block etcd");
    host.sh("rm /usr/local/bin/etcdutl 2>/dev/null; ln -s /bin/true /usr/local/bin/etcdutl");
    // Cut off by whoever is first to fail: nothing is done before what comes before it.
    for program in ["systemctl", "mv", "rm", "sync"] {
        host.write(
            &format!("/usr/local/sbin/{program}"),
            format!("#!/bin/sh\n[ \"$*\" = '' ] || kill -9 $PPID\n/bin/{program} \"$@\"\n"),
        );
        host.sh(&format!("chmod 755 /usr/local/sbin/{program}"));
        world.wait(quorate::shell::fleet::Fleet::perform(&live, &retire)).expect_err("it is cut off");
        host.sh(&format!("/bin/rm /usr/local/sbin/{program}"));
        let observed = world.observe(&live);
        assert!(
            quorate::core::cluster::standing::is_ours(&observed, seen(&observed, "etcd-1")),
            "{program}: the next run would not know it"
        );
    }
    for _ in 0..2 {
        world.perform(&live, &retire);
        let observed = world.observe(&live);
        let host = seen(&observed, "etcd-1");
        assert!(host.files.is_empty() && host.data == DataDirectory::Empty, "{host:?}");
        assert!(host.process.is_none() && !host.service.enabled && !host.service.needs_reload, "{host:?}");
    }
    assert_eq!(host.sh("find /etc/etcd /etc/systemd/system -name '*etcd*' -type f"), "/etc/etcd/etcd.yaml.previous");
    assert_eq!(host.sh("find /etc/etcd/pki -type f; readlink /usr/local/bin/etcdutl; ls /usr/local/bin/etcdctl 2>&1 | grep -c 'No such'"), "/bin/true\n1");
}
