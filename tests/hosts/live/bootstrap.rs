//! The whole way: bare hosts become a cluster.

use super::World;
use crate::lab::User;

#[test]
fn three_bare_hosts_become_a_cluster_for_root_and_for_a_sudo_user() {
    for user in [User::Root, User::WithSudo("ops".into())] {
        let test = "three_bare_hosts_become_a_cluster_for_root_and_for_a_sudo_user";
        let Some(world) = World::up(test, 3, user) else { return };
        world.apply();
        let observed = world.observe(&world.live());
        assert!(observed.is_complete(), "{observed:#?}");
        assert!(quorate::core::planner::plan(&world.desired, &observed).is_empty());
        let health = "cd /etc/etcd/pki && etcdctl --cacert ca.crt --cert healthcheck-client.crt \
                      --key healthcheck-client.key endpoint health --cluster 2>&1";
        let said = world.lab.host("etcd-1").sh(health);
        assert_eq!(said.matches("is healthy").count(), 3, "{said}");
    }
}
