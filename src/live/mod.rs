//! The real world: hosts over SSH, etcd over its API.

pub mod archive;
pub mod etcd;
pub mod pki;
pub mod ssh;
