//! `quorate schema`: the JSON Schemas of cluster.toml and of what quorate prints for programs.

use std::io::Write;

use super::output::print;
use crate::core::diagnostic::Diagnostic;
use crate::core::render::schema::{Subject, schema};

/// Print the JSON Schema of cluster.toml or of an output
///
/// That of cluster.toml is for editors, which then complete and check it.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate schema cluster > cluster.schema.json
  quorate schema plan > plan.schema.json
  quorate schema events")]
pub struct SchemaArgs {
    /// Which document
    #[arg(value_enum)]
    pub subject: Subject,
}

/// Prints the schema to `stdout`.
///
/// # Errors
/// When it cannot be written.
pub fn run(args: &SchemaArgs, stdout: &mut dyn Write) -> Result<u8, Diagnostic> {
    print(stdout, &schema(args.subject))?;
    Ok(0)
}
