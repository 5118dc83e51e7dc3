//! The way to a member: over the connection that is kept, at its declared address, or wherever it still listens.
//!
//! ```text
//! kept ─► declared address:port ─► where its process listens: loopback first, then the declared address
//! ```

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::desired::EtcdAccess;
use crate::live::etcd::{Member, Tls, Unreachable};
use crate::live::machine::{Machine, Place};
use crate::live::ssh::Connection;
use crate::live::{Shared, cause, now};
use crate::names::HostName;
use crate::observed::{Answer, Cause};

/// For a tunnel to a port and the TLS handshake in it.
pub(super) const DIAL_DEADLINE: Duration = Duration::from_secs(5);
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

pub(super) type Answered = (Arc<Member>, Answer);

/// The member's own answer. A connection that we kept may be one to an etcd that has ended since; then another is made
/// to where it is declared to answer.
pub(super) async fn ask(
    shared: &Shared,
    host: &HostName,
    connection: &Connection,
    tls: Option<&Tls>,
) -> Result<Answered, Unreachable> {
    let Some(tls) = tls else { return Err(Unreachable::Refused(cause::no_credentials(host))) };
    let machine = machine(shared, host)?;
    if let Some(member) = machine.member() {
        if let Ok(answer) = member.answer(ANSWER_DEADLINE).await {
            return Ok((member, answer));
        }
        machine.forget_member();
    }
    ask_at(shared, host, connection, tls, &machine, declared(shared, &machine)).await
}

/// As [`ask`], over the connection to the host that there is; `None` when there is none or no answer.
///
/// The look before has connected to every host that can be reached. To wait for the others once more would hold up what
/// is done because they are gone.
pub(super) async fn of_connected(shared: &Shared, host: &HostName) -> Option<Answered> {
    let kept = shared.machines.get(host)?.connection.lock().await.clone();
    of_host(shared, host, &kept.filter(|connection| !connection.is_closed())?).await
}

/// As [`of_connected`], over a new connection if need be.
pub(super) async fn of_reachable(shared: &Shared, host: &HostName) -> Option<Answered> {
    of_host(shared, host, &shared.connection(host).await.ok()?).await
}

async fn of_host(shared: &Shared, host: &HostName, connection: &Connection) -> Option<Answered> {
    let tls = shared.tls(now())?;
    if let Ok(answered) = ask(shared, host, connection, Some(&tls)).await {
        return Some(answered);
    }
    let machine = shared.machines.get(host)?;
    ask_at(shared, host, connection, &tls, &machine, machine.place()?).await.ok()
}

/// As [`ask`], of a member that runs and does not answer where it is declared to: it may not have been restarted since
/// the declaration changed. `own_ports` are those that it listens on, if they differ from the declared one.
pub(super) async fn ask_elsewhere(
    shared: &Shared,
    host: &HostName,
    connection: &Connection,
    tls: &Tls,
    own_ports: &[u16],
) -> Option<Answered> {
    let machine = shared.machines.get(host)?;
    for place in elsewhere(shared, &machine.address, own_ports) {
        if let Ok(answered) = ask_at(shared, host, connection, tls, &machine, place).await {
            return Some(answered);
        }
    }
    None
}

/// Our server certificates name the loopback addresses, and our members listen there, too.
fn elsewhere(shared: &Shared, address: &str, own_ports: &[u16]) -> Vec<Place> {
    let at = |address: &str, ports: &[u16]| -> Vec<Place> {
        ports.iter().map(|port| Place { address: address.to_owned(), port: *port }).collect()
    };
    let loopback = match address.parse() {
        Ok(IpAddr::V6(_)) => "::1",
        _ => "127.0.0.1",
    };
    match shared.desired.ssh.etcd_access {
        EtcdAccess::Direct => at(address, own_ports),
        EtcdAccess::Tunnel if own_ports.is_empty() => at(loopback, &[shared.desired.ports.client]),
        EtcdAccess::Tunnel => at(loopback, own_ports).into_iter().chain(at(address, own_ports)).collect(),
    }
}

async fn ask_at(
    shared: &Shared,
    host: &HostName,
    connection: &Connection,
    tls: &Tls,
    machine: &Machine,
    place: Place,
) -> Result<Answered, Unreachable> {
    let member = Arc::new(dial(shared, host, connection, tls, &place, DIAL_DEADLINE).await?);
    let answer = member.answer(ANSWER_DEADLINE).await.map_err(Unreachable::Silent)?;
    machine.keep_member(place, &member);
    Ok((member, answer))
}

/// A new connection to a member.
pub(super) async fn dial(
    shared: &Shared,
    host: &HostName,
    connection: &Connection,
    tls: &Tls,
    Place { address, port }: &Place,
    deadline: Duration,
) -> Result<Member, Unreachable> {
    match shared.desired.ssh.etcd_access {
        EtcdAccess::Direct => Member::direct(host, address, *port, tls, deadline).await,
        EtcdAccess::Tunnel => {
            let tunnel = connection.tunnel(address, *port, deadline).await;
            let stream = tunnel.map_err(|error| cause::of_tunnel(host, *port, &error))?;
            Member::connect(host, address, stream, tls, deadline).await
        }
    }
}

/// Writes one key over a connection of its own, as a client does that has just come; how long all of it took.
pub(super) async fn write_once(
    shared: &Shared,
    host: &HostName,
    key: &str,
    value: &str,
    deadline: Duration,
) -> Result<Duration, Cause> {
    let tls = shared.tls(now()).ok_or_else(|| cause::no_credentials(host))?;
    // Logging in is not what a client waits for.
    let connection = shared.connection(host).await.map_err(|error| cause::of_ssh(host, &error))?;
    let machine = machine(shared, host).map_err(Unreachable::into_cause)?;
    let declared = declared(shared, &machine);
    let place = machine.place().unwrap_or_else(|| declared.clone());
    let begun = Instant::now();
    let dialled = match dial(shared, host, &connection, &tls, &place, deadline).await {
        // It may have moved to where it is declared since it answered last.
        Err(Unreachable::Refused(_) | Unreachable::Elsewhere(_)) if place != declared => {
            let left = deadline.saturating_sub(begun.elapsed());
            dial(shared, host, &connection, &tls, &declared, left).await
        }
        dialled => dialled,
    };
    let member = dialled.map_err(Unreachable::into_cause)?;
    member.put(key, value, deadline.saturating_sub(begun.elapsed())).await?;
    Ok(begun.elapsed())
}

fn declared(shared: &Shared, machine: &Machine) -> Place {
    Place { address: machine.address.clone(), port: shared.desired.ports.client }
}

fn machine(shared: &Shared, host: &HostName) -> Result<Arc<Machine>, Unreachable> {
    let error = || super::unknown(host);
    shared.machines.get(host).ok_or_else(|| Unreachable::Silent(cause::of_ssh(host, &error())))
}
