//! etcd built from its published Go modules: a module of our own that requires the three programs at one version.
//!
//! The version a binary reports is a constant in its source (api/v3/version), so a module build reports it, too; only
//! the commit is missing.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::super::Result;
use super::super::command::{Failure, is_installed, run, succeed};

/// Two minutes on two idle cores, with nothing cached.
const BUILD: Duration = Duration::from_secs(1800);

pub fn build(version: &str, work: &Path, binaries: &Path) -> Result<()> {
    if !is_installed("go") {
        return Err(Failure("go is not installed".to_owned()));
    }
    let module = work.join("module");
    fs::create_dir_all(&module).map_err(|error| Failure::new(module.display(), error))?;
    let go_mod = format!(
        "module lab.invalid/etcd\n\ngo 1.23\n\nrequire (\n\tgo.etcd.io/etcd/etcdctl/v3 v{version}\n\
         \tgo.etcd.io/etcd/etcdutl/v3 v{version}\n\tgo.etcd.io/etcd/server/v3 v{version}\n)\n"
    );
    fs::write(module.join("go.mod"), go_mod).map_err(|error| Failure::new(module.display(), error))?;
    for (package, binary) in [("server", "etcd"), ("etcdctl", "etcdctl"), ("etcdutl", "etcdutl")] {
        eprintln!("lab: building {binary} {version} from its Go module (a minute or two, once)");
        // Niced: other tests run meanwhile.
        let mut go = Command::new("nice");
        go.args(["go", "build", "-mod=mod", "-p", "2", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"]);
        go.arg(binaries.join(binary)).arg(format!("go.etcd.io/etcd/{package}/v3"));
        go.current_dir(&module).env("CGO_ENABLED", "0").env("GOFLAGS", "").env("GOWORK", "off");
        succeed(&mut go, b"", BUILD)?;
    }
    // `go build` may have raised the version that was asked for; then the archive would have the wrong name.
    let mut listed = Command::new("go");
    listed.args(["list", "-mod=mod", "-m", "-f", "{{.Version}}", "go.etcd.io/etcd/server/v3"]).current_dir(&module);
    let built = run(&mut listed, b"", BUILD)?.stdout;
    if built.trim() == format!("v{version}") {
        return Ok(());
    }
    Err(Failure(format!("go built {} instead of v{version}", built.trim())))
}
