//! `quorate completions`: what a shell needs to complete commands and options.

use std::io::Write;

use clap_complete::Shell;

use super::output::print;
use crate::core::diagnostic::Diagnostic;

/// Generate shell completions
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate completions bash > /etc/bash_completion.d/quorate
  quorate completions fish > ~/.config/fish/completions/quorate.fish")]
pub struct CompletionsArgs {
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script for `command` to `stdout`.
///
/// # Errors
/// When it cannot be written.
pub fn run(args: &CompletionsArgs, mut command: clap::Command, stdout: &mut dyn Write) -> Result<u8, Diagnostic> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "quorate", &mut script);
    print(stdout, &String::from_utf8_lossy(&script))?;
    Ok(0)
}
