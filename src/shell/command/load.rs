//! Reads the cluster.toml that every command starts from.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::core::desired::{Desired, read};
use crate::core::diagnostic::Diagnostic;

/// Far more than a cluster of any size needs; a wrong `-f` should not fill the memory.
const SIZE_MAX_BYTES: u64 = 1 << 20;

/// Reads and validates `file`. Its problems go to `stderr`, each with its line and caret; the error then counts them.
///
/// # Errors
/// The file cannot be read, or it is not valid.
pub fn load(file: &Path, colour: bool, stderr: &mut dyn Write) -> Result<Desired, Diagnostic> {
    let shown = shown(file);
    let text = read(file).map_err(|diagnostic| diagnostic.at(&shown))?;
    let folder = folder_of(file)?;
    read::parse(&text, &shown, &folder, home().as_deref()).map_err(|problems| {
        // What cannot be shown is still counted below.
        let _ = writeln!(stderr, "{}", read::render(&problems, &text, &shown, colour));
        let count = match problems.len() {
            1 => "1 problem".to_owned(),
            count => format!("{count} problems"),
        };
        Diagnostic::failure(format!("not valid: {count}")).at(shown)
    })
}

/// The file's name in messages: as the user typed it, without a leading `./`.
pub(super) fn shown(file: &Path) -> String {
    file.strip_prefix("./").unwrap_or(file).display().to_string()
}

/// The absolute folder that the relative paths of `file` start from.
pub(super) fn folder_of(file: &Path) -> Result<PathBuf, Diagnostic> {
    Ok(absolute(file)?.parent().unwrap_or(Path::new("/")).to_owned())
}

fn absolute(file: &Path) -> Result<PathBuf, Diagnostic> {
    let unknown = |error: io::Error| {
        Diagnostic::failure("cannot determine the current directory").at(shown(file)).caused_by(&error)
    };
    std::path::absolute(file).map_err(unknown)
}

/// The file that was named on the command line, wherever that was; a shell leaves the `~/` of `--option=~/file` as it is.
pub(super) fn named(file: &str) -> Result<PathBuf, Diagnostic> {
    let at_home = file.strip_prefix("~/").and_then(|rest| Some(home()?.join(rest)));
    absolute(&at_home.unwrap_or_else(|| PathBuf::from(file)))
}

pub(super) fn home() -> Option<PathBuf> {
    env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

fn read(file: &Path) -> Result<String, Diagnostic> {
    let opened = File::open(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Diagnostic::failure("no such file")
            .hint("create one with `quorate init NAME=ADDRESS…`, or pass another one with -f FILE"),
        _ => Diagnostic::failure("cannot open the file").caused_by(&error),
    })?;
    let mut bytes = Vec::new();
    opened
        .take(SIZE_MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Diagnostic::failure("cannot read the file").caused_by(&error))?;
    if bytes.len() as u64 > SIZE_MAX_BYTES {
        return Err(Diagnostic::failure("the file is larger than 1 MiB").hint("cluster.toml is a page of text"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|&&byte| byte == b'\n').count() + 1;
        Diagnostic::failure(format!("line {line} is not UTF-8")).hint("TOML files are UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::core::desired::AuthoritySource;

    /// What `load` says about a file of these bytes, and what it shows.
    fn load_bytes(bytes: &[u8]) -> (Result<Desired, Diagnostic>, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cluster.toml");
        fs::write(&file, bytes).unwrap();
        let mut stderr = Vec::new();
        let result = load(&file, false, &mut stderr);
        (result, String::from_utf8(stderr).unwrap())
    }

    #[test]
    fn a_missing_file_leads_to_init() {
        let error = load(Path::new("/nowhere/cluster.toml"), false, &mut Vec::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/nowhere/cluster.toml: no such file\n\nhint: create one with `quorate init NAME=ADDRESS…`, or pass \
             another one with -f FILE"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_told_with_their_line() {
        let (result, _) = load_bytes(b"[cluster]\nname = \"\xff\"\n");
        assert_eq!(result.unwrap_err().summary, "line 2 is not UTF-8");
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let (result, _) = load_bytes(&vec![b'#'; 1 << 20 | 1]);
        assert_eq!(result.unwrap_err().summary, "the file is larger than 1 MiB");
    }

    #[test]
    fn all_problems_are_shown_and_counted() {
        let (result, shown) = load_bytes(b"[cluster]\nname = 3\nversion = \"3.5\"\n");
        assert_eq!(result.unwrap_err().summary, "not valid: 3 problems");
        assert_eq!(shown.matches("error: ").count(), 3, "{shown}");
    }

    #[test]
    fn relative_paths_start_beside_the_file() {
        let (result, _) =
            load_bytes(b"[cluster]\nname = \"a\"\nversion = \"3.6.16\"\n[nodes.a]\naddress = \"10.0.0.1\"\n");
        let AuthoritySource::Generated { folder } = result.unwrap().authority else { panic!("the default") };
        assert!(folder.is_absolute() && folder.ends_with("pki"), "{folder:?}");
    }
}
