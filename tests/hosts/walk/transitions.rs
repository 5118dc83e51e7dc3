//! One transition: what the operator edits, or what happens to a host, and what must come of it.

use std::time::{Duration, Instant};

use super::checks::{self, does_not_serve};
use super::declaration::Declaration;
use super::faults;
use super::kinds::Kind;
use super::strides::{Change, Walk};

pub fn perform(walk: &mut Walk, kind: Kind) -> Result<(), String> {
    match kind {
        Kind::AddOne => add(walk, kind, 1),
        Kind::AddTwo => add(walk, kind, 2),
        Kind::RemoveOne => {
            let leaving = walk.random.pick_several(&walk.members(), 1);
            remove(walk, kind, leaving)
        }
        Kind::RemoveLeader => {
            let leaving = vec![checks::leader(walk)?];
            remove(walk, kind, leaving)
        }
        Kind::RemoveTwo => {
            let leaving = walk.random.pick_several(&walk.members(), 2);
            remove(walk, kind, leaving)
        }
        Kind::RemoveDead => faults::remove_dead(walk, kind),
        Kind::ReplaceWiped => faults::replace_wiped(walk, kind),
        Kind::ReplaceLost => faults::replace_lost(walk, kind),
        Kind::Move => move_to_another_host(walk, kind),
        Kind::MoveDead => faults::move_dead(walk, kind),
        Kind::ClientPort | Kind::PeerPort | Kind::MetricsPort => change_port(walk, kind),
        Kind::Setting => change_setting(walk, kind),
        Kind::Restart => restart(walk, kind),
        Kind::PowerCut => faults::power_cut(walk, kind),
        Kind::CutOff => faults::cut_off(walk, kind),
    }
}

/// A change that is meant to cost no write, for `detail`, with `flags`.
pub fn harmless(kind: Kind, detail: String, flags: Vec<String>) -> Change<'static> {
    Change { kind: kind.name(), detail, flags, outage: false, avoid: Vec::new() }
}

/// One that restarts members, which clusters of one or two do not survive without a pause.
fn rolling(walk: &Walk, kind: Kind, detail: String, flags: Vec<String>) -> Change<'static> {
    Change { outage: walk.members().len() <= 2, ..harmless(kind, detail, flags) }
}

pub fn add(walk: &mut Walk, kind: Kind, count: usize) -> Result<(), String> {
    let names = walk.random.pick_several(&walk.free_names(), count);
    let hosts = walk.random.pick_several(&walk.free_hosts(), count);
    // Some are new machines, and some have been members before.
    for host in &hosts {
        if walk.random.once_in(2) {
            walk.lab.host(host).wipe();
        }
    }
    let members = walk.members().len();
    let detail = format!("{} ({members} to {})", names.join(" and "), members + count);
    walk.change(&harmless(kind, detail, Vec::new()), |declaration| {
        declaration.nodes.extend(names.iter().cloned().zip(hosts.iter().cloned()));
    })
}

fn remove(walk: &mut Walk, kind: Kind, leaving: Vec<String>) -> Result<(), String> {
    let members = walk.members().len();
    let hosts: Vec<String> = leaving.iter().map(|name| walk.declaration.nodes[name].clone()).collect();
    let flags = leaving.iter().flat_map(|name| ["--allow".to_owned(), format!("remove-member:{name}")]).collect();
    let detail = format!("{} ({members} to {})", leaving.join(" and "), members - leaving.len());
    walk.change(&harmless(kind, detail, flags), |declaration| {
        declaration.nodes.retain(|name, _| !leaving.contains(name));
    })?;
    hosts.iter().try_for_each(|host| is_cleared(walk, host))
}

/// Nothing of the member is left but its data, aside.
pub fn is_cleared(walk: &Walk, host: &str) -> Result<(), String> {
    let host = walk.lab.host(host);
    let left = host
        .sh("systemctl is-active etcd | grep -x active; pgrep -x etcd; systemctl is-enabled etcd 2>/dev/null | grep -x enabled; \
             ls -d /var/lib/etcd/member /etc/etcd/pki/*.key /etc/systemd/system/etcd.service 2>/dev/null; true");
    if left.is_empty() { Ok(()) } else { Err(format!("of the removed member on {} is left: {left:?}", host.name())) }
}

pub fn replace_flags(name: &str) -> Vec<String> {
    vec!["--allow".to_owned(), format!("replace-member:{name}")]
}

/// The same name on another machine, while the old one is well.
fn move_to_another_host(walk: &mut Walk, kind: Kind) -> Result<(), String> {
    let name = walk.random.pick(&walk.members()).clone();
    let from = walk.declaration.nodes[&name].clone();
    let to = walk.random.pick(&walk.free_hosts()).clone();
    let old = walk.endpoint(&name).addresses[0];
    let change = harmless(kind, format!("{name} from {from} to {to}"), replace_flags(&name));
    walk.change(&change, |declaration| drop(declaration.nodes.insert(name.clone(), to.clone())))?;
    does_not_serve(&walk.credentials, old)?;
    is_cleared(walk, &from)
}

fn change_port(walk: &mut Walk, kind: Kind) -> Result<(), String> {
    let step = 10_000 * u16::try_from(1 + walk.random.below(3)).expect("a small number");
    let of = |port: u16| if port < 10_000 { port + step } else { port % 10_000 };
    let ports = walk.declaration.ports;
    let (old, new) = match kind {
        Kind::ClientPort => (ports.client, of(ports.client)),
        Kind::PeerPort => (ports.peer, of(ports.peer)),
        _ => (ports.metrics, of(ports.metrics)),
    };
    let change = rolling(walk, kind, format!("{old} to {new}"), Vec::new());
    walk.change(&change, |declaration| match kind {
        Kind::ClientPort => declaration.ports.client = new,
        Kind::PeerPort => declaration.ports.peer = new,
        _ => declaration.ports.metrics = new,
    })
}

/// Settings with two values each, so that every change is one.
const SETTINGS: [(&str, [&str; 2]); 4] = [
    ("quota-backend", ["\"4GiB\"", "\"6GiB\""]),
    ("heartbeat-interval", ["\"100ms\"", "\"120ms\""]),
    ("election-timeout", ["\"1s\"", "\"1200ms\""]),
    (
        "auto-compaction",
        ["{ mode = \"periodic\", retention = \"8h\" }", "{ mode = \"periodic\", retention = \"12h\" }"],
    ),
];
const EXTRA: [(&str, [&str; 2]); 2] = [("max-request-bytes", ["1572864", "2097152"]), ("max-txn-ops", ["128", "256"])];

fn change_setting(walk: &mut Walk, kind: Kind) -> Result<(), String> {
    let number = walk.random.below(SETTINGS.len() + EXTRA.len());
    let (key, values) = SETTINGS.iter().chain(&EXTRA).nth(number).expect("it is below their number");
    let is_extra = number >= SETTINGS.len();
    let section = |declaration: &Declaration| {
        if is_extra { declaration.extra.get(key).cloned() } else { declaration.etcd.get(key).cloned() }
    };
    let now = section(&walk.declaration);
    let new = if now.as_deref() == Some(values[1]) { values[0] } else { values[1] };
    let change = rolling(walk, kind, format!("{key} = {new}"), Vec::new());
    walk.change(&change, |declaration| {
        let section = if is_extra { &mut declaration.extra } else { &mut declaration.etcd };
        section.insert(key, new.to_owned());
    })
}

fn restart(walk: &mut Walk, kind: Kind) -> Result<(), String> {
    let name = walk.random.pick(&walk.members()).clone();
    let before = started(walk, &name);
    let change = rolling(walk, kind, name.clone(), vec![format!("--restart={name}")]);
    walk.change(&change, |_| ())?;
    if started(walk, &name) == before { Err(format!("{name} was not restarted")) } else { Ok(()) }
}

fn started(walk: &Walk, name: &str) -> String {
    walk.host_of(name).sh("pid=$(pgrep -xo etcd) && echo \"$pid $(cut -d' ' -f22 /proc/$pid/stat)\"")
}

/// Grows to three members if there are fewer: what comes next is to cost no write.
pub fn grow_to_three(walk: &mut Walk) -> Result<(), String> {
    while walk.members().len() < 3 {
        add(walk, Kind::AddOne, 1)?;
    }
    Ok(())
}

/// How long something is away.
pub fn a_while(walk: &mut Walk) -> Duration {
    Duration::from_secs(1) + walk.random.up_to(Duration::from_secs(4))
}

/// Waits until writes succeed without the members that clients have struck from their lists.
pub fn wait_for_writes(walk: &Walk, since: Instant) -> Result<(), String> {
    let patience = Duration::from_secs(60).saturating_sub(since.elapsed());
    if walk.writer.settles(patience) { Ok(()) } else { Err("the others do not serve".to_owned()) }
}
