//! No bytes make the reader of saved plans panic, and what it accepts is written as it was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate::core::render::{json, markdown, text};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(plan) = json::read(bytes) {
        assert_eq!(json::read(json::plan(&plan).as_bytes()).as_ref(), Ok(&plan));
        text::plan(&plan, text::Style::default());
        assert!(markdown::plan(&plan).len() < markdown::BYTES_MAX);
    }
});
