//! What the file with a member's settings is to say, with those that only a first start reads.

use crate::core::cluster::situation::Situation;
use crate::core::cluster::standing::Standing;
use crate::core::cluster::view::View;
use crate::core::cluster::{bare, joining, restoration, setup};
use crate::core::content::form::Unreadable;
use crate::core::content::{self, Initial, adopted, kubeadm};
use crate::core::desired::Desired;
use crate::core::names::{HostName, Token};
use crate::core::observed::{File, Host};

/// The text of etcd.yaml; `None` where nobody knows it yet.
pub fn etcd_yaml(view: &View, name: &HostName, host: &Host) -> Option<String> {
    Some(content::etcd_yaml(view.desired, name, &initial(view, name, host)?))
}

/// The text of somebody else's file of settings, in the place of `before`: with what is declared, and, where the member
/// begins or joins, what its first start reads. As it is where it joins and its turn has not come.
///
/// # Errors
/// What cannot be changed in it without a guess.
pub fn settings(desired: &Desired, first: &FirstStart, before: &str) -> Result<String, Unreadable> {
    match first {
        FirstStart::Now(initial) => adopted::text_of_newcomer(desired, before, initial),
        FirstStart::Waits => Ok(before.to_owned()),
        FirstStart::Not => adopted::text(desired, before),
    }
}

/// The text that is changed for that where a host has none yet: as the other members have it, or the first ones of a cluster;
/// `None` where somebody else writes it.
///
/// # Errors
/// What in that of another member would be that member's still.
pub fn model(view: &View, name: &HostName, host: &Host) -> Option<Result<String, Unreadable>> {
    if !setup::is_here(view, name, host) {
        return None;
    }
    let Some((of, model)) = bare::example(view.observed, name) else {
        let (desired, version) = (view.desired, view.desired.cluster.version);
        return Some(Ok(kubeadm::manifest(desired, name, version, &kubeadm::image(desired))));
    };
    Some(adopted::text_of_another(view.desired, model, (of, name)))
}

/// Whether the settings are on the host as they are to be; also where they are not to be written yet.
pub fn is_written(view: &View, name: &HostName, host: &Host) -> bool {
    if view.desired.cluster.layout.is_adopted() {
        let first = first_start(view, name, host);
        let is_so = |before| settings(view.desired, &first, before).as_deref() == Ok(before);
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
    match first_start(view, name, host) {
        FirstStart::Now(initial) => return Some(initial),
        FirstStart::Waits => return None,
        FirstStart::Not => {}
    }
    if let (true, Some(token)) =
        (setup::begins(host), host.text_of(File::NewDataMarker).and_then(content::token_of_marker))
    {
        return Some(Initial::new_cluster(view.desired, token));
    }
    Some(host.text_of(File::Config).and_then(Initial::read).unwrap_or_else(|| Initial::member(view.desired)))
}

/// Whether the next start of a host is the first one of a member.
pub enum FirstStart {
    /// With these settings.
    Now(Initial),
    /// It joins in its turn: until then nobody knows the list.
    Waits,
    Not,
}

pub fn first_start(view: &View, name: &HostName, host: &Host) -> FirstStart {
    if view.situation == Situation::New && setup::is_here(view, name, host) {
        return FirstStart::Now(Initial::new_cluster(view.desired, token(view)));
    }
    let Some(membership) = view.membership() else { return FirstStart::Not };
    // In the place of one that has failed, another joins at the same address.
    let is_failed = matches!(view.standing(name), Some(Standing::Failed(_)));
    let joins = is_failed || membership.member_of(name).is_none_or(|member| member.entry.name.is_none());
    if !joins || !setup::begins(host) {
        return FirstStart::Not;
    }
    match membership.member_of(name).is_some() || joining::candidate(view) == Some(name) {
        true => FirstStart::Now(Initial::joining(view.desired, &joining::members_with(view.desired, membership, name))),
        false => FirstStart::Waits,
    }
}
