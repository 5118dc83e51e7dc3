//! The real world: hosts over SSH, etcd over its API.
//!
//! [`Live`] is the [`Fleet`] of real hosts. One connection to each is opened when it is first needed and kept for the
//! run; a host that was lost is connected to again at the next look.

pub mod archive;
mod cause;
pub mod etcd;
mod handover;
pub mod lock;
mod look;
mod perform;
pub mod pki;
pub mod probe;
pub mod remote;
pub mod ssh;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::action::Action;
use crate::capability::version;
use crate::desired::{AuthoritySource, Desired, EtcdAccess};
use crate::diagnostic::Diagnostic;
use crate::fleet::Fleet;
use crate::names::{Architecture, HostName, UnixSeconds};
use crate::observed::{Cause, Observed, Seen, Workstation};

use archive::Package;
use etcd::{Member, Tls, Unreachable};
use lock::{Errand, Holder, Lock};
use pki::Signer;
use remote::{Elevation, Remote};
use ssh::{Connection, SshError, Target};

/// The hosts of one cluster.
pub struct Live {
    shared: Arc<Shared>,
}

/// What the tasks of all hosts share.
struct Shared {
    desired: Desired,
    elevation: Elevation,
    hosts: BTreeMap<HostName, Slot>,
    packages: tokio::sync::Mutex<BTreeMap<Architecture, Result<Arc<Package>, Cause>>>,
    tls: Mutex<Option<Tls>>,
    lock: Mutex<Weak<Lock>>,
}

/// What is kept of one host between two looks.
#[derive(Default)]
struct Slot {
    connection: tokio::sync::Mutex<Option<Connection>>,
    member: Mutex<Option<Arc<Member>>>,
}

/// To log in. A slow name server or a loaded sshd takes seconds; more is no host to work on.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);
/// For a tunnel to a port and the TLS handshake in it.
const DIAL_DEADLINE: Duration = Duration::from_secs(5);

impl Live {
    /// Connects to nothing yet.
    pub fn new(desired: Desired) -> Self {
        let hosts = desired.nodes.keys().map(|host| (host.clone(), Slot::default())).collect();
        let shared = Shared {
            elevation: Elevation::of(&desired),
            desired,
            hosts,
            packages: tokio::sync::Mutex::default(),
            tls: Mutex::default(),
            lock: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes the lock of every host that can be reached; what changes a host is refused without it. Dropping the result
    /// releases it. `waiting` is called with each holder that is waited for.
    ///
    /// # Errors
    /// When another run holds a lock for longer than `patience`.
    pub async fn lock(
        &self,
        errand: Errand,
        patience: Duration,
        waiting: &(dyn Fn(&HostName, &Holder) + Sync),
    ) -> Result<Arc<Lock>, Diagnostic> {
        let connected = self.each(|shared, host| async move {
            let opened = shared.connection(&host).await;
            opened.map_err(|error| cause::of_ssh(&host, &error))
        });
        let hosts = connected.await.into_iter().collect();
        let lock = Arc::new(lock::take(hosts, self.shared.elevation, errand, patience, waiting).await?);
        *guarded(&self.shared.lock) = Arc::downgrade(&lock);
        Ok(lock)
    }

    /// Who holds the lock of each host; `Known(None)` where it is free.
    pub async fn lock_status(&self) -> BTreeMap<HostName, Seen<Option<Holder>>> {
        let asked = self.each(|shared, host| async move {
            let connection = match shared.connection(&host).await {
                Ok(connection) => connection,
                Err(error) => return Seen::Unknown(cause::of_ssh(&host, &error)),
            };
            let remote = Remote { host: &host, connection: &connection, elevation: shared.elevation };
            match lock::status(&remote).await {
                Ok(holder) => Seen::Known(holder),
                Err(failure) => Seen::Unknown(cause::of_diagnostic(failure)),
            }
        });
        asked.await
    }

    /// Ends the process that holds the lock of a host, if it is still `holder`.
    ///
    /// # Errors
    /// When someone else holds it by now, or when it could not be ended.
    pub async fn break_lock(&self, host: &HostName, holder: &Holder, errand: &Errand) -> Result<(), Diagnostic> {
        let opened = self.shared.connection(host).await;
        let connection = opened.map_err(|error| perform::told(cause::of_ssh(host, &error)))?;
        let remote = Remote { host, connection: &connection, elevation: self.shared.elevation };
        lock::break_it(&remote, holder, &errand.audit(&format!("break the lock of {holder}"))).await
    }

    /// Does the same on all hosts at once.
    async fn each<T, F>(&self, work: impl Fn(Arc<Shared>, HostName) -> F) -> BTreeMap<HostName, T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        // Dropping the set ends the tasks: nobody waits for them any more then.
        let mut tasks = tokio::task::JoinSet::new();
        for host in self.shared.hosts.keys() {
            let (host, work) = (host.clone(), work(Arc::clone(&self.shared), host.clone()));
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

impl Fleet for Live {
    async fn observe(&self) -> Observed {
        let at = now();
        let loaded = self.shared.load_authority(at);
        let known: Arc<[_]> = loaded.iter().flatten().map(Signer::known).collect();
        let authority = Signer::seen(&loaded);
        let tls = loaded.ok().flatten().and_then(|signer| self.shared.tls_of(&signer, at));
        let hosts = self.each(|shared, host| {
            let (known, tls) = (Arc::clone(&known), tls.clone());
            async move { look::look(&shared, &host, &known, tls).await }
        });
        let hosts = hosts.await;
        let mut observed = Observed { at, workstation: Workstation { authority, archives: BTreeMap::new() }, hosts };
        for architecture in version::wanted_archives(&self.shared.desired, &observed) {
            let package = self.shared.package(architecture).await;
            let seen = match package {
                Ok(package) => Seen::Known(package.facts.clone()),
                Err(cause) => Seen::Unknown(cause),
            };
            observed.workstation.archives.insert(architecture, seen);
        }
        observed
    }

    async fn perform(&self, action: &Action) -> Result<(), Diagnostic> {
        perform::perform(&self.shared, action).await
    }
}

impl Shared {
    /// The connection to a host: the one that there is, or a new one.
    async fn connection(&self, host: &HostName) -> Result<Connection, SshError> {
        let mut slot = self.hosts[host].connection.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        *guarded(&self.hosts[host].member) = None;
        let opened = Connection::open(&self.target(host)?, CONNECT_DEADLINE).await?;
        *slot = Some(opened.clone());
        Ok(opened)
    }

    /// Forgets a connection that did not answer, so that the next use makes a new one.
    async fn disconnect(&self, host: &HostName) {
        *self.hosts[host].connection.lock().await = None;
        *guarded(&self.hosts[host].member) = None;
    }

    fn target(&self, host: &HostName) -> Result<Target, SshError> {
        let ssh = &self.desired.ssh;
        let target = Target::parse(self.desired.nodes[host].ssh_destination())?;
        Ok(Target {
            user: target.user.or_else(|| ssh.user.clone()),
            config: ssh.config.clone(),
            known_hosts: ssh.known_hosts.clone(),
            ..target
        })
    }

    fn load_authority(&self, at: UnixSeconds) -> Result<Option<Signer>, Cause> {
        let AuthoritySource::Generated { folder } = &self.desired.authority;
        pki::load(folder, at)
    }

    /// Our own credentials for etcd, if there is an authority that can issue them.
    fn tls(&self, at: UnixSeconds) -> Option<Tls> {
        self.tls_of(&self.load_authority(at).ok()??, at)
    }

    fn tls_of(&self, signer: &Signer, at: UnixSeconds) -> Option<Tls> {
        let mut kept = guarded(&self.tls);
        if let Some(tls) = kept.as_ref().filter(|tls| !tls.is_due(at)) {
            return Some(tls.clone());
        }
        *kept = Tls::new(signer, at).ok();
        kept.clone()
    }

    /// The member of a host at a port: the one that we know already, or a new connection.
    async fn member(
        &self,
        host: &HostName,
        connection: &Connection,
        tls: &Tls,
        port: u16,
    ) -> Result<Arc<Member>, Unreachable> {
        if let Some(member) = guarded(&self.hosts[host].member).clone() {
            return Ok(member);
        }
        let address = &self.desired.nodes[host].address;
        let member = match self.desired.ssh.etcd_access {
            EtcdAccess::Direct => Member::direct(host, address, port, tls, DIAL_DEADLINE).await?,
            EtcdAccess::Tunnel => {
                let tunnel = connection.tunnel(address, port, DIAL_DEADLINE).await;
                let stream = tunnel.map_err(|error| cause::of_tunnel(host, port, &error))?;
                Member::connect(host, address, stream, tls, DIAL_DEADLINE).await?
            }
        };
        let member = Arc::new(member);
        *guarded(&self.hosts[host].member) = Some(Arc::clone(&member));
        Ok(member)
    }

    fn forget_member(&self, host: &HostName) {
        *guarded(&self.hosts[host].member) = None;
    }

    /// The archive for an architecture: fetched and checked once in a run.
    async fn package(&self, architecture: Architecture) -> Result<Arc<Package>, Cause> {
        let mut packages = self.packages.lock().await;
        if let Some(package) = packages.get(&architecture) {
            return package.clone();
        }
        let desired = self.desired.clone();
        let prepared = tokio::task::spawn_blocking(move || archive::prepare(&desired, architecture)).await;
        let package = prepared.unwrap_or_else(|_| Err(cause::interrupted("checking the etcd archive"))).map(Arc::new);
        packages.insert(architecture, package.clone());
        package
    }

    fn lock(&self) -> Option<Arc<Lock>> {
        guarded(&self.lock).upgrade()
    }
}

/// What is behind such a mutex is replaced whole, so a panic elsewhere cannot have left it half-changed.
fn guarded<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This machine's clock.
fn now() -> UnixSeconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixSeconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
