//! Changes of the member list, on every version: what each brings about, and what etcd says when it is asked twice.

use std::time::{Duration, Instant};

use quorate::core::names::{MemberId, PeerUrl, Version};
use quorate::core::observed::{MemberEntry, Seen};
use quorate::shell::live::etcd::{Member, Objection, Refusal};

use super::answers::SERVED;
use super::process::{Cluster, DEADLINE};
use crate::lab::Series;

/// Asks until it is done; only a refusal that `passes` is one to wait for.
async fn done(passes: Objection, mut call: impl AsyncFnMut() -> Result<(), Refusal>) {
    let begun = Instant::now();
    while let Err(refusal) = call().await {
        assert_eq!(refusal.objection, passes, "{refusal:?}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{refusal:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What a call that changes nothing any more is answered with.
#[track_caller]
fn is_so_already(asked: Result<(), Refusal>, series: Series) {
    let refusal = asked.expect_err("it is refused");
    assert_eq!(refusal.objection, Objection::AlreadySo, "{series}: {refusal:?}");
}

async fn entry(member: &Member, url: &PeerUrl) -> Option<MemberEntry> {
    let list = member.answer(DEADLINE).await.unwrap().members.known().unwrap().clone();
    list.into_iter().find(|entry| entry.peer_urls.contains(url))
}

#[tokio::test]
async fn a_member_is_added_promoted_and_removed() {
    for series in SERVED {
        let Some(cluster) = Cluster::of(1, "a_member_is_added_promoted_and_removed", series) else { continue };
        let voters = cluster.started().await;
        let tls = cluster.tls();
        let voter = voters[0].connect(&tls).await.unwrap();
        let url = PeerUrl::new(cluster.peer_url(1));
        done(Objection::Passing, async || voter.add_learner(&url, DEADLINE).await).await;
        let added = entry(&voter, &url).await.unwrap();
        assert!(added.learner && added.name.is_none(), "{series}: {added:?}");
        is_so_already(voter.add_learner(&url, DEADLINE).await, series);
        let behind = voter.promote(added.id, DEADLINE).await.unwrap_err();
        assert_eq!(behind.objection, Objection::Behind, "{series}: {behind:?}");

        let mut learner = cluster.start_among(1, 2, "existing");
        let answer = learner.until(&tls, |answer| answer.learner && answer.leader.is_some()).await;
        assert!(!answer.reads && answer.members.known().is_none() && answer.own_members.is_empty(), "{answer:?}");
        done(Objection::Behind, async || voter.promote(added.id, DEADLINE).await).await;
        // In a log this short, a voter too may lag by a tenth for a moment, which is what etcd looks at first; and on a busy
        // machine the new voter, without which there is no quorum now, may take longer than a call waits.
        let passes = |refusal: &Refusal| matches!(refusal.objection, Objection::Behind | Objection::Lost);
        let begun = Instant::now();
        let mut again = voter.promote(added.id, DEADLINE).await;
        while again.as_ref().is_err_and(passes) && begun.elapsed() < Duration::from_secs(20) {
            again = voter.promote(added.id, DEADLINE).await;
        }
        is_so_already(again, series);
        assert!(!entry(&voter, &url).await.unwrap().learner, "{series}");
        let answer = learner.until(&tls, |answer| answer.reads && !answer.learner).await;
        assert_eq!(answer.members.known().map(Vec::len), Some(2), "{series}");

        done(Objection::Passing, async || voter.remove(added.id, DEADLINE).await).await;
        is_so_already(voter.remove(added.id, DEADLINE).await, series);
        assert_eq!(entry(&voter, &url).await, None, "{series}");
        // Its id never comes back.
        let gone = voter.promote(added.id, DEADLINE).await.unwrap_err();
        assert_eq!(gone.objection, Objection::Final, "{series}: {gone:?}");
    }
}

#[tokio::test]
async fn a_peer_url_is_changed() {
    for series in SERVED {
        let Some(cluster) = Cluster::of(1, "a_peer_url_is_changed", series) else { continue };
        let voters = cluster.started().await;
        let voter = voters[0].connect(&cluster.tls()).await.unwrap();
        let [first, second] = [1, 2].map(|index| PeerUrl::new(cluster.peer_url(index)));
        done(Objection::Passing, async || voter.add_learner(&first, DEADLINE).await).await;
        let id = entry(&voter, &first).await.unwrap().id;
        voter.update_peer_urls(id, &second, DEADLINE).await.unwrap();
        assert_eq!(entry(&voter, &first).await, None, "{series}");
        assert_eq!(entry(&voter, &second).await.unwrap().id, id, "{series}");
        let unknown = voter.update_peer_urls(MemberId(1), &first, DEADLINE).await.unwrap_err();
        assert_eq!(unknown.objection, Objection::Final, "{series}: {unknown:?}");
        assert!(unknown.failure.summary.ends_with("refused: etcdserver: member not found"), "{unknown:?}");
    }
}

/// Members that were not connected for 5 s let nobody in; and the last voter stays.
#[tokio::test]
async fn what_etcd_refuses_for_a_while_is_told_from_what_it_refuses_for_good() {
    let test = "what_etcd_refuses_for_a_while_is_told_from_what_it_refuses_for_good";
    for series in [Series::V3_4, Series::V3_5, Series::V3_6, Series::V3_7] {
        let Some(cluster) = Cluster::of(3, test, series) else { continue };
        let mut members = cluster.started().await;
        let tls = cluster.tls();
        let url = PeerUrl::new(cluster.peer_url(3));
        let voter = members[0].connect(&tls).await.unwrap();
        let young = voter.add_learner(&url, DEADLINE).await.unwrap_err();
        assert_eq!(young.objection, Objection::Passing, "{series}: {young:?}");
        assert!(young.failure.summary.ends_with("refused: etcdserver: unhealthy cluster"), "{young:?}");
        members.truncate(1);
        members[0].until(&tls, |answer| answer.leader.is_none()).await;
        let alone = voter.add_learner(&url, DEADLINE).await.unwrap_err();
        assert_eq!(alone.objection, Objection::Passing, "{series}: {alone:?}");
        drop(members);
        let gone = voter.add_learner(&url, DEADLINE).await.unwrap_err();
        assert_eq!(gone.objection, Objection::Lost, "{series}: {gone:?}");
    }
}

/// What a survivor knows of its cluster is all that there is to begin anew from.
#[tokio::test]
async fn without_a_quorum_a_member_still_tells_its_own_list() {
    for series in SERVED {
        let Some(cluster) = Cluster::of(3, "without_a_quorum_a_member_still_tells_its_own_list", series) else {
            continue;
        };
        let mut members = cluster.started().await;
        let tls = cluster.tls();
        let whole = members[0].answer(&tls).await.unwrap();
        assert!(whole.own_members.is_empty(), "it is asked only when there is no other: {whole:?}");
        members.truncate(1);
        let answer = members[0].until(&tls, |answer| answer.leader.is_none()).await;
        assert!(answer.members.known().is_none(), "{series}: {answer:?}");
        assert_eq!(Seen::Known(answer.own_members), whole.members, "{series}");
    }
}

#[tokio::test]
async fn the_cluster_version_is_told_by_every_version() {
    for series in SERVED {
        let Some(cluster) = Cluster::of(1, "the_cluster_version_is_told_by_every_version", series) else { continue };
        let mut members = cluster.started().await;
        // The leader decides a moment after it was elected.
        let answer = members[0].until(&cluster.tls(), |answer| answer.cluster_version.is_some()).await;
        let Version { major, minor, .. } = answer.version;
        assert_eq!(answer.cluster_version, Some(Version::new(major, minor, 0)), "{series}");
    }
}
