//! Every error that reaches an operator: its kind (which is its exit code), its place, causes, and what to do next.

use std::fmt;

use crate::core::names::HostName;

/// What kind of failure it is. The exit code follows from it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The config is wrong, a remote command failed, a file could not be read.
    Failure,
    /// A guard refused.
    Refused,
    /// The plan is not the one that was approved.
    PlanChanged,
    /// Someone else holds the lock.
    Locked,
    /// A host or an endpoint could not be seen.
    Unseen,
    /// `apply` stopped part-way; the cluster serves.
    Stopped,
    /// The command line is wrong.
    Usage,
    /// ^C, as a shell tells it of a program that a signal ends.
    Interrupted,
}

impl Kind {
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failure => 1,
            Self::Refused => 3,
            Self::PlanChanged => 4,
            Self::Locked => 5,
            Self::Unseen => 6,
            Self::Stopped => 7,
            Self::Usage => 64,
            Self::Interrupted => 130,
        }
    }
}

/// A failure, told once and in full.
///
/// Printed as `error: SUMMARY`, then one indented line a cause, then the hint after a blank line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub kind: Kind,
    /// `cluster.toml:18`, or a host's name.
    pub place: Option<String>,
    /// What was tried, on which host, and what happened: a lower-case fragment.
    pub summary: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// The next thing to do.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Whether it is of that host.
    pub fn is_on(&self, host: &HostName) -> bool {
        self.place.as_deref() == Some(host.as_str())
    }

    pub fn new(kind: Kind, summary: impl Into<String>) -> Self {
        Self { kind, place: None, summary: summary.into(), causes: Vec::new(), hint: None }
    }

    pub fn failure(summary: impl Into<String>) -> Self {
        Self::new(Kind::Failure, summary)
    }

    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Adds `error` and everything below it to the causes.
    #[must_use]
    pub fn caused_by(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            self.causes.push(cause.to_string());
            next = cause.source();
        }
        self
    }

    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds what `why` says and its causes; its hint is the way out.
    #[must_use]
    pub fn because_of(self, why: Self) -> Self {
        let Self { summary, causes, hint, .. } = why;
        let told = causes.into_iter().fold(self.with_cause(summary), Self::with_cause);
        Self { hint, ..told }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.summary)?;
        for cause in &self.causes {
            write!(f, "\n  caused by: {}", cause.replace('\n', "\n    "))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n\nhint: {}", hint.replace('\n', "\n      "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_several_lines_keeps_its_indent() {
        let told = Diagnostic::failure("the host key is unknown").with_cause("tried:\n  a key").hint("add:\n  a line");
        let expected = "the host key is unknown\n  caused by: tried:\n      a key\n\nhint: add:\n        a line";
        assert_eq!(told.to_string(), expected);
    }
}
