//! A cluster that runs: changes are rolled out, and what was changed by hand is found.

use std::collections::BTreeSet;

use quorate::core::observed::File;
use quorate::shell::fleet::Fleet as _;
use quorate::shell::live::Live;

use super::{World, seen};
use crate::lab::User;

/// The unit's own start must not wait for quorum, the leader goes last and hands over, and the client port may move.
#[test]
fn a_changed_setting_and_a_changed_port_are_rolled_out() {
    let Some(mut world) = World::up("a_changed_setting_and_a_changed_port_are_rolled_out", 3, User::Root) else {
        return;
    };
    world.give_etcd();
    world.apply();
    let leader = || {
        let observed = world.observe(&world.live());
        let answers: Vec<_> = observed.seen_hosts().filter_map(|(_, host)| host.answer()).collect();
        answers.iter().map(|answer| (answer.leader, answer.term)).collect::<BTreeSet<_>>()
    };
    let before = leader();
    assert_eq!(before.len(), 1, "{before:?}");
    world.desired.ports.client = 4379;
    world.desired.etcd.quota_backend_bytes = Some(4 << 30);
    let plan = world.apply();
    assert_eq!(
        plan.steps
            .iter()
            .filter(|step| step.actions.iter().any(quorate::core::plan::action::Action::touches_service))
            .count(),
        3
    );
    let observed = world.observe(&world.live());
    assert!(observed.is_complete(), "{observed:#?}");
    assert!(quorate::core::planner::plan(&world.desired, &observed).is_empty());
    for (_, host) in observed.seen_hosts() {
        assert!(host.text_of(File::Config).is_some_and(|text| text.contains("quota-backend-bytes: 4294967296")));
    }
}

#[test]
fn hand_made_changes_to_a_running_member_are_seen() {
    let Some(world) = World::up("hand_made_changes_to_a_running_member_are_seen", 1, User::Root) else { return };
    world.give_etcd();
    world.apply();
    let host = world.lab.host("etcd-1");
    let version = world.desired.cluster.version;
    let stale = |live: &Live| {
        let observed = world.wait(live.observe());
        quorate::core::cluster::process::stale(&world.desired, seen(&observed, "etcd-1"))
    };
    let live = world.live();
    assert_eq!(stale(&live), None);
    host.sh("cp /etc/etcd/etcd.yaml /root/etcd.yaml; echo '# by hand' >>/etc/etcd/etcd.yaml");
    assert!(stale(&live).is_some_and(|(why, _)| why.contains("etcd.yaml")));
    host.sh("cat /root/etcd.yaml >/etc/etcd/etcd.yaml");
    assert_eq!(stale(&live), None, "the same text is the same, whenever it was written");
    host.sh(&format!("cd /opt/etcd/{version}; cp -a etcd etcd.copy; mv etcd.copy etcd"));
    assert!(stale(&live).is_some_and(|(why, _)| why.contains("was replaced since etcd started")));
    host.sh("systemctl restart etcd");
    assert_eq!(stale(&live), None);
    host.sh("mv /etc/etcd/pki/server.crt /root; systemctl restart --no-block etcd");
    let complaint = (0..50).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        seen(&world.observe(&live), "etcd-1").service.complaint.clone()
    });
    assert!(complaint.as_ref().is_some_and(|words| words.contains("server.crt")), "{complaint:?}");
    host.sh("mv /root/server.crt /etc/etcd/pki; systemctl restart etcd");
    assert_eq!(seen(&world.observe(&live), "etcd-1").service.complaint, None);
    host.sh("systemctl stop etcd; systemctl disable --quiet etcd");
    let observed = world.observe(&live);
    let stopped = seen(&observed, "etcd-1");
    assert!(stopped.process.is_none() && !stopped.service.enabled && stopped.answer().is_none());
}
