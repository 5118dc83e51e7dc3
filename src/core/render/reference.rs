//! The reference page of cluster.toml, docs/cluster-toml.md: every section with its keys, their defaults and an example.

use std::fmt::Write as _;

use crate::core::desired::keys::{Default, Key, SECTIONS, Section, Shape};

const HEAD: &str = "\
# cluster.toml

<!-- Made from the table of keys in src/core/desired/keys; UPDATE_FIXTURES=1 cargo test --test offline schemas:: writes it anew. -->

Only `[cluster] name`, `[cluster] version` and the nodes are required. `quorate init` writes a file with every section and its
defaults in comments; [examples/](../examples) has files for common cases. Unknown keys are errors, and `quorate validate`
reports every problem at once.

- Durations and sizes carry their unit: `\"100ms\"`, `\"8h\"`, `\"365d\"`, `\"8GiB\"` (1024s), `\"8GB\"` (1000s).
- Paths on this machine start in the folder of cluster.toml; `~/` is your home. Paths on the hosts are absolute.
- Secrets are never in this file: it names a `file`, an `env`ironment variable or a `command`.

`quorate schema cluster` prints the JSON Schema. With Taplo or Even Better TOML, an editor completes and checks the file when
its first line is

```toml
#:schema ./cluster.schema.json
```

or the URL of [schema/cluster.schema.json](../schema/cluster.schema.json).
";

/// The page.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        push_section(&mut text, section);
    }
    text
}

fn push_section(text: &mut String, section: &Section) {
    let _ = writeln!(text, "\n## [{}]\n\n{}\n", section.path, section.about);
    push_table(text, section.keys, section.one_of);
    for key in section.keys {
        let (keys, one_of) = match &key.shape {
            Shape::Table { keys, one_of } => (keys, one_of),
            Shape::List(Shape::Table { keys, one_of }) => (keys, one_of),
            _ => continue,
        };
        let _ = writeln!(text, "\nThe keys of `{}`, for example `{} = {}`:\n", key.name, key.name, key.example);
        push_table(text, keys, one_of);
    }
}

fn push_table(text: &mut String, keys: &[Key], one_of: &[&str]) {
    text.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
    for key in keys {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            key.name,
            value_of(key),
            default_of(key, one_of.contains(&key.name)),
            meaning_of(key)
        );
    }
    if let Some((last, rest)) = one_of.split_last() {
        let rest: Vec<String> = rest.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(text, "\nExactly one of {} and `{last}`.", rest.join(", "));
    }
}

/// The shape, with an example where the default is none.
fn value_of(key: &Key) -> String {
    let shape = key.shape.in_words();
    let is_table = matches!(key.shape, Shape::Table { .. } | Shape::List(Shape::Table { .. }));
    if is_table || key.example.is_empty() || matches!(key.shape, Shape::Boolean | Shape::Choice(_)) {
        shape
    } else {
        format!("{shape}, such as `{}`", shortened(key.example))
    }
}

/// Digests are shown by their first digits.
fn shortened(example: &str) -> String {
    example.replace(&"0".repeat(64), "…")
}

fn default_of(key: &Key, is_one_of: bool) -> String {
    match key.default {
        Default::Required => "required".to_owned(),
        Default::Value(value) => format!("`{value}`"),
        Default::Etcd(value) => format!("etcd's own, `{value}`"),
        Default::Words(words) => words.to_owned(),
        Default::None if is_one_of => "one of these".to_owned(),
        Default::None if !key.required_with.is_empty() => {
            let sources: Vec<String> = key.required_with.iter().map(|source| format!("`{source}`")).collect();
            format!("required with {}", sources.join(", "))
        }
        Default::None => "none".to_owned(),
    }
}

fn meaning_of(key: &Key) -> String {
    let description = key.description();
    if key.with.is_empty() {
        return description;
    }
    let sources: Vec<String> = key.with.iter().map(|source| format!("`{source}`")).collect();
    format!("({}) {description}", sources.join(", "))
}
