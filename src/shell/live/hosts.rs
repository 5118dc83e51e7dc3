//! The hosts of one cluster and the ways to them: what every task is given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use tokio::time::Instant;

use super::cause;
use super::lock::Lock;
use super::machine::{Machine, Machines};
use super::mutex::guarded;
use super::remote::{Command, Elevation, LockProof, Remote};
use super::ssh::{Connection, SshError, Target};
use crate::core::desired::Desired;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{HostName, RemotePath};
use crate::core::observed::Cause;
use crate::shell::fleet::Unanswered;
use crate::shell::stop::Stop;

pub(super) struct Hosts {
    pub desired: Desired,
    pub machines: Machines,
    pub elevation: Elevation,
    lock: Mutex<Weak<Lock>>,
    /// What an action waits for at a host.
    waits: Mutex<BTreeMap<HostName, String>>,
    /// With ^C no action waits any longer.
    pub stop: Stop,
    /// The hosts that have not answered: since when, and whether a connection is there.
    awaited: Mutex<BTreeMap<HostName, (Instant, bool)>>,
}

impl Hosts {
    /// Connects to nothing yet.
    pub fn new(desired: Desired) -> Self {
        Self {
            machines: Machines::declared(&desired),
            elevation: Elevation::of(&desired),
            lock: Mutex::default(),
            waits: Mutex::default(),
            stop: Stop::default(),
            awaited: Mutex::default(),
            desired,
        }
    }

    /// A host, connected: over the connection that there is, or a new one.
    pub async fn on(&self, host: &HostName) -> Result<Remote, Cause> {
        self.connection(host).await.map_err(|error| cause::of_ssh(host, &error))
    }

    /// As [`Hosts::on`], over the connection that there is; `None` when there is none.
    ///
    /// The look before has connected to every host that can be reached. To wait for the others once more would hold up
    /// what is done because they are gone.
    pub async fn connected(&self, host: &HostName) -> Option<Remote> {
        let kept = self.machines.get(host)?.connection.lock().await.clone();
        kept.filter(|remote| !remote.connection.is_closed())
    }

    async fn connection(&self, host: &HostName) -> Result<Remote, SshError> {
        let machine = self.machines.get(host).ok_or_else(|| unknown(host))?;
        let mut kept = machine.connection.lock().await;
        if let Some(remote) = kept.as_ref().filter(|remote| !remote.connection.is_closed()) {
            return Ok(remote.clone());
        }
        machine.forget_member();
        let _awaited = self.await_answer(host, false);
        let opened = Connection::open(&self.target(&machine)?, machine.connect_deadline()).await;
        machine.keep_silence(matches!(opened, Err(SshError::Timeout { .. })));
        let remote = Remote::new(host, opened?, self.elevation);
        *kept = Some(remote.clone());
        Ok(remote)
    }

    /// While the result lives, the host is one that has not answered: a connection, or what it was asked over one.
    pub fn await_answer(&self, host: &HostName, is_connected: bool) -> Awaited<'_> {
        guarded(&self.awaited).insert(host.clone(), (Instant::now(), is_connected));
        Awaited { hosts: self, host: host.clone() }
    }

    /// What an action waits for at a host; `None` when it does not any more.
    pub fn note_wait(&self, host: &HostName, what: Option<String>) {
        match what {
            Some(what) => drop(guarded(&self.waits).insert(host.clone(), what)),
            None => drop(guarded(&self.waits).remove(host)),
        }
    }

    pub fn waits(&self) -> BTreeMap<HostName, String> {
        guarded(&self.waits).clone()
    }

    /// The hosts that have not answered yet.
    pub fn unanswered(&self) -> Vec<Unanswered> {
        let awaited = guarded(&self.awaited).clone();
        let unanswered = |(host, (since, is_connected))| {
            let machine = self.machines.get(&host)?;
            Some(Unanswered { host, destination: machine.destination.clone(), since, is_connected })
        };
        awaited.into_iter().filter_map(unanswered).collect()
    }

    fn target(&self, machine: &Machine) -> Result<Target, SshError> {
        let ssh = &self.desired.ssh;
        let target = Target::parse(&machine.destination)?;
        Ok(Target {
            user: target.user.or_else(|| ssh.user.clone()),
            config: ssh.config.clone(),
            known_hosts: ssh.known_hosts.clone(),
            client: ssh.client,
            ..target
        })
    }

    /// Forgets a connection that did not answer, so that the next use makes a new one.
    pub async fn disconnect(&self, host: &HostName) {
        if let Some(machine) = self.machines.get(host) {
            *machine.connection.lock().await = None;
            machine.forget_member();
        }
    }

    /// The machine of a host that is declared, or was seen to run a member.
    pub fn machine(&self, host: &HostName) -> Result<Arc<Machine>, Cause> {
        self.machines.get(host).ok_or_else(|| cause::of_ssh(host, &unknown(host)))
    }

    /// The folder of the etcd that a host runs, as it was last seen; of the declared version before any look.
    pub fn running(&self, host: &HostName) -> RemotePath {
        let seen = self.machines.get(host).and_then(|machine| machine.binaries());
        seen.unwrap_or_else(|| self.desired.binaries_folder())
    }

    /// Where the member of a host serves clients: as it was last seen, or as it is declared.
    pub fn endpoint(&self, host: &HostName) -> String {
        let place = self.machines.get(host).and_then(|machine| machine.place());
        place.map_or_else(|| self.desired.client_url(host).to_string(), |place| place.url())
    }

    /// Our lock, while somebody holds it.
    pub fn lock(&self) -> Option<Arc<Lock>> {
        guarded(&self.lock).upgrade()
    }

    pub fn keep_lock(&self, lock: &Arc<Lock>) {
        *guarded(&self.lock) = Arc::downgrade(lock);
    }

    /// Runs a command on `host` under our lock, with `what` in the host's log.
    pub async fn run(&self, lock: &Lock, host: &HostName, command: Command, what: &str) -> Result<(), Diagnostic> {
        let remote = self.on(host).await?;
        let proof = LockProof { token: &lock.token, audit: lock.operation.audit(what) };
        remote.run(command, &proof).await.map(drop)
    }

    /// Does the same on all declared hosts at once.
    pub async fn each<T, F>(self: &Arc<Self>, work: impl Fn(Arc<Self>, HostName) -> F) -> BTreeMap<HostName, T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.each_of(self.desired.nodes.keys(), work).await
    }

    pub async fn each_of<T, F>(
        self: &Arc<Self>,
        hosts: impl Iterator<Item = &HostName>,
        work: impl Fn(Arc<Self>, HostName) -> F,
    ) -> BTreeMap<HostName, T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        // Dropping the set ends the tasks: nobody waits for them any more then.
        let mut tasks = tokio::task::JoinSet::new();
        for host in hosts {
            let (host, work) = (host.clone(), work(Arc::clone(self), host.clone()));
            tasks.spawn(async move { (host, work.await) });
        }
        let mut results = BTreeMap::new();
        while let Some(finished) = tasks.join_next().await {
            let (host, result) = finished.expect("a task of ours neither panics nor is cancelled");
            results.insert(host, result);
        }
        results
    }
}

/// A host that has not answered yet.
pub(super) struct Awaited<'a> {
    hosts: &'a Hosts,
    host: HostName,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        guarded(&self.hosts.awaited).remove(&self.host);
    }
}

/// A host that is neither declared nor was seen to run a member.
fn unknown(host: &HostName) -> SshError {
    let reason = "not declared in cluster.toml, and no member was found there".to_owned();
    SshError::Malformed { host: host.to_string(), reason }
}
