//! etcd's binaries from the packages of any Debian suite, without installing them or touching this machine's apt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::super::Result;
use super::super::command::{Failure, QUICK, succeed};

pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const FALLBACK_MIRROR: &str = "http://deb.debian.org/debian";
/// Package lists of 10 MB and packages of 12 MB: seconds, or minutes on a slow mirror.
const DEADLINE: Duration = Duration::from_secs(300);

/// The mirror this machine's apt uses for Debian itself.
pub fn mirror() -> String {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(ORIGIN) $(LABEL) $(SITE)", "Created-By: Packages"]);
    let listed = succeed(&mut targets, b"", QUICK).unwrap_or_default();
    let debian = listed.lines().find_map(|line| line.strip_prefix("Debian Debian "));
    debian.map_or_else(|| FALLBACK_MIRROR.to_owned(), |site| site.trim_end_matches('/').to_owned())
}

/// Puts etcd, etcdctl and (from 3.5 on) etcdutl into `binaries`.
pub fn fetch(suite: &str, work: &Path, binaries: &Path) -> Result<()> {
    let config = configure(suite, &work.join("apt"))?;
    let apt_get = || {
        let mut apt_get = Command::new("apt-get");
        apt_get.env("APT_CONFIG", &config).current_dir(work);
        apt_get
    };
    succeed(apt_get().arg("update"), b"", DEADLINE)?;
    succeed(apt_get().args(["download", "etcd-server", "etcd-client"]), b"", DEADLINE)?;
    let unpacked = work.join("unpacked");
    for package in packages_in(work)? {
        succeed(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&unpacked), b"", DEADLINE)?;
    }
    for binary in ["etcd", "etcdctl", "etcdutl"] {
        let from = unpacked.join("usr/bin").join(binary);
        if from.exists() {
            fs::copy(&from, binaries.join(binary)).map_err(|error| Failure::new(from.display(), error))?;
        }
    }
    Ok(())
}

/// An apt of its own: other lists, cache, sources and status, the same keyring.
fn configure(suite: &str, dir: &Path) -> Result<PathBuf> {
    let write = |path: PathBuf, text: &str| fs::write(&path, text).map_err(|error| Failure::new(path.display(), error));
    for folder in ["lists/partial", "cache/archives/partial", "none"] {
        fs::create_dir_all(dir.join(folder)).map_err(|error| Failure::new(dir.display(), error))?;
    }
    write(dir.join("status"), "")?;
    write(dir.join("sources.list"), &format!("deb [signed-by={KEYRING}] {} {suite} main\n", mirror()))?;
    let config = dir.join("apt.conf");
    let at = dir.display();
    let text = format!(
        "Dir::State \"{at}\";\nDir::State::lists \"{at}/lists\";\nDir::State::status \"{at}/status\";\n\
         Dir::Cache \"{at}/cache\";\nDir::Etc::sourcelist \"{at}/sources.list\";\nDir::Etc::sourceparts \"{at}/none\";\n\
         Dir::Etc::preferences \"{at}/preferences\";\nDir::Etc::preferencesparts \"{at}/none\";\n\
         Acquire::Languages \"none\";\nAcquire::Retries \"2\";\nAPT::Update::Error-Mode \"any\";\nAPT::Sandbox::User \"root\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n"
    );
    write(config.clone(), &text)?;
    Ok(config)
}

fn packages_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).map_err(|error| Failure::new(dir.display(), error))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "deb")).collect())
}
