//! Asking whoever runs quorate, who may say anything: only one answer approves.

use std::io::{self, BufRead as _, IsTerminal as _};

use super::context::Context;
use crate::core::diagnostic::{Diagnostic, Kind};

/// Asks for a "yes", unless it was given as `--yes`. `doing` is what asks, and `undone` what is so without it.
///
/// # Errors
/// When it is not approved, or must not be asked.
pub fn approve(yes: bool, context: &Context, doing: &str, question: &str, undone: &str) -> Result<(), Diagnostic> {
    if yes {
        return Ok(());
    }
    if context.no_input {
        let what = format!("{doing} needs approval, and --no-input forbids prompts");
        return Err(Diagnostic::new(Kind::Usage, what).hint("add --yes"));
    }
    confirm(context, &format!("{question} Type \"yes\""), "yes", undone)
}

/// Reads a line, which must be `expected` and nothing else; `question` ends in words for that.
///
/// # Errors
/// When it is another, or none can be read.
pub fn confirm(context: &Context, question: &str, expected: &str, undone: &str) -> Result<(), Diagnostic> {
    context.voice().ask(format_args!("{question} to continue: "));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    let is_silent = matches!(read, Ok(0)) && !io::stdin().is_terminal();
    if !io::stdin().is_terminal() {
        context.voice().end_line();
    }
    read.map_err(|error| Diagnostic::failure("cannot read the answer").caused_by(&error))?;
    if answer.trim() == expected {
        return Ok(());
    }
    if is_silent {
        let what = format!("nobody answered, as stdin is not a terminal: {undone}");
        return Err(Diagnostic::new(Kind::Usage, what).hint("without a terminal, use --yes"));
    }
    Err(Diagnostic::failure(format!("cancelled: {undone}")))
}
