//! Who holds the lock of the host.

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::names::UnixSeconds;
use crate::core::observed::LockHolder;

pub(super) struct Look;

/// The holder, and by what it is told from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub token: String,
    pub holder: LockHolder,
}

impl Section for Look {
    /// `None` where it is free, or its holder has not written yet who it is.
    type Fact = Option<Held>;

    const SHELL: &'static str = concat!(include_str!("../script/held.sh"), include_str!("lock.sh"));

    fn words(_: &Subject<'_>) -> Option<Words> {
        Some(Words::new())
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<Option<Held>, Trouble> {
        let said = |key: &str| answer.value("lock", key);
        let words = |key: &str| said(key).unwrap_or("unknown").to_owned();
        let Some(token) = said("token") else { return Ok(None) };
        let holder = LockHolder {
            operator: words("operator"),
            purpose: words("purpose"),
            since: said("since").and_then(|text| text.parse().ok()).map(UnixSeconds),
        };
        Ok(Some(Held { token: token.to_owned(), holder }))
    }
}
