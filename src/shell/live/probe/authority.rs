//! What lies on a node of the authority that is declared to lie there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::desired::AuthoritySource;
use crate::core::observed::Access;

pub(super) struct Look;

/// The digest of the key and who may read it, and the text of the certificate; each only if it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lying {
    pub key: Option<(String, Access)>,
    pub certificate: Option<String>,
}

impl Section for Look {
    /// `None` where it was not looked at. What cannot be read of it keeps nothing else from being seen.
    type Fact = Option<Result<Lying, Trouble>>;

    const SHELL: &'static str = include_str!("authority.sh");

    const NEEDS: &'static [&'static str] = &["base64", "head", "sha256sum", "stat"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let AuthoritySource::Node { certificate, key } = &of.desired.authority else { return None };
        of.desired
            .nodes
            .contains_key(of.host)
            .then(|| vec![("q_authority_certificate", certificate.to_string()), ("q_authority_key", key.to_string())])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Option<Result<Lying, Trouble>>, Trouble> {
        let AuthoritySource::Node { key, .. } = &of.desired.authority else { return Ok(None) };
        let unreadable = || Trouble::Unreadable(format!("its answer about {key} is unreadable"));
        let seen = answer.has("authority");
        Ok(seen.then(|| parsed(answer.lines("authority")).ok_or_else(unreadable)))
    }
}

/// `key DIGEST MODE OWNER GROUP` and `certificate BASE64`.
fn parsed<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Lying> {
    let mut lying = Lying::default();
    for line in lines {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["key", digest, mode, owner, group] => {
                lying.key = Some((digest.to_owned(), Access::new(mode, owner, group)));
            }
            ["certificate", text] => {
                lying.certificate = Some(String::from_utf8_lossy(&STANDARD.decode(text).ok()?).into_owned());
            }
            _ => return None,
        }
    }
    Some(lying)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_says_is_read_or_refused() {
        let parsed = |said: &str| parsed(said.lines());
        let both = parsed("key abc 600 root root\ncertificate LS0tLS1CRUdJTg==").unwrap();
        assert_eq!(both.key, Some(("abc".to_owned(), Access::new("600", "root", "root"))));
        assert_eq!(both.certificate.as_deref(), Some("-----BEGIN"));
        let neither = parsed("").unwrap();
        assert!(neither.key.is_none() && neither.certificate.is_none());
        assert!(parsed("certificate eA==\n").unwrap().key.is_none());
        assert!(parsed("key abc 600\n").is_none() && parsed("something else\n").is_none() && parsed("key ").is_none());
        assert!(parsed("certificate x\n").is_none(), "it is truncated");
    }
}
