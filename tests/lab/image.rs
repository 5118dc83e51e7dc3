//! The Debian images under all hosts: each made once, cached outside the repository under a digest of its recipe.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::command::{Failure, pause, succeed};
use super::{Result, archive, cache_dir};

const SUITE: &str = "bookworm";
const PACKAGES: &str =
    "systemd,systemd-sysv,dbus,openssh-server,sudo,nftables,iproute2,procps,ca-certificates,zstd,tcsh,fish,busybox";
/// Takes 30 to 40 s, and a minute with a container runtime; a slow mirror gets ten.
const DEADLINE: Duration = Duration::from_secs(600);
/// For another process to make what we wait for: an image, or three programs built with go on a busy machine.
const OTHERS_TAKE: Duration = Duration::from_secs(3600);

/// What a fresh image is changed to. Host keys, machine id, name and resolver belong to a host, not to the image; the
/// masked units do nothing useful here, write to the disk at times of their own, or wait for hardware. Generators run at
/// each boot and each daemon-reload, to find nothing: one core spends a tenth of a second on them; the message of the day
/// would be made anew at each login, by three programs.
const CUSTOMISE: &str = r#"
cd "$1"
rm -f etc/ssh/ssh_host_* etc/resolv.conf etc/hostname etc/machine-id var/lib/dbus/machine-id
: >etc/machine-id
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    systemd-tmpfiles-clean.timer console-getty.service getty.target dev-hugepages.mount \
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount systemd-modules-load.service \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service; do
    ln -sf /dev/null "etc/systemd/system/$unit"
done
mkdir -p etc/systemd/system-generators
for what in cryptsetup debug getty gpt-auto hibernate-resume integritysetup rc-local run system-update sysv veritysetup; do
    ln -sf /dev/null "etc/systemd/system-generators/systemd-$what-generator"
done
chmod -x etc/update-motd.d/*
sed -i 's|pam_motd.so *motd=|pam_motd.so noupdate motd=|' etc/pam.d/sshd
ln -sf /lib/systemd/system/multi-user.target etc/systemd/system/default.target
"#;

/// The image's root directory, made now if the cache has none.
pub fn path() -> Result<PathBuf> {
    cached("image", PACKAGES, CUSTOMISE, None)
}

/// Another image, called `name`: with more packages, and with lines of shell that run after the others and take what
/// they need from the folder `files`, their `$2`, whose name changes with what is in it.
pub fn with(name: &str, packages: &str, customise: &str, files: &Path) -> Result<PathBuf> {
    cached(name, &format!("{PACKAGES},{packages}"), &format!("{CUSTOMISE}{customise}"), Some(files))
}

fn cached(name: &str, packages: &str, customise: &str, files: Option<&Path>) -> Result<PathBuf> {
    let cache = cache_dir();
    fs::create_dir_all(&cache).map_err(|error| Failure::new(cache.display(), error))?;
    let from = files.and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let recipe = archive::hex_sha256(format!("{SUITE} {packages} {customise}{from}").as_bytes());
    let image = cache.join(format!("{name}-{}", &recipe[..12]));
    let _waits_for_others = lock(&image)?;
    if !image.exists() {
        make(&image, packages, customise, files)?;
    }
    Ok(image)
}

fn make(image: &Path, packages: &str, customise: &str, files: Option<&Path>) -> Result<()> {
    let takes = if files.is_none() { "about 40 s" } else { "about a minute" };
    eprintln!("lab: making the Debian image {} ({takes}, once)", image.display());
    let unfinished = image.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(|error| Failure::new(unfinished.display(), error))?;
    }
    let hook = image.with_extension("customise");
    fs::write(&hook, format!("set -eu{customise}")).map_err(|error| Failure::new(hook.display(), error))?;
    let mirror = archive::debian::mirror();
    let source = format!("deb [signed-by={}] {mirror} {SUITE} main", archive::debian::KEYRING);
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--quiet", "--variant=minbase", "--format=directory", &format!("--include={packages}")]);
    let files = files.unwrap_or(Path::new("")).display();
    mmdebstrap.arg(format!("--customize-hook=sh {} \"$1\" {files}", hook.display()));
    mmdebstrap.arg(SUITE).arg(&unfinished).arg(source);
    succeed(&mut mmdebstrap, b"", DEADLINE)?;
    fs::rename(&unfinished, image).map_err(|error| Failure::new(image.display(), error))
}

/// Only one process makes a cached thing; the others wait here, and find it made.
pub fn lock(made: &Path) -> Result<File> {
    let mut name = made.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let file = File::create(&path).map_err(|error| Failure::new(path.display(), error))?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(Failure::new(path.display(), error)),
            Err(TryLockError::WouldBlock) if started.elapsed() > OTHERS_TAKE => {
                let limit = OTHERS_TAKE.as_secs();
                return Err(Failure(format!("another process has held {} for {limit} s", path.display())));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(pause(started.elapsed())),
        }
    }
}
