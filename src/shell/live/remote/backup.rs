//! The commands that keep what `[backup]` puts on a node.

use super::data::mount_wanted;
use super::{Command, LONG};
use crate::core::cluster::snapshot::Facts;
use crate::core::content::backup::SCRIPT;
use crate::core::content::layout;
use crate::core::desired::Desired;
use crate::core::names::{HostName, RemotePath};
use crate::core::observed::{Drill, File};

impl Command {
    pub fn install_backup_script(desired: &Desired, host: &HostName) -> Self {
        Self::write(desired, host, File::BackupScript, SCRIPT)
    }

    pub fn enable_backup() -> Self {
        let script = include_str!("../script/backup-enable.sh");
        Self::new("starting the backup timer", script, vec![layout::BACKUP_TIMER.to_owned()])
    }

    /// A run that is under way is ended: its certificate goes, too.
    pub fn remove_backup(desired: &Desired) -> Self {
        let files = layout::OF_BACKUPS.map(|file| layout::common_path(desired, file).to_string());
        let units = [layout::BACKUP_TIMER, layout::BACKUP_SERVICE].map(str::to_owned);
        let arguments = units.into_iter().chain(files).collect();
        Self::new("removing the backup timer", include_str!("../script/backup-remove.sh"), arguments)
    }

    /// Removes `surplus` if one of `kept`, the newest first, is whole. Names of ours alone: they become paths.
    pub fn prune_snapshots(folder: &RemotePath, kept: &[&str], surplus: &[&str]) -> Self {
        let words = [folder.to_string(), kept.len().to_string()];
        let names = kept.iter().chain(surplus).map(|name| (*name).to_owned());
        let arguments = words.into_iter().chain(names).collect();
        let script = concat!(include_str!("../script/unpack.sh"), "\n", include_str!("../script/prune.sh"));
        Self { allowed: LONG, ..Self::new("deleting old snapshots", script, arguments) }
    }

    /// Notes that a drill was passed; `with` is the snapshot's name in this folder, and what is known of it.
    pub fn note_drill(desired: &Desired, folder: &RemotePath, drill: &Drill, with: Option<(&str, &Facts)>) -> Self {
        let line = serde_json::to_string(drill).expect("it is plain data");
        let with = with.into_iter().flat_map(|(name, facts)| [name.to_owned(), facts.line()]);
        let words = [folder.to_string(), desired.paths.data.to_string(), mount_wanted(desired, folder), line];
        let script = concat!(include_str!("../../../core/content/mounted.sh"), "\n", include_str!("../script/note.sh"));
        Self::new("recording the test restore", script, words.into_iter().chain(with).collect())
    }
}
