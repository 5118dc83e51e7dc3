//! One file a capability: when it acts (`next`), whether it may (`readiness`), and what will be seen then (`effect`).

use crate::core::names::HostName;
use crate::core::observed::{Host, Observed};
use crate::core::plan::action::Readiness;

pub mod access;
pub mod adopted;
pub mod authority;
pub mod backup;
pub mod certificates;
pub mod config;
pub mod consumers;
pub mod departure;
pub mod drop_ins;
pub mod expiry;
pub mod given;
pub mod node_ca;
pub mod image;
pub mod membership;
pub mod prepare;
pub mod raft_log;
pub mod recovery;
pub mod relocation;
pub mod restore;
pub mod room;
pub mod rotation;
pub mod service;
pub mod snapshot;
pub mod users;
pub mod version;

/// Of what may be done at any time, until the host `is_done`.
fn done_when(observed: &Observed, name: &HostName, is_done: impl Fn(&Host) -> bool) -> Readiness {
    match observed.host(name) {
        None => unreachable(name),
        Some(host) if is_done(host) => Readiness::Done,
        Some(_) => Readiness::Ready,
    }
}

/// Of whatever is to be done on a host that was not seen.
fn unreachable(name: &HostName) -> Readiness {
    Readiness::Refused(format!("{name} is unreachable"))
}
