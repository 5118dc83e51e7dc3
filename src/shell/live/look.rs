//! One look at one host: the probe, and the member's own answer, over the same connection.
//!
//! Where we can log in to etcd before anything was seen, both are asked for at the same time. Where the authority lies on
//! the nodes, the probes of all of them say first which it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::cluster::overview::was_asked;
use crate::core::cluster::{others, version};
use crate::core::code::Code;
use crate::core::desired::{EtcdAccess, Runtime};
use crate::core::names::{ConsumerName, HostName, RemotePath};
use crate::core::observed::{Answer, Cause, ConsumerFiles, Host, OtherEtcd, Seen};
use crate::shell::live::etcd::{Tls, Unreached};
use crate::shell::live::hosts::Hosts;
use crate::shell::live::pki::KnownAuthority;
use crate::shell::live::probe::{self, AuthorityLying, ConsumerLying, Saved, Sight, Subject, Trouble};
use crate::shell::live::reach::{self, Answered};
use crate::shell::live::remote::{Remote, Unrun};
use crate::shell::live::{cause, node};

/// By what certificates are recognised, and what we log in to etcd with.
#[derive(Clone)]
pub(super) struct Recognition {
    pub known: Arc<[KnownAuthority]>,
    /// Or what is wrong with the authority, without which no member can be asked.
    pub tls: Result<Tls, Cause>,
}

/// What the probe of a host has brought, and its member's answer if it was asked at the same time.
pub(super) struct Glance {
    remote: Remote,
    sight: Sight,
    member: Option<Result<Answered, Unreached>>,
}

/// What lies on a host of each of its consumers.
pub(super) type Consumers = BTreeMap<ConsumerName, Result<ConsumerLying, Trouble>>;

/// A host that etcd runs on, or may, its consumers, and what was saved there, of whichever cluster.
pub(super) struct Looked {
    pub host: Seen<Host>,
    pub consumers: Result<Consumers, Cause>,
    pub saved: Vec<Saved>,
}

/// All of one host.
pub(super) async fn look(hosts: &Hosts, host: &HostName, with: &Recognition) -> Looked {
    let glance = glance(hosts, host, Some(with)).await;
    recognise(hosts, glance, with).await
}

/// The probe of a host. Its member is asked at the same time if we know what `with`.
pub(super) async fn glance(hosts: &Hosts, host: &HostName, with: Option<&Recognition>) -> Result<Glance, Cause> {
    match glance_once(hosts, host, with).await {
        // A host that was restarted since the last look: a new connection tells.
        Err(Failed::Lost(_)) => glance_once(hosts, host, with).await.map_err(Failed::into_cause),
        glanced => glanced.map_err(Failed::into_cause),
    }
}

enum Failed {
    /// A connection that was open before has gone.
    Lost(Cause),
    Seen(Cause),
}

impl Failed {
    fn into_cause(self) -> Cause {
        let (Self::Lost(cause) | Self::Seen(cause)) = self;
        cause
    }
}

async fn glance_once(hosts: &Hosts, host: &HostName, with: Option<&Recognition>) -> Result<Glance, Failed> {
    let remote = hosts.on(host).await.map_err(Failed::Seen)?;
    let of = Subject { desired: &hosts.desired, host };
    let script = probe::script(&of);
    let member = async {
        match with {
            Some(with) => Some(reach::ask(hosts, &remote, with.tls.as_ref()).await),
            None => None,
        }
    };
    let probed = async {
        let _awaited = hosts.await_answer(host, true);
        probe::ask(&remote, &script, |said| probe::parse(&of, said)).await
    };
    let (asked, member) = tokio::join!(probed, member);
    let probe::Asked { said: mut sight, midpoint } = match asked {
        Ok(asked) => asked,
        Err(failed) => return Err(lost(hosts, host, failed).await),
    };
    // The host's clock is told in whole seconds: on average half a second has passed since.
    #[expect(clippy::cast_possible_truncation, reason = "a difference of two clocks in seconds")]
    let offset = (sight.now.0 as f64 + 0.5 - midpoint).round() as i64;
    sight.host.clock_offset_seconds = offset;
    let own = hosts.lock();
    let is_other = |held: &probe::LockHeld| own.as_ref().is_none_or(|own| own.token != held.token);
    sight.host.lock = sight.lock.take().filter(is_other).map(|held| held.holder);
    keep(hosts, host, &sight);
    Ok(Glance { remote, sight, member })
}

async fn lost(hosts: &Hosts, host: &HostName, failed: Unrun) -> Failed {
    match failed {
        Unrun::Ssh(error) => {
            hosts.disconnect(host).await;
            let cause = cause::of_ssh(host, &error);
            if error.is_connection_lost() { Failed::Lost(cause) } else { Failed::Seen(cause) }
        }
        Unrun::Cause(cause) => Failed::Seen(cause),
    }
}

/// The consumers of a host that is no node.
pub(super) async fn consumers(hosts: &Hosts, host: &HostName) -> Result<Consumers, Cause> {
    let remote = hosts.on(host).await?;
    let of = Subject { desired: &hosts.desired, host };
    let Some(script) = probe::script_of_consumers(&of) else { return Ok(Consumers::new()) };
    match probe::ask(&remote, &script, |said| probe::parse_consumers(&of, said)).await {
        Ok(asked) => Ok(asked.said),
        Err(failed) => Err(lost(hosts, host, failed).await.into_cause()),
    }
}

/// What a glance has told of the authority that lies on nodes.
pub(super) fn authority(host: &HostName, glance: &Result<Glance, Cause>) -> Result<AuthorityLying, Cause> {
    let glance = glance.as_ref().map_err(Clone::clone)?;
    let nothing = || Err(Trouble::Unreadable("the answer lacks the state of the CA files".to_owned()));
    let said = glance.sight.authority.clone().unwrap_or_else(nothing);
    said.map_err(|trouble| node::unreadable(host, &trouble))
}

/// Goes on from a glance: who has signed what, and what the member says.
pub(super) async fn recognise(
    hosts: &Hosts,
    glance: Result<Glance, Cause>,
    Recognition { known, tls }: &Recognition,
) -> Looked {
    let Glance { remote, mut sight, member } = match glance {
        Ok(glance) => glance,
        Err(cause) => {
            return Looked { host: Seen::Unknown(cause.clone()), consumers: Err(cause), saved: Vec::new() };
        }
    };
    let tls = tls.as_ref();
    let member = match member {
        Some(member) => member,
        None => reach::ask(hosts, &remote, tls).await,
    };
    let own_ports = std::mem::take(&mut sight.own_ports);
    let consumers = std::mem::take(&mut sight.consumers);
    let saved = std::mem::take(&mut sight.saved);
    let mut seen = sight.recognised(known);
    let member = match (member, tls) {
        (Err(missed), Ok(tls)) if missed.may_be_elsewhere && seen.process.is_some() => {
            reach::ask_elsewhere(hosts, &remote, tls, &own_ports).await.ok_or(missed)
        }
        (Ok((_, answer)), Ok(tls)) if seen.process.is_some() && is_of_another(hosts, &remote.host, &answer) => {
            let own = reach::ask_elsewhere(hosts, &remote, tls, &own_ports).await;
            own.ok_or_else(|| Unreached::here(another(hosts, &remote.host, &answer)))
        }
        // What another program runs may be this cluster's own members, on ports that cluster.toml does not declare yet.
        (Err(missed), Ok(tls)) if missed.may_be_elsewhere => {
            let theirs = others::in_our_place(&seen).filter(|other| other.runs()).flat_map(|other| &other.ports);
            let theirs: Vec<u16> = theirs.copied().collect();
            match theirs.is_empty() {
                true => Err(missed),
                false => reach::ask_elsewhere(hosts, &remote, tls, &theirs).await.ok_or(missed),
            }
        }
        (member, _) => member,
    };
    let member = match member {
        Ok((_, answer)) => {
            if let (Some(process), Ok(tls)) = (&mut seen.process, tls) {
                process.served = reach::served(hosts, &remote, tls, &answer).await;
            }
            Seen::Known(Some(answer))
        }
        Err(missed) if others::in_our_place(&seen).any(OtherEtcd::runs) => {
            Seen::Unknown(of_another_program(&remote.host, &seen, &missed))
        }
        Err(_) if seen.process.is_none() => Seen::Known(None),
        Err(missed) => Seen::Unknown(missed.cause),
    };
    Looked { host: Seen::Known(Host { member, ..seen }), consumers: Ok(consumers), saved }
}

/// What is to be known of the files of one consumer, from what its host has said.
pub(super) fn consumer(
    host: &HostName,
    name: &ConsumerName,
    said: Option<&Result<Consumers, Cause>>,
    known: &[KnownAuthority],
) -> Seen<ConsumerFiles> {
    let lying = match said {
        Some(Ok(consumers)) => consumers.get(name).cloned(),
        Some(Err(cause)) => return Seen::Unknown(cause.clone()),
        None => None,
    };
    match lying {
        Some(Ok(lying)) => Seen::Known(lying.recognised(known)),
        Some(Err(trouble)) => Seen::Unknown(unusable(&format!("{host} is reachable, but {trouble}"))),
        None => Seen::Unknown(unusable(&format!("the files of consumers on {host} were not inspected"))),
    }
}

fn unusable(what: &str) -> Cause {
    let hint = "this needs GNU coreutils, a POSIX sh and root rights on the host";
    Cause { code: Code::ProbeFailed, summary: what.to_owned(), hint: Some(hint.to_owned()) }
}

/// Whether the member that answered calls itself by the name of another declared host: two addresses may have been
/// swapped in cluster.toml, and from here the declared one of `host` leads to the other.
fn is_of_another(hosts: &Hosts, host: &HostName, answer: &Answer) -> bool {
    let lists = answer.members.known().into_iter().chain([&answer.own_members]);
    let name = lists.flatten().find(|entry| entry.id == answer.member).and_then(|entry| entry.name.as_ref());
    let through_host = hosts.desired.ssh.etcd_access == EtcdAccess::Tunnel;
    through_host && name.is_some_and(|name| name != host && hosts.desired.nodes.contains_key(name))
}

fn another(hosts: &Hosts, host: &HostName, answer: &Answer) -> Cause {
    let address = hosts.machines.get(host).map_or_else(String::new, |machine| machine.address.clone());
    Cause {
        code: Code::MemberSilent,
        summary: format!("a different member ({}) answers at {address}, the address of {host}", answer.member),
        hint: Some(format!("correct `address` or `ssh` of {host} in cluster.toml")),
    }
}

/// What is wrong with it nobody can say who may not ask it: it is as well as its own program has it.
fn of_another_program(host: &HostName, seen: &Host, missed: &Unreached) -> Cause {
    let runner = others::in_our_place(seen).find(|other| other.runs()).map(|other| others::by(&other.runner));
    let asked = match (was_asked(&missed.cause), missed.may_be_elsewhere) {
        (false, _) => "was not asked",
        (true, true) => "does not answer at this cluster's address and ports",
        (true, false) => "does not answer with this cluster's credentials",
    };
    Cause {
        code: Code::OtherEtcd,
        summary: format!(
            "the health of etcd on {host} is not known: it is run {}, and {asked}: {}",
            runner.unwrap_or_default(),
            missed.cause.summary
        ),
        hint: None,
    }
}

/// Which machine it is, and which etcd runs there, for what is done with the tools beside it.
fn keep(hosts: &Hosts, host: &HostName, Sight { host: seen, identity, .. }: &Sight) {
    let running = seen.process.as_ref().map(|process| match hosts.desired.cluster.runtime {
        Runtime::Systemd => process.executable.parent(),
        // In its image, whose files the kernel shows to root.
        Runtime::StaticPod => RemotePath::new(format!("/proc/{}/root{}", process.pid, process.executable.parent())),
    });
    let started = || hosts.desired.binaries_folder_of(version::on_disk(&hosts.desired, seen));
    if let Some(machine) = hosts.machines.get(host) {
        machine.keep(identity.clone(), running.unwrap_or_else(started));
    }
}
