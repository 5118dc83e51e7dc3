//! `quorate explain`: the page behind a code.

use std::io::Write;

use clap::builder::PossibleValue;

use super::context::Context;
use super::output::print;
use crate::core::code::Code;
use crate::core::diagnostic::Diagnostic;

/// Explain a code such as host-unreachable, or list all
///
/// Explains the code shown in [brackets] after a message: what it means, why quorate stops, and how to fix it.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate explain data-found
  quorate explain                 list all codes")]
pub struct ExplainArgs {
    /// The code in [brackets] after a message
    #[arg(hide_possible_values = true)]
    pub code: Option<Code>,
}

impl clap::ValueEnum for Code {
    fn value_variants<'a>() -> &'a [Self] {
        Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

/// Prints the page of a code, or one line a code.
///
/// # Errors
/// When it cannot be written.
pub fn run(args: &ExplainArgs, context: &Context, stdout: &mut dyn Write) -> Result<u8, Diagnostic> {
    let style = context.palette().heading;
    let text = match args.code {
        Some(code) => {
            let exit = code.kind().exit_code();
            format!("{style}{code}{style:#} (exit code {exit})\n\n{}\n", code.explanation())
        }
        None => {
            let width = Code::ALL.iter().map(|code| code.as_str().len()).max().unwrap_or(0);
            let line = |code: &Code| format!("{style}{code:width$}{style:#}  {}\n", first_sentence(code.explanation()));
            Code::ALL.iter().map(line).collect()
        }
    };
    print(stdout, &text)?;
    Ok(0)
}

/// The text up to its first full stop, on one line.
fn first_sentence(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or(text).replace('\n', " ");
    match paragraph.find(". ") {
        Some(end) => paragraph[..=end].to_owned(),
        None => paragraph,
    }
}
