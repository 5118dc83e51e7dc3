//! `[backup]`: when the nodes take snapshots, how, and how many are kept.

use std::collections::BTreeSet;

use toml::Spanned;

use super::kinds;
use super::paths::own_folder;
use super::problem::Problem;
use super::schedule::schedule;
use super::suggest::enumerate;
use super::suggest::nearest;
use super::table::Table;
use super::value::{Value, duration, one_of};
use crate::core::desired::{Backup, Compression, Offsite, Paths};
use crate::core::names::{HostName, RemotePath};

/// Where the snapshots lie unless declared. Those that are saved before an upgrade lie there too, under other names.
const DIRECTORY: &str = "/var/backups/etcd";

/// `None` without the section, or when what it says is wrong: then a problem was reported.
pub(super) fn backup(table: &mut Table, declared: &BTreeSet<HostName>, paths: &Paths) -> Option<Backup> {
    const KEEP_DEFAULT: u32 = 14;

    if !table.is_present() {
        return None;
    }
    let compressions =
        [("zstd", Some(Compression::Zstd)), ("gzip", Some(Compression::Gzip)), ("none", Some(Compression::None))];
    let schedule = table.require("schedule", "\"0 * * * *\"", schedule);
    let keep = table.get("keep", keep).unwrap_or(KEEP_DEFAULT);
    let compression = table.get("compression", one_of(&compressions)).unwrap_or(Compression::Zstd);
    let directory = table.get_spanned("directory", own_folder);
    if let Some(directory) = &directory {
        report_nested(table, directory, paths);
    }
    let directory = directory.map_or_else(|| RemotePath::new(DIRECTORY), Spanned::into_inner);
    let mount = table.get("mount", Value::boolean).unwrap_or(false);
    let nodes = nodes(table, declared);
    let max_age_seconds = table.get("max-age", max_age);
    let metrics = table.get("metrics", kinds::remote_path);
    let offsite = table.get("offsite", offsite);
    let schedule = schedule?.into_inner();
    Some(Backup { schedule, keep, compression, directory, mount, nodes, max_age_seconds, metrics, offsite })
}

/// The folders of etcd are owned, replaced and set aside as a whole.
fn report_nested(table: &mut Table, directory: &Spanned<RemotePath>, paths: &Paths) {
    let config = paths.config_folder();
    let all = [
        ("data", &paths.data),
        ("certificates", &paths.certificates),
        ("binaries", &paths.binaries),
        ("config", &config),
    ];
    for (name, path) in all {
        if directory.get_ref().is_within(path) || path.is_within(directory.get_ref()) {
            let problem = Problem::new(directory.span(), format!("`directory` and the directory of `{name}` overlap"));
            table.report(problem.hint(format!("`{name}` is in {path}; snapshots need a directory of their own")));
        }
    }
}

fn keep(value: &Value) -> Result<u32, Problem> {
    // Snapshots of ten years of days, and listed by one script on every look.
    const KEEP_MAX: i64 = 4000;
    match value.integer()? {
        number @ 1..=KEEP_MAX => Ok(u32::try_from(number).expect("the maximum is 4000")),
        number => Err(value
            .problem(format!("`keep = {number}` is out of range"))
            .hint("`keep` is the number of snapshots on each node, from 1 to 4000")),
    }
}

fn max_age(value: &Value) -> Result<u64, Problem> {
    match duration(value, "h")?.as_secs() {
        0..60 => Err(value.problem("`max-age` is less than a minute").hint("for example \"26h\" for daily snapshots")),
        seconds => Ok(seconds),
    }
}

/// The named nodes, or all of them.
fn nodes(table: &mut Table, declared: &BTreeSet<HostName>) -> BTreeSet<HostName> {
    let key = table.declares("nodes");
    let named = table.list("nodes", |value| {
        let text = value.text()?;
        let name = HostName::new(text);
        if declared.contains(&name) {
            return Ok(name);
        }
        let names: Vec<&str> = declared.iter().map(HostName::as_str).collect();
        let problem = value.problem(format!("no node {text:?}"));
        Err(match nearest(text, names.iter().copied()) {
            Some(name) => problem.hint(format!("did you mean \"{name}\"?")),
            None => problem.hint(format!("the nodes are {}", enumerate(&names))),
        })
    });
    match key {
        None => declared.clone(),
        Some(span) => {
            if table.get("nodes", Value::list).is_some_and(|list| list.is_empty()) {
                let problem = Problem::new(span, "no node would take snapshots");
                table.report(problem.hint("omit `nodes` for all nodes, or [backup] for none"));
            }
            named.into_iter().collect()
        }
    }
}

/// A place off the nodes. Who may write there is never said in cluster.toml.
fn offsite(value: &Value) -> Result<Offsite, Problem> {
    let text = value.text()?;
    let problem = |summary: String, hint: &str| Err(value.problem(summary).hint(hint));
    let (scheme, rest) = match text.split_once("://") {
        Some(("s3", rest)) => ("s3", rest),
        Some(("file", rest)) => ("file", rest),
        Some(_) | None => {
            let hint = "use \"s3://BUCKET/PREFIX\" or \"file:///DIRECTORY\"";
            return problem(format!("{text:?} is not a valid off-site location"), hint);
        }
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'+');
    if rest.contains('@') || rest.contains('?') {
        let hint = "write the location only; credentials come from the environment";
        return problem("an off-site location cannot have a user, password or parameters".to_owned(), hint);
    }
    if !rest.bytes().all(plain) || rest.contains("//") || rest.split('/').any(|part| matches!(part, "." | "..")) {
        return problem(format!("{text:?} is not a valid off-site location"), "use letters, digits and / - . _ + only");
    }
    let rest = rest.trim_end_matches('/');
    match scheme {
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
        "s3" if !(3..=63).contains(&rest.split('/').next().unwrap_or_default().len()) => problem(
            format!("{text:?} has no valid bucket name"),
            "a bucket name has 3 to 63 characters: \"s3://BUCKET/PREFIX\"",
        ),
        "file" if !rest.starts_with('/') => {
            problem(format!("{text:?} is not an absolute path"), "write it with three slashes: \"file:///srv/etcd\"")
        }
        _ => Ok(Offsite { url: format!("{scheme}://{rest}") }),
    }
}
