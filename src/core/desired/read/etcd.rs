//! `[etcd]`: the settings that become etcd's own configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::problem::Problem;
use super::suggest::nearest;
use super::table::Table;
use super::value::{Value, duration, one_of, size};
use crate::core::desired::etcd_keys::{self, Kind};
use crate::core::desired::{AutoCompaction, CompactionMode, EtcdSettings, Setting};
use crate::core::names::{Version, version_of_image};

/// `version` is absent when cluster.toml has no good one; `extra` is then checked against none.
pub(super) fn settings(table: &mut Table, version: Option<Version>) -> EtcdSettings {
    table.explain_unknown(|key| {
        let known = etcd_keys::find(key).is_some();
        known.then(|| format!("it is one of etcd's own keys: write `extra = {{ {key} = … }}`"))
    });
    let heartbeat = table.get_spanned("heartbeat-interval", milliseconds);
    let election = table.get_spanned("election-timeout", milliseconds);
    if let Err(problem) = check_timing(heartbeat.as_ref(), election.as_ref()) {
        table.report(problem);
    }
    EtcdSettings {
        quota_backend_bytes: table.get("quota-backend", quota),
        heartbeat_interval_ms: heartbeat.map(Spanned::into_inner),
        election_timeout_ms: election.map(Spanned::into_inner),
        auto_compaction: table.section("auto-compaction", auto_compaction),
        image: table.get("image", |value| image(value, version)),
        extra: table.section("extra", |table| extra(table, version)),
    }
}

fn quota(value: &Value) -> Result<u64, Problem> {
    const GIB: u64 = 1 << 30;
    match size(value)? {
        bytes if bytes > 100 * GIB => {
            Err(value.problem("`quota-backend` is more than 100GiB").hint("etcd recommends at most 8GiB"))
        }
        bytes => Ok(bytes),
    }
}

/// Its tag must say the version: what a manifest starts is told from that.
fn image(value: &Value, version: Option<Version>) -> Result<String, Problem> {
    let image = value.text()?;
    let version = version.unwrap_or(Version::new(3, 7, 0));
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\' | '@');
    if !image.replace("{version}", "").chars().all(is_plain) {
        return Err(value
            .problem("`image` is no name of an image")
            .hint("for example \"registry.k8s.io/etcd:{version}-0\""));
    }
    match version_of_image(&image.replace("{version}", &version.to_string())) {
        Some(said) if said == version => Ok(image.to_owned()),
        _ => Err(value
            .problem(format!("the tag of `image` does not say {version}"))
            .hint("write {version} where the tag has it, for example \"registry.k8s.io/etcd:{version}-0\"")),
    }
}

fn milliseconds(value: &Value) -> Result<u64, Problem> {
    let duration = duration(value, "ms")?;
    match u64::try_from(duration.as_millis()) {
        Ok(milliseconds) if Duration::from_millis(milliseconds) == duration => Ok(milliseconds),
        Ok(_) | Err(_) => Err(value.problem(format!("`{}` must be whole milliseconds", value.key()))),
    }
}

/// etcd's own rule, which stops it at the start: embed/config.go, `Validate`, the same from 3.4.15 to 3.7.3.
fn check_timing(heartbeat: Option<&Spanned<u64>>, election: Option<&Spanned<u64>>) -> Result<(), Problem> {
    const HEARTBEAT_DEFAULT_MS: u64 = 100;
    const ELECTION_DEFAULT_MS: u64 = 1000;
    const ELECTION_MAX_MS: u64 = 50_000;
    let Some(place) = election.or(heartbeat) else { return Ok(()) };
    let heartbeat_ms = heartbeat.map_or(HEARTBEAT_DEFAULT_MS, |ms| *ms.get_ref());
    let election_ms = election.map_or(ELECTION_DEFAULT_MS, |ms| *ms.get_ref());
    if election_ms > ELECTION_MAX_MS {
        return Err(Problem::new(place.span(), "`election-timeout` is more than 50s").hint(
            "etcd does not start with more than \
                                                                                    that",
        ));
    }
    if election_ms < heartbeat_ms.saturating_mul(5) {
        let problem = Problem::new(place.span(), "`election-timeout` is less than five times `heartbeat-interval`")
            .label(format!("election timeout {election_ms}ms, heartbeat {heartbeat_ms}ms"))
            .hint("ten times is usual; etcd does not start with less than five");
        return Err(match (election, heartbeat) {
            (Some(_), Some(heartbeat)) => problem.related(heartbeat.span(), "the heartbeat"),
            _ => problem,
        });
    }
    Ok(())
}

fn auto_compaction(table: &mut Table) -> Option<AutoCompaction> {
    if !table.is_present() {
        return None;
    }
    let modes = [("periodic", Some(CompactionMode::Periodic)), ("revision", Some(CompactionMode::Revision))];
    let mode = table.require("mode", "\"periodic\"", one_of(&modes)).map(Spanned::into_inner);
    let retention = table.require("retention", "\"8h\"", |value| match mode {
        Some(CompactionMode::Periodic) => Ok(in_go(duration(value, "h")?)),
        Some(CompactionMode::Revision) => match value.integer() {
            Ok(revisions @ 1..) => Ok(revisions.to_string()),
            Ok(_) => Err(value.problem("`retention` must be greater than zero")),
            Err(problem) => Err(problem.hint(
                "with mode \"revision\" it is the number of revisions to keep, for \
                                              example 10000",
            )),
        },
        None => Ok(String::new()),
    });
    Some(AutoCompaction { mode: mode?, retention: retention?.into_inner() })
}

/// As Go's `time.ParseDuration` reads it, which knows no days.
fn in_go(duration: Duration) -> String {
    let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
    match nanoseconds {
        0 if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        0 if seconds % 60 == 0 => format!("{}m", seconds / 60),
        0 => format!("{seconds}s"),
        _ => format!("{}ns", duration.as_nanos()),
    }
}

fn extra(table: &mut Table, version: Option<Version>) -> BTreeMap<String, Setting> {
    let mut extra = BTreeMap::new();
    for value in table.take_all() {
        match check_extra(&value, version) {
            Ok(setting) => drop(extra.insert(value.key().to_owned(), setting)),
            Err(problem) => table.report(problem),
        }
    }
    extra
}

fn check_extra(value: &Value, version: Option<Version>) -> Result<Setting, Problem> {
    let name = value.key();
    let on_key = |summary: String| Problem::new(value.key_span(), summary);
    if let Some(why) = etcd_keys::owner(name) {
        return Err(on_key(format!("`{name}` cannot be set in `extra`")).hint(why));
    }
    let setting = setting(value)?;
    let Some(key) = etcd_keys::find(name) else {
        let known = etcd_keys::known_to(version.unwrap_or(Version::new(3, 7, 0))).map(|key| key.name);
        let problem = on_key(format!("etcd has no key `{}`", name.escape_debug()));
        return Err(match nearest(name, known) {
            Some(key) => problem.hint(format!("did you mean `{key}`?")),
            None => problem.hint(
                "`extra` takes the keys of etcd's configuration file, in kebab-case, as in `etcd \
                                  --help`",
            ),
        });
    };
    if let Some(version) = version.filter(|&version| !key.is_known_to(version)) {
        return Err(on_key(format!("etcd {version} has no key `{name}`")).hint(match successor(name, version) {
            Some(successor) => format!("in {version} it is `{successor}`"),
            None => format!("it exists in {}", key.versions()),
        }));
    }
    if key.kind.takes(&setting) {
        return Ok(setting);
    }
    let problem = value.not(key.kind.in_words());
    Err(match (key.kind, &setting) {
        (Kind::Nanoseconds, Setting::Text(text)) => match humantime::parse_duration(text) {
            Ok(duration) => problem.hint(format!("etcd's file takes no units: write {}", duration.as_nanos())),
            Err(_) => problem,
        },
        _ => problem,
    })
}

/// The name under which `version` has what another version calls `name`: `experimental-` came or went.
fn successor(name: &str, version: Version) -> Option<&'static str> {
    let other = match name.strip_prefix("experimental-") {
        Some(plain) => plain.to_owned(),
        None => format!("experimental-{name}"),
    };
    etcd_keys::find(&other).filter(|key| key.is_known_to(version)).map(|key| key.name)
}

/// What TOML and YAML both have.
fn setting(value: &Value) -> Result<Setting, Problem> {
    Ok(match value.content() {
        DeValue::String(text) => Setting::Text(text.to_string()),
        DeValue::Integer(_) => Setting::Integer(value.integer()?),
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => Setting::Float(number),
            Ok(_) | Err(_) => return Err(value.not("a number that etcd's file can represent")),
        },
        DeValue::Boolean(truth) => Setting::Bool(*truth),
        DeValue::Datetime(_) => {
            return Err(value.not("a value that etcd's file can represent").hint("put it in quotes"));
        }
        DeValue::Array(_) => Setting::List(value.list()?.iter().map(setting).collect::<Result<_, _>>()?),
        DeValue::Table(table) => {
            let entries = table.iter().map(|(key, inner)| {
                let inner = Value::of_key(key.span(), key.get_ref(), inner);
                Ok((inner.key().to_owned(), setting(&inner)?))
            });
            Setting::Table(entries.collect::<Result<_, Problem>>()?)
        }
    })
}
