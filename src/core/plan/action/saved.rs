//! How an action of any family is read: by its tag, `"action": "promote"`, which is one of one family's.

use std::fmt;

use schemars::Schema;
use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde::de::{self, DeserializeOwned};
use serde_json::Value;

/// The part of a saved action that every family has.
#[derive(Deserialize)]
pub(super) struct Tagged {
    pub action: String,
}

/// The tags of a family's actions: serde lists them when it is given another one.
pub(super) fn tags<Family: DeserializeOwned>() -> &'static [&'static str] {
    let nameless = MapDeserializer::<_, Expected>::new([("action", "")].into_iter());
    Family::deserialize(nameless).err().map_or(&[], |Expected(tags)| tags)
}

/// An error that keeps which variants there are.
#[derive(Debug)]
struct Expected(&'static [&'static str]);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected one of {:?}", self.0)
    }
}

impl std::error::Error for Expected {}

impl de::Error for Expected {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected)
    }
}

/// One list of the actions of all families, in whose schemas each family has a list of its own.
pub(super) fn one_of(families: impl IntoIterator<Item = Schema>) -> Schema {
    let lists = families.into_iter().filter_map(|family| family.get("oneOf").and_then(Value::as_array).cloned());
    let all: Vec<Value> = lists.flatten().collect();
    schemars::json_schema!({ "oneOf": all })
}
