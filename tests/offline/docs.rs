//! What README.md and docs/ say about quorate is so: every command parses, every code and section exists, every link leads
//! somewhere, and every piece of cluster.toml is valid TOML of known keys. `tests/docs/sessions.py` makes the outputs.

use std::path::{Path, PathBuf};

use clap::Parser as _;
use quorate::core::code::Code;
use quorate::core::desired::keys::SECTIONS;
use quorate::shell::cli::Cli;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The pages with their texts.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = vec![root().join("README.md")];
    for entry in std::fs::read_dir(root().join("docs")).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a page is text");
        (path, text)
    };
    pages.into_iter().map(read).collect()
}

/// A piece of a page.
struct Piece {
    line: usize,
    /// The word after the fence; `indented` for a block without one, and `inline` for code in a sentence.
    kind: String,
    text: String,
}

fn pieces(page: &str) -> Vec<Piece> {
    let mut found: Vec<Piece> = Vec::new();
    let mut fence: Option<Piece> = None;
    for (index, line) in page.lines().enumerate() {
        let number = index + 1;
        match (&mut fence, line.strip_prefix("```")) {
            (Some(_), Some(_)) => found.extend(fence.take()),
            (Some(piece), None) => piece.text.push_str(&format!("{line}\n")),
            (None, Some(kind)) => {
                fence = Some(Piece { line: number, kind: kind.to_owned(), text: String::new() });
            }
            (None, None) => match line.strip_prefix("    ") {
                Some(text) => {
                    found.push(Piece { line: number, kind: "indented".to_owned(), text: text.to_owned() });
                }
                None => found.extend(line.split('`').skip(1).step_by(2).map(|text| Piece {
                    line: number,
                    kind: "inline".to_owned(),
                    text: text.to_owned(),
                })),
            },
        }
    }
    assert!(fence.is_none(), "a fence is not closed");
    found
}

/// The command lines of a piece that begin with quorate: without comments, and up to a pipe, `&&` or `>`.
fn commands(piece: &Piece) -> Vec<String> {
    let lines: Vec<&str> = match piece.kind.as_str() {
        "console" => piece.text.lines().filter_map(|line| line.strip_prefix("$ ")).collect(),
        "inline" | "indented" => piece.text.lines().collect(),
        _ => Vec::new(),
    };
    let parts = lines.iter().flat_map(|line| line.split(" && "));
    let end = |line: &str| {
        let cut = [" # ", " | ", " > ", "  "].iter().filter_map(|mark| line.find(mark)).min().unwrap_or(line.len());
        line[..cut].trim_end().to_owned()
    };
    parts.map(end).filter(|line| line.starts_with("quorate ")).collect()
}

/// What stands for the user's own word.
fn filled(word: &str) -> String {
    match word {
        "CODE" => "host-key".to_owned(),
        "COMMAND" => "plan".to_owned(),
        "HEX" => "0".repeat(64),
        word => word.replace("KIND:NAME", "remove-member:etcd-1").replace(['$', '…'], ""),
    }
}

#[test]
fn every_command_is_one_that_the_command_line_takes() {
    let mut count = 0;
    for (path, text) in pages() {
        for piece in pieces(&text) {
            for command in commands(&piece) {
                let words = shlex::split(&command).unwrap_or_else(|| panic!("{command}"));
                let words: Vec<String> =
                    words.iter().map(|word| filled(word)).filter(|word| !word.is_empty()).collect();
                count += 1;
                let Err(error) = Cli::try_parse_from(words) else { continue };
                // A command may be named without what it needs.
                let is_named = piece.kind == "inline"
                    && matches!(
                        error.kind(),
                        clap::error::ErrorKind::MissingRequiredArgument
                            | clap::error::ErrorKind::DisplayHelp
                            | clap::error::ErrorKind::MissingSubcommand
                            | clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                    );
                assert!(is_named, "{}:{}: {command}\n{error}", path.display(), piece.line);
            }
        }
    }
    assert!(count > 60, "{count} commands");
}

/// Whether `[word]` is a code, or a section of cluster.toml.
fn is_known(word: &str) -> bool {
    let is_section = |path: &str| path == word || path.strip_prefix(word).is_some_and(|rest| rest.starts_with('.'));
    Code::ALL.iter().any(|code| code.as_str() == word)
        || SECTIONS.iter().any(|section| is_section(section.path))
        || word == "etcd.archive.via"
}

#[test]
fn every_code_and_section_in_brackets_exists() {
    for (path, text) in pages() {
        for piece in pieces(&text) {
            for rest in piece.text.split('[').skip(1) {
                let Some((word, _)) = rest.split_once(']') else { continue };
                let plain = |c: char| c.is_ascii_lowercase() || matches!(c, '-' | '.');
                if word.len() > 1 && word.chars().all(plain) && piece.kind != "toml" {
                    assert!(is_known(word), "{}:{}: [{word}]", path.display(), piece.line);
                }
            }
        }
    }
}

#[test]
fn every_link_leads_to_a_file() {
    for (path, text) in pages() {
        for rest in text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if !target.contains("://") && !file.is_empty() {
                let place = path.parent().expect("a page is in a folder").join(file);
                assert!(place.exists(), "{}: {target}", path.display());
            }
        }
    }
}

/// Each block is a piece of a file: its sections and keys are known.
#[test]
fn every_block_of_toml_is_of_known_keys() {
    for (path, text) in pages() {
        for piece in pieces(&text).iter().filter(|piece| piece.kind == "toml") {
            let at = format!("{}:{}", path.display(), piece.line);
            let table: toml::Table = toml::from_str(&piece.text).unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_known(&table, "", &at);
        }
    }
}

fn assert_known(table: &toml::Table, prefix: &str, at: &str) {
    for (key, value) in table {
        let is_named = ["nodes", "users", "roles", "consumers"].contains(&prefix);
        let here =
            if prefix.is_empty() { key.clone() } else { format!("{prefix}.{}", if is_named { "NAME" } else { key }) };
        if let Some((section, name)) = here.rsplit_once('.')
            && SECTIONS.iter().any(|known| known.path == section && known.key(name).is_some())
        {
            continue;
        }
        let is_section = SECTIONS.iter().any(|known| known.path == here || known.path.starts_with(&format!("{here}.")));
        assert!(is_section, "{at}: {here} is not a key of cluster.toml");
        assert_known(value.as_table().unwrap_or_else(|| panic!("{at}: {here} is a section")), &here, at);
    }
}

#[test]
fn the_readme_is_short() {
    let text = std::fs::read_to_string(root().join("README.md")).expect("it is there");
    assert!(text.lines().count() < 220, "{} lines", text.lines().count());
}

#[test]
fn the_pages_hold_no_path_of_the_machine_that_made_them() {
    for (path, text) in pages() {
        for word in ["/tmp/", "/root/", env!("CARGO_MANIFEST_DIR")] {
            assert!(!text.contains(word), "{} holds {word}", path.display());
        }
    }
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docs/sessions.py").exists());
}
