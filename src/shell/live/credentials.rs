//! The cluster's authority, from files here, from the nodes or from who signs while we wait; and what we log in to etcd
//! with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::core::cluster::leaf::Wanted;
use crate::core::code::Code;
use crate::core::desired::{AuthoritySource, Desired, Place};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{HostName, UnixSeconds};
use crate::core::observed::{Cause, Held, Lent, Unable};
use crate::shell::clock::now;
use crate::shell::fleet::Need;
use crate::shell::live::cause;
use crate::shell::live::etcd::Tls;
use crate::shell::live::hosts::Hosts;
use crate::shell::live::lent::{self, Lender};
use crate::shell::live::mutex::guarded;
use crate::shell::live::node::{Found, Nodes, Said};
use crate::shell::live::pki::{self, CaCertificate, Issued, KnownAuthority, LoadedCa, Opener, PairText};
pub use crate::shell::live::reader::Reader;
use crate::shell::live::vault::Vault;

/// Where one authority is: in files here, on the nodes, or with someone who signs while we wait.
struct Origin {
    source: AuthoritySource,
    opener: Arc<Opener>,
    vault: Option<Vault>,
    /// Whether its keys were opened to look, with nobody there. That is tried once a run.
    opened_alone: tokio::sync::OnceCell<bool>,
}

impl Origin {
    fn new(source: &AuthoritySource, opener: Arc<Opener>) -> Self {
        let vault = match source {
            AuthoritySource::Vault(declared) => Some(Vault::new(declared)),
            _ => None,
        };
        Self { source: source.clone(), opener, vault, opened_alone: Default::default() }
    }

    /// Its keys that are files here.
    fn keys(&self) -> Vec<PathBuf> {
        match &self.source {
            AuthoritySource::Generated { folder } => pki::keys_in(folder).to_vec(),
            AuthoritySource::Files { pair } => vec![pair.key.clone()],
            AuthoritySource::External { .. } | AuthoritySource::Vault(_) | AuthoritySource::Node { .. } => Vec::new(),
        }
    }

    /// Whether one of them opens with nobody there; not where that was tried in vain.
    fn may_open_alone(&self) -> bool {
        self.opened_alone.get() != Some(&false) && self.keys().iter().any(|key| self.opener.opens_alone(key))
    }

    /// Opens those that open with nobody there; whether one was. What opens them may not be here either: apply says so once it
    /// needs it.
    async fn open_alone(&self) -> bool {
        let (opener, keys) = (Arc::clone(&self.opener), self.keys());
        let opened = async {
            let open = move || keys.iter().filter(|key| opener.open_unattended(key).unwrap_or(false)).count() > 0;
            tokio::task::spawn_blocking(open).await.unwrap_or(false)
        };
        *self.opened_alone.get_or_init(|| opened).await
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

/// What opens the keys of both, and what is shown to etcd where they are not open.
#[derive(Clone, Default)]
pub struct Openers {
    pub authority: Arc<Opener>,
    pub previous: Arc<Opener>,
    pub reader: Reader,
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

/// ca.crt, and that of the next authority; each with whether it cannot sign.
type Authorities = ((String, bool), Option<(String, bool)>);

impl Credentials {
    pub fn new(hosts: Arc<Hosts>, openers: Openers) -> Self {
        let origins = Origins::new(&hosts.desired, &openers);
        let (nodes, lender) = (Nodes::default(), Lender::default());
        Self { origins, openers, nodes, lender, tls: Mutex::default(), hosts }
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

    /// `None` when none was made yet. What is wrong with it here.
    async fn load_here(&self, origin: &Origin, at: UnixSeconds) -> Result<Option<LoadedCa>, Cause> {
        match (&origin.vault, &origin.source) {
            (Some(vault), _) => vault.ca(at).await.map(Some),
            (None, AuthoritySource::Node { .. }) => self.nodes.ca(&self.hosts, at).await,
            (None, source) => LoadedCa::load(source, &origin.opener, at),
        }
    }

    /// As it is here; to look, what is known of it without its key is enough.
    async fn load_from(&self, origin: &Origin, at: UnixSeconds) -> Result<Option<LoadedCa>, Cause> {
        let here = self.load_here(origin, at).await;
        match &here {
            Ok(Some(LoadedCa::Locked { why: Lent { why: Unable::Encrypted(_), .. }, .. }))
                if origin.may_open_alone() && !self.can_look_without_key().await && origin.open_alone().await =>
            {
                self.load_here(origin, at).await
            }
            Ok(Some(_)) => here,
            Ok(None) | Err(_) => match self.known_without_key(origin, &here, at).await {
                Ok(None) => here,
                known => known,
            },
        }
    }

    /// The certificate of an authority that cannot sign here, where there is something else to look with. `None` where there
    /// is not, or something else is wrong.
    async fn known_without_key(
        &self,
        origin: &Origin,
        here: &Result<Option<LoadedCa>, Cause>,
        at: UnixSeconds,
    ) -> Result<Option<LoadedCa>, Cause> {
        let source = &origin.source;
        let why = match (&origin.vault, here) {
            (Some(vault), Err(cause)) if vault.is_out_of_reach() => Some(Lent {
                key: "Vault".to_owned(),
                has_certificate: false,
                why: Unable::Vault(cause.summary.clone()),
                reader: None,
            }),
            _ => lent::missing(source),
        };
        let Some(why) = why else { return Ok(None) };
        let can_look = self.openers.reader.is_there() || self.lender.pair(&self.hosts).await.is_some();
        if !can_look {
            return Ok(None);
        }
        if let Some(ca_certificate) = certificate_of(origin, at).await? {
            let why = Lent { has_certificate: true, ..why };
            return Ok(Some(LoadedCa::Locked { ca_certificate, why }));
        }
        let mut others = Vec::new();
        let origins = [self.origins.going(), Some(&self.origins.declared)];
        for other in origins.into_iter().flatten().filter(|other| other.source != *source) {
            others.extend(certificate_of(other, at).await?.map(|of| of.facts().trusted()).unwrap_or_default());
        }
        let certificate = self.lender.certificate(&self.hosts, source, &others, at).await?;
        Ok(certificate.map(|ca_certificate| LoadedCa::Locked { ca_certificate, why }))
    }

    /// `None` when none was made yet.
    pub async fn load_authority(&self, at: UnixSeconds) -> Result<Option<LoadedCa>, Cause> {
        let Some(going) = self.origins.going() else { return self.load_from(&self.origins.declared, at).await };
        let missing = || Cause {
            code: Code::AuthorityMissing,
            summary: "no CA found at the location in [ca.previous]".to_owned(),
            hint: Some(format!("put its certificate there, and its key to change anything{OR_NONE_TRUSTS}")),
        };
        let unusable = |Cause { code, summary, hint }: Cause| {
            let restore = || "restore it".to_owned();
            Cause { code, summary, hint: Some(format!("{}{OR_NONE_TRUSTS}", hint.unwrap_or_else(restore))) }
        };
        self.load_from(going, at).await.map_err(unusable)?.map(Some).ok_or_else(missing)
    }

    /// Whether etcd answers somebody who has no key of an authority.
    async fn can_look_without_key(&self) -> bool {
        self.openers.reader.is_there() || !self.looks_as_root() && self.lender.pair(&self.hosts).await.is_some()
    }

    /// Whether etcd answers root alone, as far as the declaration tells: what a node lends has no right to look. A look may
    /// show that it is so elsewhere, too.
    fn looks_as_root(&self) -> bool {
        let desired = &self.hosts.desired;
        desired.auth.as_ref().is_some_and(|auth| auth.enabled)
            && desired.backup.is_none()
            && !self.openers.reader.is_there()
    }

    /// Opens the keys that sign, if they are encrypted, and sees to it that a new one can be encrypted. Whoever sits there may
    /// be asked.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub async fn open_keys(&self, need: Need) -> Result<(), Diagnostic> {
        if need == Need::Look && !self.looks_as_root() {
            return Ok(());
        }
        if let Some(going) = self.origins.going() {
            open(going, false).await?;
        }
        open(&self.origins.declared, need == Need::Make).await?;
        if need == Need::LookAgain {
            self.take_back_first_look();
        }
        Ok(())
    }

    /// After a look that was not let in: opens the keys that open with nobody there. Whether there is more to see now.
    pub async fn open_unattended(&self) -> bool {
        let mut opened = false;
        for origin in self.origins.going().into_iter().chain([&self.origins.declared]) {
            opened |= !origin.opened_alone.initialized() && origin.open_alone().await;
        }
        if opened {
            self.take_back_first_look();
        }
        opened
    }

    /// Why the authority, or the next one, cannot sign; a key that is not here before one that only has to be opened.
    pub fn lent(&self, authority: Option<&LoadedCa>, next: Option<&LoadedCa>) -> Option<Lent> {
        let mut lent: Vec<_> = authority.into_iter().chain(next).filter_map(LoadedCa::locked).collect();
        lent.sort_by_key(|lent| matches!(lent.why, Unable::Encrypted(_)));
        let first = (*lent.first()?).clone();
        let has_certificate = lent.iter().all(|lent| lent.has_certificate);
        Some(Lent { has_certificate, reader: self.openers.reader.shown(), ..first })
    }

    /// What is shown to etcd where an authority cannot sign for it.
    async fn reading(&self, why: &Lent, known: &[KnownAuthority], at: UnixSeconds) -> Result<PairText, Cause> {
        if let Some(pair) = self.openers.reader.read(known, at)? {
            return Ok(pair);
        }
        self.lender.pair(&self.hosts).await.ok_or_else(|| nothing_to_show(why))
    }

    /// Our own client certificate.
    ///
    /// # Errors
    /// When there is none.
    pub async fn client(&self, at: UnixSeconds) -> Result<PairText, Diagnostic> {
        let ca = self.ca(at).await?;
        let Some(why) = ca.locked() else { return ca.operator(at) };
        // What is wrong with the next one does not matter here.
        let next = self.load_next(at).await.ok().flatten();
        let known: Vec<_> =
            [Some(&ca), next.as_ref()].into_iter().flatten().map(|of| of.certificate().known()).collect();
        Ok(self.reading(why, &known, at).await?)
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

    /// It could not find out.
    fn take_back_first_look(&self) {
        self.origins.was_looked_at.store(false, Ordering::Relaxed);
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
            refused.hint(match ca.locked() {
                Some(Lent { key, why: Unable::NotHere, .. }) => {
                    format!("restore ca.crt and {key} from your backup, or run this where they are")
                }
                Some(Lent { key, .. }) => format!("{key} was not opened; run this again"),
                None => "ask whoever issues the nodes' certificates".to_owned(),
            })
        })?;
        signer.issue(wanted, validity_seconds, at)
    }

    /// Our own credentials for etcd, or why there are none: what is wrong with the authority itself.
    pub async fn tls(&self) -> Result<Tls, Cause> {
        let at = now();
        let ca = self.load_authority(at).await?.ok_or_else(cause::no_authority)?;
        self.tls_of(&ca, self.load_next(at).await?.as_ref(), at).await
    }

    /// The authority that is to take the other's place.
    pub async fn load_next(&self, at: UnixSeconds) -> Result<Option<LoadedCa>, Cause> {
        match (&self.origins.declared, self.is_being_replaced()) {
            (declared, true) => self.load_from(declared, at).await,
            (Origin { source: AuthoritySource::Generated { folder }, opener, .. }, false) => {
                pki::read_next(folder, opener, at)
            }
            (_, false) => Ok(None),
        }
    }

    /// As [`Credentials::load_next`]; it has to be there.
    pub async fn next(&self, at: UnixSeconds) -> Result<LoadedCa, Diagnostic> {
        let none = || Diagnostic::failure("no new CA is stored next to the current one");
        self.load_next(at).await?.ok_or_else(none)
    }

    pub async fn tls_of(&self, ca: &LoadedCa, next: Option<&LoadedCa>, at: UnixSeconds) -> Result<Tls, Cause> {
        let text = |of: &LoadedCa| (of.certificate().certificate_pem().to_owned(), of.locked().is_some());
        let of = (text(ca), next.map(text));
        if let Some((_, tls)) = guarded(&self.tls).as_ref().filter(|(made_of, tls)| *made_of == of && !tls.is_due(at)) {
            return Ok(tls.clone());
        }
        *guarded(&self.tls) = None;
        let locked = ca.locked().or(next.and_then(LoadedCa::locked));
        let known: Vec<_> = [Some(ca), next].into_iter().flatten().map(|of| of.certificate().known()).collect();
        let reading = match locked {
            Some(why) => Some(self.reading(why, &known, at).await?),
            None => None,
        };
        let tls = Tls::of(ca, next, reading.as_ref(), at).map_err(cause::no_client)?;
        *guarded(&self.tls) = Some((of, tls.clone()));
        Ok(tls)
    }
}

fn nothing_to_show(why: &Lent) -> Cause {
    let (code, why, hint) = match &why.why {
        Unable::Encrypted(_) => {
            let hint = format!("`apply` opens {} to look", why.key);
            (Code::KeyEncrypted, format!("{} is encrypted", why.key), hint)
        }
        Unable::NotHere => {
            (Code::KeyNotHere, format!("{} is not here", why.key), "run this where the key is".to_owned())
        }
        Unable::Vault(missing) => (Code::KeyNotHere, missing.clone(), "run this where Vault can be asked".to_owned()),
    };
    Cause {
        code,
        summary: format!("etcd cannot be queried: {why}, and no node has lent a client certificate"),
        hint: Some(format!("{hint}, or declare a client certificate to look with: `reader` in [ca]")),
    }
}

/// The certificate of an authority, where it is in a file here or Vault tells it.
async fn certificate_of(origin: &Origin, at: UnixSeconds) -> Result<Option<CaCertificate>, Cause> {
    match &origin.vault {
        Some(vault) => Ok(vault.certificate(at).await.ok()),
        None => lent::certificate_here(&origin.source, at),
    }
}

/// Opens the keys of an authority that are files here; `makes` says that a new one is to be made beside them.
async fn open(origin: &Origin, makes: bool) -> Result<(), Diagnostic> {
    let files = origin.keys();
    let folder = match &origin.source {
        AuthoritySource::Generated { folder } => Some(folder.clone()),
        AuthoritySource::Files { .. } => None,
        AuthoritySource::External { .. } | AuthoritySource::Vault(_) | AuthoritySource::Node { .. } => return Ok(()),
    };
    let opener = Arc::clone(&origin.opener);
    let opened = tokio::task::spawn_blocking(move || {
        files.iter().try_for_each(|file| opener.open(file))?;
        match folder.filter(|_| makes).map(|folder| pki::keys_in(&folder)) {
            Some([current, next]) if current.exists() => opener.prepare(&next, Some(&current)),
            Some([new, _]) => opener.prepare(&new, None),
            None => Ok(()),
        }
    });
    opened.await.unwrap_or_else(|_| Err(Diagnostic::failure("opening the CA's key was interrupted")))
}

#[cfg(test)]
mod tests;
