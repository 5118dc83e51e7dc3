//! The JSON Schemas under schema/ and the reference page of cluster.toml are those of the code. `UPDATE_FIXTURES=1` writes
//! them anew.

use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use quorate::core::desired::keys::{Key, SECTIONS, Shape};
use quorate::core::render::reference;
use quorate::core::render::schema::{Subject, schema};
use serde_json::{Value, json};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn is_kept(file: &Path, current: &str) {
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(file, current).expect("the file can be written");
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(kept == current, "{} is out of date: run `UPDATE_FIXTURES=1 cargo test`", file.display());
}

#[test]
fn the_schemas_in_the_repository_are_those_of_the_code() {
    for &subject in Subject::value_variants() {
        is_kept(&root().join("schema").join(subject.file_name()), &schema(subject));
    }
}

#[test]
fn the_reference_page_is_that_of_the_code() {
    is_kept(&root().join("docs/cluster-toml.md"), &reference::markdown());
}

/// A cluster.toml as the schema sees it.
fn document(text: &str) -> Value {
    let table: toml::Table = toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    serde_json::to_value(table).expect("it holds no dates")
}

fn cluster_schema() -> Value {
    serde_json::from_str(&schema(Subject::Cluster)).expect("a schema is JSON")
}

/// What `value` breaks of `schema`, of the words that our schema uses. One that it does not know fails the test.
fn broken(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fail = |what: String| found.push(format!("{at}: {what}"));
    let rules = schema.as_object().expect("a schema is an object");
    let of_list = |name: &str| rules[name].as_array().expect("it is a list").iter();
    let number = |name: &str| rules[name].as_i64().expect("it is a number");
    let mut below = Vec::new();
    for (rule, content) in rules {
        match rule.as_str() {
            "$schema" | "title" | "description" | "default" | "examples" => {}
            "type" => {
                let is = match content.as_str().expect("a type is a word") {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64(),
                    "boolean" => value.is_boolean(),
                    other => panic!("unknown type {other}"),
                };
                if !is {
                    fail(format!("{value} is not of type {content}"));
                }
            }
            "enum" if !of_list("enum").any(|one| one == value) => fail(format!("{value} is none of {content}")),
            "minimum" if value.as_i64().is_some_and(|n| n < number("minimum")) => fail(format!("{value} is too small")),
            "maximum" if value.as_i64().is_some_and(|n| n > number("maximum")) => fail(format!("{value} is too large")),
            "minLength" if value.as_str() == Some("") => fail("it is empty".to_owned()),
            "minItems" if value.as_array().is_some_and(|list| (list.len() as i64) < number("minItems")) => {
                fail("too few".to_owned());
            }
            "maxItems" if value.as_array().is_some_and(|list| list.len() as i64 > number("maxItems")) => {
                fail("too many".to_owned());
            }
            "pattern" => {
                let pattern =
                    regex_lite::Regex::new(content.as_str().expect("it is text")).expect("a regular expression");
                if value.as_str().is_some_and(|text| !pattern.is_match(text)) {
                    fail(format!("{value} does not match {content}"));
                }
            }
            "required" => {
                for key in of_list("required").filter_map(Value::as_str) {
                    if value.as_object().is_some_and(|table| !table.contains_key(key)) {
                        fail(format!("{key} is missing"));
                    }
                }
            }
            "oneOf" if of_list("oneOf").filter(|one| broken(one, value, at).is_empty()).count() != 1 => {
                fail(format!("not exactly one of {content}"));
            }
            "anyOf" if !of_list("anyOf").any(|one| broken(one, value, at).is_empty()) => {
                fail(format!("none of {content}"));
            }
            "items" => {
                for (index, element) in value.as_array().into_iter().flatten().enumerate() {
                    below.extend(broken(content, element, &format!("{at}[{index}]")));
                }
            }
            "additionalProperties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    let inner_at = format!("{at}.{key}");
                    match (rules.get("properties").and_then(|known| known.get(key)), content) {
                        (Some(known), _) => below.extend(broken(known, inner, &inner_at)),
                        (None, Value::Bool(false)) => fail(format!("unknown key {key}")),
                        (None, schema) => below.extend(broken(schema, inner, &inner_at)),
                    }
                }
            }
            "properties" => assert!(rules.contains_key("additionalProperties"), "{at}: every table is closed"),
            "enum" | "minimum" | "maximum" | "minLength" | "minItems" | "maxItems" | "oneOf" | "anyOf" => {}
            other => panic!("{at}: the schema uses {other}, which this test does not know"),
        }
    }
    found.extend(below);
    found
}

#[test]
fn the_schema_accepts_every_example() {
    let schema = cluster_schema();
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("examples")).expect("it is there") {
        let file = entry.expect("it can be read").path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&file).expect("it can be read");
            assert_eq!(broken(&schema, &document(&text), ""), Vec::<String>::new(), "{}", file.display());
            count += 1;
        }
    }
    assert!(count >= 4, "{count} examples");
}

/// The template of `init`, as it is and with every comment that is a key taken out of its comment.
#[test]
fn the_schema_accepts_the_template() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let quorate = env!("CARGO_BIN_EXE_quorate");
    let made = std::process::Command::new(quorate)
        .current_dir(folder.path())
        .args(["init", "etcd-1=10.0.0.11", "etcd-2=10.0.0.12", "--name", "prod", "--offline"])
        .output()
        .expect("it runs");
    assert!(made.status.success(), "{made:?}");
    let text = std::fs::read_to_string(folder.path().join("cluster.toml")).expect("it is written");
    let mut all = String::new();
    for line in text.lines() {
        let rest = line.strip_prefix("# ").unwrap_or(line);
        let is_key = rest.split(' ').nth(1) == Some("=") || (rest.starts_with('[') && rest.ends_with(']'));
        all.push_str(if is_key { rest } else { line });
        all.push('\n');
    }
    let all = all.replace("SHA-256", &"0".repeat(64));
    for text in [text, all] {
        assert_eq!(broken(&cluster_schema(), &document(&text), ""), Vec::<String>::new(), "{text}");
    }
}

/// `path` with NAME for a name, as nested tables around `content`.
fn at(path: &str, content: Value) -> Value {
    path.rsplit('.').fold(content, |inner, part| json!({ part: inner }))
}

/// A whole file with this section: the least of the others around it.
fn with_section(path: &str, content: Value) -> Value {
    let mut file = json!({
        "cluster": { "name": "prod", "version": "3.6.16" },
        "nodes": { "NAME": { "address": "10.0.0.1" } },
    });
    merge(&mut file, at(path, content));
    file
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn example(key: &Key) -> Value {
    document(&format!("value = {}", key.shown()))["value"].clone()
}

#[test]
fn the_schema_accepts_each_key_and_refuses_unknown_keys_and_wrong_types() {
    let schema = cluster_schema();
    for section in SECTIONS {
        let required = |but: &str| -> serde_json::Map<String, Value> {
            let excluded = section.one_of.contains(&but);
            let needs = |key: &&Key| {
                key.name != but && (key.is_required() || !excluded && section.one_of.first() == Some(&key.name))
            };
            section.keys.iter().filter(needs).map(|key| (key.name.to_owned(), example(key))).collect()
        };
        for key in section.keys {
            let file = |value: Value| {
                let mut keys = required(key.name);
                keys.insert(key.name.to_owned(), value);
                with_section(section.path, keys.into())
            };
            let name = format!("[{}] {}", section.path, key.name);
            assert_eq!(broken(&schema, &file(example(key)), ""), Vec::<String>::new(), "{name}");
            let wrong = match key.shape {
                Shape::Text | Shape::Path | Shape::Address | Shape::Cron => json!(5),
                _ => json!("?"),
            };
            assert!(!broken(&schema, &file(wrong), "").is_empty(), "{name}: a wrong value is accepted");
            assert!(!broken(&schema, &file(json!(null)), "").is_empty(), "{name}: nothing is accepted");
        }
        let mut keys = required("");
        keys.insert("surprise".to_owned(), json!(1));
        let found = broken(&schema, &with_section(section.path, keys.into()), "");
        assert!(found.iter().any(|what| what.ends_with("unknown key surprise")), "{}: {found:?}", section.path);
    }
    assert!(!broken(&schema, &with_section("surprise", json!({})), "").is_empty());
}
