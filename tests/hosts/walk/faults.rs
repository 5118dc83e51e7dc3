//! Transitions that begin with a fault: a host loses power, is cut off, or comes back empty.

use std::time::{Duration, Instant};

use super::checks::{self, does_not_serve};
use super::kinds::Kind;
use super::strides::{Change, Walk};
use super::transitions::{a_while, harmless, is_cleared, replace_flags, wait_for_writes};

/// A host loses power for a while.
pub fn power_cut(walk: &mut Walk, kind: Kind) -> Result<(), String> {
    let name = walk.random.pick(&walk.members()).clone();
    let begun = Instant::now();
    walk.host_of(&name).power_off();
    let away = a_while(walk);
    std::thread::sleep(away);
    walk.host_of(&name).power_on();
    walk.wait_until_in_sync()?;
    walk.conclude(&excused(kind, format!("{name} for {} ms", away.as_millis())), Vec::new(), begun)
}

/// A host cannot be reached, nor reach the others, for a while.
pub fn cut_off(walk: &mut Walk, kind: Kind) -> Result<(), String> {
    let name = walk.random.pick(&walk.members()).clone();
    let begun = Instant::now();
    walk.host_of(&name).cut();
    let away = a_while(walk);
    std::thread::sleep(away);
    walk.host_of(&name).heal();
    walk.wait_until_in_sync()?;
    walk.conclude(&excused(kind, format!("{name} for {} ms", away.as_millis())), Vec::new(), begun)
}

fn excused(kind: Kind, detail: String) -> Change<'static> {
    Change { outage: true, ..harmless(kind, detail, Vec::new()) }
}

/// How long after a host vanished etcd may stall when its member is removed.
///
/// The leader's connection to it fills up, 13 to 17 s after a power cut at 25 writes a second, and then a write to it
/// blocks for up to five seconds; the removal waits for that, and all else waits for the removal. Seen on 3.4.23 and
/// 3.5.30, by `etcdctl member remove` as well: peer.stop() waits for its stream writers, within the apply loop.
const CLOGGED: Duration = Duration::from_secs(30);

/// A member whose host has failed, and which clients have struck from their lists.
struct Failed {
    name: String,
    /// It is taken out while etcd may still be talking to it.
    at_once: bool,
}

/// A member's host fails, and the rest goes on; what that costs is not what the repair costs.
fn fails(walk: &mut Walk, kind: Kind, fault: impl FnOnce(&Walk, &str)) -> Result<Failed, String> {
    let name = walk.random.pick(&walk.members()).clone();
    let begun = Instant::now();
    fault(walk, &name);
    walk.aim_without(std::slice::from_ref(&name));
    wait_for_writes(walk, begun)?;
    let at_once = !walk.patient || walk.random.once_in(2);
    if !at_once {
        std::thread::sleep(CLOGGED);
    }
    let tally = walk.writer.take_tally();
    let detail = format!("{name}, before: {}", kind.name());
    walk.report.note("(a host fails)", &detail, &[], &tally, true, begun.elapsed());
    Ok(Failed { name, at_once })
}

fn loses_power(walk: &Walk, name: &str) {
    walk.host_of(name).power_off();
}

/// A dead member is taken out of the declaration; its host comes back later.
pub fn remove_dead(walk: &mut Walk, kind: Kind) -> Result<(), String> {
    let Failed { name, at_once } = fails(walk, kind, loses_power)?;
    let (host, address) = (walk.declaration.nodes[&name].clone(), walk.endpoint(&name).addresses[0]);
    let begun = Instant::now();
    let members = walk.members().len();
    let flags = vec!["--allow".to_owned(), format!("remove-member:{name}")];
    let detail = format!("{name} ({members} to {})", members - 1);
    let change = Change { outage: at_once, ..harmless(kind, detail, flags) };
    let mut kills = walk.change_without_note(&change, |declaration| drop(declaration.nodes.remove(&name)))?;
    walk.lab.host(&host).power_on();
    does_not_serve(&walk.credentials, address)?;
    // Found again, it is cleared away.
    kills.extend(walk.apply(&[])?);
    walk.conclude(&change, kills, begun)?;
    is_cleared(walk, &host)
}

/// A member's host comes back as an empty machine.
pub fn replace_wiped(walk: &mut Walk, kind: Kind) -> Result<(), String> {
    let Failed { name, .. } = fails(walk, kind, loses_power)?;
    walk.host_of(&name).wipe();
    let change = Change { avoid: vec![name.clone()], ..harmless(kind, name.clone(), replace_flags(&name)) };
    walk.change(&change, |_| ())
}

/// A member is given up while its host is away, and taken in anew when it is back with all its old data.
pub fn replace_lost(walk: &mut Walk, kind: Kind) -> Result<(), String> {
    let by_power = walk.random.once_in(2);
    let fault = |walk: &Walk, name: &str| {
        if by_power { walk.host_of(name).power_off() } else { walk.host_of(name).cut() }
    };
    let Failed { name, at_once } = fails(walk, kind, fault)?;
    let address = walk.endpoint(&name).addresses[0];
    let begun = Instant::now();
    let mut flags = replace_flags(&name);
    flags.push(format!("--lost={name}"));
    let wanted = walk.random.below(2);
    // The rest cannot be seen, so this is as far as it goes.
    let (mut kills, run) = walk.apply_with(&flags, wanted, &[0, 6])?;
    let listed =
        checks::ask(walk, &other_than(walk, &name), async |mut connection| connection.client.member_list().await)?;
    if listed.members().iter().any(|member| member.name() == name) {
        return Err(format!("{name} is lost and still a member; apply exited with {}", run.code));
    }
    if by_power {
        walk.host_of(&name).power_on()
    } else {
        walk.host_of(&name).heal()
    }
    does_not_serve(&walk.credentials, address)?;
    let how = if by_power { "without power" } else { "cut off" };
    let detail = format!("{name}, {how}");
    let change = Change { avoid: vec![name.clone()], outage: at_once, ..harmless(kind, detail, replace_flags(&name)) };
    kills.extend(walk.change_without_note(&change, |_| ())?);
    walk.conclude(&change, kills, begun)
}

/// A dead member's name is given to another machine; the old one comes back later.
pub fn move_dead(walk: &mut Walk, kind: Kind) -> Result<(), String> {
    let Failed { name, at_once } = fails(walk, kind, loses_power)?;
    let (from, old) = (walk.declaration.nodes[&name].clone(), walk.endpoint(&name).addresses[0]);
    let to = walk.random.pick(&walk.free_hosts()).clone();
    let begun = Instant::now();
    let detail = format!("{name} from {from} to {to}");
    let change = Change { outage: at_once, ..harmless(kind, detail, replace_flags(&name)) };
    let mut kills =
        walk.change_without_note(&change, |declaration| drop(declaration.nodes.insert(name.clone(), to.clone())))?;
    walk.lab.host(&from).power_on();
    does_not_serve(&walk.credentials, old)?;
    kills.extend(walk.apply(&[])?);
    walk.conclude(&change, kills, begun)?;
    is_cleared(walk, &from)
}

fn other_than(walk: &Walk, name: &str) -> String {
    walk.members().into_iter().find(|other| other != name).expect("there are three at least")
}
