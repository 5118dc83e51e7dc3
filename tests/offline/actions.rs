//! `fixtures/actions.txt`: every action as it is saved, then its title, and what it does to a running etcd.
//!
//! What an action is in JSON never changes: plans that were saved before must be read. `UPDATE_FIXTURES=1` writes the words
//! after it anew, for review, and never the JSON.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::slice;

use quorate::core::cluster::risk::risk;
use quorate::core::names::HostName;
use quorate::core::plan::action::Action;
use quorate::core::plan::step::{Margin, Step};
use quorate::core::render::schema::{Subject, schema};
use quorate::core::render::words;
use serde::Deserialize;
use serde_json::Value;

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/actions.txt")
}

/// The JSON of every line.
fn saved() -> Vec<String> {
    let text = std::fs::read_to_string(file()).expect("the fixture can be read");
    text.lines().map(|line| line.split(" | ").next().unwrap_or_default().to_owned()).collect()
}

fn read(text: &str) -> Result<Action, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// A saved plan is read by way of a [`Value`], which keeps no order.
fn read_as_value(text: &str) -> Result<Action, String> {
    let value: Value = serde_json::from_str(text).expect("the sample is JSON");
    Action::deserialize(&value).map_err(|error| error.to_string())
}

/// What a plan says of a step with this action alone, in a cluster of three.
fn effect(action: &Action) -> &'static str {
    let margin = Margin { before: Some(1), during: Some(0), after: Some(1) };
    let step = Step {
        actions: vec![action.clone()],
        because: Vec::new(),
        needs: BTreeSet::new(),
        margin,
        risk: risk(slice::from_ref(action), margin),
        diffs: Vec::new(),
        bound: Vec::new(),
    };
    words::effect(&step, &[])
}

#[test]
fn every_action_is_saved_as_ever() {
    for text in saved() {
        let action = read(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(serde_json::to_string(&action).expect("an action is plain data"), text);
        assert_eq!(read_as_value(&text), Ok(action));
    }
}

#[test]
fn every_action_has_its_words_and_none_is_forgotten() {
    let mut now = String::new();
    for text in saved() {
        let action = read(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        now.push_str(&format!("{text} | {action} | {:?} | {}\n", action.impact(), effect(&action)));
        assert_eq!(action.host().map(HostName::as_str), text.contains(r#""host":"#).then_some("etcd-1"), "{text}");
    }
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(file(), &now).expect("the fixture can be written");
    }
    let kept = std::fs::read_to_string(file()).expect("the fixture can be read");
    assert!(kept == now, "{} differs; UPDATE_FIXTURES=1 writes it anew:\n{now}", file().display());

    let name = |action: &Value| action["action"].as_str().expect("the tag is a word").to_owned();
    let shown: BTreeSet<_> =
        saved().iter().map(|text| name(&serde_json::from_str(text).expect("it was read"))).collect();
    let schema: Value = serde_json::from_str(&schema(Subject::Plan)).expect("a schema is JSON");
    let one_of = schema["$defs"]["Action"]["oneOf"].as_array().expect("the schema lists all actions");
    let all: BTreeSet<_> = one_of
        .iter()
        .map(|one| one["properties"]["action"]["const"].as_str().expect("each has its tag").to_owned())
        .collect();
    assert_eq!(all.len(), one_of.len(), "two actions have the same tag");
    assert_eq!(shown, all, "fixtures/actions.txt shows each action");
}

#[test]
fn what_is_no_action_is_told_by_name() {
    let told = |text: &str| read_as_value(text).expect_err(text);
    let unknown = told(r#"{"action":"reboot","host":"etcd-1"}"#);
    assert!(unknown.starts_with("unknown variant `reboot`, expected one of `create-authority`, `create-"), "{unknown}");
    assert!(unknown.contains("`disable-auth`"), "{unknown}");
    assert_eq!(told(r#"{"host":"etcd-1"}"#), "missing field `action`");
    assert_eq!(told(r#"{"action":"promote"}"#), "missing field `host`");
    assert_eq!(told(r#"{"action":"promote","host":5}"#), "invalid type: integer `5`, expected a string");
    assert_eq!(
        told(r#"{"action":"remove-member","host":"etcd-1","member":"1","removal":"tired"}"#),
        "unknown variant `tired`, expected `undeclared` or `failed`"
    );
    assert!(told(r#"{"action":5}"#).starts_with("invalid type: integer `5`, expected "));
    assert!(told(r#""promote""#).starts_with("invalid type: string \"promote\", expected "));
}
