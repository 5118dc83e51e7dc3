//! Whatever a host answers to the probe, the parser does not panic, and what it accepts came whole.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quorate::core::desired::{Desired, read};
use quorate::shell::live::probe;

static DESIRED: LazyLock<Desired> = LazyLock::new(|| {
    let text = "[cluster]\nname = \"lab\"\nversion = \"3.5.30\"\n[nodes.etcd-1]\naddress = \"10.77.3.11\"\n";
    read::parse(text, "cluster.toml", Path::new("/here"), None).expect("a valid cluster.toml")
});

fuzz_target!(|bytes: &[u8]| {
    let host = DESIRED.nodes.keys().next().expect("it has a node");
    if probe::parse(&probe::Subject { desired: &DESIRED, host }, bytes).is_ok() {
        assert!(bytes.ends_with(b"quorate-end\n"));
    }
});
