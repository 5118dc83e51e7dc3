//! What `quorate doctor` looks at, each thing by a script of its own: all of them run at the same time.

use std::collections::BTreeMap;

use super::section::{Lines, Section, Subject};
use super::{Trouble, begun, section};
use crate::core::names::HostName;
use crate::core::observed::Seen;
use crate::core::observed::checkup::{ClockSync, Complaint, Disk, Names, Network, Way};
use crate::shell::live::probe::{Asked, ask};
use crate::shell::live::remote::Remote;

mod clock;
mod disk;
mod journal;
mod names;
mod network;
mod ways;

/// The host's own resolver.
pub async fn names(remote: &Remote, of: &Subject<'_>) -> Seen<Names> {
    look::<names::Look>(remote, of, "names").await
}

pub async fn clock(remote: &Remote, of: &Subject<'_>) -> Seen<ClockSync> {
    look::<clock::Look>(remote, of, "clock").await
}

pub async fn network(remote: &Remote, of: &Subject<'_>) -> Seen<Network> {
    look::<network::Look>(remote, of, "network").await
}

/// The file system of the data directory. With `measured`, by a scratch file in it, also how long it takes to sync.
pub async fn disk(remote: &Remote, of: &Subject<'_>, measured: bool) -> Seen<Disk> {
    if measured {
        look::<disk::Look<true>>(remote, of, "disk").await
    } else {
        look::<disk::Look<false>>(remote, of, "disk").await
    }
}

/// From the host to the ports of the others.
pub async fn ways(remote: &Remote, of: &Subject<'_>) -> Seen<BTreeMap<(HostName, u16), Way>> {
    look::<ways::Look>(remote, of, "ways").await
}

/// What etcd has complained of lately.
pub async fn journal(remote: &Remote, of: &Subject<'_>) -> Seen<Vec<Complaint>> {
    look::<journal::Look>(remote, of, "journal").await
}

async fn look<S: Section>(remote: &Remote, of: &Subject<'_>, name: &'static str) -> Seen<S::Fact> {
    let lines = Lines::of::<S>(name);
    let script = section::script(of, std::iter::once(&lines)).expect("each of these has something to look at");
    match ask(remote, &script, |said| S::read(of, &begun(said)?)).await {
        Ok(Asked { said, .. }) => Seen::Known(said),
        Err(error) => Seen::Unknown(error.cause(&remote.host, &format!("looking at its {name}"))),
    }
}

fn unreadable(line: &str) -> Trouble {
    Trouble::Unreadable(format!("its answer is unreadable: {line:?}"))
}

#[cfg(test)]
mod tests;
