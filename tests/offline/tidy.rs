//! The shape of the source: the core does no I/O and knows neither clock nor chance; files stay readable.

use std::fs;
use std::path::{Path, PathBuf};

/// What only the shell may say.
const IMPURE: &[&str] = &[
    "tokio",
    "ssh2",
    "etcd_client",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "std::io",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
    "rand::",
    "HashMap",
    "HashSet",
];

/// No line of ours says that it is unfinished, and nothing outside the project is named.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "dbg!", "FIXME", "XXX"];

/// What is said goes through `shell::stderr`, `shell::progress` or `Out`, so that -q, --color and --json hold for it.
const SAID_PAST_THEM: &[&str] = &["print!(", "println!("];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    files(folder, "rs")
}

fn files(folder: &Path, wanted: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the repository can be read") {
        let path = entry.expect("its entries too").path();
        if path.is_dir() {
            found.extend(files(&path, wanted));
        } else if path.extension().is_some_and(|extension| extension == wanted) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The lines of a file before its unit tests, without comments, numbered from 1.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).expect("a source file is text");
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.to_owned()));
    lines
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]\nmod") && line != "mod tests {")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .collect()
}

#[test]
fn the_core_is_pure() {
    let mut found = Vec::new();
    for path in sources(&root().join("src/core")) {
        for (number, line) in code(&path) {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{}:{number}: {word}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "the core does I/O, or depends on clock, chance or order:\n{}", found.join("\n"));
}

#[test]
fn nothing_is_left_unfinished() {
    let mut found = Vec::new();
    for folder in ["src", "examples", "tests"] {
        for path in sources(&root().join(folder)).iter().filter(|path| !path.ends_with("tests/offline/tidy.rs")) {
            for (number, line) in code(path) {
                for word in UNFINISHED.iter().filter(|word| line.contains(**word)) {
                    found.push(format!("{}:{number}: {word}", path.display()));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn nothing_is_printed_past_the_options_for_it() {
    let mut found = Vec::new();
    let wings = ["src/core", "src/shell"].into_iter().flat_map(|wing| sources(&root().join(wing)));
    // Also `opener_tests.rs`.
    let is_tests = |path: &PathBuf| path.to_string_lossy().ends_with("tests.rs");
    for path in &wings.filter(|path| !is_tests(path)).collect::<Vec<_>>() {
        for (number, line) in code(path) {
            for word in SAID_PAST_THEM.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{}:{number}: {word}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "-q, --color and --json do not hold for:\n{}", found.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_is_not_too_long() {
    let mut found = Vec::new();
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).expect("a source file is text");
        if !text.starts_with("//!") {
            found.push(format!("{} does not begin with //!", path.display()));
        }
        let lines = code(&path).len();
        if lines > 500 && !path.ends_with("tests.rs") {
            found.push(format!("{} has {lines} lines of code: look for the second idea", path.display()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A unit may have another name, and not every runtime has one: `content::runtime` knows where the log is. The pages of
/// `quorate explain` know no declaration.
#[test]
fn only_the_runtime_knows_where_the_log_is() {
    let mut found = Vec::new();
    for path in sources(&root().join("src")) {
        if path.ends_with("content/runtime.rs") || path.ends_with("core/code.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source file is text");
        for (index, line) in text.lines().enumerate().filter(|(_, line)| line.contains("journalctl -u")) {
            if !line.contains("journalctl -u {}") || !line.contains("BACKUP_SERVICE") {
                found.push(format!("{}:{}: {}", path.display(), index + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "a log is named past the runtime:\n{}", found.join("\n"));
}

/// bash, which is `sh` on many hosts, reads a block, and goes back to behind the line; the kernel has written the file anew by then,
/// and a line has another length: the next one begins in its middle. What is read as a whole is one text.
#[test]
fn no_script_reads_a_file_of_the_kernel_line_by_line() {
    let mut found = Vec::new();
    for path in files(&root().join("src"), "sh") {
        let text = fs::read_to_string(&path).expect("a source file is text");
        for (index, line) in text.lines().enumerate() {
            let is_loop = line.trim_start().starts_with("done ")
                && line.split_once('<').is_some_and(|(_, from)| {
                    let from = from.trim_start_matches(['"', '\'']);
                    from.starts_with("/proc") || from.starts_with("/sys")
                });
            if is_loop {
                found.push(format!("{}:{}: {}", path.display(), index + 1, line.trim()));
            }
        }
    }
    assert!(
        found.is_empty(),
        "read at once, with $(cat …) or grep, what another process may change:\n{}",
        found.join("\n")
    );
}
