//! What a look at a host is made of: sections, one a thing, each with its lines of shell, its parser and its fact.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Trouble};
use crate::core::desired::Desired;
use crate::core::names::HostName;
use crate::shell::live::remote::quoted;

/// Whom a look is for.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub desired: &'a Desired,
    pub host: &'a HostName,
}

/// The shell variables that the lines of a section read.
pub(super) type Words = Vec<(&'static str, String)>;

/// One thing that is looked at on a host.
pub(super) trait Section {
    /// What is known of it afterwards.
    type Fact;

    /// Its lines: a function called `look_` and the name of the section.
    const SHELL: &'static str;

    /// The programs without which they say nothing that can be relied on.
    const NEEDS: &'static [&'static str] = &[];

    /// `None` where there is nothing to look at: then the lines are not sent.
    fn words(of: &Subject<'_>) -> Option<Words>;

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Self::Fact, Trouble>;
}

/// A section as the script has it.
pub(super) struct Lines {
    pub name: &'static str,
    pub shell: &'static str,
    pub needs: &'static [&'static str],
    pub words: fn(&Subject<'_>) -> Option<Words>,
}

impl Lines {
    pub const fn of<S: Section>(name: &'static str) -> Self {
        Self { name, shell: S::SHELL, needs: S::NEEDS, words: S::words }
    }
}

/// What is around the sections: the frame of the answer.
pub(super) const FRAME: &str = include_str!("frame.sh");

/// The script of those of `sections` that there is something to look at for; `None` when there is none. It goes to `sh -s`
/// on stdin.
pub(super) fn script<'a>(of: &Subject<'_>, sections: impl Iterator<Item = &'a Lines>) -> Option<String> {
    let mut words = BTreeMap::new();
    let (mut needs, mut names, mut shell) = (BTreeSet::<&str>::new(), Vec::new(), FRAME.to_owned());
    for section in sections {
        let Some(own) = (section.words)(of) else { continue };
        words.extend(own);
        needs.extend(section.needs);
        names.push(section.name);
        shell.push_str(section.shell);
    }
    if names.is_empty() {
        return None;
    }
    words.insert("q_needs", needs.into_iter().collect::<Vec<_>>().join(" "));
    words.insert("q_sections", names.join(" "));
    let assignments: String = words.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect();
    Some(format!("{assignments}{shell}main </dev/null\n"))
}
