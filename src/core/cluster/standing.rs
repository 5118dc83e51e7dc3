//! Where each declared host stands towards the member list of a cluster that serves.

use crate::core::cluster::quorum::{Health, Member, Membership};
use crate::core::cluster::trust;
use crate::core::code::Code;
use crate::core::content::{self, runtime};
use crate::core::desired::{Desired, Place};
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
    if let Some(taken) = address_taken(desired, membership, name, host) {
        return Err(taken);
    }
    let Some(member) = membership.member_of(name) else {
        return host.map_or(Ok(Standing::Unseen), |host| outside(desired, observed, name, host));
    };
    // One that was added and never started has no name. It has lost nothing, and cannot be called lost.
    let has_started = member.entry.name.is_some();
    // Where data differs, only the operator can tell whose is wrong: the alarm names whoever differs from the leader.
    let may_be_wrong = member.health != Health::Healthy || membership.may_differ(member);
    if has_started && may_be_wrong && is_called_lost(desired, name, member.entry.id) {
        let why = match member.health {
            Health::Healthy if member.differs => "its data differs from the others', and you named it with --lost",
            Health::Healthy if membership.has_corruption() => "alarm CORRUPT is active, and you named it with --lost",
            Health::Healthy => "the members' data differs, and you named it with --lost",
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
    // A founding member whose first start was cut off while the others went on has its marker still.
    let had_data = has_started && !has_marker;
    match host.data {
        DataDirectory::Foreign => Err(foreign_data(desired, name)),
        DataDirectory::NotMounted | DataDirectory::DeadLink => Err(out_of_sight(desired, name, host.data)),
        // One that runs and has nothing yet is about to make it. One without a log has been seen to have had one.
        DataDirectory::Empty if host.process.is_some() => Ok(Standing::Member),
        lost @ (DataDirectory::Empty | DataDirectory::NoLog | DataDirectory::NoDatabase)
            if had_data && !upheld(Guard::NoStartWithoutData, false) =>
        {
            let what = lost.lacks().unwrap_or_default();
            Ok(Standing::Failed(format!("{what} (if that is an unmounted volume, mount it instead)")))
        }
        DataDirectory::Empty | DataDirectory::NoLog | DataDirectory::NoDatabase | DataDirectory::Member => {
            Ok(Standing::Member)
        }
    }
}

/// Why the machine at a node's address is not the node's: a member with another declared name is there, or the node's own
/// member is at an address that another node is declared with. A member may change its name, unless that is another's.
fn address_taken(desired: &Desired, membership: &Membership, name: &HostName, host: Option<&Host>) -> Option<Blocked> {
    let node = desired.nodes.get(name)?;
    let is_named = |member: &Member, name: &HostName| member.entry.name.as_ref() == Some(name);
    let answering = host.and_then(Host::answer).map(|answer| answer.member);
    // It runs here, whichever node's address its peer URL has.
    let answering = membership.members.iter().find(|member| answering == Some(member.entry.id) && member.host != *name);
    let here = membership.member_of(name).or(answering);
    let own = membership.members.iter().find(|member| is_named(member, name) && member.host != *name);
    let is_other = |member: &&Member| {
        let named = member.entry.name.as_ref().filter(|named| *named != name);
        named.is_some_and(|named| desired.nodes.contains_key(named) || own.is_some() || member.host != *name)
    };
    let other = here.filter(is_other);
    let elsewhere = own.filter(|own| own.declared);
    if other.is_none() && elsewhere.is_none() || upheld(Guard::AddressIsFree, false) {
        return None;
    }
    let seen = |member: &Member| format!("member {} (id {})", member.title(), member.entry.id);
    let mut what = format!("{name} is declared at {}", node.address);
    if let Some(other) = other {
        what.push_str(&format!(", where {} was seen", seen(other)));
    }
    if let Some(own) = own {
        what.push_str(&format!("; {} was seen at {}", seen(own), own.address()));
    }
    let misnamed = [other, own].into_iter().flatten().find_map(|member| misnamed(membership, member));
    let way = match misnamed {
        Some((host, named)) => format!(
            "two members call themselves {named}: put `name: {host}` back in {} on {host}, and restart etcd there",
            desired.paths.config
        ),
        None => "correct `address` in [nodes] so that each member keeps its own, or give the new machine an address that no \
                 member has"
            .to_owned(),
    };
    let hint = format!("{way}; nothing is removed, renamed or added at these addresses until then");
    Some(Blocked::new(Code::AddressTaken, what).on(name).hint(hint).declared_at(Place::NodeAddress(name)))
}

/// The declared host of a member that has another one's name, while that one has its own, too; and that name. Somebody has
/// edited it: no address is wrong.
fn misnamed<'a>(membership: &'a Membership, member: &'a Member) -> Option<(&'a HostName, &'a HostName)> {
    let named = member.entry.name.as_ref().filter(|named| member.declared && **named != member.host)?;
    let is_own = |other: &Member| other.entry.name.as_ref() == Some(named) && other.host == *named;
    membership.members.iter().any(is_own).then_some((&member.host, named))
}

fn is_called_lost(desired: &Desired, name: &HostName, id: crate::core::names::MemberId) -> bool {
    desired.request.lost.get(name).is_some_and(|lost| lost.is_none_or(|lost| lost == id))
}

/// Of a host that is declared and in no member list.
fn outside(desired: &Desired, observed: &Observed, name: &HostName, host: &Host) -> Result<Standing, Blocked> {
    match host.data {
        DataDirectory::NotMounted | DataDirectory::DeadLink => Err(out_of_sight(desired, name, host.data)),
        DataDirectory::Foreign if !upheld(Guard::DataOfThisCluster, false) => Err(foreign_data(desired, name)),
        DataDirectory::Empty | DataDirectory::Foreign => Ok(Standing::Newcomer),
        DataDirectory::Member | DataDirectory::NoLog | DataDirectory::NoDatabase => {
            match is_ours(observed, host) || upheld(Guard::DataOfThisCluster, false) {
                true => Ok(Standing::Removed),
                false => Err(unknown_data(desired, name, host)),
            }
        }
    }
}

/// Whether what lies on this host was put there for this cluster: it trusts our authority, and has our etcd.yaml.
pub fn is_ours(observed: &Observed, host: &Host) -> bool {
    let is_kept = host.text_of(File::Config).is_some_and(content::is_kept) || host.files.contains_key(&File::Settings);
    trust::trusts_ours(observed, host) && is_kept
}

/// A folder that holds something is not to be renamed while a program works in it, whoever that is.
fn aside(desired: &Desired) -> String {
    format!("`mv {0} {0}.old` on the host, where no program uses it", desired.paths.data)
}

pub fn foreign_data(desired: &Desired, name: &HostName) -> Blocked {
    let what = format!("the data directory on {name} contains files that are not etcd's");
    let hint =
        format!("set another `data` in [paths]; or, if they are not needed, move them aside: {}", aside(desired));
    Blocked::new(Code::DataFound, what).on(name).hint(hint)
}

pub fn unknown_data(desired: &Desired, name: &HostName, host: &Host) -> Blocked {
    let is_kept = host.text_of(File::Config).is_some_and(content::is_kept);
    if is_kept && !host.trusted.is_empty() {
        let does = if host.process.is_some() { "runs" } else { "holds" };
        let what = format!("{name} {does} a member of another cluster of quorate's: it trusts a different CA");
        let hint = format!(
            "declare another host here; or, if that member is not needed, remove it by the cluster.toml of its own cluster, and what \
             is left of its data by hand: {}",
            aside(desired)
        );
        return Blocked::new(Code::DataFound, what).on(name).hint(hint);
    }
    if desired.cluster.layout.is_adopted() {
        let path = &desired.paths.config;
        let what = format!("{name} has etcd data, and no {path} that shows which cluster it belongs to");
        let hint = format!(
            "if it is this cluster's, put that file back ({}.previous is the one before its last change); if it is not needed, move it \
             aside: {}; nothing is changed until then",
            runtime::kept_beside(desired),
            aside(desired)
        );
        return Blocked::new(Code::DataFound, what).on(name).hint(hint);
    }
    let what = format!("{name} already has a data directory, but no etcd.yaml that shows which cluster it belongs to");
    let hint = format!("if it is not needed, move it aside: {}; nothing is changed until then", aside(desired));
    Blocked::new(Code::DataFound, what).on(name).hint(hint)
}

/// What is there comes back into sight with its disk: it is not lost, and nothing may be made in its place.
pub fn out_of_sight(desired: &Desired, name: &HostName, data: DataDirectory) -> Blocked {
    let path = &desired.paths.data;
    let (what, hint) = match data {
        DataDirectory::DeadLink => (
            format!("{path} on {name}, or the folder of its log, is a link that leads nowhere"),
            "mount what it leads to; if that is gone for good, remove the link on the host".to_owned(),
        ),
        _ => (
            format!("the disk for {path} on {name} is declared in its fstab or mount units and is not mounted"),
            format!(
                "`mount {path}` on the host, or the folder above it; if the disk is gone for good, take its line out"
            ),
        ),
    };
    Blocked::new(Code::DataLost, what).on(name).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::sample;

    /// One that quorate keeps elsewhere is not data that nobody knows.
    #[test]
    fn a_member_of_another_cluster_is_told_as_one() {
        let desired = sample::desired(1);
        let name = sample::name(0);
        let mut host = sample::healthy(&desired).host(&name).expect("it is there").clone();
        let runs = unknown_data(&desired, &name, &host).what;
        assert_eq!(runs, "etcd-1 runs a member of another cluster of quorate's: it trusts a different CA");
        host.files.remove(&File::Config);
        let unknown = unknown_data(&desired, &name, &host).what;
        assert_eq!(
            unknown,
            "etcd-1 already has a data directory, but no etcd.yaml that shows which cluster it belongs to"
        );
    }
}
