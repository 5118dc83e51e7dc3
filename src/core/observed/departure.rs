//! The note of members that leave, which lies on the hosts of those that stay.

use std::fmt::Write as _;

use crate::core::names::{HostName, PeerUrl};

/// A member that is leaving, as the note on the other hosts has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Departure {
    pub name: HostName,
    pub peer_url: PeerUrl,
}

pub const DEPARTURES: &str = "# Members that quorate takes out, until nothing of them is left on their hosts.\n";

pub fn departures<'a>(departures: impl IntoIterator<Item = &'a Departure>) -> String {
    let mut text = DEPARTURES.to_owned();
    for Departure { name, peer_url } in departures {
        writeln!(text, "{name} {peer_url}").expect("a String takes every write");
    }
    text
}

/// What a note says; lines that are none of ours are left out.
pub fn read_departures(text: &str) -> impl Iterator<Item = Departure> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let (name, url) = line.split_once(' ')?;
        let usable = url.starts_with("https://") && url.bytes().all(|byte| byte.is_ascii_graphic());
        usable.then(|| Departure { name: HostName::new(name), peer_url: PeerUrl::new(url) })
    })
}
