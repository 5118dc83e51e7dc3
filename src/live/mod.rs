//! The real world: hosts over SSH, etcd over its API.

pub mod ssh;
