//! The commands that keep what `[backup]` puts on a node.

use super::Command;
use crate::capability::backup::FILES;
use crate::content::backup::SCRIPT;
use crate::desired::Desired;
use crate::layout;
use crate::observed::File;

impl Command {
    pub fn install_backup_script(desired: &Desired) -> Self {
        Self::write(desired, File::BackupScript, SCRIPT)
    }

    pub fn enable_backup() -> Self {
        let script = include_str!("../script/backup-enable.sh");
        Self::new("starting the backup timer", script, vec![layout::BACKUP_TIMER.to_owned()])
    }

    /// A run that is under way is ended: its certificate goes, too.
    pub fn remove_backup(desired: &Desired) -> Self {
        let files = FILES.map(|file| layout::path(desired, file).to_string());
        let units = [layout::BACKUP_TIMER, layout::BACKUP_SERVICE].map(str::to_owned);
        let arguments = units.into_iter().chain(files).collect();
        Self::new("removing the backup timer", include_str!("../script/backup-remove.sh"), arguments)
    }
}
