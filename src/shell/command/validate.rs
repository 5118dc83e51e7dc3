//! `quorate validate`: is cluster.toml sound? Offline, and all problems at once.

use std::io::Write;
use std::path::Path;

use super::load;
use crate::core::desired::{Desired, Place};
use crate::core::diagnostic::Diagnostic;
use crate::shell::clock::now;
use crate::shell::live::pki;

/// Check cluster.toml
///
/// Works offline. Reports all problems at once, each with its line, and reads the CA's certificate where it is on this machine.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate validate
  quorate validate -f clusters/prod.toml")]
pub struct ValidateArgs {}

/// Prints one line to `stdout` when `file` is valid, and its problems to `stderr` otherwise.
///
/// # Errors
/// The file cannot be read, or it is not valid.
pub fn run(
    _args: &ValidateArgs,
    file: &Path,
    colour: bool,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<u8, Diagnostic> {
    let desired = load::load(file, colour, stderr)?;
    let (problems, notes) = pki::problems(&desired, now());
    let at = || desired.places.of(Place::Ca);
    let mut problems: Vec<_> = problems.into_iter().map(|cause| Diagnostic::from(cause).at(at())).collect();
    for note in notes {
        // What cannot be shown is no reason to fail.
        let _ = writeln!(stderr, "note: {note}");
    }
    if let Some(last) = problems.pop() {
        for problem in problems {
            let _ = writeln!(stderr, "error: {problem}\n");
        }
        return Err(last);
    }
    writeln!(stdout, "{} is valid: {}", desired.places.file, summary(&desired))
        .map_err(|error| Diagnostic::failure("cannot write the result").caused_by(&error))?;
    Ok(0)
}

/// `cluster prod, 3 nodes, etcd 3.5.16`.
pub(super) fn summary(desired: &Desired) -> String {
    let nodes = match desired.nodes.len() {
        1 => "1 node".to_owned(),
        count => format!("{count} nodes"),
    };
    format!("cluster {}, {nodes}, etcd {}", desired.cluster.name, desired.cluster.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_file_is_one_line() {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/three-nodes.toml"));
        assert_eq!(run(&ValidateArgs {}, file, false, &mut stdout, &mut stderr), Ok(0));
        assert_eq!(stderr, b"");
        let line = String::from_utf8(stdout).unwrap();
        assert!(line.ends_with("three-nodes.toml is valid: cluster prod, 3 nodes, etcd 3.6.16\n"), "{line}");
    }
}
