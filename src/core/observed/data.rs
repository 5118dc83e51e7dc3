//! What lies in a data directory, by what a member needs to keep its promises.

use serde::{Deserialize, Serialize};

/// A member has promised what is in its log: its votes, and the writes that it has acknowledged. etcd takes one without a
/// `.wal` file for one that has never run, whatever else lies there: it begins an empty log under the same member id.
/// Source: `wal.Exist` in etcd's server, read in 3.6.16 and 3.7.3.
///
/// What it does where parts are missing (tried on 3.5.30):
///
/// | missing | what etcd does |
/// |---|---|
/// | every `.wal` file, or the folder | state `new`: begins an empty log; `existing`: the same once a peer tells the members |
/// | what is in the `.wal` files | panics |
/// | the database, or it is empty | rebuilds it from a log that is whole; panics where the log begins after a snapshot |
/// | the database's end | panics |
/// | the snapshots of the raft log | goes on, where the log is whole |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataDirectory {
    /// Not there, or there and empty.
    Empty,
    /// A member's, with its log and its database.
    Member,
    /// What is left of a member: its folder, or a process that still has its log open, but no log, or an empty one.
    NoLog,
    /// The log of a member is there, and its database is not, or is empty.
    NoDatabase,
    /// A disk that the host is told to mount there is not mounted.
    NotMounted,
    /// A link, here or of the log's folder, that leads nowhere.
    DeadLink,
    /// Holds something else.
    Foreign,
}

impl DataDirectory {
    /// Whether a member lies there, or what is left of one.
    pub fn has_remains(self) -> bool {
        matches!(self, Self::Member | Self::NoLog | Self::NoDatabase)
    }

    /// Whether a member that lay there has lost what it needs. What is only out of sight is not lost.
    pub fn is_lost(self) -> bool {
        matches!(self, Self::Empty | Self::NoLog | Self::NoDatabase)
    }

    /// Whether nobody can see what is there: it would come into sight with a disk.
    pub fn is_out_of_sight(self) -> bool {
        matches!(self, Self::NotMounted | Self::DeadLink)
    }

    /// What a member that should have its data there misses; `None` when it has all of it.
    pub fn lacks(self) -> Option<&'static str> {
        match self {
            Self::Member => None,
            Self::Empty => Some("its data directory is missing"),
            Self::NoLog => Some("its log is missing: there is no .wal file in member/wal"),
            Self::NoDatabase => Some("its database is missing: member/snap/db is not there, or is empty"),
            Self::NotMounted => Some("the disk of its data directory is not mounted"),
            Self::DeadLink => Some("its data directory, or the folder of its log, is a link that leads nowhere"),
            Self::Foreign => Some("its data directory contains files that are not etcd's"),
        }
    }
}
