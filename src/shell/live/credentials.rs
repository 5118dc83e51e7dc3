//! The cluster's authority, from files here, from the nodes or from who signs while we wait; and what we log in to etcd
//! with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::core::cluster::leaf::Wanted;
use crate::core::code::Code;
use crate::core::desired::{AuthoritySource, Desired, Place};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{HostName, UnixSeconds};
use crate::core::observed::{Cause, Held, Lent};
use crate::shell::clock::now;
use crate::shell::live::cause;
use crate::shell::live::etcd::Tls;
use crate::shell::live::hosts::Hosts;
use crate::shell::live::lent::{self, Lender};
use crate::shell::live::mutex::guarded;
use crate::shell::live::node::{Found, Nodes, Said};
use crate::shell::live::pki::{self, Issued, LoadedCa, Opener};
use crate::shell::live::vault::Vault;

/// Where one authority is: in files here, on the nodes, or with someone who signs while we wait.
struct Origin {
    source: AuthoritySource,
    opener: Arc<Opener>,
    vault: Option<Vault>,
}

impl Origin {
    fn new(source: &AuthoritySource, opener: Arc<Opener>) -> Self {
        let vault = match source {
            AuthoritySource::Vault(declared) => Some(Vault::new(declared)),
            _ => None,
        };
        Self { source: source.clone(), opener, vault }
    }
}

/// The authorities of one cluster: the declared one, and the one whose place it takes.
struct Origins {
    declared: Origin,
    previous: Option<Origin>,
    /// Nobody trusts the previous one any more.
    is_replaced: AtomicBool,
    /// When the previous one expired, if it has: who trusts it alone trusts nobody.
    ended: Option<UnixSeconds>,
    was_looked_at: AtomicBool,
}

impl Origins {
    fn new(desired: &Desired, openers: &Openers) -> Self {
        let of_previous = |source| Origin::new(source, Arc::clone(&openers.previous));
        let previous = desired.previous_authority.as_ref().map(of_previous);
        let declared = Origin::new(&desired.authority, Arc::clone(&openers.authority));
        let ended = desired.previous_authority.as_ref().and_then(|source| pki::ended(source, now()));
        let is_replaced = AtomicBool::new(ended.is_some());
        Self { declared, previous, is_replaced, ended, was_looked_at: AtomicBool::new(false) }
    }

    /// The one that is to go, while it is not gone.
    fn going(&self) -> Option<&Origin> {
        self.previous.as_ref().filter(|_| !self.is_replaced.load(Ordering::Relaxed))
    }
}

/// What opens the keys of both.
#[derive(Clone, Default)]
pub struct Openers {
    pub authority: Arc<Opener>,
    pub previous: Arc<Opener>,
}

/// What signs and what logs in, on top of the hosts: an authority may lie on them.
pub(super) struct Credentials {
    hosts: Arc<Hosts>,
    openers: Openers,
    /// Where it signs.
    origins: Origins,
    /// Where it lies on the nodes.
    nodes: Nodes,
    /// Where its key is not here.
    lender: Lender,
    tls: Mutex<Option<(Authorities, Tls)>>,
}

/// Until members are brought to the declared authority, only the key of the previous one lets us in.
const OR_NONE_TRUSTS: &str = "; if no member trusts the CA in [ca.previous] any more, remove [ca.previous]";

/// ca.crt, and that of the next authority.
type Authorities = (String, Option<String>);

impl Credentials {
    pub fn new(hosts: Arc<Hosts>, openers: Openers) -> Self {
        let origins = Origins::new(&hosts.desired, &openers);
        Self { origins, openers, nodes: Nodes::default(), lender: Lender::default(), tls: Mutex::default(), hosts }
    }

    pub fn openers(&self) -> &Openers {
        &self.openers
    }

    /// Whether a look at the nodes tells which authority there is.
    pub fn lie_on_nodes(&self) -> bool {
        matches!(self.hosts.desired.authority, AuthoritySource::Node { .. })
    }

    /// Takes in what the nodes have said of the authority that lies on them.
    pub async fn learn(&self, said: Said, at: UnixSeconds) {
        self.nodes.learn(&self.hosts, said, at).await;
    }

    /// Which nodes have the key.
    pub async fn ca_keys(&self) -> BTreeMap<HostName, Held> {
        self.nodes.ca_keys().await
    }

    /// The pair that lies on the nodes.
    pub async fn on_nodes(&self, at: UnixSeconds) -> Result<Option<Found>, Cause> {
        self.nodes.found(&self.hosts, at).await
    }

    /// `None` when none was made yet.
    async fn load_from(&self, origin: &Origin, at: UnixSeconds) -> Result<Option<LoadedCa>, Cause> {
        match (&origin.vault, &origin.source) {
            (Some(vault), _) => vault.ca(at).await.map(Some),
            (None, AuthoritySource::Node { .. }) => self.nodes.ca(&self.hosts, at).await,
            (None, source) => LoadedCa::load(source, &origin.opener, at),
        }
    }

    /// `None` when none was made yet.
    pub async fn load_authority(&self, at: UnixSeconds) -> Result<Option<LoadedCa>, Cause> {
        let Some(going) = self.origins.going() else {
            let here = self.load_from(&self.origins.declared, at).await;
            if matches!(here, Ok(Some(_))) {
                return here;
            }
            // To look, what a node lends is enough.
            return match self.lender.authority(&self.hosts, at).await {
                Ok(None) => here,
                lent => lent,
            };
        };
        let missing = || Cause {
            code: Code::AuthorityMissing,
            summary: "no CA found at the location in [ca.previous]".to_owned(),
            hint: Some(format!("put its certificate and key there{OR_NONE_TRUSTS}")),
        };
        let unusable = |Cause { code, summary, hint }: Cause| {
            let restore = || "restore it".to_owned();
            Cause { code, summary, hint: Some(format!("{}{OR_NONE_TRUSTS}", hint.unwrap_or_else(restore))) }
        };
        self.load_from(going, at).await.map_err(unusable)?.map(Some).ok_or_else(missing)
    }

    /// Whether [ca.previous] is declared, and nobody was seen to have gone over to the declared one altogether.
    pub fn is_being_replaced(&self) -> bool {
        self.origins.going().is_some()
    }

    /// When the one in [ca.previous] expired, if it has.
    pub fn previous_ended(&self) -> Option<UnixSeconds> {
        self.origins.ended
    }

    /// Whether the first look of this run is to find out. Later it is the last step of the plan that does.
    pub fn take_first_look(&self) -> bool {
        !self.origins.was_looked_at.swap(true, Ordering::Relaxed)
    }

    /// Nobody trusts the previous one any more: from now on the declared one is the one that there is.
    pub fn note_replaced(&self) {
        self.origins.is_replaced.store(true, Ordering::Relaxed);
    }

    /// Whether an authority that was made here for this cluster has signed a certificate.
    pub fn has_signed(&self) -> bool {
        let of = [Some(&self.origins.declared), self.origins.previous.as_ref()];
        let folders = of.into_iter().flatten().filter_map(|origin| match &origin.source {
            AuthoritySource::Generated { folder } => Some(folder),
            _ => None,
        });
        folders.into_iter().any(|folder| pki::has_signed(folder, &self.hosts.desired.cluster.name, now()))
    }

    /// The authority, which has to be there.
    pub async fn ca(&self, at: UnixSeconds) -> Result<LoadedCa, Diagnostic> {
        let missing = || match &self.origins.declared.source {
            AuthoritySource::Generated { folder } => Diagnostic::failure(format!("no CA in {}", folder.display()))
                .hint("restore ca.crt and ca.key there; for a new cluster, the first `apply` creates them"),
            AuthoritySource::Node { .. } => Diagnostic::failure("no node has the CA key")
                .hint("restore ca.crt and ca.key from your backup on one of them"),
            _ => Diagnostic::failure("no CA found at the location in [ca]"),
        };
        self.load_authority(at).await?.ok_or_else(missing)
    }

    /// Has the authority that there is sign a certificate, for a key that is made here.
    pub async fn issue(&self, wanted: &Wanted, validity_seconds: u64, at: UnixSeconds) -> Result<Issued, Diagnostic> {
        let origin = self.origins.going().unwrap_or(&self.origins.declared);
        let ca = self.ca(at).await?;
        self.issue_by(origin, &ca, wanted, validity_seconds, at).await
    }

    /// As [`Credentials::issue`], by the one that is to take its place.
    pub async fn issue_by_next(
        &self,
        wanted: &Wanted,
        validity_seconds: u64,
        at: UnixSeconds,
    ) -> Result<Issued, Diagnostic> {
        let ca = self.next(at).await?;
        self.issue_by(&self.origins.declared, &ca, wanted, validity_seconds, at).await
    }

    async fn issue_by(
        &self,
        origin: &Origin,
        ca: &LoadedCa,
        wanted: &Wanted,
        validity_seconds: u64,
        at: UnixSeconds,
    ) -> Result<Issued, Diagnostic> {
        if let Some(vault) = &origin.vault {
            return vault.issue(wanted, validity_seconds, at).await.map_err(Diagnostic::from);
        }
        if let AuthoritySource::Generated { folder } = &origin.source {
            let what = || Diagnostic::failure(format!("cannot note in {} that its CA is used", folder.display()));
            pki::note_use(folder).map_err(|error| what().caused_by(&error))?;
        }
        let signer = ca.signer().ok_or_else(|| {
            let what = "the CA key is not here, so no certificate can be issued";
            let refused = Diagnostic::new(Kind::Refused, what).at(self.hosts.desired.places.of(Place::CaSource));
            refused.hint(match lent::missing(&self.hosts.desired) {
                Some(Lent { key, .. }) => {
                    format!("restore ca.crt and {key} from your backup, or run this where they are")
                }
                None => "ask whoever issues the nodes' certificates".to_owned(),
            })
        })?;
        signer.issue(wanted, validity_seconds, at)
    }

    /// Our own credentials for etcd, or why there are none: what is wrong with the authority itself.
    pub async fn tls(&self) -> Result<Tls, Cause> {
        let at = now();
        let ca = self.load_authority(at).await?.ok_or_else(cause::no_authority)?;
        self.tls_of(&ca, self.load_next(at).await?.as_ref(), at)
    }

    /// The authority that is to take the other's place.
    pub async fn load_next(&self, at: UnixSeconds) -> Result<Option<LoadedCa>, Cause> {
        match (&self.origins.declared, self.is_being_replaced()) {
            (declared, true) => self.load_from(declared, at).await,
            (Origin { source: AuthoritySource::Generated { folder }, .. }, false) => {
                Ok(pki::load_next(folder, at)?.map(LoadedCa::Signer))
            }
            (_, false) => Ok(None),
        }
    }

    /// As [`Credentials::load_next`]; it has to be there.
    pub async fn next(&self, at: UnixSeconds) -> Result<LoadedCa, Diagnostic> {
        let none = || Diagnostic::failure("no new CA is stored next to the current one");
        self.load_next(at).await?.ok_or_else(none)
    }

    pub fn tls_of(&self, ca: &LoadedCa, next: Option<&LoadedCa>, at: UnixSeconds) -> Result<Tls, Cause> {
        let mut kept = guarded(&self.tls);
        let text = |of: &LoadedCa| of.certificate().certificate_pem().to_owned();
        let of = (text(ca), next.map(text));
        if let Some((_, tls)) = kept.as_ref().filter(|(made_of, tls)| *made_of == of && !tls.is_due(at)) {
            return Ok(tls.clone());
        }
        *kept = None;
        let tls = Tls::of(ca, next, at).map_err(cause::no_client)?;
        *kept = Some((of, tls.clone()));
        Ok(tls)
    }
}
