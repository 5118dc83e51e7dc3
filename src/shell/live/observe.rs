//! Everything that a plan needs to know, seen at once: hosts, members, consumers, users, the authority and archives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::hosts::Hosts;
use super::pki::{self, Holding};
use super::{Live, consumers, former, look, reach, users};
use crate::core::capability::{rotation, version};
use crate::core::cluster::quorum;
use crate::core::names::HostName;
use crate::core::observed::{Observed, Seen, Workstation};
use crate::shell::clock::now;

/// Between two looks at members that gave different lists: one that has just started publishes its name, and the others
/// learn it a moment apart.
const DISAGREEMENT_PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1)];

pub(super) async fn observe(live: &Live) -> Observed {
    let mut observed = observe_once(live).await;
    for pause in DISAGREEMENT_PAUSES {
        if quorum::disagreement(&observed).is_none() {
            break;
        }
        tokio::time::sleep(pause).await;
        observed = observe_once(live).await;
    }
    observed
}

/// Where nobody runs there is nobody to ask.
async fn old_is_refused(live: &Live, observed: &Observed) -> bool {
    let runs = observed.seen_hosts().any(|(_, host)| host.process.is_some());
    !runs || reach::refuses_the_old(&live.hosts, &live.credentials).await.is_ok()
}

async fn observe_once(live: &Live) -> Observed {
    let Live { hosts, credentials, packages, users: kept } = live;
    let desired = &hosts.desired;
    let at = now();
    credentials.look(at).await;
    let loaded = credentials.load_authority(at).await;
    let next = credentials.load_next(at).await;
    // What is wrong with the next one keeps the rotation from going on, and nothing else from being seen.
    let (next, loaded) = match next {
        Ok(next) => (next, loaded),
        Err(cause) => (None, Err(cause)),
    };
    let known = loaded.iter().flatten().map(|holding| holding.anchor().known());
    let known: Arc<[_]> = known.chain(next.iter().map(|next| next.anchor().known())).collect();
    let authority = Holding::seen(&loaded);
    let given = pki::given(&desired.authority, &loaded);
    let tls = loaded.ok().flatten().and_then(|holding| credentials.tls_of(&holding, next.as_ref(), at));
    let look = |hosts: Arc<Hosts>, host: HostName| {
        let (known, tls) = (Arc::clone(&known), tls.clone());
        async move { look::look(&hosts, &host, &known, tls).await }
    };
    let seen = hosts.each(look).await;
    let workstation = Workstation {
        authority,
        next: next.map(|next| next.anchor().facts().clone()),
        archives: BTreeMap::new(),
        given,
        is_replaced: false,
        keepers: credentials.keepers().await,
    };
    let mut observed = Observed {
        at,
        workstation,
        hosts: seen,
        former: BTreeMap::new(),
        auth: None,
        consumers: BTreeMap::new(),
        guessed: false,
    };
    let found = former::found(desired, &observed);
    let usable = || found.iter().filter(|(_, lead)| lead.obstacle.is_none());
    usable().for_each(|(name, lead)| hosts.machines.add_former(name, lead.peer_url.address()));
    let looked_at = hosts.each_of(usable().map(|(name, _)| name), look).await;
    observed.former = former::seen(&observed, found, looked_at, |former| hosts.machines.declared_as(former));
    observed.auth = users::look(hosts, kept, &observed).await;
    observed.consumers = consumers::look(hosts, &known).await;
    let is_first = credentials.take_first_look();
    if is_first
        && credentials.is_being_replaced()
        && rotation::is_over(&observed)
        && old_is_refused(live, &observed).await
    {
        credentials.note_replaced();
        rotation::adopt_effect(desired, &mut observed);
    }
    observed.workstation.is_replaced = desired.previous_authority.is_some() && !credentials.is_being_replaced();
    for (version, architecture) in version::wanted_archives(desired, &observed) {
        let package = packages.get(desired, version, architecture).await;
        let seen = match package {
            Ok(package) => Seen::Known(package.facts.clone()),
            Err(cause) => Seen::Unknown(cause),
        };
        observed.workstation.archives.entry(version).or_default().insert(architecture, seen);
    }
    observed
}
