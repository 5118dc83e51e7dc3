//! The SSH layer against a real sshd.

mod channels;
mod commands;
mod server;
