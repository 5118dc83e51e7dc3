//! quorate on real hosts: the built binary, systemd, sshd and etcd, nothing stood in for.
//!
//! Needs root (tests/lab says what else); without it every test says that it is skipped.

#[path = "../lab/mod.rs"]
mod lab;
mod scene;
mod secrets;

mod bootstrap;
mod crash;
mod drift;
mod lock;
mod outage;
mod refusals;
