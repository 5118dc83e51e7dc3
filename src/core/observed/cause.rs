//! Why something could not be seen or had. Its code is given where it happens, and decides the exit code.

use serde::{Deserialize, Serialize};

use crate::core::code::Code;
use crate::core::diagnostic::Diagnostic;

/// Why a fact could not be had, and what the operator can do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    pub code: Code,
    /// What was tried and what happened: a lower-case fragment that names the host.
    pub summary: String,
    pub hint: Option<String>,
}

impl Cause {
    /// A task of ours that was ended; `code` is of what it was to bring.
    pub fn interrupted(code: Code, what: &str) -> Self {
        Self { code, summary: format!("{what} was interrupted"), hint: None }
    }
}

/// What the operator is told when nothing goes on without it.
impl From<Cause> for Diagnostic {
    fn from(Cause { code, summary, hint }: Cause) -> Self {
        Self { hint, ..Self::new(code.kind(), summary) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::diagnostic::Kind;

    #[test]
    fn a_task_that_was_ended_has_the_code_of_what_it_was_to_bring() {
        let exit = |code| Diagnostic::from(Cause::interrupted(code, "it")).kind;
        assert_eq!(exit(Code::AuthorityUnreadable), Kind::Failure);
        assert_eq!(exit(Code::HostUnreachable), Kind::Unseen);
        assert_eq!(exit(Code::AuthorityMissing), Kind::Refused);
    }

    #[test]
    fn the_hint_is_told_with_it() {
        let cause = Cause { code: Code::Vault, summary: "no".to_owned(), hint: Some("do".to_owned()) };
        assert_eq!(Diagnostic::from(cause).to_string(), "no\n\nhint: do");
    }
}
