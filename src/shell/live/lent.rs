//! A pair for our own connections where the key of the authority is not here: a node has one, and lends it.
//!
//! Whoever looks over SSH is root on the nodes, and may ask etcd with what lies there. It is read over that connection, kept
//! in memory alone, and signs nothing.
//!
//! ```text
//! [auth] and [backup] declared: backup-client, a user who may ask everything. With authentication on, etcd tells
//!     nobody else how it is (3.5.30 refuses even Status)
//! else: healthcheck-client, to which etcd gives no right at all
//! else: peer, the member's own
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::desired::{AuthoritySource, Desired};
use crate::core::names::{Digest, HostName, UnixSeconds};
use crate::core::observed::{Cause, File, Host, Lent, Observed, Role, Seen, Unable};
use crate::shell::live::hosts::Hosts;
use crate::shell::live::pki::{self, CaCertificate, PairText};
use crate::shell::live::remote;

/// Takes what is trusted, and then certificates and keys in turn: gives the first pair that is whole.
pub(super) const READ: &str = include_str!("script/lent-pair.sh");
const READ_TAKES: Duration = Duration::from_secs(20);

/// What a node has lent in this run.
#[derive(Default)]
pub(super) struct Lender {
    asked: tokio::sync::Mutex<Asked>,
}

#[derive(Default)]
enum Asked {
    #[default]
    NotYet,
    /// Every node could say, and none has one.
    InVain,
    Lent(HostName, Text),
}

/// As it lies on a node.
struct Text {
    trust: String,
    pair: PairText,
}

/// Where the files of an authority are declared to be here: its certificate and its key.
fn places(source: &AuthoritySource) -> Option<(PathBuf, PathBuf)> {
    match source {
        AuthoritySource::Generated { folder } => Some((folder.join("ca.crt"), folder.join("ca.key"))),
        AuthoritySource::Files { pair } => Some((pair.certificate.clone(), pair.key.clone())),
        AuthoritySource::External { .. } | AuthoritySource::Vault(_) | AuthoritySource::Node { .. } => None,
    }
}

fn is_here(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// What is missing here, where that is the key of the authority: nothing is known to be wrong with it.
pub(super) fn missing(source: &AuthoritySource) -> Option<Lent> {
    let (certificate, key) = places(source)?;
    let lent = || Lent {
        key: key.display().to_string(),
        has_certificate: is_here(&certificate),
        why: Unable::NotHere,
        reader: None,
    };
    (!is_here(&key)).then(lent)
}

/// The certificate of an authority, where it is in a file here.
///
/// # Errors
/// When it cannot be used.
pub(super) fn certificate_here(source: &AuthoritySource, at: UnixSeconds) -> Result<Option<CaCertificate>, Cause> {
    let path = places(source).map(|(certificate, _)| certificate).filter(|path| is_here(path));
    path.map(|path| pki::load_certificate(source, &path, at)).transpose()
}

impl Lender {
    /// The pair that a node has lent.
    pub async fn pair(&self, hosts: &Hosts) -> Option<PairText> {
        let mut asked = self.asked.lock().await;
        asked.fill(hosts).await;
        asked.lent().map(|(_, text)| text.pair.clone())
    }

    /// The certificate of an authority that is not here, as the node that lends a pair has it. `others` are the authorities
    /// that are known, and trusted there with it.
    ///
    /// # Errors
    /// When what is there cannot be used.
    pub async fn certificate(
        &self,
        hosts: &Hosts,
        source: &AuthoritySource,
        others: &[Digest],
        at: UnixSeconds,
    ) -> Result<Option<CaCertificate>, Cause> {
        let mut asked = self.asked.lock().await;
        asked.fill(hosts).await;
        let Some((host, Text { trust, .. })) = asked.lent() else { return Ok(None) };
        let trust = without(trust, others);
        if trust.is_empty() {
            return Ok(None);
        }
        let path = format!("{host}:{}", layout::common_path(&hosts.desired, File::Trust));
        // What is wrong there is no reason to change it: two of them are a CA that is being replaced.
        let hint = "bring the files of the CA, ca.crt and ca.key, to the location in [ca]; while it is being replaced, ca.next.crt \
                    and ca.next.key, too";
        let told = |cause: Cause| Cause { hint: Some(hint.to_owned()), ..cause };
        pki::certificate_of_text(source, &trust, Path::new(&path), at).map(Some).map_err(told)
    }
}

impl Asked {
    async fn fill(&mut self, hosts: &Hosts) {
        if matches!(self, Self::NotYet) {
            *self = ask(hosts).await;
        }
    }

    fn lent(&self) -> Option<(&HostName, &Text)> {
        match self {
            Self::Lent(host, text) => Some((host, text)),
            Self::NotYet | Self::InVain => None,
        }
    }
}

/// The certificates in a ca.crt that are of no other authority.
fn without(trust: &str, others: &[Digest]) -> String {
    let of_one = trust.split_inclusive("-----END CERTIFICATE-----");
    let is_other = |text: &&str| pki::trusted(text).iter().any(|one| others.contains(one));
    let left: String = of_one.filter(|text| !is_other(text)).collect();
    if pki::trusted(&left).is_empty() { String::new() } else { left }
}

/// Where a pair was lent: it need not be allowed to read users and roles, which is told of the pair; nor, with authentication
/// on, to ask at all, which is told of it and of no member.
pub(super) fn tell(desired: &Desired, observed: &mut Observed) {
    let Some(Lent { key, why, reader, .. }) = observed.workstation.lent.clone() else { return };
    observed.auth = observed.auth.take().filter(|seen| seen.known().is_some());
    let (with, other) = match reader {
        Some(path) => (format!("the client certificate {path}"), "give its user the role root"),
        None => {
            let other = match &desired.backup {
                None if !desired.cluster.layout.is_adopted() => {
                    "declare [backup], whose certificate may ask, or a `reader` in [ca] whose user has the role root"
                }
                // It is not on the nodes yet, or its user is not; or somebody else's service has none.
                _ => "declare a `reader` in [ca] whose user has the role root",
            };
            ("the client certificate that lies there".to_owned(), other)
        }
    };
    let hint = match why {
        Unable::NotHere => format!("run this where {key} is, or {other}"),
        Unable::Encrypted(_) => format!("`apply` opens {key} to look; for a look without it, {other}"),
        Unable::Vault(_) => format!("run this where Vault can be asked, or {other}"),
    };
    for (name, host) in &mut observed.hosts {
        let Seen::Known(Host { member: Seen::Unknown(cause), .. }) = host else { continue };
        if cause.code == Code::AuthUnknown {
            cause.summary = format!("etcd on {name} was not asked: authentication is on, and {with} has no right to");
            cause.hint = Some(hint.clone());
        }
    }
}

/// The first that has one is enough.
async fn ask(hosts: &Hosts) -> Asked {
    let desired = &hosts.desired;
    let may_ask_for_users = |host: &&HostName| !is_asked_for_users(desired) || desired.backup_on(host).is_some();
    let nodes = desired.nodes.keys().filter(may_ask_for_users);
    let mut nodes: FuturesUnordered<_> = nodes.map(async |host| (host.clone(), read(hosts, host).await)).collect();
    let mut all_could_say = true;
    while let Some((host, said)) = nodes.next().await {
        match said {
            Some(Some(text)) => return Asked::Lent(host, text),
            Some(None) => {}
            None => all_could_say = false,
        }
    }
    if all_could_say { Asked::InVain } else { Asked::NotYet }
}

/// `None` where the node cannot be asked.
async fn read(hosts: &Hosts, host: &HostName) -> Option<Option<Text>> {
    let remote = hosts.on(host).await.ok()?;
    let script = remote::with_arguments(READ, paths(&hosts.desired, host).iter().map(String::as_str));
    let output = remote.exec("reading a client certificate", &script, Vec::new(), READ_TAKES).await.ok()?;
    Some(parse(&Zeroizing::new(output.stdout)))
}

/// ca.crt, and the pairs in the order in which they are wanted: that with the least right that suffices first.
fn paths(desired: &Desired, host: &HostName) -> Vec<String> {
    let backup = is_asked_for_users(desired).then_some(Role::BackupClient);
    let roles = backup.into_iter().chain([Role::HealthcheckClient, Role::Peer]);
    let files = [File::Trust].into_iter().chain(roles.flat_map(|role| [role.certificate(), role.key()]));
    files.map(|file| layout::path(desired, host, file).to_string()).collect()
}

/// Whether there is a user who may, and does nothing else than take snapshots.
fn is_asked_for_users(desired: &Desired) -> bool {
    desired.auth.as_ref().is_some_and(|auth| auth.enabled) && desired.backup.is_some()
}

/// The pair in what [`READ`] has said.
pub(super) fn pair_in(said: &[u8]) -> Option<PairText> {
    parse(said).map(|text| text.pair)
}

fn parse(said: &[u8]) -> Option<Text> {
    let text = std::str::from_utf8(said).ok()?;
    let (trust, rest) = text.split_once("\nquorate-certificate\n")?;
    let (certificate, key) = rest.split_once("\nquorate-key\n")?;
    let pair = PairText { certificate: certificate.to_owned(), key: SecretString::from(key) };
    Some(Text { trust: trust.to_owned(), pair })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::core::names::ClusterName;
    use crate::laws::sample;
    use crate::shell::clock::now;

    #[test]
    fn a_pair_is_read_whole_or_not_at_all_and_never_shown() {
        let text = parse(b"CA\n\nquorate-certificate\nCERT\n\nquorate-key\nKEY\n").expect("it is whole");
        assert_eq!((text.trust.as_str(), text.pair.certificate.as_str()), ("CA\n", "CERT\n"));
        assert_eq!(text.pair.key.expose_secret(), "KEY\n");
        assert!(!format!("{:?}", text.pair).contains("KEY\n"));
        for cut in ["", "CA\n", "CA\n\nquorate-certificate\nCERT\n", "\u{fffd}"] {
            assert!(parse(cut.as_bytes()).is_none(), "{cut}");
        }
    }

    #[test]
    fn the_least_right_is_asked_for() {
        let desired = sample::desired(3);
        let files: Vec<_> = paths(&desired, &sample::name(0))
            .iter()
            .map(|path| path.rsplit('/').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(files, ["ca.crt", "healthcheck-client.crt", "healthcheck-client.key", "peer.crt", "peer.key"]);
    }

    /// Which authority of a ca.crt is the one that is not here follows from the other one.
    #[test]
    fn what_is_known_is_taken_out_of_what_a_node_trusts() {
        let made = |name: &str| pki::generate_authority(&ClusterName::new(name), now()).expect("it is made").0;
        let (old, new) = (made("old"), made("new"));
        let both = format!("{old}{new}");
        let of = |text: &str| pki::trusted(text);
        assert_eq!(of(&without(&both, &of(&old))), of(&new));
        assert_eq!(of(&without(&both, &[])), of(&both));
        assert_eq!(without(&old, &of(&old)), "");
        assert_eq!(without("no certificate", &[]), "");
    }

    #[test]
    fn only_a_key_that_is_not_there_is_missing() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = AuthoritySource::Generated { folder: folder.path().to_owned() };
        let key = folder.path().join("ca.key").display().to_string();
        let lent =
            |has_certificate| Some(Lent { key: key.clone(), has_certificate, why: Unable::NotHere, reader: None });
        assert_eq!(missing(&source), lent(false));
        std::fs::write(folder.path().join("ca.crt"), "").expect("the folder is ours");
        assert_eq!(missing(&source), lent(true));
        // One that is there and wrong is told as that.
        std::fs::write(folder.path().join("ca.key"), "").expect("the folder is ours");
        assert_eq!(missing(&source), None);
    }
}
