//! From the text of a cluster.toml to a [`Desired`], or to everything that is wrong with it.

use std::path::Path;

use toml::de::DeTable;

use super::kinds::Local;
use super::problem::{Problem, line_of};
use super::table::{Notes, Table, declared_paths};
use super::{adopted, archive, auth, backup, ca, consumers, etcd, paths, sections};
use crate::core::desired::{AuthoritySource, Cluster, Desired, Layout, Pinned, Places, Request, Runtime};

/// Reads the `text` of a cluster.toml.
///
/// `file` is its name as the user knows it, `folder` the absolute folder that relative paths start from, and `home` what
/// `~` stands for.
///
/// # Errors
/// Every problem of the text, in its order: what is not TOML, unknown and missing keys, wrong values, and values that
/// contradict each other.
pub fn parse(text: &str, file: &str, folder: &Path, home: Option<&Path>) -> Result<Desired, Vec<Problem>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let syntax: Vec<Problem> = errors.iter().map(syntax_problem).collect();
    let mut notes = Notes { problems: Vec::new(), complete: syntax.is_empty() };
    let mut root = Table::root(&document, &mut notes);
    let desired = read(&mut root, Local { folder, home });
    root.report_unknown();
    match desired {
        Some(desired) if notes.complete && notes.problems.is_empty() => {
            Ok(Desired { places: places(text, file, document.get_ref()), ..desired })
        }
        _ => Err(in_order(text, syntax, notes.problems)),
    }
}

/// The sections, in the order in which they need each other. `None` only after a problem was reported.
fn read(root: &mut Table, local: Local) -> Option<Desired> {
    let cluster = root.section("cluster", sections::cluster);
    let (nodes, given) = root.section("nodes", |table| sections::nodes(table, local));
    let ports = root.section("ports", sections::ports);
    let ssh = root.section("ssh", |table| sections::ssh(table, local));
    let (etcd, binaries) = root.section("etcd", |table| {
        (etcd::settings(table, cluster.version), table.section("archive", |table| archive::archive(table, local)))
    });
    let (paths, layout) = root.section("paths", |table| paths::paths(table, cluster.layout));
    let ca::Authorities { authority, previous_authority, authority_key, previous_key, reader } =
        root.section("ca", |table| ca::ca(table, local, &given, &paths));
    if etcd.image.is_some() && layout.runtime() != Runtime::StaticPod {
        let span = root.declares("etcd").unwrap_or_default();
        let problem = Problem::new(span, "`image` in [etcd] is for static pods only (`layout = \"kubeadm\"`)");
        root.report(problem.hint("[etcd.archive] says where the programs of a service come from: omit it"));
    }
    let binaries = adopted::check(root, layout, &nodes, (&authority, previous_authority.as_ref()), binaries);
    let certificates = root.section("certificates", |table| sections::certificates(table, layout));
    let enabled = root.section("auth", auth::enabled);
    let users = root.section("users", |table| auth::users(table, local));
    let roles = root.section("roles", auth::roles);
    let mut auth = auth::complete(root, enabled, users, roles);
    let consumers = root.section("consumers", |table| consumers::consumers(table, &nodes));
    let consumers = consumers::complete(root, consumers, &authority, auth.as_ref(), &paths.certificates);
    let names = nodes.keys().cloned().collect();
    let backup = root.section("backup", |table| backup::backup(table, &names, &paths));
    if let (Some(auth), Some(_)) = (&mut auth, &backup) {
        auth::add_backup(auth);
    }
    if let (AuthoritySource::External { .. }, Some(_)) = (&authority, &backup) {
        let problem =
            Problem::new(root.declares("backup").unwrap_or_default(), "[backup] needs a CA that quorate can sign with");
        let hint = "quorate issues the client certificate for snapshots itself; with `source = \"external\"`, use \
                    `quorate export backup-cronjob` instead";
        root.report(problem.label("a client certificate of its own").hint(hint));
    }
    let cluster = Cluster {
        name: cluster.name?,
        version: cluster.version?,
        // Where its own files are, [paths] says.
        layout: if layout.is_adopted() { layout } else { Layout::Default },
        runtime: layout.runtime(),
        downtime: cluster.downtime,
    };
    let places = Places::default();
    let request = Request::default();
    Some(Desired {
        cluster,
        nodes,
        ports,
        ssh,
        etcd,
        binaries,
        authority,
        previous_authority,
        authority_key,
        previous_key,
        reader,
        certificates,
        auth,
        consumers,
        backup,
        paths,
        places,
        request,
        pinned: Pinned::default(),
    })
}

fn syntax_problem(error: &toml::de::Error) -> Problem {
    Problem::new(error.span().unwrap_or(0..0), format!("invalid TOML: {}", error.message().trim_end()))
}

/// All problems by place. What a broken line seems to say is not reported: it was not read as it was meant.
fn in_order(text: &str, syntax: Vec<Problem>, mut problems: Vec<Problem>) -> Vec<Problem> {
    let line = |problem: &Problem| line_of(text, problem.span.start);
    let broken: Vec<usize> = syntax.iter().map(line).collect();
    problems.retain(|problem| !broken.contains(&line(problem)));
    problems.extend(syntax);
    problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
    problems
}

fn places(text: &str, file: &str, document: &DeTable) -> Places {
    let mut found = Vec::new();
    declared_paths(document, "", &mut found);
    let lines = found.into_iter().map(|(path, offset)| (path, line_of(text, offset))).collect();
    Places { file: file.to_owned(), lines }
}
