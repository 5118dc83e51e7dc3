//! No text makes the readers of other tools' files panic, and a change of it is that change alone.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use quorate::core::content::form::{Form, read, with};

fuzz_target!(|input: (u8, bool, Option<String>, &str)| {
    let (form, is_switch, value, text) = input;
    let form = Form::ALL[usize::from(form) % Form::ALL.len()];
    let name = if is_switch { "client-cert-auth" } else { "name" };
    let changes = BTreeMap::from([(name.to_owned(), value.clone())]);
    let (Ok(before), Ok(changed)) = (read(form, text), with(form, text, &changes)) else { return };
    let after = read(form, &changed).expect("it was read before it was given back");
    assert_eq!(after.contains_key(name), value.is_some_and(|value| !value.is_empty()));
    for (other, setting) in before.iter().filter(|(other, _)| *other != name) {
        assert_eq!(after[other].value, setting.value);
    }
    assert_eq!(with(form, &changed, &changes), Ok(changed));
});
