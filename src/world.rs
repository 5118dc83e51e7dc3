//! Worlds to begin from, for tests and simulations: bare hosts, and the cluster that a plan makes of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Binaries, Desired};
use crate::names::{Architecture, Digest, UnixSeconds};
use crate::observed::{Archive, DataDirectory, Host, Observed, Seen, Service, ServiceState, Tools, Workstation};
use crate::plan;

/// Every declared host seen and as an installer leaves it; no authority here; every declared archive at hand.
pub fn bare(desired: &Desired, at: UnixSeconds) -> Observed {
    let at_hand = |of: &BTreeMap<Architecture, Digest>| {
        of.iter().map(|(of, digest)| (*of, Seen::Known(Archive { sha256: *digest }))).collect()
    };
    let archives = match &desired.binaries {
        Binaries::Archive { sha256, via, .. } => {
            let via = via.iter().map(|(version, of)| (*version, at_hand(of)));
            via.chain([(desired.cluster.version, at_hand(sha256))]).collect()
        }
        Binaries::Preinstalled { .. } | Binaries::Undeclared => BTreeMap::new(),
    };
    let hosts = desired.nodes.keys().map(|name| (name.clone(), Seen::Known(bare_host())));
    Observed {
        at,
        workstation: Workstation { authority: Seen::Known(None), archives },
        hosts: hosts.collect(),
        former: BTreeMap::new(),
        auth: None,
        guessed: false,
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
        service: Service {
            state: ServiceState::Inactive,
            enabled: false,
            needs_reload: false,
            drop_ins: Vec::new(),
            complaint: None,
        },
        process: None,
        data: DataDirectory::Empty,
        taken_ports: BTreeMap::new(),
        member: Seen::Known(None),
        snapshots: BTreeMap::new(),
        pushed: BTreeSet::new(),
        v2store: None,
        log_version: None,
        scheduled: None,
    }
}

/// The world after every step of the plan for bare hosts has had its effect.
pub fn healthy(desired: &Desired, at: UnixSeconds) -> Observed {
    let mut world = bare(desired, at);
    let plan = plan::plan(desired, &world);
    for action in plan.actions() {
        action.effect(desired, &mut world);
    }
    world.guessed = false;
    world
}
