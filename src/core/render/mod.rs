//! A plan as people and programs read it. Pure: the same plan gives the same bytes.

use serde::Serialize;

pub mod backup;
mod causes;
pub mod certificates;
pub mod check;
mod cluster_schema;
pub mod command;
pub mod cronjob;
pub mod diff;
pub mod doctor;
pub mod event;
pub mod found;
pub mod json;
pub mod kubeadm;
pub mod markdown;
pub mod palette;
pub mod reference;
pub mod schema;
pub mod status;
mod table;
pub mod text;
pub mod words;

/// `document` as JSON text, indented, with a newline at its end.
pub(crate) fn pretty(document: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(document).expect("what is printed is plain data");
    text.push('\n');
    text
}

/// `text` with every character that could drive a terminal, or reorder what is read, made visible.
///
/// Part of what is shown comes from hosts: the name of a program that holds a port, a file edited by hand.
pub(crate) fn clean(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(hidden) {
        return text.to_owned();
    }
    let visible = |c: char| if hidden(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(visible).collect()
}

#[cfg(test)]
pub(crate) mod samples;
