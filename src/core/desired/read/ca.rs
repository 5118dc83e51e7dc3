//! `[ca]`: who signs the certificates, and the pairs that are given for each node when that is nobody we can ask.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::file_names::NAMES;
use super::kinds::{Local, remote_path};
use super::problem::Problem;
use super::table::Table;
use super::value::{Value, one_of};
use super::vault::{self, vault};
use crate::core::desired::{Age, AuthoritySource, KeyCare, Pair, Passphrase, Paths};
use crate::core::names::{HostName, RemotePath};
use crate::core::observed::{File, Role};

/// `[nodes.X.certificates]`, and where the node is declared.
pub(super) struct Given {
    /// The node's header.
    pub node: Range<usize>,
    /// The section's, if it is there.
    pub section: Option<Range<usize>>,
    pub pairs: BTreeMap<Role, Pair>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Generated,
    Files,
    External,
    Vault,
    Node,
}

const SOURCES: [(&str, Option<Source>); 5] = [
    ("generated", Some(Source::Generated)),
    ("files", Some(Source::Files)),
    ("external", Some(Source::External)),
    ("vault", Some(Source::Vault)),
    ("node", Some(Source::Node)),
];

/// Which of its keys belong to which source.
const KEYS: [(&str, &[Source]); 8] = [
    ("dir", &[Source::Generated]),
    ("certificate", &[Source::Files, Source::External, Source::Node]),
    ("key", &[Source::Files, Source::Node]),
    ("passphrase", &[Source::Generated, Source::Files]),
    ("age", &[Source::Generated, Source::Files]),
    ("reader", &[Source::Generated, Source::Files, Source::Vault]),
    ("client", &[Source::External]),
    ("client-key", &[Source::External]),
];

/// Who signs, and who did before.
pub(super) struct Authorities {
    pub authority: AuthoritySource,
    pub previous_authority: Option<AuthoritySource>,
    pub authority_key: KeyCare,
    pub previous_key: KeyCare,
    pub reader: Option<Pair>,
}

/// `paths` are those on the hosts.
pub(super) fn ca(table: &mut Table, local: Local, given: &BTreeMap<HostName, Given>, paths: &Paths) -> Authorities {
    let previous = table.section("previous", |table| {
        let span = table.is_present().then(|| table.span())?;
        Some((span, authority(table, local, &BTreeMap::new(), paths)))
    });
    let Declared { source: declared, key: authority_key, reader } = authority(table, local, given, paths);
    check_given(table, given, matches!(declared, AuthoritySource::External { .. }));
    let Some((span, Declared { source: previous, key: previous_key, reader: of_previous })) = previous else {
        let previous_key = KeyCare::default();
        return Authorities { authority: declared, previous_authority: None, authority_key, previous_key, reader };
    };
    if of_previous.is_some() {
        let problem = Problem::new(span.clone(), "[ca.previous] has a client certificate to look with");
        table.report(problem.hint("`reader` belongs to [ca], for both"));
    }
    let is_elsewhere =
        |source: &AuthoritySource| matches!(source, AuthoritySource::External { .. } | AuthoritySource::Node { .. });
    if is_elsewhere(&declared) || is_elsewhere(&previous) {
        let problem = Problem::new(span, "quorate cannot change the CA from or to this kind");
        table.report(problem.hint("[ca] and [ca.previous] must each be `generated`, `files` or `vault`"));
    } else if declared == previous {
        let problem = Problem::new(span, "[ca.previous] is the same CA as [ca]");
        table.report(problem.hint("it must name the certificate and key of the CA that the members trust now"));
    }
    Authorities { authority: declared, previous_authority: Some(previous), authority_key, previous_key, reader }
}

/// One of the two.
struct Declared {
    source: AuthoritySource,
    key: KeyCare,
    reader: Option<Pair>,
}

fn authority(table: &mut Table, local: Local, given: &BTreeMap<HostName, Given>, paths: &Paths) -> Declared {
    let source = table.get_spanned("source", one_of(&SOURCES));
    let word = source.as_ref().map_or("generated", |source| word(*source.get_ref()));
    let source = source.map_or(Source::Generated, Spanned::into_inner);
    let of_vault = vault::KEYS.map(|key| (key, &[Source::Vault][..]));
    for (key, sources) in KEYS.into_iter().chain(of_vault) {
        if let Some(span) = table.declares(key).filter(|_| !sources.contains(&source)) {
            let belongs: Vec<_> =
                sources.iter().map(|source| format!("`source = \"{}\"`", self::word(*source))).collect();
            let problem = Problem::new(span, format!("`{key}` has no meaning with `source = \"{word}\"`"));
            table.report(problem.hint(format!("it belongs to {}", belongs.join(" and "))));
        }
    }
    let folder = table.get("dir", |value| local.path(value));
    let path = |table: &mut Table, key: &'static str, example: &str, is_needed: bool| {
        let declared = if is_needed {
            table.require(key, example, |value| local.path(value))
        } else {
            table.get_spanned(key, |value| local.path(value))
        };
        declared.map(Spanned::into_inner).unwrap_or_default()
    };
    let (files, external) = (source == Source::Files, source == Source::External);
    // Those of `node` lie elsewhere.
    let (certificate, key) = match source {
        Source::Node => Default::default(),
        _ => {
            let certificate = path(table, "certificate", "\"ca.crt\"", files || external);
            (certificate, path(table, "key", "\"ca.key\"", files))
        }
    };
    let client = Pair {
        certificate: path(table, "client", "\"client.crt\"", external),
        key: path(table, "client-key", "\"client.key\"", external),
    };
    let reader = table.section("reader", |table| reader(table, local));
    let passphrase = table.section("passphrase", |table| passphrase(table, local));
    let age = table.section("age", |table| age(table, local));
    let key_care = KeyCare { passphrase, age };
    let vault = vault(table, local, source == Source::Vault);
    let source = match source {
        Source::Generated => AuthoritySource::Generated { folder: folder.unwrap_or_else(|| local.folder.join("pki")) },
        Source::Files => AuthoritySource::Files { pair: Pair { certificate, key } },
        Source::External => {
            let nodes = given.iter().map(|(name, given)| (name.clone(), given.pairs.clone())).collect();
            AuthoritySource::External { certificate, client, nodes }
        }
        Source::Node => node(table, paths),
        // What is missing was reported, and nothing is made of it then.
        Source::Vault => vault.map_or_else(
            || AuthoritySource::Generated { folder: local.folder.join("pki") },
            |vault| AuthoritySource::Vault(Box::new(vault)),
        ),
    };
    Declared { source, key: key_care, reader }
}

/// What begins with a dash would be an option of age.
fn recipient(value: &Value) -> Result<String, Problem> {
    let text = value.text()?;
    if ["age1", "ssh-"].iter().any(|start| text.starts_with(start)) && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    let problem = value.problem(format!("{text:?} is no recipient of age"));
    Err(problem.hint("recipients begin with `age1` or `ssh-`; `age-keygen -y FILE` shows that of an identity"))
}

/// `{ certificate = "…", key = "…" }`.
fn reader(table: &mut Table, local: Local) -> Option<Pair> {
    if !table.is_present() {
        return None;
    }
    let certificate = table.require("certificate", "\"reader.crt\"", |value| local.path(value));
    let key = table.require("key", "\"reader.key\"", |value| local.path(value));
    Some(Pair { certificate: certificate?.into_inner(), key: key?.into_inner() })
}

/// `{ recipients = ["age1…"], identity = "…" }`.
fn age(table: &mut Table, local: Local) -> Option<Age> {
    if !table.is_present() {
        return None;
    }
    let recipients = table.require("recipients", "[\"age1…\"]", |value| {
        let recipients = value.list()?.iter().map(recipient).collect::<Result<Vec<_>, _>>()?;
        match recipients.is_empty() {
            true => Err(value.problem("nobody could open the key")),
            false => Ok(recipients),
        }
    });
    let identity = table.require("identity", "\"~/.config/age/keys.txt\"", |value| local.path(value));
    Some(Age { recipients: recipients?.into_inner(), identity: identity?.into_inner() })
}

/// Where the authority's pair lies on every node.
fn node(table: &mut Table, paths: &Paths) -> AuthoritySource {
    let folder = &paths.certificates;
    let name =
        |(_, file, usual): &(_, File, &str)| (*file, folder.join(paths.names.get(file).map_or(*usual, String::as_str)));
    let named: BTreeMap<File, RemotePath> = NAMES.iter().map(name).collect();
    let certificate = table.get_spanned("certificate", remote_path);
    let key = table.get_spanned("key", remote_path);
    let certificate_path =
        certificate.as_ref().map_or_else(|| named[&File::Trust].clone(), |path| path.get_ref().clone());
    let key_path = key.as_ref().map_or_else(|| folder.join("ca.key"), |path| path.get_ref().clone());
    let span = key.or(certificate).map_or(table.span(), |path| path.span());
    // Where the pair lies is also where etcd may look for whom to trust.
    let is_taken =
        named.iter().any(|(file, path)| *path == key_path || *path == certificate_path && *file != File::Trust);
    let is_pair = certificate_path.parent() == key_path.parent() && certificate_path != key_path;
    if is_taken || !is_pair {
        let problem = Problem::new(span, "`certificate` and `key` must be two different files in the same directory");
        let trust = &named[&File::Trust];
        table.report(problem.hint(format!("the defaults are {trust} and {}", folder.join("ca.key"))));
    }
    AuthoritySource::Node { certificate: certificate_path, key: key_path }
}

fn word(source: Source) -> &'static str {
    SOURCES.iter().find(|(_, of)| *of == Some(source)).map_or("", |(word, _)| word)
}

/// `{ file = "…" }`, `{ env = "…" }` or `{ prompt = true }`: where the passphrase is, never the passphrase itself.
fn passphrase(table: &mut Table, local: Local) -> Option<Passphrase> {
    if !table.is_present() {
        return None;
    }
    let file = table.get("file", |value| local.path(value));
    let variable = table.get("env", |value| {
        let text = value.text()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if text.is_empty() || !text.bytes().all(plain) {
            return Err(value.problem(format!("{text:?} is not a valid environment variable name")));
        }
        Ok(text.to_owned())
    });
    let prompt = table.get("prompt", |value| match value.boolean()? {
        true => Ok(()),
        false => Err(value.problem("`prompt` must be true or omitted")),
    });
    let declared = ["file", "env", "prompt"].iter().filter(|key| table.declares(key).is_some()).count();
    if declared != 1 {
        let problem = Problem::new(table.span(), "the passphrase needs exactly one source");
        table.report(problem.hint("write one of { file = \"…\" }, { env = \"…\" } and { prompt = true }"));
    }
    file.map(Passphrase::File).or(variable.map(Passphrase::Environment)).or(prompt.map(|()| Passphrase::Prompt))
}

/// The pairs of one node.
pub(super) fn pairs(table: &mut Table, local: Local) -> BTreeMap<Role, Pair> {
    let mut pair = |role: Role, certificate: &'static str, key: &'static str, example: [&str; 2]| {
        if !table.is_present() {
            return None;
        }
        let certificate = table.require(certificate, example[0], |value| local.path(value));
        let key = table.require(key, example[1], |value| local.path(value));
        let pair = Pair { certificate: certificate?.into_inner(), key: key?.into_inner() };
        Some((role, pair))
    };
    let server = pair(Role::Server, "server", "server-key", ["\"server.crt\"", "\"server.key\""]);
    let peer = pair(Role::Peer, "peer", "peer-key", ["\"peer.crt\"", "\"peer.key\""]);
    server.into_iter().chain(peer).collect()
}

/// Every node has its pairs where nobody issues them, and none has where somebody does.
fn check_given(table: &mut Table, given: &BTreeMap<HostName, Given>, external: bool) {
    for (name, Given { node, section, .. }) in given {
        match section {
            None if external => {
                let problem = Problem::new(node.clone(), format!("{name} has no certificates"));
                table.report_missing(problem.hint(format!(
                    "with `source = \"external\"`, [nodes.{name}.certificates] needs `server`, `server-key`, `peer` \
                     and `peer-key`"
                )));
            }
            Some(section) if !external => {
                let problem = Problem::new(section.clone(), format!("the certificates of {name} are not used"));
                table.report(problem.hint("they are only used with `source = \"external\"` in [ca]"));
            }
            _ => {}
        }
    }
}
