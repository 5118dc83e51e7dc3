//! One file a capability: when it acts (`next`), whether it may (`readiness`), and what will be seen then (`effect`).

pub mod access;
pub mod authority;
pub mod backup;
pub mod certificates;
pub mod config;
pub mod consumers;
pub mod departure;
pub mod expiry;
pub mod given;
pub mod keeper;
pub mod membership;
pub mod prepare;
pub mod raft_log;
pub mod recovery;
pub mod restore;
pub mod rotation;
pub mod service;
pub mod snapshot;
pub mod users;
pub mod version;
