//! The authority that lies on the nodes: what their looks have told of it, and its key kept in memory alone.
//!
//! What a node says of its key is the SHA-256 of the file. The key itself is read from the first node that has it beside
//! its certificate, and from another one only when that one's file is not the same.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use zeroize::Zeroizing;

use crate::core::code::Code;
use crate::core::desired::AuthoritySource;
use crate::core::names::{Digest, HostName, RemotePath, UnixSeconds};
use crate::core::observed::{Cause, Held};
use crate::shell::live::cause;
use crate::shell::live::hosts::Hosts;
use crate::shell::live::pki::{self, LoadedCa};
use crate::shell::live::probe::{self, AuthorityLying, Subject, Trouble};
use crate::shell::live::remote::{self, Unrun};

/// What the nodes said when they were looked at last.
#[derive(Default)]
pub(super) struct Nodes {
    looked: tokio::sync::Mutex<Option<Looked>>,
}

struct Looked {
    found: Result<Option<Found>, Cause>,
    ca_keys: BTreeMap<HostName, Held>,
}

/// The pair, from the first node that has it.
#[derive(Clone)]
pub(super) struct Found {
    host: HostName,
    pub certificate: String,
    pub key: Zeroizing<Vec<u8>>,
    digest: String,
}

/// What each declared node has said, or why it has not.
pub(super) type Said = BTreeMap<HostName, Result<AuthorityLying, Cause>>;

const READ: &str = include_str!("script/ca-key-read.sh");
const READ_TAKES: Duration = Duration::from_secs(20);

impl Nodes {
    /// Takes in what every declared node has said.
    pub async fn learn(&self, hosts: &Hosts, said: Said, at: UnixSeconds) {
        let AuthoritySource::Node { key, .. } = &hosts.desired.authority else { return };
        let mut looked = self.looked.lock().await;
        let before = looked.take().and_then(|looked| looked.found.ok().flatten());
        *looked = Some(learnt(hosts, key, said, before, at).await);
    }

    pub async fn ca_keys(&self) -> BTreeMap<HostName, Held> {
        self.looked.lock().await.as_ref().map(|looked| looked.ca_keys.clone()).unwrap_or_default()
    }

    /// The pair as it was seen last; looks for it alone when nobody has yet.
    pub async fn found(&self, hosts: &Hosts, at: UnixSeconds) -> Result<Option<Found>, Cause> {
        if let Some(looked) = self.looked.lock().await.as_ref() {
            return looked.found.clone();
        }
        let looks = hosts.desired.nodes.keys().map(async |host| (host.clone(), ask(hosts, host).await));
        self.learn(hosts, join_all(looks).await.into_iter().collect(), at).await;
        let looked = self.looked.lock().await;
        looked.as_ref().map_or(Ok(None), |looked| looked.found.clone())
    }

    pub async fn ca(&self, hosts: &Hosts, at: UnixSeconds) -> Result<Option<LoadedCa>, Cause> {
        match self.found(hosts, at).await? {
            None => Ok(None),
            Some(found) => found.signer(hosts, at).map(|signer| Some(LoadedCa::Signer(signer))),
        }
    }
}

impl Found {
    fn signer(&self, hosts: &Hosts, at: UnixSeconds) -> Result<pki::Signer, Cause> {
        let AuthoritySource::Node { certificate, key } = &hosts.desired.authority else {
            return Err(Cause::interrupted(Code::AuthorityUnreadable, "reading the CA"));
        };
        let place = |path: &RemotePath| PathBuf::from(format!("{}:{path}", self.host));
        pki::assemble_text(&self.certificate, &place(certificate), &self.key, &place(key), at)
    }
}

async fn learnt(hosts: &Hosts, key: &RemotePath, said: Said, before: Option<Found>, at: UnixSeconds) -> Looked {
    let mut unseen = None;
    let mut nodes = Vec::new();
    for (name, lying) in &said {
        match lying {
            Ok(lying) => nodes.push((name, lying)),
            Err(why) => unseen = unseen.or(Some((name, why))),
        }
    }
    let mut keys = Keys { hosts, path: key, before };
    let held =
        |lying: &AuthorityLying| lying.key.as_ref().map_or(Held::Nothing, |(_, access)| Held::Key(access.clone()));
    let ca_keys = nodes.iter().map(|(name, lying)| ((*name).clone(), held(lying))).collect();
    let found = match keys.first(&nodes, at).await {
        Ok(None) => match unseen {
            Some((name, why)) => Err(nobody(key, name, why)),
            None => Ok(None),
        },
        found => found,
    };
    Looked { found, ca_keys }
}

/// What was read of keys, and how more are.
struct Keys<'a> {
    hosts: &'a Hosts,
    path: &'a RemotePath,
    before: Option<Found>,
}

impl Keys<'_> {
    /// The first pair, if all nodes that have a key have the same.
    async fn first(&mut self, nodes: &[(&HostName, &AuthorityLying)], at: UnixSeconds) -> Result<Option<Found>, Cause> {
        let with_keys = nodes.iter().filter_map(|(name, lying)| Some((*name, lying.key.as_ref()?, &lying.certificate)));
        let mut found: Option<Found> = None;
        for (name, (digest, _), certificate) in with_keys.clone() {
            let (None, Some(certificate)) = (&found, certificate) else { continue };
            let key = self.read(name, digest).await?;
            let pair = Found { host: name.clone(), certificate: certificate.clone(), key, digest: digest.clone() };
            // That the two belong together is checked here.
            pair.signer(self.hosts, at)?;
            found = Some(pair);
        }
        let Some(found) = found else { return Ok(None) };
        for (name, (digest, _), _) in with_keys {
            if *digest != found.digest && !pki::is_same_key(&self.read(name, digest).await?, &found.key) {
                let what = format!("{} and {name} have different CA keys ({})", found.host, self.path);
                let hint =
                    "keep the one that signed the members' certificates, and move the other ca.key and ca.crt away";
                return Err(Cause { code: Code::AuthorityDiffers, summary: what, hint: Some(hint.to_owned()) });
            }
        }
        Ok(Some(found))
    }

    async fn read(&self, host: &HostName, digest: &str) -> Result<Zeroizing<Vec<u8>>, Cause> {
        if let Some(before) = self.before.as_ref().filter(|before| before.digest == *digest) {
            return Ok(before.key.clone());
        }
        let remote = self.hosts.on(host).await?;
        let script = remote::with_arguments(READ, [self.path.as_str()]);
        let what = "reading the CA key";
        let output = remote.exec(what, &script, Vec::new(), READ_TAKES).await;
        let key = Zeroizing::new(output.map_err(|unrun| unrun.cause(host, what))?.stdout);
        // Between the two looks it may have been replaced.
        match Digest::of(&key).to_string() == *digest {
            true => Ok(key),
            false => Err(Cause {
                code: Code::ProbeFailed,
                summary: format!("{} of {host} could not be read", self.path),
                hint: Some("run again when the program that writes it has finished".to_owned()),
            }),
        }
    }
}

fn nobody(key: &RemotePath, unseen: &HostName, why: &Cause) -> Cause {
    Cause {
        code: why.code,
        summary: format!("no reachable node has the CA key ({key}), and {}", why.summary),
        hint: Some(format!("bring {unseen} back, or restore ca.crt and ca.key from your backup on another node")),
    }
}

/// A look at the authority alone.
async fn ask(hosts: &Hosts, host: &HostName) -> Result<AuthorityLying, Cause> {
    let remote = hosts.on(host).await?;
    let of = Subject { desired: &hosts.desired, host };
    let Some(script) = probe::script_of_authority(&of) else { return Ok(AuthorityLying::default()) };
    match probe::ask(&remote, &script, |said| probe::parse_authority(&of, said)).await {
        Ok(asked) => Ok(asked.said),
        Err(Unrun::Ssh(error)) => Err(cause::of_ssh(host, &error)),
        Err(Unrun::Cause(cause)) => Err(cause),
    }
}

/// Why what a node says of the authority cannot be relied on.
pub(super) fn unreadable(host: &HostName, trouble: &Trouble) -> Cause {
    Cause {
        code: Code::ProbeFailed,
        summary: format!("{host} is reachable, but {trouble}"),
        hint: Some("this needs a POSIX sh and coreutils on the host".to_owned()),
    }
}
