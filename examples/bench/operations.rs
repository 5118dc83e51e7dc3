//! Failed writes and the longest stall of a client, while a cluster is changed by quorate, and another by hand.

use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::lab::Archive;
use crate::traffic::Tally;
use crate::{by_hand, by_quorate};

/// Of every operation but the upgrade. The worst is told.
const ROUNDS: usize = 3;
const MEMBERS: usize = 3;
/// For the last write to end.
const SETTLES: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub enum Operation {
    Restart,
    Setting,
    PeerPort,
    Add {
        name: String,
    },
    /// The leader, so that leadership moves.
    Remove {
        name: String,
        host: String,
    },
    /// The member's host came back empty.
    Replace {
        name: String,
    },
    Upgrade {
        archive: Archive,
    },
    /// Every certificate anew, by the authority that there is.
    Renew,
    /// Another authority, and every certificate anew by that. It is made before, and clients are told of it.
    Rotate,
}

/// What is told of an operation, done one way.
#[derive(Default)]
struct Figures {
    tally: Tally,
    took: Duration,
}

/// Brings about what an operation is the answer to, and edits the declaration.
type Prepare = fn(&mut Cluster, usize, &Archive) -> Operation;

const OPERATIONS: [(&str, Prepare); 9] = [
    ("rolling restart", |_, _, _| Operation::Restart),
    ("settings change", |cluster, round, _| {
        let bytes = 1_572_864 + 65_536 * (round + 1);
        cluster.declaration.extra.insert("max-request-bytes", bytes.to_string());
        Operation::Setting
    }),
    ("peer port change", |cluster, round, _| {
        cluster.declaration.ports.peer = if round % 2 == 0 { 12380 } else { 2380 };
        Operation::PeerPort
    }),
    ("add a member", |cluster, _, _| {
        let used: Vec<&String> = cluster.declaration.nodes.values().collect();
        let free = cluster.lab.hosts().iter().find(|host| !used.iter().any(|name| *name == host.name()));
        let name = free.expect("one host is free").name().to_owned();
        cluster.declaration.nodes.insert(name.clone(), name.clone());
        Operation::Add { name }
    }),
    ("remove the leader", |cluster, _, _| {
        let name = cluster.leader();
        let host = cluster.declaration.nodes.remove(&name).expect("the leader is a member");
        Operation::Remove { name, host }
    }),
    ("replace a wiped member", |cluster, _, _| {
        let leader = cluster.leader();
        let name = cluster.another(&leader).to_owned();
        cluster.host(&name).wipe();
        cluster.wait_until_healthy(Some(&name));
        Operation::Replace { name }
    }),
    ("renew certificates", |_, _, _| Operation::Renew),
    ("rotate the authority", |cluster, _, _| {
        cluster.announce_next_authority();
        Operation::Rotate
    }),
    ("upgrade", |cluster, _, to| {
        cluster.archives.add(to);
        cluster.declaration.version.clone_from(&to.version);
        Operation::Upgrade { archive: to.clone() }
    }),
];

/// All rounds of all operations, each by quorate on one cluster and then by hand on another.
pub fn measure(from: &Archive, to: &Archive) -> String {
    let mut clusters = [Cluster::new(from, MEMBERS), Cluster::new(from, MEMBERS)];
    let mut figures: [[Figures; 2]; OPERATIONS.len()] = Default::default();
    let (again, once) = OPERATIONS.split_at(OPERATIONS.len() - 1);
    let rounds =
        (0..ROUNDS).flat_map(|round| again.iter().enumerate().map(move |(index, operation)| (round, index, operation)));
    for (round, index, (name, prepare)) in rounds.chain([(0, again.len(), &once[0])]) {
        for (way, cluster) in clusters.iter_mut().enumerate() {
            let operation = prepare(cluster, round, to);
            let by_quorate = way == 0;
            let (tally, took) = watched(cluster, &operation, by_quorate);
            let how = if by_quorate { "by quorate" } else { "by hand" };
            eprintln!("bench: {name}, {how}: {} ms, {} failed, {took:.1?}", tally.longest.as_millis(), tally.failed);
            figures[index][way].tally.add(&tally);
            figures[index][way].took += took;
        }
    }
    let mut text = format!(
        "Writes over fresh connections with one retry, while {MEMBERS} members of etcd {} on one machine are changed by quorate, \
         and others by hand ({ROUNDS} rounds, the upgrade to {} once):\n\n\
         | operation | failed: quorate | by hand | longest stall: quorate | by hand | took: quorate | by hand | writes |\n\
         |---|---|---|---|---|---|---|---|\n",
        from.version, to.version
    );
    text.extend(OPERATIONS.iter().zip(&figures).map(|((name, _), figures)| row(name, figures)));
    text
}

fn row(name: &str, [quorate, hand]: &[Figures; 2]) -> String {
    let ms = |figures: &Figures| format!("{} ms", figures.tally.longest.as_millis());
    let seconds = |figures: &Figures| format!("{:.1} s", figures.took.as_secs_f64());
    for quote in quorate.tally.quotes.iter().chain(&hand.tally.quotes) {
        eprintln!("bench: {name}: {quote}");
    }
    format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} |\n",
        quorate.tally.failed,
        hand.tally.failed,
        ms(quorate),
        ms(hand),
        seconds(quorate),
        seconds(hand),
        quorate.tally.acknowledged + hand.tally.acknowledged
    )
}

/// Does it while the client writes. A member that comes or goes is not in the client's list.
fn watched(cluster: &Cluster, operation: &Operation, by_quorate: bool) -> (Tally, Duration) {
    let away = match operation {
        Operation::Add { name } | Operation::Remove { name, .. } | Operation::Replace { name } => Some(name.as_str()),
        Operation::Restart
        | Operation::Setting
        | Operation::PeerPort
        | Operation::Upgrade { .. }
        | Operation::Renew
        | Operation::Rotate => None,
    };
    cluster.aim_without(away);
    assert!(cluster.writer.settles(SETTLES), "nothing can be written before {operation:?}");
    drop(cluster.writer.take_tally());
    let begun = Instant::now();
    if by_quorate {
        by_quorate::perform(cluster, operation);
    } else {
        by_hand::perform(cluster, operation);
    }
    let took = begun.elapsed();
    assert!(cluster.writer.settles(SETTLES), "nothing can be written after {operation:?}");
    let tally = cluster.writer.take_tally();
    cluster.rest();
    (tally, took)
}
