//! Whether there is the account that etcd runs as.

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, missing};
use crate::core::content::layout;

pub(super) struct Look;

impl Section for Look {
    type Fact = bool;

    const SHELL: &'static str = include_str!("account.sh");

    const NEEDS: &'static [&'static str] = &["getent"];

    fn words(_: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_account", layout::ACCOUNT.to_owned())])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<bool, Trouble> {
        match answer.value("account", "account") {
            Some("present") => Ok(true),
            Some("absent") => Ok(false),
            _ => Err(missing("whether the etcd user exists")),
        }
    }
}
