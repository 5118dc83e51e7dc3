//! The cluster's authority: from files here, or from who signs while we wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::core::capability::certificates::Wanted;
use crate::core::code::Code;
use crate::core::desired::{AuthoritySource, Desired};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::UnixSeconds;
use crate::core::observed::Cause;
use crate::shell::live::etcd::Tls;
use crate::shell::live::perform::told;
use crate::shell::live::pki::{self, Holding, Issued, Opener};
use crate::shell::live::vault::Vault;
use crate::shell::live::{Live, Shared, guarded};

/// Where one authority is: in files here, or with someone who signs while we wait.
pub(super) struct Origin {
    source: AuthoritySource,
    opener: Arc<Opener>,
    vault: Option<Vault>,
}

impl Origin {
    pub fn new(source: &AuthoritySource, opener: Arc<Opener>) -> Self {
        let vault = match source {
            AuthoritySource::Vault(declared) => Some(Vault::new(declared)),
            _ => None,
        };
        Self { source: source.clone(), opener, vault }
    }

    /// `None` when none was made yet.
    async fn load(&self, shared: &Shared, at: UnixSeconds) -> Result<Option<Holding>, Cause> {
        match (&self.vault, &self.source) {
            (Some(vault), _) => vault.holding(at).await.map(Some),
            (None, AuthoritySource::Node { .. }) => shared.nodes.holding(shared, at).await,
            (None, source) => Holding::load(source, &self.opener, at),
        }
    }
}

/// The authorities of one cluster: the declared one, and the one whose place it takes.
pub(super) struct Origins {
    declared: Origin,
    previous: Option<Origin>,
    /// Nobody trusts the previous one any more.
    is_replaced: AtomicBool,
    was_looked_at: AtomicBool,
}

impl Origins {
    pub fn new(desired: &Desired, openers: &Openers) -> Self {
        let of_previous = |source| Origin::new(source, Arc::clone(&openers.previous));
        let previous = desired.previous_authority.as_ref().map(of_previous);
        let declared = Origin::new(&desired.authority, Arc::clone(&openers.authority));
        Self { declared, previous, is_replaced: AtomicBool::new(false), was_looked_at: AtomicBool::new(false) }
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

impl Live {
    /// A certificate by the cluster's authority for a key that is made here, and the text of ca.crt.
    ///
    /// # Errors
    /// When there is no authority that can sign, or it does not.
    pub async fn issue(
        &self,
        wanted: &Wanted,
        validity_seconds: u64,
        at: UnixSeconds,
    ) -> Result<(Issued, String), Diagnostic> {
        let issued = self.shared.issue(wanted, validity_seconds, at).await?;
        let holding = self.shared.holding(at).await?;
        Ok((issued, holding.anchor().certificate_pem().to_owned()))
    }
}

impl Shared {
    /// `None` when none was made yet.
    pub(super) async fn load_authority(&self, at: UnixSeconds) -> Result<Option<Holding>, Cause> {
        let Some(going) = self.origins.going() else { return self.origins.declared.load(self, at).await };
        let missing = || Cause {
            code: Code::AuthorityMissing,
            summary: "there is no authority where [ca.previous] says".to_owned(),
            hint: Some("put its certificate and key there, or remove [ca.previous]".to_owned()),
        };
        going.load(self, at).await?.map(Some).ok_or_else(missing)
    }

    /// Whether [ca.previous] is declared, and nobody was seen to have gone over to the declared one altogether.
    pub(super) fn is_being_replaced(&self) -> bool {
        self.origins.going().is_some()
    }

    /// Whether the first look of this run is to find out. Later it is the last step of the plan that does.
    pub(super) fn is_first_look(&self) -> bool {
        !self.origins.was_looked_at.swap(true, Ordering::Relaxed)
    }

    /// Nobody trusts the previous one any more: from now on the declared one is the one that there is.
    pub(super) fn is_replaced(&self) {
        self.origins.is_replaced.store(true, Ordering::Relaxed);
    }

    /// The authority, which has to be there.
    pub(super) async fn holding(&self, at: UnixSeconds) -> Result<Holding, Diagnostic> {
        let missing = || match &self.origins.declared.source {
            AuthoritySource::Generated { folder } => {
                Diagnostic::failure(format!("there is no authority in {}", folder.display()))
                    .hint("restore ca.crt and ca.key there, or let the first `apply` of a new cluster make them")
            }
            AuthoritySource::Node { .. } => Diagnostic::failure("no node has the key of the authority")
                .hint("restore ca.crt and ca.key on one of them from your backup"),
            _ => Diagnostic::failure("there is no authority where [ca] says"),
        };
        self.load_authority(at).await.map_err(told)?.ok_or_else(missing)
    }

    /// Has the authority that there is sign a certificate, for a key that is made here.
    pub(super) async fn issue(
        &self,
        wanted: &Wanted,
        validity_seconds: u64,
        at: UnixSeconds,
    ) -> Result<Issued, Diagnostic> {
        let origin = self.origins.going().unwrap_or(&self.origins.declared);
        let holding = self.holding(at).await?;
        self.issue_by(origin, &holding, wanted, validity_seconds, at).await
    }

    /// As [`Shared::issue`], by the one that is to take its place.
    pub(super) async fn issue_by_next(
        &self,
        wanted: &Wanted,
        validity_seconds: u64,
        at: UnixSeconds,
    ) -> Result<Issued, Diagnostic> {
        let holding = self.next(at).await?;
        self.issue_by(&self.origins.declared, &holding, wanted, validity_seconds, at).await
    }

    async fn issue_by(
        &self,
        origin: &Origin,
        holding: &Holding,
        wanted: &Wanted,
        validity_seconds: u64,
        at: UnixSeconds,
    ) -> Result<Issued, Diagnostic> {
        if let Some(vault) = &origin.vault {
            return vault.issue(wanted, validity_seconds, at).await.map_err(told);
        }
        let signer = holding.signer().ok_or_else(|| {
            let what = "the key of the authority is not here, so nothing can be issued";
            let refused = Diagnostic::new(Kind::Refused, what).at(self.desired.places.of("ca.source"));
            refused.hint("ask whoever issues the certificates of the nodes")
        })?;
        signer.issue(wanted, validity_seconds, at)
    }

    /// Our own credentials for etcd, if there is an authority that can issue them.
    pub(super) async fn tls(&self, at: UnixSeconds) -> Option<Tls> {
        self.tls_of(&self.load_authority(at).await.ok()??, self.load_next(at).await.ok()?.as_ref(), at)
    }

    /// The authority that is to take the other's place.
    pub(super) async fn load_next(&self, at: UnixSeconds) -> Result<Option<Holding>, Cause> {
        match (&self.origins.declared, self.is_being_replaced()) {
            (declared, true) => declared.load(self, at).await,
            (Origin { source: AuthoritySource::Generated { folder }, .. }, false) => {
                Ok(pki::load_next(folder, at)?.map(Holding::Signer))
            }
            (_, false) => Ok(None),
        }
    }

    /// As [`Shared::load_next`]; it has to be there.
    pub(super) async fn next(&self, at: UnixSeconds) -> Result<Holding, Diagnostic> {
        let none = || Diagnostic::failure("there is no next authority beside the one that there is");
        self.load_next(at).await.map_err(told)?.ok_or_else(none)
    }

    pub(super) fn tls_of(&self, holding: &Holding, next: Option<&Holding>, at: UnixSeconds) -> Option<Tls> {
        let mut kept = guarded(&self.tls);
        let text = |of: &Holding| of.anchor().certificate_pem().to_owned();
        let of = (text(holding), next.map(text));
        if let Some((_, tls)) = kept.as_ref().filter(|(made_of, tls)| *made_of == of && !tls.is_due(at)) {
            return Some(tls.clone());
        }
        *kept = Tls::of(holding, next, at).ok().map(|tls| (of, tls));
        kept.as_ref().map(|(_, tls)| tls.clone())
    }
}
