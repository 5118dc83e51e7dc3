//! The SSH layer against a real sshd.

mod channels;
mod commands;
mod endings;
mod keys;
mod proxies;
mod server;
