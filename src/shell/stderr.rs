//! What is said beside the results: warnings, notes, questions, and the error at the end. All of it goes through here or
//! through [`Progress`](super::progress::Progress), so that `-q` and `--color` hold for it.
//!
//! There is nowhere left to say that stderr is gone, so that is never a failure.

use std::fmt::Display;
use std::io::{self, Write as _};

use anstyle::Style;

use crate::core::diagnostic::Diagnostic;
use crate::core::render::palette::Palette;

/// How it is said.
#[derive(Clone, Copy, Debug)]
pub struct Voice {
    /// Results and errors only.
    pub quiet: bool,
    pub colour: bool,
}

impl Voice {
    fn palette(self) -> Palette {
        if self.colour { Palette::coloured() } else { Palette::plain() }
    }

    /// What keeps a command from its end. It is said in any case.
    pub fn error(self, what: &Diagnostic) {
        labelled(&mut io::stderr().lock(), self.palette().code, "error", what);
    }

    /// What the operator should know, and what keeps nothing from going on.
    pub fn warn(self, what: impl Display) {
        if !self.quiet {
            labelled(&mut io::stderr().lock(), self.palette().changed, "warning", what);
        }
    }

    /// A line about the result.
    pub fn note(self, what: impl Display) {
        if !self.quiet {
            let _ = writeln!(io::stderr().lock(), "{what}");
        }
    }

    /// What a program has said on stderr, as it is.
    pub fn pass_on(self, said: &[u8]) {
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(said).and_then(|()| stderr.flush());
    }

    /// A question, whose answer is typed behind it. Whoever must not be asked is not.
    pub fn ask(self, question: impl Display) {
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "{question}").and_then(|()| stderr.flush());
    }

    /// Ends the line of a question that nobody has typed an answer behind, or of a ^C.
    pub fn end_line(self) {
        let _ = writeln!(io::stderr().lock());
    }
}

/// `warning: WHAT`, the word before it in its colour.
pub(in crate::shell) fn labelled(out: &mut dyn io::Write, style: Style, word: &str, what: impl Display) {
    let _ = writeln!(out, "{style}{word}:{style:#} {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_before_it_is_coloured() {
        let shown = |palette: Palette| {
            let mut out = Vec::new();
            labelled(&mut out, palette.changed, "warning", "it may be old");
            String::from_utf8(out).expect("it is text")
        };
        assert_eq!(shown(Palette::plain()), "warning: it may be old\n");
        assert_eq!(shown(Palette::coloured()), "\u{1b}[33mwarning:\u{1b}[0m it may be old\n");
    }
}
