//! A cursor over a TOML table. It hands out values, remembers which keys it was asked for, and collects every problem,
//! so that a section of cluster.toml reads as the list of its keys:
//!
//! ```text
//! root.section("ports", |table| Ports {
//!     client: table.get("client", port).unwrap_or(2379),      // a kind is a function: Value → Result<T, Problem>
//!     …
//! });                                                         // what was not asked for is an unknown key
//! ```

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::suggest::{enumerate, nearest};
use super::value::Value;

/// What the walk gathers.
pub(super) struct Notes {
    pub problems: Vec<Problem>,
    /// Whether the whole text was understood. What lies in a broken line is not missing, so nothing is then.
    pub complete: bool,
}

/// One table, or the place where it could have been.
pub(super) struct Table<'t, 'n> {
    notes: &'n mut Notes,
    /// Dotted; empty for the top level.
    path: String,
    span: Range<usize>,
    content: Content<'t>,
    asked: Vec<&'static str>,
    /// More words about an unknown key than the list of the known ones.
    explain: fn(&str) -> Option<String>,
}

enum Content<'t> {
    Present(&'t DeTable<'t>),
    Absent,
    /// It is not a table, or its absence has been told: more would be noise.
    Broken,
}

impl<'t, 'n> Table<'t, 'n> {
    pub fn root(table: &'t Spanned<DeTable<'t>>, notes: &'n mut Notes) -> Self {
        Self {
            notes,
            path: String::new(),
            span: 0..0,
            content: Content::Present(table.get_ref()),
            asked: Vec::new(),
            explain: |_| None,
        }
    }

    /// The bytes of the table's header.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub fn is_present(&self) -> bool {
        matches!(self.content, Content::Present(_))
    }

    /// The place of `key` if it is there, whatever its value.
    pub fn declares(&self, key: &str) -> Option<Range<usize>> {
        match self.content {
            Content::Present(entries) => entries.get_key_value(key).map(|(name, _)| name.span()),
            Content::Absent | Content::Broken => None,
        }
    }

    /// The text of `key`, for what decides how it is read; what is no text is told when it is.
    pub fn text_at(&self, key: &str) -> Option<&str> {
        match self.content {
            Content::Present(entries) => entries.get(key)?.get_ref().as_str(),
            Content::Absent | Content::Broken => None,
        }
    }

    pub fn has_keys(&self) -> bool {
        matches!(self.content, Content::Present(entries) if !entries.is_empty())
    }

    /// `[nodes.etcd-1]`, as messages call it.
    pub fn title(&self) -> String {
        format!("[{}]", self.path.escape_debug())
    }

    pub fn report(&mut self, problem: Problem) {
        self.notes.problems.push(problem);
    }

    /// Reports that something is missing, at the table's header: nothing when the text was not understood.
    pub fn report_missing(&mut self, problem: Problem) {
        if self.notes.complete {
            self.report(problem);
        }
    }

    /// Says more about unknown keys of this table.
    pub fn explain_unknown(&mut self, explain: fn(&str) -> Option<String>) {
        self.explain = explain;
    }

    /// The value of `key` if it is there and of its `kind`.
    pub fn get<T>(&mut self, key: &'static str, kind: impl FnOnce(&Value<'t>) -> Result<T, Problem>) -> Option<T> {
        self.get_spanned(key, kind).map(Spanned::into_inner)
    }

    /// Like [`get`](Self::get), with its place, for checks that need more than one value.
    pub fn get_spanned<T>(
        &mut self,
        key: &'static str,
        kind: impl FnOnce(&Value<'t>) -> Result<T, Problem>,
    ) -> Option<Spanned<T>> {
        let value = self.value(key)?;
        match kind(&value) {
            Ok(content) => Some(Spanned::new(value.span(), content)),
            Err(problem) => {
                self.report(problem);
                None
            }
        }
    }

    /// The value of `key`, which has to be there. `example` is how it is written.
    pub fn require<T>(
        &mut self,
        key: &'static str,
        example: &str,
        kind: impl FnOnce(&Value<'t>) -> Result<T, Problem>,
    ) -> Option<Spanned<T>> {
        match self.content {
            Content::Present(entries) if !entries.contains_key(key) => {
                let problem = Problem::new(self.span(), format!("missing key `{key}` in {}", self.title()))
                    .hint(format!("add `{key} = {example}`"));
                self.report_missing(problem);
            }
            Content::Absent => {
                let problem = Problem::new(self.span(), format!("missing section {}", self.title()))
                    .hint(format!("add {} with `{key} = {example}`", self.title()));
                self.report_missing(problem);
                self.content = Content::Broken;
            }
            Content::Present(_) | Content::Broken => {}
        }
        self.get_spanned(key, kind)
    }

    /// The elements of the list `key` that are of their `kind`.
    pub fn list<T>(&mut self, key: &'static str, kind: impl Fn(&Value<'t>) -> Result<T, Problem>) -> Vec<T> {
        let Some(elements) = self.get(key, Value::list) else {
            return Vec::new();
        };
        let mut good = Vec::new();
        for element in elements {
            match kind(&element) {
                Ok(content) => good.push(content),
                Err(problem) => self.report(problem),
            }
        }
        good
    }

    /// Reads the table `key` with `read`, then reports every key in it that `read` did not ask for.
    pub fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Table<'t, '_>) -> T) -> T {
        let (span, content) = match self.value(key) {
            Some(value) => self.open(&value),
            None if self.is_present() => (self.span(), Content::Absent),
            None => (self.span(), Content::Broken),
        };
        let path = self.path_of(key);
        let mut table = Table { notes: self.notes, path, span, content, asked: Vec::new(), explain: |_| None };
        let result = read(&mut table);
        table.report_unknown();
        result
    }

    /// Reads every entry of this table, whose keys are the user's own words, as a table.
    pub fn each_section(&mut self, mut read: impl FnMut(&Spanned<&str>, &mut Table<'t, '_>)) {
        for value in self.take_all() {
            let (span, content) = self.open(&value);
            let path = self.path_of(value.key());
            let mut table = Table { notes: self.notes, path, span, content, asked: Vec::new(), explain: |_| None };
            read(&Spanned::new(value.key_span(), value.key()), &mut table);
            table.report_unknown();
        }
    }

    /// Reads every element of the list `key`, each a table of its own.
    pub fn each_in_list(&mut self, key: &'static str, mut read: impl FnMut(&mut Table<'t, '_>)) {
        let Some(elements) = self.get(key, Value::list) else { return };
        for value in elements {
            let (_, content) = self.open(&value);
            let (path, span) = (self.path_of(key), value.span());
            let mut table = Table { notes: self.notes, path, span, content, asked: Vec::new(), explain: |_| None };
            read(&mut table);
            table.report_unknown();
        }
    }

    /// All entries, when the keys are the user's own words. None of them is unknown then.
    pub fn take_all(&mut self) -> Vec<Value<'t>> {
        match std::mem::replace(&mut self.content, Content::Broken) {
            Content::Present(entries) => {
                entries.iter().map(|(key, value)| Value::of_key(key.span(), key.get_ref(), value)).collect()
            }
            Content::Absent | Content::Broken => Vec::new(),
        }
    }

    fn value(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.asked.push(key);
        let Content::Present(entries) = self.content else {
            return None;
        };
        let (name, value) = entries.get_key_value(key)?;
        Some(Value::of_key(name.span(), name.get_ref(), value))
    }

    fn open(&mut self, value: &Value<'t>) -> (Range<usize>, Content<'t>) {
        let content = match value.table() {
            Ok(entries) => Content::Present(entries),
            Err(problem) => {
                self.report(problem);
                Content::Broken
            }
        };
        (value.key_span(), content)
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Reports the keys that nobody asked for.
    pub fn report_unknown(&mut self) {
        let Content::Present(entries) = self.content else {
            return;
        };
        for (key, value) in entries {
            let name: &str = key.get_ref();
            // Below a broken header keys seem to stand at the top level, or to be its end.
            let is_header = value.get_ref().is_table() && value.span().contains(&key.span().start);
            let is_displaced = self.path.is_empty() && !self.notes.complete && !is_header;
            if is_displaced || self.asked.contains(&name) {
                continue;
            }
            let summary = match self.path.is_empty() {
                true => format!("unknown section or key `{}`", name.escape_debug()),
                false => format!("unknown key `{}` in {}", name.escape_debug(), self.title()),
            };
            let hint = (self.explain)(name).unwrap_or_else(|| match nearest(name, self.asked.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None if self.path.is_empty() => format!("the sections are {}", enumerate(&self.asked)),
                None => format!("{} knows {}", self.title(), enumerate(&self.asked)),
            });
            self.notes.problems.push(Problem::new(key.span(), summary).label("not known").hint(hint));
        }
    }
}

/// Every declared dotted path below `table` with the place of its key.
pub(super) fn declared_paths<'t>(table: &'t DeTable<'t>, prefix: &str, found: &mut Vec<(String, usize)>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.to_string() } else { format!("{prefix}.{key}") };
        if let DeValue::Table(inner) = value.get_ref() {
            declared_paths(inner, &path, found);
        }
        found.push((path, key.span().start));
    }
}
