//! What `quorate doctor` finds out about a host, beyond what a plan needs to know.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::names::HostName;
use crate::core::observed::Seen;

/// One host, looked at once. A part that could not be looked at says why.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkup {
    pub login: Login,
    pub account: Seen<LoginAccount>,
    pub names: Seen<Names>,
    pub clock: Seen<ClockSync>,
    pub network: Seen<Network>,
    /// What came of connecting from it to each other node, by its name and port.
    pub ways: Seen<BTreeMap<(HostName, u16), Way>>,
    pub disk: Seen<Disk>,
    pub journal: Seen<Vec<Complaint>>,
}

/// How long SSH takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// What is typed behind `ssh` to log in there in the same way.
    pub typed: String,
    /// To connect and to log in.
    pub connected_ms: u64,
    /// From a command that does nothing to its answer, over the connection that there is.
    pub answered_ms: u64,
}

/// Who commands are run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginAccount {
    pub user: String,
    /// `/bin/bash`
    pub shell: String,
    /// What its start-up files print before every command.
    pub chatter: String,
    /// `None` for root, who needs none.
    pub sudo: Option<Sudo>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sudo {
    pub took_ms: u64,
    /// What quorate runs was run without a password.
    pub is_allowed: bool,
    pub options: BTreeSet<SudoOption>,
    /// Its words where it was not allowed, and its complaints otherwise.
    pub said: String,
}

/// What sudo is told to do that matters to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SudoOption {
    LogInput,
    LogOutput,
    NoExec,
    RequireTty,
}

/// The lookups of the host itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// What it calls itself.
    pub own: Lookup,
    /// The names, not addresses, that cluster.toml has for nodes.
    pub declared: Vec<Lookup>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    pub name: String,
    pub took_ms: u64,
    /// The first address; `None` where there was none in time.
    pub address: Option<String>,
}

/// Whether something keeps the clock, as systemd knows; `None` where it cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSync {
    pub is_synchronized: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// All addresses of the host.
    pub addresses: BTreeSet<String>,
    /// The address from which it speaks to each other node; absent where there is no route.
    pub sources: BTreeMap<HostName, String>,
}

/// What came of connecting to a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Refused at once.
    Refused,
    /// No answer in time.
    Silent,
    /// What else the system said: `No route to host`
    Failed(String),
}

/// Where the data directory is, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The data directory, or the nearest folder above it that is there.
    pub folder: String,
    pub mount_point: String,
    /// `ext4`
    pub file_system: String,
    /// `rw,relatime`
    pub options: String,
    /// How long writing 2,300 bytes and syncing them took, each time, in microseconds. Empty where it was not measured.
    pub syncs_us: Vec<u64>,
}

/// A warning or an error of etcd's log in the last hour, and how often it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub text: String,
    pub count: u64,
}
