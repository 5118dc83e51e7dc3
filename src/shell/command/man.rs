//! `quorate man`: the manual pages, made from the same help texts.

use std::io::Write;

use super::output::print;
use crate::core::diagnostic::{Diagnostic, Kind};

/// Print a manual page
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate man | man -l -
  quorate man plan > quorate-plan.1")]
pub struct ManArgs {
    /// The command to print the page of [default: quorate itself]
    pub command: Option<String>,
}

/// Prints the page of `root` or of a command below it, in roff, to `stdout`.
///
/// # Errors
/// When there is no such command, or it cannot be written.
pub fn run(args: &ManArgs, mut root: clap::Command, stdout: &mut dyn Write) -> Result<u8, Diagnostic> {
    root.build();
    let command = match &args.command {
        None => root,
        Some(name) => {
            let found = root.find_subcommand(name).cloned();
            found.ok_or_else(|| {
                Diagnostic::new(Kind::Usage, format!("no command {name:?}")).hint(
                    "run `quorate help` for the \
                                                                                            list",
                )
            })?
        }
    };
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut page);
    rendered.map_err(|error| Diagnostic::failure("cannot generate the page").caused_by(&error))?;
    print(stdout, &String::from_utf8_lossy(&page))?;
    Ok(0)
}
