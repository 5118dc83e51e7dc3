//! `[paths.names]`: what the files of certificates are called on the hosts.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use super::problem::Problem;
use super::table::Table;
use super::value::Value;
use crate::core::desired::Layout;
use crate::core::observed::File;

/// `names`: the key of each file in `certificates`, and what it is called without it. The pairs that each member has of its
/// own may have its name in theirs.
pub(super) const NAMES: [(&str, File, &str); 9] = [
    ("ca", File::Trust, "ca.crt"),
    ("server", File::ServerCertificate, "server.crt"),
    ("server-key", File::ServerKey, "server.key"),
    ("peer", File::PeerCertificate, "peer.crt"),
    ("peer-key", File::PeerKey, "peer.key"),
    ("healthcheck-client", File::HealthcheckCertificate, "healthcheck-client.crt"),
    ("healthcheck-client-key", File::HealthcheckKey, "healthcheck-client.key"),
    ("backup-client", File::BackupCertificate, "backup-client.crt"),
    ("backup-client-key", File::BackupKey, "backup-client.key"),
];

const PLACEHOLDERS: [&str; 2] = ["{member}", "{host}"];

pub(super) fn file_names(table: &mut Table, layout: Layout) -> BTreeMap<File, String> {
    let mut names = BTreeMap::new();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for (key, file, usual) in NAMES {
        let declared = table.get_spanned(key, |value| file_name(value, is_of_a_member(file)));
        let name = declared.as_ref().map_or(usual, |name| name.get_ref().as_str()).to_owned();
        // Others give both ports one pair.
        let is_shared = layout.is_adopted() && matches!(file, File::PeerCertificate | File::PeerKey);
        if !taken.insert(name.clone()) && !is_shared {
            let span = declared.as_ref().map_or(table.span(), Spanned::span);
            let problem = Problem::new(span, format!("two files are called {name:?}"));
            table.report(problem.hint("each file in `certificates` needs a name of its own"));
        }
        if name != usual {
            names.insert(file, name);
        }
    }
    names
}

fn is_of_a_member(file: File) -> bool {
    matches!(file, File::ServerCertificate | File::ServerKey | File::PeerCertificate | File::PeerKey)
}

/// The name of a file in a folder, with placeholders where it may be another one on each host.
fn file_name(value: &Value, may_differ: bool) -> Result<String, Problem> {
    let text = value.text()?;
    let bare = PLACEHOLDERS.iter().fold(text.to_owned(), |text, placeholder| text.replace(placeholder, ""));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !text.starts_with('.') && !text.starts_with('-') && !text.is_empty() && bare.bytes().all(plain) {
        return match may_differ || bare == text {
            true => Ok(text.to_owned()),
            false => Err(value
                .problem(format!("`{}` is the same file on every host", value.key()))
                .hint("only `server`, `server-key`, `peer` and `peer-key` take {member} and {host}")),
        };
    }
    let problem = value.problem(format!("{text:?} is not a valid file name"));
    Err(problem.hint(
        "letters, digits, `-`, `_` and `.`, in the folder `certificates`; {member} is the node's name, {host} its host",
    ))
}
