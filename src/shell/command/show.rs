//! `quorate show`: a saved plan, in any format, offline.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::context::Context;
use super::output::print;
use super::plan::{Format, with_command};
use crate::core::diagnostic::Diagnostic;
use crate::core::plan::Plan;
use crate::core::render::json;

/// Print a saved plan
///
/// Works offline. A file that was changed after it was saved is refused.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate show plan.json
  quorate show plan.json --format markdown > comment.md")]
pub struct ShowArgs {
    /// A plan saved by `quorate plan -o FILE`; - reads stdin
    #[arg(value_name = "FILE")]
    pub plan: PathBuf,

    /// How to print the plan
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,
}

/// Prints the plan in the file to `stdout`.
///
/// # Errors
/// When the file cannot be read, or is not a plan as quorate saved it.
pub fn run(args: &ShowArgs, context: &Context, stdout: &mut dyn Write) -> Result<u8, Diagnostic> {
    let plan = read_saved(&args.plan)?;
    print(stdout, &with_command(&plan, args.format, context))?;
    Ok(0)
}

/// The files of the largest cluster, many times over. What is larger is not a plan.
const SIZE_MAX_BYTES: u64 = 64 << 20;

/// Reads a saved plan.
///
/// # Errors
/// When the file cannot be read, or is not a plan as quorate saved it.
pub fn read_saved(file: &Path) -> Result<Plan, Diagnostic> {
    let place = file.display().to_string();
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(SIZE_MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|opened| opened.take(SIZE_MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Diagnostic::failure("cannot read the plan").at(&place).caused_by(&error))?;
    if bytes.len() as u64 > SIZE_MAX_BYTES {
        return Err(Diagnostic::failure("the file is too large to be a plan").at(place));
    }
    json::read(&bytes).map_err(|error| {
        Diagnostic::failure("cannot use this plan")
            .at(place)
            .caused_by(&error)
            .hint("save a new one with `quorate plan -o FILE`")
    })
}
