//! A file of variables, read as systemd's EnvironmentFile= reads it: no shell, though it looks like one.
//!
//! Source: `parse_env_file_internal` in basic/env-file.c of systemd 252 and 256, `strv_env_clean_with_callback`;
//! systemd.exec(5), "EnvironmentFile=".

use std::collections::BTreeSet;
use std::ops::Range;

use super::{Edit, Setting, Settings, Unreadable, line_at, line_of, new_last_line, settings, without_lines};

/// An assignment as systemd takes it.
#[derive(Debug, Default)]
struct Assignment {
    key: String,
    value: String,
    /// From the first character of the key to the line end.
    at: Range<usize>,
    /// Where what is behind the `=` begins.
    value_at: usize,
    /// A dollar or a backquote that a shell would act on and systemd does not.
    shell_at: Option<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    BeforeKey,
    Key,
    BeforeValue,
    Value,
    Escape,
    InSingle,
    InDouble,
    EscapeInDouble,
    Comment,
    EscapeInComment,
}

const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];
const LINE_END: [char; 2] = ['\n', '\r'];
/// What a backslash in double quotes is taken away from.
const ESCAPED: [char; 4] = ['"', '\\', '`', '$'];

/// Every assignment in the text, also those that systemd ignores for their names.
fn assignments(text: &str) -> Result<Vec<Assignment>, Unreadable> {
    use State::*;
    let mut found = Vec::new();
    let mut of = Assignment::default();
    let mut state = BeforeKey;
    // What of the value stays though it is a space at its end.
    let mut kept = 0;
    for (at, char) in text.char_indices() {
        let next = text[at + char.len_utf8()..].chars().next();
        match state {
            BeforeKey => {
                if ['#', ';'].contains(&char) {
                    state = Comment;
                } else if !SPACE.contains(&char) {
                    of = Assignment { key: char.into(), at: at..at, ..Assignment::default() };
                    kept = 0;
                    state = Key;
                }
            }
            Key => match char {
                _ if LINE_END.contains(&char) => state = BeforeKey,
                '=' => {
                    of.value_at = at + 1;
                    state = BeforeValue;
                }
                _ => of.key.push(char),
            },
            BeforeValue | Value if LINE_END.contains(&char) => {
                found.push(ended(&mut of, state, kept, at));
                state = BeforeKey;
            }
            BeforeValue if SPACE.contains(&char) => {}
            BeforeValue if char == '\'' => state = InSingle,
            BeforeValue if char == '"' => state = InDouble,
            BeforeValue | Value if char == '\\' => {
                // What stands before a backslash is not at the end.
                kept = of.value.len();
                state = Escape;
            }
            BeforeValue | Value => {
                if of.shell_at.is_none() && is_for_a_shell(char, next) {
                    of.shell_at = Some(at);
                }
                of.value.push(char);
                if !SPACE.contains(&char) {
                    kept = of.value.len();
                }
                state = Value;
            }
            Escape => {
                state = Value;
                if !LINE_END.contains(&char) {
                    of.value.push(char);
                    kept = of.value.len();
                }
            }
            InSingle if char == '\'' => state = BeforeValue,
            InDouble if char == '"' => state = BeforeValue,
            InDouble if char == '\\' => state = EscapeInDouble,
            InSingle | InDouble => {
                if state == InDouble && of.shell_at.is_none() && is_for_a_shell(char, next) {
                    of.shell_at = Some(at);
                }
                of.value.push(char);
                kept = of.value.len();
            }
            EscapeInDouble => {
                state = InDouble;
                if ESCAPED.contains(&char) {
                    of.value.push(char);
                } else if char != '\n' {
                    of.value.extend(['\\', char]);
                }
                kept = of.value.len();
            }
            Comment if char == '\\' => state = EscapeInComment,
            Comment if LINE_END.contains(&char) => state = BeforeKey,
            Comment => {}
            EscapeInComment if LINE_END.contains(&char) => {
                let line = text[at + 1..].lines().next().unwrap_or_default().trim_start();
                if char == '\n' && !line.is_empty() && !line.starts_with(['#', ';']) {
                    let what =
                        "a comment that ends in a backslash: systemd before 254 takes the next line for a part of it";
                    return Err(Unreadable::at(text, at, what));
                }
                state = BeforeKey;
            }
            EscapeInComment => state = Comment,
        }
    }
    if !matches!(state, BeforeKey | Key | Comment | EscapeInComment) {
        found.push(ended(&mut of, state, kept, text.len()));
    }
    Ok(found)
}

fn ended(of: &mut Assignment, state: State, kept: usize, at: usize) -> Assignment {
    let mut of = std::mem::take(of);
    of.at.end = at;
    of.key.truncate(of.key.trim_end_matches(SPACE).len());
    if state == State::Value {
        of.value.truncate(kept.max(of.value.trim_end_matches(SPACE).len()));
    }
    of
}

fn is_for_a_shell(char: char, next: Option<char>) -> bool {
    char == '`' || char == '$' && next.is_some_and(|next| next.is_ascii_alphanumeric() || "_{(@*?!#$-".contains(next))
}

/// The settings among the assignments, with their names.
fn named(text: &str) -> Result<Vec<(String, Assignment)>, Unreadable> {
    let mut named = Vec::new();
    for of in assignments(text)? {
        if let Some((before, variable)) = of.key.rsplit_once(SPACE)
            && settings::name_of_variable(variable).is_some()
        {
            let what = match before.trim() {
                "export" => "systemd ignores a line with `export`, and a shell would take it",
                _ => "systemd ignores this line for what stands before the name of the variable",
            };
            return Err(Unreadable::at(text, of.at.start, what));
        }
        if let Some(name) = settings::name_of_variable(&of.key) {
            if let Some(at) = of.shell_at {
                let what = "a `$` or a backquote that systemd takes as it stands, and a shell would put something in its place";
                return Err(Unreadable::at(text, at, what));
            }
            named.push((name, of));
        }
    }
    Ok(named)
}

pub(super) fn read(text: &str) -> Result<Settings, Unreadable> {
    let setting = |(name, of): (String, Assignment)| {
        let setting = Setting { value: Some(settings::normal(&name, &of.value)), line: line_of(text, of.at.start) };
        (name, setting)
    };
    Ok(named(text)?.into_iter().map(setting).collect())
}

/// All variables but those of these settings.
pub(super) fn rest(text: &str, names: &BTreeSet<&str>) -> Result<String, Unreadable> {
    let mut assignments = assignments(text)?;
    assignments.retain(|of| settings::name_of_variable(&of.key).is_none_or(|name| !names.contains(name.as_str())));
    Ok(assignments.iter().map(|of| format!("{:?}\n", (&of.key, &of.value))).collect())
}

pub(super) fn change(text: &str, name: &str, value: Option<&str>) -> Result<Vec<Edit>, Unreadable> {
    let named = named(text)?;
    let last = named.iter().rfind(|(of, _)| of == name).map(|(_, of)| of);
    if let Some(of) = last.filter(|of| text[of.at.clone()].contains('\n')) {
        return Err(Unreadable::at(text, of.at.start, "its value goes over several lines"));
    }
    Ok(match (last, value) {
        (None, None) => Vec::new(),
        (Some(of), None) => vec![without_lines(text, &of.at)],
        (Some(of), Some(value)) => {
            let raw = &text[of.value_at..of.at.end];
            let set = raw.trim_start_matches(SPACE);
            let begin = of.value_at + if set.is_empty() { 0 } else { raw.len() - set.len() };
            let end = begin + set.trim_end_matches(SPACE).len();
            vec![Edit::new(begin..end, written(value, text[begin..end].chars().next()))]
        }
        (None, Some(value)) => {
            let first =
                |of: &Assignment| text[of.value_at..line_at(text, of.value_at).content.end].trim_start().chars().next();
            let line =
                format!("{}={}", settings::variable(name), written(value, named.last().and_then(|(_, of)| first(of))));
            vec![new_last_line(text, &line)]
        }
    })
}

/// The value as systemd reads it as such, and a shell too, beginning with the quote that `first` is.
fn written(value: &str, first: Option<char>) -> String {
    let is_bare = |c: char| c.is_alphanumeric() || "_-+./:,=@%[]".contains(c);
    match first {
        Some('\'') if !value.contains('\'') => format!("'{value}'"),
        Some('"' | '\'') => in_double(value),
        _ if value.chars().all(is_bare) => value.to_owned(),
        _ => in_double(value),
    }
}

fn in_double(value: &str) -> String {
    let mut written = String::from("\"");
    for char in value.chars() {
        if ESCAPED.contains(&char) {
            written.push('\\');
        }
        written.push(char);
    }
    written + "\""
}
