//! quorate on real hosts: the built binary, systemd, sshd and etcd, nothing stood in for.
//!
//! Needs root (tests/lab says what else); without it every test says that it is skipped.

#[path = "../lab/mod.rs"]
mod lab;
#[path = "../traffic/mod.rs"]
mod traffic;

mod scene;
mod secrets;

mod auth;
mod backup_policy;
mod bootstrap;
mod certs;
mod crash;
mod drift;
mod lock;
mod membership;
mod outage;
mod recovery;
mod refusals;
mod restore;
mod rolling;
mod snapshots;
