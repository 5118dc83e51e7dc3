//! Each way in which a member fails to answer has its own words, in time.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use quorate::core::code::Code;
use quorate::core::observed::Cause;
use quorate::shell::live::etcd::{Member, Tls, Unreached};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::process::{Cluster, DEADLINE, Etcd, authority, host, names, new_address, now, pair, place};
use crate::lab::Series;

const ADDRESS: &str = "127.0.0.1";
const SHORT: Duration = Duration::from_millis(500);
const DAY: i64 = 24 * 3600;

/// Why the member does not answer, whether it shows when connecting or at the first call.
async fn fault(etcd: &Etcd, tls: &Tls) -> Cause {
    etcd.until_listening().await;
    let begun = Instant::now();
    let cause = match etcd.connect(tls).await {
        Err(unreachable) => unreachable.cause,
        Ok(member) => member.answer(DEADLINE).await.unwrap_err(),
    };
    assert!(begun.elapsed() < DEADLINE, "the fault is told at once: {cause:?}");
    assert_eq!(cause.code, Code::MemberSilent);
    assert!(cause.hint.is_some());
    cause
}

/// Waits until a member serves, by a client that it accepts.
async fn serving(cluster: &Cluster, tls: &Tls) -> Etcd {
    let mut etcd = cluster.start(0);
    etcd.until(tls, |answer| answer.reads).await;
    etcd
}

fn says(cause: &Cause, what: &str) {
    assert_eq!(cause.summary, format!("etcd on etcd-0 does not answer: {what}"), "{cause:?}");
}

#[tokio::test]
async fn a_server_certificate_of_another_authority() {
    let Some(cluster) = Cluster::of(1, "a_server_certificate_of_another_authority", Series::V3_5) else { return };
    let etcd = serving(&cluster, &cluster.tls()).await;
    // Of the same name, even: every authority for this cluster is called the same.
    let (_folder, other) = authority();
    let cause = fault(&etcd, &Tls::new(&other, now()).unwrap()).await;
    says(&cause, "its server certificate was signed by a different CA from the one in [ca]");
}

#[tokio::test]
async fn a_server_certificate_that_has_expired() {
    let Some(mut cluster) = Cluster::of(1, "a_server_certificate_that_has_expired", Series::V3_5) else { return };
    cluster.server = pair(&cluster.signer, &names(&[&cluster.address]), now().plus_seconds(-DAY));
    let etcd = cluster.start(0);
    says(&served(&cluster, &etcd).await, "its server certificate has expired");
}

#[tokio::test]
async fn a_server_certificate_for_another_address() {
    let Some(mut cluster) = Cluster::of(1, "a_server_certificate_for_another_address", Series::V3_5) else { return };
    cluster.server = pair(&cluster.signer, &names(&["10.0.0.11", "localhost"]), now());
    let etcd = cluster.start(0);
    let address = &cluster.address;
    says(&served(&cluster, &etcd).await, &format!("its server certificate does not name {address}"));
}

/// The fault once the member serves: until then it says nothing at all.
async fn served(cluster: &Cluster, etcd: &Etcd) -> Cause {
    let begun = Instant::now();
    loop {
        etcd.until_listening().await;
        match etcd.connect(&cluster.tls()).await {
            Err(Unreached { cause, .. })
                if !["did not answer", "nothing listens"].iter().any(|early| cause.summary.contains(early)) =>
            {
                return cause;
            }
            _ => assert!(begun.elapsed() < Duration::from_secs(30), "{}", cluster.log_of(0)),
        }
    }
}

/// The words of the alert depend on the Go that etcd was built with, so both old and new are tried.
#[tokio::test]
async fn a_client_certificate_that_has_expired() {
    for series in [Series::V3_4, Series::V3_5, Series::V3_7] {
        let Some(cluster) = Cluster::of(1, "a_client_certificate_that_has_expired", series) else { continue };
        let etcd = serving(&cluster, &cluster.tls()).await;
        let cause = fault(&etcd, &Tls::new(&cluster.signer, now().plus_seconds(-DAY)).unwrap()).await;
        let words = ["it rejects our client certificate as expired", "it rejects our client certificate"];
        assert!(words.iter().any(|words| cause.summary.ends_with(words)), "{series}: {cause:?}");
        assert!(cause.hint.unwrap().contains("compare the clocks of etcd-0"), "{series}");
    }
}

#[tokio::test]
async fn a_member_that_trusts_another_authority() {
    for series in [Series::V3_4, Series::V3_5, Series::V3_7] {
        let Some(mut cluster) = Cluster::of(1, "a_member_that_trusts_another_authority", series) else { continue };
        let (_folder, other) = authority();
        cluster.trusted = other.certificate_pem().to_owned();
        let etcd = cluster.start(0);
        let cause = refused(&cluster, &etcd).await;
        let words = ["it does not trust the CA in [ca]", "it rejects our client certificate"];
        assert!(words.iter().any(|words| cause.summary.ends_with(words)), "{series}: {cause:?}");
        assert!(cause.hint.unwrap().contains("CA") || cause.summary.contains("CA"), "{series}");
    }
}

/// What a member says to a client certificate that it refuses, once it serves.
async fn refused(cluster: &Cluster, etcd: &Etcd) -> Cause {
    let begun = Instant::now();
    loop {
        etcd.until_listening().await;
        match etcd.connect(&cluster.tls()).await {
            Ok(member) => return member.answer(DEADLINE).await.unwrap_err(),
            Err(_) => assert!(begun.elapsed() < Duration::from_secs(30), "{}", cluster.log_of(0)),
        }
    }
}

#[tokio::test]
async fn nothing_listens() {
    let (_folder, signer) = authority();
    let address = new_address();
    let tls = Tls::new(&signer, now()).unwrap();
    match Member::direct(place(&host(0), &address), 2379, &tls, SHORT).await {
        Err(Unreached { cause, may_be_elsewhere: true }) => says(&cause, &format!("nothing listens on {address}:2379")),
        _ => panic!("a refused connection is told apart"),
    }
}

/// A server that accepts, and then does as told.
async fn stand_in(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((ADDRESS, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if !answer.is_empty() {
                let mut hello = [0; 16];
                let _ = stream.read(&mut hello).await;
                let _ = stream.write_all(answer).await;
            }
            kept.push(stream);
        }
    });
    port
}

async fn of_stand_in(answer: &'static [u8]) -> Cause {
    let (_folder, signer) = authority();
    let tls = Tls::new(&signer, now()).unwrap();
    let port = stand_in(answer).await;
    let begun = Instant::now();
    let result = Member::direct(place(&host(0), ADDRESS), port, &tls, SHORT).await;
    assert!(begun.elapsed() < 3 * SHORT, "{:?}", begun.elapsed());
    match result {
        Err(Unreached { cause, may_be_elsewhere: false }) => cause,
        _ => panic!("this is no etcd"),
    }
}

#[tokio::test]
async fn a_server_that_says_nothing() {
    says(&of_stand_in(b"").await, "it accepted the connection but did not answer for 0.5 s");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls() {
    says(&of_stand_in(b"HTTP/1.0 400 Bad Request\r\n\r\n").await, "the program that listens there does not speak TLS");
}

/// A queue that is full: further packets are dropped, as by a firewall.
#[tokio::test]
async fn a_host_that_swallows_packets() {
    let listener =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = std::net::TcpListener::from(listener.try_clone().unwrap()).local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(SHORT, tokio::net::TcpStream::connect(address)).await {
        queued.push(stream.unwrap());
        assert!(queued.len() < 100, "the queue is never full");
    }
    let (_folder, signer) = authority();
    let tls = Tls::new(&signer, now()).unwrap();
    let begun = Instant::now();
    let result = Member::direct(place(&host(0), ADDRESS), address.port(), &tls, SHORT).await;
    assert!(begun.elapsed() < 3 * SHORT);
    match result {
        Err(Unreached { cause, may_be_elsewhere: false }) => {
            says(&cause, &format!("no connection to 127.0.0.1:{} within 0.5 s", address.port()));
        }
        _ => panic!("nobody answers there"),
    }
}

#[tokio::test]
async fn a_key_pair_that_etcd_cannot_load() {
    let Some(cluster) = Cluster::of(1, "a_key_pair_that_etcd_cannot_load", Series::V3_5) else { return };
    // etcd loads the pair at its start, and again at each handshake.
    let etcd = serving(&cluster, &cluster.tls()).await;
    let (_, other_key) = pair(&cluster.signer, &names(&[&cluster.address]), now());
    cluster.replace_server_key(0, &other_key);
    let cause = fault(&etcd, &cluster.tls()).await;
    says(&cause, "it cannot use its own server certificate");
}
