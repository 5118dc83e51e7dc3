//! What a host's etcd.yaml is to say, with the lines that only a first start reads.

use crate::core::cluster::situation::Situation;
use crate::core::cluster::standing::Standing;
use crate::core::cluster::view::View;
use crate::core::cluster::{joining, restoration};
use crate::core::content::{self, Initial};
use crate::core::names::{HostName, Token};
use crate::core::observed::{DataDirectory, File, Host};

/// The text of etcd.yaml; `None` where nobody knows it yet.
pub fn etcd_yaml(view: &View, name: &HostName, host: &Host) -> Option<String> {
    Some(content::etcd_yaml(view.desired, name, &initial(view, name, host)?))
}

/// Whether etcd.yaml is on the host as it is to be; also where it is not to be written yet.
pub fn is_written(view: &View, name: &HostName, host: &Host) -> bool {
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
    if let Some(membership) = view.membership() {
        // In the place of one that has failed, another joins at the same address.
        let is_failed = matches!(view.standing(name), Some(Standing::Failed(_)));
        let joins = is_failed || membership.member_of(name).is_none_or(|member| member.entry.name.is_none());
        if joins && begins(host) {
            let is_next = membership.member_of(name).is_some() || joining::candidate(view) == Some(name);
            return is_next
                .then(|| Initial::joining(view.desired, &joining::members_with(view.desired, membership, name)));
        }
    }
    if let (true, Some(token)) = (begins(host), host.text_of(File::NewDataMarker).and_then(content::token_of_marker)) {
        return Some(Initial::new_cluster(view.desired, token));
    }
    Some(host.text_of(File::Config).and_then(Initial::read).unwrap_or_else(|| Initial::member(view.desired)))
}

/// etcd reads the lines of a first start where it finds no log, also where a start was cut off before there was one.
fn begins(host: &Host) -> bool {
    matches!(host.data, DataDirectory::Empty | DataDirectory::NoLog)
}
