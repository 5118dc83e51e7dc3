//! The machines of a cluster: the declared ones, and those of members that are not declared, found while looking.
//!
//! What is kept of each between two looks is the connection to it and the one to its member.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::etcd::Member;
use super::mutex::guarded;
use super::remote::Remote;
use crate::core::desired::Desired;
use crate::core::names::{HostName, PeerUrl, RemotePath};
use crate::core::url;

/// To log in. A slow name server or a loaded sshd takes seconds; more is no host to work on.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);
/// To a machine that is not declared: often it is gone for good, and every look would wait for it.
const FORMER_CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// To a machine that has just let such a wait run out: every look would wait for it, and it need only answer a knock.
const SILENT_CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// Where a machine is, and what is kept of it.
pub(super) struct Machine {
    /// As ssh takes it.
    pub destination: String,
    /// Where its member is declared to answer, or was told to; empty where none is.
    pub address: String,
    pub declared: bool,
    connect_deadline: Duration,
    is_silent: AtomicBool,
    pub connection: tokio::sync::Mutex<Option<Remote>>,
    member: Mutex<Option<Arc<Member>>>,
    place: Mutex<Option<Place>>,
    binaries: Mutex<Option<RemotePath>>,
    id: Mutex<Option<String>>,
}

/// Where a member answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub address: String,
    pub port: u16,
}

impl Place {
    /// From a member's URL.
    pub fn of(url: &PeerUrl) -> Option<Self> {
        let (_, port) = url.as_str().trim_end_matches('/').rsplit_once(':')?;
        Some(Self { address: url.address().to_owned(), port: port.parse().ok()? })
    }

    /// `https://10.0.0.1:2379`
    pub fn url(&self) -> String {
        url::https(&self.address, self.port)
    }
}

impl Machine {
    fn new(destination: &str, address: &str, declared: bool) -> Self {
        Self {
            destination: destination.to_owned(),
            address: address.to_owned(),
            declared,
            connect_deadline: if declared { CONNECT_DEADLINE } else { FORMER_CONNECT_DEADLINE },
            is_silent: AtomicBool::new(false),
            connection: tokio::sync::Mutex::default(),
            member: Mutex::default(),
            place: Mutex::default(),
            binaries: Mutex::default(),
            id: Mutex::default(),
        }
    }

    /// How long a login may take.
    pub fn connect_deadline(&self) -> Duration {
        if self.is_silent.load(Ordering::Relaxed) { SILENT_CONNECT_DEADLINE } else { self.connect_deadline }
    }

    /// Whether the last login ran out of time.
    pub fn keep_silence(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Ordering::Relaxed);
    }

    /// The member that we are connected to, as far as is known.
    pub fn member(&self) -> Option<Arc<Member>> {
        guarded(&self.member).clone()
    }

    pub fn keep_member(&self, place: Place, member: &Arc<Member>) {
        *guarded(&self.place) = Some(place);
        *guarded(&self.member) = Some(Arc::clone(member));
    }

    pub fn forget_member(&self) {
        *guarded(&self.member) = None;
    }

    /// The folder of the etcd that runs there, or would be started.
    pub fn binaries(&self) -> Option<RemotePath> {
        guarded(&self.binaries).clone()
    }

    /// What the machine is known by, whatever name it is reached under.
    pub fn id(&self) -> Option<String> {
        guarded(&self.id).clone()
    }

    /// What the last look has told.
    pub fn keep(&self, id: Option<String>, binaries: RemotePath) {
        *guarded(&self.id) = id;
        *guarded(&self.binaries) = Some(binaries);
    }

    /// Where the member answered last.
    pub fn place(&self) -> Option<Place> {
        guarded(&self.place).clone()
    }
}

/// All machines, by the name of the host.
pub(super) struct Machines(Mutex<BTreeMap<HostName, Arc<Machine>>>);

impl Machines {
    pub fn declared(desired: &Desired) -> Self {
        let nodes = desired.nodes.iter();
        let machine = |(name, node): (&HostName, &crate::core::desired::Node)| {
            (name.clone(), Arc::new(Machine::new(node.ssh_destination(), &node.address, true)))
        };
        let consumers = desired.consumers.values().map(|consumer| &consumer.host);
        let others = consumers.filter(|host| !desired.nodes.contains_key(*host));
        let other = |host: &HostName| (host.clone(), Arc::new(Machine::new(host.as_str(), "", false)));
        Self(Mutex::new(nodes.map(machine).chain(others.map(other)).collect()))
    }

    pub fn get(&self, host: &HostName) -> Option<Arc<Machine>> {
        guarded(&self.0).get(host).cloned()
    }

    /// The declared host that is the same machine as `former`.
    pub fn declared_as(&self, former: &HostName) -> Option<HostName> {
        let id = self.get(former)?.id()?;
        let machines = guarded(&self.0);
        let same = machines.iter().find(|(_, machine)| machine.declared && machine.id().as_ref() == Some(&id));
        same.map(|(host, _)| host.clone())
    }

    /// Those that are, or were, members.
    pub fn names(&self) -> Vec<HostName> {
        let machines = guarded(&self.0);
        machines.iter().filter(|(_, machine)| !machine.address.is_empty()).map(|(host, _)| host.clone()).collect()
    }

    /// Makes a machine known that is not declared. What is known of it already stays, unless it has moved.
    pub fn add_former(&self, host: &HostName, address: &str) {
        let mut machines = guarded(&self.0);
        if machines.get(host).is_none_or(|known| !known.declared && known.address != address) {
            machines.insert(host.clone(), Arc::new(Machine::new(address, address, false)));
        }
    }
}
