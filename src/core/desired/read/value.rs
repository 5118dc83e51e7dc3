//! A value of cluster.toml with its place, and the kinds that most keys have: text, number, duration, size, choice.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::suggest::{enumerate, nearest};

/// A value and the key that it belongs to.
#[derive(Clone)]
pub(super) struct Value<'t> {
    key: &'t str,
    key_span: Range<usize>,
    value: &'t Spanned<DeValue<'t>>,
}

impl<'t> Value<'t> {
    pub fn of_key(key_span: Range<usize>, key: &'t str, value: &'t Spanned<DeValue<'t>>) -> Self {
        Self { key, key_span, value }
    }

    pub fn key(&self) -> &'t str {
        self.key
    }

    pub fn key_span(&self) -> Range<usize> {
        self.key_span.clone()
    }

    pub fn span(&self) -> Range<usize> {
        self.value.span()
    }

    pub fn content(&self) -> &'t DeValue<'t> {
        self.value.get_ref()
    }

    /// A problem with this value.
    pub fn problem(&self, summary: impl Into<String>) -> Problem {
        Problem::new(self.span(), summary)
    }

    /// The problem that this value is not `expected`, such as "text".
    pub fn not(&self, expected: &str) -> Problem {
        let found = match self.content() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.problem(format!("`{}` must be {expected}", self.key.escape_debug())).label(format!("this is {found}"))
    }

    pub fn text(&self) -> Result<&'t str, Problem> {
        match self.content() {
            DeValue::String(text) => Ok(text),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
                Err(self.not("text").hint("put it in double quotes"))
            }
            DeValue::Array(_) | DeValue::Table(_) => Err(self.not("text")),
        }
    }

    pub fn boolean(&self) -> Result<bool, Problem> {
        match self.content() {
            DeValue::Boolean(truth) => Ok(*truth),
            _ => Err(self.not("true or false").hint("write it without quotes")),
        }
    }

    pub fn integer(&self) -> Result<i64, Problem> {
        match self.content() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| self.problem(format!("the number in `{}` is too large", self.key))),
            _ => Err(self.not("a whole number")),
        }
    }

    pub fn table(&self) -> Result<&'t DeTable<'t>, Problem> {
        match self.content() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.not("a table")),
        }
    }

    /// The elements, each under this value's key.
    pub fn list(&self) -> Result<Vec<Value<'t>>, Problem> {
        match self.content() {
            DeValue::Array(list) => Ok(list
                .iter()
                .map(|element| Value { key: self.key, key_span: self.key_span(), value: element })
                .collect()),
            _ => Err(self.not("a list").hint(format!("write `{} = [\"…\"]`", self.key))),
        }
    }
}

/// A TCP port.
pub(super) fn port(value: &Value) -> Result<u16, Problem> {
    let number = value.integer()?;
    match u16::try_from(number) {
        Ok(port) if port != 0 => Ok(port),
        Ok(_) | Err(_) => {
            Err(value.problem(format!("{number} is not a valid port")).hint("a port must be between 1 and 65535"))
        }
    }
}

/// A duration with its unit, `"365d"`. Never zero: to leave a thing out is to leave the key out.
///
/// `unit` is the likely one, for who forgot it.
pub(super) fn duration(value: &Value, unit: &str) -> Result<Duration, Problem> {
    let text = with_unit(value, "a duration such as \"5s\"", |bare| format!("{bare}{unit}"))?;
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err(value.problem(format!("`{}` must be greater than zero", value.key()))),
        Ok(duration) => Ok(duration),
        Err(_) => Err(value
            .problem(format!("{text:?} is not a valid duration"))
            .hint("write a number and a unit: \"100ms\", \"5s\", \"10m\", \"8h\", \"365d\"")),
    }
}

/// A size with its unit, `"8GiB"`, in bytes. Never zero.
pub(super) fn size(value: &Value) -> Result<u64, Problem> {
    let text = with_unit(value, "a size such as \"8GiB\"", sized)?;
    match ByteSize::from_str(text) {
        Ok(ByteSize(0)) => Err(value.problem(format!("`{}` must be greater than zero", value.key()))),
        Ok(size) => Ok(size.as_u64()),
        Err(_) => Err(value
            .problem(format!("{text:?} is not a valid size"))
            .hint("write a number and a unit: \"100MiB\", \"8GiB\" (powers of 1024) or \"8GB\" (powers of 1000)")),
    }
}

/// The size that a number without a unit is likely to mean: a large one is one of bytes, as etcd's own flag takes it.
fn sized(bare: &str) -> String {
    const MIB: u64 = 1 << 20;
    match bare.parse::<u64>() {
        Ok(bytes) if bytes >= MIB && bytes.is_multiple_of(1024 * MIB) => format!("{}GiB", bytes / (1024 * MIB)),
        Ok(bytes) if bytes >= MIB && bytes.is_multiple_of(MIB) => format!("{}MiB", bytes / MIB),
        Ok(bytes) if bytes >= MIB => format!("{bytes}B"),
        _ => format!("{bare}GiB"),
    }
}

/// The text of a quantity. A number without a unit could mean anything; `likely`: what.
fn with_unit<'t>(value: &Value<'t>, expected: &str, likely: impl Fn(&str) -> String) -> Result<&'t str, Problem> {
    let bare = match value.content() {
        DeValue::Integer(number) => number.as_str(),
        DeValue::String(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => text,
        DeValue::String(text) => return Ok(text),
        _ => return Err(value.not(expected)),
    };
    Err(value
        .problem(format!("`{}` needs a unit", value.key()))
        .label("the unit is missing")
        .hint(format!("for example \"{}\"", likely(bare))))
}

/// One of a few words. A word with `None` is in the design of cluster.toml but not built yet.
pub(super) fn one_of<'t, T: Copy>(choices: &[(&str, Option<T>)]) -> impl Fn(&Value<'t>) -> Result<T, Problem> {
    move |value| {
        let text = value.text()?;
        let built: Vec<&str> = choices.iter().filter(|(_, choice)| choice.is_some()).map(|&(word, _)| word).collect();
        match choices.iter().find(|&&(word, _)| word == text) {
            Some((_, Some(choice))) => Ok(*choice),
            Some((_, None)) => Err(value
                .problem(format!("`{} = {text:?}` is not supported yet", value.key()))
                .hint(format!("supported: {}", enumerate(&built)))),
            None => {
                let problem = value.problem(format!("{text:?} is not a valid value of `{}`", value.key()));
                Err(match nearest(text, built.iter().copied()) {
                    Some(word) => problem.hint(format!("did you mean \"{word}\"?")),
                    None => problem.hint(format!("use one of {}", enumerate(&built))),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_bytes_is_taken_for_one() {
        let of = |bare| sized(bare);
        assert_eq!(of("8"), "8GiB");
        assert_eq!(of("4294967296"), "4GiB");
        assert_eq!(of("104857600"), "100MiB");
        assert_eq!(of("104857601"), "104857601B");
    }
}
