//! The one look at a host: a script that only reads, made of sections, and the parser of its answer.
//!
//! The parser is pure and takes any bytes: a host may say anything. It reads a fact as absent only when the script has
//! said so; whatever it cannot make sense of is a [`Trouble`].
//!
//! A new thing to look at is a file here, `NAME.rs` beside `NAME.sh`, and its name in the list of sections below: its fact
//! must be taken up in [`parse`] then, or nothing compiles.

use std::collections::BTreeMap;
use std::fmt;

use crate::core::content;
use crate::core::names::{ConsumerName, Digest, UnixSeconds};
use crate::core::observed::{Certificate, File, Host, Process, Role, Seen, Service};
use crate::shell::live::pki::{self, KnownAuthority};

mod account;
mod answer;
mod ask;
mod authority;
pub mod checkup;
mod clients;
mod complaint;
mod consumers;
mod data;
mod elsewhere;
mod files;
mod host;
mod installed;
mod keys;
mod listeners;
mod loaded;
mod locations;
mod lock;
mod log;
mod others;
mod pod;
mod process;
mod pushed;
mod room;
mod scheduled;
mod section;
mod snapshots;
mod sources;
mod started_with;
mod tools;
mod unit;
mod v2store;

use answer::Answer;
pub use ask::{Asked, ask};
pub use authority::Lying as AuthorityLying;
pub use consumers::Lying as ConsumerLying;
use host::Machine;
pub use lock::Held as LockHeld;
pub(super) use others::runner;
pub use section::Subject;
use section::{Lines, Section};
pub use snapshots::{Saved, newest as newest_saved};
use sources::Sources;

macro_rules! sections {
    ($($name:ident)*) => {
        /// In the order in which they are looked at.
        const SECTIONS: &[Lines] = &[$(Lines::of::<$name::Look>(stringify!($name))),*];

        /// What all of them have told.
        struct Facts {
            $($name: <$name::Look as Section>::Fact,)*
        }

        impl Facts {
            fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Self, Trouble> {
                Ok(Self { $($name: $name::Look::read(of, answer)?,)* })
            }
        }
    };
}

// Later ones go on from what earlier ones have found; the bytes that `files` ends with come last.
sections! {
    host installed tools unit pod complaint process started_with data elsewhere loaded others v2store log listeners clients sources snapshots
    pushed scheduled keys account locations room authority lock consumers files
}

/// What one look has brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// The host's clock while it was looked at.
    pub now: UnixSeconds,
    /// What tells this machine, as it runs now, from every other one.
    pub identity: Option<String>,
    /// Where the running etcd listens, told only when that is not where it is declared to.
    pub own_ports: Vec<u16>,
    /// The snapshots that were saved there before changes, of whichever cluster.
    pub saved: Vec<Saved>,
    /// The authority that is declared to lie on nodes, where this is one.
    pub authority: Option<Result<AuthorityLying, Trouble>>,
    pub consumers: BTreeMap<ConsumerName, Result<ConsumerLying, Trouble>>,
    /// Who holds the lock of the host: perhaps this run itself.
    pub lock: Option<LockHeld>,
    /// Everything but what other questions answer: `clock_offset_seconds` is 0, `member` is `Known(None)`, and there are no
    /// certificates and no snapshots.
    pub host: Host,
    leaves: BTreeMap<Role, Leaf>,
    trust: Vec<KnownAuthority>,
}

/// A certificate before it is known who may have signed it.
#[derive(Debug, Clone, PartialEq)]
struct Leaf {
    pem: String,
    /// What the host says of the key beside it.
    key: Option<Digest>,
}

impl Leaf {
    fn recognised(&self, known: &[KnownAuthority]) -> Option<Certificate> {
        pki::certificate_facts(&self.pem, self.key, known)
    }
}

impl Sight {
    /// The host with its certificates, by whom they are signed: by one of `known`, or by one that the host itself trusts.
    pub fn recognised(self, known: &[KnownAuthority]) -> Host {
        let authorities: Vec<_> = known.iter().cloned().chain(self.trust).collect();
        let leaves = self.leaves.into_iter();
        let certificates = leaves.filter_map(|(role, leaf)| Some((role, leaf.recognised(&authorities)?)));
        Host { certificates: certificates.collect(), ..self.host }
    }
}

/// Why an answer says nothing that can be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The script did not run as root.
    NotRoot,
    /// A host that etcd cannot be kept on by us, and why.
    Unsupported(String),
    /// A file changed while it was read: looking again helps.
    Changed(String),
    /// The answer is cut off or is no answer at all.
    Unreadable(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot => f.write_str("the user is not root"),
            Self::Unsupported(what) => f.write_str(what),
            Self::Changed(path) => write!(f, "{path} changed while it was read"),
            Self::Unreadable(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Trouble {}

/// The script for a host that etcd runs on, or may.
pub fn script(of: &Subject<'_>) -> String {
    section::script(of, SECTIONS.iter()).expect("there is always something to look at on a host")
}

/// The script for a host that only has consumers, for [`parse_consumers`]; `None` where it has none.
pub fn script_of_consumers(of: &Subject<'_>) -> Option<String> {
    section::script(of, only("consumers"))
}

/// The script that looks at the authority on a node and at nothing else, for [`parse_authority`]; `None` where none lies.
pub fn script_of_authority(of: &Subject<'_>) -> Option<String> {
    section::script(of, only("authority"))
}

fn only(name: &'static str) -> impl Iterator<Item = &'static Lines> {
    SECTIONS.iter().filter(move |section| section.name == name)
}

/// Reads an answer to [`script`].
///
/// # Errors
/// When the answer says nothing that can be relied on. Parts that are missing are never read as facts.
pub fn parse(of: &Subject<'_>, bytes: &[u8]) -> Result<Sight, Trouble> {
    let answer = begun(bytes)?;
    let Facts {
        host: Machine { architecture, id, now },
        data,
        installed,
        tools,
        unit,
        pod,
        complaint,
        process,
        started_with,
        elsewhere,
        loaded,
        others,
        v2store,
        log,
        listeners,
        clients,
        sources: Sources { sources, lacks_address },
        snapshots,
        pushed,
        scheduled,
        keys,
        account,
        locations,
        room,
        authority,
        lock,
        consumers,
        files,
    } = Facts::read(of, &answer)?;
    let leaf = |(role, pem): (Role, String)| (role, Leaf { pem, key: keys.get(&role).copied() });
    let is_ours = [File::Unit, File::Config]
        .iter()
        .any(|file| files.files.get(file).and_then(|fact| fact.text.as_deref()).is_some_and(content::is_kept));
    let is_ours = is_ours || of.desired.cluster.layout.is_adopted();
    let (others, main_is_foreign) = others.foreign(is_ours);
    // What another's unit runs is none of ours, whatever that is called.
    let process = process.filter(|_| !main_is_foreign);
    // The shell of our unit, which becomes etcd, has its user already: what that listens on by now is ours.
    let uid = process::uid(&answer).filter(|_| !main_is_foreign);
    let host = Host {
        architecture,
        clock_offset_seconds: 0,
        account,
        folders: files.folders,
        files: files.files,
        certificates: BTreeMap::new(),
        trusted: files.trust.iter().filter(|one| !one.has_ended(now)).map(|one| one.fingerprint).collect(),
        installed,
        tools,
        service: Service { complaint, ..unit },
        kubelet: pod,
        clients,
        sources,
        lookups: BTreeMap::new(),
        taken_ports: listeners.others(uid),
        privileged_ports: listeners.privileged(of.desired.ports, uid),
        others,
        process: process.map(|process| Process { loaded, started_with, ..process }),
        data,
        data_elsewhere: elsewhere,
        locations,
        room,
        lacks_address,
        member: Seen::Known(None),
        snapshots: BTreeMap::new(),
        pushed,
        v2store,
        log_version: log,
        scheduled,
        lock: None,
    };
    Ok(Sight {
        now,
        identity: id,
        own_ports: listeners.own,
        saved: snapshots,
        authority,
        consumers,
        lock,
        host,
        leaves: files.certificates.into_iter().map(leaf).collect(),
        trust: files.trust,
    })
}

/// Reads an answer to [`script_of_consumers`].
///
/// # Errors
/// As [`parse`].
pub fn parse_consumers(
    of: &Subject<'_>,
    bytes: &[u8],
) -> Result<BTreeMap<ConsumerName, Result<ConsumerLying, Trouble>>, Trouble> {
    consumers::Look::read(of, &begun(bytes)?)
}

/// Reads an answer to [`script_of_authority`].
///
/// # Errors
/// As [`parse`].
pub fn parse_authority(of: &Subject<'_>, bytes: &[u8]) -> Result<AuthorityLying, Trouble> {
    authority::Look::read(of, &begun(bytes)?)?.unwrap_or_else(|| Err(missing("the state of the CA files")))
}

/// An answer that the script has begun as root, with all programs that it needs.
fn begun(bytes: &[u8]) -> Result<Answer<'_>, Trouble> {
    let answer = Answer::read(bytes)?;
    if answer.has("not-root") {
        return Err(Trouble::NotRoot);
    }
    if let Some(program) = answer.lines("missing").next() {
        return Err(Trouble::Unsupported(format!("it has no {program}")));
    }
    Ok(answer)
}

fn missing(what: &str) -> Trouble {
    Trouble::Unreadable(format!("the answer lacks {what}"))
}

#[cfg(test)]
mod tests;
