//! What is asked of a member, asked of real etcd processes of each version, over TLS on loopback.

mod answers;
mod auth;
mod changes;
mod cost;
mod faults;
mod process;
