//! Every key of cluster.toml in one table: what it means, what it takes, its default and an example.
//!
//! The JSON Schema for editors, the comments of `init`'s template and the reference page are made from it. The reader
//! does not use it: a test holds the two together.

mod access;
mod backup;
mod certificates;
mod cluster;
mod etcd;
#[cfg(test)]
mod tests;

/// One section, `[cluster]` or `[nodes.NAME]`.
#[derive(Debug)]
pub struct Section {
    /// Dotted; `NAME` stands for a name that the user chooses.
    pub path: &'static str,
    /// What the section is for: plain sentences, which may hold `code`.
    pub about: &'static str,
    pub keys: &'static [Key],
    /// The keys of which exactly one is there; empty where they do not exclude each other.
    pub one_of: &'static [&'static str],
}

/// One key of a section or of an inline table.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    /// One line, without a full stop.
    pub about: &'static str,
    /// What else there is to know: whole sentences, or nothing.
    pub more: &'static str,
    pub default: Default,
    /// A value as it is written in TOML.
    pub example: &'static str,
    /// The values of `source` with which it means anything; empty where it always does.
    pub with: &'static [&'static str],
    /// The values of `source` with which it has to be there.
    pub required_with: &'static [&'static str],
}

/// What holds when the key is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// It cannot be left out.
    Required,
    /// A value, as it is written in TOML.
    Value(&'static str),
    /// Nothing is passed to etcd, whose own default this is, as it is written in TOML.
    Etcd(&'static str),
    /// What happens then, in words.
    Words(&'static str),
    /// Nothing.
    None,
}

/// What a value looks like.
#[derive(Debug)]
pub enum Shape {
    Text,
    /// Letters, digits, `-`, `.` and `_`, at most 63.
    Name,
    /// An IP address or a DNS name.
    Address,
    /// Three numbers, as text.
    Version,
    /// 64 hexadecimal digits.
    Digest,
    /// Five fields, in UTC.
    Cron,
    /// On this machine; relative to the folder of cluster.toml.
    Path,
    /// On the hosts; absolute.
    RemotePath,
    Url,
    Boolean,
    Port,
    Number {
        min: i64,
        max: i64,
    },
    /// Text with a unit, `"365d"`.
    Duration,
    /// Text with a unit, `"8GiB"`.
    Size,
    Choice(&'static [&'static str]),
    List(&'static Shape),
    /// Two texts: the first key, and the first that is not meant.
    Range,
    /// An inline table or a section below.
    Table {
        keys: &'static [Key],
        one_of: &'static [&'static str],
    },
    /// A table whose keys the user chooses, all of them of this shape.
    Map(&'static Shape),
    /// Any of etcd's own settings.
    EtcdSettings,
    /// A duration, or a number of revisions.
    Retention,
}

/// All sections, in the order in which a file has them.
pub const SECTIONS: &[Section] = &[
    cluster::CLUSTER,
    cluster::NODE,
    cluster::NODE_CERTIFICATES,
    cluster::PORTS,
    cluster::SSH,
    etcd::ETCD,
    etcd::ARCHIVE,
    certificates::CA,
    certificates::CA_PREVIOUS,
    certificates::CERTIFICATES,
    access::AUTH,
    access::USER,
    access::ROLE,
    access::CONSUMER,
    backup::BACKUP,
    cluster::PATHS,
];

/// The section of that path.
pub fn section(path: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.path == path)
}

impl Section {
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Key {
    pub fn is_required(&self) -> bool {
        self.default == Default::Required
    }

    /// The value that a template shows: the default, or an example where there is none.
    pub fn shown(&self) -> &'static str {
        match self.default {
            Default::Value(value) | Default::Etcd(value) if self.example.is_empty() => value,
            _ => self.example,
        }
    }

    /// What a reader learns about it: whole sentences.
    pub fn description(&self) -> String {
        match self.more {
            "" => format!("{}.", self.about),
            more => format!("{}. {more}", self.about),
        }
    }

    const fn new(name: &'static str, shape: Shape, about: &'static str) -> Self {
        let default = Default::None;
        Self { name, shape, about, more: "", default, example: "", with: &[], required_with: &[] }
    }

    const fn required(mut self, example: &'static str) -> Self {
        self.default = Default::Required;
        self.example = example;
        self
    }

    const fn default(mut self, value: &'static str) -> Self {
        self.default = Default::Value(value);
        self
    }

    /// etcd's own default.
    const fn etcds(mut self, value: &'static str) -> Self {
        self.default = Default::Etcd(value);
        self
    }

    /// Not given, but found out: `words` say how.
    const fn otherwise(mut self, words: &'static str) -> Self {
        self.default = Default::Words(words);
        self
    }

    const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    const fn more(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }

    const fn with(mut self, sources: &'static [&'static str]) -> Self {
        self.with = sources;
        self
    }

    const fn required_with(mut self, sources: &'static [&'static str]) -> Self {
        self.required_with = sources;
        self
    }
}

impl Shape {
    /// `"never" or "allowed"`; `None` where there is no choice between words.
    pub fn choices(&self) -> Option<String> {
        let Self::Choice(words) = self else { return None };
        let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let (last, rest) = quoted.split_last()?;
        // One value alone is the default, which is shown.
        (!rest.is_empty()).then(|| format!("{} or {last}", rest.join(", ")))
    }

    /// What to write, for people.
    pub fn in_words(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Name => "a name".to_owned(),
            Self::Address => "an IP address or DNS name".to_owned(),
            Self::Version => "a version".to_owned(),
            Self::Digest => "a SHA-256 in hexadecimal".to_owned(),
            Self::Cron => "a cron schedule".to_owned(),
            Self::Path => "a path on this machine".to_owned(),
            Self::RemotePath => "an absolute path on the host".to_owned(),
            Self::Url => "a URL".to_owned(),
            Self::Boolean => "`true` or `false`".to_owned(),
            Self::Port => "a port".to_owned(),
            Self::Number { min, max } => format!("a number from {min} to {max}"),
            Self::Duration => "a duration with its unit".to_owned(),
            Self::Size => "a size with its unit".to_owned(),
            Self::Choice(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
                quoted.join(", ")
            }
            Self::List(of) => match **of {
                Self::Table { .. } => "a list of tables".to_owned(),
                _ => "a list of strings".to_owned(),
            },
            Self::Range => "a list of two keys".to_owned(),
            Self::Table { .. } => "a table".to_owned(),
            Self::Map(_) => "a table of tables".to_owned(),
            Self::EtcdSettings => "a table of etcd's settings".to_owned(),
            Self::Retention => "a duration with its unit, or a number of revisions".to_owned(),
        }
    }
}
