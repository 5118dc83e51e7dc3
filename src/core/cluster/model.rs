//! What etcd and systemd do next, as the effects of actions predict it.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::cluster::quorum::quorum;
use crate::core::cluster::{process, version};
use crate::core::code::Code;
use crate::core::content::form::Form;
use crate::core::content::{adopted, runtime};
use crate::core::desired::{Desired, Runtime};
use crate::core::names::{ClientUrl, ClusterId, Digest, HostName, MemberId, Version};
use crate::core::observed::auth::AuthStore;
use crate::core::observed::{
    Alarm, Answer, Authority, Cause, Certificate, DataDirectory, File, Folder, Host, Location, MemberEntry, Needed,
    Observed, Process, Role, Seen, ServiceState, StartedWith, V2Store,
};

pub fn set_aside(desired: &Desired, observed: &mut Observed, name: &HostName) {
    let Some(host) = observed.host_mut(name) else { return };
    host.data = DataDirectory::Empty;
    // What is mounted there cannot be renamed, and a link is not: what lies in it is. Somebody else's is made anew.
    let stays = |data: &Location| data.is_link || data.mount.point == data.real || desired.cluster.layout.is_adopted();
    if !host.locations.get(&Needed::Data).is_some_and(stays) {
        host.folders.remove(&Folder::Data);
    }
    host.files.remove(&File::NewDataMarker);
    // It lies in that directory.
    host.files.remove(&File::RestoreMark);
}

/// It ends, and does not start at boot.
pub fn stop_for_good(observed: &mut Observed, name: &HostName) {
    let Some(host) = observed.host_mut(name) else { return };
    host.process = None;
    host.service.state = ServiceState::Inactive;
    host.service.enabled = false;
    host.service.complaint = None;
    host.service.ended = None;
    if let Some(kubelet) = &mut host.kubelet {
        kubelet.manifest_aside = host.files.contains_key(&File::Settings);
    }
    host.member = Seen::Known(None);
    host.v2store = None;
    host.log_version = None;
}

/// The manifest of a static pod was written where the kubelet does not look.
pub fn lay_aside(observed: &mut Observed, name: &HostName) {
    if let Some(kubelet) = observed.host_mut(name).and_then(|host| host.kubelet.as_mut()) {
        kubelet.manifest_aside = true;
    }
}

/// A running etcd reads the pair again at the next handshake, if it is the one that it was told of.
pub fn serve_serial(desired: &Desired, name: &HostName, host: &mut Host, role: Role, serial: &str) {
    if process::shows_other_files(desired, name, host) {
        return;
    }
    if let Some(process) = host.process.as_mut().filter(|_| role.is_served()) {
        process.served.insert(role, Seen::Known(serial.to_owned()));
    }
}

/// etcd ends when it learns that it is no member any more, and systemd starts it in vain.
pub fn end(observed: &mut Observed, name: &HostName) {
    if let Some(host) = observed.host_mut(name) {
        host.process = None;
        host.member = crate::core::observed::Seen::Known(None);
        host.service.state = ServiceState::Activating;
    }
}

pub fn edit_members(observed: &mut Observed, change: impl Fn(&mut Vec<MemberEntry>)) {
    let former = observed.former.values_mut().map(|former| &mut former.host);
    for host in observed.hosts.values_mut().chain(former) {
        let Some(answer) = host.known_mut().and_then(|host| host.member.known_mut()?.as_mut()) else { continue };
        if let Some(members) = answer.members.known_mut() {
            change(members);
            members.sort();
        }
    }
}

/// A cluster that begins has no users, and asks nobody.
pub fn begin_auth(desired: &Desired, observed: &mut Observed) {
    if desired.auth.is_some() && observed.auth.is_none() {
        observed.auth = Some(Seen::Known(AuthStore::default()));
    }
}

/// Ten years, as kubeadm gives its authorities.
pub const AUTHORITY_VALIDITY_SECONDS: i64 = 3650 * 24 * 3600;

pub fn make_authority(observed: &mut Observed) {
    let made = Digest::of("the authority that will be made");
    observed.workstation.authority = Seen::Known(Some(Authority {
        fingerprint: made,
        file_digest: made,
        not_after: observed.at.plus_seconds(AUTHORITY_VALIDITY_SECONDS),
        chain: Vec::new(),
    }));
}

/// What the next process of somebody else's service is started with: what its file says, before what the last one had.
fn started_with(desired: &Desired, host: &Host) -> Option<StartedWith> {
    let form = adopted::form(desired)?;
    let said = host.text_of(File::Settings).and_then(|text| adopted::read(desired, text).ok()).unwrap_or_default();
    let before = host.process.as_ref().and_then(|process| process.started_with.clone());
    let mut with = before.unwrap_or(StartedWith { reads_declared_file: true, ..StartedWith::default() });
    with.written_since = false;
    if form == Form::Environment { &mut with.variables } else { &mut with.flags }.extend(said);
    Some(with)
}

/// A fresh process that has loaded what lies on disk.
pub fn run(desired: &Desired, observed: &mut Observed, name: &HostName) {
    let at = observed.at;
    let Some(host) = observed.host_mut(name) else { return };
    let version = version::on_disk(desired, host);
    let on_disk =
        runtime::loaded_at_start(desired).iter().filter_map(|file| Some((*file, host.files.get(file)?.digest)));
    let served = |(role, certificate): (&Role, &Certificate)| (*role, Seen::Known(certificate.serial.clone()));
    let before = host.process.as_ref().map_or(0, |process| process.pid);
    host.process = Some(Process {
        // Another one, whichever.
        pid: before.wrapping_add(1),
        started: at,
        executable: desired.binaries_folder_of(version).join("etcd"),
        executable_replaced: false,
        foreign_config: false,
        loaded: on_disk.collect(),
        started_with: started_with(desired, host),
        served: host.certificates.iter().filter(|(role, _)| role.is_served()).map(served).collect(),
        work: None,
    });
    host.service.state = ServiceState::Activating;
    host.service.complaint = None;
    host.service.ended = None;
    // A manifest that was set aside is put back.
    if let Some(kubelet) = &mut host.kubelet {
        kubelet.manifest_aside = false;
        host.service.enabled = true;
    }
    host.data = DataDirectory::Member;
    host.v2store = version::needs_v2store_check(desired, version).then_some(V2Store::Clean);
}

/// Once enough members run for a quorum, those that wait for it answer, `acted_on` does, and each has used up its marker.
/// One that has served and is silent for a reason of its own stays silent.
pub fn serve(desired: &Desired, observed: &mut Observed, acted_on: &HostName) {
    let list = observed.member_list().cloned();
    observed.guessed |= list.is_none();
    let is_new =
        list.is_none() && observed.host(acted_on).is_some_and(|host| host.files.contains_key(&File::NewDataMarker));
    let mut members = list.unwrap_or_else(|| declared_members(desired));
    let cluster = observed.answers().next().map_or(ClusterId(0), |(_, answer)| answer.cluster);
    let leader = observed.answers().find_map(|(_, answer)| answer.leader);
    let reads = observed.answers().any(|(name, answer)| answer.reads && name != acted_on);
    let alarms: BTreeSet<Alarm> = observed.answers().flat_map(|(_, answer)| answer.alarms.iter().cloned()).collect();
    let running: BTreeSet<HostName> =
        observed.seen_hosts().filter(|(_, host)| host.process.is_some()).map(|(name, _)| name.clone()).collect();
    let index_of = |members: &[MemberEntry], name: &HostName| {
        let was = observed.host(name).and_then(Host::answer).map(|answer| answer.member);
        let is = |entry: &MemberEntry| {
            entry.peer_urls.contains(&desired.peer_url(name)) || was.is_some_and(|was| was == entry.id)
        };
        members.iter().position(is)
    };
    let found: Vec<_> = running.iter().filter_map(|name| Some((name.clone(), index_of(&members, name)?))).collect();
    let voters = members.iter().filter(|entry| !entry.learner).count();
    if !reads && found.iter().filter(|(_, index)| !members[*index].learner).count() < quorum(voters) {
        return;
    }
    let woken: Vec<_> = found
        .into_iter()
        .filter(|(name, _)| {
            // A pod counts as active before it serves: one that may still begin has not served yet.
            let waits = |host: &Host| {
                host.service.state != ServiceState::Active || host.files.contains_key(&File::NewDataMarker)
            };
            let host = observed.host(name);
            name == acted_on || host.is_some_and(|host| waits(host) || host.answer().is_some())
        })
        .collect();
    // A member publishes its name and client URL when it starts.
    let has_started = |name: &HostName| {
        name == acted_on || observed.host(name).is_some_and(|host| host.service.state != ServiceState::Active)
    };
    for (name, index) in woken.iter().filter(|(name, _)| has_started(name)) {
        members[*index].name = Some(name.clone());
        members[*index].client_urls = BTreeSet::from([ClientUrl::new(desired.client_url(name).as_str())]);
    }
    let leader = leader.or_else(|| woken.first().map(|(_, index)| members[*index].id));
    for (name, index) in &woken {
        let Some(host) = observed.host_mut(name) else { continue };
        host.service.state = ServiceState::Active;
        // Of a pod, the next step does it.
        if desired.cluster.runtime == Runtime::Systemd {
            host.files.remove(&File::NewDataMarker);
        }
        // Whoever runs already goes on with what it runs.
        let runs = host.answer().filter(|_| name != acted_on).map(|before| before.version);
        let version = runs.unwrap_or_else(|| version::on_disk(desired, host));
        let mut answer = predicted_answer(version, cluster, &members[*index], leader, &members);
        // A start changes neither the database nor any alarm.
        if let Some(before) = host.answer() {
            answer.database_bytes = before.database_bytes;
            answer.database_in_use_bytes = before.database_in_use_bytes;
        }
        answer.alarms.clone_from(&alarms);
        host.member = Seen::Known(Some(answer));
    }
    // One that starts finds its way to the others, and they to it.
    let started: Vec<_> = woken.iter().map(|(_, index)| members[*index].id).collect();
    for host in observed.hosts.values_mut().filter_map(Seen::known_mut) {
        let Some(answer) = host.member.known_mut().and_then(Option::as_mut) else { continue };
        let ways = answer.peers.iter_mut().filter(|(id, _)| started.contains(id));
        ways.for_each(|(_, peer)| (peer.is_active, peer.is_reached) = (true, None));
    }
    members.sort();
    publish(observed, &members);
    if is_new {
        begin_auth(desired, observed);
    }
}

/// Everybody learns the names that were published, and the leader raises the cluster version when all have reached it.
pub fn publish(observed: &mut Observed, members: &[MemberEntry]) {
    let lowest = observed.answers().map(|(_, answer)| version::of_cluster(answer.version)).min();
    let raised = observed.answers().filter_map(|(_, answer)| answer.cluster_version).max().max(lowest);
    let former = observed.former.values_mut().map(|former| &mut former.host);
    for host in observed.hosts.values_mut().chain(former) {
        let Some(answer) = host.known_mut().and_then(|host| host.member.known_mut()?.as_mut()) else { continue };
        answer.cluster_version = raised;
        if let Some(list) = answer.members.known_mut() {
            *list = members.to_vec();
        }
    }
}

pub fn predicted_answer(
    version: Version,
    cluster: ClusterId,
    entry: &MemberEntry,
    leader: Option<MemberId>,
    members: &[MemberEntry],
) -> Answer {
    Answer {
        cluster,
        member: entry.id,
        version,
        leader,
        term: 0,
        index: 0,
        applied: 0,
        revision: None,
        database_bytes: 0,
        database_in_use_bytes: 0,
        learner: entry.learner,
        errors: Vec::new(),
        alarms: BTreeSet::new(),
        reads: !entry.learner,
        members: if entry.learner { Seen::Unknown(learners_do_not_say()) } else { Seen::Known(members.to_vec()) },
        own_members: if entry.learner { members.to_vec() } else { Vec::new() },
        cluster_version: None,
        peers: BTreeMap::new(),
    }
}

/// A learner refuses the question for the member list.
fn learners_do_not_say() -> Cause {
    Cause { code: Code::MemberSilent, summary: "a learner does not give the member list".to_owned(), hint: None }
}

/// The member list of a cluster that begins with the declared nodes. The ids stand for those that etcd will choose.
fn declared_members(desired: &Desired) -> Vec<MemberEntry> {
    let entry = |(index, name): (usize, &HostName)| MemberEntry {
        id: MemberId(index as u64 + 1),
        name: Some(name.clone()),
        peer_urls: [desired.peer_url(name)].into(),
        client_urls: BTreeSet::from([ClientUrl::new(desired.client_url(name).as_str())]),
        learner: false,
    };
    desired.nodes.keys().enumerate().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::RemotePath;
    use crate::core::observed::Mount;
    use crate::laws::sample;

    #[test]
    fn only_a_directory_like_any_other_goes_with_the_data_that_is_set_aside() {
        let at = |real: &str, is_link: bool, point: &str| Location {
            real: RemotePath::new(real),
            is_link,
            closed: None,
            mount: Mount {
                point: RemotePath::new(point),
                filesystem: "ext4".to_owned(),
                no_exec: false,
                read_only: false,
            },
        };
        for (data, stays) in [
            (at("/var/lib/etcd", false, "/"), false),
            // Only a directory above it is a link.
            (at("/disk/lib/etcd", false, "/disk"), false),
            (at("/var/lib/etcd", false, "/var/lib/etcd"), true),
            (at("/disk/etcd", true, "/disk"), true),
        ] {
            let desired = sample::desired(1);
            let mut observed = sample::healthy(&desired);
            let host = observed.host_mut(&sample::name(0)).expect("it was seen");
            host.locations.insert(Needed::Data, data.clone());
            set_aside(&desired, &mut observed, &sample::name(0));
            let host = observed.host(&sample::name(0)).expect("it was seen");
            assert_eq!(host.folders.contains_key(&Folder::Data), stays, "{data:?}");
        }
    }
}
