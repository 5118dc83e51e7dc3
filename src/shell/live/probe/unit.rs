//! What systemd says of the unit.

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, missing};
use crate::core::names::RemotePath;
use crate::core::observed::{Service, ServiceState};

pub(super) struct Look;

impl Section for Look {
    /// Without what its log says.
    type Fact = Service;

    const SHELL: &'static str = include_str!("unit.sh");

    fn words(of: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_service", of.desired.paths.service.clone())])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<Service, Trouble> {
        let said = |key: &str| answer.value("unit", key);
        let state = match said("ActiveState") {
            Some("inactive") => ServiceState::Inactive,
            Some("activating") => ServiceState::Activating,
            // On its way out it still serves; the next look will tell.
            Some("active" | "reloading" | "refreshing" | "deactivating") => ServiceState::Active,
            Some("failed" | "maintenance") => ServiceState::Failed,
            _ => return Err(missing("the state of the service")),
        };
        let drop_ins = said("DropInPaths").unwrap_or_default().split_whitespace();
        Ok(Service {
            state,
            enabled: said("UnitFileState") == Some("enabled"),
            needs_reload: said("NeedDaemonReload") == Some("yes"),
            drop_ins: drop_ins.filter(|path| !is_for_all(path)).map(RemotePath::new).collect(),
            complaint: None,
        })
    }
}

/// A distribution's own drop-in for every service (Fedora has one) says nothing about ours.
fn is_for_all(drop_in: &str) -> bool {
    ["/usr/lib/systemd/system/service.d/", "/lib/systemd/system/service.d/"].iter().any(|all| drop_in.starts_with(all))
}
