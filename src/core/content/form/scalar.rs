//! A value in YAML that stands in one line: where it ends, and how another one is written in its place.
//!
//! The parser gives values without their places. So a place is looked for in the text here, and what the parser makes of it
//! alone must be what it made of the whole.

use std::ops::Range;

use yaml_serde::Value;

use super::{Unreadable, lines};
use crate::core::content::yaml_text;

/// The whole text, read.
pub(super) fn tree(text: &str) -> Result<Value, Unreadable> {
    is_one_document(text)?;
    yaml_serde::from_str(text).map_err(|error| Unreadable {
        line: error.location().map(|at| at.line()),
        what: "this is no YAML, or a key is there twice".to_owned(),
    })
}

pub(super) fn is_one_document(text: &str) -> Result<(), Unreadable> {
    if let Some((at, _)) = text.char_indices().find(|&(_, c)| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}')) {
        return Err(Unreadable::at(text, at, "a character that YAML takes for a line end"));
    }
    let mut documents = lines(text).filter(|line| {
        let content = &text[line.content.clone()];
        content.starts_with("---") || content.starts_with("...") || content.starts_with('%')
    });
    let is_first = |at: usize| lines(&text[..at]).all(|line| is_blank(&text[line.content]));
    let strange = documents.find(|line| text[line.content.clone()].trim_end() != "---" || !is_first(line.whole.start));
    if let Some(line) = strange {
        return Err(Unreadable::at(text, line.whole.start, "more than one document, or something else before it"));
    }
    Ok(())
}

/// The bracket in which the whole text stands, as JSON has it.
pub(super) fn bracket(text: &str) -> Option<usize> {
    let at = text.find(|c: char| !c.is_whitespace() && c != '\u{feff}')?;
    text[at..].starts_with(['{', '[']).then_some(at)
}

/// Whether the line says nothing.
pub(super) fn is_blank(content: &str) -> bool {
    let content = content.trim_start_matches([' ', '\t']);
    content.is_empty() || content.starts_with('#')
}

/// Where in `rest`, which begins behind a colon or a dash, the value stands; empty where it has none, and `None` where it is
/// not in this line as a whole, or is more than a value.
pub(super) fn place(rest: &str) -> Option<Range<usize>> {
    let begin = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    let value = &rest[begin..];
    let end = match value.chars().next() {
        None | Some('#') => return Some(0..0),
        Some('|' | '>' | '&' | '*' | '!') => return None,
        Some(quote @ ('"' | '\'')) => quoted(value, quote)?,
        Some('[' | '{') => in_brackets(value)?,
        Some(_) => {
            let comment = value.match_indices('#').find(|&(at, _)| value[..at].ends_with([' ', '\t']));
            value[..comment.map_or(value.len(), |(at, _)| at)].trim_end_matches([' ', '\t']).len()
        }
    };
    let after = &value[end..];
    (after.is_empty() || after.starts_with([' ', '\t']) && is_blank(after)).then_some(begin..begin + end)
}

/// How long the quoted value is.
fn quoted(value: &str, quote: char) -> Option<usize> {
    let mut chars = value.char_indices().skip(1).peekable();
    while let Some((at, char)) = chars.next() {
        if char == '\\' && quote == '"' {
            chars.next();
        } else if char == quote {
            if quote == '\'' && chars.next_if(|&(_, next)| next == '\'').is_some() {
                continue;
            }
            return Some(at + 1);
        }
    }
    None
}

/// How long the list or table in brackets is.
fn in_brackets(value: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(char) = value[at..].chars().next() {
        match char {
            '"' | '\'' if value[..at].ends_with(['[', '{', ',', ' ', ':']) => {
                at += quoted(&value[at..], char)?;
                continue;
            }
            '[' | '{' => depth += 1,
            ']' | '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            '#' if value[..at].ends_with([' ', '\t']) => return None,
            _ => {}
        }
        at += char.len_utf8();
    }
    None
}

/// Whether `raw` alone is read as `value`.
pub(super) fn says(raw: &str, value: &Value) -> bool {
    yaml_serde::from_str::<Value>(raw).is_ok_and(|read| read == *value)
}

/// The quotes in which a value stands; `None` without any.
pub(super) fn quote_of(raw: &str) -> Option<char> {
    raw.chars().next().filter(|c| ['"', '\''].contains(c))
}

/// `text` as YAML reads it for text, in these quotes where that can be. `within` brackets a comma ends a value.
pub(super) fn written(text: &str, quote: Option<char>, within: bool) -> String {
    let is_in_words = |c: char| c.is_ascii_alphanumeric() || "_-+./:=@".contains(c) || !within && ",[]".contains(c);
    let is_bare = || {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '-' && text.starts_with("--"))
            && text.chars().all(is_in_words)
            && !text.ends_with(':')
            && !text.trim_matches('-').is_empty()
            && yaml_text(text) == text
    };
    match quote {
        Some('\'') => format!("'{}'", text.replace('\'', "''")),
        None if is_bare() => text.to_owned(),
        _ => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}
