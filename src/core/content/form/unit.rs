//! A unit whose ExecStart= gives etcd its flags, read as systemd reads it.
//!
//! Source: `config_parse` in shared/conf-parser.c, `config_parse_exec` in core/load-fragment.c, `extract_first_word`,
//! `cunescape_one`, `specifier_printf` and `replace_env_argv` of systemd 252; systemd.service(5), "Command lines".

use std::ops::Range;

use super::words::{self, Hand, Piece, Word};
use super::{Edit, Unreadable, line_at, line_end, lines};

/// An assignment of the unit: what systemd sees of it, with the lines joined that a backslash continues.
struct Assignment {
    section: String,
    key: String,
    value: Vec<Char>,
    /// Where the line begins that it stands in.
    at: usize,
}

/// A character and its place in the file. The backslash at the end of a line is a space.
#[derive(Clone, Copy)]
struct Char {
    char: char,
    at: usize,
}

fn is_space(c: char) -> bool {
    [' ', '\t', '\n', '\r'].contains(&c)
}

fn trimmed(chars: &[Char]) -> &[Char] {
    let Some(first) = chars.iter().position(|c| !is_space(c.char)) else { return &[] };
    let last = chars.iter().rposition(|c| !is_space(c.char)).unwrap_or(first);
    &chars[first..=last]
}

fn string(chars: &[Char]) -> String {
    chars.iter().map(|c| c.char).collect()
}

fn assignments(text: &str) -> Result<Vec<Assignment>, Unreadable> {
    let mut found = Vec::new();
    let mut section = String::new();
    let mut joined: Vec<Char> = Vec::new();
    let mut begin = None;
    let mut end = |chars: &[Char], at: usize| -> Result<(), Unreadable> {
        let chars = trimmed(chars);
        match chars.first().map(|c| c.char) {
            None | Some('#' | ';') => {}
            Some('[') => match string(chars).strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
                Some(name) => name.clone_into(&mut section),
                None => return Err(Unreadable::at(text, at, "a section that is not closed: systemd refuses the unit")),
            },
            Some(_) => {
                // What has no `=` is ignored, with a line in the journal.
                if let Some(equals) = chars.iter().position(|c| c.char == '=') {
                    found.push(Assignment {
                        section: section.clone(),
                        key: string(trimmed(&chars[..equals])),
                        value: trimmed(&chars[equals + 1..]).to_vec(),
                        at,
                    });
                }
            }
        }
        Ok(())
    };
    for line in lines(text) {
        let content = &text[line.content.clone()];
        // Also between lines that are continued.
        if content.trim_start_matches(is_space).starts_with(['#', ';']) {
            continue;
        }
        let skipped = if line.whole.start == 0 && content.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let mut is_escaped = false;
        for (at, char) in content[skipped..].char_indices() {
            is_escaped = !is_escaped && char == '\\';
            joined.push(Char { char, at: line.whole.start + skipped + at });
        }
        let at = *begin.get_or_insert(line.whole.start);
        if is_escaped {
            if let Some(last) = joined.last_mut() {
                last.char = ' ';
            }
            continue;
        }
        end(&joined, at)?;
        joined.clear();
        begin = None;
    }
    if let Some(at) = begin {
        end(&joined, at)?;
    }
    Ok(found)
}

/// A command of an ExecStart=: its program without what stands before it, and its arguments.
struct Command {
    program: String,
    arguments: Vec<Word>,
    /// Where the word before the arguments ends, and the line where the command begins.
    head: Range<usize>,
    /// Whether a dollar is a dollar.
    is_literal: bool,
}

/// The commands that systemd runs: an empty ExecStart= takes away those before it.
fn commands(text: &str) -> Result<Vec<Command>, Unreadable> {
    let mut commands = Vec::new();
    for assignment in assignments(text)?.iter().filter(|of| of.section == "Service" && of.key == "ExecStart") {
        if assignment.value.is_empty() {
            commands.clear();
        }
        commands.extend(commands_of(text, assignment)?);
    }
    Ok(commands)
}

fn commands_of(text: &str, assignment: &Assignment) -> Result<Vec<Command>, Unreadable> {
    let mut reader = Reader { text, chars: &assignment.value, next: 0 };
    let mut commands = Vec::new();
    while let Some(word) = reader.word()? {
        if word.text == ";" {
            continue;
        }
        let is_prefix = |c: char| ['-', '@', ':', '+', '!', '|'].contains(&c);
        let program = word.text.trim_start_matches(is_prefix);
        let prefix = &word.text[..word.text.len() - program.len()];
        let is_literal = prefix.contains(':');
        let begin = word.at.start;
        let mut head = word.at.clone();
        let program = expanded(text, &skip(&word, prefix.len()), true)?.text;
        let mut has_own_name = prefix.contains('@');
        let mut arguments = Vec::new();
        while let Some(argument) = reader.argument()? {
            let Some(argument) = argument else { break };
            if std::mem::take(&mut has_own_name) {
                head = argument.at;
            } else {
                arguments.push(argument);
            }
        }
        commands.push(Command { program, arguments, head: begin..head.end, is_literal });
    }
    Ok(commands)
}

fn skip(word: &Word, bytes: usize) -> Word {
    Word::new(word.pieces_from(bytes).to_vec(), word.at.clone())
}

struct Reader<'a> {
    text: &'a str,
    chars: &'a [Char],
    next: usize,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.next + ahead).map(|c| c.char)
    }

    fn skip_space(&mut self) {
        while self.peek(0).is_some_and(is_space) {
            self.next += 1;
        }
    }

    /// An argument; `Some(None)` where a semicolon ends the command.
    fn argument(&mut self) -> Result<Option<Option<Word>>, Unreadable> {
        self.skip_space();
        let ends = |ahead: usize| self.peek(ahead).is_none_or(is_space);
        if self.peek(0) == Some(';') && ends(1) {
            self.next += 1;
            return Ok(Some(None));
        }
        if self.peek(0) == Some('\\') && self.peek(1) == Some(';') && ends(2) {
            let at = self.chars[self.next].at;
            self.next += 2;
            let piece = Piece { char: ';', at: at..at + 2, quote: None, is_open: false };
            return Ok(Some(Some(Word::new(vec![piece], at..at + 2))));
        }
        Ok(self.word()?.map(Some))
    }

    fn word(&mut self) -> Result<Option<Word>, Unreadable> {
        self.skip_space();
        let Some(begin) = self.chars.get(self.next).map(|c| c.at) else { return Ok(None) };
        let mut end = begin;
        let mut quote = None;
        let mut pieces = Vec::new();
        while let Some(&Char { char, at }) = self.chars.get(self.next) {
            if quote.is_none() && is_space(char) {
                break;
            }
            self.next += 1;
            let read = match char {
                '"' | '\'' if quote.is_none() => {
                    quote = Some(char);
                    [None, None]
                }
                _ if quote == Some(char) => {
                    quote = None;
                    [None, None]
                }
                '\\' => match self.escape()? {
                    Some(char) => [Some(char), None],
                    // As it stands, and what follows is of the word whatever it is. The journal has a warning.
                    None => {
                        let next = self.peek(0);
                        self.next += usize::from(next.is_some());
                        [Some('\\'), next]
                    }
                },
                _ => [Some(char), None],
            };
            let last = &self.chars[self.next - 1];
            end = last.at + self.width(last);
            pieces.extend(read.into_iter().flatten().map(|char| Piece { char, at: at..end, quote, is_open: false }));
        }
        if quote.is_some() {
            return Err(Unreadable::at(self.text, begin, "quotes that are not closed: systemd refuses the unit"));
        }
        Ok(Some(Word::new(pieces, begin..end)))
    }

    /// How many bytes this is in the file.
    fn width(&self, c: &Char) -> usize {
        self.text[c.at..].chars().next().map_or(0, char::len_utf8)
    }

    /// What stands behind a backslash; `None`, and nothing is taken, where systemd knows no such escape.
    fn escape(&mut self) -> Result<Option<char>, Unreadable> {
        let Some(char) = self.peek(0) else { return Ok(None) };
        let (taken, read) = match char {
            'a' => (1, Some('\u{7}')),
            'b' => (1, Some('\u{8}')),
            'f' => (1, Some('\u{c}')),
            'n' => (1, Some('\n')),
            'r' => (1, Some('\r')),
            't' => (1, Some('\t')),
            'v' => (1, Some('\u{b}')),
            's' => (1, Some(' ')),
            '\\' | '"' | '\'' => (1, Some(char)),
            'x' => (3, self.number(1..3, 16)),
            'u' => (5, self.number(1..5, 16)),
            'U' => (9, self.number(1..9, 16)),
            '0'..='7' => (3, self.number(0..3, 8)),
            _ => (0, None),
        };
        // One of these two gives a byte, not a character.
        if read.is_some_and(|read| !read.is_ascii()) && (char == 'x' || char.is_ascii_digit()) {
            let at = self.chars[self.next].at;
            return Err(Unreadable::at(self.text, at, "an escape for a byte that is no character"));
        }
        if read.is_some() {
            self.next += taken;
        }
        Ok(read)
    }

    fn number(&self, digits: Range<usize>, base: u32) -> Option<char> {
        let mut number = 0;
        for ahead in digits {
            number = number * base + self.peek(ahead)?.to_digit(base)?;
        }
        char::from_u32(number).filter(|&char| char != '\0' && (base == 16 || number < 256))
    }
}

/// The word with specifiers and variables marked, and `%%` and `$$` read.
fn expanded(text: &str, word: &Word, is_literal: bool) -> Result<Word, Unreadable> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = word.pieces.iter().peekable();
    while let Some(piece) = rest.next() {
        match (piece.char, rest.peek().map(|next| next.char)) {
            ('%', Some('%')) => pieces.extend(rest.next().map(|next| joined(piece, next, false))),
            ('%', Some(next)) if next.is_ascii_alphanumeric() => {
                pieces.push(Piece { is_open: true, ..piece.clone() });
                pieces.extend(rest.next().map(|next| Piece { is_open: true, ..next.clone() }));
            }
            _ => pieces.push(piece.clone()),
        }
    }
    if is_literal {
        return Ok(Word::new(pieces, word.at.clone()));
    }
    // A word of its own, which becomes as many words as the variable has.
    if pieces.first().is_some_and(|piece| piece.char == '$')
        && pieces.get(1).is_none_or(|piece| !['{', '$'].contains(&piece.char))
    {
        let what =
            "the flags that this variable stands for are written elsewhere, and any of them may count more than these";
        return Err(Unreadable::at(text, word.at.start, what));
    }
    let mut read = Vec::new();
    let mut at = 0;
    while let Some(piece) = pieces.get(at) {
        match (piece.char, pieces.get(at + 1).map(|next| next.char)) {
            ('$', Some('$')) => {
                read.push(joined(piece, &pieces[at + 1], piece.is_open));
                at += 2;
            }
            ('$', Some('{')) => {
                let end =
                    pieces[at..].iter().position(|piece| piece.char == '}').map_or(pieces.len(), |end| at + end + 1);
                read.extend(pieces[at..end].iter().map(|piece| Piece { is_open: true, ..piece.clone() }));
                at = end;
            }
            _ => {
                read.push(piece.clone());
                at += 1;
            }
        }
    }
    Ok(Word::new(read, word.at.clone()))
}

fn joined(first: &Piece, second: &Piece, is_open: bool) -> Piece {
    Piece { char: first.char, at: first.at.start..second.at.end, quote: second.quote, is_open }
}

/// The one command that starts etcd.
fn etcd(text: &str) -> Result<Command, Unreadable> {
    let mut of_etcd = Vec::new();
    let mut shell = None;
    for command in commands(text)? {
        match command.program.rsplit('/').next() {
            Some("etcd") => of_etcd.push(command),
            Some("sh" | "bash" | "dash" | "ash" | "zsh") => shell = Some(command.head.start),
            _ => {}
        }
    }
    match (of_etcd.pop(), shell) {
        (Some(command), _) if of_etcd.is_empty() => Ok(command),
        (Some(command), _) => Err(Unreadable::at(text, command.head.start, "a second ExecStart= that starts etcd")),
        (None, Some(at)) => {
            Err(Unreadable::at(text, at, "a shell is started here, and what it makes of its words is not known"))
        }
        (None, None) => Err(Unreadable::of_no_line("no ExecStart= here starts etcd by its own name")),
    }
}

/// The arguments of etcd.
pub(super) fn list(text: &str) -> Result<Vec<Word>, Unreadable> {
    let command = etcd(text)?;
    command.arguments.iter().map(|word| expanded(text, word, command.is_literal)).collect()
}

/// All that is no argument of etcd.
pub(super) fn rest(text: &str) -> Result<String, Unreadable> {
    let etcd = etcd(text)?;
    let mut rest = String::new();
    for of in assignments(text)? {
        let has_etcd = of.value.iter().any(|c| c.at == etcd.head.start);
        let value = if has_etcd { text[etcd.head.clone()].to_owned() } else { string(&of.value) };
        rest += &format!("{:?}\n", (of.section, of.key, value));
    }
    let others = commands(text)?;
    let others = others.iter().filter(|command| command.head.start != etcd.head.start);
    let words =
        others.map(|command| (&command.program, command.arguments.iter().map(|word| &word.text).collect::<Vec<_>>()));
    rest += &format!("{:?}\n", words.collect::<Vec<_>>());
    Ok(rest)
}

pub(super) fn change(text: &str, name: &str, value: Option<&str>) -> Result<Vec<Edit>, Unreadable> {
    let command = etcd(text)?;
    let words = list(text)?;
    let is_new = !words::read(text, &words).contains_key(name);
    if let Some(at) = is_new.then(|| variable_at(text, name)).transpose()?.flatten() {
        let what = format!("{name} is set by a variable here: etcd does not start when a flag sets it, too");
        return Err(Unreadable::at(text, at, what));
    }
    let hand = InUnit { text, command: &command, words: &words };
    words::change(text, &words, &hand, name, value)
}

/// Where an Environment= of the unit sets `name`.
fn variable_at(text: &str, name: &str) -> Result<Option<usize>, Unreadable> {
    let variable = format!("{}=", super::settings::variable(name));
    for of in assignments(text)?.iter().filter(|of| of.section == "Service" && of.key == "Environment") {
        let mut reader = Reader { text, chars: &of.value, next: 0 };
        while let Some(word) = reader.word()? {
            if word.text.starts_with(&variable) {
                return Ok(Some(of.at));
            }
        }
    }
    Ok(None)
}

struct InUnit<'a> {
    text: &'a str,
    command: &'a Command,
    words: &'a [Word],
}

impl InUnit<'_> {
    /// `value` as systemd reads it as such.
    fn write(&self, value: &str, quote: Option<char>) -> Option<String> {
        let must_quote = |c: char| c.is_whitespace() || ['"', '\'', '\\', ';'].contains(&c);
        if quote.is_none() && (value.is_empty() || value.contains(must_quote)) {
            return None;
        }
        let mut written = String::new();
        for char in value.chars() {
            match char {
                '%' => written.push_str("%%"),
                '$' if !self.command.is_literal => written.push_str("$$"),
                '\\' => written.push_str("\\\\"),
                _ => {
                    if Some(char) == quote {
                        written.push('\\');
                    }
                    written.push(char);
                }
            }
        }
        Some(written)
    }

    /// Where what stands before this word ends.
    fn end_before(&self, word: usize) -> usize {
        word.checked_sub(1).map_or(self.command.head.end, |before| self.words[before].at.end)
    }
}

impl Hand for InUnit<'_> {
    fn put(&self, word: &Word, from: usize, value: &str) -> Result<Vec<Edit>, Unreadable> {
        words::put(self.text, word, from, value, |value, quote| self.write(value, quote))
    }

    fn remove(&self, words: Range<usize>) -> Result<Vec<Edit>, Unreadable> {
        let text = self.text;
        let at = self.words[words.start].at.start..self.words[words.end - 1].at.end;
        if text[at.clone()].contains('\n') {
            return Err(Unreadable::at(text, at.start, "the flag and its value go over several lines"));
        }
        let line = line_at(text, at.start);
        let before = self.end_before(words.start);
        let after = text[at.end..line.content.end].trim();
        if before > line.whole.start {
            return Ok(vec![Edit::remove(before..at.end)]);
        }
        if after == "\\" {
            return Ok(vec![Edit::remove(line.whole)]);
        }
        match self.words.get(words.end).filter(|next| next.at.start < line.whole.end) {
            Some(next) => Ok(vec![Edit::remove(at.start..next.at.start)]),
            // The last line of the command: the one before it is not continued any more. Comments may stand between.
            None => {
                let ended = line_at(text, before);
                if ended.whole.end == line.whole.start {
                    return Ok(vec![Edit::remove(before..at.end)]);
                }
                let last = super::without_lines(text, &at);
                Ok(vec![Edit::remove(before..ended.content.end), last])
            }
        }
    }

    fn add(&self, _: &str, new: &[String]) -> Result<Vec<Edit>, Unreadable> {
        let text = self.text;
        let at = self.end_before(self.words.len());
        let written = new
            .iter()
            .map(|word| words::written(text, self.words.last(), word, |value, quote| self.write(value, quote)));
        let written = written.collect::<Option<Vec<_>>>();
        let written =
            written.ok_or_else(|| Unreadable::at(text, at, "no value of that kind can stand in these quotes"))?;
        let written = written.join(" ");
        // The words of the last line, and the line that it continues.
        let first = self.words.iter().position(|word| line_at(text, word.at.start).whole.end >= at);
        let Some(first) =
            first.filter(|&first| self.end_before(first) < line_at(text, self.words[first].at.start).whole.start)
        else {
            return Ok(vec![Edit::insert(at, format!(" {written}"))]);
        };
        let line = line_at(text, self.words[first].at.start);
        let indent = &text[line.whole.start..self.words[first].at.start];
        let before = self.end_before(first);
        let continued = &text[before..line_at(text, before).content.end];
        Ok(vec![Edit::insert(at, format!("{continued}{}{indent}{written}", line_end(text)))])
    }
}
