//! The cluster's authority: from files here, or from who signs while we wait.

use crate::capability::certificates::Wanted;
use crate::desired::{AuthoritySource, Desired};
use crate::diagnostic::{Diagnostic, Kind};
use crate::live::etcd::Tls;
use crate::live::perform::told;
use crate::live::pki::{self, Holding, Issued, Signer};
use crate::live::vault::Vault;
use crate::live::{Live, Shared, guarded};
use crate::names::UnixSeconds;
use crate::observed::Cause;

pub(super) fn vault(desired: &Desired) -> Option<Vault> {
    match &desired.authority {
        AuthoritySource::Vault(declared) => Some(Vault::new(declared)),
        _ => None,
    }
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
        match (&self.vault, &self.desired.authority) {
            (Some(vault), _) => vault.holding(at).await.map(Some),
            (None, AuthoritySource::Node { .. }) => self.nodes.holding(self, at).await,
            (None, source) => Holding::load(source, &self.opener, at),
        }
    }

    /// The authority, which has to be there.
    pub(super) async fn holding(&self, at: UnixSeconds) -> Result<Holding, Diagnostic> {
        let missing = || match &self.desired.authority {
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
        if let Some(vault) = &self.vault {
            return vault.issue(wanted, validity_seconds, at).await.map_err(told);
        }
        let holding = self.holding(at).await?;
        let signer = holding.signer().ok_or_else(|| {
            let what = "the key of the authority is not here, so nothing can be issued";
            let refused = Diagnostic::new(Kind::Refused, what).at(self.desired.places.of("ca.source"));
            refused.hint("ask whoever issues the certificates of the nodes")
        })?;
        signer.issue(wanted, validity_seconds, at)
    }

    /// Our own credentials for etcd, if there is an authority that can issue them.
    pub(super) async fn tls(&self, at: UnixSeconds) -> Option<Tls> {
        self.tls_of(&self.load_authority(at).await.ok()??, self.load_next(at).ok()?.as_ref(), at)
    }

    /// The authority that is to take the other's place.
    pub(super) fn load_next(&self, at: UnixSeconds) -> Result<Option<Signer>, Cause> {
        match &self.desired.authority {
            AuthoritySource::Generated { folder } => pki::load_next(folder, at),
            AuthoritySource::Files { .. }
            | AuthoritySource::External { .. }
            | AuthoritySource::Vault(_)
            | AuthoritySource::Node { .. } => Ok(None),
        }
    }

    pub(super) fn tls_of(&self, holding: &Holding, next: Option<&Signer>, at: UnixSeconds) -> Option<Tls> {
        let mut kept = guarded(&self.tls);
        let of = (holding.anchor().certificate_pem().to_owned(), next.map(|next| next.certificate_pem().to_owned()));
        if let Some((_, tls)) = kept.as_ref().filter(|(made_of, tls)| *made_of == of && !tls.is_due(at)) {
            return Some(tls.clone());
        }
        *kept = Tls::of(holding, next, at).ok().map(|tls| (of, tls));
        kept.as_ref().map(|(_, tls)| tls.clone())
    }
}
