//! Worlds to begin from, for tests and simulations: bare hosts, and the cluster that a plan makes of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::cluster::leaf;
use crate::core::cluster::model::AUTHORITY_VALIDITY_SECONDS;
use crate::core::desired::{AuthoritySource, Binaries, Desired};
use crate::core::names::{Architecture, Digest, HostName, UnixSeconds, Version};
use crate::core::observed::{
    Archive, Authority, Certificate, ConsumerFiles, DataDirectory, FormerLife, Given, GivenPair, Held, Host, Observed,
    Role, Seen, Service, ServiceState, Tools, Usage, Workstation,
};
use crate::core::planner;

/// Every declared host seen and as an installer leaves it; no authority here; every declared archive at hand.
pub fn bare(desired: &Desired, at: UnixSeconds) -> Observed {
    let at_hand = |digests: &BTreeMap<Architecture, Digest>| {
        digests
            .iter()
            .map(|(architecture, digest)| {
                (*architecture, Seen::Known(Archive { sha256: *digest, bytes: ARCHIVE_BYTES }))
            })
            .collect()
    };
    let archives = match &desired.binaries {
        Binaries::Archive { sha256, via, .. } => {
            let via = via.iter().map(|(version, of)| (*version, at_hand(of)));
            via.chain([(desired.cluster.version, at_hand(sha256))]).collect()
        }
        Binaries::Preinstalled { .. } | Binaries::Image | Binaries::Undeclared => BTreeMap::new(),
    };
    let hosts = desired.nodes.keys().map(|name| (name.clone(), Seen::Known(bare_host())));
    Observed {
        at,
        workstation: workstation(desired, at, archives),
        hosts: hosts.collect(),
        former: BTreeMap::new(),
        auth: None,
        consumers: desired.consumers.keys().map(|name| (name.clone(), Seen::Known(ConsumerFiles::default()))).collect(),
        comparison: None,
        guessed: false,
    }
}

/// As a release of etcd has it, or a little more.
const ARCHIVE_BYTES: u64 = 100 << 20;

type Archives = BTreeMap<Version, BTreeMap<Architecture, Seen<Archive>>>;

/// No authority yet where one is generated; else the declared one, and every pair that is given is right.
fn workstation(desired: &Desired, at: UnixSeconds, archives: Archives) -> Workstation {
    let authority = Authority {
        fingerprint: Digest::of("the declared authority"),
        file_digest: Digest::of("the declared authority's file"),
        not_after: at.plus_seconds(AUTHORITY_VALIDITY_SECONDS),
        chain: Vec::new(),
    };
    let pair = |names: BTreeSet<String>, path: String| {
        let certificate = Certificate {
            signed_by: Some(authority.fingerprint),
            common_name: "given".to_owned(),
            issuer: String::new(),
            names,
            usages: BTreeSet::from([Usage::ServerAuth, Usage::ClientAuth]),
            not_before: at,
            not_after: at.plus_seconds(365 * 24 * 3600),
            serial: String::new(),
            matches_key: Seen::Known(true),
            no_other_like_it: None,
        };
        let digest = Some(Digest::of(&path));
        GivenPair { path, faults: Vec::new(), certificate: Some(certificate), digest }
    };
    let given = match &desired.authority {
        AuthoritySource::Generated { .. }
        | AuthoritySource::Files { .. }
        | AuthoritySource::Vault(_)
        | AuthoritySource::Node { .. } => None,
        AuthoritySource::External { nodes, .. } => {
            let of_node = |name: &HostName| {
                let of_role = |role: &Role| {
                    let names = leaf::wanted(desired, name, *role, &BTreeSet::new()).names;
                    (*role, pair(names, format!("given/{name}/{role}.crt")))
                };
                (name.clone(), desired.authority.roles().iter().map(of_role).collect())
            };
            let client = pair(BTreeSet::new(), "given/client.crt".to_owned());
            Some(Given { client, nodes: nodes.keys().map(of_node).collect() })
        }
    };
    let authority = match desired.authority {
        AuthoritySource::Generated { .. } | AuthoritySource::Node { .. } => None,
        AuthoritySource::Files { .. } | AuthoritySource::External { .. } | AuthoritySource::Vault(_) => Some(authority),
    };
    let ca_keys = match desired.authority {
        AuthoritySource::Node { .. } => desired.nodes.keys().map(|name| (name.clone(), Held::Nothing)).collect(),
        _ => BTreeMap::new(),
    };
    Workstation {
        authority: Seen::Known(authority),
        next: None,
        is_replaced: false,
        previous_ended: None,
        archives,
        given,
        former_life: FormerLife::default(),
        ca_keys,
        lent: None,
    }
}

/// A host on which nothing was ever done.
pub fn bare_host() -> Host {
    Host {
        architecture: Architecture::Amd64,
        clock_offset_seconds: 0,
        account: false,
        folders: BTreeMap::new(),
        files: BTreeMap::new(),
        certificates: BTreeMap::new(),
        trusted: Vec::new(),
        installed: BTreeMap::new(),
        tools: Tools::Absent,
        kubelet: None,
        service: Service {
            state: ServiceState::Inactive,
            enabled: false,
            needs_reload: false,
            drop_ins: Default::default(),
            restrictions: Vec::new(),
            runs_as: None,
            complaint: None,
            ended: None,
        },
        process: None,
        data: DataDirectory::Empty,
        data_elsewhere: None,
        locations: BTreeMap::new(),
        room: BTreeMap::new(),
        lacks_address: false,
        privileged_ports: BTreeSet::new(),
        clients: BTreeSet::new(),
        taken_ports: BTreeMap::new(),
        sources: BTreeMap::new(),
        lookups: BTreeMap::new(),
        others: Vec::new(),
        member: Seen::Known(None),
        snapshots: BTreeMap::new(),
        pushed: BTreeSet::new(),
        v2store: None,
        log_version: None,
        lock: None,
        scheduled: None,
    }
}

/// The world after every step of the plan for bare hosts has had its effect.
pub fn healthy(desired: &Desired, at: UnixSeconds) -> Observed {
    let mut world = bare(desired, at);
    let plan = planner::plan(desired, &world);
    for action in plan.actions() {
        planner::effect(action, desired, &mut world);
    }
    world.guessed = false;
    world
}
