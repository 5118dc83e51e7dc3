//! What one look at a member costs. Not a check: `cargo test --release --test etcd_api cost -- --ignored --nocapture`.

use std::time::Instant;

use quorate::shell::live::pki;
use rustix::process::Pid;

use super::process::{Cluster, now};
use crate::lab::Series;

/// User and system time of a process, in clock ticks of 10 ms.
fn ticks(pid: Pid) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    let after_name: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    [11, 12].iter().map(|&field| after_name[field].parse::<u64>().unwrap()).sum()
}

#[ignore = "a measurement"]
#[tokio::test]
async fn cost_of_an_answer() {
    const ROUNDS: u32 = 500;
    let Some(cluster) = Cluster::of(1, "cost_of_an_answer", Series::V3_5) else { return };
    let members = cluster.started().await;
    let ours = rustix::process::getpid();
    let theirs = Pid::from_raw(i32::try_from(members[0].pid()).unwrap()).unwrap();
    let tls = cluster.tls();
    let measure = async |what: &str, connect_each_time: bool| {
        let member = members[0].connect(&tls).await.unwrap();
        let (our_ticks, their_ticks, begun) = (ticks(ours), ticks(theirs), Instant::now());
        for _ in 0..ROUNDS {
            if connect_each_time {
                members[0].answer(&tls).await.unwrap();
            } else {
                member.answer(super::process::DEADLINE).await.unwrap();
            }
        }
        let wall_ms = begun.elapsed().as_secs_f64() * 1000.0 / f64::from(ROUNDS);
        let each = |ticks: u64| ticks as f64 * 10.0 / f64::from(ROUNDS);
        let (ours, theirs) = (each(ticks(ours) - our_ticks), each(ticks(theirs) - their_ticks));
        println!("{what}: {wall_ms:.2} ms, our CPU {ours:.2} ms, etcd's CPU {theirs:.2} ms");
    };
    measure("connect and answer", true).await;
    measure("answer on an open connection", false).await;
    let folder = cluster.authority_folder();
    let repeated = |what: &str, work: &dyn Fn()| {
        let (before, begun) = (ticks(ours), Instant::now());
        (0..ROUNDS).for_each(|_| work());
        let cpu = (ticks(ours) - before) as f64 * 10.0 / f64::from(ROUNDS);
        println!("{what}: {:.2} ms, our CPU {cpu:.2} ms", begun.elapsed().as_secs_f64() * 1000.0 / f64::from(ROUNDS));
    };
    repeated("Tls::new", &|| drop(cluster.tls()));
    repeated("pki::load", &|| drop(pki::load(&folder, now()).unwrap()));
    let known = [cluster.signer.known()];
    repeated("certificate_facts", &|| drop(pki::certificate_facts(&cluster.server.0, None, &known).unwrap()));
}
