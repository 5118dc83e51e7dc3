//! `[etcd.archive]`: where the binaries come from.

use std::collections::BTreeMap;

use super::kinds::{self, Local};
use super::paths;
use super::problem::Problem;
use super::suggest::enumerate;
use super::table::Table;
use super::value::Value;
use crate::core::desired::{ArchiveLocation, Binaries};
use crate::core::names::{Architecture, Digest, Version};

const PLACEHOLDERS: [&str; 2] = ["{version}", "{arch}"];

pub(super) fn archive(table: &mut Table, local: Local) -> Binaries {
    if !table.is_present() {
        return Binaries::Undeclared;
    }
    let url = table.get_spanned("url", url);
    let path = table.get_spanned("path", |value| path(value, local));
    let preinstalled = table.get_spanned("preinstalled", paths::readable);
    let (sha256, sha256_span) =
        table.section("sha256", |table| (digests(table), table.is_present().then(|| table.span())));

    let via = table.section("via", via);

    let declared = ["url", "path", "preinstalled"].map(|key| (key, table.declares(key)));
    let declared: Vec<_> = declared.iter().filter_map(|(key, span)| Some((*key, span.clone()?))).collect();
    match declared.as_slice() {
        [] => {
            let problem = Problem::new(table.span(), "[etcd.archive] has no location for the binaries");
            table.report_missing(problem.hint("add one of `url`, `path` and `preinstalled`"));
        }
        [_] => {}
        [(first, first_span), .., (last, last_span)] => {
            let problem = Problem::new(last_span.clone(), format!("`{first}` and `{last}` cannot be combined"));
            table.report(problem.related(first_span.clone(), "use one of them"));
        }
    }

    if let Some(folder) = preinstalled {
        if let Some(span) = sha256_span {
            let problem = Problem::new(span, "`sha256` has no archive to verify").hint("omit it with `preinstalled`");
            table.report(problem);
        }
        return Binaries::Preinstalled { folder: folder.into_inner() };
    }
    let Some(location) = url.or(path) else {
        return Binaries::Undeclared;
    };
    if sha256_span.is_none() {
        let problem = Problem::new(location.span(), "the archive has no `sha256`")
            .hint("add `sha256 = { amd64 = \"…\" }`, so that the hosts run exactly what was reviewed");
        table.report_missing(problem);
    } else if sha256.len() > 1 && !template(location.get_ref()).contains("{arch}") {
        let problem = Problem::new(location.span(), "one archive cannot have several `sha256`")
            .hint("use {arch} for the architecture in its name");
        table.report(problem);
    }
    if !via.is_empty() && !template(location.get_ref()).contains("{version}") {
        let problem = Problem::new(location.span(), "one archive cannot be of several versions")
            .hint("use {version} for the version in its name");
        table.report(problem);
    }
    Binaries::Archive { location: location.into_inner(), sha256, via }
}

/// The versions on the way to the declared one, `"3.5.30" = { amd64 = "…" }`, in the same place under their own numbers.
fn via(table: &mut Table) -> BTreeMap<Version, BTreeMap<Architecture, Digest>> {
    let mut found = BTreeMap::new();
    table.each_section(|name, digests_of| {
        match name.get_ref().parse::<Version>() {
            Ok(version) => {
                found.insert(version, digests(digests_of));
            }
            Err(error) => {
                let problem = Problem::new(name.span(), format!("{:?} is not a valid version", name.get_ref()));
                digests_of.take_all();
                digests_of.report(problem.hint(error.to_string()));
            }
        };
    });
    found
}

fn template(location: &ArchiveLocation) -> &str {
    let (ArchiveLocation::Url(text) | ArchiveLocation::Path(text)) = location;
    text
}

/// `{ amd64 = "…" }`.
fn digests(table: &mut Table) -> BTreeMap<Architecture, Digest> {
    let found = Architecture::ALL
        .iter()
        .copied()
        .filter_map(|architecture| Some((architecture, table.get(architecture.as_str(), kinds::digest)?)))
        .collect();
    if table.is_present() && !table.has_keys() {
        let names: Vec<_> = Architecture::ALL.iter().copied().map(Architecture::as_str).collect();
        let problem =
            Problem::new(table.span(), "`sha256` is empty").hint(format!("its keys are {}", enumerate(&names)));
        table.report_missing(problem);
    }
    found
}

fn url(value: &Value) -> Result<ArchiveLocation, Problem> {
    let text = value.text()?;
    let problem = |hint: &str| Err(value.problem("`url` is not a valid download URL").hint(hint));
    if let Some(path) = text.strip_prefix("file://") {
        return problem(&format!("for a file on this machine write `path = {path:?}`"));
    }
    // Plain http is enough for a mirror: the digest is what is trusted.
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return problem("it must start with https:// or http://; for a file on this machine use `path`");
    };
    if rest.is_empty() || rest.starts_with('/') || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return problem("write https://HOST/… without spaces");
    }
    check_placeholders(value, text)?;
    Ok(ArchiveLocation::Url(text.to_owned()))
}

fn path(value: &Value, local: Local) -> Result<ArchiveLocation, Problem> {
    let text = value.text()?;
    if text.contains("://") {
        return Err(value.problem("`path` must be a file on this machine").hint(format!("write `url = {text:?}`")));
    }
    check_placeholders(value, text)?;
    match local.path(value)?.into_os_string().into_string() {
        Ok(path) => Ok(ArchiveLocation::Path(path)),
        Err(_) => Err(value.problem("the directory of cluster.toml has a name that is not UTF-8")),
    }
}

fn check_placeholders(value: &Value, text: &str) -> Result<(), Problem> {
    let rest = PLACEHOLDERS.iter().fold(text.to_owned(), |text, placeholder| text.replace(placeholder, ""));
    let Some(open) = rest.find(['{', '}']) else {
        return Ok(());
    };
    let end = rest[open..].find('}').map_or(rest.len(), |close| open + close + 1);
    Err(value
        .problem(format!("`{}` has an unknown placeholder", value.key()))
        .label(format!("`{}`", rest[open..end].escape_debug()))
        .hint(format!("known are {}", enumerate(&PLACEHOLDERS))))
}
