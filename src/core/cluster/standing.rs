//! Where each declared host stands towards the member list of a cluster that serves.

use crate::core::cluster::quorum::{Health, Membership};
use crate::core::cluster::trust;
use crate::core::code::Code;
use crate::core::content;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, upheld};
use crate::core::names::HostName;
use crate::core::observed::{DataDirectory, File, Host, Observed};
use crate::core::plan::ruling::Blocked;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In the member list; its data is there, or may be made here.
    Member,
    /// In the member list, and it will not come back: that member goes before a new one is added here. Why.
    Failed(String),
    /// Not in the member list, and nothing of a member on it.
    Newcomer,
    /// Not in the member list, with the data of a member that was removed.
    Removed,
    /// It could not be seen, which is told elsewhere.
    Unseen,
}

/// The standing of the declared host `name`.
///
/// # Errors
/// When the host must not be touched, and why.
pub fn standing(
    desired: &Desired,
    observed: &Observed,
    membership: &Membership,
    name: &HostName,
) -> Result<Standing, Blocked> {
    let host = observed.host(name);
    let Some(member) = membership.member_of(name) else {
        return host.map_or(Ok(Standing::Unseen), |host| outside(observed, name, host));
    };
    // One that was added and never started has no name. It has lost nothing, and cannot be called lost.
    let has_started = member.entry.name.is_some();
    // Where data differs, only the operator can tell whose is wrong: the alarm names whoever differs from the leader.
    let may_be_wrong = member.health != Health::Healthy || membership.has_corruption();
    if has_started && may_be_wrong && is_called_lost(desired, name, member.entry.id) {
        let why = match member.health {
            Health::Healthy => "alarm CORRUPT is active, and you named it with --lost",
            Health::Unhealthy(_) | Health::Unseen => "you named it with --lost",
        };
        return Ok(Standing::Failed(why.to_owned()));
    }
    let Some(host) = host else { return Ok(Standing::Unseen) };
    // Not lost: it is only to be found elsewhere, which is told of the host.
    if host.data_elsewhere.is_some() {
        return Ok(Standing::Member);
    }
    let has_marker = host.files.contains_key(&File::NewDataMarker);
    match host.data {
        DataDirectory::Foreign => Err(foreign_data(name)),
        // A founding member whose first start was cut off while the others went on has its marker still.
        DataDirectory::Empty
            if has_started && !has_marker && host.process.is_none() && !upheld(Guard::NoStartWithoutData, false) =>
        {
            let why = "its data directory is missing (if that is an unmounted volume, mount it instead)";
            Ok(Standing::Failed(why.to_owned()))
        }
        DataDirectory::Empty | DataDirectory::Member => Ok(Standing::Member),
    }
}

fn is_called_lost(desired: &Desired, name: &HostName, id: crate::core::names::MemberId) -> bool {
    desired.request.lost.get(name).is_some_and(|lost| lost.is_none_or(|lost| lost == id))
}

/// Of a host that is declared and in no member list.
fn outside(observed: &Observed, name: &HostName, host: &Host) -> Result<Standing, Blocked> {
    match host.data {
        DataDirectory::Foreign if !upheld(Guard::DataOfThisCluster, false) => Err(foreign_data(name)),
        DataDirectory::Empty | DataDirectory::Foreign => Ok(Standing::Newcomer),
        DataDirectory::Member if is_ours(observed, host) => Ok(Standing::Removed),
        DataDirectory::Member if upheld(Guard::DataOfThisCluster, false) => Ok(Standing::Removed),
        DataDirectory::Member => Err(unknown_data(name)),
    }
}

/// Whether what lies on this host was put there for this cluster: it trusts our authority, and has our etcd.yaml.
pub fn is_ours(observed: &Observed, host: &Host) -> bool {
    let trusts_us = host.trusted.iter().any(|trusted| trust::is_ours(observed, trusted));
    trusts_us && host.text_of(File::Config).is_some_and(content::is_kept)
}

pub fn foreign_data(name: &HostName) -> Blocked {
    let what = format!("the data directory on {name} contains files that are not etcd's");
    Blocked::new(Code::DataFound, what).on(name).hint("move it aside on the host, or set another `data` in [paths]")
}

pub fn unknown_data(name: &HostName) -> Blocked {
    let what = format!("{name} already has a data directory, but no etcd.yaml that shows which cluster it belongs to");
    let hint = "if it is not needed, move it aside on the host: `mv /var/lib/etcd /var/lib/etcd.old`; nothing is \
                changed until then";
    Blocked::new(Code::DataFound, what).on(name).hint(hint)
}
