//! What members that can be reached say.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use etcd_client::{Client, Identity, MemberAddOptions, TlsOptions};
use quorate::core::code::Code;
use quorate::core::names::{ClientUrl, PeerUrl, Version};
use quorate::core::observed::{Alarm, MemberEntry, Seen};
use quorate::shell::live::etcd::Member;
use secrecy::ExposeSecret as _;

use super::process::{Cluster, DEADLINE, Etcd, host, now, place};
use crate::lab::Series;

pub const SERVED: [Series; 6] =
    [Series::V3_4, Series::V3_5_1, Series::V3_5_16, Series::V3_5, Series::V3_6, Series::V3_7];

/// A client of another make than ours, for what the tests change.
async fn other_client(cluster: &Cluster, etcd: &Etcd) -> Client {
    let identity = cluster.signer.operator(now()).unwrap();
    let tls = TlsOptions::new()
        .ca_certificate(etcd_client::Certificate::from_pem(cluster.signer.certificate_pem()))
        .identity(Identity::from_pem(identity.certificate_pem, identity.key_pem.expose_secret()));
    let options = etcd_client::ConnectOptions::new().with_tls(tls).with_timeout(Duration::from_secs(10));
    Client::connect([format!("https://{}:{}", etcd.address, etcd.port)], Some(options)).await.unwrap()
}

#[tokio::test]
async fn a_healthy_member_of_every_version_answers() {
    for series in SERVED {
        let Some(cluster) = Cluster::of(1, "a_healthy_member_of_every_version_answers", series) else { continue };
        let mut members = cluster.started().await;
        let etcd = &mut members[0];
        let answer = etcd.answer(&cluster.tls()).await.unwrap();
        let entry = MemberEntry {
            id: answer.member,
            name: Some(host(0)),
            peer_urls: BTreeSet::from([PeerUrl::new(cluster.peer_url(0))]),
            client_urls: BTreeSet::from([ClientUrl::new(cluster.client_url(0))]),
            learner: false,
        };
        assert_eq!(answer.members, Seen::Known(vec![entry]), "{series}");
        assert_eq!(answer.leader, Some(answer.member), "{series}");
        assert!(answer.reads && !answer.learner, "{series}");
        assert!(answer.version >= Version::new(3, 4, 0) && answer.cluster.0 != 0 && answer.term > 0, "{answer:?}");
        assert!(answer.index > 0 && answer.applied > 0 && answer.database_bytes > 0, "{answer:?}");
        assert!(answer.errors.is_empty() && answer.alarms.is_empty(), "{answer:?}");
    }
}

/// `plan` may be run every minute by a monitor: nothing of it may end in the raft log.
#[tokio::test]
async fn looking_does_not_write() {
    for series in SERVED {
        let Some(cluster) = Cluster::of(1, "looking_does_not_write", series) else { continue };
        let members = cluster.started().await;
        let tls = cluster.tls();
        let first = members[0].answer(&tls).await.unwrap();
        for _ in 0..10 {
            assert_eq!(members[0].answer(&tls).await.unwrap().index, first.index, "{series}");
        }
    }
}

#[tokio::test]
async fn a_member_that_has_lost_its_quorum_says_so() {
    for series in [Series::V3_4, Series::V3_5, Series::V3_7] {
        let Some(cluster) = Cluster::of(3, "a_member_that_has_lost_its_quorum_says_so", series) else { continue };
        let mut members = cluster.started().await;
        members.truncate(1);
        let tls = cluster.tls();
        let answer = members[0].until(&tls, |answer| answer.leader.is_none()).await;
        assert!(!answer.reads, "{series}");
        assert!(answer.errors.contains(&"etcdserver: no leader".to_owned()), "{answer:?}");
        let member = members[0].connect(&tls).await.unwrap();
        let begun = Instant::now();
        let answer = member.answer(DEADLINE).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "it says so at once: {:?}", begun.elapsed());
        // Before 3.5 a member lists whom it knows, with or without a quorum; our header makes it refuse.
        let cause = answer.members.unknown().unwrap();
        assert_eq!(cause.summary, "etcd on etcd-0 has no leader", "{series}");
    }
}

/// The others are frozen, which the member does not know yet: it believes in its leader, and must not be believed itself.
#[tokio::test]
async fn a_member_does_not_speak_for_a_quorum_that_is_gone() {
    for series in [Series::V3_5, Series::V3_6, Series::V3_7] {
        let test = "a_member_does_not_speak_for_a_quorum_that_is_gone";
        let Some(mut cluster) = Cluster::of(3, test, series) else { continue };
        // Long enough for the member to keep its belief while it is asked.
        cluster.flags = vec!["--election-timeout=20000".to_owned(), "--heartbeat-interval=200".to_owned()];
        let members = cluster.started().await;
        let tls = cluster.tls();
        let mut followers = Vec::new();
        for etcd in &members {
            let answer = etcd.answer(&tls).await.unwrap();
            if answer.leader != Some(answer.member) {
                followers.push(etcd);
            }
        }
        let member = followers[0].connect(&tls).await.unwrap();
        members.iter().filter(|etcd| etcd.pid() != followers[0].pid()).for_each(Etcd::freeze);
        let answer = member.answer(Duration::from_millis(500)).await.unwrap();
        assert!(answer.leader.is_some() && !answer.reads, "{series}: {answer:?}");
        let cause = answer.members.unknown().unwrap();
        assert!(cause.summary.ends_with("no answer to the request for the member list within 0.5 s"), "{cause:?}");
    }
}

/// It listens, and does not serve: newer versions begin to after a while, without a leader.
#[tokio::test]
async fn a_member_that_waits_for_its_quorum_is_given_up_in_time() {
    let test = "a_member_that_waits_for_its_quorum_is_given_up_in_time";
    let Some(cluster) = Cluster::of(3, test, Series::V3_4) else { return };
    let etcd = cluster.start(0);
    etcd.until_listening().await;
    let begun = Instant::now();
    let cause = etcd.connect(&cluster.tls()).await.err().unwrap().cause;
    assert!(begun.elapsed() >= DEADLINE && begun.elapsed() < 2 * DEADLINE, "{:?}", begun.elapsed());
    assert_eq!(cause.code, Code::MemberSilent);
    assert_eq!(cause.summary, "etcd on etcd-0 does not answer: it accepted the connection but did not answer for 3 s");
    assert!(cause.hint.unwrap().contains("quorum"));
}

#[tokio::test]
async fn leadership_is_handed_over() {
    for series in [Series::V3_4, Series::V3_5, Series::V3_7] {
        let Some(cluster) = Cluster::of(3, "leadership_is_handed_over", series) else { continue };
        let members = cluster.started().await;
        let tls = cluster.tls();
        let mut answers = Vec::new();
        for etcd in &members {
            answers.push((etcd, etcd.answer(&tls).await.unwrap()));
        }
        let (lead, follow): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|(_, answer)| answer.leader == Some(answer.member));
        let heir = follow[0].1.member;
        let leader = lead[0].0.connect(&tls).await.unwrap();
        leader.move_leader(heir, DEADLINE).await.unwrap();
        assert_eq!(leader.status(DEADLINE).await.unwrap().leader, Some(heir), "{series}");
        let refused = leader.move_leader(heir, DEADLINE).await.unwrap_err();
        assert!(refused.summary.contains("not leader"), "{refused:?}");
    }
}

/// The words differ between versions: 3.6 and older print with gogo, newer ones with another library.
#[tokio::test]
async fn an_alarm_is_seen_without_asking_for_it() {
    for series in [Series::V3_4, Series::V3_5, Series::V3_6, Series::V3_7] {
        let Some(mut cluster) = Cluster::of(1, "an_alarm_is_seen_without_asking_for_it", series) else { continue };
        cluster.flags = vec!["--quota-backend-bytes=1048576".to_owned()];
        let mut members = cluster.started().await;
        let mut client = other_client(&cluster, &members[0]).await;
        // The size that is compared with the quota grows with each commit, ten times a second.
        let mut puts = 0;
        while client.put(format!("key-{puts}"), vec![b'x'; 200_000], None).await.is_ok() {
            puts += 1;
            assert!(puts < 1000, "{series}: the quota was not reached");
        }
        let answer = members[0].until(&cluster.tls(), |answer| !answer.alarms.is_empty()).await;
        let alarm = Alarm { kind: "NOSPACE".to_owned(), member: Some(answer.member) };
        assert_eq!(answer.alarms, BTreeSet::from([alarm]), "{series}");
        assert_eq!(answer.errors, [""; 0], "{series}: an alarm is no error of the member");
        assert!(answer.reads, "reads go on");
    }
}

#[tokio::test]
async fn a_learner_is_told_from_a_voter() {
    for series in [Series::V3_4, Series::V3_5, Series::V3_7] {
        let Some(cluster) = Cluster::of(1, "a_learner_is_told_from_a_voter", series) else { continue };
        let voters = cluster.started().await;
        let url = cluster.peer_url(1);
        let mut client = other_client(&cluster, &voters[0]).await;
        let added = async || {
            let options = MemberAddOptions::new().with_is_learner();
            client.member_add([url.clone()], Some(options)).await
        };
        // etcd wants its members to have been connected for a while.
        retried(added).await;
        let tls = cluster.tls();
        let unstarted = voters[0].answer(&tls).await.unwrap();
        let entry = unstarted.members.known().unwrap().iter().find(|entry| entry.learner).unwrap().clone();
        assert_eq!((entry.name, entry.peer_urls), (None, BTreeSet::from([PeerUrl::new(url)])), "{series}");
        let mut learner = cluster.start_among(1, 2, "existing");
        let answer = learner.until(&tls, |answer| answer.learner && answer.leader.is_some()).await;
        assert!(!answer.reads, "{series}");
        assert_eq!(answer.member, entry.id, "{series}");
        let cause = answer.members.unknown().unwrap();
        assert!(cause.summary.ends_with("learners do not serve this request"), "{series}: {cause:?}");
    }
}

async fn retried<T, E: std::fmt::Display>(mut call: impl AsyncFnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn with_auth_on_our_certificate_is_roots() {
    for series in [Series::V3_4, Series::V3_5, Series::V3_6, Series::V3_7] {
        let Some(cluster) = Cluster::of(1, "with_auth_on_our_certificate_is_roots", series) else { continue };
        let members = cluster.started().await;
        let mut client = other_client(&cluster, &members[0]).await;
        let without_password = etcd_client::UserAddOptions::new().with_no_pwd();
        client.user_add("root", "", Some(without_password)).await.unwrap();
        client.user_grant_role("root", "root").await.unwrap();
        client.auth_enable().await.unwrap();
        let answer = members[0].answer(&cluster.tls()).await.unwrap();
        assert!(answer.reads && answer.members.known().is_some_and(|list| list.len() == 1), "{series}: {answer:?}");
    }
}

#[tokio::test]
async fn a_lost_connection_is_noticed() {
    let Some(cluster) = Cluster::of(1, "a_lost_connection_is_noticed", Series::V3_5) else { return };
    let members = cluster.started().await;
    let member = members[0].connect(&cluster.tls()).await.unwrap();
    member.answer(DEADLINE).await.unwrap();
    assert!(!member.is_lost());
    drop(members);
    let begun = Instant::now();
    let cause = member.answer(DEADLINE).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(member.is_lost());
    assert_eq!(cause.summary, "etcd on etcd-0 does not answer: it closed the connection");
}

/// As through a tunnel: any stream will do, and the certificate is checked for the member's address all the same.
#[tokio::test]
async fn any_stream_will_do() {
    let Some(cluster) = Cluster::of(1, "any_stream_will_do", Series::V3_5) else { return };
    let members = cluster.started().await;
    let mut tcp = tokio::net::TcpStream::connect((cluster.address.as_str(), members[0].port)).await.unwrap();
    let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
    let pump = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut tcp, &mut theirs).await });
    let tls = cluster.tls();
    let member = Member::connect(place(&host(0), &cluster.address), ours, &tls, DEADLINE).await.unwrap();
    assert!(member.answer(DEADLINE).await.unwrap().reads);
    drop(member);
    // Dropping the member closes the stream, which ends the pump, tidily or not.
    let _ = tokio::time::timeout(DEADLINE, pump).await.unwrap().unwrap();
}
