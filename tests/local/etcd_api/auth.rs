//! Users, roles and authentication, on every version.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use quorate::core::cluster::leaf::Wanted;
use quorate::core::names::{RoleName, UserName, Version};
use quorate::core::observed::Usage;
use quorate::core::observed::auth::{KeyAccess, Permission};
use quorate::shell::live::etcd::{AuthState, Member, Objection};
use secrecy::SecretString;

use super::answers::SERVED;
use super::process::{Cluster, DEADLINE, Etcd, now, pair};
use crate::lab::Series;

fn user(name: &str) -> UserName {
    UserName::new(name)
}

fn role(name: &str) -> RoleName {
    RoleName::new(name)
}

/// The role and the user without whom nothing can be turned on.
async fn make_root(member: &Member) {
    member.add_role(&role("root"), DEADLINE).await.unwrap();
    member.add_user(&user("root"), None, DEADLINE).await.unwrap();
    member.grant_role(&user("root"), &role("root"), DEADLINE).await.unwrap();
}

async fn roles_of(member: &Member) -> BTreeMap<RoleName, BTreeSet<Permission>> {
    member.auth_store(false, DEADLINE).await.unwrap().roles
}

#[tokio::test]
async fn roles_and_users_are_made_and_unmade() {
    for series in SERVED {
        let Some(cluster) = Cluster::of(1, "roles_and_users_are_made_and_unmade", series) else { continue };
        let members = cluster.started().await;
        let member = members[0].connect(&cluster.tls()).await.unwrap();
        let version = member.answer(DEADLINE).await.unwrap().cluster_version;
        let app = role("app");
        assert!(!member.auth_state(version, DEADLINE).await.unwrap().enabled, "{series}");
        assert!(roles_of(&member).await.is_empty(), "{series}");
        member.add_role(&app, DEADLINE).await.unwrap();
        let again = member.add_role(&app, DEADLINE).await.unwrap_err();
        assert_eq!(again.objection, Objection::AlreadySo, "{series}: {again:?}");

        let all: BTreeSet<_> = [
            Permission::prefix("/app/", KeyAccess::ReadWrite),
            Permission::prefix("", KeyAccess::Read),
            Permission::key("/one", KeyAccess::Write),
            Permission::range("a", "d", KeyAccess::Read),
        ]
        .into();
        for permission in &all {
            member.grant(&app, permission, DEADLINE).await.unwrap();
        }
        assert_eq!(roles_of(&member).await[&app], all, "{series}");
        // For the same keys it takes the other's place.
        member.grant(&app, &Permission::key("/one", KeyAccess::Read), DEADLINE).await.unwrap();
        assert_eq!(roles_of(&member).await[&app].len(), 4, "{series}");
        for permission in &all {
            member.revoke(&app, permission, DEADLINE).await.unwrap();
            let again = member.revoke(&app, permission, DEADLINE).await.unwrap_err();
            assert_eq!(again.objection, Objection::AlreadySo, "{series}: {again:?}");
        }
        assert!(roles_of(&member).await[&app].is_empty(), "{series}");

        member.add_user(&user("app"), Some(&SecretString::from("hunter2")), DEADLINE).await.unwrap();
        let again = member.add_user(&user("app"), None, DEADLINE).await.unwrap_err();
        assert_eq!(again.objection, Objection::AlreadySo, "{series}: {again:?}");
        member.grant_role(&user("app"), &app, DEADLINE).await.unwrap();
        member.grant_role(&user("app"), &app, DEADLINE).await.unwrap();
        let store = member.auth_store(false, DEADLINE).await.unwrap();
        assert_eq!(store.users[&user("app")].roles, [app.clone()].into(), "{series}");
        assert_eq!(member.has_password(&user("app"), DEADLINE).await, None, "{series}: it is told only with auth on");
        member.revoke_role(&user("app"), &app, DEADLINE).await.unwrap();
        let again = member.revoke_role(&user("app"), &app, DEADLINE).await.unwrap_err();
        assert_eq!(again.objection, Objection::AlreadySo, "{series}: {again:?}");
        member.delete_role(&app, DEADLINE).await.unwrap();
        member.delete_user(&user("app"), DEADLINE).await.unwrap();
        let gone = [member.delete_role(&app, DEADLINE).await, member.delete_user(&user("app"), DEADLINE).await];
        assert!(
            gone.iter().all(|gone| gone.as_ref().unwrap_err().objection == Objection::AlreadySo),
            "{series}: {gone:?}"
        );
        // Without root etcd refuses, and so says the rule that asks first.
        let refused = member.set_auth(true, DEADLINE).await.unwrap_err();
        assert_eq!(refused.objection, Objection::Final, "{series}: {refused:?}");
    }
}

#[tokio::test]
async fn a_member_answers_us_as_before_when_authentication_is_on() {
    for series in SERVED {
        let test = "a_member_answers_us_as_before_when_authentication_is_on";
        let Some(cluster) = Cluster::of(1, test, series) else { continue };
        let members = cluster.started().await;
        let tls = cluster.tls();
        let member = members[0].connect(&tls).await.unwrap();
        make_root(&member).await;
        member.add_user(&user("plain"), None, DEADLINE).await.unwrap();
        member.add_user(&user("secret"), Some(&SecretString::from("hunter2")), DEADLINE).await.unwrap();
        let before = member.answer(DEADLINE).await.unwrap();
        let version = before.cluster_version;
        let off = member.auth_state(version, DEADLINE).await.unwrap();
        assert!(!off.enabled && off.revision.is_some() == (series != Series::V3_4), "{series}: {off:?}");
        member.set_auth(true, DEADLINE).await.unwrap();
        member.set_auth(true, DEADLINE).await.unwrap();

        for member in [&member, &members[0].connect(&tls).await.unwrap()] {
            let answer = member.answer(DEADLINE).await.unwrap();
            assert!(answer.reads && answer.members == before.members, "{series}: {answer:?}");
            assert_eq!((answer.leader, answer.cluster_version), (before.leader, before.cluster_version), "{series}");
            member.put("/key", "value", DEADLINE).await.unwrap();
            member.delete("/key", DEADLINE).await.unwrap();
            let state = member.auth_state(version, DEADLINE).await.unwrap();
            assert_eq!(state, AuthState { enabled: true, ..off }, "{series}");
            assert_eq!(member.auth_store(true, DEADLINE).await.unwrap().users.len(), 3, "{series}");
            assert_eq!(member.has_password(&user("plain"), DEADLINE).await, Some(false), "{series}");
            assert_eq!(member.has_password(&user("secret"), DEADLINE).await, Some(true), "{series}");
        }
        // The way in cannot be taken away by mistake.
        let refused = member.delete_user(&user("root"), DEADLINE).await.unwrap_err();
        assert_eq!(refused.objection, Objection::Final, "{series}: {refused:?}");
        let refused = member.revoke_role(&user("root"), &role("root"), DEADLINE).await.unwrap_err();
        assert_eq!(refused.objection, Objection::Final, "{series}: {refused:?}");
        member.add_user(&user("later"), None, DEADLINE).await.unwrap();
        let later = member.auth_state(version, DEADLINE).await.unwrap();
        assert!(off.revision.is_none() || later.revision > off.revision, "{series}: {later:?}");
        member.set_auth(false, DEADLINE).await.unwrap();
        member.set_auth(false, DEADLINE).await.unwrap();
        assert!(!member.auth_state(version, DEADLINE).await.unwrap().enabled, "{series}");
    }
}

/// A member of 3.4 panics at the question that 3.5 has for it, so it is asked only where there is none any more.
#[tokio::test]
async fn whether_it_is_on_is_asked_without_an_entry_before_3_5() {
    for series in SERVED {
        let test = "whether_it_is_on_is_asked_without_an_entry_before_3_5";
        let Some(cluster) = Cluster::of(1, test, series) else { continue };
        let members = cluster.started().await;
        let member = members[0].connect(&cluster.tls()).await.unwrap();
        for enabled in [false, true] {
            if enabled {
                make_root(&member).await;
                member.set_auth(true, DEADLINE).await.unwrap();
            }
            for version in [None, Some(Version::new(3, 4, 0))] {
                let before = member.answer(DEADLINE).await.unwrap().index;
                let state = member.auth_state(version, DEADLINE).await.unwrap();
                assert_eq!(state, AuthState { enabled, revision: None }, "{series}");
                assert_eq!(member.answer(DEADLINE).await.unwrap().index, before, "{series}");
            }
        }
    }
}

/// etcdctl takes a denied read for a sign of health, so the health check's certificate needs no user.
#[tokio::test]
async fn strangers_get_nothing_and_the_health_check_goes_on() {
    for series in SERVED {
        let test = "strangers_get_nothing_and_the_health_check_goes_on";
        let Some(cluster) = Cluster::of(1, test, series) else { continue };
        let members = cluster.started().await;
        let member = members[0].connect(&cluster.tls()).await.unwrap();
        make_root(&member).await;
        member.set_auth(true, DEADLINE).await.unwrap();
        let said = etcdctl(&cluster, &members[0], "stranger", &["user", "list"]);
        assert!(said.contains("permission denied") || said.contains("user name not found"), "{series}: {said}");
        for arguments in [["endpoint", "health"].as_slice(), &["endpoint", "health", "--cluster"]] {
            let said = etcdctl(&cluster, &members[0], "etcd-healthcheck-client", arguments);
            println!("{series}: {said}");
            assert!(said.contains("is healthy"), "{series}: {said}");
        }
    }
}

/// The release's own etcdctl, with a certificate for `name`.
fn etcdctl(cluster: &Cluster, etcd: &Etcd, name: &str, arguments: &[&str]) -> String {
    let wanted = Wanted {
        common_name: name.to_owned(),
        names: BTreeSet::new(),
        usages: BTreeSet::from([Usage::ClientAuth]),
        like: None,
    };
    let (certificate, key) = pair(&cluster.signer, &wanted, now());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let output = Command::new(cluster.tool("etcdctl"))
        .env("ETCDCTL_API", "3")
        .arg(format!("--endpoints=https://{}:{}", etcd.address, etcd.port))
        .arg(format!("--cacert={}", file("ca.crt", cluster.signer.certificate_pem()).display()))
        .arg(format!("--cert={}", file("client.crt", &certificate).display()))
        .arg(format!("--key={}", file("client.key", &key).display()))
        .args(arguments)
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
