//! Standard output, and files that are written whole.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::core::diagnostic::Diagnostic;

/// A writer whose reader may leave early: `quorate plan | head` is no error.
///
/// What is written after that is dropped, so that the command still ends with its own exit code.
pub struct Out {
    writer: Box<dyn Write + Send>,
    closed: bool,
    /// Where progress is told instead of on stderr, for a test that reads both.
    beside: Option<Box<dyn Write + Send>>,
}

impl Out {
    pub fn stdout() -> Self {
        Self::new(Box::new(io::BufWriter::new(io::stdout())))
    }

    pub fn new(writer: Box<dyn Write + Send>) -> Self {
        Self { writer, closed: false, beside: None }
    }

    /// Where progress is told beside the result: stderr.
    pub fn progress(&mut self) -> Box<dyn Write + Send> {
        self.beside.take().unwrap_or_else(|| Box::new(io::stderr()))
    }

    /// Whether the reader has gone away.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn forgive<T>(&mut self, result: io::Result<T>, instead: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(instead)
            }
            other => other,
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let result = self.writer.write(bytes);
        self.forgive(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let result = self.writer.flush();
        self.forgive(result, ())
    }
}

/// Writes `text` to stdout at once.
///
/// # Errors
/// When it cannot be written for another reason than that nobody reads it.
pub fn print(stdout: &mut dyn Write, text: &str) -> Result<(), Diagnostic> {
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| Diagnostic::failure("cannot write the result").caused_by(&error))
}

/// Writes a file that only its owner may read, whole or not at all: a reader sees the old text or the new one.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write_private(path: &Path, text: &str) -> Result<(), Diagnostic> {
    write_whole(path, text, 0o600)
}

/// The same, for everybody to read.
///
/// # Errors
/// As [`write_private`].
pub fn write_public(path: &Path, text: &str) -> Result<(), Diagnostic> {
    write_whole(path, text, 0o644)
}

fn write_whole(path: &Path, text: &str, mode: u32) -> Result<(), Diagnostic> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        // tempfile creates with 0600.
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write()
        .map_err(|error| Diagnostic::failure("cannot write the file").at(path.display().to_string()).caused_by(&error))
}

#[cfg(test)]
pub(crate) use captured::Captured;

#[cfg(test)]
mod captured {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::Out;

    /// Keeps what a command prints.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn out(&self) -> Out {
            Out { beside: Some(Box::new(self.clone())), ..Out::new(Box::new(self.clone())) }
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("no test panics inside").clone()).expect("commands print text")
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no test panics inside").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        let mut out = Out::new(Box::new(Gone));
        assert_eq!(print(&mut out, "text"), Ok(()));
        assert!(out.is_closed());
        assert_eq!(print(&mut out, "more"), Ok(()));
    }

    #[test]
    fn a_private_file_replaces_what_was_there() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("plan.json");
        std::fs::write(&path, "old").expect("the folder is ours");
        write_private(&path, "new").expect("the folder is ours");
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "new");
        assert_eq!(path.metadata().expect("it is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 1);
        assert!(write_private(&folder.path().join("no/such"), "x").is_err());
    }
}
