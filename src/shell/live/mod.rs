//! The real world: hosts over SSH, etcd over its API.
//!
//! [`Live`] is the [`Fleet`] of real hosts. One connection to each is opened when it is first needed and kept for the
//! run; a host that was lost is connected to again at the next look.

pub mod archive;
mod authority;
pub mod backup;
mod cause;
mod consumers;
pub mod drill;
pub mod etcd;
mod former;
mod handover;
pub mod lock;
mod look;
mod machine;
mod membership;
mod node;
pub mod offsite;
mod password;
mod perform;
pub mod pki;
pub mod probe;
mod raft_log;
mod reach;
pub mod remote;
mod restored;
pub mod ssh;
mod users;
mod vault;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::core::capability::{rotation, version};
use crate::core::cluster::quorum;
use crate::core::desired::Desired;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{Architecture, HostName, RemotePath, UnixSeconds, Version};
use crate::core::observed::{Cause, Observed, Seen, Workstation};
use crate::core::plan::action::Action;
use crate::shell::fleet::Fleet;

use archive::Package;
pub use authority::Openers;
use authority::Origins;
use etcd::Tls;
use lock::{Errand, Holder, Lock};
use machine::{Machine, Machines};
use pki::Holding;
use remote::{Elevation, Remote};
use ssh::{Connection, SshError, Target};

/// The hosts of one cluster.
pub struct Live {
    shared: Arc<Shared>,
}

/// What the tasks of all hosts share.
struct Shared {
    desired: Desired,
    openers: Openers,
    /// Where it signs.
    origins: Origins,
    /// Where it lies on the nodes.
    nodes: node::Nodes,
    elevation: Elevation,
    machines: Machines,
    packages: tokio::sync::Mutex<Packages>,
    tls: Mutex<Option<(Authorities, Tls)>>,
    lock: Mutex<Weak<Lock>>,
    users: Mutex<users::Kept>,
}

/// ca.crt, and that of the next authority.
type Authorities = (String, Option<String>);

/// Each archive that was fetched and checked, or why it cannot be used.
type Packages = BTreeMap<(Version, Architecture), Result<Arc<Package>, Cause>>;

impl Live {
    /// Connects to nothing yet.
    pub fn new(desired: Desired) -> Self {
        Self::with_openers(desired, Openers::default())
    }

    /// As [`Live::new`], with what opens the authority's key, and that of the previous one.
    pub fn with_openers(desired: Desired, openers: Openers) -> Self {
        let shared = Shared {
            elevation: Elevation::of(&desired),
            machines: Machines::declared(&desired),
            origins: Origins::new(&desired, &openers),
            openers,
            nodes: node::Nodes::default(),
            desired,
            packages: tokio::sync::Mutex::default(),
            tls: Mutex::default(),
            lock: Mutex::default(),
            users: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// As [`Live::new`] for what is declared otherwise, with the same authority: nobody is asked for its passphrase again.
    pub fn with_same_authority(&self, desired: Desired) -> Self {
        Self::with_openers(desired, self.shared.openers.clone())
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

    /// Does the same on all declared hosts at once.
    async fn each<T, F>(&self, work: impl Fn(Arc<Shared>, HostName) -> F) -> BTreeMap<HostName, T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.each_of(self.shared.desired.nodes.keys(), work).await
    }

    async fn each_of<T, F>(
        &self,
        hosts: impl Iterator<Item = &HostName>,
        work: impl Fn(Arc<Shared>, HostName) -> F,
    ) -> BTreeMap<HostName, T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        // Dropping the set ends the tasks: nobody waits for them any more then.
        let mut tasks = tokio::task::JoinSet::new();
        for host in hosts {
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

/// Between two looks at members that gave different lists: one that has just started publishes its name, and the others
/// learn it a moment apart.
const DISAGREEMENT_PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1)];

impl Fleet for Live {
    async fn observe(&self) -> Observed {
        let mut observed = self.observe_once().await;
        for pause in DISAGREEMENT_PAUSES {
            if quorum::disagreement(&observed).is_none() {
                break;
            }
            tokio::time::sleep(pause).await;
            observed = self.observe_once().await;
        }
        observed
    }

    async fn perform(&self, action: &Action) -> Result<(), Diagnostic> {
        perform::perform(&self.shared, action).await
    }

    async fn write_once(&self, host: &HostName, key: &str, value: &str, deadline: Duration) -> Result<Duration, Cause> {
        reach::write_once(&self.shared, host, key, value, deadline).await
    }
}

impl Live {
    /// Where nobody runs there is nobody to ask.
    async fn old_is_refused(&self, observed: &Observed) -> bool {
        let runs = observed.seen_hosts().any(|(_, host)| host.process.is_some());
        !runs || reach::refuses_the_old(&self.shared).await.is_ok()
    }

    async fn observe_once(&self) -> Observed {
        let at = now();
        self.shared.nodes.look(&self.shared, at).await;
        let loaded = self.shared.load_authority(at).await;
        let next = self.shared.load_next(at).await;
        // What is wrong with the next one keeps the rotation from going on, and nothing else from being seen.
        let (next, loaded) = match next {
            Ok(next) => (next, loaded),
            Err(cause) => (None, Err(cause)),
        };
        let known = loaded.iter().flatten().map(|holding| holding.anchor().known());
        let known: Arc<[_]> = known.chain(next.iter().map(|next| next.anchor().known())).collect();
        let authority = Holding::seen(&loaded);
        let given = pki::given(&self.shared.desired.authority, &loaded);
        let tls = loaded.ok().flatten().and_then(|holding| self.shared.tls_of(&holding, next.as_ref(), at));
        let look = |shared: Arc<Shared>, host: HostName| {
            let (known, tls) = (Arc::clone(&known), tls.clone());
            async move { look::look(&shared, &host, &known, tls).await }
        };
        let hosts = self.each(look).await;
        let workstation = Workstation {
            authority,
            next: next.map(|next| next.anchor().facts().clone()),
            archives: BTreeMap::new(),
            given,
            is_replaced: false,
            keepers: self.shared.nodes.keepers().await,
        };
        let mut observed = Observed {
            at,
            workstation,
            hosts,
            former: BTreeMap::new(),
            auth: None,
            consumers: BTreeMap::new(),
            guessed: false,
        };
        let found = former::found(&self.shared.desired, &observed);
        let usable = || found.iter().filter(|(_, lead)| lead.obstacle.is_none());
        usable().for_each(|(name, lead)| self.shared.machines.add_former(name, lead.peer_url.address()));
        let looked_at = self.each_of(usable().map(|(name, _)| name), look).await;
        observed.former = former::seen(&observed, found, looked_at, |former| self.shared.machines.declared_as(former));
        observed.auth = users::look(&self.shared, &observed).await;
        observed.consumers = consumers::look(&self.shared, &known).await;
        let is_first = self.shared.is_first_look();
        if is_first
            && self.shared.is_being_replaced()
            && rotation::is_over(&observed)
            && self.old_is_refused(&observed).await
        {
            self.shared.is_replaced();
            rotation::adopt_effect(&self.shared.desired, &mut observed);
        }
        observed.workstation.is_replaced =
            self.shared.desired.previous_authority.is_some() && !self.shared.is_being_replaced();
        for (version, architecture) in version::wanted_archives(&self.shared.desired, &observed) {
            let package = self.shared.package(version, architecture).await;
            let seen = match package {
                Ok(package) => Seen::Known(package.facts.clone()),
                Err(cause) => Seen::Unknown(cause),
            };
            observed.workstation.archives.entry(version).or_default().insert(architecture, seen);
        }
        observed
    }
}

impl Shared {
    /// The connection to a host: the one that there is, or a new one.
    async fn connection(&self, host: &HostName) -> Result<Connection, SshError> {
        let machine = self.machines.get(host).ok_or_else(|| unknown(host))?;
        let mut kept = machine.connection.lock().await;
        if let Some(connection) = kept.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        machine.forget_member();
        let opened = Connection::open(&self.target(&machine)?, machine.connect_deadline()).await;
        machine.keep_silence(matches!(opened, Err(SshError::Timeout { .. })));
        let opened = opened?;
        *kept = Some(opened.clone());
        Ok(opened)
    }

    /// Forgets a connection that did not answer, so that the next use makes a new one.
    async fn disconnect(&self, host: &HostName) {
        if let Some(machine) = self.machines.get(host) {
            *machine.connection.lock().await = None;
            machine.forget_member();
        }
    }

    fn target(&self, machine: &Machine) -> Result<Target, SshError> {
        let ssh = &self.desired.ssh;
        let target = Target::parse(&machine.destination)?;
        Ok(Target {
            user: target.user.or_else(|| ssh.user.clone()),
            config: ssh.config.clone(),
            known_hosts: ssh.known_hosts.clone(),
            ..target
        })
    }

    /// The archive of a version for an architecture: fetched and checked once in a run.
    async fn package(&self, version: Version, architecture: Architecture) -> Result<Arc<Package>, Cause> {
        let mut packages = self.packages.lock().await;
        if let Some(package) = packages.get(&(version, architecture)) {
            return package.clone();
        }
        let desired = self.desired.clone();
        let prepared = tokio::task::spawn_blocking(move || archive::prepare(&desired, version, architecture)).await;
        let package = prepared.unwrap_or_else(|_| Err(cause::interrupted("checking the etcd archive"))).map(Arc::new);
        packages.insert((version, architecture), package.clone());
        package
    }

    /// The folder of the etcd that a host runs, as it was last seen; of the declared version before any look.
    fn running(&self, host: &HostName) -> RemotePath {
        let seen = self.machines.get(host).and_then(|machine| machine.binaries());
        seen.unwrap_or_else(|| self.desired.binaries_folder())
    }

    /// Where the member of a host serves clients: as it was last seen, or as it is declared.
    fn endpoint(&self, host: &HostName) -> String {
        let place = self.machines.get(host).and_then(|machine| machine.place());
        place.map_or_else(|| self.desired.client_url(host).to_string(), |place| place.url())
    }

    fn lock(&self) -> Option<Arc<Lock>> {
        guarded(&self.lock).upgrade()
    }
}

/// A host that is neither declared nor was seen to run a member.
fn unknown(host: &HostName) -> SshError {
    let reason = "it is not declared, and no member was seen to live there".to_owned();
    SshError::Unresolvable { host: host.to_string(), reason }
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
