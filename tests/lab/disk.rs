//! A host's disk: an overlay on a tmpfs over the image.
//!
//! ```text
//! hosts/etcd-1/disk   tmpfs, its size is the disk's: upper/ (what the host wrote), work/, and containers/ where needed
//! hosts/etcd-1/root   overlay of image and upper: the host's root directory
//! ```
//! The mounts stay while a host is off, so a power cut loses nothing that was written. (It loses too little: what was
//! not yet synced survives, too.)

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Result;
use super::command::{Failure, QUICK, succeed};

/// Where the parts of one host are on this machine.
pub struct Disk {
    dir: PathBuf,
}

impl Disk {
    pub fn at(host_dir: PathBuf) -> Disk {
        Disk { dir: host_dir }
    }

    /// What the host sees as `/`.
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Only what differs from the image.
    pub fn upper(&self) -> PathBuf {
        self.dir.join("disk/upper")
    }

    /// What the host sees as /var/lib/containerd, if it has containers: their file systems are overlays, too, and an
    /// overlay cannot lie on another.
    pub fn containers(&self) -> PathBuf {
        self.dir.join("disk/containers")
    }

    pub fn console_log(&self) -> PathBuf {
        self.dir.join("console.log")
    }

    /// Mounts an empty disk over the image.
    pub fn create(&self, image: &Path, bytes: u64) -> Result<()> {
        let disk = self.dir.join("disk");
        create_dir(&disk)?;
        create_dir(&self.root())?;
        let mut tmpfs = Command::new("mount");
        tmpfs.args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=0755"), "quorate-lab"]).arg(&disk);
        succeed(&mut tmpfs, b"", QUICK)?;
        let work = disk.join("work");
        create_dir(&self.upper())?;
        create_dir(&work)?;
        create_dir(&self.containers())?;
        let upper = self.upper();
        let options = format!("lowerdir={},upperdir={},workdir={}", image.display(), upper.display(), work.display());
        let mut overlay = Command::new("mount");
        overlay.args(["-t", "overlay", "-o", &options, "quorate-lab"]).arg(self.root());
        succeed(&mut overlay, b"", QUICK).map(|_silent| ())
    }

    /// Throws the disk away.
    pub fn remove(&self) -> Result<()> {
        unmount_below(&self.dir)
    }
}

/// Makes what is mounted below a folder go away in all mount namespaces at once. Without, the nspawn of one host keeps
/// the disks of the others in memory after they are thrown away. (`ip netns` does the same for /run/netns.)
pub fn share(dir: &Path) -> Result<()> {
    let _one_at_a_time = super::image::lock(dir)?;
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| Failure::new("/proc/self/mounts", error))?;
    if mounts.lines().any(|line| line.split(' ').nth(1).map(Path::new) == Some(dir)) {
        return Ok(());
    }
    succeed(Command::new("mount").args(["--bind"]).args([dir, dir]), b"", QUICK)?;
    succeed(Command::new("mount").arg("--make-rshared").arg(dir), b"", QUICK).map(|_silent| ())
}

/// Unmounts all at or below a folder, the last mounted first.
pub fn unmount_below(dir: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| Failure::new("/proc/self/mounts", error))?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    let mut ours: Vec<&Path> = points.filter(|point| point.starts_with(dir)).collect();
    ours.reverse();
    if ours.is_empty() {
        return Ok(());
    }
    // Lazily: a process that is still on its way out must not keep a lab from ending.
    let mut umount = Command::new("umount");
    umount.arg("--lazy").args(ours);
    succeed(&mut umount, b"", QUICK).map(|_silent| ())
}

fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| Failure::new(path.display(), error))
}
