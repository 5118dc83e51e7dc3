//! The files and folders of a host: their text, and who may read them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::{Impact, NO_IMPACT, UNTIL_RESTART};
use crate::core::content::layout;
use crate::core::names::HostName;
use crate::core::observed::{File, Folder};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum FileAction {
    /// Write etcd.yaml, the unit or the permit whole, and have systemd read the unit.
    #[serde(rename = "write-file")]
    Write { host: HostName, file: File, text: String },
    /// Put owner, group and mode of a file back.
    #[serde(rename = "restore-file-access")]
    RestoreAccess { host: HostName, file: File },
    /// Put owner, group and mode of a folder back.
    RestoreFolderAccess { host: HostName, folder: Folder },
    /// Remove a file that has served its purpose.
    #[serde(rename = "remove-file")]
    Remove { host: HostName, file: File },
}

impl FileAction {
    pub fn host(&self) -> &HostName {
        let (Self::Write { host, .. }
        | Self::RestoreAccess { host, .. }
        | Self::RestoreFolderAccess { host, .. }
        | Self::Remove { host, .. }) = self;
        host
    }

    pub fn impact(&self) -> Impact {
        Impact::Nothing
    }

    pub fn effect(&self) -> &'static str {
        match self {
            Self::Write { file: File::Config | File::Settings | File::Unit, .. } => UNTIL_RESTART,
            Self::Write { .. }
            | Self::RestoreAccess { .. }
            | Self::RestoreFolderAccess { .. }
            | Self::Remove { .. } => NO_IMPACT,
        }
    }
}

impl fmt::Display for FileAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { file, .. } => f.write_str(layout::row(*file).title),
            Self::RestoreAccess { file, .. } => write!(f, "restore owner and mode of {}", layout::row(*file).word),
            Self::RestoreFolderAccess { folder, .. } => {
                write!(f, "restore owner and mode of the {} directory", layout::folder_row(*folder).word)
            }
            Self::Remove { file, .. } => write!(f, "remove {}", layout::row(*file).word),
        }
    }
}
