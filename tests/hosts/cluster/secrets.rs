//! Watches for secrets where none may be: in every process's arguments, in output, in files, in the hosts' journals.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Collects every command line on this machine, the hosts' included, until it is asked for them.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeSet<String>>,
}

impl Watch {
    pub fn begin() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !stopped.load(Ordering::SeqCst) {
                seen.extend(command_lines());
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            seen
        });
        Self { stop, thread }
    }

    pub fn end(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the watch does not panic")
    }
}

fn command_lines() -> impl Iterator<Item = String> {
    let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
    processes.filter_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        (!line.is_empty()).then(|| String::from_utf8_lossy(&line).replace('\0', " "))
    })
}

/// The lines of a PEM key that give it away: what is between its first and last line.
pub fn secret_lines(pem: &str) -> Vec<String> {
    pem.lines().filter(|line| !line.starts_with("-----") && line.len() > 20).map(str::to_owned).collect()
}

/// No line of any key is in `text`.
#[track_caller]
pub fn assert_absent(keys: &[String], place: &str, text: &str) {
    assert!(!text.contains("PRIVATE KEY"), "a private key in {place}");
    for line in keys.iter().flat_map(|pem| secret_lines(pem)) {
        assert!(!text.contains(&line), "a line of a private key in {place}");
    }
}
