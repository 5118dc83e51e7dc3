//! The reader of cluster.toml: from its text to a [`Desired`](super::Desired), or to every problem it has, each with its line.
//!
//! It uses the types of a declaration; they know nothing of it.

mod adopted;
mod archive;
mod auth;
mod backup;
mod ca;
mod consumers;
mod etcd;
mod file_names;
mod kinds;
mod parse;
mod paths;
mod problem;
mod schedule;
mod sections;
mod suggest;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod vault;

pub(crate) use kinds::{check_name, parse_address};
pub use parse::parse;
pub use problem::{Problem, render};
pub use schedule::is_schedule;
