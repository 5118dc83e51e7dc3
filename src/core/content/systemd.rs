//! The unit by which systemd starts etcd.

use super::{BANNER, layout};
use crate::core::desired::{Binaries, Desired};
use crate::core::forbidden::SANDBOX;
use crate::core::names::Version;
use crate::core::observed::File;

/// The files whose content a running etcd has read once, at its start.
pub(super) const LOADED_AT_START: [File; 3] = [File::Config, File::Trust, File::Unit];

/// The name of the environment variable in which a process carries the digests of [`LOADED_AT_START`].
pub(super) const LOADED_VARIABLE: &str = "QUORATE_LOADED";

/// How the description begins that the unit has of the cluster.
pub(super) const DESCRIPTION: &str = "etcd, a member of cluster ";

/// The systemd unit, the same on every host that runs `version`.
///
/// - A member whose log has vanished does not start: it would come back without what it had promised to keep. Only the
///   new-data marker lets etcd create a new one, and it is gone once the member has served. systemd asks for it at every
///   start, also at boot, where nobody looks on.
/// - The process carries the digests of what it loaded in its environment, taken at its start.
/// - Type=notify reports a start only when the member has found a quorum, so the start has no timeout of its own.
pub(super) fn unit(desired: &Desired, version: Version) -> String {
    let path = |file| layout::common_path(desired, file);
    let loaded: Vec<_> = LOADED_AT_START.map(|file| path(file).to_string()).into();
    format!(
        "{BANNER}\
[Unit]
Description={DESCRIPTION}{cluster}
Documentation=https://etcd.io/docs/
Wants=network-online.target
After=network-online.target
{guards}
[Service]
Type=notify
User={account}
Group={account}
# The digests of what this process loads, for quorate to compare with what is on disk.
ExecStart=/bin/sh -c 'exec env {variable}=\"$$(sha256sum {loaded})\" {binaries}/etcd --config-file={config}'
ExecStartPost=+/bin/rm -f {new_data_marker}
Restart=always
RestartSec=2
TimeoutStartSec=infinity
LimitNOFILE=65536
{sandbox}

[Install]
WantedBy=multi-user.target
",
        cluster = desired.cluster.name,
        guards = guards(desired),
        new_data_marker = path(File::NewDataMarker),
        account = layout::ACCOUNT,
        variable = LOADED_VARIABLE,
        loaded = loaded.join(" "),
        binaries = desired.binaries_folder_of(version),
        config = path(File::Config),
        sandbox = SANDBOX.map(|directive| directive.line).join("\n"),
    )
}

/// What systemd asks before each start, and a process that runs has no part in.
fn guards(desired: &Desired) -> String {
    format!(
        "\
# A member that has lost its log must not come back as if nothing had happened: without a .wal file etcd begins an empty
# one under the id of the old member, whatever else lies there.
ConditionPathExistsGlob=|{data}/member/wal/*.wal
ConditionPathExists=|{new_data_marker}
# What lies on the disk below, from before this one was there, is not the member's data.
RequiresMountsFor={data}
",
        data = desired.paths.data,
        new_data_marker = layout::common_path(desired, File::NewDataMarker),
    )
}

/// The same as units had it before they asked for the log.
fn guards_before(desired: &Desired) -> String {
    format!(
        "\
# A member that has lost its data must not come back as if nothing had happened.
ConditionPathExists=|{data}/member
ConditionPathExists=|{new_data_marker}
",
        data = desired.paths.data,
        new_data_marker = layout::common_path(desired, File::NewDataMarker),
    )
}

/// The unit as an older quorate wrote it, where a process that was started by it runs as by this one.
pub(super) fn unit_before(desired: &Desired, unit: &str) -> Option<String> {
    let guards = guards(desired);
    unit.contains(&guards).then(|| unit.replacen(&guards, &guards_before(desired), 1))
}

/// The version that a unit starts; `None` when it starts none of those under `paths.binaries`.
pub(super) fn unit_version(desired: &Desired, unit: &str) -> Option<Version> {
    if matches!(desired.binaries, Binaries::Preinstalled { .. }) {
        return None;
    }
    let folder = format!(" {}/", desired.paths.binaries);
    let start = unit.lines().find(|line| line.starts_with("ExecStart="))?;
    let (_, rest) = start.split_once(&folder)?;
    rest.split_once("/etcd ")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::sample;

    /// By these a service is kept from what is on its host (systemd.exec(5)). A line that is not in the table is one that
    /// nobody asks before a member is stopped.
    #[test]
    fn whatever_the_unit_keeps_from_etcd_is_in_the_table() {
        const KEEPING: [&str; 19] = [
            "BindPaths",
            "BindReadOnlyPaths",
            "CapabilityBoundingSet",
            "DynamicUser",
            "ExecPaths",
            "InaccessiblePaths",
            "NoExecPaths",
            "NoNewPrivileges",
            "Private",
            "Protect",
            "ReadOnlyPaths",
            "ReadWritePaths",
            "Restrict",
            "RootDirectory",
            "RootImage",
            "SystemCall",
            "TemporaryFileSystem",
            "UMask",
            "WorkingDirectory",
        ];
        let unit = unit(&sample::desired(1), Version::new(3, 5, 16));
        let keeping = unit.lines().filter(|line| KEEPING.iter().any(|word| line.starts_with(word)));
        assert_eq!(keeping.collect::<Vec<_>>(), SANDBOX.map(|directive| directive.line));
        for directive in SANDBOX {
            // What hides nothing is known to; whoever adds a line looks up what it hides.
            assert_eq!(directive.hides.is_empty(), directive.line == "NoNewPrivileges=true", "{directive:?}");
        }
    }
}
