//! The way to a member: over the connection that is kept, at its declared address, or wherever it still listens.
//!
//! ```text
//! kept ─► declared address:port ─► where its process listens: loopback first, then the declared address
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::core::cluster::quorum::Membership;
use crate::core::code::Code;
use crate::core::content::runtime;
use crate::core::desired::EtcdAccess;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{HostName, MemberId};
use crate::core::observed::{Answer, Cause, Observed, Role, Seen};
use crate::shell::clock::now;
use crate::shell::live::cause;
use crate::shell::live::credentials::Credentials;
use crate::shell::live::etcd::{self, Member, Tls, Unreached, refusal, served};
use crate::shell::live::hosts::Hosts;
use crate::shell::live::machine::{Machine, Place};
use crate::shell::live::remote::Remote;

/// For a tunnel to a port and the TLS handshake in it.
pub(super) const DIAL_DEADLINE: Duration = Duration::from_secs(5);
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

pub(super) type Answered = (Arc<Member>, Answer);

/// The member's own answer. A connection that we kept may be one to an etcd that has ended since; then another is made
/// to where it is declared to answer.
pub(super) async fn ask(hosts: &Hosts, remote: &Remote, tls: Result<&Tls, &Cause>) -> Result<Answered, Unreached> {
    let tls = tls.map_err(|cause| Unreached::here(cause.clone()))?;
    let machine = hosts.machine(&remote.host).map_err(Unreached::here)?;
    if let Some(member) = machine.member() {
        if let Ok(answer) = member.answer(ANSWER_DEADLINE).await {
            return Ok((member, answer));
        }
        machine.forget_member();
    }
    ask_at(hosts, remote, tls, &machine, declared(hosts, &machine)).await
}

/// As [`ask`], over the connection to the host that there is; `None` when there is none or no answer.
pub(super) async fn of_connected(hosts: &Hosts, credentials: &Credentials, host: &HostName) -> Option<Answered> {
    of_host(hosts, credentials, &hosts.connected(host).await?).await
}

/// As [`of_connected`], over a new connection if need be.
pub(super) async fn of_reachable(hosts: &Hosts, credentials: &Credentials, host: &HostName) -> Option<Answered> {
    of_host(hosts, credentials, &hosts.on(host).await.ok()?).await
}

async fn of_host(hosts: &Hosts, credentials: &Credentials, remote: &Remote) -> Option<Answered> {
    let tls = credentials.tls().await.ok()?;
    if let Ok(answered) = ask(hosts, remote, Ok(&tls)).await {
        return Some(answered);
    }
    let machine = hosts.machines.get(&remote.host)?;
    ask_at(hosts, remote, &tls, &machine, machine.place()?).await.ok()
}

/// As [`ask`], of a member that runs and does not answer where it is declared to: it may not have been restarted since
/// the declaration changed. `own_ports` are those that it listens on, if they differ from the declared one.
pub(super) async fn ask_elsewhere(hosts: &Hosts, remote: &Remote, tls: &Tls, own_ports: &[u16]) -> Option<Answered> {
    let machine = hosts.machines.get(&remote.host)?;
    for place in elsewhere(hosts, &machine.address, own_ports) {
        if let Ok(answered) = ask_at(hosts, remote, tls, &machine, place).await {
            return Some(answered);
        }
    }
    None
}

/// Our server certificates name the loopback addresses, and our members listen there, too.
fn elsewhere(hosts: &Hosts, address: &str, own_ports: &[u16]) -> Vec<Place> {
    let at = |address: &str, ports: &[u16]| -> Vec<Place> {
        ports.iter().map(|port| Place { address: address.to_owned(), port: *port }).collect()
    };
    let loopback = match address.parse() {
        Ok(IpAddr::V6(_)) => "::1",
        _ => "127.0.0.1",
    };
    match hosts.desired.ssh.etcd_access {
        EtcdAccess::Direct => at(address, own_ports),
        EtcdAccess::Tunnel if own_ports.is_empty() => at(loopback, &[hosts.desired.ports.client]),
        EtcdAccess::Tunnel => at(loopback, own_ports).into_iter().chain(at(address, own_ports)).collect(),
    }
}

async fn ask_at(
    hosts: &Hosts,
    remote: &Remote,
    tls: &Tls,
    machine: &Machine,
    place: Place,
) -> Result<Answered, Unreached> {
    let member = Arc::new(dial(hosts, remote, tls, &place, DIAL_DEADLINE).await?);
    let answer = member.answer(ANSWER_DEADLINE).await.map_err(Unreached::here)?;
    machine.keep_member(place, &member);
    Ok((member, answer))
}

/// A new connection to a member.
async fn dial(
    hosts: &Hosts,
    Remote { host, connection, .. }: &Remote,
    tls: &Tls,
    Place { address, port }: &Place,
    deadline: Duration,
) -> Result<Member, Unreached> {
    let place = etcd::Place::new(host, address, runtime::log(&hosts.desired));
    match hosts.desired.ssh.etcd_access {
        EtcdAccess::Direct => Member::direct(place, *port, tls, deadline).await,
        EtcdAccess::Tunnel => {
            let tunnel = connection.tunnel(address, *port, deadline).await;
            let stream = tunnel.map_err(|error| cause::of_tunnel(host, *port, &error))?;
            Member::connect(place, stream, tls, deadline).await
        }
    }
}

/// The serials of the certificates that the member serves to clients and to peers: where it answered, and where its peers
/// are to find it. Where nothing listens at that, somebody has changed the list by hand, and it is asked where it is declared.
pub(super) async fn served(hosts: &Hosts, remote: &Remote, tls: &Tls, answer: &Answer) -> BTreeMap<Role, Seen<String>> {
    let host = &remote.host;
    let lists = answer.members.known().into_iter().chain([&answer.own_members]);
    let own = lists.flatten().find(|entry| entry.id == answer.member);
    let peer = own.and_then(|entry| Place::of(entry.peer_urls.first()?));
    let client = hosts.machines.get(host).and_then(|machine| machine.place());
    let look = async |place: Place| match serial_at(hosts, remote, tls, &place).await {
        Ok(serial) => Seen::Known(serial),
        Err(why) => Seen::Unknown(Cause {
            code: Code::NotServed,
            summary: format!("could not check which certificate {host} serves at {}: {why}", place.url()),
            hint: Some(format!("on {host}: {}", runtime::log(&hosts.desired))),
        }),
    };
    let of_role = async |role: Role, place: Option<Place>, else_at: Option<Place>| {
        let place = place?;
        let else_at = else_at.filter(|other| *other != place);
        let first = look(place).await;
        let (Seen::Unknown(_), Some(other)) = (&first, else_at) else { return Some((role, first)) };
        let second = look(other).await;
        Some((role, if second.known().is_some() { second } else { first }))
    };
    let node = hosts.desired.nodes.get(host);
    let declared = node.map(|node| Place { address: node.address.clone(), port: hosts.desired.ports.peer });
    let (server, peer) = tokio::join!(of_role(Role::Server, client, None), of_role(Role::Peer, peer, declared));
    server.into_iter().chain(peer).collect()
}

/// Between members that are healthy and, as etcd says, not connected: whether there is a way from the one's host to the other's
/// peer port. By itself etcd's word may be an old one.
pub(super) async fn try_ways(hosts: &Arc<Hosts>, observed: &mut Observed) {
    // From here it would be another way.
    if hosts.desired.ssh.etcd_access == EtcdAccess::Direct {
        return;
    }
    let gaps = Membership::of(&hosts.desired, observed).map(|membership| membership.gaps).unwrap_or_default();
    let member = |name: &HostName| Some(observed.host(name)?.answer()?.member);
    let mut ways: BTreeMap<HostName, Vec<(MemberId, Place)>> = BTreeMap::new();
    for (gap, to) in gaps.iter().filter_map(|gap| Some((gap, member(&gap.to)?))) {
        let entry = observed.member_list().and_then(|list| list.iter().find(|entry| entry.id == to));
        let place = entry.and_then(|entry| Place::of(entry.peer_urls.first()?));
        ways.entry(gap.from.clone()).or_default().extend(place.map(|place| (to, place)));
    }
    let from = |hosts: Arc<Hosts>, host: HostName| {
        let ways = ways.get(&host).cloned().unwrap_or_default();
        async move {
            let Ok(remote) = hosts.on(&host).await else { return Vec::new() };
            let reaches = async |(to, place)| (to, stream_to(&hosts, &remote, &place).await.is_ok());
            futures_util::future::join_all(ways.into_iter().map(reaches)).await
        }
    };
    for (host, reached) in hosts.each_of(ways.keys(), from).await {
        let answer = observed.host_mut(&host).and_then(|host| host.member.known_mut()?.as_mut());
        let Some(answer) = answer else { continue };
        for (to, is_reached) in reached {
            if let Some(peer) = answer.peers.get_mut(&to) {
                peer.is_reached = Some(is_reached);
            }
        }
    }
}

async fn serial_at(hosts: &Hosts, remote: &Remote, tls: &Tls, place: &Place) -> Result<String, String> {
    let stream = stream_to(hosts, remote, place).await?;
    let place = etcd::Place::new(&remote.host, &place.address, runtime::log(&hosts.desired));
    served::serial(stream, &place, tls, DIAL_DEADLINE).await
}

async fn is_refused_at(hosts: &Hosts, remote: &Remote, tls: &Tls, place: &Place) -> Result<bool, String> {
    let stream = stream_to(hosts, remote, place).await?;
    refusal::is_refused(stream, &place.address, tls, DIAL_DEADLINE).await
}

/// Bytes to a port and back, whatever way they take.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn stream_to(hosts: &Hosts, remote: &Remote, place: &Place) -> Result<Box<dyn Stream>, String> {
    match hosts.desired.ssh.etcd_access {
        EtcdAccess::Direct => Ok(Box::new(connected(place, DIAL_DEADLINE).await?)),
        EtcdAccess::Tunnel => {
            let tunnel = remote.connection.tunnel(&place.address, place.port, DIAL_DEADLINE).await;
            Ok(Box::new(tunnel.map_err(|error| error.to_string())?))
        }
    }
}

async fn connected(Place { address, port }: &Place, deadline: Duration) -> Result<TcpStream, String> {
    let connect = TcpStream::connect((address.as_str(), *port));
    let stream = tokio::time::timeout(deadline, connect).await.map_err(|_| "no answer in time".to_owned())?;
    stream.map_err(|error| error.to_string())
}

/// Sees that both ports of every declared host refuse a client certificate of the authority that is to go.
pub(super) async fn refuses_the_old(hosts: &Hosts, credentials: &Credentials) -> Result<(), Diagnostic> {
    let old = credentials.load_authority(now()).await?;
    let next = credentials.load_next(now()).await?;
    // A swap that was cut off had its proof, and has no old key any more.
    let (Some(old), Some(next)) = (old, next) else { return Ok(()) };
    if old.certificate().certificate_pem() == next.certificate().certificate_pem() {
        return Ok(());
    }
    let tls = Tls::of(&old, None, None, now())?;
    for host in hosts.desired.nodes.keys() {
        let failed = |what: String| Diagnostic::failure(what).at(host.as_str());
        let remote = hosts.on(host).await?;
        let address = hosts.desired.nodes[host].address.clone();
        for port in [hosts.desired.ports.client, hosts.desired.ports.peer] {
            let place = Place { address: address.clone(), port };
            let what = match is_refused_at(hosts, &remote, &tls, &place).await {
                Ok(true) => continue,
                Ok(false) => format!("{host} still accepts a client certificate of the old CA at {}", place.url()),
                Err(why) => {
                    format!("could not check whether {host} rejects the old CA at {}: {why}", place.url())
                }
            };
            return Err(failed(what).hint("both CAs stay in place; check the host, and run again"));
        }
    }
    Ok(())
}

/// Writes one key over a connection of its own, as a client does that has just come; how long all of it took.
pub(super) async fn write_once(
    hosts: &Hosts,
    credentials: &Credentials,
    host: &HostName,
    key: &str,
    value: &str,
    deadline: Duration,
) -> Result<Duration, Cause> {
    let tls = credentials.tls().await?;
    // Logging in is not what a client waits for.
    let remote = hosts.on(host).await?;
    let machine = hosts.machine(host)?;
    let declared = declared(hosts, &machine);
    let place = machine.place().unwrap_or_else(|| declared.clone());
    let begun = Instant::now();
    let dialled = match dial(hosts, &remote, &tls, &place, deadline).await {
        // It may have moved to where it is declared since it answered last.
        Err(missed) if missed.may_be_elsewhere && place != declared => {
            let left = deadline.saturating_sub(begun.elapsed());
            dial(hosts, &remote, &tls, &declared, left).await
        }
        dialled => dialled,
    };
    let member = dialled.map_err(|missed| missed.cause)?;
    member.put(key, value, deadline.saturating_sub(begun.elapsed())).await?;
    Ok(begun.elapsed())
}

fn declared(hosts: &Hosts, machine: &Machine) -> Place {
    Place { address: machine.address.clone(), port: hosts.desired.ports.client }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;

    use super::*;

    #[tokio::test]
    async fn a_port_that_does_not_answer_is_given_up() {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("binds");
        let listener = socket.listen(1).expect("listens");
        let port = listener.local_addr().expect("bound").port();
        let place = Place { address: "127.0.0.1".to_owned(), port };
        // Nobody accepts: when its queue is full, whoever comes next is told nothing.
        let mut waiting = Vec::new();
        for _ in 0..10 {
            match connected(&place, Duration::from_millis(300)).await {
                Ok(stream) => waiting.push(stream),
                Err(why) => return assert_eq!(why, "no answer in time"),
            }
        }
        panic!("{} were let in", waiting.len());
    }
}
