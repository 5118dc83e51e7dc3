//! One file per verb: each wires the core to the shell.

pub mod init;
pub mod load;
pub mod validate;
