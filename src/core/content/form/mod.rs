//! The files in which others keep etcd's settings: read for what they mean to etcd, and changed in one setting with every
//! other byte kept.
//!
//! ```text
//! Yaml         etcd.yaml: what --config-file names
//! Environment  /etc/etcd.env, /etc/default/etcd, /etc/etcd/etcd.conf: what EnvironmentFile= names
//! Flags        a unit: the ExecStart= that starts etcd
//! Arguments    /var/snap/k8s/common/args/etcd of Canonical Kubernetes: a flag a line, read by bash
//! Manifest     /etc/kubernetes/manifests/etcd.yaml: the command of a static pod
//! ```
//!
//! A file is read alone. Whoever adds a flag to a unit asks first whether a file of variables sets it, and the other way
//! round: etcd does not start with both. What drop-ins of a unit say is theirs.
//!
//! What cannot be read or changed without a guess is refused, and the line named. Nothing of a value is ever repeated: a
//! file may hold anybody's secrets. Each change is made on the text itself and read back: all that the file says must be as
//! before but for what was asked, or nothing is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use super::settings;
use crate::core::desired::is_setting;

mod arguments;
mod environment;
mod manifest;
mod scalar;
mod unit;
mod words;
mod yaml;

pub use manifest::{Mounted, Pod, pod, startup_without_quorum, with_image};

/// How a file holds settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    Yaml,
    Environment,
    Flags,
    Arguments,
    Manifest,
}

impl Form {
    pub const ALL: [Self; 5] = [Self::Yaml, Self::Environment, Self::Flags, Self::Arguments, Self::Manifest];
}

/// What a file sets, by the names of flags. A variable without a text counts as not set, as etcd has it; a flag or a key that
/// is set to no text is.
pub type Settings = BTreeMap<String, Setting>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As a flag would have it: `true`, `5s`, `https://10.0.0.1:2379,https://127.0.0.1:2379`. `None` where a part of it is put
    /// in only when etcd starts (`${ADDRESS}`, `%i`): it is set, and the file does not say to what.
    pub value: Option<String>,
    /// From 1: where it stands, of several the one that counts.
    pub line: usize,
}

/// Why a file is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// From 1; `None` where it is of no line.
    pub line: Option<usize>,
    pub what: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self.line {
            Some(line) => write!(out, "line {line}: {}", self.what),
            None => out.write_str(&self.what),
        }
    }
}

impl std::error::Error for Unreadable {}

impl Unreadable {
    fn at(text: &str, offset: usize, what: impl Into<String>) -> Self {
        Self { line: Some(line_of(text, offset)), what: what.into() }
    }

    fn of_no_line(what: impl Into<String>) -> Self {
        Self { line: None, what: what.into() }
    }
}

/// What the file sets.
///
/// # Errors
/// What in it cannot be read without a guess.
pub fn read(form: Form, text: &str) -> Result<Settings, Unreadable> {
    let strange = text.find('\0').map(|at| (at, "a zero byte")).or_else(|| {
        let is_alone = |&(at, _): &(usize, &str)| !text[at + 1..].starts_with('\n');
        text.match_indices('\r').find(is_alone).map(|(at, _)| (at, "a carriage return inside of a line"))
    });
    if let Some((at, what)) = strange {
        return Err(Unreadable::at(text, at, what));
    }
    let mut settings = match form {
        Form::Yaml => yaml::read(text)?,
        Form::Environment => environment::read(text)?,
        Form::Flags => words::read(text, &unit::list(text)?),
        Form::Arguments => words::read(text, &arguments::list(text)?),
        Form::Manifest => words::read(text, &manifest::list(text)?),
    };
    if form == Form::Environment {
        settings.retain(|_, setting| setting.value.as_deref() != Some(""));
    }
    Ok(settings)
}

/// The text with each of `changes` made: a setting set to a value, or taken away (`None`, or no text). What is so already is
/// not touched; if all is, the text is the same.
///
/// # Errors
/// What cannot be changed without a guess. Nothing is changed then.
pub fn with(form: Form, text: &str, changes: &BTreeMap<String, Option<String>>) -> Result<String, Unreadable> {
    let before = read(form, text)?;
    let mut wanted = before.clone();
    let mut changed = text.to_owned();
    let mut names = BTreeSet::new();
    for (name, value) in changes {
        let value = value.as_deref().filter(|value| !value.is_empty());
        let setting = before.get(name);
        may_be_set(name, value)?;
        if is_so(setting, name, value) {
            continue;
        }
        if let Some(file) = before.get("config-file").filter(|_| name != "config-file") {
            let what = "etcd takes its settings from the config file that is named here, and none from beside it";
            return Err(Unreadable { line: Some(file.line), what: what.to_owned() });
        }
        changed = one(form, changed, name, value)?;
        names.insert(name.as_str());
        match value {
            Some(value) => {
                let setting = Setting { value: Some(settings::normal(name, value)), line: 0 };
                wanted.insert(name.clone(), setting);
            }
            None => drop(wanted.remove(name)),
        }
    }
    if names.is_empty() {
        return Ok(changed);
    }
    let after = read(form, &changed).map_err(|why| not_as_asked(&why.what))?;
    let values = |settings: &Settings| -> Vec<(String, Option<String>)> {
        settings.iter().map(|(name, setting)| (name.clone(), setting.value.clone())).collect()
    };
    if values(&after) != values(&wanted) {
        return Err(not_as_asked("its settings"));
    }
    if rest(form, &changed, &names).map_err(|why| not_as_asked(&why.what))? != rest(form, text, &names)? {
        return Err(not_as_asked("what else it holds"));
    }
    Ok(changed)
}

/// The text with one word in the place of another, wherever that stands by itself: `10.0.0.1` not in `10.0.0.11`.
pub fn with_word(text: &str, word: &str, new: &str) -> String {
    let is_part =
        |char: Option<char>| char.is_some_and(|char| char.is_alphanumeric() || matches!(char, '.' | '-' | '_'));
    let mut changed = String::with_capacity(text.len());
    let mut kept = 0;
    for (at, found) in text.match_indices(word) {
        let end = at + found.len();
        if !is_part(text[..at].chars().next_back()) && !is_part(text[end..].chars().next()) {
            changed.push_str(&text[kept..at]);
            changed.push_str(new);
            kept = end;
        }
    }
    changed.push_str(&text[kept..]);
    changed
}

fn not_as_asked(what: &str) -> Unreadable {
    Unreadable::of_no_line(format!("changed in this place the file would not say what was asked for: {what}"))
}

fn is_so(setting: Option<&Setting>, name: &str, value: Option<&str>) -> bool {
    match (setting, value) {
        (None, None) => true,
        (Some(setting), Some(value)) => setting.value.as_deref() == Some(settings::normal(name, value).as_str()),
        _ => false,
    }
}

fn may_be_set(name: &str, value: Option<&str>) -> Result<(), Unreadable> {
    if !is_setting(name) {
        return Err(Unreadable::of_no_line(format!("etcd has no setting {name:?}")));
    }
    let is_mark =
        |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    if value.is_some_and(|value| value.contains(is_mark)) {
        return Err(Unreadable::of_no_line(format!("the value for {name} holds a character that cannot be printed")));
    }
    Ok(())
}

/// One setting changed. Of several of a name the last one is changed, and all are taken away.
fn one(form: Form, text: String, name: &str, value: Option<&str>) -> Result<String, Unreadable> {
    let mut text = text;
    // Each turn takes a line or some words away.
    for _ in 0..=text.len() {
        let edits = match form {
            Form::Yaml => yaml::change(&text, name, value),
            Form::Environment => environment::change(&text, name, value),
            Form::Flags => unit::change(&text, name, value),
            Form::Arguments => arguments::change(&text, name, value),
            Form::Manifest => manifest::change(&text, name, value),
        }?;
        text = applied(&text, edits);
        if value.is_some() || !read(form, &text)?.contains_key(name) {
            break;
        }
    }
    Ok(text)
}

/// All that the file says but for these settings, to be compared.
fn rest(form: Form, text: &str, names: &BTreeSet<&str>) -> Result<String, Unreadable> {
    Ok(match form {
        Form::Yaml => yaml::rest(text, names)?,
        Form::Environment => environment::rest(text, names)?,
        Form::Flags => unit::rest(text)? + &words::rest(&unit::list(text)?, names),
        Form::Arguments => words::rest(&arguments::list(text)?, names),
        Form::Manifest => manifest::rest(text)? + &words::rest(&manifest::list(text)?, names),
    })
}

/// These bytes are to be replaced by that text.
#[derive(Clone, Debug)]
struct Edit {
    at: Range<usize>,
    text: String,
}

impl Edit {
    fn new(at: Range<usize>, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }

    fn insert(at: usize, text: impl Into<String>) -> Self {
        Self::new(at..at, text)
    }

    fn remove(at: Range<usize>) -> Self {
        Self::new(at, "")
    }
}

/// The edits stand in the order of the text and do not overlap.
fn applied(text: &str, edits: Vec<Edit>) -> String {
    let mut changed = String::with_capacity(text.len() + 64);
    let mut kept = 0;
    for edit in edits {
        changed.push_str(&text[kept..edit.at.start]);
        changed.push_str(&edit.text);
        kept = edit.at.end;
    }
    changed.push_str(&text[kept..]);
    changed
}

/// From 1.
fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// A line of a text: its place with the line end, and without.
#[derive(Clone, Debug)]
struct Line {
    whole: Range<usize>,
    content: Range<usize>,
}

fn lines(text: &str) -> impl Iterator<Item = Line> {
    let mut begin = 0;
    text.split_inclusive('\n').map(move |line| {
        let whole = begin..begin + line.len();
        begin = whole.end;
        let content = line.strip_suffix('\n').unwrap_or(line);
        let content = content.strip_suffix('\r').unwrap_or(content);
        Line { content: whole.start..whole.start + content.len(), whole }
    })
}

/// The line in which this byte stands.
fn line_at(text: &str, offset: usize) -> Line {
    let begin = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let end = text[offset..].find('\n').map_or(text.len(), |at| offset + at + 1);
    let line = lines(&text[begin..end]).next().map_or(0..0, |line| line.content);
    Line { whole: begin..end, content: begin + line.start..begin + line.end }
}

/// How lines end here.
fn line_end(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// A new line at the end of the text, which ends as it did.
fn new_last_line(text: &str, line: &str) -> Edit {
    let end = line_end(text);
    let is_ended = text.is_empty() || text.ends_with('\n');
    Edit::insert(text.len(), if is_ended { format!("{line}{end}") } else { format!("{end}{line}") })
}

/// The whole lines of `span` gone. The last line of a text that does not end in a line end takes the one before it along.
fn without_lines(text: &str, span: &Range<usize>) -> Edit {
    let begin = line_at(text, span.start).whole.start;
    let end = line_at(text, span.end).whole.end;
    if end == text.len() && !text.ends_with('\n') {
        let before = &text[..begin];
        let kept = before.strip_suffix('\n').map_or(before, |line| line.strip_suffix('\r').unwrap_or(line));
        return Edit::remove(kept.len()..end);
    }
    Edit::remove(begin..end)
}

#[cfg(test)]
mod tests;
