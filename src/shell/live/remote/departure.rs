//! The commands that take a member off its host.

use super::data::LARGE_BYTES;
use super::runtime::{STOP_TAKES, library};
use super::{Command, LONG, scaled};
use crate::core::content::layout::{self, Listener};
use crate::core::content::{self, Initial, Restoration, runtime};
use crate::core::desired::{AuthoritySource, Desired, Restore};
use crate::core::names::{HostName, RemotePath};
use crate::core::observed::File;
use crate::shell::live::ssh::Stdin;

/// A script behind the functions that all of these share.
fn leaving(desired: &Desired, script: &str) -> String {
    format!("{}\n{}\n{script}", library(desired), include_str!("../script/leave.sh"))
}

impl Command {
    /// Under a name with `word` in it, which says why.
    pub fn set_data_aside(desired: &Desired, word: &str) -> Self {
        let (data, new_data_marker) = (&desired.paths.data, layout::common_path(desired, File::NewDataMarker));
        // A unit or a pod of somebody else may not make it anew.
        let then = if desired.cluster.layout.is_adopted() { "again" } else { "" };
        let words = [data.as_str(), new_data_marker.as_str(), word, then].map(str::to_owned).into();
        let script = leaving(desired, include_str!("../script/aside.sh"));
        Self::new(format!("moving {data} aside"), script, words)
    }

    /// Stops etcd first, for good. `bytes` of its database, if that is known.
    pub fn move_data(desired: &Desired, from: &RemotePath, bytes: Option<u64>) -> Self {
        let to = &desired.paths.data;
        let mark = layout::common_path(desired, File::RestoreMark);
        let beside = mark.name();
        let words = [from.as_str(), to.as_str(), layout::MOVED_FROM, beside, layout::ACCOUNT].map(str::to_owned).into();
        let script = leaving(desired, include_str!("../script/move.sh"));
        let command = Self::new(format!("moving the data from {from} to {to}"), script, words);
        // It is read twice and written once, where it cannot be renamed.
        let allowed = scaled(LONG, bytes.unwrap_or(LARGE_BYTES).saturating_mul(3));
        Self { allowed: allowed + STOP_TAKES, ..command }
    }

    /// A snapshot as it comes from `reader`, unpacked.
    pub fn push_snapshot(desired: &Desired, restore: &Restore, reader: Box<dyn std::io::Read + Send>) -> Self {
        let path = layout::pushed_snapshot(desired, restore.digest);
        let words = [
            path.to_string(),
            restore.bytes.to_string(),
            restore.digest.to_string(),
            desired.paths.data.to_string(),
            desired.binaries_folder().to_string(),
        ];
        let stdin = Stdin::Reader { reader, progress: None };
        let script = format!("{}\n{}", library(desired), include_str!("../script/push.sh"));
        let command = Self::new("storing the snapshot", script, words.into());
        Self { stdin, allowed: scaled(LONG, restore.bytes), ..command }
    }

    /// With the tools of the declared version.
    pub fn restore_data(desired: &Desired, host: &HostName, restoration: &Restoration, bytes: u64) -> Self {
        let initial = Initial::new_cluster(desired, restoration.token.clone());
        let mark = content::restore_mark(restoration);
        let path = layout::common_path(desired, File::RestoreMark);
        let words = [
            desired.paths.data.to_string(),
            desired.binaries_folder().to_string(),
            layout::pushed_snapshot(desired, restoration.digest).to_string(),
            host.to_string(),
            initial.cluster,
            initial.token.to_string(),
            desired.peer_url(host).to_string(),
            if desired.cluster.layout.is_adopted() { String::new() } else { layout::ACCOUNT.to_owned() },
            mark.len().to_string(),
            path.name().to_owned(),
            restoration.revisions_ahead().to_string(),
        ];
        let script = leaving(desired, include_str!("../script/restore.sh"));
        let command = Self::new("restoring the snapshot", script, words.into());
        Self { stdin: mark.as_str().into(), allowed: scaled(LONG, bytes), ..command }
    }

    pub fn forget_restore(desired: &Desired) -> Self {
        let note = layout::common_path(desired, File::RestoreNote).to_string();
        let words = vec![note, format!("{}.restore-", desired.paths.data), layout::SNAPSHOTS_FOLDER.to_owned()];
        let script = format!("{}\n{}", library(desired), include_str!("../script/restored.sh"));
        Self::new("finishing the restore", script, words)
    }

    /// Everything but binaries and folders; the data under another name.
    pub fn retire(desired: &Desired, host: &HostName) -> Self {
        let paths = &desired.paths;
        let words = [paths.data.as_str(), paths.binaries.as_str(), layout::TOOLS_FOLDER];
        let definition = runtime::definition(desired);
        let last = [File::Config, File::Trust];
        let first = layout::files(desired).filter(|file| *file != definition && !last.contains(file));
        // The others hold it, too: a member goes only while its authority is known.
        let authority = match &desired.authority {
            AuthoritySource::Node { key, .. } => Some(key.to_string()),
            _ => None,
        };
        let files = first.chain(last).map(|file| layout::path(desired, host, file).to_string());
        let files = authority.into_iter().chain(files);
        let words = words.into_iter().map(str::to_owned).chain(files).collect();
        let script = leaving(desired, include_str!("../script/retire.sh"));
        Self { allowed: STOP_TAKES, ..Self::new("cleaning up the removed member", script, words) }
    }

    pub fn remove(desired: &Desired, host: &HostName, file: File) -> Self {
        let path = layout::path(desired, host, file);
        let then = if layout::row(file).listener == Listener::Nobody { "" } else { "reload" };
        let what = format!("removing {path}");
        Self::new(what, include_str!("../script/remove.sh"), vec![path.to_string(), then.to_owned()])
    }
}
