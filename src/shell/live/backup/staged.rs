//! A file of ours that has no name until it is whole.

use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::core::diagnostic::Diagnostic;

/// A file beside `path`, ours alone, which goes unless it is kept.
pub(in crate::shell::live) fn staged(path: &Path) -> Result<NamedTempFile, Diagnostic> {
    let staged = tempfile::Builder::new().prefix(".snapshot-").suffix(".quorate").tempfile_in(folder_of(path));
    staged.map_err(|error| unwritable(path, &error))
}

/// Gives a file that was synced its name, which nothing may have yet.
pub(in crate::shell::live) fn keep(staged: NamedTempFile, path: &Path) -> Result<(), Diagnostic> {
    staged.persist_noclobber(path).map_err(|error| unwritable(path, &error.error))?;
    let synced = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    synced.map_err(|error| unwritable(path, &error))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(in crate::shell::live) fn unwritable(path: &Path, error: &io::Error) -> Diagnostic {
    let failure = Diagnostic::failure("cannot write the snapshot").at(path.display().to_string());
    let hint = match error.kind() {
        io::ErrorKind::AlreadyExists => "snapshots are never overwritten: choose another name",
        io::ErrorKind::StorageFull => {
            "free space, or choose another directory with `-o`; older snapshots are unchanged"
        }
        _ => "choose another location with `-o`",
    };
    failure.caused_by(error).hint(hint)
}
