//! The SSH layer against a real sshd.

mod channels;
mod commands;
mod endings;
mod figures;
mod keys;
mod openssh;
mod proxies;
mod server;
