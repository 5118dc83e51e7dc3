//! Programs built from published Go modules: a module of our own requires theirs at one version.
//!
//! The version an etcd reports is a constant in its source (api/v3/version), so a module build reports it, too; only
//! the commit is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::super::Result;
use super::super::command::{Failure, is_installed, run, succeed};

/// Two minutes on two idle cores for an etcd, and five for a kubelet, with nothing cached.
const BUILD: Duration = Duration::from_secs(1800);

pub fn build(version: &str, work: &Path, binaries: &Path) -> Result<()> {
    let requires = format!(
        "require (\n\tgo.etcd.io/etcd/etcdctl/v3 v{version}\n\tgo.etcd.io/etcd/etcdutl/v3 v{version}\n\
         \tgo.etcd.io/etcd/server/v3 v{version}\n)\n"
    );
    let module = Module::create(work.join("module"), &requires)?;
    for (package, binary) in [("server", "etcd"), ("etcdctl", "etcdctl"), ("etcdutl", "etcdutl")] {
        eprintln!("lab: building {binary} {version} from its Go module (a minute or two, once)");
        module.build(&format!("go.etcd.io/etcd/{package}/v3"), "", &binaries.join(binary))?;
    }
    module.must_have("go.etcd.io/etcd/server/v3", version)
}

/// A module of our own.
pub struct Module {
    dir: PathBuf,
}

impl Module {
    /// With these lines in its go.mod.
    pub fn create(dir: PathBuf, lines: &str) -> Result<Module> {
        if !is_installed("go") {
            return Err(Failure("go is not installed".to_owned()));
        }
        fs::create_dir_all(&dir).map_err(|error| Failure::new(dir.display(), error))?;
        let module = Module { dir };
        module.write("go.mod", &format!("module lab.invalid/programs\n\ngo 1.23\n\n{lines}"))?;
        Ok(module)
    }

    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.dir.join(name);
        fs::write(&path, text).map_err(|error| Failure::new(path.display(), error))
    }

    /// A static program of that package, with more flags for its linker.
    pub fn build(&self, package: &str, linker: &str, to: &Path) -> Result<()> {
        // Niced: other tests run meanwhile.
        let mut go = Command::new("nice");
        go.args(["go", "build", "-mod=mod", "-p", "2", "-trimpath", "-buildvcs=false"]);
        go.arg(format!("-ldflags=-s -w {linker}").trim_end()).arg("-o").arg(to).arg(package);
        self.succeed(&mut go).map(|_silent| ())
    }

    /// The go.mod of another module.
    pub fn go_mod_of(&self, module: &str, version: &str) -> Result<String> {
        let mut go = Command::new("go");
        go.args(["mod", "download", "-json", &format!("{module}@v{version}")]);
        let said = self.succeed(&mut go)?;
        let facts: serde_json::Value = serde_json::from_str(&said).map_err(|error| Failure::new(module, error))?;
        let path = facts["GoMod"].as_str().ok_or_else(|| Failure::new(module, "go names no go.mod"))?;
        fs::read_to_string(path).map_err(|error| Failure::new(path, error))
    }

    /// `go build` may have raised a version that was asked for; then what it made would go by the wrong name.
    pub fn must_have(&self, module: &str, version: &str) -> Result<()> {
        let mut listed = Command::new("go");
        listed.args(["list", "-mod=mod", "-m", "-f", "{{.Version}}", module]).current_dir(&self.dir);
        let built = run(&mut listed, b"", BUILD)?.stdout;
        if built.trim() == format!("v{version}") {
            return Ok(());
        }
        Err(Failure(format!("go built {} instead of v{version}", built.trim())))
    }

    fn succeed(&self, go: &mut Command) -> Result<String> {
        go.current_dir(&self.dir).env("CGO_ENABLED", "0").env("GOFLAGS", "").env("GOWORK", "off");
        succeed(go, b"", BUILD)
    }
}
