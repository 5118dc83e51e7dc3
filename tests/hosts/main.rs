//! What is run on real hosts. Needs root (tests/lab says what else); without it every test says that it is skipped.

#[path = "../lab/mod.rs"]
mod lab;
#[path = "../traffic/mod.rs"]
mod traffic;
#[path = "../local/vault/server.rs"]
mod vault_server;

mod cluster;
mod installed;
mod lab_selftest;
mod live;
mod walk;
