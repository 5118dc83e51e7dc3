//! The JSON Schema of cluster.toml, for editors: they complete keys, show what each means, and mark what is wrong.
//!
//! Draft 7, which is what TOML editors (Taplo, Even Better TOML) read. It checks names, types and single values; what
//! depends on other keys is for `quorate validate`, which knows more and says it better.

use crate::core::render::pretty;
use serde_json::{Map, Value, json};

use crate::core::desired::keys::{Default, Key, SECTIONS, Section, Shape};
use crate::core::desired::{SettingKind, etcd_settings};

/// What stands in a path for a name that the user chooses.
const NAME: &str = "NAME";

/// The schema as text, with a newline at its end.
pub fn text() -> String {
    pretty(&schema())
}

fn schema() -> Value {
    let mut root = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "cluster.toml",
        "description": "What an etcd cluster should be: read by quorate.",
        "type": "object",
        "additionalProperties": false,
        "required": ["cluster", "nodes"],
        "properties": {},
    });
    for section in SECTIONS {
        let parts: Vec<&str> = section.path.split('.').collect();
        insert(&mut root, &parts, of_section(section));
    }
    root
}

/// Puts `found` where `path` leads to from `schema`, on the way making the tables whose names are the user's.
fn insert(schema: &mut Value, path: &[&str], found: Value) {
    let (first, rest) = path.split_first().expect("a section has a name");
    let place = match *first {
        NAME => &mut schema["additionalProperties"],
        key => &mut schema["properties"][key],
    };
    if rest.is_empty() {
        // A parent that was made on the way keeps what it was given.
        *place = found;
    } else {
        if place.is_null() {
            *place = json!({ "type": "object" });
        }
        insert(place, rest, found);
    }
}

fn of_section(section: &Section) -> Value {
    let mut schema = table(section.keys, section.one_of);
    schema["description"] = section.about.into();
    schema
}

fn table(keys: &[Key], one_of: &[&str]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), of_key(key))).collect();
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    let required: Vec<&str> = keys.iter().filter(|key| key.is_required()).map(|key| key.name).collect();
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    if !one_of.is_empty() {
        schema["oneOf"] = one_of.iter().map(|key| json!({ "required": [key] })).collect();
    }
    schema
}

fn of_key(key: &Key) -> Value {
    let mut schema = of_shape(&key.shape);
    let mut description = key.description();
    if !key.with.is_empty() {
        let sources: Vec<String> = key.with.iter().map(|source| format!("\"{source}\"")).collect();
        description.push_str(&format!(" Only with source = {}.", sources.join(", ")));
    }
    match key.default {
        Default::Value(value) => schema["default"] = parsed(value),
        Default::Etcd(value) => {
            description.push_str(" The default is etcd's own.");
            schema["default"] = parsed(value);
        }
        Default::Words(words) => description.push_str(&format!(" Default: {words}.")),
        Default::Required | Default::None => {}
    }
    if !key.example.is_empty() {
        schema["examples"] = json!([parsed(key.example)]);
    }
    schema["description"] = description.into();
    schema
}

/// A value of TOML as one of JSON.
fn parsed(value: &str) -> Value {
    let table: toml::Table = toml::from_str(&format!("value = {value}")).expect("the table of keys holds TOML");
    serde_json::to_value(&table["value"]).expect("it holds no dates")
}

fn of_shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text | Shape::Address | Shape::Cron | Shape::Path => json!({ "type": "string", "minLength": 1 }),
        Shape::Name => json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" }),
        Shape::Version => json!({ "type": "string", "pattern": "^3\\.[4-7]\\.[0-9]+$" }),
        Shape::Digest => json!({ "type": "string", "pattern": "^[0-9A-Fa-f]{64}$" }),
        Shape::RemotePath => json!({ "type": "string", "pattern": "^/" }),
        Shape::Url => json!({ "type": "string", "pattern": "^[a-z0-9]+://" }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Port => json!({ "type": "integer", "minimum": 1, "maximum": 65535 }),
        Shape::Number { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Duration => json!({ "type": "string", "pattern": DURATION }),
        Shape::Size => json!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? *[A-Za-z]+$" }),
        Shape::Choice(words) => json!({ "type": "string", "enum": words }),
        Shape::List(of) => json!({ "type": "array", "items": of_shape(of) }),
        Shape::Range => json!({ "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 2 }),
        Shape::Table { keys, one_of } => table(keys, one_of),
        Shape::Map(of) => json!({ "type": "object", "additionalProperties": of_shape(of) }),
        Shape::EtcdSettings => extra(),
        Shape::Retention => json!({
            "anyOf": [{ "type": "string", "pattern": DURATION }, { "type": "integer", "minimum": 1 }]
        }),
    }
}

const DURATION: &str = "^[0-9]+ *[a-zµ]+( *[0-9]+ *[a-zµ]+)*$";

/// etcd's own settings, each with the versions that know it.
fn extra() -> Value {
    let described = etcd_settings().map(|(name, kind, versions)| {
        let mut schema = match kind {
            SettingKind::Bool => json!({ "type": "boolean" }),
            SettingKind::Integer => json!({ "type": "integer" }),
            SettingKind::Unsigned => json!({ "type": "integer", "minimum": 0 }),
            SettingKind::Nanoseconds => json!({ "type": "integer" }),
            SettingKind::Text => json!({ "type": "string" }),
            SettingKind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            SettingKind::Table => json!({ "type": "object" }),
        };
        let unit = if kind == SettingKind::Nanoseconds { "A number of nanoseconds. " } else { "" };
        schema["description"] = format!("{unit}Known to etcd {versions}.").into();
        (name.to_owned(), schema)
    });
    let properties: Map<String, Value> = described.collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}
