//! What quorate costs, and what its operations cost a client; always next to the same thing done without it in the same
//! run.
//!
//! ```text
//! cargo build --release && cargo run --release --example bench
//! cargo run --release --example bench -- costs         or only `operations`, or `backup`
//! ```
//!
//! - `plan` of three healthy hosts against three `ssh HOST true` at once: the best of ten rounds each, taken in turn.
//! - The bootstrap of three bare hosts, the copy of the binaries apart.
//! - Failed writes and the longest stall of a client with fresh connections, while a cluster is changed by quorate and
//!   another by hand.
//! - A snapshot of 2 GiB by `backup run`, and by etcdctl and zstd through `ssh -L`. It needs 16 GiB of memory and 6 GiB in
//!   /var/tmp.
//!
//! Needs root, for the lab.

#[path = "../../tests/hosts/walk/declaration.rs"]
mod declaration;
#[path = "../../tests/lab/mod.rs"]
mod lab;
#[path = "../../tests/traffic/mod.rs"]
mod traffic;

mod backup;
mod by_hand;
mod by_quorate;
mod cluster;
mod costs;
mod operations;
mod staging;

use lab::{Archive, Lab, Series, etcd_archive};

fn main() {
    if let Err(why) = Lab::available() {
        eprintln!("bench: {why}");
        std::process::exit(1);
    }
    let asked = std::env::args().nth(1);
    let is_asked = |part: &str| asked.as_deref().is_none_or(|asked| asked == part);
    let archive = wanted(Series::V3_5);
    if is_asked("costs") {
        print!("{}", costs::measure(&archive));
    }
    if is_asked("operations") {
        println!("\n{}", operations::measure(&archive, &wanted(Series::V3_6)));
    }
    if is_asked("backup") {
        println!("\n{}", backup::measure(&archive));
    }
}

fn wanted(series: Series) -> Archive {
    etcd_archive(series).unwrap_or_else(|skip| {
        eprintln!("bench: {skip}");
        std::process::exit(1);
    })
}
