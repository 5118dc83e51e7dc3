//! Which version of etcd a host starts, and which one a cluster agrees on.

use crate::core::cluster::quorum::Membership;
use crate::core::content::runtime;
use crate::core::desired::{Binaries, Desired};
use crate::core::names::Version;
use crate::core::observed::{File, Host, Observed};

/// The version that a host starts: what its unit says. Where that is not ours or not there, the one that runs; the one
/// declared on a host that runs none.
pub fn on_disk(desired: &Desired, host: &Host) -> Version {
    if let Binaries::Preinstalled { .. } = desired.binaries {
        return host.installed.keys().next_back().copied().unwrap_or(desired.cluster.version);
    }
    let text = host.text_of(runtime::definition(desired));
    let defined = text.and_then(|text| runtime::version_in(desired, text));
    let process = || {
        let executable = host.process.as_ref()?.executable.as_str();
        let folder = executable.strip_prefix(desired.paths.binaries.as_str())?.strip_prefix('/')?;
        folder.strip_suffix("/etcd")?.parse().ok()
    };
    let answer = || host.answer().map(|answer| answer.version);
    defined.or_else(process).or_else(answer).unwrap_or(desired.cluster.version)
}

/// `3.5.0` for 3.5.16: what a cluster of such members agrees on.
pub fn of_cluster(version: Version) -> Version {
    Version { patch: 0, ..version }
}

/// Whether something on a host says which version its next start brings.
pub fn is_set_up(host: &Host) -> bool {
    host.files.contains_key(&File::Unit) || host.files.contains_key(&File::Settings)
}

pub fn lowest(desired: &Desired, observed: &Observed, membership: &Membership) -> Option<Version> {
    versions(desired, observed, membership).min()
}

/// What every member runs or, where it does not answer, would start.
pub fn versions<'a>(
    desired: &'a Desired,
    observed: &'a Observed,
    membership: &'a Membership,
) -> impl Iterator<Item = Version> + 'a {
    membership.members.iter().filter_map(move |member| {
        let host = observed.host(&member.host)?;
        let stopped = || is_set_up(host).then(|| on_disk(desired, host));
        host.answer().map(|answer| answer.version).or_else(stopped)
    })
}

/// Whether the probe asks `etcdutl check v2store` on a host that runs `version`.
pub fn needs_v2store_check(desired: &Desired, version: Version) -> bool {
    version.minor == 5 && desired.cluster.version.minor > 5
}
