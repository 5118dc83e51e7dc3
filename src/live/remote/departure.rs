//! The commands that take a member off its host.

use std::time::Duration;

use super::Command;
use crate::desired::{AuthoritySource, Desired};
use crate::layout;
use crate::observed::File;

/// systemd kills a service that has not stopped within its own deadline, which is 90 s unless the host says otherwise.
const STOP_TAKES: Duration = Duration::from_secs(240);

/// A script behind the functions that all of these share.
macro_rules! leaving {
    ($script:literal) => {
        concat!(include_str!("../script/leave.sh"), "\n", include_str!(concat!("../script/", $script)))
    };
}

impl Command {
    /// Returns when etcd is dead.
    pub fn stop(desired: &Desired) -> Self {
        let words = [desired.paths.service.clone(), desired.paths.unit().to_string()];
        let what = format!("stopping {}", desired.paths.service);
        Self { allowed: STOP_TAKES, ..Self::new(what, leaving!("stop.sh"), words.into()) }
    }

    pub fn set_data_aside(desired: &Desired) -> Self {
        let (data, permit) = (&desired.paths.data, layout::path(desired, File::Permit));
        let words = [desired.paths.service.as_str(), data.as_str(), permit.as_str()];
        Self::new(format!("setting {data} aside"), leaving!("aside.sh"), words.map(str::to_owned).into())
    }

    /// Everything but binaries and folders; the data under another name.
    pub fn retire(desired: &Desired) -> Self {
        let paths = &desired.paths;
        let unit = paths.unit();
        let words = [&paths.service, unit.as_str(), paths.data.as_str(), paths.binaries.as_str(), layout::TOOLS_FOLDER];
        let last = [File::Config, File::Trust];
        let first = File::ALL.into_iter().filter(|file| *file != File::Unit && !last.contains(file));
        // The others hold it, too: a member goes only while its authority is known.
        let authority = match &desired.authority {
            AuthoritySource::Node { key, .. } => Some(key.to_string()),
            _ => None,
        };
        let files = first.chain(last).map(|file| layout::path(desired, file).to_string());
        let files = authority.into_iter().chain(files);
        let words = words.into_iter().map(str::to_owned).chain(files).collect();
        let what = "clearing away what is left of the member";
        Self { allowed: STOP_TAKES, ..Self::new(what, leaving!("retire.sh"), words) }
    }

    pub fn remove(desired: &Desired, file: File) -> Self {
        let path = layout::path(desired, file);
        let then = if file == File::Unit { "reload" } else { "" };
        let what = format!("removing {path}");
        Self::new(what, include_str!("../script/remove.sh"), vec![path.to_string(), then.to_owned()])
    }
}
