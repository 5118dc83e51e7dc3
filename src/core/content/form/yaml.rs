//! etcd's config file. etcd reads it by sigs.k8s.io/yaml: keys that it does not know count for nothing, and those that it
//! knows it takes in capitals, too.

use std::collections::BTreeSet;
use std::ops::Range;

use yaml_serde::{Mapping, Value};

use super::scalar::{self, is_blank};
use super::{
    Edit, Line, Setting, Settings, Unreadable, line_end, line_of, lines, new_last_line, settings, without_lines,
};
use crate::core::content::{duration, yaml_text};
use crate::core::desired::{SettingKind, setting_kind};

/// A key and where it stands.
#[derive(Clone, Debug)]
struct Entry {
    key: String,
    line: Line,
    /// Behind the colon.
    value_at: usize,
    /// Up to the next key beside it.
    end: usize,
}

/// The keys that stand as far in as the first one of `range`.
fn entries(text: &str, range: Range<usize>) -> Result<Vec<Entry>, Unreadable> {
    let mut found: Vec<Entry> = Vec::new();
    let mut indent = None;
    for line in lines(text).filter(|line| line.whole.start >= range.start && line.whole.end <= range.end) {
        let content = &text[line.content.clone()];
        let skipped = if line.whole.start == 0 && content.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let content = &content[skipped..];
        if is_blank(content) || content.trim_end() == "---" {
            continue;
        }
        let own = content.len() - content.trim_start_matches(' ').len();
        let indent = *indent.get_or_insert(own);
        let is_item = content[own..].starts_with("- ") || content[own..].trim_end() == "-";
        // What belongs to the key before.
        if own > indent || own == indent && is_item && !found.is_empty() {
            continue;
        }
        let key = (own == indent).then(|| key_in(&content[own..])).flatten();
        let Some((key, behind)) = key else {
            return Err(Unreadable::at(text, line.whole.start, "a line that is no `key: value`"));
        };
        if let Some(twice) = found.iter().find(|entry| entry.key == key) {
            let first = line_of(text, twice.line.whole.start);
            return Err(Unreadable::at(text, line.whole.start, format!("a key that is in line {first}, too")));
        }
        if let Some(last) = found.last_mut() {
            last.end = line.whole.start;
        }
        let value_at = line.whole.start + skipped + own + behind;
        found.push(Entry { key, line, value_at, end: range.end });
    }
    Ok(found)
}

/// The key in which a line begins, and where its colon ends.
fn key_in(content: &str) -> Option<(String, usize)> {
    let ends = |at: usize| content[at..].starts_with(": ") || &content[at..] == ":" || content[at..].starts_with(":\t");
    if let Some(quote) = scalar::quote_of(content) {
        let end = content[1..].find(quote)? + 2;
        let key = &content[1..end - 1];
        let colon = end + content[end..].len() - content[end..].trim_start_matches(' ').len();
        return (!key.contains('\\') && ends(colon)).then(|| (key.to_owned(), colon + 1));
    }
    let colon = content.match_indices(':').map(|(at, _)| at).find(|&at| ends(at))?;
    let key = content[..colon].trim_end();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./ ".contains(c);
    (!key.is_empty() && key.chars().all(is_plain)).then(|| (key.to_owned(), colon + 1))
}

/// The file: its tree, its keys, and those of its sections.
struct File {
    tree: Mapping,
    top: Vec<Entry>,
    sections: Vec<(String, Vec<Entry>)>,
}

fn file(text: &str) -> Result<File, Unreadable> {
    if let Some(at) = scalar::bracket(text) {
        return Err(Unreadable::at(text, at, "the whole file is in brackets"));
    }
    scalar::is_one_document(text)?;
    let tree = match scalar::tree(text) {
        Ok(Value::Mapping(tree)) => tree,
        Ok(Value::Null) => Mapping::new(),
        Ok(_) => return Err(Unreadable::of_no_line("this is no table of settings")),
        // With the line of a key that is there twice.
        Err(why) => return Err(entries(text, 0..text.len()).err().unwrap_or(why)),
    };
    let top = entries(text, 0..text.len())?;
    are_found(text, &tree, &top)?;
    let mut sections = Vec::new();
    for entry in &top {
        known(None, entry, text)?;
        if !settings::is_section(&entry.key) {
            continue;
        }
        let children =
            match (tree.get(entry.key.as_str()), scalar::place(&text[entry.value_at..entry.line.content.end])) {
                (Some(Value::Mapping(table)), Some(place)) if place.is_empty() => {
                    let children = entries(text, entry.line.whole.end..entry.end)?;
                    are_found(text, table, &children)?;
                    children
                }
                (Some(Value::Null), Some(_)) => Vec::new(),
                (Some(Value::Mapping(_)), Some(_)) => {
                    return Err(Unreadable::at(
                        text,
                        entry.value_at,
                        "a section in brackets: give each of its keys a line",
                    ));
                }
                _ => return Err(Unreadable::at(text, entry.value_at, "a section that is no table of keys")),
            };
        children.iter().try_for_each(|child| known(Some(&entry.key), child, text))?;
        sections.push((entry.key.clone(), children));
    }
    Ok(File { tree, top, sections })
}

/// What was found in the text is what the parser found.
fn are_found(text: &str, table: &Mapping, entries: &[Entry]) -> Result<(), Unreadable> {
    let is_same = |key: &Value, entry: &Entry| key.as_str() == Some(&entry.key) || scalar::says(&entry.key, key);
    let mut keys = table.keys();
    match entries.iter().find(|entry| !keys.next().is_some_and(|key| is_same(key, entry))) {
        None if keys.next().is_none() => Ok(()),
        other => {
            let at = other.or(entries.last()).map_or(0, |entry| entry.line.whole.start);
            Err(Unreadable::at(text, at, "a key that stands inside of a value, or a value that hides one"))
        }
    }
}

/// etcd takes `Name` for `name`, and which of both counts is not said.
fn known(section: Option<&str>, entry: &Entry, text: &str) -> Result<(), Unreadable> {
    let lower = entry.key.to_ascii_lowercase();
    let is_known =
        settings::name_of_key(section, &lower).is_some() || section.is_none() && settings::is_section(&lower);
    if entry.key == "<<" || is_known && lower != entry.key {
        return Err(Unreadable::at(text, entry.line.whole.start, "a key in another spelling than etcd's own"));
    }
    Ok(())
}

impl File {
    /// The entry that sets `name`, and its value.
    fn find(&self, name: &str) -> Option<(&Entry, &Value)> {
        let (section, key) = settings::key_of_name(name)?;
        match section {
            Some(section) => {
                let (_, children) = self.sections.iter().find(|(of, _)| of == section)?;
                Some((children.iter().find(|child| child.key == key)?, self.tree.get(section)?.get(key)?))
            }
            None => Some((self.top.iter().find(|entry| entry.key == key)?, self.tree.get(key)?)),
        }
    }
}

pub(super) fn read(text: &str) -> Result<Settings, Unreadable> {
    let file = file(text)?;
    let values = settings::of_tree(&Value::Mapping(file.tree.clone())).unwrap_or_default();
    let mut read = Settings::new();
    for (name, value) in values {
        let Some((entry, in_tree)) = file.find(&name) else { continue };
        let raw = raw(text, entry);
        let is_odd = match setting_kind(&name) {
            Some(SettingKind::Integer | SettingKind::Unsigned | SettingKind::Nanoseconds) => {
                !raw.is_some_and(|raw| raw.parse::<i64>().is_ok_and(|number| number.to_string() == raw))
            }
            Some(SettingKind::Bool) => !in_tree.is_bool() && !raw.is_some_and(|raw| is_word_for(raw, &value)),
            Some(SettingKind::Text) => !in_tree.is_string() || raw.is_some_and(is_no_text),
            Some(SettingKind::Texts) => !in_tree.as_sequence().is_some_and(|list| list.iter().all(Value::is_string)),
            Some(SettingKind::Table) | None => true,
        };
        if is_odd {
            let what =
                format!("a value for {name} of another kind than etcd takes, or in another form of YAML than its own");
            return Err(Unreadable::at(text, entry.value_at, what));
        }
        read.insert(name, Setting { value: Some(value), line: line_of(text, entry.line.whole.start) });
    }
    Ok(read)
}

/// Whether Go's YAML takes `raw` for this boolean, though a newer YAML does not.
fn is_word_for(raw: &str, value: &str) -> bool {
    let words: &[&str] = if value == "true" { &["y", "yes", "on"] } else { &["n", "no", "off"] };
    words.iter().any(|word| raw.eq_ignore_ascii_case(word))
}

/// Whether Go's YAML takes `raw` for something else than text, though a newer YAML does not.
fn is_no_text(raw: &str) -> bool {
    let number = raw.trim_start_matches(['-', '+', '.']);
    yaml_text(raw) != raw || number.len() < raw.len() && number.starts_with(|c: char| c.is_ascii_digit())
}

/// What stands behind the colon, where that is all.
fn raw<'a>(text: &'a str, entry: &Entry) -> Option<&'a str> {
    let rest = &text[entry.value_at..entry.line.content.end];
    scalar::place(rest).map(|place| &rest[place])
}

/// All keys but those of these settings.
pub(super) fn rest(text: &str, names: &BTreeSet<&str>) -> Result<String, Unreadable> {
    let mut tree = file(text)?.tree;
    for (section, key) in names.iter().filter_map(|name| settings::key_of_name(name)) {
        match section {
            Some(section) => {
                if let Some(Value::Mapping(table)) = tree.get_mut(section) {
                    table.shift_remove(key);
                }
                // Empty or not there is the same.
                if tree.get(section).is_some_and(|of| of.is_null() || of.as_mapping().is_some_and(Mapping::is_empty)) {
                    tree.shift_remove(section);
                }
            }
            None => drop(tree.shift_remove(key)),
        }
    }
    Ok(format!("{:?}", tree.iter().collect::<Vec<_>>()))
}

pub(super) fn change(text: &str, name: &str, value: Option<&str>) -> Result<Vec<Edit>, Unreadable> {
    let file = file(text)?;
    let Some((section, key)) = settings::key_of_name(name) else {
        return Err(Unreadable::of_no_line(format!("{name} is a flag alone: no config file can set it")));
    };
    let found = file.find(name);
    let Some((entry, in_tree)) = found else {
        let Some(value) = value else { return Ok(Vec::new()) };
        return added(text, &file, name, section, key, value).map(|edit| vec![edit]);
    };
    let line = &text[entry.value_at..entry.line.content.end];
    let place = scalar::place(line).filter(|place| {
        let is_all = lines(&text[entry.line.whole.end..entry.end])
            .all(|line| is_blank(&text[entry.line.whole.end..][line.content]));
        is_all && scalar::says(&line[place.clone()], in_tree)
    });
    let Some(place) = place else {
        return Err(Unreadable::at(
            text,
            entry.value_at,
            format!("the value of {name} is more than a plain value in its line"),
        ));
    };
    let Some(value) = value else { return Ok(vec![without_lines(text, &entry.line.content)]) };
    let written = written(name, value, scalar::quote_of(&line[place.clone()]))?;
    if place.is_empty() {
        return Ok(vec![Edit::insert(entry.value_at, format!(" {written}"))]);
    }
    Ok(vec![Edit::new(entry.value_at + place.start..entry.value_at + place.end, written)])
}

fn added(
    text: &str,
    file: &File,
    name: &str,
    section: Option<&str>,
    key: &str,
    value: &str,
) -> Result<Edit, Unreadable> {
    let like = |entries: &[Entry]| {
        let texts = entries.iter().filter_map(|entry| raw(text, entry)).filter(|raw| !raw.is_empty());
        let mut texts = texts.filter(|raw| matches!(yaml_serde::from_str(raw), Ok(Value::String(_))));
        texts.next_back().and_then(scalar::quote_of)
    };
    let Some(section) = section else {
        return Ok(new_last_line(text, &format!("{key}: {}", written(name, value, like(&file.top))?)));
    };
    let end = line_end(text);
    let Some(entry) = file.top.iter().find(|entry| entry.key == section) else {
        return Ok(new_last_line(text, &format!("{section}:{end}  {key}: {}", written(name, value, like(&file.top))?)));
    };
    let children = file.sections.iter().find(|(of, _)| of == section).map_or(&[][..], |(_, children)| children);
    let written = written(name, value, like(children))?;
    let indent = children.last().map_or("  ", |child| {
        let line = &text[child.line.content.clone()];
        &line[..line.len() - line.trim_start_matches(' ').len()]
    });
    // A section without a key: `section: ~` and the like are no place for one.
    if children.is_empty() && raw(text, entry) != Some("") {
        return Err(Unreadable::at(text, entry.value_at, "a section with nothing in it that is written out"));
    }
    // Behind the last line that says something: what follows is said of what comes next.
    let range = entry.line.whole.start..entry.end;
    let last = lines(&text[range.clone()]).filter(|line| !is_blank(&text[range.clone()][line.content.clone()])).last();
    let last = last.map_or(entry.line.whole.end, |line| range.start + line.whole.end);
    let line = format!("{indent}{key}: {written}");
    Ok(if text[..last].ends_with('\n') {
        Edit::insert(last, format!("{line}{end}"))
    } else {
        Edit::insert(last, format!("{end}{line}"))
    })
}

/// `value`, which is as a flag would have it, as a config file has it.
fn written(name: &str, value: &str, quote: Option<char>) -> Result<String, Unreadable> {
    let normal = settings::normal(name, value);
    let written = match setting_kind(name) {
        Some(SettingKind::Bool) => ["true", "false"].contains(&normal.as_str()).then_some(normal),
        Some(SettingKind::Integer | SettingKind::Unsigned) => {
            value.parse::<i64>().ok().map(|number| number.to_string()).filter(|number| number == value)
        }
        Some(SettingKind::Nanoseconds) => duration::nanoseconds(value).map(|number| number.to_string()),
        Some(SettingKind::Text) => Some(scalar::written(value, quote, false)),
        Some(SettingKind::Texts) => {
            let texts: Vec<_> = value.split(',').map(|text| scalar::written(text, None, true)).collect();
            Some(format!("[{}]", texts.join(", ")))
        }
        Some(SettingKind::Table) | None => None,
    };
    written.ok_or_else(|| Unreadable::of_no_line(format!("the value for {name} is of another kind than etcd takes")))
}
