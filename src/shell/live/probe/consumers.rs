//! The files of the consumers on a host. What is wrong with them, the core says.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::section::{Section, Subject, Words};
use super::{Answer, Leaf, Trouble};
use crate::core::content::layout;
use crate::core::desired::Consumer;
use crate::core::names::{ConsumerName, Digest, RemotePath};
use crate::core::observed::{Access, ConsumerFiles, Lacking};
use crate::shell::live::pki::{self, KnownAuthority};

pub(super) struct Look;

/// What lies there of one consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct Lying {
    /// Without its certificate.
    files: ConsumerFiles,
    leaf: Option<Leaf>,
}

impl Lying {
    /// By whom its certificate is signed is told by `known`.
    pub fn recognised(self, known: &[KnownAuthority]) -> ConsumerFiles {
        ConsumerFiles { certificate: self.leaf.and_then(|leaf| leaf.recognised(known)), ..self.files }
    }
}

impl Section for Look {
    /// None where none is declared. What cannot be read of one keeps nothing else from being seen.
    type Fact = BTreeMap<ConsumerName, Result<Lying, Trouble>>;

    const SHELL: &'static str = include_str!("consumers.sh");

    const NEEDS: &'static [&'static str] = &["base64", "getent", "sed", "sha256sum", "stat", "tail"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let words: Vec<_> = on(of).flat_map(|(_, consumer)| pairs(consumer)).collect();
        (!words.is_empty()).then(|| vec![("q_consumers", words.join(" "))])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<BTreeMap<ConsumerName, Result<Lying, Trouble>>, Trouble> {
        let lying = |(name, consumer): (&ConsumerName, &Consumer)| (name.clone(), lying(consumer, answer));
        Ok(on(of).map(lying).collect())
    }
}

fn on<'a>(of: &Subject<'a>) -> impl Iterator<Item = (&'a ConsumerName, &'a Consumer)> + use<'a> {
    let host = of.host;
    of.desired.consumers.iter().filter(move |(_, consumer)| consumer.host == *host)
}

/// A kind and a path for each file: `file`, `key`, and `due`, which says that a reload is due; and who they belong to.
fn pairs(consumer: &Consumer) -> Vec<String> {
    let mut words = Vec::new();
    let files = [("file", Some(&consumer.certificate)), ("key", Some(&consumer.key))];
    for (kind, path) in files.into_iter().chain([("file", consumer.authority.as_ref())]) {
        words.extend(path.map(|path| [kind.to_owned(), path.to_string()]).into_iter().flatten());
    }
    words.extend(["due".to_owned(), layout::reload_due(consumer).to_string()]);
    words.extend(["account".to_owned(), consumer.owner.clone(), "group".to_owned(), consumer.group.clone()]);
    words
}

/// The folder at `path`, if one of the consumer's files is to be in it.
fn lacks_folder(consumer: &Consumer, path: &str) -> Option<Lacking> {
    let files = [Some(&consumer.certificate), Some(&consumer.key), consumer.authority.as_ref()];
    let is_in = |file: &RemotePath| file.as_str().rsplit_once('/').is_some_and(|(folder, _)| folder == path);
    files.into_iter().flatten().any(is_in).then(|| Lacking::Folder(RemotePath::new(path)))
}

fn lying(consumer: &Consumer, answer: &Answer<'_>) -> Result<Lying, Trouble> {
    if !answer.has("consumers") {
        return Err(Trouble::Unreadable("the answer lacks the consumers' files".to_owned()));
    }
    let mut files = ConsumerFiles::default();
    let mut pem = None;
    let mut key = None;
    let due = layout::reload_due(consumer);
    for line in answer.lines("consumers") {
        let unreadable =
            || Trouble::Unreadable(format!("its answer about the consumers' files is unreadable: {line:.80}"));
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["due", path] => files.reload_due |= path == due.as_str(),
            // What is not of this one is of another on the same host.
            ["lacks", "folder", path] => files.lacks.extend(lacks_folder(consumer, path)),
            ["lacks", "account", name] if name == consumer.owner => {
                files.lacks.insert(Lacking::Account(name.to_owned()));
            }
            ["lacks", "group", name] if name == consumer.group => {
                files.lacks.insert(Lacking::Group(name.to_owned()));
            }
            ["lacks", _, _] => {}
            [kind, path, mode, owner, group, content] => {
                let access = Access::new(mode, owner, group);
                let text = || STANDARD.decode(content).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                if kind == "key" && path == consumer.key.as_str() {
                    key = Some(content.parse::<Digest>().map_err(|_| unreadable())?);
                    files.key_access = Some(access);
                } else if path == consumer.certificate.as_str() {
                    pem = Some(text().map_err(|_| unreadable())?);
                    files.certificate_access = Some(access);
                } else if consumer.authority.as_ref().is_some_and(|authority| path == authority.as_str()) {
                    files.trusted = pki::trusted(&text().map_err(|_| unreadable())?);
                    files.authority_access = Some(access);
                }
            }
            _ => return Err(unreadable()),
        }
    }
    Ok(Lying { files, leaf: pem.map(|pem| Leaf { pem, key }) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::desired::read;

    #[test]
    fn what_its_files_need_and_is_not_there_is_seen() {
        let text = "[cluster]\nname = \"lab\"\nversion = \"3.5.30\"\n[nodes.etcd-1]\naddress = \"10.0.0.1\"\n\
                    [users.app]\nprefix = \"/app/\"\n[auth]\nenabled = true\n[consumers.app]\nuser = \"app\"\n\
                    host = \"etcd-1\"\ncertificate = \"/srv/app/etcd.crt\"\nkey = \"/srv/app/etcd.key\"\nowner = \"app\"\n";
        let desired = read::parse(text, "cluster.toml", std::path::Path::new("/here"), None).expect("it is valid");
        let consumer = desired.consumers.values().next().expect("it is declared");
        let words = pairs(consumer).join(" ");
        assert!(
            words.starts_with("file /srv/app/etcd.crt key /srv/app/etcd.key due ") && words.contains(" account app "),
            "{words}"
        );
        let answer = "quorate-probe 1\n[consumers]\nlacks folder /srv/app\nlacks folder /srv/app\nlacks account app\n\
                      lacks folder /srv/other\nlacks group other\n[bodies]\n\n\nquorate-end\n";
        let answer = Answer::read(answer.as_bytes()).expect("it is an answer");
        let lying = lying(consumer, &answer).expect("it can be read");
        let expected = [Lacking::Folder(RemotePath::new("/srv/app")), Lacking::Account("app".to_owned())];
        assert_eq!(lying.files.lacks, expected.into());
    }
}
