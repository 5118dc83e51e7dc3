//! The archives of etcd that a run needs: each is fetched and checked once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::archive::{self, Package};
use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::names::{Architecture, Version};
use crate::core::observed::Cause;

#[derive(Default)]
pub(super) struct Packages(tokio::sync::Mutex<Fetched>);

/// Each archive that was fetched and checked, or why it cannot be used.
type Fetched = BTreeMap<(Version, Architecture), Result<Arc<Package>, Cause>>;

impl Packages {
    /// The archive of a version for an architecture.
    pub async fn get(
        &self,
        desired: &Desired,
        version: Version,
        architecture: Architecture,
    ) -> Result<Arc<Package>, Cause> {
        let mut packages = self.0.lock().await;
        if let Some(package) = packages.get(&(version, architecture)) {
            return package.clone();
        }
        let desired = desired.clone();
        let prepared = tokio::task::spawn_blocking(move || archive::prepare(&desired, version, architecture)).await;
        let package = prepared
            .unwrap_or_else(|_| Err(Cause::interrupted(Code::ArchiveUnusable, "checking the etcd archive")))
            .map(Arc::new);
        packages.insert((version, architecture), package.clone());
        package
    }
}
