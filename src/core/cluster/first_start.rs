//! What the file with a member's settings is to say, with those that only a first start reads.

use crate::core::cluster::situation::Situation;
use crate::core::cluster::standing::Standing;
use crate::core::cluster::view::View;
use crate::core::cluster::{joining, restoration};
use crate::core::content::form::Unreadable;
use crate::core::content::{self, Initial, adopted};
use crate::core::desired::Desired;
use crate::core::names::{HostName, Token};
use crate::core::observed::{DataDirectory, File, Host};

/// The text of etcd.yaml; `None` where nobody knows it yet.
pub fn etcd_yaml(view: &View, name: &HostName, host: &Host) -> Option<String> {
    Some(content::etcd_yaml(view.desired, name, &initial(view, name, host)?))
}

/// The text of somebody else's file of settings, in the place of `before`: with what is declared, and, where the member
/// joins, what its first start reads. As it is where it joins and its turn has not come.
///
/// # Errors
/// What cannot be changed in it without a guess.
pub fn settings(desired: &Desired, joining: &Joining, before: &str) -> Result<String, Unreadable> {
    match joining {
        Joining::Now(initial) => adopted::text_of_newcomer(desired, before, initial),
        Joining::Waits => Ok(before.to_owned()),
        Joining::Not => adopted::text(desired, before),
    }
}

/// Whether the settings are on the host as they are to be; also where they are not to be written yet.
pub fn is_written(view: &View, name: &HostName, host: &Host) -> bool {
    if view.desired.cluster.layout.is_adopted() {
        let joining = joining(view, name, host);
        let is_so = |before| settings(view.desired, &joining, before).as_deref() == Ok(before);
        return host.text_of(File::Settings).is_some_and(is_so);
    }
    etcd_yaml(view, name, host).is_none_or(|text| host.text_of(File::Config) == Some(text.as_str()))
}

/// The token of this life of the cluster: the one that a cut-off start has left on a host, else the one that was shown, else
/// a new one.
///
/// Of two that were left, the later wins: it sorts last, being made from the time.
pub fn token(view: &View) -> Token {
    if let Some(restoration) = restoration::under_way(view.desired, view.observed) {
        return restoration.token;
    }
    let left =
        view.observed.seen_hosts().filter_map(|(_, host)| content::token_of_marker(host.text_of(File::NewDataMarker)?));
    left.max()
        .or_else(|| view.desired.pinned.token.clone())
        .unwrap_or_else(|| Token::new(format!("{}-{}", view.desired.cluster.name, view.observed.at.0)))
}

/// The lines that only a first start reads: as they are on a host that has data, as the member list has it on one that
/// joins, as declared on one that begins. `None` for a newcomer whose turn has not come: until then nobody knows the list.
fn initial(view: &View, name: &HostName, host: &Host) -> Option<Initial> {
    if view.situation == Situation::New {
        return Some(Initial::new_cluster(view.desired, token(view)));
    }
    match joining(view, name, host) {
        Joining::Now(initial) => return Some(initial),
        Joining::Waits => return None,
        Joining::Not => {}
    }
    if let (true, Some(token)) = (begins(host), host.text_of(File::NewDataMarker).and_then(content::token_of_marker)) {
        return Some(Initial::new_cluster(view.desired, token));
    }
    Some(host.text_of(File::Config).and_then(Initial::read).unwrap_or_else(|| Initial::member(view.desired)))
}

/// Whether the next start of a host is the first one of a member that joins.
pub enum Joining {
    /// With these settings.
    Now(Initial),
    /// For its turn: until then nobody knows the list.
    Waits,
    Not,
}

pub fn joining(view: &View, name: &HostName, host: &Host) -> Joining {
    let Some(membership) = view.membership() else { return Joining::Not };
    // In the place of one that has failed, another joins at the same address.
    let is_failed = matches!(view.standing(name), Some(Standing::Failed(_)));
    let joins = is_failed || membership.member_of(name).is_none_or(|member| member.entry.name.is_none());
    if !joins || !begins(host) {
        return Joining::Not;
    }
    match membership.member_of(name).is_some() || joining::candidate(view) == Some(name) {
        true => Joining::Now(Initial::joining(view.desired, &joining::members_with(view.desired, membership, name))),
        false => Joining::Waits,
    }
}

/// etcd reads the lines of a first start where it finds no log, also where a start was cut off before there was one.
fn begins(host: &Host) -> bool {
    matches!(host.data, DataDirectory::Empty | DataDirectory::NoLog)
}
