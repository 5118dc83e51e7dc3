//! The real world: hosts over SSH, etcd over its API.
//!
//! [`Live`] is the [`Fleet`] of real hosts. One connection to each is opened when it is first needed and kept for the
//! run; a host that was lost is connected to again at the next look.
//!
//! ```text
//! Live          what is asked for: observe, perform, backups, drills
//! tasks         membership, users, handover, restored, raft_log, compare, look, reach, former, former_life
//! Credentials   what signs and what logs in: from files here, from Vault, or from the nodes; or lent, to look only
//! Hosts         what is declared, the machines, the connections to them, our lock on them
//! ```

pub mod archive;
pub mod attended;
pub mod backup;
mod cause;
mod compare;
mod credentials;
mod doctor;
pub mod drill;
pub mod etcd;
pub mod etcdctl;
mod former;
mod former_life;
pub mod handover;
mod hosts;
mod lent;
pub mod lock;
pub mod journal;
mod look;
mod lookups;
mod machine;
mod membership;
mod mutex;
mod node;
mod observe;
pub mod offsite;
mod overheard;
mod packages;
mod password;
mod perform;
pub mod pki;
pub mod probe;
mod raft_log;
mod reach;
mod reader;
pub mod remote;
mod restored;
pub mod ssh;
pub mod survey;
mod users;
mod vault;
mod voters;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::core::cluster::leaf::Wanted;
use crate::core::cluster::trust;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{HostName, UnixSeconds};
use crate::core::observed::{Cause, Comparison, Observed, Seen};
use crate::core::plan::action::{Action, SignedBy};
use crate::core::render::event::Glimpse;
use crate::shell::fleet::{Fleet, Need, Unanswered};

use credentials::Credentials;
pub use credentials::{Openers, Reader};
use hosts::Hosts;
use lock::{Holder, Lock, Operation};
use packages::Packages;
use pki::Issued;

/// The hosts of one cluster.
pub struct Live {
    hosts: Arc<Hosts>,
    credentials: Credentials,
    packages: Packages,
    users: users::Kept,
    /// Made once a run: later looks go on from it, and from who is a member by then.
    comparison: tokio::sync::OnceCell<Comparison>,
    /// Looked for once a run.
    snapshots_of_former_life: tokio::sync::OnceCell<former_life::Snapshots>,
}

impl Live {
    /// Connects to nothing yet.
    pub fn new(desired: Desired) -> Self {
        Self::with_openers(desired, Openers::default())
    }

    /// As [`Live::new`], with what opens the authority's key, and that of the previous one.
    pub fn with_openers(desired: Desired, openers: Openers) -> Self {
        let hosts = Arc::new(Hosts::new(desired));
        let credentials = Credentials::new(Arc::clone(&hosts), openers);
        Self {
            hosts,
            credentials,
            packages: Packages::default(),
            users: users::Kept::default(),
            comparison: tokio::sync::OnceCell::new(),
            snapshots_of_former_life: tokio::sync::OnceCell::new(),
        }
    }

    /// As [`Live::new`] for what is declared otherwise, with the same authority: nobody is asked for its passphrase again.
    pub fn with_same_authority(&self, desired: Desired) -> Self {
        Self::with_openers(desired, self.credentials.openers().clone())
    }

    /// Takes the lock of every host that can be reached; what changes a host is refused without it. Dropping the result
    /// releases it. `waiting` is called with each holder that is waited for.
    ///
    /// # Errors
    /// When another run holds a lock for longer than `patience`.
    pub async fn lock(
        &self,
        operation: Operation,
        patience: Duration,
        waiting: &(dyn Fn(&HostName, &Holder) + Sync),
    ) -> Result<Arc<Lock>, Diagnostic> {
        let connected = self.hosts.each(|hosts, host| async move { hosts.on(&host).await });
        let connected = connected.await.into_iter().collect();
        let lock = Arc::new(lock::take(connected, operation, patience, waiting).await?);
        self.hosts.keep_lock(&lock);
        Ok(lock)
    }

    /// Who holds the lock of each host; `Known(None)` where it is free.
    pub async fn lock_status(&self) -> BTreeMap<HostName, Seen<Option<Holder>>> {
        let asked = self.hosts.each(|hosts, host| async move {
            let remote = match hosts.on(&host).await {
                Ok(remote) => remote,
                Err(cause) => return Seen::Unknown(cause),
            };
            match lock::status(&remote).await {
                Ok(holder) => Seen::Known(holder),
                Err(cause) => Seen::Unknown(cause),
            }
        });
        asked.await
    }

    /// Ends the process that holds the lock of a host, if it is still `holder`.
    ///
    /// # Errors
    /// When someone else holds it by now, or when it could not be ended.
    pub async fn break_lock(&self, host: &HostName, holder: &Holder, operation: &Operation) -> Result<(), Diagnostic> {
        let remote = self.hosts.on(host).await?;
        lock::break_it(&remote, holder, &operation.audit(&format!("break the lock of {holder}"))).await
    }

    /// A certificate that the members accept as they are now, for a key that is made here, and the certificates of every
    /// authority that theirs may be signed by.
    ///
    /// # Errors
    /// When there is no authority that can sign, or it does not; or when it is being replaced, and a host cannot tell how far.
    pub async fn issue(
        &self,
        wanted: &Wanted,
        validity_seconds: u64,
        at: UnixSeconds,
    ) -> Result<(Issued, String), Diagnostic> {
        self.credentials.open_keys(Need::Sign).await?;
        let by = self.accepted_signer(at).await?;
        let issued = match by {
            SignedBy::Current => self.credentials.issue(wanted, validity_seconds, at).await?,
            SignedBy::Next => self.credentials.issue_by_next(wanted, validity_seconds, at).await?,
        };
        let mut trusted = self.credentials.ca(at).await?.certificate().certificate_pem().to_owned();
        if let Some(next) = self.credentials.load_next(at).await? {
            trusted.push_str(next.certificate().certificate_pem());
        }
        Ok((issued, trusted))
    }

    /// While one authority takes another's place, the hosts tell which of them every member accepts.
    async fn accepted_signer(&self, at: UnixSeconds) -> Result<SignedBy, Diagnostic> {
        if self.credentials.load_next(at).await?.is_none() {
            return Ok(SignedBy::Current);
        }
        let observed = self.observe().await;
        if let Some((_, Seen::Unknown(cause))) = observed.hosts.iter().find(|(_, host)| host.known().is_none()) {
            let what = "the CA is being replaced, and not every host could tell which one it accepts";
            return Err(Diagnostic::new(Kind::Unseen, what)
                .with_cause(cause.summary.clone())
                .hint("bring the host back, or finish or take back the replacement first: `quorate plan`"));
        }
        Ok(trust::signer(&observed))
    }
}

impl Fleet for Live {
    async fn open_keys(&self, need: Need) -> Result<(), Diagnostic> {
        self.credentials.open_keys(need).await
    }

    async fn observe(&self) -> Observed {
        observe::observe(self).await
    }

    fn awaited(&self) -> Vec<Glimpse> {
        let waits = self.hosts.waits().into_iter();
        waits.map(|(host, what)| Glimpse { host, what, trouble: false }).collect()
    }

    fn interrupt(&self) {
        self.hosts.stop.interrupt();
    }

    fn unanswered(&self) -> Vec<Unanswered> {
        self.hosts.unanswered()
    }

    async fn compare(&self) -> Option<Comparison> {
        let made = async { compare::compare(&self.hosts, &self.credentials).await.ok_or(()) };
        self.comparison.get_or_try_init(|| made).await.ok().cloned()
    }

    async fn perform(&self, action: &Action) -> Result<(), Diagnostic> {
        perform::perform(self, action).await
    }

    async fn overheard(&self, host: &HostName, since: Duration) -> Vec<String> {
        overheard::of(&self.hosts, host, since).await
    }

    async fn write_once(&self, host: &HostName, key: &str, value: &str, deadline: Duration) -> Result<Duration, Cause> {
        reach::write_once(&self.hosts, &self.credentials, host, key, value, deadline).await
    }
}
