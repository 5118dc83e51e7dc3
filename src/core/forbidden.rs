//! Where on a host nothing of etcd's can be, whatever else the host is like: what the unit hides from etcd, and what is
//! gone after a boot.
//!
//! The unit is written from [`SANDBOX`]: what it says and what is refused are one table, and cannot diverge.

use crate::core::names::RemotePath;

/// A line of the unit that takes something from etcd.
#[derive(Debug, PartialEq, Eq)]
pub struct Directive {
    pub line: &'static str,
    /// The directories that etcd finds empty, or cannot enter.
    pub hides: &'static [&'static str],
}

/// The lines of the unit that take something from etcd. Source: systemd.exec(5), 252 to 257.
pub const SANDBOX: [Directive; 2] = [
    Directive { line: "NoNewPrivileges=true", hides: &[] },
    Directive { line: "ProtectHome=true", hides: &["/home", "/root", "/run/user"] },
];

/// Emptied by a boot, or by age (file-hierarchy(7), systemd-tmpfiles(8)).
const VOLATILE: [&str; 7] = ["/dev", "/proc", "/run", "/sys", "/tmp", "/var/run", "/var/tmp"];

/// File systems in memory.
const IN_MEMORY: [&str; 3] = ["devtmpfs", "ramfs", "tmpfs"];

/// The line of the unit that hides `path`, and the directory of it that `path` is in.
pub fn hidden(path: &RemotePath) -> Option<(&'static Directive, &'static str)> {
    SANDBOX.iter().find_map(|directive| Some((directive, within(path, directive.hides)?)))
}

/// The directory that `path` is in and that a boot empties.
pub fn volatile(path: &RemotePath) -> Option<&'static str> {
    within(path, &VOLATILE)
}

/// Whether what lies on a file system of this type is gone after a boot.
pub fn is_in_memory(filesystem: &str) -> bool {
    IN_MEMORY.contains(&filesystem)
}

fn within(path: &RemotePath, folders: &[&'static str]) -> Option<&'static str> {
    folders.iter().copied().find(|folder| path.is_within(&RemotePath::new(*folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_hidden_with_all_that_is_in_it_and_nothing_else_is() {
        let hidden = |path: &str| hidden(&RemotePath::new(path)).map(|(directive, folder)| (directive.line, folder));
        assert_eq!(hidden("/home/etcd/data"), Some(("ProtectHome=true", "/home")));
        assert_eq!(hidden("/root"), Some(("ProtectHome=true", "/root")));
        assert_eq!(hidden("/run/user/0/x"), Some(("ProtectHome=true", "/run/user")));
        assert_eq!([hidden("/homes/x"), hidden("/srv/home/x"), hidden("/rooted")], [None; 3]);
    }

    #[test]
    fn what_a_boot_empties_is_known() {
        let volatile = |path: &str| volatile(&RemotePath::new(path));
        assert_eq!(volatile("/var/tmp/etcd"), Some("/var/tmp"));
        assert_eq!(volatile("/run/etcd"), Some("/run"));
        assert_eq!([volatile("/var/lib/etcd"), volatile("/runtime/etcd"), volatile("/var/tmpdata")], [None; 3]);
        assert!(is_in_memory("tmpfs") && !is_in_memory("overlay") && !is_in_memory("ext4"));
    }
}
