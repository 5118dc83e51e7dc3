//! No text makes `parse` panic, and every refusal can be shown.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use quorate::core::desired::read::{parse, render};

fuzz_target!(|text: &str| {
    if let Err(problems) = parse(text, "cluster.toml", Path::new("/ops"), Some(Path::new("/home/me"))) {
        assert!(!problems.is_empty());
        render(&problems, text, "cluster.toml", false);
    }
});
