//! Arguments of etcd as they stand in a file, and how one of them is changed: the same for units, for files of arguments and
//! for manifests, which differ in how a word is written.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use super::settings::{self, Flag};
use super::{Edit, Setting, Settings, Unreadable, line_of};
use crate::core::desired::is_boolean;

/// A character of a word: how it is read, where it stands, and in which quotes.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub char: char,
    pub at: Range<usize>,
    pub quote: Option<char>,
    /// Whether something else is put in its place when etcd starts.
    pub is_open: bool,
}

/// An argument: its text as etcd gets it, and where it stands in the file.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub text: String,
    /// As many as the characters of `text`.
    pub pieces: Vec<Piece>,
    pub at: Range<usize>,
}

impl Word {
    pub fn new(pieces: Vec<Piece>, at: Range<usize>) -> Self {
        Self { text: pieces.iter().map(|piece| piece.char).collect(), pieces, at }
    }

    /// The pieces from this byte of the text on.
    pub fn pieces_from(&self, byte: usize) -> &[Piece] {
        &self.pieces[self.text[..byte].chars().count()..]
    }
}

/// The flags of `words`.
fn flags(words: &[Word]) -> (Vec<Flag<'_>>, usize) {
    let texts: Vec<_> = words.iter().map(|word| word.text.as_str()).collect();
    settings::flags(&texts)
}

/// Where in its word the value of a flag begins; `None` of a boolean that stands alone.
fn value_from(words: &[Word], flag: Flag) -> Option<usize> {
    if flag.name_at == flag.value_at { words[flag.name_at].text.find('=').map(|at| at + 1) } else { Some(0) }
}

pub(super) fn read(text: &str, words: &[Word]) -> Settings {
    let setting = |flag: Flag| {
        let from = value_from(words, flag);
        let is_open = from.is_some_and(|from| words[flag.value_at].pieces_from(from).iter().any(|piece| piece.is_open));
        let value = (!is_open).then(|| settings::normal(flag.name, flag.value));
        (flag.name.to_owned(), Setting { value, line: line_of(text, words[flag.name_at].at.start) })
    };
    flags(words).0.into_iter().map(setting).collect()
}

/// The words that are none of these settings.
pub(super) fn rest(words: &[Word], names: &BTreeSet<&str>) -> String {
    let of_them = flags(words).0.into_iter().filter(|flag| names.contains(flag.name));
    let of_them: BTreeSet<_> = of_them.flat_map(|flag| [flag.name_at, flag.value_at]).collect();
    let mut rest = String::new();
    for (_, word) in words.iter().enumerate().filter(|(index, _)| !of_them.contains(index)) {
        let _ = write!(rest, "{:?} ", word.text);
    }
    rest
}

/// How words are written in a file.
pub(super) trait Hand {
    /// The word from this byte of its text on replaced by `value`.
    fn put(&self, word: &Word, from: usize, value: &str) -> Result<Vec<Edit>, Unreadable>;
    /// Words that follow each other taken away.
    fn remove(&self, words: Range<usize>) -> Result<Vec<Edit>, Unreadable>;
    /// Words of one flag added after the last one.
    fn add(&self, name: &str, words: &[String]) -> Result<Vec<Edit>, Unreadable>;
}

/// The edits by which `name` is set, or its last flag is taken away.
pub(super) fn change(
    text: &str,
    words: &[Word],
    hand: &impl Hand,
    name: &str,
    value: Option<&str>,
) -> Result<Vec<Edit>, Unreadable> {
    let (flags, end) = flags(words);
    let flag = flags.iter().rfind(|flag| flag.name == name);
    match (flag, value) {
        (None, None) => Ok(Vec::new()),
        (Some(flag), None) => hand.remove(flag.name_at..flag.value_at + 1),
        (Some(&flag), Some(value)) => {
            let word = &words[flag.value_at];
            let Some(from) = value_from(words, flag) else {
                return hand.put(word, word.text.len(), &format!("={value}"));
            };
            if word.pieces_from(from).iter().any(|piece| piece.is_open) {
                let what =
                    format!("a part of the value of {name} is put in when etcd starts, from a variable or a specifier");
                return Err(Unreadable::at(text, word.at.start, what));
            }
            hand.put(word, from, value)
        }
        (None, Some(value)) => match words.get(end) {
            Some(word) => {
                let what = "etcd does not start with what stands here, and would take no flag behind it";
                Err(Unreadable::at(text, word.at.start, what))
            }
            None => hand.add(name, &new(words, &flags, name, value)),
        },
    }
}

/// A new flag, written as the last one is.
fn new(words: &[Word], flags: &[Flag], name: &str, value: &str) -> Vec<String> {
    let last = flags.last();
    let dashes = if last.is_some_and(|flag| !words[flag.name_at].text.starts_with("--")) { "-" } else { "--" };
    let is_alone = |flag: &&Flag| value_from(words, **flag).is_none();
    if is_boolean(name) {
        let last = flags.iter().rfind(|flag| is_boolean(flag.name));
        if settings::normal(name, value) == "true" && last.as_ref().is_some_and(is_alone) {
            return vec![format!("{dashes}{name}")];
        }
        return vec![format!("{dashes}{name}={value}")];
    }
    match flags.iter().rfind(|flag| !is_boolean(flag.name)) {
        Some(flag) if flag.name_at != flag.value_at => vec![format!("{dashes}{name}"), value.to_owned()],
        _ => vec![format!("{dashes}{name}={value}")],
    }
}

/// The edit by which a word in quotes of a shell or of systemd ends in `value`: in the quotes that it stands in already.
/// `write` gives the text that stands for a value within quotes, or without any; `None` where that cannot be.
pub(super) fn put(
    text: &str,
    word: &Word,
    from: usize,
    value: &str,
    write: impl Fn(&str, Option<char>) -> Option<String>,
) -> Result<Vec<Edit>, Unreadable> {
    let before = word.text[..from].chars().count().checked_sub(1).map(|index| &word.pieces[index]);
    let at = before.map_or(word.at.start, |piece| piece.at.end)..word.at.end;
    if text[at.clone()].contains('\n') {
        return Err(Unreadable::at(text, at.start, "its value goes over several lines"));
    }
    let outer = before.and_then(|piece| piece.quote);
    let inner = text[at.clone()].chars().next().filter(|c| ['"', '\''].contains(c));
    let in_quotes = |quote: char, opened: &str| Some(format!("{opened}{}{quote}", write(value, Some(quote))?));
    let written = match (outer, inner) {
        (Some(quote), _) => in_quotes(quote, ""),
        (None, Some(quote)) => in_quotes(quote, &quote.to_string()).or_else(|| in_quotes('"', "\"")),
        (None, None) => write(value, None).or_else(|| in_quotes('"', "\"")),
    };
    let written =
        written.ok_or_else(|| Unreadable::at(text, at.start, "no value of that kind can stand in these quotes"))?;
    Ok(vec![Edit::new(at, written)])
}

/// A new word, its value in such quotes as the value of `like` is.
pub(super) fn written(
    text: &str,
    like: Option<&Word>,
    word: &str,
    write: impl Fn(&str, Option<char>) -> Option<String>,
) -> Option<String> {
    let in_quotes = |value: &str, quote: char| Some(format!("{quote}{}{quote}", write(value, Some(quote))?));
    let quoted = |value: &str, quote: char| in_quotes(value, quote).or_else(|| in_quotes(value, '"'));
    let like = like.map(|word| &text[word.at.clone()]);
    if let Some(quote) = like.and_then(|raw| raw.chars().next()).filter(|c| ['"', '\''].contains(c)) {
        return quoted(word, quote);
    }
    let of_value = like.and_then(|raw| raw.split_once('=')).and_then(|(_, value)| value.chars().next());
    let (name, value) = match word.split_once('=').filter(|_| word.starts_with('-')) {
        Some((name, value)) => (format!("{name}="), value),
        None => (String::new(), word),
    };
    let value = match of_value.filter(|c| ['"', '\''].contains(c) && !name.is_empty()) {
        Some(quote) => quoted(value, quote)?,
        None => write(value, None).or_else(|| in_quotes(value, '"'))?,
    };
    Some(name + &value)
}
