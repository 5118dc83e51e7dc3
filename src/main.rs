//! Arguments → command → exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(quorate::shell::cli::main(std::env::args_os()))
}
