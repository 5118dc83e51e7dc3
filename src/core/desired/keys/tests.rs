//! The table and the reader of cluster.toml know the same keys, with the same defaults.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Default, Key, SECTIONS, Section, Shape};
use crate::core::desired::Desired;
use crate::core::desired::read::{Problem, parse};

/// No key is near to it, so the reader's hint lists the keys that it knows.
const UNKNOWN: &str = "qqqqqqqqqqqqqqqqqqqqqqqq";

fn read(text: &str) -> Result<Desired, Vec<Problem>> {
    parse(text, "cluster.toml", Path::new("/ops"), Some(Path::new("/home/me")))
}

/// The other sections that this one needs around it.
fn around(section: &Section, source: &str) -> String {
    let mut text = String::new();
    let mut add = |name: &str, body: &str| {
        if !section.path.starts_with(name) {
            text.push_str(&format!("[{name}]\n{body}\n"));
        }
    };
    add("cluster", "name = \"prod\"\nversion = \"3.6.16\"");
    let given = "certificates = { server = \"s\", server-key = \"k\", peer = \"p\", peer-key = \"q\" }";
    add("nodes", &format!("etcd-1 = {{ address = \"10.0.0.1\", {} }}", if source == "external" { given } else { "" }));
    match section.path {
        "users.NAME" | "roles.NAME" => add("auth", "enabled = true"),
        "nodes.NAME.certificates" => {
            add("ca", "source = \"external\"\ncertificate = \"c\"\nclient = \"c\"\nclient-key = \"k\"");
            text.push_str("[nodes.NAME]\naddress = \"10.0.0.1\"\n");
        }
        "ca.previous" => text.push_str("[ca]\ndir = \"another\"\n"),
        _ => {}
    }
    text
}

/// A file with this section: what it requires, and `line`, which is about `key`.
fn file_with(section: &Section, key: Option<&Key>, line: &str) -> String {
    let source = key.and_then(|key| key.with.first()).copied().unwrap_or("generated");
    let has = |name: &str| key.is_some_and(|key| key.name == name);
    let excludes = key.is_some_and(|key| section.one_of.contains(&key.name));
    let needs = |other: &&Key| {
        let first_of_several = !excludes && section.one_of.first() == Some(&other.name);
        let needs_digest = other.name == "sha256" && !has("preinstalled");
        !has(other.name)
            && (other.is_required() || other.required_with.contains(&source) || first_of_several || needs_digest)
    };
    let mut text = format!("{}[{}]\n", around(section, source), section.path);
    if section.key("source").is_some() && !has("source") {
        text.push_str(&format!("source = \"{source}\"\n"));
    }
    for other in section.keys.iter().filter(needs) {
        text.push_str(&format!("{} = {}\n", other.name, other.shown()));
    }
    text + line + "\n"
}

/// Every table of keys: a section's own, and those of its inline tables, with the line that puts `what` there.
fn tables(section: &'static Section) -> Vec<(String, &'static [Key], Option<&'static Key>, String)> {
    let mut found = vec![(section.path.to_owned(), section.keys, None, format!("{UNKNOWN} = 1"))];
    let within = |key: &'static Key| -> Option<(&'static [Key], String)> {
        match &key.shape {
            Shape::Table { keys, .. } => Some((*keys, format!("{} = {{ {UNKNOWN} = 1 }}", key.name))),
            Shape::List(Shape::Table { keys, .. }) => Some((*keys, format!("{} = [{{ {UNKNOWN} = 1 }}]", key.name))),
            Shape::Map(Shape::Table { keys, .. }) => {
                Some((*keys, format!("{} = {{ \"3.5.30\" = {{ {UNKNOWN} = 1 }} }}", key.name)))
            }
            _ => None,
        }
    };
    for key in section.keys {
        let Some((keys, line)) = within(key) else { continue };
        found.push((format!("{}.{}", section.path, key.name), keys, Some(key), line));
        for inner in keys {
            let Some((keys, line)) = within(inner) else { continue };
            let path = format!("{}.{}.{}", section.path, key.name, inner.name);
            found.push((path, keys, Some(key), format!("{} = {{ {line} }}", key.name)));
        }
    }
    found
}

/// The words in backticks of a hint, without section names.
fn quoted(hint: &str) -> BTreeSet<String> {
    hint.split('`').skip(1).step_by(2).filter(|word| !word.starts_with('[')).map(str::to_owned).collect()
}

#[test]
fn the_table_and_the_reader_know_the_same_keys() {
    for section in SECTIONS {
        for (path, keys, key, line) in tables(section) {
            let text = file_with(section, key, &line);
            let problems = read(&text).expect_err(&path);
            let problem = problems.iter().find(|problem| problem.summary.contains(UNKNOWN));
            let problem = problem.unwrap_or_else(|| panic!("{path}: {problems:?}\n{text}"));
            let mut read = quoted(problem.hint.as_deref().unwrap_or_default());
            // A section below is a key of this one.
            let below = |name: &String| SECTIONS.iter().any(|other| other.path == format!("{path}.{name}"));
            read.retain(|name| !below(name));
            let listed: BTreeSet<String> = keys.iter().map(|key| key.name.to_owned()).collect();
            assert_eq!(listed, read, "{path}: the table, and what the reader knows");
        }
    }
    let problems = read(&format!("{}[{UNKNOWN}]\n", file_with(&SECTIONS[0], None, ""))).expect_err("it is unknown");
    let read = quoted(problems[0].hint.as_deref().unwrap_or_default());
    let first = |section: &Section| section.path.split('.').next().unwrap_or_default().to_owned();
    assert_eq!(SECTIONS.iter().map(first).collect::<BTreeSet<_>>(), read);
}

/// Each key of each section with its example, in a file that is otherwise as short as can be.
fn each_alone() -> Vec<(&'static Section, &'static Key, String)> {
    let mut found = Vec::new();
    for section in SECTIONS {
        for key in section.keys {
            // [ca.previous] is not for CAs that are elsewhere, and one client certificate looks at both.
            if section.path == "ca.previous" && (key.with == ["external"] || key.name == "reader") {
                continue;
            }
            let line = format!("{} = {}", key.name, key.shown());
            let text = file_with(section, Some(key), &line);
            // Only pods have an image.
            let layout = "[cluster]\nlayout = \"kubeadm\"\n";
            let text = if key.name == "image" { text.replace("[cluster]\n", layout) } else { text };
            found.push((section, key, text));
        }
    }
    found
}

#[test]
fn every_example_is_accepted() {
    for (section, key, text) in each_alone() {
        if let Err(problems) = read(&text) {
            panic!("[{}] {}: {problems:?}\n{text}", section.path, key.name);
        }
    }
}

#[test]
fn every_default_is_the_readers() {
    let mut count = 0;
    for section in SECTIONS {
        for key in section.keys {
            let Default::Value(value) = key.default else { continue };
            let with = read(&file_with(section, Some(key), &format!("{} = {value}", key.name)));
            let without = read(&file_with(section, Some(key), ""));
            let at = format!("[{}] {}", section.path, key.name);
            let (mut with, without) = (with.expect(&at), without.expect(&at));
            with.places = without.places.clone();
            assert_eq!(with, without, "{at}");
            count += 1;
        }
    }
    assert!(count > 20, "{count} defaults");
}

/// A number where text belongs, and text where it does not.
#[test]
fn every_wrong_type_is_refused() {
    for section in SECTIONS {
        for key in section.keys {
            let wrong = match key.shape {
                Shape::Boolean | Shape::Port | Shape::Number { .. } | Shape::Table { .. } | Shape::Map(_) => "\"x\"",
                Shape::List(_) | Shape::Range | Shape::EtcdSettings => "\"x\"",
                _ => "true",
            };
            let text = file_with(section, Some(key), &format!("{} = {wrong}", key.name));
            assert!(read(&text).is_err(), "{text}");
        }
    }
}

#[test]
fn every_text_is_one_that_all_three_can_show() {
    for section in SECTIONS {
        for key in section.keys {
            let at = format!("[{}] {}", section.path, key.name);
            assert!(!key.about.ends_with('.') && !key.about.contains('\n'), "{at}");
            assert!(key.more.is_empty() || key.more.ends_with('.'), "{at}");
            assert!(key.is_required() || key.default != Default::None || !key.example.is_empty(), "{at}");
            assert!(!key.shown().is_empty(), "{at}: nothing to show");
            assert!(!key.about.contains('|') && !key.more.contains('|'), "{at}: a pipe ends a cell of the reference");
        }
        assert!(section.one_of.iter().all(|name| section.key(name).is_some()), "{}", section.path);
    }
}
