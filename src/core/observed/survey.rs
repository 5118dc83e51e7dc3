//! Every etcd that runs on one host, as it was found there, whoever started it and whatever cluster.toml says.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Certificate, MemberEntry, Runner, Seen};
use crate::core::names::{MemberId, RemotePath, UnixSeconds};

/// What one host shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// What the host calls itself.
    pub host: String,
    pub at: UnixSeconds,
    /// Of the paths that tell who manages an etcd, those that are there.
    pub marks: BTreeSet<RemotePath>,
    pub running: Vec<RunningEtcd>,
}

/// One process, and what it was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningEtcd {
    pub pid: u32,
    pub runner: Runner,
    /// As the process sees it: in a container that is another one than on the host.
    pub executable: RemotePath,
    /// The name of its user on the host, or its number where it has none.
    pub account: String,
    /// `None` where the host did not tell.
    pub since: Option<UnixSeconds>,
    /// The files that its unit takes variables from.
    pub variable_files: Vec<RemotePath>,
    /// The package that brought its program.
    pub package: Option<String>,
    /// Its command line behind the program.
    pub arguments: Vec<String>,
    /// Its variables that begin with `ETCD_`.
    pub variables: BTreeMap<String, String>,
    /// The file it was told to take its settings from.
    pub config: Option<ConfigFile>,
    /// It notes what it has loaded, as the unit of quorate has it do.
    pub is_ours: bool,
}

/// A file of settings, as it is now. etcd has read it once, at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    pub path: RemotePath,
    /// `None` where it could not be read.
    pub text: Option<String>,
    /// When it was written last.
    pub written: Option<UnixSeconds>,
}

/// What was asked beyond its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its certificates, by the settings that name them.
    pub certificates: BTreeMap<String, Seen<Certificate>>,
    /// Its id; `None` where it did not answer.
    pub member: Option<MemberId>,
    /// The files of the pair that it was asked with; `None` where none was shown.
    pub with: Option<RemotePath>,
    /// It asks who comes: a certificate that it trusts was refused for whom it belongs to.
    pub authenticates: bool,
    /// Who belongs to the cluster, as its members say.
    pub members: Seen<Vec<MemberSeen>>,
}

/// Of the files that quorate keeps on a host, those that tell what was declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptFiles {
    /// The unit that starts etcd.
    pub unit: Option<String>,
    pub backup: Option<BackupUnits>,
    /// The CA's key, where it lies beside its certificate and can be used as it is.
    pub authority_key: Option<RemotePath>,
}

/// The units of scheduled snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupUnits {
    pub service: String,
    pub timer: String,
}

/// One of the members, asked through the host that was surveyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSeen {
    pub entry: MemberEntry,
    pub answer: Seen<Answer>,
}
