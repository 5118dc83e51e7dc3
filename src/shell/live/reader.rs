//! The client certificate that is configured to look with, where the authority cannot sign for us.

use crate::core::code::Code;
use crate::core::desired::Pair;
use crate::core::names::UnixSeconds;
use crate::core::observed::{Cause, Usage};
use crate::core::span::days;
use crate::shell::live::pki::{self, KnownAuthority, PairText};

#[derive(Clone, Debug, Default)]
pub struct Reader {
    pub pair: Option<Pair>,
    /// By the environment of this run. Otherwise the files need not be there: who has the key needs none.
    pub is_asked_for: bool,
}

impl Reader {
    /// The pair that is used: where one of its files is here, the other has to be.
    fn used(&self) -> Option<&Pair> {
        let is_here = |pair: &&Pair| [&pair.certificate, &pair.key].iter().any(|path| path.symlink_metadata().is_ok());
        self.pair.as_ref().filter(|pair| self.is_asked_for || is_here(pair))
    }

    pub fn is_there(&self) -> bool {
        self.used().is_some()
    }

    /// The path of its certificate.
    pub fn shown(&self) -> Option<String> {
        self.used().map(|pair| pair.certificate.display().to_string())
    }

    /// `None` where none is configured. `known` are the authorities that the members may trust.
    ///
    /// # Errors
    /// When it cannot be used. Nothing else is used in its place, which could have more rights.
    pub fn read(&self, known: &[KnownAuthority], at: UnixSeconds) -> Result<Option<PairText>, Cause> {
        let Some(pair) = self.used() else { return Ok(None) };
        let unusable = |why: String| Cause {
            code: Code::ReaderUnusable,
            summary: format!("etcd cannot be queried: {why}"),
            hint: Some("replace the client certificate to look with, or remove `reader` from [ca]".to_owned()),
        };
        match fault(pair, known, at) {
            Some(why) => Err(unusable(why)),
            None => pki::read_pair(pair).map(Some).map_err(unusable),
        }
    }
}

fn fault(pair: &Pair, known: &[KnownAuthority], at: UnixSeconds) -> Option<String> {
    let seen = pki::look_at_given(pair, known);
    if let Some(fault) = seen.faults.into_iter().next() {
        return Some(fault);
    }
    let path = seen.path;
    let certificate = seen.certificate?;
    match () {
        () if certificate.signed_by.is_none() => Some(format!("{path} is not signed by the CA of this cluster")),
        () if certificate.not_after <= at => {
            Some(format!("{path} expired {} ago", days(at.0 - certificate.not_after.0)))
        }
        () if certificate.not_before > at => Some(format!("{path} is not valid yet")),
        () if !certificate.usages.contains(&Usage::ClientAuth) => Some(format!("{path} is no client certificate")),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::core::cluster::leaf;
    use crate::core::names::ClusterName;
    use crate::shell::clock::now;

    /// A pair of `signer` in `folder`, as `name`.crt and `name`.key.
    fn issued(folder: &Path, name: &str, signer: &pki::Signer) -> Reader {
        let leaf = signer.issue(&leaf::client("monitoring"), 3600, now()).unwrap();
        let [certificate, key] = ["crt", "key"].map(|end| folder.join(format!("{name}.{end}")));
        fs::write(&certificate, &leaf.certificate_pem).unwrap();
        fs::write(&key, leaf.key_pem.expose_secret()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        Reader { pair: Some(Pair { certificate, key }), is_asked_for: false }
    }

    #[test]
    fn a_pair_is_used_only_if_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let signer = |name: &str| pki::create(&path(name), &ClusterName::new(name), now()).unwrap();
        let (ours, theirs) = (signer("ours"), signer("theirs"));
        let known = [ours.known()];
        let reader = issued(folder.path(), "good", &ours);
        assert!(reader.read(&known, now()).unwrap().is_some());
        assert_eq!(reader.shown(), Some(path("good.crt").display().to_string()));
        let why = |reader: &Reader, at| {
            let cause = reader.read(&known, at).unwrap_err();
            assert_eq!(cause.code, Code::ReaderUnusable);
            cause.summary
        };
        let expired = why(&reader, now().plus_seconds(2 * 24 * 3600));
        assert!(expired.ends_with("good.crt expired 1 day ago"), "{expired}");
        let foreign = why(&issued(folder.path(), "foreign", &theirs), now());
        assert!(foreign.ends_with("foreign.crt is not signed by the CA of this cluster"), "{foreign}");
        let mixed = Pair { certificate: path("good.crt"), key: path("foreign.key") };
        let mixed = why(&Reader { pair: Some(mixed), is_asked_for: false }, now());
        assert!(mixed.contains("foreign.key is not the key of"), "{mixed}");
        let half = Pair { certificate: path("good.crt"), key: path("none.key") };
        let half = why(&Reader { pair: Some(half), is_asked_for: false }, now());
        assert!(half.ends_with("none.key does not exist"), "{half}");
        // Whoever has the key of the authority need not have the pair, unless it is asked for.
        let none = || Some(Pair { certificate: path("none.crt"), key: path("none.key") });
        let absent = Reader { pair: none(), is_asked_for: false };
        assert!(!absent.is_there() && absent.read(&known, now()).unwrap().is_none());
        assert!(why(&Reader { pair: none(), is_asked_for: true }, now()).contains("none.crt does not exist"));
    }
}
