//! The arguments of a service of Canonical Kubernetes, a flag a line: bash reads them into an array, so its quotes hold.
//!
//! Source: `k8s::common::execute_service` in k8s/lib.sh and `UpdateServiceArguments` in pkg/snap/util of k8s-snap, which
//! sorts the lines when it writes them.

use std::ops::Range;

use super::words::{self, Hand, Piece, Word};
use super::{Edit, Unreadable, line_at, lines, new_last_line, without_lines};

/// What bash puts something else in the place of, or takes for more than a word.
const SPECIAL: [char; 13] = ['*', '?', '~', '{', '}', ';', '&', '|', '<', '>', '(', ')', '!'];

pub(super) fn list(text: &str) -> Result<Vec<Word>, Unreadable> {
    let mut words = Vec::new();
    for line in lines(text) {
        if line.content.end < line.whole.end - usize::from(text[line.whole.clone()].ends_with('\n')) {
            let what = "a line that ends as on Windows: bash takes the carriage return for a part of the value";
            return Err(Unreadable::at(text, line.whole.start, what));
        }
        of_line(text, &line.content, &mut words)?;
    }
    Ok(words)
}

fn of_line(text: &str, line: &Range<usize>, words: &mut Vec<Word>) -> Result<(), Unreadable> {
    let mut chars = text[line.clone()].char_indices().map(|(at, char)| (line.start + at, char)).peekable();
    while let Some(&(begin, first)) = chars.peek() {
        if first == ' ' || first == '\t' {
            chars.next();
            continue;
        }
        if first == '#' {
            break;
        }
        let refuse = |what: &str| Err(Unreadable::at(text, begin, what));
        let mut end = begin;
        let mut quote = None;
        let mut pieces: Vec<Piece> = Vec::new();
        while let Some((at, char)) = chars.next_if(|&(_, char)| quote.is_some() || char != ' ' && char != '\t') {
            end = at + char.len_utf8();
            let mut piece = Piece { char, at: at..end, quote, is_open: false };
            match (char, quote) {
                ('\'' | '"', None) => {
                    quote = Some(char);
                    continue;
                }
                (_, Some(of)) if of == char => {
                    quote = None;
                    continue;
                }
                ('\\', None | Some('"')) => {
                    let is_taken = |next: char| quote.is_none() || ['"', '\\', '`', '$'].contains(&next);
                    match chars.peek() {
                        Some(&(next, escaped)) if is_taken(escaped) => {
                            chars.next();
                            end = next + escaped.len_utf8();
                            piece = Piece { char: escaped, at: at..end, ..piece };
                        }
                        Some(_) => {}
                        None => return refuse("a line that goes on after a backslash"),
                    }
                }
                ('$', None | Some('"')) => match chars.peek() {
                    Some(&(_, next)) if next == '{' || next == '_' || next.is_ascii_alphabetic() => {
                        if pieces.is_empty() {
                            return refuse("the flags that this variable stands for are written elsewhere");
                        }
                        piece.is_open = true;
                    }
                    Some(&(_, ' ' | '\t' | '"')) | None if quote.is_some() => {}
                    _ => return refuse("a `$` by which bash puts in what is not known here"),
                },
                ('`', None | Some('"')) => return refuse("a command whose output bash puts in"),
                (_, None) if SPECIAL.contains(&char) && !is_of_a_variable(&pieces, char) => {
                    return refuse("a character outside of quotes by which bash takes the word for more than it says");
                }
                _ => {}
            }
            pieces.push(piece);
        }
        if quote.is_some() {
            return refuse("quotes that are not closed in the line");
        }
        if let Some('[') = pieces.first().map(|piece| piece.char) {
            return refuse("a word that bash takes for an index");
        }
        words.push(Word::new(pieces, begin..end));
    }
    Ok(())
}

/// Whether this brace belongs to `${NAME}`.
fn is_of_a_variable(pieces: &[Piece], char: char) -> bool {
    let dollar = pieces.iter().rposition(|piece| piece.is_open);
    let Some(name) = dollar.map(|at| &pieces[at + 1..]) else { return false };
    let is_name = |of: &[Piece]| of.iter().all(|piece| piece.char == '_' || piece.char.is_ascii_alphanumeric());
    match char {
        '{' => name.is_empty(),
        '}' => name.first().is_some_and(|piece| piece.char == '{') && name.len() > 1 && is_name(&name[1..]),
        _ => false,
    }
}

pub(super) fn change(text: &str, name: &str, value: Option<&str>) -> Result<Vec<Edit>, Unreadable> {
    let words = list(text)?;
    words::change(text, &words, &InLines { text, words: &words }, name, value)
}

struct InLines<'a> {
    text: &'a str,
    words: &'a [Word],
}

/// `value` as bash reads it as such.
fn write(value: &str, quote: Option<char>) -> Option<String> {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "_-+./:,=@%[]".contains(c);
    match quote {
        None => (!value.is_empty() && value.chars().all(is_bare)).then(|| value.to_owned()),
        Some('\'') => (!value.contains('\'')).then(|| value.to_owned()),
        Some(_) => Some(
            value
                .chars()
                .flat_map(|c| ['"', '\\', '`', '$'].contains(&c).then_some('\\').into_iter().chain([c]))
                .collect(),
        ),
    }
}

impl Hand for InLines<'_> {
    fn put(&self, word: &Word, from: usize, value: &str) -> Result<Vec<Edit>, Unreadable> {
        words::put(self.text, word, from, value, write)
    }

    fn remove(&self, words: Range<usize>) -> Result<Vec<Edit>, Unreadable> {
        let at = self.words[words.start].at.start..self.words[words.end - 1].at.end;
        if self.text[at.clone()].contains('\n') {
            return Err(Unreadable::at(self.text, at.start, "the flag and its value stand on two lines"));
        }
        let line = line_at(self.text, at.start);
        let is_before = words.start > 0 && self.words[words.start - 1].at.end > line.whole.start;
        let next = self.words.get(words.end).filter(|next| next.at.start < line.whole.end);
        Ok(vec![match next {
            _ if is_before => Edit::remove(self.words[words.start - 1].at.end..at.end),
            Some(next) => Edit::remove(at.start..next.at.start),
            None => without_lines(self.text, &at),
        }])
    }

    fn add(&self, name: &str, new: &[String]) -> Result<Vec<Edit>, Unreadable> {
        let written = new.iter().map(|word| words::written(self.text, self.words.last(), word, write));
        let written = written.collect::<Option<Vec<_>>>();
        let written = written
            .ok_or_else(|| Unreadable::of_no_line(format!("no value of that kind can be written for {name}")))?;
        Ok(vec![new_last_line(self.text, &written.join(" "))])
    }
}
