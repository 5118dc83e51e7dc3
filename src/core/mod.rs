//! What decides: no I/O, no clock, no chance. `tests/offline/tidy.rs` keeps it so, and `tests/offline/floors.rs` the
//! order of the floors.
//!
//! From the top down; each floor uses only those below it, and the words on the ground:
//!
//! - [`render`]: a plan as people and programs read it
//! - [`planner`]: the rules in order, and the loop that runs them to a fixed point
//! - [`capability`]: one file a capability: when it acts, whether it may, what follows
//! - [`cluster`]: what facts mean: membership, quorum, situation, trust, versions; what etcd and systemd do next
//! - [`plan`]: the words of a plan: actions, steps, reasons, risks
//! - [`content`]: the text of files on hosts, and where they are stored
//! - [`desired`]: what cluster.toml declares
//! - [`observed`]: what was seen of hosts and members

pub mod render;
pub mod planner;
pub mod capability;
pub mod cluster;
pub mod plan;
pub mod content;
pub mod desired;
pub mod observed;

// The ground: words that every floor uses.
pub mod allowance;
pub mod code;
pub mod complaint;
pub mod count;
pub mod diagnostic;
pub mod forbidden;
pub mod guard;
pub mod names;
pub mod span;
pub mod url;
