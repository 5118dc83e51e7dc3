//! What touches the world: hosts over SSH, etcd over its API, files, the terminal and the clock.

mod advance;
pub mod cli;
pub mod clock;
pub mod command;
pub mod apply;
pub mod guard_writes;
pub mod progress;
pub mod second_look;
pub mod live;
mod patience;
pub mod fleet;
mod operator;
pub mod stderr;
pub mod stop;
mod effect;
mod watch;
