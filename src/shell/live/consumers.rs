//! The consumers of the cluster: their files looked at, one question a host. What is wrong with them, the core says.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::hosts::Hosts;
use super::pki::{self, KnownAuthority};
use crate::core::code::Code;
use crate::core::desired::Consumer;
use crate::core::names::{ConsumerName, Digest, HostName, RemotePath};
use crate::core::observed::{Access, Cause, ConsumerFiles, Seen};

const SCRIPT: &str = include_str!("script/consumer-look.sh");

pub(super) async fn look(hosts: &Hosts, known: &[KnownAuthority]) -> BTreeMap<ConsumerName, Seen<ConsumerFiles>> {
    let mut by_host: BTreeMap<&HostName, Vec<(&ConsumerName, &Consumer)>> = BTreeMap::new();
    for (name, consumer) in &hosts.desired.consumers {
        by_host.entry(&consumer.host).or_default().push((name, consumer));
    }
    let looks = by_host.into_iter().map(|(host, consumers)| async move {
        let said = ask(hosts, host, &consumers).await;
        let seen = |(name, consumer): (&ConsumerName, &Consumer)| {
            let files = said.clone().and_then(|said| read(host, consumer, &said, known));
            (name.clone(), files.map_or_else(Seen::Unknown, Seen::Known))
        };
        consumers.into_iter().map(seen).collect::<Vec<_>>()
    });
    futures_util::future::join_all(looks).await.into_iter().flatten().collect()
}

/// What says on the host that a consumer was not told of its new files yet.
pub(super) fn due_marker(consumer: &Consumer) -> RemotePath {
    RemotePath::new(format!("{}.reload-due", consumer.certificate))
}

async fn ask(hosts: &Hosts, host: &HostName, consumers: &[(&ConsumerName, &Consumer)]) -> Result<String, Cause> {
    let remote = hosts.on(host).await?;
    let mut words = Vec::new();
    for (_, consumer) in consumers {
        let files = [("file", Some(&consumer.certificate)), ("key", Some(&consumer.key))];
        for (kind, path) in files.into_iter().chain([("file", consumer.authority.as_ref())]) {
            words.extend(path.map(|path| [kind.to_owned(), path.to_string()]).into_iter().flatten());
        }
        words.extend(["due".to_owned(), due_marker(consumer).to_string()]);
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let what = "looking at the files of consumers";
    let said = remote.ask(what, SCRIPT, &words).await;
    let (_, said) = match said {
        Ok(said) => said,
        Err(failure) => {
            hosts.disconnect(host).await;
            return Err(unusable(&failure.to_string()));
        }
    };
    let whole = said.strip_suffix("quorate-end\n").map(str::to_owned);
    whole.ok_or_else(|| unusable(&format!("{what} on {host} failed: {}", said.trim_end())))
}

fn unusable(what: &str) -> Cause {
    let hint = "the look needs GNU coreutils and a POSIX sh on the host, and root's rights";
    Cause { code: Code::ProbeFailed, summary: what.to_owned(), hint: Some(hint.to_owned()) }
}

fn read(host: &HostName, consumer: &Consumer, said: &str, known: &[KnownAuthority]) -> Result<ConsumerFiles, Cause> {
    let mut files = ConsumerFiles::default();
    let mut pem = None;
    let mut point = None;
    let due = due_marker(consumer);
    for line in said.lines() {
        let unreadable = || unusable(&format!("what {host} said of its consumers' files cannot be read: {line:.80}"));
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["due", path] => files.reload_due |= path == due.as_str(),
            [kind, path, mode, owner, group, content] => {
                let access = Access::new(mode, owner, group);
                let text = || STANDARD.decode(content).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                if kind == "key" && path == consumer.key.as_str() {
                    point = Some(content.parse::<Digest>().map_err(|_| unreadable())?);
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
    files.certificate = pem.and_then(|pem| pki::certificate_facts(&pem, point, known));
    Ok(files)
}
