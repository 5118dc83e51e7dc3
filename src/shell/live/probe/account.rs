//! Whether there is the account that etcd runs as.

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, missing};
use crate::core::content::layout;

pub(super) struct Look;

/// Empty where somebody else has set the service up, whose unit says it.
pub(super) fn declared(of: &Subject<'_>) -> String {
    if of.desired.cluster.layout.is_set_up_by_us() { layout::account(of.desired).to_owned() } else { String::new() }
}

impl Section for Look {
    type Fact = bool;

    const SHELL: &'static str = include_str!("account.sh");

    const NEEDS: &'static [&'static str] = &["getent"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_account", declared(of))])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<bool, Trouble> {
        match answer.value("account", "account") {
            Some("present") => Ok(true),
            Some("absent") => Ok(false),
            _ => Err(missing("whether the etcd user exists")),
        }
    }
}
