//! Clients of a cluster under test: fresh TLS connections to its members, and a writer that remembers what they
//! acknowledged.
//!
//! Nothing of quorate is used but its authority, to sign a client certificate: what is to be proven must not be proven
//! with the code under test.
#![allow(dead_code, unused_imports, reason = "each program that includes this uses a part of it")]

mod client;
pub mod history;
mod writer;

pub use client::{Connection, Credentials, addresses, now, pair, run};
pub use writer::{Endpoint, Tally, Writer, value};
